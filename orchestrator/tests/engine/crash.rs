//! Kills the first owner at every append, before and after the write, and lets a second
//! node finish. Whatever the moment, the saga ends as if nobody had died and every
//! effect happens once (F01 to F09).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use orchestrator::engine::{Engine, Snapshot, StartedSaga};
use saga_core::{
    Direction::{Backward, Forward},
    Ending, SagaId,
};

use super::{
    mortal::{Death, MortalStore},
    script::{Fate, Scripted},
    stores::{
        Fresh, IMPATIENT, KINDS, PATIENT, approval, engine, insist, insist_on, once, order_of,
        start_of,
    },
};

type Script = &'static [(&'static str, saga_core::Direction, u32, Fate)];
type Effects = &'static [(&'static str, saga_core::Direction)];

const ALL_DONE: Effects =
    &[("reserve", Forward), ("pay", Forward), ("insert", Forward), ("commit", Forward)];
const TURNED_BACK: Effects =
    &[("reserve", Forward), ("pay", Forward), ("pay", Backward), ("reserve", Backward)];

/// One saga, and how it ends however often its owner dies.
#[derive(Clone, Copy)]
pub(crate) struct Course {
    pub(crate) definition: &'static str,
    pub(crate) script: Script,
    /// What the approver says, where there is one.
    pub(crate) signal: Option<&'static str>,
    pub(crate) ending: Ending,
    pub(crate) effects: Effects,
}

pub(crate) const SMOOTH: Course = Course {
    definition: "test",
    script: &[],
    signal: None,
    ending: Ending::Completed,
    effects: ALL_DONE,
};

/// The pivot is refused.
pub(crate) const REFUSED_AT_THE_PIVOT: Course = Course {
    script: &[("insert", Forward, 0, Fate::Refuse)],
    ending: Ending::Compensated,
    effects: TURNED_BACK,
    ..SMOOTH
};

/// Replies, and a request, are lost on the way there and back.
pub(crate) const LOST_REPLIES: Course = Course {
    script: &[
        ("pay", Forward, 1, Fate::LoseReply),
        ("insert", Forward, 0, Fate::Refuse),
        ("pay", Backward, 1, Fate::LoseReply),
        ("reserve", Backward, 1, Fate::LoseRequest),
    ],
    ..REFUSED_AT_THE_PIVOT
};

/// A participant is not reached for longer than a policy has attempts: no saga turns back.
pub(crate) const DOWN: Course = Course {
    script: &[
        ("pay", Forward, 1, Fate::NotSent),
        ("pay", Forward, 2, Fate::NotSent),
        ("pay", Forward, 3, Fate::NotSent),
        ("pay", Forward, 4, Fate::NotSent),
    ],
    ..SMOOTH
};

