//! A participant in memory that keeps the reply contract, but for one defect.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use prost::Message;
use saga_proto::{
    saga::participant::v1::{
        Absent, Applied, Fenced, GetLogMarkRequest, GetLogMarkResponse, ListEffectsRequest,
        ListEffectsResponse, Rejected, ResolveMode, ResolveRequest, ResolveResponse,
        participant_service_server::ParticipantService, resolve_response::Resolution,
    },
    shop::inventory::v1::{
        AuditRequest, AuditResponse, CommitRequest, CommitResponse, DecreaseRequest,
        DecreaseResponse, GetStockRequest, GetStockResponse, PutItemRequest, PutItemResponse,
        ReleaseRequest, ReleaseResponse, ReserveRequest, ReserveResponse, RestockRequest,
        RestockResponse, SetStockRequest, SetStockResponse,
        inventory_service_server::InventoryService,
    },
};
use tokio::sync::Notify;
use tonic::{Code, Request, Response, Status, metadata::MetadataMap};
use tonic_types::{ErrorDetails, StatusExt};

/// How long a participant that does not hold its operations waits for an inquiry.
const IN_FLIGHT: Duration = Duration::from_millis(60);

/// What a participant does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    /// Makes a new reply for a repeated call.
    RepliesAnew,
    /// Answers another request with the stored reply.
    ComparesNoBodies,
    /// Executes another request, and records it in place of the first.
    ReplacesTheFirst,
    /// Takes the tombstone of an inquiry away when the first late original meets it.
    FencesOnce,
    /// Refuses the compensation of what never came.
    KnowsNoEmptyUndo,
    /// Answers the compensation of what never came, and forgets it.
    ForgetsTheEmptyUndo,
    /// Refuses a compensation that it has made.
    UndoesOnce,
    /// Fences when it should look.
    PeekFences,
    /// Tells that it was applied, without the reply.
    TellsNoReply,
    /// Answers an inquiry without waiting for the call that is under way.
    DoesNotWait,
    /// Tells of a refusal that it never happens, without the reason.
    TellsNoRefusal,
    /// Refuses to compensate what it refused.
    UndoesNoRefusal,
    /// Executes calls without an operation id.
    NeedsNoId,
    /// Refuses calls without an operation id after it executed them.
    RefusesAfterwards,
}

/// What is recorded of an operation.
#[derive(Clone, Debug)]
enum Record {
    Applied { body: Vec<u8>, reply: Vec<u8> },
    Rejected { body: Vec<u8> },
    Fenced,
}

/// The participant. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Participant {
    defect: Option<Defect>,
    /// The operations. Locked for as long as one is executed.
    log: Arc<tokio::sync::Mutex<BTreeMap<String, Record>>>,
    /// Operations that began and are not recorded. Only where nothing holds them.
    loose: Arc<Mutex<BTreeSet<String>>>,
    inquired: Arc<Notify>,
    serial: Arc<AtomicI64>,
    /// Operations whose effect stands.
    pub(crate) standing: Arc<Mutex<BTreeSet<String>>>,
    /// The orders of all actions that came.
    pub(crate) seen: Arc<Mutex<BTreeSet<String>>>,
    /// Orders of calls without an id that were executed.
    orders: Arc<Mutex<BTreeSet<String>>>,
}

impl Participant {
    pub(crate) fn new(defect: Option<Defect>) -> Self {
        Self {
            defect,
            log: Arc::default(),
            loose: Arc::default(),
            inquired: Arc::default(),
            serial: Arc::default(),
            standing: Arc::default(),
            seen: Arc::default(),
            orders: Arc::default(),
        }
    }

