//! The server, as the commands see it: each RPC once, with a limit on its time, and its
//! errors turned into [`Failure`]s.
//!
//! A call that changes a saga takes a [`WritePermit`]. When such a call fails with
//! [`Exit::Unavailable`] the server may have done it; every one of them may be repeated.

mod bearer;
mod definition;
mod dial;
mod list;
mod operator;
mod participant;
mod running;

use std::{
    error::Error,
    future::Future,
    time::{Duration, Instant},
};

use saga_proto::saga::v1::{
    CancelEffect, CancelSagaRequest, CancelSagaResponse, CheckParticipantRequest,
    CheckParticipantResponse, GetSagaRequest, GetSagaResponse, GetServerInfoRequest,
    GetServerInfoResponse, ListEventsRequest, ListEventsResponse, ListStuckRequest,
    ListStuckResponse, SagaName, SignalSagaRequest, SignalSagaResponse, StartSagaRequest,
    StartSagaResponse, WaitSagaRequest, WaitSagaResponse,
    definition_service_client::DefinitionServiceClient,
    operator_service_client::OperatorServiceClient, saga_service_client::SagaServiceClient,
};
use tonic::{
    Code, Response, Status,
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    connection::Connection, exit::Exit, failure::Failure, name::shown, permit::WritePermit,
};
use bearer::Bearer;
pub(crate) use running::RunningCheck;

/// Rows asked for at once.
const PAGE_SIZE: i32 = 500;
/// How long one question of [`Client::wait`] stays with the server. Short, so that a saga
/// that gets stuck is noticed: the server answers early only for a saga that ended.
const WAIT_SLICE: Duration = Duration::from_secs(2);
/// How long one question of [`Client::cancel`] stays with the server, which answers as soon
/// as it is decided.
const DECISION_SLICE: Duration = Duration::from_secs(30);
/// How much longer than the limit of [`Client::wait`] an answer may take.
const WAIT_GRACE: Duration = Duration::from_millis(500);
/// The service whose health is the orchestrator's.
const SAGA_SERVICE: &str = "saga.v1.SagaService";
/// What to do where an orchestrator is not where it was looked for.
const OTHER_ADDRESS: &str = "name the orchestrator's with --address HOST:PORT or SAGACTL_ADDRESS";
/// The least time between two questions of [`Client::wait`].
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// What calls go through.
type Link = InterceptedService<Channel, Bearer>;

/// A connection to one orchestrator.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    channel: Link,
    timeout: Duration,
    address: String,
}

impl Client {
    /// Connects. `timeout` bounds the connection and every answer after it.
    ///
    /// # Errors
    ///
    /// [`Exit::Unavailable`]: nobody answers there. [`Exit::Usage`]: the address is none, a file
    /// of TLS cannot be used, or there is no token.
    pub(crate) async fn connect(to: &Connection, timeout: Duration) -> Result<Self, Failure> {
        let Connection { address, tls, token } = to;
        let endpoint = Endpoint::from_shared(address.clone())
            .map_err(|_| Failure::usage(format!("{address} is no address"), "http://HOST:PORT"))?;
        let tls = dial::tls(address, tls.as_ref())?;
        let bearer = Bearer::of(address, token.as_ref())?;
        let channel =
            dial::connect(endpoint.connect_timeout(timeout), tls).await.map_err(|error| {
                Failure {
                    exit: Exit::Unavailable,
                    what: format!("no orchestrator answers at {address}"),
                    code: None,
                    why: chain(&error),
                    remedies: vec![format!("start it, or {OTHER_ADDRESS}")],
                }
            })?;
        let channel = InterceptedService::new(channel, bearer);
        Ok(Self { channel, timeout, address: address.clone() })
    }

    /// Starts a saga, or finds it. Safe to repeat with the same key.
    pub(crate) async fn start(
        &self,
        doing: &str,
        request: StartSagaRequest,
    ) -> Result<StartSagaResponse, Failure> {
        self.change(doing, self.sagas().start_saga(request)).await
    }

    /// Shows one saga.
    pub(crate) async fn saga(&self, name: &SagaName) -> Result<GetSagaResponse, Failure> {
        let request = GetSagaRequest { name: Some(name.clone()) };
        let doing = format!("show {}", shown(name));
        self.read(&doing, self.sagas().get_saga(request)).await
    }

