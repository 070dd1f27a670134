//! Programs are killed while orders are under way. Afterwards every order that was accepted
//! has ended, and the books of all sides agree.

use std::time::{Duration, Instant};

use futures::future::join_all;
use saga_proto::saga::v1::{ListSagasRequest, SagaEvent, SagaState, StepState};
use saga_tests::{
    condition::eventually,
    order::{LAMP, MUG, Order},
    process::run,
    programs,
    shop::{Database, Node, Shop, postgres_database_stem},
};
use serde_json::{Value, json};
use tokio::join;

crate::on_both_databases!(
    a_killed_orchestrator_ends_every_order_that_it_accepted,
    the_demo_survives_kills,
);

/// Orders of a run.
const ORDERS: usize = 24;

async fn a_killed_orchestrator_ends_every_order_that_it_accepted(database: Database) {
    let mut shop = Shop::open(database).await;
    let orders = orders();
    for order in &orders {
        shop.authenticate_with(order, trouble(order)).await;
    }
    for half in orders.chunks(ORDERS / 2) {
        join_all(half.iter().map(|order| shop.insist(order))).await;
        shop.orchestrator.kill().await;
        shop.orchestrator.start().await;
    }
    assert_all_ended(&shop, &orders).await;
    // They were under way when their owner died.
    let taken_over = orders_with(&shop, &orders, |event| event.kind == "Owned").await;
    assert!(ORDERS / 4 < taken_over, "{taken_over} sagas were taken over");
}

#[tokio::test]
async fn a_killed_service_loses_no_order() {
    let mut shop = Shop::open(Database::Sqlite).await;
    let orders = orders();
    for order in &orders {
        shop.authenticate_with(order, trouble(order)).await;
    }
    let (first, second) = orders.split_at(ORDERS / 2);
    join_all(first.iter().map(|order| shop.insist(order))).await;
    join!(shop.payment.kill(), shop.inventory.kill());
    // These find their services dead, and wait, however fast those come back.
    join_all(second.iter().map(|order| shop.insist(order))).await;
    for order in second {
        shop.becomes(&order.business_key, |it| it.waiting_on.starts_with("participant ")).await;
    }
    join!(shop.payment.start(), shop.inventory.start());
    assert_all_ended(&shop, &orders).await;
}

#[tokio::test]
async fn a_stopped_node_hands_its_sagas_to_another_at_once() {
    let mut shop = Shop::closed(Database::Postgres).await;
    // Whoever waited for the first node to be given up would wait for ten minutes.
    let patient = Node { dead_after_ms: 600_000, ..Node::on(&shop.books.log) };
    shop.configure(&patient);
    shop.open_services().await;
    shop.orchestrator.start().await;
    let orders: Vec<Order> = (0..4).map(|it| Order::of(&format!("order-{it}"), 1, MUG)).collect();
    for order in &orders {
        shop.authenticate(order).await;
    }
    // The sagas stand still in the middle.
    shop.provider.kill().await;
    join_all(orders.iter().map(|order| shop.insist(order))).await;
    let is_tried = |state| matches!(state, StepState::Retrying | StepState::Unknown);
    for order in &orders {
        let key = &order.business_key;
        shop.becomes(key, |saga| saga.steps.iter().any(|it| is_tried(it.state()))).await;
    }
    let mut second = shop.second_node(&patient);
    second.start().await;

    let asked = Instant::now();
    let status = shop.orchestrator.stop().await;
    assert!(status.success(), "{status}");
    shop.provider.start().await;
    shop.orchestrator = second;

    for order in &orders {
        let saga = shop.ended(&order.business_key).await;
        assert_eq!(saga.state(), SagaState::Completed, "{}", saga.why);
    }
    assert!(asked.elapsed() < Duration::from_secs(60), "{:?}", asked.elapsed());
    shop.assert_integrity(&orders).await;
}

