//! What decides at a point: two points with the same key go on alike.

use saga_core::{
    Definition, Direction, State, Step, StepPhase, StepState,
    phase::{Last, Pause, Tries},
};

/// The key of a point. Times are left out: pauses end in any order, and the deadline passes where
/// `is_late` says so. What is only remembered for people is left out too.
pub(super) fn of(core: &Definition, state: &State, is_late: bool) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + 3 * state.steps().len());
    let decided = state.turned_back().is_some() || state.passed_pivot(core);
    key.push(match (state.ended(), state.turned_back()) {
        (Some(_), _) => 4,
        (None, Some(_)) => 3,
        // One reason to turn back is as good as two.
        (None, None) if !decided && state.cancel_requested() => 2,
        (None, None) => u8::from(!decided && is_late),
    });
    let steps = core.indices().map(|index| (core.step(index), state.step(index)));
    steps.for_each(|(step, state)| step_key(step, state, &mut key));
    key
}

fn step_key(step: &Step, state: &StepState, key: &mut Vec<u8>) {
    let direction = |it: Direction| u8::from(it == Direction::Backward);
    let last_open = |it: Option<Last>| it.map_or(0, |it| 1 + last_key(it));
    match state.phase {
        StepPhase::Pending => key.push(0),
        StepPhase::Skipped => key.push(1),
        StepPhase::Unrenderable { direction: it } => key.push(2 + direction(it)),
        StepPhase::Waiting { .. } => key.push(4 + u8::from(state.signal.is_some())),
        StepPhase::InFlight { direction: it, tries } => {
            key.extend([6 + direction(it), last_open(state.last_open)]);
            tries_key(step, it, tries, key);
        }
        StepPhase::Inquiring { tries } => {
            key.extend([8, last_open(state.last_open)]);
            tries_key(step, Direction::Forward, tries, key);
        }
        StepPhase::Open { direction: it, tries, last, pause } => {
            let is_over = matches!(pause, Pause::Over);
            key.extend([9 + direction(it) + 2 * u8::from(is_over), last_key(last)]);
            tries_key(step, it, tries, key);
        }
        StepPhase::Applied => key.push(20),
        StepPhase::Rejected => key.push(21),
        StepPhase::Fenced => {
            key.push(
                22 + u8::from(state.request.is_some()) + 2 * u8::from(state.refusal.is_some()),
            );
        }
        StepPhase::Undone => key.push(26),
        StepPhase::Kept => key.push(27),
    }
}

/// Counters as far as a policy counts them.
fn tries_key(step: &Step, direction: Direction, tries: Tries, key: &mut Vec<u8>) {
    let Tries { attempt: _, failures, setbacks, inquiries, in_doubt, refused } = tries;
    let count = |it: u32, max: u32| u8::try_from(it.min(max)).unwrap_or(u8::MAX);
    let counts = match direction {
        Direction::Forward => {
            let max = step.retry.attempts_max;
            let inquiries = count(inquiries, step.resolve_retry.attempts_max);
            count(failures, max) | count(setbacks, max) << 2 | inquiries << 4
        }
        Direction::Backward => count(setbacks, step.compensation_retry.attempts_max),
    };
    key.extend([counts, u8::from(in_doubt) | u8::from(refused) << 1]);
}

fn last_key(last: Last) -> u8 {
    match last {
        Last::NotSent => 0,
        Last::Busy => 1,
        Last::Fault => 2,
        Last::Unknown => 3,
        Last::Refused => 4,
        Last::Contradicted => 5,
        Last::Unresolved => 6,
        Last::NoInquiry => 7,
        Last::OwnerLost => 8,
    }
}
