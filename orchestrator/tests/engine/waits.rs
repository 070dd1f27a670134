//! Sagas that wait for a signal: they leave the memory, and whoever is there when the signal
//! or the timer comes goes on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use orchestrator::engine::{Limits, ReachError, SignalError, Signalled, Snapshot};
use saga_core::{
    Direction::{Backward, Forward},
    Ending, Event, StepIndex, StepPhase, TurnBackReason,
};
use saga_log::Status;

use super::{
    mortal::{Death, Halt, MortalStore},
    script::{Fate, Scripted},
    stores::{
        Fresh, IMPATIENT, KINDS, Kind, PATIENCE, PATIENT, approval, engine, engine_with, insist_on,
        once, start_of,
    },
};

const RESERVE: StepIndex = StepIndex(1);
const APPROVAL: StepIndex = StepIndex(2);
const YES: &str = r#"{"approved": true, "note": "fine"}"#;
const NO: &str = r#"{"note": "not this one"}"#;

fn is_parked(snapshot: &Snapshot) -> bool {
    snapshot.row.standing.owner.is_none() && snapshot.row.standing.waiting_on.is_some()
}

fn has_ended(snapshot: &Snapshot) -> bool {
    snapshot.state.ended().is_some()
}

fn effects(effects: &[(&str, saga_core::Direction)]) -> Vec<(String, saga_core::Direction)> {
    effects.iter().map(|(step, direction)| ((*step).to_owned(), *direction)).collect()
}

#[tokio::test]
async fn a_saga_that_waits_is_on_no_node_and_any_node_takes_its_signal() {
    for kind in KINDS {
        let fresh = Fresh::open(kind).await;
        let participants = Scripted::new(&[]);
        let first = engine(Arc::clone(&fresh.store), Arc::clone(&participants)).await;
        let other = engine(Arc::clone(&fresh.store), Arc::clone(&participants)).await;
        let saga = start_of(&first, PATIENT, "key").await;
        let parked = once(&first, saga, is_parked).await;
        let standing = &parked.row.standing;
        assert_eq!(standing.waiting_on.as_deref(), Some("signal approval"), "{kind:?}");
        assert_eq!(standing.status, Status::Running);
        let StepPhase::Waiting { since_ms } = parked.state.step(APPROVAL).phase else {
            panic!("{kind:?}: {:?}", parked.state.step(APPROVAL));
        };
        assert_eq!(standing.wake_at_ms, Some(since_ms + 30 * 60_000), "{kind:?}: its timer");
        while first.sagas_in_flight() + other.sagas_in_flight() > 0 {
            tokio::task::yield_now().await;
        }

        let yes = approval(&other, "r-1", YES).await;
        let told = insist_on(&other, saga, &yes).await.unwrap();
        assert!(matches!(told, Signalled::Now(_)), "{kind:?}");
        let ended = once(&other, saga, has_ended).await;
        assert_eq!(ended.state.ended().unwrap().ending, Ending::Completed, "{kind:?}");
        assert_eq!(ended.state.step(APPROVAL).reply.as_ref(), Some(&yes.payload));
        assert_eq!(ended.row.standing.waiting_on, None);
        assert_eq!(participants.effects(), effects(&[("reserve", Forward), ("insert", Forward)]));
    }
}

#[tokio::test]
async fn a_signal_that_says_no_turns_back_with_its_reason() {
    for kind in KINDS {
        let fresh = Fresh::open(kind).await;
        let participants = Scripted::new(&[]);
        let engine = engine(Arc::clone(&fresh.store), Arc::clone(&participants)).await;
        let saga = start_of(&engine, PATIENT, "key").await;
        let no = approval(&engine, "r-1", NO).await;
        insist_on(&engine, saga, &no).await.unwrap();
        let ended = once(&engine, saga, has_ended).await;
        let reason = "REFUND_DENIED".to_owned();
        let because = TurnBackReason::StepRejected { step: APPROVAL, reason };
        assert_eq!(ended.state.turned_back(), Some(&because), "{kind:?}");
        // The compensation of the payment asks for this reason.
        let undone = [("reserve", Forward), ("reserve", Backward), ("paid", Backward)];
        assert_eq!(participants.effects(), effects(&undone), "{kind:?}");
    }
}

