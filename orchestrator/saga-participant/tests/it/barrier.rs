//! The barrier: operations whose whole effect is in the database.

use std::sync::Arc;

use saga_participant::{
    Participant, ParticipantApi,
    error::reason,
    on_both_databases,
    operation::SAGA_ID_KEY,
    testkit::{Scratch, certify, new_op_id, reason_of, with_op_id},
};
use saga_proto::saga::participant::v1::{
    EffectState, ListEffectsRequest, ResolveMode,
    participant_service_server::ParticipantService as _, resolve_response::Resolution,
};
use tonic::{Code, Request};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::counter::{
    Bump, Counter, CounterSubject, SCHEMA, Standing, Unbump, hold, participant, resolve,
};

on_both_databases!(
    the_suite_holds,
    a_call_without_an_operation_id_is_refused_in_words,
    an_invalid_request_is_not_recorded,
    a_refusal_carries_its_facts_again_after_a_restart,
    a_reversal_that_was_refused_does_not_count,
    the_list_of_effects_is_complete_and_stable,
    a_reply_of_an_operation_cannot_be_had_under_another_kind,
    a_call_that_is_dropped_in_the_middle_is_finished,
    repeats_at_once_with_the_undo_are_answered_as_before_or_as_after_it,
);

async fn open(scratch: &Scratch) -> Participant<Counter> {
    participant(scratch.open(&SCHEMA).await)
}

fn bump(amount: i64) -> Bump {
    Bump { amount, hold: String::new() }
}

async fn standing(participant: &Participant<Counter>) -> i64 {
    participant.answer(Request::new(Standing)).await.unwrap().into_inner()
}

async fn the_suite_holds(scratch: Scratch) {
    let subject = CounterSubject(open(&scratch).await);
    certify(Arc::new(subject)).await.assert_all_hold();
}

async fn a_call_without_an_operation_id_is_refused_in_words(scratch: Scratch) {
    let participant = open(&scratch).await;
    let missing = participant.apply(Request::new(bump(1))).await.unwrap_err();
    assert_eq!(
        (missing.code(), reason_of(&missing).as_str()),
        (Code::InvalidArgument, "OP_ID_MISSING")
    );
    assert!(missing.message().contains("send a UUID"), "{missing}");

    let mut request = Request::new(bump(1));
    request.metadata_mut().insert("saga-op-id", "seven".parse().unwrap());
    let invalid = participant.apply(request).await.unwrap_err();
    assert_eq!(reason_of(&invalid), "OP_ID_INVALID");
    assert!(invalid.message().contains("seven"), "{invalid}");

    let op_id = new_op_id();
    let own = participant.apply(with_op_id(op_id, Unbump { op_id: op_id.to_string() })).await;
    assert_eq!(reason_of(&own.unwrap_err()), "OP_ID_INVALID");
    assert_eq!(standing(&participant).await, 0);
}

async fn an_invalid_request_is_not_recorded(scratch: Scratch) {
    let participant = open(&scratch).await;
    let op_id = new_op_id();
    let status = participant.apply(with_op_id(op_id, bump(0))).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "amount is \"0\": any number but 0");
    let violations = status.get_details_bad_request().unwrap().field_violations;
    assert_eq!(violations[0].field, "amount");
    assert!(matches!(
        resolve(&participant, op_id, ResolveMode::Peek).await.unwrap(),
        Resolution::Absent(_)
    ));
    participant.apply(with_op_id(op_id, bump(1))).await.unwrap();
}

async fn a_refusal_carries_its_facts_again_after_a_restart(scratch: Scratch) {
    let op_id = new_op_id();
    let first = open(&scratch).await.apply(with_op_id(op_id, bump(-7))).await.unwrap_err();
    let info = first.get_details_error_info().unwrap();
    assert_eq!(info.domain, "counter.test");
    assert_eq!(info.metadata["amount"], "-7");
    let again = open(&scratch).await.apply(with_op_id(op_id, bump(-7))).await.unwrap_err();
    assert_eq!(again.details(), first.details());
    assert_eq!(again.message(), first.message());
}

