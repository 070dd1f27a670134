//! A participant that does what the request says, and the client side of a test.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use orchestrator::{
    definition::{CallSpec, RefusalCodes},
    engine::LogMark,
    participants::{CallRequest, Caller as _, ParticipantConfig, Participants},
};
use prost::Message;
use prost_reflect::DescriptorPool;
use saga_core::{Direction, NotDone, OperationId, Outcome, SagaId, UnknownCause, Word};
use shop_proto::inventory::v1::{
    AuditRequest, AuditResponse, CommitRequest, CommitResponse, DecreaseRequest, DecreaseResponse,
    GetStockRequest, GetStockResponse, PutItemRequest, PutItemResponse, QuoteRequest,
    QuoteResponse, ReleaseRequest, ReleaseResponse, ReserveRequest, ReserveResponse,
    RestockRequest, RestockResponse, SetStockRequest, SetStockResponse,
    inventory_service_server::{InventoryService, InventoryServiceServer},
};
use tokio::{net::TcpListener, sync::Semaphore};
use tonic::{Request, Response, Status, transport::server::TcpIncoming};
use uuid::Uuid;

/// How long calls of these tests may take.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(400);

/// Deadline of whatever a test waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What the participant answers to an order number.
pub(crate) type Answers = Arc<dyn Fn(&str) -> Result<ReserveResponse, Status> + Send + Sync>;

/// A participant that answers by the order number. `slow` never answers.
#[derive(Clone)]
pub(crate) struct Participant {
    answers: Answers,
    /// One permit for each call that was executed.
    pub(crate) executed: Arc<Semaphore>,
    /// Metadata of the last call.
    pub(crate) seen: Arc<Mutex<tonic::metadata::MetadataMap>>,
}

impl Participant {
    pub(crate) fn new(
        answers: impl Fn(&str) -> Result<ReserveResponse, Status> + Send + Sync + 'static,
    ) -> Self {
        Self {
            answers: Arc::new(answers),
            executed: Arc::new(Semaphore::new(0)),
            seen: Arc::default(),
        }
    }

    /// Waits until a call was executed.
    pub(crate) async fn was_executed(&self) {
        let executed = tokio::time::timeout(PATIENCE, self.executed.acquire()).await;
        executed.expect("the call was not executed").unwrap().forget();
    }

    pub(crate) fn service(&self) -> InventoryServiceServer<Self> {
        InventoryServiceServer::new(self.clone())
    }
}

#[tonic::async_trait]
impl InventoryService for Participant {
    async fn reserve(
        &self,
        request: Request<ReserveRequest>,
    ) -> Result<Response<ReserveResponse>, Status> {
        *self.seen.lock().unwrap() = request.metadata().clone();
        let order_no = request.into_inner().order_no;
        self.executed.add_permits(1);
        if order_no == "slow" {
            std::future::pending::<()>().await;
        }
        (self.answers)(&order_no).map(Response::new)
    }

    async fn commit(&self, _: Request<CommitRequest>) -> Result<Response<CommitResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn release(
        &self,
        _: Request<ReleaseRequest>,
    ) -> Result<Response<ReleaseResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn quote(&self, _: Request<QuoteRequest>) -> Result<Response<QuoteResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn decrease(
        &self,
        _: Request<DecreaseRequest>,
    ) -> Result<Response<DecreaseResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn restock(
        &self,
        _: Request<RestockRequest>,
    ) -> Result<Response<RestockResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn set_stock(
        &self,
        _: Request<SetStockRequest>,
    ) -> Result<Response<SetStockResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn get_stock(
        &self,
        _: Request<GetStockRequest>,
    ) -> Result<Response<GetStockResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn put_item(
        &self,
        _: Request<PutItemRequest>,
    ) -> Result<Response<PutItemResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn audit(&self, _: Request<AuditRequest>) -> Result<Response<AuditResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

/// A free port that listens.
pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Serves until the test ends.
pub(crate) async fn serve(router: tonic::transport::server::Router) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener)));
    address
}

/// The participant `inventory` at this address.
pub(crate) fn participants(address: impl ToString) -> Participants {
    configured(ParticipantConfig {
        addresses: vec![format!("http://{}", address.to_string())],
        ..ParticipantConfig::default()
    })
}

pub(crate) fn configured(config: ParticipantConfig) -> Participants {
    Participants::new(&BTreeMap::from([("inventory".to_owned(), config)])).unwrap()
}

pub(crate) fn spec(path: &str) -> CallSpec {
    let pool = DescriptorPool::decode(shop_proto::FILE_DESCRIPTOR_SET).unwrap();
    CallSpec {
        participant: "inventory".to_owned(),
        path: path.parse().unwrap(),
        timeout: TIMEOUT,
        refusals: RefusalCodes::NONE,
        already_undone: Vec::new(),
        request_type: pool.get_message_by_name("shop.inventory.v1.ReserveRequest").unwrap(),
        reply_type: pool.get_message_by_name("shop.inventory.v1.ReserveResponse").unwrap(),
        types_id: 0,
    }
}

pub(crate) const RESERVE: &str = "/shop.inventory.v1.InventoryService/Reserve";

/// Makes one call.
pub(crate) async fn call(participants: &Participants, spec: &CallSpec, order_no: &str) -> Outcome {
    let body = ReserveRequest { order_no: order_no.to_owned(), ..ReserveRequest::default() };
    let saga = SagaId(Uuid::from_u128(0xa5));
    let request = CallRequest {
        spec,
        body: Bytes::from(body.encode_to_vec()),
        headers: vec![("idempotency-key".to_owned(), "k-1".to_owned())],
        saga,
        started_at_ms: Some(4),
        step: "reserve_stock",
        direction: Direction::Forward,
        attempt: 3,
        operation: OPERATION,
        log: Some(LOG),
        timeout: spec.timeout,
    };
    participants.call(request).await
}

/// The operation of every call.
pub(crate) const OPERATION: OperationId = OperationId(Uuid::from_u128(0x0b));

/// How far the log is that every call is of.
pub(crate) const LOG: LogMark = LogMark { log_id: Uuid::from_u128(0x10), epoch: 2, at_ms: 3 };

/// An outcome on one line, without texts that libraries word.
pub(crate) fn shown(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Applied { .. } => "applied".to_owned(),
        Outcome::AppliedUnread { .. } => "applied, unread".to_owned(),
        Outcome::Contradicted { cause, .. } => format!("contradicted {}", cause.code()),
        Outcome::Rejected { reason, word: Word::OfAttempt, .. } => format!("rejected {reason}"),
        Outcome::Rejected { reason, word: Word::OnRecord, .. } => {
            format!("rejected for ever {reason}")
        }
        Outcome::Fault { reason, .. } => format!("fault {reason}"),
        Outcome::NotDone { cause: NotDone::NotSent, .. } => "not done: not sent".to_owned(),
        Outcome::NotDone { cause: NotDone::Busy, retry_after_ms: None, .. } => {
            "not done: busy".to_owned()
        }
        Outcome::NotDone { cause: NotDone::Busy, retry_after_ms: Some(ms), .. } => {
            format!("not done: busy for {ms} ms")
        }
        Outcome::Unknown { cause, .. } => match cause {
            UnknownCause::TimedOut => "UNKNOWN: timed out".to_owned(),
            UnknownCause::ConnectionLost => "UNKNOWN: connection lost".to_owned(),
            UnknownCause::Status => "UNKNOWN: status".to_owned(),
            UnknownCause::BadReply => "UNKNOWN: bad reply".to_owned(),
        },
    }
}
