//! Where the books of a run are kept: a folder of SQLite files, or databases beside the
//! one that `--log` names. Each run begins with empty books, unless it resumes.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, SqlSafeStr as _,
    postgres::PgConnectOptions,
};

/// What the demo writes on its databases, so that it removes no other.
const MARK: &str = "made by the demo of the saga engine; a run of the demo removes it";

/// Names of the books, which are those of their files and databases.
const BOOKS: [&str; 4] = ["log", "inventory", "order", "payment"];

/// What the databases' names begin with where the URL names none.
const STEM_DEFAULT: &str = "amends";

const URL_FORM: &str = "--log: write postgres://USER@HOST:PORT/NAME";

/// The simulator keeps its own file, whatever database the shop has.
const SIMULATOR_FILE: &str = "simulator.db";

/// Where the books of a run are.
#[derive(Debug)]
pub struct Books {
    /// The folder of the run.
    pub folder: PathBuf,
    /// The orchestrator's log, as a URL.
    pub log: String,
    /// The inventory's database, as a URL.
    pub inventory: String,
    /// The orders' database, as a URL.
    pub order: String,
    /// The payments' database, as a URL.
    pub payment: String,
    /// The simulator's file.
    pub simulator: PathBuf,
    /// Held for as long as the run goes on.
    _lock: File,
}

/// What becomes of the books of an earlier run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Earlier {
    /// They are removed.
    #[default]
    Removed,
    /// They are gone on with.
    Resumed,
}

impl Books {
    /// Lays out the books. Removes those of an earlier run, and nothing that the demo did
    /// not make.
    ///
    /// # Errors
    ///
    /// Says what stands in the way and what to do about it.
    pub async fn open(folder: &Path, log: Option<&str>, earlier: Earlier) -> anyhow::Result<Self> {
        let shown = folder.display();
        fs::create_dir_all(folder)
            .with_context(|| format!("{shown}: the folder cannot be made; choose --data"))?;
        let folder = fs::canonicalize(folder).with_context(|| format!("{shown}: unreadable"))?;
        let lock = lock(&folder)?;
        let file = |name: &str| folder.join(name);
        if earlier == Earlier::Removed {
            let mine = BOOKS.iter().map(|book| format!("{book}.db"));
            for name in mine.chain([SIMULATOR_FILE.to_owned()]) {
                remove_database_file(&file(&name))?;
            }
        }
        let [log, inventory, order, payment] = match log {
            Some(url) if is_postgres(url) => databases(url, earlier).await?,
            log => {
                let mut urls = BOOKS.map(|book| sqlite_url(&file(&format!("{book}.db"))));
                if let Some(path) = log {
                    urls[0] = own_log_file(path, earlier)?;
                }
                urls
            }
        };
        let simulator = file(SIMULATOR_FILE);
        Ok(Self { folder, log, inventory, order, payment, simulator, _lock: lock })
    }
}

fn lock(folder: &Path) -> anyhow::Result<File> {
    let path = folder.join("lock");
    let shown = path.display();
    let file = File::create(&path).with_context(|| format!("{shown}: cannot be written"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "{}: another demo uses this folder; end it, or choose another with --data",
            folder.display()
        ),
        Err(TryLockError::Error(error)) => Err(error).context(format!("{shown}: lock")),
    }
}

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

fn sqlite_url(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

fn remove_database_file(path: &Path) -> anyhow::Result<()> {
    for end in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        match fs::remove_file(&name) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let shown = path.display();
                return Err(error).context(format!("{shown}: cannot be removed"));
            }
        }
    }
    Ok(())
}

/// A log file that the user named. It is not the demo's to remove.
fn own_log_file(path: &str, earlier: Earlier) -> anyhow::Result<String> {
    let is_sqlite = path.starts_with("sqlite:");
    if !is_sqlite && path.contains("://") {
        bail!("--log: write a path, sqlite:PATH, or postgres://USER@HOST:PORT/NAME");
    }
    let path = path.strip_prefix("sqlite:").unwrap_or(path);
    let path = Path::new(path.strip_prefix("//").unwrap_or(path));
    if earlier == Earlier::Removed && path.exists() {
        bail!(
            "--log {}: the file exists, and a run begins with an empty log; remove it, name \
             another, or go on with it by --resume",
            path.display()
        );
    }
    Ok(sqlite_url(path))
}

