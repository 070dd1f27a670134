//! F79: webhooks are hints. Without them everything comes to the same end; the other tests
//! have none.

use payment_svc::{
    simulator::{
        DuplicateOrders, Fault, FaultScript, SimulatorConfig, WebhookOrder, WebhookScript,
        WebhookWire, WebhooksSent,
    },
    webhooks::{WebhookConfig, WebhookError, Webhooks},
};
use saga_participant::{
    Arg, on_both_databases,
    testkit::{Scratch, new_op_id},
};
use serde_json::{Value, json};
use shop_proto::payment::v1::{CancelRequest, PaymentStatus, cancel_request};
use tonic::Code;

use crate::{
    bank::{Bank, charge, client, on_confirm},
    shop::{Shop, TWICE, is, paid, refusal, request, within},
};

on_both_databases!(
    f79_hints_that_are_repeated_and_reordered_change_nothing,
    f79_a_hint_settles_what_a_lost_reply_left_open,
    f79_a_hint_that_comes_before_the_reply_does_no_harm,
    f79_forged_hints_are_not_believed,
    f79_a_hint_does_not_ascribe_our_own_cancel_to_others,
    money_that_somebody_else_gave_back_is_noticed,
    f73_e4_a_second_capture_for_one_order_is_alarmed,
);

struct Listening {
    shop: Shop,
    url: String,
}

impl Listening {
    async fn open(scratch: Scratch, bank: Bank) -> Self {
        let shop = Shop::open_at(scratch, bank).await;
        let config = WebhookConfig {
            look_ups_per_second_max: 1_000,
            ..WebhookConfig::new("127.0.0.1:0".parse().unwrap())
        };
        let webhooks = Webhooks::bind(config).await.unwrap();
        let url = format!("http://{}/webhooks", webhooks.local_addr());
        tokio::spawn(webhooks.run(shop.participant.clone()));
        Self { shop, url }
    }

    /// The provider tells what happened, as badly as it can.
    async fn tell(&self, wire: WebhookWire, copies: u32, order: WebhookOrder) -> WebhooksSent {
        let name = if wire == WebhookWire::Toss { "toss" } else { "portone" };
        let url = format!("{}/{name}", self.url);
        let script = WebhookScript { url, wire, payment_key: None, copies, order };
        self.shop.bank.simulator.send_webhooks(&script).await.unwrap()
    }

    async fn post(&self, name: &str, body: String) -> u16 {
        let url = format!("{}/{name}", self.url);
        client().post(url).body(body).send().await.unwrap().status().as_u16()
    }

    /// What a look-up showed of a payment: its balance.
    async fn sighting(&self, provider_key: &str) -> Option<i64> {
        let key = provider_key.to_owned();
        let read = self.shop.database.read(move |mut tx| async move {
            let row = tx
                .row(
                    "/* sighting */ select balance_minor from sightings where provider_key = $1",
                    &[Arg::Text(&key)],
                )
                .await?;
            Ok(row.map(|it| it.int(0)).transpose()?)
        });
        read.await.unwrap()
    }

