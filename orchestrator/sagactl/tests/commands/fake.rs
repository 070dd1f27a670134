//! An orchestrator that holds a few sagas in memory and notes what it is asked to change.

mod definitions;
mod events;
mod operator;
mod participant;
mod service;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use prost_types::Timestamp;
use saga_proto::{
    FILE_DESCRIPTOR_SET,
    saga::v1::{
        definition_service_server::DefinitionServiceServer,
        operator_service_server::OperatorServiceServer,
        saga_service_server::{SagaService, SagaServiceServer},
        start_saga_request::Input,
        *,
    },
};
use tonic::{
    Code, Request, Response, Status,
    service::InterceptorLayer,
    transport::{Server, server::TcpIncoming},
};
use tonic_types::{ErrorDetails, StatusExt};

/// Rows in a page at most, so that few rows make many pages.
const PAGE_SIZE_MAX: i32 = 2;

/// Ids of the sagas, by their place in [`KEYS`].
pub(crate) const STUCK_ID: &str = "01a1ff65-949e-76ea-a3c9-000000000003";

/// The sagas: business keys, all in the namespace `order`, and their states.
const KEYS: [(&str, SagaState); 7] = [
    ("running", SagaState::Running),
    ("turning", SagaState::Compensating),
    ("completed", SagaState::Completed),
    ("stuck", SagaState::Stuck),
    ("compensated", SagaState::Compensated),
    ("closed", SagaState::Closed),
    ("late", SagaState::Running),
];

/// A running fake. It lives as long as the test process.
#[derive(Clone, Debug)]
pub(crate) struct Fake {
    /// Where it listens, as an address for sagactl.
    pub(crate) address: String,
    changes: Arc<Mutex<Vec<String>>>,
    login: Arc<Mutex<Option<String>>>,
    sagas_max: usize,
    /// How often somebody looked at a log that goes on.
    looks: Arc<AtomicUsize>,
}

/// Starts a gRPC server that is no orchestrator. Returns its address.
pub(crate) fn another_server() -> String {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async {
            let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
            tell.send(incoming.local_addr().unwrap()).unwrap();
            let (_, health) = tonic_health::server::health_reporter();
            Server::builder().add_service(health).serve_with_incoming(incoming).await.unwrap();
        });
    });
    format!("http://{}", told.recv().unwrap())
}

impl Fake {
    /// Starts a fake on a free port.
    pub(crate) fn start() -> Self {
        Self::start_with(KEYS.len())
    }

    /// Starts a fake that nothing ever happened to.
    pub(crate) fn start_empty() -> Self {
        Self::start_with(0)
    }

    /// What it was asked to change, a line each, since the last look.
    pub(crate) fn changes(&self) -> Vec<String> {
        std::mem::take(&mut *self.changes.lock().unwrap())
    }

    /// What the last call had under `authorization`.
    pub(crate) fn login(&self) -> Option<String> {
        self.login.lock().unwrap().clone()
    }

    fn start_with(sagas_max: usize) -> Self {
        let changes = Arc::new(Mutex::new(Vec::new()));
        let mut fake = Self {
            address: String::new(),
            changes,
            login: Arc::default(),
            sagas_max,
            looks: Arc::default(),
        };
        let served = fake.clone();
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(served.serve(tell));
        });
        fake.address = format!("http://{}", told.recv().unwrap());
        fake
    }

    async fn serve(self, tell: mpsc::Sender<SocketAddr>) {
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        tell.send(incoming.local_addr().unwrap()).unwrap();
        let (health, health_service) = tonic_health::server::health_reporter();
        if self.sagas_max == 0 {
            health.set_service_status("", tonic_health::ServingStatus::NotServing).await;
            health.set_not_serving::<SagaServiceServer<Self>>().await;
        } else {
            health.set_serving::<SagaServiceServer<Self>>().await;
        }
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .build_v1()
            .unwrap();
        let reflection_alpha = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .build_v1alpha()
            .unwrap();
        let login = Arc::clone(&self.login);
        let heard = InterceptorLayer::new(move |request: Request<()>| {
            let shown =
                request.metadata().get("authorization").map(|it| it.to_str().unwrap().to_owned());
            *login.lock().unwrap() = shown;
            Ok(request)
        });
        Server::builder()
            .layer(heard)
            .add_service(health_service)
            .add_service(reflection)
            .add_service(reflection_alpha)
            .add_service(SagaServiceServer::new(self.clone()))
            .add_service(DefinitionServiceServer::new(self.clone()))
            .add_service(OperatorServiceServer::new(self))
            .serve_with_incoming(incoming)
            .await
            .unwrap();
    }

    fn sagas(&self) -> Vec<Saga> {
        (0..self.sagas_max).map(saga).collect()
    }

    fn find(&self, name: Option<&SagaName>) -> Result<Saga, Status> {
        let is_named = |it: &Saga| match name.and_then(|it| it.name.as_ref()) {
            Some(saga_name::Name::SagaId(id)) => it.saga_id == *id,
            Some(saga_name::Name::BusinessKey(key)) => {
                it.business_key == *key && name.is_some_and(|name| it.namespace == name.namespace)
            }
            None => false,
        };
        let missing = || refusal(Code::NotFound, "SAGA_NOT_FOUND", "no saga has this name");
        self.sagas().into_iter().find(is_named).ok_or_else(missing)
    }

    fn note(&self, change: String) {
        self.changes.lock().unwrap().push(change);
    }
}

