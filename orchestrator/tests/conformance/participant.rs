//! A participant in memory that keeps the reply contract, but for one defect. Each effect
//! takes one unit of the stock that [`GetStock`](super::services) shows.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
};

use prost::Message;
use saga_proto::saga::participant::v1::{
    Absent, Applied, Fenced, Rejected, Reversed, resolve_response::Resolution,
};
use shop_proto::inventory::v1::ReserveResponse;
use tokio::sync::Notify;
use tonic::{Code, Status, metadata::MetadataMap};

use super::{
    defect::Defect,
    record::{IN_FLIGHT, Record, crowd, op_id, refusal},
};

/// The participant. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Participant {
    defect: Option<Defect>,
    /// Answers as one that was written before there was OP_REVERSED.
    is_older: bool,
    /// The operations. Locked for as long as one is executed.
    log: Arc<tokio::sync::Mutex<BTreeMap<String, Record>>>,
    /// Operations that began and are not recorded. Only where nothing holds them.
    loose: Arc<Mutex<BTreeSet<String>>>,
    met: Arc<Notify>,
    serial: Arc<AtomicI64>,
    /// How many effects there are in all.
    pub(crate) effects: Arc<AtomicI64>,
    /// Operations whose effect stands, as far as the log knows.
    pub(crate) standing: Arc<Mutex<BTreeSet<String>>>,
    /// The orders of all actions that came.
    pub(crate) seen: Arc<Mutex<BTreeSet<String>>>,
    /// Orders of calls without an id that were executed.
    orders: Arc<Mutex<BTreeSet<String>>>,
    /// Whether the stock moves whenever it is looked at.
    is_busy: bool,
    pub(crate) restarts: Arc<AtomicU32>,
}

impl Participant {
    pub(crate) fn new(defect: Option<Defect>) -> Self {
        Self {
            defect,
            is_older: false,
            log: Arc::default(),
            loose: Arc::default(),
            met: Arc::default(),
            serial: Arc::default(),
            effects: Arc::default(),
            standing: Arc::default(),
            seen: Arc::default(),
            orders: Arc::default(),
            is_busy: false,
            restarts: Arc::default(),
        }
    }

    pub(crate) fn older() -> Self {
        Self { is_older: true, ..Self::new(None) }
    }

    pub(crate) fn busy() -> Self {
        Self { is_busy: true, ..Self::new(None) }
    }

    /// What is only in memory is gone.
    pub(crate) async fn restart(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
        let mut log = self.log.lock().await;
        match self.defect {
            Some(Defect::ForgetsAtRestart) => log.clear(),
            Some(Defect::ForgetsFences) => log.retain(|_, it| !matches!(it, Record::Fenced)),
            Some(Defect::ForgetsUndos) => {
                for record in log.values_mut() {
                    if let Record::Reversed { body, reply } = record.clone() {
                        *record = Record::Applied { body, reply };
                    }
                }
            }
            _ => {}
        }
    }

    /// The stock, of which each effect takes one.
    pub(crate) fn on_hand(&self) -> i64 {
        if self.is_busy {
            self.effects.fetch_add(1, Ordering::Relaxed);
        }
        1_000 - self.effects.load(Ordering::Relaxed)
    }

