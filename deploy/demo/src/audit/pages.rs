//! What stands in the books, as it was read.

use std::collections::{BTreeMap, BTreeSet};

use payment_svc::simulator::{OrderLedger, Simulator};
use saga_participant::{Database, Limits, OperationError, Row, Tx};

use crate::books::Books;

/// The stock of one item, and the sums of its movements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ItemBook {
    pub(super) on_hand: i64,
    pub(super) reserved: i64,
    pub(super) sold: i64,
    pub(super) on_hand_moved: i64,
    pub(super) reserved_moved: i64,
    pub(super) sold_moved: i64,
}

/// An order that was written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OrderBook {
    pub(super) total_minor: i64,
    /// What its cancelled lines cost.
    pub(super) cancelled_minor: i64,
    /// What all of its lines are cheaper by.
    pub(super) discount_minor: i64,
    /// Its newest status.
    pub(super) status: String,
}

/// A coupon on an order, as the order service has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CouponUse {
    pub(super) coupon_id: String,
    pub(super) order_no: String,
    /// The line that it was taken off. None: the whole order.
    pub(super) line_no: Option<i64>,
    pub(super) taken_minor: i64,
    /// False: it was given back.
    pub(super) is_used: bool,
}

impl OrderBook {
    /// Whether its coupons are used up by it.
    pub(super) fn keeps_coupons(&self) -> bool {
        !GIVEN_UP.contains(&self.status.as_str())
    }

    /// What the shop must have for the order: of one that is not paid, or not any more,
    /// nothing; else what its lines cost that are not cancelled.
    pub(super) fn due_minor(&self) -> i64 {
        let is_paid = !UNPAID.contains(&self.status.as_str()) && self.status != REFUNDED;
        if is_paid { self.total_minor - self.cancelled_minor } else { 0 }
    }
}

/// The status of an order for which nothing was sold.
const UNPAID: [&str; 6] = [
    "PAYMENT_PENDING",
    "PAYMENT_CONFIRM",
    "PAYMENT_OUT_OF_STOCK",
    "PAYMENT_NO_PAYMENT_INFO",
    "PAYMENT_RETURNED",
    "PAYMENT_WITHDRAWN",
];

/// The status of an order that will never be sold, or is not sold any more: whatever coupons it
/// used are free.
const GIVEN_UP: [&str; 4] =
    ["CANCELED", "PAYMENT_OUT_OF_STOCK", "PAYMENT_RETURNED", "PAYMENT_WITHDRAWN"];

/// The status of an order whose goods may have come back, or not.
const REFUNDED: &str = "REFUND_COMPLETED";

/// Units of an item on lines that are not cancelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ordered {
    /// That must be sold.
    pub(super) sold: i64,
    /// That were refunded: sold, or back in stock.
    pub(super) refunded: i64,
}

/// All books, as they were read.
#[derive(Clone, Debug, Default)]
pub(super) struct Pages {
    pub(super) items: BTreeMap<String, ItemBook>,
    pub(super) orders: BTreeMap<String, OrderBook>,
    /// Lines that are cancelled: order number and line.
    pub(super) cancelled: BTreeSet<(String, i64)>,
    /// By item.
    pub(super) ordered: BTreeMap<String, Ordered>,
    /// The coupons that were issued.
    pub(super) coupons: BTreeSet<String>,
    pub(super) coupon_uses: Vec<CouponUse>,
    /// What the payment service says that it has for each order.
    pub(super) payments: BTreeMap<String, i64>,
    /// What the provider says.
    pub(super) ledger: BTreeMap<String, OrderLedger>,
}

/// What is read of the orders' database.
#[derive(Default)]
struct Orders {
    orders: BTreeMap<String, OrderBook>,
    cancelled: BTreeSet<(String, i64)>,
    ordered: BTreeMap<String, Ordered>,
    coupons: BTreeSet<String>,
    coupon_uses: Vec<CouponUse>,
}

impl Pages {
    /// # Errors
    ///
    /// A book cannot be read.
    pub(super) async fn read(books: &Books, simulator: &Simulator) -> anyhow::Result<Self> {
        let ledger = simulator.ledger().await?;
        let ledger = ledger.into_iter().map(|it| (it.order_no.clone(), it)).collect();
        let inventory = Database::connect(&books.inventory, Limits::default()).await?;
        let order = Database::connect(&books.order, Limits::default()).await?;
        let payment = Database::connect(&books.payment, Limits::default()).await?;
        let items = inventory.read(read_items).await;
        let orders = order.read(read_orders).await;
        let payments = payment.read(read_payments).await;
        inventory.close().await;
        order.close().await;
        payment.close().await;
        let Orders { orders, cancelled, ordered, coupons, coupon_uses } = orders?;
        let (items, payments) = (items?, payments?);
        Ok(Self { items, orders, cancelled, ordered, coupons, coupon_uses, payments, ledger })
    }
}

