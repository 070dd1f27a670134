//! Who is taken for dead, and who is not.

use std::{sync::Arc, time::Duration};

use orchestrator::engine::{Engine, Limits, Snapshot};
use saga_core::{Direction::Forward, Ending, StepIndex};
use saga_log::Store;

use super::{
    script::{Fate, Scripted},
    stores::{Fresh, Kind, SAGA, engine_with, once, start, start_of},
};

/// A node is dead after ten beats of another one without one of its own.
fn quick() -> Limits {
    Limits {
        heartbeat_ms: 20,
        dead_after_ms: 200,
        claim_ms: 5,
        park_after_ms: 50,
        ..Limits::default()
    }
}

async fn beats(store: &dyn Store, engine: &Engine) -> u64 {
    let nodes = store.nodes().await.unwrap();
    nodes.iter().find(|row| row.node == engine.node()).and_then(|row| row.beats).unwrap_or(0)
}

#[tokio::test]
async fn a_node_that_drains_is_not_taken_for_dead() {
    for kind in [Kind::Memory, Kind::Postgres] {
        let fresh = Fresh::open(kind).await;
        let participants = Scripted::new(&[("pay", Forward, 1, Fate::Held)]);
        let first = engine_with(Arc::clone(&fresh.store), Arc::clone(&participants), quick()).await;
        let other = engine_with(Arc::clone(&fresh.store), Arc::clone(&participants), quick()).await;
        let saga = start(&first, "key").await;
        once(&first, saga, |snapshot| snapshot.state.step(StepIndex(1)).phase.is_out()).await;

        let stopping = tokio::spawn({
            let first = first.clone();
            async move { first.stop(Duration::from_secs(60)).await }
        });
        // Four times as long as it takes for a silent node to be dead.
        let enough = beats(&*fresh.store, &other).await + 40;
        while beats(&*fresh.store, &other).await < enough {
            tokio::task::yield_now().await;
        }
        let meanwhile = first.snapshot(saga).await.unwrap();
        assert_eq!(meanwhile.state.owner(), first.node(), "{kind:?}");
        assert!(!stopping.is_finished(), "{kind:?}: its call is out");

        participants.release();
        stopping.await.unwrap();
        let snapshot = once(&other, saga, |snapshot| snapshot.state.ended().is_some()).await;
        assert_eq!(snapshot.state.ended().unwrap().ending, Ending::Completed, "{kind:?}");
        assert_eq!(participants.effects().len(), 4, "{kind:?}: the answer was recorded");
        let nodes = fresh.store.nodes().await.unwrap();
        assert!(nodes.iter().all(|row| row.node != first.node()), "{kind:?}: it has left");
    }
}

/// A node was taken for dead while its call was out. The participant cannot be asked again.
#[tokio::test]
async fn an_answer_that_comes_after_a_take_over_is_kept() {
    for kind in [Kind::Memory, Kind::Postgres] {
        let fresh = Fresh::open(kind).await;
        let participants = Scripted::new(&[("pay", Forward, 1, Fate::Held)]);
        let first = engine_with(Arc::clone(&fresh.store), Arc::clone(&participants), quick()).await;
        let once_only = SAGA
            .replace("name: test\n", "name: once\n")
            .replace("resolve: { first: 1ms, factor: 2, max: 4ms }", "on_unknown: park");
        first.register(&once_only, "once.yaml").await.unwrap();
        let saga = start_of(&first, "once", "key").await;
        once(&first, saga, |snapshot| snapshot.state.step(StepIndex(1)).phase.is_out()).await;

        // Nobody says so but the one who takes over.
        let other = engine_with(Arc::clone(&fresh.store), Arc::clone(&participants), quick()).await;
        let owned = |snapshot: &Snapshot| snapshot.state.owner() == other.node();
        while !owned(&first.snapshot(saga).await.unwrap()) {
            fresh.store.forget_node(first.node()).await.unwrap();
            tokio::task::yield_now().await;
        }
        let is_stuck = |snapshot: &Snapshot| {
            snapshot.row.standing.stuck.as_ref().is_some_and(|it| it.reason == "OUTCOME_UNKNOWN")
        };
        once(&other, saga, is_stuck).await;

        participants.release();
        let snapshot = once(&other, saga, |snapshot| snapshot.state.ended().is_some()).await;
        assert_eq!(snapshot.state.ended().unwrap().ending, Ending::Completed, "{kind:?}");
        let paid = participants.effects().into_iter().filter(|(step, _)| step == "pay");
        assert_eq!(paid.count(), 1, "{kind:?}");
    }
}
