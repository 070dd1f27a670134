//! Who may talk to whom (X22).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    manifests::{Manifests, Workload, list, selects, text},
    settings::Settings,
};

/// Everything that is allowed in both overlays.
const ALWAYS: [&str; 5] = [
    "amends.dev/client=true -> orchestrator:7400",
    "amends.dev/operator=true -> orchestrator:7401",
    "amends.dev/monitoring=true -> orchestrator:7490",
    "orchestrator -> amends.dev/monitoring=true:4317",
    "orchestrator -> kube-system/kube-dns:53",
];

/// Beside it, in development.
const DEV: [&str; 12] = [
    "amends.dev/monitoring=true -> inventory:7491",
    "amends.dev/monitoring=true -> order:7493",
    "amends.dev/monitoring=true -> payment:7492",
    "inventory -> kube-system/kube-dns:53",
    "order -> kube-system/kube-dns:53",
    "orchestrator -> inventory:7411",
    "orchestrator -> order:7413",
    "orchestrator -> payment:7412",
    "payment -> kube-system/kube-dns:53",
    "payment -> provider:7414",
    "provider -> kube-system/kube-dns:53",
    // Nobody but payment knows the provider.
    "orchestrator -> kube-system/kube-dns:53",
];

/// Beside it, in production.
const PROD: [&str; 6] = [
    "orchestrator -> databases/postgresql:5432",
    "orchestrator -> shop/inventory:7411",
    "orchestrator -> shop/order:7413",
    "orchestrator -> shop/payment:7412",
    "orchestrator-migrate -> databases/postgresql:5432",
    "orchestrator-migrate -> kube-system/kube-dns:53",
];

/// Pairs that one side allows: who, to whom, at which port.
type Pairs = BTreeSet<(String, String, u64)>;

struct Network<'a> {
    workloads: Vec<Workload<'a>>,
    /// Whose incoming and outgoing calls are denied unless a rule allows them.
    denied: BTreeMap<&'static str, BTreeSet<&'a str>>,
    incoming: Pairs,
    outgoing: Pairs,
}

impl<'a> Network<'a> {
    fn of(manifests: &'a Manifests) -> Self {
        let mut network = Self {
            workloads: manifests.workloads(),
            denied: BTreeMap::new(),
            incoming: Pairs::new(),
            outgoing: Pairs::new(),
        };
        for policy in manifests.of_kind("NetworkPolicy") {
            network.add(&policy["spec"]);
        }
        network
    }

    fn chosen(&self, selector: &Value) -> Vec<Workload<'a>> {
        self.workloads.iter().copied().filter(|it| selects(selector, it.labels())).collect()
    }

    fn add(&mut self, policy: &Value) {
        let mine = self.chosen(&policy["podSelector"]);
        assert!(!mine.is_empty(), "it is about nobody: {policy}");
        for kind in ["Ingress", "Egress"] {
            if list(&policy["policyTypes"]).iter().any(|it| it == kind) {
                self.denied.entry(kind).or_default().extend(mine.iter().map(|it| it.name()));
            }
        }
        for workload in mine {
            for rule in list(&policy["ingress"]) {
                for from in self.peers(&rule["from"]) {
                    for port in ports(rule, workload) {
                        self.incoming.insert((from.clone(), workload.name().to_owned(), port));
                    }
                }
            }
            for rule in list(&policy["egress"]) {
                for to in self.peers(&rule["to"]) {
                    let theirs = self.workloads.iter().find(|it| it.name() == to);
                    for port in ports(rule, *theirs.unwrap_or(&workload)) {
                        self.outgoing.insert((workload.name().to_owned(), to.clone(), port));
                    }
                }
            }
        }
    }

    /// Whom a rule is about: our own by name, others by their labels.
    fn peers(&self, peers: &Value) -> Vec<String> {
        let peers = list(peers);
        assert!(!peers.is_empty(), "a rule without peers is about everybody");
        let mut named = Vec::new();
        for peer in peers {
            assert!(peer["ipBlock"].is_null(), "addresses are nobody's name: {peer}");
            if peer["namespaceSelector"].is_null() {
                let ours = self.chosen(&peer["podSelector"]);
                assert!(!ours.is_empty(), "nobody is meant: {peer}");
                named.extend(ours.iter().map(|it| it.name().to_owned()));
                continue;
            }
            let mut name = label(&peer["namespaceSelector"]);
            if !peer["podSelector"].is_null() {
                name = format!("{name}/{}", label(&peer["podSelector"]));
            }
            named.push(name);
        }
        named
    }

    /// What is allowed on both sides, as sentences.
    fn allowed(&self) -> BTreeSet<String> {
        let is_ours = |name: &str| self.workloads.iter().any(|it| it.name() == name);
        let within = |pairs: &Pairs| -> Pairs {
            pairs.iter().filter(|(from, to, _)| is_ours(from) && is_ours(to)).cloned().collect()
        };
        assert_eq!(within(&self.incoming), within(&self.outgoing), "allowed on one side only");
        let all = self.incoming.union(&self.outgoing);
        all.map(|(from, to, port)| format!("{from} -> {to}:{port}")).collect()
    }
}

