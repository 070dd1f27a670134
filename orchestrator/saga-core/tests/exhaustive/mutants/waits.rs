//! Wrong about signals, timers, and effects that were there from the start.

use saga_core::{
    Action, Definition, Event, Next, OnUnknown, Step, StepIndex, StepKind, StepPhase,
    TurnBackReason, Verdict, next,
};

use super::{Mutant, decides, next_after, real, records};
use crate::{
    cases::{Shape, WAIT, WAIT_BEHIND, WAIT_BESIDE, WAIT_IS_PIVOT},
    rules::Rule,
    walk::Moment,
};

pub(super) fn of_waits() -> Vec<Mutant> {
    [of_signals(), of_timers(), of_given_and_kept()].into_iter().flatten().collect()
}

fn of_signals() -> Vec<Mutant> {
    vec![
        on(
            WAIT,
            records("a signal is answered and not kept", |_, event| match event {
                Event::Signalled { .. } => vec![],
                other => vec![other],
            }),
            Rule::FirstSignalIsKept,
        ),
        on(
            WAIT_BEHIND,
            decides("a signal is overlooked", Rule::SignalDecides, without_signals),
            Rule::SignalDecides,
        ),
        on(
            WAIT,
            decides("the timer overrules a signal", Rule::SignalDecides, |moment| {
                match real(moment) {
                    Next::Do(_) => match without_signals(moment) {
                        Next::Do(actions)
                            if actions.iter().any(|it| matches!(it, Action::TimeOut { .. })) =>
                        {
                            Next::Do(actions)
                        }
                        _ => real(moment),
                    },
                    other => other,
                }
            }),
            // The log does not even take it; the rule says so first.
            Rule::SignalDecides,
        ),
        on(
            WAIT_IS_PIVOT,
            records("a refusal by signal is taken for a yes", |_, event| match event {
                Event::WaitEnded { step, verdict: Verdict::Refused { .. }, at_ms } => {
                    vec![Event::WaitEnded { step, verdict: Verdict::Accepted, at_ms }]
                }
                other => vec![other],
            }),
            Rule::OutcomeIsTrue,
        ),
        on(
            WAIT,
            decides("a wait begins before what it waits for", Rule::BegunInOrder, |moment| {
                let wait = StepIndex(2);
                let may = moment.state.step(wait).phase == StepPhase::Pending
                    && moment.state.turned_back().is_none();
                match real(moment) {
                    Next::Wait { .. } if may => Next::Do(vec![Action::BeginWait { step: wait }]),
                    other => other,
                }
            }),
            Rule::BegunInOrder,
        ),
    ]
}

fn of_timers() -> Vec<Mutant> {
    vec![
        on(
            WAIT,
            decides("the timer is forgotten", Rule::TimerHolds, |moment| {
                with_steps(moment, |step| match step.kind {
                    StepKind::Wait { .. } => Step { kind: StepKind::Wait { timer: None }, ..step },
                    _ => step,
                })
            }),
            Rule::TimerHolds,
        ),
        on(
            WAIT_BESIDE,
            decides("the timer is over at once", Rule::TimerHolds, |moment| {
                with_steps(moment, |step| match step.kind {
                    StepKind::Wait { timer: Some(timer) } => {
                        let timer = Some(saga_core::Timer { after_ms: 0, ..timer });
                        Step { kind: StepKind::Wait { timer }, ..step }
                    }
                    _ => step,
                })
            }),
            Rule::TimerHolds,
        ),
        on(
            WAIT_BEHIND,
            decides(
                "a signal that says no turns back behind the pivot",
                Rule::PivotIsFinal,
                |moment| {
                    let refused = moment.state.step(StepIndex(2)).phase == StepPhase::Rejected;
                    match real(moment) {
                        Next::Wait { .. } if refused => {
                            Next::Do(vec![Action::TurnBack { reason: TurnBackReason::Cancelled }])
                        }
                        other => other,
                    }
                },
            ),
            Rule::PivotIsFinal,
        ),
    ]
}

fn of_given_and_kept() -> Vec<Mutant> {
    vec![
        on(
            WAIT,
            decides(
                "what the client brought along is not undone",
                Rule::CompensatedIsClean,
                |moment| {
                    with_steps(moment, |step| match step.kind {
                        StepKind::Given => Step { compensable: false, ..step },
                        _ => step,
                    })
                },
            ),
            Rule::CompensatedIsClean,
        ),
        on(
            super::PIVOT_LAST,
            records("an effect is kept without a condition", |_, event| match event {
                Event::Intended {
                    step,
                    direction: saga_core::Direction::Backward,
                    attempt: 1,
                    at_ms,
                    ..
                } => {
                    vec![Event::Kept { step, at_ms }]
                }
                other => vec![other],
            }),
            Rule::CompensatedIsClean,
        ),
    ]
}

fn on(shape: Shape, mutant: Mutant, breaks: Rule) -> Mutant {
    Mutant { case: shape.case(OnUnknown::Resolve, 1, 2), breaks, ..mutant }
}

fn without_signals(moment: &Moment<'_>) -> Next {
    let other = |event: &&Event| !matches!(event, Event::Signalled { .. });
    next_after(moment, moment.log.iter().filter(other).cloned().collect())
}

fn with_steps(moment: &Moment<'_>, rewrite: impl Fn(Step) -> Step) -> Next {
    let steps = moment.definition.steps.iter().cloned().map(rewrite).collect();
    let definition = Definition { steps, ..moment.definition.clone() };
    next(&definition, moment.state, moment.now_ms)
}
