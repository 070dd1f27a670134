//! The operation log: one row for each operation, written in the transaction of its effect.
//!
//! An insert of a row that another open transaction has inserted waits for that one to
//! end, and then sees what it left. So of any number of calls, compensations and inquiries
//! about one operation exactly one decides, and no lock outlives a transaction.

use tonic::{Code, Status};
use uuid::Uuid;

use crate::{
    database::{Arg, Row, Tx},
    error::{OperationError, Refusal, RefusalCode, fitting, reason, recorded},
    horizon::{Horizon, time_of, time_of_saga},
    operation::OperationMeta,
    request_hash::{Anew, HashForm},
};

pub(crate) mod batch;
pub(crate) mod record;

/// The reason column of a compensation that found nothing to undo.
const NOTHING_TO_UNDO: &str = "NOTHING_TO_UNDO";

/// What is recorded of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It took effect.
    Applied,
    /// It was refused; nothing was done.
    Rejected,
    /// It never happens.
    Fenced,
    /// A provider is being asked.
    Intended,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "APPLIED",
            Self::Rejected => "REJECTED",
            Self::Fenced => "FENCED",
            Self::Intended => "INTENDED",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, sqlx::Error> {
        match text {
            "APPLIED" => Ok(Self::Applied),
            "REJECTED" => Ok(Self::Rejected),
            "FENCED" => Ok(Self::Fenced),
            "INTENDED" => Ok(Self::Intended),
            other => Err(sqlx::Error::Decode(format!("op_log: unknown state {other}").into())),
        }
    }
}

/// How an operation that took effect is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    /// The encoded reply.
    pub(crate) reply: Vec<u8>,
    /// Whether it was a compensation that found nothing to undo.
    pub(crate) nothing_to_undo: bool,
}

/// A row of the log.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) op_id: Uuid,
    pub(crate) saga_id: Option<String>,
    pub(crate) kind: String,
    pub(crate) request_hash: Vec<u8>,
    pub(crate) hash_form: HashForm,
    pub(crate) state: State,
    pub(crate) request: Vec<u8>,
    pub(crate) plan: Vec<u8>,
    pub(crate) result: Vec<u8>,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) at_ms: i64,
    /// When the operation began, as far as it is known.
    pub(crate) started_at_ms: Option<i64>,
    /// What is recorded of the operation that undoes it, where there is one: applied, or a
    /// provider is being asked.
    pub(crate) reversal: Option<State>,
}

impl Stored {
    /// When the operation began, as far as it is known: a row of before may tell it by its ids.
    pub(crate) fn start(&self) -> Option<i64> {
        let by_saga = || self.saga_id.as_deref().and_then(time_of_saga);
        self.started_at_ms.or_else(by_saga).or_else(|| time_of(self.op_id))
    }

    /// How the operation was answered; `None` while a provider is being asked.
    pub(crate) fn answer(&self) -> Option<Result<Answered, Status>> {
        match self.state {
            State::Applied => Some(Ok(Answered {
                reply: self.result.clone(),
                nothing_to_undo: self.reason == NOTHING_TO_UNDO,
            })),
            State::Rejected => Some(Err(stored_status(&self.result))),
            State::Fenced | State::Intended => None,
        }
    }
}

/// What the log has of an operation, and how far back it goes: of one moment.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) horizon: Horizon,
    pub(crate) stored: Option<Stored>,
}

/// A call that wants to be the one that decides its operation.
#[derive(Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub(crate) op: &'a OperationMeta,
    pub(crate) kind: &'static str,
    pub(crate) request_hash: &'a [u8],
    /// For the comparison with rows of before.
    pub(crate) decoded: &'a dyn Anew,
    pub(crate) reverses: Option<Uuid>,
    /// The request of an operation that asks a provider; others need none.
    pub(crate) request: Option<&'a [u8]>,
}

/// What a claim met.
#[derive(Debug)]
pub(crate) enum Begun {
    /// The operation is ours: make the effect, then record it.
    Fresh,
    /// The operation is ours, and what it undoes never happened and never will.
    NothingToUndo {
        /// Where that was not on record: it was fenced now.
        fenced: Option<Uuid>,
    },
    /// The operation is ours, and it is refused.
    Refused(Refusal),
    /// It was decided before. Nothing is to be done; what was written here is kept.
    Recorded(Met),
    /// It cannot be decided now. Roll back and try again later.
    InTheWay(OperationError),
    /// The operation that this one undoes waits for a provider. Roll back and settle it.
    OriginalIntended(Stored),
}

/// The row of an operation that was there already.
#[derive(Debug)]
pub(crate) struct Met {
    pub(crate) horizon: Horizon,
    pub(crate) stored: Stored,
    /// Whether it was written that the row is needed for longer.
    pub(crate) renewed: bool,
}

