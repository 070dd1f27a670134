//! What a log in memory holds.

use std::collections::{BTreeMap, HashMap};

use saga_core::{NodeId, SagaId};
use uuid::Uuid;

use crate::store::{
    Append, DefinitionRow, EpochRow, IndexChange, ListQuery, LogRow, NewSaga, ParticipantAct,
    SagaRow, Written,
};

#[derive(Debug)]
pub(super) struct Tables {
    pub(super) sagas: BTreeMap<SagaId, SagaRow>,
    pub(super) keys: HashMap<(String, String), SagaId>,
    pub(super) labels: HashMap<SagaId, Vec<(String, String)>>,
    pub(super) logs: HashMap<SagaId, Vec<LogRow>>,
    /// Beats by node.
    pub(super) nodes: BTreeMap<NodeId, u64>,
    pub(super) definitions: BTreeMap<(String, u32), DefinitionRow>,
    pub(super) log_id: Uuid,
    pub(super) mark_at_ms: u64,
    pub(super) epochs: Vec<EpochRow>,
    /// By participant, the oldest first.
    pub(super) acts: BTreeMap<String, Vec<ParticipantAct>>,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            sagas: BTreeMap::new(),
            keys: HashMap::new(),
            labels: HashMap::new(),
            logs: HashMap::new(),
            nodes: BTreeMap::new(),
            definitions: BTreeMap::new(),
            log_id: Uuid::now_v7(),
            mark_at_ms: 0,
            epochs: vec![first_epoch()],
            acts: BTreeMap::new(),
        }
    }
}

fn first_epoch() -> EpochRow {
    EpochRow {
        epoch: 1,
        began_at_ms: 0,
        request_id: String::new(),
        actor: "amends".to_owned(),
        reason: "the log was made".to_owned(),
        mark_at_ms: 0,
        behind_ms: 0,
    }
}

impl Tables {
    pub(super) fn write(&mut self, append: &Append) -> Written {
        let there = self.row_at(append.saga, append.version).map(|row| row.append_id);
        let before = append.version.checked_sub(1).and_then(|at| self.row_at(append.saga, at));
        let epoch = self.epochs.last().map_or(0, |row| row.epoch);
        if let Some(known) = append.found(there, before.map(|row| row.append_id), epoch) {
            return known;
        }
        match &append.index {
            IndexChange::Keep => {}
            IndexChange::Set(standing) => {
                if let Some(row) = self.sagas.get_mut(&append.saga) {
                    row.standing = (**standing).clone();
                }
            }
            IndexChange::Create(saga) => {
                let key = (saga.namespace.clone(), saga.business_key.clone());
                if let Some(holder) = self.keys.get(&key) {
                    return Written::KeyInUse(Box::new(self.sagas[holder].clone()));
                }
                self.keys.insert(key, append.saga);
                self.labels.insert(append.saga, saga.labels.clone());
                self.sagas.insert(append.saga, index_row(append.saga, saga));
            }
        }
        self.logs.entry(append.saga).or_default().push(LogRow {
            version: append.version,
            writer: append.writer,
            append_id: append.append_id,
            at_ms: append.at_ms,
            events: append.events.clone(),
        });
        Written::Done
    }

    pub(super) fn written_at_ms(&self, saga: SagaId) -> u64 {
        self.logs.get(&saga).and_then(|rows| rows.last()).map_or(0, |row| row.at_ms)
    }

    pub(super) fn row_at(&self, saga: SagaId, version: u64) -> Option<&LogRow> {
        let at = usize::try_from(version.checked_sub(1)?).ok()?;
        self.logs.get(&saga)?.get(at)
    }

    /// The sagas that a query means, newest first.
    pub(super) fn meant(&self, query: &ListQuery) -> impl Iterator<Item = &SagaRow> {
        let behind = self.sagas.values().rev();
        let behind = behind.filter(|row| query.before.is_none_or(|before| row.saga < before));
        behind.filter(|row| query.filter.holds(row, &self.labels[&row.saga]))
    }

    /// The definition that was stored by a request.
    pub(super) fn definition_of_request(&self, request_id: &str) -> Option<&DefinitionRow> {
        let mut asked = self.definitions.values().filter(|_| !request_id.is_empty());
        asked.find(|row| row.asked.request_id == request_id)
    }

    pub(super) fn live(&self) -> impl Iterator<Item = &SagaRow> {
        self.sagas.values().filter(|row| row.standing.ended_at_ms.is_none())
    }
}

fn index_row(saga: SagaId, new: &NewSaga) -> SagaRow {
    SagaRow {
        saga,
        namespace: new.namespace.clone(),
        business_key: new.business_key.clone(),
        definition: new.definition.clone(),
        definition_version: new.definition_version,
        request_hash: new.request_hash,
        started_at_ms: new.started_at_ms,
        standing: new.standing.clone(),
    }
}
