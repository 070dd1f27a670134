//! Faults that the simulator makes on demand: which, for whom, and how many of them
//! really happened.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::{SqliteConnection, SqliteExecutor};

mod mix;
pub use mix::FaultMix;

/// Stands for any payment in a script of the next requests.
pub(super) const ANY_PAYMENT: &str = "*";

/// What a client may ask of a provider, as far as faults are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Capture the money.
    Confirm,
    /// Give money back.
    Cancel,
    /// Ask for a payment, by its key or by its order.
    LookUp,
    /// Ask for an access token. It is about no payment.
    Token,
}

impl Operation {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Cancel => "cancel",
            Self::LookUp => "look_up",
            Self::Token => "token",
        }
    }
}

/// One thing that goes wrong with one request. "Commit" is the moment at which the
/// provider's books change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// The request is refused with this code of the provider. It waits for a request
    /// that is really executed: a replay by idempotency key does not use it up.
    Decline {
        /// The provider's code, such as `REJECT_CARD_PAYMENT`.
        code: String,
    },
    /// The request takes longer.
    Delay {
        /// Pause before the commit.
        #[serde(default)]
        before_ms: u64,
        /// Pause between the commit and the reply.
        #[serde(default)]
        after_commit_ms: u64,
    },
    /// The connection is cut, and nothing happened.
    DropBeforeCommit,
    /// It happened, and the connection is cut instead of a reply.
    DropAfterCommit,
    /// This status, and nothing happened.
    ErrorBefore {
        /// An HTTP status, 500 to 599.
        status: u16,
    },
    /// It happened, and the reply is this status.
    ErrorAfter {
        /// An HTTP status, 500 to 599.
        status: u16,
    },
    /// 409, as if the first request with this key were still running. Nothing happened.
    Conflict409,
}

impl Fault {
    /// The name under which this kind is counted.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Decline { .. } => "decline",
            Self::Delay { .. } => "delay",
            Self::DropBeforeCommit => "drop_before_commit",
            Self::DropAfterCommit => "drop_after_commit",
            Self::ErrorBefore { .. } => "error_before",
            Self::ErrorAfter { .. } => "error_after",
            Self::Conflict409 => "conflict409",
        }
    }

    fn is_possible(&self, operation: Operation) -> bool {
        match self {
            Self::Decline { .. } => {
                matches!(operation, Operation::Confirm | Operation::Cancel)
            }
            Self::ErrorBefore { status } | Self::ErrorAfter { status } => {
                (500..=599).contains(status)
            }
            _ => true,
        }
    }
}

/// Faults in the order in which requests meet them, one for each request. After the
/// last one everything goes well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultScript {
    /// Faults of confirms.
    pub confirm: Vec<Fault>,
    /// Faults of cancels.
    pub cancel: Vec<Fault>,
    /// Faults of look-ups.
    pub look_up: Vec<Fault>,
    /// Faults of requests for an access token, in a script of any payment.
    pub token: Vec<Fault>,
}

impl FaultScript {
    pub(super) fn is_possible(&self) -> bool {
        self.entries().all(|(operation, fault)| fault.is_possible(operation))
    }

    fn entries(&self) -> impl Iterator<Item = (Operation, &Fault)> {
        let confirm = self.confirm.iter().map(|it| (Operation::Confirm, it));
        let cancel = self.cancel.iter().map(|it| (Operation::Cancel, it));
        let look_up = self.look_up.iter().map(|it| (Operation::LookUp, it));
        let token = self.token.iter().map(|it| (Operation::Token, it));
        confirm.chain(cancel).chain(look_up).chain(token)
    }
}

/// How many faults of each kind happened.
pub type FaultCounts = BTreeMap<String, u64>;

pub(super) async fn add(
    connection: &mut SqliteConnection,
    payment_key: &str,
    script: &FaultScript,
) -> Result<(), sqlx::Error> {
    for (operation, fault) in script.entries() {
        let text = serde_json::to_string(fault).expect("a fault is plain data");
        sqlx::query(
            "/* fault::add */
            insert into fault (payment_key, operation, kind, fault) values (?, ?, ?, ?)",
        )
        .bind(payment_key)
        .bind(operation.as_str())
        .bind(fault.kind())
        .bind(text)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// The next fault of this payment, or else of any payment, and its number.
pub(super) async fn next(
    executor: impl SqliteExecutor<'_>,
    payment_key: &str,
    operation: Operation,
) -> Result<Option<(i64, Fault)>, sqlx::Error> {
    let row: Option<(i64, String)> = sqlx::query_as(
        "/* fault::next */
        select seq, fault from fault
        where payment_key in (?, ?) and operation = ? and fired_at_ms is null
        order by payment_key = '*', seq
        limit 1",
    )
    .bind(payment_key)
    .bind(ANY_PAYMENT)
    .bind(operation.as_str())
    .fetch_optional(executor)
    .await?;
    row.map(|(seq, text)| {
        let fault = serde_json::from_str(&text).map_err(|it| sqlx::Error::Decode(Box::new(it)))?;
        Ok((seq, fault))
    })
    .transpose()
}

/// Uses up the next fault, unless it is a decline: that waits for an execution.
pub(super) async fn take_before_execution(
    connection: &mut SqliteConnection,
    payment_key: &str,
    operation: Operation,
    now_ms: i64,
) -> Result<Option<Fault>, sqlx::Error> {
    let Some((seq, fault)) = next(&mut *connection, payment_key, operation).await? else {
        return Ok(None);
    };
    if matches!(fault, Fault::Decline { .. }) {
        return Ok(None);
    }
    fire(connection, seq, now_ms).await?;
    Ok(Some(fault))
}

/// Uses up the next fault if it is a decline, and returns its code.
pub(super) async fn take_decline(
    connection: &mut SqliteConnection,
    payment_key: &str,
    operation: Operation,
    now_ms: i64,
) -> Result<Option<String>, sqlx::Error> {
    let Some((seq, Fault::Decline { code })) =
        next(&mut *connection, payment_key, operation).await?
    else {
        return Ok(None);
    };
    fire(connection, seq, now_ms).await?;
    Ok(Some(code))
}

async fn fire(connection: &mut SqliteConnection, seq: i64, now_ms: i64) -> Result<(), sqlx::Error> {
    sqlx::query("/* fault::fire */ update fault set fired_at_ms = ? where seq = ?")
        .bind(now_ms)
        .bind(seq)
        .execute(connection)
        .await?;
    Ok(())
}

/// Counts the faults that happened.
pub(super) async fn fired(executor: impl SqliteExecutor<'_>) -> Result<FaultCounts, sqlx::Error> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "/* fault::fired */
        select kind, count(*) from fault where fired_at_ms is not null group by kind",
    )
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(|(kind, count)| (kind, count.unsigned_abs())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_reads_as_plain_json() {
        let text = r#"{ "confirm": [
            { "kind": "drop_after_commit" },
            { "kind": "delay", "before_ms": 5 },
            { "kind": "decline", "code": "REJECT_CARD_PAYMENT" },
            { "kind": "conflict409" },
            { "kind": "error_after", "status": 502 }
        ] }"#;
        let script: FaultScript = serde_json::from_str(text).unwrap();
        assert_eq!(script.confirm[0], Fault::DropAfterCommit);
        assert_eq!(script.confirm[1], Fault::Delay { before_ms: 5, after_commit_ms: 0 });
        assert_eq!(script.confirm.len(), 5);
        assert!(script.is_possible());
    }
}
