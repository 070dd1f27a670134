//! A disk takes no more under each program in turn. What was accepted is finished once there is
//! room again, and the books of all sides agree.

use saga_proto::saga::v1::{GetSagaRequest, SagaState};
use saga_tests::{
    buyer::named,
    condition::eventually,
    order::{MUG, Order},
    server::{Server, serves},
    shop::{Database, Shop},
};
use tonic::Code;

/// Less than any of the files has by now, so that nothing can be written.
const FULL: Option<u64> = Some(4_096);

const ROOM: Option<u64> = None;

#[tokio::test]
async fn a_log_on_a_full_disk_accepts_nothing_and_forgets_nothing() {
    let mut shop = Shop::open(Database::Sqlite).await;
    let under_way: Vec<Order> =
        (0..8).map(|it| Order::of(&format!("order-{it}"), 1, MUG)).collect();
    shop.authenticate_all(&under_way).await;
    for order in &under_way {
        shop.insist(order).await;
    }
    shop.orchestrator.process().limit_files(FULL);
    let new = Order::of("order-new", 1, MUG);
    shop.authenticate(&new).await;
    let refused = shop.start(&new).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    let channel = shop.orchestrator.channel();
    eventually("it says that it takes no sagas", async || {
        (!serves(channel.clone(), "saga.v1.SagaService").await).then_some(())
    })
    .await;
    // What can be read is read.
    let request = GetSagaRequest { name: Some(named("order-0")) };
    shop.sagas().get_saga(request).await.unwrap();

    shop.orchestrator.process().limit_files(ROOM);
    shop.insist(&new).await;
    for order in under_way.iter().chain([&new]) {
        let saga = shop.ended(&order.business_key).await;
        assert_eq!(saga.state(), SagaState::Completed, "{}", saga.why);
    }
    let all: Vec<Order> = under_way.into_iter().chain([new]).collect();
    shop.assert_integrity(&all).await;
}

#[tokio::test]
async fn a_service_on_a_full_disk_does_nothing_by_halves() {
    type Of = fn(&mut Shop) -> &mut Server;
    let services: [(&str, Of); 3] = [
        ("inventory", |shop| &mut shop.inventory),
        ("payment", |shop| &mut shop.payment),
        ("order", |shop| &mut shop.order),
    ];
    let mut shop = Shop::open(Database::Sqlite).await;
    let mut orders = Vec::new();
    for (name, service) in services {
        service(&mut shop).process().limit_files(FULL);
        let order = Order::of(&format!("order-{name}"), 1, MUG);
        shop.authenticate(&order).await;
        shop.insist(&order).await;
        eventually("the full disk is met", async || {
            let request = GetSagaRequest { name: Some(named(&order.business_key)) };
            let saga = shop.sagas().get_saga(request).await.ok()?.into_inner().saga?;
            saga.steps.iter().any(|step| !step.last_result.is_empty()).then_some(())
        })
        .await;
        service(&mut shop).process().limit_files(ROOM);
        let saga = shop.ended(&order.business_key).await;
        assert_eq!(saga.state(), SagaState::Completed, "{name}: {}", saga.why);
        orders.push(order);
    }
    shop.assert_integrity(&orders).await;
}
