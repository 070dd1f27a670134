//! The operation log of a participant: at most one effect for each operation, and always
//! the same answer. A model of what the kit promises, without its database.

use std::collections::BTreeMap;

use bytes::Bytes;
use tonic::Code;
use uuid::Uuid;

use super::{
    answer::{Answer, Deny, Refused},
    fault::Defect,
};

/// What is recorded of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// A provider is being asked, and its answer is not known.
    Intended,
    /// It took effect, and was answered so.
    Applied(Vec<u8>),
    /// It was a compensation of something that never happened.
    NothingToUndo,
    /// It was refused.
    Rejected(Refused),
    /// It never happens.
    Fenced,
}

/// A row of the operation log.
#[derive(Clone, Debug)]
pub struct Row {
    /// The method.
    pub method: String,
    /// The request.
    pub body: Bytes,
    /// What became of it.
    pub recorded: Recorded,
}

/// One call as a participant gets it.
#[derive(Clone, Debug)]
pub struct Call {
    /// The operation's id.
    pub op: Uuid,
    /// The method's name.
    pub method: String,
    /// The request.
    pub body: Bytes,
}

/// What a service does behind the barrier.
pub trait Books {
    /// The operation that a call undoes, if it undoes one.
    ///
    /// # Errors
    ///
    /// [`Deny::Invalid`]: the request names no operation.
    fn reverses(&self, method: &str, body: &[u8]) -> Result<Option<Uuid>, Deny>;

    /// Makes the effect, or none at all.
    ///
    /// # Errors
    ///
    /// [`Deny`]: nothing was changed; after [`Deny::Unknown`] a provider may have acted.
    fn apply(&mut self, method: &str, op: Uuid, body: &[u8], defect: Option<Defect>) -> Answer;
}

/// A participant: its books behind its operation log.
#[derive(Debug, Default)]
pub struct Desk<B> {
    /// The operation log.
    pub rows: BTreeMap<Uuid, Row>,
    /// Which operation was undone by which.
    pub reversed: BTreeMap<Uuid, Uuid>,
    /// How often each operation took effect: what the barrier must keep at one.
    pub effects: BTreeMap<Uuid, u32>,
    /// What the service itself keeps.
    pub books: B,
}

impl<B: Books> Desk<B> {
    /// Answers a call.
    ///
    /// # Errors
    ///
    /// [`Deny`] says what the caller can do.
    pub fn serve(&mut self, call: &Call, defect: Option<Defect>) -> Answer {
        let known = self.rows.get(&call.op).filter(|_| defect != Some(Defect::NoDedup));
        if let Some(row) = known
            && row.recorded != Recorded::Intended
        {
            return repeated(row, call, self.reversed.contains_key(&call.op));
        }
        if let Some(original) = self.books.reverses(&call.method, &call.body)?
            && let Some(answer) = self.begin_undo(call, original, defect)
        {
            return answer;
        }
        let answer = self.books.apply(&call.method, call.op, &call.body, defect);
        let recorded = match &answer {
            Ok(reply) => {
                *self.effects.entry(call.op).or_default() += 1;
                if let Ok(Some(original)) = self.books.reverses(&call.method, &call.body) {
                    self.reversed.insert(original, call.op);
                }
                Recorded::Applied(reply.clone())
            }
            Err(Deny::Refused(refused)) => Recorded::Rejected(refused.clone()),
            Err(Deny::Unknown { .. }) => Recorded::Intended,
            Err(_) => return answer,
        };
        self.record(call, recorded);
        answer
    }

    /// The answer to a compensation whose original has no effect, or that cannot be begun.
    fn begin_undo(
        &mut self,
        call: &Call,
        original: Uuid,
        defect: Option<Defect>,
    ) -> Option<Answer> {
        let forgets =
            matches!(defect, Some(Defect::ParticipantForgets | Defect::NothingFoundIsUndone));
        if forgets {
            self.rows.remove(&original);
        }
        if let Some(open) = self.open(original) {
            // The provider tells what became of it, if it is asked again.
            let _ = self.serve(&open, defect);
        }
        match self.rows.get(&original).map(|row| &row.recorded) {
            Some(Recorded::Applied(_)) => match self.reversed.get(&original) {
                Some(by) if *by != call.op => {
                    let message = "another operation has undone it";
                    Some(Err(Deny::refused("ALREADY_REVERSED", message)))
                }
                _ => None,
            },
            Some(Recorded::Intended) => Some(Err(Deny::Unknown { reason: "ORIGINAL_UNKNOWN" })),
            known => {
                // A tombstone for what did happen would be found by the audit, and nobody else.
                if known.is_none() && !forgets && defect != Some(Defect::NoTombstone) {
                    self.fence(original);
                }
                self.record(call, Recorded::NothingToUndo);
                Some(Ok(Vec::new()))
            }
        }
    }

    fn open(&self, op: Uuid) -> Option<Call> {
        let row = self.rows.get(&op).filter(|row| row.recorded == Recorded::Intended)?;
        Some(Call { op, method: row.method.clone(), body: row.body.clone() })
    }

    /// What became of an operation, which never happens from now on if it did not so far.
    pub fn resolve(&mut self, op: Uuid, defect: Option<Defect>) -> Recorded {
        if let Some(open) = self.open(op) {
            let _ = self.serve(&open, defect);
        }
        if !self.rows.contains_key(&op) {
            if matches!(defect, Some(Defect::NoTombstone | Defect::UnfencedInquiry)) {
                return Recorded::Fenced;
            }
            self.fence(op);
        }
        self.rows[&op].recorded.clone()
    }

    fn fence(&mut self, op: Uuid) {
        let row = Row { method: String::new(), body: Bytes::new(), recorded: Recorded::Fenced };
        self.rows.insert(op, row);
    }

    fn record(&mut self, call: &Call, recorded: Recorded) {
        let row = Row { method: call.method.clone(), body: call.body.clone(), recorded };
        self.rows.insert(call.op, row);
    }

    /// How often the operation took effect.
    #[must_use]
    pub fn effect_count(&self, op: Uuid) -> u32 {
        self.effects.get(&op).copied().unwrap_or(0)
    }
}

fn repeated(row: &Row, call: &Call, is_reversed: bool) -> Answer {
    let past = |code, reason, message: &str| {
        Err(Deny::Unrecorded(Refused { code, reason, message: message.to_owned() }))
    };
    if row.recorded == Recorded::Fenced {
        return past(Code::FailedPrecondition, "OP_FENCED", "it was fenced before it came");
    }
    if row.method != call.method || row.body != call.body {
        let message = "the operation id came with another request";
        return past(Code::AlreadyExists, "OP_ID_REUSED", message);
    }
    if is_reversed {
        return past(Code::FailedPrecondition, "OP_REVERSED", "it was done and undone");
    }
    match &row.recorded {
        Recorded::Applied(reply) => Ok(reply.clone()),
        Recorded::Rejected(refused) => Err(Deny::Refused(refused.clone())),
        Recorded::NothingToUndo | Recorded::Intended | Recorded::Fenced => Ok(Vec::new()),
    }
}
