//! SIGTERM: a server first says that it does not serve any more, then lets what is under
//! way come to its end, or hands it over, and ends with status 0.

use futures::future::join_all;
use saga_proto::saga::v1::SagaState;
use saga_tests::{
    condition::{eventually, within},
    order::{MUG, Order},
    server::{Server, serves},
    shop::{Database, Shop},
};
use serde_json::json;
use tokio::net::TcpStream;
use tonic::Streaming;
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};

#[tokio::test]
async fn every_server_says_that_it_stops_and_ends_in_good_order() {
    let mut shop = Shop::open(Database::Sqlite).await;
    let servers = [
        (&mut shop.orchestrator, "saga.v1.SagaService"),
        (&mut shop.inventory, "shop.inventory.v1.InventoryService"),
        (&mut shop.payment, "shop.payment.v1.PaymentService"),
        (&mut shop.order, "shop.order.v1.OrderService"),
    ];
    join_all(servers.map(|(server, service)| stops_in_good_order(server, service))).await;
    let status = shop.provider.stop().await;
    assert!(status.success(), "the provider: {status}");
}

#[tokio::test]
async fn a_service_finishes_what_is_under_way() {
    let mut shop = Shop::open(Database::Sqlite).await;
    let order = Order::of("order-1", 1, MUG);
    let slow = json!({ "kind": "delay", "before_ms": 1_000 });
    shop.authenticate_with(&order, json!({ "confirm": [slow] })).await;
    shop.insist(&order).await;
    eventually("the payment is under way", async || {
        let payment = shop.payment_of("order-1").await.ok()?;
        (payment.balance_minor == 0).then_some(())
    })
    .await;

    let status = shop.payment.stop().await;
    assert!(status.success(), "{status}");

    // The capture was finished and not only begun.
    assert_eq!(shop.money("order-1").await, (500, 0, 1));
    shop.payment.start().await;
    let saga = shop.ended("order-1").await;
    assert_eq!(saga.state(), SagaState::Completed, "{}", saga.why);
    assert_eq!(shop.money("order-1").await, (500, 0, 1));
    shop.assert_integrity(&[order]).await;
}

#[tokio::test]
async fn an_orchestrator_that_is_stopped_goes_on_where_it_was() {
    let mut shop = Shop::open(Database::Sqlite).await;
    let orders: Vec<Order> = (0..6).map(|it| Order::of(&format!("order-{it}"), 1, MUG)).collect();
    for order in &orders {
        let slow = json!({ "kind": "delay", "before_ms": 300, "after_commit_ms": 300 });
        shop.authenticate_with(order, json!({ "confirm": [slow] })).await;
        shop.insist(order).await;
    }

    let status = shop.orchestrator.stop().await;
    assert!(status.success(), "{status}");
    shop.orchestrator.start().await;

    for order in &orders {
        let saga = shop.ended(&order.business_key).await;
        assert_eq!(saga.state(), SagaState::Completed, "{}", saga.why);
    }
    shop.assert_integrity(&orders).await;
}

/// The stream that tells of it stays open, and does not keep the server from ending.
async fn stops_in_good_order(server: &mut Server, service: &str) {
    assert!(serves(server.channel(), service).await);
    let mut health = watch_health(server, service).await;
    assert_eq!(next(&mut health).await, ServingStatus::Serving);

    server.process().terminate().await;

    assert_eq!(next(&mut health).await, ServingStatus::NotServing, "{service}");
    let status = server.process().exit().await;
    assert!(status.success(), "{service}: {status}: {}", server.process().output());
    assert!(TcpStream::connect(server.address()).await.is_err(), "{service} still listens");
}

async fn watch_health(server: &Server, service: &str) -> Streaming<HealthCheckResponse> {
    let request = HealthCheckRequest { service: service.to_owned() };
    HealthClient::new(server.channel()).watch(request).await.unwrap().into_inner()
}

async fn next(health: &mut Streaming<HealthCheckResponse>) -> ServingStatus {
    within("the health service says something", health.message()).await.unwrap().unwrap().status()
}
