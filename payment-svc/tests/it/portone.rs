//! The PortOne adapter: against the simulator's wire, and against replies that nobody should
//! give.

use axum::{
    Router,
    http::{Method, StatusCode, Uri},
};
use payment_svc::{
    provider::{
        Asking, Provider, Standing, Wanted,
        portone::{PortOne, PortOneConfig},
        verify,
    },
    simulator::{Fault, FaultScript, Stage},
};
use saga_participant::Settled;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    bank::{Bank, IMP_SECRET, answer, asking, charge, client, decline, refund},
    confirm::join_all,
    words::{cancelled, confirmed, unanswered},
};

const MINUTE_MS: i64 = 60_000;

#[tokio::test]
async fn a_token_that_expires_in_mid_saga_is_renewed_once_and_nothing_happens_twice() {
    let bank = Bank::open().await;
    let portone = bank.portone();
    let it = charge("imp-1", "order-1", 700);
    bank.payer("imp-1", "order-1", 700).await;
    assert_eq!(confirmed(&verify(&portone, &it).await), "captured 700");
    assert_eq!(bank.simulator.tokens_issued(), 1);

    bank.simulator.advance_clock(31 * MINUTE_MS).await.unwrap();
    let asked = portone.cancel(&refund(&it, 700, 200), &asking("c-1")).await;
    assert_eq!(cancelled(&asked), "cancelled to 500");
    assert_eq!(bank.simulator.tokens_issued(), 2);
    assert_eq!(bank.money("order-1").await, (700, 200, 1));

    // However many meet the end of the token at once.
    bank.simulator.advance_clock(31 * MINUTE_MS).await.unwrap();
    for seen in join_all((0..8).map(|_| portone.look_up(Wanted::Key("imp-1")))).await {
        assert!(matches!(seen, Settled::Definite(Some(it)) if it.balance_minor == 500));
    }
    assert_eq!(bank.simulator.tokens_issued(), 3);
}

#[tokio::test]
async fn a_wrong_key_is_for_the_operator_and_a_silent_token_is_unknown() {
    let bank = Bank::open().await;
    let config = PortOneConfig::new(&bank.url(""), "imp_key", "a_wrong_secret");
    let wrong = PortOne::new(&config).unwrap();
    let Settled::Configuration { message } = wrong.look_up(Wanted::Key("imp-1")).await else {
        panic!("the key is wrong");
    };
    assert!(message.contains("imp_secret") && !message.contains("a_wrong_secret"), "{message}");
    assert!(!format!("{config:?} {wrong:?}").contains("a_wrong_secret"));

    let token = vec![Fault::ErrorBefore { status: 500 }, Fault::DropBeforeCommit];
    bank.simulator.plan_faults(FaultScript { token, ..FaultScript::default() }).await.unwrap();
    let portone = bank.portone();
    for _ in 0..2 {
        assert_eq!(unanswered(&portone.look_up(Wanted::Key("imp-1")).await), "unknown");
    }
    assert_eq!(portone.look_up(Wanted::Key("imp-1")).await, Settled::Definite(None));
    assert_eq!(bank.simulator.tokens_issued(), 1);
}

#[tokio::test]
async fn a_look_up_shows_the_payment_by_key_and_by_order_at_each_stage() {
    let bank = Bank::open().await;
    let portone = bank.portone();
    let none = FaultScript::default;
    bank.buyer_at(Stage::Requested, "imp-1", "order-1", 700, none()).await;
    let seen = async || match portone.look_up(Wanted::Key("imp-1")).await {
        Settled::Definite(Some(seen)) => seen,
        other => panic!("{other:?}"),
    };
    assert_eq!(seen().await.standing, Standing::Open);
    assert!(bank.simulator.buyer_pays("imp-1").await.unwrap());
    assert!(!bank.simulator.buyer_pays("imp-1").await.unwrap());
    let paid = seen().await;
    assert!(matches!(paid.standing, Standing::Captured { approved_at_ms } if 0 < approved_at_ms));
    assert_eq!((paid.balance_minor, &*paid.currency), (700, "KRW"));
    let by_order = portone.look_up(Wanted::Order("order-1")).await;
    assert_eq!(by_order, Settled::Definite(Some(paid)));
    let it = charge("imp-1", "order-1", 700);
    for (before, amount) in [(700, 300), (400, 400)] {
        portone.cancel(&refund(&it, before, amount), &asking("c")).await;
        let seen = seen().await;
        assert!(matches!(seen.standing, Standing::Captured { .. }));
        assert_eq!(seen.balance_minor, before - amount);
    }
    bank.buyer_at(Stage::Requested, "imp-2", "order-2", 700, none()).await;
    bank.simulator.advance_clock(31 * MINUTE_MS).await.unwrap();
    let late = portone.look_up(Wanted::Key("imp-2")).await;
    let Settled::Definite(Some(late)) = late else { panic!("{late:?}") };
    assert!(matches!(late.standing, Standing::Refused { .. }));
}

