//! The ledger as tests read it: it judges what the shop did.

use serde::{Deserialize, Serialize};

use super::{OrderLedger, Simulator, SimulatorError, book};

/// Orders that are read at once.
const LEDGER_PAGE: u32 = 5_000;

/// A page of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerPage {
    /// Orders that money moved for, in order of their numbers.
    pub orders: Vec<OrderLedger>,
    /// Where the next page begins. None: this is the last one.
    pub next_after: Option<String>,
}

impl Simulator {
    /// The whole ledger, in order of the order numbers.
    ///
    /// # Errors
    ///
    /// [`SimulatorError::Read`].
    pub async fn ledger(&self) -> Result<Vec<OrderLedger>, SimulatorError> {
        let mut orders: Vec<OrderLedger> = Vec::new();
        let mut after = Some(String::new());
        while let Some(key) = after {
            let page = self.ledger_page(&key, LEDGER_PAGE).await?;
            orders.extend(page.orders);
            after = page.next_after;
        }
        Ok(orders)
    }

    /// At most `limit` orders of the ledger, behind the order number `after`.
    ///
    /// # Errors
    ///
    /// [`SimulatorError::Read`].
    pub async fn ledger_page(&self, after: &str, limit: u32) -> Result<LedgerPage, SimulatorError> {
        let limit = limit.max(1);
        let after = after.to_owned();
        let page = |reads| async move { book::ledger_page(&reads, &after, limit).await };
        let orders =
            self.shared.read(page).await.map_err(|source| SimulatorError::Read { source })?;
        let is_full = orders.len() == usize::try_from(limit).unwrap_or(usize::MAX);
        let next_after = orders.last().filter(|_| is_full).map(|it| it.order_no.clone());
        Ok(LedgerPage { orders, next_after })
    }

    /// What happened to the money of one order. All zero: nothing.
    ///
    /// # Errors
    ///
    /// [`SimulatorError::Read`].
    pub async fn order_ledger(&self, order_no: &str) -> Result<OrderLedger, SimulatorError> {
        let wanted = order_no.to_owned();
        let order = |reads| async move { book::order_ledger(&reads, &wanted).await };
        let order =
            self.shared.read(order).await.map_err(|source| SimulatorError::Read { source })?;
        Ok(order.unwrap_or_else(|| OrderLedger {
            order_no: order_no.to_owned(),
            captured_minor: 0,
            cancelled_minor: 0,
            captures: 0,
        }))
    }
}
