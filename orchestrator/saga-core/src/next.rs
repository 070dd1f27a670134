//! What must happen next: a query over definition, state and time that changes nothing.
//!
//! Going forward, steps begin when everything they wait for is applied or skipped. A
//! refusal, an exhausted policy, the deadline or a cancel turns the saga back, but only
//! while the pivot is surely not applied. Turning back, doubts are settled first and
//! effects are undone in reverse topological order, without a last attempt.

use crate::{
    definition::{Definition, OnTimeout, OnUnknown, StepIndex, StepKind, StepSet},
    event::{Direction, Ending, TurnBackReason},
    phase::{Last, StepPhase},
    state::{State, Trouble},
};

mod back;
mod open;
mod recall;

use back::next_backward;
pub use open::LATE_MS;
use open::Open;
use recall::recall_effects;

/// What must happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Append these, all in one row, and then make the calls that they announce.
    Do(Vec<Action>),
    /// Nothing, before an answer comes, a person or a client acts, or this time is
    /// reached (milliseconds since the Unix epoch). `None`: no time will change it.
    Wait { until_ms: Option<u64> },
    /// Nothing any more.
    Finished(Ending),
}

/// One thing to append and to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make the call of this step. Becomes `Intended`, or `Skipped`, `Kept` or
    /// `Unrenderable` where its condition or its request says so.
    Call { step: StepIndex, direction: Direction, attempt: u32 },
    /// Begin to wait for the step's signal. Becomes `WaitBegan`, or `Skipped` or
    /// `Unrenderable` where the condition says so.
    BeginWait { step: StepIndex },
    /// Judge the signal that came. Becomes `WaitEnded`, or `Unrenderable` where it cannot be
    /// judged.
    Judge { step: StepIndex },
    /// Record that no signal came in time.
    TimeOut { step: StepIndex, then: OnTimeout },
    /// Ask what became of the step's action, and fence it; where the step is applied, what
    /// became of its compensation in rows that the log has lost.
    Inquire { step: StepIndex, inquiry: u32 },
    /// Record that the saga turns back.
    TurnBack { reason: TurnBackReason },
    /// Record that the saga has ended.
    End { ending: Ending },
}

/// Collects what can be done now, and when to look again where nothing can.
#[derive(Debug)]
struct Plan {
    actions: Vec<Action>,
    until_ms: Option<u64>,
    /// Steps whose calls and inquiries are left out.
    held: StepSet,
}

impl Plan {
    fn new(held: StepSet) -> Self {
        Self { actions: Vec::new(), until_ms: None, held }
    }

    fn now(&mut self, action: Action) {
        let is_held = match action {
            Action::Call { step, .. } | Action::Inquire { step, .. } => self.held.contains(step),
            _ => false,
        };
        if !is_held {
            self.actions.push(action);
        }
    }

    /// Does `action` if its time has come, else remembers the time.
    fn at(&mut self, due_ms: u64, now_ms: u64, action: Action) {
        if due_ms <= now_ms {
            self.now(action);
        } else {
            self.wake_at(due_ms);
        }
    }

    fn wake_at(&mut self, at_ms: u64) {
        self.until_ms = Some(self.until_ms.map_or(at_ms, |until_ms| until_ms.min(at_ms)));
    }

    fn into_next(self) -> Next {
        if self.actions.is_empty() {
            Next::Wait { until_ms: self.until_ms }
        } else {
            Next::Do(self.actions)
        }
    }
}

/// What must happen to this saga at `now_ms`.
#[must_use]
pub fn next(definition: &Definition, state: &State, now_ms: u64) -> Next {
    next_without(definition, state, now_ms, StepSet::EMPTY)
}

/// What must happen where the participants of the steps in `held` take no call: they are neither
/// called nor inquired into, and all else goes on. A saga that only waits for them still has
/// its deadline and its cancel.
#[must_use]
pub fn next_without(definition: &Definition, state: &State, now_ms: u64, held: StepSet) -> Next {
    if let Some(ended) = state.ended() {
        return Next::Finished(ended.ending);
    }
    if state.is_closing() {
        return Next::Do(vec![Action::End { ending: Ending::Closed }]);
    }
    if state.turned_back().is_some() {
        return next_backward(definition, state, now_ms, held);
    }
    next_forward(definition, state, now_ms, held)
}

fn next_forward(definition: &Definition, state: &State, now_ms: u64, held: StepSet) -> Next {
    let passed_pivot = state.passed_pivot(definition);
    if !passed_pivot && let Some(reason) = reason_to_turn_back(definition, state, now_ms) {
        return turn_back(definition, state, now_ms, held, reason);
    }

    let mut plan = Plan::new(held);
    if !passed_pivot && let Some(deadline_at_ms) = deadline_at_ms(definition, state) {
        plan.wake_at(deadline_at_ms);
    }
    if !passed_pivot && recall_effects(definition, state, now_ms, &mut plan) {
        return plan.into_next();
    }
    go_on(definition, state, passed_pivot, now_ms, plan)
}