#[tokio::test]
async fn a_timer_ends_a_wait_that_nobody_ends() {
    for kind in KINDS {
        let fresh = Fresh::open(kind).await;
        let participants = Scripted::new(&[]);
        // Parked at once, so that the index wakes it and not its driver.
        let limits = Limits { claim_ms: 5, park_after_ms: 0, ..Limits::default() };
        let store = Arc::clone(&fresh.store);
        let engine = engine_with(store, Arc::clone(&participants), limits).await;
        let saga = start_of(&engine, IMPATIENT, "key").await;
        let ended = once(&engine, saga, has_ended).await;
        let reason = "SIGNAL_TIMEOUT".to_owned();
        let because = TurnBackReason::StepRejected { step: APPROVAL, reason };
        assert_eq!(ended.state.turned_back(), Some(&because), "{kind:?}");
        assert!(ended.state.epoch().0 > 1, "{kind:?}: it was parked and taken up again");
        assert_eq!(ended.state.step(StepIndex(0)).phase, StepPhase::Kept, "{kind:?}");
        let undone = [("reserve", Forward), ("reserve", Backward)];
        assert_eq!(participants.effects(), effects(&undone), "{kind:?}");
    }
}

/// The driver leaves at the very moment at which it is told: the signal is not lost with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_that_meets_a_saga_as_it_parks_is_answered() {
    let fresh = Fresh::open(Kind::Memory).await;
    let limits = Limits { park_after_ms: 0, ..Limits::default() };
    let engine = engine_with(Arc::clone(&fresh.store), Scripted::new(&[]), limits).await;
    for number in 0..4_000 {
        let saga = start_of(&engine, PATIENT, &format!("key {number}")).await;
        // What a client needs to send it differs; so the two meet in some of the rounds.
        for _ in 0..number % 40 {
            std::hint::spin_loop();
        }
        let yes = approval(&engine, "r-1", YES).await;
        let told = tokio::time::timeout(PATIENCE, insist_on(&engine, saga, &yes)).await;
        let told = told.unwrap_or_else(|_| panic!("signal {number} was never answered"));
        assert!(matches!(told, Ok(Signalled::Now(_) | Signalled::Before(_))), "{told:?}");
    }
}

#[tokio::test]
async fn a_signal_that_comes_early_is_kept() {
    for kind in KINDS {
        let fresh = Fresh::open(kind).await;
        // The step before the wait does not answer its first call.
        let participants = Scripted::new(&[("reserve", Forward, 1, Fate::Hang)]);
        let first = engine(Arc::clone(&fresh.store), Arc::clone(&participants)).await;
        let saga = start_of(&first, PATIENT, "key").await;
        let yes = approval(&first, "r-1", YES).await;
        let Signalled::Now(early) = insist_on(&first, saga, &yes).await.unwrap() else {
            panic!("{kind:?}: it is the first one");
        };
        assert!(early.state.step(RESERVE).phase.is_out(), "{kind:?}");
        assert_eq!(early.state.step(APPROVAL).phase, StepPhase::Pending, "{kind:?}");

        let second = engine(Arc::clone(&fresh.store), Arc::clone(&participants)).await;
        first.stop(Duration::ZERO).await;
        let ended = once(&second, saga, has_ended).await;
        assert_eq!(ended.state.ended().unwrap().ending, Ending::Completed, "{kind:?}");
    }
}

