//! The sagas that are walked.

use saga_core::next::LATE_MS;
use saga_core::{
    Definition, Jitter, OnTimeout, OnUnknown, RetryPolicy, Step, StepIndex, StepKind, Timer,
};

/// Every pause is this long, so that the states of a walk stay few.
pub(crate) const PAUSE_MS: u64 = 10;

/// How long a step waits for its signal: longer than a pause.
pub(crate) const TIMER_MS: u64 = 50;

/// Far behind every pause of a run: it passes only where the walker says so.
pub(crate) const DEADLINE_MS: u64 = 1_000_000;

/// How long the answer of a call is waited for: longer than a pause, so that the next one
/// overtakes it.
pub(crate) const CALL_MS: u64 = 15;

/// How long a call may be under way.
pub(crate) const ON_THE_WIRE_MS: u64 = CALL_MS + LATE_MS;

/// One saga, and how much may go wrong in one run of it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) definition: Definition,
    pub(crate) keeps: Keeps,
    pub(crate) misfortunes_max: u8,
}

/// What the participants of a saga keep of its operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Keeps {
    /// An operation log, and every refusal that is in it says so.
    Log,
    /// An operation log, which inquiries and compensations look into. A refusal may be made
    /// without it: "I have it already".
    LogAside,
    /// Nothing. A repeat may be refused although the first one took effect.
    Nothing,
}

/// What tells one case from another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) steps: fn() -> Vec<Step>,
}

/// a, b, and the pivot c.
pub(crate) const PIVOT_LAST: Shape = Shape { name: "pivot last", steps: pivot_last };

/// a, the pivot b, and c behind it.
pub(crate) const PIVOT_THEN_STEP: Shape = Shape { name: "pivot then step", steps: pivot_then_step };

/// a, then b and c side by side, then d. No pivot; b has a condition.
pub(crate) const DIAMOND: Shape = Shape { name: "diamond", steps: diamond };

/// a, then b on a condition, then c, then d, which nothing undoes. No pivot.
pub(crate) const CHAIN: Shape = Shape { name: "chain", steps: chain };

/// a, then one of two ways by conditions that exclude each other: the pivot p, or b and the pivot q;
/// then c.
pub(crate) const CHOICE: Shape = Shape { name: "choice of pivots", steps: choice };

/// The pivot and another step side by side: what the static check warns of.
pub(crate) const PIVOT_BESIDE: Shape = Shape { name: "pivot beside step", steps: pivot_beside };

/// An effect g that the client brought along, a, the wait w, and the pivot p. Without a
/// signal in time, w is refused; g and a are undone on a condition.
pub(crate) const WAIT: Shape = Shape { name: "wait", steps: wait_then_pivot };

/// a, then b beside the wait w, which has a condition and goes on without a signal; then
/// the pivot.
pub(crate) const WAIT_BESIDE: Shape = Shape { name: "wait beside step", steps: wait_beside };

/// a, the pivot b, the wait w without a timer, and c.
pub(crate) const WAIT_BEHIND: Shape = Shape { name: "wait behind pivot", steps: wait_behind };

/// a, the wait w, which is the pivot, and c.
pub(crate) const WAIT_IS_PIVOT: Shape = Shape { name: "wait is pivot", steps: wait_is_pivot };

pub(crate) fn all() -> Vec<Case> {
    use OnUnknown::{FinishThenUndo, Park, Resolve, Retry};
    let mut cases = Vec::new();
    for shape in [PIVOT_LAST, PIVOT_THEN_STEP] {
        cases.push(shape.case(Resolve, 1, 3));
        cases.push(shape.case(Resolve, 2, 3));
        cases.extend([Retry, Park].map(|policy| shape.case(policy, 1, 3)));
        cases.push(shape.case(FinishThenUndo, 1, 2));
    }
    cases.push(PIVOT_LAST.case(Resolve, 2, 3).keeping(Keeps::Log));
    cases.push(DIAMOND.case(Resolve, 1, 2));
    cases.extend([Retry, Park].map(|policy| DIAMOND.case(policy, 1, 2)));
    cases.push(CHAIN.case(Resolve, 1, 2));
    cases.push(CHOICE.case(Resolve, 1, 2));
    cases.push(CHOICE.case(Park, 1, 2));
    cases.push(PIVOT_BESIDE.case(Resolve, 1, 2));
    let waits = [WAIT, WAIT_BESIDE, WAIT_BEHIND, WAIT_IS_PIVOT];
    cases.extend(waits.map(|shape| shape.case(Resolve, 1, 2)));
    cases
}

