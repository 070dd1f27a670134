//! Units for machines without Kubernetes.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use saga_tests::programs::{program, repository};

use crate::{budgets::LEAVE_MS, images::run, settings};

/// Each unit, its program, its configuration, and what it may take to stop.
const UNITS: [(&str, &str, &str, &str); 4] = [
    ("amends-inventory", "inventory-svc", "inventory.toml", "server.drain_max_ms"),
    ("amends-orchestrator", "orchestrator", "orchestrator.toml", "stop_grace_ms"),
    ("amends-order", "order-svc", "order.toml", "server.drain_max_ms"),
    ("amends-payment", "payment-svc", "payment.toml", "server.drain_max_ms"),
];

/// Above this `systemd-analyze security` finds that a program may do more than it should, in
/// tenths: 96 is a unit that says nothing.
const EXPOSURE_MAX: &str = "15";

fn folder() -> PathBuf {
    repository().join("deploy/systemd")
}

fn text(unit: &str) -> String {
    fs::read_to_string(folder().join(format!("{unit}.service"))).unwrap()
}

/// What a unit says, with each value of a key that is said more than once.
fn said(unit: &str) -> BTreeMap<String, Vec<String>> {
    let mut said = BTreeMap::<String, Vec<String>>::new();
    for line in text(unit).lines().filter(|line| !line.starts_with('#')) {
        if let Some((key, value)) = line.split_once('=') {
            said.entry(key.to_owned()).or_default().push(value.to_owned());
        }
    }
    said
}

#[test]
fn every_program_has_a_unit_that_systemd_understands() {
    let mut there: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort();
    assert_eq!(there, UNITS.map(|(unit, ..)| format!("{unit}.service")));
    let copies = tempfile::tempdir().unwrap();
    for (unit, binary, ..) in UNITS {
        // systemd looks whether the program is there.
        let installed = format!("/usr/local/bin/{binary} ");
        let here = format!("{} ", program(binary).display());
        let copy = copies.path().join(format!("{unit}.service"));
        assert!(text(unit).contains(&installed), "{unit}");
        fs::write(&copy, text(unit).replace(&installed, &here)).unwrap();

        let output = Command::new("systemd-analyze").arg("verify").arg(&copy).output().unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && complaints.is_empty(), "{unit}: {complaints}");

        let mut security = Command::new("systemd-analyze");
        security.args(["security", "--offline=true", "--threshold", EXPOSURE_MAX]).arg(&copy);
        let told = run(&mut security);
        assert!(told.contains("Overall exposure level"), "{told}");
    }
}

#[test]
fn a_unit_gives_its_program_what_its_configuration_may_ask_for() {
    for (unit, binary, config, grace) in UNITS {
        let said = said(unit);
        let one = |key: &str| -> &str {
            let values = said.get(key).unwrap_or_else(|| panic!("{unit} does not say {key}"));
            assert_eq!(values.len(), 1, "{unit}: {key}");
            &values[0]
        };
        let start = one("ExecStart");
        assert!(start.starts_with(&format!("/usr/local/bin/{binary} serve")), "{start}");
        assert!(start.ends_with(&format!("--config /etc/amends/{config}")), "{start}");
        let stop_ms = one("TimeoutStopSec").parse::<u64>().unwrap() * 1_000;
        let grace_ms = settings::explained_number(config, grace);
        assert!(grace_ms + LEAVE_MS <= stop_ms, "{unit}: {grace_ms} ms to stop");
        let descriptors: u64 = one("LimitNOFILE").parse().unwrap();
        let connections = settings::explained_number(config, "server.connections_max");
        assert!(2 * connections <= descriptors, "{unit}");
        assert_eq!(one("WorkingDirectory"), format!("%S/{}", one("StateDirectory")));
        // What it gives up stays given up.
        for (key, value) in [
            ("DynamicUser", "yes"),
            ("NoNewPrivileges", "yes"),
            ("CapabilityBoundingSet", ""),
            ("ProtectSystem", "strict"),
            ("UMask", "0077"),
            ("Restart", "always"),
        ] {
            assert_eq!(one(key), value, "{unit}: {key}");
        }
        // Root's secrets come as files.
        assert!(!said.contains_key("Environment") && !said.contains_key("EnvironmentFile"));
        for credential in &said["LoadCredential"] {
            let (name, path) = credential.split_once(':').unwrap();
            assert_eq!(path, format!("/etc/amends/credentials/{name}"));
        }
    }
}
