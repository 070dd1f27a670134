//! The conformance check of a participant: what it will call, and what it found.

use saga_proto::saga::v1::{
    CheckParticipantResponse, CheckedStep, LeftBehind, RuleFinding, RuleVerdict,
};

use crate::{
    look::{Look, Mark},
    report::{
        table::{Row, table, wrapped},
        words::count,
    },
};

/// What a check will call.
pub(crate) fn plan(participant: &str, plan: &CheckParticipantResponse) -> String {
    let mut text = format!(
        "{participant} will get real calls, in about 50 new sagas for each step.\n\
         They are compensated afterwards."
    );
    for CheckedStep { step, action, compensation, before } in &plan.steps {
        text.push_str(&format!("\n  {step}: {action}"));
        if !before.is_empty() {
            text.push_str(&format!("\n    runs before it, each time: {}", before.join(", ")));
        }
        if compensation.is_empty() {
            text.push_str("\n    HAS NO COMPENSATION: what it does stays");
        } else {
            text.push_str(&format!("\n    undone by {compensation}"));
        }
    }
    text
}

/// A line for each rule, the broken ones explained, what could not be said, and what the
/// check left behind.
pub(crate) fn checked(reply: &CheckParticipantResponse, look: &Look) -> String {
    let row = |it: &RuleFinding| -> Row {
        let (mark, verdict) = verdict(it.verdict());
        (mark, vec![it.step.clone(), it.rule.clone(), verdict.to_owned()])
    };
    let rows: Vec<Row> = reply.rules.iter().map(row).collect();
    let mut text = table(&["STEP", "RULE", "VERDICT"], &rows, look);
    for finding in with(reply, RuleVerdict::Fail) {
        text.push_str(&broken(finding, look));
    }
    text.push_str(&notes(reply, look));
    text.push_str(&unsaid(reply, RuleVerdict::NotObserved, look));
    text.push_str(&unsaid(reply, RuleVerdict::NotChecked, look));
    text.push_str(&left_behind(&reply.left_behind, look));
    let number = |it| u64::try_from(with(reply, it).count()).unwrap_or(u64::MAX);
    let (passed, failed) = (number(RuleVerdict::Pass), number(RuleVerdict::Fail));
    let mark = match (failed, number(RuleVerdict::NotObserved)) {
        (0, 0) => Mark::Good,
        (0, _) => Mark::Unknown,
        _ => Mark::Trouble,
    };
    text.push_str(&format!(
        "\n{} {} kept, {failed} broken, {} not observed, {} not checked\n",
        look.paint(mark, look.sign(mark)),
        count(passed, "rule"),
        number(RuleVerdict::NotObserved),
        number(RuleVerdict::NotChecked)
    ));
    text
}

fn with(
    reply: &CheckParticipantResponse,
    verdict: RuleVerdict,
) -> impl Iterator<Item = &RuleFinding> {
    reply.rules.iter().filter(move |it| it.verdict() == verdict)
}

fn verdict(verdict: RuleVerdict) -> (Mark, &'static str) {
    match verdict {
        RuleVerdict::Pass => (Mark::Good, "PASS"),
        RuleVerdict::Fail => (Mark::Trouble, "FAIL"),
        RuleVerdict::NotObserved => (Mark::Unknown, "NOT OBSERVED"),
        RuleVerdict::NotChecked => (Mark::Waiting, "NOT CHECKED"),
        RuleVerdict::Unspecified => (Mark::Unknown, "(newer than this sagactl)"),
    }
}

fn broken(finding: &RuleFinding, look: &Look) -> String {
    let RuleFinding { step, rule, seen, expected, contract, .. } = finding;
    let mut text = format!("\n{} {step}{}{rule}\n", look.paint(Mark::Trouble, "!"), look.dot());
    for (label, line) in [("seen:    ", seen), ("expected:", expected), ("rule:    ", contract)] {
        text.push_str(&format!("  {label} {}\n", wrapped(line, look.room(12), 12)));
    }
    text
}

