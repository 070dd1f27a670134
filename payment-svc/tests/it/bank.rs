//! A simulated provider that listens, and can be stopped and started again.

use std::net::SocketAddr;

use payment_svc::{
    provider::{
        Asking, Charge, Refund,
        portone::{PortOne, PortOneConfig},
        toss::{Toss, TossConfig},
    },
    simulator::{Fault, FaultScript, Session, Simulator, SimulatorConfig, Stage},
};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

pub(crate) const SECRET_KEY: &str = "test_sk_of_the_shop";

pub(crate) const IMP_SECRET: &str = "imp_secret_of_the_shop";

pub(crate) struct Bank {
    pub(crate) simulator: Simulator,
    pub(crate) address: SocketAddr,
    config: SimulatorConfig,
    directory: TempDir,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Bank {
    pub(crate) async fn open() -> Self {
        Self::open_with(SimulatorConfig::default()).await
    }

    pub(crate) async fn open_with(config: SimulatorConfig) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self::start(directory, "127.0.0.1:0".parse().unwrap(), config).await
    }

    async fn start(directory: TempDir, address: SocketAddr, config: SimulatorConfig) -> Self {
        let path = directory.path().join("bank.db");
        let simulator = Simulator::open(&path, config.clone()).await.unwrap();
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let server = simulator.clone();
        let serving = tokio::spawn(async move {
            let shutdown = async {
                let _: Result<(), _> = stopped.await;
            };
            server.serve(listener, shutdown).await.unwrap();
        });
        Self { simulator, address, config, directory, stop, serving }
    }

    /// The provider goes away.
    pub(crate) async fn stop(self) -> StoppedBank {
        let Self { simulator, address, config, directory, stop, serving } = self;
        let _: Result<(), ()> = stop.send(());
        serving.await.unwrap();
        simulator.close().await;
        StoppedBank { directory, address, config }
    }

    fn currency(&self) -> String {
        self.config.currency.clone()
    }

    pub(crate) fn toss(&self) -> Toss {
        let config = TossConfig::new(&self.url(""), SECRET_KEY);
        Toss::new(&TossConfig { currencies: vec![self.currency()], ..config }).unwrap()
    }

    pub(crate) fn portone(&self) -> PortOne {
        let config = PortOneConfig::new(&self.url(""), "imp_key", IMP_SECRET);
        PortOne::new(&PortOneConfig { currencies: vec![self.currency()], ..config }).unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A buyer agrees to pay, and nothing goes wrong.
    pub(crate) async fn buyer(&self, key: &str, order_no: &str, amount_minor: i64) {
        self.buyer_with(key, order_no, amount_minor, FaultScript::default()).await;
    }

    pub(crate) async fn buyer_with(
        &self,
        key: &str,
        order_no: &str,
        amount_minor: i64,
        faults: FaultScript,
    ) {
        self.simulator.authenticate(key, order_no, amount_minor, Some(faults)).await.unwrap();
    }

    /// A buyer who has come as far as `stage` says.
    pub(crate) async fn buyer_at(
        &self,
        stage: Stage,
        key: &str,
        order_no: &str,
        amount_minor: i64,
        faults: FaultScript,
    ) {
        let session = Session {
            payment_key: key.to_owned(),
            order_no: order_no.to_owned(),
            amount_minor,
            stage,
            faults: Some(faults),
        };
        self.simulator.authenticate_many(vec![session]).await.unwrap();
    }

    /// A buyer has paid without the shop.
    pub(crate) async fn payer(&self, key: &str, order_no: &str, amount_minor: i64) {
        self.buyer_at(Stage::Paid, key, order_no, amount_minor, FaultScript::default()).await;
    }

    /// Captured and cancelled money of an order, and the number of its captures.
    pub(crate) async fn money(&self, order_no: &str) -> (i64, i64, i64) {
        let order = self.simulator.order_ledger(order_no).await.unwrap();
        (order.captured_minor, order.cancelled_minor, order.captures)
    }

    pub(crate) async fn fired(&self, kind: &str) -> u64 {
        self.simulator.faults_fired().await.unwrap().get(kind).copied().unwrap_or(0)
    }

    /// A POST on the wire, as the adapter makes it.
    pub(crate) fn post(&self, path: &str, key: &str, body: &Value) -> RequestBuilder {
        client()
            .post(self.url(path))
            .basic_auth(SECRET_KEY, Some(""))
            .header("Idempotency-Key", key)
            .json(body)
    }

    pub(crate) async fn confirm(&self, key: &str, charge: &Charge) -> (u16, Value) {
        let body = json!({
            "paymentKey": charge.provider_key,
            "orderId": charge.order_no,
            "amount": charge.amount_minor,
        });
        answer(self.post("/v1/payments/confirm", key, &body)).await
    }

    pub(crate) async fn cancel(&self, key: &str, provider_key: &str, body: Value) -> (u16, Value) {
        answer(self.post(&format!("/v1/payments/{provider_key}/cancel"), key, &body)).await
    }

    pub(crate) async fn show(&self, provider_key: &str) -> (u16, Value) {
        let url = self.url(&format!("/v1/payments/{provider_key}"));
        answer(client().get(url).basic_auth(SECRET_KEY, Some(""))).await
    }
}

pub(crate) struct StoppedBank {
    directory: TempDir,
    address: SocketAddr,
    config: SimulatorConfig,
}

impl StoppedBank {
    /// The provider comes back at the same address, with the books that it had.
    pub(crate) async fn start(self) -> Bank {
        Bank::start(self.directory, self.address, self.config).await
    }
}

pub(crate) fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

pub(crate) async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

pub(crate) fn charge(provider_key: &str, order_no: &str, amount_minor: i64) -> Charge {
    Charge {
        provider_key: provider_key.to_owned(),
        order_no: order_no.to_owned(),
        amount_minor,
        currency: "KRW".to_owned(),
        decimals: 0,
    }
}

pub(crate) fn refund(charge: &Charge, balance_minor: i64, amount_minor: i64) -> Refund {
    Refund {
        provider_key: charge.provider_key.clone(),
        order_no: charge.order_no.clone(),
        balance_minor,
        amount_minor,
        currency: charge.currency.clone(),
        decimals: charge.decimals,
        reason: "a test".to_owned(),
    }
}

pub(crate) fn asking(key: &str) -> Asking {
    let idempotency_key = key.to_owned();
    Asking { idempotency_key, intended_at_ms: 0, now_ms: 0, asked_before: false }
}

/// Asked for the second time, or later.
pub(crate) fn asking_again(key: &str) -> Asking {
    Asking { asked_before: true, ..asking(key) }
}

pub(crate) fn on_confirm(faults: impl Into<Vec<Fault>>) -> FaultScript {
    FaultScript { confirm: faults.into(), ..FaultScript::default() }
}

pub(crate) fn decline(code: &str) -> Fault {
    Fault::Decline { code: code.to_owned() }
}
