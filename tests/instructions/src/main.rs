//! One kind of the core's work, again and again, for a profiler that counts instructions:
//! `saga-instructions WORK SAGAS`. The same arguments make the same instructions.

#![expect(clippy::print_stderr, reason = "it is called by hand too, and says how")]

use std::{env, hint::black_box, process::ExitCode};

use bytes::Bytes;
use saga_core::{
    Action, Definition, Direction, Event, Next, NodeId, OnUnknown, OperationRoot, Outcome,
    RetryPolicy, SagaId, Started, State, Step, StepIndex, StepKind, Word, encoding, next,
};
use uuid::Uuid;

type Work = fn(&Saga);

/// What is repeated for each saga.
const WORKS: [(&str, Work); 4] = [
    ("complete", |saga| drop(black_box(saga.run(None)))),
    ("turn-back", |saga| drop(black_box(saga.run(Some(StepIndex(2)))))),
    ("encode", |saga| {
        for row in &saga.rows {
            black_box(encoding::encode(row));
        }
    }),
    ("take-over", |saga| drop(black_box(saga.fold()))),
];

/// A saga of three steps, and its log when it is complete.
struct Saga {
    definition: Definition,
    started: Started,
    rows: Vec<Vec<Event>>,
    encoded: Vec<Bytes>,
}

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let (work, sagas) = (arguments.next(), arguments.next());
    let work = work.and_then(|name| WORKS.into_iter().find(|(known, _)| *known == name));
    let sagas = sagas.and_then(|sagas| sagas.parse::<u32>().ok());
    let (Some((_, work)), Some(sagas)) = (work, sagas) else {
        eprintln!("usage: saga-instructions {} SAGAS", WORKS.map(|(name, _)| name).join("|"));
        return ExitCode::from(2);
    };
    let saga = Saga::new();
    for _ in 0..sagas {
        work(black_box(&saga));
    }
    ExitCode::SUCCESS
}

impl Saga {
    fn new() -> Self {
        let step = |name: &str, after: &[StepIndex]| Step {
            name: name.to_owned(),
            kind: StepKind::Call,
            after: after.iter().copied().collect(),
            conditional: false,
            pivot: false,
            excludes: saga_core::StepSet::EMPTY,
            compensable: true,
            compensation_conditional: false,
            on_unknown: OnUnknown::Resolve,
            timeout_ms: 2_000,
            retry: RetryPolicy::ACTION,
            compensation_retry: RetryPolicy::COMPENSATION,
            resolve_retry: RetryPolicy::RESOLVE,
        };
        let definition = Definition {
            name: "three-steps".to_owned(),
            version: 1,
            deadline_ms: Some(300_000),
            steps: vec![
                step("reserve", &[]),
                step("pay", &[StepIndex(0)]),
                step("insert", &[StepIndex(1)]),
            ],
        };
        let started = Started {
            definition: definition.name.clone(),
            definition_version: definition.version,
            definition_hash: [7; 32],
            input: Bytes::from_static(&[5; 200]),
            operations: OperationRoot::of_request("shop", "order-1", &[7; 32]),
            node: NodeId(Uuid::from_u128(3)),
            log_epoch: 0,
            after_loss: false,
            at_ms: 1,
        };
        let mut saga = Self { definition, started, rows: Vec::new(), encoded: Vec::new() };
        saga.rows = saga.run(None);
        saga.encoded = saga.rows.iter().map(|row| encoding::encode(row)).collect();
        saga
    }

    fn start(&self) -> State {
        State::start(SagaId(Uuid::from_u128(9)), &self.definition, &self.started)
    }

    /// Drives it to its end as the driver does, with one row per durable point. All calls
    /// are applied at once, but the action of the step that is refused.
    fn run(&self, refused: Option<StepIndex>) -> Vec<Vec<Event>> {
        let mut state = self.start();
        let mut rows = Vec::new();
        let mut row = vec![Event::Started(self.started.clone())];
        let mut now_ms = 1;
        loop {
            let mut calls = Vec::new();
            loop {
                match next(&self.definition, &state, now_ms) {
                    Next::Do(actions) => {
                        for action in actions {
                            let event = recorded(action, now_ms);
                            if let Event::Intended { step, direction, attempt, .. } = event {
                                calls.push((step, direction, attempt));
                            }
                            apply(&mut state, &mut row, event);
                        }
                    }
                    Next::Wait { .. } => break,
                    Next::Finished(_) => {
                        rows.push(row);
                        return rows;
                    }
                }
            }
            rows.push(std::mem::take(&mut row));
            now_ms += 1;
            for (step, direction, attempt) in calls {
                let outcome = if refused == Some(step) && direction == Direction::Forward {
                    let (reason, message) = ("NO".to_owned(), String::new());
                    Outcome::Rejected { reason, message, word: Word::OnRecord }
                } else {
                    Outcome::Applied { reply: Bytes::from_static(&[6; 60]) }
                };
                let at_ms = now_ms;
                let answered = Event::Answered { step, direction, attempt, outcome, at_ms };
                apply(&mut state, &mut row, answered);
            }
        }
    }

    /// The state that its log tells, as a node that takes it over reads it.
    fn fold(&self) -> State {
        let mut state = self.start();
        let events = self
            .encoded
            .iter()
            .flat_map(|row| encoding::decode(row).expect("what was encoded can be decoded"));
        for event in events.skip(1) {
            state.apply(&event).expect("a log folds");
        }
        state
    }
}

fn apply(state: &mut State, row: &mut Vec<Event>, event: Event) {
    state.apply(&event).expect("the core asks for what it allows");
    row.push(event);
}

/// The event that `action` asks for. The definition has no waits and no inquiries.
fn recorded(action: Action, at_ms: u64) -> Event {
    match action {
        Action::Call { step, direction, attempt } => Event::Intended {
            step,
            direction,
            attempt,
            request: Some(Bytes::from_static(&[4; 80])),
            at_ms,
        },
        Action::TurnBack { reason } => Event::TurnedBack { reason, at_ms },
        Action::End { ending } => Event::Ended { ending, at_ms },
        other => unreachable!("{other:?} of a definition that has none"),
    }
}