/// What a person should know of rules that are kept.
fn notes(reply: &CheckParticipantResponse, look: &Look) -> String {
    let noted = with(reply, RuleVerdict::Pass).filter(|it| !it.note.is_empty());
    section("NOTES", noted.map(|it| (it, it.note.as_str())), look)
}

/// Why nothing can be said of rules, each reason once.
fn unsaid(reply: &CheckParticipantResponse, unsaid: RuleVerdict, look: &Look) -> String {
    section(verdict(unsaid).1, with(reply, unsaid).map(|it| (it, it.why.as_str())), look)
}

fn section<'a>(
    heading: &str,
    told: impl Iterator<Item = (&'a RuleFinding, &'a str)>,
    look: &Look,
) -> String {
    let mut reasons: Vec<(&str, &str, Vec<&str>)> = Vec::new();
    for (it, why) in told {
        match reasons.iter_mut().find(|(step, known, _)| *step == it.step && *known == why) {
            Some((.., rules)) => rules.push(&it.rule),
            None => reasons.push((&it.step, why, vec![&it.rule])),
        }
    }
    let told = reasons.into_iter().map(|(step, why, rules)| {
        let text = format!("{step}, {}: {why}", rules.join(", "));
        format!("  {}\n", wrapped(&text, look.room(4), 4))
    });
    let told: String = told.collect();
    if told.is_empty() { told } else { format!("\n{heading}\n{told}") }
}

