//! What is known about one saga: the fold of its events.

use bytes::Bytes;

use crate::{
    definition::{Definition, StepIndex},
    event::{Direction, Ending, Event, OperatorAct, Settled, Started, TurnBackReason},
    id::{Epoch, NodeId, OperationId, OperationName, OperationRoot, SagaId},
    phase::{StepEvent, StepPhase},
};

mod generations;
mod heard;
mod recall;
mod settle;
mod step;
mod times;
mod unseen;

pub use generations::Generations;
use heard::Heard;
pub use recall::Recall;
use step::step_event;
pub use step::{By, Settlement, Signal, StepState, Trouble};

/// One saga as its log tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    saga: SagaId,
    /// As the log has it: never moved.
    accepted_at_ms: u64,
    /// The same by the clock of who has the saga.
    started_at_ms: u64,
    input: Bytes,
    operations: OperationRoot,
    owner: NodeId,
    epoch: Epoch,
    /// The epoch of the log up to which its rows are known to be whole.
    log_epoch: u64,
    /// Whether the log has lost rows since the saga began.
    lost_rows: bool,
    /// Whether what nobody can be asked about is doubted since.
    doubts_all: bool,
    steps: Vec<StepState>,
    cancelled: Option<By>,
    turned_back: Option<TurnBackReason>,
    closing: bool,
    ended: Option<Ended>,
    /// The requests from outside that its log holds.
    heard: Heard,
}

/// How and when a saga ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    pub ending: Ending,
    pub at_ms: u64,
}

/// An event that cannot follow: the log was not written by this program, or belongs to
/// another definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {event} is illegal where step {step:?} is {phase:?}")]
pub struct Illegal {
    pub event: &'static str,
    pub step: Option<StepIndex>,
    pub phase: Option<StepPhase>,
}

impl State {
    /// The state after the first event.
    #[must_use]
    pub fn start(saga: SagaId, definition: &Definition, started: &Started) -> Self {
        let mut state = Self {
            saga,
            accepted_at_ms: started.at_ms,
            started_at_ms: started.at_ms,
            input: started.input.clone(),
            operations: started.operations,
            owner: started.node,
            epoch: Epoch(1),
            log_epoch: started.log_epoch.max(1),
            lost_rows: started.after_loss,
            doubts_all: false,
            steps: definition.steps.iter().map(StepState::untouched).collect(),
            cancelled: None,
            turned_back: None,
            closing: false,
            ended: None,
            heard: Heard::default(),
        };
        if started.after_loss {
            state.lose_all_rows(started.at_ms);
        }
        state
    }