async fn the_demo_survives_kills(database: Database) {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = programs::command("saga-demo");
    demo.args(["--limit", "60", "--concurrency", "12", "--faults", "heavy", "--port-base", "0"])
        .args(["--kill-orchestrator", "2", "--json", "--exit", "--data"])
        .arg(folder.path());
    if database == Database::Postgres {
        demo.args(["--log", &postgres_database_stem()]);
    }

    let finished = run(demo).await;

    let what = format!("{}\n{}", finished.stdout, finished.stderr);
    assert_eq!(finished.code, Some(0), "{what}");
    let summary: Value = serde_json::from_str(&finished.stdout).unwrap();
    for zero in [
        "duplicate_charges",
        "orphan_charges",
        "stock_mismatches",
        "negative_stock",
        "orders_without_payment",
        "coupon_mismatches",
        "stuck",
        "not_ended",
        "rejected",
    ] {
        assert_eq!(summary[zero], json!(0), "{zero}: {what}");
    }
    assert_eq!(summary["kills"], json!(2), "{what}");
    let ended = [&summary["completed"], &summary["compensated"]];
    let ended: u64 = ended.iter().map(|it| it.as_u64().unwrap()).sum();
    assert_eq!((summary["orders"].as_u64(), ended), (Some(60), 60), "{what}");
    let cancels = [&summary["cancels_completed"], &summary["cancels_compensated"]];
    let cancels: u64 = cancels.iter().map(|it| it.as_u64().unwrap()).sum();
    assert_eq!(summary["cancels"].as_u64(), Some(cancels), "{what}");
    assert!(0 < cancels, "{what}");
    assert!(!summary["faults"].as_object().unwrap().is_empty(), "{what}");
}

/// Orders of mugs, and some of lamps, of which there are not enough.
fn orders() -> Vec<Order> {
    let order = |it: usize| {
        let item = if it.is_multiple_of(4) { LAMP } else { MUG };
        Order::of(&format!("order-{it}"), 1, item)
    };
    (0..ORDERS).map(order).collect()
}

/// What goes wrong with an order at the provider. Each takes a while, so that it is under
/// way when somebody is killed.
fn trouble(order: &Order) -> Value {
    let slow = json!({ "kind": "delay", "before_ms": 200, "after_commit_ms": 200 });
    let number = order.order_no.rsplit('-').next().unwrap().parse::<u32>().unwrap();
    let more = match number % 6 {
        1 => json!({ "kind": "drop_after_commit" }),
        2 => json!({ "kind": "decline", "code": "REJECT_CARD_PAYMENT" }),
        3 => json!({ "kind": "error_before", "status": 503 }),
        _ => return json!({ "confirm": [slow] }),
    };
    json!({ "confirm": [more, slow] })
}

/// How many of the orders have such an event.
async fn orders_with(shop: &Shop, orders: &[Order], is: impl Fn(&SagaEvent) -> bool) -> usize {
    let mut count = 0;
    for order in orders {
        count += usize::from(shop.events(&order.business_key).await.iter().any(&is));
    }
    count
}

async fn assert_all_ended(shop: &Shop, orders: &[Order]) {
    let mut completed = 0;
    for order in orders {
        let saga = shop.ended(&order.business_key).await;
        let expected = [SagaState::Completed, SagaState::Compensated];
        assert!(expected.contains(&saga.state()), "{}: {}", saga.business_key, saga.why);
        completed += i64::from(saga.state() == SagaState::Completed);
    }
    // Of each kind there is at least one, or nothing was tried.
    assert!(0 < completed && completed < i64::try_from(ORDERS).unwrap(), "{completed}");
    eventually("nothing is under way", async || {
        let mut open = 0;
        for state in [SagaState::Running, SagaState::Compensating, SagaState::Stuck] {
            let request = ListSagasRequest { state: state.into(), ..ListSagasRequest::default() };
            open += shop.sagas().list_sagas(request).await.ok()?.into_inner().sagas.len();
        }
        (open == 0).then_some(())
    })
    .await;
    let (_, _, mugs) = shop.stock(MUG).await;
    let (_, _, lamps) = shop.stock(LAMP).await;
    assert_eq!(mugs + lamps, completed);
    assert!(lamps <= LAMP.initial_stock, "{lamps}");
    shop.assert_integrity(orders).await;
}
