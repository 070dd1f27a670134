//! What an order came to, as the services and the provider wrote it down.

use std::collections::BTreeMap;

use payment_svc::simulator::{OrderLedger, Simulator, SimulatorConfig};
use saga_demo::audit::{Agreed, Audit, Integrity, audit};
use shop_proto::{
    inventory::v1::{
        self as inventory, GetStockRequest, Stock, inventory_service_client::InventoryServiceClient,
    },
    order::v1::{
        self as orders, GetOrderRequest, GetOrderResponse, ListHistoryRequest, OrderStatus,
        StatusChange, order_service_client::OrderServiceClient,
    },
    payment::v1::{
        self as payments, GetCreditRequest, GetPaymentRequest, GetPaymentResponse,
        get_payment_request::Payment, payment_service_client::PaymentServiceClient,
    },
};
use tonic::Status;

use crate::{
    order::{ITEMS, Item, Order},
    shop::{Shop, with_op_id},
};

impl Shop {
    /// Units in the house, reserved and sold.
    pub async fn stock(&self, item: Item) -> (i64, i64, i64) {
        let mut client = InventoryServiceClient::new(self.inventory.channel());
        let request = GetStockRequest { item_ids: vec![item.item_id.to_owned()] };
        let reply = client.get_stock(request).await.unwrap().into_inner();
        let Stock { on_hand, reserved, sold, .. } = reply.stock[0];
        (on_hand, reserved, sold)
    }

    /// An order that was written down.
    ///
    /// # Errors
    ///
    /// What the order service says.
    pub async fn order_of(&self, order_no: &str) -> Result<GetOrderResponse, Status> {
        let mut client = OrderServiceClient::new(self.order.channel());
        let request = GetOrderRequest { order_no: order_no.to_owned() };
        Ok(client.get_order(request).await?.into_inner())
    }

    /// The payment of an order, as the payment service knows it.
    ///
    /// # Errors
    ///
    /// What the payment service says.
    pub async fn payment_of(&self, order_no: &str) -> Result<GetPaymentResponse, Status> {
        let mut client = PaymentServiceClient::new(self.payment.channel());
        let payment = Some(Payment::OrderNo(order_no.to_owned()));
        Ok(client.get_payment(GetPaymentRequest { payment }).await?.into_inner())
    }

    /// How much was captured and given back for an order, and in how many captures, by
    /// the provider's ledger.
    pub async fn money(&self, order_no: &str) -> (i64, i64, i64) {
        let url = format!("{}/simulator/v1/ledger/{order_no}", self.provider.url());
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        let ledger: OrderLedger = serde_json::from_str(&text).unwrap();
        (ledger.captured_minor, ledger.cancelled_minor, ledger.captures)
    }

    /// How often faults of the provider really happened, by kind.
    pub async fn faults(&self) -> BTreeMap<String, u64> {
        let url = format!("{}/simulator/v1/faults", self.provider.url());
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// What an account has, of what was bought to be kept with the shop.
    pub async fn credit_of(&self, account: &str) -> i64 {
        let mut client = PaymentServiceClient::new(self.payment.channel());
        let request = GetCreditRequest { account: account.to_owned() };
        client.get_credit(request).await.unwrap().into_inner().balance
    }

    /// The statuses of an order, oldest first.
    pub async fn history_of(&self, order_no: &str) -> Vec<OrderStatus> {
        let mut client = OrderServiceClient::new(self.order.channel());
        let request = ListHistoryRequest { order_no: order_no.to_owned() };
        let reply = client.list_history(request).await.unwrap().into_inner();
        reply.changes.iter().map(StatusChange::status).collect()
    }

    /// Issues a coupon, as the shop does.
    pub async fn issue(&self, coupon: orders::Coupon) {
        let mut client = OrderServiceClient::new(self.order.channel());
        let request = with_op_id(orders::IssueCouponRequest { coupon: Some(coupon) });
        client.issue_coupon(request).await.unwrap();
    }

    /// The order that uses a coupon, or an empty text.
    pub async fn user_of(&self, coupon_id: &str) -> String {
        let mut client = OrderServiceClient::new(self.order.channel());
        let request = orders::GetCouponRequest { coupon_id: coupon_id.to_owned() };
        client.get_coupon(request).await.unwrap().into_inner().order_no
    }

    /// Asks every service for what in its books breaks a rule. Returns the balances of the
    /// orders and of the payments, by currency.
    pub async fn assert_no_violations(&self) -> (BTreeMap<String, i64>, BTreeMap<String, i64>) {
        let mut client = InventoryServiceClient::new(self.inventory.channel());
        let stock = client.audit(inventory::AuditRequest {}).await.unwrap().into_inner();
        let mut client = OrderServiceClient::new(self.order.channel());
        let orders = client.audit(orders::AuditRequest {}).await.unwrap().into_inner();
        let mut client = PaymentServiceClient::new(self.payment.channel());
        let payments = client.audit(payments::AuditRequest {}).await.unwrap().into_inner();
        let violations = [stock.violations, orders.violations, payments.violations].concat();
        assert!(violations.is_empty(), "{violations:?}");
        let of_orders = orders.balances.into_iter().map(|it| (it.currency, it.balance_minor));
        let of_payments = payments.balances.into_iter().map(|it| (it.currency, it.balance_minor));
        let is_some = |(_, minor): &(String, i64)| *minor != 0;
        (of_orders.filter(is_some).collect(), of_payments.filter(is_some).collect())
    }

    /// Holds the books of the services and the provider's ledger against each other and
    /// against what was agreed with the buyers: all six integrity numbers are 0.
    pub async fn assert_integrity(&self, placed: &[Order]) {
        let (ordered_minor, paid_minor) = self.assert_no_violations().await;
        assert_eq!(ordered_minor, paid_minor, "I7: the shop has what its orders are worth");
        let prices = placed.iter().map(|it| (it.order_no.clone(), it.total_minor()));
        let stock = ITEMS.iter().map(|it| (it.item_id.to_owned(), it.initial_stock));
        let agreed =
            Agreed { prices_minor: prices.collect(), stock: stock.collect(), ..Agreed::default() };
        let config = SimulatorConfig::default();
        let ledger = Simulator::open(&self.books.simulator, config).await.unwrap();
        let Audit { integrity, findings, .. } = audit(&self.books, &ledger, &agreed).await.unwrap();
        ledger.close().await;
        assert_eq!(integrity, Integrity::default(), "{findings:#?}");
    }
}
