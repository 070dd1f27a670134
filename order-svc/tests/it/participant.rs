//! Orders pass the participant suite over the wire: the actions, and those that have a
//! compensation together with it.

use std::sync::Arc;

use prost_types::Timestamp;
use saga_participant::{
    on_both_databases,
    testkit::{
        Answer, Body, Scratch, Subject, answer, certify, certify_action, new_op_id, resolve,
        with_op_id,
    },
};
use saga_proto::saga::participant::v1::{ResolveMode, resolve_response::Resolution};
use shop_proto::order::v1::{
    CancelLineRequest, Coupon, CouponKind, InsertOrderRequest, IssueCouponRequest, OrderStatus,
    RestoreLineRequest, ReturnCouponsRequest, TransitionRequest, UseCouponsRequest,
};
use tonic::{Code, Status, async_trait};
use uuid::Uuid;

use crate::shop::{Shop, change, paid};

on_both_databases!(
    the_suite_holds_for_inserts,
    the_suite_holds_for_transitions_and_their_undo,
    the_suite_holds_for_cancels_of_lines_and_their_undo,
    the_suite_holds_for_uses_of_coupons_and_their_undo,
);

async fn the_suite_holds_for_inserts(scratch: Scratch) {
    let shop = Arc::new(Shop::open(scratch).await);
    certify_action(Arc::new(Inserts(shop.clone()))).await.assert_all_hold();
    shop.assert_sound().await;
}

async fn the_suite_holds_for_transitions_and_their_undo(scratch: Scratch) {
    let shop = Arc::new(Shop::open(scratch).await);
    certify(Arc::new(Requests(shop.clone()))).await.assert_all_hold();
    shop.assert_sound().await;
}

async fn the_suite_holds_for_cancels_of_lines_and_their_undo(scratch: Scratch) {
    let shop = Arc::new(Shop::open(scratch).await);
    certify(Arc::new(LineCancels(shop.clone()))).await.assert_all_hold();
    shop.assert_sound().await;
}

async fn the_suite_holds_for_uses_of_coupons_and_their_undo(scratch: Scratch) {
    let shop = Arc::new(Shop::open(scratch).await);
    certify(Arc::new(CouponUses(shop.clone()))).await.assert_all_hold();
}

struct Inserts(Arc<Shop>);

#[async_trait]
impl Subject for Inserts {
    async fn act(&self, op_id: Uuid, body: Body) -> Result<Answer, Status> {
        let order = paid(&op_id.to_string());
        let order = match body {
            Body::Plain => order,
            Body::Other => InsertOrderRequest { customer_id: "customer-2".to_owned(), ..order },
            Body::Refused => InsertOrderRequest { paid_minor: 1, ..order },
        };
        answer(self.0.client().insert_order(with_op_id(op_id, order)).await)
    }

    async fn resolve(&self, op_id: Uuid, mode: ResolveMode) -> Result<Resolution, Status> {
        resolve(&self.0.channel, op_id, mode).await
    }

    async fn standing(&self) -> i64 {
        self.0.audit().await.orders
    }
}

/// The paid order on which the operation acts, inserted by whoever comes first.
async fn order_of(shop: &Shop, op_id: Uuid) -> Result<String, Status> {
    let order_no = op_id.to_string();
    match shop.client().insert_order(with_op_id(new_op_id(), paid(&order_no))).await {
        Err(status) if status.code() != Code::AlreadyExists => Err(status),
        _ => Ok(order_no),
    }
}

/// Requests to cancel an order, and their rejection.
struct Requests(Arc<Shop>);

#[async_trait]
impl Subject for Requests {
    async fn act(&self, op_id: Uuid, body: Body) -> Result<Answer, Status> {
        let order_no = order_of(&self.0, op_id).await?;
        let request = change(&order_no, OrderStatus::CancelRequested);
        let request = match body {
            Body::Plain => request,
            Body::Other => TransitionRequest { reason: "another".to_owned(), ..request },
            Body::Refused => change(&order_no, OrderStatus::Delivered),
        };
        answer(self.0.client().transition(with_op_id(op_id, request)).await)
    }

