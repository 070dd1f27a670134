//! The RPCs. What they do is said in the contract and done by the request messages.

use saga_participant::Participant;
use shop_proto::order::v1::{
    AcceptOrderRequest, AcceptOrderResponse, AuditRequest, AuditResponse, CancelLineRequest,
    CancelLineResponse, CreatePendingRequest, CreatePendingResponse, FinishCancelLineRequest,
    FinishCancelLineResponse, GetCouponRequest, GetCouponResponse, GetOrderRequest,
    GetOrderResponse, InsertOrderRequest, InsertOrderResponse, IssueCouponRequest,
    IssueCouponResponse, ListHistoryRequest, ListHistoryResponse, RestoreLineRequest,
    RestoreLineResponse, ReturnCouponsRequest, ReturnCouponsResponse, TransitionRequest,
    TransitionResponse, UseCouponsRequest, UseCouponsResponse, WithdrawOrderRequest,
    WithdrawOrderResponse, order_service_server::OrderService,
};
use tonic::{Request, Response, Status};

use crate::Orders;

/// `shop.order.v1.OrderService`.
#[derive(Debug)]
pub struct Api {
    participant: Participant<Orders>,
}

impl Api {
    /// The RPCs of `participant`.
    pub fn new(participant: Participant<Orders>) -> Self {
        Self { participant }
    }
}

#[tonic::async_trait]
impl OrderService for Api {
    async fn accept_order(
        &self,
        request: Request<AcceptOrderRequest>,
    ) -> Result<Response<AcceptOrderResponse>, Status> {
        self.participant.apply(request).await
    }

    async fn withdraw_order(
        &self,
        request: Request<WithdrawOrderRequest>,
    ) -> Result<Response<WithdrawOrderResponse>, Status> {
        self.participant.apply(request).await
    }

    async fn use_coupons(
        &self,
        request: Request<UseCouponsRequest>,
    ) -> Result<Response<UseCouponsResponse>, Status> {
        self.participant.apply(request).await
    }

    async fn return_coupons(
        &self,
        request: Request<ReturnCouponsRequest>,
    ) -> Result<Response<ReturnCouponsResponse>, Status> {
        self.participant.apply(request).await
    }

    async fn issue_coupon(
        &self,
        request: Request<IssueCouponRequest>,
    ) -> Result<Response<IssueCouponResponse>, Status> {
        self.participant.apply(request).await
    }

    async fn get_coupon(
        &self,
        request: Request<GetCouponRequest>,
    ) -> Result<Response<GetCouponResponse>, Status> {
        self.participant.answer(request).await
    }

    async fn insert_order(
        &self,
        request: Request<InsertOrderRequest>,
    ) -> Result<Response<InsertOrderResponse>, Status> {
        self.participant.apply(request).await
    }

    async fn create_pending(
        &self,
        request: Request<CreatePendingRequest>,
    ) -> Result<Response<CreatePendingResponse>, Status> {
        self.participant.apply(request).await
    }

    async fn transition(
        &self,
        request: Request<TransitionRequest>,
    ) -> Result<Response<TransitionResponse>, Status> {
        self.participant.apply(request).await
    }

    async fn cancel_line(
        &self,
        request: Request<CancelLineRequest>,
    ) -> Result<Response<CancelLineResponse>, Status> {
        self.participant.apply(request).await
    }

    async fn restore_line(
        &self,
        request: Request<RestoreLineRequest>,
    ) -> Result<Response<RestoreLineResponse>, Status> {
        self.participant.apply(request).await
    }

    async fn finish_cancel_line(
        &self,
        request: Request<FinishCancelLineRequest>,
    ) -> Result<Response<FinishCancelLineResponse>, Status> {
        self.participant.apply(request).await
    }

    async fn get_order(
        &self,
        request: Request<GetOrderRequest>,
    ) -> Result<Response<GetOrderResponse>, Status> {
        self.participant.answer(request).await
    }

    async fn list_history(
        &self,
        request: Request<ListHistoryRequest>,
    ) -> Result<Response<ListHistoryResponse>, Status> {
        self.participant.answer(request).await
    }

    async fn audit(
        &self,
        request: Request<AuditRequest>,
    ) -> Result<Response<AuditResponse>, Status> {
        self.participant.answer(request).await
    }
}
