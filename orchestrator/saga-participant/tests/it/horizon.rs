//! What is answered about operations whose rows may be deleted.

use std::{sync::Arc, time::Duration};

use prost::Message;
use saga_participant::{
    Database, Participant, ParticipantApi, Tx, on_both_databases,
    testkit::{Answer, Scratch, answer, new_op_id, reason_of, with_op_id},
};
use saga_proto::saga::participant::v1::{
    AdvanceHorizonRequest, AdvanceHorizonResponse, ResolveMode, ResolveRequest,
    participant_service_server::ParticipantService as _, resolve_response::Resolution,
};
use tokio::sync::Notify;
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::counter::{Bump, Counter, SCHEMA, Standing, Unbump, participant};

on_both_databases!(
    what_began_before_the_horizon_is_answered_as_nothing_else,
    a_row_that_is_still_there_is_not_answered_either,
    an_id_without_a_start_is_too_old_once_rows_are_gone,
    a_repeat_that_waited_for_the_deletion_is_too_old,
    an_inquiry_that_waited_for_the_deletion_is_too_old,
    a_start_that_is_no_time_is_refused,
);

pub(crate) const HOUR_MS: i64 = 3_600_000;

/// The time now, of which ids of version 7 are made.
pub(crate) fn now_ms() -> i64 {
    i64::try_from(new_op_id().as_u128() >> 80).unwrap()
}

/// An id that tells no time.
pub(crate) fn derived(name: &str) -> Uuid {
    Uuid::new_v5(&Uuid::nil(), name.as_bytes())
}

/// A saga's id that was made then.
pub(crate) fn made_at(at_ms: i64) -> Uuid {
    Uuid::from_u128(u128::try_from(at_ms).unwrap() << 80 | 0x7 << 76 | 0x8 << 60)
}

pub(crate) fn told<T>(mut request: Request<T>, started_at_ms: Option<i64>) -> Request<T> {
    if let Some(at_ms) = started_at_ms {
        let at_ms = at_ms.to_string().parse().unwrap();
        request.metadata_mut().insert("saga-started-at-ms", at_ms);
    }
    request
}

pub(crate) fn call<T: Message>(op_id: Uuid, started_at_ms: Option<i64>, message: T) -> Request<T> {
    told(with_op_id(op_id, message), started_at_ms)
}

pub(crate) async fn bump(
    on: &Participant<Counter>,
    op_id: Uuid,
    amount: i64,
    started_at_ms: Option<i64>,
) -> Result<Answer, Status> {
    let bump = Bump { amount, hold: String::new() };
    answer(on.apply(call(op_id, started_at_ms, bump)).await)
}

pub(crate) async fn unbump(
    on: &Participant<Counter>,
    op_id: Uuid,
    original: Uuid,
    started_at_ms: Option<i64>,
) -> Result<Answer, Status> {
    let unbump = Unbump { op_id: original.to_string() };
    answer(on.apply(call(op_id, started_at_ms, unbump)).await)
}

pub(crate) async fn ask<S: Send + Sync + 'static>(
    on: &Participant<S>,
    op_id: Uuid,
    mode: ResolveMode,
    started_at_ms: Option<i64>,
) -> Result<Resolution, Status> {
    let request = ResolveRequest { op_id: op_id.to_string(), mode: mode.into() };
    let request = told(Request::new(request), started_at_ms);
    let response = ParticipantApi::new(on.clone()).resolve(request).await?;
    Ok(response.into_inner().resolution.unwrap())
}

pub(crate) async fn advance<S: Send + Sync + 'static>(
    on: &Participant<S>,
    log: &str,
    at_ms: i64,
) -> Result<AdvanceHorizonResponse, Status> {
    let at_ms = u64::try_from(at_ms).unwrap();
    let request = AdvanceHorizonRequest { log_id: log.to_owned(), at_ms };
    let response = ParticipantApi::new(on.clone()).advance_horizon(Request::new(request)).await?;
    Ok(response.into_inner())
}

pub(crate) fn log(number: u128) -> String {
    Uuid::from_u128(number).to_string()
}

pub(crate) async fn number(database: &Database, sql: &'static str) -> i64 {
    let look = move |mut tx: Tx| async move { Ok(tx.row(sql, &[]).await?.unwrap().int(0)?) };
    database.read(look).await.unwrap()
}

pub(crate) async fn write(database: &Database, sql: &'static str) {
    let work = move |mut tx: Tx| async move {
        tx.execute(sql, &[]).await?;
        tx.commit().await
    };
    database.write(work).await.unwrap();
}

