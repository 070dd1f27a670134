//! What is behind a horizon is pruned, and nothing is made up of what is gone (F33).

use std::sync::Arc;

use saga_participant::{
    Arg, Participant, ParticipantApi, Tx, on_both_databases,
    testkit::{Scratch, new_op_id, reason_of, with_op_id},
};
use saga_proto::saga::participant::v1::{
    ResolveMode, ResolveRequest, participant_service_server::ParticipantService as _,
};
use tokio::sync::Notify;
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::counter::{
    Bump, Counter, SCHEMA, Standing, Total, Unbump, now_ms, number, participant, tell_horizon,
};

on_both_databases!(
    what_sagas_of_before_the_horizon_did_is_gone_and_nothing_happens_twice,
    what_is_not_known_to_be_behind_every_log_stays,
    an_undo_goes_no_sooner_than_its_original,
    ids_that_say_nothing_are_too_old_once_anything_was_pruned,
    rows_that_somebody_deletes_by_hand_are_missed,
    whoever_claims_a_row_while_it_is_pruned_sees_why_it_was_free,
    a_horizon_never_falls_and_is_never_ahead,
    many_rows_go_in_batches,
    a_call_that_is_too_old_stops_no_other_in_its_lane,
);

const LOG: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);
const OLD: i64 = 1_000;
const HORIZON: u64 = 5_000;
const YOUNG: i64 = 5_000;

/// As engines make them: it tells nothing.
fn derived(name: &str) -> Uuid {
    Uuid::new_v5(&LOG, name.as_bytes())
}

fn of_saga<T>(mut request: Request<T>, log_id: Uuid, started_at_ms: i64) -> Request<T> {
    let metadata = request.metadata_mut();
    metadata.insert("saga-log-id", log_id.to_string().parse().unwrap());
    metadata.insert("saga-started-at-ms", started_at_ms.to_string().parse().unwrap());
    request
}

fn bump_of(amount: i64) -> Bump {
    Bump { amount, hold: String::new() }
}

async fn open(scratch: &Scratch) -> Participant<Counter> {
    participant(scratch.open(&SCHEMA).await)
}

async fn bump(on: &Participant<Counter>, name: &str, started: i64) -> Result<Total, Status> {
    let request = of_saga(with_op_id(derived(name), bump_of(1)), LOG, started);
    on.apply(request).await.map(tonic::Response::into_inner)
}

async fn unbump(
    on: &Participant<Counter>,
    name: &str,
    original: &str,
    started: i64,
) -> Result<bool, Status> {
    let request = Unbump { op_id: derived(original).to_string() };
    let request = of_saga(with_op_id(derived(name), request), LOG, started);
    let reply = on.apply(request).await?;
    Ok(reply.metadata().contains_key("saga-nothing-to-undo"))
}

async fn resolve(
    on: &Participant<Counter>,
    name: &str,
    mode: ResolveMode,
    started: i64,
) -> Result<(), Status> {
    let request = ResolveRequest { op_id: derived(name).to_string(), mode: mode.into() };
    let request = of_saga(Request::new(request), LOG, started);
    ParticipantApi::new(on.clone()).resolve(request).await.map(drop)
}

async fn standing(on: &Participant<Counter>) -> i64 {
    on.answer(Request::new(Standing)).await.unwrap().into_inner()
}

async fn rows(on: &Participant<Counter>) -> i64 {
    number(on, "select count(*) from op_log").await
}

async fn execute(on: &Participant<Counter>, sql: &'static str) {
    let write = move |mut tx: Tx| async move {
        tx.execute(sql, &[]).await?;
        tx.commit().await
    };
    on.database().write(write).await.unwrap();
}

fn too_old<T: std::fmt::Debug>(told: Result<T, Status>) {
    let status = told.unwrap_err();
    assert_eq!((status.code(), reason_of(&status).as_str()), (Code::DataLoss, "OP_TOO_OLD"));
    assert!(status.metadata().get("saga-refusal").is_none());
}

async fn prune(on: &Participant<Counter>) -> u64 {
    // Recorded when their saga began, as if it were that long ago.
    execute(on, "update op_log set at_ms = saga_started_at_ms where 0 < saga_started_at_ms").await;
    tell_horizon(on, LOG, HORIZON).await.unwrap();
    on.prune().await.unwrap();
    on.prune().await.unwrap()
}

