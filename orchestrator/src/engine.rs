//! The engine: accepts sagas, takes over those that nobody drives, drives them, and
//! hands them over when it stops.
//!
//! One process is one *node*. Whether a saga is driven by the node that accepted it, by
//! one that found it due, or by one that took it from a dead node, makes no difference:
//! all of them append `Owned` or `Started` and go on from what the log says.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::FutureExt;
use saga_core::{NodeId, SagaId};
use saga_log::{AppendError, Log, LogRow, StoreError};
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::Clock,
    definition::Compiled,
    definitions::{Definitions, RegisterError, Registered, Registrar},
    descriptors::Descriptors,
    driver::{DriveError, Left, kept::Payloads},
    engine::{
        continuity::Continuity,
        live::Live,
        orphans::Orphans,
        places::{Place, Places},
        time::Time,
        watchers::Watchers,
    },
    governor::{Governor, ParticipantView},
    metrics::Metrics,
    participants::Caller,
};

mod acknowledge;
mod alive;
pub(crate) mod claim;
mod continuity;
mod horizon;
mod limits;
mod live;
mod orphans;
mod places;
mod quarantine;
mod reach;
mod ready;
mod sample;
mod signal;
mod start;
mod steer;
mod stop;
pub(crate) mod time;
mod watchers;

pub use acknowledge::AcknowledgeError;
pub use continuity::{Heard, HeardMark, LogMark, WentBack};
pub use horizon::Advanced;
pub use limits::Limits;
pub use live::{EndState, EndWatch};
pub use reach::{ReachError, Snapshot};
pub use signal::{SignalError, Signalled, StepSignal};
pub use start::{StartError, StartSaga, StartedSaga};
pub use steer::{Change, ParticipantChange, SteerError};

/// Rows of one saga's log that are read at a time.
const LOAD_ROWS_MAX: u32 = 256;

/// Reads of clients at the same time: half of what the log has connections for.
const VISITS_MAX: usize = 4;

/// Crashes of one saga's driver on this node before the saga is set aside (F57).
const CRASHES_MAX: u32 = 3;

/// What an engine is made of.
pub struct EngineParts {
    pub log: Log,
    pub clock: Arc<dyn Clock>,
    pub caller: Arc<dyn Caller>,
    pub descriptors: Descriptors,
    pub limits: Limits,
}

/// A running engine. Cheap to clone; all clones are the same engine.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
}

/// What all tasks of one engine share.
pub(crate) struct Shared {
    pub(crate) node: NodeId,
    pub(crate) log: Log,
    /// The time, for whoever only asks for it.
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) time: Arc<Time>,
    pub(crate) caller: Arc<dyn Caller>,
    pub(crate) descriptors: Descriptors,
    pub(crate) limits: Limits,
    pub(crate) live: Live,
    pub(crate) definitions: Definitions,
    pub(crate) watchers: Watchers,
    /// Turns for reads of clients: the engine's own never wait behind them.
    pub(crate) visits: Arc<Semaphore>,
    pub(crate) continuity: Continuity,
    pub(crate) governor: Arc<Governor>,
    pub(crate) places: Places,
    pub(crate) orphans: Orphans,
    pub(crate) payloads: Payloads,
    pub(crate) metrics: Metrics,
    crashes: Mutex<HashMap<SagaId, u32>>,
    /// When it was told to stop.
    stop: watch::Sender<Option<Instant>>,
    /// Nobody drives a saga here any more, or is waited for.
    drained: CancellationToken,
    /// What goes on until the node has drained.
    lasting: TaskTracker,
    pub(crate) tasks: TaskTracker,
}

