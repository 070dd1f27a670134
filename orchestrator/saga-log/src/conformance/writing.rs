//! The writer of a node on top of the store.

use std::fmt;
use std::sync::{Arc, Mutex, mpsc};

use async_trait::async_trait;
use futures::future::{join, join_all};
use saga_core::{NodeId, SagaId};

use super::sample::{append_ids, running, start, step, write_new};
use crate::store::{
    AgeRow, Append, CauseGroup, ClaimQuery, Count, DefinitionRow, EpochRow, HeldQuery, ListPage,
    ListQuery, LogIdentity, LogRow, NodeRow, ParticipantAct, SagaRow, Store, StoreError, Written,
};
use crate::{AppendError, Log, LogLimits};

/// What becomes of a write that passes a [`Between`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is written, and its answer comes back.
    Passes,
    /// The database refuses it. Nothing is written.
    Rejected,
    /// The database was not reached. Nothing is written.
    LostBefore,
    /// It is written, and nobody hears of it.
    LostAfter,
}

/// A store whose writes may go wrong. Everything else passes.
pub struct Between<F> {
    /// What is behind.
    pub inner: Arc<dyn Store>,
    /// Decides the fate of a batch.
    pub fate: F,
}

impl<F> fmt::Debug for Between<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Between").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[async_trait]
impl<F> Store for Between<F>
where
    F: Fn(&[Append]) -> Fate + Send + Sync + 'static,
{
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }
    fn exclusive(&self) -> bool {
        self.inner.exclusive()
    }
    async fn write(&self, batch: &[Append]) -> Result<Vec<Written>, StoreError> {
        let operation = "write";
        let fate = (self.fate)(batch);
        let written = match fate {
            Fate::Passes | Fate::LostAfter => self.inner.write(batch).await?,
            Fate::Rejected | Fate::LostBefore => Vec::new(),
        };
        match fate {
            Fate::Passes => Ok(written),
            Fate::Rejected => {
                Err(StoreError::Rejected { operation, source: "as the test wants it".into() })
            }
            Fate::LostBefore | Fate::LostAfter => {
                Err(StoreError::Unavailable { operation, source: "as the test wants it".into() })
            }
        }
    }
    async fn load(&self, saga: SagaId, after: u64, max: u32) -> Result<Vec<LogRow>, StoreError> {
        self.inner.load(saga, after, max).await
    }
    async fn saga(&self, saga: SagaId) -> Result<Option<SagaRow>, StoreError> {
        self.inner.saga(saga).await
    }
    async fn saga_by_key(&self, ns: &str, key: &str) -> Result<Option<SagaRow>, StoreError> {
        self.inner.saga_by_key(ns, key).await
    }
    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        self.inner.list(query).await
    }
    async fn count(&self, query: &ListQuery) -> Result<Count, StoreError> {
        self.inner.count(query).await
    }
    async fn cause_groups(&self, query: &HeldQuery) -> Result<Vec<CauseGroup>, StoreError> {
        self.inner.cause_groups(query).await
    }
    async fn claimable(&self, query: &ClaimQuery<'_>) -> Result<Vec<SagaId>, StoreError> {
        self.inner.claimable(query).await
    }
    async fn held(&self, waiting_on: &str, sagas_max: u32) -> Result<Vec<SagaId>, StoreError> {
        self.inner.held(waiting_on, sagas_max).await
    }
    async fn oldest_open_ms(&self) -> Result<Option<u64>, StoreError> {
        self.inner.oldest_open_ms().await
    }
    async fn ages(&self, after: Option<SagaId>, rows_max: u32) -> Result<Vec<AgeRow>, StoreError> {
        self.inner.ages(after, rows_max).await
    }
    async fn next_wake_at_ms(&self) -> Result<Option<u64>, StoreError> {
        self.inner.next_wake_at_ms().await
    }
    async fn register_node(&self, node: NodeId, now_ms: u64) -> Result<(), StoreError> {
        self.inner.register_node(node, now_ms).await
    }
    async fn beat(&self, node: NodeId, now_ms: u64) -> Result<bool, StoreError> {
        self.inner.beat(node, now_ms).await
    }
    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        self.inner.nodes().await
    }
    async fn forget_node(&self, node: NodeId) -> Result<(), StoreError> {
        self.inner.forget_node(node).await
    }
    async fn identity(&self) -> Result<LogIdentity, StoreError> {
        self.inner.identity().await
    }
    async fn mark(&self, now_ms: u64) -> Result<(), StoreError> {
        self.inner.mark(now_ms).await
    }
    async fn begin_epoch(&self, after: u64, epoch: &EpochRow) -> Result<bool, StoreError> {
        self.inner.begin_epoch(after, epoch).await
    }
    async fn epochs(&self) -> Result<Vec<EpochRow>, StoreError> {
        self.inner.epochs().await
    }
    async fn act_on_participant(&self, act: &ParticipantAct) -> Result<bool, StoreError> {
        self.inner.act_on_participant(act).await
    }
    async fn participant_acts(
        &self,
        of: &str,
        max: u32,
    ) -> Result<Vec<ParticipantAct>, StoreError> {
        self.inner.participant_acts(of, max).await
    }
    async fn newest_participant_acts(&self) -> Result<Vec<ParticipantAct>, StoreError> {
        self.inner.newest_participant_acts().await
    }
    async fn definition_of_request(
        &self,
        request_id: &str,
    ) -> Result<Option<DefinitionRow>, StoreError> {
        self.inner.definition_of_request(request_id).await
    }

    async fn put_definition(&self, row: &DefinitionRow) -> Result<DefinitionRow, StoreError> {
        self.inner.put_definition(row).await
    }
    async fn definition(&self, name: &str, v: u32) -> Result<Option<DefinitionRow>, StoreError> {
        self.inner.definition(name, v).await
    }
    async fn definitions(&self) -> Result<Vec<DefinitionRow>, StoreError> {
        self.inner.definitions().await
    }
    async fn retired(&self) -> Result<Vec<(String, u32)>, StoreError> {
        self.inner.retired().await
    }
}

