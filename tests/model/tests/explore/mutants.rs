//! The model under test: each mutant breaks the protocol once on purpose, and must be seen
//! to break the properties that are named beside it. They are never removed.

use std::collections::BTreeSet;

use saga_core::{
    Action, Definition, Direction, Event, Next, NotDone, OnUnknown, Outcome, Resolution, State,
    StepIndex, StepPhase, TurnBackReason, next,
};
use saga_model::{
    fold::out,
    participant::Ask,
    properties::{ALWAYS, E1, E1_FENCED, E2, E3, E4, E9, E10, L1, L2, L3, L4, L8, T1, V1},
    protocol::{Protocol, Until},
    scope::{Faults, Scope},
    subject::{Barrier, LogRules, ProviderRules, Subject},
};

use crate::THREADS;

mod losses;

struct Mutant {
    name: &'static str,
    breaks: &'static [&'static str],
    scope: fn(Faults) -> Scope,
    subject: Subject,
}

const FAULTS: Faults = Faults { takeovers: 1, losses: 2, repeats: 1, tails: 0 };

#[test]
fn every_mutant_breaks_the_properties_that_are_named_beside_it() {
    let all = [
        of_the_log(),
        of_what_is_learned(),
        of_decisions_about_calls(),
        of_decisions_about_the_way(),
        of_participants(),
        losses::of_what_is_learned(),
        losses::of_log_and_participants(),
    ];
    let all: Vec<Mutant> = all.into_iter().flatten().collect();
    assert_eq!(all.len(), 35);
    let mut broken = BTreeSet::new();
    for Mutant { name, breaks, scope, subject } in all {
        let model = Protocol::new(scope(FAULTS), subject);
        let report = model.explore(&Until::Broken(breaks), THREADS);
        let found: BTreeSet<_> = report.broken.iter().map(|it| it.property).collect();
        println!("{name}: {found:?} after {} states, {:?}", report.states, report.took);
        for property in breaks {
            assert!(found.contains(property), "{name}: {property}: not caught\n{report}");
        }
        broken.extend(breaks);
    }
    assert_eq!(broken, BTreeSet::from(ALWAYS), "a property that was never seen to be broken");
}

/// Wrong about the log and its owner.
fn of_the_log() -> Vec<Mutant> {
    let rules = Subject::real().log;
    vec![
        log(
            "rows are not compared with the version",
            &[T1, L2, L3, L4],
            LogRules { compares_version: false, ..rules },
        ),
        log(
            "calls leave before their row is durable",
            &[L1],
            LogRules { appends_before_sending: false, ..rules },
        ),
        log(
            "a saga is taken over without a row",
            &[L2],
            LogRules { takes_over_by_append: false, ..rules },
        ),
        log(
            "a row whose fate is unknown is taken for lost",
            &[V1],
            LogRules { recognises_own_row: false, ..rules },
        ),
    ]
}

/// Wrong about what an answer means.
fn of_what_is_learned() -> Vec<Mutant> {
    vec![
        learns("a time-out is a refusal", &[L8, E3], |_, event| {
            each_unknown(event, |outcome| {
                *outcome = Outcome::Rejected {
                    reason: String::new(),
                    message: String::new(),
                    word: saga_core::Word::OnRecord,
                };
            })
        }),
        learns("a time-out says that nothing was done", &[E3], |_, event| {
            each_unknown(event, not_done)
        }),
        learns("a time-out is a success", &[L8, E2], |_, event| {
            each_unknown(event, |outcome| *outcome = Outcome::Applied { reply: bytes() })
        }),
        learns("an inquiry without an answer fenced", &[L8, E3], |_, event| match event {
            Event::Resolved { step, inquiry, resolution: Resolution::Unanswered { .. }, at_ms } => {
                vec![Event::Resolved { step, inquiry, resolution: Resolution::Fenced, at_ms }]
            }
            other => vec![other],
        }),
        learns("the doubt is forgotten when the owner changes", &[E3], |state, event| {
            let mut events = Vec::new();
            if matches!(event, Event::Owned { .. }) {
                events.extend(answers_of_what_is_out(state));
            }
            events.push(event);
            events
        }),
        learns(
            "a compensation counts as done after two tries",
            &[E3, L8],
            |_, event| match event {
                Event::Answered { direction: Direction::Backward, attempt: 2, .. } => {
                    each_unknown(event, |outcome| *outcome = Outcome::Applied { reply: bytes() })
                }
                other => vec![other],
            },
        ),
    ]
}