    /// Waits until a saga has ended or is stuck, at most `limit`.
    ///
    /// # Errors
    ///
    /// Those of the server; that the time has passed is none.
    pub(crate) async fn wait(
        &self,
        name: &SagaName,
        limit: Option<Duration>,
    ) -> Result<WaitSagaResponse, Failure> {
        let doing = format!("wait for {}", shown(name));
        let begin = Instant::now();
        loop {
            let left = limit.map(|it| it.saturating_sub(begin.elapsed()));
            let slice = left.map_or(WAIT_SLICE, |left| left.min(WAIT_SLICE));
            let request = WaitSagaRequest {
                name: Some(name.clone()),
                timeout: prost_types::Duration::try_from(slice).ok(),
            };
            let asked_at = Instant::now();
            // Who waits for so long does not wait much longer for a server that is silent.
            let grace = if limit.is_some() { self.timeout.min(WAIT_GRACE) } else { self.timeout };
            let mut sagas = self.sagas();
            let call = sagas.wait_saga(request);
            let reply = answer(&doing, slice + grace, Asked::Read, call).await?;
            let state = reply.saga.as_ref().map(|it| it.state()).unwrap_or_default();
            let out_of_time = left.is_some_and(|left| left <= WAIT_SLICE);
            if reply.ended || Exit::of_awaited(state).is_some() || out_of_time {
                return Ok(reply);
            }
            // A server that is stopping may answer at once; it is not asked in a hot loop.
            tokio::time::sleep(ASK_AGAIN_AFTER.saturating_sub(asked_at.elapsed())).await;
        }
    }

    /// Lists the events of a saga over all pages.
    pub(crate) async fn events(&self, name: &SagaName) -> Result<ListEventsResponse, Failure> {
        let doing = format!("read the log of {}", shown(name));
        let mut all = ListEventsResponse::default();
        let mut page_token = String::new();
        loop {
            let name = Some(name.clone());
            let request = ListEventsRequest { name, page_size: PAGE_SIZE, page_token };
            let page = self.read(&doing, self.sagas().list_events(request)).await?;
            let empty = page.events.is_empty();
            all.events.extend(page.events);
            page_token = page.next_page_token;
            if page_token.is_empty() || empty {
                return Ok(all);
            }
        }
    }

    /// Asks a saga to turn back, and waits for at most `limit` until it is decided whether it
    /// does. Asking twice is asking once.
    pub(crate) async fn cancel(
        &self,
        doing: &str,
        request: CancelSagaRequest,
        limit: Duration,
        _: &WritePermit,
    ) -> Result<CancelSagaResponse, Failure> {
        let begin = Instant::now();
        loop {
            let left = limit.saturating_sub(begin.elapsed());
            let slice = left.min(DECISION_SLICE);
            let wait = prost_types::Duration::try_from(slice).ok();
            let request = CancelSagaRequest { wait, ..request.clone() };
            let call_timeout = self.timeout + slice;
            let mut sagas = self.sagas();
            let call = sagas.cancel_saga(request);
            let reply = answer(doing, call_timeout, Asked::Change, call).await?;
            if reply.effect() != CancelEffect::Undecided || left <= DECISION_SLICE {
                return Ok(reply);
            }
        }
    }

    /// Gives a saga a signal. Safe to repeat with the same request id.
    pub(crate) async fn signal(
        &self,
        doing: &str,
        request: SignalSagaRequest,
        _: &WritePermit,
    ) -> Result<SignalSagaResponse, Failure> {
        self.change(doing, self.sagas().signal_saga(request)).await
    }

    /// Says what a check of a participant would call. Calls nothing.
    pub(crate) async fn plan_check(
        &self,
        doing: &str,
        request: CheckParticipantRequest,
    ) -> Result<CheckParticipantResponse, Failure> {
        let request = CheckParticipantRequest { validate_only: true, ..request };
        self.read(doing, self.operator().check_participant(request)).await
    }

    /// Begins to check a participant, by real calls. The server ends a check that nobody
    /// follows any more, and compensates it.
    pub(crate) async fn run_check(
        &self,
        doing: &str,
        request: CheckParticipantRequest,
        _: &WritePermit,
    ) -> Result<RunningCheck, Failure> {
        let (say, said) = RunningCheck::begin(request);
        let told = self.change(doing, self.operator().run_participant_check(said)).await?;
        Ok(RunningCheck::new(doing, say, told))
    }

