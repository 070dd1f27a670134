//! What people have decided about participants, on the queries that both databases share.

/// The keys let one of two through; only the next version follows.
pub(crate) const ACT: &str = "/* act_on_participant */
    insert into participant_act
        (participant, version, request_id, is_paused, in_flight_max, actor, reason, at_ms)
    select $1, $2, $3, $4, $5, $6, $7, $8
    where $2 = 1 + coalesce(
        (select max(version) from participant_act where participant = $1), 0
    )
    on conflict do nothing";

pub(crate) const ACTS: &str = "/* participant_acts */
    select participant, version, request_id, is_paused, in_flight_max, actor, reason, at_ms
    from participant_act
    where participant = $1
    order by version desc
    limit $2";

pub(crate) const NEWEST: &str = "/* newest_participant_acts */
    select participant, version, request_id, is_paused, in_flight_max, actor, reason, at_ms
    from participant_act
    where version = (select max(version) from participant_act as other
        where other.participant = participant_act.participant)";

/// Writes the functions of a store of [`sql_store`](super::sql_store) that are about acts on
/// participants.
macro_rules! sql_acts {
    ($Store:ty) => {
        impl $Store {
            async fn record_act(&self, act: ParticipantAct) -> Result<bool, StoreError> {
                let operation = "act_on_participant";
                plan::check_participant_act(&act).map_err(|fault| fault.rejected(operation))?;
                self.edit(operation, move |connection| {
                    async move {
                        let recorded = sqlx::query($crate::sql::acts::ACT)
                            .bind(act.participant)
                            .bind(to_i64(act.version))
                            .bind(act.request_id)
                            .bind(act.is_paused)
                            .bind(act.in_flight_max.map(i64::from))
                            .bind(act.actor)
                            .bind(act.reason)
                            .bind(to_i64(act.at_ms))
                            .execute(connection)
                            .await?;
                        Ok(recorded.rows_affected() == 1)
                    }
                    .boxed()
                })
                .await
            }

            async fn acts_on(
                &self,
                participant: &str,
                rows_max: u32,
            ) -> Result<Vec<ParticipantAct>, StoreError> {
                if participant.contains('\0') {
                    return Ok(Vec::new());
                }
                let participant = participant.to_owned();
                let records: Vec<ParticipantActRecord> = self
                    .read("participant_acts", move |connection| {
                        sqlx::query_as($crate::sql::acts::ACTS)
                            .bind(participant)
                            .bind(i64::from(rows_max))
                            .fetch_all(connection)
                            .boxed()
                    })
                    .await?;
                records.into_iter().map(|record| record.row("participant_acts")).collect()
            }

            async fn newest_acts(&self) -> Result<Vec<ParticipantAct>, StoreError> {
                let operation = "newest_participant_acts";
                let records: Vec<ParticipantActRecord> = self
                    .read(operation, |connection| {
                        sqlx::query_as($crate::sql::acts::NEWEST).fetch_all(connection).boxed()
                    })
                    .await?;
                let acts = records.into_iter().map(|record| record.row(operation));
                let mut acts: Vec<ParticipantAct> = acts.collect::<Result<_, _>>()?;
                acts.sort_by(|a, b| a.participant.cmp(&b.participant));
                Ok(acts)
            }
        }
    };
}
pub(crate) use sql_acts;
