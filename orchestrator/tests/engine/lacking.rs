//! A node that has not every participant in its configuration.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use orchestrator::{
    engine::Engine,
    participants::{CallRequest, Caller, OperationOf},
};
use saga_core::{Ending, Outcome, Resolution, SagaId};

use super::{
    outages::{Town, endings, engine},
    stores::{Fresh, Kind, start_of},
};

/// As `Town`, but this node has not everybody in its configuration.
#[derive(Debug)]
struct Without(Arc<Town>, &'static str);

#[async_trait]
impl Caller for Without {
    async fn call(&self, request: CallRequest<'_>) -> Outcome {
        assert_ne!(request.spec.participant, self.1, "it cannot be called from here");
        self.0.call(request).await
    }

    async fn resolve(&self, name: &str, operation: OperationOf, timeout: Duration) -> Resolution {
        self.0.resolve(name, operation, timeout).await
    }

    fn in_flight_max(&self, participant: &str) -> u32 {
        self.0.in_flight_max(participant)
    }

    fn knows(&self, participant: &str) -> bool {
        participant != self.1
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_hands_over_what_it_cannot_call() {
    let town = Town::new(16, &[]);
    let fresh = Fresh::open(Kind::Memory).await;
    let without = Arc::new(Without(Arc::clone(&town), "payment"));
    let whole = engine(&fresh.store, Arc::clone(&town) as Arc<dyn Caller>, 1_000).await;
    let lacks = engine(&fresh.store, without, 1_000).await;
    let saga = start_of(&lacks, "patient", "key").await;
    let ended = endings(&whole, &[saga], Duration::from_secs(20)).await;
    assert_eq!(ended, [Ending::Completed]);
    assert!(engine_rows(&whole, saga).await <= 9);
}

async fn engine_rows(engine: &Engine, saga: SagaId) -> usize {
    engine.rows(saga, 0, 1_000).await.unwrap().len()
}
