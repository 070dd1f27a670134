//! Rules of the workspace that the compiler cannot hold. Each failure says what to do.
//!
//! Rust files are read through a small scanner ([`source`]) that tells code from comments
//! and from text in quotes, so that a rule about code is not tripped by a sentence.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod code;
mod requirements;
mod source;
mod workspace;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use code::{comment, is_code, is_reason, is_unnamed_sql, reason_codes};
use source::Source;
use workspace::{dependencies, files, product, root, sources};

/// Lines that a file may have.
const LINES_MAX: usize = 400;

/// What each crate may depend on, of ours.
const EDGES: [(&str, &[&str]); 17] = [
    ("saga-core", &[]),
    ("saga-definition", &["saga-core"]),
    ("saga-draft", &["saga-core", "saga-definition", "saga-governor"]),
    ("saga-governor", &[]),
    ("saga-proto", &[]),
    ("shop-proto", &[]),
    ("saga-log", &["saga-core", "saga-metrics", "saga-tls"]),
    ("saga-metrics", &[]),
    ("saga-tls", &[]),
    ("saga-serve", &["saga-metrics", "saga-tls"]),
    ("saga-participant", &["saga-metrics", "saga-proto", "saga-serve", "saga-tls"]),
    (
        "orchestrator",
        &[
            "saga-core",
            "saga-definition",
            "saga-draft",
            "saga-governor",
            "saga-log",
            "saga-metrics",
            "saga-proto",
            "saga-serve",
            "saga-tls",
        ],
    ),
    ("sagactl", &["saga-core", "saga-definition", "saga-draft", "saga-proto", "saga-tls"]),
    ("inventory-svc", &["saga-participant", "shop-proto"]),
    ("order-svc", &["saga-participant", "shop-proto"]),
    ("payment-svc", &["saga-participant", "saga-proto", "shop-proto"]),
    ("shipping", &["saga-participant"]),
];

/// The crates that talk to a database, and the two that look into all of them.
const SQLX_USERS: [&str; 7] = [
    "saga-log",
    "saga-participant",
    "inventory-svc",
    "order-svc",
    "payment-svc",
    "saga-demo",
    "saga-tests",
];

/// Modules of the orchestrator in which protobuf types may appear.
const WIRE_MODULES: [&str; 7] =
    ["access", "api", "definitions", "descriptors", "main", "participants", "server"];

/// Where the participant kit names its reason codes.
const KIT_REASONS: &str = "orchestrator/saga-participant/src/error.rs";

/// Where each reason code of the engine says whether to send the request again.
const RETRIES: &str = "orchestrator/src/api/reason.rs";

/// Lists what breaks a rule, with what to do about it.
fn hold(remedy: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{remedy}\n  {}", violations.join("\n  "));
}

#[test]
fn crates_depend_in_one_direction() {
    let dependencies = dependencies();
    let ours: BTreeSet<&str> = dependencies.keys().map(String::as_str).collect();
    let mut violations = Vec::new();
    for (name, allowed) in EDGES {
        for used in dependencies[name].iter().filter(|it| ours.contains(it.as_str())) {
            if !allowed.contains(&used.as_str()) {
                violations.push(format!("{name} -> {used}"));
            }
        }
    }
    hold("remove the dependency, or move what is needed to a crate below both:", &violations);
}

#[test]
fn the_core_and_the_definitions_are_pure() {
    let wide = ["tokio", "futures", "sqlx", "tonic", "tracing", "rand", "jiff"];
    let pure = ["saga-core", "saga-definition", "saga-draft", "saga-governor"];
    let dependencies = dependencies();
    let used = pure.iter().flat_map(|it| &dependencies[*it]);
    let mut violations: Vec<String> =
        used.filter(|it| wide.contains(&it.as_str())).cloned().collect();
    let banned =
        ["async ", ".await", "std::fs", "std::net", "std::thread", "Instant", "SystemTime"];
    for source in product() {
        if pure.iter().any(|it| source.path.starts_with(&format!("orchestrator/{it}/"))) {
            violations.extend(source.lines_with(&banned));
        }
    }
    hold(
        "saga-core, saga-definition, saga-draft and saga-governor do no I/O and read no clock; make it an argument:",
        &violations,
    );
}

#[test]
fn only_the_log_the_kit_and_the_services_know_the_database() {
    let uses = |it: &(&String, &BTreeSet<String>)| {
        it.1.contains("sqlx") && !SQLX_USERS.contains(&it.0.as_str())
    };
    let dependencies = dependencies();
    let violations: Vec<String> =
        dependencies.iter().filter(uses).map(|(name, _)| name.clone()).collect();
    hold("remove sqlx; ask the crate that owns the tables:", &violations);
}

