//! How a call of an operation that has a row already is answered.

use tonic::Status;

use crate::{
    database::Tx,
    error::{OperationError, Refusal, RefusalCode, reason},
    op_log::{Answered, Claim, State, Stored},
    request_hash::{Sameness, compare},
};

/// What is left to do after a claim.
pub(crate) enum Concluded {
    /// Nothing.
    Ended(Result<Answered, Status>),
    /// The effect, in this transaction.
    Fresh(Tx),
    /// The call to the provider, which was intended before.
    Intended(Stored),
}

/// Answers as the first call was answered, where it is the same request and still true.
///
/// # Errors
///
/// Refusals that are not recorded: OP_FENCED, OP_ID_REUSED, OP_REVERSED. And
/// OP_REQUEST_UNCERTAIN: only an inquiry can tell.
pub(crate) fn repeat(claim: &Claim<'_>, stored: Stored) -> Result<Concluded, OperationError> {
    let op_id = stored.op_id;
    if stored.state == State::Fenced {
        let message = format!("operation {op_id} was called off before it came");
        return Err(refused(RefusalCode::FailedPrecondition, reason::OP_FENCED, message));
    }
    match compare(claim, &stored) {
        Sameness::Same => {}
        Sameness::Other => {
            let message = format!(
                "operation {op_id} came before as {} with another request; nothing was done",
                stored.kind
            );
            return Err(refused(RefusalCode::AlreadyExists, reason::OP_ID_REUSED, message));
        }
        Sameness::Uncertain => {
            let message = format!(
                "operation {op_id} was recorded by an earlier version of this service, and its \
                 request has so many encodings that nobody can tell whether this is the same; \
                 ask ParticipantService.Resolve"
            );
            return Err(OperationError::Unknown { reason: reason::OP_REQUEST_UNCERTAIN, message });
        }
    }
    Ok(match ended(&stored)? {
        Some(ended) => Concluded::Ended(ended),
        None => Concluded::Intended(stored),
    })
}

/// How the operation was answered, if it still stands; `None` while a provider is asked.
///
/// # Errors
///
/// OP_REVERSED: the reply of what was undone would be taken for a standing effect.
/// OPERATION_IN_PROGRESS: a provider is being asked to undo it, and may have done so.
pub(crate) fn ended(stored: &Stored) -> Result<Option<Result<Answered, Status>>, OperationError> {
    match (stored.state, stored.reversal) {
        (State::Applied, Some(State::Applied)) => {
            let message = format!("operation {} took effect and was undone since", stored.op_id);
            Err(refused(RefusalCode::FailedPrecondition, reason::OP_REVERSED, message))
        }
        (State::Applied, Some(State::Intended)) => Err(OperationError::Conflict {
            reason: reason::OPERATION_IN_PROGRESS,
            message: format!("operation {} is being undone; try again", stored.op_id),
            retry_after_ms: 100,
        }),
        _ => Ok(stored.answer()),
    }
}

fn refused(code: RefusalCode, reason: &'static str, message: String) -> OperationError {
    OperationError::Rejected(Refusal { code, reason, message, metadata: Vec::new() })
}