async fn read_items(mut tx: Tx) -> Result<BTreeMap<String, ItemBook>, OperationError> {
    let rows = tx
        .rows(
            "/* read_items */
            select stock.item_id, on_hand, reserved, sold,
                cast(coalesce(sum(on_hand_delta), 0) as bigint),
                cast(coalesce(sum(reserved_delta), 0) as bigint),
                cast(coalesce(sum(sold_delta), 0) as bigint)
            from stock left join movements on movements.item_id = stock.item_id
            group by stock.item_id, on_hand, reserved, sold",
            &[],
        )
        .await?;
    let item = |row: &Row| {
        let book = ItemBook {
            on_hand: row.int(1)?,
            reserved: row.int(2)?,
            sold: row.int(3)?,
            on_hand_moved: row.int(4)?,
            reserved_moved: row.int(5)?,
            sold_moved: row.int(6)?,
        };
        Ok((row.text(0)?, book))
    };
    rows.iter().map(item).collect()
}

async fn read_orders(mut tx: Tx) -> Result<Orders, OperationError> {
    let mut read = Orders::default();
    let orders = tx
        .rows(
            "/* read_orders */
            select orders.order_no, total_minor, status,
                cast(coalesce(sum(discount_minor), 0) as bigint)
            from orders join order_heads on order_heads.order_no = orders.order_no
            left join order_lines on order_lines.order_no = orders.order_no
            group by orders.order_no, total_minor, status",
            &[],
        )
        .await?;
    for row in &orders {
        let order = OrderBook {
            total_minor: row.int(1)?,
            cancelled_minor: 0,
            discount_minor: row.int(3)?,
            status: row.text(2)?,
        };
        read.orders.insert(row.text(0)?, order);
    }
    let cancelled = tx
        .rows(
            "/* read_orders: cancelled lines */
            select order_no, cast(line_no as bigint),
                cast(price_minor * qty - discount_minor as bigint)
            from order_lines where state = 'CANCELED'",
            &[],
        )
        .await?;
    for row in &cancelled {
        let order_no = row.text(0)?;
        if let Some(order) = read.orders.get_mut(&order_no) {
            order.cancelled_minor += row.int(2)?;
        }
        read.cancelled.insert((order_no, row.int(1)?));
    }
    let ordered = tx
        .rows(
            "/* read_orders: ordered units */
            select item_id, status, cast(sum(qty) as bigint)
            from order_lines join order_heads on order_heads.order_no = order_lines.order_no
            where state <> 'CANCELED' group by item_id, status",
            &[],
        )
        .await?;
    for row in &ordered {
        let (status, units) = (row.text(1)?, row.int(2)?);
        let ordered = read.ordered.entry(row.text(0)?).or_default();
        if status == REFUNDED {
            ordered.refunded += units;
        } else if !UNPAID.contains(&status.as_str()) {
            ordered.sold += units;
        }
    }
    read_coupons(&mut tx, &mut read).await?;
    Ok(read)
}

async fn read_coupons(tx: &mut Tx, read: &mut Orders) -> Result<(), OperationError> {
    let issued = tx.rows("/* read_coupons */ select coupon_id from coupons", &[]).await?;
    for row in &issued {
        read.coupons.insert(row.text(0)?);
    }
    let uses = tx
        .rows(
            "/* read_coupons: uses */
            select coupon_id, order_no, cast(coalesce(line_no, 0) as bigint), taken_minor, state
            from coupon_uses order by coupon_id, order_no",
            &[],
        )
        .await?;
    for row in &uses {
        read.coupon_uses.push(CouponUse {
            coupon_id: row.text(0)?,
            order_no: row.text(1)?,
            line_no: Some(row.int(2)?).filter(|it| *it != 0),
            taken_minor: row.int(3)?,
            is_used: row.text(4)? == "USED",
        });
    }
    Ok(())
}

async fn read_payments(mut tx: Tx) -> Result<BTreeMap<String, i64>, OperationError> {
    let rows = tx
        .rows(
            "/* read_payments */
            select order_no, cast(sum(amount_minor - cancelled_minor) as bigint) from payments
            where status in ('COMPLETED', 'PARTIALLY_CANCELLED') group by order_no",
            &[],
        )
        .await?;
    rows.iter().map(|row| Ok((row.text(0)?, row.int(1)?))).collect()
}
