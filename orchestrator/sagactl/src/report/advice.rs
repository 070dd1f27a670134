//! What a person can do about a cause: words that fit what was met last, and commands to be
//! pasted.

use saga_proto::saga::v1::StuckGroup;

use crate::{failure::named, pages, report::you_can::remedies};

/// What to do.
pub(crate) struct Advice {
    pub(crate) words: String,
    pub(crate) commands: Vec<String>,
}

/// What becomes of the sagas once the trouble is over.
const AGAIN: &str = "then it goes on by itself, or at once";

/// What to do about the sagas of a group that need a person, with commands for `saga`: those
/// that it takes, where that is known of the first example.
pub(crate) fn advice(group: &StuckGroup, saga: &str) -> Advice {
    let known = group.examples.first().filter(|it| !it.offers.is_empty()).map(remedies);
    let advice = general(group, saga);
    let Some(commands) = known else { return advice };
    let takes = |verb: &str| commands.iter().any(|it| it.contains(&format!("saga {verb} ")));
    let asks_for = |verb: &str| {
        advice.words.contains(&format!("saga {verb} "))
            || advice.commands.iter().any(|it| it.contains(&format!("saga {verb} ")))
    };
    if ["retry", "renew"].into_iter().any(|verb| asks_for(verb) && !takes(verb)) {
        let words = format!("look at {} what was done, and say so:", whom(group));
        return Advice { words, commands };
    }
    match advice.commands.is_empty() {
        true => advice,
        false => Advice { commands, ..advice },
    }
}

fn general(group: &StuckGroup, saga: &str) -> Advice {
    let retry = format!("sagactl saga retry {saga}");
    let settle = |outcome: &str| {
        let step = &group.step;
        format!("sagactl saga settle {saga} --step {step} --outcome {outcome} --reason \"..\"")
    };
    match group.reason.as_str() {
        "OUTCOME_UNKNOWN" if !group.message.contains("`refusals: [") => Advice {
            words: format!(
                "{} or look whether it was done, and say so:",
                mend(group).replace("at once:", "at once;")
            ),
            commands: vec![retry, settle("applied"), settle("not-applied")],
        },
        "OUTCOME_UNKNOWN" | "INQUIRY_UNSUPPORTED" | "CONTRADICTION" => Advice {
            words: format!("look at {} whether it was done, and say so:", whom(group)),
            commands: vec![settle("applied"), settle("not-applied")],
        },
        "COMPENSATION_FAILING" | "FORWARD_FAILING" => {
            Advice { words: format!("{}; {AGAIN}:", mend(group)), commands: vec![retry] }
        }
        reason => {
            let remedy = pages::page(reason).and_then(|it| it.remedy()).unwrap_or_default();
            Advice { words: named(&remedy.replace("STEP", &group.step), saga), commands: vec![] }
        }
    }
}

fn whom(group: &StuckGroup) -> &str {
    if group.participant.is_empty() { "the participant" } else { &group.participant }
}

/// What is to be done before another try makes sense, by what was met last.
fn mend(group: &StuckGroup) -> String {
    let whom = whom(group);
    match group.code.as_str() {
        "NOT_SENT" | "CONNECTION_LOST" | "UNAVAILABLE" => {
            format!("bring {whom} back")
        }
        "TIMED_OUT" | "DEADLINE_EXCEEDED" => {
            format!("see why {whom} does not answer in time")
        }
        "BUSY" | "RESOURCE_EXHAUSTED" | "ABORTED" => {
            format!("{whom} has too much to do: give it less, or more room")
        }
        "UNAUTHENTICATED" | "PERMISSION_DENIED" => {
            format!("see that {whom} lets the orchestrator in")
        }
        "" => format!("see what {whom} says"),
        code => format!("see why {whom} answers {code}, and mend that"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advised(reason: &str, code: &str, message: &str) -> Advice {
        let group = StuckGroup {
            reason: reason.to_owned(),
            participant: "payment".to_owned(),
            step: "pay".to_owned(),
            code: code.to_owned(),
            message: message.to_owned(),
            ..StuckGroup::default()
        };
        advice(&group, "order/1")
    }

    /// Only who cannot be reached is to be brought back.
    #[test]
    fn advice_fits_what_was_met_last() {
        for (code, words) in [
            ("NOT_SENT", "bring payment back"),
            ("TIMED_OUT", "see why payment does not answer in time"),
            ("RESOURCE_EXHAUSTED", "payment has too much to do"),
            ("INTERNAL", "see why payment answers INTERNAL"),
        ] {
            for reason in ["COMPENSATION_FAILING", "FORWARD_FAILING", "OUTCOME_UNKNOWN"] {
                let told = advised(reason, code, "");
                assert!(told.words.starts_with(words), "{code}: {}", told.words);
                assert_eq!(told.commands[0], "sagactl saga retry order/1");
            }
        }
    }

    /// What the saga would refuse is not advised.
    #[test]
    fn only_what_is_taken_is_advised() {
        use saga_proto::saga::v1::{Saga, SagaOffer, SagaStep, SagaVerb, Stuck};
        let offer = |verb: SagaVerb| SagaOffer {
            verb: verb.into(),
            step: "pay".to_owned(),
            ..SagaOffer::default()
        };
        let group = |reason: &str, verbs: &[SagaVerb]| StuckGroup {
            reason: reason.to_owned(),
            participant: "payment".to_owned(),
            step: "pay".to_owned(),
            code: "NOT_SENT".to_owned(),
            examples: vec![Saga {
                business_key: "order/1".to_owned(),
                offers: verbs.iter().map(|verb| offer(*verb)).collect(),
                steps: vec![SagaStep { name: "pay".to_owned(), ..SagaStep::default() }],
                stuck: Some(Stuck::default()),
                ..Saga::default()
            }],
            ..StuckGroup::default()
        };
        let told = |reason: &str, verbs: &[SagaVerb]| {
            let advice = advice(&group(reason, verbs), "order/1");
            (advice.words, advice.commands.len())
        };
        let undo = told("CONTRADICTION", &[SagaVerb::SettleApplied]);
        assert_eq!(undo, ("look at payment whether it was done, and say so:".to_owned(), 1));
        let parked =
            told("OUTCOME_UNKNOWN", &[SagaVerb::SettleApplied, SagaVerb::SettleNotApplied]);
        assert_eq!(parked, ("look at payment what was done, and say so:".to_owned(), 2));
        let wait = told("REJECTED_AFTER_PIVOT", &[SagaVerb::SettleApplied]);
        assert_eq!(wait, ("look at payment what was done, and say so:".to_owned(), 1));
        let both = told("OUTCOME_UNKNOWN", &[SagaVerb::Retry, SagaVerb::SettleApplied]);
        assert!(both.0.starts_with("bring payment back") && both.1 == 2, "{both:?}");
    }

    /// Another try of what the definition does not take for a refusal is answered the same.
    #[test]
    fn no_try_is_advised_where_the_answer_is_not_taken_for_one() {
        let said = "NOT_FOUND without an ErrorInfo reason, .. `refusals: [NOT_FOUND]`. It said: no";
        let told = advised("OUTCOME_UNKNOWN", "NOT_FOUND", said);
        assert!(told.commands.iter().all(|it| it.contains("saga settle")), "{:?}", told.commands);
    }
}
