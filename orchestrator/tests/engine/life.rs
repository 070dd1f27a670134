//! What clients, operators and other nodes do to sagas while they live.

use std::{sync::Arc, time::Duration};

use orchestrator::engine::{Limits, ReachError, StartError, StartSaga, StartedSaga};
use saga_core::{
    Direction::{Backward, Forward},
    Ending, Event, OperatorAct, Settled, StepIndex, TurnBackReason,
};

use super::{
    script::{Fate, Scripted},
    stores::{Fresh, KINDS, Kind, engine, engine_with, once, order, start},
};

fn cancel() -> Event {
    let (actor, reason) = ("ann".to_owned(), "changed my mind".to_owned());
    Event::CancelRequested { actor, reason, at_ms: 1, request_id: String::new() }
}

#[tokio::test]
async fn a_start_is_idempotent_for_its_business_key() {
    for kind in KINDS {
        let fresh = Fresh::open(kind).await;
        let engine = engine(Arc::clone(&fresh.store), Scripted::new(&[])).await;
        let first = start(&engine, "key").await;
        assert_eq!(start(&engine, "key").await, first, "{kind:?}");
        assert_ne!(start(&engine, "other").await, first, "{kind:?}");

        let changed = StartSaga { request_hash: [2; 32], ..order(&engine, "key").await };
        let reused = engine.start_saga(changed).await.unwrap_err();
        assert!(matches!(reused, StartError::KeyReused { .. }), "{kind:?}: {reused:?}");
    }
}

#[tokio::test]
async fn a_hundred_simultaneous_starts_of_one_key_make_one_saga() {
    let fresh = Fresh::open(Kind::Sqlite).await;
    let participants = Scripted::new(&[]);
    let engine = engine(Arc::clone(&fresh.store), Arc::clone(&participants)).await;
    let starts = (0..100).map(|_| start(&engine, "key"));
    let sagas = futures::future::join_all(starts).await;
    assert!(sagas.iter().all(|saga| *saga == sagas[0]));
    once(&engine, sagas[0], |snapshot| snapshot.state.ended().is_some()).await;
    assert_eq!(participants.effects().len(), 4);
}

#[tokio::test]
async fn a_cancel_before_the_pivot_undoes_what_was_done() {
    for kind in KINDS {
        let fresh = Fresh::open(kind).await;
        let participants = Scripted::new(&[("pay", Forward, 0, Fate::Fault)]);
        let owner = engine(Arc::clone(&fresh.store), Arc::clone(&participants)).await;
        let other = engine(Arc::clone(&fresh.store), Arc::clone(&participants)).await;
        let saga = start(&owner, "key").await;
        let is_stuck = |snapshot: &orchestrator::engine::Snapshot| {
            snapshot.row.standing.stuck.as_ref().is_some_and(|it| it.reason == "WIRING_FAULT")
        };
        once(&owner, saga, is_stuck).await;

        // Any node takes a cancel, whoever drives the saga.
        let mut told = other.tell(saga, cancel()).await;
        while matches!(told, Err(ReachError::Contended)) {
            told = other.tell(saga, cancel()).await;
        }
        told.unwrap();
        let snapshot = once(&other, saga, |snapshot| snapshot.state.ended().is_some()).await;
        assert_eq!(snapshot.state.turned_back(), Some(&TurnBackReason::Cancelled), "{kind:?}");
        let undone = [("reserve".to_owned(), Forward), ("reserve".to_owned(), Backward)];
        assert_eq!(participants.effects(), undone, "{kind:?}");
        let late = other.tell(saga, cancel()).await.unwrap_err();
        assert!(matches!(late, ReachError::DoesNotFit), "{kind:?}: {late:?}");
    }
}

#[tokio::test]
async fn a_cancel_behind_the_pivot_comes_too_late() {
    let fresh = Fresh::open(Kind::Memory).await;
    let participants = Scripted::new(&[("commit", Forward, 1, Fate::Fault)]);
    let engine = engine(Arc::clone(&fresh.store), Arc::clone(&participants)).await;
    let saga = start(&engine, "key").await;
    once(&engine, saga, |snapshot| snapshot.state.passed_pivot(&snapshot.definition.core)).await;
    // It may have ended already, which is too late as well.
    let _ = engine.tell(saga, cancel()).await;
    let snapshot = once(&engine, saga, |snapshot| snapshot.state.ended().is_some()).await;
    assert_eq!(snapshot.state.ended().unwrap().ending, Ending::Completed);
    assert_eq!(snapshot.state.turned_back(), None);
}