fn refusal(code: Code, reason: &str, message: &str) -> Status {
    Status::with_error_details(code, message, ErrorDetails::with_error_info(reason, "saga.v1", []))
}

fn saga(index: usize) -> Saga {
    let (key, state) = KEYS[index];
    let at = |seconds: i64| Some(Timestamp { seconds: 1_767_380_400 + seconds, nanos: 0 });
    let stuck = (state == SagaState::Stuck).then(|| Stuck {
        reason: "OUTCOME_UNKNOWN".to_owned(),
        step: "verify_payment".to_owned(),
        message: "the note says \x1b[2J".to_owned(),
        since: at(5),
    });
    let step = |name: &str, state: StepState| SagaStep {
        name: name.to_owned(),
        state: state.into(),
        attempt: 1,
        ..SagaStep::default()
    };
    let steps =
        vec![step("reserve_stock", StepState::Applied), step("verify_payment", StepState::Unknown)];
    let offer = |verb: SagaVerb, step: &str| SagaOffer {
        verb: verb.into(),
        step: step.to_owned(),
        ..SagaOffer::default()
    };
    let offers = match state {
        SagaState::Stuck => vec![
            offer(SagaVerb::Retry, ""),
            offer(SagaVerb::SettleApplied, "verify_payment"),
            offer(SagaVerb::Cancel, ""),
        ],
        SagaState::Running => vec![offer(SagaVerb::Cancel, "")],
        _ => vec![],
    };
    Saga {
        offers,
        undo_order: vec!["reserve_stock".to_owned()],
        ended_at: at(9).filter(|_| {
            matches!(state, SagaState::Completed | SagaState::Compensated | SagaState::Closed)
        }),
        saga_id: format!("01a1ff65-949e-76ea-a3c9-{index:012}"),
        namespace: "order".to_owned(),
        business_key: key.to_owned(),
        definition: "place-order".to_owned(),
        definition_version: 3,
        state: state.into(),
        started_at: at(0),
        stuck,
        steps,
        version: 4,
        ..Saga::default()
    }
}

/// The rows of a page, and the token of the next one: the number of its first row.
fn page<T>(rows: Vec<T>, token: &str, size: i32) -> Result<(Vec<T>, String), Status> {
    let malformed = |_| refusal(Code::InvalidArgument, "PAGE_TOKEN_INVALID", "no such page");
    let from: usize = if token.is_empty() { 0 } else { token.parse().map_err(malformed)? };
    let size = usize::try_from(if size == 0 { PAGE_SIZE_MAX } else { size.min(PAGE_SIZE_MAX) });
    let size = size.unwrap();
    let next = if from + size < rows.len() { (from + size).to_string() } else { String::new() };
    Ok((rows.into_iter().skip(from).take(size).collect(), next))
}

#[tonic::async_trait]
impl SagaService for Fake {
    async fn start_saga(
        &self,
        request: Request<StartSagaRequest>,
    ) -> Result<Response<StartSagaResponse>, Status> {
        let request = request.into_inner();
        if request.definition != "place-order" {
            let message = "no definition of this name";
            return Err(refusal(Code::NotFound, "DEFINITION_NOT_FOUND", message));
        }
        if request.business_key == "full" {
            let mut details = ErrorDetails::with_error_info("OVERLOADED", "saga.v1", []);
            details.set_retry_info(Some(Duration::from_millis(250)));
            let message = "10000 sagas are in flight";
            return Err(Status::with_error_details(Code::ResourceExhausted, message, details));
        }
        let Some(Input::Json(input)) = &request.input else {
            return Err(refusal(Code::InvalidArgument, "INPUT_INVALID", "no input"));
        };
        self.note(format!(
            "start {}/{} v{} {input}",
            request.namespace, request.business_key, request.definition_version
        ));
        let index = KEYS.iter().position(|(key, _)| *key == request.business_key);
        let saga = saga(index.unwrap_or_default());
        Ok(Response::new(StartSagaResponse { saga: Some(saga), existed: index.is_some() }))
    }