impl Shape {
    pub(crate) fn case(self, on_unknown: OnUnknown, attempts_max: u32, misfortunes: u8) -> Case {
        let policy = RetryPolicy {
            delay_first_ms: PAUSE_MS,
            factor_permille: 1000,
            delay_max_ms: PAUSE_MS,
            jitter: Jitter::None,
            attempts_max,
        };
        let steps = (self.steps)().into_iter().map(|step| Step {
            on_unknown,
            timeout_ms: CALL_MS,
            retry: policy,
            compensation_retry: policy,
            resolve_retry: policy,
            ..step
        });
        let definition = Definition {
            name: self.name.to_owned(),
            version: 1,
            deadline_ms: Some(DEADLINE_MS),
            steps: steps.collect(),
        };
        let name = format!("{}, {on_unknown:?}, {attempts_max} of {misfortunes}", self.name);
        let keeps = match on_unknown {
            OnUnknown::Resolve => Keeps::LogAside,
            OnUnknown::Retry | OnUnknown::FinishThenUndo | OnUnknown::Park => Keeps::Nothing,
        };
        Case { name, definition, keeps, misfortunes_max: misfortunes }
    }
}

impl Case {
    pub(crate) fn keeping(self, keeps: Keeps) -> Self {
        Self { name: format!("{}, {keeps:?}", self.name), keeps, ..self }
    }
}

fn pivot_last() -> Vec<Step> {
    vec![step("a", &[]), step("b", &[0]), pivot("c", &[1])]
}

fn pivot_then_step() -> Vec<Step> {
    vec![step("a", &[]), pivot("b", &[0]), Step { compensable: false, ..step("c", &[1]) }]
}

fn diamond() -> Vec<Step> {
    let b = Step { conditional: true, ..step("b", &[0]) };
    vec![step("a", &[]), b, step("c", &[0]), step("d", &[1, 2])]
}

fn chain() -> Vec<Step> {
    let b = Step { conditional: true, ..step("b", &[0]) };
    let d = Step { compensable: false, ..step("d", &[2]) };
    vec![step("a", &[]), b, step("c", &[1]), d]
}

fn choice() -> Vec<Step> {
    let excludes = |of: &[u8]| of.iter().copied().map(StepIndex).collect();
    let conditional = |step| Step { conditional: true, ..step };
    vec![
        step("a", &[]),
        conditional(Step { excludes: excludes(&[2, 3]), ..pivot("p", &[0]) }),
        conditional(step("b", &[0])),
        conditional(Step { excludes: excludes(&[1]), ..pivot("q", &[2]) }),
        Step { compensable: false, ..step("c", &[1, 3]) },
    ]
}

fn pivot_beside() -> Vec<Step> {
    vec![step("a", &[]), pivot("b", &[0]), step("c", &[0])]
}

fn wait_then_pivot() -> Vec<Step> {
    let conditional = |step| Step { compensation_conditional: true, ..step };
    let given = Step { kind: StepKind::Given, ..step("g", &[]) };
    vec![
        conditional(given),
        conditional(step("a", &[0])),
        wait("w", &[1], Some(OnTimeout::Refuse)),
        pivot("p", &[2]),
    ]
}

fn wait_beside() -> Vec<Step> {
    let w = Step { conditional: true, ..wait("w", &[0], Some(OnTimeout::Accept)) };
    vec![step("a", &[]), step("b", &[0]), w, pivot("p", &[1, 2])]
}

fn wait_behind() -> Vec<Step> {
    let c = Step { compensable: false, ..step("c", &[2]) };
    vec![step("a", &[]), pivot("b", &[0]), wait("w", &[1], None), c]
}

fn wait_is_pivot() -> Vec<Step> {
    let w = Step { pivot: true, ..wait("w", &[0], Some(OnTimeout::Refuse)) };
    vec![step("a", &[]), w, Step { compensable: false, ..step("c", &[1]) }]
}

fn wait(name: &str, after: &[u8], then: Option<OnTimeout>) -> Step {
    let timer = then.map(|then| Timer { after_ms: TIMER_MS, then });
    Step { kind: StepKind::Wait { timer }, compensable: false, ..step(name, after) }
}

fn pivot(name: &str, after: &[u8]) -> Step {
    Step { pivot: true, compensable: false, ..step(name, after) }
}

fn step(name: &str, after: &[u8]) -> Step {
    Step {
        name: name.to_owned(),
        kind: StepKind::Call,
        after: after.iter().copied().map(StepIndex).collect(),
        conditional: false,
        pivot: false,
        excludes: saga_core::StepSet::EMPTY,
        compensable: true,
        compensation_conditional: false,
        on_unknown: OnUnknown::Resolve,
        timeout_ms: CALL_MS,
        retry: RetryPolicy::ACTION,
        compensation_retry: RetryPolicy::COMPENSATION,
        resolve_retry: RetryPolicy::RESOLVE,
    }
}
