//! What an answer to a call or an inquiry makes of a step.

use super::{Last, Learned, Pause, StepPhase, Tries};
use crate::event::{Contradiction, Direction};

/// What an answer to a call makes of its step. `None`: it is no answer to such a call.
pub(super) fn answered_phase(
    direction: Direction,
    tries: Tries,
    learned: Learned,
    at_ms: u64,
) -> Option<StepPhase> {
    use Direction::{Backward, Forward};
    let open = |tries, last, pause| StepPhase::Open { direction, tries, last, pause };
    let failures = tries.failures.saturating_add(1);
    let tries = Tries { setbacks: tries.setbacks.saturating_add(1), ..tries };
    let phase = match (direction, learned) {
        (Forward, Learned::Applied | Learned::Recalled) => StepPhase::Applied,
        (Forward, Learned::Rejected) => StepPhase::Rejected,
        // A refusal speaks of its own attempt: it ends no doubt about an earlier one.
        (Forward, Learned::Refused) if !tries.in_doubt => StepPhase::Rejected,
        (Forward, Learned::Refused) => {
            let tries = Tries { failures, refused: true, ..tries };
            open(tries, Last::Refused, Pause::After { at_ms })
        }
        (Backward, Learned::Applied) => StepPhase::Undone,
        // On record for all of its attempts: none of them has undone anything.
        (Backward, Learned::Rejected) => {
            let tries = Tries { failures, in_doubt: false, ..tries };
            open(tries, Last::Refused, Pause::After { at_ms })
        }
        (Backward, Learned::Refused) => {
            open(Tries { failures, ..tries }, Last::Refused, Pause::After { at_ms })
        }
        // Our own inquiry has fenced it: the call came late, and this is the expected answer.
        (Forward, Learned::Contradicted(Contradiction::Fenced)) if tries.inquiries > 0 => {
            StepPhase::Fenced
        }
        (_, Learned::Contradicted(_)) => contradicted(direction, tries, at_ms),
        (_, Learned::NotDone { last: Last::Fault, .. }) => {
            open(tries, Last::Fault, Pause::After { at_ms })
        }
        (_, Learned::NotDone { last, retry_after_ms }) => {
            let pause = match retry_after_ms {
                Some(after_ms) => Pause::NotBefore { at_ms: at_ms.saturating_add(after_ms) },
                None => Pause::After { at_ms },
            };
            open(tries, last, pause)
        }
        (_, Learned::Unknown { last }) => {
            open(Tries { failures, in_doubt: true, ..tries }, last, Pause::After { at_ms })
        }
        // A call is never answered with "fenced": the participant refuses a fenced one.
        (_, Learned::Fenced) | (Backward, Learned::Recalled) => return None,
    };
    Some(phase)
}

/// What an answer to an inquiry makes of its step.
pub(super) fn resolved_phase(tries: Tries, learned: Learned, at_ms: u64) -> Option<StepPhase> {
    let phase = match learned {
        Learned::Applied | Learned::Recalled => StepPhase::Applied,
        Learned::Rejected => StepPhase::Rejected,
        Learned::Fenced => StepPhase::Fenced,
        Learned::Contradicted(_) => contradicted(Direction::Forward, tries, at_ms),
        Learned::Unknown { last } => StepPhase::Open {
            direction: Direction::Forward,
            tries,
            last,
            pause: Pause::After { at_ms },
        },
        // An inquiry says what became of the operation, not what became of an attempt.
        Learned::NotDone { .. } | Learned::Refused => return None,
    };
    Some(phase)
}

/// Two sure words contradict each other. Whatever the truth, something happened.
pub(super) fn contradicted(direction: Direction, tries: Tries, at_ms: u64) -> StepPhase {
    let tries = Tries { in_doubt: true, ..tries };
    StepPhase::Open { direction, tries, last: Last::Contradicted, pause: Pause::After { at_ms } }
}
