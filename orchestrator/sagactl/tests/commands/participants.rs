//! `service list`, `describe`, `pause`, `resume` and `limit`.

use super::{fake::Fake, sagactl};

#[test]
fn participants_are_listed_over_all_pages_and_in_every_form() {
    let fake = Fake::start();
    let listed = sagactl(&fake, "service list");
    assert_eq!(listed.exit, 0, "{listed:?}");
    assert!(listed.data.contains("inventory") && listed.data.contains("PAUSED"), "{listed:?}");
    assert_eq!(sagactl(&fake, "service ls -o id").data, "inventory\npayment\n");
    let json = sagactl(&fake, "service list -o json").data;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["participants"][1]["paused"], true);
    assert_eq!(json["participants"][0]["sagasHeldUp"], "0");
    let described = sagactl(&fake, "service describe payment");
    assert!(described.data.contains("ADDRESS  127.0.0.1:1"), "{described:?}");
    let absent = sagactl(&fake, "service describe nobody");
    assert_eq!(absent.exit, 5, "{absent:?}");
    assert!(absent.talk.contains("PARTICIPANT_NOT_CONFIGURED"), "{absent:?}");
}

#[test]
fn what_is_decided_is_sent_with_who_why_and_what_was_seen() {
    let fake = Fake::start();
    for words in [
        "service pause payment --reason moved --yes",
        "service resume payment --reason back --actor bob --request-id again --yes",
        "service limit payment --calls 8 --reason slow --expected-version 3 --yes",
        "service limit payment --as-configured --reason well --yes",
    ] {
        let done = sagactl(&fake, words);
        assert_eq!(done.exit, 0, "{words}: {done:?}");
    }
    assert_eq!(
        fake.changes(),
        [
            r#"pause ("payment", 36, 0, "ada", "moved")"#,
            r#"resume ("payment", 5, 0, "bob", "back")"#,
            r#"limit ("payment", 8, 3, "ada", "slow")"#,
            r#"limit ("payment", 0, 0, "ada", "well")"#,
        ]
    );
}

#[test]
fn nothing_is_decided_without_a_reason_a_limit_or_a_yes() {
    let fake = Fake::start();
    for (words, exit) in [
        ("service pause payment --yes", 2),
        ("service limit payment --reason slow --yes", 2),
        ("service limit payment --calls 0 --reason slow --yes", 2),
        ("service limit payment --calls 1 --as-configured --reason slow --yes", 2),
        ("service pause nobody --reason moved --yes", 5),
        ("service pause payment --reason moved", 3),
    ] {
        let refused = sagactl(&fake, words);
        assert_eq!(refused.exit, exit, "{words}: {refused:?}");
    }
    let asked = sagactl(&fake, "service pause payment --reason moved").talk;
    assert!(asked.contains("no compensation, no inquiry"), "{asked}");
    assert_eq!(fake.changes(), [""; 0]);
}
