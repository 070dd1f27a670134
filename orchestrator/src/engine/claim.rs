//! Says that this node lives, finds nodes that do not, and takes over what nobody
//! drives: due sagas, sagas of dead nodes and sagas whose driver broke off here. One
//! loop for the first run and for recovery.
//!
//! A node is dead when its count of beats has not changed for a while by *our* clock.
//! No two clocks are compared, and nothing depends on being right: whoever is taken for
//! dead by mistake is fenced by the log.

use std::{collections::HashMap, sync::Arc, time::Duration};

use saga_core::{Event, NodeId, SagaId, State, encoding};
use saga_log::{ClaimQuery, StoreError};
use tokio::time::Instant;

use crate::{
    driver::{DriveError, Left, Run},
    engine::{Shared, live::Seat},
};

/// Sagas that are taken over in one round at most, so that starts are not starved.
const CLAIM_MAX: usize = 128;

/// Pause where all that was found is on its way to be ours already, in milliseconds.
const BEHIND_MS: u64 = 10;

/// Starts the loops. They end when the engine stops.
pub(super) fn spawn(shared: &Arc<Shared>) {
    shared.tasks.spawn(beat(Arc::clone(shared)));
    shared.tasks.spawn(claim(Arc::clone(shared)));
    shared.tasks.spawn(refresh(Arc::clone(shared)));
}

async fn beat(shared: Arc<Shared>) {
    while pause(&shared, shared.limits.heartbeat_ms).await {
        let store = shared.log.store();
        let beaten = match store.beat(shared.node, shared.clock.now_ms()).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                tracing::warn!(node.id = %shared.node, "this node was taken for dead");
                store.register_node(shared.node, shared.clock.now_ms()).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = beaten {
            tracing::debug!(%error, "no heartbeat");
        }
    }
}

async fn refresh(shared: Arc<Shared>) {
    while pause(&shared, 2_000).await {
        if let Err(error) = shared.definitions.refresh(&shared).await {
            tracing::debug!(%error, "no news about definitions");
        }
    }
}

/// False where the engine stops.
async fn pause(shared: &Shared, pause_ms: u64) -> bool {
    tokio::select! {
        () = tokio::time::sleep(Duration::from_millis(pause_ms)) => true,
        () = shared.stopping() => false,
    }
}

async fn claim(shared: Arc<Shared>) {
    let mut watch = DeathWatch::default();
    loop {
        let pause_ms = match round(&shared, &mut watch).await {
            Ok(Round { more: true, taken: 1.. }) => 1,
            Ok(Round { more: true, taken: 0 }) => BEHIND_MS.min(shared.limits.claim_ms),
            Ok(Round { more: false, .. }) => shared.limits.claim_ms,
            Err(error) => {
                tracing::debug!(%error, "no claims");
                shared.limits.claim_ms
            }
        };
        if !pause(&shared, pause_ms).await {
            return;
        }
    }
}

/// What became of one look at the log.
#[derive(Debug)]
struct Round {
    /// The look was full, so there may be more behind it.
    more: bool,
    /// Sagas that were taken. Less than were found where earlier ones are not yet ours in
    /// the log.
    taken: usize,
}

/// Takes what can be taken now.
async fn round(shared: &Arc<Shared>, watch: &mut DeathWatch) -> Result<Round, StoreError> {
    let room = shared.room().min(CLAIM_MAX);
    if room == 0 {
        return Ok(Round { more: false, taken: 0 });
    }
    let dead = watch.dead(shared).await?;
    let mut sagas: Vec<SagaId> = shared.lock_orphans().iter().copied().take(room).collect();
    let query = ClaimQuery {
        dead: &dead,
        now_ms: shared.clock.now_ms(),
        sagas_max: u32::try_from(room - sagas.len()).unwrap_or(u32::MAX),
    };
    sagas.extend(shared.log.store().claimable(&query).await?);
    let more = sagas.len() >= room;
    let mut taken = 0;
    for saga in sagas {
        if let Some((Seat { mailbox, end }, permit)) = shared.seat(saga) {
            shared.lock_orphans().remove(&saga);
            let driven = take_over(Arc::clone(shared), saga, mailbox);
            shared.supervise(saga, end, permit, driven);
            taken += 1;
        }
    }
    Ok(Round { more, taken })
}

