//! TLS on every hop: who gets in, what a rotation costs, and what stops a start.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use futures::future::join_all;
use saga_proto::saga::v1::SagaState;
use saga_tests::{
    condition::eventually,
    order::{MUG, Order},
    process::run,
    programs,
    secured::{Files, TILL},
    server::{channel_with, serves},
    shop::{Database, Shop},
};
use saga_tls::{
    ClientFiles, Connector, Looked,
    testkit::{Authority, Valid},
};
use tonic::transport::Endpoint;

/// What a program says when it has read its files again.
const RENEWED: &str = "new connections use them";

async fn secured() -> (Shop, Files) {
    let mut shop = Shop::closed(Database::Sqlite).await;
    let files = shop.secure();
    shop.open_services().await;
    shop.orchestrator.start().await;
    (shop, files)
}

fn addresses(shop: &Shop) -> [(&'static str, SocketAddr); 4] {
    [
        ("orchestrator", shop.orchestrator.address()),
        ("inventory", shop.inventory.address()),
        ("payment", shop.payment.address()),
        ("order", shop.order.address()),
    ]
}

#[tokio::test]
async fn only_who_shows_a_certificate_of_the_shop_gets_in_anywhere() {
    let (shop, files) = secured().await;
    let shown = |name: &str| ClientFiles {
        ca: files.path("ca.pem"),
        certificate: Some(files.path(&format!("{name}.pem"))),
        key: Some(files.path(&format!("{name}.key"))),
        server_name: None,
    };
    files.put("expired", &files.authority.issue_valid(&[TILL], Valid::Before));
    files.put("later", &files.authority.issue_valid(&[TILL], Valid::Later));
    files.put("foreign", &Authority::new("shop").issue(&[TILL]));
    let open = |name| Connector::open_of_any_time("test", &shown(name)).unwrap();
    let refused = [
        ("no certificate", files.connector(None)),
        ("a certificate of another authority", open("foreign")),
        ("a certificate that has expired", open("expired")),
        ("a certificate of tomorrow", open("later")),
    ];
    for (program, address) in addresses(&shop) {
        assert!(serves(channel_with(&open("till"), address), "").await, "{program}");
        for (who, connector) in &refused {
            assert!(!serves(channel_with(connector, address), "").await, "{program}: {who}");
        }
        let plain = Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
        assert!(!serves(plain, "").await, "{program}: plain text");
    }
}

/// X02. Everybody trusts the next authority before its certificates are shown, and the old one
/// until none of its own is.
#[tokio::test]
async fn a_rotation_of_authority_and_certificates_fails_no_order() {
    let (mut shop, mut files) = secured().await;
    let orders: Vec<Order> = (0..400).map(|it| Order::of(&format!("order-{it}"), 1, MUG)).collect();
    shop.authenticate_all(&orders).await;
    let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    {
        let shop = &shop;
        let buyer = async || {
            while !is_over.load(Ordering::Acquire) {
                let Some(order) = orders.get(next.fetch_add(1, Ordering::AcqRel)) else { return };
                // A connection of its own for each, so that there are handshakes all the time.
                shop.start(order).await.unwrap();
                let saga = shop.ended(&order.business_key).await;
                assert_eq!(saga.state(), SagaState::Completed, "{}", saga.why);
            }
        };
        let rotation = async {
            let after = Authority::new("shop");
            renewed(shop, 1, || files.trust(&[&files.authority, &after])).await;
            files.authority = after;
            renewed(shop, 2, || files.issue_all()).await;
            renewed(shop, 3, || files.trust(&[&files.authority])).await;
            let placed = next.load(Ordering::Acquire);
            eventually("orders after the rotation", async || {
                (placed + 4 <= next.load(Ordering::Acquire)).then_some(())
            })
            .await;
            is_over.store(true, Ordering::Release);
        };
        let buyers = join_all((0..4).map(|_| buyer()));
        tokio::join!(buyers, rotation);
    }
    let placed = next.load(Ordering::Acquire);
    // Each of four buyers took one before the end of the rotation, and one behind it.
    assert!(8 <= placed && placed < orders.len(), "{placed} orders: too few, or over too soon");

    // What was read is what is spoken, on both sides of every hop.
    for (program, address) in addresses(&shop) {
        let till = files.connector(Some("till"));
        assert!(serves(channel_with(&till, address), "").await, "{program}");
    }
    for service in [&mut shop.inventory, &mut shop.payment, &mut shop.order] {
        service.kill().await;
        service.start().await;
    }
    let last = Order::of("order-last", 1, MUG);
    shop.authenticate(&last).await;
    assert_eq!(shop.place(&last).await.state(), SagaState::Completed);
}

/// Changes files, and waits until every program has read them `times` times.
async fn renewed(shop: &Shop, times: usize, change: impl FnOnce()) {
    change();
    let till = shop.orchestrator.tls.as_ref().unwrap();
    assert!(matches!(till.look(), Looked::Renewed));
    // The orchestrator reads for its listener and for each of three participants.
    let all = [(&shop.orchestrator, 4), (&shop.inventory, 1), (&shop.payment, 1), (&shop.order, 1)];
    for (server, of_one) in all {
        eventually("a program reads its files again", async || {
            let read = server.output().matches(RENEWED).count();
            // Halves of a pair that were seen apart are read once more.
            (of_one * times <= read).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_person_gets_in_with_a_certificate_and_is_told_why_not() {
    let (shop, files) = secured().await;
    let url = shop.orchestrator.url();
    let path = |name: &str| files.path(name).display().to_string();
    let sagactl = async |arguments: &[&str]| {
        let mut command = programs::command("sagactl");
        command.args(["--address", &url, "--timeout", "20s"]).args(arguments);
        run(command).await
    };
    let (ca, mine, key) = (path("ca.pem"), path("till.pem"), path("till.key"));
    let all = ["--ca", &ca, "--certificate", &mine, "--certificate-key", &key, "stuck"];
    let answered = sagactl(&all).await;
    assert_eq!(answered.code, Some(0), "{}", answered.stderr);

    let foreign = path("foreign.pem");
    std::fs::write(&foreign, Authority::new("shop").pem()).unwrap();
    let other = path("order.key");
    for (arguments, code, words) in [
        (&["stuck"][..], 2, "--ca FILE"),
        (&["--ca", &ca, "stuck"], 7, "does not take this program's certificate"),
        (&["--ca", &foreign, "stuck"], 7, "no TLS with"),
        (&["--ca", "/nowhere.pem", "stuck"], 2, "--ca: /nowhere.pem: the file cannot be read"),
        (&["--ca", &ca, "--certificate", &mine, "stuck"], 2, "come together"),
        (
            &["--ca", &ca, "--certificate", &mine, "--certificate-key", &other, "stuck"],
            2,
            "--certificate-key: ",
        ),
    ] {
        let told = sagactl(arguments).await;
        assert_eq!(told.code, Some(code), "{arguments:?}: {}", told.stderr);
        assert!(told.stderr.contains(words), "{arguments:?}: {}", told.stderr);
    }
}

/// X01, X24. Nothing is listened at, and nobody is connected to.
#[tokio::test]
async fn a_program_that_anybody_could_listen_to_does_not_start_unasked() {
    let far = "postgres://amends:canary@10.255.255.1/amends?sslmode=require";
    for program in ["orchestrator", "inventory-svc", "payment-svc", "order-svc"] {
        let refused = async |arguments: &[&str]| {
            let mut command = programs::command(program);
            let settings = ["--set", "service.toss.base_url=http://127.0.0.1:1"];
            let more = ["--set", "service.toss.secret_key=x"];
            command.arg("serve").args(arguments);
            if program == "payment-svc" {
                command.args(settings).args(more);
            }
            let told = run(command).await;
            assert_ne!(told.code, Some(0), "{program} {arguments:?}");
            assert!(!told.stderr.contains("canary"), "{}", told.stderr);
            told.stderr
        };
        let database = if program == "orchestrator" { "--log" } else { "--database-url" };
        let folder = tempfile::tempdir().unwrap();
        let here = format!("sqlite:{}", folder.path().join("a.db").display());
        let told = refused(&["--listen", "0.0.0.0:7", database, &here, "--migrate"]).await;
        assert!(told.contains("allow_plaintext"), "{program}: {told}");
        let told = refused(&["--listen", "127.0.0.1:0", database, far]).await;
        assert!(told.contains("allow_insecure_database"), "{program}: {told}");
    }
}