/// A person says yes.
pub(crate) const APPROVED: Course = Course {
    definition: PATIENT,
    signal: Some(r#"{"approved": true}"#),
    effects: &[("reserve", Forward), ("insert", Forward)],
    ..SMOOTH
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_smooth_saga_survives_every_death() {
    check(SMOOTH, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_at_the_pivot_survives_every_death() {
    check(REFUSED_AT_THE_PIVOT, 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_replies_in_both_directions_survive_every_death() {
    check(LOST_REPLIES, 7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outcome_that_stays_unknown_survives_every_death() {
    let script: Script = &[("pay", Forward, 0, Fate::LoseRequest)];
    let effects: Effects = &[("reserve", Forward), ("reserve", Backward)];
    check(Course { script, ending: Ending::Compensated, effects, ..SMOOTH }, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_participant_that_is_down_survives_every_death() {
    check(DOWN, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_survives_every_death() {
    check(APPROVED, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_survives_every_death() {
    let effects: Effects = &[("reserve", Forward), ("reserve", Backward), ("paid", Backward)];
    let (ending, signal) = (Ending::Compensated, Some("{}"));
    check(Course { definition: PATIENT, signal, ending, effects, ..SMOOTH }, 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_survives_every_death() {
    let effects: Effects = &[("reserve", Forward), ("reserve", Backward)];
    let ending = Ending::Compensated;
    check(Course { definition: IMPATIENT, ending, effects, ..SMOOTH }, 4).await;
}

/// Lets the first owner die at each of its appends, on each kind of log. `appends_min` is
/// how many there are at least when nobody dies: a pause that is over before the answer
/// is appended saves one.
async fn check(course: Course, appends_min: u32) {
    for kind in KINDS {
        let fresh = Fresh::open(kind).await;
        let mut deaths = 0;
        for death in [Death::BeforeWrite, Death::AfterWrite] {
            for at_append in 0.. {
                if !survives(&fresh, course, death, at_append).await {
                    break;
                }
                deaths += 1;
            }
        }
        assert!(2 * appends_min <= deaths, "{kind:?}: {deaths} deaths, {appends_min} appends");
    }
}

/// False where the first owner lived to the end: there is no such append.
async fn survives(fresh: &Fresh, course: Course, death: Death, at_append: u32) -> bool {
    let Course { definition, script, signal, ending, effects } = course;
    let kind = fresh.store.kind();
    let key = format!("{death:?} at append {at_append}");
    let participants = Scripted::new(script);
    let dead = tokio::sync::watch::Sender::new(false);
    let mut died = dead.subscribe();
    let mortal = Arc::new(MortalStore {
        inner: Arc::clone(&fresh.store),
        death,
        appends_left: AtomicU32::new(at_append),
        dead,
        dying: AtomicBool::new(false),
        halt: None,
        tail: None,
    });
    let first = engine(mortal.clone(), Arc::clone(&participants)).await;
    let order = order_of(&first, definition, &key).await;
    let starting = tokio::spawn({
        let (first, order) = (first.clone(), order.clone());
        async move {
            if let Ok(StartedSaga::New { saga, .. }) = insist(&first, order).await
                && signal.is_some()
            {
                let waits = |it: &Snapshot| it.row.standing.waiting_on.is_some();
                once(&first, saga, waits).await;
                approve(&first, saga, signal).await;
            }
        }
    });
    let ended = async {
        let saga = loop {
            match fresh.store.saga_by_key("", &key).await.unwrap() {
                Some(row) => break row.saga,
                None => tokio::task::yield_now().await,
            }
        };
        once(&first, saga, |snapshot| snapshot.state.ended().is_some()).await;
    };
    tokio::select! {
        _ = died.wait_for(|dead| *dead) => {}
        () = ended => {}
    }
    let lived = !mortal.dying.load(Ordering::SeqCst);
    // Who lived to the end dies now: he would take over the saga of the next death, and call
    // participants that the next one does not look at.
    mortal.dead.send_replace(true);

    let second = engine(Arc::clone(&fresh.store), Arc::clone(&participants)).await;
    // The client asks again, with the same key: its first answer may never have come.
    let saga = start_of(&second, definition, &key).await;
    approve(&second, saga, signal).await;
    let snapshot = once(&second, saga, |snapshot| snapshot.state.ended().is_some()).await;
    starting.abort();

    let expected: Vec<_> =
        effects.iter().map(|(step, direction)| ((*step).to_owned(), *direction)).collect();
    assert_eq!(participants.effects(), expected, "{kind} {key}");
    assert_eq!(snapshot.state.ended().unwrap().ending, ending, "{kind} {key}");
    second.stop(Duration::ZERO).await;
    !lived
}

/// What the approver does, and does again, as the same request, where no answer came.
pub(crate) async fn approve(engine: &Engine, saga: SagaId, signal: Option<&str>) {
    if let Some(says) = signal {
        let signal = approval(engine, "r-1", says).await;
        insist_on(engine, saga, &signal).await.unwrap();
    }
}
