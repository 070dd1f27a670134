//! The walker under test: each mutant breaks one rule on purpose, in the decisions, in
//! what is recorded or at the participant, and must be caught by that rule.

mod doubts;
mod pivots;
mod waits;
mod words;

use std::collections::BTreeSet;

use bytes::Bytes;
use saga_core::{
    Action, Definition, Direction, Event, Next, NotDone, OnUnknown, Outcome, Resolution, State,
    StepIndex, StepPhase, TurnBackReason, Word, next, phase::Last,
};

use crate::{
    cases::{Case, DEADLINE_MS, PIVOT_LAST, PIVOT_THEN_STEP, Shape},
    rules::Rule,
    walk::{Moment, Order, Subject, Walk},
    world::Barrier,
};

struct Mutant {
    name: &'static str,
    subject: Subject,
    case: Case,
    breaks: Rule,
}

#[test]
fn every_mutant_is_caught_by_the_rule_it_breaks() {
    let mutants = mutants();
    assert_eq!(mutants.len(), 60);
    let mut broken = BTreeSet::new();
    for Mutant { name, subject, case, breaks } in mutants {
        match Walk::over(&case, &subject) {
            Ok(counts) => panic!("{name}: not caught in {counts}"),
            Err(violation) => assert_eq!(violation.rule, breaks, "{name}: {violation}"),
        }
        broken.insert(format!("{breaks:?}"));
    }
    let rules: BTreeSet<String> = Rule::ALL.iter().map(|rule| format!("{rule:?}")).collect();
    assert_eq!(broken, rules, "a rule that no mutant breaks is a rule that was never seen to work");
}

