//! Rows as PostgreSQL and SQLite give them, and what they mean. A row that means nothing
//! is damage, which is reported and never a panic.

use bytes::Bytes;
use saga_core::{NodeId, SagaId};
use sqlx::FromRow;
use uuid::Uuid;

use crate::store::{
    DefinitionRow, EpochRow, LogIdentity, LogRow, NodeRow, SagaRow, Standing, Status, StoreError,
    StuckGroup, StuckRow,
};

#[derive(FromRow)]
pub(crate) struct SagaRecord {
    saga_id: Uuid,
    namespace: String,
    business_key: String,
    definition: String,
    definition_version: i64,
    request_hash: Vec<u8>,
    started_at_ms: i64,
    status: i16,
    wake_at_ms: Option<i64>,
    waiting_on: Option<String>,
    owner: Option<Uuid>,
    stuck_reason: Option<String>,
    stuck_step: Option<String>,
    stuck_message: Option<String>,
    stuck_since_ms: Option<i64>,
    turned_back: Option<String>,
    ended_at_ms: Option<i64>,
}

/// A stuck saga, with the size of the group of sagas that are stuck like it.
#[derive(FromRow)]
pub(crate) struct StuckRecord {
    #[sqlx(flatten)]
    saga: SagaRecord,
    group_sagas: i64,
}

#[derive(FromRow)]
pub(crate) struct LogRecord {
    version: i64,
    writer: Uuid,
    append_id: Uuid,
    at_ms: i64,
    events: Vec<u8>,
}

#[derive(FromRow)]
pub(crate) struct NodeRecord {
    node_id: Uuid,
    beats: Option<i64>,
}

#[derive(FromRow)]
pub(crate) struct DefinitionRecord {
    name: String,
    version: i64,
    hash: Vec<u8>,
    yaml: String,
    descriptors: Vec<u8>,
    registered_at_ms: i64,
    language_level: i64,
}

#[derive(FromRow)]
pub(crate) struct IdentityRecord {
    log_id: Uuid,
    epoch: i64,
    began_at_ms: i64,
    behind_ms: i64,
    mark_at_ms: i64,
}

#[derive(FromRow)]
pub(crate) struct EpochRecord {
    epoch: i64,
    began_at_ms: i64,
    actor: String,
    reason: String,
    mark_at_ms: i64,
    behind_ms: i64,
}

impl SagaRecord {
    pub(crate) fn row(self, operation: &'static str) -> Result<SagaRow, StoreError> {
        let saga = self.saga_id;
        let damaged = |column: &str| StoreError::Damaged {
            operation,
            what: format!("saga {saga}: column {column}"),
        };
        let time = |column, at: Option<i64>| {
            at.map(u64::try_from).transpose().map_err(|_| damaged(column))
        };
        let since_ms = time("stuck_since_ms", self.stuck_since_ms)?;
        let stuck = match (self.stuck_reason, self.stuck_step, self.stuck_message, since_ms) {
            (Some(reason), Some(step), Some(message), Some(since_ms)) => {
                Some(StuckRow { reason, step, message, since_ms })
            }
            (None, None, None, None) => None,
            _ => return Err(damaged("stuck_reason")),
        };
        Ok(SagaRow {
            saga: SagaId(saga),
            namespace: self.namespace,
            business_key: self.business_key,
            definition: self.definition,
            definition_version: u32::try_from(self.definition_version)
                .map_err(|_| damaged("definition_version"))?,
            request_hash: self.request_hash.try_into().map_err(|_| damaged("request_hash"))?,
            started_at_ms: u64::try_from(self.started_at_ms)
                .map_err(|_| damaged("started_at_ms"))?,
            standing: Standing {
                status: Status::from_stored(self.status).ok_or_else(|| damaged("status"))?,
                wake_at_ms: time("wake_at_ms", self.wake_at_ms)?,
                waiting_on: self.waiting_on,
                owner: self.owner.map(NodeId),
                stuck,
                turned_back: self.turned_back,
                ended_at_ms: time("ended_at_ms", self.ended_at_ms)?,
            },
        })
    }
}

impl LogRecord {
    pub(crate) fn row(self, operation: &'static str) -> Result<LogRow, StoreError> {
        let damaged = |column: &str| StoreError::Damaged {
            operation,
            what: format!("append {}: column {column}", self.append_id),
        };
        Ok(LogRow {
            version: u64::try_from(self.version).map_err(|_| damaged("version"))?,
            writer: NodeId(self.writer),
            append_id: self.append_id,
            at_ms: u64::try_from(self.at_ms).map_err(|_| damaged("at_ms"))?,
            events: Bytes::from(self.events),
        })
    }
}

