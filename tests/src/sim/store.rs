//! The log of one node: the store in memory that all nodes share, with faults between.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use saga_core::{NodeId, SagaId};
use saga_log::{
    AgeRow, Append, CauseGroup, ClaimQuery, Count, DefinitionRow, EpochRow, HeldQuery, ListPage,
    ListQuery, LogIdentity, LogRow, MemoryStore, NodeRow, ParticipantAct, SagaRow, Store,
    StoreError, Written,
};

use tokio::time::Instant;

use super::{
    cluster::{Control, clock_ms},
    fault::{Defect, Fault},
    world::{Death, World},
};

/// What one node sees of the log.
#[derive(Debug)]
pub struct NodeStore {
    /// What all nodes share.
    pub shared: MemoryStore,
    /// Where rows are judged.
    pub world: World,
    /// The node.
    pub control: Arc<Control>,
    /// When all clocks began.
    pub origin: Instant,
    /// Requests so far.
    pub tries: AtomicU64,
    /// Whether [`Defect::LogForgets`] has struck.
    pub forgot: AtomicBool,
}

impl NodeStore {
    async fn ready(&self) -> u64 {
        self.control.ready().await;
        self.tries.fetch_add(1, Ordering::SeqCst)
    }

    /// As [`NodeStore::ready`], for what may find the log away.
    async fn readable(&self, operation: &'static str) -> Result<(), StoreError> {
        let number = self.ready().await;
        let mut world = self.world.lock();
        if world.plan.of_read(self.control.number, number) {
            world.happened(Fault::LogUnreadable, true);
            return Err(unavailable(operation));
        }
        Ok(())
    }

    /// Writes, and shows the judge what has become durable.
    async fn commit(&self, batch: &[Append]) -> Result<Vec<Written>, StoreError> {
        let defect = self.world.lock().defect;
        let forgets = |append: &Append| {
            let is_broken = defect == Some(Defect::LogForgets) && append.version == 3;
            is_broken && !self.forgot.swap(true, Ordering::SeqCst)
        };
        let forgotten: Vec<bool> = batch.iter().map(forgets).collect();
        let kept = batch.iter().zip(&forgotten).filter(|(_, forgotten)| !**forgotten);
        let kept: Vec<Append> = kept.map(|(append, _)| append.clone()).collect();
        let mut written = self.shared.write(&kept).await?.into_iter();
        for (append, written) in kept.iter().zip(written.clone()) {
            let before =
                self.world.lock().journal.sagas.get(&append.saga).map_or(0, |it| it.version);
            if written == Written::Done && before < append.version {
                self.world.durable(append, self.control.number);
            }
        }
        let told = forgotten.into_iter().map(|forgotten| {
            if forgotten {
                return Written::Done;
            }
            match written.next() {
                Some(Written::Superseded | Written::Missing | Written::Foreign)
                    if defect == Some(Defect::NoCompareAndSet) =>
                {
                    Written::Done
                }
                Some(written) => written,
                None => Written::Missing,
            }
        });
        Ok(told.collect())
    }

    fn rows(&self, batch: &[Append]) -> Vec<(usize, u64)> {
        let world = self.world.lock();
        let label = |append: &Append| {
            world.journal.sagas.get(&append.saga).map_or(usize::MAX, |it| it.label)
        };
        batch.iter().map(|append| (label(append), append.version)).collect()
    }

    /// The death that waits for one of these rows.
    fn death(&self, batch: &[Append], fault: Option<Fault>) -> Option<Death> {
        match fault {
            Some(Fault::KilledBeforeAppend) => Some(Death::BeforeAppend),
            Some(Fault::KilledAfterAppend) => Some(Death::AfterAppend),
            _ => self.control.armed(|saga| batch.iter().any(|append| append.saga == saga)),
        }
    }
}

fn unavailable(operation: &'static str) -> StoreError {
    StoreError::Unavailable { operation, source: "the simulation says so".into() }
}

