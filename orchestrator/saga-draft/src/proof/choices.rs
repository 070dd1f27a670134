//! Everything that may happen next at a point.

use bytes::Bytes;
use saga_core::{
    Action, Definition, Direction, Event, NotDone, Outcome, Resolution, State, StepIndex,
    StepPhase, UnknownCause, Verdict, Word,
};
use saga_definition::CompiledDefinition;

use super::{DEADLINE_MS, Point, asked, recorded};
use crate::AdvanceError;

/// Pauses that end one behind the other before something is done, at most.
const PAUSES_MAX: usize = 64;

/// One thing that may happen, and what is then.
pub(super) struct Choice {
    pub(super) state: State,
    pub(super) now_ms: u64,
    pub(super) is_late: bool,
    /// What happened. `None`: the engine did what it does, or time passed.
    pub(super) said: Option<String>,
}

/// Everything that may happen next.
pub(super) fn of(
    definition: &CompiledDefinition,
    core: &Definition,
    point: &Point,
) -> Result<Vec<Choice>, AdvanceError> {
    if point.state.ended().is_some() {
        return Ok(Vec::new());
    }
    let mut choices = Choices { core, point, now_ms: point.now_ms, all: Vec::new() };
    choices.engine(definition)?;
    for index in core.indices() {
        choices.answers(index)?;
        choices.signal(index)?;
    }
    choices.outside()?;
    Ok(choices.all)
}

struct Choices<'c> {
    core: &'c Definition,
    point: &'c Point,
    /// When it happens.
    now_ms: u64,
    all: Vec<Choice>,
}

