//! A client of the orchestrator: starts a saga over gRPC and waits until it has ended,
//! whatever becomes of the orchestrator meanwhile.

use std::time::Duration;

use prost::Message;
use prost_types::Any;
use saga_proto::saga::v1::{
    Saga, SagaName, SagaState, StartSagaRequest, WaitSagaRequest, saga_name::Name,
    saga_service_client::SagaServiceClient, start_saga_request::Input,
};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt as _;

/// How long one call waits for the end of a saga.
const WAIT: Duration = Duration::from_secs(20);

/// How long a call may take beyond that.
const REPLY_WITHIN: Duration = Duration::from_secs(5);

/// How long a saga may take. Then it counts as stuck, whatever the log says.
const SAGA_WITHIN: Duration = Duration::from_secs(180);

/// Pause before a call that did not get through is made again.
const PAUSE: Duration = Duration::from_millis(50);

/// What a buyer wants.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) definition: &'static str,
    /// The same wish has the same key, whoever utters it and however often.
    pub(crate) business_key: String,
    pub(crate) input: Any,
}

/// What became of a saga.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is done.
    Completed,
    /// It was refused, and everything is undone.
    Compensated { reason: String },
    /// A person must look, and the log says why.
    Stuck { reason: String, message: String },
    /// It had not ended when the time was over.
    Open { why: String },
    /// It was not accepted.
    Rejected { reason: String },
}

impl Fate {
    /// Whether the saga came to its end, one way or the other.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self, Self::Completed | Self::Compensated { .. })
    }
}

/// The input of a saga, of a message of the order service.
pub(crate) fn input(message: &str, input: &impl Message) -> Any {
    Any {
        type_url: format!("type.googleapis.com/shop.order.v1.{message}"),
        value: input.encode_to_vec(),
    }
}

/// Starts a saga and waits until it has ended. Returns how long that took.
pub(crate) async fn fulfil(mut client: SagaServiceClient<Channel>, wish: Wish) -> (Fate, Duration) {
    let began = Instant::now();
    let by = began + SAGA_WITHIN;
    let fate = match start(&mut client, wish, by).await {
        Err(fate) => fate,
        Ok(saga) => wait(&mut client, saga, by).await,
    };
    (fate, began.elapsed())
}

/// Starts the saga, with the same key again and again until somebody has it.
async fn start(
    client: &mut SagaServiceClient<Channel>,
    wish: Wish,
    by: Instant,
) -> Result<Saga, Fate> {
    let request = StartSagaRequest {
        definition: wish.definition.to_owned(),
        definition_version: 0,
        business_key: wish.business_key,
        input: Some(Input::Message(wish.input)),
        wait: prost_types::Duration::try_from(WAIT).ok(),
        namespace: String::new(),
    };
    loop {
        let calling = client.start_saga(request.clone());
        let answered = timeout(WAIT + REPLY_WITHIN, calling).await.unwrap_or_else(silent);
        let error = match answered {
            Ok(reply) => {
                let saga = reply.into_inner().saga;
                return saga.ok_or_else(|| Fate::Open { why: "a reply without a saga".to_owned() });
            }
            Err(error) => error,
        };
        if is_refusal(&error) {
            return Err(Fate::Rejected { reason: reason(&error) });
        }
        if by < Instant::now() {
            return Err(Fate::Open { why: error.to_string() });
        }
        tracing::debug!(%error, saga.key = request.business_key, "start again");
        sleep(pause_after(&error)).await;
    }
}

/// Waits until the saga has ended or needs a person.
async fn wait(client: &mut SagaServiceClient<Channel>, mut saga: Saga, by: Instant) -> Fate {
    loop {
        if let Some(fate) = fate(&saga) {
            return fate;
        }
        if by < Instant::now() {
            return Fate::Open { why: saga.why };
        }
        let request = WaitSagaRequest {
            name: Some(SagaName {
                name: Some(Name::SagaId(saga.saga_id.clone())),
                namespace: String::new(),
            }),
            timeout: prost_types::Duration::try_from(WAIT).ok(),
        };
        let waiting = client.wait_saga(request);
        match timeout(WAIT + REPLY_WITHIN, waiting).await.unwrap_or_else(silent) {
            Ok(reply) => saga = reply.into_inner().saga.unwrap_or(saga),
            Err(error) => {
                tracing::debug!(%error, saga.id = saga.saga_id, "wait again");
                sleep(pause_after(&error)).await;
            }
        }
    }
}

fn silent<T>(_: tokio::time::error::Elapsed) -> Result<T, Status> {
    Err(Status::deadline_exceeded("no answer"))
}

/// None: the saga goes on.
fn fate(saga: &Saga) -> Option<Fate> {
    match saga.state() {
        SagaState::Completed => Some(Fate::Completed),
        SagaState::Compensated => {
            let reasons = [&saga.rejected_reason, &saga.turned_back];
            let reason = reasons.into_iter().find(|it| !it.is_empty());
            Some(Fate::Compensated { reason: reason.cloned().unwrap_or_default() })
        }
        SagaState::Stuck => {
            let stuck = saga.stuck.clone().unwrap_or_default();
            Some(Fate::Stuck {
                reason: stuck.reason,
                message: format!("{}: {}", stuck.step, stuck.message),
            })
        }
        SagaState::Closed => {
            Some(Fate::Stuck { reason: "CLOSED".to_owned(), message: saga.why.clone() })
        }
        SagaState::Running | SagaState::Compensating | SagaState::Unspecified => None,
    }
}

/// Whether the orchestrator has read the request and will never take it.
fn is_refusal(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::InvalidArgument | Code::NotFound | Code::AlreadyExists | Code::FailedPrecondition
    ) && status.get_details_error_info().is_some()
}

fn reason(status: &Status) -> String {
    let info = status.get_details_error_info();
    info.map_or_else(|| format!("{:?}", status.code()), |info| info.reason)
}

fn pause_after(status: &Status) -> Duration {
    let told = status.get_details_retry_info().and_then(|info| info.retry_delay);
    told.unwrap_or(PAUSE)
}
