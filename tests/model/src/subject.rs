//! What is under test: the decisions of the real core, and the rules by which nodes and
//! participants keep the log and the operation log. A mutant breaks one of them.

use saga_core::{Definition, Event, Next, State};

/// The protocol, or a broken one.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What must happen next.
    pub decide: fn(&Definition, &State, u64) -> Next,
    /// What is recorded of a fact.
    pub learn: fn(&State, Event) -> Vec<Event>,
    pub log: LogRules,
    pub barrier: Barrier,
    pub provider: ProviderRules,
}

/// How nodes use the log.
#[derive(Clone, Copy, Debug)]
pub struct LogRules {
    /// A row is accepted only where it builds on the last one.
    pub compares_version: bool,
    /// What it builds on is a row, and not only a version.
    pub names_row: bool,
    /// That the log lost rows is told to every saga that was there before.
    pub tells_of_losses: bool,
    /// A writer whose rows are gone from the log forgets what it knows.
    pub forgets_what_is_gone: bool,
    /// A call leaves when its row is durable.
    pub appends_before_sending: bool,
    /// Taking a saga over is a row.
    pub takes_over_by_append: bool,
    /// A writer whose row is refused looks whether its own row is the one in the way.
    pub recognises_own_row: bool,
}

/// What a participant keeps of an operation.
#[derive(Clone, Copy, Debug)]
pub struct Barrier {
    /// An action that took effect is answered from the operation log when it comes again.
    pub knows_repeated_actions: bool,
    /// So is a compensation.
    pub knows_repeated_undos: bool,
    /// A refusal is for ever.
    pub remembers_refusals: bool,
    /// An inquiry about an operation that never came keeps it from ever coming.
    pub inquiry_fences: bool,
    /// So does one about a compensation.
    pub undo_inquiry_fences: bool,
    /// An inquiry about an operation whose provider is being asked waits for the provider.
    pub inquiry_waits_for_provider: bool,
    /// A compensation has an operation id of its own.
    pub undo_has_its_own_id: bool,
    /// Every attempt of an action has the same operation id.
    pub attempts_share_an_id: bool,
    /// So has every attempt of the same start, where the log lost the saga in between.
    pub starts_share_an_id: bool,
}

/// How a participant asks its provider.
#[derive(Clone, Copy, Debug)]
pub struct ProviderRules {
    /// The intent is durable before the provider is asked.
    pub intends_before_asking: bool,
    /// Every try of one operation has the same idempotency key.
    pub tries_share_a_key: bool,
}

impl Subject {
    /// The protocol as it is.
    #[must_use]
    pub fn real() -> Self {
        Self {
            decide: saga_core::next,
            learn: |_, event| vec![event],
            log: LogRules {
                compares_version: true,
                names_row: true,
                tells_of_losses: true,
                forgets_what_is_gone: true,
                appends_before_sending: true,
                takes_over_by_append: true,
                recognises_own_row: true,
            },
            barrier: Barrier {
                knows_repeated_actions: true,
                knows_repeated_undos: true,
                remembers_refusals: true,
                inquiry_fences: true,
                undo_inquiry_fences: true,
                inquiry_waits_for_provider: true,
                undo_has_its_own_id: true,
                attempts_share_an_id: true,
                starts_share_an_id: true,
            },
            provider: ProviderRules { intends_before_asking: true, tries_share_a_key: true },
        }
    }
}
