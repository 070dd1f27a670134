//! Coupons: issued to a customer, used once by an order, given back where the order does not come
//! about or is cancelled (S1-3). What they take off is computed here and nowhere else.

use std::collections::HashSet;

use saga_participant::{
    Arg, Operation, OperationError, OperationMeta, Refusal, RefusalCode, Tx, fields,
    operation::parse_op_id,
};
use shop_proto::order::v1::{
    OrderLine, ReturnCouponsRequest, ReturnCouponsResponse, UseCouponsRequest, UseCouponsResponse,
};
use uuid::Uuid;

use crate::{
    Orders,
    limits::{COUPONS_MAX, check_customer},
    order::check_order_no,
    place::{checked_lines_minor, duplicate},
};

mod discount;
mod issue;

use discount::{Bill, Value};
pub use issue::issue;

/// Who wants to use coupons, and for what.
pub(crate) struct Wish<'a> {
    pub(crate) customer_id: &'a str,
    /// Empty: not known yet.
    pub(crate) currency: &'a str,
    pub(crate) lines: &'a [OrderLine],
    pub(crate) now_ms: i64,
}

/// A coupon that an order may use now.
struct Usable {
    coupon_id: String,
    /// Empty: of the whole order.
    item_id: String,
    value: Value,
}

/// What a coupon takes off an order.
struct Use {
    coupon_id: String,
    /// Of which line, from 1. None: of the whole order.
    line_no: Option<i64>,
    taken_minor: i64,
}

impl Operation<Orders> for UseCouponsRequest {
    const KIND: &'static str = "UseCoupons";
    type Reply = UseCouponsResponse;

    async fn apply(
        self,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<UseCouponsResponse, OperationError> {
        fields::refuse(check(&self))?;
        let Self { customer_id, currency, lines, .. } = &self;
        if stands(tx, &self.order_no).await? {
            return Err(duplicate(&self.order_no));
        }
        let wish = Wish { customer_id, currency, lines, now_ms: op.at_ms };
        let coupons = usable(tx, &wish, &self.coupon_ids).await?;
        let mut bill = Bill::of(&self.lines);
        let uses = take_off(&mut bill, coupons)?;
        let (lines, discount_minor, total_minor) = bill.into_lines();
        check_total(&self, &lines, total_minor)?;
        for it in &uses {
            write(tx, &self.order_no, op.op_id, it).await?;
        }
        Ok(UseCouponsResponse { lines, discount_minor, total_minor })
    }
}

impl Operation<Orders> for ReturnCouponsRequest {
    const KIND: &'static str = "ReturnCoupons";
    type Reply = ReturnCouponsResponse;

    fn reverses(&self) -> Result<Option<Uuid>, OperationError> {
        parse_op_id("use_op_id", &self.use_op_id).map(Some)
    }

