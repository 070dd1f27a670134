//! A running inventory with a client.

use inventory_svc::{SCHEMA, SeedItem};
use saga_participant::{
    Arg, Database,
    testkit::{self, Scratch, new_op_id, with_op_id},
};
use saga_proto::shop::inventory::v1::{
    AuditRequest, AuditResponse, CommitRequest, GetStockRequest, Line, ReleaseRequest,
    ReserveRequest, ReserveResponse, Stock, inventory_service_client::InventoryServiceClient,
};
use tonic::{Status, transport::Channel};
use uuid::Uuid;

pub(crate) struct Shop {
    pub(crate) database: Database,
    pub(crate) channel: Channel,
    _scratch: Scratch,
}

pub(crate) fn seed_item(item_id: &str, initial_stock: i64) -> SeedItem {
    SeedItem {
        item_id: item_id.to_owned(),
        owner_id: "owner-1".to_owned(),
        name: format!("Item {item_id}"),
        price_minor: 250,
        currency: "GBP".to_owned(),
        initial_stock,
    }
}

pub(crate) fn reserve(lines: &[(&str, i64)]) -> ReserveRequest {
    let lines =
        lines.iter().map(|(item_id, qty)| Line { item_id: (*item_id).to_owned(), qty: *qty });
    ReserveRequest { order_no: "order-0001".to_owned(), lines: lines.collect(), hold_until: None }
}

impl Shop {
    pub(crate) async fn open(scratch: Scratch, items: &[(&str, i64)]) -> Self {
        let database = scratch.open(&SCHEMA).await;
        let items = items.iter().map(|(item_id, stock)| seed_item(item_id, *stock)).collect();
        inventory_svc::seed(&database, items).await.unwrap();
        let channel = testkit::serve(inventory_svc::app(database.clone())).await;
        Self { database, channel, _scratch: scratch }
    }

    pub(crate) fn client(&self) -> InventoryServiceClient<Channel> {
        InventoryServiceClient::new(self.channel.clone())
    }

    pub(crate) async fn reserve(
        &self,
        op_id: Uuid,
        lines: &[(&str, i64)],
    ) -> Result<ReserveResponse, Status> {
        let request = with_op_id(op_id, reserve(lines));
        self.client().reserve(request).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn commit(&self, reserved: Uuid) -> Result<i64, Status> {
        let request = CommitRequest { reserve_op_id: reserved.to_string() };
        let reply = self.client().commit(with_op_id(new_op_id(), request)).await?;
        Ok(reply.into_inner().units)
    }

    pub(crate) async fn release(&self, reserved: Uuid) -> Result<i64, Status> {
        let request = ReleaseRequest { reserve_op_id: reserved.to_string() };
        let reply = self.client().release(with_op_id(new_op_id(), request)).await?;
        Ok(reply.into_inner().units)
    }

    pub(crate) async fn stock(&self, item_id: &str) -> Stock {
        let request = GetStockRequest { item_ids: vec![item_id.to_owned()] };
        self.client().get_stock(request).await.unwrap().into_inner().stock.remove(0)
    }

    /// On hand, reserved, sold.
    pub(crate) async fn counts(&self, item_id: &str) -> (i64, i64, i64) {
        let stock = self.stock(item_id).await;
        (stock.on_hand, stock.reserved, stock.sold)
    }

    pub(crate) async fn audit(&self) -> AuditResponse {
        self.client().audit(AuditRequest {}).await.unwrap().into_inner()
    }

    pub(crate) async fn assert_sound(&self) {
        assert_eq!(self.audit().await.violations, Vec::<String>::new());
    }

    /// Changes a table by hand, as no operation does.
    pub(crate) async fn tamper(&self, sql: &'static str) -> Result<(), String> {
        let change = move |mut tx: saga_participant::Tx| async move {
            tx.execute(sql, &[] as &[Arg<'_>]).await?;
            tx.commit().await
        };
        self.database.write(change).await.map_err(|it| format!("{it:?}"))
    }
}
