//! A participant that does nothing, as fast as it can.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use saga_proto::saga::participant::v1::{
    AdvanceHorizonRequest, AdvanceHorizonResponse, Applied, GetLogMarkRequest, GetLogMarkResponse,
    ListEffectsRequest, ListEffectsResponse, ResolveRequest, ResolveResponse,
    participant_service_server::{ParticipantService, ParticipantServiceServer},
    resolve_response::Resolution,
};
use shop_proto::inventory::v1::{
    self as pb,
    inventory_service_server::{InventoryService, InventoryServiceServer},
};
use tokio::{net::TcpListener, sync::watch};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};
use tonic_types::{ErrorDetails, StatusExt as _};

/// The names of orders whose third step is refused begin so.
pub(crate) const REFUSED: &str = "refused-";

/// Calls that came in, answered or not.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) calls: AtomicU64,
    /// Those of the third step.
    pub(crate) commits: AtomicU64,
}

/// Does nothing, once it is let.
#[derive(Clone)]
struct NoOp {
    /// Becomes true when calls may be answered. `None`: always.
    released: Option<watch::Receiver<bool>>,
    counts: Arc<Counts>,
}

impl NoOp {
    async fn nothing<T: Default>(&self) -> Result<Response<T>, Status> {
        self.counts.calls.fetch_add(1, Ordering::Relaxed);
        if let Some(released) = &self.released {
            let waited = released.clone().wait_for(|released| *released).await.map(drop);
            waited.map_err(|_| Status::unavailable("the benchmark is over"))?;
        }
        Ok(Response::new(T::default()))
    }
}

#[tonic::async_trait]
impl InventoryService for NoOp {
    async fn reserve(
        &self,
        _: Request<pb::ReserveRequest>,
    ) -> Result<Response<pb::ReserveResponse>, Status> {
        self.nothing().await
    }

    async fn commit(
        &self,
        request: Request<pb::CommitRequest>,
    ) -> Result<Response<pb::CommitResponse>, Status> {
        self.counts.commits.fetch_add(1, Ordering::Relaxed);
        if request.get_ref().reserve_op_id.starts_with(REFUSED) {
            return Err(refusal());
        }
        self.nothing().await
    }

    async fn release(
        &self,
        _: Request<pb::ReleaseRequest>,
    ) -> Result<Response<pb::ReleaseResponse>, Status> {
        self.nothing().await
    }

    async fn quote(
        &self,
        _: Request<pb::QuoteRequest>,
    ) -> Result<Response<pb::QuoteResponse>, Status> {
        self.nothing().await
    }

    async fn decrease(
        &self,
        _: Request<pb::DecreaseRequest>,
    ) -> Result<Response<pb::DecreaseResponse>, Status> {
        self.nothing().await
    }

    async fn restock(
        &self,
        _: Request<pb::RestockRequest>,
    ) -> Result<Response<pb::RestockResponse>, Status> {
        self.nothing().await
    }

    async fn set_stock(
        &self,
        _: Request<pb::SetStockRequest>,
    ) -> Result<Response<pb::SetStockResponse>, Status> {
        self.nothing().await
    }

    async fn get_stock(
        &self,
        _: Request<pb::GetStockRequest>,
    ) -> Result<Response<pb::GetStockResponse>, Status> {
        self.nothing().await
    }

    async fn put_item(
        &self,
        _: Request<pb::PutItemRequest>,
    ) -> Result<Response<pb::PutItemResponse>, Status> {
        self.nothing().await
    }

    async fn audit(
        &self,
        _: Request<pb::AuditRequest>,
    ) -> Result<Response<pb::AuditResponse>, Status> {
        self.nothing().await
    }
}

#[tonic::async_trait]
impl ParticipantService for NoOp {
    /// Nothing is done in no time: it was done.
    async fn resolve(
        &self,
        _: Request<ResolveRequest>,
    ) -> Result<Response<ResolveResponse>, Status> {
        let _: Response<()> = self.nothing().await?;
        let resolution = Some(Resolution::Applied(Applied::default()));
        Ok(Response::new(ResolveResponse { resolution }))
    }

    async fn list_effects(
        &self,
        _: Request<ListEffectsRequest>,
    ) -> Result<Response<ListEffectsResponse>, Status> {
        Err(Status::unimplemented("there are none"))
    }

    async fn advance_horizon(
        &self,
        _: Request<AdvanceHorizonRequest>,
    ) -> Result<Response<AdvanceHorizonResponse>, Status> {
        Err(Status::unimplemented("there are none"))
    }

    async fn get_log_mark(
        &self,
        _: Request<GetLogMarkRequest>,
    ) -> Result<Response<GetLogMarkResponse>, Status> {
        Err(Status::unimplemented("there are none"))
    }
}

/// As a service of the kit says that it never will.
fn refusal() -> Status {
    let details = ErrorDetails::with_error_info("RESERVATION_NOT_HELD", "inventory.shop", []);
    Status::with_error_details(tonic::Code::FailedPrecondition, "it was released", details)
}

/// Serves the participant on a free port of the loopback.
pub(crate) async fn serve() -> SocketAddr {
    serve_noop(NoOp { released: None, counts: Arc::default() }).await
}

/// Serves one that holds its calls until it is told otherwise, and counts them.
pub(crate) async fn serve_held(released: watch::Receiver<bool>, counts: Arc<Counts>) -> SocketAddr {
    serve_noop(NoOp { released: Some(released), counts }).await
}

async fn serve_noop(noop: NoOp) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = Server::builder()
        .max_concurrent_streams(65_536)
        .add_service(InventoryServiceServer::new(noop.clone()))
        .add_service(ParticipantServiceServer::new(noop))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    tokio::spawn(serving);
    address
}
