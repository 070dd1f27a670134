//! The service dies between its intent and the provider's answer.

use std::sync::Arc;

use async_trait::async_trait;
use payment_svc::{
    SCHEMA,
    provider::{
        Asking, CancelAnswer, Charge, ConfirmAnswer, Provider, Refund, Seen, Wanted, toss::Toss,
    },
};
use saga_participant::{
    Settled, on_both_databases,
    testkit::{Scratch, new_op_id, with_op_id},
};
use saga_proto::saga::participant::v1::{ResolveMode, resolve_response::Resolution};
use shop_proto::payment::v1::PaymentStatus;
use tokio::sync::Notify;

use crate::{
    bank::Bank,
    shop::{Shop, request, resolve, service, within},
};

on_both_databases!(
    a_service_that_dies_after_the_capture_is_succeeded,
    a_service_that_dies_before_the_capture_is_succeeded,
    a_service_that_dies_in_a_cancel_is_succeeded,
);

/// A provider whose answers never come back, as seen by a service that dies.
#[derive(Debug)]
struct Grave {
    toss: Toss,
    is_asked: bool,
    reached: Notify,
}

impl Grave {
    async fn swallow<A>(&self, request: impl Future<Output = Settled<A>>) -> Settled<A> {
        if self.is_asked {
            request.await;
        }
        self.reached.notify_one();
        std::future::pending().await
    }
}

#[async_trait]
impl Provider for Grave {
    fn name(&self) -> &'static str {
        "toss"
    }

    fn takes(&self, _: &str) -> bool {
        true
    }

    async fn confirm(&self, charge: &Charge, asking: &Asking) -> Settled<ConfirmAnswer> {
        self.swallow(self.toss.confirm(charge, asking)).await
    }

    async fn cancel(&self, refund: &Refund, asking: &Asking) -> Settled<CancelAnswer> {
        self.swallow(self.toss.cancel(refund, asking)).await
    }

    async fn look_up(&self, _: Wanted<'_>) -> Settled<Option<Seen>> {
        std::future::pending().await
    }
}

fn grave(bank: &Bank, is_asked: bool) -> Arc<Grave> {
    Arc::new(Grave { toss: bank.toss(), is_asked, reached: Notify::new() })
}

async fn a_service_that_dies_after_the_capture_is_succeeded(scratch: Scratch) {
    dies_in_a_confirm(scratch, true).await;
}

async fn a_service_that_dies_before_the_capture_is_succeeded(scratch: Scratch) {
    dies_in_a_confirm(scratch, false).await;
}

async fn dies_in_a_confirm(scratch: Scratch, is_asked: bool) {
    let bank = Bank::open().await;
    bank.buyer("pay-1", "order-1", 700).await;
    let (op_id, it) = (new_op_id(), request("pay-1", "order-1", 700));

    let provider = grave(&bank, is_asked);
    let dying = service(&scratch.open(&SCHEMA).await, provider.clone());
    tokio::spawn(async move { dying.perform(with_op_id(op_id, it)).await });
    within(provider.reached.notified()).await;
    assert_eq!(bank.money("order-1").await.2, i64::from(is_asked));

    // Another process opens the database. It finds the intent.
    let shop = Shop::open_at(scratch, bank).await;
    assert_eq!(shop.status("order-1").await, PaymentStatus::Confirming);
    let resolution = resolve(&shop.participant, op_id, ResolveMode::Fence).await.unwrap();
    let Resolution::Applied(applied) = resolution else { panic!("{resolution:?}") };
    let it = request("pay-1", "order-1", 700);
    let reply = shop.confirm(op_id, &it).await.unwrap();
    assert_eq!(prost::Message::encode_to_vec(&reply), applied.reply);
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
    shop.assert_books_agree().await;
}

async fn a_service_that_dies_in_a_cancel_is_succeeded(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.buyer("pay-1", "order-1", 700).await;
    let (confirm_id, undo_id) = (new_op_id(), new_op_id());
    shop.confirm(confirm_id, &request("pay-1", "order-1", 700)).await.unwrap();

    let provider = grave(&shop.bank, true);
    let Shop { bank, scratch, database, clock, .. } = shop;
    let dying = service(&database, provider.clone());
    let dying = Shop { bank, participant: dying, database: database.clone(), scratch, clock };
    let undo = tokio::time::timeout(std::time::Duration::from_secs(20), async {
        tokio::select! {
            _ = dying.undo(undo_id, confirm_id) => panic!("it cannot answer"),
            () = provider.reached.notified() => {}
        }
    });
    undo.await.unwrap();

    let Shop { bank, scratch, .. } = dying;
    let shop = Shop::open_at(scratch, bank).await;
    let resolution = resolve(&shop.participant, undo_id, ResolveMode::Fence).await.unwrap();
    assert!(matches!(resolution, Resolution::Applied(_)), "{resolution:?}");
    let undone = shop.undo(undo_id, confirm_id).await.unwrap();
    assert_eq!((undone.cancelled_minor, undone.balance_minor), (700, 0));
    assert_eq!(shop.bank.money("order-1").await, (700, 700, 1));
    shop.assert_books_agree().await;
}
