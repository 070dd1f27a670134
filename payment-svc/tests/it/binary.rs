//! The real binary: `payment-svc simulator` is killed and started again, and
//! `payment-svc serve` answers.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use saga_participant::testkit::{Scratch, new_op_id, with_op_id};
use serde_json::{Value, json};
use shop_proto::payment::v1::payment_service_client::PaymentServiceClient;
use tonic::transport::Endpoint;

use crate::{
    bank::{IMP_SECRET, SECRET_KEY, answer, client},
    shop::{paid, request, within},
};

/// A process that dies with its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _: std::io::Result<()> = self.0.kill();
        let _: std::io::Result<std::process::ExitStatus> = self.0.wait();
    }
}

fn simulator(ledger: &Path) -> (Process, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_payment-svc"))
        .args(["simulator", "--listen", "127.0.0.1:0", "--ledger"])
        .arg(ledger)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
    (Process(child), url)
}

#[tokio::test]
async fn what_the_simulator_said_survives_its_sudden_death() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("bank.db");
    let confirm = |url: &str, number: usize| {
        let body = json!({
            "paymentKey": format!("pay-{number}"),
            "orderId": format!("order-{number}"),
            "amount": 700,
        });
        client()
            .post(format!("{url}/v1/payments/confirm"))
            .basic_auth(SECRET_KEY, Some(""))
            .header("Idempotency-Key", format!("key-{number}"))
            .json(&body)
    };
    let (process, url) = simulator(&ledger);
    let payments: Vec<Value> = (0..50)
        .map(|it| {
            json!({
                "payment_key": format!("pay-{it}"),
                "order_no": format!("order-{it}"),
                "amount_minor": 700,
            })
        })
        .collect();
    let opening = client().post(format!("{url}/simulator/v1/payments"));
    assert_eq!(answer(opening.json(&json!({ "payments": payments }))).await.0, 200);

    let mut said = Vec::new();
    for number in 0..50 {
        said.push(answer(confirm(&url, number)).await);
    }
    // SIGKILL.
    drop(process);

    let (_process, url) = simulator(&ledger);
    for (number, said) in said.iter().enumerate() {
        assert_eq!(answer(confirm(&url, number)).await, *said);
    }
    let (_, page) = answer(client().get(format!("{url}/simulator/v1/ledger?limit=100"))).await;
    let orders = page["orders"].as_array().unwrap();
    assert_eq!(orders.len(), 50);
    assert!(orders.iter().all(|it| it["captures"] == json!(1)));
}

#[tokio::test]
async fn the_binary_serves_both_providers_and_listens_to_hints() {
    let directory = tempfile::tempdir().unwrap();
    let scratch = Scratch::sqlite();
    let (_bank, bank_url) = simulator(&directory.path().join("bank.db"));
    let buyer = json!({ "payments": [
        { "payment_key": "pay-1", "order_no": "order-1", "amount_minor": 700 },
        { "payment_key": "imp-2", "order_no": "order-2", "amount_minor": 500,
          "stage": "requested" } ] });
    answer(client().post(format!("{bank_url}/simulator/v1/payments")).json(&buyer)).await;

    answer(client().post(format!("{bank_url}/simulator/v1/payments/imp-2/pay"))).await;
    // Both at once, so that they differ.
    let [free, webhooks] = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let [free, webhooks] = [free, webhooks].map(|it| it.local_addr().unwrap());
    let config = directory.path().join("payment.toml");
    let text = format!(
        "listen = \"{free}\"\ndatabase_url = \"{}\"\n[service.toss]\nbase_url = \"{bank_url}\"\n\
         secret_key = \"{SECRET_KEY}\"\n[service.portone]\nbase_url = \"{bank_url}\"\n\
         imp_key = \"imp_key\"\nimp_secret = \"{IMP_SECRET}\"\n[service.webhooks]\n\
         listen = \"{webhooks}\"\n",
        scratch.url
    );
    std::fs::write(&config, text).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_payment-svc"))
        .args(["serve", "--migrate", "--config"])
        .arg(&config)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _service = Process(child);

    let endpoint = Endpoint::from_shared(format!("http://{free}")).unwrap();
    let channel = within(async {
        loop {
            match endpoint.connect().await {
                Ok(channel) => return channel,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    })
    .await;
    let mut payments = PaymentServiceClient::new(channel);
    let (op_id, it) = (new_op_id(), request("pay-1", "order-1", 700));
    let first = payments.confirm(with_op_id(op_id, it.clone())).await.unwrap().into_inner();
    let again = payments.confirm(with_op_id(op_id, it)).await.unwrap().into_inner();
    assert_eq!((first.amount_minor, &first), (700, &again));
    let it = with_op_id(new_op_id(), paid("imp-2", "order-2", 500));
    assert_eq!(payments.verify(it).await.unwrap().into_inner().amount_minor, 500);

    let script = json!({ "url": format!("http://{webhooks}/webhooks/portone"),
        "wire": "portone", "copies": 7, "order": "newest_first" });
    let sending = client().post(format!("{bank_url}/simulator/v1/webhooks")).json(&script);
    assert_eq!(answer(sending).await, (200, json!({ "taken": 14, "not_taken": 0 })));
}

#[test]
fn a_configuration_without_a_provider_is_refused_with_what_is_missing() {
    let output = Command::new(env!("CARGO_BIN_EXE_payment-svc"))
        .args(["serve", "--database-url", "sqlite:///nowhere/at/all.db"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(said.contains("toss") && said.contains("missing"), "{said}");
}
