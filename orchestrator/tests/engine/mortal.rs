//! A store that dies with its node, halts between two reads, or loses its newest rows.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use async_trait::async_trait;
use saga_core::{NodeId, SagaId};
use saga_log::{
    AgeRow, Append, CauseGroup, ClaimQuery, Count, DefinitionRow, EpochRow, HeldQuery, ListPage,
    ListQuery, LogIdentity, LogRow, NodeRow, ParticipantAct, SagaRow, Store, StoreError, Written,
};
use tokio::sync::Semaphore;

use super::lost_tail::Past;

/// The moment at which a node dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    BeforeWrite,
    AfterWrite,
}

/// A store that dies with its node at one append: from then on nothing that the node
/// asks is ever answered.
#[derive(Debug)]
pub(crate) struct MortalStore {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) death: Death,
    /// Rows of sagas that are still written; the one after them is the last.
    pub(crate) appends_left: AtomicU32,
    pub(crate) dead: tokio::sync::watch::Sender<bool>,
    /// Set before the last write, so that whoever sees that write sees this too.
    pub(crate) dying: AtomicBool,
    /// Halts once, between two reads.
    pub(crate) halt: Option<Arc<Halt>>,
    /// Loses rows once, instead of dying.
    pub(crate) tail: Option<Tail>,
}

/// The newest rows, which are written, told of, and gone.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) past: Arc<Past>,
    /// The append behind which they are gone, from 0.
    pub(crate) at_append: u32,
    /// How many appends go with it, itself among them.
    pub(crate) appends: u32,
    pub(crate) written: AtomicU32,
    /// Whether they are gone.
    pub(crate) lost: tokio::sync::watch::Sender<bool>,
}

impl Tail {
    async fn write(&self, inner: &dyn Store, batch: &[Append]) -> Result<Vec<Written>, StoreError> {
        let append = self.written.fetch_add(1, Ordering::SeqCst);
        if append + self.appends == self.at_append + 1 {
            self.past.copy().await;
        }
        let written = inner.write(batch).await;
        if append == self.at_append {
            self.past.go_back().await;
            self.lost.send_replace(true);
        }
        written
    }
}

/// A moment between two reads, held for as long as the test wants.
#[derive(Debug)]
pub(crate) struct Halt {
    pub(crate) armed: AtomicBool,
    pub(crate) reached: Semaphore,
    pub(crate) go_on: Semaphore,
}

impl Default for Halt {
    fn default() -> Self {
        let (reached, go_on) = (Semaphore::new(0), Semaphore::new(0));
        Self { armed: AtomicBool::new(false), reached, go_on }
    }
}

impl MortalStore {
    async fn alive(&self) {
        if *self.dead.borrow() {
            std::future::pending::<()>().await;
        }
    }

    async fn halted<T>(&self, read: T) -> T {
        if let Some(halt) = &self.halt
            && halt.armed.swap(false, Ordering::SeqCst)
        {
            halt.reached.add_permits(1);
            halt.go_on.acquire().await.unwrap().forget();
        }
        read
    }
}

#[async_trait]
impl Store for MortalStore {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    async fn write(&self, batch: &[Append]) -> Result<Vec<Written>, StoreError> {
        self.alive().await;
        if let Some(tail) = &self.tail {
            return tail.write(&*self.inner, batch).await;
        }
        let dies = self
            .appends_left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_err();
        if !dies {
            return self.inner.write(batch).await;
        }
        self.dying.store(true, Ordering::SeqCst);
        if self.death == Death::AfterWrite {
            self.inner.write(batch).await?;
        }
        self.dead.send_replace(true);
        std::future::pending().await
    }

    async fn load(&self, saga: SagaId, after: u64, max: u32) -> Result<Vec<LogRow>, StoreError> {
        self.alive().await;
        self.halted(self.inner.load(saga, after, max).await).await
    }

    async fn saga(&self, saga: SagaId) -> Result<Option<SagaRow>, StoreError> {
        self.alive().await;
        self.halted(self.inner.saga(saga).await).await
    }

    async fn saga_by_key(&self, space: &str, key: &str) -> Result<Option<SagaRow>, StoreError> {
        self.inner.saga_by_key(space, key).await
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
        self.alive().await;
        self.inner.claimable(query).await
    }

    async fn held(&self, waiting_on: &str, sagas_max: u32) -> Result<Vec<SagaId>, StoreError> {
        self.alive().await;
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
        self.alive().await;
        self.inner.register_node(node, now_ms).await
    }

    async fn beat(&self, node: NodeId, now_ms: u64) -> Result<bool, StoreError> {
        self.alive().await;
        self.inner.beat(node, now_ms).await
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        self.alive().await;
        self.inner.nodes().await
    }

    async fn forget_node(&self, node: NodeId) -> Result<(), StoreError> {
        self.alive().await;
        self.inner.forget_node(node).await
    }

    async fn identity(&self) -> Result<LogIdentity, StoreError> {
        self.alive().await;
        self.inner.identity().await
    }

    async fn mark(&self, now_ms: u64) -> Result<(), StoreError> {
        self.alive().await;
        self.inner.mark(now_ms).await
    }

    async fn begin_epoch(&self, after: u64, epoch: &EpochRow) -> Result<bool, StoreError> {
        self.alive().await;
        self.inner.begin_epoch(after, epoch).await
    }

    async fn epochs(&self) -> Result<Vec<EpochRow>, StoreError> {
        self.inner.epochs().await
    }

    async fn act_on_participant(&self, act: &ParticipantAct) -> Result<bool, StoreError> {
        self.alive().await;
        self.inner.act_on_participant(act).await
    }

    async fn participant_acts(
        &self,
        participant: &str,
        rows_max: u32,
    ) -> Result<Vec<ParticipantAct>, StoreError> {
        self.inner.participant_acts(participant, rows_max).await
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

    async fn definition(
        &self,
        name: &str,
        version: u32,
    ) -> Result<Option<DefinitionRow>, StoreError> {
        self.inner.definition(name, version).await
    }

    async fn definitions(&self) -> Result<Vec<DefinitionRow>, StoreError> {
        self.inner.definitions().await
    }

    async fn retired(&self) -> Result<Vec<(String, u32)>, StoreError> {
        self.inner.retired().await
    }
}
