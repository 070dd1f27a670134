//! Wrong about pivots of which one runs.

use saga_core::StepPhase;

use super::{Mutant, turns_back};
use crate::{cases::CHOICE, walk::Moment};

/// How the pivots stand.
pub(super) fn phases(moment: &Moment<'_>) -> impl Iterator<Item = StepPhase> {
    moment.definition.pivots().iter().map(|pivot| moment.state.step(pivot).phase)
}

pub(super) fn of_pivots() -> Vec<Mutant> {
    vec![
        turns_back("a cancel turns back behind the second of two pivots", CHOICE, |moment| {
            let second = phases(moment).nth(1);
            moment.state.cancel_requested() && second == Some(StepPhase::Applied)
        }),
        turns_back("a cancel turns back while the second of two pivots is out", CHOICE, |moment| {
            let second = phases(moment).nth(1);
            moment.state.cancel_requested() && matches!(second, Some(StepPhase::InFlight { .. }))
        }),
    ]
}