#[tokio::test]
async fn the_checksum_lets_one_of_two_equal_cancels_move_money() {
    let bank = Bank::open().await;
    bank.payer("imp-1", "order-1", 700).await;
    let (_, token) = answer(
        client()
            .post(bank.url("/users/getToken"))
            .json(&json!({ "imp_key": "imp_key", "imp_secret": IMP_SECRET })),
    )
    .await;
    let token = token["response"]["access_token"].as_str().unwrap().to_owned();
    let cancel = |body: Value| {
        answer(client().post(bank.url("/payments/cancel")).bearer_auth(&token).json(&body))
    };
    let body = json!({ "imp_uid": "imp-1", "amount": 100, "checksum": 700, "reason": "x" });
    let (status, first) = cancel(body.clone()).await;
    assert_eq!(
        (status, &first["code"], &first["response"]["cancel_amount"]),
        (200, &json!(0), &json!(100))
    );
    let (status, second) = cancel(body).await;
    assert_eq!((status, &second["code"], &second["response"]), (200, &json!(1), &Value::Null));
    let too_much = json!({ "merchant_uid": "order-1", "amount": 601, "checksum": 600 });
    assert_eq!(cancel(too_much).await.1["code"], json!(1));
    let rest = json!({ "merchant_uid": "order-1", "amount": 0 });
    assert_eq!(cancel(rest.clone()).await.1["response"]["status"], json!("cancelled"));
    assert_eq!(cancel(rest).await.1["code"], json!(1));
    assert_eq!(bank.money("order-1").await, (700, 700, 1));

    let no_token = client().get(bank.url("/payments/imp-1"));
    assert_eq!(answer(no_token).await.0, 401);
    let forged = client().get(bank.url("/payments/imp-1")).bearer_auth("99999999999999.00");
    assert_eq!(answer(forged).await.0, 401);
}

#[tokio::test]
async fn f78_every_fault_of_a_cancel_gives_money_back_once() {
    let bank = Bank::open().await;
    let config = PortOneConfig {
        request_timeout_ms: 1_000,
        ..PortOneConfig::new(&bank.url(""), "imp_key", IMP_SECRET)
    };
    let portone = PortOne::new(&config).unwrap();
    let rows = [
        (Fault::DropAfterCommit, "cancelled to 600"),
        (Fault::ErrorAfter { status: 500 }, "cancelled to 600"),
        (Fault::DropBeforeCommit, "unknown"),
        (Fault::ErrorBefore { status: 503 }, "unknown"),
        (Fault::Conflict409, "wait"),
        // The first request arrives when the second has been answered.
        (Fault::Delay { before_ms: 2_000, after_commit_ms: 0 }, "unknown"),
    ];
    for (number, (fault, expected)) in rows.iter().enumerate() {
        let (key, order_no) = (format!("imp-{number}"), format!("order-{number}"));
        let faults = FaultScript { cancel: vec![fault.clone()], ..FaultScript::default() };
        bank.buyer_at(Stage::Paid, &key, &order_no, 700, faults).await;
        let refund = refund(&charge(&key, &order_no, 700), 700, 100);
        let first = portone.cancel(&refund, &asking(&key)).await;
        assert_eq!(cancelled(&first), *expected, "{fault:?}");
        for _ in 0..2 {
            let again = portone.cancel(&refund, &asking(&key)).await;
            assert_eq!(cancelled(&again), "cancelled to 600", "{fault:?}");
        }
    }
    // The simulator answers what is under way before it goes: the late one has come.
    let bank = bank.stop().await.start().await;
    for number in 0..rows.len() {
        assert_eq!(bank.money(&format!("order-{number}")).await, (700, 100, 1), "{number}");
    }
    let fired: u64 = bank.simulator.faults_fired().await.unwrap().values().sum();
    assert_eq!(fired, rows.len() as u64);
}

