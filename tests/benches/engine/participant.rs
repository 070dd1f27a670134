//! A participant that does nothing, as fast as it can.

use std::net::SocketAddr;

use saga_proto::shop::inventory::v1::{
    self as pb,
    inventory_service_server::{InventoryService, InventoryServiceServer},
};
use tokio::{net::TcpListener, sync::watch};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

/// Does nothing, once it is let.
struct NoOp {
    /// Becomes true when calls may be answered. `None`: always.
    released: Option<watch::Receiver<bool>>,
}

impl NoOp {
    async fn nothing<T: Default>(&self) -> Result<Response<T>, Status> {
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
        _: Request<pb::CommitRequest>,
    ) -> Result<Response<pb::CommitResponse>, Status> {
        self.nothing().await
    }

    async fn release(
        &self,
        _: Request<pb::ReleaseRequest>,
    ) -> Result<Response<pb::ReleaseResponse>, Status> {
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

/// Serves the participant on a free port of the loopback.
pub(crate) async fn serve() -> SocketAddr {
    serve_noop(NoOp { released: None }).await
}

/// Serves one that holds its calls until it is told otherwise.
pub(crate) async fn serve_held(released: watch::Receiver<bool>) -> SocketAddr {
    serve_noop(NoOp { released: Some(released) }).await
}

async fn serve_noop(noop: NoOp) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = Server::builder()
        .max_concurrent_streams(65_536)
        .add_service(InventoryServiceServer::new(noop))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    tokio::spawn(serving);
    address
}
