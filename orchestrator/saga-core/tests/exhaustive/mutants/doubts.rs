//! Wrong about how far a word of a participant reaches.

use bytes::Bytes;
use saga_core::{
    Action, Definition, Direction, Event, Next, OnUnknown, Outcome, Resolution, Step, StepPhase,
    Word, next,
    phase::{Last, Pause},
};

use super::{Mutant, again, as_if, decides, real, records};
use crate::{cases::PIVOT_LAST, rules::Rule};

pub(super) fn of_doubts() -> Vec<Mutant> {
    let mut mutants = of_refusals();
    mutants.extend(of_contradictions());
    mutants.extend(of_what_is_under_way());
    mutants
}

fn of_refusals() -> Vec<Mutant> {
    let policies = [
        (OnUnknown::Resolve, "a refusal ends a doubt, though there is an inquiry"),
        (OnUnknown::Retry, "a refusal ends a doubt, where calls are repeated"),
        (OnUnknown::FinishThenUndo, "a refusal ends a doubt that is undone"),
    ];
    policies.map(|(policy, name)| refusal_ends_doubt(policy, name)).into()
}

fn refusal_ends_doubt(policy: OnUnknown, name: &'static str) -> Mutant {
    let record = |_: &saga_core::State, event| match event {
        Event::Answered {
            step,
            direction: direction @ Direction::Forward,
            attempt,
            outcome: Outcome::Rejected { reason, message, .. },
            at_ms,
        } => {
            let outcome = Outcome::Rejected { reason, message, word: Word::OnRecord };
            vec![Event::Answered { step, direction, attempt, outcome, at_ms }]
        }
        other => vec![other],
    };
    Mutant { case: PIVOT_LAST.case(policy, 2, 3), ..records(name, record) }
}

fn of_contradictions() -> Vec<Mutant> {
    vec![
        records("a contradiction is taken for a refusal", |_, event| match event {
            Event::Answered {
                step,
                direction: direction @ Direction::Forward,
                attempt,
                outcome: Outcome::Contradicted { message, .. },
                at_ms,
            } => {
                let (reason, word) = (String::new(), Word::OnRecord);
                let outcome = Outcome::Rejected { reason, message, word };
                vec![Event::Answered { step, direction, attempt, outcome, at_ms }]
            }
            other => vec![other],
        }),
        records("an inquiry that says reversed is taken for a fence", |_, event| match event {
            Event::Resolved { step, inquiry, resolution: Resolution::Reversed, at_ms } => {
                vec![Event::Resolved { step, inquiry, resolution: Resolution::Fenced, at_ms }]
            }
            other => vec![other],
        }),
        decides("a contradiction is called again", Rule::ContradictionIsLeftAlone, |moment| {
            let contradicted = moment.definition.indices().find(|step| {
                matches!(
                    moment.state.step(*step).phase,
                    StepPhase::Open {
                        direction: Direction::Forward,
                        last: Last::Contradicted,
                        pause: Pause::After { .. },
                        ..
                    }
                )
            });
            match (real(moment), contradicted) {
                (Next::Wait { .. }, Some(step)) => Next::Do(vec![again(moment.state, step)]),
                (other, _) => other,
            }
        }),
    ]
}

fn of_what_is_under_way() -> Vec<Mutant> {
    vec![
        Mutant {
            case: PIVOT_LAST.case(OnUnknown::Retry, 2, 3),
            ..decides("an attempt may arrive behind its undo", Rule::UndoneWhenQuiet, |moment| {
                let at_once = |step: &Step| Step { timeout_ms: 0, ..step.clone() };
                let steps = moment.definition.steps.iter().map(at_once).collect();
                let definition = Definition { steps, ..moment.definition.clone() };
                next(&definition, moment.state, moment.now_ms)
            })
        },
        decides("an unread reply turns the saga back", Rule::UnreadIsWaitedFor, |moment| {
            let decided = as_if(moment, |event| match event {
                Event::Answered {
                    step,
                    direction,
                    attempt,
                    outcome: Outcome::AppliedUnread { .. },
                    at_ms,
                } => {
                    let outcome = Outcome::Applied { reply: Bytes::new() };
                    Event::Answered { step, direction, attempt, outcome, at_ms }
                }
                other => other,
            });
            match decided {
                Next::Do(actions)
                    if actions.iter().any(|it| matches!(it, Action::TurnBack { .. })) =>
                {
                    Next::Do(actions)
                }
                _ => real(moment),
            }
        }),
    ]
}
