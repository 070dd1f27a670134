//! `service check`.

use std::fs;

use super::{fake::Fake, sagactl};

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
