//! Participants that do what a script says, behind a barrier as the kit has it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use orchestrator::participants::{CallRequest, Caller, OperationOf};
use saga_core::{
    Contradiction, Direction,
    Direction::{Backward, Forward},
    NotDone, OperationId, Outcome, Resolution, SagaId, UnknownCause, Word,
};
use tokio::sync::Semaphore;

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Apply,
    Refuse,
    NotSent,
    /// The effect happens and the reply is lost.
    LoseReply,
    /// The request is lost.
    LoseRequest,
    /// The effect happens once the test says so.
    Held,
    /// The participant never answers.
    Hang,
    /// The participant cannot read the request.
    Fault,
    /// The participant has another request on record under this id.
    Contradict,
    /// The effect happens, and the reply is larger than is kept.
    ApplyUnread,
    /// The driver of the saga panics.
    Panic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recorded {
    Applied,
    Refused,
    Fenced,
    /// It was applied, and undone.
    Reversed,
}

/// The step whose effect the client brought along, in every definition that has one.
pub(crate) const GIVEN: &str = "paid";

/// One effect that stands in a participant's books: a step and a direction.
pub(crate) type Effect = (String, Direction);

#[derive(Debug, Default)]
struct Books {
    operations: HashMap<OperationId, Recorded>,
    /// The operation of each saga's step that came.
    actions: HashMap<(SagaId, String), OperationId>,
    effects: Vec<Effect>,
}

