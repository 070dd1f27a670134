//! Short runs in bad weather: whatever happens, the books agree at the end.

use std::{
    fs,
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
    let cancels = summary.cancels_completed + summary.cancels_compensated;
    assert_eq!(cancels, summary.cancels, "{summary:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_in_heavy_weather_keeps_its_books() {
    let folder = tempfile::tempdir().unwrap();
    let summary = run(options(folder.path())).await.unwrap();
    assert_sound(&summary);
    assert_eq!(summary.orders, 40);
    assert!((1..summary.coupons).contains(&summary.coupons_used), "{summary:#?}");
    assert!(summary.faults.len() > 3, "{:?}", summary.faults);
    assert!(0 < summary.cancels_completed, "{summary:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orchestrator_that_is_killed_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let summary = run(Options { kills: 3, ..options(folder.path()) }).await.unwrap();
    assert_sound(&summary);
    assert_eq!((summary.orders, summary.kills), (40, 3));
    assert!(0 < summary.cancels_completed, "{summary:#?}");
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
    assert!(summary.interrupted && (1..40).contains(&summary.orders), "{summary:#?}");
    let cancelled = summary.cancels_completed;

    options.earlier = Earlier::Resumed;
    let summary = run(options).await.unwrap();
    assert_sound(&summary);
    assert_eq!(summary.orders, 40);
    assert!(cancelled < summary.cancels_completed, "{summary:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn credit_notes_of_a_file_cancel_orders_and_lines() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("orders.ndjson");
    let records = [
        ("order", "order-1", "ann", r#"["cup",2,300],["pan",1,900]"#),
        // No whole line, and nobody's.
        ("cancel", "C1", "ann", r#"["cup",1,300]"#),
        ("cancel", "C2", "bob", r#"["pan",1,900]"#),
        ("order", "order-2", "ann", r#"["cup",2,300],["fan",4,500]"#),
        // The cups of the newer order, then all of the older one.
        ("cancel", "C3", "ann", r#"["cup",2,300]"#),
        ("cancel", "C4", "ann", r#"["cup",2,300],["pan",1,900]"#),
        // What is left of the newer one, and something that it never had.
        ("cancel", "C5", "ann", r#"["fan",4,500],["pan",1,900]"#),
        ("order", "order-3", "ann", r#"["cup",2,300]"#),
    ];
    let lines = records.map(|(kind, number, customer, lines)| {
        format!(r#"{{"kind":"{kind}","ref":"{number}","customer":"{customer}","lines":[{lines}]}}"#)
    });
    fs::write(&file, lines.join("\n")).unwrap();
    let data = folder.path().join("run");
    // With another seed a coupon may cover one of the lines, and that one is not cancelled alone.
    let quiet = Options { orders: Some(file), faults: Faults::None, seed: 4, ..options(&data) };

    let summary = run(quiet).await.unwrap();

    assert_sound(&summary);
    assert_eq!((summary.coupons, summary.coupons_used), (0, 0), "{summary:#?}");
    assert_eq!((summary.completed, summary.cancels, summary.cancels_completed), (3, 3, 3));
    let notes = (summary.cancels_matched, summary.cancels_partly_matched);
    assert_eq!((notes, summary.cancels_unmatched), ((2, 1), 2), "{summary:#?}");
    let url = format!("sqlite://{}?mode=ro", data.join("order.db").display());
    let mut book = SqliteConnection::connect(&url).await.unwrap();
    let heads = sqlx::query_as::<_, (String, String)>(
        "/* test */ select order_no, status from order_heads order by order_no",
    );
    let heads = heads.fetch_all(&mut book).await.unwrap();
    let expected = ["CANCELED", "CANCELED", "PAYMENT_SUCCESS"];
    assert_eq!(heads.iter().map(|(_, status)| status.as_str()).collect::<Vec<_>>(), expected);
    book.close().await.unwrap();
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
