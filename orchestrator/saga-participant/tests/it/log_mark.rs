//! What a participant has heard of the logs of its callers.

use std::time::Duration;

use saga_participant::{
    Participant, ParticipantApi, on_both_databases,
    testkit::{Scratch, new_op_id, reason_of, with_op_id},
};
use saga_proto::saga::participant::v1::{
    GetLogMarkRequest, GetLogMarkResponse, ResolveMode, ResolveRequest,
    participant_service_server::ParticipantService as _,
};
use tonic::{Request, Status};
use uuid::Uuid;

use crate::counter::{Bump, Counter, SCHEMA, participant};

on_both_databases!(
    the_highest_mark_of_each_log_is_told,
    a_call_of_an_earlier_epoch_is_answered_and_lowers_nothing,
    what_is_not_well_formed_is_passed_over,
    only_an_inquiry_that_fences_is_heard,
    a_mark_is_written_behind_and_survives_the_process,
    a_mark_that_was_told_is_durable,
    many_logs_are_kept_apart,
);

async fn open(scratch: &Scratch) -> Participant<Counter> {
    participant(scratch.open(&SCHEMA).await)
}

fn told<T>(request: &mut Request<T>, log_id: &str, epoch: &str, at_ms: &str) {
    for (key, value) in
        [("saga-log-id", log_id), ("saga-log-epoch", epoch), ("saga-log-at-ms", at_ms)]
    {
        request.metadata_mut().insert(key, value.parse().unwrap());
    }
}

async fn bump(on: &Participant<Counter>, log_id: Uuid, epoch: &str, at_ms: &str) {
    let mut request = with_op_id(new_op_id(), Bump { amount: 1, hold: String::new() });
    told(&mut request, &log_id.to_string(), epoch, at_ms);
    on.apply(request).await.unwrap();
}

async fn mark(on: &Participant<Counter>, log_id: &str) -> Result<GetLogMarkResponse, Status> {
    let api = ParticipantApi::new(on.clone());
    let request = GetLogMarkRequest { log_id: log_id.to_owned() };
    api.get_log_mark(Request::new(request)).await.map(tonic::Response::into_inner)
}

async fn is(on: &Participant<Counter>, log_id: Uuid, epoch: u64, at_ms: u64) {
    let known = epoch != 0;
    let found = mark(on, &log_id.to_string()).await.unwrap();
    assert_eq!(found, GetLogMarkResponse { known, epoch, at_ms });
}

async fn the_highest_mark_of_each_log_is_told(scratch: Scratch) {
    let on = open(&scratch).await;
    let (staging, production) = (Uuid::from_u128(1), Uuid::from_u128(2));
    is(&on, staging, 0, 0).await;
    for at_ms in ["5", "9", "7"] {
        bump(&on, staging, "1", at_ms).await;
    }
    bump(&on, production, "3", "1").await;
    is(&on, staging, 1, 9).await;
    is(&on, production, 3, 1).await;
    // After a restore the time may have gone back; the epoch has not.
    bump(&on, staging, "2", "4").await;
    is(&on, staging, 2, 4).await;
    let status = mark(&on, "seven").await.unwrap_err();
    assert_eq!(reason_of(&status), "LOG_ID_INVALID");
}

async fn a_call_of_an_earlier_epoch_is_answered_and_lowers_nothing(scratch: Scratch) {
    let on = open(&scratch).await;
    let log_id = Uuid::from_u128(1);
    bump(&on, log_id, "2", "4").await;
    is(&on, log_id, 2, 4).await;
    bump(&on, log_id, "1", "9000").await;
    is(&on, log_id, 2, 4).await;
}

async fn what_is_not_well_formed_is_passed_over(scratch: Scratch) {
    let on = open(&scratch).await;
    let log_id = Uuid::from_u128(1).to_string();
    for (id, epoch, at_ms) in [
        ("seven", "1", "1"),
        (&log_id, "0", "1"),
        (&log_id, "-1", "1"),
        (&log_id, "1", "0x10"),
        (&log_id, "1", "9223372036854775808"),
        (&log_id, "", "1"),
    ] {
        let mut request = with_op_id(new_op_id(), Bump { amount: 1, hold: String::new() });
        told(&mut request, id, epoch, at_ms);
        on.apply(request).await.unwrap();
    }
    is(&on, Uuid::from_u128(1), 0, 0).await;
}

async fn only_an_inquiry_that_fences_is_heard(scratch: Scratch) {
    let on = open(&scratch).await;
    let log_id = Uuid::from_u128(1);
    let api = ParticipantApi::new(on.clone());
    for (mode, epoch) in [(ResolveMode::Peek, 0), (ResolveMode::Fence, 1)] {
        let request = ResolveRequest { op_id: new_op_id().to_string(), mode: mode.into() };
        let mut request = Request::new(request);
        told(&mut request, &log_id.to_string(), "1", "1");
        api.resolve(request).await.unwrap();
        is(&on, log_id, epoch, epoch).await;
    }
}

/// The first process is gone without a word; nobody has asked it.
async fn a_mark_is_written_behind_and_survives_the_process(scratch: Scratch) {
    let on = open(&scratch).await;
    let log_id = Uuid::from_u128(1);
    for at_ms in ["1", "2", "3"] {
        bump(&on, log_id, "1", at_ms).await;
    }
    let other = open(&scratch).await;
    let written = async {
        while mark(&other, &log_id.to_string()).await.unwrap().at_ms != 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), written).await.unwrap();
    is(&other, log_id, 1, 3).await;
}

async fn a_mark_that_was_told_is_durable(scratch: Scratch) {
    let (on, other) = (open(&scratch).await, open(&scratch).await);
    let log_id = Uuid::from_u128(1);
    for at_ms in 1..40_u64 {
        bump(&on, log_id, "1", &at_ms.to_string()).await;
        is(&on, log_id, 1, at_ms).await;
        is(&other, log_id, 1, at_ms).await;
    }
}

async fn many_logs_are_kept_apart(scratch: Scratch) {
    let on = open(&scratch).await;
    for number in 1..=60 {
        bump(&on, Uuid::from_u128(number), "1", &number.to_string()).await;
    }
    on.database().close().await;
    let other = open(&scratch).await;
    for number in [1_u64, 30, 60] {
        is(&other, Uuid::from_u128(number.into()), 1, number).await;
    }
}
