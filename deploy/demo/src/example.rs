//! What a person can do by hand after a run: goods and payments that nobody else touches, and
//! the inputs of the shipped sagas that go with them. `examples/` holds the same inputs.

use anyhow::Context as _;
use payment_svc::simulator::{FaultScript, Session, Simulator, Stage};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use shop_proto::FILE_DESCRIPTOR_SET;
use shop_proto::order::v1::{
    CancelOrderInput, CancelOrderItemInput, CancelPendingOrderInput, ItemQuantity, PlaceOrderInput,
    PlacePendingOrderInput, PrepareDeliveryInput, RefundInput, RestockInput, SetStockInput,
};

use crate::{
    catalogue::{Catalogue, Item},
    orders::{Order, OrderLine},
    place::Basket,
};

/// The goods of the examples, with their prices.
const ITEMS: [(&str, i64); 2] = [("example-mug", 500), ("example-tea", 350)];
/// How many of each there are before anybody places an order by hand.
const STOCK: i64 = 1_000;
/// Who orders.
const CUSTOMER: &str = "customer-1";
/// Orders that have a payment, `example-1` and on.
const ORDERS: usize = 9;
/// The one of them that is made now and paid later.
const PENDING: usize = 5;
/// Whose the goods are.
pub(crate) const OWNER: &str = "the-shop";

/// A saga to start by hand.
#[derive(Clone, Debug)]
pub struct Example {
    /// Its definition, and the name of its file in `examples/`.
    pub definition: &'static str,
    /// The order that it is about. It has to be there before, but for the sagas that make one.
    pub order_no: String,
    /// Its input in proto-JSON.
    pub input: String,
}

/// The number of an order of the examples, from 1.
#[must_use]
pub fn order_no(number: usize) -> String {
    format!("example-{number}")
}

/// Puts the goods on the shelves.
pub(crate) fn stock(catalogue: &mut Catalogue) {
    for (item_id, price_minor) in ITEMS {
        let name = item_id.to_owned();
        let item = Item { name, price_minor, initial_stock: STOCK };
        catalogue.entry(item_id.to_owned()).or_insert(item);
    }
}

/// The orders, as they would be placed by hand.
pub(crate) fn baskets(catalogue: &Catalogue) -> Vec<Basket> {
    let line = |(item_id, file_price_minor): (&str, i64)| OrderLine {
        item_id: item_id.to_owned(),
        qty: 2,
        file_price_minor,
    };
    let order = |number| Order {
        order_no: order_no(number),
        customer_id: CUSTOMER.to_owned(),
        lines: ITEMS.map(line).to_vec(),
    };
    let filled = (1..=ORDERS).map(|number| Basket::fill(&order(number), catalogue));
    filled.filter_map(Result::ok).collect()
}

/// Their buyers agree to pay, and nothing goes wrong at the provider.
///
/// # Errors
///
/// The simulator cannot write its file.
pub(crate) async fn authenticate(
    simulator: &Simulator,
    catalogue: &Catalogue,
) -> anyhow::Result<()> {
    let sessions = baskets(catalogue).into_iter().map(|basket| Session {
        payment_key: basket.payment_key(),
        order_no: basket.order.order_no.clone(),
        amount_minor: basket.total_minor,
        stage: Stage::Authenticated,
        faults: Some(FaultScript::default()),
    });
    simulator.authenticate_many(sessions.collect()).await?;
    Ok(())
}

/// The inputs, in an order in which they can be started.
///
/// # Errors
///
/// A message of ours has no JSON form: a defect.
pub fn examples() -> anyhow::Result<Vec<Example>> {
    let mut catalogue = Catalogue::new();
    stock(&mut catalogue);
    let baskets = baskets(&catalogue);
    let basket = baskets.first().context("an order of the examples")?;
    let (customer_id, reason) = (CUSTOMER.to_owned(), "changed my mind".to_owned());
    let (item_id, qty) = (ITEMS[0].0.to_owned(), 1);
    let made = |definition, number, input: &dyn Json| {
        Ok::<_, anyhow::Error>(Example {
            definition,
            order_no: order_no(number),
            input: input.json()?,
        })
    };
    let by = |number| (order_no(number), customer_id.clone(), reason.clone());
    let mut examples =
        vec![made("place-order", 1, &("PlaceOrderInput", basket.input(&catalogue)))?];
    let (order_no, customer, why) = by(1);
    let input = CancelOrderItemInput { order_no, customer_id: customer, line_no: 1, reason: why };
    examples.push(made("cancel-order-item", 1, &("CancelOrderItemInput", input))?);
    let (order_no, customer_id, reason) = by(2);
    let input = CancelOrderInput { order_no, customer_id, reason, expected_head: 0 };
    examples.push(made("cancel-order", 2, &("CancelOrderInput", input))?);
    let (order_no, customer_id, reason) = by(3);
    let input = RefundInput { order_no, customer_id, reason, expected_head: 0 };
    examples.push(made("refund", 3, &("RefundInput", input))?);
    let input = PrepareDeliveryInput { order_no: by(4).0, expected_head: 0 };
    examples.push(made("prepare-delivery", 4, &("PrepareDeliveryInput", input))?);
    let lines = vec![ItemQuantity { item_id: item_id.clone(), qty }];
    let input = RestockInput { order_no: by(4).0, lines };
    examples.push(made("restock", 4, &("RestockInput", input))?);
    examples.push(paid_later(&baskets[PENDING - 1].input(&catalogue))?);
    let (order_no, customer_id, reason) = by(PENDING);
    let input = CancelPendingOrderInput { order_no, customer_id, reason };
    examples.push(made("cancel-pending-order", PENDING, &("CancelPendingOrderInput", input))?);
    let owner_id = OWNER.to_owned();
    let input = SetStockInput { item_id, on_hand: STOCK, owner_id, ..SetStockInput::default() };
    examples.push(made("set-stock", 1, &("SetStockInput", input))?);
    Ok(examples)
}

/// The same order, of a buyer who pays later.
fn paid_later(order: &PlaceOrderInput) -> anyhow::Result<Example> {
    let payment = order.payment.as_ref().context("its payment")?;
    let input = PlacePendingOrderInput {
        order_no: order.order_no.clone(),
        customer_id: order.customer_id.clone(),
        lines: order.lines.clone(),
        expected_minor: payment.amount_minor,
        credit_account: String::new(),
        coupon_ids: Vec::new(),
    };
    let input = ("PlacePendingOrderInput", input).json()?;
    Ok(Example { definition: "place-pending-order", order_no: order.order_no.clone(), input })
}

/// A message of the order service, by its name.
trait Json {
    fn json(&self) -> anyhow::Result<String>;
}

impl<M: Message> Json for (&'static str, M) {
    fn json(&self) -> anyhow::Result<String> {
        let contracts = DescriptorPool::decode(FILE_DESCRIPTOR_SET)?;
        let name = format!("shop.order.v1.{}", self.0);
        let descriptor = contracts.get_message_by_name(&name).context(name)?;
        let message = DynamicMessage::decode(descriptor, self.1.encode_to_vec().as_slice())?;
        Ok(format!("{}\n", serde_json::to_string_pretty(&message)?))
    }
}
