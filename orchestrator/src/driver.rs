//! Drives one saga: appends what the core asks for, makes the calls that were appended,
//! and appends what became of them.
//!
//! The driver decides nothing. Its memory never runs ahead of the log: a draft becomes
//! the state, and its calls are made, only when its row is durable. Whatever stops it,
//! the log is enough to go on from.

use std::{future::Future, pin::Pin, sync::Arc};

use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use saga_core::{Event, OperationId, SagaId, State};
use saga_draft::{Advance, Mode, Rest, advance};
use saga_governor::Came;
use saga_log::{AppendError, Standing, StoreError, Tip};
use tokio::sync::{mpsc, oneshot};

use crate::{
    definition::CompiledDefinition,
    driver::{
        gate::{Gate, HeldBack, Lines},
        standing::{Care, differs, standing},
    },
    engine::{EndState, Shared, time::Moment},
};

mod calls;
pub(crate) mod gate;
pub(crate) mod kept;
pub(crate) mod key;
mod late;
mod rows;
pub(crate) mod standing;

/// A fact from outside for a saga that is being driven. `done` is told once it is durable.
#[derive(Debug)]
pub(crate) struct Message {
    /// Boxed, as the mailbox of every saga has room for many, and most stay empty.
    pub(crate) fact: Box<Event>,
    pub(crate) done: oneshot::Sender<()>,
}

/// Why driving a saga ended here.
#[derive(Debug)]
pub(crate) enum Left {
    /// The saga has ended.
    Ended(Box<EndState>),
    /// It is parked in the log, due at some time or waiting for a person.
    Parked,
    /// Another node owns it.
    Lost,
}

/// Why driving a saga broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DriveError {
    /// The log cannot be read now. The saga is still ours; take it up again.
    #[error("saga {saga}: its log cannot be read")]
    Log { saga: SagaId, source: StoreError },
    /// The log refuses the row. Taking it up again gives the same.
    #[error("saga {saga}: its row is refused")]
    Append { saga: SagaId, source: AppendError },
    /// The log does not fold, or a decision does not fit it.
    #[error("saga {saga}: its log is damaged: {what}")]
    Damaged { saga: SagaId, what: String },
    /// The log does not hold what this node knows of the saga: it went back in time, or it is
    /// read and written in two places. What is known here is not true; take up what is there.
    #[error("saga {saga}: the log does not have version {version} that was seen here")]
    Displaced { saga: SagaId, version: u64, log_epoch: u64 },
    /// The log has no such saga any more: it went back to before the start.
    #[error("saga {saga}: the log has lost it")]
    Gone { saga: SagaId },
    /// The definition it was started with cannot be used.
    #[error("saga {saga}: its definition cannot be used: {what}")]
    Definition { saga: SagaId, what: String },
}

/// What a start came to.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// The saga is durable and is being driven.
    New,
    /// The business key is in use.
    KeyInUse(Box<saga_log::SagaRow>),
}

/// What became of a call, and of which operation it was one.
#[derive(Debug)]
struct Answered {
    operation: OperationId,
    fact: Event,
}

type Answer = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// One saga that this node drives.
pub(crate) struct Run {
    pub(crate) shared: Arc<Shared>,
    pub(crate) saga: SagaId,
    pub(crate) key: key::Key,
    pub(crate) definition: Arc<CompiledDefinition>,
    pub(crate) course: Arc<crate::metrics::Course>,
    pub(crate) state: State,
    /// The last row of its log that `state` holds. `None`: it has no row yet.
    pub(crate) tip: Option<Tip>,
    /// What the index says of it. `None`: nothing yet.
    pub(crate) written: Option<Standing>,
    pub(crate) mailbox: mpsc::Receiver<Message>,
    answers: FuturesUnordered<Answer>,
    /// Where it waits for places at participants.
    lines: Lines,
    /// Answers that are not in the log yet.
    heard: Vec<Answered>,
    /// By how much time was set on this node when `state` was last right.
    moved_ms: i64,
    /// What `state` keeps of its payloads.
    kept: kept::Kept,
}

/// What is known, and who wants to hear that it is durable.
#[derive(Debug, Default)]
struct Pending {
    facts: Vec<Event>,
    done: Vec<oneshot::Sender<()>>,
    /// Only for the first row of a saga.
    create: Option<Box<Creation>>,
}

/// The first row of a saga.
#[derive(Debug)]
pub(crate) struct Creation {
    pub(crate) started: Event,
    /// Tells a repeated start from a reused key.
    pub(crate) request_hash: [u8; 32],
    pub(crate) accepted: oneshot::Sender<Result<Accepted, AppendError>>,
}

