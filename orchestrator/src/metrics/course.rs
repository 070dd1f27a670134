//! What the sagas of one definition are counted by: all handles, found once.

use std::time::Duration;

use saga_core::{
    Direction, Ending, Event, OperatorAct, Outcome, Resolution, State, StepIndex, StepPhase,
    TurnBackReason,
};
use saga_draft::Advance;
use saga_log::Standing;
use saga_metrics::{Counter, Histogram};

use super::Metrics;
use crate::definition::CompiledDefinition;

/// The handles of a definition.
#[derive(Debug)]
pub(crate) struct Course {
    starts: Counter,
    /// In the order of [`ENDINGS`].
    endings: [(Counter, Histogram); 3],
    /// In the order of [`TURNS`].
    turned_back: [Counter; 6],
    /// In the order of [`WAITS`].
    parkings: [Counter; 4],
    /// By step: its action and its compensation.
    steps: Vec<[Option<Calls>; 2]>,
}

/// The handles of one of a step's calls.
#[derive(Debug)]
struct Calls {
    took: Histogram,
    /// In the order of [`OUTCOMES`].
    outcomes: [Counter; 6],
    retries: Counter,
    /// In the order of [`RESOLUTIONS`].
    inquiries: [Counter; 8],
    /// In the order of [`SETTLERS`].
    settled: [Counter; 3],
}

const ENDINGS: [&str; 3] = ["completed", "compensated", "closed"];
const TURNS: [&str; 6] =
    ["rejected", "attempts_exhausted", "unrenderable", "deadline", "cancelled", "undone_before"];
const WAITS: [&str; 4] = ["time", "participant", "signal", "operator"];
const OUTCOMES: [&str; 6] = ["applied", "rejected", "unknown", "not_done", "fault", "contradicted"];
const RESOLUTIONS: [&str; 8] = [
    "applied",
    "rejected",
    "fenced",
    "reversed",
    "in_progress",
    "unanswered",
    "unsupported",
    "too_old",
];
const SETTLERS: [&str; 3] = ["answer", "inquiry", "operator"];

impl Course {
    pub(super) fn of(metrics: &Metrics, definition: &CompiledDefinition) -> Self {
        let name = definition.core.name.as_str();
        let calls = |step: StepIndex, direction: Direction| {
            let call = definition.call(step, direction)?;
            let participant = call.participant.as_str();
            let method = call.path.path().trim_start_matches('/');
            Some(Calls {
                took: metrics.call.of([participant, method]),
                outcomes: OUTCOMES.map(|it| metrics.calls.of([participant, method, it])),
                retries: metrics.retries.of([participant, method]),
                inquiries: RESOLUTIONS.map(|it| metrics.inquiries.of([participant, it])),
                settled: SETTLERS.map(|it| metrics.settled.of([participant, method, it])),
            })
        };
        let both = |step| [calls(step, Direction::Forward), calls(step, Direction::Backward)];
        Self {
            starts: metrics.starts.of([name]),
            endings: ENDINGS
                .map(|it| (metrics.endings.of([name, it]), metrics.duration.of([name, it]))),
            turned_back: TURNS.map(|it| metrics.turned_back.of([name, it])),
            parkings: WAITS.map(|it| metrics.parkings.of([it])),
            steps: definition.core.indices().map(both).collect(),
        }
    }

    /// A saga was accepted.
    pub(crate) fn started(&self) {
        self.starts.inc();
    }

    /// An attempt of a call came to an outcome.
    pub(crate) fn called(
        &self,
        (step, direction): (StepIndex, Direction),
        attempt: u32,
        outcome: &Outcome,
        took: Duration,
    ) {
        let Some(calls) = self.calls(step, direction) else { return };
        calls.took.took(took);
        if 1 < attempt {
            calls.retries.inc();
        }
        let at = match outcome {
            Outcome::Applied { .. } | Outcome::AppliedUnread { .. } => 0,
            Outcome::Rejected { .. } => 1,
            Outcome::Unknown { .. } => 2,
            Outcome::NotDone { .. } => 3,
            Outcome::Fault { .. } => 4,
            Outcome::Contradicted { .. } => 5,
        };
        calls.outcomes[at].inc();
    }

