//! How often participants are called at most, until a saga has ended: the core driven by whoever
//! answers as late as it can.

use bytes::Bytes;
use saga_core::{
    Action, Definition, Direction, Event, Outcome, Resolution, State, StepIndex, StepPhase,
    StepSet, UnknownCause, Verdict, Word,
};
use saga_definition::CompiledDefinition;

use super::{BEGIN_MS, Point, asked, begun, recorded};
use crate::AdvanceError;

/// Rounds of one run at most.
const ROUNDS_MAX: usize = 200_000;

/// Calls and inquiries that reach participants, at most, of a saga that needs no person: every
/// call has its last attempt. What surely never reached one is not counted, and has no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallsMax {
    pub calls: u64,
    pub inquiries: u64,
}

/// The most over all steps that may turn the saga back, and over none doing so.
pub(super) fn most(definition: &CompiledDefinition) -> Result<CallsMax, AdvanceError> {
    let core = Definition { deadline_ms: None, ..definition.core.clone() };
    let mut most = CallsMax::default();
    // Of several pivots one runs, and what its condition excludes does not.
    let mut ways: Vec<StepSet> = core.pivots().iter().map(|it| core.step(it).excludes).collect();
    if ways.is_empty() {
        ways.push(StepSet::EMPTY);
    }
    for skipped in ways {
        let runs = |it: &StepIndex| !skipped.contains(*it) && !core.is_after_pivot(*it);
        for turns_at in core.indices().filter(runs).map(Some).chain([None]) {
            let run = Run { core: &core, turns_at, skipped, made: CallsMax::default() };
            let made = run.go(begun(definition, &core))?;
            if most.calls + most.inquiries < made.calls + made.inquiries {
                most = made;
            }
        }
    }
    Ok(most)
}

struct Run<'r> {
    core: &'r Definition,
    /// The step that is not done in the end.
    turns_at: Option<StepIndex>,
    /// The steps whose conditions are false.
    skipped: StepSet,
    made: CallsMax,
}

impl Run<'_> {
    fn go(mut self, state: State) -> Result<CallsMax, AdvanceError> {
        let mut point = Point { state, now_ms: BEGIN_MS, is_late: false, at: 0 };
        for _ in 0..ROUNDS_MAX {
            if point.state.ended().is_some() {
                return Ok(self.made);
            }
            let (actions, until_ms) = asked(self.core, &point, point.now_ms);
            let event = match actions.into_iter().next() {
                Some(action) => Some(self.act(action, point.now_ms)),
                None => self.answer(&point.state, point.now_ms),
            };
            match (event, until_ms) {
                (Some(event), _) => point.state = recorded(&point.state, &[event])?,
                (None, Some(until_ms)) => point.now_ms = until_ms.max(point.now_ms),
                (None, None) => return Ok(self.made),
            }
        }
        Err(AdvanceError::Endless { rounds: ROUNDS_MAX })
    }

    fn act(&mut self, action: Action, at_ms: u64) -> Event {
        match action {
            Action::Call { step, direction: Direction::Forward, .. }
            | Action::BeginWait { step }
                if self.skipped.contains(step) =>
            {
                Event::Skipped { step, at_ms }
            }
            Action::Call { step, direction, attempt } => {
                self.made.calls += 1;
                let request = (attempt == 1).then(Bytes::new);
                Event::Intended { step, direction, attempt, request, at_ms }
            }
            Action::Inquire { step, inquiry } => {
                self.made.inquiries += 1;
                Event::Inquired { step, inquiry, at_ms }
            }
            Action::BeginWait { step } => Event::WaitBegan { step, at_ms },
            Action::Judge { step } => {
                let reason = String::new();
                let verdict = match self.turns_at == Some(step) {
                    true => Verdict::Refused { reason },
                    false => Verdict::Accepted,
                };
                Event::WaitEnded { step, verdict, at_ms }
            }
            Action::TimeOut { step, then } => {
                Event::WaitEnded { step, verdict: Verdict::TimedOut { then }, at_ms }
            }
            Action::TurnBack { reason } => Event::TurnedBack { reason, at_ms },
            Action::End { ending } => Event::Ended { ending, at_ms },
        }
    }

    /// The answer to the first call that is out, as late as it may come.
    fn answer(&self, state: &State, at_ms: u64) -> Option<Event> {
        self.core.indices().find_map(|step| match state.step(step).phase {
            StepPhase::InFlight { direction, tries } => {
                let policy = match direction {
                    Direction::Forward => &self.core.step(step).retry,
                    Direction::Backward => &self.core.step(step).compensation_retry,
                };
                let is_last = policy.attempts_max <= tries.failures + 1;
                let turns = direction == Direction::Forward && self.turns_at == Some(step);
                let message = String::new;
                let outcome = match (is_last, turns) {
                    (true, false) => Outcome::Applied { reply: Bytes::new() },
                    // Where nobody can be asked, only a word that is on record ends the doubt.
                    (true, true) if !self.is_asked(step) => Outcome::Rejected {
                        reason: message(),
                        message: message(),
                        word: Word::OnRecord,
                    },
                    _ => Outcome::Unknown { cause: UnknownCause::TimedOut, message: message() },
                };
                let attempt = tries.attempt;
                Some(Event::Answered { step, direction, attempt, outcome, at_ms })
            }
            StepPhase::Inquiring { tries } => {
                let is_last = self.core.step(step).resolve_retry.attempts_max <= tries.inquiries;
                let resolution = match (is_last, self.turns_at == Some(step)) {
                    (false, _) => Resolution::Unanswered { message: String::new() },
                    (true, true) => Resolution::Fenced,
                    (true, false) => Resolution::Applied { reply: Bytes::new() },
                };
                let inquiry = tries.inquiries;
                Some(Event::Resolved { step, inquiry, resolution, at_ms })
            }
            StepPhase::Waiting { .. } if state.step(step).signal.is_none() => {
                Some(Event::Signalled {
                    step,
                    request_id: String::new(),
                    payload: Bytes::new(),
                    actor: String::new(),
                    reason: String::new(),
                    at_ms,
                })
            }
            _ => None,
        })
    }

    fn is_asked(&self, step: StepIndex) -> bool {
        self.core.step(step).on_unknown == saga_core::OnUnknown::Resolve
    }
}
