//! `orchestrator doctor`: what is unsafe is seen, said with a remedy, and gives a status to scripts.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use saga_tests::{
    postgres::Cluster,
    process::{Finished, run},
    programs::command,
    shop::{Database, Shop},
};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

async fn doctor(log: &str, arguments: &[&str]) -> Finished {
    let mut command = command("orchestrator");
    command.args(["doctor", "--log", log]).args(arguments);
    run(command).await
}

/// The verdict on a subject, from what scripts read.
async fn verdict(log: &str, subject: &str) -> (Option<i32>, String) {
    let done = doctor(log, &["-o", "json"]).await;
    let report: Value = serde_json::from_str(&done.stdout)
        .unwrap_or_else(|_| panic!("no report: {}{}", done.stdout, done.stderr));
    assert_eq!(report["safe"], done.code == Some(0), "{report}");
    let findings = report["findings"].as_array().unwrap();
    let found = findings.iter().find(|it| it["subject"] == subject);
    let found = found.unwrap_or_else(|| panic!("nothing about {subject}: {report}"));
    let verdict = found["verdict"].as_str().unwrap().to_owned();
    let has_remedy = !found["remedy"].as_str().unwrap().is_empty();
    assert_eq!(has_remedy, verdict != "safe", "{found}");
    (done.code, verdict)
}

async fn migrated(log: &str) {
    let mut migrate = command("orchestrator");
    migrate.args(["migrate", "--log", log]);
    let done = run(migrate).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
}

#[tokio::test]
async fn what_a_database_may_lose_is_seen() {
    let cluster = Cluster::start();
    let owner = cluster.database("amends");
    migrated(&owner).await;
    let log = owner.replacen("postgres@", "amends@", 1);
    let mut server = PgConnection::connect(&owner).await.unwrap();
    let mut tell = async |statements: &str| {
        for statement in statements.split("; ") {
            let statement = AssertSqlSafe(statement.to_owned());
            sqlx::raw_sql(statement).execute(&mut server).await.unwrap();
        }
    };
    tell(
        "create role amends login; revoke create on schema public from public; \
         grant select, insert, update, delete on all tables in schema public to amends",
    )
    .await;
    for subject in ["schema", "durability", "role", "pooler", "transport", "connections", "clock"] {
        assert_eq!(verdict(&log, subject).await, (Some(0), "safe".to_owned()), "{subject}");
    }
    assert_eq!(verdict(&log, "replication").await, (Some(0), "note".to_owned()));

    // What is done to it, what is unsafe then, and how it is mended.
    let cases = [
        (
            "alter role amends set synchronous_commit = off",
            "durability",
            "alter role amends reset synchronous_commit",
        ),
        (
            "alter system set fsync = off; select pg_reload_conf(); select pg_sleep(0.2)",
            "durability",
            "alter system reset fsync; select pg_reload_conf(); select pg_sleep(0.2)",
        ),
        (
            "alter system set full_page_writes = off; select pg_reload_conf(); select pg_sleep(0.2)",
            "durability",
            "alter system reset full_page_writes; select pg_reload_conf(); select pg_sleep(0.2)",
        ),
        ("alter role amends superuser", "role", "alter role amends nosuperuser"),
        ("revoke update on saga from amends", "role", "grant update on saga to amends"),
        (
            "alter role amends connection limit 9",
            "connections",
            "alter role amends connection limit -1",
        ),
        (
            "insert into saga_log_schema select 999, description, installed_on, success, checksum, \
             execution_time from saga_log_schema limit 1",
            "schema",
            "delete from saga_log_schema where version = 999",
        ),
        (
            "alter table saga_log_schema rename to elsewhere",
            "schema",
            "alter table elsewhere rename to saga_log_schema",
        ),
    ];
    for (harm, subject, mend) in cases {
        tell(harm).await;
        assert_eq!(verdict(&log, subject).await, (Some(1), "unsafe".to_owned()), "{harm}");
        tell(mend).await;
        let (code, _) = verdict(&log, subject).await;
        assert_eq!(code, Some(0), "{mend}");
    }
    tell("grant create on schema public to amends").await;
    assert_eq!(verdict(&log, "role").await, (Some(0), "note".to_owned()));
}

#[tokio::test]
async fn where_a_file_is_and_who_reads_it_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("amends.db");
    let log = format!("sqlite:{}", file.display());
    assert_eq!(verdict(&log, "schema").await, (Some(1), "unsafe".to_owned()));
    assert!(!file.exists(), "it made the file that it looked for");
    migrated(&log).await;
    for subject in ["schema", "durability", "disk"] {
        assert_eq!(verdict(&log, subject).await.1, "safe", "{subject}");
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(verdict(&log, "file mode").await, (Some(1), "unsafe".to_owned()));

    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let log = format!("sqlite:{}", memory.path().join("amends.db").display());
    migrated(&log).await;
    assert_eq!(verdict(&log, "file system").await, (Some(1), "unsafe".to_owned()));
    assert_eq!(verdict("memory:", "log").await, (Some(1), "unsafe".to_owned()));
}

#[tokio::test]
async fn it_can_look_while_an_orchestrator_serves() {
    let mut shop = Shop::open(Database::Sqlite).await;
    let log = shop.books.log.clone();
    let before = read(&log);
    let done = doctor(&log, &[]).await;
    assert!(matches!(done.code, Some(0 | 1)), "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.contains("safe    schema"), "{}", done.stdout);
    assert_eq!(before, read(&log), "it changed the file");
    shop.orchestrator.process().assert_running().await;
}

/// The file without what the orchestrator that has it writes beside it.
fn read(log: &str) -> usize {
    fs::read(Path::new(log.trim_start_matches("sqlite:").trim_start_matches("//"))).unwrap().len()
}

#[tokio::test]
async fn what_is_unsafe_is_told_apart_from_what_cannot_be_seen() {
    let nowhere = "postgres://nobody@127.0.0.1:1/nothing";
    for (log, arguments, told) in [
        (nowhere, &[][..], "cannot be reached"),
        ("mysql://db", &[], "log URL"),
        ("memory:", &["--config", "/nowhere.toml"], "/nowhere.toml"),
        ("memory:", &["--colour"], "--colour"),
    ] {
        let done = doctor(log, arguments).await;
        assert_eq!(done.code, Some(2), "{log}: {}{}", done.stdout, done.stderr);
        assert!(done.stderr.contains(told), "{log}: {}", done.stderr);
        assert!(done.stdout.is_empty());
    }
    let mut command = command("orchestrator");
    command.args(["doctor", "--listen", "0.0.0.0:7400"]);
    command.env("AMENDS_ORCHESTRATOR_LOG", "postgres://app:canary@127.0.0.1:1/log");
    let done = run(command).await;
    assert_eq!(done.code, Some(2));
    assert!(!done.stderr.contains("canary"), "{}", done.stderr);

    let done = doctor("memory:", &["--listen", "0.0.0.0:7400"]).await;
    assert_eq!(done.code, Some(1));
    for told in ["UNSAFE  log", "UNSAFE  listeners", "try: ", "2 things are unsafe"] {
        assert!(done.stdout.contains(told), "{told}: {}", done.stdout);
    }
}