/// Wrong about which call is next.
fn of_decisions_about_calls() -> Vec<Mutant> {
    vec![
        decides("effects are undone in forward order", &[E9], |definition, state, now_ms| {
            let first = definition.indices().find(|it| is_applied(state, *it));
            each_action(next(definition, state, now_ms), |action| match (first, action) {
                (Some(step), Action::Call { direction: Direction::Backward, attempt: 1, .. }) => {
                    Some(Action::Call { step, direction: Direction::Backward, attempt: 1 })
                }
                (_, other) => Some(other),
            })
        }),
        decides("what was refused is undone", &[L3], |definition, state, now_ms| {
            let refused =
                definition.indices().find(|it| state.step(*it).phase == StepPhase::Rejected);
            each_action(next(definition, state, now_ms), |action| match (refused, action) {
                (Some(step), Action::End { .. }) => {
                    Some(Action::Call { step, direction: Direction::Backward, attempt: 1 })
                }
                (_, other) => Some(other),
            })
        }),
        decides("a doubt is undone without an inquiry", &[L3], |definition, state, now_ms| {
            each_action(next(definition, state, now_ms), |action| match action {
                Action::Inquire { step, .. } => {
                    Some(Action::Call { step, direction: Direction::Backward, attempt: 1 })
                }
                other => Some(other),
            })
        }),
        decides("a compensation is tried once", &[V1], |definition, state, now_ms| {
            each_action(next(definition, state, now_ms), |action| match action {
                Action::Call { direction: Direction::Backward, attempt: 2.., .. } => None,
                other => Some(other),
            })
        }),
        decides("an inquiry is made once", &[V1], |definition, state, now_ms| {
            each_action(next(definition, state, now_ms), |action| match action {
                Action::Inquire { inquiry: 2.., .. } => None,
                other => Some(other),
            })
        }),
        decides(
            "a call that is out when its owner dies is not repeated",
            &[V1],
            |it, state, now| {
                let is_new_owner = 1 < state.epoch().0;
                each_action(next(it, state, now), |action| match action {
                    Action::Call { attempt: 2.., .. } | Action::Inquire { .. } if is_new_owner => {
                        None
                    }
                    other => Some(other),
                })
            },
        ),
    ]
}

/// Wrong about whether to go on or to turn back.
fn of_decisions_about_the_way() -> Vec<Mutant> {
    vec![
        Mutant {
            scope: Scope::order_ship,
            ..decides("a cancel turns back behind the pivot", &[E3], turns_back_when_cancelled)
        },
        Mutant {
            scope: Scope::pay_order,
            ..decides("a pivot in doubt is taken for not applied", &[E10], |it, state, now_ms| {
                if state.passed_pivot(it) {
                    return next(it, state, now_ms);
                }
                turns_back_when_cancelled(it, state, now_ms)
            })
        },
        Mutant {
            scope: Scope::pay_order,
            ..decides("a doubt is left as it is", &[V1], |definition, state, now_ms| {
                let parked = definition
                    .steps
                    .iter()
                    .map(|step| saga_core::Step { on_unknown: OnUnknown::Park, ..step.clone() });
                let parked = Definition { steps: parked.collect(), ..definition.clone() };
                next(&parked, state, now_ms)
            })
        },
    ]
}

