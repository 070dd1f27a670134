//! A running inventory with its clients.

use std::{future::Future, net::SocketAddr};

use inventory_svc::{Config, SCHEMA, SeedItem, StockConfig, Strategy};
use saga_participant::{
    Arg, Database, Limits, Row, Tx, schema,
    serve::{Server, ServerLimits, Wire},
    testkit::{self, Scratch, new_op_id, reason_of, with_op_id},
};
use shop_proto::inventory::v1::{
    AuditRequest, AuditResponse, CommitRequest, DecreaseRequest, DecreaseResponse, GetStockRequest,
    Line, ReleaseRequest, ReserveRequest, ReserveResponse, RestockRequest, RestockResponse,
    SetStockRequest, SetStockResponse, Stock, inventory_service_client::InventoryServiceClient,
    restock_request::Sale,
};
use tokio::sync::oneshot;
use tonic::{Code, Response, Status, transport::Channel};
use uuid::Uuid;

/// Where a claim is tried: a database, and a way to keep changes of stock apart.
pub(crate) struct Ground {
    pub(crate) scratch: Scratch,
    pub(crate) stock: StockConfig,
    pub(crate) limits: Limits,
}

impl Ground {
    pub(crate) fn new(scratch: Scratch, strategy: Strategy) -> Self {
        // Short, so that a conflict costs a test little.
        let stock =
            StockConfig { strategy, order_pause_ms: 1, set_pause_ms: 2, ..StockConfig::default() };
        let limits = Limits { connections_max: 8, lock_wait_max_ms: 2_000, ..Limits::default() };
        Self { scratch, stock, limits }
    }
}

impl From<Scratch> for Ground {
    fn from(scratch: Scratch) -> Self {
        Self::new(scratch, Strategy::RowLocks)
    }
}

/// Makes each of the named functions, which take a [`Ground`], a test with every strategy
/// on both databases.
macro_rules! on_every_ground {
    (@$strategy:ident $name:ident $($claim:ident),+) => {
        mod $name {
            mod sqlite {
                use saga_participant::testkit::Scratch;
                use crate::shop::Ground;
                $(#[tokio::test(flavor = "multi_thread")]
                async fn $claim() {
                    let strategy = inventory_svc::Strategy::$strategy;
                    super::super::$claim(Ground::new(Scratch::sqlite(), strategy)).await;
                })+
            }
            mod postgres {
                use saga_participant::testkit::Scratch;
                use crate::shop::Ground;
                $(#[tokio::test(flavor = "multi_thread")]
                async fn $claim() {
                    let strategy = inventory_svc::Strategy::$strategy;
                    super::super::$claim(Ground::new(Scratch::postgres().await, strategy)).await;
                })+
            }
        }
    };
    ($($claim:ident),+ $(,)?) => {
        crate::shop::on_every_ground!(@RowLocks row_locks $($claim),+);
        crate::shop::on_every_ground!(@Optimistic optimistic $($claim),+);
        crate::shop::on_every_ground!(@MicroBatch micro_batch $($claim),+);
    };
}
pub(crate) use on_every_ground;

pub(crate) struct Shop {
    pub(crate) database: Database,
    pub(crate) channel: Channel,
    pub(crate) address: SocketAddr,
    pub(crate) stock: StockConfig,
    scratch: Scratch,
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

pub(crate) fn lines(lines: &[(&str, i64)]) -> Vec<Line> {
    let line = |(item_id, qty): &(&str, i64)| Line {
        item_id: (*item_id).to_owned(),
        qty: *qty,
        ..Line::default()
    };
    lines.iter().map(line).collect()
}

pub(crate) fn reserve(of: &[(&str, i64)]) -> ReserveRequest {
    let order_no = "order-0001".to_owned();
    ReserveRequest { order_no, lines: lines(of), ..ReserveRequest::default() }
}

pub(crate) fn is(status: &Status, code: Code, reason: &str) {
    assert_eq!((status.code(), reason_of(status).as_str()), (code, reason), "{status:?}");
}

/// More tries than any call needs.
pub(crate) const TRIES_MAX: u32 = 5_000;

/// Calls until the answer is final, as an orchestrator does.
pub(crate) async fn decided<T, F>(mut call: impl FnMut() -> F) -> Result<T, Status>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    for _ in 1..TRIES_MAX {
        match call().await {
            Err(status) if may_be_tried_again(&status) => tokio::task::yield_now().await,
            ended => return ended.map(Response::into_inner),
        }
    }
    call().await.map(Response::into_inner)
}

/// Whether nothing was done because others were in the way.
pub(crate) fn may_be_tried_again(status: &Status) -> bool {
    let reason = reason_of(status);
    ["PLEASE_RETRY", "STOCK_CONFLICT", "OVERLOADED"].contains(&reason.as_str())
}

impl Shop {
    pub(crate) async fn open(ground: impl Into<Ground>, items: &[(&str, i64)]) -> Self {
        let Ground { scratch, stock, limits } = ground.into();
        let database = scratch.connect(limits).await;
        schema::migrate(&database, &SCHEMA).await.unwrap();
        let items = items.iter().map(|(item_id, stock)| seed_item(item_id, *stock)).collect();
        inventory_svc::seed(&database, items).await.unwrap();
        let listen: SocketAddr = ([127, 0, 0, 1], 0).into();
        let server = Server::bind(listen, ServerLimits::default(), Wire::Loopback).unwrap();
        let server = server.describing(shop_proto::FILE_DESCRIPTOR_SET);
        let address = server.local_addr();
        let app = inventory_svc::app(database.clone(), Config { stock });
        tokio::spawn(server.run(app, std::future::pending()));
        let channel = testkit::connect(address).await;
        Self { database, channel, address, stock, scratch }
    }

