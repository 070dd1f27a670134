//! The network between nodes and participants: the `Caller` of a node, with faults. What
//! the engine makes of what it sees is decided by the real outcome table.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use orchestrator::participants::{
    CallRequest, Caller, OperationOf,
    outcome::{self, Seen},
};
use saga_core::{Contradiction, Direction, Outcome, Resolution, Word};
use tokio::sync::oneshot;
use tonic::Code;

use super::{
    answer::{self, Answer, Deny, status},
    cluster::{Control, Cut},
    fault::{Defect, Fault},
    shop::PARTICIPANTS,
    world::{Arrival, Fate, Message, Part, Takes, Until, World},
};

/// What one node sends goes through this.
#[derive(Debug)]
pub struct Wire {
    /// Where it goes.
    pub world: World,
    /// Whose it is.
    pub control: Arc<Control>,
}

#[async_trait]
impl Caller for Wire {
    /// All of the shop: also who was never called from here has sagas that wait to be fetched.
    fn participants(&self) -> Vec<String> {
        PARTICIPANTS.map(str::to_owned).to_vec()
    }

    async fn call(&self, request: CallRequest<'_>) -> Outcome {
        self.control.ready().await;
        let part = match request.direction {
            Direction::Forward => Part::Action,
            Direction::Backward => Part::Compensation,
        };
        let defect = self.world.lock().defect;
        if defect == Some(Defect::UndoSkipped) && part == Part::Compensation {
            return Outcome::Applied { reply: Bytes::new() };
        }
        let method = request.spec.path.path().rsplit('/').next().unwrap_or_default().to_owned();
        let label = self.label(request.saga);
        let message = Message {
            node: self.control.number,
            participant: request.spec.participant.clone(),
            label,
            saga: request.saga,
            step: request.step.to_owned(),
            part,
            number: request.attempt,
            op: request.operation.0,
            checked: None,
            method,
            body: request.body.clone(),
        };
        let seen = self.exchange(message, request.timeout).await;
        self.control.ready().await;
        match outcome::of_call(seen, request.spec.refusals) {
            Outcome::Unknown { message, .. } if defect == Some(Defect::UnknownIsRefusal) => {
                let word = Word::OnRecord;
                Outcome::Rejected { reason: "UNKNOWN".to_owned(), message, word }
            }
            Outcome::Rejected { reason, message, .. }
                if defect == Some(Defect::RefusalEndsDoubt) =>
            {
                Outcome::Rejected { reason, message, word: Word::OnRecord }
            }
            Outcome::Contradicted { cause: Contradiction::NoEffect, .. }
                if defect == Some(Defect::NothingFoundIsUndone) =>
            {
                Outcome::Applied { reply: Bytes::new() }
            }
            outcome => outcome,
        }
    }

    async fn resolve(
        &self,
        participant: &str,
        operation: OperationOf,
        timeout: Duration,
    ) -> Resolution {
        self.control.ready().await;
        let known = self.world.lock().journal.ops.get(&operation.id.0).copied();
        let Some((saga, step, _)) = known else {
            self.world.lock().violated(["L1: an inquiry about nothing".to_owned()]);
            return Resolution::Unanswered { message: "about nothing".to_owned() };
        };
        let message = {
            let world = self.world.lock();
            let log = &world.journal.sagas[&saga];
            Message {
                node: self.control.number,
                participant: participant.to_owned(),
                label: log.label,
                saga,
                step: log.deployed.core().step(step).name.clone(),
                part: Part::Inquiry,
                number: log.steps[step.at()].inquiries,
                op: operation.id.0,
                checked: None,
                method: "Resolve".to_owned(),
                body: Bytes::new(),
            }
        };
        let seen = self.exchange(message, timeout).await;
        self.control.ready().await;
        outcome::of_resolve(seen)
    }
}

impl Wire {
    fn label(&self, saga: saga_core::SagaId) -> usize {
        self.world.lock().journal.sagas.get(&saga).map_or(usize::MAX, |it| it.label)
    }

