//! One row for each thing that the provider may say, asked of the real simulator: what the
//! adapter makes of it.

use payment_svc::{
    provider::{
        Asking, Provider, Standing, Wanted,
        toss::{Toss, TossConfig},
    },
    simulator::{DuplicateOrders, Fault, FaultScript, SimulatorConfig},
};
use saga_participant::Settled;
use serde_json::json;

use crate::{
    bank::{Bank, asking, asking_again, charge, decline, on_confirm, refund},
    words::{cancelled, confirmed, unanswered},
};

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

#[tokio::test]
async fn every_code_of_a_confirm_has_its_meaning() {
    let bank = Bank::open().await;
    let toss = bank.toss();
    let rows = [
        ("REJECT_CARD_PAYMENT", "declined REJECT_CARD_PAYMENT"),
        ("REJECT_ACCOUNT_PAYMENT", "declined REJECT_ACCOUNT_PAYMENT"),
        ("REJECT_CARD_COMPANY", "declined REJECT_CARD_COMPANY"),
        ("EXCEED_MAX_DAILY_PAYMENT_COUNT", "declined EXCEED_MAX_DAILY_PAYMENT_COUNT"),
        ("EXCEED_MAX_AMOUNT", "declined EXCEED_MAX_AMOUNT"),
        ("INVALID_CARD_EXPIRATION", "declined INVALID_CARD_EXPIRATION"),
        ("INVALID_CARD_NUMBER", "declined INVALID_CARD_NUMBER"),
        ("INVALID_STOPPED_CARD", "declined INVALID_STOPPED_CARD"),
        ("NOT_FOUND_PAYMENT_SESSION", "expired"),
        ("UNAUTHORIZED_KEY", "configuration"),
        ("INVALID_API_KEY", "configuration"),
        ("FORBIDDEN_REQUEST", "configuration"),
        ("IDEMPOTENT_REQUEST_PROCESSING", "wait"),
        ("TOO_MANY_REQUESTS", "wait"),
        // The payment is still open when these come back, so nothing is known.
        ("ALREADY_PROCESSED_PAYMENT", "unknown"),
        ("DUPLICATED_ORDER_ID", "unknown"),
        ("PROVIDER_ERROR", "unknown"),
        ("INVALID_REQUEST", "unknown"),
        ("NOT_FOUND_PAYMENT", "unknown"),
        ("FAILED_INTERNAL_SYSTEM_PROCESSING", "unknown"),
        ("UNKNOWN_PAYMENT_ERROR", "unknown"),
        ("A_CODE_OF_TOMORROW", "unknown"),
    ];
    for (number, (code, expected)) in rows.into_iter().enumerate() {
        let (key, order_no) = (format!("pay-{number}"), format!("order-{number}"));
        bank.buyer_with(&key, &order_no, 700, on_confirm([decline(code)])).await;
        let asked = toss.confirm(&charge(&key, &order_no, 700), &asking(&key)).await;
        assert_eq!(confirmed(&asked), expected, "{code}");
    }
    assert_eq!(bank.fired("decline").await, rows.len() as u64);
    assert_eq!(bank.simulator.ledger().await.unwrap(), []);
}

