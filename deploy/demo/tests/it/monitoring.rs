//! The page of the metrics, the alert rules, the runbook and the dashboard fit the programs and
//! one another.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Command,
    sync::Arc,
};

use orchestrator::{config::Config, server::Orchestrator};
use payment_svc::{Payments, provider::Providers};
use saga_metrics::{Kind, Metric};
use saga_participant::{
    Database,
    database::Limits,
    serve::{App, Ops, Server, ServerLimits, Wire},
};

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn read(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A metric in one line, as the page has it.
type Line = String;

fn line(name: &str, labels: &str, kind: &str) -> Line {
    format!("{name}({labels}): {kind}")
}

fn line_of(metric: &Metric) -> Line {
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
        Kind::Info => "info",
    };
    line(metric.name, &metric.labels.join(", "), kind)
}

/// The rows of the page, by the programs that they are said to be in.
fn page() -> BTreeMap<String, BTreeSet<Line>> {
    let mut rows = BTreeMap::<String, BTreeSet<Line>>::new();
    for row in read("orchestrator/docs/metrics.md").lines().filter(|it| it.starts_with("| `")) {
        let cells: Vec<String> = row.split('|').map(|it| it.trim().replace('`', "")).collect();
        let [_, name, labels, kind, programs, says, ..] = cells.as_slice() else {
            panic!("a row without all of its cells: {row}")
        };
        assert!(says.len() > 5, "nothing is said of {name}");
        let is_new = rows.entry(programs.clone()).or_default().insert(line(name, labels, kind));
        assert!(is_new, "{name} is on the page twice");
    }
    rows
}

/// What a program shows once it serves.
async fn shown(ops: &Ops) -> BTreeSet<Line> {
    loop {
        let metrics = ops.metrics();
        if metrics.iter().any(|it| it.name == "grpc_server_handled_total") {
            let lines: BTreeSet<Line> = metrics.iter().map(|it| line_of(it)).collect();
            assert_eq!(lines.len(), metrics.len(), "a metric is shown twice: {metrics:?}");
            return lines;
        }
        tokio::task::yield_now().await;
    }
}

async fn shown_by_service(app: App) -> BTreeSet<Line> {
    let ops = Ops::new("service", "0");
    let server = Server::bind(ANY_PORT, ServerLimits::default(), Wire::Loopback)
        .unwrap()
        .with_ops(ops.clone());
    let serving = tokio::spawn(server.run(app, std::future::pending()));
    let lines = shown(&ops).await;
    serving.abort();
    lines
}

async fn shown_by_orchestrator() -> BTreeSet<Line> {
    let config = Config {
        listen: ANY_PORT,
        listen_ops: Some(ANY_PORT),
        log: "memory:".to_owned(),
        ..Config::default()
    };
    let orchestrator = Box::pin(Orchestrator::start(config)).await.unwrap();
    let ops = orchestrator.ops().clone();
    let serving = tokio::spawn(orchestrator.run(std::future::pending()));
    let lines = shown(&ops).await;
    serving.abort();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_and_the_programs_have_the_same_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let database = async |name: &str| {
        let url = format!("sqlite://{}", folder.path().join(name).display());
        Database::connect(&url, Limits::default()).await.unwrap()
    };
    let inventory = database("inventory.db").await;
    inventory_svc::migrate(&inventory).await.unwrap();
    let order = database("order.db").await;
    order_svc::migrate(&order).await.unwrap();
    let payment = database("payment.db").await;
    payment_svc::migrate(&payment).await.unwrap();
    let payments =
        Payments { providers: Providers { configured: Vec::new() }, clock: Arc::default() };

    let page = page();
    let of = |programs: &[&str]| -> BTreeSet<Line> {
        programs.iter().filter_map(|it| page.get(*it)).flatten().cloned().collect()
    };
    let known = ["all", "orchestrator", "services"];
    assert!(page.keys().all(|it| known.contains(&it.as_str())), "{:?}", page.keys());
    assert_eq!(shown_by_orchestrator().await, of(&["all", "orchestrator"]));
    let services = of(&["all", "services"]);
    let app = inventory_svc::app(inventory, inventory_svc::Config::default());
    assert_eq!(shown_by_service(app).await, services);
    assert_eq!(shown_by_service(order_svc::app(order)).await, services);
    assert_eq!(shown_by_service(payment_svc::app(payment, payments)).await, services);
}

/// The names of metrics in a text, without what is added to those of histograms.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let families = ["saga_", "participant_", "grpc_server_", "process_"];
    let words = text.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
    words
        .filter(|word| families.iter().any(|family| word.starts_with(family)))
        .map(|word| {
            let suffixes = ["_bucket", "_sum", "_count"];
            suffixes.iter().find_map(|it| word.strip_suffix(it)).unwrap_or(word).to_owned()
        })
        .collect()
}

#[test]
fn every_metric_in_a_rule_or_a_panel_exists() {
    let page = page();
    let names: BTreeSet<String> = page
        .values()
        .flatten()
        .map(|line| line.split('(').next().unwrap_or_default().to_owned())
        .collect();
    let rules = read("deploy/monitoring/alerts.yaml");
    let rules: String = rules.lines().filter(|it| it.contains(" expr: ")).collect();
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("deploy/monitoring/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|it| it["targets"].as_array()).flatten();
    let panels: Vec<&str> = targets.map(|it| it["expr"].as_str().unwrap()).collect();
    assert!(30 < panels.len(), "{} expressions", panels.len());
    for (of, text, least) in [("rule", rules, 10), ("panel", panels.join("\n"), 30)] {
        let used = metrics_in(&text);
        assert!(least < used.len(), "only {used:?}");
        let strangers: Vec<&String> = used.difference(&names).collect();
        assert!(strangers.is_empty(), "no program has what a {of} asks for: {strangers:?}");
    }
}

#[test]
fn every_alert_has_a_section_of_the_runbook_and_a_test() {
    let behind = |text: &str, mark: &str| -> BTreeSet<String> {
        let behind = text.split(mark).skip(1);
        behind
            .filter_map(|it| it.split([',', '\n']).next())
            .map(|it| it.trim().to_owned())
            .collect()
    };
    let rules = read("deploy/monitoring/alerts.yaml");
    let alerts = behind(&rules, "- alert: ");
    assert!(10 < alerts.len(), "{alerts:?}");
    assert_eq!(behind(&read("deploy/monitoring/runbook.md"), "\n## "), alerts);
    let anchors = alerts.iter().map(|it| it.to_lowercase()).collect();
    assert_eq!(behind(&rules, "runbook: deploy/monitoring/runbook.md#"), anchors);
    assert_eq!(behind(&read("deploy/monitoring/alerts.test.yaml"), "alertname: "), alerts);
}

#[test]
fn prometheus_takes_the_rules_and_each_alert_fires() {
    for (verb, file) in [("check", "alerts.yaml"), ("test", "alerts.test.yaml")] {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../monitoring");
        let ran = Command::new("promtool").args([verb, "rules", file]).current_dir(folder).output();
        let ran = ran.expect("promtool is there: `apt-get install prometheus`, as tests/run does");
        let said = [ran.stdout, ran.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(ran.status.success() && said.contains("SUCCESS"), "{said}");
    }
}
