//! The real binary.

use saga_participant::testkit::{Binary, Scratch};

#[tokio::test(flavor = "multi_thread")]
async fn the_binary_keeps_its_promises() {
    let binary = Binary {
        path: env!("CARGO_BIN_EXE_order-svc"),
        env_prefix: "AMENDS_ORDER_",
        service_name: "shop.order.v1.OrderService",
    };
    binary.check(&Scratch::sqlite()).await;
    binary.check(&Scratch::postgres().await).await;
}