#[tokio::test]
async fn f74_every_fault_of_a_confirm_has_its_outcome_and_the_same_key_settles_it() {
    let bank = Bank::open().await;
    let config =
        TossConfig { request_timeout_ms: 1_000, ..TossConfig::new(&bank.url(""), "test_sk_x") };
    let toss = Toss::new(&config).unwrap();
    let slow = |before_ms, after_commit_ms| Fault::Delay { before_ms, after_commit_ms };
    let rows = [
        // A look-up settles at once what was captured.
        ("reply lost", Fault::DropAfterCommit, "captured 700"),
        ("5xx after", Fault::ErrorAfter { status: 500 }, "captured 700"),
        ("502 after", Fault::ErrorAfter { status: 502 }, "captured 700"),
        ("too late", slow(0, 2_500), "captured 700"),
        // What was not captured may still be.
        ("request lost", Fault::DropBeforeCommit, "unknown"),
        ("503 before", Fault::ErrorBefore { status: 503 }, "unknown"),
        ("slow before", slow(2_500, 0), "unknown"),
        ("running", Fault::Conflict409, "wait"),
    ];
    for (number, (name, fault, expected)) in rows.clone().into_iter().enumerate() {
        let (key, order_no) = (format!("pay-{number}"), format!("order-{number}"));
        bank.buyer_with(&key, &order_no, 700, on_confirm([fault])).await;
        let charge = charge(&key, &order_no, 700);
        assert_eq!(confirmed(&toss.confirm(&charge, &asking(&key)).await), expected, "{name}");

        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
        while confirmed(&toss.confirm(&charge, &asking(&key)).await) != "captured 700" {
            assert!(tokio::time::Instant::now() < deadline, "{name} is not settled");
        }
        assert_eq!(bank.money(&order_no).await, (700, 0, 1), "{name}");
    }
    let fired: u64 = bank.simulator.faults_fired().await.unwrap().values().sum();
    assert_eq!(fired, rows.len() as u64);
}

#[tokio::test]
async fn f72_s4_6_already_processed_is_success_only_where_order_amount_and_status_match() {
    let bank = Bank::open().await;
    let toss = bank.toss();
    bank.buyer("pay-1", "order-1", 700).await;
    bank.confirm("an earlier key", &charge("pay-1", "order-1", 700)).await;

    let rows = [
        (charge("pay-1", "order-1", 700), "captured 700"),
        (charge("pay-1", "order-2", 700), "used order-1"),
        // Captured, but not what we asked for: a person has to look.
        (charge("pay-1", "order-1", 600), "unknown"),
    ];
    for (charge, expected) in rows {
        let asked = toss.confirm(&charge, &asking(&format!("{charge:?}"))).await;
        assert_eq!(confirmed(&asked), expected, "{charge:?}");
    }
    // Somebody gave money back at the provider since.
    bank.cancel("c", "pay-1", json!({ "cancelReason": "x", "cancelAmount": 100 })).await;
    let asked = toss.confirm(&charge("pay-1", "order-1", 700), &asking("later")).await;
    assert_eq!(confirmed(&asked), "captured 600");
}

/// The provider answers a repeat as it answered the first, whatever happened since.
#[tokio::test]
async fn a_success_that_comes_again_is_looked_up_before_it_is_believed() {
    let bank = Bank::open().await;
    let (toss, it) = (bank.toss(), charge("pay-1", "order-1", 700));
    bank.buyer("pay-1", "order-1", 700).await;
    assert_eq!(confirmed(&toss.confirm(&it, &asking("key")).await), "captured 700");
    bank.cancel("c", "pay-1", json!({ "cancelReason": "x", "cancelAmount": 100 })).await;
    assert_eq!(confirmed(&toss.confirm(&it, &asking_again("key")).await), "captured 600");

    let part = refund(&it, 600, 200);
    assert_eq!(cancelled(&toss.cancel(&part, &asking("part")).await), "cancelled to 400");
    bank.cancel("d", "pay-1", json!({ "cancelReason": "x", "cancelAmount": 300 })).await;
    assert_eq!(cancelled(&toss.cancel(&part, &asking_again("part")).await), "cancelled to 100");

    bank.cancel("e", "pay-1", json!({ "cancelReason": "x", "cancelAmount": 100 })).await;
    // Nothing is left that could pay for an order.
    assert_eq!(confirmed(&toss.confirm(&it, &asking_again("key")).await), "not paid CANCELLED");
    assert_eq!(bank.money("order-1").await, (700, 700, 1));
}