    async fn exchange(&self, message: Message, timeout: Duration) -> Seen {
        let (fate, trip) = {
            let mut world = self.world.lock();
            world.leaves(&message);
            let fate = world.plan.of_message(&message);
            let trip = Trip {
                there_ms: 1 + world.chance(&message, 1) % 30,
                back_ms: 1 + world.chance(&message, 2) % 30,
                late_ms: 50 + world.chance(&message, 3) % 2_000,
            };
            (fate, trip)
        };
        if let Some(Fate { death: Some(death), .. }) = fate {
            self.control.arm(death, message.saga);
        }
        let cut = self.control.cut_from(&message.participant);
        match (cut, fate) {
            (Some(Cut::Requests), _) => {
                self.world.lock().happened(Fault::RequestsCut, true);
                pause(trip.there_ms).await;
                Seen::NotSent { message: "no route".to_owned() }
            }
            (Some(Cut::Replies), _) => {
                self.world.lock().happened(Fault::RepliesCut, true);
                let answered = self.send(message, trip, 0);
                drop(answered);
                tokio::time::sleep(timeout).await;
                Seen::TimedOut
            }
            (None, None) => {
                let answered = self.send(message, trip, 0);
                await_answer(answered, timeout).await
            }
            (None, Some(fate)) => self.meet(message, fate, trip, timeout).await,
        }
    }

    /// What becomes of a message that meets a fault.
    async fn meet(&self, message: Message, fate: Fate, trip: Trip, timeout: Duration) -> Seen {
        let Fate { fault, counts, .. } = fate;
        // These are counted when they come true.
        let held = matches!(
            fault,
            Fault::Reordered
                | Fault::LateAfterFence
                | Fault::Duplicate
                | Fault::Twins
                | Fault::StillOpen
                | Fault::RefusedByCheck
        );
        let by_provider = matches!(fault, Fault::ProviderDown | Fault::ProviderAnswerLost);
        if !held && !by_provider {
            self.world.lock().happened(fault, counts);
        }
        if let Some(seen) = never_arrives(fault) {
            pause(trip.there_ms).await;
            return seen;
        }
        let participant = message.participant.clone();
        match fault {
            Fault::ReplyLost | Fault::ErrorAfter | Fault::Garbled => {
                match await_answer(self.send(message, trip, 0), timeout).await {
                    Seen::Reply(_) | Seen::NothingToUndo(_) | Seen::Status(_) => after(fault),
                    nobody => nobody,
                }
            }
            Fault::HangPastDeadline => {
                let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
                let late_ms = timeout_ms + trip.late_ms;
                await_answer(self.send(message, trip, late_ms), timeout).await
            }
            Fault::Reordered | Fault::LateAfterFence => {
                let until = match fault {
                    Fault::Reordered => Until::Overtaken,
                    _ => Until::FencedOrEnded,
                };
                self.world.lock().hold(message, until, counts);
                tokio::time::sleep(timeout).await;
                Seen::TimedOut
            }
            Fault::Duplicate | Fault::Twins | Fault::StillOpen => {
                let answered = self.sent(message, trip, Some((fault, counts)));
                await_answer(answered, timeout).await
            }
            Fault::ParticipantRestarted => {
                let answered = self.send(message, trip, 0);
                pause(trip.there_ms).await;
                tokio::task::yield_now().await;
                self.world.lock().take_down(&participant, 700);
                drop(answered);
                lost()
            }
            Fault::RefusedByCheck => {
                let checked = Some(counts);
                await_answer(self.send(Message { checked, ..message }, trip, 0), timeout).await
            }
            Fault::ProviderDown | Fault::ProviderAnswerLost => {
                if participant == "payment" {
                    self.world.lock().shop.payments.books.provider.ill = Some(fault);
                }
                await_answer(self.send(message, trip, 0), timeout).await
            }
            other => unreachable!("{other} does not happen to a message"),
        }
    }

    /// Sends a message on its way, `extra_ms` later than usual. It arrives whatever becomes
    /// of whoever waits for the answer.
    fn send(&self, message: Message, trip: Trip, extra_ms: u64) -> oneshot::Receiver<Seen> {
        let trip = Trip { there_ms: trip.there_ms + extra_ms, ..trip };
        self.sent(message, trip, None)
    }

