//! An evening of incidents, with the real programs: what happens around the engine decides when
//! sagas go on, never what becomes of them; and who is on call reads what it is.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use futures::future::join_all;
use orchestrator::clock::{Clock as _, SystemClock};
use saga_proto::saga::v1::{ListSagasRequest, SagaState, StepState};
use saga_tests::{
    condition::eventually,
    order::{MUG, OWNER, Order},
    process::run,
    sagas::assert_completed,
    shop::{Database, Node, Shop},
};
use serde_json::{Value, json};
use tokio::{net::TcpStream, process::Command, time::sleep};

use crate::sagactl::sagactl;

/// Sagas that wait in one incident.
const ORDERS: usize = 40;

/// Rows of a saga at the end of an outage: its start, the step before, what it waits for with, the
/// take-over, and the rest of its steps.
const ROWS_MAX: u64 = 16;

fn orders(of: &str) -> Vec<Order> {
    (0..ORDERS).map(|it| Order::of(&format!("order-{of}-{it}"), 1, MUG)).collect()
}

/// A participant that refuses connections: all wait, none turns back, and whoever is on call
/// reads the cause although nothing needs a person.
#[tokio::test]
async fn a_participant_that_is_down_is_waited_for_and_told() {
    let mut shop = Shop::open(Database::Postgres).await;
    let orders = orders("down");
    shop.authenticate_all(&orders).await;
    shop.payment.kill().await;
    join_all(orders.iter().map(|order| shop.insist(order))).await;
    let causes = eventually("all of them wait for one cause", async || {
        let causes = causes(&shop).await;
        let waiting: u64 = causes.iter().filter_map(|it| sagas(&it["sagas"])).sum();
        (waiting == ORDERS as u64).then_some(causes)
    })
    .await;
    for cause in &causes {
        assert_eq!(cause["participant"], "payment", "{causes:#?}");
    }
    let stuck = sagactl(&shop, &["stuck"]).await;
    assert!(!stuck.stdout.contains("order-down"), "nothing needs a person: {}", stuck.stdout);
    let waited = rows(&shop, &orders).await;

    // An outage costs the same on its last day as on its first.
    sleep(Duration::from_secs(5)).await;
    let later = rows(&shop, &orders).await;
    let (waited, later): (u64, u64) = (waited.iter().sum(), later.iter().sum());
    assert!(later - waited <= ORDERS as u64 / 2, "{waited} rows grew to {later} in five seconds");

    shop.payment.start().await;
    for order in &orders {
        assert_completed(&shop.ended(&order.business_key).await);
    }
    let rows = rows(&shop, &orders).await;
    assert!(rows.iter().all(|rows| *rows <= ROWS_MAX), "{rows:?}");
    shop.assert_integrity(&orders).await;
}

/// A participant that takes connections and never answers holds up who needs it, and nobody else.
#[tokio::test]
async fn a_participant_that_hangs_holds_up_nobody_else() {
    let mut shop = Shop::open(Database::Sqlite).await;
    let orders = orders("hangs");
    shop.authenticate_all(&orders).await;
    shop.payment.process().pause();
    join_all(orders.iter().map(|order| shop.insist(order))).await;
    let is_tried = |state| matches!(state, StepState::InFlight | StepState::Unknown);
    shop.becomes("order-hangs-0", |saga| saga.steps.iter().any(|it| is_tried(it.state()))).await;
    for it in 0..10 {
        let input = json!({ "itemId": "lamp", "ownerId": OWNER, "onHand": 40 + it });
        let saga = shop.run_saga("set-stock", &format!("stock-{it}"), &input).await;
        assert_completed(&saga);
    }
    shop.payment.process().resume();
    for order in &orders {
        assert_completed(&shop.ended(&order.business_key).await);
    }
    shop.assert_no_violations().await;
}

/// The clock of a node goes back by a day, and forward by ten years for a while: nothing that
/// waits waits longer, and nothing that has time left runs out of it.
#[tokio::test]
async fn a_clock_that_jumps_decides_nothing() {
    for database in [Database::Sqlite, Database::Postgres] {
        let mut shop = Shop::closed(database).await;
        let clock = Clock::beside(&shop.books.folder);
        clock.set("-86400");
        let behind_s = now_s() - clock.shown_s().await;
        assert!((86_000..87_000).contains(&behind_s), "the clock is not set: {behind_s} s");
        clock.set("+0");
        shop.orchestrator.environment = clock.environment();
        shop.open_services().await;
        shop.orchestrator.start().await;
        let mut all = Vec::new();
        for (jump, offset) in [("back", "-86400"), ("far", "+315360000"), ("right", "+0")] {
            let orders: Vec<Order> =
                (0..8).map(|it| Order::of(&format!("order-{jump}-{it}"), 1, MUG)).collect();
            shop.authenticate_all(&orders).await;
            shop.provider.kill().await;
            join_all(orders.iter().map(|order| shop.insist(order))).await;
            let is_tried = |state| matches!(state, StepState::Retrying | StepState::Unknown);
            let key = &orders[0].business_key;
            shop.becomes(key, |saga| saga.steps.iter().any(|it| is_tried(it.state()))).await;
            clock.set(offset);
            shop.provider.start().await;
            for order in &orders {
                assert_completed(&shop.ended(&order.business_key).await);
            }
            all.extend(orders);
        }
        // And over a restart.
        clock.set("-3600");
        shop.orchestrator.kill().await;
        shop.orchestrator.start().await;
        let last = Order::of("order-last", 1, MUG);
        shop.authenticate(&last).await;
        assert_completed(&shop.place(&last).await);
        all.push(last);
        shop.assert_integrity(&all).await;
    }
}

