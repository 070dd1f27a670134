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
    /// What is recorded of the operation that undoes it, where there is one: applied, or a
    /// provider is being asked.
    pub(crate) reversal: Option<State>,
}

impl Stored {
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
    NothingToUndo,
    /// The operation is ours, and it is refused.
    Refused(Refusal),
    /// It was decided before. Nothing is to be done.
    Recorded(Stored),
    /// It cannot be decided now. Roll back and try again later.
    InTheWay(OperationError),
    /// The operation that this one undoes waits for a provider. Roll back and settle it.
    OriginalIntended(Stored),
}

/// Claims an operation inside the caller's transaction.
///
/// A second transaction with the same id waits here until the first one has ended. A
/// compensation also fences an original that never came.
///
/// # Errors
///
/// Only those of the database. The transaction must be rolled back; another call of the
/// operation may have had its effect.
pub(crate) async fn begin(tx: &mut Tx, claim: &Claim<'_>) -> Result<Begun, OperationError> {
    if insert(tx, claim, claim.reverses).await.map_err(OperationError::before_claim)? {
        return match claim.reverses {
            Some(original) => begin_undo(tx, claim, original).await,
            None => Ok(Begun::Fresh),
        };
    }
    let stored = find(tx, claim.op.op_id).await.map_err(OperationError::before_claim)?;
    match stored {
        Some(stored) => Ok(Begun::Recorded(stored)),
        // Not this operation's row was in the way, so the row of another reversal was.
        None => begin_second_undo(tx, claim).await,
    }
}

async fn begin_undo(
    tx: &mut Tx,
    claim: &Claim<'_>,
    original: Uuid,
) -> Result<Begun, OperationError> {
    if fence(tx, original, claim.op).await? {
        return Ok(Begun::NothingToUndo);
    }
    let Some(stored) = find(tx, original).await? else {
        return Err(OperationError::broken());
    };
    Ok(match stored.state {
        State::Applied => Begun::Fresh,
        // The refusal was lost on its way, or an inquiry came first.
        State::Rejected | State::Fenced => Begun::NothingToUndo,
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
    if !applied || !insert(tx, claim, None).await.map_err(OperationError::before_claim)? {
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

/// Inserts the claim's row; returns whether it was the first.
async fn insert(
    tx: &mut Tx,
    claim: &Claim<'_>,
    reverses: Option<Uuid>,
) -> Result<bool, sqlx::Error> {
    let state = if claim.request.is_some() { State::Intended } else { State::Applied };
    let inserted = tx
        .execute(
            "/* insert_operation */
            insert into op_log
                (op_id, saga_id, kind, request_hash, hash_form, state, reverses, request, at_ms)
            values ($1, $2, $3, $4, 2, $5, $6, $7, $8)
            on conflict do nothing",
            &[
                Arg::Uuid(claim.op.op_id),
                claim.op.saga_id.as_deref().into(),
                Arg::Text(claim.kind),
                Arg::Bytes(claim.request_hash),
                Arg::Text(state.as_str()),
                reverses.into(),
                claim.request.into(),
                Arg::Int(claim.op.at_ms),
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// Records that `op_id` never happens; returns whether nothing was recorded of it before.
/// Waits for a transaction that is deciding it.
pub(crate) async fn fence(
    tx: &mut Tx,
    op_id: Uuid,
    by: &OperationMeta,
) -> Result<bool, sqlx::Error> {
    let inserted = tx
        .execute(
            "/* fence_operation */
            insert into op_log (op_id, saga_id, kind, request_hash, state, at_ms)
            values ($1, $2, '', $3, 'FENCED', $4)
            on conflict do nothing",
            &[Arg::Uuid(op_id), by.saga_id.as_deref().into(), Arg::Bytes(&[]), Arg::Int(by.at_ms)],
        )
        .await?;
    Ok(inserted == 1)
}

/// The row of an operation.
pub(crate) async fn find(tx: &mut Tx, op_id: Uuid) -> Result<Option<Stored>, sqlx::Error> {
    let row = tx
        .row(
            "/* find_operation */
            select op_id, saga_id, kind, request_hash, hash_form, state, request, plan, result,
                reason, message, at_ms,
                (
                    select undo.state from op_log as undo where undo.reverses = op_log.op_id
                )
            from op_log where op_id = $1",
            &[Arg::Uuid(op_id)],
        )
        .await?;
    row.as_ref().map(stored).transpose()
}

/// The row of an operation, written anew: locked, and this transaction's own until it ends.
pub(crate) async fn find_and_hold(tx: &mut Tx, op_id: Uuid) -> Result<Option<Stored>, sqlx::Error> {
    let row = tx
        .row(
            "/* find_and_hold_operation */
            update op_log set plan = plan where op_id = $1
            returning op_id, saga_id, kind, request_hash, hash_form, state, request, plan,
                result, reason, message, at_ms,
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
        reversal: row.optional_text(12)?.as_deref().map(State::parse).transpose()?,
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