    fn is(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    fn reply(&self, op_id: &str) -> Vec<u8> {
        let total_minor = self.serial.fetch_add(1, Ordering::Relaxed);
        let reserve_op_id = op_id.to_owned();
        let currency = "KRW".to_owned();
        ReserveResponse { reserve_op_id, items: 1, total_minor, currency }.encode_to_vec()
    }

    /// An action for an order.
    async fn act(
        &self,
        metadata: &MetadataMap,
        body: Vec<u8>,
        order_no: &str,
    ) -> Result<Vec<u8>, Status> {
        self.seen.lock().unwrap().insert(order_no.to_owned());
        let Some(op_id) = op_id(metadata) else {
            if self.is(Defect::NeedsNoId) {
                return Ok(self.reply("none"));
            }
            if self.is(Defect::RefusesAfterwards) {
                self.orders.lock().unwrap().insert(order_no.to_owned());
            }
            return Err(refusal(Code::InvalidArgument, "OP_ID_MISSING"));
        };
        if self.is(Defect::DoesNotWait) {
            self.loose.lock().unwrap().insert(op_id.clone());
            // In vain where nobody inquires.
            let _ = tokio::time::timeout(IN_FLIGHT, self.inquired.notified()).await;
        }
        let mut log = self.log.lock().await;
        self.loose.lock().unwrap().remove(&op_id);
        if let Some(record) = log.get(&op_id).cloned() {
            if matches!(record, Record::Fenced) && self.is(Defect::FencesOnce) {
                log.remove(&op_id);
            }
            return self.act_again(&op_id, body, record, &mut log);
        }
        tokio::task::yield_now().await;
        if order_no.starts_with("refused") {
            log.insert(op_id, Record::Rejected { body });
            return Err(refusal(Code::FailedPrecondition, "OUT_OF_STOCK"));
        }
        if self.orders.lock().unwrap().contains(order_no) {
            log.insert(op_id, Record::Rejected { body });
            return Err(refusal(Code::AlreadyExists, "DUPLICATE_ORDER_NO"));
        }
        // A sale has no order, and an empty reply.
        let reply = if order_no.is_empty() { Vec::new() } else { self.reply(&op_id) };
        self.standing.lock().unwrap().insert(op_id.clone());
        log.insert(op_id, Record::Applied { body, reply: reply.clone() });
        Ok(reply)
    }

    fn act_again(
        &self,
        op_id: &str,
        body: Vec<u8>,
        record: Record,
        log: &mut BTreeMap<String, Record>,
    ) -> Result<Vec<u8>, Status> {
        match record {
            Record::Fenced => Err(refusal(Code::FailedPrecondition, "OP_FENCED")),
            Record::Rejected { body: first } if first == body => {
                Err(refusal(Code::FailedPrecondition, "OUT_OF_STOCK"))
            }
            Record::Applied { body: first, .. }
                if first == body && self.is(Defect::RepliesAnew) =>
            {
                Ok(self.reply(op_id))
            }
            Record::Applied { body: first, reply }
                if first == body || self.is(Defect::ComparesNoBodies) =>
            {
                Ok(reply)
            }
            Record::Applied { .. } | Record::Rejected { .. } => {
                if self.is(Defect::ReplacesTheFirst) {
                    let reply = self.reply(op_id);
                    log.insert(op_id.to_owned(), Record::Applied { body, reply });
                }
                Err(refusal(Code::AlreadyExists, "OP_ID_REUSED"))
            }
        }
    }

    async fn undo(&self, metadata: &MetadataMap, original: &str) -> Result<Vec<u8>, Status> {
        let op_id =
            op_id(metadata).ok_or_else(|| refusal(Code::InvalidArgument, "OP_ID_MISSING"))?;
        let mut log = self.log.lock().await;
        match log.get(&op_id) {
            Some(_) if self.is(Defect::UndoesOnce) => {
                return Err(refusal(Code::FailedPrecondition, "ALREADY_REVERSED"));
            }
            Some(Record::Applied { reply, .. }) => return Ok(reply.clone()),
            _ => {}
        }
        match log.get(original) {
            None if self.is(Defect::KnowsNoEmptyUndo) => {
                return Err(refusal(Code::NotFound, "RESERVATION_NOT_FOUND"));
            }
            None if self.is(Defect::ForgetsTheEmptyUndo) => {}
            None => {
                log.insert(original.to_owned(), Record::Fenced);
            }
            Some(Record::Rejected { .. }) if self.is(Defect::UndoesNoRefusal) => {
                return Err(refusal(Code::FailedPrecondition, "RESERVATION_NOT_HELD"));
            }
            Some(_) => {
                self.standing.lock().unwrap().remove(original);
            }
        }
        let (body, reply) = (original.as_bytes().to_vec(), Vec::new());
        log.insert(op_id, Record::Applied { body, reply: reply.clone() });
        Ok(reply)
    }

    async fn told(&self, op_id: &str, fence: bool) -> Resolution {
        if fence && self.is(Defect::DoesNotWait) && self.loose.lock().unwrap().contains(op_id) {
            self.inquired.notify_one();
            return Resolution::Fenced(Fenced {});
        }
        let mut log = self.log.lock().await;
        match log.get(op_id) {
            None if fence || self.is(Defect::PeekFences) => {
                log.insert(op_id.to_owned(), Record::Fenced);
                Resolution::Fenced(Fenced {})
            }
            None => Resolution::Absent(Absent {}),
            Some(Record::Fenced) => Resolution::Fenced(Fenced {}),
            Some(Record::Rejected { .. }) if self.is(Defect::TellsNoRefusal) => {
                Resolution::Fenced(Fenced {})
            }
            Some(Record::Rejected { .. }) => Resolution::Rejected(Rejected {
                reason: "OUT_OF_STOCK".to_owned(),
                message: String::new(),
            }),
            Some(Record::Applied { .. }) if !fence && self.is(Defect::TellsNoReply) => {
                Resolution::Applied(Applied::default())
            }
            Some(Record::Applied { reply, .. }) => {
                Resolution::Applied(Applied { reply: reply.clone() })
            }
        }
    }
}

fn op_id(metadata: &MetadataMap) -> Option<String> {
    Some(metadata.get("saga-op-id")?.to_str().unwrap().to_owned())
}

fn refusal(code: Code, reason: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, "test", []);
    Status::with_error_details(code, "refused by the test", details)
}

