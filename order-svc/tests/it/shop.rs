//! A running order service with a client.

use order_svc::SCHEMA;
use saga_participant::{
    Arg, Database, OperationError, Sql, Tx,
    testkit::{self, Scratch, new_op_id, reason_of, with_op_id},
};
use shop_proto::order::v1::{
    AuditRequest, AuditResponse, CancelLineRequest, CancelLineResponse, CreatePendingRequest,
    FinishCancelLineRequest, FinishCancelLineResponse, GetOrderRequest, GetOrderResponse,
    InsertOrderRequest, InsertOrderResponse, ListHistoryRequest, OrderLine, OrderStatus,
    RestoreLineRequest, RestoreLineResponse, StatusChange, TransitionRequest, TransitionResponse,
    order_service_client::OrderServiceClient,
};
use tonic::{Code, Response, Status, transport::Channel};
use tonic_types::StatusExt as _;
use uuid::Uuid;

pub(crate) struct Shop {
    pub(crate) database: Database,
    pub(crate) channel: Channel,
    pub(crate) _scratch: Scratch,
}

pub(crate) fn is(status: &Status, code: Code, reason: &str) {
    assert_eq!((status.code(), reason_of(status).as_str()), (code, reason), "{status:?}");
}

/// Whether it is a refusal of a change of status that `from` does not allow.
pub(crate) fn is_illegal(status: &Status, from: &str) {
    is(status, Code::FailedPrecondition, "ILLEGAL_TRANSITION");
    assert_eq!(fact(status, "from"), from);
}

/// A fact of a refusal for programs.
pub(crate) fn fact(status: &Status, name: &str) -> String {
    status.get_details_error_info().unwrap().metadata.remove(name).unwrap_or_default()
}

pub(crate) fn line(item_id: &str, qty: i64, price_minor: i64, discount_minor: i64) -> OrderLine {
    OrderLine { item_id: item_id.to_owned(), qty, price_minor, discount_minor, credits: 0 }
}

/// A paid order of two lines, of 750 and 50.
pub(crate) fn paid(order_no: &str) -> InsertOrderRequest {
    InsertOrderRequest {
        order_no: order_no.to_owned(),
        customer_id: "customer-1".to_owned(),
        currency: "GBP".to_owned(),
        lines: vec![line("A", 3, 250, 0), line("B", 1, 50, 0)],
        payment_id: "payment-1".to_owned(),
        paid_minor: 800,
        ..InsertOrderRequest::default()
    }
}

pub(crate) fn pending(order_no: &str) -> CreatePendingRequest {
    let InsertOrderRequest { order_no, customer_id, currency, lines, credit_account, .. } =
        paid(order_no);
    let accept_op_id = String::new();
    CreatePendingRequest { order_no, customer_id, currency, lines, credit_account, accept_op_id }
}

/// A change of status that the shop itself asks for.
pub(crate) fn change(order_no: &str, to: OrderStatus) -> TransitionRequest {
    let payment_id = if to == OrderStatus::PaymentSuccess { "payment-1" } else { "" };
    let is_asked_for = matches!(
        to,
        OrderStatus::CancelRequested | OrderStatus::RefundRequested | OrderStatus::PaymentWithdrawn
    );
    TransitionRequest {
        customer_id: if is_asked_for { "customer-1".to_owned() } else { String::new() },
        order_no: order_no.to_owned(),
        to: to.into(),
        reason: "because".to_owned(),
        payment_id: payment_id.to_owned(),
        ..TransitionRequest::default()
    }
}

impl Shop {
    pub(crate) async fn open(scratch: Scratch) -> Self {
        let database = scratch.open(&SCHEMA).await;
        Self::serve(scratch, database).await
    }