#[tokio::test]
async fn s0_14_an_amount_that_the_buyer_did_not_agree_to_is_refused_and_not_captured() {
    let bank = Bank::open().await;
    bank.buyer("pay-1", "order-1", 700).await;
    let asked = bank.toss().confirm(&charge("pay-1", "order-1", 900), &asking("key")).await;
    assert_eq!(confirmed(&asked), "amount 700");
    let asked = bank.toss().look_up(Wanted::Key("pay-1")).await;
    assert!(matches!(asked, Settled::Definite(Some(it)) if it.standing == Standing::Open));
    assert_eq!(bank.money("order-1").await, (0, 0, 0));
}

#[tokio::test]
async fn d7_an_order_that_another_payment_settled_is_refused() {
    let bank = Bank::open().await;
    bank.buyer("pay-1", "order-1", 700).await;
    bank.buyer("pay-2", "order-1", 700).await;
    bank.confirm("other", &charge("pay-1", "order-1", 700)).await;
    let asked = bank.toss().confirm(&charge("pay-2", "order-1", 700), &asking("key")).await;
    assert_eq!(confirmed(&asked), "used order-1");
    assert_eq!(bank.money("order-1").await, (700, 0, 1));
}

#[tokio::test]
async fn a_passing_refusal_that_is_replayed_ends_with_the_buyers_window() {
    let bank = Bank::open().await;
    bank.buyer_with("pay-1", "order-1", 700, on_confirm([decline("PROVIDER_ERROR")])).await;
    let (toss, it) = (bank.toss(), charge("pay-1", "order-1", 700));
    for _ in 0..3 {
        assert_eq!(confirmed(&toss.confirm(&it, &asking("key")).await), "unknown");
    }
    bank.simulator.advance_clock(11 * MINUTE_MS).await.unwrap();
    assert_eq!(confirmed(&toss.confirm(&it, &asking("key")).await), "expired");
}

#[tokio::test]
async fn f76_t5_a_key_that_the_provider_may_have_forgotten_is_not_used_again() {
    let duplicate_orders = DuplicateOrders::Captured;
    let config = SimulatorConfig { duplicate_orders, ..SimulatorConfig::default() };
    let bank = Bank::open_with(config).await;
    bank.buyer("pay-1", "order-1", 700).await;
    bank.buyer("pay-2", "order-2", 700).await;
    bank.confirm("key-1", &charge("pay-1", "order-1", 700)).await;
    let old = |key: &str| Asking { now_ms: 14 * DAY_MS + 1, ..asking(key) };

    let asked = bank.toss().confirm(&charge("pay-1", "order-1", 700), &old("key-1")).await;
    assert_eq!(confirmed(&asked), "captured 700");
    // Never confirmed, and now only looked at.
    let asked = bank.toss().confirm(&charge("pay-2", "order-2", 700), &old("key-2")).await;
    assert_eq!(confirmed(&asked), "unknown");
    assert_eq!(bank.money("order-2").await, (0, 0, 0));
}

#[tokio::test]
async fn f21_a_provider_that_is_down_leaves_everything_unknown() {
    let bank = Bank::open().await;
    let toss = bank.toss();
    let it = charge("pay-1", "order-1", 700);
    let _stopped = bank.stop().await;
    assert_eq!(confirmed(&toss.confirm(&it, &asking("key")).await), "unknown");
    assert_eq!(cancelled(&toss.cancel(&refund(&it, 700, 700), &asking("key")).await), "unknown");
    assert_eq!(unanswered(&toss.look_up(Wanted::Order("order-1")).await), "unknown");
}

