//! How far back the operation log goes, and what is answered about what it no longer tells.
//!
//! Orchestrators tell up to when they need what is recorded here, and rows that began before
//! may go (see [`crate::prune`]). From then on a row that is missing says nothing: whatever
//! began before the horizon is answered OP_TOO_OLD, never as new, absent or refused. When an
//! operation began is told by its saga, or by an id that is a UUID of version 7. Of an id that
//! is derived and comes with neither nobody can say it, and where its row is missing and rows
//! were deleted, it is too old as well.
//!
//! No clock of this participant decides it: a row keeps the start that came with it, and the
//! horizon is where a repeat of what was deleted, which comes with the same start, is behind it.

use saga_proto::saga::participant::v1::AdvanceHorizonResponse;
use tonic::metadata::MetadataMap;
use uuid::Uuid;

use crate::{
    database::{Arg, Tx},
    error::{OperationError, reason},
    operation::{OperationMeta, SAGA_ID_KEY, STARTED_KEY},
    participant::{Participant, now_ms},
};

/// Operations of sagas that began before it may be missing from the log. 0: none is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Horizon(pub(crate) i64);

impl Horizon {
    /// Whether what began then is not answered any more, although its row may still be there.
    pub(crate) fn passed(self, started_at_ms: Option<i64>) -> bool {
        started_at_ms.is_some_and(|at_ms| at_ms < self.0)
    }

    /// Lets an operation pass whose row was not there.
    ///
    /// # Errors
    ///
    /// [`OperationError::TooOld`]: its row may have been deleted.
    pub(crate) fn admit(
        self,
        op_id: Uuid,
        started_at_ms: Option<i64>,
    ) -> Result<(), OperationError> {
        let is_missing_for_sure = match started_at_ms {
            Some(at_ms) => self.0 <= at_ms,
            None => self.0 == 0,
        };
        if is_missing_for_sure { Ok(()) } else { Err(OperationError::TooOld { op_id }) }
    }
}

impl OperationMeta {
    /// When the operation `op_id` of this call's saga began, as far as it is known: no later
    /// than the saga, and no later than the id says.
    pub(crate) fn start_of(&self, op_id: Uuid) -> Option<i64> {
        self.started_at_ms.into_iter().chain(time_of(op_id)).min()
    }

    /// When this operation began, as far as it is known.
    pub(crate) fn start(&self) -> Option<i64> {
        self.start_of(self.op_id)
    }
}

/// When the saga of a call or an inquiry began.
///
/// # Errors
///
/// [`OperationError::Invalid`]: it is no time.
pub(crate) fn saga_start(metadata: &MetadataMap) -> Result<Option<i64>, OperationError> {
    let value = |key: &str| metadata.get(key).and_then(|it| it.to_str().ok());
    let Some(told) = value(STARTED_KEY) else {
        return Ok(value(SAGA_ID_KEY).and_then(time_of_saga));
    };
    match told.parse().ok().filter(|at_ms| 0 < *at_ms) {
        Some(at_ms) => Ok(Some(at_ms)),
        None => {
            let remedy = "milliseconds since the Unix epoch";
            Err(OperationError::invalid(format!("metadata {STARTED_KEY}"), told, remedy))
        }
    }
}

/// When a saga with this id began, where the id tells.
pub(crate) fn time_of_saga(saga_id: &str) -> Option<i64> {
    Uuid::try_parse(saga_id).ok().and_then(time_of)
}

/// When a UUID of version 7 was made, in milliseconds since the Unix epoch.
pub(crate) fn time_of(id: Uuid) -> Option<i64> {
    (id.get_version_num() == 7).then(|| i64::try_from(id.as_u128() >> 80).unwrap_or(i64::MAX))
}

/// Up to when no log of sagas needs what is recorded here, as they have told. A log that was
/// heard of and has told nothing needs everything.
pub(crate) async fn told(tx: &mut Tx) -> Result<Horizon, sqlx::Error> {
    let row = tx
        .row(
            "/* horizon_told */
            select coalesce(min(at_ms), 0) from (
                select coalesce((
                    select at_ms from log_horizon where log_horizon.log_id = log_mark.log_id
                ), 0) as at_ms
                from log_mark
                union all
                select at_ms from log_horizon
            ) as told",
            &[],
        )
        .await?;
    row.map_or(Ok(0), |row| row.int(0)).map(Horizon)
}