    async fn get_saga(
        &self,
        request: Request<GetSagaRequest>,
    ) -> Result<Response<GetSagaResponse>, Status> {
        let saga = self.find(request.get_ref().name.as_ref())?;
        Ok(Response::new(GetSagaResponse { saga: Some(saga) }))
    }

    async fn wait_saga(
        &self,
        request: Request<WaitSagaRequest>,
    ) -> Result<Response<WaitSagaResponse>, Status> {
        let saga = self.find(request.get_ref().name.as_ref())?;
        let ended = matches!(
            saga.state(),
            SagaState::Completed | SagaState::Compensated | SagaState::Closed
        );
        if !ended && saga.state() != SagaState::Stuck {
            let timeout = request.get_ref().timeout.unwrap_or_default();
            tokio::time::sleep(timeout.try_into().unwrap_or_default()).await;
        }
        Ok(Response::new(WaitSagaResponse { saga: Some(saga), ended }))
    }

    async fn list_sagas(
        &self,
        request: Request<ListSagasRequest>,
    ) -> Result<Response<ListSagasResponse>, Status> {
        let request = request.into_inner();
        let wanted = |it: &Saga| {
            (request.state() == SagaState::Unspecified || request.state == it.state)
                && (request.definition.is_empty() || request.definition == it.definition)
        };
        let rows = self.sagas().into_iter().filter(wanted).collect();
        let (sagas, next_page_token) = page(rows, &request.page_token, request.page_size)?;
        // What it is asked for, it takes long to find.
        let looked_until = (!request.filter.is_empty()).then(Timestamp::default);
        Ok(Response::new(ListSagasResponse { sagas, next_page_token, looked_until }))
    }

    async fn count_sagas(
        &self,
        request: Request<CountSagasRequest>,
    ) -> Result<Response<CountSagasResponse>, Status> {
        let request = request.into_inner();
        let (rows, next_page_token) = page(self.sagas(), &request.page_token, 2)?;
        let looked_until = (!next_page_token.is_empty()).then(Timestamp::default);
        let sagas = rows.len().try_into().unwrap_or_default();
        Ok(Response::new(CountSagasResponse { sagas, next_page_token, looked_until }))
    }

    async fn list_events(
        &self,
        request: Request<ListEventsRequest>,
    ) -> Result<Response<ListEventsResponse>, Status> {
        let request = request.into_inner();
        let saga = self.find(request.name.as_ref())?;
        let rows = events::of(&saga, || self.looks.fetch_add(1, Ordering::Relaxed));
        let (events, next_page_token) = page(rows, &request.page_token, request.page_size)?;
        Ok(Response::new(ListEventsResponse { events, next_page_token }))
    }

    async fn cancel_saga(
        &self,
        request: Request<CancelSagaRequest>,
    ) -> Result<Response<CancelSagaResponse>, Status> {
        let request = request.into_inner();
        let saga = self.find(request.name.as_ref())?;
        let asked = (&saga.business_key, &request.actor, &request.reason);
        self.note(format!("cancel {} {} {:?}", asked.0, asked.1, asked.2));
        let effect = match (saga.state(), saga.business_key.as_str()) {
            (SagaState::Completed, _) => CancelEffect::Ended,
            // The answer of its pivot comes while somebody waits for it.
            (_, "running") if request.reason == "the pivot is out" => {
                match request.wait.unwrap_or_default().seconds {
                    0 => CancelEffect::Undecided,
                    _ => CancelEffect::TooLate,
                }
            }
            (_, "late") => CancelEffect::TooLate,
            _ => CancelEffect::TurnsBack,
        };
        Ok(Response::new(CancelSagaResponse { saga: Some(saga), effect: effect.into() }))
    }

    async fn signal_saga(
        &self,
        request: Request<SignalSagaRequest>,
    ) -> Result<Response<SignalSagaResponse>, Status> {
        let request = request.into_inner();
        let saga = self.find(request.name.as_ref())?;
        let says = match &request.payload {
            Some(signal_saga_request::Payload::Json(json)) => json.as_str(),
            _ => "nothing",
        };
        match saga.state() {
            SagaState::Completed => {
                Err(refusal(Code::FailedPrecondition, "SAGA_ENDED", "it is completed"))
            }
            SagaState::Compensating => Err(refusal(Code::Unavailable, "LOG_UNAVAILABLE", "gone")),
            _ => {
                let id_chars = request.request_id.chars().count();
                let existed = request.request_id == "again";
                self.note(format!(
                    "signal {} {} {says} {id_chars} {} {:?}",
                    saga.business_key, request.signal, request.actor, request.reason
                ));
                Ok(Response::new(SignalSagaResponse { saga: Some(saga), existed }))
            }
        }
    }
}
