//! Which rows of the operation log are deleted, and when.

use std::{collections::HashMap, sync::Arc};

use saga_participant::{
    Lane, LaneLimits, Participant, on_both_databases,
    testkit::{Scratch, answer, new_op_id, reason_of, with_op_id},
};
use saga_proto::saga::participant::v1::{ResolveMode, resolve_response::Resolution};
use tonic::Code;

use crate::{
    charge,
    counter::{Bump, Counter, SCHEMA, participant},
    horizon::{
        HOUR_MS, advance, ask, bump, call, derived, log, made_at, now_ms, number, rows_left,
        too_old, unbump, write,
    },
};

on_both_databases!(
    the_log_that_needs_most_decides,
    a_log_that_was_heard_of_and_tells_nothing_needs_everything,
    a_horizon_of_the_last_hour_is_refused,
    what_a_lost_saga_came_back_to_is_kept_for_as_long_as_it,
    an_operation_and_its_undo_go_together,
    an_open_intent_is_kept_and_its_provider_left_alone,
    rows_of_before_tell_their_age_by_their_saga,
    a_fence_of_which_nobody_knows_the_start_stays,
    whoever_deletes_rows_the_log_knows_it_has_gaps,
    a_member_that_is_too_old_does_not_stop_the_others,
    many_rows_go_and_what_is_needed_stays,
);

async fn open(scratch: &Scratch) -> Participant<Counter> {
    participant(scratch.open(&SCHEMA).await)
}

async fn the_log_that_needs_most_decides(scratch: Scratch) {
    let on = open(&scratch).await;
    let now_ms = now_ms();
    for (name, age) in [("oldest", 9), ("old", 6), ("young", 2)] {
        bump(&on, derived(name), 1, Some(now_ms - age * HOUR_MS)).await.unwrap();
    }
    advance(&on, &log(1), now_ms - 8 * HOUR_MS).await.unwrap();
    rows_left(on.database(), 2).await;
    advance(&on, &log(2), now_ms - 7 * HOUR_MS).await.unwrap();
    advance(&on, &log(1), now_ms - 3 * HOUR_MS).await.unwrap();
    bump(&on, derived("old"), 1, Some(now_ms - 6 * HOUR_MS)).await.unwrap();
    advance(&on, &log(2), now_ms - 3 * HOUR_MS).await.unwrap();
    rows_left(on.database(), 1).await;
    // The horizon never goes back, whoever comes.
    advance(&on, &log(3), now_ms - 20 * HOUR_MS).await.unwrap();
    too_old(bump(&on, derived("new"), 1, Some(now_ms - 7 * HOUR_MS)).await);
    // And it is no further than what was deleted needs.
    bump(&on, derived("new"), 1, Some(now_ms - 5 * HOUR_MS)).await.unwrap();
}

async fn a_log_that_was_heard_of_and_tells_nothing_needs_everything(scratch: Scratch) {
    let on = open(&scratch).await;
    let now_ms = now_ms();
    let old = Some(now_ms - 3 * HOUR_MS);
    let mut request = call(derived("old"), old, Bump { amount: 1, hold: String::new() });
    for (key, value) in
        [("saga-log-id", &*log(2)), ("saga-log-epoch", "1"), ("saga-log-at-ms", "1")]
    {
        request.metadata_mut().insert(key, value.parse().unwrap());
    }
    on.apply(request).await.unwrap();
    while number(on.database(), "select count(*) from log_mark").await == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..3 {
        let told = advance(&on, &log(1), now_ms - 2 * HOUR_MS).await.unwrap();
        assert_eq!(told.pruned_before_ms, 0);
        bump(&on, derived("old"), 1, old).await.unwrap();
    }
    advance(&on, &log(2), now_ms - 2 * HOUR_MS).await.unwrap();
    rows_left(on.database(), 0).await;
}

async fn a_horizon_of_the_last_hour_is_refused(scratch: Scratch) {
    let on = open(&scratch).await;
    let now_ms = now_ms();
    bump(&on, derived("old"), 1, Some(now_ms - 3 * HOUR_MS)).await.unwrap();
    for at_ms in [0, now_ms - HOUR_MS / 2, now_ms + HOUR_MS, i64::MAX] {
        let status = advance(&on, &log(1), at_ms).await.unwrap_err();
        let found = (status.code(), reason_of(&status));
        assert_eq!(found, (Code::InvalidArgument, "HORIZON_INVALID".to_owned()));
    }
    let status = advance(&on, "seven", now_ms - 2 * HOUR_MS).await.unwrap_err();
    assert_eq!(reason_of(&status), "LOG_ID_INVALID");
    assert_eq!(number(on.database(), "select count(*) from log_horizon").await, 0);
}