#[test]
fn protobuf_stays_at_the_edges_of_the_orchestrator() {
    let mut violations = Vec::new();
    for source in product() {
        let Some(module) = source.path.strip_prefix("orchestrator/src/") else { continue };
        if !WIRE_MODULES.iter().any(|it| module.starts_with(it)) {
            let wire = ["saga_proto::", "tonic::", "tonic_", "prost_reflect", "prost_types"];
            violations.extend(source.lines_with(&wire));
        }
    }
    hold(
        "turn the wire's type into one of ours in api, participants or saga-definition:",
        &violations,
    );
}

#[test]
fn modules_are_named_after_what_they_hold() {
    let vague = ["mod", "util", "utils", "common", "helper", "helpers", "types", "prelude", "misc"];
    let stem =
        |it: &Source| Path::new(&it.path).file_stem().unwrap().to_string_lossy().into_owned();
    let is_vague = |it: &&Source| vague.contains(&stem(it).as_str());
    let sources = sources();
    let violations: Vec<String> =
        sources.iter().filter(is_vague).map(|it| it.path.clone()).collect();
    hold("name the file after its contents; foo.rs + foo/bar.rs, no mod.rs:", &violations);
}

#[test]
fn files_are_short() {
    let length = |it: &Source| it.text.lines().count();
    let violations: Vec<String> = sources()
        .iter()
        .filter(|it| LINES_MAX < length(it))
        .map(|it| format!("{}: {} lines", it.path, length(it)))
        .collect();
    hold("move a part that has a name of its own to a child module:", &violations);
}

#[test]
fn product_code_neither_unwraps_nor_postpones() {
    let banned = [".unwrap()", "todo!", "unimplemented!", "dbg!"];
    let violations: Vec<String> = product().iter().flat_map(|it| it.lines_with(&banned)).collect();
    hold("return an error, or say with expect(..) why it cannot fail:", &violations);
}

#[test]
fn no_test_is_switched_off() {
    let violations: Vec<String> =
        sources().iter().flat_map(|it| it.lines_with(&["#[ignore"])).collect();
    hold("repair the test, or remove it:", &violations);
}

#[test]
fn exceptions_from_lints_have_a_reason() {
    // Generated code is included there.
    let generated = ["proto/src/lib.rs", "proto/shop/src/lib.rs", "examples/shipping/src/main.rs"];
    let written = |it: &&Source| !generated.contains(&it.path.as_str());
    let allows = |it: &Source| it.lines_with(&["#[allow(", "#![allow("]);
    let violations: Vec<String> = sources().iter().filter(written).flat_map(allows).collect();
    hold("write #[expect(lint, reason = \"..\")] instead:", &violations);
}

#[test]
fn every_statement_names_its_function() {
    let unnamed = |it: &Source| -> Vec<String> {
        let literals = it.literals.iter().filter(|(_, text)| is_unnamed_sql(text));
        literals.map(|(line, text)| format!("{}:{line}: {:.60}", it.path, text.trim())).collect()
    };
    let product = product();
    let named = product.iter().flat_map(|it| &it.literals).filter(|it| it.1.starts_with("/* "));
    assert!(20 < named.count(), "hardly any statement was found");
    let violations: Vec<String> = product.iter().flat_map(unnamed).collect();
    hold("begin the statement with /* function_name */:", &violations);
}

#[test]
fn every_reason_code_has_a_page() {
    let pages = fs::read_to_string(root().join("orchestrator/sagactl/src/pages.md")).unwrap();
    let pages: BTreeSet<&str> = pages.lines().filter_map(|it| it.strip_prefix("## ")).collect();
    let mut codes = BTreeSet::new();
    for file in files(&["proto"]) {
        let contract = fs::read_to_string(root().join(file)).unwrap();
        codes.extend(contract.lines().filter_map(comment).flat_map(reason_codes));
    }
    assert!(20 < codes.len(), "the contracts name {} reason codes", codes.len());
    // What these say of a step, a saga or a request reaches people as it is.
    let speakers = [
        "orchestrator/saga-core/",
        "orchestrator/saga-definition/",
        "orchestrator/saga-serve/",
        "orchestrator/src/",
        KIT_REASONS,
    ];
    for source in product() {
        if speakers.iter().any(|it| source.path.starts_with(it)) {
            let texts = source.literals.iter().map(|(_, it)| it);
            codes.extend(texts.filter(|it| is_reason(it)).cloned());
        }
    }
    let violations: Vec<String> =
        codes.into_iter().filter(|it| !pages.contains(it.as_str())).collect();
    hold("write a page in orchestrator/sagactl/src/pages.md for:", &violations);
}

