//! Orders of the tests, and what the shop sells.

use prost::Message as _;
use prost_types::Any;
use saga_proto::saga::v1::{StartSagaRequest, start_saga_request::Input};
use shop_proto::order::v1::{OrderLine, PaymentInput, PlaceOrderInput};

/// Currency of everything.
pub const CURRENCY: &str = "GBP";

/// Something that the shop sells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its id.
    pub item_id: &'static str,
    /// What one costs.
    pub price_minor: i64,
    /// How many there are before the first order.
    pub initial_stock: i64,
    /// Credits that one grants.
    pub credits: i64,
}

/// There are plenty of these.
pub const MUG: Item = Item { item_id: "mug", price_minor: 500, initial_stock: 1_000, credits: 0 };

/// There are few of these.
pub const LAMP: Item = Item { item_id: "lamp", price_minor: 2_000, initial_stock: 3, credits: 0 };

/// Everybody wants one of these.
pub const POSTER: Item =
    Item { item_id: "poster", price_minor: 1_500, initial_stock: 600, credits: 0 };

/// Ten for a game.
pub const BATTERIES: Item =
    Item { item_id: "batteries", price_minor: 450, initial_stock: 1_000, credits: 10 };

/// Whoever owns all items.
pub const OWNER: &str = "the-shop";

/// Whoever orders.
pub const CUSTOMER: &str = "customer-1";

/// All that the shop sells.
pub const ITEMS: [Item; 4] = [MUG, LAMP, POSTER, BATTERIES];

/// An order, and the payment that its buyer agreed to.
#[derive(Clone, Debug)]
pub struct Order {
    /// What makes the saga one; the order number, unless a test says otherwise.
    pub business_key: String,
    /// Its number.
    pub order_no: String,
    /// The provider's key of the payment.
    pub payment_key: String,
    /// What is bought.
    pub item: Item,
    /// How many.
    pub qty: i64,
    /// What the buyer thinks that one costs.
    pub price_minor: i64,
    /// Further lines, at the shop's prices.
    pub more: Vec<(Item, i64)>,
}

impl Order {
    /// An order at the shop's prices.
    #[must_use]
    pub fn of(order_no: &str, qty: i64, item: Item) -> Self {
        Self {
            business_key: order_no.to_owned(),
            order_no: order_no.to_owned(),
            payment_key: format!("pay-{order_no}"),
            item,
            qty,
            price_minor: item.price_minor,
            more: Vec::new(),
        }
    }

    /// What it costs at the shop's prices.
    #[must_use]
    pub fn total_minor(&self) -> i64 {
        let more = self.more.iter().map(|(item, qty)| item.price_minor * qty);
        self.item.price_minor * self.qty + more.sum::<i64>()
    }

    /// Its lines.
    #[must_use]
    pub fn lines(&self) -> Vec<OrderLine> {
        let line = |item: Item, qty, price_minor| OrderLine {
            item_id: item.item_id.to_owned(),
            qty,
            price_minor,
            credits: item.credits * qty,
            ..OrderLine::default()
        };
        let first = line(self.item, self.qty, self.price_minor);
        let more = self.more.iter().map(|(item, qty)| line(*item, *qty, item.price_minor));
        [first].into_iter().chain(more).collect()
    }

    /// Who gets the credits.
    #[must_use]
    pub fn credit_account(&self) -> String {
        if self.lines().iter().all(|it| it.credits == 0) {
            return String::new();
        }
        CUSTOMER.to_owned()
    }

    /// The input of its saga.
    #[must_use]
    pub fn input(&self) -> PlaceOrderInput {
        PlaceOrderInput {
            order_no: self.order_no.clone(),
            customer_id: CUSTOMER.to_owned(),
            lines: self.lines(),
            payment: Some(PaymentInput {
                provider: "toss".to_owned(),
                provider_key: self.payment_key.clone(),
                amount_minor: self.total_minor(),
            }),
            currency: CURRENCY.to_owned(),
            credit_account: self.credit_account(),
            ..PlaceOrderInput::default()
        }
    }

    /// The request that starts its saga.
    #[must_use]
    pub fn request(&self) -> StartSagaRequest {
        let input = Any {
            type_url: "type.googleapis.com/shop.order.v1.PlaceOrderInput".to_owned(),
            value: self.input().encode_to_vec(),
        };
        StartSagaRequest {
            definition: "place-order".to_owned(),
            business_key: self.business_key.clone(),
            input: Some(Input::Message(input)),
            ..StartSagaRequest::default()
        }
    }

    /// The same input as proto-JSON, of an order of one line.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::json!({
            "orderNo": self.order_no,
            "customerId": CUSTOMER,
            "lines": [{
                "itemId": self.item.item_id,
                "qty": self.qty.to_string(),
                "priceMinor": self.price_minor.to_string(),
            }],
            "payment": {
                "provider": "toss",
                "providerKey": self.payment_key,
                "amountMinor": self.total_minor().to_string(),
            },
            "currency": CURRENCY,
        })
        .to_string()
    }
}