/// Waits until so many rows are left.
pub(crate) async fn rows_left(database: &Database, rows: i64) {
    let wait = async {
        while number(database, "select count(*) from op_log").await != rows {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), wait).await;
    let present = number(database, "select count(*) from op_log").await;
    assert!(waited.is_ok(), "{present} rows are left, not {rows}");
}

#[track_caller]
pub(crate) fn too_old<T: std::fmt::Debug>(answered: Result<T, Status>) {
    let status = answered.unwrap_err();
    assert_eq!((status.code(), reason_of(&status).as_str()), (Code::DataLoss, "OP_TOO_OLD"));
}

async fn open(scratch: &Scratch) -> Participant<Counter> {
    participant(scratch.open(&SCHEMA).await)
}

async fn standing(on: &Participant<Counter>) -> i64 {
    on.answer(Request::new(Standing)).await.unwrap().into_inner()
}

/// Deletes all rows, of the log and of what it is about, in a transaction that stays open until it is told.
async fn deletion(database: &Database) -> (Arc<Notify>, tokio::task::JoinHandle<()>) {
    let (deleted, end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, ended, database) = (deleted.clone(), end.clone(), database.clone());
    let work = move |mut tx: Tx| async move {
        for sql in ["delete from op_log", "delete from bump"] {
            tx.execute(sql, &[]).await?;
        }
        told.notify_one();
        ended.notified().await;
        tx.commit().await
    };
    let deleting = tokio::spawn(async move { database.write(work).await.unwrap() });
    deleted.notified().await;
    (end, deleting)
}