/// Begins what can begin, goes on with what is open, and ends where nothing is left.
fn go_on(
    definition: &Definition,
    state: &State,
    passed_pivot: bool,
    now_ms: u64,
    mut plan: Plan,
) -> Next {
    let mut done = 0;
    for index in definition.indices() {
        match state.step(index).phase {
            StepPhase::Applied | StepPhase::Skipped => done += 1,
            StepPhase::Pending if state.step(index).is_left_to_a_person() => {}
            StepPhase::Pending if may_begin(definition, state, index) => {
                plan.now(first_action(definition, index));
            }
            StepPhase::Waiting { since_ms } => {
                wait(definition, state, index, since_ms, now_ms, &mut plan);
            }
            StepPhase::Open { direction: Direction::Forward, tries, last, pause } => {
                let open = Open { index, tries, last, pause };
                open.go_on(definition, state, passed_pivot, now_ms, &mut plan);
            }
            _ => {}
        }
    }
    if done == definition.steps.len() {
        return Next::Do(vec![Action::End { ending: Ending::Completed }]);
    }
    plan.into_next()
}

pub(crate) fn may_begin(definition: &Definition, state: &State, index: StepIndex) -> bool {
    definition
        .step(index)
        .after
        .iter()
        .all(|before| matches!(state.step(before).phase, StepPhase::Applied | StepPhase::Skipped))
}

fn first_action(definition: &Definition, index: StepIndex) -> Action {
    match definition.step(index).kind {
        StepKind::Wait { .. } => Action::BeginWait { step: index },
        // A given step is applied from the start, and never pending.
        StepKind::Call | StepKind::Given => {
            Action::Call { step: index, direction: Direction::Forward, attempt: 1 }
        }
    }
}

/// Judges the signal that came, however early; without one, the timer decides.
fn wait(
    definition: &Definition,
    state: &State,
    index: StepIndex,
    since_ms: u64,
    now_ms: u64,
    plan: &mut Plan,
) {
    if state.step(index).signal.is_some() {
        plan.now(Action::Judge { step: index });
    } else if let StepKind::Wait { timer: Some(timer) } = definition.step(index).kind {
        let due_ms = since_ms.saturating_add(timer.after_ms);
        plan.at(due_ms, now_ms, Action::TimeOut { step: index, then: timer.then });
    }
}

fn deadline_at_ms(definition: &Definition, state: &State) -> Option<u64> {
    definition.deadline_ms.map(|span_ms| state.started_at_ms().saturating_add(span_ms))
}

/// Why the saga should turn back, where it should. What a participant said comes before
/// what a clock says.
fn reason_to_turn_back(
    definition: &Definition,
    state: &State,
    now_ms: u64,
) -> Option<TurnBackReason> {
    let of_step =
        definition.indices().find_map(|index| step_ends_forward(definition, state, index));
    if of_step.is_some() {
        return of_step;
    }
    if state.cancel_requested() {
        return Some(TurnBackReason::Cancelled);
    }
    let deadline_at_ms = deadline_at_ms(definition, state);
    if deadline_at_ms.is_some_and(|deadline_at_ms| deadline_at_ms <= now_ms) {
        return Some(TurnBackReason::DeadlinePassed);
    }
    // Fenced before it began: whatever was the reason to ask is gone.
    definition
        .indices()
        .find(|index| state.step(*index).phase == StepPhase::Fenced)
        .map(|step| TurnBackReason::AttemptsExhausted { step })
}

/// Whether something but a clock asks the saga to turn back.
pub(crate) fn wants_back(definition: &Definition, state: &State) -> bool {
    // No deadline has passed at the beginning of time.
    reason_to_turn_back(definition, state, 0).is_some()
}

fn step_ends_forward(
    definition: &Definition,
    state: &State,
    index: StepIndex,
) -> Option<TurnBackReason> {
    let step = state.step(index);
    let rejected = |trouble: Option<&Trouble>| {
        let reason = trouble.map(|it| it.reason.clone()).unwrap_or_default();
        Some(TurnBackReason::StepRejected { step: index, reason })
    };
    match step.phase {
        StepPhase::Rejected => rejected(step.last_trouble.as_ref()),
        StepPhase::Fenced if step.refusal.is_some() => rejected(step.refusal.as_ref()),
        StepPhase::Fenced if step.request.is_some() => {
            Some(TurnBackReason::AttemptsExhausted { step: index })
        }
        // It can be made once a person has told what an earlier step replied.
        StepPhase::Unrenderable { .. } if !unread_before(definition, state, index).is_empty() => {
            None
        }
        StepPhase::Unrenderable { .. } => Some(TurnBackReason::Unrenderable { step: index }),
        _ if step.tells_of_a_way_back() => Some(TurnBackReason::UndoneInLostRows { step: index }),
        // Whether it was applied will not be known: it is undone as if it had been.
        StepPhase::Open { direction: Direction::Forward, tries, last, .. }
            if tries.refused
                && last != Last::Contradicted
                && definition.step(index).on_unknown == OnUnknown::FinishThenUndo =>
        {
            rejected(step.refusal.as_ref())
        }
        _ => None,
    }
}

