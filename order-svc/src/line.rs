//! The lines of an order.

use saga_participant::{Arg, Row, Sql, Tx};
use shop_proto::order::v1::{ActiveLine, LineState, OrderLine};
use uuid::Uuid;

const STATE_PREFIX: &str = "LINE_STATE_";

/// A line as the tables have it.
#[derive(Debug)]
pub(crate) struct Line {
    /// From 1, in the order of the lines.
    pub(crate) line_no: i64,
    pub(crate) ordered: OrderLine,
    pub(crate) state: LineState,
    /// The operation that began its cancel. Absent while it is active.
    pub(crate) cancel_op_id: Option<Uuid>,
}

impl Line {
    /// Price times quantity, less the discount (S1-7).
    pub(crate) fn cost_minor(&self) -> i64 {
        self.ordered.price_minor * self.ordered.qty - self.ordered.discount_minor
    }

    pub(crate) fn is(&self, state: LineState) -> bool {
        self.state == state
    }
}

/// A state as the tables have it, such as `ACTIVE`.
pub(crate) fn state_text(state: LineState) -> &'static str {
    let name = state.as_str_name();
    name.strip_prefix(STATE_PREFIX).unwrap_or(name)
}

/// All lines of an order, in their order.
pub(crate) async fn read(tx: &mut Tx, order_no: &str) -> Result<Vec<Line>, sqlx::Error> {
    let rows = tx
        .rows(
            "/* read_lines */
            select line_no, item_id, qty, price_minor, discount_minor, credits, state,
                cancel_op_id
            from order_lines where order_no = $1 order by line_no",
            &[Arg::Text(order_no)],
        )
        .await?;
    rows.iter().map(line).collect()
}

fn line(row: &Row) -> Result<Line, sqlx::Error> {
    let state = format!("{STATE_PREFIX}{}", row.text(6)?);
    Ok(Line {
        line_no: row.int(0)?,
        ordered: OrderLine {
            item_id: row.text(1)?,
            qty: row.int(2)?,
            price_minor: row.int(3)?,
            discount_minor: row.int(4)?,
            credits: row.int(5)?,
        },
        state: LineState::from_str_name(&state).unwrap_or(LineState::Unspecified),
        cancel_op_id: row.optional_uuid(7)?,
    })
}

/// What those cost that are not cancelled, in minor units.
pub(crate) fn balance_minor(lines: &[Line]) -> i64 {
    lines.iter().filter(|it| !it.is(LineState::Canceled)).map(Line::cost_minor).sum()
}

/// What those cost by their prices that are active, in minor units.
pub(crate) fn goods_minor(lines: &[Line]) -> i64 {
    let active = lines.iter().filter(|it| it.is(LineState::Active));
    active.map(|it| it.ordered.price_minor * it.ordered.qty).sum()
}

/// What those grant that are not cancelled, in minor units.
pub(crate) fn credits(lines: &[Line]) -> i64 {
    let standing = lines.iter().filter(|it| !it.is(LineState::Canceled));
    standing.map(|it| it.ordered.credits).sum()
}

/// Those that are active.
pub(crate) fn active(lines: &[Line]) -> Vec<ActiveLine> {
    let active = lines.iter().filter(|it| it.is(LineState::Active));
    let shown = active.map(|it| ActiveLine {
        line_no: it.line_no,
        item_id: it.ordered.item_id.clone(),
        qty: it.ordered.qty,
        price_minor: it.ordered.price_minor,
        credits: it.ordered.credits,
    });
    shown.collect()
}

/// All lines of a new order in one statement: orders have up to 2,000.
pub(crate) async fn insert(
    tx: &mut Tx,
    order_no: &str,
    lines: &[OrderLine],
) -> Result<(), sqlx::Error> {
    const INSERT: Sql = Sql {
        postgres: "/* insert_lines */
            insert into order_lines
                (order_no, line_no, item_id, qty, price_minor, discount_minor, credits)
            select $1, line_no, item_id, qty, price_minor, discount_minor, credits
            from unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
                with ordinality
                as line (item_id, qty, price_minor, discount_minor, credits, line_no)",
        // Materialized, the arrays are read once and joined by an index.
        sqlite: "/* insert_lines */
            with item as materialized (select key, value from json_each($2)),
                qty as materialized (select key, value from json_each($3)),
                price as materialized (select key, value from json_each($4)),
                discount as materialized (select key, value from json_each($5)),
                credit as materialized (select key, value from json_each($6))
            insert into order_lines
                (order_no, line_no, item_id, qty, price_minor, discount_minor, credits)
            select $1, key + 1, item.value, qty.value, price.value, discount.value, credit.value
            from item join qty using (key) join price using (key) join discount using (key)
                join credit using (key)",
    };
    let item_ids: Vec<&str> = lines.iter().map(|line| line.item_id.as_str()).collect();
    let numbers = |of: fn(&OrderLine) -> i64| lines.iter().map(of).collect::<Vec<i64>>();
    tx.execute(
        INSERT,
        &[
            Arg::Text(order_no),
            Arg::Texts(&item_ids),
            Arg::Ints(&numbers(|line| line.qty)),
            Arg::Ints(&numbers(|line| line.price_minor)),
            Arg::Ints(&numbers(|line| line.discount_minor)),
            Arg::Ints(&numbers(|line| line.credits)),
        ],
    )
    .await
    .map(drop)
}

/// Where a line goes: to a state, by the operation that began its cancel.
pub(crate) struct Move {
    pub(crate) line_no: i64,
    pub(crate) state: LineState,
    /// None where it is active again.
    pub(crate) cancel_op_id: Option<Uuid>,
}

/// Changes the state of one line. The order must be held.
pub(crate) async fn change(tx: &mut Tx, order_no: &str, to: &Move) -> Result<(), sqlx::Error> {
    tx.execute(
        "/* change_line */
        update order_lines set state = $3, cancel_op_id = $4
        where order_no = $1 and line_no = $2",
        &[
            Arg::Text(order_no),
            Arg::Int(to.line_no),
            Arg::Text(state_text(to.state)),
            to.cancel_op_id.into(),
        ],
    )
    .await
    .map(drop)
}

/// Cancels all lines that are active. The order must be held, and none of them CANCELING.
pub(crate) async fn cancel_all(
    tx: &mut Tx,
    order_no: &str,
    op_id: Uuid,
) -> Result<(), sqlx::Error> {
    tx.execute(
        "/* cancel_all_lines */
        update order_lines set state = 'CANCELED', cancel_op_id = $2
        where order_no = $1 and state = 'ACTIVE'",
        &[Arg::Text(order_no), Arg::Uuid(op_id)],
    )
    .await
    .map(drop)
}