/// Waits until a statement waits for another transaction. SQLite has one writer at a time.
async fn waits(database: &Database) {
    const WAITING: &str = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'";
    let wait = async {
        while database.is_postgres() && number(database, WAITING).await == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap();
}

async fn what_began_before_the_horizon_is_answered_as_nothing_else(scratch: Scratch) {
    let on = open(&scratch).await;
    let now_ms = now_ms();
    let (old, young) = (Some(now_ms - 3 * HOUR_MS), Some(now_ms - HOUR_MS));
    let id = |name: &str| derived(name);
    bump(&on, id("stands"), 1, old).await.unwrap();
    bump(&on, id("undone"), 1, old).await.unwrap();
    unbump(&on, id("undo"), id("undone"), old).await.unwrap();
    bump(&on, id("refused"), -1, old).await.unwrap_err();
    ask(&on, id("fenced"), ResolveMode::Fence, old).await.unwrap();
    assert!(unbump(&on, id("empty undo"), id("never"), old).await.unwrap().nothing_to_undo);
    let reply = bump(&on, id("young"), 1, young).await.unwrap();

    let response = advance(&on, &log(1), now_ms - 2 * HOUR_MS).await.unwrap();
    assert_eq!(response.at_ms, u64::try_from(now_ms - 2 * HOUR_MS).unwrap());
    rows_left(on.database(), 1).await;
    for name in ["stands", "undone", "undo", "refused", "fenced", "empty undo", "never", "new"] {
        for amount in [1, 2, -1] {
            too_old(bump(&on, id(name), amount, old).await);
        }
        if name != "stands" {
            too_old(unbump(&on, id(name), id("stands"), old).await);
        }
        too_old(unbump(&on, id("another undo"), id(name), old).await);
        for mode in [ResolveMode::Peek, ResolveMode::Fence] {
            too_old(ask(&on, id(name), mode, old).await);
        }
    }
    assert_eq!(standing(&on).await, 2);
    rows_left(on.database(), 1).await;

    // What began since is told as ever.
    assert_eq!(bump(&on, id("young"), 1, young).await.unwrap(), reply);
    assert!(unbump(&on, id("young undo"), id("not yet"), young).await.unwrap().nothing_to_undo);
    let told = ask(&on, id("absent"), ResolveMode::Peek, young).await.unwrap();
    assert!(matches!(told, Resolution::Absent(_)), "{told:?}");
    let told = ask(&on, id("absent"), ResolveMode::Fence, young).await.unwrap();
    assert!(matches!(told, Resolution::Fenced(_)), "{told:?}");
    let again = advance(&on, &log(1), now_ms - 4 * HOUR_MS).await.unwrap();
    let before_ms = u64::try_from(now_ms - 3 * HOUR_MS + 1).unwrap();
    assert_eq!((again.at_ms, again.pruned_before_ms), (response.at_ms, before_ms));
}

/// Deleted later, or never: it is one answer for all.
async fn a_row_that_is_still_there_is_not_answered_either(scratch: Scratch) {
    let on = open(&scratch).await;
    let op_id = derived("there");
    bump(&on, op_id, 1, Some(5)).await.unwrap();
    write(on.database(), "update op_log_horizon set before_ms = 6").await;
    too_old(bump(&on, op_id, 1, Some(5)).await);
    too_old(unbump(&on, derived("undo"), op_id, Some(5)).await);
    for mode in [ResolveMode::Peek, ResolveMode::Fence] {
        too_old(ask(&on, op_id, mode, Some(5)).await);
    }
    bump(&on, derived("later"), 1, Some(6)).await.unwrap();
    assert_eq!(standing(&on).await, 2);
}

async fn an_id_without_a_start_is_too_old_once_rows_are_gone(scratch: Scratch) {
    let on = open(&scratch).await;
    let now_ms = now_ms();
    bump(&on, derived("old"), 1, Some(now_ms - 3 * HOUR_MS)).await.unwrap();
    let reply = bump(&on, derived("kept"), 1, None).await.unwrap();
    advance(&on, &log(1), now_ms - 2 * HOUR_MS).await.unwrap();
    rows_left(on.database(), 1).await;

    assert_eq!(bump(&on, derived("kept"), 1, None).await.unwrap(), reply);
    too_old(bump(&on, derived("new"), 1, None).await);
    too_old(bump(&on, derived("old"), 1, None).await);
    too_old(unbump(&on, derived("undo"), derived("kept"), None).await);
    // The undo is new, as its id tells; what it would undo may be of any age.
    too_old(unbump(&on, new_op_id(), derived("old"), None).await);
    too_old(unbump(&on, new_op_id(), made_at(now_ms - 3 * HOUR_MS), None).await);
    for mode in [ResolveMode::Peek, ResolveMode::Fence] {
        too_old(ask(&on, derived("new"), mode, None).await);
        too_old(ask(&on, made_at(now_ms - 3 * HOUR_MS), mode, None).await);
    }
    too_old(bump(&on, made_at(now_ms - 3 * HOUR_MS), 1, None).await);
    assert_eq!(standing(&on).await, 2);

    bump(&on, new_op_id(), 1, None).await.unwrap();
    assert!(unbump(&on, new_op_id(), new_op_id(), None).await.unwrap().nothing_to_undo);
    // A saga whose id tells the time: engines of before say no more.
    for (age_ms, is_new) in [(HOUR_MS, true), (3 * HOUR_MS, false)] {
        let bump = Bump { amount: 1, hold: String::new() };
        let mut request = with_op_id(derived("of a saga"), bump);
        let saga_id = made_at(now_ms - age_ms).to_string().parse().unwrap();
        request.metadata_mut().insert("saga-id", saga_id);
        let answered = answer(on.apply(request).await);
        if is_new {
            answered.unwrap();
        } else {
            too_old(answered);
        }
    }
}

/// Its effect is made before it can know, and taken back.
async fn a_repeat_that_waited_for_the_deletion_is_too_old(scratch: Scratch) {
    let on = open(&scratch).await;
    for (is_undo, start) in [(false, Some(5)), (true, Some(6))] {
        let op_id = derived(&format!("op {is_undo}"));
        bump(&on, op_id, 1, start).await.unwrap();
        let (end, deleting) = deletion(on.database()).await;
        let repeat = on.clone();
        let repeat = tokio::spawn(async move {
            match is_undo {
                false => bump(&repeat, op_id, 1, start).await,
                true => unbump(&repeat, derived("undo"), op_id, start).await,
            }
        });
        waits(on.database()).await;
        end.notify_one();
        deleting.await.unwrap();
        too_old(repeat.await.unwrap());
        assert_eq!(standing(&on).await, 0);
        assert_eq!(number(on.database(), "select count(*) from op_log").await, 0);
    }
}

async fn an_inquiry_that_waited_for_the_deletion_is_too_old(scratch: Scratch) {
    let on = open(&scratch).await;
    let op_id = derived("op");
    bump(&on, op_id, 1, Some(5)).await.unwrap();
    let (end, deleting) = deletion(on.database()).await;
    let asking = on.clone();
    let asked = tokio::spawn(async move { ask(&asking, op_id, ResolveMode::Fence, Some(5)).await });
    waits(on.database()).await;
    end.notify_one();
    deleting.await.unwrap();
    too_old(asked.await.unwrap());
    assert_eq!(number(on.database(), "select count(*) from op_log").await, 0);
}

async fn a_start_that_is_no_time_is_refused(scratch: Scratch) {
    let on = open(&scratch).await;
    for start in ["", "0", "-1", "yesterday", "9223372036854775808"] {
        let bump = Bump { amount: 1, hold: String::new() };
        let mut request = with_op_id(derived(start), bump);
        request.metadata_mut().insert("saga-started-at-ms", start.parse().unwrap());
        let status = on.apply(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{start}");
    }
    assert_eq!(standing(&on).await, 0);
}
