//! Orders that are placed: at the shop's prices less coupons, and paid at the provider.

use std::time::Duration;

use payment_svc::simulator::{Session, Simulator, Stage};
use saga_proto::saga::v1::saga_service_client::SagaServiceClient;
use shop_proto::order::v1::{OrderLine, PaymentInput, PlaceOrderInput};
use tonic::transport::Channel;

use crate::{
    buyer::{self, Fate, Wish},
    catalogue::{CURRENCY, Catalogue, total_minor},
    orders::Order,
};

/// The contract's limits. What breaks them is turned away before anything is asked.
const LINES_MAX: usize = 2_000;
const QTY_MAX: i64 = 1_000_000;
const CUSTOMER_CHARS_MAX: usize = 64;

/// An order with the shop's prices, ready to be placed.
#[derive(Clone, Debug)]
pub(crate) struct Basket {
    pub(crate) order: Order,
    /// What the lines cost.
    pub(crate) total_minor: i64,
    pub(crate) coupon_id: Option<String>,
    /// What the coupon takes off.
    pub(crate) discount_minor: i64,
}

impl Basket {
    /// The order at the shop's prices.
    ///
    /// # Errors
    ///
    /// The reason for which no shop takes the order.
    pub(crate) fn fill(order: &Order, catalogue: &Catalogue) -> Result<Self, &'static str> {
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !(6..=64).contains(&order.order_no.len()) || !order.order_no.chars().all(letters) {
            return Err("ORDER_NO_INVALID");
        }
        if !(1..=CUSTOMER_CHARS_MAX).contains(&order.customer_id.chars().count()) {
            return Err("CUSTOMER_INVALID");
        }
        if order.lines.is_empty() || LINES_MAX < order.lines.len() {
            return Err("LINES_INVALID");
        }
        if order.lines.iter().any(|line| !(1..=QTY_MAX).contains(&line.qty)) {
            return Err("QTY_INVALID");
        }
        let total_minor = total_minor(catalogue, order).ok_or("TOTAL_INVALID")?;
        Ok(Self { order: order.clone(), total_minor, coupon_id: None, discount_minor: 0 })
    }

    /// What is left to pay with the coupon.
    pub(crate) fn to_pay_minor(&self) -> i64 {
        self.total_minor - self.discount_minor
    }

    /// The provider's key of the payment.
    pub(crate) fn payment_key(&self) -> String {
        format!("pay_{}", self.order.order_no)
    }

    pub(crate) fn input(&self, catalogue: &Catalogue) -> PlaceOrderInput {
        let lines = self.order.lines.iter().map(|line| OrderLine {
            item_id: line.item_id.clone(),
            qty: line.qty,
            price_minor: catalogue.get(&line.item_id).map_or(0, |item| item.price_minor),
            ..OrderLine::default()
        });
        PlaceOrderInput {
            order_no: self.order.order_no.clone(),
            customer_id: self.order.customer_id.clone(),
            lines: lines.collect(),
            payment: (0 < self.to_pay_minor()).then(|| PaymentInput {
                provider: "toss".to_owned(),
                provider_key: self.payment_key(),
                amount_minor: self.to_pay_minor(),
            }),
            coupon_ids: self.coupon_id.iter().cloned().collect(),
            currency: CURRENCY.to_owned(),
            ..PlaceOrderInput::default()
        }
    }
}

/// An order that was placed.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) order_no: String,
    pub(crate) fate: Fate,
    pub(crate) took: Duration,
}

/// The buyers authenticate their payments at the provider. What costs nothing has none.
///
/// # Errors
///
/// The simulator cannot write its file.
pub(crate) async fn authenticate(
    simulator: &Simulator,
    baskets: impl Iterator<Item = &Basket>,
) -> anyhow::Result<()> {
    let sessions = baskets.filter(|it| 0 < it.to_pay_minor()).map(|basket| Session {
        payment_key: basket.payment_key(),
        order_no: basket.order.order_no.clone(),
        amount_minor: basket.to_pay_minor(),
        stage: Stage::Authenticated,
        // What the mix of the run says, by seed and key.
        faults: None,
    });
    simulator.authenticate_many(sessions.collect()).await?;
    Ok(())
}

/// Places an order and waits until its saga has ended.
pub(crate) async fn place(
    client: SagaServiceClient<Channel>,
    basket: &Basket,
    catalogue: &Catalogue,
) -> Placed {
    let order_no = basket.order.order_no.clone();
    let wish = Wish {
        definition: "place-order",
        business_key: order_no.clone(),
        input: buyer::input("PlaceOrderInput", &basket.input(catalogue)),
    };
    let (fate, took) = buyer::fulfil(client, wish).await;
    Placed { order_no, fate, took }
}
