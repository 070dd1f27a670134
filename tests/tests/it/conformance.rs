//! `sagactl service check` against the shop's own services, as they are shipped.

use saga_tests::{
    order::{BATTERIES, Order},
    shop::{Database, Shop},
};
use serde_json::{Value, json};

use crate::sagactl::sagactl;

/// The most numbers that a check takes for one step.
const NUMBERS: usize = 64;

/// Orders of the checks: `{n}` stands for a number.
fn input(qty: i64, price_minor: i64, credits: i64) -> String {
    let Order { item, .. } = Order::of("", 1, BATTERIES);
    json!({
        "orderNo": "check-{n}",
        "customerId": "customer-1",
        "lines": [{
            "itemId": item.item_id, "qty": qty, "priceMinor": price_minor, "credits": credits,
        }],
        "payment": {
            "provider": "toss",
            "providerKey": "pay-check-{n}",
            "amountMinor": item.price_minor,
        },
        "currency": saga_tests::order::CURRENCY,
        "creditAccount": "customer-1",
    })
    .to_string()
}

/// Where the effects of a participant are seen: method, request, field.
type Number = [&'static str; 3];

const RESERVED: Number = ["GetStock", r#"{"itemIds": ["batteries"]}"#, "stock[0].reserved"];
const ORDERED: Number = ["GetOrder", r#"{"orderNo": "check-{n}"}"#, "total_minor"];
const CAPTURED: Number = ["GetPayment", r#"{"orderNo": "check-{n}"}"#, "balance_minor"];

/// Checks one participant of place-order. Answers the whole reply.
async fn check(
    shop: &Shop,
    participant: &str,
    first: usize,
    refused: &str,
    [method, request, field]: Number,
) -> Value {
    let orders: Vec<Order> = (first..first + 2 * NUMBERS)
        .map(|number| Order::of(&format!("check-{number}"), 1, BATTERIES))
        .collect();
    shop.authenticate_all(&orders).await;
    let first = first.to_string();
    let accepted = input(1, BATTERIES.price_minor, 10);
    let arguments = [
        &["service", "check", participant, "--definition", "place-order"][..],
        &["--input", &accepted, "--refused-input", refused, "--first-number", &first],
        &["--observe", method, "--observe-input", request, "--observe-field", field],
        &["--yes", "-o", "json"],
    ];
    let finished = sagactl(shop, &arguments.concat()).await;
    let said = format!("{}{}", finished.stdout, finished.stderr);
    assert_eq!(finished.code, Some(0), "{participant}: {said}");
    serde_json::from_str(&finished.stdout).unwrap()
}

/// Findings of a verdict: step, rule and, where it was not checked, why.
fn found(reply: &Value, verdict: &str) -> Vec<String> {
    let rules = reply["rules"].as_array().unwrap().iter().filter(|it| it["verdict"] == verdict);
    let text = |it: &Value, field: &str| it[field].as_str().unwrap_or_default().to_owned();
    let told = |it| format!("{}/{} {}", text(it, "step"), text(it, "rule"), text(it, "why"));
    rules.map(told).collect()
}

#[tokio::test]
async fn the_services_of_the_shop_break_no_rule_of_the_reply_contract() {
    let shop = Shop::open(Database::Sqlite).await;
    let too_many = input(BATTERIES.initial_stock + 1, BATTERIES.price_minor, 10);
    // The first step at the orders looks at what the customer says, and at no price.
    let of_nothing = input(0, BATTERIES.price_minor, 10);
    // Twice as much as the buyer has agreed to.
    let agreed = format!(r#""amountMinor":{}"#, BATTERIES.price_minor);
    let asked = format!(r#""amountMinor":{}"#, 2 * BATTERIES.price_minor);
    let too_dear = input(2, BATTERIES.price_minor, 20).replace(&agreed, &asked);
    // GrantCredit moves another number than Confirm, and AcceptOrder none that is read.
    for (participant, first, refused, number, passed, unseen) in [
        ("inventory", 1_000, &too_many, RESERVED, 48, 0),
        ("order", 2_000, &of_nothing, ORDERED, 33, 15),
        ("payment", 3_000, &too_dear, CAPTURED, 41, 5),
    ] {
        let reply = check(&shop, participant, first, refused, number).await;
        let broken = found(&reply, "RULE_VERDICT_FAIL");
        assert_eq!(broken, [""; 0], "{participant}: {reply:#}");
        let kept = found(&reply, "RULE_VERDICT_PASS").len();
        let unchecked = found(&reply, "RULE_VERDICT_NOT_CHECKED");
        println!("{participant}: 0 broken, {kept} kept, not checked: {unchecked:#?}");
        assert_eq!(kept, passed, "{participant}: {unchecked:#?}");
        let unobserved = found(&reply, "RULE_VERDICT_NOT_OBSERVED");
        assert_eq!(unobserved.len(), unseen, "{participant}: {unobserved:#?}");
    }
    shop.assert_no_violations().await;
}