#[tokio::test]
async fn f78_a_cancel_is_judged_by_the_balance() {
    let bank = Bank::open().await;
    let portone = bank.portone();
    let it = charge("imp-1", "order-1", 700);
    bank.payer("imp-1", "order-1", 700).await;
    let cancel = async |balance, amount| {
        cancelled(&portone.cancel(&refund(&it, balance, amount), &asking("c")).await)
    };
    assert_eq!(cancel(700, 200).await, "cancelled to 500");
    // Again, by whomever: the balance is the wanted one.
    assert_eq!(cancel(700, 200).await, "cancelled to 500");
    assert_eq!(cancel(1_000, 600).await, "only 500");
    // Somebody took 100 that we do not know of, and we ask for 50 of 500.
    let by_hand = json!({ "cancelReason": "by hand", "cancelAmount": 100 });
    bank.cancel("by hand", "imp-1", by_hand.clone()).await;
    assert_eq!(cancel(500, 50).await, "unknown");
    assert_eq!(bank.money("order-1").await, (700, 300, 1));
    // All of it is all of it, also where less is there than we thought.
    assert_eq!(cancel(500, 500).await, "cancelled to 0");
    assert_eq!(cancel(500, 500).await, "cancelled to 0");
    assert_eq!(bank.money("order-1").await, (700, 700, 1));

    // What somebody took is less than what we ask for, so ours was not done yet.
    bank.payer("imp-2", "order-2", 700).await;
    bank.cancel("by hand", "imp-2", by_hand).await;
    let other = refund(&charge("imp-2", "order-2", 700), 700, 300);
    let asked = portone.cancel(&other, &asking("c")).await;
    assert_eq!(cancelled(&asked), "cancelled to 300");

    let faults = FaultScript { cancel: vec![decline("closed")], ..FaultScript::default() };
    bank.buyer_at(Stage::Paid, "imp-3", "order-3", 700, faults).await;
    let refused = refund(&charge("imp-3", "order-3", 700), 700, 700);
    let asked = portone.cancel(&refused, &asking("c")).await;
    assert_eq!(cancelled(&asked), "refused 1 closed");
    assert_eq!(bank.money("order-3").await, (700, 0, 1));
}

/// Another request of the same cancel may be on its way, and arrive behind the refusal.
#[tokio::test]
async fn f78_a_refusal_is_believed_once_nothing_can_arrive_any_more() {
    let bank = Bank::open().await;
    let portone = bank.portone();
    let asked_before = |age_ms| {
        let Asking { intended_at_ms, .. } = asking("c");
        Asking { asked_before: true, now_ms: intended_at_ms + age_ms, ..asking("c") }
    };
    let faults = FaultScript {
        cancel: vec![decline("closed"), decline("closed")],
        ..FaultScript::default()
    };
    bank.buyer_at(Stage::Paid, "imp-1", "order-1", 700, faults).await;
    let refund = refund(&charge("imp-1", "order-1", 700), 700, 700);
    let early = portone.cancel(&refund, &asked_before(MINUTE_MS)).await;
    assert_eq!(cancelled(&early), "unknown");
    let late = portone.cancel(&refund, &asked_before(16 * MINUTE_MS)).await;
    assert_eq!(cancelled(&late), "refused 1 closed");
    assert_eq!(bank.money("order-1").await, (700, 0, 1));
}