#[tokio::test]
async fn a_node_that_stops_hands_its_sagas_over_at_once() {
    for kind in KINDS {
        let fresh = Fresh::open(kind).await;
        let broken = Scripted::new(&[("pay", Forward, 0, Fate::Fault)]);
        // Nobody is taken for dead in this test: what is taken over was handed over.
        let patient = Limits {
            dead_after_ms: 3_600_000,
            claim_ms: 5,
            park_after_ms: 60_000,
            ..Limits::default()
        };
        let first = engine_with(Arc::clone(&fresh.store), broken, patient).await;
        let saga = start(&first, "key").await;
        once(&first, saga, |snapshot| snapshot.row.standing.stuck.is_some()).await;

        let mended = Scripted::new(&[]);
        let second = engine_with(Arc::clone(&fresh.store), mended, patient).await;
        first.stop(Duration::from_secs(10)).await;
        let snapshot = once(&second, saga, |snapshot| snapshot.state.ended().is_some()).await;
        assert_eq!(snapshot.state.ended().unwrap().ending, Ending::Completed, "{kind:?}");
        assert_eq!(snapshot.state.owner(), second.node(), "{kind:?}");
    }
}

#[tokio::test]
async fn a_saga_whose_driver_crashes_is_set_aside_and_others_go_on() {
    let fresh = Fresh::open(Kind::Memory).await;
    let participants = Scripted::new(&[("pay", Forward, 0, Fate::Panic)]);
    let engine = engine(Arc::clone(&fresh.store), participants).await;
    let saga = start(&engine, "poison").await;
    let snapshot = once(&engine, saga, |snapshot| snapshot.row.standing.stuck.is_some()).await;
    let stuck = snapshot.row.standing.stuck.unwrap();
    assert_eq!(stuck.reason, "DRIVER_CRASHED");
    assert_eq!(snapshot.row.standing.waiting_on.as_deref(), Some("operator"));
    assert_eq!(engine.sagas_in_flight(), 0, "the process lives and has room");
}

#[tokio::test]
async fn a_start_beyond_the_limit_is_turned_away_and_the_accepted_end() {
    let fresh = Fresh::open(Kind::Memory).await;
    let participants = Scripted::new(&[("pay", Forward, 0, Fate::Hang)]);
    let limits = Limits { sagas_max: 2, ..Limits::default() };
    let engine = engine_with(Arc::clone(&fresh.store), participants, limits).await;
    start(&engine, "first").await;
    start(&engine, "second").await;
    let third = engine.start_saga(order(&engine, "third").await).await.unwrap_err();
    assert!(matches!(third, StartError::Overloaded), "{third:?}");
    assert!(fresh.store.saga_by_key("", "third").await.unwrap().is_none());
}

#[tokio::test]
async fn an_operator_settles_what_the_engine_cannot_find_out() {
    let fresh = Fresh::open(Kind::Memory).await;
    let participants = Scripted::new(&[("commit", Forward, 0, Fate::Refuse)]);
    let engine = engine(Arc::clone(&fresh.store), participants).await;
    let saga = start(&engine, "key").await;
    let snapshot = once(&engine, saga, |snapshot| snapshot.row.standing.stuck.is_some()).await;
    assert_eq!(snapshot.row.standing.stuck.unwrap().reason, "REJECTED_AFTER_PIVOT");
    let settled = Event::OperatorActed {
        actor: "ann".to_owned(),
        reason: "done by hand".to_owned(),
        act: OperatorAct::Settle {
            step: StepIndex(3),
            call: None,
            settled: Settled::Applied,
            reply: None,
        },
        at_ms: 1,
        request_id: String::new(),
    };
    engine.tell(saga, settled).await.unwrap();
    let snapshot = once(&engine, saga, |snapshot| snapshot.state.ended().is_some()).await;
    assert_eq!(snapshot.state.ended().unwrap().ending, Ending::Completed);
    assert!(matches!(
        engine.start_saga(order(&engine, "key").await).await,
        Ok(StartedSaga::Existing(_))
    ));
}