    fn is(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    fn take(&self, units: i64) {
        self.effects.fetch_add(units, Ordering::Relaxed);
    }

    fn take_if(&self, defect: Defect, units: i64) {
        if self.is(defect) {
            self.take(units);
        }
    }

    fn reply(&self, op_id: &str) -> Vec<u8> {
        let total_minor = self.serial.fetch_add(1, Ordering::Relaxed);
        let reserve_op_id = op_id.to_owned();
        let currency = "KRW".to_owned();
        let reply = ReserveResponse {
            reserve_op_id,
            items: 1,
            total_minor,
            currency,
            ..ReserveResponse::default()
        };
        reply.encode_to_vec()
    }

    /// Waits until somebody meets the operation, in vain where nobody does.
    async fn linger(&self, op_id: &str) {
        self.loose.lock().unwrap().insert(op_id.to_owned());
        let _ = tokio::time::timeout(IN_FLIGHT, self.met.notified()).await;
        self.loose.lock().unwrap().remove(op_id);
    }

    fn meets(&self, op_id: &str) -> bool {
        let meets = self.loose.lock().unwrap().contains(op_id);
        if meets {
            self.met.notify_one();
        }
        meets
    }

    /// An action for an order.
    pub(crate) async fn act(
        &self,
        metadata: &MetadataMap,
        body: Vec<u8>,
        order_no: &str,
    ) -> Result<Vec<u8>, Status> {
        self.seen.lock().unwrap().insert(order_no.to_owned());
        let Some(op_id) = op_id(metadata) else { return self.act_without_id(order_no) };
        let is_new = !self.log.lock().await.contains_key(&op_id);
        if is_new {
            self.before_the_transaction(&op_id).await;
        }
        let mut log = self.log.lock().await;
        match log.get(&op_id) {
            // Its effect was a transaction of its own.
            Some(Record::Fenced) if is_new && self.is(Defect::TwoTransactions) => {
                return Err(refusal(Code::FailedPrecondition, "OP_FENCED"));
            }
            _ if is_new => self.take_if(Defect::TwoTransactions, -1),
            _ => {}
        }
        if is_new && matches!(log.get(&op_id), Some(Record::Applied { .. })) {
            self.take_if(Defect::TwiceAtOnce, 1);
            if self.is(Defect::TwiceAtOnceWithReplies) {
                self.take(1);
                return Ok(self.reply(&op_id));
            }
        }
        if let Some(record) = log.get(&op_id).cloned() {
            if matches!(record, Record::Fenced) && self.is(Defect::FencesOnce) {
                log.remove(&op_id);
            }
            return self.act_again(&op_id, body, record, &mut log);
        }
        tokio::task::yield_now().await;
        if order_no.starts_with("refused") {
            self.take_if(Defect::RefusesAfterTheEffect, 1);
            log.insert(op_id, Record::Rejected { body, repeats: 0 });
            return Err(self.recorded("OUT_OF_STOCK"));
        }
        if self.orders.lock().unwrap().contains(order_no) {
            log.insert(op_id, Record::Rejected { body, repeats: 0 });
            return Err(refusal(Code::AlreadyExists, "DUPLICATE_ORDER_NO"));
        }
        // A sale has no order, and an empty reply.
        let reply = if order_no.is_empty() { Vec::new() } else { self.reply(&op_id) };
        self.take(1);
        self.standing.lock().unwrap().insert(op_id.clone());
        log.insert(op_id, Record::Applied { body, reply: reply.clone() });
        Ok(reply)
    }

    /// What a participant does that does not hold its operations.
    async fn before_the_transaction(&self, op_id: &str) {
        match self.defect {
            Some(Defect::DoesNotWait | Defect::OvertakesTheOriginal) => self.linger(op_id).await,
            Some(Defect::TwoTransactions) => {
                self.take(1);
                self.linger(op_id).await;
            }
            Some(Defect::TwiceAtOnce | Defect::TwiceAtOnceWithReplies) => crowd().await,
            _ => {}
        }
    }

    fn act_without_id(&self, order_no: &str) -> Result<Vec<u8>, Status> {
        if self.is(Defect::NeedsNoId) {
            self.take(1);
            return Ok(self.reply("none"));
        }
        self.take_if(Defect::RefusesInSecret, 1);
        if self.is(Defect::RefusesAfterwards) {
            self.orders.lock().unwrap().insert(order_no.to_owned());
        }
        Err(refusal(Code::InvalidArgument, "OP_ID_MISSING"))
    }

    fn act_again(
        &self,
        op_id: &str,
        body: Vec<u8>,
        record: Record,
        log: &mut BTreeMap<String, Record>,
    ) -> Result<Vec<u8>, Status> {
        match record {
            Record::Fenced => {
                self.take_if(Defect::ExecutesTheLate, 1);
                if self.is(Defect::RecordsTheFence) {
                    return Err(self.recorded("OP_FENCED"));
                }
                Err(refusal(Code::FailedPrecondition, "OP_FENCED"))
            }
            Record::Rejected { body: first, repeats } if first == body => {
                log.insert(op_id.to_owned(), Record::Rejected { body, repeats: repeats + 1 });
                if self.is(Defect::RefusesOtherwise) && repeats == 0 {
                    return Err(self.recorded("OUT_OF_ORDER"));
                }
                Err(self.recorded("OUT_OF_STOCK"))
            }
            Record::Reversed { body: first, reply } if first == body => {
                self.take_if(Defect::RepeatsWhatWasUndone, 1);
                if self.is_older || self.is(Defect::RepeatsWhatWasUndone) {
                    return Ok(reply);
                }
                let reason = if self.is(Defect::RefusesWhatWasUndone) {
                    "OUT_OF_STOCK"
                } else {
                    "OP_REVERSED"
                };
                Err(refusal(Code::FailedPrecondition, reason))
            }
            Record::Applied { body: first, .. }
                if first == body && self.is(Defect::RepliesAnew) =>
            {
                Ok(self.reply(op_id))
            }
            Record::Applied { body: first, reply }
                if first == body || self.is(Defect::ComparesNoBodies) =>
            {
                self.take_if(Defect::RepeatsTheEffect, 1);
                Ok(reply)
            }
            Record::Applied { .. } | Record::Reversed { .. } | Record::Rejected { .. } => {
                self.take_if(Defect::ExecutesTheOther, 1);
                if self.is(Defect::ReplacesTheFirst) {
                    let reply = self.reply(op_id);
                    log.insert(op_id.to_owned(), Record::Applied { body, reply });
                }
                Err(refusal(Code::AlreadyExists, "OP_ID_REUSED"))
            }
        }
    }

    pub(crate) async fn undo(
        &self,
        metadata: &MetadataMap,
        original: &str,
    ) -> Result<Vec<u8>, Status> {
        let op_id =
            op_id(metadata).ok_or_else(|| refusal(Code::InvalidArgument, "OP_ID_MISSING"))?;
        if self.is(Defect::OvertakesTheOriginal) && self.meets(original) {
            self.log.lock().await.insert(op_id, Record::Applied { body: vec![], reply: vec![] });
            return Ok(Vec::new());
        }
        let is_new = !self.log.lock().await.contains_key(&op_id);
        if is_new && self.is(Defect::UndoesTwiceAtOnce) {
            crowd().await;
        }
        let mut log = self.log.lock().await;
        if is_new && log.contains_key(&op_id) {
            self.take_if(Defect::UndoesTwiceAtOnce, -1);
        }
        match log.get(&op_id) {
            Some(_) if self.is(Defect::UndoesOnce) => {
                return Err(refusal(Code::FailedPrecondition, "ALREADY_REVERSED"));
            }
            Some(Record::Applied { reply, .. }) => {
                self.take_if(Defect::RepeatsTheUndo, -1);
                return Ok(reply.clone());
            }
            _ => {}
        }
        self.undo_first_time(original, &mut log)?;
        let (body, reply) = (original.as_bytes().to_vec(), Vec::new());
        log.insert(op_id, Record::Applied { body, reply: reply.clone() });
        Ok(reply)
    }

    fn undo_first_time(
        &self,
        original: &str,
        log: &mut BTreeMap<String, Record>,
    ) -> Result<(), Status> {
        match log.get(original).cloned() {
            None if self.is(Defect::KnowsNoEmptyUndo) => {
                return Err(refusal(Code::NotFound, "RESERVATION_NOT_FOUND"));
            }
            None if self.is(Defect::ForgetsTheEmptyUndo) => {}
            None => {
                self.take_if(Defect::UndoesWhatNeverCame, -1);
                log.insert(original.to_owned(), Record::Fenced);
            }
            Some(Record::Rejected { .. }) if self.is(Defect::UndoesNoRefusal) => {
                return Err(refusal(Code::FailedPrecondition, "RESERVATION_NOT_HELD"));
            }
            Some(Record::Rejected { .. }) => self.take_if(Defect::PaysOutARefusal, -1),
            Some(Record::Fenced) => {}
            Some(Record::Reversed { .. }) if self.is(Defect::ApprovesASecondUndo) => {}
            Some(Record::Reversed { .. }) if self.is(Defect::UndoesAnew) => self.take(-1),
            Some(Record::Reversed { .. }) => {
                self.take_if(Defect::UndoesAnewInSecret, -1);
                return Err(self.recorded("ALREADY_REVERSED"));
            }
            Some(Record::Applied { body, reply }) => {
                if !self.is(Defect::UndoesNothing) {
                    self.take(-1);
                }
                self.standing.lock().unwrap().remove(original);
                log.insert(original.to_owned(), Record::Reversed { body, reply });
            }
        }
        Ok(())
    }

    pub(crate) async fn told(&self, op_id: &str, fence: bool) -> Resolution {
        let loose = self.is(Defect::DoesNotWait) || self.is(Defect::TwoTransactions);
        if fence && loose && self.meets(op_id) {
            if self.is(Defect::TwoTransactions) {
                self.log.lock().await.insert(op_id.to_owned(), Record::Fenced);
            }
            return Resolution::Fenced(Fenced {});
        }
        let mut log = self.log.lock().await;
        match log.get(op_id).cloned() {
            None if fence || self.is(Defect::PeekFences) => {
                log.insert(op_id.to_owned(), Record::Fenced);
                Resolution::Fenced(Fenced {})
            }
            None => Resolution::Absent(Absent {}),
            Some(Record::Fenced) => Resolution::Fenced(Fenced {}),
            Some(Record::Rejected { .. }) if self.is(Defect::TellsNoRefusal) => {
                Resolution::Fenced(Fenced {})
            }
            Some(Record::Rejected { .. }) => Resolution::Rejected(Rejected {
                reason: "OUT_OF_STOCK".to_owned(),
                message: String::new(),
            }),
            Some(Record::Applied { .. }) if !fence && self.is(Defect::TellsNoReply) => {
                Resolution::Applied(Applied::default())
            }
            Some(Record::Reversed { .. }) if self.is(Defect::TellsNoReversal) => {
                Resolution::Absent(Absent {})
            }
            Some(Record::Reversed { reply, .. }) if !self.is_older => {
                Resolution::Reversed(Reversed { reply })
            }
            Some(Record::Applied { reply, .. } | Record::Reversed { reply, .. }) => {
                Resolution::Applied(Applied { reply })
            }
        }
    }

    /// A refusal that is on record.
    fn recorded(&self, reason: &str) -> Status {
        let mut status = refusal(Code::FailedPrecondition, reason);
        if !self.is_older {
            status.metadata_mut().insert("saga-refusal", "recorded".parse().unwrap());
        }
        status
    }
}
