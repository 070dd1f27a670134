//! One sentence that says why a saga stands where it stands. It is made of the facts of
//! [`saga_core::explain`] and of nothing else, so that it cannot say what is not so.

use saga_core::{
    Action, Direction, Ending, Next, StepIndex, StepKind, StepPhase, StepSet, Stuck, StuckReason,
    Timer,
    event::SIGNAL_TIMEOUT,
    explain::{Because, StepView, UndoView, because, step_view, with_undo},
    next,
    offer::upcoming,
    phase::Tries,
    stuck,
};

mod doubt;
mod words;

use words::{capital, count, is_not_sent, is_or_are, reason, span, tries, who};

use crate::engine::Snapshot;

/// Why the saga stands where it stands at `now_ms`, or how it ended.
pub(super) fn why(snapshot: &Snapshot, now_ms: u64) -> String {
    let teller = Teller { snapshot, now_ms };
    let Snapshot { definition, state, row, .. } = snapshot;
    let turned_back = teller.because();
    if let Some(ended) = state.ended() {
        return match ended.ending {
            Ending::Completed => teller.completed(),
            Ending::Compensated => teller.compensated(&turned_back.unwrap_or_default()),
            Ending::Closed => teller.closed(),
        };
    }
    let mut sentences = Vec::new();
    if let Some(stuck) = stuck(&definition.core, state) {
        sentences.push(teller.stuck(stuck));
    } else if let Some(set_aside) = row.standing.stuck.as_ref().filter(|it| it.step.is_empty()) {
        sentences.push(format!("{}.", set_aside.message));
    }
    let is_stuck = !sentences.is_empty();
    if let Some(because) = turned_back {
        sentences.push(format!("It is turning back, because {because}."));
    }
    if !is_stuck {
        sentences.push(teller.under_way());
    }
    sentences.join(" ")
}

struct Teller<'t> {
    snapshot: &'t Snapshot,
    now_ms: u64,
}

