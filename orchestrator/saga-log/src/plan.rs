//! What every store does with a batch before it writes: refuse what no store may hold,
//! and put it into an order in which two nodes cannot wait for each other.

use std::collections::VecDeque;

use uuid::Uuid;

use crate::store::{
    Append, DefinitionRow, EpochRow, IndexChange, ParticipantAct, Standing, StoreError, Written,
};

/// Longest namespace, definition name, step name, reason code and similar, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// Longest request id, in bytes: 200 characters of any script.
pub(crate) const REQUEST_ID_BYTES_MAX: usize = 800;

/// Longest business key, in bytes. PostgreSQL refuses index rows above 2,704 bytes.
pub const BUSINESS_KEY_BYTES_MAX: usize = 1_024;

/// Longest value of a label, in bytes: with its name it is a row of an index as well.
pub const LABEL_BYTES_MAX: usize = 1_024;

/// Why an append can never be written, whatever the database. The same for all stores,
/// so that what passes a test on one of them is not refused by another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("{field} holds a NUL character")]
    Nul { field: &'static str },
    #[error("{field} has {bytes} bytes, {bytes_max} are allowed")]
    TooLong { field: &'static str, bytes: usize, bytes_max: usize },
    #[error("{field} is {number}, which does not fit a signed 64-bit integer")]
    TooLarge { field: &'static str, number: u64 },
    #[error("a saga that has not ended needs a wake-up time or something it waits on")]
    Limbo,
    #[error("version {version}: exactly the append of version 1 makes a saga")]
    NotTheStart { version: u64 },
    #[error("version {version}: every append but the first names the one it builds on")]
    NothingBefore { version: u64 },
    #[error("definition version 0 stands for the newest and cannot be stored")]
    DefinitionVersionZero,
    #[error("language level 0 is none")]
    LanguageLevelZero,
    #[error("a definition retires versions before its own only")]
    RetiresItself,
}

impl Append {
    /// Checks what every store refuses.
    ///
    /// # Errors
    ///
    /// The first [`Fault`] found. Such an append is refused as [`StoreError::Rejected`].
    pub fn check(&self) -> Result<(), Fault> {
        number("version", self.version)?;
        number("at_ms", self.at_ms)?;
        number("log_epoch", self.log_epoch)?;
        let creates = matches!(self.index, IndexChange::Create(_));
        if self.version == 0 || creates != (self.version == 1) {
            return Err(Fault::NotTheStart { version: self.version });
        }
        if self.after.is_none() != creates {
            return Err(Fault::NothingBefore { version: self.version });
        }
        match &self.index {
            IndexChange::Keep => Ok(()),
            IndexChange::Set(standing) => standing.check(),
            IndexChange::Create(saga) => {
                text("namespace", &saga.namespace, NAME_BYTES_MAX)?;
                text("business_key", &saga.business_key, BUSINESS_KEY_BYTES_MAX)?;
                text("definition", &saga.definition, NAME_BYTES_MAX)?;
                number("started_at_ms", saga.started_at_ms)?;
                for (name, value) in &saga.labels {
                    text("label", name, NAME_BYTES_MAX)?;
                    text("label value", value, LABEL_BYTES_MAX)?;
                }
                saga.standing.check()
            }
        }
    }
}

impl Standing {
    fn check(&self) -> Result<(), Fault> {
        if self.ended_at_ms.is_none() && self.wake_at_ms.is_none() && self.waiting_on.is_none() {
            return Err(Fault::Limbo);
        }
        number("wake_at_ms", self.wake_at_ms.unwrap_or(0))?;
        number("ended_at_ms", self.ended_at_ms.unwrap_or(0))?;
        optional_name("waiting_on", self.waiting_on.as_deref())?;
        optional_name("turned_back", self.turned_back.as_deref())?;
        if let Some(stuck) = &self.stuck {
            text("stuck.reason", &stuck.reason, NAME_BYTES_MAX)?;
            text("stuck.step", &stuck.step, NAME_BYTES_MAX)?;
            text("stuck.message", &stuck.message, usize::MAX)?;
            number("stuck.since_ms", stuck.since_ms)?;
        }
        if let Some(cause) = &self.cause {
            text("cause.participant", &cause.participant, NAME_BYTES_MAX)?;
            text("cause.method", &cause.method, usize::MAX)?;
            text("cause.code", &cause.code, usize::MAX)?;
            text("cause.message", &cause.message, usize::MAX)?;
            number("cause.since_ms", cause.since_ms)?;
        }
        Ok(())
    }
}

/// Checks what every store refuses in a definition.
pub(crate) fn check_definition(row: &DefinitionRow) -> Result<(), Fault> {
    text("name", &row.name, NAME_BYTES_MAX)?;
    if row.version == 0 {
        return Err(Fault::DefinitionVersionZero);
    }
    if row.language_level == 0 {
        return Err(Fault::LanguageLevelZero);
    }
    if row.version <= row.retires {
        return Err(Fault::RetiresItself);
    }
    text("yaml", &row.yaml, usize::MAX)?;
    text("request_id", &row.asked.request_id, REQUEST_ID_BYTES_MAX)?;
    text("actor", &row.asked.actor, usize::MAX)?;
    text("reason", &row.asked.reason, usize::MAX)?;
    number("registered_at_ms", row.registered_at_ms)
}

/// Checks what every store refuses in an epoch.
pub(crate) fn check_epoch(row: &EpochRow) -> Result<(), Fault> {
    number("epoch", row.epoch)?;
    number("began_at_ms", row.began_at_ms)?;
    text("request_id", &row.request_id, REQUEST_ID_BYTES_MAX)?;
    text("actor", &row.actor, usize::MAX)?;
    text("reason", &row.reason, usize::MAX)?;
    number("mark_at_ms", row.mark_at_ms)?;
    number("behind_ms", row.behind_ms)
}

/// Checks what every store refuses in an act on a participant.
pub(crate) fn check_participant_act(act: &ParticipantAct) -> Result<(), Fault> {
    text("participant", &act.participant, NAME_BYTES_MAX)?;
    number("version", act.version)?;
    text("request_id", &act.request_id, REQUEST_ID_BYTES_MAX)?;
    text("actor", &act.actor, usize::MAX)?;
    text("reason", &act.reason, usize::MAX)?;
    number("at_ms", act.at_ms)
}

/// PostgreSQL cannot store a NUL in a text, so no store does.
fn text(field: &'static str, text: &str, bytes_max: usize) -> Result<(), Fault> {
    if text.contains('\0') {
        return Err(Fault::Nul { field });
    }
    if text.len() > bytes_max {
        return Err(Fault::TooLong { field, bytes: text.len(), bytes_max });
    }
    Ok(())
}

fn optional_name(field: &'static str, name: Option<&str>) -> Result<(), Fault> {
    name.map_or(Ok(()), |name| text(field, name, NAME_BYTES_MAX))
}

fn number(field: &'static str, number: u64) -> Result<(), Fault> {
    match i64::try_from(number) {
        Ok(_) => Ok(()),
        Err(_) => Err(Fault::TooLarge { field, number }),
    }
}

impl Fault {
    pub(crate) fn rejected(self, operation: &'static str) -> StoreError {
        StoreError::Rejected { operation, source: Box::new(self) }
    }
}

/// A batch on its way into the database, as waves: each holds one append per saga, in the
/// order of the saga ids. One wave is one transaction, and a usual batch is one wave.
#[derive(Debug)]
pub(crate) struct Plan<'b> {
    batch: &'b [Append],
    /// Positions in the batch that have not been in a wave, by saga and version.
    waiting: VecDeque<usize>,
    /// Positions of the wave that is being written.
    wave: Vec<usize>,
    answers: Vec<Written>,
}

impl<'b> Plan<'b> {
    /// # Errors
    ///
    /// [`StoreError::Rejected`] where one append of the batch can never be written.
    pub(crate) fn of(batch: &'b [Append]) -> Result<Self, StoreError> {
        for append in batch {
            append.check().map_err(|fault| fault.rejected("write"))?;
        }
        let mut waiting: Vec<usize> = (0..batch.len()).collect();
        waiting.sort_by_key(|&at| (batch[at].saga, batch[at].version));
        Ok(Self {
            batch,
            waiting: waiting.into(),
            wave: Vec::new(),
            answers: vec![Written::Missing; batch.len()],
        })
    }

    /// The appends to write now, or `None` when all are answered.
    pub(crate) fn next_wave(&mut self) -> Option<Vec<&'b Append>> {
        self.wave.clear();
        let mut later = VecDeque::new();
        for at in self.waiting.drain(..) {
            let saga = self.batch[at].saga;
            let repeats = self.wave.last().is_some_and(|&last| self.batch[last].saga == saga);
            if repeats {
                later.push_back(at);
            } else {
                self.wave.push(at);
            }
        }
        self.waiting = later;
        if self.wave.is_empty() {
            return None;
        }
        Some(self.wave.iter().map(|&at| &self.batch[at]).collect())
    }

    /// Takes what became of the wave, in its order.
    pub(crate) fn answer(&mut self, written: Vec<Written>) {
        assert_eq!(written.len(), self.wave.len(), "a store answers every append of a wave");
        for (&at, written) in self.wave.iter().zip(written) {
            self.answers[at] = written;
        }
    }

    /// What became of each append, in the order of the batch.
    pub(crate) fn into_answers(self) -> Vec<Written> {
        self.answers
    }
}

impl Append {
    /// What has become of this append where the log is in `epoch`, has `there` at its version
    /// and `before` at the one before. `None`: nothing is in its way.
    pub(crate) fn found(
        &self,
        there: Option<Uuid>,
        before: Option<Uuid>,
        epoch: u64,
    ) -> Option<Written> {
        match (there, before) {
            (Some(append_id), _) if append_id == self.append_id => Some(Written::Done),
            (_, None) if self.after.is_some() => Some(Written::Missing),
            (_, before) if before != self.after => Some(Written::Foreign),
            (Some(_), _) => Some(Written::Superseded),
            (None, _) if self.log_epoch != 0 && self.log_epoch < epoch => Some(Written::Missing),
            (None, _) => None,
        }
    }

    /// Whether the index row of the saga is written with it.
    pub(crate) fn changes_index(&self) -> bool {
        !matches!(self.index, IndexChange::Keep)
    }
}
