//! Acts on sagas that are asked for more than once, and those that come too late.
//!
//! An act is one by its request id: the same request again is answered as the first was, whatever
//! became of the saga since, and another one under the same id is refused. What was asked is in
//! the saga's log, and nowhere else.

use saga_core::{Event, OperatorAct, encoding};
use saga_log::LogRow;
use tonic::{Code, Status};

use crate::{
    api::{
        error::{echo, status, told},
        events,
    },
    engine::{Engine, Snapshot},
};

/// Rows of a log that are read at a time.
const ROWS_AT_ONCE: u32 = 500;
/// What happened since a saga was looked at, as far as a sentence holds it.
const CHANGES_TOLD: usize = 4;

/// Whether this act is in the saga's log.
///
/// # Errors
///
/// Another act is there under its request id: nothing was done. Or the log cannot be read.
pub(super) async fn is_done(
    engine: &Engine,
    snapshot: &Snapshot,
    act: &Event,
) -> Result<bool, Status> {
    is_done_behind(engine, snapshot, 0, act).await
}

/// Whether this act is in the saga's log behind this version, before which it surely is not.
///
/// # Errors
///
/// Another act is there under its request id: nothing was done. Or the log cannot be read.
pub(super) async fn is_done_behind(
    engine: &Engine,
    snapshot: &Snapshot,
    mut after: u64,
    act: &Event,
) -> Result<bool, Status> {
    let Some(request_id) = act.request_id().filter(|it| snapshot.state.has_heard(it)) else {
        return Ok(false);
    };
    loop {
        let rows = engine.rows(snapshot.row.saga, after, ROWS_AT_ONCE).await?;
        for row in &rows {
            let done = decoded(row)?.into_iter().find(|it| it.request_id() == Some(request_id));
            match done {
                Some(done) if asks_the_same(&done, act) => return Ok(true),
                Some(done) => return Err(reused(snapshot, row, &done)),
                None => after = row.version,
            }
        }
        if rows.is_empty() {
            return Ok(false); // The log lost the row since.
        }
    }
}

/// Whether a saga is still as a person saw it.
///
/// # Errors
///
/// It is not: what has changed since. Nothing was done.
pub(super) async fn still_at(
    engine: &Engine,
    snapshot: &Snapshot,
    expected_version: u64,
) -> Result<(), Status> {
    let version = snapshot.version;
    if expected_version == 0 || expected_version == version {
        return Ok(());
    }
    let since = if version < expected_version {
        "its log lost rows, or it is another saga".to_owned()
    } else {
        format!("since then: {}", changes(engine, snapshot, expected_version).await?)
    };
    let message = format!(
        "it was looked at in version {expected_version} and is in version {version} now; {since}; \
         look again; nothing was done"
    );
    let values =
        [("expected_version", expected_version.to_string()), ("version", version.to_string())];
    Err(told(Code::Aborted, "SAGA_MOVED_ON", message, values))
}

/// What is in the log behind a version, the newest last.
async fn changes(engine: &Engine, snapshot: &Snapshot, after: u64) -> Result<String, Status> {
    let newest = snapshot.version.saturating_sub(u64::from(ROWS_AT_ONCE)).max(after);
    let rows = engine.rows(snapshot.row.saga, newest, ROWS_AT_ONCE).await?;
    let mut changes = Vec::new();
    for row in &rows {
        let events = decoded(row)?;
        changes.extend(events::events(&snapshot.definition, row, &events).iter().map(short));
    }
    let left_out = changes.len().saturating_sub(CHANGES_TOLD);
    let before = if left_out == 0 { "" } else { ".., " };
    Ok(format!("{before}{}", changes[left_out..].join(", ")))
}

/// An event in a few words.
fn short(event: &saga_proto::saga::v1::SagaEvent) -> String {
    let words = [&event.kind, &event.step, &event.outcome, &event.reason];
    let words: Vec<&str> =
        words.into_iter().map(String::as_str).filter(|it| !it.is_empty()).collect();
    let by =
        if event.actor.is_empty() { String::new() } else { format!(" by {}", echo(&event.actor)) };
    format!("{}{by}", words.join(" "))
}

fn decoded(row: &LogRow) -> Result<Vec<Event>, Status> {
    encoding::decode(&row.events).map_err(|error| {
        status(Code::DataLoss, "SAGA_UNREADABLE", format!("row {}: {error}", row.version))
    })
}

/// Whether two acts say the same, whenever they were made.
fn asks_the_same(done: &Event, act: &Event) -> bool {
    match (done, act) {
        (
            Event::CancelRequested { actor, reason, .. },
            Event::CancelRequested { actor: by, reason: why, .. },
        ) => (actor, reason) == (by, why),
        (
            Event::OperatorActed { actor, reason, act, .. },
            Event::OperatorActed { actor: by, reason: why, act: does, .. },
        ) => (actor, reason) == (by, why) && is_same_act(act, does),
        _ => false,
    }
}

/// Who does not say which call is settled means the one that was.
fn is_same_act(done: &OperatorAct, asked: &OperatorAct) -> bool {
    let mut done = done.clone();
    if let (OperatorAct::Settle { call, .. }, OperatorAct::Settle { call: None, .. }) =
        (&mut done, asked)
    {
        *call = None;
    }
    done == *asked
}

fn reused(snapshot: &Snapshot, row: &LogRow, done: &Event) -> Status {
    let known = events::events(&snapshot.definition, row, std::slice::from_ref(done));
    let known = known.iter().map(short).collect::<String>();
    let message = format!(
        "the request id is that of another act: {known}, in row {} of the saga's log; take \
         another id; nothing was done",
        row.version
    );
    told(Code::AlreadyExists, "REQUEST_ID_REUSED", message, [("version", row.version.to_string())])
}
