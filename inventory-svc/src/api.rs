//! The RPCs. What they do is said in the contract and done by the request messages.

use saga_participant::Participant;
use saga_proto::shop::inventory::v1::{
    AuditRequest, AuditResponse, CommitRequest, CommitResponse, GetStockRequest, GetStockResponse,
    PutItemRequest, PutItemResponse, ReleaseRequest, ReleaseResponse, ReserveRequest,
    ReserveResponse, inventory_service_server::InventoryService,
};
use tonic::{Request, Response, Status};

use crate::Inventory;

/// `shop.inventory.v1.InventoryService`.
#[derive(Debug)]
pub struct Api {
    participant: Participant<Inventory>,
}

impl Api {
    /// The RPCs of `participant`.
    pub fn new(participant: Participant<Inventory>) -> Self {
        Self { participant }
    }
}

#[tonic::async_trait]
impl InventoryService for Api {
    async fn reserve(
        &self,
        request: Request<ReserveRequest>,
    ) -> Result<Response<ReserveResponse>, Status> {
        self.participant.apply(request).await
    }

    async fn commit(
        &self,
        request: Request<CommitRequest>,
    ) -> Result<Response<CommitResponse>, Status> {
        self.participant.apply(request).await
    }

    async fn release(
        &self,
        request: Request<ReleaseRequest>,
    ) -> Result<Response<ReleaseResponse>, Status> {
        self.participant.apply(request).await
    }

    async fn get_stock(
        &self,
        request: Request<GetStockRequest>,
    ) -> Result<Response<GetStockResponse>, Status> {
        self.participant.answer(request).await
    }

    async fn put_item(
        &self,
        request: Request<PutItemRequest>,
    ) -> Result<Response<PutItemResponse>, Status> {
        self.participant.apply(request).await
    }

    async fn audit(
        &self,
        request: Request<AuditRequest>,
    ) -> Result<Response<AuditResponse>, Status> {
        self.participant.answer(request).await
    }
}