/// Participants and providers without a part of the barrier.
fn of_participants() -> Vec<Mutant> {
    let barrier = Subject::real().barrier;
    let provider = Subject::real().provider;
    vec![
        participant(
            "repeated actions are done again",
            &[E1],
            Barrier { knows_repeated_actions: false, ..barrier },
        ),
        participant(
            "repeated compensations are done again",
            &[E1],
            Barrier { knows_repeated_undos: false, ..barrier },
        ),
        participant(
            "a refusal is forgotten",
            &[E3],
            Barrier { remembers_refusals: false, ..barrier },
        ),
        participant(
            "an inquiry does not fence",
            &[E3],
            Barrier { inquiry_fences: false, ..barrier },
        ),
        participant(
            "an inquiry fences while the provider is asked",
            &[E1_FENCED, E4],
            Barrier { inquiry_waits_for_provider: false, ..barrier },
        ),
        participant(
            "action and compensation share an id",
            &[E3],
            Barrier { undo_has_its_own_id: false, ..barrier },
        ),
        participant(
            "each attempt has an id of its own",
            &[E1],
            Barrier { attempts_share_an_id: false, ..barrier },
        ),
        asks(
            "the provider is asked before the intent is durable",
            &[E1_FENCED, E4],
            ProviderRules { intends_before_asking: false, ..provider },
        ),
        asks(
            "each try has a key of its own at the provider",
            &[E1, E4],
            ProviderRules { tries_share_a_key: false, ..provider },
        ),
    ]
}

fn mutant(name: &'static str, breaks: &'static [&'static str], subject: Subject) -> Mutant {
    Mutant { name, breaks, scope: Scope::reserve_pay, subject }
}

fn log(name: &'static str, breaks: &'static [&'static str], log: LogRules) -> Mutant {
    mutant(name, breaks, Subject { log, ..Subject::real() })
}

fn learns(
    name: &'static str,
    breaks: &'static [&'static str],
    learn: fn(&State, Event) -> Vec<Event>,
) -> Mutant {
    mutant(name, breaks, Subject { learn, ..Subject::real() })
}

fn decides(
    name: &'static str,
    breaks: &'static [&'static str],
    decide: fn(&Definition, &State, u64) -> Next,
) -> Mutant {
    mutant(name, breaks, Subject { decide, ..Subject::real() })
}

fn participant(name: &'static str, breaks: &'static [&'static str], barrier: Barrier) -> Mutant {
    mutant(name, breaks, Subject { barrier, ..Subject::real() })
}

fn asks(name: &'static str, breaks: &'static [&'static str], provider: ProviderRules) -> Mutant {
    mutant(name, breaks, Subject { provider, ..Subject::real() })
}

/// `event` with another outcome, where it is a call without an answer.
fn each_unknown(mut event: Event, change: fn(&mut Outcome)) -> Vec<Event> {
    if let Event::Answered { outcome, .. } = &mut event
        && matches!(outcome, Outcome::Unknown { .. })
    {
        change(outcome);
    }
    vec![event]
}

fn not_done(outcome: &mut Outcome) {
    *outcome =
        Outcome::NotDone { cause: NotDone::NotSent, message: String::new(), retry_after_ms: None };
}

/// Answers that say of every call that is out that it did nothing.
fn answers_of_what_is_out(state: &State) -> Vec<Event> {
    let steps = (0u8..).map(StepIndex).zip(state.steps());
    let answers = steps.filter_map(|(step, known)| {
        let (Ask::Action, attempt) = out(known.phase)? else { return None };
        let direction = Direction::Forward;
        let mut outcome = Outcome::Applied { reply: bytes() };
        not_done(&mut outcome);
        Some(Event::Answered { step, direction, attempt, outcome, at_ms: 0 })
    });
    answers.collect()
}

fn turns_back_when_cancelled(definition: &Definition, state: &State, now_ms: u64) -> Next {
    if state.cancel_requested() && state.turned_back().is_none() && state.ended().is_none() {
        return Next::Do(vec![Action::TurnBack { reason: TurnBackReason::Cancelled }]);
    }
    next(definition, state, now_ms)
}

/// `decision` with another action for each; with none left, nothing is done.
fn each_action(decision: Next, change: impl Fn(Action) -> Option<Action>) -> Next {
    let Next::Do(actions) = decision else { return decision };
    let actions: Vec<Action> = actions.into_iter().filter_map(change).collect();
    if actions.is_empty() { Next::Wait { until_ms: None } } else { Next::Do(actions) }
}

fn is_applied(state: &State, step: StepIndex) -> bool {
    state.step(step).phase == StepPhase::Applied
}

fn bytes() -> bytes::Bytes {
    bytes::Bytes::new()
}
