//! The database of the log goes away in the middle of a run and comes back. Nothing is
//! accepted meanwhile, nothing is lost, and nobody has to restart the orchestrator.

use futures::future::join_all;
use saga_proto::saga::v1::{Saga, SagaState, StepState};
use saga_tests::{
    buyer::reason,
    condition::eventually,
    order::{MUG, Order},
    postgres::Cluster,
    shop::{Database, Node, Shop},
};
use tonic::Code;

#[tokio::test]
async fn a_log_that_goes_away_and_comes_back_loses_nothing() {
    let cluster = Cluster::start();
    let mut shop = Shop::closed(Database::Sqlite).await;
    let node = Node { start_timeout_ms: 1_000, ..Node::on(&cluster.database("log")) };
    shop.configure(&node);
    shop.open_services().await;
    shop.orchestrator.start().await;
    let orders: Vec<Order> = (0..8).map(|it| Order::of(&format!("order-{it}"), 1, MUG)).collect();
    for order in &orders {
        shop.authenticate(order).await;
    }
    let (early, late) = orders.split_at(6);
    // The provider is away, so that the sagas are in the middle when the log goes.
    shop.provider.kill().await;
    join_all(early.iter().map(|order| shop.insist(order))).await;
    for order in early {
        shop.becomes(&order.business_key, waits_for_payment).await;
    }

    cluster.kill();
    shop.provider.start().await;
    for order in late {
        let told = shop.start(order).await.unwrap_err();
        assert_eq!((told.code(), reason(&told).as_str()), (Code::Unavailable, "LOG_UNAVAILABLE"));
        assert!(told.message().contains("try again"), "{told}");
    }
    shop.orchestrator.process().assert_running().await;
    cluster.start_server();

    // What was accepted before goes on by itself, and what was not is accepted now.
    for order in early {
        let saga = shop.ended(&order.business_key).await;
        assert_eq!(saga.state(), SagaState::Completed, "{}", saga.why);
    }
    for order in late {
        assert_eq!(shop.place(order).await.state(), SagaState::Completed);
    }
    shop.orchestrator.process().assert_running().await;
    for order in &orders {
        assert_eq!(shop.money(&order.order_no).await, (500, 0, 1));
    }
    shop.assert_integrity(&orders).await;
}

/// The same, where the log goes while many calls and appends are out.
#[tokio::test]
async fn a_log_that_goes_away_under_load_does_nothing_twice() {
    let cluster = Cluster::start();
    let mut shop = Shop::closed(Database::Sqlite).await;
    shop.configure(&Node { start_timeout_ms: 1_000, ..Node::on(&cluster.database("log")) });
    shop.open_services().await;
    shop.orchestrator.start().await;
    let orders: Vec<Order> = (0..24).map(|it| Order::of(&format!("order-{it}"), 1, MUG)).collect();
    for order in &orders {
        shop.authenticate(order).await;
    }

    let placing = join_all(orders.iter().map(|order| shop.place(order)));
    let cutting = async {
        eventually("something is sold", async || (0 < shop.stock(MUG).await.2).then_some(())).await;
        cluster.kill();
        cluster.start_server();
    };
    let (sagas, ()) = tokio::join!(placing, cutting);

    for saga in sagas {
        assert_eq!(saga.state(), SagaState::Completed, "{}", saga.why);
    }
    shop.assert_integrity(&orders).await;
}

fn waits_for_payment(saga: &Saga) -> bool {
    let waits = |state| matches!(state, StepState::Retrying | StepState::Unknown);
    saga.steps.iter().any(|it| it.name == "verify_payment" && waits(it.state()))
}