    /// Serves a database as it is.
    pub(crate) async fn serve(scratch: Scratch, database: Database) -> Self {
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

    pub(crate) async fn change(
        &self,
        op_id: Uuid,
        request: TransitionRequest,
    ) -> Result<TransitionResponse, Status> {
        let request = with_op_id(op_id, request);
        self.client().transition(request).await.map(Response::into_inner)
    }

    pub(crate) async fn transition(
        &self,
        order_no: &str,
        to: OrderStatus,
        expected_head: i64,
    ) -> Result<TransitionResponse, Status> {
        self.change(new_op_id(), TransitionRequest { expected_head, ..change(order_no, to) }).await
    }

    pub(crate) async fn cancel_line(
        &self,
        op_id: Uuid,
        order_no: &str,
        line_no: i64,
    ) -> Result<CancelLineResponse, Status> {
        let (order_no, customer_id) = (order_no.to_owned(), "customer-1".to_owned());
        let request = with_op_id(op_id, CancelLineRequest { order_no, line_no, customer_id });
        self.client().cancel_line(request).await.map(Response::into_inner)
    }

    pub(crate) async fn restore_line(
        &self,
        op_id: Uuid,
        cancel_op_id: Uuid,
    ) -> Result<RestoreLineResponse, Status> {
        let cancel_op_id = cancel_op_id.to_string();
        let request = with_op_id(op_id, RestoreLineRequest { cancel_op_id });
        self.client().restore_line(request).await.map(Response::into_inner)
    }

    pub(crate) async fn finish_line(
        &self,
        op_id: Uuid,
        cancel_op_id: Uuid,
    ) -> Result<FinishCancelLineResponse, Status> {
        let cancel_op_id = cancel_op_id.to_string();
        let request = with_op_id(op_id, FinishCancelLineRequest { cancel_op_id });
        self.client().finish_cancel_line(request).await.map(Response::into_inner)
    }

    /// Cancels a line from begin to end.
    pub(crate) async fn drop_line(&self, order_no: &str, line_no: i64) -> OrderStatus {
        let cancel = new_op_id();
        self.cancel_line(cancel, order_no, line_no).await.unwrap();
        self.finish_line(new_op_id(), cancel).await.unwrap().status()
    }

    pub(crate) async fn order(&self, order_no: &str) -> Result<GetOrderResponse, Status> {
        let request = GetOrderRequest { order_no: order_no.to_owned() };
        self.client().get_order(request).await.map(Response::into_inner)
    }

    pub(crate) async fn status(&self, order_no: &str) -> OrderStatus {
        self.order(order_no).await.unwrap().status()
    }

    pub(crate) async fn history(&self, order_no: &str) -> Result<Vec<StatusChange>, Status> {
        let request = ListHistoryRequest { order_no: order_no.to_owned() };
        Ok(self.client().list_history(request).await?.into_inner().changes)
    }

    pub(crate) async fn audit(&self) -> AuditResponse {
        self.client().audit(AuditRequest {}).await.unwrap().into_inner()
    }

    /// What the audit finds in a currency.
    pub(crate) async fn balance(&self, currency: &str) -> i64 {
        let balances = self.audit().await.balances;
        let found = balances.iter().find(|it| it.currency == currency);
        found.map_or(0, |it| it.balance_minor)
    }

    pub(crate) async fn assert_sound(&self) {
        assert_eq!(self.audit().await.violations, Vec::<String>::new());
    }

    /// Changes a table by hand, as no operation does.
    pub(crate) async fn tamper(&self, sql: impl Into<Sql>) -> Result<(), String> {
        let sql = sql.into();
        let change = move |mut tx: Tx| async move {
            tx.execute(sql, &[] as &[Arg<'_>]).await?;
            tx.commit().await
        };
        self.database.write(change).await.map_err(|it| format!("{it:?}"))
    }

    /// Discounts of orders without coupons are of before there were any.
    pub(crate) async fn call_discounts_old(&self) {
        let old = "update orders set uncouponed_minor = (
                select coalesce(sum(discount_minor), 0) from order_lines
                where order_lines.order_no = orders.order_no
            )";
        self.tamper(old).await.unwrap();
    }

    /// Appends a status by hand, behind the newest row.
    pub(crate) async fn append(&self, row: RawStatus) -> Result<(), String> {
        let change = move |mut tx: Tx| async move {
            row.insert(&mut tx).await?;
            tx.commit().await
        };
        self.database.write(change).await.map_err(|it| format!("{it:?}"))
    }

    /// The first number of a statement's first row.
    pub(crate) async fn number(&self, sql: &'static str) -> i64 {
        let read = move |mut tx: Tx| async move {
            let row = tx.row(sql, &[]).await?;
            Ok::<i64, OperationError>(row.unwrap().int(0)?)
        };
        self.database.read(read).await.unwrap()
    }
}

/// A status row as somebody might write it who goes round the service.
#[derive(Clone, Debug)]
pub(crate) struct RawStatus {
    pub(crate) order_no: String,
    pub(crate) to: &'static str,
    /// What it pretends that the row before counts as. None: what that one does.
    pub(crate) from: Option<&'static str>,
    /// What a rejection pretends to restore. None: what was before the request.
    pub(crate) restores: Option<&'static str>,
    pub(crate) line_no: Option<i64>,
    pub(crate) at_ms: i64,
}

impl RawStatus {
    pub(crate) fn of(order_no: &str, to: &'static str) -> Self {
        let order_no = order_no.to_owned();
        Self { order_no, to, from: None, restores: None, line_no: None, at_ms: 0 }
    }

    pub(crate) async fn insert(&self, tx: &mut Tx) -> Result<(), sqlx::Error> {
        tx.execute(
            "insert into order_status (order_no, prev_id, from_status, status, restores, line_no,
                reason, op_id, changed_at_ms)
            select order_no, id, coalesce($2, counts_as), $3, coalesce($4,
                case when $3 in ('CANCEL_REJECTED', 'REFUND_REJECTED') then from_status end),
                $5, '', $6, $7
            from order_heads where order_no = $1",
            &[
                Arg::Text(&self.order_no),
                self.from.into(),
                Arg::Text(self.to),
                self.restores.into(),
                self.line_no.into(),
                Arg::Uuid(new_op_id()),
                Arg::Int(self.at_ms),
            ],
        )
        .await
        .map(|inserted| assert_eq!(inserted, 1))
    }
}