/// A client decides by this and not by the sentence.
#[test]
fn every_reason_of_the_engine_says_whether_to_send_it_again() {
    let product = product();
    let literals = |paths: &[&str]| -> BTreeSet<String> {
        let sources =
            product.iter().filter(|it| paths.iter().any(|path| it.path.starts_with(path)));
        let texts = sources.flat_map(|it| &it.literals).map(|(_, text)| text);
        texts.filter(|it| is_code(it)).cloned().collect()
    };
    let is_table = |it: &&Source| it.path == RETRIES;
    let rows = product.iter().filter(is_table).flat_map(|it| &it.literals).map(|(_, text)| text);
    let table: BTreeSet<String> = rows.filter(|it| is_code(it)).cloned().collect();
    assert!(50 < table.len(), "{} reasons say whether to send it again", table.len());
    // What is refused in front of a method says it where it is refused.
    let in_front = literals(&["orchestrator/saga-serve/"]);
    let mut answered = BTreeSet::new();
    for file in files(&["proto"]).iter().filter(|it| it.starts_with("proto/saga/v1")) {
        let contract = fs::read_to_string(root().join(file)).unwrap();
        let listed = contract.lines().filter_map(comment).filter(|it| !it.contains("such as "));
        answered.extend(listed.flat_map(reason_codes));
    }
    for source in product.iter().filter(|it| it.path != RETRIES) {
        let is_answer = ["orchestrator/src/api/", "orchestrator/src/access/"];
        if is_answer.iter().any(|it| source.path.starts_with(it)) {
            answered
                .extend(source.literals.iter().map(|it| it.1.clone()).filter(|it| is_reason(it)));
        }
    }
    let violations: Vec<&String> =
        answered.difference(&table).filter(|it| !in_front.contains(*it)).collect();
    assert!(violations.is_empty(), "write a row in {RETRIES} for: {violations:?}");
    let unused: Vec<&String> = table.difference(&answered).collect();
    assert!(unused.is_empty(), "nothing is answered with: {unused:?}");
}

#[test]
fn the_root_holds_what_a_reader_looks_for() {
    let wanted = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "deny.toml",
        "tests/run",
        ".ci/run",
    ];
    let missing = |it: &&str| !root().join(it).is_file();
    let violations: Vec<String> = wanted.into_iter().filter(missing).map(str::to_owned).collect();
    hold("write the file:", &violations);
}

#[test]
fn no_file_names_a_machine() {
    let machine = ["/work/", "/home/", "/root/", "/Users/"];
    let extensions =
        ["rs", "md", "toml", "yaml", "yml", "proto", "py", "sql", "sh", "json", "html", "txt"];
    let mut violations = Vec::new();
    let scripts = [PathBuf::from("tests/run"), PathBuf::from(".ci/run")];
    for file in files(&extensions).into_iter().chain(scripts) {
        if file == Path::new("tests/tests/tidy/main.rs") {
            continue;
        }
        let text = fs::read_to_string(root().join(&file)).unwrap();
        for (number, line) in text.lines().enumerate() {
            if machine.iter().any(|it| line.contains(it)) {
                violations.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
            }
        }
    }
    hold("name the path relative to the repository, or make it an argument:", &violations);
}

#[test]
fn versions_stand_in_the_root_manifest_only() {
    // A crate that tests itself with a feature names its own path.
    let has_no_version = |it: &str| it.contains("workspace = true") || it.contains("path = \".\"");
    let mut violations = Vec::new();
    for file in files(&["toml"]) {
        if file == Path::new("Cargo.toml") || !file.ends_with("Cargo.toml") {
            continue;
        }
        let manifest = fs::read_to_string(root().join(&file)).unwrap();
        let mut in_dependencies = false;
        for line in manifest.lines() {
            if line.starts_with('[') {
                in_dependencies = line.contains("dependencies");
            } else if in_dependencies && line.contains('=') && !has_no_version(line) {
                violations.push(format!("{}: {line}", file.display()));
            }
        }
    }
    hold("put the version into the root Cargo.toml, and `workspace = true` here:", &violations);
}
