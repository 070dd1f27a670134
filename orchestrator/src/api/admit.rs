//! Requests, as far as whoever makes them may: in the namespace of their saga, and in their own
//! name.

use saga_proto::saga::v1 as pb;
use tonic::{Request, Status};

use super::saga::{absent, find_row};
use crate::{access::Principal, engine::Engine};

/// A request that is about one saga.
pub(super) trait OfSaga {
    fn name(&self) -> Option<&pb::SagaName>;
}

/// A request that says who acts.
pub(super) trait Signed {
    fn actor(&mut self) -> &mut String;
}

macro_rules! of_saga {
    ($($request:ident),+ $(,)?) => {
        $(impl OfSaga for pb::$request {
            fn name(&self) -> Option<&pb::SagaName> {
                self.name.as_ref()
            }
        })+
    };
}

macro_rules! signed {
    ($($request:ident),+ $(,)?) => {
        $(impl Signed for pb::$request {
            fn actor(&mut self) -> &mut String {
                &mut self.actor
            }
        })+
    };
}

of_saga!(
    CancelSagaRequest,
    CloseSagaRequest,
    ForceOutcomeRequest,
    GetSagaRequest,
    ListEventsRequest,
    RenewOperationRequest,
    RetrySagaRequest,
    SignalSagaRequest,
    VerifySagaLogRequest,
    WaitSagaRequest,
);

signed!(
    AcknowledgeRestoreRequest,
    CancelSagaRequest,
    CloseSagaRequest,
    ForceOutcomeRequest,
    LimitParticipantRequest,
    PauseParticipantRequest,
    RegisterDefinitionRequest,
    RenewOperationRequest,
    ResumeParticipantRequest,
    RetrySagaRequest,
    SignalSagaRequest,
);

/// The request, where whoever makes it may make it of this saga.
///
/// # Errors
///
/// There is no such saga for them, or they need another role. Nothing was done.
pub(super) async fn admitted<T: OfSaga>(engine: &Engine, request: Request<T>) -> Result<T, Status> {
    let principal = Principal::of(&request)?;
    let request = request.into_inner();
    check(engine, &principal, request.name()).await?;
    Ok(request)
}

/// The same; who acts is whoever makes it.
///
/// # Errors
///
/// As [`admitted`].
pub(super) async fn admitted_act<T: OfSaga + Signed>(
    engine: &Engine,
    request: Request<T>,
) -> Result<T, Status> {
    let principal = Principal::of(&request)?;
    let mut request = request.into_inner();
    check(engine, &principal, request.name()).await?;
    principal.sign(request.actor());
    Ok(request)
}

/// A request that is about no saga; who acts is whoever makes it.
///
/// # Errors
///
/// As [`Principal::of`].
pub(super) fn act<T: Signed>(request: Request<T>) -> Result<T, Status> {
    let principal = Principal::of(&request)?;
    let mut request = request.into_inner();
    principal.sign(request.actor());
    Ok(request)
}

async fn check(
    engine: &Engine,
    principal: &Principal,
    name: Option<&pb::SagaName>,
) -> Result<(), Status> {
    // A saga stays in its namespace, so it may be looked up once more afterwards.
    let Some(name) = name.filter(|_| !principal.has_it_everywhere()) else { return Ok(()) };
    let row = find_row(engine, Some(name.clone())).await?;
    principal.check_there(&row.namespace, || absent(name))
}
