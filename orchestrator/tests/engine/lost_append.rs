//! Takes the newest rows away behind every append, told of as durable, under a node that lives
//! and goes on. What was lost is asked again under the same operation ids, so every effect
//! happens once, and the saga ends as if nothing had been lost, or says what contradicts its log.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32},
};

use futures::future::join_all;
use orchestrator::engine::Snapshot;
use saga_core::Ending;
use tokio::sync::watch;

use super::{
    crash::{APPROVED, Course, DOWN, LOST_REPLIES, REFUSED_AT_THE_PIVOT, SMOOTH, approve},
    lost_tail::Past,
    mortal::{Death, MortalStore, Tail},
    script::Scripted,
    stores::{approval, engine, insist_on, once, start_of},
};

/// Losses that are tried at the same time.
const TOGETHER: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_smooth_saga_survives_every_loss() {
    check(SMOOTH, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_at_the_pivot_survives_every_loss() {
    check(REFUSED_AT_THE_PIVOT, 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_replies_in_both_directions_survive_every_loss() {
    check(LOST_REPLIES, 7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_participant_that_is_down_survives_every_loss() {
    check(DOWN, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_survives_every_loss() {
    check(APPROVED, 5).await;
}

/// Loses the newest row behind each append, and on SQLite also the two newest. `appends_min`
/// is how many appends there are at least.
async fn check(course: Course, appends_min: u32) {
    for (on_postgres, appends) in [(false, 1), (false, 2), (true, 1)] {
        let mut losses = 0;
        for first in (appends - 1..).step_by(TOGETHER) {
            let points = (first..).take(TOGETHER);
            let tried = points.map(|at| survives(on_postgres, course, appends, at));
            let lost = join_all(tried).await.into_iter().filter(|it| *it).count();
            losses += lost;
            if lost < TOGETHER {
                break;
            }
        }
        let losses_min = usize::try_from(appends_min + 1 - appends).unwrap();
        assert!(losses_min <= losses, "{losses} losses of {appends} appends");
    }
}

/// False where the saga ended before: there is no such append.
async fn survives(on_postgres: bool, course: Course, appends: u32, at_append: u32) -> bool {
    let Course { definition, script, signal, ending, effects } = course;
    let point = format!("{appends} behind append {at_append}, on PostgreSQL: {on_postgres}");
    let past = Arc::new(Past::open(on_postgres).await);
    let participants = Scripted::new(script);
    let lost = watch::Sender::new(false);
    let (mut is_lost, was_lost) = (lost.subscribe(), lost.subscribe());
    let written = AtomicU32::new(0);
    let tail = Tail { past: Arc::clone(&past), at_append, appends, written, lost };
    let store = Arc::new(MortalStore {
        inner: Arc::clone(&past.store),
        death: Death::AfterWrite,
        appends_left: AtomicU32::new(0),
        dead: watch::Sender::new(false),
        dying: AtomicBool::new(false),
        halt: None,
        tail: Some(tail),
    });
    let node = engine(store, Arc::clone(&participants)).await;
    let goes_on = tokio::spawn({
        let node = node.clone();
        async move {
            let saga = start_of(&node, definition, "key").await;
            if let Some(says) = signal {
                let signal = approval(&node, "r-1", says).await;
                // Nobody is there where the log has lost the saga meanwhile.
                let _ = insist_on(&node, saga, &signal).await;
            }
            once(&node, saga, is_over).await;
        }
    });
    tokio::select! {
        biased;
        _ = is_lost.wait_for(|lost| *lost) => {}
        _ = goes_on => {}
    }
    // The client asks again, with the same key: the log may have lost the saga, or the signal.
    let saga = start_of(&node, definition, "key").await;
    approve(&node, saga, signal).await;
    let snapshot = once(&node, saga, is_over).await;

    let expected: Vec<_> =
        effects.iter().map(|(step, direction)| ((*step).to_owned(), *direction)).collect();
    let happened = participants.effects();
    match snapshot.state.ended() {
        Some(ended) => {
            assert_eq!(ended.ending, ending, "{point}");
            assert_eq!(happened, expected, "{point}");
        }
        // The log has lost that it turned back: it would go forward over what is undone.
        None => {
            assert_eq!(ending, Ending::Compensated, "{point}");
            assert!(expected.starts_with(&happened), "{point}: {happened:?}");
        }
    }
    node.stop(std::time::Duration::ZERO).await;
    *was_lost.borrow()
}

/// Whether it ended, or a person is called because a participant knows more than the log.
fn is_over(snapshot: &Snapshot) -> bool {
    let standing = &snapshot.row.standing;
    let contradicts = standing.stuck.as_ref().is_some_and(|it| it.reason == "CONTRADICTION");
    contradicts || (snapshot.state.ended().is_some() && standing.ended_at_ms.is_some())
}
