//! When sagas began, ended and are due, on the queries that both databases share.

pub(crate) const NEXT_WAKE: &str = "/* next_wake_at_ms */
    select wake_at_ms from saga
    where owner is null and ended_at_ms is null and wake_at_ms is not null
    order by wake_at_ms
    limit 1";

/// By the status, which has an index. Neither of these has ended.
pub(crate) const OLDEST_OPEN: &str = "/* oldest_open_ms */
    select min(started_at_ms) from saga where status in (1, 2)";

pub(crate) const AGES: &str = "/* ages */
    select saga_id, started_at_ms, ended_at_ms from saga
    where saga_id > $1
    order by saga_id
    limit $2";

/// Writes the functions of a store of [`sql_store`](super::sql_store) that tell times.
macro_rules! sql_times {
    ($Store:ty) => {
        impl $Store {
            async fn read_clock(&self) -> Result<Option<u64>, StoreError> {
                let Some(statement) = Self::CLOCK else {
                    return Ok(None);
                };
                let now_ms: i64 = self
                    .read("clock_ms", move |connection| {
                        sqlx::query_scalar(statement).fetch_one(connection).boxed()
                    })
                    .await?;
                Ok(Some(u64::try_from(now_ms).unwrap_or(0)))
            }

            async fn next_wake(&self) -> Result<Option<u64>, StoreError> {
                let at_ms: Option<i64> = self
                    .read("next_wake_at_ms", |connection| {
                        sqlx::query_scalar($crate::sql::times::NEXT_WAKE)
                            .fetch_optional(connection)
                            .boxed()
                    })
                    .await?;
                Ok(at_ms.and_then(|at_ms| u64::try_from(at_ms).ok()))
            }

            async fn oldest_open(&self) -> Result<Option<u64>, StoreError> {
                let oldest: Option<i64> = self
                    .read("oldest_open_ms", |connection| {
                        sqlx::query_scalar($crate::sql::times::OLDEST_OPEN)
                            .fetch_one(connection)
                            .boxed()
                    })
                    .await?;
                Ok(oldest.map(|at_ms| u64::try_from(at_ms).unwrap_or(0)))
            }

            async fn ages_behind(
                &self,
                after: Option<SagaId>,
                rows_max: u32,
            ) -> Result<Vec<AgeRow>, StoreError> {
                let after = after.map_or(Uuid::nil(), |saga| saga.0);
                let records: Vec<(Uuid, i64, Option<i64>)> = self
                    .read("ages", move |connection| {
                        sqlx::query_as($crate::sql::times::AGES)
                            .bind(after)
                            .bind(i64::from(rows_max))
                            .fetch_all(connection)
                            .boxed()
                    })
                    .await?;
                let at = |ms: i64| u64::try_from(ms).unwrap_or(0);
                let rows = records.into_iter().map(|(saga, started, ended)| AgeRow {
                    saga: SagaId(saga),
                    started_at_ms: at(started),
                    ended_at_ms: ended.map(at),
                });
                Ok(rows.collect())
            }
        }
    };
}
pub(crate) use sql_times;