    async fn until_seen(&self, provider_key: &str, balance_minor: i64) {
        within(async {
            while self.sighting(provider_key).await != Some(balance_minor) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

async fn f79_hints_that_are_repeated_and_reordered_change_nothing(scratch: Scratch) {
    let it = Listening::open(scratch, Bank::open().await).await;
    let shop = &it.shop;
    shop.bank.buyer("pay-1", "order-1", 700).await;
    shop.confirm(new_op_id(), &request("pay-1", "order-1", 700)).await.unwrap();
    shop.cancel(new_op_id(), "pay-1", 100).await.unwrap();
    shop.cancel(new_op_id(), "pay-1", 200).await.unwrap();
    let before = shop.payment("order-1").await.unwrap();

    let sent = it.tell(WebhookWire::Toss, 7, WebhookOrder::NewestFirst).await;
    assert_eq!(sent, WebhooksSent { taken: 3 * 7, not_taken: 0 });
    it.until_seen("pay-1", 400).await;
    assert_eq!(shop.payment("order-1").await.unwrap(), before);
    assert_eq!(shop.bank.money("order-1").await, (700, 300, 1));
    shop.assert_books_agree().await;
}

async fn f79_a_hint_settles_what_a_lost_reply_left_open(scratch: Scratch) {
    let it = Listening::open(scratch, Bank::open().await).await;
    let shop = &it.shop;
    let lost = FaultScript {
        confirm: vec![Fault::DropAfterCommit],
        look_up: vec![Fault::DropBeforeCommit],
        ..FaultScript::default()
    };
    shop.bank.buyer_with("pay-1", "order-1", 700, lost).await;
    let (op_id, order) = (new_op_id(), request("pay-1", "order-1", 700));
    let asked = shop.confirm(op_id, &order).await;
    assert_eq!(refusal(asked), is(Code::Unavailable, "PROVIDER_OUTCOME_UNKNOWN"));
    assert_eq!(shop.status("order-1").await, PaymentStatus::Confirming);

    it.tell(WebhookWire::Toss, 1, WebhookOrder::OldestFirst).await;
    within(async {
        while shop.status("order-1").await != PaymentStatus::Completed {
            tokio::task::yield_now().await;
        }
    })
    .await;
    shop.confirm(op_id, &order).await.unwrap();
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
    shop.assert_books_agree().await;
}

async fn f79_a_hint_that_comes_before_the_reply_does_no_harm(scratch: Scratch) {
    let it = Listening::open(scratch, Bank::open().await).await;
    let shop = &it.shop;
    let slow = Fault::Delay { before_ms: 0, after_commit_ms: 400 };
    shop.bank.buyer_with("pay-1", "order-1", 700, on_confirm([slow])).await;
    let order = request("pay-1", "order-1", 700);
    let hinted = async {
        within(async {
            while shop.bank.money("order-1").await.2 == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        it.tell(WebhookWire::Toss, 7, WebhookOrder::OldestFirst).await
    };
    let (confirmed, _) = tokio::join!(shop.confirm(new_op_id(), &order), hinted);
    assert_eq!(confirmed.unwrap().amount_minor, 700);
    it.until_seen("pay-1", 700).await;
    assert_eq!(shop.bank.money("order-1").await, (700, 0, 1));
    shop.assert_books_agree().await;
}

async fn f79_forged_hints_are_not_believed(scratch: Scratch) {
    let it = Listening::open(scratch, Bank::open().await).await;
    let shop = &it.shop;
    shop.bank.buyer("pay-1", "order-1", 700).await;
    shop.confirm(new_op_id(), &request("pay-1", "order-1", 700)).await.unwrap();
    shop.bank.buyer("pay-open", "order-open", 700).await;
    let before = shop.payment("order-1").await.unwrap();

    let says = |key: &str, status: &str, balance: i64| {
        json!({ "eventType": "PAYMENT_STATUS_CHANGED", "createdAt": "2024-01-01T00:00:00",
            "data": { "paymentKey": key, "orderId": "order-1", "status": status,
                "totalAmount": 700, "balanceAmount": balance } })
    };
    for body in [
        says("pay-1", "CANCELED", 0),
        says("pay-open", "DONE", 700),
        says("pay-invented", "DONE", 700),
    ] {
        assert_eq!(it.post("toss", body.to_string()).await, 200);
    }
    let portone = json!({ "imp_uid": "imp-invented", "merchant_uid": "order-1", "status": "paid" });
    assert_eq!(it.post("portone", portone.to_string()).await, 200);
    // What cannot be read, and what is too long to be one.
    assert_eq!(it.post("toss", Value::Null.to_string()).await, 400);
    assert_eq!(it.post("portone", "[[[".to_owned()).await, 400);
    assert_eq!(it.post("toss", "x".repeat(100_000)).await, 413);
    assert_eq!(it.post("stripe", String::new()).await, 404);

    // They are followed in turn, so when the last one is, the others were.
    shop.bank.payer("imp-last", "order-last", 5).await;
    let last = json!({ "imp_uid": "imp-last", "merchant_uid": "?", "status": "?" });
    assert_eq!(it.post("portone", last.to_string()).await, 200);
    it.until_seen("imp-last", 5).await;
    assert_eq!(it.sighting("pay-1").await, Some(700));
    for forged in ["pay-open", "pay-invented", "imp-invented"] {
        assert_eq!(it.sighting(forged).await, None, "{forged}");
    }
    assert_eq!(shop.payment("order-1").await.unwrap(), before);
    assert_eq!(shop.audit().await.violations, Vec::<String>::new());
}

async fn f79_a_hint_does_not_ascribe_our_own_cancel_to_others(scratch: Scratch) {
    let it = Listening::open(scratch, Bank::open().await).await;
    let shop = &it.shop;
    shop.bank.payer("imp-1", "order-1", 700).await;
    let verified = shop.verify(new_op_id(), &paid("imp-1", "order-1", 700)).await.unwrap();
    // The reply is lost, and neither the look-up after it nor the inquiry gets through.
    let blind = FaultScript {
        cancel: vec![Fault::DropAfterCommit],
        look_up: vec![Fault::DropBeforeCommit; 2],
        ..FaultScript::default()
    };
    shop.bank.simulator.plan_faults(blind).await.unwrap();
    let op_id = new_op_id();
    let part = CancelRequest {
        payment: Some(cancel_request::Payment::PaymentId(verified.payment_id)),
        amount_minor: 100,
        ..CancelRequest::default()
    };
    let asked = shop.cancel_as(op_id, part.clone()).await;
    assert_eq!(refusal(asked), is(Code::Unavailable, "PROVIDER_OUTCOME_UNKNOWN"));
    let body = json!({ "imp_uid": "imp-1", "merchant_uid": "order-1", "status": "paid" });
    assert_eq!(it.post("portone", body.to_string()).await, 200);
    it.until_seen("imp-1", 600).await;
    assert_eq!(shop.bank.fired("drop_before_commit").await, 2);

    let done = shop.cancel_as(op_id, part).await.unwrap();
    assert_eq!((done.cancelled_minor, done.balance_minor), (100, 600));
    assert_eq!(shop.bank.money("order-1").await, (700, 100, 1));
    shop.assert_books_agree().await;
}

async fn money_that_somebody_else_gave_back_is_noticed(scratch: Scratch) {
    let it = Listening::open(scratch, Bank::open().await).await;
    let shop = &it.shop;
    shop.bank.payer("imp-1", "order-1", 700).await;
    let verify_id = new_op_id();
    shop.verify(verify_id, &paid("imp-1", "order-1", 700)).await.unwrap();
    let by_hand = json!({ "cancelReason": "by hand", "cancelAmount": 100 });
    shop.bank.cancel("by hand", "imp-1", by_hand).await;
    it.tell(WebhookWire::Portone, 2, WebhookOrder::NewestFirst).await;
    it.until_seen("imp-1", 600).await;
    assert_eq!(shop.payment("order-1").await.unwrap().balance_minor, 600);
    shop.assert_books_agree().await;
    assert_eq!(shop.undo(new_op_id(), verify_id).await.unwrap().cancelled_minor, 600);
    shop.assert_books_agree().await;
}

async fn f73_e4_a_second_capture_for_one_order_is_alarmed(scratch: Scratch) {
    let duplicate_orders = DuplicateOrders::Captured;
    let config = SimulatorConfig { duplicate_orders, ..SimulatorConfig::default() };
    let it = Listening::open(scratch, Bank::open_with(config).await).await;
    let shop = &it.shop;
    shop.bank.buyer("pay-1", "order-1", 700).await;
    shop.confirm(new_op_id(), &request("pay-1", "order-1", 700)).await.unwrap();
    // Not by us: the page of the shop was open twice, and an old program confirmed.
    shop.bank.buyer("pay-2", "order-1", 700).await;
    shop.bank.confirm("another program", &charge("pay-2", "order-1", 700)).await;
    assert_eq!(shop.bank.money("order-1").await, (1_400, 0, 2));

    it.tell(WebhookWire::Toss, 1, WebhookOrder::OldestFirst).await;
    it.until_seen("pay-2", 700).await;
    let violations = shop.audit().await.violations;
    assert_eq!(violations, [TWICE]);
    // It goes back only when somebody says so, and then the alarm is over.
    shop.cancel(new_op_id(), "pay-2", 0).await.unwrap();
    it.tell(WebhookWire::Toss, 1, WebhookOrder::OldestFirst).await;
    it.until_seen("pay-2", 0).await;
    assert_eq!(shop.bank.money("order-1").await, (1_400, 700, 2));
    shop.assert_books_agree().await;
}

#[tokio::test]
async fn a_listener_without_bounds_or_port_is_refused() {
    let local = WebhookConfig::new("127.0.0.1:0".parse().unwrap());
    let first = Webhooks::bind(local).await.unwrap();
    let taken = WebhookConfig { listen: first.local_addr(), ..local };
    let refused = Webhooks::bind(taken).await;
    assert!(matches!(refused, Err(WebhookError::Listen { .. })), "{refused:?}");
    let none = WebhookConfig { waiting_max: 0, ..local };
    let refused = Webhooks::bind(none).await;
    assert!(matches!(refused, Err(WebhookError::Limit)), "{refused:?}");
}
