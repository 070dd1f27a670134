//! Several sagas in one command, and a log that is followed.

use super::{fake::Fake, run, sagactl};

#[test]
fn several_sagas_are_one_after_the_other() {
    let fake = Fake::start();
    let got = sagactl(&fake, "saga get order/stuck order/completed -o id");
    assert_eq!((got.exit, got.data.lines().count()), (0, 2), "{got:?}");
    let cancelled = sagactl(&fake, "saga cancel order/stuck order/running --yes --reason x");
    assert_eq!(cancelled.exit, 0, "{cancelled:?}");
    assert_eq!(fake.changes(), ["cancel stuck ada \"x\"", "cancel running ada \"x\""]);
}

#[test]
fn a_script_sees_that_it_was_done_for_some_of_them() {
    let fake = Fake::start();
    for (words, exit) in [
        ("saga get order/stuck order/absent", 10),
        ("saga get order/absent order/absent", 5),
        ("saga cancel order/late order/running --yes", 10),
        ("saga wait order/completed order/compensated --timeout 200ms", 10),
        ("saga get order/", 2),
    ] {
        let told = sagactl(&fake, words);
        assert_eq!(told.exit, exit, "{words}: {told:?}");
    }
    let told = sagactl(&fake, "saga get order/absent order/stuck");
    assert!(told.talk.contains("cannot show order/absent"), "{told:?}");
    assert!(told.data.contains("stuck"), "the others are shown: {told:?}");
}

#[test]
fn names_come_from_standard_input_too() {
    let fake = Fake::start();
    let words = ["saga", "cancel", "-", "--yes", "--reason", "x"];
    let told = run(&fake.address, &words, "order/stuck\n\n  order/running\n");
    assert_eq!(told.exit, 0, "{told:?}");
    assert_eq!(fake.changes(), ["cancel stuck ada \"x\"", "cancel running ada \"x\""]);
    let none = run(&fake.address, &words, "\n");
    assert_eq!(none.exit, 2, "{none:?}");
    // Who is asked cannot have said the names there.
    let asked = run(&fake.address, &["saga", "cancel", "-"], "order/stuck\norder/running\n");
    assert_eq!(asked.exit, 3, "{asked:?}");
    assert_eq!(fake.changes(), [""; 0]);
}

#[test]
fn a_log_has_its_end_alone_or_as_it_comes() {
    let fake = Fake::start();
    let tail = sagactl(&fake, "saga log order/stuck --tail 2");
    assert_eq!((tail.exit, tail.data.lines().count()), (0, 3), "{tail:?}");
    assert!(tail.data.contains("Resolved") && !tail.data.contains("Intended"), "{tail:?}");
    let followed = sagactl(&fake, "saga log order/closed --follow --timeout 10s");
    assert_eq!(followed.exit, 0, "{followed:?}");
    let lines = |word: &str| followed.data.lines().filter(|it| it.contains(word)).count();
    // Each event once, however often it was looked.
    assert_eq!((lines("Intended"), lines("Ended")), (2, 1), "{followed:?}");
    let refused = sagactl(&fake, "saga log order/stuck --follow --verify");
    assert_eq!(refused.exit, 2, "{refused:?}");
}

#[test]
fn a_wide_table_has_ids() {
    let fake = Fake::start();
    let narrow = sagactl(&fake, "saga get order/stuck");
    let wide = sagactl(&fake, "saga get order/stuck -o wide");
    assert!(!narrow.data.contains(super::STUCK_ID) && wide.data.contains(super::STUCK_ID));
}

#[test]
fn help_is_found_behind_its_noun_too() {
    let fake = Fake::start();
    for words in ["saga help", "saga help cancel"] {
        let told = sagactl(&fake, words);
        assert_eq!(told.exit, 0, "{words}: {told:?}");
        assert!(told.data.contains("Usage: sagactl saga"), "{words}: {told:?}");
    }
    // Options of the command are not lost among those of all commands.
    let told = sagactl(&fake, "help saga cancel").data;
    let (own, every) = told.split_once("Options of every command:").unwrap();
    assert!(own.contains("--wait") && own.contains("--request-id"), "{told}");
    assert!(every.contains("--address") && !every.contains("--wait <"), "{told}");
}
