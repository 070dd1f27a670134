//! Inventory passes the participant suite over the wire.

use std::sync::Arc;

use saga_participant::{
    on_both_databases,
    testkit::{Answer, Body, Scratch, Subject, answer, certify, resolve, with_op_id},
};
use saga_proto::{
    saga::participant::v1::{ResolveMode, resolve_response::Resolution},
    shop::inventory::v1::ReleaseRequest,
};
use tonic::{Status, async_trait};
use uuid::Uuid;

use crate::shop::{Shop, reserve};

on_both_databases!(the_suite_holds);

async fn the_suite_holds(scratch: Scratch) {
    let shop = Arc::new(Shop::open(scratch, &[("A", 1_000_000)]).await);
    certify(Arc::new(Reservations(shop.clone()))).await.assert_all_hold();
    shop.assert_sound().await;
}

struct Reservations(Arc<Shop>);

#[async_trait]
impl Subject for Reservations {
    async fn act(&self, op_id: Uuid, body: Body) -> Result<Answer, Status> {
        let request = match body {
            Body::Plain => reserve(&[("A", 1)]),
            Body::Other => reserve(&[("A", 2)]),
            Body::Refused => reserve(&[("A", 1), ("MISSING", 1)]),
        };
        answer(self.0.client().reserve(with_op_id(op_id, request)).await)
    }

    async fn undo(&self, op_id: Uuid, original: Uuid) -> Result<Answer, Status> {
        let request = ReleaseRequest { reserve_op_id: original.to_string() };
        answer(self.0.client().release(with_op_id(op_id, request)).await)
    }

    async fn resolve(&self, op_id: Uuid, mode: ResolveMode) -> Result<Resolution, Status> {
        resolve(&self.0.channel, op_id, mode).await
    }

    async fn standing(&self) -> i64 {
        self.0.stock("A").await.reserved
    }
}