    async fn apply(
        self,
        tx: &mut Tx,
        _: &OperationMeta,
    ) -> Result<ReturnCouponsResponse, OperationError> {
        let use_op_id = parse_op_id("use_op_id", &self.use_op_id)?;
        let used_for =
            "/* used_for */ select order_no from coupon_uses where use_op_id = $1 limit 1";
        if let Some(row) = tx.row(used_for, &[Arg::Uuid(use_op_id)]).await? {
            let order_no = row.text(0)?;
            if stands(tx, &order_no).await? {
                let message =
                    format!("order {order_no} is there: its coupons come back with its cancel");
                return Err(failed("ORDER_STANDS", message, ("order_no", order_no)));
            }
        }
        // The order never was: its number may come again with other coupons.
        let sql = "/* return_coupons */ delete from coupon_uses where use_op_id = $1";
        let returned = tx.execute(sql, &[Arg::Uuid(use_op_id)]).await?;
        Ok(ReturnCouponsResponse { coupons: i64::try_from(returned).unwrap_or(i64::MAX) })
    }
}

/// Whether there is such an order.
async fn stands(tx: &mut Tx, order_no: &str) -> Result<bool, sqlx::Error> {
    let sql = "/* order_stands */ select order_no from orders where order_no = $1";
    Ok(tx.row(sql, &[Arg::Text(order_no)]).await?.is_some())
}

/// What a cancel gives back.
pub(crate) enum Cancelled {
    /// All coupons of the order.
    Order,
    /// The coupon that was taken off this line alone. What the order's own coupons took off it
    /// stays with them: they are the customer's again once the whole order is cancelled.
    Line(i64),
}

/// Gives back coupons of an order, which must be held.
pub(crate) async fn give_back(
    tx: &mut Tx,
    order_no: &str,
    cancelled: Cancelled,
) -> Result<(), sqlx::Error> {
    let line_no = match cancelled {
        Cancelled::Order => None,
        Cancelled::Line(line_no) => Some(line_no),
    };
    tx.execute(
        "/* give_back_coupons */
        update coupon_uses set state = 'RETURNED'
        where order_no = $1 and state = 'USED' and (line_no = $2 or cast($2 as bigint) is null)",
        &[Arg::Text(order_no), line_no.into()],
    )
    .await
    .map(drop)
}

/// Refuses coupons that the order cannot use now. What it costs, and so what they take off, is
/// not known yet, and nothing is held: `UseCoupons` decides.
pub(crate) async fn check_usable(
    tx: &mut Tx,
    wish: &Wish<'_>,
    coupon_ids: &[String],
) -> Result<(), OperationError> {
    usable(tx, wish, coupon_ids).await.map(drop)
}

/// Checks that they are a list of coupons, each once.
pub(crate) fn check_ids(coupon_ids: &[String]) -> Result<(), OperationError> {
    fields::within("coupon_ids", coupon_ids.len(), 0..=COUPONS_MAX)?;
    let mut seen = HashSet::new();
    for coupon_id in coupon_ids {
        fields::text("coupon_ids", coupon_id, 1..=64)?;
        if !seen.insert(coupon_id) {
            return Err(OperationError::invalid("coupon_ids", coupon_id, "each of them once"));
        }
    }
    Ok(())
}

fn check(request: &UseCouponsRequest) -> Result<(), OperationError> {
    check_order_no(&request.order_no)?;
    check_customer(&request.customer_id)?;
    fields::currency("currency", &request.currency)?;
    checked_lines_minor(&request.lines)?;
    fields::within("coupon_ids", request.coupon_ids.len(), 1..=COUPONS_MAX)?;
    check_ids(&request.coupon_ids)?;
    let discounted = request.lines.iter().find(|it| it.discount_minor != 0);
    discounted.map_or(Ok(()), |it| {
        let remedy = "0: coupons are taken off the catalogue's prices";
        Err(OperationError::invalid("lines.discount_minor", it.discount_minor, remedy))
    })
}

async fn usable(
    tx: &mut Tx,
    wish: &Wish<'_>,
    coupon_ids: &[String],
) -> Result<Vec<Usable>, OperationError> {
    let mut coupons = Vec::with_capacity(coupon_ids.len());
    for coupon_id in coupon_ids {
        coupons.push(usable_one(tx, wish, coupon_id).await?);
    }
    Ok(coupons)
}

async fn usable_one(
    tx: &mut Tx,
    wish: &Wish<'_>,
    coupon_id: &str,
) -> Result<Usable, OperationError> {
    let row = tx
        .row(
            "/* usable_coupon */
            select customer_id, item_id, kind, value, currency, valid_from_ms, valid_to_ms, (
                select order_no from coupon_uses
                where coupon_uses.coupon_id = coupons.coupon_id and state = 'USED'
            )
            from coupons where coupon_id = $1",
            &[Arg::Text(coupon_id)],
        )
        .await?;
    let Some(row) = row else {
        return Err(refused("COUPON_NOT_FOUND", coupon_id, "does not exist"));
    };
    if row.text(0)? != wish.customer_id {
        return Err(refused("COUPON_NOT_YOURS", coupon_id, "is another customer's"));
    }
    if row.optional_text(7)?.is_some() {
        return Err(used(coupon_id));
    }
    if !(row.int(5)?..row.int(6)?).contains(&wish.now_ms) {
        return Err(refused("COUPON_EXPIRED", coupon_id, "is not valid at this time"));
    }
    let item_id = row.optional_text(1)?.unwrap_or_default();
    if !item_id.is_empty() && !wish.lines.iter().any(|it| it.item_id == item_id) {
        return Err(refused(
            "COUPON_DOES_NOT_FIT",
            coupon_id,
            "is for an item that is not ordered",
        ));
    }
    let currency = row.optional_text(4)?.unwrap_or_default();
    if !currency.is_empty() && !wish.currency.is_empty() && currency != wish.currency {
        return Err(refused("COUPON_DOES_NOT_FIT", coupon_id, "is in another currency"));
    }
    let value = match row.text(2)?.as_str() {
        "PERCENT" => Value::Percent(row.int(3)?),
        _ => Value::Minor(row.int(3)?),
    };
    Ok(Usable { coupon_id: coupon_id.to_owned(), item_id, value })
}

/// Takes the coupons off the bill; answers what each of them took.
fn take_off(bill: &mut Bill, mut coupons: Vec<Usable>) -> Result<Vec<Use>, OperationError> {
    // Those of a line first: what is taken off the order is taken off what is left then. The
    // customer's order of them is no matter: the same coupons cost the same, and no two orders
    // wait for each other.
    coupons.sort_unstable_by(|one, other| {
        let rank = |it: &Usable| (it.item_id.is_empty(), it.value.is_percent());
        (rank(one), &one.coupon_id).cmp(&(rank(other), &other.coupon_id))
    });
    let mut uses = Vec::with_capacity(coupons.len());
    for Usable { coupon_id, item_id, value } in coupons {
        let taken = match item_id.as_str() {
            "" => bill.take_off_all(value).map(|taken_minor| (None, taken_minor)),
            item_id => bill.take_off_one(item_id, value),
        };
        let Some((line_no, taken_minor)) = taken else {
            return Err(refused("COUPON_DOES_NOT_FIT", &coupon_id, "takes nothing off this order"));
        };
        uses.push(Use { coupon_id, line_no, taken_minor });
    }
    Ok(uses)
}

/// The index of the coupons in use decides between orders that name one at once: the later one
/// waits until the first has ended.
async fn write(
    tx: &mut Tx,
    order_no: &str,
    use_op_id: Uuid,
    it: &Use,
) -> Result<(), OperationError> {
    let written = tx
        .execute(
            "/* use_coupon */
            insert into coupon_uses (use_op_id, coupon_id, order_no, line_no, taken_minor, state)
            values ($1, $2, $3, $4, $5, 'USED') on conflict do nothing",
            &[
                Arg::Uuid(use_op_id),
                Arg::Text(&it.coupon_id),
                Arg::Text(order_no),
                it.line_no.into(),
                Arg::Int(it.taken_minor),
            ],
        )
        .await?;
    if written == 0 { Err(used(&it.coupon_id)) } else { Ok(()) }
}

/// What is left to pay must be what the customer expects, and payable.
fn check_total(
    request: &UseCouponsRequest,
    lines: &[OrderLine],
    total_minor: i64,
) -> Result<(), OperationError> {
    let UseCouponsRequest { order_no, expected_minor, is_paid, .. } = request;
    if *expected_minor != 0 && *expected_minor != total_minor {
        let message =
            format!("order {order_no} costs {total_minor} with its coupons, not {expected_minor}");
        return Err(failed("PRICE_CHANGED", message, ("actual", total_minor.to_string())));
    }
    let of_order = ("order_no", order_no.clone());
    if total_minor == 0 && *is_paid {
        let message = format!("order {order_no} costs nothing: place it without a payment");
        return Err(failed("NOTHING_TO_PAY", message, of_order));
    }
    if total_minor == 0 && lines.iter().any(|it| 0 < it.credits) {
        let message = format!("order {order_no} grants credits, which need a payment");
        return Err(failed("COUPON_DOES_NOT_FIT", message, of_order));
    }
    Ok(())
}

fn used(coupon_id: &str) -> OperationError {
    refused("COUPON_USED", coupon_id, "is used by an order")
}

fn refused(reason: &'static str, coupon_id: &str, what: &str) -> OperationError {
    let message = format!("coupon {} {what}", coupon_id.escape_debug());
    failed(reason, message, ("coupon_id", coupon_id.to_owned()))
}

fn failed(reason: &'static str, message: String, fact: (&'static str, String)) -> OperationError {
    let is_missing = reason == "COUPON_NOT_FOUND";
    let code = if is_missing { RefusalCode::NotFound } else { RefusalCode::FailedPrecondition };
    OperationError::Rejected(Refusal { code, reason, message, metadata: vec![fact] })
}
