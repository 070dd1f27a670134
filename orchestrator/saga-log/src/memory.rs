//! A log in memory, for tests and for trying things out. It keeps the whole contract but
//! one word: nothing in it is durable.

mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use saga_core::{NodeId, SagaId};
use tables::Tables;

use crate::plan::{self, Plan};
use crate::rows::grouped;
use crate::store::{
    AgeRow, Append, CLOCKS_APART_MS, CauseGroup, CauseRow, ClaimQuery, Count, DefinitionRow,
    EpochRow, Held, HeldQuery, ListPage, ListQuery, LogIdentity, LogRow, NodeRow, ParticipantAct,
    SagaRow, Standing, Store, StoreError, Written,
};

/// A log that lives as long as its last handle. Clones are handles on the same log.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    tables: Arc<Mutex<Tables>>,
}

impl MemoryStore {
    /// Sets the mark, also back: what a restore of an older copy would do.
    pub fn set_mark(&self, mark_at_ms: u64) {
        self.tables().mark_at_ms = mark_at_ms;
    }

    /// A panic of another holder leaves the tables whole: no code between two changes of
    /// one append can panic.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn kind(&self) -> &'static str {
        "memory"
    }

    async fn write(&self, batch: &[Append]) -> Result<Vec<Written>, StoreError> {
        let mut plan = Plan::of(batch)?;
        let mut tables = self.tables();
        while let Some(wave) = plan.next_wave() {
            plan.answer(wave.into_iter().map(|append| tables.write(append)).collect());
        }
        Ok(plan.into_answers())
    }

    async fn load(
        &self,
        saga: SagaId,
        after_version: u64,
        rows_max: u32,
    ) -> Result<Vec<LogRow>, StoreError> {
        let tables = self.tables();
        let rows = tables.logs.get(&saga).into_iter().flatten();
        let behind = rows.filter(|row| row.version > after_version);
        Ok(behind.take(rows_max as usize).cloned().collect())
    }

    async fn saga(&self, saga: SagaId) -> Result<Option<SagaRow>, StoreError> {
        Ok(self.tables().sagas.get(&saga).cloned())
    }

    async fn saga_by_key(
        &self,
        namespace: &str,
        business_key: &str,
    ) -> Result<Option<SagaRow>, StoreError> {
        let tables = self.tables();
        let saga = tables.keys.get(&(namespace.to_owned(), business_key.to_owned()));
        Ok(saga.map(|saga| tables.sagas[saga].clone()))
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        let tables = self.tables();
        let rows = tables.meant(query).take(query.rows_max as usize).cloned().collect();
        Ok(ListPage::of(rows, query.rows_max, None))
    }

    async fn count(&self, query: &ListQuery) -> Result<Count, StoreError> {
        Ok(Count { sagas: self.tables().meant(query).count() as u64, next: None })
    }

    async fn cause_groups(&self, query: &HeldQuery) -> Result<Vec<CauseGroup>, StoreError> {
        let tables = self.tables();
        let is_held = |standing: &Standing| match query.held {
            Held::Stuck => standing.stuck.is_some(),
            Held::Waiting => standing.stuck.is_none() && standing.cause.is_some(),
        };
        let is_meant = |row: &SagaRow| query.filter.holds(row, &tables.labels[&row.saga]);
        let rows: Vec<&SagaRow> =
            tables.live().filter(|row| is_held(&row.standing) && is_meant(row)).collect();
        let place = |row: &SagaRow| {
            let stuck = row.standing.stuck.as_ref();
            let stuck = stuck.map(|stuck| (stuck.reason.clone(), stuck.step.clone()));
            (row.standing.cause.as_ref().map(CauseRow::key), row.definition.clone(), stuck)
        };
        let mut places: BTreeMap<_, (u64, Option<u64>)> = BTreeMap::new();
        for row in &rows {
            let (sagas, wake_at_ms) = places.entry(place(row)).or_default();
            *sagas += 1;
            let wakes = row.standing.wake_at_ms.filter(|_| row.standing.owner.is_none());
            *wake_at_ms = (*wake_at_ms).into_iter().chain(wakes).min();
        }
        let held = rows.into_iter().map(|row| {
            let (sagas, wake_at_ms) = places[&place(row)];
            (row.clone(), sagas, wake_at_ms)
        });
        Ok(grouped(held.collect(), query.examples_max))
    }

    async fn claimable(&self, query: &ClaimQuery<'_>) -> Result<Vec<SagaId>, StoreError> {
        let tables = self.tables();
        let mut due: Vec<(Option<u64>, SagaId)> = tables
            .live()
            .filter(|row| match (row.standing.owner, query.due_ms) {
                (Some(owner), _) => query.dead.contains(&owner),
                (None, None) => false,
                (None, Some(due_ms)) => row.standing.wake_at_ms.is_some_and(|at_ms| {
                    let ahead_ms = due_ms.saturating_add(CLOCKS_APART_MS);
                    at_ms <= due_ms || tables.written_at_ms(row.saga) > ahead_ms
                }),
            })
            .map(|row| (row.standing.wake_at_ms, row.saga))
            .collect();
        due.sort_unstable();
        Ok(due.into_iter().take(query.sagas_max as usize).map(|(_, saga)| saga).collect())
    }

    async fn held(&self, waiting_on: &str, sagas_max: u32) -> Result<Vec<SagaId>, StoreError> {
        let tables = self.tables();
        let mut held: Vec<(u8, u64, SagaId)> = tables
            .live()
            .filter(|row| row.standing.owner.is_none())
            .filter(|row| row.standing.waiting_on.as_deref() == Some(waiting_on))
            .filter_map(|row| Some((row.standing.rank?, row.started_at_ms, row.saga)))
            .collect();
        held.sort_unstable();
        Ok(held.into_iter().take(sagas_max as usize).map(|(_, _, saga)| saga).collect())
    }

    async fn oldest_open_ms(&self) -> Result<Option<u64>, StoreError> {
        Ok(self.tables().live().map(|row| row.started_at_ms).min())
    }

    async fn ages(&self, after: Option<SagaId>, rows_max: u32) -> Result<Vec<AgeRow>, StoreError> {
        let tables = self.tables();
        let behind = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let rows = tables.sagas.range(behind).take(rows_max as usize);
        let rows = rows.map(|(saga, row)| AgeRow {
            saga: *saga,
            started_at_ms: row.started_at_ms,
            ended_at_ms: row.standing.ended_at_ms,
        });
        Ok(rows.collect())
    }

    async fn next_wake_at_ms(&self) -> Result<Option<u64>, StoreError> {
        let tables = self.tables();
        let unowned = tables.live().filter(|row| row.standing.owner.is_none());
        Ok(unowned.filter_map(|row| row.standing.wake_at_ms).min())
    }

    async fn register_node(&self, node: NodeId, _now_ms: u64) -> Result<(), StoreError> {
        self.tables().nodes.entry(node).or_insert(0);
        Ok(())
    }

    async fn beat(&self, node: NodeId, _now_ms: u64) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        let Some(beats) = tables.nodes.get_mut(&node) else {
            return Ok(false);
        };
        *beats += 1;
        Ok(true)
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        let tables = self.tables();
        let owners: BTreeSet<NodeId> = tables.live().filter_map(|row| row.standing.owner).collect();
        let unknown = owners.into_iter().filter(|node| !tables.nodes.contains_key(node));
        let mut nodes: Vec<NodeRow> = tables
            .nodes
            .iter()
            .map(|(&node, &beats)| NodeRow { node, beats: Some(beats) })
            .chain(unknown.map(|node| NodeRow { node, beats: None }))
            .collect();
        nodes.sort_by_key(|row| row.node);
        Ok(nodes)
    }

    async fn forget_node(&self, node: NodeId) -> Result<(), StoreError> {
        self.tables().nodes.remove(&node);
        Ok(())
    }

    async fn identity(&self) -> Result<LogIdentity, StoreError> {
        let tables = self.tables();
        let present = tables.epochs.last();
        Ok(LogIdentity {
            log_id: tables.log_id,
            epoch: present.map_or(0, |row| row.epoch),
            began_at_ms: present.map_or(0, |row| row.began_at_ms),
            behind_ms: present.map_or(0, |row| row.behind_ms),
            mark_at_ms: tables.mark_at_ms,
        })
    }

    async fn mark(&self, now_ms: u64) -> Result<(), StoreError> {
        let mut tables = self.tables();
        tables.mark_at_ms = tables.mark_at_ms.max(now_ms);
        Ok(())
    }

    async fn begin_epoch(&self, after: u64, epoch: &EpochRow) -> Result<bool, StoreError> {
        plan::check_epoch(epoch).map_err(|fault| fault.rejected("begin_epoch"))?;
        let mut tables = self.tables();
        let is_last = tables.epochs.last().is_some_and(|last| last.epoch == after);
        if is_last {
            tables.epochs.push(epoch.clone());
        }
        Ok(is_last)
    }

    async fn epochs(&self) -> Result<Vec<EpochRow>, StoreError> {
        Ok(self.tables().epochs.clone())
    }

    async fn act_on_participant(&self, act: &ParticipantAct) -> Result<bool, StoreError> {
        let operation = "act_on_participant";
        plan::check_participant_act(act).map_err(|fault| fault.rejected(operation))?;
        let mut tables = self.tables();
        let acts = tables.acts.entry(act.participant.clone()).or_default();
        let is_next = act.version == acts.last().map_or(0, |last| last.version) + 1;
        let is_new = acts.iter().all(|it| it.request_id != act.request_id);
        if is_next && is_new {
            acts.push(act.clone());
        }
        Ok(is_next && is_new)
    }

    async fn participant_acts(
        &self,
        participant: &str,
        rows_max: u32,
    ) -> Result<Vec<ParticipantAct>, StoreError> {
        let tables = self.tables();
        let acts = tables.acts.get(participant).into_iter().flatten().rev();
        Ok(acts.take(rows_max as usize).cloned().collect())
    }

    async fn newest_participant_acts(&self) -> Result<Vec<ParticipantAct>, StoreError> {
        Ok(self.tables().acts.values().filter_map(|acts| acts.last()).cloned().collect())
    }

    async fn put_definition(&self, row: &DefinitionRow) -> Result<DefinitionRow, StoreError> {
        plan::check_definition(row).map_err(|fault| fault.rejected("put_definition"))?;
        let key = (row.name.clone(), row.version);
        let mut tables = self.tables();
        if !tables.definitions.contains_key(&key)
            && let Some(other) = tables.definition_of_request(&row.asked.request_id)
        {
            return Ok(other.clone());
        }
        Ok(tables.definitions.entry(key).or_insert_with(|| row.clone()).clone())
    }

    async fn definition_of_request(
        &self,
        request_id: &str,
    ) -> Result<Option<DefinitionRow>, StoreError> {
        Ok(self.tables().definition_of_request(request_id).cloned())
    }

    async fn definition(
        &self,
        name: &str,
        version: u32,
    ) -> Result<Option<DefinitionRow>, StoreError> {
        let tables = self.tables();
        let first = (name.to_owned(), version);
        let last = (name.to_owned(), if version == 0 { u32::MAX } else { version });
        Ok(tables.definitions.range(first..=last).next_back().map(|(_, row)| row.clone()))
    }

    async fn definitions(&self) -> Result<Vec<DefinitionRow>, StoreError> {
        let tables = self.tables();
        let newest: BTreeMap<&str, &DefinitionRow> =
            tables.definitions.values().map(|row| (row.name.as_str(), row)).collect();
        Ok(newest.into_values().cloned().collect())
    }

    async fn retired(&self) -> Result<Vec<(String, u32)>, StoreError> {
        let mut retired: BTreeMap<String, u32> = BTreeMap::new();
        for row in self.tables().definitions.values().filter(|row| 0 < row.retires) {
            let highest = retired.entry(row.name.clone()).or_default();
            *highest = row.retires.max(*highest);
        }
        Ok(retired.into_iter().collect())
    }
}
