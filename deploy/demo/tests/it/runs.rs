//! Short runs in bad weather: whatever happens, the books agree at the end.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use saga_demo::{Demo, Options, Progress, books::Earlier, faults::Faults, run, summary::Summary};
use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) fn options(folder: &Path) -> Options {
    Options {
        data: folder.to_owned(),
        orders: None,
        items: None,
        limit: Some(40),
        concurrency: 16,
        faults: Faults::Heavy,
        log: None,
        seed: 1,
        port_base: 0,
        earlier: Earlier::Removed,
        kills: 0,
        program: env!("CARGO_BIN_EXE_saga-demo").into(),
    }
}

fn assert_sound(summary: &Summary) {
    assert!(summary.is_sound(), "{summary:#?}");
    assert_eq!(summary.stuck, 0, "{summary:#?}");
    assert_eq!(summary.completed + summary.compensated, summary.orders, "{summary:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_in_heavy_weather_keeps_its_books() {
    let folder = tempfile::tempdir().unwrap();
    let summary = run(options(folder.path())).await.unwrap();
    assert_sound(&summary);
    assert_eq!(summary.orders, 40);
    assert!(summary.faults.len() > 3, "{:?}", summary.faults);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orchestrator_that_is_killed_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let summary = run(Options { kills: 3, ..options(folder.path()) }).await.unwrap();
    assert_sound(&summary);
    assert_eq!((summary.orders, summary.kills), (40, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_keeps_the_books_as_well_and_a_second_run_begins_anew() {
    let server = std::env::var("AMENDS_TEST_POSTGRES_URL")
        .expect("run tests/run, or set AMENDS_TEST_POSTGRES_URL");
    let folder = tempfile::tempdir().unwrap();
    let (host, _) = server.rsplit_once('/').unwrap();
    let log = format!("{host}/demo_{}", uuid::Uuid::now_v7().simple());
    let mut options = Options { log: Some(log), limit: Some(20), ..options(folder.path()) };
    for kills in [0, 1] {
        options.kills = kills;
        let summary = run(options.clone()).await.unwrap();
        assert_sound(&summary);
        assert_eq!((summary.orders, summary.kills), (20, kills));
    }
    saga_demo::books::remove_databases(options.log.as_deref().unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_stopped_ends_what_it_began_and_the_next_one_places_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options { concurrency: 4, ..options(folder.path()) };

    let mut demo = Demo::start(options.clone()).await.unwrap();
    let (progress, mut watched) = watch::channel(Progress::default());
    let stop = CancellationToken::new();
    let stopping = async {
        watched.wait_for(|it| 5 <= it.ended).await.unwrap();
        stop.cancel();
    };
    let (summary, ()) = tokio::join!(demo.place_orders(&progress, &stop), stopping);
    demo.stop().await.unwrap();
    let summary = summary.unwrap();
    assert_sound(&summary);
    assert!(summary.interrupted && (5..40).contains(&summary.orders), "{summary:#?}");

    options.earlier = Earlier::Resumed;
    let summary = run(options).await.unwrap();
    assert_sound(&summary);
    assert_eq!(summary.orders, 40);
}

/// The shop, its orchestrator and its provider die together, as with the machine.
#[tokio::test(flavor = "multi_thread")]
async fn a_whole_shop_that_is_killed_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = program(folder.path(), &[]);
    let by = Instant::now() + Duration::from_secs(60);
    while orders_in(folder.path()).await < 5 {
        assert!(Instant::now() < by, "no orders: {:?}", first.try_wait());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    first.kill().unwrap();
    first.wait().unwrap();

    let second = program(folder.path(), &["--resume"]).wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&second.stderr);
    assert!(second.status.success(), "{}\n{text}", second.status);
    let summary: serde_json::Value = serde_json::from_slice(&second.stdout).unwrap();
    assert_eq!(summary["orders"], 60, "{summary}");
    assert_eq!(summary["stuck"], 0, "{summary}");
}

fn program(folder: &Path, more: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_saga-demo"))
        .args(["--limit", "60", "--concurrency", "8", "--port-base", "0", "--json", "--exit"])
        .arg("--data")
        .arg(folder)
        .args(more)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Orders that are written down so far; 0 where there is no book yet.
async fn orders_in(folder: &Path) -> i64 {
    let url = format!("sqlite://{}?mode=ro", folder.join("order.db").display());
    let Ok(mut book) = SqliteConnection::connect(&url).await else {
        return 0;
    };
    let count = sqlx::query_scalar("/* orders_in */ select count(*) from orders");
    let count = count.fetch_one(&mut book).await.unwrap_or(0);
    book.close().await.unwrap();
    count
}
