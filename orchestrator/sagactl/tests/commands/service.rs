//! `service check`.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
};

use super::{fake::Fake, run, sagactl};

#[test]
fn a_check_sends_its_files_and_exits_with_what_was_found() {
    let fake = Fake::start();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let file = directory.path().join(name);
        fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let (input, refused) = (file("input", r#"{"a":"{n}"}"#), file("refused", r#"{"b":1}"#));
    let yaml = file("place-order.yaml", "kind: Saga");
    let checked = sagactl(
        &fake,
        &format!(
            "service check payment --definition place-order --version 2 --input {input} \
             --refused-input {refused} --first-number 7 --yes"
        ),
    );
    assert_eq!(checked.exit, 0, "{checked:?}");
    assert!(checked.data.contains("PASS"), "{checked:?}");
    let words = format!("service check inventory --definition {yaml} --input {input} --yes");
    let broken = sagactl(&fake, &words);
    assert_eq!(broken.exit, 1, "{broken:?}");
    assert!(broken.data.contains(r"seen:     what \u{1b}[2J was seen"), "{broken:?}");
    let json = sagactl(&fake, &format!("{words} -o json")).data;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["rules"][0]["verdict"], "RULE_VERDICT_FAIL");
    let ids = sagactl(&fake, &format!("{words} -o id")).data;
    assert_eq!(ids, "step_of_it/late-original\n");
    let changes = fake.changes();
    assert_eq!(changes.len(), 4);
    assert_eq!(changes[0], r#"check payment place-order@2 from 7 yaml "", {"a":"{n}"}, {"b":1}"#);
    assert_eq!(changes[1], r#"check inventory @0 from 0 yaml "kind: Saga", {"a":"{n}"}, "#);
}

#[test]
fn what_was_not_seen_is_told_and_strict_makes_it_an_error() {
    let fake = Fake::start();
    let words = "service check order --definition place-order --input {} --yes \
                 --observe GetOrder --observe-input {\"a\":1} --observe-field size";
    let unseen = sagactl(&fake, words);
    assert_eq!(unseen.exit, 0, "{unseen:?}");
    assert!(unseen.data.contains("NOT OBSERVED"), "{unseen:?}");
    assert!(
        unseen.data.contains("0 rules kept, 0 broken, 1 not observed, 0 not checked"),
        "{unseen:?}"
    );
    assert!(
        unseen.talk.contains("checking step_of_it \\u{1b}[2J: 0 of 1 rules tried"),
        "{unseen:?}"
    );
    assert_eq!(sagactl(&fake, &format!("{words} --strict")).exit, 1);
    let changes = fake.changes();
    assert_eq!(
        changes[0],
        r#"check order place-order@0 from 0 yaml "", {},  GetOrder {"a":1} size"#
    );
    let json = sagactl(&fake, &format!("{words} -o json")).data;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["rules"][0]["verdict"], "RULE_VERDICT_NOT_OBSERVED");
    for words in ["--observe GetOrder", "--observe-field size", "--observe-input {}"] {
        let words = format!("service check order --definition d --input {{}} --yes {words}");
        assert_eq!(sagactl(&fake, &words).exit, 2, "{words}");
    }
}

#[test]
fn a_restart_is_made_by_the_command_that_was_given() {
    let fake = Fake::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("restarted");
    let touch = format!("echo restarting; touch {}", file.display());
    let words = ["service", "check", "payment", "--definition", "d", "--input", "{}", "--yes"];
    let checked = run(&fake.address, &[&words[..], &["--restart-cmd", &touch]].concat(), "");
    assert_eq!(checked.exit, 0, "{checked:?}");
    assert!(file.exists(), "{checked:?}");
    assert!(!checked.data.contains("restarting"), "data is for the report: {checked:?}");
    assert_eq!(fake.changes()[1..], ["restarted"]);

    let failed = run(&fake.address, &[&words[..], &["--restart-cmd", "exit 7"]].concat(), "");
    assert_eq!(failed.exit, 1, "{failed:?}");
    assert!(failed.data.contains("PASS"), "what was found is told: {failed:?}");
    assert!(failed.talk.contains("--restart-cmd: exit status: 7"), "{failed:?}");
    assert_eq!(fake.changes()[1..], ["stopped"]);

    // Nobody restarts anything here, and the check is stopped when its time is over.
    let wait = ["--pause-for-restart", "--timeout", "2s"];
    let waited = run(&fake.address, &[&words[..], &wait].concat(), "");
    assert_eq!(waited.exit, 7, "{waited:?}");
    assert!(waited.talk.contains("Restart payment now."), "{waited:?}");
    assert_eq!(fake.changes()[1..], ["stopped"]);
    let both = ["--pause-for-restart", "--restart-cmd", "true"];
    assert_eq!(run(&fake.address, &[&words[..], &both].concat(), "").exit, 2);
}

/// The report of a check that was interrupted is as good as any, as far as it goes.
#[test]
fn ctrl_c_stops_a_check_and_its_report_is_told() {
    let fake = Fake::start();
    let words =
        ["service", "check", "payment", "--definition", "endless", "--input", "{}", "--yes"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_sagactl"))
        .args(words)
        .env("SAGACTL_ADDRESS", &fake.address)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It says that it checks when it hears signals.
    let mut talk = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    talk.read_line(&mut line).unwrap();
    assert!(line.starts_with("checking "), "{line}");
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    talk.read_to_string(&mut line).unwrap();
    assert_eq!(output.status.code(), Some(1), "{line}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("PASS"), "{line}");
    assert!(line.contains("error: the check was stopped"), "{line}");
    assert_eq!(fake.changes()[1..], ["stopped"]);
}

#[test]
fn what_cannot_be_checked_is_told_before_anything_is_called() {
    let fake = Fake::start();
    let absent = sagactl(&fake, "service check absent --definition place-order --input {} --yes");
    assert_eq!(absent.exit, 5, "{absent:?}");
    assert!(absent.talk.contains("PARTICIPANT_NOT_CONFIGURED"), "{absent:?}");
    for words in [
        "service check payment --definition place-order --yes",
        "service check payment --definition place-order --input /no/such/file --yes",
        "service check payment --definition no-such.yaml --input {} --yes",
        "service check payment --definition place-order --input {} --refused-input { --yes",
    ] {
        assert_eq!(sagactl(&fake, words).exit, 2, "{words}");
    }
    let declined = sagactl(&fake, "service check payment --definition place-order --input {}");
    assert_eq!(declined.exit, 3, "{declined:?}");
    for part in ["payment will get real calls", "HAS NO COMPENSATION", "add --yes"] {
        assert!(declined.talk.contains(part), "{declined:?}");
    }
    assert_eq!(fake.changes(), [""; 0]);
    let help = sagactl(&fake, "service check --help").data;
    assert!(help.contains("IT MAKES REAL CALLS"), "{help}");
}
