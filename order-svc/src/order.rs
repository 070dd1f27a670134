//! The row of an order, and who may change what stands behind it at the same time.

use saga_participant::{Arg, OperationError, Refusal, RefusalCode, Sql, Tx, fields};
use shop_proto::order::v1::Settling;

/// How an order is held until the end of a transaction. SQLite has one writer in any case.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hold {
    /// No line changes meanwhile. Changes of status go on: among them the history decides.
    Lines,
    /// Nothing changes meanwhile.
    All,
}

/// An order, without its lines and its history.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) order_no: String,
    pub(crate) customer_id: String,
    pub(crate) currency: String,
    pub(crate) total_minor: i64,
    /// Empty: not paid yet.
    pub(crate) payment_id: String,
    /// Empty: its lines grant no credit.
    pub(crate) credit_account: String,
    /// The payment that a customer named last.
    pub(crate) settling: Option<Settling>,
}

impl Order {
    /// Waits for transactions that hold the order otherwise. What is read after this is
    /// what they left.
    pub(crate) async fn hold(
        tx: &mut Tx,
        order_no: &str,
        hold: Hold,
    ) -> Result<Self, OperationError> {
        const READ: &str = "/* hold_order */
            select customer_id, currency, total_minor, payment_id, credit_account,
                    settling_provider, settling_key
            from orders where order_no = $1";
        const LINES: Sql = Sql {
            postgres: "/* hold_order: lines */
                select customer_id, currency, total_minor, payment_id, credit_account,
                    settling_provider, settling_key
                from orders where order_no = $1 for share",
            sqlite: READ,
        };
        const ALL: Sql = Sql {
            postgres: "/* hold_order: all */
                select customer_id, currency, total_minor, payment_id, credit_account,
                    settling_provider, settling_key
                from orders where order_no = $1 for no key update",
            sqlite: READ,
        };
        let sql = match hold {
            Hold::Lines => LINES,
            Hold::All => ALL,
        };
        let Some(row) = tx.row(sql, &[Arg::Text(order_no)]).await? else {
            return Err(order_not_found(order_no));
        };
        Ok(Self {
            order_no: order_no.to_owned(),
            customer_id: row.text(0)?,
            currency: row.text(1)?,
            total_minor: row.int(2)?,
            payment_id: row.optional_text(3)?.unwrap_or_default(),
            credit_account: row.optional_text(4)?.unwrap_or_default(),
            settling: match (row.optional_text(5)?, row.optional_text(6)?) {
                (Some(provider), Some(provider_key)) => Some(Settling { provider, provider_key }),
                _ => None,
            },
        })
    }

    /// Refuses a customer who is not the owner.
    pub(crate) fn check_owner(&self, customer_id: &str) -> Result<(), OperationError> {
        if customer_id == self.customer_id {
            return Ok(());
        }
        Err(OperationError::Rejected(Refusal {
            code: RefusalCode::FailedPrecondition,
            reason: "NOT_OWNER",
            message: format!("order {} is another customer's", self.order_no),
            metadata: vec![("order_no", self.order_no.clone())],
        }))
    }

    /// Records the payment that settled it.
    pub(crate) async fn settle(
        &mut self,
        tx: &mut Tx,
        payment_id: &str,
    ) -> Result<(), sqlx::Error> {
        tx.execute(
            "/* settle_order */ update orders set payment_id = $2 where order_no = $1",
            &[Arg::Text(&self.order_no), Arg::Text(payment_id)],
        )
        .await?;
        payment_id.clone_into(&mut self.payment_id);
        Ok(())
    }
}

/// Records the payment that a customer names for the order.
pub(crate) async fn begin_settling(
    tx: &mut Tx,
    order_no: &str,
    settling: &Settling,
) -> Result<(), sqlx::Error> {
    let Settling { provider, provider_key } = settling;
    tx.execute(
        "/* begin_settling */
        update orders set settling_provider = $2, settling_key = $3 where order_no = $1",
        &[Arg::Text(order_no), Arg::Text(provider), Arg::Text(provider_key)],
    )
    .await
    .map(drop)
}

/// An order number: letters, digits, `_` and `-`.
pub(crate) fn check_order_no(order_no: &str) -> Result<(), OperationError> {
    fields::identifier("order_no", order_no, 6..=64)
}

pub(crate) fn order_not_found(order_no: &str) -> OperationError {
    OperationError::Rejected(Refusal {
        code: RefusalCode::NotFound,
        reason: "ORDER_NOT_FOUND",
        message: format!("there is no order {order_no}"),
        metadata: vec![("order_no", order_no.to_owned())],
    })
}