/// Participants under a script. What is not in the script is applied.
#[derive(Debug)]
pub(crate) struct Scripted {
    script: HashMap<(&'static str, Direction, u32), Fate>,
    /// Whether a repeat of what was undone is told from one of what stands.
    says_reversed: bool,
    /// Whether it can be asked about an operation.
    is_asked: AtomicBool,
    /// Whether the script is over, and everything is applied.
    is_mended: AtomicBool,
    books: Mutex<Books>,
    released: Semaphore,
}

impl Scripted {
    /// `(step, direction, attempt)` and what happens to that call. Attempt 0 stands for
    /// every attempt.
    pub(crate) fn new(script: &[(&'static str, Direction, u32, Fate)]) -> Arc<Self> {
        let script = script
            .iter()
            .map(|(step, direction, attempt, fate)| ((*step, *direction, *attempt), *fate))
            .collect();
        let (books, released) = (Mutex::default(), Semaphore::new(0));
        let (is_asked, is_mended) = (AtomicBool::new(true), AtomicBool::new(false));
        Arc::new(Self { script, says_reversed: true, is_asked, is_mended, books, released })
    }

    /// Participants that answer a repeat with the stored reply, whatever became of its effect.
    pub(crate) fn simple(script: &[(&'static str, Direction, u32, Fate)]) -> Arc<Self> {
        let mut scripted = Self::new(script);
        if let Some(scripted) = Arc::get_mut(&mut scripted) {
            scripted.says_reversed = false;
        }
        scripted
    }

    /// From now on nobody can ask it about an operation.
    pub(crate) fn takes_no_inquiry(&self) {
        self.is_asked.store(false, Ordering::SeqCst);
    }

    /// From now on it applies what comes, under a new id also what it refused.
    pub(crate) fn mend(&self) {
        self.is_mended.store(true, Ordering::SeqCst);
    }

    /// Lets one call through that is held.
    pub(crate) fn release(&self) {
        self.released.add_permits(1);
    }

    /// The effects in the order in which they happened.
    pub(crate) fn effects(&self) -> Vec<Effect> {
        self.books.lock().unwrap().effects.clone()
    }

    fn fate(&self, request: &CallRequest<'_>) -> Fate {
        if self.is_mended.load(Ordering::SeqCst) {
            return Fate::Apply;
        }
        let of = |attempt| {
            self.script.iter().find_map(|((step, direction, at), fate)| {
                (*step == request.step && *direction == request.direction && *at == attempt)
                    .then_some(*fate)
            })
        };
        of(request.attempt).or_else(|| of(0)).unwrap_or(Fate::Apply)
    }

    /// The barrier: at most one effect for each operation, and always the same answer.
    fn arrive(&self, request: &CallRequest<'_>, wanted: Recorded) -> Recorded {
        let mut books = self.books.lock().unwrap();
        let step = (request.saga, request.step.to_owned());
        match request.direction {
            Forward => drop(books.actions.insert(step.clone(), request.operation)),
            Backward => {
                let action = books.actions.get(&step).and_then(|it| books.operations.get(it));
                let is_there = matches!(action, Some(Recorded::Applied | Recorded::Reversed));
                if !is_there && request.step != GIVEN {
                    return Recorded::Applied; // Nothing to undo.
                }
            }
        }
        if let Some(recorded) = books.operations.get(&request.operation) {
            return *recorded;
        }
        books.operations.insert(request.operation, wanted);
        if wanted == Recorded::Applied {
            books.effects.push((request.step.to_owned(), request.direction));
            let action = books.actions.get(&step).copied();
            let undoes = self.says_reversed && request.direction == Backward;
            if let Some(action) = action.filter(|_| undoes) {
                books.operations.insert(action, Recorded::Reversed);
            }
        }
        wanted
    }
}

fn answer(recorded: Recorded) -> Outcome {
    match recorded {
        Recorded::Applied => Outcome::Applied { reply: Bytes::new() },
        Recorded::Refused => {
            let (reason, message) = ("OUT_OF_STOCK".to_owned(), "none left".to_owned());
            Outcome::Rejected { reason, message, word: Word::OnRecord }
        }
        Recorded::Fenced => {
            let message = "fenced".to_owned();
            Outcome::Contradicted { cause: Contradiction::Fenced, message }
        }
        Recorded::Reversed => {
            let message = "undone".to_owned();
            Outcome::Contradicted { cause: Contradiction::Reversed, message }
        }
    }
}

fn lost() -> Outcome {
    Outcome::Unknown { cause: UnknownCause::ConnectionLost, message: "lost".to_owned() }
}

#[async_trait]
impl Caller for Scripted {
    async fn call(&self, request: CallRequest<'_>) -> Outcome {
        let fate = self.fate(&request);
        match fate {
            Fate::Apply => answer(self.arrive(&request, Recorded::Applied)),
            Fate::Held => {
                self.released.acquire().await.unwrap().forget();
                answer(self.arrive(&request, Recorded::Applied))
            }
            Fate::Refuse => answer(self.arrive(&request, Recorded::Refused)),
            Fate::LoseReply => {
                self.arrive(&request, Recorded::Applied);
                lost()
            }
            Fate::LoseRequest => lost(),
            Fate::NotSent => Outcome::NotDone {
                cause: NotDone::NotSent,
                message: "connection refused".to_owned(),
                retry_after_ms: None,
            },
            Fate::Fault => Outcome::Fault {
                reason: "UNIMPLEMENTED".to_owned(),
                message: "no such method".to_owned(),
            },
            Fate::Contradict => Outcome::Contradicted {
                cause: Contradiction::OtherRequest,
                message: "another request".to_owned(),
            },
            Fate::ApplyUnread => {
                self.arrive(&request, Recorded::Applied);
                Outcome::AppliedUnread { message: "it is too large".to_owned() }
            }
            Fate::Hang => {
                std::future::pending::<()>().await;
                lost()
            }
            Fate::Panic => panic!("the script says so"),
        }
    }

    async fn resolve(&self, _: &str, operation: OperationOf, _: Duration) -> Resolution {
        if !self.is_asked.load(Ordering::SeqCst) {
            return Resolution::Unsupported { message: "no such method".to_owned() };
        }
        let mut books = self.books.lock().unwrap();
        match *books.operations.entry(operation.id).or_insert(Recorded::Fenced) {
            Recorded::Applied => Resolution::Applied { reply: Bytes::new() },
            Recorded::Refused => Resolution::Rejected {
                reason: "OUT_OF_STOCK".to_owned(),
                message: "none left".to_owned(),
            },
            Recorded::Fenced => Resolution::Fenced,
            Recorded::Reversed => Resolution::Reversed,
        }
    }
}