/// A rolling restart under load: the answers of calls that are out are kept, and no outcome is
/// left to a person.
#[tokio::test]
async fn a_rolling_restart_leaves_nothing_to_a_person() {
    let mut shop = Shop::closed(Database::Postgres).await;
    let node = Node { dead_after_ms: 1_500, stop_grace_ms: 10_000, ..Node::on(&shop.books.log) };
    shop.configure(&node);
    shop.open_services().await;
    shop.orchestrator.start().await;
    let mut second = shop.second_node(&node);
    second.start().await;
    let orders = orders("rolling");
    for order in &orders {
        let slow = json!({ "kind": "delay", "before_ms": 2_500 });
        shop.authenticate_with(order, json!({ "confirm": [slow] })).await;
    }
    join_all(orders.iter().map(|order| shop.insist(order))).await;
    let status = shop.orchestrator.stop().await;
    assert!(status.success(), "{status}");
    shop.orchestrator.start().await;
    let status = second.stop().await;
    assert!(status.success(), "{status}");
    for order in &orders {
        assert_completed(&shop.ended(&order.business_key).await);
        let events = shop.events(&order.business_key).await;
        assert!(events.iter().all(|it| it.kind != "OperatorActed"), "{events:#?}");
    }
    shop.assert_integrity(&orders).await;
}

/// Strangers hold connections and say nothing: orders go on, and the program still ends in good
/// order.
#[tokio::test]
async fn strangers_that_say_nothing_keep_nobody_out() {
    let mut shop = Shop::open(Database::Sqlite).await;
    let address = shop.orchestrator.address();
    let mut silent = Vec::new();
    for _ in 0..600 {
        silent.extend(TcpStream::connect(address).await.ok());
    }
    assert!(silent.len() > 100, "{} connections were made", silent.len());
    let orders: Vec<Order> =
        (0..8).map(|it| Order::of(&format!("order-silent-{it}"), 1, MUG)).collect();
    shop.authenticate_all(&orders).await;
    join_all(orders.iter().map(|order| shop.insist(order))).await;
    for order in &orders {
        assert_completed(&shop.ended(&order.business_key).await);
    }
    let status = shop.orchestrator.stop().await;
    assert!(status.success(), "{status}");
    drop(silent);
}

fn now_s() -> i64 {
    (SystemClock.now_ms() / 1_000).try_into().unwrap()
}

/// The rows of each saga's log.
async fn rows(shop: &Shop, orders: &[Order]) -> Vec<u64> {
    let request = ListSagasRequest { page_size: 1_000, ..ListSagasRequest::default() };
    let sagas = shop.sagas().list_sagas(request).await.unwrap().into_inner().sagas;
    assert!(sagas.iter().all(|it| it.state() != SagaState::Compensated), "{sagas:#?}");
    assert!(orders.len() <= sagas.len());
    join_all(orders.iter().map(async |it| shop.saga(&it.business_key).await.unwrap().version)).await
}

/// What holds sagas up, as the program for people tells programs.
async fn causes(shop: &Shop) -> Vec<Value> {
    let said = sagactl(shop, &["causes", "-o", "json"]).await;
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let all: Value = serde_json::from_str(&said.stdout).unwrap();
    let of = |name: &str| all[name].as_array().cloned().unwrap_or_default();
    [of("groups"), of("waiting")].concat()
}

/// A number of 64 bits is text in JSON.
fn sagas(number: &Value) -> Option<u64> {
    number.as_u64().or_else(|| number.as_str()?.parse().ok())
}

/// A clock that can be set, for programs that are started with its environment.
struct Clock {
    file: PathBuf,
}

impl Clock {
    fn beside(folder: &Path) -> Self {
        let clock = Self { file: folder.join("clock") };
        clock.set("+0");
        clock
    }

    /// Away from the true time by this many seconds, from now on.
    fn set(&self, offset: &str) {
        fs::write(&self.file, format!("{offset}\n")).unwrap();
    }

    /// What a program that is started with it takes for the time, in seconds.
    async fn shown_s(&self) -> i64 {
        let mut date = Command::new("date");
        date.arg("+%s").envs(self.environment());
        run(date).await.stdout.trim().parse().unwrap()
    }

    fn environment(&self) -> Vec<(String, String)> {
        let library = fs::read_dir("/usr/lib")
            .unwrap()
            .map(|folder| folder.unwrap().path().join("faketime/libfaketimeMT.so.1"))
            .find(|it| it.exists())
            .expect("install faketime, or run tests/run");
        [
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
            // Spans are measured by a clock that nobody sets.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}
