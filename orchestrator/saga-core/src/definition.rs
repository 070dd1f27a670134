//! What a saga is made of: the part of a definition that decisions depend on. Calls,
//! requests and conditions are named elsewhere; here a step only *has* them.

use std::fmt;

/// Steps in a definition at most (X09).
pub const STEPS_MAX: usize = 64;

/// The longest pause that a saga makes by itself between two tries of what does not change, in
/// milliseconds: how long it may stand still although it could go on.
pub const REST_MS_MAX: u64 = 600_000;

/// Position of a step in its definition, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepIndex(pub u8);

impl StepIndex {
    /// The position as an index into a slice.
    #[must_use]
    pub fn at(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for StepIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A set of steps of one definition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StepSet(u64);

impl StepSet {
    /// No step.
    pub const EMPTY: Self = Self(0);

    /// This set and `step`.
    #[must_use]
    pub fn with(self, step: StepIndex) -> Self {
        Self(self.0 | 1 << step.0)
    }

    /// The steps of either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The steps of both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether `step` is in this set.
    #[must_use]
    pub fn contains(self, step: StepIndex) -> bool {
        self.0 & (1 << step.0) != 0
    }

    /// Whether every step of this set is in `other`.
    #[must_use]
    pub fn is_subset_of(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Whether there is no step in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The steps, in the order of the definition.
    pub fn iter(self) -> impl Iterator<Item = StepIndex> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            if rest == 0 {
                return None;
            }
            #[expect(clippy::cast_possible_truncation, reason = "a bit position is under 64")]
            let step = rest.trailing_zeros() as u8;
            rest &= rest - 1;
            Some(StepIndex(step))
        })
    }
}

impl FromIterator<StepIndex> for StepSet {
    fn from_iter<I: IntoIterator<Item = StepIndex>>(steps: I) -> Self {
        steps.into_iter().fold(Self::EMPTY, Self::with)
    }
}

/// The part of a saga definition that decisions depend on.
///
/// Immutable once registered; every saga pins the version that it was started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Its name, as in `place-order`.
    pub name: String,
    /// Its version, from 1.
    pub version: u32,
    /// How long a saga may take from its start until its pivot, in milliseconds. One
    /// that takes longer turns back. `None`: for ever.
    pub deadline_ms: Option<u64>,
    /// The steps. The order is for people; what runs when is said by [`Step::after`].
    pub steps: Vec<Step>,
}

/// One step: how it comes about, and what undoes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its name, unique in the definition: `^[a-z][a-z0-9_]{0,63}$`.
    pub name: String,
    /// How it comes to be applied.
    pub kind: StepKind,
    /// The steps that must be applied or skipped before this one begins.
    pub after: StepSet,
    /// Whether the step has a condition: it may be skipped.
    pub conditional: bool,
    /// Whether the saga goes only forward once this step is applied. Of several pivots exactly
    /// one runs: their conditions exclude each other.
    pub pivot: bool,
    /// Of one of several pivots: the steps that are surely skipped where it is not, by their
    /// conditions.
    pub excludes: StepSet,
    /// Whether there is a call that undoes it. Where there is none, an applied step is
    /// left as it is when the saga turns back.
    pub compensable: bool,
    /// Whether the compensation has a condition: the effect may be kept on the way back.
    pub compensation_conditional: bool,
    /// What to do about a call of the action whose outcome stays unknown.
    pub on_unknown: OnUnknown,
    /// How long an attempt of the action may be under way, in milliseconds. A participant
    /// that keeps no operation log may be met by it for as long.
    pub timeout_ms: u64,
    /// When the action is tried again.
    pub retry: RetryPolicy,
    /// When the compensation is tried again. Compensations have no last attempt:
    /// behind [`RetryPolicy::attempts_max`] the saga is shown as stuck and goes on.
    pub compensation_retry: RetryPolicy,
    /// When an inquiry is repeated (S3-18). Inquiries have no last attempt either.
    pub resolve_retry: RetryPolicy,
}

/// How a step comes to be applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StepKind {
    /// Its action is called.
    #[default]
    Call,
    /// A signal from outside is awaited and judged. `None`: for as long as the saga may take.
    Wait { timer: Option<Timer> },
    /// The client brought the effect along: it is applied from the start, and only undone.
    Given,
}

/// How long a step waits for its signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    /// From the moment the step begins to wait, in milliseconds.
    pub after_ms: u64,
    /// What the end of the time means.
    pub then: OnTimeout,
}

/// What it means that no signal came in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTimeout {
    /// The step is applied, without a reply.
    Accept,
    /// The step is refused.
    Refuse,
}

/// How the unknown outcome of an action is settled when the engine has to decide
/// whether to go on or to turn back. Until then the action is simply called again: the
/// same operation id makes that safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnknown {
    /// Ask the participant, and let it fence the operation.
    #[default]
    Resolve,
    /// Call again until the answer is definite. For a participant without an inquiry
    /// whose action is idempotent. A refusal is no definite answer while an earlier attempt
    /// may have had its effect. Behind the last attempt the saga is shown as stuck.
    Retry,
    /// As [`OnUnknown::Retry`], and where a refusal meets a doubt, the step is undone as if it
    /// had been applied. For a compensation that does no harm where there is no effect.
    FinishThenUndo,
    /// Never call again by itself: a person settles it.
    Park,
}

/// When a call is made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Longest pause after the first attempt, in milliseconds.
    pub delay_first_ms: u64,
    /// What the pause is multiplied with after each attempt, in thousandths: 2000 doubles it.
    pub factor_permille: u32,
    /// Upper bound of the pause, in milliseconds.
    pub delay_max_ms: u64,
    /// Whether the pause is a random part of its length ("full jitter") or all of it.
    pub jitter: Jitter,
    /// Attempts after which an action is given up and a compensation is shown as stuck.
    pub attempts_max: u32,
}

