//! Wrong about how far a word of a participant reaches.

use bytes::Bytes;
use saga_core::{
    Action, Definition, Direction, Event, Next, OnUnknown, Outcome, Resolution, Step, StepPhase,
    StepSet, TurnBackReason, Word, next,
    next::LATE_MS,
    next_without,
    phase::{Last, Pause},
};

use super::{Mutant, again, as_if, decides, real, records};
use crate::{
    cases::{DEADLINE_MS, DIAMOND, PIVOT_LAST},
    rules::Rule,
    walk::{Moment, Subject},
};

pub(super) fn of_doubts() -> Vec<Mutant> {
    let mut mutants = of_refusals();
    mutants.extend(of_contradictions());
    mutants.extend(of_what_is_under_way());
    mutants.push(of_what_never_left());
    mutants.extend(of_what_is_held_back());
    mutants
}

fn of_what_never_left() -> Mutant {
    decides("what never left uses up attempts", Rule::OnlyAnswersUseAttempts, |moment| {
        let given_up = moment.definition.indices().find(|step| {
            let phase = moment.state.step(*step).phase;
            let Some(rules) = moment.definition.steps.get(step.at()) else { return false };
            matches!(
                phase,
                StepPhase::Open { direction: Direction::Forward, tries, last: Last::NotSent, .. }
                    if !tries.in_doubt && rules.retry.attempts_max <= tries.attempt
            )
        });
        match given_up.filter(|_| moment.state.turned_back().is_none()) {
            Some(step) => {
                let reason = TurnBackReason::AttemptsExhausted { step };
                Next::Do(vec![Action::TurnBack { reason }])
            }
            None => real(moment),
        }
    })
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
        Mutant {
            case: PIVOT_LAST.case(OnUnknown::Retry, 2, 3),
            ..decides(
                "a late attempt may arrive behind its undo",
                Rule::UndoneWhenQuiet,
                |moment| {
                    let early_ms = if moment.state.turned_back().is_some() { LATE_MS } else { 0 };
                    next(moment.definition, moment.state, moment.now_ms + early_ms)
                },
            )
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

fn of_what_is_held_back() -> [Mutant; 2] {
    let holds = |name, hold: fn(&Moment<'_>, StepSet) -> Next| {
        let subject = Subject { hold: Box::new(hold), ..Subject::real() };
        let case = DIAMOND.case(OnUnknown::Resolve, 1, 2);
        Mutant { name, subject, case, breaks: Rule::HoldsOnlyItsCalls }
    };
    [
        holds("who is held back holds back all", |moment, held| match real(moment) {
            Next::Do(_) if !held.is_empty() => Next::Wait { until_ms: Some(DEADLINE_MS) },
            other => other,
        }),
        holds("who is held back has no deadline", |moment, held| {
            match next_without(moment.definition, moment.state, moment.now_ms, held) {
                Next::Wait { .. } => Next::Wait { until_ms: None },
                other => other,
            }
        }),
    ]
}
