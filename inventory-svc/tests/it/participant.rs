//! Inventory passes the participant suite over the wire.

use std::sync::Arc;

use saga_participant::testkit::{
    Answer, Body, Subject, answer, certify, certify_action, resolve, with_op_id,
};
use saga_proto::saga::participant::v1::{ResolveMode, resolve_response::Resolution};
use shop_proto::inventory::v1::{
    DecreaseRequest, ReleaseRequest, RestockRequest, SetStockRequest, restock_request::Sale,
};
use tonic::{Status, async_trait};
use uuid::Uuid;

use crate::shop::{Ground, Shop, lines, on_every_ground, reserve};

on_every_ground!(
    i4_i5_the_suite_holds_for_reservations,
    i4_the_suite_holds_for_sales_and_what_comes_back,
);

async fn i4_i5_the_suite_holds_for_reservations(ground: Ground) {
    let shop = Arc::new(Shop::open(ground, &[("A", 1_000_000)]).await);
    certify(Arc::new(Reservations(shop.clone()))).await.assert_all_hold();
    shop.assert_sound().await;
}

async fn i4_the_suite_holds_for_sales_and_what_comes_back(ground: Ground) {
    let shop = Arc::new(Shop::open(ground, &[("A", 1_000_000), ("SOLD", 1_000), ("C", 1)]).await);
    certify_action(Arc::new(Sales(shop.clone()))).await.assert_all_hold();
    let sale = saga_participant::testkit::new_op_id();
    shop.decrease(sale, &[("SOLD", 1_000)]).await.unwrap();
    certify_action(Arc::new(Returns { shop: shop.clone(), sale })).await.assert_all_hold();
    certify_action(Arc::new(Counts(shop.clone()))).await.assert_all_hold();
    shop.assert_sound().await;
}

struct Sales(Arc<Shop>);

#[async_trait]
impl Subject for Sales {
    async fn act(&self, op_id: Uuid, body: Body) -> Result<Answer, Status> {
        let lines = match body {
            Body::Plain => lines(&[("A", 1)]),
            Body::Other => lines(&[("A", 2)]),
            Body::Refused => lines(&[("A", 1), ("MISSING", 1)]),
        };
        let request =
            DecreaseRequest { order_no: "order-0003".to_owned(), lines, ..Default::default() };
        answer(self.0.client().decrease(with_op_id(op_id, request)).await)
    }

    async fn resolve(&self, op_id: Uuid, mode: ResolveMode) -> Result<Resolution, Status> {
        resolve(&self.0.channel, op_id, mode).await
    }

    async fn standing(&self) -> i64 {
        self.0.stock("A").await.sold
    }
}

struct Returns {
    shop: Arc<Shop>,
    sale: Uuid,
}

#[async_trait]
impl Subject for Returns {
    async fn act(&self, op_id: Uuid, body: Body) -> Result<Answer, Status> {
        let lines = match body {
            Body::Plain => lines(&[("SOLD", 1)]),
            Body::Other => lines(&[("SOLD", 2)]),
            Body::Refused => lines(&[("SOLD", 1), ("A", 1)]),
        };
        let sale = Some(Sale::ReserveOpId(self.sale.to_string()));
        let request = RestockRequest { sale, lines, at_most: false };
        answer(self.shop.client().restock(with_op_id(op_id, request)).await)
    }

    async fn resolve(&self, op_id: Uuid, mode: ResolveMode) -> Result<Resolution, Status> {
        resolve(&self.shop.channel, op_id, mode).await
    }

    async fn standing(&self) -> i64 {
        1_000 - self.shop.stock("SOLD").await.sold
    }
}

/// A count of the owner stands where it is in the movements.
struct Counts(Arc<Shop>);

#[async_trait]
impl Subject for Counts {
    async fn act(&self, op_id: Uuid, body: Body) -> Result<Answer, Status> {
        let (on_hand, owner_id) = match body {
            Body::Plain => (5, "owner-1"),
            Body::Other => (6, "owner-1"),
            Body::Refused => (5, "thief"),
        };
        let (item_id, owner_id) = ("C".to_owned(), owner_id.to_owned());
        let request = SetStockRequest { item_id, on_hand, owner_id, expected_version: None };
        answer(self.0.client().set_stock(with_op_id(op_id, request)).await)
    }

    async fn resolve(&self, op_id: Uuid, mode: ResolveMode) -> Result<Resolution, Status> {
        resolve(&self.0.channel, op_id, mode).await
    }

    async fn standing(&self) -> i64 {
        self.0.number("select count(*) from movements where kind = 'SET'").await
    }
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