/// Holds the first write up until others are queued: how many a fast store would meet
/// otherwise is up to the scheduler.
pub async fn concurrent_appends_share_transactions(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    const SAGAS: u64 = 300;
    let batches = Arc::new(Mutex::new(Vec::new()));
    let counted = batches.clone();
    let (open, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(Some(gate));
    let fate = move |batch: &[Append]| {
        counted.lock().expect("nobody panics with it").push(batch.len());
        let held = gate.lock().expect("nobody panics with it").take();
        if let Some(gate) = held {
            gate.recv().expect("the gate is opened below");
        }
        Fate::Passes
    };
    let log = Log::start(Arc::new(Between { inner: first, fate }), LogLimits::default());
    let starts = (0..SAGAS).map(|n| log.append(start(n, running(None))));
    let opened = async { open.send(()).expect("the first write waits for it") };
    let (started, ()) = join(join_all(starts), opened).await;
    for started in started {
        assert_eq!(started.expect("append"), Written::Done);
    }
    let batches = batches.lock().expect("nobody panics with it").clone();
    // A task may queue only so much before it has to let others run, hence not all.
    assert!(batches.iter().any(|rows| 32 <= *rows), "{batches:?}: none shares much");
    for n in 0..SAGAS {
        assert_eq!(append_ids(&*second, n).await.len(), 1);
    }
    log.close().await;
}

pub async fn a_rejected_append_does_not_touch_its_batch(
    first: Arc<dyn Store>,
    second: Arc<dyn Store>,
) {
    const SAGAS: u64 = 50;
    const POISON: [u64; 3] = [7, 8, 31];
    let poison = POISON.map(super::sample::saga);
    let fate = move |batch: &[Append]| {
        let poisoned = batch.iter().any(|append| poison.contains(&append.saga));
        if poisoned { Fate::Rejected } else { Fate::Passes }
    };
    let starts: Vec<Append> = (0..SAGAS).map(|n| start(n, running(None))).collect();
    write_new(&*first, &starts).await;
    let log = Log::start(Arc::new(Between { inner: first, fate }), LogLimits::default());
    let steps = (0..SAGAS).map(|n| log.append(step(n, 2)));
    for (n, stepped) in (0..).zip(join_all(steps).await) {
        if POISON.contains(&n) {
            assert!(matches!(stepped, Err(AppendError::Rejected { .. })), "{n}: {stepped:?}");
        } else {
            assert_eq!(stepped.expect("append"), Written::Done, "{n}");
        }
    }
    for n in 0..SAGAS {
        let rows = if POISON.contains(&n) { 1 } else { 2 };
        assert_eq!(append_ids(&*second, n).await.len(), rows);
    }
    log.close().await;
}

pub async fn an_append_whose_caller_has_gone_is_written(
    first: Arc<dyn Store>,
    second: Arc<dyn Store>,
) {
    const SAGAS: u64 = 40;
    let log = Log::start(first, LogLimits::default());
    for n in 0..SAGAS {
        let mut append = Box::pin(log.append(start(n, running(None))));
        // One poll queues it; then nobody waits any more.
        let _polled = futures::poll!(&mut append);
        drop(append);
        tokio::task::yield_now().await;
    }
    log.close().await;
    for n in 0..SAGAS {
        assert_eq!(append_ids(&*second, n).await.len(), 1);
    }
}