    async fn undo(&self, op_id: Uuid, original: Uuid) -> Result<Answer, Status> {
        let undo = TransitionRequest {
            reverses_op_id: original.to_string(),
            ..change(&original.to_string(), OrderStatus::CancelRejected)
        };
        answer(self.0.client().transition(with_op_id(op_id, undo)).await)
    }

    async fn resolve(&self, op_id: Uuid, mode: ResolveMode) -> Result<Resolution, Status> {
        resolve(&self.0.channel, op_id, mode).await
    }

    async fn standing(&self) -> i64 {
        let sql = "/* standing */ select count(*) from order_heads
            where status = 'CANCEL_REQUESTED'";
        self.0.number(sql).await
    }
}

struct LineCancels(Arc<Shop>);

#[async_trait]
impl Subject for LineCancels {
    async fn act(&self, op_id: Uuid, body: Body) -> Result<Answer, Status> {
        let order_no = order_of(&self.0, op_id).await?;
        let line_no = match body {
            Body::Plain => 1,
            Body::Other => 2,
            Body::Refused => 3,
        };
        let request = CancelLineRequest { order_no, line_no, customer_id: "customer-1".to_owned() };
        answer(self.0.client().cancel_line(with_op_id(op_id, request)).await)
    }

    async fn undo(&self, op_id: Uuid, original: Uuid) -> Result<Answer, Status> {
        let request = RestoreLineRequest { cancel_op_id: original.to_string() };
        answer(self.0.client().restore_line(with_op_id(op_id, request)).await)
    }

    async fn resolve(&self, op_id: Uuid, mode: ResolveMode) -> Result<Resolution, Status> {
        resolve(&self.0.channel, op_id, mode).await
    }

    async fn standing(&self) -> i64 {
        let sql = "/* standing */ select count(*) from order_lines where state = 'CANCELING'";
        self.0.number(sql).await
    }
}

/// Uses of a coupon that is issued by whoever comes first.
struct CouponUses(Arc<Shop>);

#[async_trait]
impl Subject for CouponUses {
    async fn act(&self, op_id: Uuid, body: Body) -> Result<Answer, Status> {
        let coupon_id = op_id.to_string();
        let issued = with_op_id(new_op_id(), issue_to_customer_1(&coupon_id));
        self.0.client().issue_coupon(issued).await?;
        let InsertOrderRequest { order_no, customer_id, currency, mut lines, .. } =
            paid(&coupon_id);
        lines.iter_mut().for_each(|it| it.discount_minor = 0);
        let expected_minor = match body {
            Body::Plain => 0,
            Body::Other => 840,
            Body::Refused => 1,
        };
        let request = UseCouponsRequest {
            order_no,
            customer_id,
            currency,
            lines,
            coupon_ids: vec![coupon_id],
            expected_minor,
            is_paid: true,
        };
        answer(self.0.client().use_coupons(with_op_id(op_id, request)).await)
    }

    async fn undo(&self, op_id: Uuid, original: Uuid) -> Result<Answer, Status> {
        let request = ReturnCouponsRequest { use_op_id: original.to_string() };
        answer(self.0.client().return_coupons(with_op_id(op_id, request)).await)
    }

    async fn resolve(&self, op_id: Uuid, mode: ResolveMode) -> Result<Resolution, Status> {
        resolve(&self.0.channel, op_id, mode).await
    }

    async fn standing(&self) -> i64 {
        self.0.number("/* standing */ select count(*) from coupon_uses").await
    }
}

/// Ten off.
fn issue_to_customer_1(coupon_id: &str) -> IssueCouponRequest {
    let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
    let coupon = Coupon {
        coupon_id: coupon_id.to_owned(),
        customer_id: "customer-1".to_owned(),
        item_id: String::new(),
        kind: CouponKind::Amount.into(),
        value: 10,
        currency: "GBP".to_owned(),
        valid_from: at(0),
        valid_to: at(4_000_000_000),
    };
    IssueCouponRequest { coupon: Some(coupon) }
}
