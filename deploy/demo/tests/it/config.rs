//! The files in `deploy/config` are read with the types that the programs read them with,
//! and every key of those types is in them.

use std::{fs, path::PathBuf};

use figment::{
    Figment,
    error::Kind,
    providers::{Format as _, Serialized, Toml},
    value::{Dict, Value},
};
use saga_participant::serve::Config as ServiceConfig;
use serde::de::DeserializeOwned;

const SERVICE_SECTIONS: [&str; 5] = ["", "tls", "database", "server", "log"];

fn file(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../config").join(name);
    fs::read_to_string(path).unwrap()
}

/// The file with the keys that are off: `#key = value`, without a space.
fn all_on(text: &str) -> String {
    let on = |line: &str| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase()) => key.to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(on).collect::<Vec<_>>().join("\n")
}

fn keys(figment: &Figment, section: &str) -> Dict {
    let value = if section.is_empty() {
        figment.extract::<Value>().unwrap()
    } else {
        figment.find_value(section).unwrap()
    };
    value.into_dict().unwrap()
}

/// The keys that a type knows in a section: its own answer to one that it does not know.
fn known<C: DeserializeOwned>(figment: &Figment, section: &str) -> &'static [&'static str] {
    let stranger = format!("{section}.stranger").trim_start_matches('.').to_owned();
    let error = figment.clone().merge(Serialized::default(&stranger, 1)).extract::<C>();
    match error.err().unwrap().kind {
        Kind::UnknownField(_, known) => known,
        other => panic!("[{section}] takes a key that it should not know: {other}"),
    }
}

fn check<C: DeserializeOwned>(name: &str, sections: &[&str]) {
    let text = file(name);
    Figment::from(Toml::string(&text)).extract::<C>().unwrap_or_else(|it| panic!("{name}: {it}"));
    let all = Figment::from(Toml::string(&all_on(&text)));
    all.extract::<C>().unwrap_or_else(|it| panic!("{name}, all on: {it}"));
    for section in sections {
        let there = keys(&all, section);
        for key in known::<C>(&all, section) {
            assert!(there.contains_key(*key), "{name}: [{section}] does not explain {key}");
        }
    }
}

#[test]
fn the_orchestrator_reads_its_file_and_every_key_is_explained() {
    let participant = ["participants.inventory", "participants.inventory.tls"];
    let sections =
        [&["", "tls", "auth", "auth.tokens", "limits", "telemetry"][..], &participant].concat();
    check::<orchestrator::config::Config>("orchestrator.toml", &sections);
}

#[test]
fn the_services_read_their_files_and_every_key_is_explained() {
    let sections = [&SERVICE_SECTIONS[..], &["service", "service.stock"]].concat();
    check::<ServiceConfig<inventory_svc::Config>>("inventory.toml", &sections);
    check::<ServiceConfig<order_svc::Config>>("order.toml", &SERVICE_SECTIONS);
    let sections = [&SERVICE_SECTIONS[..], &["service", "service.toss"]].concat();
    let sections = [&sections[..], &["service.portone", "service.webhooks"]].concat();
    check::<ServiceConfig<payment_svc::PaymentConfig>>("payment.toml", &sections);
}

#[test]
fn values_that_are_called_defaults_are_the_defaults() {
    let mine = Figment::from(Toml::string(&file("orchestrator.toml")));
    let defaults = Figment::from(Serialized::defaults(orchestrator::config::Config::default()));
    for key in ["listen", "log", "migrate", "stop_grace_ms", "limits", "telemetry.filter"] {
        let numbers = |of: &Figment| format!("{:?}", of.extract_inner::<serde_json::Value>(key));
        assert_eq!(numbers(&mine), numbers(&defaults), "{key}");
    }
}

#[test]
fn every_key_has_a_comment_above_it() {
    for name in ["orchestrator.toml", "inventory.toml", "order.toml", "payment.toml"] {
        let text = file(name);
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let is_key = line.contains(" = ") && !line.starts_with("# ");
            let explained = lines[..index].iter().rev().take_while(|it| !it.is_empty());
            let explained = explained.into_iter().any(|it| it.starts_with("# "));
            let second = line.starts_with("addresses");
            assert!(!is_key || explained || second, "{name}, line {}: {line}", index + 1);
        }
    }
}
