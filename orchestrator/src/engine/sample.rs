//! Asks the log's database now and then for what only it knows, for those who watch.
//!
//! One question at a time, each for a bounded time, and the longer it takes, the rarer it is
//! asked: whatever the tables hold, it takes a twentieth of one connection at most.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use saga_log::{Filter, Held, HeldQuery, StoreError};
use tokio::time::{Instant, timeout};

use crate::{
    engine::{Engine, Shared},
    metrics::Sampled,
};

/// How often it is asked where it answers at once.
const EVERY: Duration = Duration::from_secs(10);

/// How long it may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How much longer than it took is waited before it is asked again.
const RARER: u32 = 20;

/// Reasons that are told apart; they are codes of this program.
const REASONS_MAX: usize = 50;

impl Engine {
    /// Asks from now on, until the engine stops.
    pub fn keep_sampling(&self) {
        self.shared.tasks.spawn(sample(Arc::clone(&self.shared)));
    }
}

async fn sample(shared: Arc<Shared>) {
    loop {
        let began = Instant::now();
        match timeout(ANSWER_WITHIN, ask(&shared)).await {
            Ok(Ok(sampled)) => shared.metrics.sampled(sampled),
            Ok(Err(error)) => tracing::debug!(%error, "no sample of the log"),
            Err(_) => tracing::debug!("no sample of the log in time"),
        }
        let pause = EVERY.max(began.elapsed() * RARER);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shared.stopping() => return,
        }
    }
}

async fn ask(shared: &Shared) -> Result<Sampled, StoreError> {
    let store = shared.log.store();
    let mut stuck = BTreeMap::new();
    let query = HeldQuery { held: Held::Stuck, filter: Filter::default(), examples_max: 0 };
    for group in store.cause_groups(&query).await? {
        if stuck.len() < REASONS_MAX || stuck.contains_key(&group.reason) {
            *stuck.entry(group.reason).or_insert(0) += group.sagas;
        }
    }
    let wake_at_ms = store.next_wake_at_ms().await?;
    let now_ms = shared.clock.now_ms();
    let oldest_due_ms = wake_at_ms.map_or(0, |it| now_ms.saturating_sub(it));
    Ok(Sampled { at: Instant::now(), stuck: stuck.into_iter().collect(), oldest_due_ms })
}