impl NodeRecord {
    pub(crate) fn row(self, operation: &'static str) -> Result<NodeRow, StoreError> {
        let beats = self.beats.map(u64::try_from).transpose().map_err(|_| StoreError::Damaged {
            operation,
            what: format!("node {}: beats", self.node_id),
        })?;
        Ok(NodeRow { node: NodeId(self.node_id), beats })
    }
}

impl IdentityRecord {
    pub(crate) fn row(self, operation: &'static str) -> Result<LogIdentity, StoreError> {
        let damaged = |_| StoreError::Damaged { operation, what: "log_identity".to_owned() };
        Ok(LogIdentity {
            log_id: self.log_id,
            epoch: u64::try_from(self.epoch).map_err(damaged)?,
            began_at_ms: u64::try_from(self.began_at_ms).map_err(damaged)?,
            behind_ms: u64::try_from(self.behind_ms).map_err(damaged)?,
            mark_at_ms: u64::try_from(self.mark_at_ms).map_err(damaged)?,
        })
    }
}

impl EpochRecord {
    pub(crate) fn row(self, operation: &'static str) -> Result<EpochRow, StoreError> {
        let damaged = |_| StoreError::Damaged { operation, what: "log_epoch".to_owned() };
        Ok(EpochRow {
            epoch: u64::try_from(self.epoch).map_err(damaged)?,
            began_at_ms: u64::try_from(self.began_at_ms).map_err(damaged)?,
            actor: self.actor,
            reason: self.reason,
            mark_at_ms: u64::try_from(self.mark_at_ms).map_err(damaged)?,
            behind_ms: u64::try_from(self.behind_ms).map_err(damaged)?,
        })
    }
}

impl DefinitionRecord {
    pub(crate) fn row(self, operation: &'static str) -> Result<DefinitionRow, StoreError> {
        let name = self.name.clone();
        let damaged = |column: &str| StoreError::Damaged {
            operation,
            what: format!("definition {name}: column {column}"),
        };
        Ok(DefinitionRow {
            name: self.name,
            version: u32::try_from(self.version).map_err(|_| damaged("version"))?,
            hash: self.hash.try_into().map_err(|_| damaged("hash"))?,
            yaml: self.yaml,
            descriptors: Bytes::from(self.descriptors),
            registered_at_ms: u64::try_from(self.registered_at_ms)
                .map_err(|_| damaged("registered_at_ms"))?,
            language_level: u32::try_from(self.language_level)
                .map_err(|_| damaged("language_level"))?,
        })
    }
}

/// Groups of stuck sagas, the largest first. Rows of one group must come together, the
/// oldest first, and at least one of each group.
pub(crate) fn stuck_groups(
    records: Vec<StuckRecord>,
    examples_max: u32,
    operation: &'static str,
) -> Result<Vec<StuckGroup>, StoreError> {
    let mut groups: Vec<StuckGroup> = Vec::new();
    for record in records {
        let sagas = u64::try_from(record.group_sagas).unwrap_or(0);
        let row = record.saga.row(operation)?;
        let Some(stuck) = row.standing.stuck.clone() else {
            continue; // The query asks for stuck ones only.
        };
        let same = |group: &&mut StuckGroup| {
            group.reason == stuck.reason
                && group.definition == row.definition
                && group.step == stuck.step
        };
        match groups.last_mut().filter(same) {
            Some(group) => group.examples.push(row),
            None => groups.push(StuckGroup {
                reason: stuck.reason,
                definition: row.definition.clone(),
                step: stuck.step,
                sagas,
                since_ms: stuck.since_ms,
                examples: vec![row],
            }),
        }
    }
    for group in &mut groups {
        group.examples.truncate(examples_max as usize);
    }
    // Here and not in the query: databases order texts in their own ways.
    groups.sort_by(|a, b| {
        let by_name = (&a.reason, &a.definition, &a.step).cmp(&(&b.reason, &b.definition, &b.step));
        b.sagas.cmp(&a.sagas).then(by_name)
    });
    Ok(groups)
}

/// A number that a log counts up, from 1.
pub(crate) fn from_i64(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A number that [`crate::Append::check`] let pass, or a bound of a query.
pub(crate) fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