/// Claims an operation inside the caller's transaction.
///
/// A second transaction with the same id waits here until the first one has ended. A
/// compensation also fences an original that never came.
///
/// # Errors
///
/// Those of the database, and [`OperationError::TooOld`]. The transaction must be rolled back;
/// another call of the operation may have had its effect.
pub(crate) async fn begin(tx: &mut Tx, claim: &Claim<'_>) -> Result<Begun, OperationError> {
    let op = claim.op;
    let inserted = insert(tx, claim, claim.reverses).await.map_err(OperationError::before_claim)?;
    if let Some(horizon) = inserted {
        horizon.admit(op.op_id, op.start())?;
        return match claim.reverses {
            Some(original) => begin_undo(tx, claim, original).await,
            None => Ok(Begun::Fresh),
        };
    }
    match meet(tx, op.op_id, op).await? {
        Some(met) => Ok(Begun::Recorded(met)),
        // Not this operation's row was in the way, so the row of another reversal was.
        None => begin_second_undo(tx, claim).await,
    }
}

/// The row of an operation that somebody calls or asks about. A saga that its log has lost
/// and that was started again comes back to rows of before: they are kept for as long as it.
///
/// # Errors
///
/// As of [`begin`].
pub(crate) async fn meet(
    tx: &mut Tx,
    op_id: Uuid,
    by: &OperationMeta,
) -> Result<Option<Met>, OperationError> {
    let started_at_ms = by.start_of(op_id);
    let Found { horizon, stored } = find(tx, op_id).await.map_err(OperationError::before_claim)?;
    if horizon.passed(started_at_ms) {
        return Err(OperationError::TooOld { op_id });
    }
    let Some(stored) = stored else { return Ok(None) };
    let Some(later_ms) = started_at_ms.filter(|it| stored.start().is_none_or(|old| old < *it))
    else {
        return Ok(Some(Met { horizon, stored, renewed: false }));
    };
    let renewed = tx
        .execute(
            "/* renew_operation */
            update op_log set started_at_ms = $2
            where op_id = $1 and (started_at_ms is null or started_at_ms < $2)",
            &[Arg::Uuid(op_id), Arg::Int(later_ms)],
        )
        .await?;
    // It was deleted, or another call of the saga was quicker; the next one will tell.
    if renewed == 0 {
        return Err(OperationError::in_progress());
    }
    Ok(Some(Met { horizon, stored, renewed: true }))
}

async fn begin_undo(
    tx: &mut Tx,
    claim: &Claim<'_>,
    original: Uuid,
) -> Result<Begun, OperationError> {
    if let Some(horizon) = fence(tx, original, claim.op).await? {
        horizon.admit(original, claim.op.start_of(original))?;
        return Ok(Begun::NothingToUndo { fenced: Some(original) });
    }
    let Some(stored) = find(tx, original).await?.stored else {
        // It was deleted in between.
        return Err(OperationError::in_progress());
    };
    Ok(match stored.state {
        State::Applied => Begun::Fresh,
        // The refusal was lost on its way, or an inquiry came first.
        State::Rejected | State::Fenced => Begun::NothingToUndo { fenced: None },
        State::Intended => Begun::OriginalIntended(stored),
    })
}

async fn begin_second_undo(tx: &mut Tx, claim: &Claim<'_>) -> Result<Begun, OperationError> {
    let first = tx
        .row(
            "/* begin_second_undo */ select state from op_log where reverses = $1",
            &[claim.reverses.into()],
        )
        .await?;
    let applied = match &first {
        Some(row) => State::parse(&row.text(0)?)? == State::Applied,
        None => false,
    };
    if !applied || insert(tx, claim, None).await.map_err(OperationError::before_claim)?.is_none() {
        return Ok(Begun::InTheWay(OperationError::Conflict {
            reason: reason::OPERATION_IN_PROGRESS,
            message: "another operation is undoing the same one; try again".to_owned(),
            retry_after_ms: 100,
        }));
    }
    Ok(Begun::Refused(Refusal {
        code: RefusalCode::FailedPrecondition,
        reason: reason::ALREADY_REVERSED,
        message: "another operation has undone it already".to_owned(),
        metadata: Vec::new(),
    }))
}

