//! Faults that the simulator makes on demand: which, for whom, and how many of them
//! really happened.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::{SqliteConnection, SqliteExecutor};

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
}

impl Operation {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Cancel => "cancel",
            Self::LookUp => "look_up",
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
            Self::Decline { .. } => operation != Operation::LookUp,
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
}

impl FaultScript {
    pub(super) fn is_possible(&self) -> bool {
        self.entries().all(|(operation, fault)| fault.is_possible(operation))
    }

    fn entries(&self) -> impl Iterator<Item = (Operation, &Fault)> {
        let confirm = self.confirm.iter().map(|it| (Operation::Confirm, it));
        let cancel = self.cancel.iter().map(|it| (Operation::Cancel, it));
        let look_up = self.look_up.iter().map(|it| (Operation::LookUp, it));
        confirm.chain(cancel).chain(look_up)
    }
}

/// Random faults. Each number says how many of a thousand payments meet that fault.
///
/// What a payment meets depends on the seed and on its key only, so that a run can be
/// repeated. A decline hits confirms; the others hit confirms and cancels, and at most
/// one of them hits a payment's confirm and at most one its cancel. Where the connection
/// of a confirm is cut, that of the first look-up is cut as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultMix {
    /// Chooses who is hit.
    pub seed: u64,
    /// The card is refused.
    pub declined_permille: u16,
    /// The connection is cut before anything happened.
    pub dropped_before_commit_permille: u16,
    /// The connection is cut after it happened.
    pub dropped_after_commit_permille: u16,
    /// 503 before anything happened.
    pub unavailable_permille: u16,
    /// 500 after it happened.
    pub error_after_commit_permille: u16,
    /// 409 instead of an execution.
    pub conflict_permille: u16,
    /// The reply is slow.
    pub slow_permille: u16,
    /// How slow, before the commit.
    pub slow_ms: u64,
}

impl FaultMix {
    /// Some of everything that a good week has.
    pub fn light(seed: u64) -> Self {
        Self {
            seed,
            declined_permille: 30,
            dropped_before_commit_permille: 5,
            dropped_after_commit_permille: 20,
            unavailable_permille: 20,
            error_after_commit_permille: 5,
            conflict_permille: 5,
            slow_permille: 20,
            slow_ms: 150,
        }
    }

    /// A bad day.
    pub fn heavy(seed: u64) -> Self {
        Self {
            seed,
            declined_permille: 80,
            dropped_before_commit_permille: 40,
            dropped_after_commit_permille: 100,
            unavailable_permille: 100,
            error_after_commit_permille: 40,
            conflict_permille: 40,
            slow_permille: 60,
            slow_ms: 400,
        }
    }

    /// What the payment `payment_key` meets.
    pub fn script(&self, payment_key: &str) -> FaultScript {
        let mut confirm = Vec::from_iter(self.trouble(Operation::Confirm, payment_key));
        if self.draw("decline", payment_key) < self.declined_permille {
            confirm.push(Fault::Decline { code: "REJECT_CARD_PAYMENT".to_owned() });
        }
        let cancel = Vec::from_iter(self.trouble(Operation::Cancel, payment_key));
        // A network that loses a reply is not back for the very next request.
        let look_up = match confirm.first() {
            Some(Fault::DropBeforeCommit | Fault::DropAfterCommit) => vec![Fault::DropBeforeCommit],
            _ => Vec::new(),
        };
        FaultScript { confirm, cancel, look_up }
    }

    fn trouble(&self, operation: Operation, payment_key: &str) -> Option<Fault> {
        let slow = Fault::Delay { before_ms: self.slow_ms, after_commit_ms: 0 };
        let shares = [
            (self.dropped_before_commit_permille, Fault::DropBeforeCommit),
            (self.dropped_after_commit_permille, Fault::DropAfterCommit),
            (self.unavailable_permille, Fault::ErrorBefore { status: 503 }),
            (self.error_after_commit_permille, Fault::ErrorAfter { status: 500 }),
            (self.conflict_permille, Fault::Conflict409),
            (self.slow_permille, slow),
        ];
        let mut drawn = self.draw(operation.as_str(), payment_key);
        for (permille, fault) in shares {
            if drawn < permille {
                return Some(fault);
            }
            drawn -= permille;
        }
        None
    }

    /// A number from 0 to 999.
    fn draw(&self, purpose: &str, payment_key: &str) -> u16 {
        let mut hash = Sha256::new();
        hash.update(self.seed.to_be_bytes());
        hash.update(purpose.as_bytes());
        hash.update([0]);
        hash.update(payment_key.as_bytes());
        let digest = hash.finalize();
        let number = digest.iter().take(7).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        u16::try_from(number % 1000).expect("a number below 1000 fits")
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
    fn a_mix_hits_the_share_it_names_and_the_same_payments_each_time() {
        let mix = FaultMix::heavy(7);
        let scripts: Vec<_> = (0..10_000).map(|it| mix.script(&format!("pay-{it}"))).collect();

        let hit = |wanted: &str| {
            let hits = scripts.iter().filter(|it| it.confirm.iter().any(|it| it.kind() == wanted));
            hits.count()
        };
        assert!((650..950).contains(&hit("decline")), "{}", hit("decline"));
        assert!((850..1150).contains(&hit("drop_after_commit")), "{}", hit("drop_after_commit"));
        assert!((850..1150).contains(&hit("error_before")), "{}", hit("error_before"));

        let again: Vec<_> = (0..10_000).map(|it| mix.script(&format!("pay-{it}"))).collect();
        assert_eq!(scripts, again);
        assert_ne!(
            scripts[..100],
            Vec::from_iter((0..100).map(|it| { FaultMix::heavy(8).script(&format!("pay-{it}")) }))
        );
    }

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
