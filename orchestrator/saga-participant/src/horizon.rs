//! How far the operation log may be forgotten, and what is too old to be answered (F33).
//!
//! Engines tell a horizon for their log: no saga of it that began before that is open, nor in a
//! backup that may still be restored. Rows behind it are pruned ([`crate::prune`]); what is asked
//! of an operation behind it that has no row cannot be told from what never was, so it is answered
//! OP_TOO_OLD: never as applied, absent or refused.
//!
//! A horizon is durable before anything behind it is pruned, and is read after an operation has
//! claimed its row. So who claims the row of an operation that was pruned meanwhile sees why it
//! was free.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::{
    database::{Arg, Tx},
    error::OperationError,
    operation::OperationMeta,
    participant::now_ms,
};

/// When the saga of an operation began, as far as a call says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Began {
    /// By the clock of the log, or of whoever made the id.
    At { log_id: Option<Uuid>, at_ms: i64 },
    /// An engine of before says no times. Its open sagas hold the horizon back all the same.
    NotSaid,
    /// Nobody knows.
    Unknown,
}

impl Began {
    /// Of operation `op_id`, of which `op` speaks: itself, or the one that it undoes.
    pub(crate) fn of(op_id: Uuid, op: &OperationMeta) -> Self {
        match (op.log_id, op.saga_started_at_ms) {
            (log_id, Some(at_ms)) => Self::At { log_id, at_ms },
            (Some(_), None) => Self::NotSaid,
            (None, None) => {
                made_at_ms(op_id).map_or(Self::Unknown, |at_ms| Self::At { log_id: None, at_ms })
            }
        }
    }
}

/// When a version-7 id was made.
fn made_at_ms(id: Uuid) -> Option<i64> {
    let (seconds, nanos) = id.get_timestamp().filter(|_| id.get_version_num() == 7)?.to_unix();
    i64::try_from(seconds).ok()?.checked_mul(1_000)?.checked_add(i64::from(nanos / 1_000_000))
}

/// What is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Horizons {
    of_logs: BTreeMap<Uuid, i64>,
    /// The newest operation that was pruned, by this service's clock. None was: `None`.
    pruned_at_ms: Option<i64>,
}

impl Horizons {
    pub(crate) async fn read(tx: &mut Tx) -> Result<Self, sqlx::Error> {
        let rows = tx
            .rows(
                "/* read_horizons */
                select log_id, horizon_at_ms from op_horizon
                union all select null, at_ms from op_pruned",
                &[],
            )
            .await?;
        let mut horizons = Self::default();
        for row in rows {
            match (row.optional_uuid(0)?, row.int(1)?) {
                (Some(log_id), at_ms) => drop(horizons.of_logs.insert(log_id, at_ms)),
                (None, at_ms) => horizons.pruned_at_ms = Some(at_ms),
            }
        }
        Ok(horizons)
    }

    /// Whether what became of such an operation may have been pruned.
    pub(crate) fn hide(&self, began: Began) -> bool {
        match began {
            Began::At { log_id: Some(log_id), at_ms } => {
                self.of_logs.get(&log_id).is_some_and(|it| at_ms < *it)
            }
            Began::At { log_id: None, at_ms } => {
                self.of_logs.values().any(|it| at_ms < *it)
                    || self.pruned_at_ms.is_some_and(|it| at_ms <= it)
            }
            Began::NotSaid => false,
            Began::Unknown => self.pruned_at_ms.is_some(),
        }
    }

    /// # Errors
    ///
    /// [`OperationError::TooOld`]. The transaction must be rolled back.
    pub(crate) fn check(&self, op_id: Uuid, op: &OperationMeta) -> Result<(), OperationError> {
        if self.hide(Began::of(op_id, op)) {
            return Err(OperationError::TooOld { op_id });
        }
        Ok(())
    }
}

/// Refuses to decide an operation that has no row and may have had one. Called behind the claim
/// of its row.
pub(crate) async fn check(
    tx: &mut Tx,
    op_id: Uuid,
    op: &OperationMeta,
) -> Result<(), OperationError> {
    Horizons::read(tx).await?.check(op_id, op)
}

/// Raises the horizon of a log; returns where it is.
///
/// # Errors
///
/// [`OperationError::Invalid`]: HORIZON_AHEAD. A clock that is wrong must not have everything
/// forgotten, and nothing could take that back.
pub(crate) async fn raise(tx: &mut Tx, log_id: Uuid, at_ms: u64) -> Result<i64, OperationError> {
    let now_ms = now_ms();
    let horizon = i64::try_from(at_ms).ok().filter(|it| (1..=now_ms).contains(it));
    let Some(horizon_at_ms) = horizon else {
        return Err(OperationError::Invalid {
            reason: crate::error::reason::HORIZON_AHEAD,
            field: "horizon_at_ms".to_owned(),
            value: at_ms.to_string(),
            remedy: format!("from 1 to {now_ms}, which is now"),
        });
    };
    tx.execute(
        "/* raise_horizon */
        insert into op_horizon (log_id, horizon_at_ms) values ($1, $2)
        on conflict (log_id) do update set horizon_at_ms = excluded.horizon_at_ms
        where op_horizon.horizon_at_ms < excluded.horizon_at_ms",
        &[Arg::Uuid(log_id), Arg::Int(horizon_at_ms)],
    )
    .await?;
    let sql = "/* horizon */ select horizon_at_ms from op_horizon where log_id = $1";
    let row = tx.row(sql, &[Arg::Uuid(log_id)]).await?;
    Ok(row.ok_or(sqlx::Error::RowNotFound)?.int(0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);

    fn op(log_id: Option<Uuid>, saga_started_at_ms: Option<i64>) -> OperationMeta {
        OperationMeta { log_id, saga_started_at_ms, ..OperationMeta::of(Uuid::nil(), 0) }
    }

    #[test]
    fn what_may_have_been_pruned_is_too_old() {
        let (v4, v5) = (Uuid::from_u128(4 << 76), Uuid::from_u128(5 << 76));
        let v7 = |seconds| Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, 0));
        let of_logs = BTreeMap::from([(LOG, 5_000)]);
        let horizons = Horizons { of_logs: of_logs.clone(), pruned_at_ms: Some(5_500) };
        for (log_id, started, op_id, is_hidden) in [
            (Some(LOG), Some(4_999), v5, true),
            (Some(LOG), Some(5_000), v5, false),
            (Some(OTHER), Some(1), v5, false),
            (None, Some(4_999), v5, true),
            (None, Some(5_500), v5, true),
            (None, Some(5_501), v5, false),
            // What a call says of its saga counts, and not how its ids are made.
            (Some(LOG), Some(5_000), v7(1), false),
            (Some(LOG), None, v5, false),
            (None, None, v7(4), true),
            (None, None, v7(5), true),
            (None, None, v7(6), false),
            (None, None, v4, true),
            (None, None, v5, true),
        ] {
            let began = Began::of(op_id, &op(log_id, started));
            assert_eq!(horizons.hide(began), is_hidden, "{log_id:?} {started:?} {op_id}");
        }
        let nothing_yet = Horizons { of_logs, pruned_at_ms: None };
        assert!(!nothing_yet.hide(Began::Unknown), "nothing was pruned");
        assert!(!Horizons::default().hide(Began::At { log_id: Some(LOG), at_ms: 1 }));
    }
}
