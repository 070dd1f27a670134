//! Takes the last rows of the log away under living nodes, as a failover to a standby that
//! was behind does. Whatever was lost of a saga, it is taken up where the log has it, ends,
//! and every effect happens once; nothing is asked of the log in a hurry.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use orchestrator::engine::{Engine, Limits, Snapshot};
use saga_core::{Direction::Forward, Ending, Event, SagaId, TurnBackReason};
use saga_log::{Link, OpenOptions, Store};
use sqlx::{Connection, PgConnection, SqliteConnection};

use super::{
    script::{Fate, Scripted},
    stores::{PATIENCE, engine_with, once, postgres_database, start},
};

const COPY: &str = "/* copy */
    create table past_event as select * from saga_event;
    create table past_saga as select * from saga;";

const GO_BACK: &str = "/* go_back */
    delete from saga_event; insert into saga_event select * from past_event;
    delete from saga; insert into saga select * from past_saga;
    commit;";

/// A log that can be set back to an earlier state, with two nodes on it.
#[derive(Debug)]
pub(crate) struct Past {
    url: String,
    pub(crate) store: Arc<dyn Store>,
    _folder: tempfile::TempDir,
}

impl Past {
    pub(crate) async fn open(on_postgres: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = match on_postgres {
            true => postgres_database().await,
            false => format!("sqlite:{}", folder.path().join("log.db").display()),
        };
        let options = OpenOptions { migrate: true, ..OpenOptions::default() };
        let store = saga_log::open(&url, options).await.unwrap();
        Self { url, store, _folder: folder }
    }

    /// What a standby that hears of nothing more would have.
    pub(crate) async fn copy(&self) {
        self.run("", COPY).await;
    }

    /// The failover to that standby. All at once, as nobody sees a part of it.
    pub(crate) async fn go_back(&self) {
        match self.url.starts_with("postgres") {
            true => self.run("begin; lock table saga_event, saga in exclusive mode;", GO_BACK),
            false => self.run("begin immediate;", GO_BACK),
        }
        .await;
    }

    async fn run(&self, begin: &str, statements: &str) {
        let all = sqlx::AssertSqlSafe(format!("{begin}{statements}"));
        if self.url.starts_with("postgres") {
            let mut connection = PgConnection::connect(&self.url).await.unwrap();
            sqlx::raw_sql(all).execute(&mut connection).await.unwrap();
        } else {
            let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
            sqlx::raw_sql(all).execute(&mut connection).await.unwrap();
        }
    }

    /// Nobody is taken for dead here: what is taken up again was lost.
    async fn node(&self, participants: &Arc<Scripted>) -> Engine {
        let limits = Limits { claim_ms: 5, dead_after_ms: 3_600_000, ..Limits::default() };
        engine_with(Arc::clone(&self.store), Arc::clone(participants), limits).await
    }

    async fn rows(&self, saga: SagaId) -> usize {
        self.store.load(saga, 0, u32::MAX).await.unwrap().len()
    }

    async fn until_rows(&self, saga: SagaId, rows: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.rows(saga).await < rows {
            assert!(Instant::now() < deadline, "it never had {rows} rows");
            tokio::task::yield_now().await;
        }
    }
}

const STEPS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_rows_a_saga_lost_it_ends_and_every_effect_happens_once() {
    let mut points = Vec::new();
    for on_postgres in [false, true] {
        for kept in 0..=STEPS {
            points.extend((kept..=STEPS).map(|seen| (on_postgres, kept, seen)));
        }
    }
    assert_eq!(points.len(), 30);
    for few in points.chunks(10) {
        join_all(few.iter().map(|(on_postgres, kept, seen)| lose(*on_postgres, *kept, *seen)))
            .await;
    }
}

/// The standby knows the answers of `kept` calls when it stops to hear, and the failover comes
/// when `seen` of them are in the log.
async fn lose(on_postgres: bool, kept: usize, seen: usize) {
    let past = Past::open(on_postgres).await;
    let held = ["reserve", "pay", "insert", "commit"].map(|step| (step, Forward, 0, Fate::Held));
    let participants = Scripted::new(&held);
    let first = past.node(&participants).await;
    let second = match on_postgres {
        true => past.node(&participants).await,
        false => first.clone(),
    };
    let saga = start(&first, "key").await;
    for answers in 0..=STEPS {
        // The first row is the start; each answer adds one. The last one ends the saga.
        past.until_rows(saga, answers + 1).await;
        if answers == kept {
            past.copy().await;
        }
        if answers == seen {
            break;
        }
        participants.release();
    }
    let before = past.rows(saga).await;
    let whole = first.links(saga).await.unwrap();
    assert!(whole.iter().all(|(_, link)| *link == Link::Whole), "{whole:?}");
    past.go_back().await;
    assert_eq!(before - past.rows(saga).await, seen - kept, "rows that were lost");
    (0..100).for_each(|_| participants.release());
    check_end(&second, saga, &participants, &format!("{on_postgres} {kept} of {seen}")).await;
    second.stop(Duration::from_secs(1)).await;
    first.stop(Duration::from_secs(1)).await;
}

