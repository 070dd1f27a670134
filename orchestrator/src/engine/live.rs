//! The sagas that this node drives now.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use saga_core::{SagaId, State};
use tokio::sync::{mpsc, watch};

use crate::driver::Message;

/// Facts from outside that may wait for one saga.
const MAILBOX_MAX: usize = 16;

/// The end of a saga, as soon as it is durable.
pub type EndWatch = watch::Receiver<Option<Arc<EndState>>>;

/// A saga as it ended.
#[derive(Debug)]
pub struct EndState {
    pub(crate) state: State,
    /// Rows of its log.
    pub(crate) version: u64,
}

/// The sagas that this node drives now, with a way to reach each.
#[derive(Debug, Default)]
pub(crate) struct Live {
    sagas: Mutex<HashMap<SagaId, Reach>>,
}

#[derive(Clone, Debug)]
struct Reach {
    mailbox: mpsc::Sender<Message>,
    end: EndWatch,
}

/// What a saga that is being driven listens to and tells.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) mailbox: mpsc::Receiver<Message>,
    pub(crate) end: watch::Sender<Option<Arc<EndState>>>,
}

impl Live {
    /// Enters a saga. `None`: it is being driven already.
    pub(crate) fn enter(&self, saga: SagaId) -> Option<Seat> {
        let mut sagas = self.lock();
        if sagas.contains_key(&saga) {
            return None;
        }
        let (to_mailbox, mailbox) = mpsc::channel(MAILBOX_MAX);
        let (end, ended) = watch::channel(None);
        sagas.insert(saga, Reach { mailbox: to_mailbox, end: ended });
        Some(Seat { mailbox, end })
    }

    /// Strikes a saga that is not driven here any more.
    pub(crate) fn leave(&self, saga: SagaId) {
        self.lock().remove(&saga);
    }

    /// Whether the saga is being driven here.
    pub(crate) fn has(&self, saga: SagaId) -> bool {
        self.lock().contains_key(&saga)
    }

    /// The sagas, in the order of their ids.
    pub(crate) fn sagas(&self) -> Vec<SagaId> {
        let mut sagas: Vec<SagaId> = self.lock().keys().copied().collect();
        sagas.sort_unstable();
        sagas
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// The way to a saga's driver.
    pub(crate) fn mailbox(&self, saga: SagaId) -> Option<mpsc::Sender<Message>> {
        self.lock().get(&saga).map(|reach| reach.mailbox.clone())
    }

    /// Where a saga's end will be told.
    pub(crate) fn end(&self, saga: SagaId) -> Option<EndWatch> {
        self.lock().get(&saga).map(|reach| reach.end.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SagaId, Reach>> {
        // Nothing panics while the lock is held, and the map is whole at every moment.
        self.sagas.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
