//! The participant's gRPC services.

use prost::Message;
use saga_proto::saga::participant::v1::{
    AdvanceHorizonRequest, AdvanceHorizonResponse, GetLogMarkRequest, GetLogMarkResponse,
    ListEffectsRequest, ListEffectsResponse, ResolveMode, ResolveRequest, ResolveResponse,
    participant_service_server::ParticipantService,
};
use shop_proto::inventory::v1::{
    AuditRequest, AuditResponse, CommitRequest, CommitResponse, DecreaseRequest, DecreaseResponse,
    GetStockRequest, GetStockResponse, PutItemRequest, PutItemResponse, QuoteRequest,
    QuoteResponse, ReleaseRequest, ReleaseResponse, ReserveRequest, ReserveResponse,
    RestockRequest, RestockResponse, SetStockRequest, SetStockResponse, Stock,
    inventory_service_server::InventoryService,
};
use tonic::{Request, Response, Status};

use super::participant::Participant;

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

    async fn advance_horizon(
        &self,
        _: Request<AdvanceHorizonRequest>,
    ) -> Result<Response<AdvanceHorizonResponse>, Status> {
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

    async fn get_stock(
        &self,
        request: Request<GetStockRequest>,
    ) -> Result<Response<GetStockResponse>, Status> {
        let stock =
            |item_id: String| Stock { item_id, on_hand: self.on_hand(), ..Stock::default() };
        let stock = request.into_inner().item_ids.into_iter().map(stock).collect();
        Ok(Response::new(GetStockResponse { stock }))
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