/// Inserts the claim's row; returns the horizon where it was the first. A row that was deleted
/// while this waited may be missing from that horizon: who records the operation looks again.
async fn insert(
    tx: &mut Tx,
    claim: &Claim<'_>,
    reverses: Option<Uuid>,
) -> Result<Option<Horizon>, sqlx::Error> {
    let state = if claim.request.is_some() { State::Intended } else { State::Applied };
    let inserted = tx
        .row(
            "/* insert_operation */
            insert into op_log (
                op_id, saga_id, kind, request_hash, hash_form, state, reverses, request, at_ms,
                started_at_ms
            )
            values ($1, $2, $3, $4, 2, $5, $6, $7, $8, $9)
            on conflict do nothing
            returning (select before_ms from op_log_horizon)",
            &[
                Arg::Uuid(claim.op.op_id),
                claim.op.saga_id.as_deref().into(),
                Arg::Text(claim.kind),
                Arg::Bytes(claim.request_hash),
                Arg::Text(state.as_str()),
                reverses.into(),
                claim.request.into(),
                Arg::Int(claim.op.at_ms),
                claim.op.start().into(),
            ],
        )
        .await?;
    inserted.map(|row| row.int(0).map(Horizon)).transpose()
}

/// Records that `op_id` never happens; returns the horizon where nothing was recorded of it
/// before. Waits for a transaction that is deciding it.
pub(crate) async fn fence(
    tx: &mut Tx,
    op_id: Uuid,
    by: &OperationMeta,
) -> Result<Option<Horizon>, sqlx::Error> {
    let inserted = tx
        .row(
            "/* fence_operation */
            insert into op_log (op_id, saga_id, kind, request_hash, state, at_ms, started_at_ms)
            values ($1, $2, '', $3, 'FENCED', $4, $5)
            on conflict do nothing
            returning (select before_ms from op_log_horizon)",
            &[
                Arg::Uuid(op_id),
                by.saga_id.as_deref().into(),
                Arg::Bytes(&[]),
                Arg::Int(by.at_ms),
                by.start_of(op_id).into(),
            ],
        )
        .await?;
    inserted.map(|row| row.int(0).map(Horizon)).transpose()
}

/// The row of an operation, if there is one, and the horizon.
pub(crate) async fn find(tx: &mut Tx, op_id: Uuid) -> Result<Found, sqlx::Error> {
    let row = tx
        .row(
            "/* find_operation */
            select op_id, saga_id, kind, request_hash, hash_form, state, request, plan, result,
                reason, message, at_ms, started_at_ms,
                (
                    select undo.state from op_log as undo where undo.reverses = op_log.op_id
                ),
                before_ms
            from op_log_horizon left join op_log on op_id = $1",
            &[Arg::Uuid(op_id)],
        )
        .await?;
    let row = row.ok_or(sqlx::Error::RowNotFound)?;
    let is_there = row.optional_uuid(0)?.is_some();
    let horizon = Horizon(row.int(14)?);
    Ok(Found { horizon, stored: is_there.then(|| stored(&row)).transpose()? })
}

/// The row of an operation, written anew: locked, and this transaction's own until it ends.
pub(crate) async fn find_and_hold(tx: &mut Tx, op_id: Uuid) -> Result<Option<Stored>, sqlx::Error> {
    let row = tx
        .row(
            "/* find_and_hold_operation */
            update op_log set plan = plan where op_id = $1
            returning op_id, saga_id, kind, request_hash, hash_form, state, request, plan,
                result, reason, message, at_ms, started_at_ms,
                (
                    select undo.state from op_log as undo where undo.reverses = op_log.op_id
                )",
            &[Arg::Uuid(op_id)],
        )
        .await?;
    row.as_ref().map(stored).transpose()
}

fn stored(row: &Row) -> Result<Stored, sqlx::Error> {
    Ok(Stored {
        op_id: row.uuid(0)?,
        saga_id: row.optional_text(1)?,
        kind: row.text(2)?,
        request_hash: row.bytes(3)?,
        hash_form: HashForm::parse(row.int(4)?)?,
        state: State::parse(&row.text(5)?)?,
        request: row.optional_bytes(6)?.unwrap_or_default(),
        plan: row.optional_bytes(7)?.unwrap_or_default(),
        result: row.optional_bytes(8)?.unwrap_or_default(),
        reason: row.optional_text(9)?.unwrap_or_default(),
        message: row.optional_text(10)?.unwrap_or_default(),
        at_ms: row.int(11)?,
        started_at_ms: row.optional_int(12)?,
        reversal: row.optional_text(13)?.as_deref().map(State::parse).transpose()?,
    })
}

/// The status that was recorded, byte for byte, unless it is of before and would not fit.
fn stored_status(details: &[u8]) -> Status {
    use prost::Message as _;
    match tonic_types::pb::Status::decode(details) {
        Ok(stored) => {
            let details = bytes::Bytes::copy_from_slice(details);
            let status = Status::with_details(Code::from_i32(stored.code), stored.message, details);
            recorded(fitting(status))
        }
        Err(source) => {
            tracing::error!(error = %source, "the operation log holds a damaged status");
            Status::internal("the recorded status of this operation is damaged")
        }
    }
}
