//! The rules about what uses up the attempts of a step, what is held back, and what is kept.

use saga_core::{
    Action, Definition, Event, Next, OperatorAct, Outcome, StepIndex, StepPhase, StepSet,
    TurnBackReason, next,
};

use super::{Judged, Rule, judge};
use crate::{
    cases::DEADLINE_MS,
    node::Node,
    walk::{Hold, Moment},
};

/// Whether a step that is given up had as many answers as its policy has attempts.
pub(super) fn judge_giving_up(moment: &Moment<'_>, decision: &Next) -> Judged {
    let Next::Do(actions) = decision else { return Ok(()) };
    for action in actions {
        let Action::TurnBack { reason: TurnBackReason::AttemptsExhausted { step } } = action else {
            continue;
        };
        // A dead owner's attempt has no answer; an inquiry has fenced what it may have done.
        let used = moment.log.iter().any(|event| match event {
            Event::Answered { step: of, outcome, .. } => {
                of == step && !matches!(outcome, Outcome::NotDone { .. })
            }
            Event::Resolved { step: of, .. } => of == step,
            Event::OperatorActed { act: OperatorAct::Settle { step: of, .. }, .. } => of == step,
            _ => false,
        });
        judge(Rule::OnlyAnswersUseAttempts, used, || format!("{action:?}"))?;
    }
    Ok(())
}

/// Whether what must happen while one step is held back is what must happen without its call.
pub(crate) fn judge_held(hold: &Hold, moment: &Moment<'_>) -> Judged {
    let Moment { definition, state, now_ms, .. } = *moment;
    let Next::Do(actions) = next(definition, state, now_ms) else { return Ok(()) };
    for held in actions.iter().filter_map(called) {
        let left: Vec<Action> =
            actions.iter().filter(|it| called(it) != Some(held)).cloned().collect();
        // Behind the pivot, and where only a doubt about it keeps the saga from turning back,
        // no deadline changes anything.
        let mut pivots = definition.pivots().iter().map(|pivot| state.step(pivot).phase);
        let may_pass = state.turned_back().is_none()
            && !pivots.any(|pivot| pivot == StepPhase::Applied || pivot.may_stand())
            && now_ms < DEADLINE_MS;
        let found = hold(moment, StepSet::EMPTY.with(held));
        let holds = match &found {
            Next::Do(found) => *found == left,
            Next::Wait { until_ms } => {
                let in_time = until_ms.is_some_and(|it| now_ms < it && it <= DEADLINE_MS);
                left.is_empty() && (in_time || !may_pass)
            }
            Next::Finished(_) => false,
        };
        judge(Rule::HoldsOnlyItsCalls, holds, || format!("{found:?} where {held} is held"))?;
    }
    Ok(())
}

fn called(action: &Action) -> Option<StepIndex> {
    match action {
        Action::Call { step, .. } | Action::Inquire { step, .. } => Some(*step),
        _ => None,
    }
}

/// Only a compensation with a condition may leave an effect where it is.
pub(super) fn judge_kept(definition: &Definition, node: &Node) -> Judged {
    definition.indices().try_for_each(|step| {
        let kept = node.state.step(step).phase == StepPhase::Kept;
        let may = definition.step(step).compensation_conditional;
        judge(Rule::CompensatedIsClean, !kept || may, || format!("step {step} is kept"))
    })
}
