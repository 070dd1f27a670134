//! Every run of small sagas whose log loses its last rows at some moment, whatever their
//! definitions say of unknown outcomes: participants remember what the log has forgotten, and
//! most of these cannot be asked.
//!
//! The other walks of this crate know the network better; here calls are answered at once, or
//! their answer is lost.

mod choices;
mod run;

use saga_core::{Definition, Jitter, OnUnknown, RetryPolicy, Step, StepIndex, StepKind, StepSet};

use crate::{
    choices::Choices,
    run::{End, Run},
};

/// Far behind every pause of a run: it passes only where the walk says so.
pub(crate) const DEADLINE_MS: u64 = 1_000_000;

/// a, b, the pivot p, and c behind it.
fn in_a_row() -> Vec<Step> {
    let c = Step { compensable: false, ..step("c", &[2]) };
    vec![step("a", &[]), step("b", &[0]), pivot(step("p", &[1])), c]
}

/// a, the wait w, the pivot p, and c.
fn behind_a_wait() -> Vec<Step> {
    let c = Step { compensable: false, ..step("c", &[2]) };
    vec![step("a", &[]), wait("w", &[0]), pivot(step("p", &[1])), c]
}

/// a, the wait w, which is the pivot, and c.
fn a_wait_is_the_pivot() -> Vec<Step> {
    let c = Step { compensable: false, ..step("c", &[1]) };
    vec![step("a", &[]), pivot(wait("w", &[0])), c]
}

/// a and b side by side, then c. No pivot; b has a condition.
fn side_by_side() -> Vec<Step> {
    let b = Step { conditional: true, ..step("b", &[]) };
    vec![step("a", &[]), b, step("c", &[0, 1])]
}

/// A saga that completes has every effect once, a saga that is compensated has none, nobody is
/// called twice who may not be, and a person is needed only where nobody else can tell.
#[test]
fn whatever_rows_are_lost_nothing_is_forgotten_and_nothing_happens_twice() {
    let shapes = [
        ("in a row", in_a_row()),
        ("behind a wait", behind_a_wait()),
        ("a wait is the pivot", a_wait_is_the_pivot()),
        ("side by side", side_by_side()),
    ];
    let mut report = String::new();
    for (name, steps) in shapes {
        for on_unknown in
            [OnUnknown::Resolve, OnUnknown::Retry, OnUnknown::FinishThenUndo, OnUnknown::Park]
        {
            // What a pivot did is never undone in doubt; the check of definitions says so too.
            let of = |step: Step| match (step.pivot, on_unknown) {
                (true, OnUnknown::FinishThenUndo) => Step { on_unknown: OnUnknown::Retry, ..step },
                _ => Step { on_unknown, ..step },
            };
            let steps = steps.iter().cloned().map(of).collect();
            let definition =
                Definition { name: name.to_owned(), version: 1, deadline_ms: None, steps };
            report.push_str(&format!("{name}, {on_unknown:?}: {}\n", walked(&definition, 1)));
        }
        // All but the pivot, or what is behind it, can be asked.
        for on_unknown in [OnUnknown::Retry, OnUnknown::Park] {
            let left = |step: Step| match step.pivot || !step.compensable {
                true => Step { on_unknown, ..step },
                false => step,
            };
            let steps = steps.iter().cloned().map(left).collect();
            let (name, deadline_ms) = (name.to_owned(), Some(DEADLINE_MS));
            let definition = Definition { name, version: 1, deadline_ms, steps };
            let name = &definition.name;
            report
                .push_str(&format!("{name}, {on_unknown:?} at last: {}\n", walked(&definition, 1)));
        }
    }
    insta::assert_snapshot!("walked", report);
}

/// What the first loss had asked is lost with the second.
#[test]
fn whatever_is_lost_twice_nothing_is_forgotten_and_nothing_happens_twice() {
    let shapes = [("in a row", in_a_row()), ("a wait is the pivot", a_wait_is_the_pivot())];
    let report = shapes.map(|(name, steps)| {
        let definition = Definition { name: name.to_owned(), version: 1, deadline_ms: None, steps };
        format!("{name}: {}\n", walked(&definition, 2))
    });
    insta::assert_snapshot!("walked_twice", report.concat());
}

/// How many runs there are, and how they end.
fn walked(definition: &Definition, losses: u64) -> String {
    let (mut completed, mut compensated, mut by_hand) = (0, 0, 0);
    let mut choices = Choices::default();
    loop {
        let mut run = Run::new(definition, losses);
        match run.play(&mut choices) {
            Ok(End { is_completed: true, .. }) => completed += 1,
            Ok(End { is_completed: false, .. }) => compensated += 1,
            Err(wrong) => panic!("{}: {wrong}\n{run}", definition.name),
        }
        by_hand += usize::from(run.needed_a_person());
        if !choices.go_on() {
            return format!("{completed} completed, {compensated} compensated, {by_hand} by hand");
        }
    }
}

fn pivot(step: Step) -> Step {
    Step { pivot: true, compensable: false, ..step }
}

fn wait(name: &str, after: &[u8]) -> Step {
    Step { kind: StepKind::Wait { timer: None }, compensable: false, ..step(name, after) }
}

fn step(name: &str, after: &[u8]) -> Step {
    let policy = RetryPolicy {
        delay_first_ms: 1,
        factor_permille: 1_000,
        delay_max_ms: 1,
        jitter: Jitter::None,
        attempts_max: 2,
    };
    Step {
        name: name.to_owned(),
        kind: StepKind::Call,
        after: after.iter().copied().map(StepIndex).collect(),
        conditional: false,
        pivot: false,
        excludes: StepSet::EMPTY,
        compensable: true,
        compensation_conditional: false,
        on_unknown: OnUnknown::Resolve,
        timeout_ms: 1,
        retry: policy,
        compensation_retry: policy,
        resolve_retry: policy,
    }
}
