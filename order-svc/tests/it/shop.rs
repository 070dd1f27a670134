//! A running order service with a client.

use order_svc::SCHEMA;
use saga_participant::{
    Arg, Database, Sql,
    testkit::{self, Scratch, new_op_id, reason_of, with_op_id},
};
use saga_proto::shop::order::v1::{
    AuditRequest, AuditResponse, CreatePendingRequest, GetOrderRequest, GetOrderResponse,
    InsertOrderRequest, InsertOrderResponse, ListHistoryRequest, OrderLine, OrderStatus,
    StatusChange, TransitionRequest, TransitionResponse, order_service_client::OrderServiceClient,
};
use tonic::{Code, Response, Status, transport::Channel};

pub(crate) struct Shop {
    pub(crate) database: Database,
    pub(crate) channel: Channel,
    _scratch: Scratch,
}

pub(crate) fn is(status: &Status, code: Code, reason: &str) {
    assert_eq!((status.code(), reason_of(status).as_str()), (code, reason), "{status:?}");
}

pub(crate) fn line(item_id: &str, qty: i64, price_minor: i64, discount_minor: i64) -> OrderLine {
    OrderLine { item_id: item_id.to_owned(), qty, price_minor, discount_minor }
}

/// A paid order of two lines.
pub(crate) fn paid(order_no: &str) -> InsertOrderRequest {
    InsertOrderRequest {
        order_no: order_no.to_owned(),
        customer_id: "customer-1".to_owned(),
        currency: "GBP".to_owned(),
        lines: vec![line("A", 3, 250, 50), line("B", 1, 100, 0)],
        payment_id: "payment-1".to_owned(),
        paid_minor: 800,
    }
}

pub(crate) fn pending(order_no: &str) -> CreatePendingRequest {
    let InsertOrderRequest { order_no, customer_id, currency, lines, .. } = paid(order_no);
    CreatePendingRequest { order_no, customer_id, currency, lines }
}

impl Shop {
    pub(crate) async fn open(scratch: Scratch) -> Self {
        let database = scratch.open(&SCHEMA).await;
        let channel = testkit::serve(order_svc::app(database.clone())).await;
        Self { database, channel, _scratch: scratch }
    }

    pub(crate) fn client(&self) -> OrderServiceClient<Channel> {
        OrderServiceClient::new(self.channel.clone())
    }

    pub(crate) async fn insert(
        &self,
        order: InsertOrderRequest,
    ) -> Result<InsertOrderResponse, Status> {
        let request = with_op_id(new_op_id(), order);
        self.client().insert_order(request).await.map(Response::into_inner)
    }

    /// Inserts a pending order; returns the id of its first status.
    pub(crate) async fn pending(&self, order_no: &str) -> i64 {
        let request = with_op_id(new_op_id(), pending(order_no));
        self.client().create_pending(request).await.unwrap().into_inner().status_id
    }

    pub(crate) async fn transition(
        &self,
        order_no: &str,
        to: OrderStatus,
        expected_head: i64,
    ) -> Result<TransitionResponse, Status> {
        let request = TransitionRequest {
            order_no: order_no.to_owned(),
            to: to.into(),
            reason: "because".to_owned(),
            expected_head,
        };
        let request = with_op_id(new_op_id(), request);
        self.client().transition(request).await.map(Response::into_inner)
    }

    pub(crate) async fn order(&self, order_no: &str) -> Result<GetOrderResponse, Status> {
        let request = GetOrderRequest { order_no: order_no.to_owned() };
        self.client().get_order(request).await.map(Response::into_inner)
    }

    pub(crate) async fn history(&self, order_no: &str) -> Result<Vec<StatusChange>, Status> {
        let request = ListHistoryRequest { order_no: order_no.to_owned() };
        Ok(self.client().list_history(request).await?.into_inner().changes)
    }

    pub(crate) async fn audit(&self) -> AuditResponse {
        self.client().audit(AuditRequest {}).await.unwrap().into_inner()
    }

    pub(crate) async fn assert_sound(&self) {
        assert_eq!(self.audit().await.violations, Vec::<String>::new());
    }

    /// Changes a table by hand, as no operation does.
    pub(crate) async fn tamper(&self, sql: impl Into<Sql>) -> Result<(), String> {
        let sql = sql.into();
        let change = move |mut tx: saga_participant::Tx| async move {
            tx.execute(sql, &[] as &[Arg<'_>]).await?;
            tx.commit().await
        };
        self.database.write(change).await.map_err(|it| format!("{it:?}"))
    }
}
