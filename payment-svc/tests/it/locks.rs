//! D18, I11: nothing is locked while a provider is asked.

use std::sync::Arc;

use payment_svc::simulator::{Fault, FaultScript};
use saga_participant::{
    on_both_databases,
    testkit::{Scratch, new_op_id},
};

use crate::{
    bank::on_confirm,
    shop::{Shop, request, within},
};

on_both_databases!(
    d18_no_row_is_locked_while_a_confirm_asks_the_provider,
    d18_no_row_is_locked_while_a_cancel_asks_the_provider,
);

/// How long the provider takes: half of the patience with it. The writes beside it take some
/// milliseconds.
const SLOW: Fault = Fault::Delay { before_ms: 1_500, after_commit_ms: 0 };

async fn d18_no_row_is_locked_while_a_confirm_asks_the_provider(scratch: Scratch) {
    let shop = Arc::new(Shop::open(scratch).await);
    shop.bank.buyer_with("pay-1", "order-1", 700, on_confirm([SLOW])).await;
    let confirming = {
        let shop = shop.clone();
        let it = request("pay-1", "order-1", 700);
        tokio::spawn(async move { shop.confirm(new_op_id(), &it).await.map(drop) })
    };
    others_write_meanwhile(&shop, confirming).await;
    shop.assert_books_agree().await;
}

async fn d18_no_row_is_locked_while_a_cancel_asks_the_provider(scratch: Scratch) {
    let shop = Arc::new(Shop::open(scratch).await);
    let faults = FaultScript { cancel: vec![SLOW], ..FaultScript::default() };
    shop.bank.buyer_with("pay-1", "order-1", 700, faults).await;
    shop.confirm(new_op_id(), &request("pay-1", "order-1", 700)).await.unwrap();
    let cancelling = {
        let shop = shop.clone();
        tokio::spawn(async move { shop.cancel(new_op_id(), "pay-1", 100).await.map(drop) })
    };
    others_write_meanwhile(&shop, cancelling).await;
    shop.assert_books_agree().await;
}

async fn others_write_meanwhile(
    shop: &Shop,
    asking: tokio::task::JoinHandle<Result<(), tonic::Status>>,
) {
    within(async {
        while shop.bank.fired("delay").await == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // The very rows of the operation, and the rest of the tables.
    for sql in [
        "update payments set created_at_ms = created_at_ms",
        "update attempts set intended_at_ms = intended_at_ms",
        "update cancels set intended_at_ms = intended_at_ms",
        "update op_log set at_ms = at_ms",
    ] {
        crate::limits::write(shop, sql).await;
    }
    shop.prepare(new_op_id(), "order-2", 5).await.unwrap();
    assert!(!asking.is_finished(), "the writes waited for the provider");
    asking.await.unwrap().unwrap();
}
