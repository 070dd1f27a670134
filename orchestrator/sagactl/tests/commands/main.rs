//! Runs the real binary against a fake orchestrator: every command, its output, and the
//! exit code that a script would see.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod change;
mod context;
mod fake;
mod log;
mod output;
mod participants;
mod prove;
mod rehearse;
mod service;
mod several;

use std::{
    fs,
    io::Write,
    net::TcpListener,
    process::{Command, Stdio},
};

use fake::{Fake, STUCK_ID};

/// How one run ended.
#[derive(Debug)]
struct Run {
    exit: i32,
    data: String,
    talk: String,
}

/// Runs sagactl without a terminal, as a script would, on words between blanks.
fn sagactl(fake: &Fake, words: &str) -> Run {
    let words: Vec<&str> = words.split_whitespace().collect();
    run(&fake.address, &words, "")
}

fn run(address: &str, words: &[&str], input: &str) -> Run {
    run_in(address, words, input, 0)
}

fn run_in(address: &str, words: &[&str], input: &str, columns: usize) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sagactl"))
        .args(words)
        .env("COLUMNS", columns.to_string())
        .env("SAGACTL_ADDRESS", address)
        .env("USER", "ada")
        .env_remove("NO_COLOR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Run {
        exit: output.status.code().unwrap(),
        data: String::from_utf8(output.stdout).unwrap(),
        talk: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn a_start_sends_what_was_typed_and_prints_the_saga() {
    let fake = Fake::start();
    let words = ["saga", "start", "place-order", "--key", "order/10042", "--input", "{\"a\": 1}"];
    let started = run(&fake.address, &words, "");
    assert_eq!(started.exit, 0, "{started:?}");
    assert!(started.data.contains("place-order@3"), "{started:?}");
    assert_eq!(fake.changes(), [r#"start order/10042 v0 {"a": 1}"#]);

    let words = "saga start place-order --key order/stuck --version 2 --input - -o id";
    let words: Vec<&str> = words.split_whitespace().collect();
    let found = run(&fake.address, &words, "{}");
    assert_eq!((found.exit, found.data.trim()), (0, STUCK_ID));
    assert_eq!(fake.changes(), ["start order/stuck v2 {}"]);

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("input.json");
    fs::write(&file, "{\"b\": 2}").unwrap();
    let file = format!("@{}", file.display());
    let words = ["saga", "start", "place-order", "--key", "stuck", "--input", &file];
    let found = run(&fake.address, &words, "");
    assert!(found.talk.contains("had been started before"), "{found:?}");
    assert_eq!(fake.changes(), [r#"start /stuck v0 {"b": 2}"#]);
}

#[test]
fn a_start_that_waits_exits_as_the_saga_ends() {
    let fake = Fake::start();
    for (key, exit) in [("completed", 0), ("compensated", 8), ("stuck", 9), ("running", 7)] {
        let words = format!("saga start place-order --key {key} --input {{}} --wait 200ms");
        let started = sagactl(&fake, &words);
        assert_eq!(started.exit, exit, "{key}: {started:?}");
    }
}

#[test]
fn a_wait_exits_as_the_saga_ends() {
    let fake = Fake::start();
    for (key, exit) in [
        ("completed", 0),
        ("compensated", 8),
        ("closed", 8),
        ("stuck", 9),
        ("running", 7),
        ("turning", 7),
        ("absent", 5),
    ] {
        let waited = sagactl(&fake, &format!("saga wait order/{key} --timeout 200ms"));
        assert_eq!(waited.exit, exit, "{key}: {waited:?}");
    }
}

#[test]
fn a_refused_start_says_why_and_what_to_try() {
    let fake = Fake::start();
    let refused = sagactl(&fake, "saga start place-ordre --key k --input {}");
    assert_eq!(refused.exit, 5);
    assert_eq!(refused.data, "");
    assert!(refused.talk.contains("NOT_FOUND/DEFINITION_NOT_FOUND"), "{refused:?}");
    assert!(refused.talk.contains("sagactl definition list"), "{refused:?}");

    let full = sagactl(&fake, "saga start place-order --key full --input {}");
    assert_eq!(full.exit, 7);
    assert!(full.talk.contains("try:   again in 250 ms"), "{full:?}");

    for words in [
        "saga start place-order --key k --input {",
        "saga start place-order --key k --input @/no/such/file",
        "saga start place-order --input {}",
        "saga start place-order --key order/ --input {}",
    ] {
        assert_eq!(sagactl(&fake, words).exit, 2, "{words}");
    }
    assert_eq!(fake.changes(), [""; 0]);
}

#[test]
fn a_list_reads_all_its_pages() {
    let fake = Fake::start();
    let ids = |words: &str| sagactl(&fake, words).data.lines().count();
    assert_eq!(ids("saga list -o id"), 7);
    assert_eq!(ids("saga ls -o id --limit 0"), 7);
    assert_eq!(ids("saga list -o id --limit 3"), 3);
    assert_eq!(ids("saga list -o jsonl --state stuck"), 1);
    assert_eq!(ids("saga list -o id --definition other"), 0);

    let some = sagactl(&fake, "saga list --limit 3");
    assert!(some.talk.contains("there are more"), "{some:?}");
    assert_eq!(some.data.lines().count(), 4);
    let all = sagactl(&fake, "saga list -o json").data;
    let all: serde_json::Value = serde_json::from_str(&all).unwrap();
    assert_eq!(all["sagas"].as_array().unwrap().len(), 7);
    assert_eq!(all["sagas"][3]["state"], "SAGA_STATE_STUCK");
}

#[test]
fn a_saga_is_found_by_id_and_by_key() {
    let fake = Fake::start();
    for name in [STUCK_ID, "order/stuck"] {
        let found = sagactl(&fake, &format!("saga get {name} -o id"));
        assert_eq!((found.exit, found.data.trim()), (0, STUCK_ID));
    }
    let missing = sagactl(&fake, "saga get stuck");
    assert_eq!(missing.exit, 5, "a key without its namespace is another key");
    assert!(missing.talk.contains("SAGA_NOT_FOUND"));
}

#[test]
fn a_description_says_why_what_was_called_and_what_to_do() {
    let fake = Fake::start();
    let described = sagactl(&fake, "saga describe order/stuck");
    assert_eq!(described.exit, 0, "{described:?}");
    for part in [
        "STUCK",
        r"WHY   the note says \u{1b}[2J",
        "LAST 1 OF 1 CALL  verify_payment",
        "1 time unanswered",
        "SAME CAUSE  12 sagas",
        "sagactl saga settle order/stuck --step verify_payment",
    ] {
        assert!(described.data.contains(part), "{part} is missing in\n{}", described.data);
    }
    assert!(!described.data.contains('\x1b'));
}

#[test]
fn a_log_reads_all_its_pages() {
    let fake = Fake::start();
    assert_eq!(sagactl(&fake, "saga log order/stuck").data.lines().count(), 6);
    assert_eq!(sagactl(&fake, "saga log order/stuck -o jsonl").data.lines().count(), 5);
}

#[test]
fn nothing_is_changed_without_a_yes() {
    let fake = Fake::start();
    for words in [
        "saga cancel order/running",
        "saga retry order/stuck",
        "saga signal order/running approval",
        "saga settle order/stuck --step verify_payment --outcome applied --reason looked",
    ] {
        let declined = sagactl(&fake, words);
        assert_eq!(declined.exit, 3, "{words}: {declined:?}");
        assert!(declined.talk.contains("add --yes"), "{declined:?}");
        assert_eq!(declined.data, "");
    }
    assert_eq!(fake.changes(), [""; 0]);
}

/// Runs sagactl on a terminal of its own, which `script` of Debian's bsdutils makes.
#[test]
fn on_a_terminal_the_person_is_asked() {
    let fake = Fake::start();
    for (answer, exit, changes) in [("n\n", 3, 0), ("\n", 3, 0), ("y\n", 0, 1)] {
        let sagactl = env!("CARGO_BIN_EXE_sagactl");
        let command = format!("'{sagactl}' saga cancel order/running --address {}", fake.address);
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(exit), "{answer:?}: {shown}");
        assert!(shown.contains("undone, in this order: reserve_stock"), "{shown}");
        assert!(shown.contains("Go on? [y/N]"), "{shown}");
        assert_eq!(fake.changes().len(), changes, "{answer:?}");
    }
}

#[test]
fn a_retry_names_the_actor() {
    let fake = Fake::start();
    assert_eq!(sagactl(&fake, "saga retry order/stuck --yes").exit, 0);
    assert_eq!(fake.changes(), [r#"retry stuck ada "asked for with sagactl""#]);
    assert_eq!(sagactl(&fake, "saga retry order/completed --yes").exit, 6);
}

#[test]
fn a_settlement_needs_outcome_and_reason() {
    let fake = Fake::start();
    let settle = "saga settle order/stuck --yes --step";
    for (rest, exit) in [
        ("verify_payment --outcome not-applied --reason looked --actor bob", 0),
        ("no_such_step --outcome applied --reason looked", 5),
        ("verify_payment --outcome applied", 2),
        ("verify_payment --reason looked", 2),
        ("verify_payment --outcome perhaps --reason looked", 2),
    ] {
        let settled = sagactl(&fake, &format!("{settle} {rest}"));
        assert_eq!(settled.exit, exit, "{rest}: {settled:?}");
    }
    assert_eq!(fake.changes(), [r#"settle stuck NotApplied bob "looked""#]);
}

#[test]
fn what_is_stuck_is_grouped_and_nothing_is_a_state_of_its_own() {
    let stuck = sagactl(&Fake::start(), "stuck");
    assert_eq!(stuck.exit, 0);
    assert!(stuck.data.starts_with("12 sagas need a person, 1 cause\n"), "{stuck:?}");
    assert!(stuck.data.contains("sagactl saga describe order/stuck"), "{stuck:?}");
    let waiting = "payment, Confirm: NOT_SENT: connection refused: 30 sagas";
    assert!(stuck.data.contains(waiting), "an outage before it needs anybody: {stuck:?}");
    let causes = sagactl(&Fake::start(), "causes");
    assert_eq!((causes.exit, causes.data.lines().count()), (0, 3), "{causes:?}");
    let none = sagactl(&Fake::start_empty(), "causes --ascii");
    assert_eq!((none.exit, none.data.as_str()), (0, "+ nothing holds a saga up\n"));
    let nothing = sagactl(&Fake::start_empty(), "stuck --ascii");
    assert_eq!((nothing.exit, nothing.data.as_str()), (0, "+ nothing needs you\n"));
}

#[test]
fn definitions_are_checked_applied_and_shown() {
    let fake = Fake::start();
    let definition = |words: &str, yaml: &str| {
        let words: Vec<&str> = words.split_whitespace().collect();
        run(&fake.address, &words, yaml)
    };
    assert_eq!(definition("definition check -", "kind: Saga").exit, 0);
    let broken = definition("definition check -", "broken");
    assert_eq!((broken.exit, broken.data.as_str()), (1, "line 2: compensation-missing\n"));

    assert_eq!(definition("definition check", "").exit, 2);
    let applied = definition("definition apply -f -", "kind: Saga");
    assert_eq!(applied.exit, 0);
    assert!(applied.data.contains("place-order@3 is stored"), "{applied:?}");
    let broken = definition("definition apply -", "broken");
    assert_eq!(broken.exit, 1);
    assert!(broken.talk.contains("line 2: compensation-missing"), "{broken:?}");
    assert!(broken.talk.contains("DEFINITION_INVALID"), "{broken:?}");
    assert_eq!(fake.changes(), ["register -"]);

    let yaml = "kind: Saga\nname: place-order\n";
    assert_eq!(definition("definition get place-order@3", "").data, yaml);
    assert_eq!(definition("definition get place-order@4", "").exit, 5);
    assert_eq!(definition("definition get place-order@x", "").exit, 2);
    assert_eq!(definition("definition list -o id", "").data, "place-order@3\n");
}

#[test]
fn the_server_is_shown_and_asked_for_its_health() {
    let fake = Fake::start();
    let info = sagactl(&fake, "server info");
    assert!(info.data.contains("3 of at most 100"), "{info:?}");
    let health = sagactl(&fake, "server health");
    assert_eq!((health.exit, health.data.as_str()), (0, "SERVING\n"));
    let health = sagactl(&Fake::start_empty(), "server health -o json");
    assert_eq!(health.exit, 7);
    assert_eq!(health.data, "{\n  \"status\": \"NOT_SERVING\"\n}\n");
    assert_eq!(sagactl(&fake, "server health -o id").data, "SERVING\n");
}

#[test]
fn a_server_that_is_not_there_is_told_from_one_that_does_not_answer() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = run(&free.to_string(), &["saga", "list"], "");
    assert_eq!(nobody.exit, 7);
    assert!(nobody.talk.contains("no orchestrator answers at"), "{nobody:?}");

    // It accepts connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let unanswered = run(&address, &["saga", "list", "--timeout", "200ms"], "");
    assert_eq!(unanswered.exit, 7);
    assert!(unanswered.talk.contains("no answer came within 200 ms\n"), "{unanswered:?}");

    for address in ["https://127.0.0.1:1", "http://not an address"] {
        assert_eq!(run(address, &["saga", "list"], "").exit, 2, "{address}");
    }
}

#[test]
fn help_and_completion_need_no_server() {
    let answered = |words: &[&str]| run("http://127.0.0.1:1", words, "");
    let codes = answered(&["help", "exit-codes"]);
    assert_eq!(codes.exit, 0);
    assert!(codes.data.contains("9  the awaited saga is stuck"), "{codes:?}");
    assert!(answered(&["help", "outcome_unknown"]).data.starts_with("OUTCOME_UNKNOWN\n"));
    assert!(answered(&["help", "saga", "settle"]).data.contains("There is no way back"));
    assert!(40 < answered(&["help", "codes"]).data.lines().count());
    assert!(answered(&["help"]).data.contains("Usage: sagactl"));
    assert_eq!(answered(&["help", "NO_SUCH_CODE"]).exit, 2);
    for shell in ["bash", "zsh", "fish"] {
        assert!(answered(&["completion", shell]).data.contains("sagactl"), "{shell}");
    }
    assert_eq!(answered(&["saga", "frobnicate"]).exit, 2);
    assert_eq!(answered(&["--help"]).exit, 0);
    assert_eq!(answered(&["--version"]).exit, 0);
}

#[test]
fn colours_are_written_only_where_they_are_wanted() {
    let fake = Fake::start();
    assert!(!sagactl(&fake, "saga list").data.contains('\x1b'));
    assert!(!sagactl(&fake, "saga list --color never").data.contains('\x1b'));
    assert!(sagactl(&fake, "saga list --color always").data.contains("\x1b[31;1m!\x1b[0m"));
}
