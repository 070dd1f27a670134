//! What one saga of three steps leaves in the database, and what it makes it write.

use std::{
    fs,
    time::{Duration, Instant},
};

use saga_tests::postgres::Cluster;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::{
    fill,
    load::{self, Load},
    options::{Options, progress},
    participant, processes,
    program::{Program, sqlite_log},
    report::{Figure, Metric},
    subject::{Subject, Way},
};

/// Sagas in flight while it is looked at.
const LOADED: usize = 64;

const METRICS: [Metric; 3] = [
    Metric::leading("database bytes/saga"),
    Metric::leading("written bytes/saga"),
    Metric::further("sagas/s"),
];

pub(crate) async fn measure(options: &Options) -> Figure {
    let title = "Bytes: what one saga of three steps leaves in its database, and what is written";
    let mut figure = Figure::new("bytes", title, &METRICS, &[]);
    progress("building the program");
    Program::binary();
    let cluster = Cluster::start();
    for round in 1..=options.rounds {
        for database in ["sqlite", "postgres"] {
            progress(&format!("{database}, round {round}"));
            let sample = match database {
                "sqlite" => on_sqlite(options).await,
                _ => on_postgres(options, &cluster.database(&format!("bytes_{round}"))).await,
            };
            figure.add("", database, &sample);
        }
    }
    figure.note(
        "written: on PostgreSQL the write-ahead log by its positions; on SQLite all that the \
         orchestrator made the kernel write, the write-ahead log in whole pages and the \
         checkpoints too.",
    );
    figure
}

async fn on_sqlite(options: &Options) -> [f64; 3] {
    let folder = tempfile::tempdir().unwrap();
    let participant = participant::serve().await;
    let log = sqlite_log(folder.path());
    let mut program = Program::configure(folder.path(), &log, participant, "");
    program.start();
    let written = processes::written_bytes(program.id());
    let (sagas, rate) = press(&program, options).await;
    let written = processes::written_bytes(program.id()) - written;
    program.kill();
    let stored = sqlite_bytes(&log).await;
    [stored / sagas, written / sagas, rate]
}

async fn on_postgres(options: &Options, log: &str) -> [f64; 3] {
    let folder = tempfile::tempdir().unwrap();
    let participant = participant::serve().await;
    let mut program = Program::configure(folder.path(), log, participant, "");
    program.start();
    let mut connection = PgConnection::connect(log).await.unwrap();
    let stored = database_bytes(&mut connection).await;
    let position = wal_bytes(&mut connection).await;
    let (sagas, rate) = press(&program, options).await;
    let written = wal_bytes(&mut connection).await - position;
    let stored = database_bytes(&mut connection).await - stored;
    [stored / sagas, written / sagas, rate]
}

/// Drives sagas for a while. Returns how many, and how many in a second.
async fn press(program: &Program, options: &Options) -> (f64, f64) {
    let subject = Subject { name: "program", address: program.address, way: Way::Start };
    let load = Load { in_flight: LOADED, span: options.span(), turns_back: false };
    let sample = load::run(&subject, load).await;
    (sample.sagas, sample.sagas_per_s)
}

/// Size of an SQLite log that nobody has open, with its write-ahead log brought in.
pub(crate) async fn sqlite_bytes(log: &str) -> f64 {
    let file = log.strip_prefix("sqlite:").unwrap();
    // Whoever closes it last brings it in.
    drop(fill::open(log).await);
    let by = Instant::now() + Duration::from_secs(10);
    while fs::exists(format!("{file}-wal")).unwrap() {
        assert!(Instant::now() < by, "{file} is not closed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fs::metadata(file).unwrap().len() as f64
}

/// Runs one statement.
pub(crate) async fn run(url: &str, statement: &'static str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
}

/// Size of the database.
pub(crate) async fn database_bytes(connection: &mut PgConnection) -> f64 {
    let query = "/* database_bytes */ select pg_database_size(current_database())::float8";
    sqlx::query_scalar(query).fetch_one(connection).await.unwrap()
}

/// Bytes of the write-ahead log since the server was made.
async fn wal_bytes(connection: &mut PgConnection) -> f64 {
    let query = "/* wal_bytes */ select (pg_current_wal_lsn() - '0/0'::pg_lsn)::float8";
    sqlx::query_scalar(query).fetch_one(connection).await.unwrap()
}