impl Engine {
    /// Makes this process a node and starts to look for work.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the log cannot be written now. Nothing was started.
    pub async fn start(parts: EngineParts) -> Result<Self, StoreError> {
        let EngineParts { log, clock, caller, descriptors, limits } = parts;
        let identity = log.store().identity().await?;
        let database_ms = log.store().clock_ms().await?;
        let time = Arc::new(Time::begin(clock, database_ms, identity.mark_at_ms));
        let clock: Arc<dyn Clock> = Arc::<Time>::clone(&time);
        let continuity = Continuity::of(identity, caller.participants());
        let patience = Duration::from_millis(limits.park_after_ms);
        let governor = Governor::new(Arc::clone(&caller), limits.sagas_max, patience);
        let shared = Arc::new(Shared {
            node: NodeId(clock.new_id()),
            log,
            clock,
            time,
            caller,
            descriptors,
            limits,
            live: Live::default(),
            definitions: Definitions::default(),
            watchers: Watchers::default(),
            visits: Arc::new(Semaphore::new(VISITS_MAX)),
            continuity,
            governor,
            places: Places::new(limits.sagas_max),
            orphans: Orphans::default(),
            payloads: Payloads::default(),
            metrics: Metrics::default(),
            crashes: Mutex::default(),
            stop: watch::Sender::new(None),
            drained: CancellationToken::new(),
            lasting: TaskTracker::new(),
            tasks: TaskTracker::new(),
        });
        let store = shared.log.store();
        if store.exclusive() {
            // Nobody else can have this log open: every other node is surely dead.
            for row in store.nodes().await? {
                store.forget_node(row.node).await?;
            }
        }
        store.register_node(shared.node, shared.clock.now_ms()).await?;
        shared.definitions.refresh(&shared).await?;
        shared.obey().await?;
        // Before anything is started or taken over, and before this node marks the log.
        shared.ask_participants().await?;
        shared.lasting.spawn(alive::beat(Arc::clone(&shared)));
        shared.tasks.spawn(govern(Arc::clone(&shared)));
        claim::spawn(&shared);
        shared.tasks.spawn(continuity::ask_late(Arc::clone(&shared)));
        shared.tasks.spawn(horizon::tell(Arc::clone(&shared)));
        tracing::info!(node.id = %shared.node, log.kind = store.kind(), "engine started");
        Ok(Self { shared })
    }

    /// Checks a definition against the types of its participants, without storing it.
    ///
    /// # Errors
    ///
    /// [`RegisterError`]: it has errors, or the types are not known.
    pub async fn check(&self, yaml: &str, file_name: &str) -> Result<Compiled, RegisterError> {
        self.shared.definitions.check(&self.shared, yaml, file_name).await
    }

    /// Checks a definition and stores it. A stored version never changes.
    ///
    /// # Errors
    ///
    /// [`RegisterError`]: nothing was stored.
    pub async fn register(&self, yaml: &str, file_name: &str) -> Result<Registered, RegisterError> {
        self.register_for(yaml, file_name, Registrar::default()).await
    }

    /// The same, for somebody who asks for it: once, however often the request is sent.
    ///
    /// # Errors
    ///
    /// As [`Engine::register`].
    pub async fn register_for(
        &self,
        yaml: &str,
        file_name: &str,
        by: Registrar,
    ) -> Result<Registered, RegisterError> {
        self.shared.definitions.register(&self.shared, yaml, file_name, by).await
    }

    /// Definitions of this node's folder that it refused at its start, each with why.
    #[must_use]
    pub fn definitions_refused(&self) -> Vec<String> {
        self.shared.definitions.refused()
    }

    /// The id of this node; a new one at every start.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.shared.node
    }

    /// Sagas that this node drives now.
    #[must_use]
    pub fn sagas_in_flight(&self) -> usize {
        self.shared.live.count()
    }

    /// The limits it was started with.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.shared.limits
    }

    /// Who is called from here, and who is held back.
    #[must_use]
    pub fn participants(&self) -> Vec<ParticipantView> {
        self.shared.governor.views()
    }

    /// What participants are told of the log with every call.
    #[must_use]
    pub fn log_mark(&self) -> LogMark {
        self.shared.log_mark()
    }
}

/// Lets the governor's time go on. It ends when the engine stops: who drains asks for no place.
async fn govern(shared: Arc<Shared>) {
    tokio::select! {
        () = Arc::clone(&shared.governor).run() => {}
        () = shared.stopping() => {}
    }
}

