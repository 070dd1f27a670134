//! One span for each call of an operation, with the same field names in every service.

use tonic::{Code, Status};
use tracing::{Span, field, info_span};

use crate::{
    error::{OperationError, RefusalCode},
    op_log::Answered,
    operation::OperationMeta,
};

/// The span of a call. [`ended`] adds how it ended.
pub(crate) fn operation_span(kind: &'static str, op: &OperationMeta) -> Span {
    info_span!(
        "operation",
        op.kind = kind,
        op.id = %op.op_id,
        op.outcome = field::Empty,
        saga.id = op.saga_id,
        step.name = op.step,
        step.direction = op.direction,
        step.attempt = op.attempt,
    )
}

/// Records on the present span how the call ended.
pub(crate) fn ended(ended: &Result<Result<Answered, Status>, OperationError>) {
    let outcome = match ended {
        Ok(Ok(answered)) if answered.nothing_to_undo => "nothing to undo",
        Ok(Ok(_)) => "applied",
        Ok(Err(status)) => code_name(status.code()),
        Err(OperationError::Rejected(refusal)) => match refusal.code {
            RefusalCode::AlreadyExists => "reused",
            RefusalCode::FailedPrecondition | RefusalCode::NotFound => "refused",
        },
        Err(OperationError::Invalid { .. }) => "invalid",
        Err(
            OperationError::Conflict { .. }
            | OperationError::TooEarly { .. }
            | OperationError::Overloaded(_),
        ) => "try again",
        Err(OperationError::TooOld { .. }) => "too old",
        Err(OperationError::Configuration { .. }) => "configuration",
        Err(OperationError::Unknown { .. } | OperationError::Database(_)) => "unknown",
    };
    Span::current().record("op.outcome", outcome);
    tracing::debug!(outcome, "operation ended");
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::FailedPrecondition | Code::NotFound | Code::AlreadyExists => "refused",
        _ => "unknown",
    }
}
