//! Passwords come from files: what is in an argument or a variable is in the process table.

use std::fs;

use saga_tests::{
    process::run,
    server::Server,
    shop::{Database, Node, Shop},
};

#[tokio::test]
async fn a_password_is_read_from_a_file_and_others_do_not_see_it() {
    let mut shop = Shop::closed(Database::Postgres).await;
    let folder = shop.books.folder.clone();
    let put = |name: &str, text: &str| {
        fs::write(folder.join(name), format!("{text}\n")).unwrap();
        folder.join(name).display().to_string()
    };
    let (log, books) = (shop.books.log.clone(), shop.books.payment.clone());
    put("log-url", &log);
    put("books-url", &books);
    put("toss-key", "test_sk_canary");
    let by_file = |text: &mut String| {
        *text = text.replacen(&format!("\"{log}\""), "{ file = \"log-url\" }", 1);
    };
    shop.configure_node("by-file.toml", &Node::on(&log), by_file);
    let toss = shop.provider.url();
    let config = put(
        "payment.toml",
        &format!(
            "listen = \"{}\"\ndatabase_url = {{ file = \"books-url\" }}\n[service.toss]\n\
             base_url = \"{toss}\"\nsecret_key = {{ file = \"toss-key\" }}",
            shop.payment.address()
        ),
    );
    shop.payment.arguments = ["serve", "--migrate", "--config", &config].map(str::to_owned).into();

    shop.open_services().await;
    shop.orchestrator.start().await;

    for server in [&mut shop.orchestrator, &mut shop.payment] {
        let seen = server.process().seen_by_others() + &server.process().output();
        assert!(seen.contains(".toml"), "nothing was seen: {seen}");
        for secret in [&log, &books, "test_sk_canary"] {
            assert!(!seen.contains(secret), "{secret} can be seen");
        }
    }
    shop.orchestrator.stop().await;
    shop.payment.stop().await;
    for (server, file) in
        [(&shop.orchestrator, "log-url"), (&shop.payment, "books-url"), (&shop.payment, "toss-key")]
    {
        let text = fs::read(folder.join(file)).unwrap();
        fs::remove_file(folder.join(file)).unwrap();
        is_refused(server, file).await;
        fs::write(folder.join(file), text).unwrap();
    }
}

async fn is_refused(server: &Server, file: &str) {
    let finished = run(server.command()).await;
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains(&format!("{file} cannot be read")), "{}", finished.stderr);
}