impl Shared {
    /// Ends at this time of our clock, which was said at a moment with this `moved_ms`. `None`:
    /// never.
    pub(crate) async fn until(&self, until_ms: Option<u64>, moved_ms: i64) {
        match until_ms {
            Some(until_ms) => tokio::time::sleep(self.time.span_until(until_ms, moved_ms)).await,
            None => std::future::pending().await,
        }
    }

    /// All rows of a saga's log behind `after_version`.
    pub(crate) async fn load_rows(
        &self,
        saga: SagaId,
        after_version: u64,
    ) -> Result<Vec<LogRow>, StoreError> {
        let mut rows: Vec<LogRow> = Vec::new();
        loop {
            let after = rows.last().map_or(after_version, |row| row.version);
            let page = self.log.store().load(saga, after, LOAD_ROWS_MAX).await?;
            let is_last = page.len() < usize::try_from(LOAD_ROWS_MAX).unwrap_or(usize::MAX);
            rows.extend(page);
            if is_last {
                return Ok(rows);
            }
        }
    }

    /// Runs `drive` in a task of its own and cares for what becomes of it. A driver that
    /// panics takes nobody with it. What is large is boxed: a future keeps what it awaits
    /// twice, and rooms for what hardly ever comes.
    pub(crate) fn supervise(
        self: &Arc<Self>,
        saga: SagaId,
        end: watch::Sender<Option<Arc<EndState>>>,
        place: Place,
        drive: impl Future<Output = Result<Left, DriveError>> + Send + 'static,
    ) {
        let shared = Arc::clone(self);
        self.tasks.spawn(async move {
            let driven = AssertUnwindSafe(Box::pin(drive)).catch_unwind().await;
            match driven {
                Ok(Ok(Left::Ended(end_state))) => {
                    end.send_replace(Some(Arc::from(end_state)));
                }
                Ok(Ok(Left::Parked | Left::Lost)) => {}
                Ok(Err(error)) => Box::pin(shared.broke_off(saga, &error)).await,
                Err(_panic) => Box::pin(shared.crashed(saga)).await,
            }
            shared.live.leave(saga);
            drop(place);
        });
    }

    async fn broke_off(&self, saga: SagaId, error: &DriveError) {
        match error {
            DriveError::Log { .. } => {
                tracing::warn!(saga.id = %saga, %error, "a saga waits for the log");
                self.orphans.add(saga);
            }
            DriveError::Displaced { version, log_epoch, .. } => {
                self.continuity.rows_are_gone(*log_epoch);
                tracing::warn!(
                    saga.id = %saga,
                    saga.version = version,
                    "the log went back in time and lost rows of a saga; it is read again"
                );
                self.orphans.add_later(saga);
            }
            DriveError::Gone { .. } => tracing::warn!(
                saga.id = %saga,
                "the log went back in time and lost a saga; it is left as it is"
            ),
            // The node has stopped before it left; whoever takes the saga over goes on.
            DriveError::Append { source: AppendError::Closed, .. } if self.is_stopping() => {
                tracing::debug!(saga.id = %saga, "a saga is left to other nodes");
            }
            DriveError::Append { source, .. } => {
                self.quarantine(saga, "ROW_REFUSED", &format!("{error}: {source}")).await;
            }
            DriveError::Damaged { .. } => {
                self.quarantine(saga, "DAMAGED_LOG", &error.to_string()).await;
            }
            DriveError::Definition { .. } => {
                self.quarantine(saga, "DEFINITION_UNUSABLE", &error.to_string()).await;
            }
        }
    }

    async fn crashed(&self, saga: SagaId) {
        let crashes = {
            let mut crashes = self.crashes.lock().unwrap_or_else(PoisonError::into_inner);
            let count = crashes.entry(saga).or_insert(0);
            *count += 1;
            *count
        };
        tracing::error!(saga.id = %saga, crashes, "the driver of a saga crashed");
        if crashes < CRASHES_MAX {
            self.orphans.add(saga);
        } else {
            let message = format!("its driver crashed {crashes} times");
            self.quarantine(saga, "DRIVER_CRASHED", &message).await;
        }
    }
}

impl fmt::Debug for EngineParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineParts").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("node", &self.node).finish_non_exhaustive()
    }
}
