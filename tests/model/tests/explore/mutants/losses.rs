//! Wrong about what a second refusal means, and about a log that has lost rows.

use saga_core::{Contradiction, Event, Outcome, StepIndex, Word};
use saga_model::{
    properties::{E1, E2, E3, L8, T2, V1},
    scope::{Faults, Scope},
    subject::{Barrier, LogRules, Subject},
};

use super::{Mutant, learns, log, participant};

/// The participant of the pivot refuses what it has already.
fn checked(faults: Faults) -> Scope {
    let checked = [StepIndex(1)].into_iter().collect();
    Scope { checked, ..Scope::pay_order(faults) }
}

/// The log loses up to two rows, and nothing else goes wrong but for its owner.
fn losing(_: Faults) -> Scope {
    let faults = Faults { takeovers: 1, losses: 0, repeats: 0, tails: 1 };
    Scope { tail_rows_max: 2, ..Scope::reserve_pay(faults) }
}

/// The log is restored from a backup.
fn restored(_: Faults) -> Scope {
    let faults = Faults { takeovers: 0, losses: 1, repeats: 0, tails: 1 };
    Scope { tail_rows_max: usize::from(u8::MAX), ..Scope::reserve_pay(faults) }
}

pub(super) fn of_what_is_learned() -> Vec<Mutant> {
    vec![
        Mutant {
            scope: checked,
            ..learns("a refusal ends every doubt", &[L8, E3], |_, event| {
                each_outcome(event, |outcome| {
                    if let Outcome::Rejected { word, .. } = outcome {
                        *word = Word::OnRecord;
                    }
                })
            })
        },
        Mutant {
            scope: losing,
            ..learns("what was undone is taken for refused", &[L8], |_, event| {
                each_outcome(event, |outcome| {
                    if is_reversed(outcome) {
                        let (reason, message) = (String::new(), String::new());
                        *outcome = Outcome::Rejected { reason, message, word: Word::OnRecord };
                    }
                })
            })
        },
    ]
}

pub(super) fn of_log_and_participants() -> Vec<Mutant> {
    let rules = Subject::real().log;
    let barrier = Subject::real().barrier;
    vec![
        Mutant {
            scope: losing,
            ..log(
                "an append names only the version that it builds on",
                &[T2],
                LogRules { names_row: false, ..rules },
            )
        },
        Mutant {
            scope: losing,
            ..log(
                "sagas are not told that the log lost rows",
                &[E2, E3],
                LogRules { tells_of_losses: false, ..rules },
            )
        },
        Mutant {
            scope: losing,
            ..participant(
                "an inquiry about a compensation does not keep it from coming",
                &[E2],
                Barrier { undo_inquiry_fences: false, ..barrier },
            )
        },
        Mutant {
            scope: losing,
            ..log(
                "a node whose rows are gone appends the same row again",
                &[V1],
                LogRules { forgets_what_is_gone: false, ..rules },
            )
        },
        Mutant {
            scope: restored,
            ..participant(
                "operation ids hang on the saga's id",
                &[E1],
                Barrier { starts_share_an_id: false, ..barrier },
            )
        },
    ]
}

fn is_reversed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Contradicted { cause: Contradiction::Reversed, .. })
}

fn each_outcome(mut event: Event, change: fn(&mut Outcome)) -> Vec<Event> {
    if let Event::Answered { outcome, .. } = &mut event {
        change(outcome);
    }
    vec![event]
}