/// How much of a pause is left to chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jitter {
    /// Nothing: the pause is as long as computed.
    None,
    /// Everything: the pause is evenly distributed between 0 and its computed length.
    Full,
}

impl RetryPolicy {
    /// For actions: 8 attempts, from 100 ms to 30 s.
    pub const ACTION: Self = Self {
        delay_first_ms: 100,
        factor_permille: 2000,
        delay_max_ms: 30_000,
        jitter: Jitter::Full,
        attempts_max: 8,
    };

    /// For compensations and for steps after the pivot: shown as stuck after 10 attempts.
    pub const COMPENSATION: Self = Self { attempts_max: 10, ..Self::ACTION };

    /// For inquiries: 15 s, 30 s, 60 s and so on up to 10 minutes (S3-18).
    pub const RESOLVE: Self = Self {
        delay_first_ms: 15_000,
        factor_permille: 2000,
        delay_max_ms: 600_000,
        jitter: Jitter::Full,
        attempts_max: 6,
    };

    /// Pause after attempt number `attempt` (from 1), in milliseconds.
    ///
    /// `dice` is where jitter comes from: any number that differs between sagas.
    #[must_use]
    pub fn delay_ms_after(&self, attempt: u32, dice: u64) -> u64 {
        let longest_ms = self.longest_ms_after(attempt);
        match self.jitter {
            Jitter::None => longest_ms,
            Jitter::Full => {
                let part = u128::from(longest_ms) * u128::from(dice) / u128::from(u64::MAX);
                u64::try_from(part).unwrap_or(longest_ms)
            }
        }
    }

    /// Pause after answer number `answer` (from 1) that left things as they were, in
    /// milliseconds. Behind the last attempt that the policy counts it doubles on and on,
    /// whatever the policy's bound: what did not help for so long is tried ever more rarely.
    #[must_use]
    pub fn rest_ms_after(&self, answer: u32, dice: u64) -> u64 {
        match answer.checked_sub(self.attempts_max) {
            Some(beyond) if beyond > 0 => self.rest_ms_beyond(beyond),
            _ => self.delay_ms_after(answer, dice),
        }
    }

    /// The policy's longest pause, doubled so often, up to [`REST_MS_MAX`]; longer only where
    /// the policy itself says so.
    #[must_use]
    pub fn rest_ms_beyond(&self, doublings: u32) -> u64 {
        let first_ms = self.delay_max_ms.max(1);
        let doubled_ms = 1_u64.checked_shl(doublings).and_then(|it| first_ms.checked_mul(it));
        doubled_ms.unwrap_or(u64::MAX).min(REST_MS_MAX.max(self.delay_max_ms))
    }

    /// The pause without jitter. Grows by the factor from attempt to attempt up to the
    /// bound, and never overflows.
    #[must_use]
    pub fn longest_ms_after(&self, attempt: u32) -> u64 {
        let mut delay_ms = self.delay_first_ms.min(self.delay_max_ms);
        for _ in 1..attempt {
            if delay_ms >= self.delay_max_ms {
                break;
            }
            let grown = u128::from(delay_ms) * u128::from(self.factor_permille) / 1000;
            let grown = u64::try_from(grown).unwrap_or(u64::MAX);
            if grown <= delay_ms {
                break;
            }
            delay_ms = grown.min(self.delay_max_ms);
        }
        delay_ms
    }
}

impl Definition {
    /// The step at `index`.
    ///
    /// # Panics
    ///
    /// Where `index` is not of this definition: state and definition were mixed up.
    #[must_use]
    pub fn step(&self, index: StepIndex) -> &Step {
        &self.steps[index.at()]
    }

    /// All step positions, in the order of the definition.
    pub fn indices(&self) -> impl Iterator<Item = StepIndex> + use<> {
        let count = u8::try_from(self.steps.len().min(STEPS_MAX)).unwrap_or(0);
        (0..count).map(StepIndex)
    }

    /// The position of the step with this name.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<StepIndex> {
        self.indices().find(|index| self.step(*index).name == name)
    }

    /// The pivots: none, one, or several of which exactly one runs.
    #[must_use]
    pub fn pivots(&self) -> StepSet {
        self.indices().filter(|index| self.step(*index).pivot).collect()
    }

    /// The steps that wait for `index`, directly.
    #[must_use]
    pub fn dependants(&self, index: StepIndex) -> StepSet {
        self.indices().filter(|other| self.step(*other).after.contains(index)).collect()
    }

    /// Whether `index` comes after a pivot: it depends on it, directly or not, and is not one of
    /// the steps that run only where that pivot is skipped.
    #[must_use]
    pub fn is_after_pivot(&self, index: StepIndex) -> bool {
        let mut before = self.ancestors(index).intersection(self.pivots()).iter();
        before.any(|pivot| !self.step(pivot).excludes.contains(index))
    }

    /// The calls that come after the pivot.
    pub(crate) fn called_behind_pivot(&self) -> impl Iterator<Item = StepIndex> {
        self.indices()
            .filter(|index| self.step(*index).kind == StepKind::Call && self.is_after_pivot(*index))
    }

    /// Every step that `index` waits for, directly or not.
    #[must_use]
    pub fn ancestors(&self, index: StepIndex) -> StepSet {
        let mut known = self.step(index).after;
        loop {
            let wider = known.iter().fold(known, |set, step| set.union(self.step(step).after));
            if wider == known {
                return known;
            }
            known = wider;
        }
    }
}