/// It has the ids of before and a later start: what it found must not vanish under it.
async fn what_a_lost_saga_came_back_to_is_kept_for_as_long_as_it(scratch: Scratch) {
    let on = open(&scratch).await;
    let now_ms = now_ms();
    let (old, again) = (Some(now_ms - 5 * HOUR_MS), Some(now_ms - 3 * HOUR_MS));
    let found = bump(&on, derived("called"), 1, old).await.unwrap();
    for name in ["asked", "gone"] {
        bump(&on, derived(name), 1, old).await.unwrap();
    }
    assert_eq!(bump(&on, derived("called"), 1, again).await.unwrap(), found);
    ask(&on, derived("asked"), ResolveMode::Fence, again).await.unwrap();

    advance(&on, &log(1), now_ms - 4 * HOUR_MS).await.unwrap();
    rows_left(on.database(), 2).await;
    assert_eq!(bump(&on, derived("called"), 1, again).await.unwrap(), found);
    let told = ask(&on, derived("asked"), ResolveMode::Fence, again).await.unwrap();
    assert!(matches!(told, Resolution::Applied(_)), "{told:?}");
    assert_eq!(number(on.database(), "select count(*) from bump").await, 3);
    advance(&on, &log(1), now_ms - 2 * HOUR_MS).await.unwrap();
    rows_left(on.database(), 0).await;
}

async fn an_operation_and_its_undo_go_together(scratch: Scratch) {
    let on = open(&scratch).await;
    let now_ms = now_ms();
    let (old, later) = (Some(now_ms - 5 * HOUR_MS), Some(now_ms - 3 * HOUR_MS));
    bump(&on, derived("gone"), 1, old).await.unwrap();
    bump(&on, derived("undone later"), 1, old).await.unwrap();
    unbump(&on, derived("late undo"), derived("undone later"), later).await.unwrap();
    advance(&on, &log(1), now_ms - 4 * HOUR_MS).await.unwrap();
    rows_left(on.database(), 2).await;
    let status = bump(&on, derived("undone later"), 1, later).await.unwrap_err();
    assert_eq!(reason_of(&status), "OP_REVERSED");
    advance(&on, &log(1), now_ms - 2 * HOUR_MS).await.unwrap();
    rows_left(on.database(), 0).await;
}

async fn an_open_intent_is_kept_and_its_provider_left_alone(scratch: Scratch) {
    let provider = Arc::new(charge::Provider::default());
    let on = charge::participant(scratch.open(&charge::SCHEMA).await, &provider);
    let now_ms = now_ms();
    let old = Some(now_ms - 3 * HOUR_MS);
    let charge = || charge::Charge { amount: 5, labels: HashMap::new() };
    on.perform(call(derived("gone"), old, charge())).await.unwrap();
    provider.fates.lock().unwrap().push_back(charge::Fate::AnswerLost);
    on.perform(call(derived("open"), old, charge())).await.unwrap_err();

    advance(&on, &log(1), now_ms - 2 * HOUR_MS).await.unwrap();
    rows_left(on.database(), 1).await;
    for name in ["gone", "open"] {
        too_old(answer(on.perform(call(derived(name), old, charge())).await));
        too_old(ask(&on, derived(name), ResolveMode::Fence, old).await);
        let refund = charge::Refund { op_id: derived(name).to_string() };
        too_old(answer(on.perform(call(derived("refund"), old, refund)).await));
    }
    assert_eq!(provider.calls.lock().unwrap().len(), 2);
    assert_eq!(provider.balance(), 10);
    let open = "select count(*) from op_log where state = 'INTENDED' and plan is not null";
    assert_eq!(number(on.database(), open).await, 1);
}

async fn rows_of_before_tell_their_age_by_their_saga(scratch: Scratch) {
    let on = open(&scratch).await;
    let now_ms = now_ms();
    let of_saga = |name: &str, age: i64| {
        let mut request = with_op_id(derived(name), Bump { amount: 1, hold: String::new() });
        let saga_id = made_at(now_ms - age * HOUR_MS).to_string();
        request.metadata_mut().insert("saga-id", saga_id.parse().unwrap());
        request
    };
    for (name, age) in [("old", 3), ("young", 2)] {
        on.apply(of_saga(name, age)).await.unwrap();
    }
    // By the clock of then.
    let before = "update op_log set started_at_ms = null, at_ms = at_ms - 12000000";
    write(on.database(), before).await;
    advance(&on, &log(1), now_ms - 2 * HOUR_MS).await.unwrap();
    rows_left(on.database(), 1).await;
    too_old(answer(on.apply(of_saga("old", 3)).await));
    on.apply(of_saga("young", 2)).await.unwrap();
    assert_eq!(number(on.database(), "select count(*) from bump").await, 2);
}