/// A selector by its one label; that which names it without its key.
fn label(selector: &Value) -> String {
    let labels = selector["matchLabels"].as_object().unwrap();
    assert_eq!(labels.len(), 1, "everybody, or nobody: {selector}");
    let (key, value) = labels.iter().next().unwrap();
    let value = text(value);
    match key.as_str() {
        "kubernetes.io/metadata.name" | "app.kubernetes.io/name" | "k8s-app" => value.to_owned(),
        key => format!("{key}={value}"),
    }
}

/// The ports of a rule, by the names that the pod behind them gives.
fn ports(rule: &Value, of: Workload<'_>) -> Vec<u64> {
    let ports = list(&rule["ports"]);
    assert!(!ports.is_empty(), "a rule without ports is about all: {rule}");
    let number = |port: &Value| match port["port"].as_u64() {
        Some(number) => number,
        None => of.ports()[text(&port["port"])],
    };
    ports.iter().map(number).collect()
}

fn check(overlay: &str, more: &[&str]) {
    let manifests = Manifests::of(overlay);
    let network = Network::of(&manifests);
    let everybody: BTreeSet<&str> = network.workloads.iter().map(|it| it.name()).collect();
    for kind in ["Ingress", "Egress"] {
        assert_eq!(network.denied[kind], everybody, "{overlay}: {kind} is not denied to all");
    }
    let wanted = ALWAYS.iter().chain(more).map(|it| (*it).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(network.allowed(), wanted, "{overlay}");
}

#[test]
fn nobody_talks_to_anybody_else() {
    check("dev", &DEV);
    check("prod", &PROD);
}

/// What the orchestrator is told to call, it is allowed to call.
#[test]
fn every_participant_can_be_reached() {
    for overlay in crate::manifests::OVERLAYS {
        let manifests = Manifests::of(overlay);
        let allowed = Network::of(&manifests).allowed();
        let settings = Settings::of(&manifests, manifests.workload("orchestrator")).unwrap();
        let participants = settings.said["participants"].as_object().unwrap();
        assert_eq!(participants.len(), 3);
        for participant in participants.values() {
            for address in list(&participant["addresses"]) {
                let (_, place) = text(address).split_once("://").unwrap();
                let (host, port) = place.split_once(':').unwrap();
                let peer = match host.split('.').collect::<Vec<_>>()[..] {
                    [name] => {
                        let service = manifests.get("Service", name);
                        let ports = list(&service["spec"]["ports"]);
                        let port: u64 = port.parse().unwrap();
                        assert!(ports.iter().any(|it| it["port"] == port), "{address}");
                        name.to_owned()
                    }
                    [name, namespace, "svc"] => format!("{namespace}/{name}"),
                    _ => panic!("{address}"),
                };
                let pair = format!("orchestrator -> {peer}:{port}");
                assert!(allowed.contains(&pair), "{overlay}: {pair}");
            }
        }
    }
}