    /// Sends a message that meets a fault where it arrives.
    fn sent(
        &self,
        message: Message,
        trip: Trip,
        fault: Option<(Fault, bool)>,
    ) -> oneshot::Receiver<Seen> {
        let (answer, answered) = oneshot::channel();
        let world = self.world.clone();
        tokio::spawn(async move {
            pause(trip.there_ms).await;
            let starts = world.lock().starts(&message.participant);
            let arrival = arrives(&world, &message, trip, fault).await;
            pause(trip.back_ms).await;
            let starts_now = world.lock().starts(&message.participant);
            let seen = match arrival {
                Arrival::NobodyThere => Seen::NotSent { message: "refused".to_owned() },
                Arrival::Lost => lost(),
                Arrival::Answered(_) | Arrival::NothingToUndo if starts != starts_now => lost(),
                Arrival::Answered(answer) => as_seen(answer),
                Arrival::NothingToUndo => Seen::NothingToUndo(Bytes::new()),
            };
            // Whoever waited may be gone.
            let _ = answer.send(seen);
        });
        answered
    }
}

/// A message is there, and perhaps a second time: later, or while it is worked on.
async fn arrives(
    world: &World,
    message: &Message,
    trip: Trip,
    fault: Option<(Fault, bool)>,
) -> Arrival {
    let again = |after_ms: u64, fault: Option<(Fault, bool)>| {
        let (world, message) = (world.clone(), message.clone());
        tokio::spawn(async move {
            pause(after_ms).await;
            if let Some((fault, counts)) = fault {
                world.lock().happened(fault, counts);
            }
            world.work(&message).await;
        })
    };
    match fault {
        Some((Fault::Twins, counts)) => {
            // The second one comes while the first one is worked on.
            again(1 + trip.late_ms % 10, None);
            let takes = Takes::Ms(20 + trip.late_ms % 80);
            world.work_slowly(message, takes, (Fault::Twins, counts)).await
        }
        Some((Fault::StillOpen, counts)) => {
            let takes = Takes::MsOnceMet(trip.late_ms);
            world.work_slowly(message, takes, (Fault::StillOpen, counts)).await
        }
        duplicate => {
            let arrival = world.work(message).await;
            let is_there = matches!(arrival, Arrival::Answered(_) | Arrival::NothingToUndo);
            if duplicate.is_some() && is_there {
                again(trip.late_ms, duplicate);
            }
            arrival
        }
    }
}

/// How long a message is under way.
#[derive(Clone, Copy, Debug)]
struct Trip {
    there_ms: u64,
    back_ms: u64,
    late_ms: u64,
}

async fn pause(pause_ms: u64) {
    tokio::time::sleep(Duration::from_millis(pause_ms)).await;
}

async fn await_answer(answered: oneshot::Receiver<Seen>, timeout: Duration) -> Seen {
    match tokio::time::timeout(timeout, answered).await {
        Ok(Ok(seen)) => seen,
        Ok(Err(_)) => lost(),
        Err(_) => Seen::TimedOut,
    }
}

fn as_seen(answer: Answer) -> Seen {
    answer::seen(answer)
}

fn lost() -> Seen {
    Seen::Lost { message: "connection reset".to_owned() }
}

/// What is seen of a message that never arrives.
fn never_arrives(fault: Fault) -> Option<Seen> {
    let seen = match fault {
        Fault::NotSent => Seen::NotSent { message: "connection refused".to_owned() },
        Fault::DroppedBeforeCommit => lost(),
        Fault::ErrorBefore => {
            Seen::Status(Box::new(status(Code::Unavailable, "DOWN", String::new())))
        }
        Fault::Busy => {
            answer::seen(Err(Deny::Busy { reason: "STOCK_CONFLICT", retry_after_ms: 200 }))
        }
        Fault::Forbidden => {
            let code = Code::PermissionDenied;
            Seen::Status(Box::new(status(code, "PROVIDER_CONFIGURATION", String::new())))
        }
        _ => return None,
    };
    Some(seen)
}

/// What is seen of a message that was answered, and whose answer did not survive.
fn after(fault: Fault) -> Seen {
    match fault {
        Fault::ErrorAfter => {
            Seen::Status(Box::new(status(Code::Internal, "INTERNAL_FAULT", String::new())))
        }
        // A field of a length that is not there.
        Fault::Garbled => Seen::Reply(Bytes::from_static(&[0x0a, 0xff, 0xff, 0x03])),
        _ => lost(),
    }
}
