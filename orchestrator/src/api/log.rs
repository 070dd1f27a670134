//! The log as a whole, and whether the log of one saga is as it was written.

use saga_log::Link;
use saga_proto::saga::v1 as pb;
use tonic::{Code, Status};

use crate::{
    api::{
        error::{log_unavailable, status},
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
    let pb::AcknowledgeRestoreRequest { actor, reason } = request;
    field::signed(&actor, &reason)?;
    let went_back = engine.acknowledge_restore(&actor, &reason).await?;
    let epoch = engine.log_mark().epoch;
    Ok(pb::AcknowledgeRestoreResponse { epoch, behind_ms: went_back.behind_ms })
}

impl From<AcknowledgeError> for Status {
    fn from(error: AcknowledgeError) -> Self {
        match error {
            AcknowledgeError::Nothing => status(
                Code::FailedPrecondition,
                "NOTHING_TO_ACKNOWLEDGE",
                "the log did not go back in time, or that was acknowledged before; nothing was \
                 done, see `sagactl server info`",
            ),
            AcknowledgeError::Log(_) => {
                log_unavailable("the log cannot be written; it may have been done, ask again")
            }
        }
    }
}
