//! Orders pass the participant suite over the wire. Their actions have no compensation.

use std::sync::Arc;

use saga_participant::{
    on_both_databases,
    testkit::{Answer, Body, Scratch, Subject, answer, certify_action, resolve, with_op_id},
};
use saga_proto::{
    saga::participant::v1::{ResolveMode, resolve_response::Resolution},
    shop::order::v1::InsertOrderRequest,
};
use tonic::{Status, async_trait};
use uuid::Uuid;

use crate::shop::{Shop, paid};

on_both_databases!(the_suite_holds);

async fn the_suite_holds(scratch: Scratch) {
    let shop = Arc::new(Shop::open(scratch).await);
    certify_action(Arc::new(Inserts(shop.clone()))).await.assert_all_hold();
    shop.assert_sound().await;
}

struct Inserts(Arc<Shop>);

#[async_trait]
impl Subject for Inserts {
    async fn act(&self, op_id: Uuid, body: Body) -> Result<Answer, Status> {
        let order = paid(&op_id.to_string());
        let order = match body {
            Body::Plain => order,
            Body::Other => InsertOrderRequest { customer_id: "customer-2".to_owned(), ..order },
            Body::Refused => InsertOrderRequest { paid_minor: 1, ..order },
        };
        answer(self.0.client().insert_order(with_op_id(op_id, order)).await)
    }

    async fn resolve(&self, op_id: Uuid, mode: ResolveMode) -> Result<Resolution, Status> {
        resolve(&self.0.channel, op_id, mode).await
    }

    async fn standing(&self) -> i64 {
        self.0.audit().await.orders
    }
}