/// Makes a database for each book, beside the one that `url` names.
async fn databases(url: &str, earlier: Earlier) -> anyhow::Result<[String; 4]> {
    let options: PgConnectOptions = url.parse().context(URL_FORM)?;
    let stem = options.get_database().unwrap_or(STEM_DEFAULT).to_owned();
    let mut server = connect(&options).await?;
    let mut urls = BOOKS.map(|_| String::new());
    for (book, book_url) in BOOKS.iter().zip(&mut urls) {
        let name = format!("{stem}_{book}");
        match (find(&mut server, &name).await?, earlier) {
            (Found::Ours, Earlier::Resumed) => {}
            (Found::NotOurs, _) => bail!(
                "--log: the database {name} exists and is not one of the demo's; name another \
                 database in the URL, so that the demo makes its own beside it"
            ),
            (Found::Ours, Earlier::Removed) => {
                drop_database(&mut server, &name).await?;
                create_database(&mut server, &name).await?;
            }
            (Found::Nothing, _) => create_database(&mut server, &name).await?,
        }
        let options = options.clone().database(&name);
        *book_url = options.to_url_lossy().to_string();
    }
    server.close().await?;
    Ok(urls)
}

/// Removes the databases that runs with `--log url` made, and no others.
///
/// # Errors
///
/// The server cannot be reached, or somebody is connected to one of them.
pub async fn remove_databases(url: &str) -> anyhow::Result<()> {
    let options: PgConnectOptions = url.parse().context(URL_FORM)?;
    let stem = options.get_database().unwrap_or(STEM_DEFAULT);
    let mut server = connect(&options).await?;
    for book in BOOKS {
        let name = format!("{stem}_{book}");
        if find(&mut server, &name).await? == Found::Ours {
            drop_database(&mut server, &name).await?;
        }
    }
    server.close().await?;
    Ok(())
}

/// Whose a database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Ours,
    NotOurs,
}

async fn find(server: &mut PgConnection, name: &str) -> anyhow::Result<Found> {
    let is_ours = sqlx::query_scalar::<_, bool>(
        "/* find */
        select coalesce(shobj_description(oid, 'pg_database') = $2, false)
        from pg_database where datname = $1",
    )
    .bind(name)
    .bind(MARK)
    .fetch_optional(server)
    .await?;
    Ok(match is_ours {
        None => Found::Nothing,
        Some(true) => Found::Ours,
        Some(false) => Found::NotOurs,
    })
}

/// Connects to the database that is named, or where there is none, to `postgres`.
async fn connect(options: &PgConnectOptions) -> anyhow::Result<PgConnection> {
    let unknown_database = |error: &sqlx::Error| {
        error.as_database_error().and_then(|it| it.code()).is_some_and(|code| code == "3D000")
    };
    let connected = match PgConnection::connect_with(options).await {
        Err(error) if unknown_database(&error) => {
            PgConnection::connect_with(&options.clone().database("postgres")).await
        }
        connected => connected,
    };
    connected.context("--log: the PostgreSQL server cannot be reached")
}

async fn create_database(server: &mut PgConnection, name: &str) -> anyhow::Result<()> {
    let named = quoted(name);
    for statement in [
        // Nobody can be connected to this template, not even the server's own vacuum.
        format!("/* create_database */ create database {named} template template0"),
        format!("/* create_database: mark */ comment on database {named} is '{MARK}'"),
    ] {
        sqlx::raw_sql(AssertSqlSafe(statement).into_sql_str())
            .execute(&mut *server)
            .await
            .with_context(|| format!("--log: the database {name} cannot be made"))?;
    }
    Ok(())
}

async fn drop_database(server: &mut PgConnection, name: &str) -> anyhow::Result<()> {
    let statement = format!("/* drop_database */ drop database {}", quoted(name));
    sqlx::raw_sql(AssertSqlSafe(statement).into_sql_str())
        .execute(server)
        .await
        .with_context(|| format!("--log: {name} cannot be removed; end what is connected to it"))?;
    Ok(())
}

/// A name as SQL takes it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_run_removes_its_own_files_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["log.db", "log.db-wal", "payment.db", "notes.txt", "mine.db"] {
            fs::write(path(name), "x").unwrap();
        }
        drop(Books::open(folder.path(), None, Earlier::Resumed).await.unwrap());
        assert!(path("log.db").exists());

        let books = Books::open(folder.path(), None, Earlier::Removed).await.unwrap();
        assert!(!path("log.db").exists() && !path("log.db-wal").exists());
        assert!(path("notes.txt").exists() && path("mine.db").exists());

        let second = Books::open(folder.path(), None, Earlier::Removed).await.unwrap_err();
        assert!(second.to_string().contains("another demo uses this folder"), "{second}");
        drop(books);

        let mine = path("mine.db").display().to_string();
        let kept = Books::open(folder.path(), Some(&mine), Earlier::Removed).await.unwrap_err();
        assert!(kept.to_string().contains("the file exists"), "{kept}");

        let other = Some("mysql://host/name");
        let other = Books::open(folder.path(), other, Earlier::Removed).await.unwrap_err();
        assert!(other.to_string().contains("write a path"), "{other}");
    }
}