async fn check_end(engine: &Engine, saga: SagaId, participants: &Scripted, point: &str) {
    let snapshot = once(engine, saga, |snapshot: &Snapshot| {
        snapshot.state.ended().is_some() && snapshot.row.standing.ended_at_ms.is_some()
    })
    .await;
    assert_eq!(snapshot.state.ended().unwrap().ending, Ending::Completed, "{point}");
    let all_once = ["reserve", "pay", "insert", "commit"].map(|step| (step.to_owned(), Forward));
    assert_eq!(participants.effects(), all_once, "{point}");
    // One history, made of what was kept and of what came behind the failover.
    let links = engine.links(saga).await.unwrap();
    assert!(links.iter().all(|(_, link)| *link == Link::Whole), "{point}: {links:?}");
}

/// The log lost a saga as a whole: nobody goes on with it, and nobody asks for it in a loop.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saga_whose_start_is_lost_is_left() {
    let past = Past::open(true).await;
    past.copy().await;
    let participants = Scripted::new(&[("pay", Forward, 0, Fate::Held)]);
    let node = past.node(&participants).await;
    let saga = start(&node, "key").await;
    past.until_rows(saga, 2).await;
    past.go_back().await;
    participants.release();
    let deadline = Instant::now() + PATIENCE;
    while node.sagas_in_flight() > 0 {
        assert!(Instant::now() < deadline, "it is still driven");
        tokio::task::yield_now().await;
    }
    assert_eq!(past.rows(saga).await, 0);
    // Whoever asks again, with the same key, is served.
    (0..100).for_each(|_| participants.release());
    let again = start(&node, "key").await;
    once(&node, again, |snapshot| snapshot.state.ended().is_some()).await;
}

/// In the rows that are lost the saga had turned back, and had undone everything. Participants
/// that answer a repeat as if its effect stood do not say so: they are asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saga_does_not_go_forward_over_what_lost_rows_have_undone() {
    let mut points = Vec::new();
    for on_postgres in [false, true] {
        for kept in 0..=1 {
            points.extend([true, false].map(|says_reversed| (on_postgres, kept, says_reversed)));
        }
    }
    assert_eq!(points.len(), 8);
    join_all(points.into_iter().map(|(on_postgres, kept, says_reversed)| {
        turn_back_unseen(on_postgres, kept, says_reversed)
    }))
    .await;
}

/// The standby knows the answers of `kept` calls.
async fn turn_back_unseen(on_postgres: bool, kept: usize, says_reversed: bool) {
    let point = format!("{on_postgres} {kept} {says_reversed}");
    let past = Past::open(on_postgres).await;
    let held = ["reserve", "pay"].map(|step| (step, Forward, 0, Fate::Held));
    let participants = match says_reversed {
        true => Scripted::new(&held),
        false => Scripted::simple(&held),
    };
    let node = past.node(&participants).await;
    let saga = start(&node, "key").await;
    past.until_rows(saga, 1).await;
    for answers in 1..=kept {
        participants.release();
        past.until_rows(saga, answers + 1).await;
    }
    past.copy().await;
    for answers in kept + 1..=1 {
        participants.release();
        past.until_rows(saga, answers + 1).await;
    }
    let (actor, reason) = ("ann".to_owned(), "changed my mind".to_owned());
    node.tell(saga, Event::CancelRequested { actor, reason, at_ms: 1, request_id: String::new() })
        .await
        .unwrap();
    participants.release();
    once(&node, saga, |snapshot| snapshot.row.standing.ended_at_ms.is_some()).await;
    let undone = participants.effects();
    assert_eq!(undone.len(), 4, "{point}: {undone:?}");

    past.go_back().await;
    (0..100).for_each(|_| participants.release());
    let snapshot = once(&node, saga, |snapshot| {
        snapshot.state.ended().is_some() && snapshot.row.standing.ended_at_ms.is_some()
    })
    .await;
    assert_eq!(snapshot.state.ended().unwrap().ending, Ending::Compensated, "{point}");
    let because = snapshot.state.turned_back();
    assert!(
        matches!(because, Some(TurnBackReason::UndoneInLostRows { .. })),
        "{point}: {because:?}"
    );
    assert_eq!(participants.effects(), undone, "{point}: nothing happens a second time");
    let epochs = past.store.epochs().await.unwrap();
    assert_eq!(epochs.len(), 2, "{point}: {epochs:?}");
    node.stop(Duration::from_secs(1)).await;
}
