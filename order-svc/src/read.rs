//! `GetOrder` and `ListHistory`.

use saga_participant::{Arg, OperationError, Query, Row, Tx, service::timestamp};
use saga_proto::shop::order::v1::{
    GetOrderRequest, GetOrderResponse, ListHistoryRequest, ListHistoryResponse, OrderLine,
    StatusChange,
};

use crate::{
    Orders,
    history::{order_not_found, status_of},
    place::check_order_no,
};

impl Query<Orders> for GetOrderRequest {
    type Reply = GetOrderResponse;

    async fn answer(self, tx: &mut Tx) -> Result<GetOrderResponse, OperationError> {
        check_order_no(&self.order_no)?;
        let row = tx
            .row(
                "/* get_order */
                select customer_id, currency, total_minor, payment_id, status, id
                from orders join order_status using (order_no)
                where order_no = $1 order by id desc limit 1",
                &[Arg::Text(&self.order_no)],
            )
            .await?;
        let Some(row) = row else { return Err(order_not_found(&self.order_no)) };
        Ok(GetOrderResponse {
            customer_id: row.text(0)?,
            currency: row.text(1)?,
            total_minor: row.int(2)?,
            lines: read_lines(tx, &self.order_no).await?,
            status: status_of(&row.text(4)?).into(),
            status_id: row.int(5)?,
            payment_id: row.optional_text(3)?.unwrap_or_default(),
            order_no: self.order_no,
        })
    }
}

impl Query<Orders> for ListHistoryRequest {
    type Reply = ListHistoryResponse;

    async fn answer(self, tx: &mut Tx) -> Result<ListHistoryResponse, OperationError> {
        check_order_no(&self.order_no)?;
        let rows = tx
            .rows(
                "/* list_history */
                select id, prev_id, status, reason, op_id, changed_at_ms
                from order_status where order_no = $1 order by id",
                &[Arg::Text(&self.order_no)],
            )
            .await?;
        if rows.is_empty() {
            return Err(order_not_found(&self.order_no));
        }
        let changes = rows.iter().map(change).collect::<Result<_, _>>()?;
        Ok(ListHistoryResponse { changes })
    }
}

async fn read_lines(tx: &mut Tx, order_no: &str) -> Result<Vec<OrderLine>, sqlx::Error> {
    let rows = tx
        .rows(
            "/* read_order_lines */
            select item_id, qty, price_minor, discount_minor
            from order_lines where order_no = $1 order by line_no",
            &[Arg::Text(order_no)],
        )
        .await?;
    let line = |row: &Row| {
        Ok(OrderLine {
            item_id: row.text(0)?,
            qty: row.int(1)?,
            price_minor: row.int(2)?,
            discount_minor: row.int(3)?,
        })
    };
    rows.iter().map(line).collect()
}

fn change(row: &Row) -> Result<StatusChange, sqlx::Error> {
    Ok(StatusChange {
        id: row.int(0)?,
        prev_id: row.optional_int(1)?.unwrap_or(0),
        status: status_of(&row.text(2)?).into(),
        reason: row.text(3)?,
        op_id: row.uuid(4)?.to_string(),
        at: Some(timestamp(row.int(5)?)),
    })
}
