//! `Reserve` and `Decrease`: the stock of all lines of an order is promised, or sold, or
//! none of it.

use std::collections::{BTreeMap, BTreeSet};

use saga_participant::{
    Arg, BatchOperation, Member, OperationError, OperationMeta, Patience, ServiceOperation, Sql,
    Tx, fields,
};
use shop_proto::inventory::v1::{
    DecreaseRequest, DecreaseResponse, Line, ReserveRequest, ReserveResponse,
};
use uuid::Uuid;

use crate::{
    Inventory,
    stock::{self, Guard, Movement, Mover, Quantities},
};

pub(crate) mod offer;
pub(crate) mod terms;
use offer::Offers;
use terms::{Prices, Said, Terms};

const LINES_MAX: usize = 2_000;
const QTY_MAX: i64 = 1_000_000;
pub(crate) const ITEM_ID_CHARS_MAX: usize = 64;

impl ServiceOperation<Inventory> for ReserveRequest {
    const KIND: &'static str = "Reserve";
    type Reply = ReserveResponse;

    fn patience(service: &Inventory) -> Patience {
        service.stock.order_patience()
    }

    async fn apply(
        self,
        service: &Inventory,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<ReserveResponse, OperationError> {
        take_one(tx, service.stock.guard(), Take::Promise, promise(&self, op)).await.map(reserved)
    }
}

impl BatchOperation<Inventory> for ReserveRequest {
    async fn apply_all(
        members: &[Member<Self>],
        service: &Inventory,
        tx: &mut Tx,
    ) -> Result<Vec<Result<ReserveResponse, OperationError>>, OperationError> {
        let wishes: Vec<Wish<'_>> = members.iter().map(|it| promise(&it.request, &it.op)).collect();
        let taken = take(tx, service.stock.guard(), Take::Promise, &wishes).await?;
        Ok(taken.into_iter().map(|it| it.map(reserved)).collect())
    }
}

impl ServiceOperation<Inventory> for DecreaseRequest {
    const KIND: &'static str = "Decrease";
    type Reply = DecreaseResponse;

    fn patience(service: &Inventory) -> Patience {
        service.stock.order_patience()
    }

    async fn apply(
        self,
        service: &Inventory,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<DecreaseResponse, OperationError> {
        let Self { order_no, lines, expected_total_minor, currency } = &self;
        // An order that was written down before has prices; they are still the catalogue's.
        let prices = if *expected_total_minor == 0 { Prices::Some } else { Prices::All };
        let said = Said { lines, total_minor: *expected_total_minor, currency, prices };
        let wish = Wish { op, order_no, said, expires_at_ms: NO_LIMIT };
        let taken = take_one(tx, service.stock.guard(), Take::Sale, wish).await?;
        Ok(DecreaseResponse {
            reserve_op_id: taken.op_id.to_string(),
            units: taken.quantities.units(),
            total_minor: taken.terms.total_minor,
            currency: taken.terms.currency,
            credits: taken.terms.credits,
        })
    }
}

/// What is done with the stock of an order.
#[derive(Clone, Copy, Debug)]
enum Take {
    /// It is promised.
    Promise,
    /// It is sold.
    Sale,
}

impl Take {
    fn movement(self) -> Movement {
        match self {
            Self::Promise => Movement::Reserve,
            Self::Sale => Movement::Decrease,
        }
    }

    /// The state of the reservation that it makes.
    fn state(self) -> &'static str {
        match self {
            Self::Promise => "HELD",
            Self::Sale => "COMMITTED",
        }
    }
}

/// Stands for null in a list of times.
const NO_LIMIT: i64 = -1;

/// What an order asks for.
#[derive(Clone, Copy)]
struct Wish<'a> {
    op: &'a OperationMeta,
    order_no: &'a str,
    said: Said<'a>,
    expires_at_ms: i64,
}

fn promise<'a>(request: &'a ReserveRequest, op: &'a OperationMeta) -> Wish<'a> {
    let ReserveRequest { order_no, lines, hold_until, expected_total_minor, currency } = request;
    let until_ms = hold_until.as_ref().map(|it| it.seconds.saturating_mul(1_000).max(0));
    let total_minor = *expected_total_minor;
    let said = Said { lines, total_minor, currency, prices: Prices::Some };
    Wish { op, order_no, said, expires_at_ms: until_ms.unwrap_or(NO_LIMIT) }
}

/// What an order got.
struct Taken {
    op_id: Uuid,
    quantities: Quantities,
    terms: Terms,
}

fn reserved(taken: Taken) -> ReserveResponse {
    ReserveResponse {
        reserve_op_id: taken.op_id.to_string(),
        items: u32::try_from(taken.quantities.len()).unwrap_or(u32::MAX),
        total_minor: taken.terms.total_minor,
        currency: taken.terms.currency,
        lines: taken.terms.lines,
        credits: taken.terms.credits,
    }
}

async fn take_one(
    tx: &mut Tx,
    guard: Guard,
    what: Take,
    wish: Wish<'_>,
) -> Result<Taken, OperationError> {
    let mut taken = take(tx, guard, what, &[wish]).await?;
    taken.pop().expect("one wish has one outcome")
}