/// An engine of before asks without a word about its saga, and its call may still be on its way.
async fn a_fence_of_which_nobody_knows_the_start_stays(scratch: Scratch) {
    let on = open(&scratch).await;
    let now_ms = now_ms();
    bump(&on, derived("old"), 1, Some(now_ms - 3 * HOUR_MS)).await.unwrap();
    ask(&on, derived("fenced"), ResolveMode::Fence, None).await.unwrap();
    write(on.database(), "update op_log set at_ms = 1").await;
    advance(&on, &log(1), now_ms - 2 * HOUR_MS).await.unwrap();
    rows_left(on.database(), 1).await;
    let status = bump(&on, derived("fenced"), 1, Some(now_ms - HOUR_MS)).await.unwrap_err();
    assert_eq!(reason_of(&status), "OP_FENCED");
}

async fn whoever_deletes_rows_the_log_knows_it_has_gaps(scratch: Scratch) {
    let on = open(&scratch).await;
    let lane = Lane::new(LaneLimits { batch_max: 64, waiting_max: 64 });
    // A claim that is given up leaves no gap.
    let nothing = with_op_id(derived("invalid"), Bump { amount: 0, hold: String::new() });
    on.apply_together(&lane, nothing).await.unwrap_err();
    ask(&on, derived("fenced"), ResolveMode::Fence, None).await.unwrap();
    bump(&on, derived("old"), 1, Some(7)).await.unwrap();
    bump(&on, derived("empty"), 1, Some(7)).await.unwrap();
    write(on.database(), "update op_log set at_ms = 5").await;
    let horizon = "select before_ms from op_log_horizon";
    assert_eq!(number(on.database(), horizon).await, 0);

    write(on.database(), "delete from op_log where state = 'FENCED'").await;
    assert_eq!(number(on.database(), horizon).await, 6);
    too_old(bump(&on, derived("fenced"), 1, None).await);
    write(on.database(), "delete from op_log").await;
    assert_eq!(number(on.database(), horizon).await, 8);
    too_old(bump(&on, derived("old"), 1, Some(7)).await);
    too_old(unbump(&on, derived("undo"), derived("old"), Some(7)).await);
    bump(&on, derived("old"), 1, Some(8)).await.unwrap_err();
}

async fn a_member_that_is_too_old_does_not_stop_the_others(scratch: Scratch) {
    let on = open(&scratch).await;
    let lane = Lane::new(LaneLimits { batch_max: 64, waiting_max: 64 });
    bump(&on, derived("there"), 1, Some(5)).await.unwrap();
    write(on.database(), "update op_log_horizon set before_ms = 6").await;
    let calls = [("there", 5), ("old", 5), ("first", 6), ("second", 7)].map(|(name, start)| {
        let bump = Bump { amount: 1, hold: String::new() };
        let (on, lane) = (on.clone(), lane.clone());
        let request = call(derived(name), Some(start), bump);
        tokio::spawn(async move { answer(on.apply_together(&lane, request).await) })
    });
    for (index, called) in calls.into_iter().enumerate() {
        let answered = called.await.unwrap();
        if index < 2 {
            too_old(answered);
        } else {
            answered.unwrap();
        }
    }
    assert_eq!(number(on.database(), "select count(*) from bump").await, 3);
    assert_eq!(number(on.database(), "select count(*) from op_log").await, 3);
}

/// More than one transaction takes, with what stays in between.
async fn many_rows_go_and_what_is_needed_stays(scratch: Scratch) {
    let on = open(&scratch).await;
    let now_ms = now_ms();
    let lane = Lane::new(LaneLimits { batch_max: 64, waiting_max: 2_000 });
    let calls: Vec<_> = (0..1_300_i64)
        .map(|index| {
            let age = if index % 100 == 0 { 1 } else { 3 };
            let bump = Bump { amount: 1, hold: String::new() };
            let request = call(new_op_id(), Some(now_ms - age * HOUR_MS), bump);
            let (on, lane) = (on.clone(), lane.clone());
            tokio::spawn(async move { answer(on.apply_together(&lane, request).await) })
        })
        .collect();
    for called in calls {
        called.await.unwrap().unwrap();
    }
    advance(&on, &log(1), now_ms - 2 * HOUR_MS).await.unwrap();
    rows_left(on.database(), 13).await;
    assert_eq!(number(on.database(), "select count(*) from bump").await, 1_300);
}