/// Effects that stand, alike ones in one line.
fn left_behind(left: &[LeftBehind], look: &Look) -> String {
    let mut kinds: Vec<(&LeftBehind, u64)> = Vec::new();
    for it in left {
        match kinds.iter_mut().find(|(kind, _)| kind.step == it.step && kind.why == it.why) {
            Some((_, number)) => *number += 1,
            None => kinds.push((it, 1)),
        }
    }
    let told = kinds.into_iter().map(|(it, number)| {
        let more = if number == 1 { "" } else { " and others" };
        let text = if it.saga_id.is_empty() {
            format!("{}: {}", it.step, it.why)
        } else {
            format!("{} {}: {}; saga {}{more}", it.step, count(number, "time"), it.why, it.saga_id)
        };
        format!("  {}\n", wrapped(&text, look.room(4), 4))
    });
    let told: String = told.collect();
    if told.is_empty() {
        return told;
    }
    format!("\n{}\n{told}", look.heading("LEFT BEHIND"))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::report::example::look;

    fn reply() -> CheckParticipantResponse {
        let finding = |step: &str, rule: &str, verdict: RuleVerdict| RuleFinding {
            step: step.to_owned(),
            rule: rule.to_owned(),
            verdict: verdict.into(),
            ..RuleFinding::default()
        };
        let no_undo = "it has no compensation at this participant";
        let left = |saga_id: &str| LeftBehind {
            step: "commit_stock".to_owned(),
            saga_id: saga_id.to_owned(),
            why: "it has no compensation".to_owned(),
        };
        CheckParticipantResponse {
            steps: vec![
                CheckedStep {
                    step: "reserve_stock".to_owned(),
                    action: "inventory/shop.inventory.v1.InventoryService/Reserve".to_owned(),
                    compensation: "inventory/shop.inventory.v1.InventoryService/Release".to_owned(),
                    before: Vec::new(),
                },
                CheckedStep {
                    step: "commit_stock".to_owned(),
                    action: "inventory/shop.inventory.v1.InventoryService/Commit".to_owned(),
                    compensation: String::new(),
                    before: vec!["reserve_stock".to_owned(), "verify_payment".to_owned()],
                },
            ],
            rules: vec![
                finding("reserve_stock", "duplicate-same-reply", RuleVerdict::Pass),
                RuleFinding {
                    why: "no number is observed; --observe names one".to_owned(),
                    ..finding("reserve_stock", "duplicate-one-effect", RuleVerdict::NotObserved)
                },
                RuleFinding {
                    note: "its refusals carry no `saga-refusal: recorded`".to_owned(),
                    ..finding("reserve_stock", "refusal-repeated", RuleVerdict::Pass)
                },
                RuleFinding {
                    seen: "the late original was answered OK with a reply of 44 bytes".to_owned(),
                    expected: "FAILED_PRECONDITION/OP_FENCED".to_owned(),
                    contract: "an original that comes after a fencing inquiry is refused with \
                               OP_FENCED, however often it comes"
                        .to_owned(),
                    ..finding("reserve_stock", "late-original", RuleVerdict::Fail)
                },
                RuleFinding {
                    why: no_undo.to_owned(),
                    ..finding("commit_stock", "undo-first", RuleVerdict::NotChecked)
                },
                RuleFinding {
                    why: no_undo.to_owned(),
                    ..finding("commit_stock", "undo-twice", RuleVerdict::NotChecked)
                },
            ],
            left_behind: vec![
                left("01a1ff65-949e-76ea-a3c9-4d8f0c70cde9"),
                left("01a1ff65-949e-76ea-a3c9-4d8f0c70cdea"),
                LeftBehind {
                    step: "reserve_stock, commit_stock".to_owned(),
                    saga_id: String::new(),
                    why: "balance was 1000 before the check and is 995 now".to_owned(),
                },
            ],
        }
    }

    #[test]
    fn a_plan_names_every_call_and_what_stays() {
        assert_snapshot!(plan("inventory", &reply()), @"
        inventory will get real calls, in about 50 new sagas for each step.
        They are compensated afterwards.
          reserve_stock: inventory/shop.inventory.v1.InventoryService/Reserve
            undone by inventory/shop.inventory.v1.InventoryService/Release
          commit_stock: inventory/shop.inventory.v1.InventoryService/Commit
            runs before it, each time: reserve_stock, verify_payment
            HAS NO COMPENSATION: what it does stays
        ");
    }

    #[test]
    fn a_broken_rule_says_what_was_seen_and_what_the_contract_says() {
        assert_snapshot!(checked(&reply(), &look()), @"
          STEP           RULE                  VERDICT
        ✔ reserve_stock  duplicate-same-reply  PASS
        ? reserve_stock  duplicate-one-effect  NOT OBSERVED
        ✔ reserve_stock  refusal-repeated      PASS
        ! reserve_stock  late-original         FAIL
        · commit_stock   undo-first            NOT CHECKED
        · commit_stock   undo-twice            NOT CHECKED

        ! reserve_stock · late-original
          seen:     the late original was answered OK with a reply of 44 bytes
          expected: FAILED_PRECONDITION/OP_FENCED
          rule:     an original that comes after a fencing inquiry is refused with OP_FENCED, however often
                    it comes

        NOTES
          reserve_stock, refusal-repeated: its refusals carry no `saga-refusal: recorded`

        NOT OBSERVED
          reserve_stock, duplicate-one-effect: no number is observed; --observe names one

        NOT CHECKED
          commit_stock, undo-first, undo-twice: it has no compensation at this participant

        LEFT BEHIND
          commit_stock 2 times: it has no compensation; saga 01a1ff65-949e-76ea-a3c9-4d8f0c70cde9 and
            others
          reserve_stock, commit_stock: balance was 1000 before the check and is 995 now

        ! 2 rules kept, 1 broken, 1 not observed, 2 not checked
        ");
        let whole = CheckParticipantResponse {
            rules: reply().rules.into_iter().take(1).collect(),
            ..CheckParticipantResponse::default()
        };
        assert_snapshot!(checked(&whole, &look()), @"
          STEP           RULE                  VERDICT
        ✔ reserve_stock  duplicate-same-reply  PASS

        ✔ 1 rule kept, 0 broken, 0 not observed, 0 not checked
        ");
        let unseen = CheckParticipantResponse {
            rules: reply().rules.into_iter().skip(1).take(1).collect(),
            ..CheckParticipantResponse::default()
        };
        let told = checked(&unseen, &look());
        assert!(
            told.ends_with("\n? 0 rules kept, 0 broken, 1 not observed, 0 not checked\n"),
            "{told}"
        );
    }
}