    /// Lists what needs a person and what waits, over all pages.
    pub(crate) async fn stuck(
        &self,
        examples_max: u32,
        filter: &str,
    ) -> Result<ListStuckResponse, Failure> {
        let mut all = ListStuckResponse::default();
        loop {
            let (filter, page_token) =
                (filter.to_owned(), std::mem::take(&mut all.next_page_token));
            let request =
                ListStuckRequest { examples_max, page_size: PAGE_SIZE, page_token, filter };
            let mut operator = self.operator();
            let page = self.read("list what is stuck", operator.list_stuck(request)).await?;
            let is_empty = page.groups.is_empty() && page.waiting.is_empty();
            let (mut groups, mut waiting) = (all.groups, all.waiting);
            groups.extend(page.groups);
            waiting.extend(page.waiting);
            let is_last = is_empty || page.next_page_token.is_empty();
            all = ListStuckResponse { groups, waiting, ..page };
            if is_last {
                all.next_page_token.clear();
                return Ok(all);
            }
        }
    }

    /// Shows the server.
    pub(crate) async fn info(&self) -> Result<GetServerInfoResponse, Failure> {
        let request = GetServerInfoRequest {};
        self.read("show the server", self.operator().get_server_info(request)).await
    }

    /// Whether the server says that it serves sagas. Any gRPC server may have a health of its
    /// own; only an orchestrator knows one of `saga.v1.SagaService`.
    ///
    /// # Errors
    ///
    /// [`Exit::Error`]: it is no orchestrator.
    pub(crate) async fn health(&self) -> Result<ServingStatus, Failure> {
        let mut client = HealthClient::new(self.channel.clone());
        let request = HealthCheckRequest { service: SAGA_SERVICE.to_owned() };
        let doing = "ask for the orchestrator's health";
        let told = tokio::time::timeout(self.timeout, client.check(request)).await;
        match told {
            Ok(Ok(reply)) => Ok(reply.into_inner().status()),
            Ok(Err(status)) if matches!(status.code(), Code::NotFound | Code::Unimplemented) => {
                Err(self.no_orchestrator(doing))
            }
            Ok(Err(status)) => Err(refused(doing, Asked::Read, &status)),
            Err(_) => Err(Failure::timed_out(doing, self.timeout, false)),
        }
    }

    /// Something else answers where an orchestrator should.
    fn no_orchestrator(&self, doing: &str) -> Failure {
        Failure {
            exit: Exit::Error,
            what: format!("cannot {doing}"),
            code: Some("UNIMPLEMENTED".to_owned()),
            why: format!("{} is a gRPC server, but no orchestrator", self.address),
            remedies: vec![OTHER_ADDRESS.to_owned()],
        }
    }

    async fn read<T>(
        &self,
        doing: &str,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failure> {
        let told = answer(doing, self.timeout, Asked::Read, call).await;
        self.or_other_server(doing, told).await
    }

    async fn change<T>(
        &self,
        doing: &str,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failure> {
        let told = answer(doing, self.timeout, Asked::Change, call).await;
        self.or_other_server(doing, told).await
    }

    /// A method that is not served is one of a newer contract, or of another server.
    async fn or_other_server<T>(
        &self,
        doing: &str,
        told: Result<T, Failure>,
    ) -> Result<T, Failure> {
        let unserved = |it: &Failure| it.code.as_deref() == Some("UNIMPLEMENTED");
        match told {
            Err(failure) if unserved(&failure) => match self.health().await {
                Err(health) if unserved(&health) => Err(self.no_orchestrator(doing)),
                _ => Err(failure),
            },
            told => told,
        }
    }

    fn sagas(&self) -> SagaServiceClient<Link> {
        SagaServiceClient::new(self.channel.clone())
    }

    fn definitions(&self) -> DefinitionServiceClient<Link> {
        DefinitionServiceClient::new(self.channel.clone())
    }

    fn operator(&self) -> OperatorServiceClient<Link> {
        OperatorServiceClient::new(self.channel.clone())
    }
}

/// What is asked of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Read,
    Change,
}

/// Waits for an answer, at most `timeout`.
async fn answer<T>(
    doing: &str,
    timeout: Duration,
    asked: Asked,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(timeout, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(refused(doing, asked, &status)),
        Err(_) => Err(Failure::timed_out(doing, timeout, asked == Asked::Change)),
    }
}

/// A status that has a source came from here: the connection broke. The server's has none.
fn refused(doing: &str, asked: Asked, status: &Status) -> Failure {
    match status.source() {
        Some(broken) => Failure::cut_off(doing, chain(broken), asked == Asked::Change),
        None => Failure::refused(doing, status),
    }
}

/// An error and what lies behind it, on one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
