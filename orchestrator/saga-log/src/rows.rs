//! Rows as PostgreSQL and SQLite give them, and what they mean. A row that means nothing
//! is damage, which is reported and never a panic.

use bytes::Bytes;
use saga_core::{NodeId, SagaId};
use sqlx::FromRow;
use uuid::Uuid;

use crate::store::{
    Asked, CauseGroup, CausePlace, CauseRow, DefinitionRow, EpochRow, LogIdentity, LogRow, NodeRow,
    ParticipantAct, SagaRow, Standing, Status, StoreError, StuckRow,
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
    cause: Option<String>,
    cause_message: Option<String>,
    cause_since_ms: Option<i64>,
    rank: Option<i16>,
}

/// A saga that is held up, with what is known of those that are held up like it at the same
/// step.
#[derive(FromRow)]
pub(crate) struct HeldRecord {
    #[sqlx(flatten)]
    saga: SagaRecord,
    group_sagas: i64,
    group_wake_at_ms: Option<i64>,
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
    retires: i64,
    request_id: String,
    actor: String,
    reason: String,
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
    request_id: String,
}

#[derive(FromRow)]
pub(crate) struct ParticipantActRecord {
    participant: String,
    version: i64,
    request_id: String,
    is_paused: bool,
    in_flight_max: Option<i64>,
    actor: String,
    reason: String,
    at_ms: i64,
}

impl ParticipantActRecord {
    pub(crate) fn row(self, operation: &'static str) -> Result<ParticipantAct, StoreError> {
        let damaged = |_| StoreError::Damaged { operation, what: "participant_act".to_owned() };
        Ok(ParticipantAct {
            participant: self.participant,
            version: u64::try_from(self.version).map_err(damaged)?,
            request_id: self.request_id,
            is_paused: self.is_paused,
            in_flight_max: self.in_flight_max.map(u32::try_from).transpose().map_err(damaged)?,
            actor: self.actor,
            reason: self.reason,
            at_ms: u64::try_from(self.at_ms).map_err(damaged)?,
        })
    }
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
        let since_ms = time("cause_since_ms", self.cause_since_ms)?;
        let cause = match (self.cause, self.cause_message, since_ms) {
            (Some(key), Some(message), Some(since_ms)) => {
                Some(CauseRow::of(&key, message, since_ms).ok_or_else(|| damaged("cause"))?)
            }
            (None, None, None) => None,
            _ => return Err(damaged("cause")),
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
                rank: self.rank.map(u8::try_from).transpose().map_err(|_| damaged("rank"))?,
                owner: self.owner.map(NodeId),
                stuck,
                turned_back: self.turned_back,
                ended_at_ms: time("ended_at_ms", self.ended_at_ms)?,
                cause,
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
            request_id: self.request_id,
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
            retires: u32::try_from(self.retires).map_err(|_| damaged("retires"))?,
            asked: Asked { request_id: self.request_id, actor: self.actor, reason: self.reason },
        })
    }
}

/// The highest version of a name that is retired.
pub(crate) fn retired(
    (name, version): (String, i64),
    operation: &'static str,
) -> Result<(String, u32), StoreError> {
    let Ok(version) = u32::try_from(version) else {
        let what = format!("definition {name}: column retires");
        return Err(StoreError::Damaged { operation, what });
    };
    Ok((name, version))
}

/// Puts together what is held up by the same thing, at whatever step.
pub(crate) fn cause_groups(
    records: Vec<HeldRecord>,
    examples_max: u32,
    operation: &'static str,
) -> Result<Vec<CauseGroup>, StoreError> {
    let mut held = Vec::with_capacity(records.len());
    for record in records {
        let sagas = u64::try_from(record.group_sagas).unwrap_or(0);
        let wake_at_ms = record.group_wake_at_ms.and_then(|it| u64::try_from(it).ok());
        held.push((record.saga.row(operation)?, sagas, wake_at_ms));
    }
    Ok(grouped(held, examples_max))
}

/// Groups of sagas that are held up, the largest first. Each comes with how many there are at
/// its step for its cause, and with when the first of those moves; at least the oldest of each
/// step must be there.
pub(crate) fn grouped(
    mut held: Vec<(SagaRow, u64, Option<u64>)>,
    examples_max: u32,
) -> Vec<CauseGroup> {
    // Here and not in the query: databases order texts in their own ways.
    held.sort_by_key(|(row, ..)| (row.standing.held_since_ms(), row.saga));
    let mut groups: Vec<CauseGroup> = Vec::new();
    for (row, sagas, wake_at_ms) in held {
        let reason = row.standing.stuck.as_ref().map_or("", |stuck| stuck.reason.as_str());
        let step = row.standing.stuck.as_ref().map_or("", |stuck| stuck.step.as_str());
        let key = row.standing.cause.as_ref().map(CauseRow::key).unwrap_or_default();
        let same = |group: &CauseGroup| {
            let theirs = group.examples[0].standing.cause.as_ref().map(CauseRow::key);
            group.reason == reason && theirs.unwrap_or_default() == key
        };
        let known = groups.iter().position(same).unwrap_or(groups.len());
        if known == groups.len() {
            groups.push(CauseGroup {
                reason: reason.to_owned(),
                cause: row.standing.cause.clone().unwrap_or_else(|| unknown(&row)),
                places: Vec::new(),
                sagas: 0,
                since_ms: row.standing.held_since_ms(),
                wake_at_ms: None,
                examples: Vec::new(),
            });
        }
        let group = &mut groups[known];
        let is_new = |it: &CausePlace| (&it.definition, &*it.step) != (&row.definition, step);
        if group.places.iter().all(is_new) {
            let (definition, step) = (row.definition.clone(), step.to_owned());
            group.places.push(CausePlace { definition, step, sagas });
            group.sagas += sagas;
            group.wake_at_ms = group.wake_at_ms.into_iter().chain(wake_at_ms).min();
        }
        group.examples.push(row);
    }
    for group in &mut groups {
        group.examples.truncate(examples_max as usize);
        group.places.sort_by(|a, b| b.sagas.cmp(&a.sagas).then(a.definition.cmp(&b.definition)));
    }
    groups.sort_by(|a, b| {
        let by_name = (&a.reason, a.cause.key()).cmp(&(&b.reason, b.cause.key()));
        b.sagas.cmp(&a.sagas).then(by_name)
    });
    groups
}

/// What can be said of a saga that a program of before has set down.
fn unknown(row: &SagaRow) -> CauseRow {
    let message = row.standing.stuck.as_ref().map(|stuck| stuck.message.clone());
    CauseRow {
        participant: String::new(),
        method: String::new(),
        code: String::new(),
        message: message.unwrap_or_default(),
        since_ms: row.standing.held_since_ms(),
    }
}

/// A number that a log counts up, from 1.
pub(crate) fn from_i64(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A number that [`crate::Append::check`] let pass, or a bound of a query.
pub(crate) fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
