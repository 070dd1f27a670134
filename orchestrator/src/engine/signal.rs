//! Gives a saga the signal that one of its steps waits for, or will wait for.
//!
//! The log decides: of two signals for one step the first that is appended counts, and
//! whoever asks is told what the log says then.

use bytes::Bytes;
use saga_core::{Event, SagaId, Signal, StepIndex};

use crate::engine::{Engine, ReachError, Snapshot};

/// A signal for one step. The payload was checked against the definition.
#[derive(Clone, Debug)]
pub struct StepSignal {
    pub step: StepIndex,
    /// Tells a repeated request from another one.
    pub request_id: String,
    /// As bytes of the type that the definition declares.
    pub payload: Bytes,
    /// Who sends it, and why, for people. Empty: nobody says.
    pub actor: String,
    pub reason: String,
    /// The version of the saga that they looked at. 0: whatever it is.
    pub expected_version: u64,
}

/// What became of a signal that the saga has.
#[derive(Debug)]
pub enum Signalled {
    /// It is durable now.
    Now(Box<Snapshot>),
    /// An earlier request with the same id had given it.
    Before(Box<Snapshot>),
}

/// Why a saga does not take a signal.
#[derive(Debug, thiserror::Error)]
pub enum SignalError {
    /// The saga cannot be reached. Its variants say whether the signal may be kept.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// The same request id came with another payload, or for another act. Nothing was done.
    #[error("the request id was used for another signal")]
    RequestIdReused,
    /// Another request has given the signal. The first one counts; nothing was done.
    #[error("the signal was given before")]
    AlreadyGiven,
    /// The saga is not as it was looked at. Nothing was done.
    #[error("the saga is in version {} now", .0.version)]
    MovedOn(Box<Snapshot>),
    /// The saga has ended. Nothing was done.
    #[error("the saga has ended")]
    Ended,
    /// The saga is turning back, or the step was skipped or has gone on without. Nothing
    /// was done.
    #[error("the signal comes too late")]
    TooLate,
}

impl Engine {
    /// Puts a signal into the log of a saga, whoever drives it. A parked saga becomes due
    /// at once; a step that has not begun finds the signal when it does.
    ///
    /// # Errors
    ///
    /// [`SignalError`] says per variant whether the signal may be kept.
    pub async fn signal(&self, saga: SagaId, signal: StepSignal) -> Result<Signalled, SignalError> {
        let at_ms = self.shared.clock.now_ms();
        let StepSignal { step, request_id, payload, actor, reason, expected_version } = signal;
        let fact = Event::Signalled { step, request_id, payload, actor, reason, at_ms };
        let before = self.snapshot(saga).await?;
        match answer(&before, &fact) {
            Some(Ok(())) => return Ok(Signalled::Before(Box::new(before))),
            Some(Err(refused)) => return Err(refused),
            None if expected_version != 0 && expected_version != before.version => {
                return Err(SignalError::MovedOn(Box::new(before)));
            }
            None => {}
        }
        match self.tell(saga, fact.clone()).await {
            // Somebody was quicker; the log says who.
            Ok(()) | Err(ReachError::DoesNotFit) => {}
            Err(error) => return Err(error.into()),
        }
        let after = self.snapshot(saga).await?;
        match answer(&after, &fact) {
            Some(Ok(())) => Ok(Signalled::Now(Box::new(after))),
            Some(Err(refused)) => Err(refused),
            None => Err(ReachError::Contended.into()),
        }
    }
}

/// Whether a payload is the one that is in the log, which an earlier program may have put
/// there in another form.
fn is_same(snapshot: &Snapshot, step: StepIndex, stored: &Bytes, payload: &Bytes) -> bool {
    let in_this_form = || {
        let signal = snapshot.definition.signals().find(|signal| signal.step == step)?;
        signal.check_bytes(signal.type_name(), stored).ok()
    };
    stored == payload || in_this_form().is_some_and(|stored| stored == *payload)
}

/// What the log says about this signal. `None`: nothing yet, and it may be given.
fn answer(snapshot: &Snapshot, fact: &Event) -> Option<Result<(), SignalError>> {
    let Event::Signalled { step, request_id, payload, .. } = fact else { return None };
    let state = &snapshot.state;
    let given = state.step(*step).signal.as_ref();
    let is_this = |given: &&Signal| given.request_id == *request_id;
    if let Some(given) = given.filter(is_this) {
        let same = is_same(snapshot, *step, &given.payload, payload);
        return Some(if same { Ok(()) } else { Err(SignalError::RequestIdReused) });
    }
    // Another signal, or another act.
    if state.has_heard(request_id) {
        return Some(Err(SignalError::RequestIdReused));
    }
    if state.ended().is_some() {
        return Some(Err(SignalError::Ended));
    }
    if given.is_some() {
        return Some(Err(SignalError::AlreadyGiven));
    }
    let fits = state.clone().apply(fact).is_ok();
    (!fits).then_some(Err(SignalError::TooLate))
}
