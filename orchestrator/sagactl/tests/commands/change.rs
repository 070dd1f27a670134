//! Cancels and signals: who asks, what is told, and how the process ends.

use super::{fake::Fake, run, sagactl};

#[test]
fn a_cancel_exits_with_what_it_does() {
    let fake = Fake::start();
    for (key, exit) in [("running", 0), ("turning", 0), ("late", 6), ("completed", 6), ("no", 5)] {
        let cancelled = sagactl(&fake, &format!("saga cancel order/{key} --reason why --yes"));
        assert_eq!(cancelled.exit, exit, "{key}: {cancelled:?}");
    }
    assert_eq!(fake.changes()[0], r#"cancel running ada "why""#);
}

#[test]
fn a_cancel_that_is_not_decided_says_so_and_can_wait() {
    let fake = Fake::start();
    let cancel = |rest: &[&str]| {
        let words = ["saga", "cancel", "order/running", "--reason", "the pivot is out", "--yes"];
        run(&fake.address, &[words.as_slice(), rest].concat(), "")
    };
    let open = cancel(&["--actor", "bob"]);
    assert_eq!(open.exit, 7, "{open:?}");
    assert!(open.talk.contains("not decided yet"), "{open:?}");
    let wait = "sagactl saga cancel order/running --wait 1m --yes";
    assert!(open.talk.contains(wait), "{open:?}");
    let late = cancel(&["--wait", "10s"]);
    assert_eq!(late.exit, 6, "{late:?}");
    assert!(late.talk.contains("too late"), "{late:?}");
    let asked =
        [r#"cancel running bob "the pivot is out""#, r#"cancel running ada "the pivot is out""#];
    assert_eq!(fake.changes(), asked);
}

#[test]
fn remedies_can_be_pasted() {
    let fake = Fake::start();
    let ended = sagactl(&fake, "saga retry order/completed --yes");
    assert!(ended.talk.contains("try:   sagactl saga log order/completed"), "{ended:?}");
    let absent = run(&fake.address, &["saga", "cancel", "order/a b", "--yes"], "");
    assert!(absent.talk.contains("try:   sagactl saga list"), "{absent:?}");
}

#[test]
fn a_signal_says_what_was_typed_and_may_be_repeated() {
    let fake = Fake::start();
    let signal = |words: &str, input: &str| {
        let words: Vec<&str> = words.split_whitespace().collect();
        run(&fake.address, &[&["saga", "signal"], words.as_slice(), &["--yes"]].concat(), input)
    };
    let given = signal("order/running approval --input {\"approved\":true}", "");
    assert_eq!(given.exit, 0, "{given:?}");
    assert!(given.talk.contains("has the signal"), "{given:?}");
    let again = signal("order/running approval --input - --request-id again", "{}");
    assert!(again.talk.contains("had this signal before"), "{again:?}");
    assert_eq!(signal("order/running hint --actor bob --reason back", "").exit, 0);
    assert_eq!(
        fake.changes(),
        [
            "signal running approval {\"approved\":true} 36 ada \"\"",
            "signal running approval {} 5 ada \"\"",
            "signal running hint nothing 36 bob \"back\"",
        ]
    );

    assert_eq!(signal("order/completed approval", "").exit, 6);
    assert_eq!(signal("order/running approval --input {", "").exit, 2);
    assert_eq!(signal("order/running approval -f /no/such/file", "").exit, 2);
    assert_eq!(signal("order/running", "").exit, 2);
    let unknown = signal("order/turning approval --request-id r-7", "");
    assert_eq!(unknown.exit, 7, "{unknown:?}");
    assert!(unknown.talk.contains("--request-id r-7"), "{unknown:?}");
    assert_eq!(fake.changes(), [""; 0]);
}
