//! Transactions that take their time. Whoever comes with the same operation meanwhile, asks
//! about it or wants to undo it finds it locked, and waits (F12, F17).

use std::{sync::Arc, time::Duration};

use saga_core::Direction;
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};
use uuid::Uuid;

use super::{Arrival, Inside, Message, Part, World};
use crate::sim::fault::{Defect, Fault};

/// The longest that a transaction stays open where nobody comes.
const OPEN_MAX: Duration = Duration::from_secs(600);

/// How long a transaction takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// So many milliseconds.
    Ms(u64),
    /// So many milliseconds from the moment at which somebody waits for it.
    MsOnceMet(u64),
}

/// A transaction that is not committed.
#[derive(Debug)]
pub(super) struct Open {
    fault: Fault,
    counts: bool,
    met: Arc<Notify>,
    is_met: bool,
    /// Ends when the transaction does.
    over: watch::Receiver<()>,
}

impl World {
    /// A message reaches its participant, and waits there for the transaction that has its
    /// operation open, if there is one.
    pub async fn work(&self, message: &Message) -> Arrival {
        let starts = self.lock().starts(&message.participant);
        loop {
            let Some(mut over) = self.lock().meets(message) else { break };
            let defect = self.lock().defect;
            if defect == Some(Defect::LooksWithoutLock) {
                return self.deliver_as(message, Some(blind(message.part)));
            }
            // Never sent: it ends with an error when the transaction does.
            while over.changed().await.is_ok() {}
            if self.lock().starts(&message.participant) != starts {
                return Arrival::Lost;
            }
        }
        self.deliver(message)
    }

    /// As [`World::work`], in a transaction that takes its time.
    pub async fn work_slowly(
        &self,
        message: &Message,
        takes: Takes,
        (fault, counts): (Fault, bool),
    ) -> Arrival {
        let is_free = {
            let world = self.lock();
            world.is_up(&message.participant) && !world.open.contains_key(&message.op)
        };
        if !is_free {
            return self.work(message).await;
        }
        let starts = self.lock().starts(&message.participant);
        let (met, (ends, over)) = (Arc::new(Notify::new()), watch::channel(()));
        let open = Open { fault, counts, met: Arc::clone(&met), is_met: false, over };
        self.lock().begin(message, open);
        let takes_ms = match takes {
            Takes::Ms(takes_ms) => takes_ms,
            Takes::MsOnceMet(takes_ms) => {
                // Whether or not somebody came.
                let _ = timeout(OPEN_MAX, met.notified()).await;
                takes_ms
            }
        };
        sleep(Duration::from_millis(takes_ms)).await;
        let (defect, survives) = {
            let mut world = self.lock();
            world.open.remove(&message.op);
            (world.defect, world.starts(&message.participant) == starts)
        };
        let arrival = if survives {
            // Who looked without a lock has seen nothing, and acts on it now.
            let blind = defect == Some(Defect::LooksWithoutLock);
            self.deliver_as(message, if blind { Some(Defect::NoDedup) } else { defect })
        } else {
            Arrival::Lost
        };
        drop(ends);
        arrival
    }
}

/// What a participant does that does not see the transaction of another.
fn blind(part: Part) -> Defect {
    match part {
        Part::Action => Defect::NoDedup,
        Part::Compensation => Defect::NoTombstone,
        Part::Inquiry => Defect::UnfencedInquiry,
    }
}

impl Inside {
    fn begin(&mut self, message: &Message, open: Open) {
        let Message { label, step, part, number, .. } = message;
        self.note(format_args!("saga {label} {step} {part:?}#{number} is worked on"));
        self.open.insert(message.op, open);
    }

    /// The end of the transaction that a message has to wait for.
    fn meets(&mut self, message: &Message) -> Option<watch::Receiver<()>> {
        if !self.is_up(&message.participant) {
            return None;
        }
        let op = [Some(message.op), self.undone_by(message)];
        let op = op.into_iter().flatten().find(|op| self.open.contains_key(op))?;
        let open = self.open.get_mut(&op)?;
        let is_first = !std::mem::replace(&mut open.is_met, true);
        let (fault, counts, over) = (open.fault, open.counts, open.over.clone());
        open.met.notify_one();
        if is_first {
            self.happened(fault, counts);
        }
        let Message { label, step, part, number, .. } = message;
        self.note(format_args!("saga {label} {step} {part:?}#{number} finds it open, and waits"));
        Some(over)
    }

    /// The operation that a compensation undoes.
    fn undone_by(&self, message: &Message) -> Option<Uuid> {
        let log = self.journal.sagas.get(&message.saga)?;
        let step = log.deployed.core().index_of(&message.step)?;
        let undoes = message.part == Part::Compensation;
        undoes.then(|| log.op(message.saga, step, Direction::Forward))
    }
}
