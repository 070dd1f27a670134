//! What is special about SQLite: one process, one file.

use std::path::Path;
use std::sync::Arc;

use saga_log::conformance::sample::{
    NODE, append_ids, definition, running, standing, start, step_to, write_new,
};
use saga_log::{DefinitionRow, OpenError, OpenOptions, Store, StoreError};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Executor, SqliteConnection};

const MIGRATE: OpenOptions =
    OpenOptions { migrate: true, allow_insecure: false, readers_max: 2, watchdog_ms: 5_000 };

async fn open(path: &Path, migrate: bool) -> Result<Arc<dyn Store>, OpenError> {
    let url = format!("sqlite:{}", path.display());
    saga_log::open(&url, OpenOptions { migrate, ..MIGRATE }).await
}

async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap()
}

#[tokio::test]
async fn what_was_written_is_there_after_the_file_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.db");
    let store = open(&path, true).await.unwrap();
    assert!(store.exclusive());
    write_new(&*store, &[start(1, running(None))]).await;
    drop(store);
    let store = open(&path, false).await.unwrap();
    assert_eq!(append_ids(&*store, 1).await.len(), 1);
    assert_eq!(standing(&*store, 1).await, running(None));
}

#[tokio::test]
async fn a_file_that_is_open_cannot_be_opened() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.db");
    let store = open(&path, true).await.unwrap();
    let second = open(&path, true).await;
    assert!(matches!(second, Err(OpenError::InUse { .. })), "{second:?}");
    drop(store);
    open(&path, false).await.unwrap();
}

#[tokio::test]
async fn only_a_known_schema_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.db");
    let missing = open(&path, false).await;
    assert!(matches!(missing, Err(OpenError::SchemaMissing)), "{missing:?}");
    assert!(!path.exists(), "an open that may not migrate makes no file");
    connect(&path).await.execute("create table other (a)").await.unwrap();
    let missing = open(&path, false).await;
    assert!(matches!(missing, Err(OpenError::SchemaMissing)), "{missing:?}");
    drop(open(&path, true).await.unwrap());
    let newer = "update saga_log_schema set version = version + 9000";
    connect(&path).await.execute(newer).await.unwrap();
    for migrate in [false, true] {
        let newer = open(&path, migrate).await;
        assert!(matches!(newer, Err(OpenError::SchemaTooNew { found: 9_012, .. })), "{newer:?}");
    }
}

#[tokio::test]
async fn a_log_of_the_first_version_is_migrated_with_its_sagas() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.db");
    let store = open(&path, true).await.unwrap();
    write_new(&*store, &[start(1, running(None))]).await;
    store.put_definition(&definition("place-order", 1, 1)).await.unwrap();
    drop(store);
    let first_version =
        "drop table saga_label; drop table participant_act; drop index saga_held; alter table saga drop column rank;
        drop index saga_definition; drop index saga_set_ahead;
        alter table saga drop column wake_set_at_ms; drop index saga_cause;
        alter table saga drop column cause; alter table saga drop column cause_message;
        alter table saga drop column cause_since_ms; drop table log_identity;
        drop table log_epoch; alter table definition drop column language_level;
        alter table definition drop column retires; drop index definition_request;
        alter table definition drop column request_id; alter table definition drop column actor;
        alter table definition drop column reason;
        delete from saga_log_schema where version > 1";
    connect(&path).await.execute(first_version).await.unwrap();
    let older = open(&path, false).await;
    assert!(matches!(older, Err(OpenError::SchemaTooOld { found: 1, known: 12 })), "{older:?}");
    let store = open(&path, true).await.unwrap();
    assert_eq!(standing(&*store, 1).await, running(None));
    let stored = store.definition("place-order", 1).await.unwrap().unwrap();
    assert_eq!(stored, DefinitionRow { language_level: 1, ..definition("place-order", 1, 1) });
}

#[tokio::test]
async fn a_path_that_is_not_a_database_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("text");
    std::fs::write(&text, "this is no database, and it is long enough to be read as one".repeat(9))
        .unwrap();
    for path in [text.as_path(), directory.path(), &directory.path().join("no/such/directory")] {
        let error = open(path, true).await;
        assert!(matches!(error, Err(OpenError::Unreachable { .. })), "{path:?}: {error:?}");
    }
    for url in ["", "sqlite:", "sqlite:a.db?mode=ro", "mysql://localhost/amends", "log.db"] {
        let error = saga_log::open(url, MIGRATE).await;
        assert!(matches!(error, Err(OpenError::UrlInvalid { .. })), "{url}: {error:?}");
    }
}

#[tokio::test]
async fn the_database_itself_refuses_limbo_and_changes_of_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.db");
    let store = open(&path, true).await.unwrap();
    write_new(&*store, &[start(1, running(None))]).await;
    write_new(&*store, &[step_to(1, 2, running(None))]).await;
    let mut past_the_store = connect(&path).await;
    for (statement, constraint) in [
        ("update saga set wake_at_ms = null", "saga_is_not_in_limbo"),
        ("update saga set stuck_reason = 'x'", "saga_is_stuck_as_a_whole"),
        ("update saga set status = 6", "status between 1 and 5"),
        ("update saga_event set events = x'00'", "append-only"),
    ] {
        let error = past_the_store.execute(statement).await.unwrap_err();
        assert!(error.to_string().contains(constraint), "{statement}: {error}");
    }
}

/// Whatever is done to the file or its write-ahead log: what is not in the file that the name
/// leads to is never answered.
#[tokio::test]
async fn a_commit_into_a_file_that_is_gone_or_another_one_is_not_answered() {
    type Replace = fn(&Path, &Path);
    let replacements: [(&str, Replace); 4] = [
        ("deleted", |path, _| std::fs::remove_file(path).unwrap()),
        ("replaced", |path, other| std::fs::rename(other, path).unwrap()),
        ("moved away", |path, other| std::fs::rename(path, other.with_extension("away")).unwrap()),
        ("without its log", |path, _| {
            std::fs::remove_file(path.with_extension("db-wal")).unwrap();
        }),
    ];
    for (what, replace) in replacements {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("log.db"), directory.path().join("other.db"));
        drop(open(&other, true).await.unwrap());
        let store = open(&path, true).await.unwrap();
        write_new(&*store, &[start(1, running(None))]).await;
        replace(&path, &other);
        // Also when it is asked again, by whatever connection.
        for n in 2..6 {
            let written = store.write(&[start(n, running(None))]).await;
            assert!(matches!(written, Err(StoreError::Unavailable { .. })), "{what}: {written:?}");
            let beaten = store.beat(NODE, 1).await;
            assert!(matches!(beaten, Err(StoreError::Unavailable { .. })), "{what}: {beaten:?}");
        }
    }
}

#[tokio::test]
async fn a_file_is_locked_under_all_of_its_names() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.db");
    let store = open(&path, true).await.unwrap();
    let (link, hard) = (directory.path().join("link.db"), directory.path().join("hard.db"));
    std::os::unix::fs::symlink(&path, &link).unwrap();
    std::fs::hard_link(&path, &hard).unwrap();
    for name in [&link, &hard] {
        let second = open(name, true).await;
        assert!(matches!(second, Err(OpenError::InUse { .. })), "{second:?}");
    }
    write_new(&*store, &[start(1, running(None))]).await;
}
