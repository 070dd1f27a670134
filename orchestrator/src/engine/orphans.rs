//! Sagas that are ours in the log and that no task here drives: their driver broke off.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use saga_core::SagaId;
use tokio::time::Instant;

/// The first pause of a saga whose log is not what its driver took it for.
const PAUSE_FIRST: Duration = Duration::from_millis(100);

/// The longest one: how long such a saga may stand still although its log is in order again.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// A setback this long after the one before is the first of its row.
const CALM: Duration = Duration::from_secs(60);

/// The orphans of a node, each with the time from which it may be taken up again.
#[derive(Debug, Default)]
pub(crate) struct Orphans {
    sagas: Mutex<HashMap<SagaId, Orphan>>,
}

#[derive(Clone, Copy, Debug)]
struct Orphan {
    /// False: it was taken up, and only its pause is remembered.
    waits: bool,
    due: Instant,
    pause: Duration,
}

impl Orphans {
    /// Adds a saga that can be taken up again at once.
    pub(crate) fn add(&self, saga: SagaId) {
        let now = Instant::now();
        let mut sagas = self.lock();
        let orphan =
            sagas.entry(saga).or_insert(Orphan { waits: true, due: now, pause: Duration::ZERO });
        (orphan.waits, orphan.due) = (true, now);
    }

    /// Adds a saga that would meet the same again at once. It waits, and twice as long each
    /// time in a row.
    pub(crate) fn add_later(&self, saga: SagaId) {
        let now = Instant::now();
        let mut sagas = self.lock();
        let before = sagas.get(&saga).filter(|before| now < before.due + CALM);
        let pause = before.map_or(Duration::ZERO, |before| before.pause);
        let pause = (pause * 2).clamp(PAUSE_FIRST, PAUSE_MAX);
        sagas.insert(saga, Orphan { waits: true, due: now + pause, pause });
    }

    /// The sagas that may be taken up now, `sagas_max` at most.
    pub(crate) fn due(&self, sagas_max: usize) -> Vec<SagaId> {
        let now = Instant::now();
        let mut sagas = self.lock();
        sagas.retain(|_, orphan| orphan.waits || now < orphan.due + CALM);
        let due = sagas.iter().filter(|(_, orphan)| orphan.waits && orphan.due <= now);
        let mut due: Vec<SagaId> = due.map(|(saga, _)| *saga).collect();
        due.sort_unstable();
        due.truncate(sagas_max);
        due
    }

    /// Whether the saga is known to wait for somebody who takes it up.
    pub(crate) fn waits(&self, saga: SagaId) -> bool {
        self.lock().get(&saga).is_some_and(|orphan| orphan.waits)
    }

    /// Whether the saga is to be left alone for now, whatever the log says.
    pub(crate) fn pauses(&self, saga: SagaId) -> bool {
        let now = Instant::now();
        self.lock().get(&saga).is_some_and(|orphan| orphan.waits && now < orphan.due)
    }

    /// The saga is being driven again.
    pub(crate) fn take(&self, saga: SagaId) {
        if let Some(orphan) = self.lock().get_mut(&saga) {
            orphan.waits = false;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SagaId, Orphan>> {
        // Each entry is whole at every moment, whatever panicked.
        self.sagas.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const SAGA: SagaId = SagaId(Uuid::from_u128(1));

    #[tokio::test(start_paused = true)]
    async fn a_saga_that_meets_the_same_again_waits_longer_each_time() {
        let orphans = Orphans::default();
        let began = Instant::now();
        let mut taken = 0;
        while began.elapsed() < Duration::from_secs(60) {
            if orphans.due(8) == [SAGA] || taken == 0 {
                taken += 1;
                orphans.take(SAGA);
                orphans.add_later(SAGA);
            }
            assert!(orphans.pauses(SAGA));
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        assert!((10..16).contains(&taken), "{taken}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_saga_that_was_well_for_a_while_waits_shortly_again() {
        let orphans = Orphans::default();
        for _ in 0..10 {
            orphans.add_later(SAGA);
        }
        tokio::time::advance(PAUSE_MAX).await;
        assert_eq!(orphans.due(8), [SAGA]);
        orphans.take(SAGA);
        assert_eq!(orphans.due(8), []);
        tokio::time::advance(CALM).await;
        orphans.add_later(SAGA);
        tokio::time::advance(PAUSE_FIRST).await;
        assert_eq!(orphans.due(8), [SAGA]);
    }
}