#[async_trait]
impl Store for NodeStore {
    fn kind(&self) -> &'static str {
        "memory"
    }

    async fn write(&self, batch: &[Append]) -> Result<Vec<Written>, StoreError> {
        let number = self.ready().await;
        let rows = self.rows(batch);
        let pause_ms = 1 + rows.iter().map(|row| row.1).sum::<u64>() % 4;
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        self.control.ready().await;
        let fault = self.world.lock().plan.of_write(self.control.number, &rows, number);
        if let Some(death) = self.death(batch, fault) {
            if death == Death::AfterAppend {
                self.commit(batch).await?;
            }
            let fault = match death {
                Death::BeforeAppend => Fault::KilledBeforeAppend,
                Death::AfterAppend => Fault::KilledAfterAppend,
            };
            self.world.lock().happened(fault, true);
            self.control.die();
            self.control.ready().await;
        }
        match fault {
            Some(Fault::LogUnavailable) => {
                self.world.lock().happened(Fault::LogUnavailable, true);
                Err(unavailable("write"))
            }
            Some(Fault::CommitUnknown) => {
                self.commit(batch).await?;
                self.world.lock().happened(Fault::CommitUnknown, true);
                Err(unavailable("write"))
            }
            _ => self.commit(batch).await,
        }
    }

    async fn load(&self, saga: SagaId, after: u64, max: u32) -> Result<Vec<LogRow>, StoreError> {
        self.readable("load").await?;
        self.shared.load(saga, after, max).await
    }

    async fn saga(&self, saga: SagaId) -> Result<Option<SagaRow>, StoreError> {
        self.readable("saga").await?;
        self.shared.saga(saga).await
    }

    async fn saga_by_key(&self, space: &str, key: &str) -> Result<Option<SagaRow>, StoreError> {
        self.ready().await;
        self.shared.saga_by_key(space, key).await
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        self.shared.list(query).await
    }

    async fn count(&self, query: &ListQuery) -> Result<Count, StoreError> {
        self.shared.count(query).await
    }

    async fn cause_groups(&self, query: &HeldQuery) -> Result<Vec<CauseGroup>, StoreError> {
        self.shared.cause_groups(query).await
    }

    async fn claimable(&self, query: &ClaimQuery<'_>) -> Result<Vec<SagaId>, StoreError> {
        self.readable("claimable").await?;
        self.shared.claimable(query).await
    }

    async fn held(&self, waiting_on: &str, sagas_max: u32) -> Result<Vec<SagaId>, StoreError> {
        self.readable("held").await?;
        self.shared.held(waiting_on, sagas_max).await
    }

    async fn clock_ms(&self) -> Result<Option<u64>, StoreError> {
        self.control.ready().await;
        let ahead_ms = self.world.lock().database_ahead_ms;
        Ok(Some(clock_ms(self.origin, ahead_ms)))
    }

    async fn oldest_open_ms(&self) -> Result<Option<u64>, StoreError> {
        self.shared.oldest_open_ms().await
    }

    async fn ages(&self, after: Option<SagaId>, rows_max: u32) -> Result<Vec<AgeRow>, StoreError> {
        self.shared.ages(after, rows_max).await
    }

    async fn next_wake_at_ms(&self) -> Result<Option<u64>, StoreError> {
        self.shared.next_wake_at_ms().await
    }

    async fn register_node(&self, node: NodeId, now_ms: u64) -> Result<(), StoreError> {
        self.ready().await;
        self.shared.register_node(node, now_ms).await
    }

    async fn beat(&self, node: NodeId, now_ms: u64) -> Result<bool, StoreError> {
        self.readable("beat").await?;
        self.shared.beat(node, now_ms).await
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        self.readable("nodes").await?;
        self.shared.nodes().await
    }

    async fn forget_node(&self, node: NodeId) -> Result<(), StoreError> {
        self.readable("forget_node").await?;
        self.shared.forget_node(node).await
    }

    async fn identity(&self) -> Result<LogIdentity, StoreError> {
        self.ready().await;
        self.shared.identity().await
    }

    async fn mark(&self, now_ms: u64) -> Result<(), StoreError> {
        self.ready().await;
        self.shared.mark(now_ms).await
    }

    async fn begin_epoch(&self, after: u64, epoch: &EpochRow) -> Result<bool, StoreError> {
        self.ready().await;
        self.shared.begin_epoch(after, epoch).await
    }

    async fn epochs(&self) -> Result<Vec<EpochRow>, StoreError> {
        self.shared.epochs().await
    }

    async fn act_on_participant(&self, act: &ParticipantAct) -> Result<bool, StoreError> {
        self.ready().await;
        self.shared.act_on_participant(act).await
    }

    async fn participant_acts(
        &self,
        participant: &str,
        rows_max: u32,
    ) -> Result<Vec<ParticipantAct>, StoreError> {
        self.shared.participant_acts(participant, rows_max).await
    }

    async fn newest_participant_acts(&self) -> Result<Vec<ParticipantAct>, StoreError> {
        self.ready().await;
        self.shared.newest_participant_acts().await
    }

    async fn definition_of_request(
        &self,
        request_id: &str,
    ) -> Result<Option<DefinitionRow>, StoreError> {
        self.shared.definition_of_request(request_id).await
    }

    async fn put_definition(&self, row: &DefinitionRow) -> Result<DefinitionRow, StoreError> {
        self.ready().await;
        self.shared.put_definition(row).await
    }

    async fn definition(
        &self,
        name: &str,
        version: u32,
    ) -> Result<Option<DefinitionRow>, StoreError> {
        self.ready().await;
        self.shared.definition(name, version).await
    }

    /// Nothing new: a node compiles a definition when it needs it, and not before.
    async fn definitions(&self) -> Result<Vec<DefinitionRow>, StoreError> {
        self.ready().await;
        Ok(Vec::new())
    }

    async fn retired(&self) -> Result<Vec<(String, u32)>, StoreError> {
        self.ready().await;
        self.shared.retired().await
    }
}
