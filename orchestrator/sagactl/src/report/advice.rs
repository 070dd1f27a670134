//! What a person can do about a cause: words that fit what was met last, and commands to be
//! pasted.

use saga_proto::saga::v1::StuckGroup;

use crate::{failure::named, pages};

/// What to do.
pub(crate) struct Advice {
    pub(crate) words: String,
    pub(crate) commands: Vec<String>,
}

/// What becomes of the sagas once the trouble is over.
const AGAIN: &str = "then it goes on by itself, or at once";

/// What to do about the sagas of a group that need a person, with commands for `saga`.
pub(crate) fn advice(group: &StuckGroup, saga: &str) -> Advice {
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

    /// Another try of what the definition does not take for a refusal is answered the same.
    #[test]
    fn no_try_is_advised_where_the_answer_is_not_taken_for_one() {
        let said = "NOT_FOUND without an ErrorInfo reason, .. `refusals: [NOT_FOUND]`. It said: no";
        let told = advised("OUTCOME_UNKNOWN", "NOT_FOUND", said);
        assert!(told.commands.iter().all(|it| it.contains("saga settle")), "{:?}", told.commands);
    }
}
