//! The stock service, as far as its contract can be seen from outside.

use std::collections::BTreeMap;

use prost::Message;
use shop_proto::inventory::v1 as pb;
use uuid::Uuid;

use super::{
    answer::{Answer, Deny, read, read_op_id},
    barrier::Books,
    fault::Defect,
};

/// An item and its stock.
#[derive(Clone, Debug)]
pub struct Item {
    /// Whose it is.
    pub owner_id: String,
    /// Price of one, in minor units.
    pub price_minor: i64,
    /// Credit that one grants.
    pub credits: i64,
    /// What was in the house at first.
    pub initial: i64,
    /// In the house.
    pub on_hand: i64,
    /// Promised, and in the house.
    pub reserved: i64,
    /// Sold.
    pub sold: i64,
    /// Grows with every change.
    pub version: i64,
}

/// Where a reservation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Promised.
    Held,
    /// Sold.
    Committed,
    /// Given back.
    Released,
}

/// What one operation reserved.
#[derive(Clone, Debug)]
pub struct Reservation {
    /// The order it is for.
    pub order_no: String,
    /// Units of each item.
    pub lines: BTreeMap<String, i64>,
    /// Units of each item that came back after the sale.
    pub restocked: BTreeMap<String, i64>,
    /// Where it stands.
    pub standing: Standing,
}

/// A change of an item's stock.
#[derive(Clone, Debug)]
pub struct Movement {
    /// The operation.
    pub op: Uuid,
    /// The item.
    pub item_id: String,
    /// Change of what is in the house.
    pub on_hand: i64,
    /// Change of what is promised.
    pub reserved: i64,
    /// Change of what is sold.
    pub sold: i64,
}

/// All stock.
#[derive(Debug, Default)]
pub struct Inventory {
    /// Items by id.
    pub items: BTreeMap<String, Item>,
    /// Reservations by the operation that made them.
    pub reservations: BTreeMap<Uuid, Reservation>,
    /// Every change, oldest first.
    pub movements: Vec<Movement>,
}

const CURRENCY: &str = "GBP";

impl Books for Inventory {
    fn reverses(&self, method: &str, body: &[u8]) -> Result<Option<Uuid>, Deny> {
        match method {
            "Release" => read_op_id(&read::<pb::ReleaseRequest>(body)?.reserve_op_id).map(Some),
            _ => Ok(None),
        }
    }

    fn apply(&mut self, method: &str, op: Uuid, body: &[u8], defect: Option<Defect>) -> Answer {
        match method {
            "Reserve" => {
                let pb::ReserveRequest { order_no, lines, expected_total_minor, .. } = read(body)?;
                let terms = self.terms(&lines, expected_total_minor)?;
                let lines = self.take(op, &order_no, &lines, Standing::Held)?;
                let pb::QuoteResponse { lines: priced, total_minor, currency, credits } = terms;
                let reply = pb::ReserveResponse {
                    reserve_op_id: op.to_string(),
                    items: u32::try_from(lines.len()).unwrap_or(u32::MAX),
                    total_minor,
                    currency,
                    lines: priced,
                    credits,
                };
                Ok(reply.encode_to_vec())
            }
            "Decrease" => {
                let pb::DecreaseRequest { order_no, lines, expected_total_minor, .. } = read(body)?;
                let terms = self.terms(&lines, expected_total_minor)?;
                let lines = self.take(op, &order_no, &lines, Standing::Committed)?;
                let pb::QuoteResponse { total_minor, currency, credits, .. } = terms;
                let (reserve_op_id, units) = (op.to_string(), lines.values().sum());
                let reply =
                    pb::DecreaseResponse { reserve_op_id, units, total_minor, currency, credits };
                Ok(reply.encode_to_vec())
            }
            "Quote" => {
                let pb::QuoteRequest { lines, expected_total_minor, .. } = read(body)?;
                Ok(self.terms(&lines, expected_total_minor)?.encode_to_vec())
            }
            "Commit" => self.commit(op, &read::<pb::CommitRequest>(body)?),
            "Release" => self.release(op, &read::<pb::ReleaseRequest>(body)?, defect),
            "Restock" => self.restock(op, &read::<pb::RestockRequest>(body)?),
            "SetStock" => self.set_stock(op, &read::<pb::SetStockRequest>(body)?),
            _ => Err(Deny::NoSuchMethod { path: method.to_owned() }),
        }
    }
}

impl Inventory {
    fn shift(&mut self, op: Uuid, item_id: &str, on_hand: i64, reserved: i64, sold: i64) {
        if let Some(item) = self.items.get_mut(item_id) {
            item.on_hand += on_hand;
            item.reserved += reserved;
            item.sold += sold;
            item.version += 1;
        }
        let item_id = item_id.to_owned();
        self.movements.push(Movement { op, item_id, on_hand, reserved, sold });
    }