/// The steps before this one that were applied with a reply too large to be kept.
pub(crate) fn unread_before(definition: &Definition, state: &State, index: StepIndex) -> StepSet {
    definition.ancestors(index).iter().filter(|step| state.step(*step).unread).collect()
}

/// Turns back, unless a pivot is in doubt: then nobody can know which way is right,
/// and that is found out first.
fn turn_back(
    definition: &Definition,
    state: &State,
    now_ms: u64,
    held: StepSet,
    reason: TurnBackReason,
) -> Next {
    let mut plan = Plan::new(held);
    let Some(index) = state.pivot_in_doubt(definition) else {
        if !ask_behind_pivot(definition, state, now_ms, &mut plan) {
            return Next::Do(vec![Action::TurnBack { reason }]);
        }
        // Only a person can tell, and a clock calls none: it goes on waiting.
        let is_left = reason == TurnBackReason::DeadlinePassed
            && open_behind_pivot(definition, state).all(|it| state.has_no_witness(it));
        if !is_left || recall_effects(definition, state, now_ms, &mut plan) {
            return plan.into_next();
        }
        return go_on(definition, state, false, now_ms, plan);
    };
    // Calling it again would pass it: not while what came before it may tell that nobody has.
    if !state.step(index).is_asked()
        && (recall_effects(definition, state, now_ms, &mut plan)
            || ask_before(definition, state, index, now_ms, &mut plan)
            || state.has_gone_back_unseen())
    {
        return plan.into_next();
    }
    if state.has_no_witness(index) {
        // Another call of it tells, and so does whoever refuses what comes before it.
        return go_on(definition, state, false, now_ms, plan);
    }
    find_out(definition, state, index, now_ms, &mut plan);
    plan.into_next()
}

/// Finds out what became of an action that may have had its effect, unless that is being asked.
/// What has no witness is left: it is called, or a person looks.
fn find_out(
    definition: &Definition,
    state: &State,
    index: StepIndex,
    now_ms: u64,
    plan: &mut Plan,
) {
    if state.has_no_witness(index) {
        return;
    }
    let phase = state.step(index).phase;
    if state.may_have_begun_unseen(index) {
        plan.now(Action::Inquire { step: index, inquiry: 1 });
    } else if let StepPhase::Open { direction: Direction::Forward, tries, last, pause } = phase {
        Open { index, tries, last, pause }.settle(definition, state, now_ms, plan);
    }
}

/// Asks about what comes before a pivot whose participant cannot be asked. False: there is nothing
/// to ask.
fn ask_before(
    definition: &Definition,
    state: &State,
    pivot: StepIndex,
    now_ms: u64,
    plan: &mut Plan,
) -> bool {
    let is_asked_for = |index: &StepIndex| {
        let is_open = match state.step(*index).phase {
            StepPhase::Inquiring { .. } => true,
            StepPhase::Open { direction: Direction::Forward, tries, .. } => {
                tries.in_doubt && state.has_lost_rows()
            }
            _ => state.may_have_begun_unseen(*index),
        };
        is_open && state.step(*index).is_asked()
    };
    let asked = definition.ancestors(pivot).iter().filter(is_asked_for);
    asked.map(|index| find_out(definition, state, index, now_ms, plan)).count() > 0
}

/// Whether what comes behind the pivot has to be asked about first.
fn ask_behind_pivot(definition: &Definition, state: &State, now_ms: u64, plan: &mut Plan) -> bool {
    let open = open_behind_pivot(definition, state);
    open.map(|index| find_out(definition, state, index, now_ms, plan)).count() > 0
}

/// The calls behind the pivot of which nobody knows whether they took effect, where that tells
/// whether the pivot was passed in rows that the log has lost: of a wait nobody can be asked, nor
/// of a call whose participant keeps no log.
pub(crate) fn open_behind_pivot(
    definition: &Definition,
    state: &State,
) -> impl Iterator<Item = StepIndex> {
    let is_asked_itself = definition.pivots().iter().all(|pivot| {
        let step = definition.step(pivot);
        step.kind == StepKind::Call && step.on_unknown == OnUnknown::Resolve
    });
    let behind =
        (state.has_lost_rows() && !is_asked_itself).then(|| definition.called_behind_pivot());
    behind.into_iter().flatten().filter(|index| {
        let step = state.step(*index);
        let is_open = matches!(
            step.phase,
            StepPhase::Inquiring { .. } | StepPhase::Open { direction: Direction::Forward, .. }
        );
        is_open || state.may_have_begun_unseen(*index)
    })
}