#[tokio::test]
async fn the_first_signal_counts_and_its_request_may_be_repeated() {
    for kind in KINDS {
        let fresh = Fresh::open(kind).await;
        let participants = Scripted::new(&[("insert", Forward, 1, Fate::Hang)]);
        let engine = engine(Arc::clone(&fresh.store), Arc::clone(&participants)).await;
        let saga = start_of(&engine, PATIENT, "key").await;
        let yes = approval(&engine, "r-1", YES).await;
        insist_on(&engine, saga, &yes).await.unwrap();
        once(&engine, saga, |it| it.state.step(APPROVAL).phase == StepPhase::Applied).await;

        let again = insist_on(&engine, saga, &yes).await.unwrap();
        assert!(matches!(again, Signalled::Before(_)), "{kind:?}");
        let other = approval(&engine, "r-1", NO).await;
        let reused = insist_on(&engine, saga, &other).await.unwrap_err();
        assert!(matches!(reused, SignalError::RequestIdReused), "{kind:?}: {reused:?}");
        let second = approval(&engine, "r-2", YES).await;
        let given = insist_on(&engine, saga, &second).await.unwrap_err();
        assert!(matches!(given, SignalError::AlreadyGiven), "{kind:?}: {given:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_signals_at_once_one_counts() {
    for kind in KINDS {
        let fresh = Fresh::open(kind).await;
        let participants = Scripted::new(&[]);
        let nodes = [
            engine(Arc::clone(&fresh.store), Arc::clone(&participants)).await,
            engine(Arc::clone(&fresh.store), Arc::clone(&participants)).await,
        ];
        let saga = start_of(&nodes[0], PATIENT, "key").await;
        let asked = (0..16).map(|number| {
            let node = nodes[number % 2].clone();
            async move {
                let says = if number % 3 == 0 { NO } else { YES };
                let signal = approval(&node, &format!("r-{number}"), says).await;
                insist_on(&node, saga, &signal).await.map(|_| signal)
            }
        });
        let answers = futures::future::join_all(asked).await;
        let taken: Vec<_> = answers.iter().filter_map(|it| it.as_ref().ok()).collect();
        let [taken] = taken.as_slice() else { panic!("{kind:?}: {answers:?}") };
        for refused in answers.iter().filter_map(|it| it.as_ref().err()) {
            let known = matches!(refused, SignalError::AlreadyGiven | SignalError::Ended);
            assert!(known, "{kind:?}: {refused:?}");
        }
        let ended = once(&nodes[0], saga, has_ended).await;
        let kept = ended.state.step(APPROVAL).signal.clone().unwrap();
        assert_eq!(
            (kept.request_id, kept.payload),
            (taken.request_id.clone(), taken.payload.clone())
        );
    }
}

#[tokio::test]
async fn a_cancel_ends_a_wait_and_a_signal_then_comes_too_late() {
    for kind in KINDS {
        let fresh = Fresh::open(kind).await;
        let participants = Scripted::new(&[("reserve", Backward, 1, Fate::Fault)]);
        let engine = engine(Arc::clone(&fresh.store), Arc::clone(&participants)).await;
        let saga = start_of(&engine, PATIENT, "key").await;
        once(&engine, saga, is_parked).await;
        let cancel = Event::CancelRequested {
            actor: String::new(),
            reason: String::new(),
            at_ms: 1,
            request_id: String::new(),
        };
        engine.tell(saga, cancel).await.unwrap();
        once(&engine, saga, |it| it.state.turned_back().is_some()).await;
        let yes = approval(&engine, "r-1", YES).await;
        let late = insist_on(&engine, saga, &yes).await.unwrap_err();
        assert!(matches!(late, SignalError::TooLate | SignalError::Ended), "{kind:?}: {late:?}");

        let ended = once(&engine, saga, has_ended).await;
        assert_eq!(ended.state.turned_back(), Some(&TurnBackReason::Cancelled), "{kind:?}");
        assert_eq!(ended.state.step(StepIndex(0)).phase, StepPhase::Kept, "{kind:?}");
        let late = insist_on(&engine, saga, &yes).await.unwrap_err();
        assert!(matches!(late, SignalError::Ended), "{kind:?}: {late:?}");
    }
}

/// The index says one moment that the saga is driven, and the next that it is parked. Who
/// puts a fact into the log in between must not leave it parked (no limbo, L6).
#[tokio::test]
async fn a_fact_that_comes_while_a_saga_parks_wakes_it() {
    let fresh = Fresh::open(Kind::Memory).await;
    let participants = Scripted::new(&[("reserve", Forward, 1, Fate::Held)]);
    let owner = engine(Arc::clone(&fresh.store), Arc::clone(&participants)).await;
    let halt = Arc::new(Halt::default());
    let halting = Arc::new(MortalStore {
        inner: Arc::clone(&fresh.store),
        death: Death::BeforeWrite,
        appends_left: AtomicU32::new(u32::MAX),
        dead: tokio::sync::watch::Sender::new(false),
        dying: AtomicBool::new(false),
        tail: None,
        halt: Some(Arc::clone(&halt)),
    });
    let other = engine(halting, Arc::clone(&participants)).await;
    let saga = start_of(&owner, PATIENT, "key").await;

    halt.armed.store(true, Ordering::SeqCst);
    let telling = tokio::spawn(async move {
        other
            .tell(
                saga,
                Event::CancelRequested {
                    actor: String::new(),
                    reason: String::new(),
                    at_ms: 1,
                    request_id: String::new(),
                },
            )
            .await
    });
    halt.reached.acquire().await.unwrap().forget();
    participants.release();
    once(&owner, saga, is_parked).await;
    halt.go_on.add_permits(1);
    telling.await.unwrap().unwrap();
    let ended = once(&owner, saga, has_ended).await;
    assert_eq!(ended.state.turned_back(), Some(&TurnBackReason::Cancelled));
}

#[tokio::test]
async fn a_saga_that_is_not_there_takes_no_signal() {
    let fresh = Fresh::open(Kind::Memory).await;
    let engine = engine(Arc::clone(&fresh.store), Scripted::new(&[])).await;
    let yes = approval(&engine, "r-1", YES).await;
    let nobody = saga_core::SagaId(uuid::Uuid::nil());
    let missing = engine.signal(nobody, yes).await.unwrap_err();
    assert!(matches!(missing, SignalError::Reach(ReachError::NotFound)), "{missing:?}");
}