async fn what_sagas_of_before_the_horizon_did_is_gone_and_nothing_happens_twice(scratch: Scratch) {
    let on = open(&scratch).await;
    for name in ["stands", "undone"] {
        bump(&on, name, OLD).await.unwrap();
    }
    assert!(!unbump(&on, "undo", "undone", OLD).await.unwrap());
    let refused = of_saga(with_op_id(derived("refused"), bump_of(-1)), LOG, OLD);
    assert_eq!(on.apply(refused).await.unwrap_err().code(), Code::FailedPrecondition);
    resolve(&on, "fenced", ResolveMode::Fence, OLD).await.unwrap();
    bump(&on, "young", YOUNG).await.unwrap();
    prune(&on).await;
    assert_eq!((rows(&on).await, standing(&on).await), (1, 2));

    for name in ["stands", "undone", "refused", "fenced", "undo", "never"] {
        too_old(bump(&on, name, OLD).await);
        for mode in [ResolveMode::Peek, ResolveMode::Fence] {
            too_old(resolve(&on, name, mode, OLD).await);
        }
    }
    for (undo, original) in [("undo", "undone"), ("another", "undone"), ("late", "stands")] {
        too_old(unbump(&on, undo, original, OLD).await);
    }
    assert_eq!((rows(&on).await, standing(&on).await), (1, 2));

    // What is young goes on as before, what was called off first too.
    assert!(!unbump(&on, "undo of young", "young", YOUNG).await.unwrap());
    assert!(unbump(&on, "undo of none", "none", YOUNG).await.unwrap());
    assert_eq!(reason_of(&bump(&on, "none", YOUNG).await.unwrap_err()), "OP_FENCED");
    bump(&on, "next", YOUNG).await.unwrap();
    resolve(&on, "other", ResolveMode::Fence, YOUNG).await.unwrap();
    assert_eq!(standing(&on).await, 2);
}

async fn what_is_not_known_to_be_behind_every_log_stays(scratch: Scratch) {
    let on = open(&scratch).await;
    // Of a log that tells no horizon; of no log that is known; and one that waits for a provider.
    let request = of_saga(with_op_id(derived("elsewhere"), bump_of(1)), OTHER, OLD);
    on.apply(request).await.unwrap();
    on.apply(with_op_id(new_op_id(), bump_of(1))).await.unwrap();
    bump(&on, "waits", OLD).await.unwrap();
    let (waits, nobodys) = (derived("waits"), derived("elsewhere"));
    let write = move |mut tx: Tx| async move {
        let intended = "update op_log set state = 'INTENDED', request = result where op_id = $1";
        tx.execute(intended, &[Arg::Uuid(waits)]).await?;
        tx.execute("update op_log set at_ms = 1 where op_id <> $1", &[Arg::Uuid(nobodys)]).await?;
        let mark = "insert into log_mark (log_id, epoch, at_ms) values ($1, 1, 1)";
        tx.execute(mark, &[Arg::Uuid(OTHER)]).await?;
        tx.commit().await
    };
    on.database().write(write).await.unwrap();
    prune(&on).await;
    assert_eq!(rows(&on).await, 3);

    // Once every log has told, what is older than all of them goes.
    tell_horizon(&on, OTHER, 500).await.unwrap();
    assert_eq!(prune(&on).await, 0);
    assert_eq!(rows(&on).await, 2);
    tell_horizon(&on, OTHER, HORIZON).await.unwrap();
    prune(&on).await;
    assert_eq!(number(&on, "select count(*) from op_log where state = 'INTENDED'").await, 1);
    assert_eq!(rows(&on).await, 1);
}

/// Or a repeat of the original would be answered as if it stood.
async fn an_undo_goes_no_sooner_than_its_original(scratch: Scratch) {
    let on = open(&scratch).await;
    bump(&on, "original", YOUNG).await.unwrap();
    unbump(&on, "undo", "original", OLD).await.unwrap();
    prune(&on).await;
    assert_eq!(rows(&on).await, 2);
    assert_eq!(reason_of(&bump(&on, "original", YOUNG).await.unwrap_err()), "OP_REVERSED");
    assert_eq!(standing(&on).await, 0);
}

async fn ids_that_say_nothing_are_too_old_once_anything_was_pruned(scratch: Scratch) {
    let on = open(&scratch).await;
    let say_nothing = |name: &str| with_op_id(derived(name), bump_of(1));
    on.apply(say_nothing("first")).await.unwrap();
    bump(&on, "stands", OLD).await.unwrap();
    tell_horizon(&on, LOG, HORIZON).await.unwrap();
    // The row is there: that is known.
    on.apply(say_nothing("first")).await.unwrap();
    prune(&on).await;
    too_old(on.apply(say_nothing("second")).await);
    too_old(on.apply(say_nothing("stands")).await);
    // Whoever undoes with an id of today tells nothing of what he undoes.
    let undo = Unbump { op_id: derived("stands").to_string() };
    too_old(on.apply(with_op_id(new_op_id(), undo)).await);
    let old = Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, 2, 0));
    too_old(on.apply(with_op_id(old, bump_of(1))).await);
    on.apply(with_op_id(new_op_id(), bump_of(1))).await.unwrap();
    assert_eq!(standing(&on).await, 3);
}