/// Loads a saga, says in its log that it is ours now, and drives it.
async fn take_over(
    shared: Arc<Shared>,
    saga: SagaId,
    mailbox: tokio::sync::mpsc::Receiver<crate::driver::Message>,
) -> Result<Left, DriveError> {
    let unread = |source| DriveError::Log { saga, source };
    let loaded = shared.unfold(saga).await?;
    // Behind the log: if the first row below succeeds, this is what the index says then.
    let index = shared.log.store().saga(saga).await.map_err(unread)?;
    let Some(index) = index.filter(|index| index.standing.ended_at_ms.is_none()) else {
        return Ok(Left::Lost);
    };
    if loaded.state.ended().is_some() {
        return Ok(Left::Lost);
    }
    let owned = Event::Owned {
        node: shared.node,
        epoch: saga_core::Epoch(loaded.state.epoch().0 + 1),
        at_ms: shared.clock.now_ms(),
    };
    let Loaded { definition, state, version } = loaded;
    let mut run = Run::new(shared, index.business_key, definition, state, version, mailbox);
    run.written = Some(index.standing);
    run.resume(owned).await
}

/// A saga as its log tells it.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) definition: Arc<crate::definition::CompiledDefinition>,
    pub(crate) state: State,
    pub(crate) version: u64,
}

impl Shared {
    /// Reads and folds the whole log of a saga.
    pub(crate) async fn unfold(&self, saga: SagaId) -> Result<Loaded, DriveError> {
        let damaged = |what: String| DriveError::Damaged { saga, what };
        let rows =
            self.load_rows(saga, 0).await.map_err(|source| DriveError::Log { saga, source })?;
        let mut state: Option<(Arc<crate::definition::CompiledDefinition>, State)> = None;
        let mut version = 0;
        for row in &rows {
            version = row.version;
            let events =
                encoding::decode(&row.events).map_err(|error| damaged(error.to_string()))?;
            let mut rest = events.as_slice();
            if state.is_none() {
                let Some((Event::Started(started), behind)) = events.split_first() else {
                    return Err(damaged("it does not begin with a start".to_owned()));
                };
                let definition = self.pinned(saga, started).await?;
                let begun = State::start(saga, &definition.core, started);
                state = Some((definition, begun));
                rest = behind;
            }
            if let Some((_, state)) = &mut state {
                state.apply_all(rest).map_err(|error| damaged(error.to_string()))?;
            }
        }
        let (definition, state) = state.ok_or_else(|| damaged("it is empty".to_owned()))?;
        Ok(Loaded { definition, state, version })
    }

    /// The definition that the saga was started with (L7).
    async fn pinned(
        &self,
        saga: SagaId,
        started: &saga_core::Started,
    ) -> Result<Arc<crate::definition::CompiledDefinition>, DriveError> {
        use crate::definitions::DefinitionError;
        let (name, version) = (&started.definition, started.definition_version);
        let definition =
            self.definitions.find(self, name, version).await.map_err(|error| match error {
                DefinitionError::Log { source, .. } => DriveError::Log { saga, source },
                other => DriveError::Definition { saga, what: other.to_string() },
            })?;
        if definition.hash != started.definition_hash {
            let what = format!("{name} version {version} is not the one it was started with");
            return Err(DriveError::Definition { saga, what });
        }
        Ok(definition)
    }
}

/// Watches the beats of the other nodes.
#[derive(Debug, Default)]
struct DeathWatch {
    seen: HashMap<NodeId, (u64, Instant)>,
}

impl DeathWatch {
    /// The nodes that are taken for dead now. A node that was seen silent for too long
    /// is forgotten, so that it learns of it, should it live.
    async fn dead(&mut self, shared: &Shared) -> Result<Vec<NodeId>, StoreError> {
        let patience = Duration::from_millis(shared.limits.dead_after_ms);
        let mut dead = Vec::new();
        let rows = shared.log.store().nodes().await?;
        self.seen.retain(|node, _| rows.iter().any(|row| row.node == *node));
        for row in rows.into_iter().filter(|row| row.node != shared.node) {
            let Some(beats) = row.beats else {
                dead.push(row.node);
                continue;
            };
            let now = Instant::now();
            let (last, since) = self.seen.entry(row.node).or_insert((beats, now));
            if *last != beats {
                (*last, *since) = (beats, now);
            } else if now.duration_since(*since) >= patience {
                tracing::warn!(node.id = %row.node, "a node is silent; its sagas are taken over");
                shared.log.store().forget_node(row.node).await?;
                self.seen.remove(&row.node);
                dead.push(row.node);
            }
        }
        Ok(dead)
    }
}
