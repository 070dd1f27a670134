//! F73: money that nobody told us of is found in the provider's own ledger. There are no
//! webhooks here.

use payment_svc::{
    ledger::{LedgerConfig, LedgerReader},
    simulator::{DuplicateOrders, Fault, FaultScript, SimulatorConfig},
};
use saga_participant::{
    on_both_databases,
    testkit::{Scratch, new_op_id},
};
use serde_json::json;
use shop_proto::payment::v1::{CancelRequest, cancel_request};

use crate::{
    bank::{Bank, charge},
    shop::{Shop, TWICE, request},
};

on_both_databases!(
    f73_a_second_capture_is_found_without_a_webhook,
    f73_a_capture_of_no_order_is_found_until_it_goes_back,
    money_that_somebody_else_gave_back_is_found,
    a_ledger_is_read_in_pages_from_its_mark,
    a_payment_that_was_not_shown_is_looked_for_again,
);

/// Reads the ledgers to their end, two movements at a time.
pub(crate) async fn read(shop: &Shop) {
    let config = LedgerConfig {
        movements_max: 2,
        look_ups_per_second_max: 1_000,
        ..LedgerConfig::default()
    };
    LedgerReader::new(config).unwrap().read_all(&shop.participant).await;
}

/// Captured, and not by us: an old program has the shop's key.
async fn captured_by_another_program(shop: &Shop, key: &str, order_no: &str, faults: FaultScript) {
    shop.bank.buyer_with(key, order_no, 700, faults).await;
    let (status, _) = shop.bank.confirm(key, &charge(key, order_no, 700)).await;
    assert_eq!(status, 200);
}

fn nobodys(key: &str) -> String {
    format!(
        "E5: money that settles no order goes back, by Cancel with its provider_key and any_order: payment \
         {key} has 700, not 0"
    )
}

/// Which movement of the provider was read last.
async fn mark(shop: &Shop) -> Option<String> {
    let read = shop.database.read(|mut tx| async move {
        let sql = "/* mark */ select transaction_key from ledger_marks where provider = 'toss'";
        Ok(tx.row(sql, &[]).await?.map(|it| it.text(0)).transpose()?)
    });
    read.await.unwrap()
}

async fn f73_a_second_capture_is_found_without_a_webhook(scratch: Scratch) {
    let duplicate_orders = DuplicateOrders::Captured;
    let config = SimulatorConfig { duplicate_orders, ..SimulatorConfig::default() };
    let shop = Shop::open_at(scratch, Bank::open_with(config).await).await;
    shop.bank.buyer("pay-1", "order-1", 700).await;
    shop.confirm(new_op_id(), &request("pay-1", "order-1", 700)).await.unwrap();
    captured_by_another_program(&shop, "pay-2", "order-1", FaultScript::default()).await;
    assert_eq!(shop.bank.money("order-1").await, (1_400, 0, 2));
    // Nobody told us of it.
    assert_eq!(shop.audit().await.violations, Vec::<String>::new());

    read(&shop).await;
    let violations = shop.audit().await.violations;
    assert_eq!(violations, [TWICE]);
    shop.cancel(new_op_id(), "pay-2", 0).await.unwrap();
    read(&shop).await;
    assert_eq!(shop.bank.money("order-1").await, (1_400, 700, 2));
    shop.assert_books_agree().await;
}

async fn f73_a_capture_of_no_order_is_found_until_it_goes_back(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    captured_by_another_program(&shop, "pay-1", "order-1", FaultScript::default()).await;
    read(&shop).await;
    assert_eq!(shop.audit().await.violations, [nobodys("pay-1")]);
    // The way that the alarm names.
    let cancel = CancelRequest {
        payment: Some(cancel_request::Payment::ProviderKey("pay-1".to_owned())),
        any_order: true,
        ..CancelRequest::default()
    };
    let request = saga_participant::testkit::with_op_id(new_op_id(), cancel);
    assert_eq!(shop.participant.perform(request).await.unwrap().into_inner().cancelled_minor, 700);
    read(&shop).await;
    shop.assert_books_agree().await;
    assert_eq!(shop.bank.money("order-1").await, (700, 700, 1));
}

async fn money_that_somebody_else_gave_back_is_found(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    shop.bank.buyer("pay-1", "order-1", 700).await;
    shop.confirm(new_op_id(), &request("pay-1", "order-1", 700)).await.unwrap();
    read(&shop).await;
    let (status, _) =
        shop.bank.cancel("c", "pay-1", json!({ "cancelReason": "x", "cancelAmount": 300 })).await;
    assert_eq!((status, shop.payment("order-1").await.unwrap().balance_minor), (200, 700));
    read(&shop).await;
    assert_eq!(shop.payment("order-1").await.unwrap().balance_minor, 400);
    shop.assert_books_agree().await;
}

async fn a_ledger_is_read_in_pages_from_its_mark(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    assert_eq!(mark(&shop).await, None);
    let keys: Vec<String> = (1..=5).map(|it| format!("pay-{it}")).collect();
    for key in &keys {
        captured_by_another_program(&shop, key, &format!("order-{key}"), FaultScript::default())
            .await;
    }
    for _ in 0..2 {
        read(&shop).await;
        let mut violations = shop.audit().await.violations;
        violations.sort();
        assert_eq!(violations, keys.iter().map(|it| nobodys(it)).collect::<Vec<_>>());
        assert_eq!(mark(&shop).await, Some(format!("{:032X}", 5)));
    }
    // What is before the mark is not asked for again.
    let gone = shop.database.write(|mut tx| async move {
        tx.execute("delete from sightings", &[]).await?;
        tx.commit().await
    });
    gone.await.unwrap();
    captured_by_another_program(&shop, "pay-6", "order-6", FaultScript::default()).await;
    read(&shop).await;
    assert_eq!(shop.audit().await.violations, [nobodys("pay-6")]);
    assert_eq!(mark(&shop).await, Some(format!("{:032X}", 6)));
}

async fn a_payment_that_was_not_shown_is_looked_for_again(scratch: Scratch) {
    let shop = Shop::open(scratch).await;
    let silent =
        FaultScript { look_up: vec![Fault::ErrorBefore { status: 500 }], ..FaultScript::default() };
    captured_by_another_program(&shop, "pay-1", "order-1", silent).await;
    for key in ["pay-2", "pay-3"] {
        captured_by_another_program(&shop, key, &format!("order-{key}"), FaultScript::default())
            .await;
    }
    read(&shop).await;
    assert_eq!(shop.bank.fired("error_before").await, 1);
    // One silence hides no other payment, and the mark stays before it.
    let mut violations = shop.audit().await.violations;
    violations.sort();
    assert_eq!(violations, [nobodys("pay-2"), nobodys("pay-3")]);
    assert_eq!(mark(&shop).await, None);
    read(&shop).await;
    assert_eq!(shop.audit().await.violations.len(), 3);
    assert_eq!(mark(&shop).await, Some(format!("{:032X}", 3)));
}

#[test]
fn a_reader_that_would_read_nothing_is_refused() {
    for config in [
        LedgerConfig { movements_max: 0, ..LedgerConfig::default() },
        LedgerConfig { look_ups_per_second_max: 0, ..LedgerConfig::default() },
    ] {
        let refused = LedgerReader::new(config);
        assert!(refused.is_err(), "{refused:?}");
    }
}
