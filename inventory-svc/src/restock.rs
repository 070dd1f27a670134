//! `Restock`: what was sold comes back.

use std::collections::BTreeMap;

use saga_participant::{
    OperationError, OperationMeta, Patience, Refusal, RefusalCode, ServiceOperation, Tx, fields,
    operation::parse_op_id,
};
use shop_proto::inventory::v1::{Line, RestockRequest, RestockResponse, restock_request};
use uuid::Uuid;

use crate::{
    Inventory,
    reservation::{self, State},
    reserve,
    stock::{self, Movement, Quantities},
};

/// A sale is held back for as long as a saga's last step may need.
const HELD_RETRY_AFTER_MS: u64 = 500;

impl ServiceOperation<Inventory> for RestockRequest {
    const KIND: &'static str = "Restock";
    type Reply = RestockResponse;

    fn patience(service: &Inventory) -> Patience {
        service.stock.set_patience()
    }

    /// Stock rises, the sales count falls (S1-6).
    async fn apply(
        self,
        service: &Inventory,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<RestockResponse, OperationError> {
        let wanted = reserve::merge(&self.lines)?;
        let backs = if self.at_most {
            at_most(tx, self.sale.as_ref(), &wanted).await?
        } else {
            let reserve_op_id = lock_sale(tx, self.sale.as_ref()).await?;
            let sold = reservation::still_sold(tx, reserve_op_id).await?;
            let back = if self.lines.is_empty() { sold } else { within_sold(wanted, &sold)? };
            vec![(reserve_op_id, back)]
        };
        let back = sum(backs.iter().map(|(_, back)| back));
        if 0 < back.len() {
            let held = stock::hold(tx, service.stock.guard(), &back.item_ids()).await?;
            for (reserve_op_id, back) in &backs {
                reservation::note_restocked(tx, *reserve_op_id, back, op.op_id).await?;
            }
            stock::move_units(tx, &held, Movement::Restock, &[(op, &back)]).await?;
        }
        let lines = back.iter().map(|(item_id, qty)| Line {
            item_id: item_id.to_owned(),
            qty,
            ..Line::default()
        });
        Ok(RestockResponse {
            units: back.units(),
            lines: lines.collect(),
            reserve_op_id: match backs[..] {
                [(reserve_op_id, _)] => reserve_op_id.to_string(),
                _ => String::new(),
            },
        })
    }
}

/// Whatever of `wanted` is still sold; of everything where nothing is named. The money went
/// back already, so less than that, or nothing, is no reason to refuse it.
async fn at_most(
    tx: &mut Tx,
    sale: Option<&restock_request::Sale>,
    wanted: &Quantities,
) -> Result<Vec<(Uuid, Quantities)>, OperationError> {
    let sales = match sale {
        Some(restock_request::Sale::OrderNo(order_no)) => {
            fields::identifier("order_no", order_no, 6..=64)?;
            let live = reservation::lock_live(tx, order_no).await?;
            let is_sold = |it: &&(Uuid, State)| it.1 == State::Committed;
            let sold: Vec<Uuid> = live.iter().filter(is_sold).map(|it| it.0).collect();
            if sold.is_empty() && !live.is_empty() {
                return Err(not_yet_sold(&format!("what order {order_no} has reserved")));
            }
            sold
        }
        named => match lock_sale(tx, named).await {
            Ok(reserve_op_id) => vec![reserve_op_id],
            Err(OperationError::Rejected(_)) => Vec::new(),
            Err(error) => return Err(error),
        },
    };
    let mut missing: BTreeMap<&str, i64> = wanted.iter().collect();
    let mut backs = Vec::with_capacity(sales.len());
    for reserve_op_id in sales {
        let sold = reservation::still_sold(tx, reserve_op_id).await?;
        if wanted.len() == 0 {
            backs.push((reserve_op_id, sold));
            continue;
        }
        let mut back = BTreeMap::new();
        for (item_id, qty) in sold.iter() {
            let Some(wanted) = missing.get_mut(item_id) else { continue };
            let some = qty.min(*wanted);
            *wanted -= some;
            if 0 < some {
                back.insert(item_id.to_owned(), some);
            }
        }
        backs.push((reserve_op_id, back.into()));
    }
    Ok(backs)
}

fn sum<'a>(backs: impl Iterator<Item = &'a Quantities>) -> Quantities {
    let mut sum = BTreeMap::new();
    for (item_id, qty) in backs.flat_map(Quantities::iter) {
        *sum.entry(item_id.to_owned()).or_insert(0_i64) += qty;
    }
    sum.into()
}

/// Finds the sale and locks it, so that two that give back the same units do not.
async fn lock_sale(
    tx: &mut Tx,
    sale: Option<&restock_request::Sale>,
) -> Result<Uuid, OperationError> {
    match sale {
        Some(restock_request::Sale::ReserveOpId(reserve_op_id)) => {
            let reserve_op_id = parse_op_id("reserve_op_id", reserve_op_id)?;
            match reservation::lock(tx, reserve_op_id).await? {
                State::Committed => Ok(reserve_op_id),
                State::Held => Err(not_yet_sold(&format!("reservation {reserve_op_id}"))),
                State::Released => Err(refused(
                    "RESERVATION_NOT_SOLD",
                    format!("reservation {reserve_op_id} was released"),
                )),
            }
        }
        Some(restock_request::Sale::OrderNo(order_no)) => {
            fields::refuse(fields::identifier("order_no", order_no, 6..=64))?;
            let live = reservation::lock_live(tx, order_no).await?;
            let sold: Vec<Uuid> =
                live.iter().filter(|it| it.1 == State::Committed).map(|it| it.0).collect();
            match sold[..] {
                [reserve_op_id] => Ok(reserve_op_id),
                [] if live.is_empty() => Err(reservation::not_found("order_no", order_no)),
                [] => Err(not_yet_sold(&format!("what order {order_no} has reserved"))),
                _ => Err(refused(
                    "RESERVATION_AMBIGUOUS",
                    format!("order {order_no} was sold {} times; name one", sold.len()),
                )),
            }
        }
        None => Err(OperationError::invalid("sale", "", "reserve_op_id or order_no")),
    }
}

/// What comes back, if so much of it is still sold.
fn within_sold(wanted: Quantities, sold: &Quantities) -> Result<Quantities, OperationError> {
    let sold: BTreeMap<&str, i64> = sold.iter().collect();
    let exceeds = |(item_id, qty): &(&str, i64)| sold.get(item_id).copied().unwrap_or(0) < *qty;
    let exceeding: Vec<&str> = wanted.iter().filter(exceeds).map(|it| it.0).collect();
    if exceeding.is_empty() {
        return Ok(wanted);
    }
    let (code, what) = (RefusalCode::FailedPrecondition, "items of which less is still sold");
    Err(stock::refusal(code, "EXCEEDS_SOLD", what, &exceeding))
}

/// A saga is between its pivot and its last step. What it will sell can be given back then.
fn not_yet_sold(what: &str) -> OperationError {
    OperationError::TooEarly {
        reason: "RESERVATION_HELD",
        message: format!("{what} is not sold yet; nothing was done, try again"),
        retry_after_ms: HELD_RETRY_AFTER_MS,
    }
}

fn refused(reason: &'static str, message: String) -> OperationError {
    let code = RefusalCode::FailedPrecondition;
    OperationError::Rejected(Refusal { code, reason, message, metadata: Vec::new() })
}