async fn a_reversal_that_was_refused_does_not_count(scratch: Scratch) {
    let participant = open(&scratch).await;
    let op_id = new_op_id();
    participant.apply(with_op_id(op_id, bump(13))).await.unwrap();
    for _ in 0..2 {
        let unbump = Unbump { op_id: op_id.to_string() };
        let status = participant.apply(with_op_id(new_op_id(), unbump)).await.unwrap_err();
        assert_eq!(reason_of(&status), "STICKY");
    }
    assert_eq!(standing(&participant).await, 1);
}

async fn the_list_of_effects_is_complete_and_stable(scratch: Scratch) {
    let participant = open(&scratch).await;
    let mut made = Vec::new();
    for amount in [1, 2, -1, 3] {
        let op_id = new_op_id();
        let mut request = with_op_id(op_id, bump(amount));
        request.metadata_mut().insert(SAGA_ID_KEY, "saga-1".parse().unwrap());
        // A refusal is listed too.
        let _: Result<_, _> = participant.apply(request).await;
        made.push(op_id.to_string());
    }
    let undo = new_op_id();
    let unbump = Unbump { op_id: made[0].clone() };
    participant.apply(with_op_id(undo, unbump)).await.unwrap();

    let api = ParticipantApi::new(participant.clone());
    let list = |saga_id: &str, page_size, page_token: String| {
        let saga_id = saga_id.to_owned();
        api.list_effects(Request::new(ListEffectsRequest { saga_id, page_size, page_token }))
    };
    let (mut listed, mut token) = (Vec::new(), String::new());
    loop {
        let page = list("saga-1", 3, token).await.unwrap().into_inner();
        listed.extend(page.effects);
        // What comes between two pages moves nothing.
        participant.apply(with_op_id(new_op_id(), bump(1))).await.unwrap();
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let ids: Vec<_> = listed.iter().map(|effect| effect.op_id.clone()).collect();
    assert_eq!(ids, made);
    assert_eq!(listed[2].state(), EffectState::Rejected);
    assert_eq!(listed[0].kind, "Bump");

    let all = list("", 0, String::new()).await.unwrap().into_inner().effects;
    assert_eq!(all.len(), 7);
    assert_eq!(
        (all[4].op_id.as_str(), all[4].reverses.as_str()),
        (undo.to_string().as_str(), made[0].as_str())
    );
    let status = list("", 0, "nonsense".to_owned()).await.unwrap_err();
    assert_eq!(reason_of(&status), reason::PAGE_TOKEN_INVALID);
}

async fn a_reply_of_an_operation_cannot_be_had_under_another_kind(scratch: Scratch) {
    let participant = open(&scratch).await;
    let op_id = new_op_id();
    participant.apply(with_op_id(op_id, bump(1))).await.unwrap();
    let unbump = Unbump { op_id: Uuid::nil().to_string() };
    let status = participant.apply(with_op_id(op_id, unbump)).await.unwrap_err();
    assert_eq!(reason_of(&status), reason::OP_ID_REUSED);
}

async fn repeats_at_once_with_the_undo_are_answered_as_before_or_as_after_it(scratch: Scratch) {
    let participant = open(&scratch).await;
    for _ in 0..12 {
        let op_id = new_op_id();
        let first = participant.apply(with_op_id(op_id, bump(1))).await.unwrap().into_inner();
        let repeats: Vec<_> = (0..16)
            .map(|_| {
                let participant = participant.clone();
                tokio::spawn(async move { participant.apply(with_op_id(op_id, bump(1))).await })
            })
            .collect();
        let unbump = Unbump { op_id: op_id.to_string() };
        participant.apply(with_op_id(new_op_id(), unbump)).await.unwrap();
        for repeat in repeats {
            match repeat.await.unwrap() {
                Ok(reply) => assert_eq!(reply.into_inner(), first),
                Err(status) => assert_eq!(reason_of(&status), reason::OP_REVERSED),
            }
        }
        let late = participant.apply(with_op_id(op_id, bump(1))).await.unwrap_err();
        assert_eq!(reason_of(&late), reason::OP_REVERSED);
    }
    assert_eq!(standing(&participant).await, 0);
}

/// Starts a bump that holds its transaction open; returns when it is open.
async fn held_bump(
    participant: &Participant<Counter>,
    op_id: Uuid,
    name: &str,
) -> tokio::task::JoinHandle<Result<tonic::Response<crate::counter::Total>, tonic::Status>> {
    let (participant, request) =
        (participant.clone(), with_op_id(op_id, Bump { amount: 1, hold: name.to_owned() }));
    let call = tokio::spawn(async move { participant.apply(request).await });
    hold(name).entered.notified().await;
    call
}

#[tokio::test]
async fn a_fence_waits_for_an_original_that_is_open_postgres() {
    let scratch = Scratch::postgres().await;
    let participant = open(&scratch).await;
    let op_id = new_op_id();
    let call = held_bump(&participant, op_id, "fence-waits").await;
    let asking = {
        let participant = participant.clone();
        tokio::spawn(async move { resolve(&participant, op_id, ResolveMode::Fence).await })
    };
    waits_for_a_lock(&scratch).await;
    assert!(!asking.is_finished());
    hold("fence-waits").release.notify_one();
    assert!(matches!(asking.await.unwrap().unwrap(), Resolution::Applied(_)));
    call.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_fence_does_not_wait_for_ever_postgres() {
    let scratch = Scratch::postgres().await;
    let participant = open(&scratch).await;
    let op_id = new_op_id();
    let call = held_bump(&participant, op_id, "fence-gives-up").await;
    let resolution = resolve(&participant, op_id, ResolveMode::Fence).await.unwrap();
    assert!(matches!(resolution, Resolution::InProgress(_)), "{resolution:?}");
    // A second call of the same operation may not say that nothing was done.
    let second = participant
        .apply(with_op_id(op_id, Bump { amount: 1, hold: "fence-gives-up".to_owned() }))
        .await
        .unwrap_err();
    assert_eq!(
        (second.code(), reason_of(&second).as_str()),
        (Code::Unavailable, "OPERATION_IN_PROGRESS")
    );
    hold("fence-gives-up").release.notify_one();
    call.await.unwrap().unwrap();
    assert_eq!(standing(&participant).await, 1);
}

#[tokio::test]
async fn an_undo_waits_for_an_original_that_is_open_postgres() {
    let scratch = Scratch::postgres().await;
    let participant = open(&scratch).await;
    let op_id = new_op_id();
    let call = held_bump(&participant, op_id, "undo-waits").await;
    let undoing = {
        let (participant, unbump) = (participant.clone(), Unbump { op_id: op_id.to_string() });
        tokio::spawn(async move { participant.apply(with_op_id(new_op_id(), unbump)).await })
    };
    waits_for_a_lock(&scratch).await;
    hold("undo-waits").release.notify_one();
    let undone = undoing.await.unwrap().unwrap();
    assert!(!undone.metadata().contains_key("saga-nothing-to-undo"));
    call.await.unwrap().unwrap();
    assert_eq!(standing(&participant).await, 0);
}

async fn a_call_that_is_dropped_in_the_middle_is_finished(scratch: Scratch) {
    let participant = open(&scratch).await;
    let (op_id, name) = (new_op_id(), new_op_id().to_string());
    let call = held_bump(&participant, op_id, &name).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    hold(&name).release.notify_one();
    let resolution = resolve(&participant, op_id, ResolveMode::Fence).await.unwrap();
    assert!(matches!(resolution, Resolution::Applied(_)), "{resolution:?}");
    assert_eq!(standing(&participant).await, 1);
}

/// Returns when some statement of this database waits for a lock.
async fn waits_for_a_lock(scratch: &Scratch) {
    use sqlx::Connection as _;
    let mut watch = sqlx::PgConnection::connect(&scratch.url).await.unwrap();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(5);
    loop {
        let waiting: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'",
        )
        .fetch_one(&mut watch)
        .await
        .unwrap();
        if waiting > 0 {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "nothing waited for a lock");
    }
}
