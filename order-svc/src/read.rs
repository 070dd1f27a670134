//! `GetOrder` and `ListHistory`.

use saga_participant::{Arg, OperationError, Query, Row, Tx, service::timestamp};
use shop_proto::order::v1::{
    GetOrderRequest, GetOrderResponse, ListHistoryRequest, ListHistoryResponse, StatusChange,
};

use crate::{
    Orders, delivery,
    history::status_of,
    line,
    order::{check_order_no, order_not_found},
};

impl Query<Orders> for GetOrderRequest {
    type Reply = GetOrderResponse;

    async fn answer(self, tx: &mut Tx) -> Result<GetOrderResponse, OperationError> {
        check_order_no(&self.order_no)?;
        let row = tx
            .row(
                "/* get_order */
                select customer_id, currency, total_minor, payment_id, status, id, counts_as,
                    credit_account, (
                        select state from deliveries
                        where deliveries.order_no = orders.order_no
                        order by prepared_by desc limit 1
                    )
                from orders join order_status using (order_no)
                where order_no = $1 order by id desc limit 1",
                &[Arg::Text(&self.order_no)],
            )
            .await?;
        let Some(row) = row else { return Err(order_not_found(&self.order_no)) };
        let lines = line::read(tx, &self.order_no).await?;
        let delivery = row.optional_text(8)?.map(|it| delivery::state_of(&it));
        Ok(GetOrderResponse {
            customer_id: row.text(0)?,
            currency: row.text(1)?,
            total_minor: row.int(2)?,
            status: status_of(&row.text(4)?).into(),
            status_id: row.int(5)?,
            payment_id: row.optional_text(3)?.unwrap_or_default(),
            counts_as: status_of(&row.text(6)?).into(),
            delivery: delivery.unwrap_or_default().into(),
            balance_minor: line::balance_minor(&lines),
            credit_account: row.optional_text(7)?.unwrap_or_default(),
            line_states: lines.iter().map(|it| it.state.into()).collect(),
            lines: lines.into_iter().map(|it| it.ordered).collect(),
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
                select id, prev_id, status, reason, op_id, changed_at_ms, line_no
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

fn change(row: &Row) -> Result<StatusChange, sqlx::Error> {
    Ok(StatusChange {
        id: row.int(0)?,
        prev_id: row.optional_int(1)?.unwrap_or(0),
        status: status_of(&row.text(2)?).into(),
        reason: row.text(3)?,
        op_id: row.uuid(4)?.to_string(),
        at: Some(timestamp(row.int(5)?)),
        line_no: row.optional_int(6)?.unwrap_or(0),
    })
}