    /// What lines cost, by the catalogue, if the caller does not take it for something else.
    fn terms(&self, lines: &[pb::Line], expected_minor: i64) -> Result<pb::QuoteResponse, Deny> {
        let mut terms = pb::QuoteResponse { currency: CURRENCY.to_owned(), ..Default::default() };
        for line in lines {
            let Some(item) = self.items.get(&line.item_id) else {
                return Err(Deny::not_found("ITEM_NOT_FOUND", line.item_id.clone()));
            };
            let (price_minor, credits) = (item.price_minor, item.credits * line.qty);
            if (line.price_minor != 0 && line.price_minor != price_minor)
                || (line.credits != 0 && line.credits != credits)
            {
                return Err(Deny::refused("PRICE_CHANGED", line.item_id.clone()));
            }
            terms.total_minor += price_minor * line.qty;
            terms.credits += credits;
            let (item_id, qty) = (line.item_id.clone(), line.qty);
            terms.lines.push(pb::PricedLine { item_id, qty, price_minor, credits });
        }
        if expected_minor != 0 && expected_minor != terms.total_minor {
            return Err(Deny::refused("PRICE_CHANGED", terms.total_minor.to_string()));
        }
        Ok(terms)
    }

    /// Takes all lines or none. Answers the merged lines.
    fn take(
        &mut self,
        op: Uuid,
        order_no: &str,
        lines: &[pb::Line],
        standing: Standing,
    ) -> Result<BTreeMap<String, i64>, Deny> {
        if lines.is_empty() || order_no.is_empty() {
            return Err(Deny::invalid("an order number and at least one line are required"));
        }
        let lines = merged(lines)?;
        for (item_id, qty) in &lines {
            let Some(item) = self.items.get(item_id) else {
                return Err(Deny::not_found("ITEM_NOT_FOUND", item_id.clone()));
            };
            if item.on_hand - item.reserved < *qty {
                return Err(Deny::refused("OUT_OF_STOCK", item_id.clone()));
            }
        }
        for (item_id, qty) in &lines {
            match standing {
                Standing::Held => self.shift(op, item_id, 0, *qty, 0),
                _ => self.shift(op, item_id, -qty, 0, *qty),
            }
        }
        let reservation = Reservation {
            order_no: order_no.to_owned(),
            lines: lines.clone(),
            restocked: BTreeMap::new(),
            standing,
        };
        self.reservations.insert(op, reservation);
        Ok(lines)
    }

    fn named(&self, reserve_op_id: &str) -> Result<(Uuid, Reservation), Deny> {
        let op = read_op_id(reserve_op_id)?;
        match self.reservations.get(&op) {
            Some(reservation) => Ok((op, reservation.clone())),
            None => Err(Deny::not_found("RESERVATION_NOT_FOUND", reserve_op_id)),
        }
    }

    fn stand(&mut self, reserve_op: Uuid, standing: Standing) {
        if let Some(reservation) = self.reservations.get_mut(&reserve_op) {
            reservation.standing = standing;
        }
    }

    fn commit(&mut self, op: Uuid, request: &pb::CommitRequest) -> Answer {
        let (reserve_op, reservation) = self.named(&request.reserve_op_id)?;
        match reservation.standing {
            Standing::Released => {
                return Err(Deny::refused("RESERVATION_NOT_HELD", "it was released"));
            }
            Standing::Committed => {}
            Standing::Held => {
                for (item_id, qty) in &reservation.lines {
                    self.shift(op, item_id, -qty, -qty, *qty);
                }
                self.stand(reserve_op, Standing::Committed);
            }
        }
        Ok(pb::CommitResponse { units: reservation.lines.values().sum() }.encode_to_vec())
    }

    fn release(
        &mut self,
        op: Uuid,
        request: &pb::ReleaseRequest,
        defect: Option<Defect>,
    ) -> Answer {
        let (reserve_op, reservation) = self.named(&request.reserve_op_id)?;
        if reservation.standing != Standing::Held && defect != Some(Defect::NoDedup) {
            return Err(Deny::refused("RESERVATION_COMMITTED", "it is sold"));
        }
        let kept = if defect == Some(Defect::PartialRelease) { 1 } else { usize::MAX };
        for (item_id, qty) in reservation.lines.iter().take(kept) {
            self.shift(op, item_id, 0, -qty, 0);
        }
        self.stand(reserve_op, Standing::Released);
        Ok(pb::ReleaseResponse { units: reservation.lines.values().sum() }.encode_to_vec())
    }