impl Choices<'_> {
    fn add(&mut self, said: Option<String>, events: &[Event]) -> Result<(), AdvanceError> {
        let state = recorded(&self.point.state, events)?;
        let (now_ms, is_late) = (self.now_ms, self.point.is_late);
        self.all.push(Choice { state, now_ms, is_late, said });
        Ok(())
    }

    /// What the engine does next, now or when the next pause is over.
    fn engine(&mut self, definition: &CompiledDefinition) -> Result<(), AdvanceError> {
        let (mut actions, mut until_ms) = asked(self.core, self.point, self.now_ms);
        for _ in 0..PAUSES_MAX {
            let Some(at_ms) = until_ms.filter(|it| actions.is_empty() && !self.is_deadline(*it))
            else {
                break;
            };
            self.now_ms = at_ms.max(self.now_ms);
            (actions, until_ms) = asked(self.core, self.point, self.now_ms);
        }
        actions.into_iter().try_for_each(|action| self.act(definition, action))?;
        self.now_ms = self.point.now_ms;
        Ok(())
    }

    /// The deadline passes where it is said to, and not by itself.
    fn is_deadline(&self, at_ms: u64) -> bool {
        !self.point.is_late && self.point.state.started_at_ms() + DEADLINE_MS <= at_ms
    }

    fn name(&self, step: StepIndex) -> &str {
        &self.core.step(step).name
    }

    /// What the engine does. Where it does several things at once, each may be the only one that
    /// has a place now; so what is held back is among what may happen.
    fn act(&mut self, definition: &CompiledDefinition, action: Action) -> Result<(), AdvanceError> {
        let at_ms = self.now_ms;
        let of = |step: StepIndex| self.core.step(step);
        match action {
            Action::Call { step, direction: Direction::Forward, attempt: 1 }
            | Action::BeginWait { step }
                if self.is_excluded(step) =>
            {
                let said = format!("{}: skipped by its condition", self.name(step));
                self.add(Some(said), &[Event::Skipped { step, at_ms }])
            }
            Action::Call { step, direction, attempt } => {
                let is_free = match direction {
                    Direction::Forward => of(step).conditional && !self.is_last_pivot(step),
                    Direction::Backward => of(step).compensation_conditional,
                };
                if is_free && attempt == 1 {
                    let (what, event) = match direction {
                        Direction::Forward => ("skipped", Event::Skipped { step, at_ms }),
                        Direction::Backward => ("kept", Event::Kept { step, at_ms }),
                    };
                    let said = format!("{}: {what} by its condition", self.name(step));
                    self.add(Some(said), &[event])?;
                }
                let request = (attempt == 1).then(Bytes::new);
                self.add(None, &[Event::Intended { step, direction, attempt, request, at_ms }])
            }
            Action::BeginWait { step } => {
                if of(step).conditional && !self.is_last_pivot(step) {
                    let said = format!("{}: skipped by its condition", self.name(step));
                    self.add(Some(said), &[Event::Skipped { step, at_ms }])?;
                }
                self.add(None, &[Event::WaitBegan { step, at_ms }])
            }
            Action::Judge { step } => {
                if definition.may_refuse(step) {
                    let said = format!("{}: the signal says no", self.name(step));
                    let verdict = Verdict::Refused { reason: String::new() };
                    self.add(Some(said), &[Event::WaitEnded { step, verdict, at_ms }])?;
                }
                self.add(None, &[Event::WaitEnded { step, verdict: Verdict::Accepted, at_ms }])
            }
            Action::TimeOut { step, then } => {
                let said = format!("{}: no signal in time", self.name(step));
                let verdict = Verdict::TimedOut { then };
                self.add(Some(said), &[Event::WaitEnded { step, verdict, at_ms }])
            }
            Action::Inquire { step, inquiry } => {
                self.add(None, &[Event::Inquired { step, inquiry, at_ms }])
            }
            Action::TurnBack { reason } => self.add(None, &[Event::TurnedBack { reason, at_ms }]),
            Action::End { ending } => self.add(None, &[Event::Ended { ending, at_ms }]),
        }
    }

    /// Whether the condition of a step is surely false: that of a step that has begun excludes it.
    fn is_excluded(&self, step: StepIndex) -> bool {
        let phase = |it: StepIndex| self.point.state.step(it).phase;
        let has_begun = |it| !matches!(phase(it), StepPhase::Pending | StepPhase::Skipped);
        let excludes = |one: StepIndex, other| self.core.step(one).excludes.contains(other);
        let mut others = self.core.indices();
        others.any(|it| has_begun(it) && (excludes(it, step) || excludes(step, it)))
    }

    /// Whether the condition of a pivot is surely true: of several one runs.
    fn is_last_pivot(&self, step: StepIndex) -> bool {
        let others = self.core.step(step).excludes.intersection(self.core.pivots());
        let skipped = |it: StepIndex| self.point.state.step(it).phase == StepPhase::Skipped;
        !others.is_empty() && others.iter().all(skipped)
    }

    /// Every way in which the call that is out may be answered.
    fn answers(&mut self, step: StepIndex) -> Result<(), AdvanceError> {
        let at_ms = self.point.now_ms;
        match self.point.state.step(step).phase {
            StepPhase::InFlight { direction, tries } => {
                let call = match direction {
                    Direction::Forward => self.name(step).to_owned(),
                    Direction::Backward => format!("undo {}", self.name(step)),
                };
                for (what, outcome) in outcomes(direction) {
                    let attempt = tries.attempt;
                    let said = format!("{call}: {what}");
                    let event = Event::Answered { step, direction, attempt, outcome, at_ms };
                    self.add(Some(said), &[event])?;
                }
            }
            StepPhase::Inquiring { tries } => {
                for (what, resolution) in resolutions() {
                    let said = format!("{}: asked, {what}", self.name(step));
                    let inquiry = tries.inquiries;
                    self.add(Some(said), &[Event::Resolved { step, inquiry, resolution, at_ms }])?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn signal(&mut self, step: StepIndex) -> Result<(), AdvanceError> {
        let state = self.point.state.step(step);
        if !matches!(state.phase, StepPhase::Waiting { .. }) || state.signal.is_some() {
            return Ok(());
        }
        let event = Event::Signalled {
            step,
            request_id: String::new(),
            payload: Bytes::new(),
            actor: String::new(),
            reason: String::new(),
            at_ms: self.point.now_ms,
        };
        // While it turns back a signal is of no use any more.
        match self.point.state.turned_back() {
            Some(_) => Ok(()),
            None => self.add(Some(format!("{}: signal", self.name(step))), &[event]),
        }
    }

    /// A cancel, and the deadline.
    fn outside(&mut self) -> Result<(), AdvanceError> {
        let Point { state, now_ms, is_late, .. } = self.point;
        if state.turned_back().is_some() || state.passed_pivot(self.core) {
            return Ok(());
        }
        if !state.cancel_requested() {
            let (actor, reason, at_ms) = (String::new(), String::new(), *now_ms);
            let event = Event::CancelRequested { actor, reason, at_ms, request_id: String::new() };
            self.add(Some("cancel".to_owned()), &[event])?;
        }
        if self.core.deadline_ms.is_some() && !is_late {
            let now_ms = (*now_ms).max(state.started_at_ms() + DEADLINE_MS);
            let said = Some("the deadline passes".to_owned());
            self.all.push(Choice { state: state.clone(), now_ms, is_late: true, said });
        }
        Ok(())
    }
}

/// What a call may come to, the ordinary first.
fn outcomes(direction: Direction) -> Vec<(&'static str, Outcome)> {
    let message = String::new;
    let refused = |word| Outcome::Rejected { reason: String::new(), message: String::new(), word };
    let unknown = Outcome::Unknown { cause: UnknownCause::TimedOut, message: message() };
    let away =
        Outcome::NotDone { cause: NotDone::NotSent, message: message(), retry_after_ms: None };
    let mut all = vec![
        ("done", Outcome::Applied { reply: Bytes::new() }),
        ("refused", refused(Word::OnRecord)),
        ("no answer", unknown),
        ("not reached", away),
    ];
    if direction == Direction::Forward {
        all.push(("refused, not on record", refused(Word::OfAttempt)));
    }
    all
}

/// What an inquiry may learn.
fn resolutions() -> [(&'static str, Resolution); 4] {
    let (reason, message) = (String::new(), String::new());
    [
        ("it was done", Resolution::Applied { reply: Bytes::new() }),
        ("it was refused", Resolution::Rejected { reason, message }),
        ("it was not done and never will be", Resolution::Fenced),
        ("no answer", Resolution::Unanswered { message: String::new() }),
    ]
}
