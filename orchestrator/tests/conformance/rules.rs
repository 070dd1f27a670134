//! Each claim finds the participants that break it, and nothing else does.

use std::sync::atomic::Ordering;

use saga_proto::saga::v1::{
    CheckParticipantRequest, CheckParticipantResponse, LeftBehind, RuleFinding, RuleVerdict,
};

use super::{
    defect::BROKEN,
    participant::Participant,
    server::{Checker, HOLD_AND_SELL, hold, request, rules},
};

/// Claims about a step whose request has no map.
const ANSWERS: usize = 22;
const EFFECTS: usize = 18;

/// What takes a restart.
const RESTARTS: [&str; 6] = [
    "restart-same-reply",
    "restart-one-effect",
    "restart-fenced",
    "restart-fenced-no-effect",
    "restart-undone",
    "restart-undone-no-effect",
];

fn of_reserve_stock(rules: &[&str]) -> Vec<String> {
    rules.iter().map(|it| format!("reserve_stock/{it}")).collect()
}

fn why(reply: &CheckParticipantResponse, step: &str, rule: &str) -> String {
    let at = |it: &&RuleFinding| it.step == step && it.rule == rule;
    reply.rules.iter().find(at).unwrap().why.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_that_keeps_the_contract_passes_every_rule_and_is_left_as_it_was() {
    let participant = Participant::new(None);
    let reply = Checker::start(&participant).await.check(request(&hold())).await.unwrap();
    assert_eq!(rules(&reply, RuleVerdict::Fail), [""; 0], "{reply:#?}");
    assert_eq!(rules(&reply, RuleVerdict::NotChecked), of_reserve_stock(&RESTARTS));
    assert_eq!(rules(&reply, RuleVerdict::NotObserved), [""; 0], "{reply:#?}");
    assert_eq!(rules(&reply, RuleVerdict::Pass).len(), ANSWERS + EFFECTS - RESTARTS.len());
    assert!(reply.rules.iter().all(|it| it.note.is_empty()), "{reply:#?}");
    assert_eq!(reply.left_behind, []);
    assert!(participant.standing.lock().unwrap().is_empty());
    assert_eq!(participant.effects.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_defect_is_found_by_exactly_its_rules() {
    let mut wrong = Vec::new();
    for (defect, found, also) in BROKEN {
        let participant = Participant::new(Some(defect));
        let reply = Checker::start(&participant).await.check(request(&hold())).await.unwrap();
        let broken = rules(&reply, RuleVerdict::Fail);
        let mut expected = of_reserve_stock(found);
        let also = of_reserve_stock(also);
        expected.extend(broken.iter().filter(|it| also.contains(it)).cloned());
        let (mut seen, mut wanted) = (broken.clone(), expected);
        seen.sort();
        wanted.sort();
        if seen != wanted {
            wrong.push((defect, seen, wanted));
        }
        for finding in reply.rules.iter().filter(|it| it.verdict() == RuleVerdict::Fail) {
            let told = [&finding.seen, &finding.expected, &finding.contract];
            assert!(told.iter().all(|it| !it.is_empty()), "{finding:?}");
        }
    }
    assert_eq!(wrong, [], "the defect, what was found, what it is");
}

/// Without a number nothing is said about effects, whatever the participant does.
#[tokio::test(flavor = "multi_thread")]
async fn what_only_an_effect_shows_is_not_observed_without_a_number() {
    for (defect, found, _) in BROKEN {
        if !found.iter().all(|it| it.ends_with("effect") || it.ends_with("takes-back")) {
            continue;
        }
        let participant = Participant::new(Some(defect));
        let blind = CheckParticipantRequest { observe: None, ..request(&hold()) };
        let reply = Checker::start(&participant).await.check(blind).await.unwrap();
        assert_eq!(rules(&reply, RuleVerdict::Fail), [""; 0], "{defect:?}: {reply:#?}");
        let unseen = rules(&reply, RuleVerdict::NotObserved);
        assert_eq!(unseen.len(), EFFECTS - 3, "{unseen:?}");
        for rule in of_reserve_stock(found) {
            assert!(unseen.contains(&rule), "{defect:?}: {unseen:?}");
        }
        let told = why(&reply, "reserve_stock", "undo-takes-back");
        assert_eq!(told, "no number is observed; --observe names one");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_shows_no_effect_says_nothing_and_tells_why() {
    let still = |request: &mut CheckParticipantRequest| {
        request.observe.as_mut().unwrap().field = "stock[0].sold".to_owned();
    };
    let none: fn(&mut CheckParticipantRequest) = |_| {};
    let cases = [
        (
            Participant::new(None),
            still as fn(&mut CheckParticipantRequest),
            "stock[0].sold stays 0 when reserve_stock takes effect",
        ),
        (Participant::busy(), none, "stock[0].on_hand moves while nothing is called"),
    ];
    for (participant, change, told) in cases {
        let mut asked = request(&hold());
        change(&mut asked);
        let reply = Checker::start(&participant).await.check(asked).await.unwrap();
        assert_eq!(rules(&reply, RuleVerdict::Fail), [""; 0], "{reply:#?}");
        assert_eq!(rules(&reply, RuleVerdict::NotObserved).len(), EFFECTS - 3);
        assert_eq!(why(&reply, "reserve_stock", "undo-takes-back"), told);
    }
}

/// The contract of before there was OP_REVERSED, and a trailer of refusals on record.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_participant_breaks_nothing_and_is_told_what_it_lacks() {
    let participant = Participant::older();
    let reply = Checker::start(&participant).await.check(request(&hold())).await.unwrap();
    assert_eq!(rules(&reply, RuleVerdict::Fail), [""; 0], "{reply:#?}");
    let noted = reply.rules.iter().filter(|it| !it.note.is_empty());
    let noted: Vec<(&str, RuleVerdict)> =
        noted.map(|it| (it.rule.as_str(), it.verdict())).collect();
    assert_eq!(
        noted,
        ["repeat-after-undo", "resolve-reversed", "refusal-repeated"]
            .map(|it| (it, RuleVerdict::Pass))
    );
}

/// What no compensation takes back is told by the number, where the participant tells
/// nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_stands_is_told_by_the_number_too() {
    let participant = Participant::new(Some(super::defect::Defect::RepeatsTheEffect));
    let reply = Checker::start(&participant).await.check(request(&hold())).await.unwrap();
    let now = participant.on_hand();
    assert!(now < 1_000);
    let why = format!("stock[0].on_hand was 1000 before the check and is {now} now");
    let left = LeftBehind { step: "reserve_stock".to_owned(), saga_id: String::new(), why };
    assert_eq!(reply.left_behind, [left]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_tried_says_why_and_what_stays_is_named() {
    let participant = Participant::new(None);
    let reply = Checker::start(&participant).await.check(request(HOLD_AND_SELL)).await.unwrap();
    assert_eq!(rules(&reply, RuleVerdict::Fail), [""; 0], "{reply:#?}");
    let why = |rule: &str| why(&reply, "commit_stock", rule);
    for rule in ["undo-first", "undo-takes-back", "second-undo", "resolve-reversed"] {
        assert_eq!(why(rule), "it has no compensation at this participant");
    }
    let refused = "reserve_stock comes before it and was refused: OUT_OF_STOCK";
    for rule in ["resolve-rejected", "refusal-repeated"] {
        assert!(why(rule).starts_with(refused), "{}", why(rule));
    }
    assert_eq!(why("late-original-no-effect"), "", "{reply:#?}");
    assert!(!reply.left_behind.is_empty());
    let (by_number, stays): (Vec<_>, Vec<_>) =
        reply.left_behind.iter().partition(|it| it.saga_id.is_empty());
    let has_none = |it: &&LeftBehind| {
        (it.step.as_str(), it.why.as_str()) == ("commit_stock", "it has no compensation")
    };
    assert!(stays.iter().all(has_none), "{stays:#?}");
    assert_eq!(by_number.len(), 1, "{by_number:#?}");
    let standing = participant.standing.lock().unwrap().len();
    assert_eq!(standing, stays.len(), "every effect that stands is named");

    let no_refusal =
        CheckParticipantRequest { refused_input_json: String::new(), ..request(&hold()) };
    let reply = Checker::start(&participant).await.check(no_refusal).await.unwrap();
    let unchecked = rules(&reply, RuleVerdict::NotChecked);
    let refusals = of_reserve_stock(&[
        "resolve-rejected",
        "refusal-repeated",
        "refusal-no-effect",
        "undo-of-a-rejection",
        "undo-of-a-rejection-no-effect",
    ]);
    assert_eq!(unchecked, [refusals, of_reserve_stock(&RESTARTS)].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_that_its_definition_keeps_is_named_and_its_undo_is_not_tried() {
    let participant = Participant::new(None);
    let kept = "    compensation:\n      when: failure.reason == 'OUT_OF_STOCK'";
    let yaml = hold().replace("    compensation:", kept);
    let reply = Checker::start(&participant).await.check(request(&yaml)).await.unwrap();
    let unchecked = rules(&reply, RuleVerdict::NotChecked);
    for rule in of_reserve_stock(&["undo-first", "undo-twice", "second-undo", "undo-in-flight"]) {
        assert!(unchecked.contains(&rule), "{unchecked:?}");
    }
    let is_kept = |it: &&LeftBehind| it.why == "the `when` of its compensation is false";
    let named = reply.left_behind.iter().filter(is_kept).count();
    assert_eq!(named + 1, reply.left_behind.len(), "{:#?}", reply.left_behind);
    assert_eq!(participant.standing.lock().unwrap().len(), named);
}
