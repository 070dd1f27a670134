//! What must happen to a step that was tried without a definite outcome.

use super::Plan;
use crate::{
    definition::{Definition, OnUnknown, RetryPolicy, Step, StepIndex},
    event::Direction,
    id::{OperationId, OperationName, OperationRoot},
    next::Action,
    phase::{Last, Pause, Tries},
    state::State,
};

/// How long a call may lie behind its deadline before it reaches what it changes, in
/// milliseconds: in buffers of the network, in a queue of a service that looks at no deadlines.
pub const LATE_MS: u64 = 10_000;

/// From when on no attempt of the action is to be expected any more, in milliseconds since the
/// Unix epoch. A participant that answers inquiries refuses one that comes behind its undo;
/// any other would take it for a new one.
pub(super) fn quiet_at_ms(definition: &Definition, state: &State, index: StepIndex) -> u64 {
    let step = definition.step(index);
    match state.step(index).doubtful_at_ms {
        Some(at_ms) if step.on_unknown != OnUnknown::Resolve => {
            at_ms.saturating_add(step.timeout_ms).saturating_add(LATE_MS)
        }
        _ => 0,
    }
}

/// A step that was tried without a definite outcome.
#[derive(Clone, Copy)]
pub(super) struct Open {
    pub(super) index: StepIndex,
    pub(super) tries: Tries,
    pub(super) last: Last,
    pub(super) pause: Pause,
}

impl Open {
    /// Going forward: calls again while the policy allows, which the operation id makes
    /// safe. Behind the last attempt a doubt is settled; behind the pivot there is no
    /// last attempt.
    pub(super) fn go_on(
        self,
        definition: &Definition,
        state: &State,
        passed_pivot: bool,
        now_ms: u64,
        plan: &mut Plan,
    ) {
        let step = definition.step(self.index);
        if self.waits_for_a_person(step) {
            return;
        }
        // What was refused in doubt is asked about, also behind the pivot: another call would
        // only be refused again.
        let asks = self.tries.refused && step.on_unknown == OnUnknown::Resolve;
        if !asks && (passed_pivot || !step.retry.is_exhausted(self.tries)) {
            let forward = Direction::Forward;
            self.call_again(definition, state, forward, &step.retry, now_ms, plan);
        } else {
            self.settle(definition, state, now_ms, plan);
        }
    }

    /// Finds out what became of the action, the way the definition says.
    pub(super) fn settle(
        self,
        definition: &Definition,
        state: &State,
        now_ms: u64,
        plan: &mut Plan,
    ) {
        let step = definition.step(self.index);
        if self.is_contradicted() {
            return;
        }
        match step.on_unknown {
            OnUnknown::Park => {}
            OnUnknown::Retry | OnUnknown::FinishThenUndo => {
                let forward = Direction::Forward;
                self.call_again(definition, state, forward, &step.retry, now_ms, plan);
            }
            OnUnknown::Resolve => {
                // The first inquiry leaves at once: where the original is still under
                // way, the participant waits for it.
                let due_ms = inquiry_due_ms(state, step, self.tries.inquiries, self.pause, now_ms);
                let inquiry = self.tries.inquiries + 1;
                plan.at(due_ms, now_ms, Action::Inquire { step: self.index, inquiry });
            }
        }
    }

    pub(super) fn call_again(
        self,
        definition: &Definition,
        state: &State,
        direction: Direction,
        policy: &RetryPolicy,
        now_ms: u64,
        plan: &mut Plan,
    ) {
        if self.is_contradicted() {
            return;
        }
        let dice = dice(state, definition.step(self.index), direction, self.tries.attempt);
        let due_ms = match (self.pause, self.last) {
            (Pause::Over, _) => now_ms,
            // Only a person can mend these. Looking again now and then finds out that
            // somebody has, and calls for nobody.
            (Pause::After { at_ms }, Last::Fault | Last::Refused) => {
                at_ms.saturating_add(policy.rest_ms_beyond(self.tries.setbacks.saturating_sub(1)))
            }
            (Pause::After { at_ms } | Pause::NotBefore { at_ms }, _) => {
                at_ms.saturating_add(policy.rest_ms_after(self.tries.setbacks.max(1), dice))
            }
        };
        let attempt = self.tries.attempt + 1;
        plan.at(due_ms, now_ms, Action::Call { step: self.index, direction, attempt });
    }

    fn waits_for_a_person(self, step: &Step) -> bool {
        self.is_contradicted() || (self.tries.in_doubt && step.on_unknown == OnUnknown::Park)
    }

    /// Whether two sure words contradict each other, and nobody has asked to try again since.
    fn is_contradicted(self) -> bool {
        self.last == Last::Contradicted && self.pause != Pause::Over
    }

    /// Whether its doubt is never settled: it was refused, and is undone all the same.
    pub(super) fn is_undone_in_doubt(self, step: &Step) -> bool {
        self.tries.refused
            && self.last != Last::Contradicted
            && step.compensable
            && step.on_unknown == OnUnknown::FinishThenUndo
    }
}

/// When the next inquiry is due, behind so many that did not tell.
pub(super) fn inquiry_due_ms(
    state: &State,
    step: &Step,
    inquiries: u32,
    pause: Pause,
    now_ms: u64,
) -> u64 {
    match pause {
        Pause::After { at_ms } if inquiries > 0 => {
            let dice = dice(state, step, Direction::Forward, inquiries);
            at_ms.saturating_add(step.resolve_retry.rest_ms_after(inquiries, dice))
        }
        _ => now_ms,
    }
}

/// A number that differs from saga to saga and from attempt to attempt, the same
/// whenever it is asked for: where the jitter comes from.
fn dice(state: &State, step: &Step, direction: Direction, attempt: u32) -> u64 {
    let name = OperationName { step: &step.name, direction, generation: 0 };
    let operation = OperationId::derive(state.saga(), OperationRoot::Saga, name);
    let (high, low) = operation.0.as_u64_pair();
    let mut mixed = (high ^ low.rotate_left(32)).wrapping_add(u64::from(attempt) << 17);
    // The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl RetryPolicy {
    /// Whether the last attempt that the policy allows was made.
    pub(super) fn is_exhausted(&self, tries: Tries) -> bool {
        self.attempts_max <= tries.failures
    }
}