#[tokio::test]
async fn every_code_of_a_cancel_has_its_meaning() {
    let bank = Bank::open().await;
    let toss = bank.toss();
    let rows = [
        ("NOT_CANCELABLE_PAYMENT", "refused NOT_CANCELABLE_PAYMENT"),
        ("EXCEED_MAX_REFUND_DUE", "refused EXCEED_MAX_REFUND_DUE"),
        ("REFUND_REJECTED", "refused REFUND_REJECTED"),
        ("UNAUTHORIZED_KEY", "configuration"),
        ("TOO_MANY_REQUESTS", "wait"),
        ("FAILED_METHOD_HANDLING_CANCEL", "unknown"),
        // It passes, and the provider would replay it for ever under the first key.
        ("PROVIDER_ERROR", "cancelled to 0"),
        ("A_CODE_OF_TOMORROW", "cancelled to 0"),
    ];
    for (number, (code, expected)) in rows.into_iter().enumerate() {
        let (key, order_no) = (format!("pay-{number}"), format!("order-{number}"));
        let faults = FaultScript { cancel: vec![decline(code)], ..FaultScript::default() };
        bank.buyer_with(&key, &order_no, 700, faults).await;
        let charge = charge(&key, &order_no, 700);
        bank.confirm(&key, &charge).await;
        let cancel_key = format!("cancel-{key}");
        let asked = toss.cancel(&refund(&charge, 700, 700), &asking(&cancel_key)).await;
        assert_eq!(cancelled(&asked), expected, "{code}");
        let again = toss.cancel(&refund(&charge, 700, 700), &asking(&cancel_key)).await;
        // A failure, a pause and a wrong key are not replayed.
        let settled = match expected {
            "unknown" | "wait" | "configuration" => "cancelled to 0",
            other => other,
        };
        assert_eq!(cancelled(&again), settled, "{code} again");
    }
    assert_eq!(bank.fired("decline").await, rows.len() as u64);
}

/// A part that goes back under a second key goes back twice, if the first was done.
#[tokio::test]
async fn a_part_is_never_asked_for_under_another_key() {
    let bank = Bank::open().await;
    let toss = bank.toss();
    let codes = [
        "PROVIDER_ERROR",
        "A_CODE_OF_TOMORROW",
        "NOT_FOUND_PAYMENT",
        "INVALID_REQUEST",
        // What no cancel should be answered with, and some day is.
        "REJECT_CARD_PAYMENT",
        "FDS_ERROR",
        "NOT_FOUND_PAYMENT_SESSION",
        "ALREADY_PROCESSED_PAYMENT",
        "DUPLICATED_ORDER_ID",
    ];
    for (number, code) in codes.into_iter().enumerate() {
        let (key, order_no) = (format!("pay-{number}"), format!("order-{number}"));
        let faults = FaultScript { cancel: vec![decline(code)], ..FaultScript::default() };
        bank.buyer_with(&key, &order_no, 700, faults).await;
        let charge = charge(&key, &order_no, 700);
        bank.confirm(&key, &charge).await;
        let asking = asking(&format!("cancel-{key}"));
        for _ in 0..2 {
            let asked = toss.cancel(&refund(&charge, 700, 300), &asking).await;
            assert_eq!(cancelled(&asked), "unknown", "{code}");
        }
        assert_eq!(bank.money(&order_no).await, (700, 0, 1), "{code}");
        // Done after all, as a look-up tells.
        bank.cancel("late", &key, json!({ "cancelReason": "x", "cancelAmount": 300 })).await;
        let asked = toss.cancel(&refund(&charge, 700, 300), &asking).await;
        assert_eq!(cancelled(&asked), "cancelled to 400", "{code}");
        assert_eq!(bank.money(&order_no).await, (700, 300, 1), "{code}");
    }
    assert_eq!(bank.fired("decline").await, codes.len() as u64);
}

