//! The RPCs. What they do is said in the contract and done by the request messages.

use saga_participant::{Lane, Participant};
use shop_proto::inventory::v1::{
    AuditRequest, AuditResponse, CommitRequest, CommitResponse, DecreaseRequest, DecreaseResponse,
    GetStockRequest, GetStockResponse, PutItemRequest, PutItemResponse, QuoteRequest,
    QuoteResponse, ReleaseRequest, ReleaseResponse, ReserveRequest, ReserveResponse,
    RestockRequest, RestockResponse, SetStockRequest, SetStockResponse,
    inventory_service_server::InventoryService,
};
use tonic::{Request, Response, Status};

use crate::Inventory;

/// `shop.inventory.v1.InventoryService`.
#[derive(Debug)]
pub struct Api {
    participant: Participant<Inventory>,
    lane: Option<Lane<ReserveRequest>>,
}

impl Api {
    /// The RPCs of `participant`; reservations go through `lane`, where there is one.
    pub fn new(participant: Participant<Inventory>, lane: Option<Lane<ReserveRequest>>) -> Self {
        Self { participant, lane }
    }
}

#[tonic::async_trait]
impl InventoryService for Api {
    async fn reserve(
        &self,
        request: Request<ReserveRequest>,
    ) -> Result<Response<ReserveResponse>, Status> {
        match &self.lane {
            Some(lane) => self.participant.apply_together(lane, request).await,
            None => self.participant.apply(request).await,
        }
    }

    async fn quote(
        &self,
        request: Request<QuoteRequest>,
    ) -> Result<Response<QuoteResponse>, Status> {
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

    async fn decrease(
        &self,
        request: Request<DecreaseRequest>,
    ) -> Result<Response<DecreaseResponse>, Status> {
        self.participant.apply(request).await
    }

    async fn restock(
        &self,
        request: Request<RestockRequest>,
    ) -> Result<Response<RestockResponse>, Status> {
        self.participant.apply(request).await
    }

    async fn set_stock(
        &self,
        request: Request<SetStockRequest>,
    ) -> Result<Response<SetStockResponse>, Status> {
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
