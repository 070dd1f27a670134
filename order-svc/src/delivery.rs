//! Deliveries: one for each time that an order is prepared for it, at most one under way.

use saga_participant::{Arg, Tx};
use shop_proto::order::v1::DeliveryState;

const STATE_PREFIX: &str = "DELIVERY_STATE_";

/// Begins a delivery, by the status row that says so.
pub(crate) async fn begin(
    tx: &mut Tx,
    order_no: &str,
    prepared_by: i64,
) -> Result<(), sqlx::Error> {
    tx.execute(
        "/* begin_delivery */ insert into deliveries (prepared_by, order_no) values ($1, $2)",
        &[Arg::Int(prepared_by), Arg::Text(order_no)],
    )
    .await
    .map(drop)
}

/// Ends the delivery that is under way, if there is one.
pub(crate) async fn end(
    tx: &mut Tx,
    order_no: &str,
    state: DeliveryState,
) -> Result<(), sqlx::Error> {
    let name = state.as_str_name();
    let state = name.strip_prefix(STATE_PREFIX).unwrap_or(name);
    tx.execute(
        "/* end_delivery */
        update deliveries set state = $2 where order_no = $1 and state = 'PREPARING'",
        &[Arg::Text(order_no), Arg::Text(state)],
    )
    .await
    .map(drop)
}

/// A state as the contract has it.
pub(crate) fn state_of(text: &str) -> DeliveryState {
    let name = format!("{STATE_PREFIX}{text}");
    DeliveryState::from_str_name(&name).unwrap_or(DeliveryState::Unspecified)
}