/// A key that somebody made up holds no stock until the buyer's window is over.
#[tokio::test]
async fn a_key_that_the_provider_never_heard_of_is_refused_at_once() {
    let bank = Bank::open().await;
    let made_up = charge("pay-nonsense", "order-1", 700);
    let asked = bank.toss().confirm(&made_up, &asking("key")).await;
    assert!(["not found", "expired"].contains(&&*confirmed(&asked)), "{asked:?}");
    let routes = axum::Router::new().fallback(|| async {
        let body = r#"{"code":"NOT_FOUND_PAYMENT","message":"no such payment"}"#;
        (axum::http::StatusCode::NOT_FOUND, body)
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let toss = Toss::new(&TossConfig::new(&url, "test_sk_x")).unwrap();
    assert_eq!(confirmed(&toss.confirm(&made_up, &asking("key")).await), "not found");
}

#[tokio::test]
async fn f78_a_cancel_is_judged_by_the_balance() {
    let bank = Bank::open().await;
    let toss = bank.toss();
    let it = charge("pay-1", "order-1", 700);
    bank.buyer("pay-1", "order-1", 700).await;
    bank.confirm("key", &it).await;

    let part = toss.cancel(&refund(&it, 700, 200), &asking("c-1")).await;
    assert_eq!(cancelled(&part), "cancelled to 500");
    assert_eq!(part, toss.cancel(&refund(&it, 700, 200), &asking("c-1")).await);
    let too_much = toss.cancel(&refund(&it, 800, 600), &asking("c-2")).await;
    assert_eq!(cancelled(&too_much), "only 500");
    let rest = toss.cancel(&refund(&it, 500, 500), &asking("c-3")).await;
    assert_eq!(cancelled(&rest), "cancelled to 0");
    // Somebody did it before us: the balance is the wanted one.
    let again = toss.cancel(&refund(&it, 500, 500), &asking("c-4")).await;
    assert_eq!(cancelled(&again), "cancelled to 0");
    let more = toss.cancel(&refund(&it, 500, 100), &asking("c-5")).await;
    assert_eq!(cancelled(&more), "only 0");
    assert_eq!(bank.money("order-1").await, (700, 700, 1));
}

#[tokio::test]
async fn f78_every_fault_of_a_cancel_gives_money_back_once() {
    let bank = Bank::open().await;
    let toss = bank.toss();
    let rows = [
        (Fault::DropAfterCommit, "cancelled to 600"),
        (Fault::ErrorAfter { status: 500 }, "cancelled to 600"),
        (Fault::DropBeforeCommit, "unknown"),
        (Fault::ErrorBefore { status: 503 }, "unknown"),
        (Fault::Conflict409, "wait"),
    ];
    for (number, (fault, expected)) in rows.into_iter().enumerate() {
        let (key, order_no) = (format!("pay-{number}"), format!("order-{number}"));
        let faults = FaultScript { cancel: vec![fault.clone()], ..FaultScript::default() };
        bank.buyer_with(&key, &order_no, 700, faults).await;
        let charge = charge(&key, &order_no, 700);
        bank.confirm(&key, &charge).await;
        let (refund, asking) = (refund(&charge, 700, 100), asking(&format!("cancel-{key}")));
        assert_eq!(cancelled(&toss.cancel(&refund, &asking).await), expected, "{fault:?}");
        assert_eq!(cancelled(&toss.cancel(&refund, &asking).await), "cancelled to 600");
        assert_eq!(bank.money(&order_no).await, (700, 100, 1), "{fault:?}");
    }
}

#[tokio::test]
async fn a_look_up_shows_the_payment_by_key_and_by_order() {
    let bank = Bank::open().await;
    let toss = bank.toss();
    bank.buyer("pay-1", "order-1", 700).await;
    bank.confirm("key", &charge("pay-1", "order-1", 700)).await;
    let Settled::Definite(Some(by_key)) = toss.look_up(Wanted::Key("pay-1")).await else {
        panic!("the payment is there");
    };
    assert_eq!(by_key.balance_minor, 700);
    assert!(matches!(by_key.standing, Standing::Captured { approved_at_ms } if 0 < approved_at_ms));
    assert_eq!(toss.look_up(Wanted::Order("order-1")).await, Settled::Definite(Some(by_key)));
    assert_eq!(toss.look_up(Wanted::Key("a/../b?c")).await, Settled::Definite(None));
}
