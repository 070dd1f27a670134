//! Each rule finds the participant that breaks it, and nothing else does.

use saga_proto::saga::v1::{CheckParticipantRequest, LeftBehind, RuleFinding, RuleVerdict};

use super::{
    participant::{Defect, Participant},
    server::{Checker, HOLD_AND_SELL, hold, request, rules},
};

const BROKEN: [(Defect, &str); 14] = [
    (Defect::RepliesAnew, "duplicate-same-reply"),
    (Defect::ComparesNoBodies, "other-body"),
    (Defect::ReplacesTheFirst, "other-body"),
    (Defect::FencesOnce, "late-original"),
    (Defect::KnowsNoEmptyUndo, "undo-first"),
    (Defect::ForgetsTheEmptyUndo, "undo-first"),
    (Defect::UndoesOnce, "undo-twice"),
    (Defect::PeekFences, "resolve-absent"),
    (Defect::TellsNoReply, "resolve-applied"),
    (Defect::DoesNotWait, "resolve-in-flight"),
    (Defect::TellsNoRefusal, "resolve-rejected"),
    (Defect::UndoesNoRefusal, "undo-of-a-rejection"),
    (Defect::NeedsNoId, "no-op-id"),
    (Defect::RefusesAfterwards, "no-op-id"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_that_keeps_the_contract_passes_every_rule_and_is_left_as_it_was() {
    let participant = Participant::new(None);
    let reply = Checker::start(&participant).await.check(request(&hold())).await.unwrap();
    assert_eq!(rules(&reply, RuleVerdict::Pass).len(), 11, "{reply:#?}");
    assert_eq!(reply.left_behind, []);
    assert!(participant.standing.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_defect_is_found_by_exactly_its_rule() {
    for (defect, rule) in BROKEN {
        let participant = Participant::new(Some(defect));
        let reply = Checker::start(&participant).await.check(request(&hold())).await.unwrap();
        let broken = rules(&reply, RuleVerdict::Fail);
        assert_eq!(broken, [format!("reserve_stock/{rule}")], "{defect:?}: {reply:#?}");
        assert_eq!(rules(&reply, RuleVerdict::Pass).len(), 10, "{defect:?}: {reply:#?}");
        let found = reply.rules.iter().find(|it| it.rule == rule).unwrap();
        let told = [&found.seen, &found.expected, &found.contract];
        assert!(told.iter().all(|it| !it.is_empty()), "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_tried_says_why_and_what_stays_is_named() {
    let participant = Participant::new(None);
    let reply = Checker::start(&participant).await.check(request(HOLD_AND_SELL)).await.unwrap();
    assert_eq!(rules(&reply, RuleVerdict::Fail), [""; 0], "{reply:#?}");
    assert_eq!(
        rules(&reply, RuleVerdict::NotChecked),
        [
            "commit_stock/undo-first",
            "commit_stock/undo-twice",
            "commit_stock/resolve-rejected",
            "commit_stock/undo-of-a-rejection"
        ]
    );
    let why = |rule: &str| {
        let at = |it: &&RuleFinding| it.step == "commit_stock" && it.rule == rule;
        reply.rules.iter().find(at).unwrap().why.clone()
    };
    assert_eq!(why("undo-first"), "it has no compensation at this participant");
    let refused = "reserve_stock comes before it and was refused: OUT_OF_STOCK";
    assert!(why("resolve-rejected").starts_with(refused), "{}", why("resolve-rejected"));
    assert!(!reply.left_behind.is_empty());
    let stays = |it: &LeftBehind| {
        (it.step.as_str(), it.why.as_str()) == ("commit_stock", "it has no compensation")
    };
    assert!(reply.left_behind.iter().all(stays), "{:#?}", reply.left_behind);
    let standing = participant.standing.lock().unwrap().len();
    assert_eq!(standing, reply.left_behind.len(), "every effect that stands is named");

    let no_refusal =
        CheckParticipantRequest { refused_input_json: String::new(), ..request(&hold()) };
    let reply = Checker::start(&participant).await.check(no_refusal).await.unwrap();
    assert_eq!(
        rules(&reply, RuleVerdict::NotChecked),
        ["reserve_stock/resolve-rejected", "reserve_stock/undo-of-a-rejection"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_that_its_definition_keeps_is_named_and_its_undo_is_not_tried() {
    let participant = Participant::new(None);
    let kept = "    compensation:\n      when: failure.reason == 'OUT_OF_STOCK'";
    let yaml = hold().replace("    compensation:", kept);
    let reply = Checker::start(&participant).await.check(request(&yaml)).await.unwrap();
    assert_eq!(
        rules(&reply, RuleVerdict::NotChecked),
        [
            "reserve_stock/undo-first",
            "reserve_stock/undo-twice",
            "reserve_stock/undo-of-a-rejection"
        ],
        "{reply:#?}"
    );
    let is_kept = |it: &LeftBehind| it.why == "the `when` of its compensation is false";
    assert!(reply.left_behind.iter().all(is_kept), "{:#?}", reply.left_behind);
    assert_eq!(participant.standing.lock().unwrap().len(), reply.left_behind.len());
}