/// Moves the horizon up, never back.
pub(crate) async fn raise(tx: &mut Tx, to: Horizon) -> Result<(), sqlx::Error> {
    let sql = "/* raise_horizon */ update op_log_horizon set before_ms = $1 where before_ms < $1";
    tx.execute(sql, &[Arg::Int(to.0)]).await.map(drop)
}

/// How far the horizon stays behind this participant's clock at least, in milliseconds. Whoever
/// says that nothing of the last hour is needed is wrong.
const BEHIND_MIN_MS: i64 = 3_600_000;

impl<S: Send + Sync + 'static> Participant<S> {
    /// Keeps up to when the log `log_id` needs what is recorded here, and begins to delete what
    /// no log needs.
    ///
    /// # Errors
    ///
    /// [`OperationError::Invalid`]: it is in the last hour or ahead. Those of the database;
    /// tell it again.
    pub(crate) async fn advance_horizon(
        &self,
        log_id: Uuid,
        at_ms: u64,
    ) -> Result<AdvanceHorizonResponse, OperationError> {
        let latest_ms = now_ms().saturating_sub(BEHIND_MIN_MS);
        let at_ms = i64::try_from(at_ms).unwrap_or(i64::MAX);
        if at_ms <= 0 || latest_ms < at_ms {
            return Err(OperationError::Invalid {
                reason: reason::HORIZON_INVALID,
                field: "at_ms".to_owned(),
                value: at_ms.to_string(),
                remedy: "a time that is more than an hour ago".to_owned(),
            });
        }
        let work = move |mut tx: Tx| async move {
            let row = tx
                .row(
                    "/* advance_horizon */
                    insert into log_horizon (log_id, at_ms) values ($1, $2)
                    on conflict (log_id) do update
                        set at_ms = case
                            when log_horizon.at_ms < excluded.at_ms then excluded.at_ms
                            else log_horizon.at_ms end
                    returning at_ms",
                    &[Arg::Uuid(log_id), Arg::Int(at_ms)],
                )
                .await?;
            let kept_ms = row.map_or(Ok(0), |row| row.int(0))?.unsigned_abs();
            let horizon = "/* horizon */ select before_ms from op_log_horizon";
            let row = tx.row(horizon, &[]).await?;
            let pruned_before_ms = row.map_or(Ok(0), |row| row.int(0))?.unsigned_abs();
            tx.commit().await?;
            Ok(AdvanceHorizonResponse { at_ms: kept_ms, pruned_before_ms })
        };
        let told = self.shared.database.write(work).await?;
        self.prune_behind();
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_begins_no_later_than_its_saga_and_its_id_say() {
        let at = |ms: u128| Uuid::from_u128(ms << 80 | 0x7 << 76 | 0x8 << 60);
        let op = |op_id, started_at_ms| OperationMeta {
            op_id,
            saga_id: None,
            started_at_ms,
            step: None,
            direction: None,
            attempt: None,
            at_ms: 9,
            asked_before: false,
        };
        let derived = Uuid::new_v5(&Uuid::nil(), b"an operation");
        for (op_id, saga, expected) in [
            (derived, None, None),
            (derived, Some(5), Some(5)),
            (at(7), None, Some(7)),
            (at(7), Some(5), Some(5)),
            (at(4), Some(5), Some(4)),
        ] {
            assert_eq!(op(op_id, saga).start(), expected);
        }
    }

    #[test]
    fn what_is_missing_and_what_is_there_differ_where_nobody_tells_the_start() {
        let is_admitted = |horizon: i64, start| Horizon(horizon).admit(Uuid::nil(), start).is_ok();
        for (horizon, start, passed, admitted) in [
            (0, None, false, true),
            (0, Some(1), false, true),
            (10, None, false, false),
            (10, Some(9), true, false),
            (10, Some(10), false, true),
        ] {
            assert_eq!(Horizon(horizon).passed(start), passed, "{horizon} {start:?}");
            assert_eq!(is_admitted(horizon, start), admitted, "{horizon} {start:?}");
        }
    }
}
