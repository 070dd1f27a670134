//! The simulator's wire, without the adapter: what a shop may rely on.

use payment_svc::simulator::{
    DuplicateOrders, Fault, FaultMix, FaultScript, Session, SimulatorConfig, Stage,
};
use serde_json::{Value, json};

use crate::{
    bank::{Bank, SECRET_KEY, answer, charge, client, decline, on_confirm},
    shop::within,
};

const MINUTE_MS: i64 = 60_000;

#[tokio::test]
async fn a_confirm_captures_and_shows_the_payment() {
    let bank = Bank::open().await;
    bank.buyer("pay-1", "order-1", 700).await;

    let url = bank.url("/v1/payments/confirm");
    let body = json!({ "paymentKey": "pay-1", "orderId": "order-1", "amount": 700 });
    let request = client().post(url).basic_auth(SECRET_KEY, Some("")).json(&body);
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["x-tosspayments-trace-id"].len(), 32);
    let payment: Value = response.json().await.unwrap();

    for (field, value) in [
        ("paymentKey", json!("pay-1")),
        ("orderId", json!("order-1")),
        ("status", json!("DONE")),
        ("totalAmount", json!(700)),
        ("balanceAmount", json!(700)),
        ("cancels", Value::Null),
    ] {
        assert_eq!(payment[field], value, "{field}");
    }
    assert!(payment["approvedAt"].as_str().unwrap().ends_with("+09:00"));
    assert_eq!(bank.show("pay-1").await, (200, payment));
    assert_eq!(bank.money("order-1").await, (700, 0, 1));
}

#[tokio::test]
async fn the_key_decides_and_not_the_body() {
    let bank = Bank::open().await;
    bank.buyer("pay-1", "order-1", 700).await;
    bank.buyer("pay-2", "order-2", 800).await;

    let first = bank.confirm("key", &charge("pay-1", "order-1", 700)).await;
    let other_body = bank.confirm("key", &charge("pay-2", "order-2", 800)).await;
    assert_eq!(first, other_body);
    assert_eq!(bank.money("order-2").await, (0, 0, 0));

    // The API key and the URL are part of the identity.
    let body = json!({ "paymentKey": "pay-2", "orderId": "order-2", "amount": 800 });
    let url = bank.url("/v1/payments/confirm");
    let other_shop = client().post(url).basic_auth("live_sk_x", Some("")).json(&body);
    let (status, _) = answer(other_shop.header("Idempotency-Key", "key")).await;
    assert_eq!((status, bank.money("order-2").await), (200, (800, 0, 1)));
}

#[tokio::test]
async fn a_refusal_is_replayed_and_a_failure_is_not() {
    let bank = Bank::open().await;
    bank.buyer_with("pay-1", "order-1", 700, on_confirm([decline("PROVIDER_ERROR")])).await;
    let first = bank.confirm("key", &charge("pay-1", "order-1", 700)).await;
    assert_eq!((first.0, &first.1["code"]), (400, &json!("PROVIDER_ERROR")));
    assert_eq!(bank.confirm("key", &charge("pay-1", "order-1", 700)).await, first);
    assert_eq!(bank.confirm("new", &charge("pay-1", "order-1", 700)).await.0, 200);

    bank.buyer_with("pay-2", "order-2", 700, on_confirm([decline("FAILED_X")])).await;
    assert_eq!(bank.confirm("key-2", &charge("pay-2", "order-2", 700)).await.0, 500);
    assert_eq!(bank.confirm("key-2", &charge("pay-2", "order-2", 700)).await.0, 200);
}

