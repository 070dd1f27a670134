//! Reservations, once they are made: their state and their lines.
//!
//! Whoever holds stock never asks for the lock of a reservation, so the order, reservation
//! before stock, cannot deadlock.

use std::collections::BTreeMap;

use saga_participant::{Arg, OperationError, Refusal, RefusalCode, Row, Sql, Tx};
use uuid::Uuid;

use crate::stock::Quantities;

/// Where a reservation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Promised to an order that is under way. However long ago, and whatever
    /// `hold_until` said: only the order's saga ends it (S2-8).
    Held,
    /// Sold.
    Committed,
    /// Given back.
    Released,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Held => "HELD",
            Self::Committed => "COMMITTED",
            Self::Released => "RELEASED",
        }
    }

    fn parse(text: &str) -> Result<Self, sqlx::Error> {
        match text {
            "HELD" => Ok(Self::Held),
            "COMMITTED" => Ok(Self::Committed),
            "RELEASED" => Ok(Self::Released),
            other => Err(sqlx::Error::Decode(format!("reservations: state {other}").into())),
        }
    }
}

/// Locks the reservation and tells its state.
///
/// # Errors
///
/// RESERVATION_NOT_FOUND.
pub(crate) async fn lock(tx: &mut Tx, reserve_op_id: Uuid) -> Result<State, OperationError> {
    const LOCK: Sql = Sql {
        postgres: "/* lock_reservation */
            select state from reservations where op_id = $1 for update",
        sqlite: "/* lock_reservation */ select state from reservations where op_id = $1",
    };
    match tx.row(LOCK, &[Arg::Uuid(reserve_op_id)]).await? {
        Some(row) => Ok(State::parse(&row.text(0)?)?),
        None => Err(not_found("reserve_op_id", &reserve_op_id.to_string())),
    }
}

/// Locks the order's reservations that were not released, and tells their states.
pub(crate) async fn lock_live(
    tx: &mut Tx,
    order_no: &str,
) -> Result<Vec<(Uuid, State)>, OperationError> {
    const LOCK: Sql = Sql {
        postgres: "/* lock_live_reservations */
            select op_id, state from reservations
            where order_no = $1 and state <> 'RELEASED' order by op_id for update",
        sqlite: "/* lock_live_reservations */
            select op_id, state from reservations
            where order_no = $1 and state <> 'RELEASED' order by op_id",
    };
    let rows = tx.rows(LOCK, &[Arg::Text(order_no)]).await?;
    let live = |row: &Row| Ok((row.uuid(0)?, State::parse(&row.text(1)?)?));
    Ok(rows.iter().map(live).collect::<Result<_, sqlx::Error>>()?)
}

/// What the reservation was made for.
pub(crate) async fn lines(tx: &mut Tx, reserve_op_id: Uuid) -> Result<Quantities, OperationError> {
    const READ: &str = "/* read_reservation_lines */
        select item_id, qty from reservation_lines where op_id = $1";
    read(tx, READ, reserve_op_id).await
}

/// What of it is sold and did not come back. The reservation is locked.
pub(crate) async fn still_sold(
    tx: &mut Tx,
    reserve_op_id: Uuid,
) -> Result<Quantities, OperationError> {
    const READ: &str = "/* read_still_sold */
        select item_id, qty - restocked from reservation_lines
        where op_id = $1 and restocked < qty";
    read(tx, READ, reserve_op_id).await
}

async fn read(
    tx: &mut Tx,
    sql: &'static str,
    reserve_op_id: Uuid,
) -> Result<Quantities, OperationError> {
    let rows = tx.rows(sql, &[Arg::Uuid(reserve_op_id)]).await?;
    let lines = rows.iter().map(|row| Ok((row.text(0)?, row.int(1)?)));
    // Sorted here: the databases do not agree about the order of texts.
    Ok(lines.collect::<Result<BTreeMap<_, _>, sqlx::Error>>()?.into())
}

/// Changes the state of a reservation that is locked.
pub(crate) async fn change(
    tx: &mut Tx,
    reserve_op_id: Uuid,
    to: State,
) -> Result<(), OperationError> {
    tx.execute(
        "/* change_reservation */ update reservations set state = $2 where op_id = $1",
        &[Arg::Uuid(reserve_op_id), Arg::Text(to.as_str())],
    )
    .await?;
    Ok(())
}

/// Notes what came back of a reservation that is locked, and by which operation the last of it
/// did.
pub(crate) async fn note_restocked(
    tx: &mut Tx,
    reserve_op_id: Uuid,
    back: &Quantities,
    by: Uuid,
) -> Result<(), OperationError> {
    const NOTE: Sql = Sql {
        postgres: "/* note_restocked */
            update reservation_lines set restocked = restocked + line.qty
            from unnest($2::text[], $3::bigint[]) as line (item_id, qty)
            where op_id = $1 and reservation_lines.item_id = line.item_id",
        sqlite: "/* note_restocked */
            with item as materialized (select key, value from json_each($2)),
                qty as materialized (select key, value from json_each($3))
            update reservation_lines set restocked = restocked + line.qty
            from (
                select item.value as item_id, qty.value as qty from item join qty using (key)
            ) as line
            where op_id = $1 and reservation_lines.item_id = line.item_id",
    };
    let (item_ids, qtys): (Vec<&str>, Vec<i64>) = back.iter().unzip();
    let args = [Arg::Uuid(reserve_op_id), Arg::Texts(&item_ids), Arg::Ints(&qtys)];
    tx.execute(NOTE, &args).await?;
    tx.execute(
        "/* note_returned */
        update reservations set returned_by = $2
        where op_id = $1 and returned_by is null and not exists (
            select 1 from reservation_lines where op_id = $1 and restocked < qty
        )",
        &[Arg::Uuid(reserve_op_id), Arg::Uuid(by)],
    )
    .await?;
    Ok(())
}

/// Nothing was reserved under this name.
pub(crate) fn not_found(field: &'static str, name: &str) -> OperationError {
    OperationError::Rejected(Refusal {
        code: RefusalCode::NotFound,
        reason: "RESERVATION_NOT_FOUND",
        message: format!("nothing is reserved or sold under {field} {name}"),
        metadata: vec![(field, name.to_owned())],
    })
}