/// An adapter to a provider that gives tokens and answers every look-up by key and every
/// look-up by order the same.
async fn odd(by_key: (u16, String), by_order: (u16, String)) -> PortOne {
    let routes = Router::new().fallback(move |method: Method, uri: Uri| {
        let token = r#"{"code":0,"message":null,"response":{"access_token":"t","now":0,
            "expired_at":0}}"#;
        let (status, body) = match uri.path() {
            "/users/getToken" => (200, token.to_owned()),
            path if path.starts_with("/payments/find/") => by_order.clone(),
            _ if method == Method::GET => by_key.clone(),
            _ => (500, String::new()),
        };
        async move { (StatusCode::from_u16(status).unwrap(), body) }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    PortOne::new(&PortOneConfig::new(&url, "imp_key", IMP_SECRET)).unwrap()
}

const PAID: &str = r#"{"code":0,"message":null,"response":{"imp_uid":"imp-1",
    "merchant_uid":"order-1","status":"paid","amount":700,"cancel_amount":0,"currency":"KRW",
    "paid_at":1700000000,"tomorrow":{"a":[1]}}}"#;
const NONE: &str = r#"{"code":-1,"message":"none","response":null}"#;

#[tokio::test]
async fn s0_15_d6_odd_replies_to_a_look_up_are_unknown() {
    let ok = |body: String| (200, body);
    let it = charge("imp-1", "order-1", 700);
    let rows = [
        (ok(PAID.to_owned()), "captured 700"),
        ((500, PAID.to_owned()), "unknown"),
        ((502, "<html>".to_owned()), "unknown"),
        ((404, "<html>a proxy</html>".to_owned()), "unknown"),
        ((404, "{}".to_owned()), "unknown"),
        ((302, String::new()), "unknown"),
        ((429, NONE.to_owned()), "wait"),
        ((401, NONE.to_owned()), "configuration"),
        ((403, NONE.to_owned()), "unknown"),
        (ok(String::new()), "unknown"),
        (ok(PAID[..PAID.len() / 2].to_owned()), "unknown"),
        (ok(NONE.replace("-1", "0")), "unknown"),
        // A system error of a moment.
        (ok(NONE.to_owned()), "unknown"),
        (ok(NONE.replace("-1", "1")), "unknown"),
        ((404, NONE.to_owned()), "not found"),
        (ok(PAID.replace(r#""code":0"#, r#""code":1"#)), "unknown"),
        (ok(PAID.replace("imp-1", "imp-2")), "unknown"),
        (ok(PAID.replace("700,\"c", "700.5,\"c")), "unknown"),
        (ok(PAID.replace("paid\",\"amount", "settling\",\"amount")), "unknown"),
        (ok(PAID.replace("paid\",\"amount", "cancelled\",\"amount")), "unknown"),
        (ok(PAID.replace("\"cancel_amount\":0", "\"cancel_amount\":900")), "unknown"),
        (ok(PAID.replace("\"cancel_amount\":0", "\"cancel_amount\":-1")), "unknown"),
        (ok(PAID.replace("KRW", "USD")), "amount 70000"),
        (ok(PAID.replace("\"cancel_amount\":0", "\"cancel_amount\":100")), "amount 600"),
        (ok(PAID.replace("order-1", "order-2")), "used order-2"),
    ];
    for (reply, expected) in rows {
        let asked = verify(&odd(reply.clone(), (404, NONE.to_owned())).await, &it).await;
        assert_eq!(confirmed(&asked), expected, "{reply:?}");
    }
}

#[tokio::test]
async fn d6_there_is_none_is_believed_only_when_it_is_said_twice() {
    let it = charge("imp-1", "order-1", 700);
    let rows = [
        ((404, NONE), (404, NONE), "not found"),
        // An error that passes is not "there is none", whoever is asked.
        ((200, NONE), (404, NONE), "unknown"),
        ((404, NONE), (200, NONE), "unknown"),
        ((404, NONE), (500, ""), "unknown"),
        ((404, NONE), (404, "<html>"), "unknown"),
        // By its order it is there.
        ((404, NONE), (200, PAID), "captured 700"),
    ];
    for (by_key, by_order, expected) in rows {
        let own = |it: (u16, &str)| (it.0, it.1.to_owned());
        let asked = verify(&odd(own(by_key), own(by_order)).await, &it).await;
        assert_eq!(confirmed(&asked), expected, "{by_key:?} {by_order:?}");
    }
}
