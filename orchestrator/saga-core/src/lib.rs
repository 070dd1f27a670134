//! The pure saga engine.
//!
//! A [`Definition`] says what steps a saga has, what each depends on and how it is
//! undone. A step makes a call, waits for a signal, or stands for what the client brought
//! along. What happened to one saga is a list of [`Event`]s; [`State`] is their fold.
//! From a state, [`next`](next::next) says what must happen: record an event, wait, or
//! nothing, because the saga has ended. Whoever drives a saga appends the events that
//! `next` asks for, makes the calls that they announce, and appends the answers.
//!
//! This crate does no I/O, reads no clock, makes no random number and knows no async:
//! time is an argument, and the jitter of a retry is derived from the operation's id.
//!
//! Reading order: [`id`], [`definition`], [`event`], [`phase`], [`state`], [`next`](mod@next),
//! [`stuck`](mod@stuck), [`cause`](mod@cause), [`cancel`], [`explain`], [`offer`], [`encoding`].

pub mod cancel;
pub mod cause;
pub mod definition;
pub mod encoding;
pub mod event;
pub mod explain;
pub mod id;
pub mod next;
pub mod offer;
pub mod phase;
pub mod state;
pub mod stuck;

pub use cancel::{CancelEffect, cancel_effect};
pub use cause::{Cause, cause};
pub use definition::{
    Definition, Jitter, OnTimeout, OnUnknown, REST_MS_MAX, RetryPolicy, STEPS_MAX, Step, StepIndex,
    StepKind, StepSet, Timer,
};
pub use event::{
    Contradiction, Direction, Ending, Event, NotDone, OperatorAct, Outcome, Resolution, Settled,
    Started, TurnBackReason, UnknownCause, Verdict, Word,
};
pub use id::{Epoch, NodeId, OperationId, OperationName, OperationRoot, SagaId};
pub use next::{Action, Next, next, next_without};
pub use offer::{Offer, offers};
pub use phase::StepPhase;
pub use state::{By, Generations, Recall, Settlement, Signal, State, StepState};
pub use stuck::{Stuck, StuckReason, stuck};
