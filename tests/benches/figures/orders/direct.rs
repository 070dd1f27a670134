//! The client without an orchestrator: what it would have to do, were nothing to go wrong.

use std::net::SocketAddr;

use saga_tests::order::{CUSTOMER, Order};
use shop_proto::{
    inventory::v1::{
        CommitRequest, Line, ReserveRequest, inventory_service_client::InventoryServiceClient,
    },
    order::v1::{AcceptOrderRequest, InsertOrderRequest, order_service_client::OrderServiceClient},
    payment::v1::{ConfirmRequest, payment_service_client::PaymentServiceClient},
};
use tonic::transport::Channel;
use uuid::Uuid;

use super::super::{
    load::{CONNECTIONS, channels},
    shop::under,
};

/// Connections to the three services, as many as the orchestrator has.
#[derive(Debug)]
pub(super) struct Direct {
    inventory: Vec<Channel>,
    payment: Vec<Channel>,
    order: Vec<Channel>,
}

impl Direct {
    pub(super) async fn connect(
        inventory: SocketAddr,
        payment: SocketAddr,
        order: SocketAddr,
    ) -> Self {
        Self {
            inventory: channels(inventory, CONNECTIONS).await,
            payment: channels(payment, CONNECTIONS).await,
            order: channels(order, CONNECTIONS).await,
        }
    }

    pub(super) fn inventory(&self, turn: usize) -> InventoryServiceClient<Channel> {
        InventoryServiceClient::new(self.inventory[turn % CONNECTIONS].clone())
    }

    /// The calls of the definition, with operation ids, so that the services do the same.
    pub(super) async fn place(&self, turn: usize, order: &Order) {
        let op_id = || Uuid::now_v7().to_string();
        let accept_op_id = op_id();
        let accept = AcceptOrderRequest {
            order_no: order.order_no.clone(),
            customer_id: CUSTOMER.to_owned(),
            lines: order.lines(),
            payment: order.input().payment,
            ..AcceptOrderRequest::default()
        };
        let mut orders = OrderServiceClient::new(self.order[turn % CONNECTIONS].clone());
        orders.accept_order(under(&accept_op_id, accept)).await.unwrap();

        let mut inventory = self.inventory(turn);
        let reserve_op_id = op_id();
        let lines = order.lines();
        let reserve = ReserveRequest {
            order_no: order.order_no.clone(),
            lines: lines
                .iter()
                .map(|it| Line {
                    item_id: it.item_id.clone(),
                    qty: it.qty,
                    price_minor: it.price_minor,
                    credits: it.credits,
                })
                .collect(),
            expected_total_minor: order.total_minor(),
            ..ReserveRequest::default()
        };
        let reserved = inventory.reserve(under(&reserve_op_id, reserve)).await.unwrap();
        let reserved = reserved.into_inner();

        let confirm = ConfirmRequest {
            order_no: order.order_no.clone(),
            provider: "toss".to_owned(),
            provider_key: order.payment_key.clone(),
            amount_minor: reserved.total_minor,
            currency: reserved.currency.clone(),
        };
        let mut payment = PaymentServiceClient::new(self.payment[turn % CONNECTIONS].clone());
        let confirmed = payment.confirm(under(&op_id(), confirm)).await.unwrap().into_inner();

        let insert = InsertOrderRequest {
            order_no: order.order_no.clone(),
            customer_id: CUSTOMER.to_owned(),
            currency: reserved.currency,
            lines,
            payment_id: confirmed.payment_id,
            paid_minor: confirmed.amount_minor,
            accept_op_id,
            ..InsertOrderRequest::default()
        };
        orders.insert_order(under(&op_id(), insert)).await.unwrap();
        let commit = CommitRequest { reserve_op_id };
        inventory.commit(under(&op_id(), commit)).await.unwrap();
    }
}