fn mutants() -> Vec<Mutant> {
    [
        of_decisions_about_steps(),
        of_decisions_about_calls(),
        of_decisions_about_the_way(),
        of_records(),
        of_participants(),
        doubts::of_doubts(),
        pivots::of_pivots(),
        waits::of_waits(),
        words::of_words(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Wrong about what is left to do.
fn of_decisions_about_steps() -> Vec<Mutant> {
    vec![
        Mutant {
            case: PIVOT_LAST.case(OnUnknown::Resolve, 2, 3),
            ..decides("doubt is cleared by a later not-done", Rule::CompensatedIsClean, |moment| {
                next_after(moment, doubt_cleared_by_not_done(moment.log))
            })
        },
        decides("unknown step is skipped on the way back", Rule::CompensatedIsClean, |moment| {
            if moment.state.turned_back().is_none() {
                return real(moment);
            }
            as_if(moment, |event| match event {
                Event::Answered {
                    step: StepIndex(0), outcome: Outcome::Unknown { .. }, ..
                } => not_done(event),
                other => other,
            })
        }),
        decides("compensation is dropped after one failure", Rule::CompensatedIsClean, |moment| {
            as_if(moment, |event| match event {
                Event::Answered { step: StepIndex(0), direction: Direction::Backward, .. } => {
                    applied(event)
                }
                other => other,
            })
        }),
    ]
}

/// Wrong about which call is next.
fn of_decisions_about_calls() -> Vec<Mutant> {
    vec![
        decides("effects are undone in forward order", Rule::UndoneInOrder, |moment| {
            let first = moment.definition.indices().find(|step| {
                moment.definition.step(*step).compensable
                    && moment.state.step(*step).phase == StepPhase::Applied
            });
            each_action(moment, |action| match (first, action) {
                (Some(step), Action::Call { direction: Direction::Backward, attempt: 1, .. }) => {
                    Action::Call { step, direction: Direction::Backward, attempt: 1 }
                }
                (_, other) => other,
            })
        }),
        decides("doubt is undone blindly", Rule::SettledThenUndone, |moment| {
            each_action(moment, |action| match action {
                Action::Inquire { step, .. } if moment.state.turned_back().is_some() => {
                    Action::Call { step, direction: Direction::Backward, attempt: 1 }
                }
                other => other,
            })
        }),
        decides("attempts have no bound", Rule::WithinPolicy, |moment| {
            each_action(moment, |action| match action {
                Action::Inquire { step, .. } => again(moment.state, step),
                other => other,
            })
        }),
        decides("attempts all have the same number", Rule::LogFolds, |moment| {
            each_action(moment, |action| match action {
                Action::Call { step, direction, .. } => {
                    Action::Call { step, direction, attempt: 1 }
                }
                other => other,
            })
        }),
        decides("a step begins before what it waits for", Rule::BegunInOrder, |moment| {
            let step = StepIndex(1);
            let may = moment.state.step(step).phase == StepPhase::Pending
                && moment.state.turned_back().is_none();
            match real(moment) {
                Next::Wait { .. } if may => {
                    let direction = Direction::Forward;
                    Next::Do(vec![Action::Call { step, direction, attempt: 1 }])
                }
                other => other,
            }
        }),
        Mutant {
            case: PIVOT_LAST.case(OnUnknown::Park, 2, 3),
            ..decides("a parked step is called again", Rule::ParkedIsLeftAlone, |moment| {
                let doubtful = moment.definition.indices().find(|step| {
                    let phase = moment.state.step(*step).phase;
                    matches!(
                        phase,
                        StepPhase::Open { direction: Direction::Forward, tries, last, .. }
                            if tries.in_doubt && last != Last::Contradicted
                    )
                });
                match (real(moment), doubtful) {
                    (Next::Wait { .. }, Some(step)) => Next::Do(vec![again(moment.state, step)]),
                    (other, _) => other,
                }
            })
        },
    ]
}

/// Wrong about where the saga goes, and when.
fn of_decisions_about_the_way() -> Vec<Mutant> {
    vec![
        turns_back("a refusal after the pivot turns back", PIVOT_THEN_STEP, |moment| {
            let mut phases = moment.state.steps().iter().map(|step| step.phase);
            phases.any(|phase| phase == StepPhase::Rejected)
        }),
        turns_back("a cancel after the pivot turns back", PIVOT_THEN_STEP, |moment| {
            moment.state.cancel_requested() && moment.state.passed_pivot(moment.definition)
        }),
        turns_back("the deadline after the pivot turns back", PIVOT_THEN_STEP, |moment| {
            DEADLINE_MS <= moment.now_ms && moment.state.passed_pivot(moment.definition)
        }),
        turns_back("a cancel turns back while the pivot is in doubt", PIVOT_LAST, |moment| {
            let mut phases = pivots::phases(moment);
            moment.state.cancel_requested() && phases.any(|it| matches!(it, StepPhase::Open { .. }))
        }),
        turns_back("a cancel turns back while the pivot is out", PIVOT_LAST, |moment| {
            let mut phases = pivots::phases(moment);
            let is_out = |it| matches!(it, StepPhase::InFlight { .. });
            moment.state.cancel_requested() && phases.any(is_out)
        }),
        decides("a cancel is forgotten", Rule::CancelIsDecided, |moment| {
            let kept = |event: &&Event| !matches!(event, Event::CancelRequested { .. });
            next_after(moment, moment.log.iter().filter(kept).cloned().collect())
        }),
        decides("the deadline is forgotten", Rule::DeadlineHolds, |moment| {
            let endless = Definition { deadline_ms: None, ..moment.definition.clone() };
            next(&endless, moment.state, moment.now_ms)
        }),
        decides("the wake-up is forgotten", Rule::NoLimbo, |moment| match real(moment) {
            Next::Wait { .. } => Next::Wait { until_ms: None },
            other => other,
        }),
        decides("the saga ends with its last step in doubt", Rule::CompletedIsWhole, |moment| {
            as_if(moment, |event| match event {
                Event::Answered { step: StepIndex(2), direction: Direction::Forward, .. } => {
                    applied(event)
                }
                other => other,
            })
        }),
        decides("the saga goes on behind its end", Rule::EndIsLast, |moment| match real(moment) {
            Next::Finished(ending) => Next::Do(vec![Action::End { ending }]),
            other => other,
        }),
    ]
}

/// Wrong about what was learned.
fn of_records() -> Vec<Mutant> {
    vec![
        records("unknown is taken for a refusal", |_, event| match event {
            Event::Answered {
                step,
                direction: Direction::Forward,
                attempt,
                outcome: Outcome::Unknown { message, .. },
                at_ms,
            } => {
                let word = Word::OnRecord;
                let outcome = Outcome::Rejected { reason: String::new(), message, word };
                let direction = Direction::Forward;
                vec![Event::Answered { step, direction, attempt, outcome, at_ms }]
            }
            other => vec![other],
        }),
        records("an unanswered inquiry is taken for a fence", |_, event| match event {
            Event::Resolved { step, inquiry, resolution: Resolution::Unanswered { .. }, at_ms } => {
                vec![Event::Resolved { step, inquiry, resolution: Resolution::Fenced, at_ms }]
            }
            other => vec![other],
        }),
        records("a refused compensation is taken for done", |_, event| match event {
            Event::Answered {
                direction: Direction::Backward,
                outcome: Outcome::Rejected { .. },
                ..
            } => vec![applied(event)],
            other => vec![other],
        }),
        records("a dead owner's call is taken for not done", |state, event| {
            let Event::Owned { at_ms, .. } = event else { return vec![event] };
            let mut events = answers_of_the_dead(state, at_ms);
            events.push(event);
            events
        }),
    ]
}

/// Participants, or a driver, without one part of the protocol.
fn of_participants() -> Vec<Mutant> {
    let whole = Barrier::WHOLE;
    vec![
        lacks(
            "an inquiry does not fence",
            Barrier { inquiry_fences: false, ..whole },
            Rule::OutcomeIsTrue,
        ),
        lacks("a repeat is not known", Barrier { knows_repeats: false, ..whole }, Rule::AtMostOnce),
        lacks(
            "compensation and action share their key",
            Barrier { undo_has_its_own_key: false, ..whole },
            Rule::OutcomeIsTrue,
        ),
        Mutant {
            name: "a request leaves before it is in the log",
            subject: Subject { order: Order::SendThenAppend, ..Subject::real() },
            case: usual(PIVOT_LAST),
            breaks: Rule::CallIsInTheLog,
        },
    ]
}

fn usual(shape: Shape) -> Case {
    shape.case(OnUnknown::Resolve, 1, 3)
}

fn decides(
    name: &'static str,
    breaks: Rule,
    decide: impl Fn(&Moment<'_>) -> Next + 'static,
) -> Mutant {
    let subject = Subject { decide: Box::new(decide), ..Subject::real() };
    Mutant { name, subject, case: usual(PIVOT_LAST), breaks }
}

fn turns_back(
    name: &'static str,
    shape: Shape,
    when: impl Fn(&Moment<'_>) -> bool + 'static,
) -> Mutant {
    let decide = move |moment: &Moment<'_>| {
        let goes_forward = moment.state.turned_back().is_none() && moment.state.ended().is_none();
        if goes_forward && when(moment) {
            return Next::Do(vec![Action::TurnBack { reason: TurnBackReason::Cancelled }]);
        }
        real(moment)
    };
    Mutant { case: usual(shape), ..decides(name, Rule::PivotIsFinal, decide) }
}

fn records(name: &'static str, record: impl Fn(&State, Event) -> Vec<Event> + 'static) -> Mutant {
    let subject = Subject { record: Box::new(record), ..Subject::real() };
    Mutant { name, subject, case: usual(PIVOT_LAST), breaks: Rule::OutcomeIsTrue }
}

fn lacks(name: &'static str, barrier: Barrier, breaks: Rule) -> Mutant {
    let subject = Subject { barrier, ..Subject::real() };
    Mutant { name, subject, case: usual(PIVOT_LAST), breaks }
}

fn real(moment: &Moment<'_>) -> Next {
    next(moment.definition, moment.state, moment.now_ms)
}

/// What the core would decide if `log` were the log.
fn next_after(moment: &Moment<'_>, log: Vec<Event>) -> Next {
    let Some((Event::Started(started), rest)) = log.split_first() else { return real(moment) };
    let mut state = State::start(moment.state.saga(), moment.definition, started);
    match state.apply_all(rest) {
        Ok(()) => next(moment.definition, &state, moment.now_ms),
        Err(_) => real(moment),
    }
}

fn as_if(moment: &Moment<'_>, rewrite: impl Fn(Event) -> Event) -> Next {
    next_after(moment, moment.log.iter().cloned().map(rewrite).collect())
}

fn each_action(moment: &Moment<'_>, rewrite: impl Fn(Action) -> Action) -> Next {
    match real(moment) {
        Next::Do(actions) => Next::Do(actions.into_iter().map(rewrite).collect()),
        other => other,
    }
}

/// Another attempt at the action of `step`.
fn again(state: &State, step: StepIndex) -> Action {
    let attempt = match state.step(step).phase {
        StepPhase::Open { tries, .. } => tries.attempt + 1,
        _ => 1,
    };
    Action::Call { step, direction: Direction::Forward, attempt }
}

fn answered(event: Event, said: Outcome) -> Event {
    match event {
        Event::Answered { step, direction, attempt, at_ms, .. } => {
            Event::Answered { step, direction, attempt, outcome: said, at_ms }
        }
        other => other,
    }
}

fn applied(event: Event) -> Event {
    answered(event, Outcome::Applied { reply: Bytes::new() })
}

fn not_done(event: Event) -> Event {
    let (cause, message) = (NotDone::NotSent, String::new());
    answered(event, Outcome::NotDone { cause, message, retry_after_ms: None })
}

/// The log with every doubt about the first step taken back that a later attempt, which
/// surely did nothing, seems to take back.
fn doubt_cleared_by_not_done(log: &[Event]) -> Vec<Event> {
    let is_of_first = |event: &Event| {
        matches!(event, Event::Answered { step: StepIndex(0), direction: Direction::Forward, .. })
    };
    let last = log.iter().rev().find(|event| is_of_first(event));
    let clears = matches!(last, Some(Event::Answered { outcome: Outcome::NotDone { .. }, .. }));
    let rewrite = |event: &Event| {
        if clears && is_of_first(event) { not_done(event.clone()) } else { event.clone() }
    };
    log.iter().map(rewrite).collect()
}

fn answers_of_the_dead(state: &State, at_ms: u64) -> Vec<Event> {
    let phases = state.steps().iter().zip(0..).map(|(step, index)| (StepIndex(index), step.phase));
    let answers = phases.filter_map(|(step, phase)| match phase {
        StepPhase::InFlight { direction: Direction::Forward, tries } => Some(Event::Answered {
            step,
            direction: Direction::Forward,
            attempt: tries.attempt,
            outcome: Outcome::NotDone {
                cause: NotDone::NotSent,
                message: String::new(),
                retry_after_ms: None,
            },
            at_ms,
        }),
        _ => None,
    });
    answers.collect()
}