/// What became of a row.
enum Row {
    /// It is in the log, and the last one there.
    Durable(Tip),
    /// Others have appended in between, and the saga is still ours. Decide again.
    Stale,
    /// The saga is not driven here any more.
    Lost,
}

/// How driving ended.
enum Done {
    Ended,
    Parked,
    Lost,
}

/// What reading again came to.
#[derive(PartialEq, Eq)]
enum Refill {
    Whole,
    /// The saga is another's by now, or has ended.
    Lost,
}

impl Run {
    /// A saga as its log tells it. Boxed, as a future keeps what is moved into it twice.
    pub(crate) fn new(
        shared: Arc<Shared>,
        key: key::Key,
        definition: Arc<CompiledDefinition>,
        state: State,
        tip: Option<Tip>,
        mailbox: mpsc::Receiver<Message>,
        came: Came,
    ) -> Box<Self> {
        Box::new(Self {
            saga: state.saga(),
            moved_ms: shared.time.moment().moved_ms,
            course: shared.metrics.course(&definition),
            kept: shared.payloads.of_a_saga(),
            shared,
            key,
            definition,
            state,
            tip,
            written: None,
            mailbox,
            answers: FuturesUnordered::new(),
            lines: Lines::new(came),
            heard: Vec::new(),
        })
    }

    /// Drives a new saga from its first row on.
    pub(crate) fn start(
        self: Box<Self>,
        creation: Creation,
    ) -> impl Future<Output = Result<Left, DriveError>> {
        self.drive(Pending { create: Some(Box::new(creation)), ..Pending::default() })
    }

    /// Takes a saga over and drives it. The first row says that this node owns it.
    pub(crate) fn resume(
        self: Box<Self>,
        owned: Event,
    ) -> impl Future<Output = Result<Left, DriveError>> {
        self.drive(Pending { facts: vec![owned], ..Pending::default() })
    }

    async fn drive(mut self: Box<Self>, pending: Pending) -> Result<Left, DriveError> {
        let rest = self.drive_on(pending).await;
        if !matches!(rest, Ok(Done::Ended)) {
            self.leave_answers();
        }
        Ok(match rest? {
            Done::Ended => {
                let version = self.version();
                Left::Ended(Box::new(EndState { state: self.state, version }))
            }
            Done::Parked => Left::Parked,
            Done::Lost => Left::Lost,
        })
    }

    async fn drive_on(&mut self, mut pending: Pending) -> Result<Done, DriveError> {
        loop {
            let mode = if self.shared.is_stopping() { Mode::HandOver } else { Mode::Drive };
            if self.refill().await? == Refill::Lost {
                return Ok(Done::Lost);
            }
            let now_ms = self.move_times();
            self.hear_of_losses(&mut pending, now_ms);
            let request_bytes_max = self.shared.limits.request_bytes_max;
            let subject = self.key.subject(&self.definition, request_bytes_max);
            let of = (self.saga, self.state.started_at_ms());
            let mut gate = Gate::new(&self.shared, &mut self.lines, of);
            let advance = advance(subject, &self.state, &pending.facts, mode, now_ms, &mut gate);
            let (places, held) = gate.close();
            let advance = advance.map_err(|error| self.damaged(&error))?;
            for illegal in &advance.too_late {
                tracing::debug!(%illegal, "a fact came too late and is left out");
            }
            let care = self.care(&advance, held, mode, now_ms);
            let standing = standing(&self.definition, &advance.state, &care, now_ms);
            let changed = differs(self.written.as_ref(), &standing);
            if pending.create.is_some() || changed || !advance.events.is_empty() {
                let to_write = changed.then_some(&standing);
                match self.append(&advance, to_write, pending.create.take()).await? {
                    Row::Durable(tip) => {
                        self.tip = Some(tip);
                        self.written = Some(standing);
                    }
                    Row::Stale => continue,
                    Row::Lost => return Ok(Done::Lost),
                }
            }
            // Nothing of the row stays in memory while this waits: its payloads may be large.
            drop(advance.events);
            self.state = advance.state;
            pending.facts.drain(..advance.facts);
            if pending.facts.is_empty() {
                self.heard = Vec::new();
                for done in pending.done.drain(..) {
                    // Whoever asked may be gone; the fact is durable all the same.
                    let _ = done.send(());
                }
            }
            let is_behind = self.state.log_epoch() < self.shared.log_mark().epoch;
            if is_behind && !advance.orders.is_empty() {
                // It was decided without knowing what the log has lost meanwhile.
                return Err(self.displaced());
            }
            let mut places = places;
            for order in advance.orders {
                let at = places.iter().position(|(step, _)| *step == order.step());
                let place = at.map(|at| places.swap_remove(at).1);
                self.answers.push(calls::make(self, order, place));
            }
            match (advance.rest, care) {
                (Rest::Finished(_), _) => return Ok(Done::Ended),
                (_, Care::Parked { held, .. }) => {
                    if let Some(held) = held {
                        self.shared.governor.has_parked(&held.participant);
                    }
                    return Ok(Done::Parked);
                }
                (Rest::More, Care::Owned(_)) => {}
                (Rest::Wait { until_ms }, Care::Owned(_)) => {
                    self.slim();
                    self.wait(until_ms, mode, &mut pending).await;
                }
            }
        }
    }