/// Takes for one order after another, as if they had come like this; of each all lines or
/// none. Sale status, price and quantity are looked at where the stock is taken (S1-5).
async fn take(
    tx: &mut Tx,
    guard: Guard,
    what: Take,
    wishes: &[Wish<'_>],
) -> Result<Vec<Result<Taken, OperationError>>, OperationError> {
    let wanted: Vec<Result<Quantities, OperationError>> = wishes.iter().map(wanted).collect();
    let item_ids: BTreeSet<&str> =
        wanted.iter().flatten().flat_map(|it| it.iter().map(|(id, _)| id)).collect();
    let item_ids: Vec<&str> = item_ids.into_iter().collect();
    let held = stock::hold(tx, guard, &item_ids).await?;
    let mut offers = offer::read(tx, &item_ids).await?;
    let judged: Vec<Result<Taken, OperationError>> = wishes
        .iter()
        .zip(wanted)
        .map(|(wish, quantities)| {
            let quantities = quantities?;
            offer::judge(&quantities, &offers)?;
            let terms = wish.said.terms(&offers)?;
            offer::take_from(&mut offers, &quantities);
            Ok(Taken { op_id: wish.op.op_id, quantities, terms })
        })
        .collect();

    let granted: Vec<(&Wish<'_>, &Quantities)> = wishes
        .iter()
        .zip(&judged)
        .filter_map(|(wish, taken)| Some((wish, &taken.as_ref().ok()?.quantities)))
        .collect();
    if !granted.is_empty() {
        insert_reservations(tx, what, &granted, &offers).await?;
        let movers: Vec<Mover<'_>> = granted.iter().map(|(wish, it)| (wish.op, *it)).collect();
        stock::move_units(tx, &held, what.movement(), &movers).await?;
    }
    Ok(judged)
}

fn wanted(wish: &Wish<'_>) -> Result<Quantities, OperationError> {
    fields::refuse(fields::identifier("order_no", wish.order_no, 6..=64))?;
    wish.said.quantities()
}

/// Adds up lines of the same item (14 % of real orders have such lines).
pub(crate) fn merge(lines: &[Line]) -> Result<Quantities, OperationError> {
    fields::refuse(fields::within("lines", lines.len(), 0..=LINES_MAX))?;
    let mut merged = BTreeMap::new();
    for (index, line) in lines.iter().enumerate() {
        let field = |name: &str| format!("lines[{index}].{name}");
        fields::refuse(fields::text(&field("item_id"), &line.item_id, 1..=ITEM_ID_CHARS_MAX))?;
        fields::refuse(fields::within(&field("qty"), line.qty, 1..=QTY_MAX))?;
        // 2,000 lines of 1,000,000 units are far from the end of an i64.
        *merged.entry(line.item_id.clone()).or_insert(0_i64) += line.qty;
    }
    Ok(merged.into())
}

const INSERT_RESERVATIONS: Sql = Sql {
    postgres: "/* insert_reservations */
        insert into reservations (op_id, order_no, state, expires_at_ms, reserved_at_ms)
        select op_id, order_no, $5, nullif(expires_at_ms, -1), at_ms
        from unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[])
            as wish (op_id, order_no, expires_at_ms, at_ms)",
    sqlite: "/* insert_reservations */
        with op as materialized (select key, value from json_each($1)),
            order_no as materialized (select key, value from json_each($2)),
            expires as materialized (select key, value from json_each($3)),
            at as materialized (select key, value from json_each($4))
        insert into reservations (op_id, order_no, state, expires_at_ms, reserved_at_ms)
        select unhex(op.value), order_no.value, $5, nullif(expires.value, -1), at.value
        from op join order_no using (key) join expires using (key) join at using (key)",
};

const INSERT_LINES: Sql = Sql {
    postgres: "/* insert_reservation_lines */
        insert into reservation_lines (op_id, item_id, qty, price_minor)
        select op_id, item_id, qty, price_minor
        from unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[])
            as line (op_id, item_id, qty, price_minor)",
    sqlite: "/* insert_reservation_lines */
        with op as materialized (select key, value from json_each($1)),
            item as materialized (select key, value from json_each($2)),
            qty as materialized (select key, value from json_each($3)),
            price as materialized (select key, value from json_each($4))
        insert into reservation_lines (op_id, item_id, qty, price_minor)
        select unhex(op.value), item.value, qty.value, price.value
        from op join item using (key) join qty using (key) join price using (key)",
};

async fn insert_reservations(
    tx: &mut Tx,
    what: Take,
    granted: &[(&Wish<'_>, &Quantities)],
    offers: &Offers,
) -> Result<(), OperationError> {
    let op_ids: Vec<Uuid> = granted.iter().map(|(wish, _)| wish.op.op_id).collect();
    let order_nos: Vec<&str> = granted.iter().map(|(wish, _)| wish.order_no).collect();
    let expires: Vec<i64> = granted.iter().map(|(wish, _)| wish.expires_at_ms).collect();
    let at_ms: Vec<i64> = granted.iter().map(|(wish, _)| wish.op.at_ms).collect();
    let args = [
        Arg::Uuids(&op_ids),
        Arg::Texts(&order_nos),
        Arg::Ints(&expires),
        Arg::Ints(&at_ms),
        Arg::Text(what.state()),
    ];
    tx.execute(INSERT_RESERVATIONS, &args).await?;

    let lines = granted
        .iter()
        .flat_map(|(wish, quantities)| quantities.iter().map(|(id, qty)| (wish.op.op_id, id, qty)));
    let lines: Vec<(Uuid, &str, i64)> = lines.collect();
    let op_ids: Vec<Uuid> = lines.iter().map(|it| it.0).collect();
    let item_ids: Vec<&str> = lines.iter().map(|it| it.1).collect();
    let qtys: Vec<i64> = lines.iter().map(|it| it.2).collect();
    let prices: Vec<i64> = item_ids.iter().map(|it| offer::price_minor(offers, it)).collect();
    let args = [Arg::Uuids(&op_ids), Arg::Texts(&item_ids), Arg::Ints(&qtys), Arg::Ints(&prices)];
    tx.execute(INSERT_LINES, &args).await?;
    Ok(())
}