impl<'t> Teller<'t> {
    fn name(&self, index: StepIndex) -> &'t str {
        &self.snapshot.definition.core.step(index).name
    }

    fn names(&self, steps: StepSet) -> String {
        let names: Vec<&str> = steps.iter().map(|index| self.name(index)).collect();
        match names.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, others)) => format!("{} and {last}", others.join(", ")),
            None => String::new(),
        }
    }

    /// Whom the step calls in this direction.
    fn participant(&self, index: StepIndex, direction: Direction) -> &'t str {
        let call = self.snapshot.definition.call(index, direction);
        call.map_or("the participant", |call| call.participant.as_str())
    }

    /// What the last call that did not succeed said: `NOT_SENT: connection refused`.
    fn trouble(&self, index: StepIndex) -> String {
        match &self.snapshot.state.step(index).last_trouble {
            Some(trouble) if trouble.message.is_empty() => trouble.reason.clone(),
            Some(trouble) => format!("{}: {}", trouble.reason, trouble.message),
            None => "nothing is known".to_owned(),
        }
    }

    fn completed(&self) -> String {
        let steps = self.snapshot.state.steps();
        if steps.iter().any(|step| step.phase == StepPhase::Skipped) {
            return "Every step is done or was skipped.".to_owned();
        }
        "Every step is done.".to_owned()
    }

    /// Closed by a person: what may be left behind is named.
    fn closed(&self) -> String {
        let Snapshot { definition, state, .. } = self.snapshot;
        let left = with_undo(&definition.core, state, UndoView::Stays);
        match (left.is_empty(), self.names(left)) {
            (true, _) => "An operator closed it. Nothing is left behind.".to_owned(),
            (false, names) => {
                format!("An operator closed it. The effects of {names} may be left behind.")
            }
        }
    }

    fn compensated(&self, because: &str) -> String {
        let Snapshot { definition, state, .. } = self.snapshot;
        let undone = with_undo(&definition.core, state, UndoView::Done);
        let stays = with_undo(&definition.core, state, UndoView::Stays);
        let stays = match self.names(stays) {
            stays if stays.is_empty() => String::new(),
            stays => format!(" What {stays} did stays."),
        };
        match (undone.is_empty(), stays.is_empty()) {
            (true, true) => format!("Nothing was done: {because}."),
            (true, false) => format!("Nothing was undone, because {because}.{stays}"),
            (false, true) => format!("Everything is undone, because {because}."),
            (false, false) => {
                let is = is_or_are(undone);
                format!("{} {is} undone, because {because}.{stays}", self.names(undone))
            }
        }
    }

    /// Why the saga turned back, as the rest of a sentence.
    fn because(&self) -> Option<String> {
        let told = match because(&self.snapshot.state)? {
            Because::Refused { step, reason } => self.refused(step, reason),
            Because::SettledByHand { step, by } => {
                let name = self.name(step);
                format!("{} settled that {name} was not applied{}", who(by), reason(by))
            }
            Because::Fenced { step } => {
                let asked = self.participant(step, Direction::Forward);
                let name = self.name(step);
                format!(
                    "nobody knew whether {name} was applied, and {asked} made sure that it never is"
                )
            }
            Because::GivenUp { step, attempts } => {
                let (name, last) = (self.name(step), self.trouble(step));
                format!("{name} was not done in {} (last: {last})", count(attempts, "attempt"))
            }
            Because::Unrenderable { step } => {
                format!("the request of {} cannot be made ({})", self.name(step), self.said(step))
            }
            Because::UndoneInLostRows { step } => self.had_turned_back(step),
            Because::DeadlinePassed => "its deadline passed".to_owned(),
            Because::Cancelled { by } => {
                let (who, reason) =
                    by.map_or(("somebody", String::new()), |by| (who(by), reason(by)));
                format!("{who} cancelled it{reason}")
            }
        };
        Some(told)
    }

    fn had_turned_back(&self, step: StepIndex) -> String {
        let became = match self.snapshot.state.step(step).phase {
            StepPhase::Undone => "was undone",
            _ => "was called to be undone",
        };
        let name = self.name(step);
        format!("it had turned back before, in rows that the log has lost: {name} {became} already")
    }

    fn refused(&self, step: StepIndex, code: &str) -> String {
        let name = self.name(step);
        let state = self.snapshot.state.step(step);
        match &state.signal {
            _ if code == SIGNAL_TIMEOUT => format!("no signal for {name} came in time ({code})"),
            Some(signal) if !signal.by.actor.is_empty() => {
                let (who, reason) = (who(&signal.by), reason(&signal.by));
                format!("{who} refused {name}{reason} ({code})")
            }
            Some(_) => format!("{name} was refused: {code}"),
            None => match self.said(step) {
                "" => format!("{name} was refused: {code}"),
                said => format!("{name} was refused: {code}: {said}"),
            },
        }
    }

    /// The sentence of the last call that did not succeed, without its reason code.
    fn said(&self, step: StepIndex) -> &'t str {
        let trouble = self.snapshot.state.step(step).last_trouble.as_ref();
        trouble.map_or("", |trouble| &trouble.message)
    }

    /// What the engine does next about the step, once its pause is over.
    fn is_next(&self, index: StepIndex) -> Option<Action> {
        let Snapshot { definition, state, .. } = self.snapshot;
        let is_about = |action: &Action| match action {
            Action::Call { step, .. } | Action::Inquire { step, .. } => *step == index,
            _ => false,
        };
        upcoming(&definition.core, state, self.now_ms).into_iter().find(is_about)
    }

    /// When that is, as the rest of a clause. Empty: at once, or nobody can say.
    fn when(&self, index: StepIndex) -> String {
        let Snapshot { definition, state, row, .. } = self.snapshot;
        let held = row.standing.waiting_on.as_deref().filter(|_| row.standing.rank.is_some());
        if let Some(participant) = held {
            return format!(", as soon as {participant} is called again");
        }
        let core = &definition.core;
        let Next::Wait { until_ms: Some(at_ms) } = next(core, state, self.now_ms) else {
            return String::new();
        };
        let is_it = |action: &Action| match action {
            Action::Call { step, .. } | Action::Inquire { step, .. } => *step == index,
            _ => false,
        };
        match next(core, state, at_ms) {
            Next::Do(actions) if actions.iter().any(is_it) => {
                format!(", in {}", span(at_ms.saturating_sub(self.now_ms)))
            }
            _ => String::new(), // Something else comes before it.
        }
    }

    fn under_way(&self) -> String {
        let Snapshot { definition, row, .. } = self.snapshot;
        let clauses: Vec<String> =
            definition.core.indices().filter_map(|index| self.clause(index)).collect();
        if !clauses.is_empty() {
            return format!("{}.", capital(clauses.join("; ")));
        }
        let standing = &row.standing;
        let whom = standing.waiting_on.as_deref().and_then(|on| on.strip_prefix("participant "));
        match (standing.owner, whom) {
            (Some(_), _) => "It goes on at once, or when a participant has a place.".to_owned(),
            (None, Some(whom)) => format!(
                "It waits for {whom}, which takes no calls now; `sagactl service describe {whom}` \
                 says why."
            ),
            (None, None) => "It goes on as soon as a node has a free seat for it.".to_owned(),
        }
    }

    /// What is going on with one step, if anything is.
    fn clause(&self, index: StepIndex) -> Option<String> {
        let state = &self.snapshot.state;
        let name = self.name(index);
        let clause = match (step_view(state, index), state.step(index).phase) {
            (StepView::Calling, phase) => match tries(phase).attempt {
                1 => format!("{name} is being called"),
                attempt => format!("{name} is being called, attempt {attempt}"),
            },
            (StepView::Waiting, StepPhase::Waiting { since_ms }) => self.waiting(index, since_ms),
            (StepView::Unknown, StepPhase::Inquiring { .. }) => {
                format!(
                    "{} is being asked what became of {name}",
                    self.participant(index, Direction::Forward)
                )
            }
            (StepView::Unknown, _) => self.doubt(index),
            (StepView::Retrying | StepView::Faulted, StepPhase::Open { tries, .. }) => {
                self.not_done(index, tries)
            }
            (StepView::Undoing, StepPhase::InFlight { .. }) => format!("{name} is being undone"),
            (StepView::Undoing, _) => self.not_undone(index),
            _ => return None,
        };
        Some(clause)
    }

    fn waiting(&self, index: StepIndex, since_ms: u64) -> String {
        let definition = &self.snapshot.definition;
        let name = self.name(index);
        let signal = definition.signals().find(|signal| signal.step == index);
        let signal = signal.map_or(name, |signal| signal.name);
        match definition.core.step(index).kind {
            StepKind::Wait { timer: Some(Timer { after_ms, .. }) }
                if since_ms.saturating_add(after_ms) <= self.now_ms =>
            {
                format!("the timer of {name} is over, and the next free seat of a node decides it")
            }
            _ if self.snapshot.state.step(index).signal.is_some() => {
                format!("{name} has its signal, and the next free seat of a node judges it")
            }
            _ => format!("{name} waits for the signal {signal}"),
        }
    }

    fn not_done(&self, index: StepIndex, tries: Tries) -> String {
        let (name, attempts) = (self.name(index), count(tries.attempt, "attempt"));
        let told = match &self.snapshot.state.step(index).last_trouble {
            Some(trouble) if is_not_sent(&trouble.reason) => format!(
                "{} cannot be reached ({}): {name} was not done in {attempts}",
                self.participant(index, Direction::Forward),
                trouble.message
            ),
            _ => format!("{name} was not done in {attempts} (last: {})", self.trouble(index)),
        };
        let Some(Action::Call { attempt, .. }) = self.is_next(index) else { return told };
        format!("{told}; attempt {attempt} is next{}", self.when(index))
    }

    fn not_undone(&self, index: StepIndex) -> String {
        let tries = tries(self.snapshot.state.step(index).phase);
        let (name, last) = (self.name(index), self.trouble(index));
        let told = format!(
            "{name} is not undone after {} (last: {last})",
            count(tries.attempt, "attempt")
        );
        match self.is_next(index) {
            Some(_) => format!("{told}; it is tried again{}", self.when(index)),
            None => told,
        }
    }

    fn stuck(&self, stuck: Stuck) -> String {
        let step = stuck.step;
        let (name, last) = (self.name(step), self.trouble(step));
        let phase = self.snapshot.state.step(step).phase;
        let (direction, undoing) = match phase {
            StepPhase::Open { direction: Direction::Backward, .. }
            | StepPhase::InFlight { direction: Direction::Backward, .. }
            | StepPhase::Unrenderable { direction: Direction::Backward } => {
                (Direction::Backward, "that undoes ")
            }
            _ => (Direction::Forward, "of "),
        };
        let asked = self.participant(step, direction);
        match stuck.reason {
            StuckReason::OutcomeUnknown | StuckReason::InquiryUnsupported => {
                format!("{}.{}", capital(self.doubt(step)), self.held_by(step))
            }
            StuckReason::WiringFault => {
                let again = match self.is_next(step) {
                    Some(_) => " It is called again by itself now and then.",
                    None => "",
                };
                format!("{asked} cannot accept the call {undoing}{name}: {last}.{again}")
            }
            StuckReason::Contradiction if direction == Direction::Backward => format!(
                "{asked} contradicts the log, which has {name} as applied: {last}. Nothing is \
                 decided before a person has looked."
            ),
            StuckReason::Contradiction => format!(
                "{asked} contradicts the log of {name}: {last}. Nothing is decided before a person \
                 has looked."
            ),
            StuckReason::ReplyUnread => {
                format!(
                    "{name} was applied, and a later step, or an undo, reads its reply: {}.",
                    self.said(step)
                )
            }
            StuckReason::CompensationRejected => {
                format!("{asked} refuses to undo {name}, which stands: {last}.")
            }
            StuckReason::RejectedAfterPivot if phase == StepPhase::Rejected => format!(
                "{name} was refused behind the pivot, where there is no turning back: {last}."
            ),
            StuckReason::RejectedAfterPivot => format!(
                "{name} surely was not applied, and behind the pivot there is no turning back."
            ),
            StuckReason::Unrenderable => {
                format!("The request {undoing}{name} cannot be made: {}.", self.said(step))
            }
            _ => format!("{}.", self.clause(step).unwrap_or_else(|| format!("{name}: {last}"))),
        }
    }
}

#[cfg(test)]
mod tests;
