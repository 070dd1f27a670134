//! The arithmetic of a policy.

use saga_core::{Jitter, RetryPolicy};

use crate::fixture::PLAIN;

#[test]
fn the_pause_grows_by_the_factor_up_to_its_bound() {
    let pauses: Vec<u64> = (1..=11).map(|it| RetryPolicy::ACTION.longest_ms_after(it)).collect();
    let expected = [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000];
    assert_eq!(pauses, expected);
}

#[test]
fn a_factor_may_be_a_fraction() {
    let policy = RetryPolicy { factor_permille: 1500, ..PLAIN };
    let pauses: Vec<u64> = (1..=8).map(|it| policy.longest_ms_after(it)).collect();
    assert_eq!(pauses, [100, 150, 225, 337, 505, 757, 1_000, 1_000]);
}

#[test]
fn a_factor_of_one_or_less_never_shortens_the_pause() {
    for factor_permille in [0, 500, 999, 1000] {
        let policy = RetryPolicy { factor_permille, ..PLAIN };
        assert_eq!(policy.longest_ms_after(50), 100);
    }
}

#[test]
fn the_first_pause_is_bounded_too() {
    let policy = RetryPolicy { delay_first_ms: 5_000, ..PLAIN };
    assert_eq!(policy.longest_ms_after(1), 1_000);
}

#[test]
fn no_number_overflows() {
    let vast = RetryPolicy {
        delay_first_ms: u64::MAX / 2,
        factor_permille: u32::MAX,
        delay_max_ms: u64::MAX,
        jitter: Jitter::Full,
        attempts_max: u32::MAX,
    };
    assert_eq!(vast.longest_ms_after(2), u64::MAX);
    assert_eq!(vast.longest_ms_after(u32::MAX), u64::MAX);
    assert_eq!(vast.delay_ms_after(u32::MAX, u64::MAX), u64::MAX);
    let still = RetryPolicy { delay_first_ms: 0, ..vast };
    assert_eq!(still.longest_ms_after(u32::MAX), 0);
    assert_eq!(PLAIN.longest_ms_after(0), 100);
}

#[test]
fn full_jitter_reaches_from_nothing_to_the_whole_pause() {
    let policy = RetryPolicy { jitter: Jitter::Full, ..PLAIN };
    assert_eq!(policy.delay_ms_after(2, 0), 0);
    assert_eq!(policy.delay_ms_after(2, u64::MAX / 2), 99);
    assert_eq!(policy.delay_ms_after(2, u64::MAX), 200);
}

#[test]
fn without_jitter_the_dice_do_not_matter() {
    assert_eq!(PLAIN.delay_ms_after(2, 0), 200);
    assert_eq!(PLAIN.delay_ms_after(2, u64::MAX), 200);
}