    /// An inquiry was answered, or was not.
    pub(crate) fn inquired(
        &self,
        (step, direction): (StepIndex, Direction),
        resolution: &Resolution,
    ) {
        let Some(calls) = self.calls(step, direction) else { return };
        let at = match resolution {
            Resolution::Applied { .. } | Resolution::AppliedUnread { .. } => 0,
            Resolution::Rejected { .. } => 1,
            Resolution::Fenced => 2,
            Resolution::Reversed => 3,
            Resolution::InProgress => 4,
            Resolution::Unanswered { .. } => 5,
            Resolution::Unsupported { .. } => 6,
            Resolution::TooOld { .. } => 7,
        };
        calls.inquiries[at].inc();
    }

    /// A row is durable that leads from `before` to what `advance` came to.
    pub(crate) fn recorded(&self, before: &State, advance: &Advance) {
        for event in &advance.events {
            match event {
                Event::Answered { step, direction, .. } => {
                    self.settled(*step, *direction, before, advance, 0);
                }
                Event::Resolved { step, .. } => {
                    self.settled(*step, Direction::Forward, before, advance, 1);
                }
                Event::OperatorActed { act: OperatorAct::Settle { step, .. }, .. } => {
                    self.settled(*step, Direction::Forward, before, advance, 2);
                }
                Event::TurnedBack { reason, .. } => {
                    self.turned_back[turn(reason)].inc();
                }
                Event::Ended { ending, at_ms } => {
                    let at = match ending {
                        Ending::Completed => 0,
                        Ending::Compensated => 1,
                        Ending::Closed => 2,
                    };
                    let (endings, duration) = &self.endings[at];
                    endings.inc();
                    let span_ms = at_ms.saturating_sub(advance.state.started_at_ms());
                    duration.took(Duration::from_millis(span_ms));
                }
                _ => {}
            }
        }
    }

    /// What the index says of a saga is durable.
    pub(crate) fn stands(&self, standing: &Standing) {
        if standing.owner.is_some() || standing.ended_at_ms.is_some() {
            return;
        }
        let word = standing.waiting_on.as_deref().and_then(|it| it.split(' ').next());
        let at = WAITS.iter().position(|it| Some(*it) == word).unwrap_or_default();
        self.parkings[at].inc();
    }

    /// Counts a doubt that is over.
    fn settled(
        &self,
        step: StepIndex,
        direction: Direction,
        before: &State,
        advance: &Advance,
        by: usize,
    ) {
        let is_settled =
            is_in_doubt(&before.step(step).phase) && !is_in_doubt(&advance.state.step(step).phase);
        if let Some(calls) = self.calls(step, direction).filter(|_| is_settled) {
            calls.settled[by].inc();
        }
    }

    fn calls(&self, step: StepIndex, direction: Direction) -> Option<&Calls> {
        let [forward, backward] = self.steps.get(usize::from(step.0))?;
        match direction {
            Direction::Forward => forward.as_ref(),
            Direction::Backward => backward.as_ref(),
        }
    }
}

/// Whether an attempt so far may have had an effect that nobody knows of.
fn is_in_doubt(phase: &StepPhase) -> bool {
    match phase {
        StepPhase::Inquiring { .. } => true,
        StepPhase::InFlight { tries, .. } | StepPhase::Open { tries, .. } => tries.in_doubt,
        _ => false,
    }
}

fn turn(reason: &TurnBackReason) -> usize {
    match reason {
        TurnBackReason::StepRejected { .. } => 0,
        TurnBackReason::AttemptsExhausted { .. } => 1,
        TurnBackReason::Unrenderable { .. } => 2,
        TurnBackReason::DeadlinePassed => 3,
        TurnBackReason::Cancelled => 4,
        TurnBackReason::UndoneInLostRows { .. } => 5,
    }
}