    pub(crate) fn client(&self) -> InventoryServiceClient<Channel> {
        InventoryServiceClient::new(self.channel.clone())
    }

    pub(crate) async fn reserve(
        &self,
        op_id: Uuid,
        lines: &[(&str, i64)],
    ) -> Result<ReserveResponse, Status> {
        let (client, request) = (self.client(), reserve(lines));
        let call = |mut client: InventoryServiceClient<Channel>, request| async move {
            client.reserve(with_op_id(op_id, request)).await
        };
        decided(|| call(client.clone(), request.clone())).await
    }

    pub(crate) async fn commit(&self, reserved: Uuid) -> Result<i64, Status> {
        self.commit_as(new_op_id(), reserved).await
    }

    pub(crate) async fn commit_as(&self, op_id: Uuid, reserved: Uuid) -> Result<i64, Status> {
        let call = |mut client: InventoryServiceClient<Channel>| async move {
            let request = CommitRequest { reserve_op_id: reserved.to_string() };
            client.commit(with_op_id(op_id, request)).await
        };
        decided(|| call(self.client())).await.map(|reply| reply.units)
    }

    pub(crate) async fn release(&self, reserved: Uuid) -> Result<i64, Status> {
        let op_id = new_op_id();
        let call = |mut client: InventoryServiceClient<Channel>| async move {
            let request = ReleaseRequest { reserve_op_id: reserved.to_string() };
            client.release(with_op_id(op_id, request)).await
        };
        decided(|| call(self.client())).await.map(|reply| reply.units)
    }

    pub(crate) async fn decrease(
        &self,
        op_id: Uuid,
        of: &[(&str, i64)],
    ) -> Result<DecreaseResponse, Status> {
        let request = DecreaseRequest {
            order_no: "order-0002".to_owned(),
            lines: lines(of),
            ..DecreaseRequest::default()
        };
        let call = |mut client: InventoryServiceClient<Channel>, request| async move {
            client.decrease(with_op_id(op_id, request)).await
        };
        decided(|| call(self.client(), request.clone())).await
    }

    pub(crate) async fn restock_as(
        &self,
        op_id: Uuid,
        sale: Sale,
        of: &[(&str, i64)],
    ) -> Result<RestockResponse, Status> {
        let request = RestockRequest { sale: Some(sale), lines: lines(of), at_most: false };
        let call = |mut client: InventoryServiceClient<Channel>, request| async move {
            client.restock(with_op_id(op_id, request)).await
        };
        decided(|| call(self.client(), request.clone())).await
    }

    /// Restocks what `reserved` sold.
    pub(crate) async fn restock(
        &self,
        reserved: Uuid,
        of: &[(&str, i64)],
    ) -> Result<RestockResponse, Status> {
        self.restock_as(new_op_id(), Sale::ReserveOpId(reserved.to_string()), of).await
    }

    pub(crate) async fn set_stock(&self, item_id: &str, on_hand: i64) -> Result<Stock, Status> {
        let (owner_id, expected_version) = ("owner-1".to_owned(), None);
        let item_id = item_id.to_owned();
        let request = SetStockRequest { item_id, on_hand, owner_id, expected_version };
        self.set_stock_as(new_op_id(), request).await.map(|it| it.stock.unwrap())
    }

    pub(crate) async fn set_stock_as(
        &self,
        op_id: Uuid,
        request: SetStockRequest,
    ) -> Result<SetStockResponse, Status> {
        let call = |mut client: InventoryServiceClient<Channel>, request| async move {
            client.set_stock(with_op_id(op_id, request)).await
        };
        decided(|| call(self.client(), request.clone())).await
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
    pub(crate) async fn tamper(&self, sql: impl Into<saga_participant::Sql>) -> Result<(), String> {
        let sql = sql.into();
        let change = move |mut tx: Tx| async move {
            tx.script(sql).await?;
            tx.commit().await
        };
        self.database.write(change).await.map_err(|it| format!("{it:?}"))
    }

    /// The one number that a statement finds.
    pub(crate) async fn number(&self, sql: &'static str) -> i64 {
        let read = move |mut tx: Tx| async move {
            let row: Row = tx.row(sql, &[] as &[Arg<'_>]).await?.unwrap();
            Ok(row.int(0)?)
        };
        self.database.read(read).await.unwrap()
    }

    /// Another program's open transaction that has run `sql`.
    pub(crate) async fn occupy(&self, sql: &'static str) -> Occupied {
        let other = self.scratch.connect(Limits::default()).await;
        let (entered, inside) = oneshot::channel();
        let (release, released) = oneshot::channel();
        let ended = tokio::spawn(async move {
            let hold = move |mut tx: Tx| async move {
                tx.rows(sql, &[] as &[Arg<'_>]).await?;
                entered.send(()).unwrap();
                released.await.unwrap();
                tx.commit().await
            };
            other.write(hold).await.unwrap();
        });
        inside.await.unwrap();
        Occupied { release, ended }
    }
}

pub(crate) struct Occupied {
    release: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<()>,
}

impl Occupied {
    pub(crate) async fn leave(self) {
        self.release.send(()).unwrap();
        self.ended.await.unwrap();
    }
}