    fn sale(&self, sale: Option<&pb::restock_request::Sale>) -> Result<Uuid, Deny> {
        use pb::restock_request::Sale;
        let held = Deny::Busy { reason: "RESERVATION_HELD", retry_after_ms: 500 };
        match sale {
            Some(Sale::ReserveOpId(reserve_op_id)) => {
                let (op, reservation) = self.named(reserve_op_id)?;
                match reservation.standing {
                    Standing::Committed => Ok(op),
                    Standing::Held => Err(held),
                    Standing::Released => Err(Deny::refused("RESERVATION_NOT_SOLD", "released")),
                }
            }
            Some(Sale::OrderNo(order_no)) => {
                let of_order = self.reservations.iter().filter(|(_, it)| {
                    it.order_no == *order_no && it.standing != Standing::Released
                });
                let live: Vec<(Uuid, Standing)> =
                    of_order.map(|(op, it)| (*op, it.standing)).collect();
                let sold: Vec<Uuid> =
                    live.iter().filter(|it| it.1 == Standing::Committed).map(|it| it.0).collect();
                match sold[..] {
                    [op] => Ok(op),
                    [] if live.is_empty() => {
                        Err(Deny::not_found("RESERVATION_NOT_FOUND", order_no.clone()))
                    }
                    [] => Err(held),
                    _ => Err(Deny::refused("RESERVATION_AMBIGUOUS", order_no.clone())),
                }
            }
            None => Err(Deny::invalid("a sale is required")),
        }
    }

    fn restock(&mut self, op: Uuid, request: &pb::RestockRequest) -> Answer {
        let reserve_op = match self.sale(request.sale.as_ref()) {
            Err(Deny::Refused(_)) if request.at_most => {
                return Ok(pb::RestockResponse::default().encode_to_vec());
            }
            found => found?,
        };
        let reservation = self.reservations[&reserve_op].clone();
        let still = |item_id: &String| {
            let back = reservation.restocked.get(item_id).copied().unwrap_or(0);
            reservation.lines.get(item_id).copied().unwrap_or(0) - back
        };
        let back: BTreeMap<String, i64> = if request.lines.is_empty() {
            let all = reservation.lines.keys().map(|item_id| (item_id.clone(), still(item_id)));
            all.filter(|(_, qty)| *qty > 0).collect()
        } else {
            let mut wanted = merged(&request.lines)?;
            if request.at_most {
                wanted.iter_mut().for_each(|(item_id, qty)| *qty = (*qty).min(still(item_id)));
                wanted.retain(|_, qty| *qty > 0);
            }
            wanted
        };
        if let Some((item_id, _)) = back.iter().find(|(item_id, qty)| still(item_id) < **qty) {
            return Err(Deny::refused("EXCEEDS_SOLD", item_id.clone()));
        }
        for (item_id, qty) in &back {
            self.shift(op, item_id, *qty, 0, -qty);
            if let Some(sale) = self.reservations.get_mut(&reserve_op) {
                *sale.restocked.entry(item_id.clone()).or_default() += qty;
            }
        }
        let units = back.values().sum();
        let lines =
            back.into_iter().map(|(item_id, qty)| pb::Line { item_id, qty, ..pb::Line::default() });
        let lines = lines.collect();
        let reserve_op_id = reserve_op.to_string();
        Ok(pb::RestockResponse { units, lines, reserve_op_id }.encode_to_vec())
    }

    fn set_stock(&mut self, op: Uuid, request: &pb::SetStockRequest) -> Answer {
        let pb::SetStockRequest { item_id, on_hand, owner_id, expected_version } = request;
        let Some(item) = self.items.get(item_id).cloned() else {
            return Err(Deny::not_found("ITEM_NOT_FOUND", item_id.clone()));
        };
        if item.owner_id != *owner_id {
            return Err(Deny::refused("NOT_OWNER", item_id.clone()));
        }
        if expected_version.is_some_and(|expected| expected != item.version) {
            return Err(Deny::refused("VERSION_MISMATCH", item_id.clone()));
        }
        if *on_hand < item.reserved {
            return Err(Deny::refused("BELOW_RESERVED", item_id.clone()));
        }
        self.shift(op, item_id, on_hand - item.on_hand, 0, 0);
        let stock = pb::Stock {
            item_id: item_id.clone(),
            on_hand: *on_hand,
            reserved: item.reserved,
            sold: item.sold,
            price_minor: item.price_minor,
            currency: CURRENCY.to_owned(),
            status: pb::ItemStatus::OnSale.into(),
            version: item.version + 1,
            credits: item.credits,
        };
        Ok(pb::SetStockResponse { stock: Some(stock) }.encode_to_vec())
    }
}

fn merged(lines: &[pb::Line]) -> Result<BTreeMap<String, i64>, Deny> {
    let mut merged = BTreeMap::new();
    for line in lines {
        if line.qty < 1 || line.item_id.is_empty() {
            return Err(Deny::invalid(format!("line {line:?}")));
        }
        *merged.entry(line.item_id.clone()).or_insert(0) += line.qty;
    }
    Ok(merged)
}