#[tonic::async_trait]
impl ParticipantService for Participant {
    async fn resolve(
        &self,
        request: Request<ResolveRequest>,
    ) -> Result<Response<ResolveResponse>, Status> {
        let request = request.into_inner();
        let fence = request.mode() == ResolveMode::Fence;
        let resolution = Some(self.told(&request.op_id, fence).await);
        Ok(Response::new(ResolveResponse { resolution }))
    }

    async fn list_effects(
        &self,
        _: Request<ListEffectsRequest>,
    ) -> Result<Response<ListEffectsResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn get_log_mark(
        &self,
        _: Request<GetLogMarkRequest>,
    ) -> Result<Response<GetLogMarkResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

#[tonic::async_trait]
impl InventoryService for Participant {
    async fn reserve(
        &self,
        request: Request<ReserveRequest>,
    ) -> Result<Response<ReserveResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let reply = self.act(&metadata, request.encode_to_vec(), &request.order_no).await?;
        Ok(Response::new(ReserveResponse::decode(reply.as_slice()).unwrap()))
    }

    async fn commit(
        &self,
        request: Request<CommitRequest>,
    ) -> Result<Response<CommitResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.act(&metadata, request.encode_to_vec(), "").await?;
        Ok(Response::new(CommitResponse::default()))
    }

    async fn release(
        &self,
        request: Request<ReleaseRequest>,
    ) -> Result<Response<ReleaseResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let reply = self.undo(&metadata, &request.reserve_op_id).await?;
        Ok(Response::new(ReleaseResponse::decode(reply.as_slice()).unwrap()))
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