async fn rows_that_somebody_deletes_by_hand_are_missed(scratch: Scratch) {
    let on = open(&scratch).await;
    on.apply(with_op_id(derived("one"), bump_of(1))).await.unwrap();
    // A claim that is taken back is nothing that is missed.
    on.apply(with_op_id(derived("wrong"), bump_of(0))).await.unwrap_err();
    on.apply(with_op_id(derived("two"), bump_of(1))).await.unwrap();
    let op_id = new_op_id();
    on.apply(with_op_id(op_id, bump_of(1))).await.unwrap();
    execute(&on, "delete from op_log").await;
    for op_id in [derived("one"), derived("three"), op_id] {
        too_old(on.apply(with_op_id(op_id, bump_of(1))).await);
    }
    on.apply(with_op_id(new_op_id(), bump_of(1))).await.unwrap();
    assert_eq!(standing(&on).await, 4);
}

async fn whoever_claims_a_row_while_it_is_pruned_sees_why_it_was_free(scratch: Scratch) {
    let on = open(&scratch).await;
    bump(&on, "stands", OLD).await.unwrap();
    let raise = |mut tx: Tx| async move {
        let args = [Arg::Uuid(LOG), Arg::Int(YOUNG)];
        tx.execute("insert into op_horizon (log_id, horizon_at_ms) values ($1, $2)", &args).await?;
        tx.commit().await
    };
    on.database().write(raise).await.unwrap();
    let (deleted, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let pruner = {
        let (on, deleted, go_on) = (on.clone(), deleted.clone(), go_on.clone());
        tokio::spawn(async move {
            let write = move |mut tx: Tx| async move {
                tx.execute("delete from op_log", &[]).await?;
                deleted.notify_one();
                go_on.notified().await;
                tx.commit().await
            };
            on.database().write(write).await.unwrap();
        })
    };
    deleted.notified().await;
    let again = {
        let on = on.clone();
        tokio::spawn(async move { bump(&on, "stands", OLD).await })
    };
    tokio::task::yield_now().await;
    go_on.notify_one();
    pruner.await.unwrap();
    too_old(again.await.unwrap());
    assert_eq!(standing(&on).await, 1);
}

async fn a_horizon_never_falls_and_is_never_ahead(scratch: Scratch) {
    let on = open(&scratch).await;
    assert_eq!(tell_horizon(&on, LOG, 5).await.unwrap(), 5);
    assert_eq!(tell_horizon(&on, LOG, 3).await.unwrap(), 5);
    assert_eq!(tell_horizon(&on, OTHER, 3).await.unwrap(), 3);
    for ahead in [0, now_ms() + 3_600_000, u64::MAX] {
        let status = tell_horizon(&on, LOG, ahead).await.unwrap_err();
        assert_eq!(reason_of(&status), "HORIZON_AHEAD");
    }
    assert_eq!(tell_horizon(&on, LOG, 1).await.unwrap(), 5);
}

async fn many_rows_go_in_batches(scratch: Scratch) {
    let on = open(&scratch).await;
    let write = |mut tx: Tx| async move {
        for number in 0..1_300_u128 {
            // Each third is young, so that no batch goes as a whole.
            let started_at_ms = if number % 3 == 0 { YOUNG } else { OLD };
            tx.execute(
                "insert into op_log (op_id, kind, request_hash, state, at_ms, log_id,
                    saga_started_at_ms) values ($1, 'Bump', $2, 'FENCED', 7, $3, $4)",
                &[
                    Arg::Uuid(Uuid::from_u128(number)),
                    Arg::Bytes(&[]),
                    Arg::Uuid(LOG),
                    Arg::Int(started_at_ms),
                ],
            )
            .await?;
        }
        tx.commit().await
    };
    on.database().write(write).await.unwrap();
    prune(&on).await;
    assert_eq!(rows(&on).await, 434);
}

async fn a_call_that_is_too_old_stops_no_other_in_its_lane(scratch: Scratch) {
    use saga_participant::{Lane, LaneLimits};

    let on = open(&scratch).await;
    let lane = Lane::new(LaneLimits { batch_max: 16, waiting_max: 16 });
    bump(&on, "old", OLD).await.unwrap();
    prune(&on).await;
    let call = |name: &'static str, started| {
        let (on, lane) = (on.clone(), lane.clone());
        async move {
            let request = of_saga(with_op_id(derived(name), bump_of(1)), LOG, started);
            on.apply_together(&lane, request).await
        }
    };
    let (one, old, other) =
        tokio::join!(call("one", YOUNG), call("old", OLD), call("other", YOUNG));
    one.unwrap();
    too_old(old);
    other.unwrap();
    assert_eq!((rows(&on).await, standing(&on).await), (2, 3));
}
