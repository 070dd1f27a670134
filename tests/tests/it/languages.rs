//! One saga over participants in seven languages, each a server with its library's defaults:
//! Python with the operation log that `participants.md` shows, C++, Ruby, Go and Java with
//! one of their own, Node that knows nothing of sagas, and Rust with the kit.

use std::fs;

use saga_proto::saga::v1::SagaState;
use saga_tests::{
    order::MUG,
    programs::repository,
    sagas::{assert_compensated, assert_completed},
    shop::Shop,
};
use serde_json::{Value, json};

use crate::sagactl::sagactl;

mod strangers;

pub(crate) use strangers::{Stranger, open_with};
use strangers::{Strangers, Told, sources};

/// What a buyer of this number asks for.
struct Purchase {
    item: &'static str,
    account: &'static str,
    amount: i64,
    qty: i64,
}

/// Everybody takes it.
const TAKEN: Purchase = Purchase { item: "item-{n}", account: "account-{n}", amount: 100, qty: 1 };

impl Purchase {
    fn input(&self) -> Value {
        let Self { item, account, amount, qty } = self;
        let order = "order-{n}";
        json!({ "order": order, "item": item, "account": account, "amount": amount, "qty": qty })
    }

    fn of(&self, number: u32) -> Value {
        let text = self.input().to_string().replace("{n}", &number.to_string());
        serde_json::from_str(&text).unwrap()
    }
}

/// Starts sagas of these numbers, and does not wait.
async fn begin(shop: &Shop, numbers: impl Iterator<Item = u32>) {
    for number in numbers {
        let key = format!("order-{number}");
        shop.start_saga("purchase", &key, &TAKEN.of(number)).await.unwrap();
    }
}

#[tokio::test]
async fn a_saga_over_seven_languages_is_done_or_undone_whoever_dies() {
    let mut strangers = Strangers::start(Told::default()).await;
    let shop = strangers.open().await;

    let lamp = Purchase { item: "lamp", amount: 300, ..TAKEN };
    let saga = shop.run_saga("purchase", "order-1", &lamp.of(1)).await;
    assert_completed(&saga);
    // Refused by each of them: by Node, Python, C++, Ruby, Go, Java, and by Rust.
    let refused = [
        (lamp, "HELD"),
        (Purchase { amount: 5_000, ..TAKEN }, "TOO_LITTLE"),
        (Purchase { amount: 600, ..TAKEN }, "OVER_LIMIT"),
        (Purchase { account: "guest-{n}", ..TAKEN }, "NO_MEMBER"),
        (Purchase { qty: 60, ..TAKEN }, "TOO_HEAVY"),
        (Purchase { item: "gift-{n}", ..TAKEN }, "GIFT"),
        (Purchase { qty: 100_000, ..TAKEN }, "OUT_OF_STOCK"),
    ];
    for (number, (purchase, reason)) in (2..).zip(&refused) {
        let key = format!("order-{number}");
        let saga = shop.run_saga("purchase", &key, &purchase.of(number)).await;
        assert_compensated(&saga, reason);
        let account = purchase.account.replace("{n}", &number.to_string());
        assert_eq!(strangers.totals(&account).await, [1_000, 0, 0, 0, 0], "{reason}");
    }
    assert_eq!(strangers.totals("account-1").await, [700, 300, 300, 1, 1]);

    // They go away with sagas under way, and come back.
    begin(&shop, 11..31).await;
    strangers.restart().await;
    for number in 11..31 {
        let saga = shop.ended(&format!("order-{number}")).await;
        assert_eq!(saga.state(), SagaState::Completed, "{}", saga.why);
        assert_eq!(strangers.totals(&format!("account-{number}")).await, [900, 100, 100, 1, 1]);
    }
    assert_eq!(shop.stock(MUG).await, (MUG.initial_stock - 21, 0, 21));
}

/// At a server whose replies are in gzip, which nobody asked for, and at two that take four calls
/// at a time on a connection.
#[tokio::test]
async fn two_hundred_sagas_over_seven_languages_outlive_the_orchestrator() {
    let strangers =
        Strangers::start(Told { ledger: &["gzip"], parcels: &["4"], invoices: &["4"] }).await;
    let mut shop = strangers.open().await;
    begin(&shop, 1..201).await;
    shop.orchestrator.kill().await;
    shop.orchestrator.start().await;
    for number in 1..201 {
        let saga = shop.ended(&format!("order-{number}")).await;
        assert_eq!(saga.state(), SagaState::Completed, "{}", saga.why);
        assert_eq!(strangers.totals(&format!("account-{number}")).await, [900, 100, 100, 1, 1]);
    }
    assert_eq!(shop.stock(MUG).await, (MUG.initial_stock - 200, 0, 200));
}

/// A participant that is checked.
struct Checked {
    name: &'static str,
    /// The method that tells a number of an account, and the number's name.
    observe: [&'static str; 2],
    refused: Purchase,
}

#[tokio::test]
async fn each_language_breaks_no_rule() {
    let strangers = Strangers::start(Told::default()).await;
    let shop = strangers.open().await;
    let all = [
        Checked {
            name: "wallet",
            observe: ["Balance", "balance"],
            refused: Purchase { amount: 5_000, ..TAKEN },
        },
        Checked {
            name: "ledger",
            observe: ["Total", "total"],
            refused: Purchase { amount: 600, ..TAKEN },
        },
        Checked {
            name: "points",
            observe: ["Total", "total"],
            refused: Purchase { account: "guest-{n}", ..TAKEN },
        },
        Checked {
            name: "parcels",
            observe: ["Total", "total"],
            refused: Purchase { qty: 60, ..TAKEN },
        },
        Checked {
            name: "invoices",
            observe: ["Total", "total"],
            refused: Purchase { item: "gift-{n}", ..TAKEN },
        },
    ];
    for checked in &all {
        breaks_no_rule(&shop, checked).await;
    }
}

async fn breaks_no_rule(shop: &Shop, Checked { name, observe, refused }: &Checked) {
    let account = json!({ "account": TAKEN.account }).to_string();
    let (accepted, refused) = (TAKEN.input(), refused.input().to_string());
    let finished = sagactl(
        shop,
        &[
            &["service", "check", name, "--definition", "purchase"][..],
            &["--input", &accepted.to_string(), "--refused-input", &refused],
            &["--observe", observe[0], "--observe-field", observe[1]],
            &["--observe-input", &account, "--yes", "-o", "json"],
        ]
        .concat(),
    )
    .await;

    assert_eq!(finished.code, Some(0), "{name}: {}{}", finished.stdout, finished.stderr);
    let reply: Value = serde_json::from_str(&finished.stdout).unwrap();
    let verdicts = |verdict: &str| {
        reply["rules"].as_array().unwrap().iter().filter(|it| it["verdict"] == verdict).count()
    };
    assert_eq!(verdicts("RULE_VERDICT_FAIL"), 0, "{name}: {reply:#}");
    assert_eq!(verdicts("RULE_VERDICT_NOT_OBSERVED"), 0, "{name}: {reply:#}");
    assert_eq!(verdicts("RULE_VERDICT_PASS"), 34, "{name}: {reply:#}");
}

/// What `participants.md` shows is the file that the tests run.
#[test]
fn participants_md_shows_the_whole_wallet() {
    let page = fs::read_to_string(repository().join("orchestrator/docs/participants.md")).unwrap();
    for file in ["python/participant.py", "python/wallet.proto"] {
        let text = fs::read_to_string(sources().join(file)).unwrap();
        assert!(page.contains(text.trim()), "participants.md does not show {file}");
    }
}
