//! The log as a whole, and whether the log of one saga is as it was written.

use saga_log::{Asked, EpochRow, Link};
use saga_proto::saga::v1 as pb;
use tonic::{Code, Status};

use crate::{
    api::{
        error::{log_unavailable, status, told},
        field,
        saga::find,
    },
    engine::{AcknowledgeError, Engine},
};

pub(super) async fn verify(
    engine: &Engine,
    request: pb::VerifySagaLogRequest,
) -> Result<pb::VerifySagaLogResponse, Status> {
    let saga = find(engine, request.name).await?;
    let mut reply = pb::VerifySagaLogResponse::default();
    for (version, link) in engine.links(saga).await? {
        let mut broken = |kind: pb::LogBreakKind| {
            reply.breaks.push(pb::LogBreak { version, kind: kind.into() });
        };
        match link {
            Link::Whole => {}
            Link::Unchained => reply.rows_unchained += 1,
            Link::Changed => broken(pb::LogBreakKind::Changed),
            Link::Gap => broken(pb::LogBreakKind::Gap),
        }
        reply.rows += 1;
    }
    Ok(reply)
}

pub(super) async fn acknowledge(
    engine: &Engine,
    request: pb::AcknowledgeRestoreRequest,
) -> Result<pb::AcknowledgeRestoreResponse, Status> {
    let pb::AcknowledgeRestoreRequest { actor, reason, request_id, expected_version, unnoticed } =
        request;
    field::signed(&actor, &reason)?;
    let request_id = field::own_request_id(engine, request_id)?;
    let asked = Asked { request_id, actor, reason };
    let EpochRow { epoch, behind_ms, .. } =
        engine.acknowledge_restore(&asked, expected_version, unnoticed).await?;
    Ok(pb::AcknowledgeRestoreResponse { epoch, behind_ms })
}

impl From<AcknowledgeError> for Status {
    fn from(error: AcknowledgeError) -> Self {
        match error {
            AcknowledgeError::Nothing => status(
                Code::FailedPrecondition,
                "NOTHING_TO_ACKNOWLEDGE",
                "no participant remembers more than the log has, or that was acknowledged before; \
                 nothing was done, see `sagactl server info`; where the log was restored all the \
                 same, say so: `unnoticed`",
            ),
            AcknowledgeError::MovedOn { expected, epoch } => told(
                Code::Aborted,
                "LOG_MOVED_ON",
                format!(
                    "the log was looked at in epoch {expected} and is in epoch {epoch} now; look \
                     again; nothing was done"
                ),
                [("expected_version", expected.to_string()), ("version", epoch.to_string())],
            ),
            AcknowledgeError::RequestIdReused { epoch } => told(
                Code::AlreadyExists,
                "REQUEST_ID_REUSED",
                format!(
                    "the request id is that of another acknowledgement, which began epoch {epoch}; \
                     take another one; nothing was done"
                ),
                [("version", epoch.to_string())],
            ),
            AcknowledgeError::Log(_) => log_unavailable(
                "the log cannot be written; it may have been done, ask again with the same id",
            ),
        }
    }
}
