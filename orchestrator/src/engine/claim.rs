//! Takes over what nobody drives: due sagas, sagas of dead nodes and sagas whose driver
//! broke off here. One loop for the first run and for recovery.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use saga_core::{Event, SagaId, State, encoding};
use saga_governor::Came;
use saga_log::{ClaimQuery, StoreError, Tip};

use crate::{
    driver::{DriveError, Left, Run, key::Key},
    engine::{Shared, alive::DeathWatch, live::Seat},
    governor::waiting_on,
};

/// Sagas that are taken over in one round at most, so that starts are not starved.
const CLAIM_MAX: usize = 128;

/// Pause where all that was found is on its way to be ours already, in milliseconds.
const BEHIND_MS: u64 = 10;

/// How often a node compares what the log says that it drives with what it does.
const SWEEP_MS: u64 = 2_000;

/// Starts the loops. They end when the engine stops.
pub(super) fn spawn(shared: &Arc<Shared>) {
    shared.tasks.spawn(claim(Arc::clone(shared)));
    shared.tasks.spawn(refresh(Arc::clone(shared)));
    shared.tasks.spawn(sweep(Arc::clone(shared)));
}

async fn refresh(shared: Arc<Shared>) {
    while pause(&shared, 2_000).await {
        shared.governor.look_again();
        if let Err(error) = shared.definitions.refresh(&shared).await {
            tracing::debug!(%error, "no news about definitions");
        }
        if let Err(error) = shared.obey().await {
            tracing::debug!(%error, "no news of what people decided about participants");
        }
    }
}

/// Finds sagas that the log says this node drives, and that it does not: where the log went
/// back in time, it has forgotten that they were handed over, parked or ended, and nobody
/// else would ever look at them.
async fn sweep(shared: Arc<Shared>) {
    let mut seen = BTreeSet::new();
    while pause(&shared, SWEEP_MS).await {
        match undriven(&shared).await {
            // A saga may park or end between the look and the comparison; of two looks one
            // comes behind that.
            Ok(now) => {
                let left: Vec<SagaId> = now.intersection(&seen).copied().collect();
                if !left.is_empty() {
                    tracing::warn!(
                        sagas = left.len(),
                        "the log went back in time: by it, sagas are driven here that are not; \
                         they are taken up again"
                    );
                    shared.continuity.rows_are_gone(shared.log_mark().epoch);
                }
                left.into_iter().for_each(|saga| shared.orphans.add(saga));
                seen = now;
            }
            Err(error) => tracing::debug!(%error, "no look at the sagas of this node"),
        }
    }
}

async fn undriven(shared: &Shared) -> Result<BTreeSet<SagaId>, StoreError> {
    // As if this node were dead.
    let query = ClaimQuery { dead: &[shared.node], due_ms: None, sagas_max: u32::MAX };
    let is_undriven = |saga: &SagaId| !shared.live.has(*saga) && !shared.orphans.waits(*saga);
    let ours = shared.log.store().claimable(&query).await?;
    let found: BTreeSet<SagaId> = ours.into_iter().filter(is_undriven).collect();
    if found.is_empty() {
        return Ok(found);
    }
    // Behind that: what was left between the answer and the look is not ours in the log now.
    let ours = shared.log.store().claimable(&query).await?;
    Ok(ours.into_iter().filter(|saga| found.contains(saga) && is_undriven(saga)).collect())
}

/// False where the engine stops.
pub(super) async fn pause(shared: &Shared, pause_ms: u64) -> bool {
    tokio::select! {
        () = tokio::time::sleep(Duration::from_millis(pause_ms)) => true,
        () = shared.stopping() => false,
    }
}

