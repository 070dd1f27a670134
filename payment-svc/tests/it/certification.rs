//! The kit's own suite, run on this service: is it safe to be part of a saga?

use std::sync::Arc;

use payment_svc::simulator::{DuplicateOrders, SimulatorConfig};
use saga_participant::{
    on_both_databases,
    testkit::{Answer, Body, Scratch, Subject, answer, certify, certify_action, with_op_id},
};
use saga_proto::saga::participant::v1::{ResolveMode, resolve_response::Resolution};
use shop_proto::payment::v1::{CancelRequest, GrantCreditRequest};
use tonic::{Status, async_trait};
use uuid::Uuid;

use crate::{
    bank::{Bank, decline, on_confirm},
    shop::{Shop, paid, request, within},
};

on_both_databases!(
    the_suite_holds_for_confirm_and_cancel,
    the_suite_holds_for_verify_and_cancel,
    the_suite_holds_for_a_grant,
);

struct PaymentSubject(Arc<Shop>);

#[async_trait]
impl Subject for PaymentSubject {
    async fn act(&self, op_id: Uuid, body: Body) -> Result<Answer, Status> {
        let (name, faults) = match body {
            Body::Plain => ("plain", on_confirm([])),
            Body::Other => ("other", on_confirm([])),
            Body::Refused => ("refused", on_confirm([decline("REJECT_CARD_PAYMENT")])),
        };
        let (key, order_no) = (format!("{name}-{op_id}"), format!("order-{name}-{op_id}"));
        self.0.bank.buyer_with(&key, &order_no, 700, faults).await;
        let request = with_op_id(op_id, request(&key, &order_no, 700));
        answer(self.0.participant.perform(request).await)
    }

    async fn undo(&self, op_id: Uuid, original: Uuid) -> Result<Answer, Status> {
        let reverses_op_id = original.to_string();
        let request = CancelRequest { reverses_op_id, ..CancelRequest::default() };
        answer(self.0.participant.perform(with_op_id(op_id, request)).await)
    }

    async fn resolve(&self, op_id: Uuid, mode: ResolveMode) -> Result<Resolution, Status> {
        self.0.resolve(op_id, mode).await
    }

    async fn standing(&self) -> i64 {
        let ledger = self.0.bank.simulator.ledger().await.unwrap();
        let held: i64 = ledger.iter().map(|it| it.captured_minor - it.cancelled_minor).sum();
        assert_eq!(held % 700, 0);
        held / 700
    }
}

async fn the_suite_holds_for_confirm_and_cancel(scratch: Scratch) {
    let duplicate_orders = DuplicateOrders::Captured;
    let config = SimulatorConfig { duplicate_orders, ..SimulatorConfig::default() };
    let shop = Arc::new(Shop::open_at(scratch, Bank::open_with(config).await).await);
    // A claim that waits for money that never moves must fail, and soon.
    within(certify(Arc::new(PaymentSubject(shop.clone())))).await.assert_all_hold();
    let ledger = shop.bank.simulator.ledger().await.unwrap();
    assert!(ledger.iter().all(|it| it.captures == 1));
    shop.assert_books_agree().await;
}

/// What was verified, in our own books: the buyer's money is at the provider before.
struct VerifySubject(Arc<Shop>);

#[async_trait]
impl Subject for VerifySubject {
    async fn act(&self, op_id: Uuid, body: Body) -> Result<Answer, Status> {
        let (name, minor) = match body {
            Body::Plain => ("plain", 700),
            Body::Other => ("other", 700),
            Body::Refused => ("refused", 600),
        };
        let (key, order_no) = (format!("{name}-{op_id}"), format!("order-{name}-{op_id}"));
        self.0.bank.payer(&key, &order_no, minor).await;
        let request = with_op_id(op_id, paid(&key, &order_no, 700));
        answer(self.0.participant.perform(request).await)
    }

    async fn undo(&self, op_id: Uuid, original: Uuid) -> Result<Answer, Status> {
        let reverses_op_id = original.to_string();
        let request = CancelRequest { reverses_op_id, ..CancelRequest::default() };
        answer(self.0.participant.perform(with_op_id(op_id, request)).await)
    }

    async fn resolve(&self, op_id: Uuid, mode: ResolveMode) -> Result<Resolution, Status> {
        self.0.resolve(op_id, mode).await
    }

    async fn standing(&self) -> i64 {
        self.0.balance("KRW").await / 700
    }
}

async fn the_suite_holds_for_verify_and_cancel(scratch: Scratch) {
    let shop = Arc::new(Shop::open(scratch).await);
    within(certify(Arc::new(VerifySubject(shop.clone())))).await.assert_all_hold();
    assert_eq!(shop.audit().await.violations, Vec::<String>::new());
}

struct GrantSubject(Arc<Shop>);

#[async_trait]
impl Subject for GrantSubject {
    async fn act(&self, op_id: Uuid, body: Body) -> Result<Answer, Status> {
        // Each operation has a payment of its own, made under an id that depends on it.
        let (confirm_id, order_no) = (Uuid::new_v5(&op_id, b"paid"), format!("order-{op_id}"));
        let payment_id = match body {
            Body::Refused => confirm_id.to_string(),
            Body::Plain | Body::Other => {
                self.0.bank.buyer(&order_no, &order_no, 700).await;
                let paid = self.0.confirm(confirm_id, &request(&order_no, &order_no, 700)).await;
                paid?.payment_id
            }
        };
        let credits = if matches!(body, Body::Other) { 2 } else { 1 };
        let account = "customer-1".to_owned();
        let request = GrantCreditRequest { payment_id, account, credits };
        answer(self.0.participant.apply(with_op_id(op_id, request)).await)
    }

    async fn undo(&self, _: Uuid, _: Uuid) -> Result<Answer, Status> {
        Err(Status::unimplemented("a grant is the last step"))
    }

    async fn resolve(&self, op_id: Uuid, mode: ResolveMode) -> Result<Resolution, Status> {
        self.0.resolve(op_id, mode).await
    }

    async fn standing(&self) -> i64 {
        self.0.credit().await
    }
}

async fn the_suite_holds_for_a_grant(scratch: Scratch) {
    let shop = Arc::new(Shop::open(scratch).await);
    within(certify_action(Arc::new(GrantSubject(shop.clone())))).await.assert_all_hold();
    shop.assert_books_agree().await;
}