#[tokio::test]
async fn while_the_first_runs_the_second_hears_409_and_a_hang_up_stops_nothing() {
    let bank = Bank::open().await;
    let slow = Fault::Delay { before_ms: 300, after_commit_ms: 0 };
    bank.buyer_with("pay-1", "order-1", 700, on_confirm([slow])).await;
    let it = charge("pay-1", "order-1", 700);

    // The first caller hangs up while the provider is at it.
    let body = json!({ "paymentKey": "pay-1", "orderId": "order-1", "amount": 700 });
    let first = tokio::spawn(bank.post("/v1/payments/confirm", "key", &body).send());
    within(async {
        while bank.fired("delay").await == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    first.abort();
    let (status, error) = bank.confirm("key", &it).await;
    assert_eq!((status, &error["code"]), (409, &json!("IDEMPOTENT_REQUEST_PROCESSING")));
    // The answer is there as soon as the run is over.
    within(async { while bank.confirm("key", &it).await.0 == 409 {} }).await;
    assert_eq!(bank.confirm("key", &it).await.0, 200);
    assert_eq!(bank.money("order-1").await, (700, 0, 1));
}

#[tokio::test]
async fn a_remaining_cancel_after_a_partial_one_stays_partially_cancelled() {
    let bank = Bank::open().await;
    bank.buyer("pay-1", "order-1", 700).await;
    bank.confirm("key", &charge("pay-1", "order-1", 700)).await;

    let part = json!({ "cancelReason": "a line", "cancelAmount": 300 });
    let (_, partly) = bank.cancel("c-1", "pay-1", part.clone()).await;
    assert_eq!(
        (&partly["status"], &partly["balanceAmount"]),
        (&json!("PARTIAL_CANCELED"), &json!(400))
    );
    assert_eq!(bank.cancel("c-1", "pay-1", part).await.1, partly);

    let too_much = json!({ "cancelReason": "more", "cancelAmount": 401 });
    let (status, error) = bank.cancel("c-2", "pay-1", too_much).await;
    assert_eq!((status, &error["code"]), (403, &json!("NOT_CANCELABLE_AMOUNT")));

    let (_, rest) = bank.cancel("c-3", "pay-1", json!({ "cancelReason": "the rest" })).await;
    assert_eq!((&rest["status"], &rest["balanceAmount"]), (&json!("PARTIAL_CANCELED"), &json!(0)));
    assert_eq!(rest["cancels"].as_array().unwrap().len(), 2);

    let (status, error) = bank.cancel("c-4", "pay-1", json!({ "cancelReason": "x" })).await;
    assert_eq!((status, &error["code"]), (400, &json!("ALREADY_CANCELED_PAYMENT")));
    assert_eq!(bank.money("order-1").await, (700, 700, 1));

    bank.buyer("pay-2", "order-2", 5).await;
    bank.confirm("key-2", &charge("pay-2", "order-2", 5)).await;
    let (_, whole) = bank.cancel("c-5", "pay-2", json!({ "cancelReason": "x" })).await;
    assert_eq!(whole["status"], json!("CANCELED"));
}

#[tokio::test]
async fn windows_close_by_the_clock() {
    let bank = Bank::open().await;
    bank.buyer("pay-1", "order-1", 700).await;
    let session = Session {
        payment_key: "pay-2".to_owned(),
        order_no: "order-2".to_owned(),
        amount_minor: 5,
        stage: Stage::Requested,
        faults: None,
    };
    bank.simulator.authenticate_many(vec![session]).await.unwrap();
    assert_eq!(bank.show("pay-1").await.1["status"], json!("IN_PROGRESS"));
    assert_eq!(bank.show("pay-2").await.1["status"], json!("READY"));
    assert_eq!(bank.confirm("a", &charge("pay-2", "order-2", 5)).await.0, 404);

    bank.simulator.advance_clock(11 * MINUTE_MS).await.unwrap();
    let (status, error) = bank.confirm("b", &charge("pay-1", "order-1", 700)).await;
    assert_eq!((status, &error["code"]), (404, &json!("NOT_FOUND_PAYMENT_SESSION")));
    assert_eq!(bank.show("pay-1").await.1["status"], json!("EXPIRED"));

    assert!(bank.simulator.buyer_authenticates("pay-2").await.unwrap());
    assert_eq!(bank.confirm("c", &charge("pay-2", "order-2", 5)).await.0, 200);
    bank.simulator.advance_clock(60 * MINUTE_MS).await.unwrap();
    assert_eq!(bank.show("pay-2").await.1["status"], json!("DONE"));
}

#[tokio::test]
async fn keys_are_forgotten_after_fifteen_days() {
    let bank = Bank::open().await;
    bank.buyer("pay-1", "order-1", 700).await;
    let it = charge("pay-1", "order-1", 700);
    bank.confirm("key", &it).await;
    bank.simulator.advance_clock(15 * 24 * 60 * MINUTE_MS).await.unwrap();
    let (status, error) = bank.confirm("key", &it).await;
    assert_eq!((status, &error["code"]), (400, &json!("ALREADY_PROCESSED_PAYMENT")));
    assert_eq!(bank.money("order-1").await, (700, 0, 1));
}

#[tokio::test]
async fn test_keys_may_force_an_error_and_live_keys_may_not() {
    let bank = Bank::open().await;
    bank.buyer("pay-1", "order-1", 700).await;
    let body = json!({ "paymentKey": "pay-1", "orderId": "order-1", "amount": 700 });
    let forced = bank
        .post("/v1/payments/confirm", "key", &body)
        .header("TossPayments-Test-Code", "REJECT_CARD_COMPANY");
    let (status, error) = answer(forced).await;
    assert_eq!((status, &error["code"]), (403, &json!("REJECT_CARD_COMPANY")));

    bank.buyer("pay-2", "order-2", 700).await;
    let body = json!({ "paymentKey": "pay-2", "orderId": "order-2", "amount": 700 });
    let url = bank.url("/v1/payments/confirm");
    let live = client()
        .post(url)
        .basic_auth("live_sk_x", Some(""))
        .header("TossPayments-Test-Code", "REJECT_CARD_COMPANY")
        .json(&body);
    assert_eq!(answer(live).await.0, 200);
}

#[tokio::test]
async fn bad_requests_are_refused_in_the_providers_words() {
    let bank = Bank::open().await;
    let url = bank.url("/v1/payments/confirm");
    let body = json!({ "paymentKey": "k", "orderId": "order-1", "amount": 1 });
    let cases = [
        (client().post(&url).json(&body), 401, "UNAUTHORIZED_KEY"),
        (client().post(&url).basic_auth("sk", Some("")).json(&body), 401, "UNAUTHORIZED_KEY"),
        (
            client().post(&url).header("Authorization", "Basic %%%").json(&body),
            403,
            "INCORRECT_BASIC_AUTH_FORMAT",
        ),
        (bank.post("/v1/payments/confirm", "k", &json!({})), 400, "INVALID_REQUEST"),
        (
            bank.post(
                "/v1/payments/confirm",
                "k",
                &json!({ "paymentKey": "k", "orderId": "no", "amount": 1 }),
            ),
            400,
            "INVALID_REQUEST",
        ),
        (
            bank.post("/v1/payments/confirm", &"k".repeat(301), &body),
            400,
            "INVALID_IDEMPOTENCY_KEY",
        ),
        (bank.post("/v1/payments/confirm", "k", &body), 404, "NOT_FOUND_PAYMENT_SESSION"),
        (
            client().get(bank.url("/v1/payments/none")).basic_auth(SECRET_KEY, Some("")),
            404,
            "NOT_FOUND_PAYMENT",
        ),
    ];
    for (request, status, code) in cases {
        let (found, error) = answer(request).await;
        assert_eq!((found, &error["code"]), (status, &json!(code)));
    }
}

#[tokio::test]
async fn every_fault_fires_and_is_counted() {
    let bank = Bank::open().await;
    let faults = [
        Fault::DropBeforeCommit,
        Fault::ErrorBefore { status: 503 },
        Fault::Conflict409,
        Fault::DropAfterCommit,
        Fault::ErrorAfter { status: 502 },
        Fault::Delay { before_ms: 1, after_commit_ms: 1 },
    ];
    bank.buyer_with("pay-1", "order-1", 700, on_confirm(faults.clone())).await;
    let body = json!({ "paymentKey": "pay-1", "orderId": "order-1", "amount": 700 });
    let mut seen = Vec::new();
    for _ in &faults {
        let response = bank.post("/v1/payments/confirm", "key", &body).send().await;
        seen.push((response.map_or(0, |it| it.status().as_u16()), bank.money("order-1").await.2));
    }
    assert_eq!(seen, [(0, 0), (503, 0), (409, 0), (0, 1), (502, 1), (200, 1)]);
    for fault in &faults {
        assert_eq!(bank.fired(fault.kind()).await, 1, "{fault:?}");
    }

    // Faults of the next requests, whatever they are about.
    let look_up = vec![Fault::ErrorBefore { status: 500 }];
    let next = FaultScript { look_up, ..FaultScript::default() };
    bank.simulator.plan_faults(next).await.unwrap();
    assert_eq!(bank.show("pay-1").await.0, 500);
    assert_eq!(bank.show("pay-1").await.0, 200);
}

#[tokio::test]
async fn a_restart_keeps_the_books_the_replies_the_faults_and_the_clock() {
    let bank = Bank::open().await;
    bank.buyer("pay-1", "order-1", 700).await;
    bank.buyer_with("pay-2", "order-2", 5, on_confirm([Fault::ErrorBefore { status: 503 }])).await;
    let it = charge("pay-1", "order-1", 700);
    let first = bank.confirm("key", &it).await;
    let refused = bank.confirm("other", &it).await;
    bank.simulator.advance_clock(5 * MINUTE_MS).await.unwrap();
    let before_ms = bank.simulator.now_ms();

    let bank = bank.stop().await.start().await;
    assert!(before_ms <= bank.simulator.now_ms());
    assert_eq!(bank.confirm("key", &it).await, first);
    assert_eq!(bank.confirm("other", &it).await, refused);
    assert_eq!(bank.confirm("key-2", &charge("pay-2", "order-2", 5)).await.0, 503);
    assert_eq!(bank.confirm("key-2", &charge("pay-2", "order-2", 5)).await.0, 200);
    assert_eq!(bank.simulator.ledger().await.unwrap().len(), 2);
    assert_eq!(bank.money("order-1").await, (700, 0, 1));
}

#[tokio::test]
async fn the_ledger_shows_a_double_charge_where_the_provider_lets_it_happen() {
    let duplicate_orders = DuplicateOrders::Captured;
    let config = SimulatorConfig { duplicate_orders, ..SimulatorConfig::default() };
    let lenient = Bank::open_with(config).await;
    let strict = Bank::open().await;
    for bank in [&lenient, &strict] {
        bank.buyer("pay-1", "order-1", 700).await;
        bank.buyer("pay-2", "order-1", 700).await;
        bank.confirm("a", &charge("pay-1", "order-1", 700)).await;
        bank.confirm("b", &charge("pay-2", "order-1", 700)).await;
    }
    assert_eq!(lenient.money("order-1").await, (1400, 0, 2));
    assert_eq!(strict.money("order-1").await, (700, 0, 1));
}

#[tokio::test]
async fn an_admin_can_do_everything_over_http() {
    let mix = FaultMix { declined_permille: 1000, ..FaultMix::default() };
    let bank = Bank::open_with(SimulatorConfig { mix, ..SimulatorConfig::default() }).await;
    let post = |path: &str, body: Value| answer(client().post(bank.url(path)).json(&body));
    let get = |path: &str| answer(client().get(bank.url(path)));

    let payments = json!({ "payments": [
        { "payment_key": "pay-1", "order_no": "order-1", "amount_minor": 5 },
        { "payment_key": "pay-2", "order_no": "order-2", "amount_minor": 6, "faults": {} },
        { "payment_key": "pay-3", "order_no": "order-3", "amount_minor": 7, "faults": {},
          "stage": "requested" },
    ] });
    assert_eq!(post("/simulator/v1/payments", payments.clone()).await.0, 200);
    assert_eq!(post("/simulator/v1/payments", payments).await.0, 200);
    let conflict = json!({ "payments": [
        { "payment_key": "pay-1", "order_no": "order-1", "amount_minor": 6 } ] });
    assert_eq!(post("/simulator/v1/payments", conflict).await.0, 409);
    let invalid = json!({ "payments": [
        { "payment_key": "pay-9", "order_no": "no", "amount_minor": 6 } ] });
    assert_eq!(post("/simulator/v1/payments", invalid).await.0, 400);
    assert_eq!(
        post("/simulator/v1/payments/pay-3/authenticate", json!({})).await,
        (200, json!(true))
    );

    assert_eq!(bank.confirm("a", &charge("pay-1", "order-1", 5)).await.0, 403);
    assert_eq!(bank.confirm("b", &charge("pay-2", "order-2", 6)).await.0, 200);
    assert_eq!(bank.confirm("c", &charge("pay-3", "order-3", 7)).await.0, 200);

    let (_, page) = get("/simulator/v1/ledger?limit=1").await;
    assert_eq!(page["next_after"], json!("order-2"));
    let (_, page) = get("/simulator/v1/ledger?limit=5&after=order-2").await;
    let order = json!({
        "order_no": "order-3", "captured_minor": 7, "cancelled_minor": 0, "captures": 1 });
    assert_eq!(page, json!({ "orders": [order], "next_after": null }));
    assert_eq!(get("/simulator/v1/ledger/order-3").await.1, order);
    assert_eq!(get("/simulator/v1/faults").await.1, json!({ "decline": 1 }));

    let (_, before) = get("/simulator/v1/clock").await;
    let (_, after) = post("/simulator/v1/clock", json!({ "advance_ms": 3_600_000 })).await;
    assert!(before["now_ms"].as_i64().unwrap() + 3_600_000 <= after["now_ms"].as_i64().unwrap());
}
