//! What a request to turn back does: a query over definition and state that changes
//! nothing. Whoever is told [`CancelEffect::TurnsBack`] or [`CancelEffect::TooLate`] is
//! never told anything else about the same saga later (F81, F82).

use crate::{definition::Definition, event::Ending, next::open_behind_pivot, state::State};

/// What a request to turn back does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CancelEffect {
    /// The saga turns back, or has done so. It never completes.
    TurnsBack,
    /// The pivot is applied, so the saga goes on to its end. It never turns back.
    TooLate,
    /// The outcome of the pivot is open: it turns back unless the pivot turns out to be
    /// applied. Another look decides, once that is known.
    Undecided,
    /// The saga had ended like this before anybody asked.
    Ended(Ending),
}

/// What the request to turn back that is in the log does; where there is none, what one
/// would do if it became durable now.
#[must_use]
pub fn cancel_effect(definition: &Definition, state: &State) -> CancelEffect {
    if let Some(ended) = state.ended() {
        match ended.ending {
            ending if !state.cancel_requested() => return CancelEffect::Ended(ending),
            Ending::Completed => return CancelEffect::TooLate,
            Ending::Compensated => return CancelEffect::TurnsBack,
            // What was told before it was closed stays true: it never completes.
            Ending::Closed => {}
        }
    }
    if state.turned_back().is_some() {
        return CancelEffect::TurnsBack;
    }
    if state.passed_pivot(definition) {
        return CancelEffect::TooLate;
    }
    let in_doubt = state.pivot_in_doubt(definition).is_some()
        || open_behind_pivot(definition, state).next().is_some();
    match in_doubt {
        true if state.ended().is_some() => CancelEffect::Ended(Ending::Closed),
        true => CancelEffect::Undecided,
        // Nothing is called while a cancel is in the log, before the saga has turned back.
        false => CancelEffect::TurnsBack,
    }
}