async fn claim(shared: Arc<Shared>) {
    let mut watch = DeathWatch::new(&shared.limits);
    loop {
        let looked = round(&shared, &mut watch).await;
        if looked.is_ok() {
            shared.metrics.looked();
        }
        let pause_ms = match looked {
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

/// Takes what can be taken now, and says how much is left: places that get free are kept
/// for it.
async fn round(shared: &Arc<Shared>, watch: &mut DeathWatch) -> Result<Round, StoreError> {
    if shared.continuity.awaits_epoch() {
        shared.look_at_epoch().await?;
    }
    if !shared.continuity.holds() {
        return Ok(Round { more: false, taken: 0 });
    }
    let places = &shared.places;
    let room = places.free().min(CLAIM_MAX);
    let look_max = if room == 0 { places.share().clamp(1, CLAIM_MAX) } else { room };
    let dead = watch.dead(shared).await?;
    let orphans = shared.orphans.due(look_max);
    // Behind the look at what waits: what waits because rows are gone waits for their epoch.
    if shared.continuity.awaits_epoch() {
        return Ok(Round { more: true, taken: 0 });
    }
    let query = ClaimQuery {
        dead: &dead,
        due_ms: Some(shared.clock.now_ms()),
        sagas_max: u32::try_from(look_max - orphans.len()).unwrap_or(u32::MAX),
    };
    let claimable = shared.log.store().claimable(&query).await?;
    let looked = orphans.len() + claimable.len();
    let is_full = looked >= look_max;
    let (held, more_are_held) = held(shared, room.saturating_sub(looked)).await?;
    let undriven = orphans.into_iter().map(|saga| (saga, Found::Undriven));
    let claimable = claimable.into_iter().map(|saga| (saga, Found::Claimable));
    let held = held.into_iter().map(|saga| (saga, Found::Held));
    let (mut taken, mut left_alone, mut waiting) = (0, 0, 0);
    for (saga, found) in undriven.chain(claimable).chain(held) {
        if shared.orphans.pauses(saga) {
            left_alone += 1;
        } else if !shared.live.has(saga) {
            if shared.try_take(saga, found) {
                taken += 1;
            } else {
                waiting += 1;
            }
        }
    }
    // Behind a full look there may be more.
    places.wait(if is_full && left_alone == 0 { places.share() } else { waiting });
    let more = is_full || more_are_held;
    Ok(Round { more: more && left_alone == 0 && room > 0, taken })
}

/// Sagas that wait for participants which have room for them, and whether there may be more.
async fn held(shared: &Shared, mut room: usize) -> Result<(Vec<SagaId>, bool), StoreError> {
    let (mut found, mut more) = (Vec::new(), false);
    for (participant, wanted) in shared.governor.rooms() {
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX).min(room);
        if wanted == 0 {
            continue;
        }
        let sagas_max = u32::try_from(wanted).unwrap_or(u32::MAX);
        let held = shared.log.store().held(&waiting_on(&participant), sagas_max).await?;
        if held.len() < wanted {
            shared.governor.is_fetched(&participant);
        } else {
            more = true;
        }
        room -= held.len();
        found.extend(held);
    }
    Ok((found, more))
}

impl Shared {
    /// False where there is no place for it.
    fn try_take(self: &Arc<Self>, saga: SagaId, found: Found) -> bool {
        let Some(place) = self.places.for_taking_over() else {
            return false;
        };
        if let Some(Seat { mailbox, end }) = self.live.enter(saga) {
            self.orphans.take(saga);
            self.metrics.took_over(found.word());
            let driven = take_over(Arc::clone(self), saga, found, mailbox);
            self.supervise(saga, end, place, driven);
        }
        true
    }
}

/// Why a saga is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// It is ours, and nobody here drives it.
    Undriven,
    /// It is nobody's, or a dead node's.
    Claimable,
    /// It waits for a participant that has room for it.
    Held,
}

impl Found {
    fn word(self) -> &'static str {
        match self {
            Self::Undriven => "undriven",
            Self::Claimable => "claimable",
            Self::Held => "held",
        }
    }
}

/// Loads a saga, says in its log that it is ours now, and drives it.
async fn take_over(
    shared: Arc<Shared>,
    saga: SagaId,
    found: Found,
    mailbox: tokio::sync::mpsc::Receiver<crate::driver::Message>,
) -> Result<Left, DriveError> {
    let unread = |source| DriveError::Log { saga, source };
    let loaded = shared.unfold(saga).await;
    // Behind the log: if the first row below succeeds, this is what the index says then.
    let index = shared.log.store().saga(saga).await.map_err(unread)?;
    let loaded = match loaded {
        Err(DriveError::Gone { .. }) if index.is_some() => {
            let what = "it is empty".to_owned();
            return Err(DriveError::Damaged { saga, what });
        }
        loaded => loaded?,
    };
    let Some(index) = index.filter(|index| index.standing.ended_at_ms.is_none()) else {
        return Ok(Left::Lost);
    };
    // Others may have taken meanwhile what was ours; if they die, it is found like any other.
    let is_not_ours = found == Found::Undriven && index.standing.owner != Some(shared.node);
    if loaded.state.ended().is_some() || is_not_ours {
        return Ok(Left::Lost);
    }
    let owned = Event::Owned {
        node: shared.node,
        epoch: saga_core::Epoch(loaded.state.epoch().0 + 1),
        at_ms: shared.clock.now_ms(),
    };
    let Loaded { definition, state, tip } = loaded;
    let came = if found == Found::Held { Came::Fetched } else { Came::ByItself };
    let key = Key { namespace: index.namespace, business_key: index.business_key };
    let mut run = Run::new(shared, key, definition, state, Some(tip), mailbox, came);
    run.written = Some(index.standing);
    run.resume(owned).await
}

/// A saga as its log tells it.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) definition: Arc<crate::definition::CompiledDefinition>,
    pub(crate) state: State,
    pub(crate) tip: Tip,
}

impl Shared {
    /// Reads and folds the whole log of a saga.
    pub(crate) async fn unfold(&self, saga: SagaId) -> Result<Loaded, DriveError> {
        let damaged = |what: String| DriveError::Damaged { saga, what };
        let rows =
            self.load_rows(saga, 0).await.map_err(|source| DriveError::Log { saga, source })?;
        let mut state: Option<(Arc<crate::definition::CompiledDefinition>, State)> = None;
        let tip = rows.last().ok_or(DriveError::Gone { saga })?.tip();
        for row in &rows {
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
        Ok(Loaded { definition, state, tip })
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
