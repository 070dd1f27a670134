//! Tells participants from time to time up to when this log needs what they have recorded.
//!
//! What a participant has on record of a saga is needed while the saga is open, however old it
//! is, and for as long behind its end as a backup of the log may be restored in which it was
//! open (`keep_for_ms`). A restore from an older one does not heal any more: its sagas find out
//! that what became of their calls is not known.

use std::{sync::Arc, time::Duration};

use saga_core::SagaId;
use saga_log::{AgeRow, StoreError};

use crate::engine::{LogMark, Shared, claim::pause};

/// What a participant makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advanced {
    /// It has taken note: up to here, in milliseconds since the Unix epoch, as this log has told.
    To { at_ms: u64 },
    /// It has no such method.
    KeepsAll,
    /// Nobody knows. The next time will do.
    Unanswered { message: String },
}

/// How long a participant may take to take note.
const TELL_TIMEOUT: Duration = Duration::from_secs(5);

/// How far two clocks of the past may be apart that sagas were stamped by, in milliseconds. Nodes
/// walk as far to the clock of the database, and ids are made of that of the machine.
const CLOCKS_APART_MS: u64 = 24 * 3_600_000;

/// Sagas that are looked at in one go, and the pause between two.
const AGES_MAX: u32 = 1_000;
const PAUSE_MS: u64 = 50;

/// Up to where the log was looked through: nothing before is needed any more, or will be.
#[derive(Debug, Default)]
struct Over {
    /// In another epoch sagas may be open again.
    epoch: u64,
    last: Option<SagaId>,
}

/// A first time comes after a pause as well: nodes of before, which do not tell when a saga
/// began, are exchanged by then.
pub(super) async fn tell(shared: Arc<Shared>) {
    let mut over = Over::default();
    while pause(&shared, shared.limits.tell_horizon_ms).await {
        match shared.horizon(&mut over).await {
            Ok(Some(at_ms)) => shared.tell_horizon(at_ms).await,
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "participants are not told what they may forget"),
        }
    }
}

impl Shared {
    /// The time before which no saga began that is open, or may be again. `None`: it cannot be
    /// said now.
    async fn horizon(&self, over: &mut Over) -> Result<Option<u64>, StoreError> {
        let LogMark { epoch, .. } = self.log_mark();
        let continuity = &self.continuity;
        if !continuity.holds() || continuity.awaits_epoch() {
            return Ok(None);
        }
        if over.epoch != epoch {
            *over = Over { epoch, last: None };
        }
        let kept_ms = self.clock.now_ms().saturating_sub(self.limits.keep_for_ms);
        let store = self.log.store();
        let closed_ms = loop {
            let ages = store.ages(over.last, AGES_MAX).await?;
            let is_over = |age: &&AgeRow| !is_needed(age, kept_ms);
            over.last = ages.iter().take_while(is_over).last().map(|age| age.saga).or(over.last);
            if let Some(needed) = ages.iter().find(|age| is_needed(age, kept_ms)) {
                break Some(needed.started_at_ms);
            }
            if ages.len() < AGES_MAX as usize {
                break None;
            }
            if !pause(self, PAUSE_MS).await {
                return Ok(None);
            }
        };
        // Whatever its id is. Sagas that begin from now on are younger.
        let open_ms = store.oldest_open_ms().await?;
        let oldest_ms = [closed_ms, open_ms].into_iter().flatten().fold(kept_ms, u64::min);
        Ok(oldest_ms.checked_sub(CLOCKS_APART_MS).filter(|at_ms| 0 < *at_ms))
    }

    async fn tell_horizon(&self, at_ms: u64) {
        let LogMark { log_id, .. } = self.log_mark();
        let told = self.caller.participants().into_iter().map(async |participant| {
            let caller = &self.caller;
            let told = caller.advance_horizon(&participant, log_id, at_ms, TELL_TIMEOUT).await;
            if let Advanced::Unanswered { message } = told {
                tracing::debug!(participant, message, "it was not told what it may forget");
            }
        });
        futures::future::join_all(told).await;
    }
}

/// Whether a restore may bring the saga back as an open one, or it is one.
fn is_needed(age: &AgeRow, kept_ms: u64) -> bool {
    kept_ms <= age.started_at_ms || age.ended_at_ms.is_none_or(|at_ms| kept_ms <= at_ms)
}
