//! The kit's own suite, run on this service: is it safe to be part of a saga?

use std::sync::Arc;

use payment_svc::simulator::{DuplicateOrders, SimulatorConfig};
use saga_participant::{
    on_both_databases,
    testkit::{Answer, Body, Scratch, Subject, answer, certify, with_op_id},
};
use saga_proto::{
    saga::participant::v1::{ResolveMode, resolve_response::Resolution},
    shop::payment::v1::CancelRequest,
};
use tonic::{Status, async_trait};
use uuid::Uuid;

use crate::{
    bank::{Bank, decline, on_confirm},
    shop::{Shop, request},
};

on_both_databases!(the_suite_holds);

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

async fn the_suite_holds(scratch: Scratch) {
    let duplicate_orders = DuplicateOrders::Captured;
    let config = SimulatorConfig { duplicate_orders, ..SimulatorConfig::default() };
    let shop = Arc::new(Shop::open_at(scratch, Bank::open_with(config).await).await);
    certify(Arc::new(PaymentSubject(shop.clone()))).await.assert_all_hold();
    let ledger = shop.bank.simulator.ledger().await.unwrap();
    assert!(ledger.iter().all(|it| it.captures == 1));
    shop.assert_books_agree().await;
}
