//! Programs that cannot start: each ends with status 1 and one sentence that says why, and
//! what to do, and has changed nothing.

use std::{fs, net::TcpListener};

use saga_tests::{
    process::run,
    server::Server,
    shop::{Database, Node, Shop},
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};

/// Where nobody listens.
const NOWHERE: &str = "postgres://nobody@127.0.0.1:1/nothing";

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_named() {
    let mut shop = Shop::closed(Database::Sqlite).await;
    shop.configure(&Node::on(NOWHERE));
    let remedies = ["cannot be reached", "check that"];
    assert_refused(&shop.orchestrator, &remedies).await;
    let more = ["--database-url", NOWHERE, "--set", "database.connect_max_ms=300"];
    for service in [&mut shop.inventory, &mut shop.order, &mut shop.payment] {
        service.arguments.extend(more.map(str::to_owned));
        // A flag that is given twice is a mistake of its own.
        let at = service.arguments.iter().position(|it| it == "--database-url").unwrap();
        service.arguments.drain(at..at + 2);
        assert_refused(service, &["the database cannot be reached"]).await;
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let shop = Shop::closed(Database::Sqlite).await;
    for server in [&shop.orchestrator, &shop.inventory, &shop.order, &shop.payment, &shop.provider]
    {
        let _taken = TcpListener::bind(server.address()).unwrap();
        let address = server.address().to_string();
        assert_refused(server, &[&address, "port"]).await;
    }
}

#[tokio::test]
async fn a_schema_that_is_too_new_is_left_alone() {
    for database in [Database::Sqlite, Database::Postgres] {
        let mut shop = Shop::open(database).await;
        shop.orchestrator.kill().await;
        shop.inventory.kill().await;
        // As a newer program would have left it.
        let newer = "insert into saga_log_schema \
             select 999, description, now_is, success, checksum, execution_time \
             from (select *, installed_on as now_is from saga_log_schema) as old \
             order by version desc limit 1";
        change(&shop.books.log, newer).await;
        let newer = "insert into schema_migration (component, version, name, sha256, applied_at_ms) \
             select component, 999, name, sha256, applied_at_ms from schema_migration \
             where component = 'inventory' order by version desc limit 1";
        change(&shop.books.inventory, newer).await;

        assert_refused(&shop.orchestrator, &["has version 999", "upgrade"]).await;
        let told = ["inventory migration 999", "use a newer version of this program"];
        assert_refused(&shop.inventory, &told).await;

        // Taken back, everything is as it was.
        change(&shop.books.log, "delete from saga_log_schema where version = 999").await;
        change(&shop.books.inventory, "delete from schema_migration where version = 999").await;
        shop.orchestrator.start().await;
        shop.inventory.start().await;
        shop.assert_integrity(&[]).await;
    }
}

#[tokio::test]
async fn a_schema_that_is_missing_is_made_only_when_asked() {
    let mut shop = Shop::closed(Database::Sqlite).await;
    let node = Node::on(&shop.books.log);
    shop.configure_node("careful.toml", &node, |text| {
        *text = text.replace("migrate = true", "migrate = false");
    });
    assert_refused(&shop.orchestrator, &["orchestrator migrate", "--migrate"]).await;
    shop.inventory.arguments.retain(|it| it != "--migrate");
    assert_refused(&shop.inventory, &["run `migrate`"]).await;
}

#[tokio::test]
async fn a_configuration_with_a_mistake_names_the_key() {
    let mut shop = Shop::closed(Database::Sqlite).await;
    let node = Node::on(&shop.books.log);
    let cases: [(&str, &[&str]); 4] = [
        ("sagas_mx = 5\n", &["sagas_mx", "sagas_max", "mistake.toml"]),
        ("sagas_max = \"many\"\n", &["sagas_max", "many"]),
        ("sagas_max = 0\n", &["limits.sagas_max is 0", "give 1 to 10000000"]),
        ("claim_ms = = 1\n", &["mistake.toml"]),
    ];
    for (line, told) in cases {
        let with_mistake = |text: &mut String| {
            *text = text.replace("[limits]\n", &format!("[limits]\n{line}"));
        };
        shop.configure_node("mistake.toml", &node, with_mistake);
        assert_refused(&shop.orchestrator, told).await;
    }
    fs::remove_file(shop.books.folder.join("mistake.toml")).unwrap();
    assert_refused(&shop.orchestrator, &["mistake.toml"]).await;

    for service in [&mut shop.inventory, &mut shop.order, &mut shop.payment] {
        service.arguments.extend(["--set", "server.drain_mx_ms=1"].map(str::to_owned));
        assert_refused(service, &["server.drain_mx_ms is not known", "drain_max_ms"]).await;
    }
}

/// The program ends with status 1, and one of the last things that it says is `told`.
async fn assert_refused(server: &Server, told: &[&str]) {
    let finished = run(server.command()).await;
    let said = finished.stderr;
    assert_eq!(finished.code, Some(1), "{:?}: {said}", server.arguments);
    assert!(!said.contains("panicked"), "{said}");
    let said = said.to_lowercase();
    for told in told {
        assert!(said.contains(&told.to_lowercase()), "it should tell {told:?}: {said}");
    }
}

async fn change(url: &str, statement: &str) {
    let statement = AssertSqlSafe(statement.to_owned());
    if url.starts_with("postgres") {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    } else {
        let mut connection = SqliteConnection::connect(url).await.unwrap();
        sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}
