//! The real binary.

use saga_participant::testkit::{Binary, Scratch};

#[tokio::test(flavor = "multi_thread")]
async fn the_binary_keeps_its_promises() {
    let binary = Binary {
        path: env!("CARGO_BIN_EXE_inventory-svc"),
        env_prefix: "AMENDS_INVENTORY_",
        service_name: "shop.inventory.v1.InventoryService",
    };
    binary.check(&Scratch::sqlite()).await;
    binary.check(&Scratch::postgres().await).await;
}
