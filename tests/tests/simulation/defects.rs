//! The oracle is tested by breaking things: each mistake that is made on purpose is found by
//! some seed.

use saga_tests::sim::fault::Defect;

use crate::course::run;

/// Seeds within which a mistake must be found.
const SEEDS_MAX: u64 = 150;

#[test]
fn every_defect_is_found() {
    for defect in Defect::ALL {
        let broken = (0..SEEDS_MAX).map(|seed| run(seed, Some(defect)));
        let broken = broken.into_iter().find(|story| !story.violations.is_empty());
        let story = broken.unwrap_or_else(|| panic!("{defect:?}: {SEEDS_MAX} seeds are blind"));
        println!("{defect:?} is found by seed {}: {}", story.seed, story.violations[0]);
    }
}