    /// Folds the rest of a log, from the second event on.
    ///
    /// # Errors
    ///
    /// [`Illegal`]: the log is damaged. The state is then that before the illegal event.
    pub fn apply_all<'e>(
        &mut self,
        events: impl IntoIterator<Item = &'e Event>,
    ) -> Result<(), Illegal> {
        events.into_iter().try_for_each(|event| self.apply(event))
    }

    /// Folds one event.
    ///
    /// # Errors
    ///
    /// [`Illegal`]: the event cannot follow. Nothing has changed.
    pub fn apply(&mut self, event: &Event) -> Result<(), Illegal> {
        if self.ended.is_some() || self.heard.repeats(event) {
            return Err(Illegal { event: event.kind(), step: event.step(), phase: None });
        }
        self.fold(event)?;
        self.heard.remember(event);
        Ok(())
    }

    fn fold(&mut self, event: &Event) -> Result<(), Illegal> {
        if let Some(recalled) = self.recall(event) {
            return recalled;
        }
        match event {
            Event::Owned { node, epoch, at_ms } => self.own(*node, *epoch, *at_ms)?,
            Event::LogWentBack { log_epoch, doubts_all, at_ms } => {
                self.lose_rows(*log_epoch, *doubts_all, *at_ms)?;
            }
            Event::CancelRequested { actor, reason, at_ms, .. } => {
                self.cancelled.get_or_insert_with(|| By::new(actor, reason, *at_ms));
            }
            Event::TurnedBack { reason, .. } if self.may_turn_back(reason) => {
                self.turned_back = Some(reason.clone());
            }
            Event::Ended { ending, at_ms } if self.may_end(*ending) => {
                self.ended = Some(Ended { ending: *ending, at_ms: *at_ms });
            }
            Event::Started(_) | Event::TurnedBack { .. } | Event::Ended { .. } => {
                return Err(Illegal { event: event.kind(), step: None, phase: None });
            }
            Event::OperatorActed { act: OperatorAct::Retry, .. } => self.retry_steps(|_| true),
            Event::OperatorActed { act: OperatorAct::Close, .. } => self.closing = true,
            Event::OperatorActed {
                act: OperatorAct::Settle { step, call: Some(call), reply, .. },
                ..
            } if self.call_in_question(*step, reply.is_some()) != Some(*call) => {
                let phase = self.steps.get(step.at()).map(|it| it.phase);
                return Err(Illegal { event: event.kind(), step: Some(*step), phase });
            }
            Event::OperatorActed {
                act: OperatorAct::Settle { step, settled, reply, .. },
                actor,
                reason,
                at_ms,
                ..
            } if self.is_unread(*step, reply.is_some()) => {
                if *settled != Settled::Applied {
                    let phase = Some(StepPhase::Applied);
                    return Err(Illegal { event: event.kind(), step: Some(*step), phase });
                }
                self.read(*step, reply.clone(), By::new(actor, reason, *at_ms));
            }
            _ => self.apply_to_step(event)?,
        }
        Ok(())
    }

    fn retry_steps(&mut self, which: impl Fn(StepPhase) -> bool) {
        for step in self.steps.iter_mut().filter(|step| which(step.phase)) {
            let after = step.phase.after(StepEvent::RetryRequested);
            step.phase = after.unwrap_or(step.phase);
            step.hurry_recall();
        }
    }

    fn may_turn_back(&self, reason: &TurnBackReason) -> bool {
        let is_known = reason.step().is_none_or(|step| step.at() < self.steps.len());
        self.turned_back.is_none() && is_known
    }

    /// Whether this ending is true of every step. That an applied step may be left has to
    /// be known from the definition, which a log does not carry.
    fn may_end(&self, ending: Ending) -> bool {
        let mut phases = self.steps.iter().map(|step| step.phase);
        match ending {
            Ending::Completed => {
                let is_done = |phase| matches!(phase, StepPhase::Applied | StepPhase::Skipped);
                self.turned_back.is_none() && phases.all(is_done)
            }
            Ending::Compensated => {
                let is_left = |phase| matches!(phase, StepPhase::Applied | StepPhase::Kept);
                let is_settled = |(phase, index)| is_left(phase) || !self.may_stand(index);
                self.turned_back.is_some() && phases.zip((0..).map(StepIndex)).all(is_settled)
            }
            Ending::Closed => self.closing,
        }
    }

    fn own(&mut self, node: NodeId, epoch: Epoch, at_ms: u64) -> Result<(), Illegal> {
        if epoch.0 != self.epoch.0 + 1 {
            return Err(Illegal { event: "Owned", step: None, phase: None });
        }
        self.owner = node;
        self.epoch = epoch;
        self.steps.iter_mut().for_each(|step| step.lose_owner(at_ms));
        self.bring_times_back(at_ms);
        Ok(())
    }

    fn apply_to_step(&mut self, event: &Event) -> Result<(), Illegal> {
        let illegal = |phase| Illegal { event: event.kind(), step: event.step(), phase };
        let (index, step_event) = step_event(&self.steps, event).ok_or(illegal(None))?;
        let turned_back = self.turned_back.is_some();
        let may_have_begun = index.at() < self.steps.len() && self.may_have_begun_unseen(index);
        let step = self.steps.get_mut(index.at()).ok_or(illegal(None))?;
        let phase = step.phase.after(step_event).ok_or(illegal(Some(step.phase)))?;
        // What became of one attempt ends no doubt about those that lost rows may have told of.
        if self.doubts_all && step_event.ends_doubt_of_others(step.phase, phase) {
            return Err(illegal(Some(step.phase)));
        }
        // Nothing is undone while going forward. Going back, nothing begins, no signal is of
        // use any more, and what surely did not happen is neither called again nor settled as
        // applied.
        let fits = match step_event {
            StepEvent::Intended { direction: Direction::Backward, .. }
            | StepEvent::Unrenderable { direction: Direction::Backward }
            | StepEvent::Kept => turned_back,
            StepEvent::Intended { direction: Direction::Forward, .. }
            | StepEvent::Settled(Settled::Applied) => {
                !turned_back || step.phase.may_stand() || may_have_begun
            }
            // What nobody can be asked about is called to find out.
            StepEvent::Unrenderable { direction: Direction::Forward } | StepEvent::Skipped => {
                !turned_back || may_have_begun
            }
            StepEvent::WaitBegan { .. } | StepEvent::Signalled | StepEvent::WaitEnded { .. } => {
                !turned_back
            }
            StepEvent::Renewed => turned_back == (phase == StepPhase::Applied),
            // What has not begun by the log is asked about only where the log lost rows.
            StepEvent::Inquired { .. } => step.phase.may_stand() || may_have_begun,
            _ => true,
        };
        // The request is written once, and every attempt sends it (F77).
        let is_pinned_once = match event {
            Event::Intended { attempt, request, .. } => request.is_some() == (*attempt == 1),
            _ => true,
        };
        if !(fits && is_pinned_once && step.may_see(event)) {
            return Err(illegal(Some(step.phase)));
        }
        if let StepPhase::Open { last, .. } = step.phase {
            step.last_open = Some(last);
        }
        let before = std::mem::replace(&mut step.phase, phase);
        if !phase.is_out() {
            step.last_open = None;
        }
        step.remember(event, before);
        if may_have_begun {
            step.begin_unseen(event);
        }
        Ok(())
    }

    /// Identity of the saga.
    #[must_use]
    pub fn saga(&self) -> SagaId {
        self.saga
    }

    /// When the saga was accepted, in milliseconds since the Unix epoch, as the log has it:
    /// what is said to others, the same for ever.
    #[must_use]
    pub fn accepted_at_ms(&self) -> u64 {
        self.accepted_at_ms
    }

    /// When the saga was accepted by the clock of whoever has it: what its spans begin at.
    #[must_use]
    pub fn started_at_ms(&self) -> u64 {
        self.started_at_ms
    }

    /// The input it was started with, as protobuf bytes.
    #[must_use]
    pub fn input(&self) -> &Bytes {
        &self.input
    }

    /// The node that took the saga last.
    #[must_use]
    pub fn owner(&self) -> NodeId {
        self.owner
    }

    /// How many owners the saga has had.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The step at `index`.
    ///
    /// # Panics
    ///
    /// Where `index` is not of the saga's definition.
    #[must_use]
    pub fn step(&self, index: StepIndex) -> &StepState {
        &self.steps[index.at()]
    }

    /// All steps, in the order of the definition.
    #[must_use]
    pub fn steps(&self) -> &[StepState] {
        &self.steps
    }

    /// Whether a client asked the saga to turn back.
    #[must_use]
    pub fn cancel_requested(&self) -> bool {
        self.cancelled.is_some()
    }

    /// Who asked the saga to turn back, where somebody did: the first one.
    #[must_use]
    pub fn cancelled(&self) -> Option<&By> {
        self.cancelled.as_ref()
    }

    /// Whether a request with this id is in the saga's log.
    #[must_use]
    pub fn has_heard(&self, request_id: &str) -> bool {
        self.heard.holds(request_id)
    }

    /// Why the saga turned back, where it did.
    #[must_use]
    pub fn turned_back(&self) -> Option<&TurnBackReason> {
        self.turned_back.as_ref()
    }

    /// The id of an operation of this saga.
    #[must_use]
    pub fn operation(
        &self,
        definition: &Definition,
        index: StepIndex,
        direction: Direction,
    ) -> OperationId {
        let step = &definition.step(index).name;
        let generation = self.step(index).generations.of(direction);
        let name = OperationName { step, direction, generation };
        OperationId::derive(self.saga, self.operations, name)
    }

    /// Bytes of input, requests, replies and signals that this state holds.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.input.len() + self.steps.iter().map(StepState::payload_bytes).sum::<usize>()
    }

    /// Lets go of all payloads. What is known of the saga's course stays; no request can be
    /// made from it any more.
    pub fn forget_payloads(&mut self) {
        self.input = Bytes::new();
        self.steps.iter_mut().for_each(StepState::forget_payloads);
    }

    /// Whether a person ended the saga as it is.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// How the saga ended, where it did.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        self.ended
    }

    /// Whether a pivot is applied: from then on the saga goes only forward. What is applied
    /// behind one shows that it was, in rows that the log has lost.
    #[must_use]
    pub fn passed_pivot(&self, definition: &Definition) -> bool {
        let is_applied = |index| self.step(index).phase == StepPhase::Applied;
        definition.pivots().iter().any(is_applied)
            || self.lost_rows && definition.called_behind_pivot().any(is_applied)
    }

    /// The first pivot of which nobody can tell yet that it is not applied.
    #[must_use]
    pub fn pivot_in_doubt(&self, definition: &Definition) -> Option<StepIndex> {
        definition.pivots().iter().find(|pivot| self.may_stand(*pivot))
    }
}
