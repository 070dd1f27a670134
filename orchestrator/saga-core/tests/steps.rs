//! Sets of steps, compared with sets of numbers.

use std::collections::BTreeSet;

use saga_core::{StepIndex, StepSet};

/// Steps of every kind of place: the first, the last, neighbours.
const STEPS: [u8; 6] = [0, 1, 2, 31, 32, 63];

fn sets() -> impl Iterator<Item = (StepSet, BTreeSet<u8>)> {
    (0..1 << STEPS.len()).map(|chosen: u32| {
        let numbers: BTreeSet<u8> =
            (0..STEPS.len()).filter(|at| chosen & (1 << at) != 0).map(|at| STEPS[at]).collect();
        let set = numbers.iter().fold(StepSet::EMPTY, |set, number| {
            // Twice is as good as once.
            set.with(StepIndex(*number)).with(StepIndex(*number))
        });
        (set, numbers)
    })
}

#[test]
fn a_set_of_steps_is_a_set() {
    for (set, numbers) in sets() {
        let listed: Vec<u8> = set.iter().map(|step| step.0).collect();
        assert!(listed.iter().eq(&numbers), "{listed:?}");
        assert_eq!(set.is_empty(), numbers.is_empty());
        for number in 0..64 {
            assert_eq!(set.contains(StepIndex(number)), numbers.contains(&number));
        }
    }
}

#[test]
fn sets_of_steps_are_joined_cut_and_compared() {
    let steps = |set: StepSet| -> BTreeSet<u8> { set.iter().map(|step| step.0).collect() };
    for (one, one_numbers) in sets() {
        for (other, other_numbers) in sets() {
            assert_eq!(steps(one.union(other)), &one_numbers | &other_numbers);
            assert_eq!(steps(one.intersection(other)), &one_numbers & &other_numbers);
            assert_eq!(one.is_subset_of(other), one_numbers.is_subset(&other_numbers));
        }
    }
}

#[test]
fn a_step_is_shown_by_its_place() {
    assert_eq!(StepIndex(12).to_string(), "12");
}
