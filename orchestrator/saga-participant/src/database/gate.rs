//! Admission: so many transactions are open, so many wait their turn, the rest is refused.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{Limits, metrics::Metrics};
use crate::error::{OperationError, Overload};

/// The way to a pool of connections. Whoever passes finds a connection free.
#[derive(Clone)]
pub(super) struct Gate {
    /// Those that are open and those that wait.
    admitted: Arc<Semaphore>,
    /// Those that are open. Wakes waiters in the order in which they came (S0-4).
    open: Arc<Semaphore>,
    waiting_max: u32,
    wait_max: Duration,
    metrics: Arc<Metrics>,
}

/// The right to one open transaction.
#[derive(Debug)]
pub(crate) struct Permit {
    _admitted: Option<OwnedSemaphorePermit>,
    _open: OwnedSemaphorePermit,
}

const NEVER_CLOSED: &str = "nobody closes the gate";

impl Gate {
    pub(super) fn new(open_max: u32, limits: Limits, metrics: &Arc<Metrics>) -> Self {
        let count = |permits: u32| Arc::new(Semaphore::new(permits as usize));
        Self {
            admitted: count(open_max.saturating_add(limits.waiting_max)),
            open: count(open_max),
            waiting_max: limits.waiting_max,
            wait_max: Duration::from_millis(limits.wait_max_ms),
            metrics: Arc::clone(metrics),
        }
    }

    /// Waits for its turn, for a bounded time and among a bounded number.
    pub(super) async fn enter(&self) -> Result<Permit, OperationError> {
        let Ok(admitted) = self.admitted.clone().try_acquire_owned() else {
            let waiting_max = self.waiting_max;
            self.metrics.full.inc();
            return Err(OperationError::Overloaded(Overload::Full { waiting_max }));
        };
        let began = Instant::now();
        let turn = self.open.clone().acquire_owned();
        let Ok(open) = tokio::time::timeout(self.wait_max, turn).await else {
            let wait_max = self.wait_max;
            self.metrics.late.inc();
            return Err(OperationError::Overloaded(Overload::Late { wait_max }));
        };
        self.metrics.waited.took(began.elapsed());
        Ok(Permit { _admitted: Some(admitted), _open: open.expect(NEVER_CLOSED) })
    }

    /// Passes where somebody could pass at once and nobody waits.
    pub(super) fn try_enter(&self) -> Option<Permit> {
        let open = self.open.clone().try_acquire_owned().ok()?;
        Some(Permit { _admitted: None, _open: open })
    }

    /// Waits for its turn, however long it takes.
    pub(super) async fn enter_promised(&self) -> Permit {
        let open = self.open.clone().acquire_owned().await.expect(NEVER_CLOSED);
        Permit { _admitted: None, _open: open }
    }
}