    /// Where the log lost rows since this saga was last told, that comes before everything else
    /// that was learned.
    fn hear_of_losses(&self, pending: &mut Pending, at_ms: u64) {
        let log_epoch = self.shared.log_mark().epoch;
        if self.state.log_epoch() < log_epoch && pending.create.is_none() {
            let is_old_news = |fact: &Event| matches!(fact, Event::LogWentBack { .. });
            pending.facts.retain(|fact| !is_old_news(fact));
            let doubts_all = true;
            pending.facts.insert(0, Event::LogWentBack { log_epoch, doubts_all, at_ms });
        }
    }

    /// Keeps the saga in memory while a call is out or while the wait is short. A longer
    /// one is parked: the index holds its wake-up time, and any node may take it.
    fn care(&self, advance: &Advance, held: Option<HeldBack>, mode: Mode, now_ms: u64) -> Care {
        let calls_are_out = !self.answers.is_empty() || !advance.orders.is_empty();
        let Rest::Wait { until_ms } = advance.rest else {
            return Care::Owned(self.shared.node);
        };
        if calls_are_out || mode == Mode::Drive && !self.lines.are_empty() {
            return Care::Owned(self.shared.node);
        }
        if held.is_some() && mode == Mode::Drive {
            return Care::Parked { until_ms, held };
        }
        let patience_ms = now_ms.saturating_add(self.shared.limits.park_after_ms);
        match until_ms {
            Some(until_ms) if until_ms <= patience_ms && mode == Mode::Drive => {
                Care::Owned(self.shared.node)
            }
            _ => Care::Parked { until_ms, held: None },
        }
    }

    /// Waits for at least one fact, for the time, or for the order to stop. Takes along
    /// whatever else is there already, so that it shares the row.
    async fn wait(&mut self, until_ms: Option<u64>, mode: Mode, pending: &mut Pending) {
        let pause = self.shared.until(until_ms, self.moved_ms);
        tokio::select! {
            biased;
            Some(answered) = self.answers.next(), if !self.answers.is_empty() => {
                self.hear(answered, pending);
            }
            Some(message) = self.mailbox.recv() => pending.hear(message),
            () = self.lines.turn(), if !self.lines.are_empty() => {}
            () = pause => {}
            () = self.shared.stopping(), if mode == Mode::Drive => {}
        }
        while let Some(Some(answered)) = self.answers.next().now_or_never() {
            self.hear(answered, pending);
        }
        while let Ok(message) = self.mailbox.try_recv() {
            pending.hear(message);
        }
    }

    /// Spans go on as they were where the time was set meanwhile. Answers what time it is now.
    fn move_times(&mut self) -> u64 {
        let Moment { now_ms, moved_ms } = self.shared.time.moment();
        if moved_ms != self.moved_ms {
            self.state.move_times(moved_ms.saturating_sub(self.moved_ms));
            self.moved_ms = moved_ms;
        }
        now_ms
    }

    fn hear(&mut self, answered: Answered, pending: &mut Pending) {
        pending.facts.push(answered.fact.clone());
        self.heard.push(answered);
    }

    /// Rows of its log that `state` holds.
    fn version(&self) -> u64 {
        self.tip.map_or(0, |tip| tip.version)
    }

    fn displaced(&self) -> DriveError {
        let (version, log_epoch) = (self.version(), self.state.log_epoch());
        DriveError::Displaced { saga: self.saga, version, log_epoch }
    }

    fn refused(&self, source: AppendError) -> DriveError {
        DriveError::Append { saga: self.saga, source }
    }

    fn damaged(&self, what: &dyn std::error::Error) -> DriveError {
        DriveError::Damaged { saga: self.saga, what: what.to_string() }
    }
}

impl Pending {
    fn hear(&mut self, message: Message) {
        self.facts.push(*message.fact);
        self.done.push(message.done);
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run")
            .field("saga", &self.saga)
            .field("version", &self.version())
            .field("answers_out", &self.answers.len())
            .finish_non_exhaustive()
    }
}
