//! Configurations in ConfigMaps, beside the files that explain every key.

use std::fs;

use figment::{
    Figment,
    providers::{Format as _, Toml},
};
use saga_tests::programs::repository;
use serde_json::Value;

use crate::manifests::{Manifests, Workload, list, text};

/// A program's configuration in a cluster.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) said: Value,
    /// Every key of the program, with what holds where nothing is said.
    explained: Value,
}

impl Settings {
    /// What a workload's program is told, where it is told by a file.
    pub(crate) fn of(manifests: &Manifests, workload: Workload<'_>) -> Option<Self> {
        let args: Vec<&str> = list(&workload.container()["args"]).iter().map(text).collect();
        let at = args.iter().position(|it| *it == "--config")?;
        let (folder, file) = args[at + 1].rsplit_once('/').unwrap();
        let (_, volume) = workload.mounts().into_iter().find(|(path, _)| *path == folder).unwrap();
        let map = manifests.get("ConfigMap", text(&volume["configMap"]["name"]));
        let said = read(text(&map["data"][file]));
        Some(Self { said, explained: explained(file) })
    }

    /// A whole number: what is said, or what holds otherwise.
    pub(crate) fn number(&self, path: &str) -> u64 {
        let number = |table: &Value| find(table, path)?.as_u64();
        let found = number(&self.said).or_else(|| number(&self.explained));
        found.unwrap_or_else(|| panic!("{path} is explained nowhere"))
    }

    /// The port of an address that is listened at.
    pub(crate) fn port(&self, key: &str) -> Option<u64> {
        let address = text(self.said.get(key)?);
        // Every address of a pod: that of the loopback is of no use to others.
        Some(address.strip_prefix("0.0.0.0:").unwrap().parse().unwrap())
    }

    /// Every key that is said, as in `tls.key`; names of participants are no keys.
    pub(crate) fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        walk(&self.said, "", &mut keys);
        keys
    }

    /// Every text that is said.
    pub(crate) fn texts(&self) -> Vec<&str> {
        fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::String(text) => found.push(text),
                Value::Array(values) => values.iter().for_each(|it| texts(it, found)),
                Value::Object(table) => table.values().for_each(|it| texts(it, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        texts(&self.said, &mut found);
        found
    }
}

/// What `deploy/config/FILE` says of a whole number.
pub(crate) fn explained_number(file: &str, path: &str) -> u64 {
    find(&explained(file), path).and_then(Value::as_u64).unwrap()
}

/// `deploy/config/FILE` with the keys that are off.
fn explained(file: &str) -> Value {
    let text = fs::read_to_string(repository().join("deploy/config").join(file)).unwrap();
    let on = |line: &str| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => {
            key.to_owned()
        }
        _ => line.to_owned(),
    };
    read(&text.lines().map(on).collect::<Vec<_>>().join("\n"))
}

fn read(toml: &str) -> Value {
    Figment::from(Toml::string(toml)).extract().unwrap()
}

fn find<'a>(table: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(table, |table, key| table.get(key))
}

fn walk(value: &Value, path: &str, keys: &mut Vec<String>) {
    let Some(table) = value.as_object() else { return };
    for (key, value) in table {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        walk(value, &path, keys);
        keys.push(path);
    }
}

/// Of a path without names of participants, which are everybody's own.
fn anonymous(path: &str) -> String {
    let mut parts: Vec<&str> = path.split('.').collect();
    if parts[0] == "participants" && 1 < parts.len() {
        parts[1] = "inventory";
    }
    parts.join(".")
}

/// Every key in a cluster is one that its program knows and `deploy/config` explains.
#[test]
fn every_key_is_known() {
    let mut looked_at = 0;
    for overlay in crate::manifests::OVERLAYS {
        let manifests = Manifests::of(overlay);
        for workload in manifests.workloads() {
            let Some(settings) = Settings::of(&manifests, workload) else { continue };
            for key in settings.keys() {
                let path = anonymous(&key);
                let is_secret = path.ends_with(".file");
                let path = path.trim_end_matches(".file");
                let is_known = find(&settings.explained, path).is_some();
                assert!(is_known, "{overlay}: {}: {key}", workload.name());
                looked_at += 1;
                if is_secret {
                    let explained = find(&settings.explained, path).unwrap();
                    assert!(explained.is_string(), "{key} is no secret");
                }
            }
        }
    }
    assert!(40 < looked_at, "{looked_at} keys were looked at");
}
