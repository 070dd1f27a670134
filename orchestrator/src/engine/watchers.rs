//! Waits for the end of sagas, wherever they are driven: one look at the log for each saga
//! that anybody waits for, however many do.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use saga_core::SagaId;
use tokio::{sync::watch, time::Instant};

use crate::engine::{Engine, ReachError, Shared};

/// The first pause between two looks at a saga, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// What those who wait for a saga are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Ended,
    Absent,
}

type Tell = Arc<watch::Sender<Option<Seen>>>;

/// The sagas of which somebody waits for the end.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    sagas: Mutex<HashMap<SagaId, Tell>>,
}

impl Watchers {
    fn lock(&self) -> MutexGuard<'_, HashMap<SagaId, Tell>> {
        // Nothing panics while the lock is held, and the map is whole at every moment.
        self.sagas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the end of a saga will be told, by a watcher that is there or begins now.
    fn of(&self, shared: &Arc<Shared>, saga: SagaId) -> watch::Receiver<Option<Seen>> {
        let mut sagas = self.lock();
        if let Some(tell) = sagas.get(&saga) {
            return tell.subscribe();
        }
        let (tell, told) = watch::channel(None);
        let tell = Arc::new(tell);
        sagas.insert(saga, Arc::clone(&tell));
        shared.tasks.spawn(look(Arc::clone(shared), saga, tell));
        told
    }

    /// Ends a watcher of which nobody wants to know any more. False where somebody came.
    fn leave(&self, saga: SagaId, tell: &Tell) -> bool {
        let mut sagas = self.lock();
        if tell.receiver_count() == 0 || tell.borrow().is_some() {
            sagas.remove(&saga);
            return true;
        }
        false
    }
}

impl Engine {
    /// Waits until the saga has ended, until `patience` has passed, or until this node stops.
    /// True where it ended.
    ///
    /// # Errors
    ///
    /// [`ReachError::NotFound`]: there is no such saga.
    pub async fn wait_end(&self, saga: SagaId, patience: Duration) -> Result<bool, ReachError> {
        let deadline = Instant::now() + patience;
        let mut told = self.shared.watchers.of(&self.shared, saga);
        tokio::select! {
            seen = told.wait_for(Option::is_some) => match seen.ok().and_then(|it| *it) {
                Some(Seen::Ended) => Ok(true),
                Some(Seen::Absent) => Err(ReachError::NotFound),
                None => Ok(false),
            },
            () = tokio::time::sleep_until(deadline) => Ok(false),
            () = self.shared.stopping() => Ok(false),
        }
    }
}

/// Looks at one saga until it has ended, and for as long as anybody waits.
async fn look(shared: Arc<Shared>, saga: SagaId, tell: Tell) {
    let mut pause = PAUSES.0;
    loop {
        // Driven here: its end is told. Elsewhere or parked: look now and then.
        let ended_here = match shared.live.end(saga) {
            None => false,
            Some(mut end) => tokio::select! {
                told = end.wait_for(Option::is_some) => told.is_ok(),
                () = tell.closed() => false,
                () = shared.stopping() => false,
            },
        };
        let seen = if ended_here {
            Some(Seen::Ended)
        } else {
            match shared.log.store().saga(saga).await {
                Ok(None) => Some(Seen::Absent),
                Ok(Some(row)) if row.standing.ended_at_ms.is_some() => Some(Seen::Ended),
                // Where the log cannot be asked, those who wait find out as they go on.
                Ok(Some(_)) | Err(_) => None,
            }
        };
        if seen.is_some() || shared.is_stopping() {
            tell.send_replace(seen);
        }
        let is_over = seen.is_some() || shared.is_stopping() || tell.receiver_count() == 0;
        if is_over && (shared.watchers.leave(saga, &tell) || shared.is_stopping()) {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = tell.closed() => {}
            () = shared.stopping() => {}
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}
