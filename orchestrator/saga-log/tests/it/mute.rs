//! Connections to the database that are open and mute, while new ones work.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use saga_log::conformance::sample::{append_ids, running, start, step_to, write_new};
use saga_log::{Log, LogLimits, OpenOptions, Written};
use sqlx::postgres::PgConnectOptions;

use crate::database::TestDatabase;

/// A watchdog that would let the test wait for far too long.
const MIGRATE: OpenOptions =
    OpenOptions { migrate: true, allow_insecure: false, readers_max: 4, watchdog_ms: 300_000 };

/// Half of what a person would wait, and a tenth of the watchdog.
const PATIENCE: Duration = Duration::from_secs(30);

/// A way to the database that can swallow everything on the connections so far.
struct Way {
    port: u16,
    /// Connections of an age before this are mute.
    age: Arc<AtomicU64>,
}

impl Way {
    fn to(server: &PgConnectOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (age, to) =
            (Arc::<AtomicU64>::default(), (server.get_host().to_owned(), server.get_port()));
        let ages = Arc::clone(&age);
        thread::spawn(move || {
            for here in listener.incoming().map_while(Result::ok) {
                let there = TcpStream::connect((to.0.as_str(), to.1)).unwrap();
                let (born, ages) = (ages.load(Ordering::SeqCst), Arc::clone(&ages));
                let back = (there.try_clone().unwrap(), here.try_clone().unwrap());
                let pump_back = Arc::clone(&ages);
                thread::spawn(move || pump(here, there, born, &ages));
                thread::spawn(move || pump(back.0, back.1, born, &pump_back));
            }
        });
        Self { port, age }
    }

    fn mute(&self) {
        self.age.fetch_add(1, Ordering::SeqCst);
    }
}

/// Passes on what comes, unless the connection is mute: then it swallows it.
fn pump(mut from: TcpStream, mut to: TcpStream, born: u64, age: &AtomicU64) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        let is_mute = born < age.load(Ordering::SeqCst);
        if !is_mute && to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    if born >= age.load(Ordering::SeqCst) {
        let _ = to.shutdown(Shutdown::Both);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_open_and_mute_are_left() {
    let database = TestDatabase::create().await;
    let server = PgConnectOptions::from_str(&database.url).unwrap();
    let way = Way::to(&server);
    let (user, name) = (server.get_username(), &database.name);
    let url = format!("postgres://{user}@127.0.0.1:{}/{name}", way.port);
    let store = saga_log::open(&url, MIGRATE).await.unwrap();
    write_new(&*store, &[start(1, running(None))]).await;
    store.nodes().await.unwrap();

    way.mute();
    let log = Log::start(Arc::clone(&store), LogLimits::default());
    let began = Instant::now();
    assert_eq!(log.append(step_to(1, 2, running(None))).await.unwrap(), Written::Done);
    // Readers that were idle are left too, each at its first use.
    let deadline = began + PATIENCE;
    while let Err(error) = store.nodes().await {
        assert!(Instant::now() < deadline, "{error:?}");
    }
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    assert_eq!(append_ids(&*store, 1).await.len(), 2, "and nothing is written twice");
    log.close().await;
}
