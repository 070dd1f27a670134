//! What is explored: a saga, and how much may go wrong in one run of it. Both are small,
//! so that every interleaving can be visited.

use saga_core::{Definition, Jitter, OnUnknown, RetryPolicy, Step, StepIndex, StepKind, StepSet};

/// Every pause is this long. The clock stands at 0 or at [`LATE_MS`], so a pause is over
/// or not, and nothing else about time is known.
const PAUSE_MS: u64 = 10;

/// Behind every pause.
pub const LATE_MS: u64 = 1_000;

/// One saga and its bounds.
#[derive(Clone, Debug)]
pub struct Scope {
    pub definition: Definition,
    /// The step whose participant asks an outside provider.
    pub provider: Option<StepIndex>,
    /// The steps that a participant may refuse.
    pub refusable: StepSet,
    /// The steps whose participants refuse what they have already, before they look into
    /// their operation log.
    pub checked: StepSet,
    /// Rows that the log may lose at once.
    pub tail_rows_max: usize,
    pub faults: Faults,
    pub cancels: Cancels,
    pub pauses: Pauses,
}

/// How much may go wrong in one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Deaths of a node and take-overs from a node that lives, together. A saga has at
    /// most one owner more than this.
    pub takeovers: u8,
    /// Requests, answers and rows that are lost, calls that are given up although they are
    /// under way, and calls that never leave.
    pub losses: u8,
    /// Requests that arrive twice, and rows that are written twice because their writer did
    /// not learn what became of the first.
    pub repeats: u8,
    /// How often the log loses its newest rows: a standby takes over that had not heard of
    /// them, or a backup.
    pub tails: u8,
}

/// Whether the client may ask the saga to turn back, at any moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancels {
    Never,
    Once,
}

/// What becomes of the pause before another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pauses {
    /// It is over at once: the next attempt shares the row of the last one's outcome.
    Over,
    /// It ends at any later moment: its end is a row of its own.
    Open,
}

impl Scope {
    /// Reserve, then pay at a provider. Both are refusable and are undone: the undo order.
    #[must_use]
    pub fn reserve_pay(faults: Faults) -> Self {
        Self {
            definition: definition(vec![step("reserve", &[]), step("pay", &[0])]),
            provider: Some(StepIndex(1)),
            refusable: steps(&[0, 1]),
            ..Self::of(faults)
        }
    }

    /// Pay at a provider, then the pivot, which may be refused: money comes back, or not.
    #[must_use]
    pub fn pay_order(faults: Faults) -> Self {
        Self {
            definition: definition(vec![step("pay", &[]), pivot("order", &[0])]),
            provider: Some(StepIndex(0)),
            refusable: steps(&[0, 1]),
            ..Self::of(faults)
        }
    }

    /// The pivot, then a step that must not be refused: there is no turning back.
    #[must_use]
    pub fn order_ship(faults: Faults) -> Self {
        let ship = Step { compensable: false, ..step("ship", &[0]) };
        Self {
            definition: definition(vec![pivot("order", &[]), ship]),
            refusable: steps(&[0]),
            ..Self::of(faults)
        }
    }

    /// Two steps side by side: two calls are out at once.
    #[must_use]
    pub fn side_by_side(faults: Faults) -> Self {
        Self {
            definition: definition(vec![step("left", &[]), step("right", &[])]),
            refusable: steps(&[0, 1]),
            ..Self::of(faults)
        }
    }

    /// Reserve, pay at a provider, and the pivot.
    #[must_use]
    pub fn reserve_pay_order(faults: Faults) -> Self {
        let steps_in_order = vec![step("reserve", &[]), step("pay", &[0]), pivot("order", &[1])];
        Self {
            definition: definition(steps_in_order),
            provider: Some(StepIndex(1)),
            refusable: steps(&[0, 1, 2]),
            ..Self::of(faults)
        }
    }

    fn of(faults: Faults) -> Self {
        Self {
            definition: definition(Vec::new()),
            provider: None,
            refusable: StepSet::EMPTY,
            checked: StepSet::EMPTY,
            tail_rows_max: 0,
            faults,
            cancels: Cancels::Once,
            pauses: Pauses::Over,
        }
    }

    /// Whether `step` asks the provider.
    #[must_use]
    pub fn asks_provider(&self, step: StepIndex) -> bool {
        self.provider == Some(step)
    }
}

fn definition(steps: Vec<Step>) -> Definition {
    // A deadline does to the protocol what a cancel does; the walker of saga-core has both.
    Definition { name: "modelled".to_owned(), version: 1, deadline_ms: None, steps }
}

fn pivot(name: &str, after: &[u8]) -> Step {
    Step { pivot: true, compensable: false, ..step(name, after) }
}

/// Two attempts, then the inquiry: enough for a late original beside its repetition.
fn step(name: &str, after: &[u8]) -> Step {
    let policy = RetryPolicy {
        delay_first_ms: PAUSE_MS,
        factor_permille: 1000,
        delay_max_ms: PAUSE_MS,
        jitter: Jitter::None,
        attempts_max: 2,
    };
    Step {
        name: name.to_owned(),
        kind: StepKind::Call,
        after: steps(after),
        conditional: false,
        pivot: false,
        excludes: StepSet::EMPTY,
        compensable: true,
        compensation_conditional: false,
        on_unknown: OnUnknown::Resolve,
        timeout_ms: 2_000,
        retry: policy,
        compensation_retry: policy,
        resolve_retry: policy,
    }
}

fn steps(indices: &[u8]) -> StepSet {
    indices.iter().copied().map(StepIndex).collect()
}
