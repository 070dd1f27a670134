//! How long a breaker waits, and the jitter of it.

/// How a breaker waits, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    /// The pause before the first ping of an outage. It doubles from ping to ping.
    pub ping_first_ms: u64,
    /// The longest pause between two pings of a participant that is silent.
    pub ping_max_ms: u64,
    /// The longest pause where pings are answered and calls are not. Where it is only callers
    /// whose calls were not answered before either, it is `ping_max_ms`.
    pub relapse_max_ms: u64,
    /// From the ping that was answered to the first wave: time to fetch those who come first.
    pub gather_ms: u64,
    /// The longest pause between two waves. It is drawn by lot.
    pub wave_ms: u64,
}

impl Timing {
    /// What a node uses.
    pub const USUAL: Self = Self {
        ping_first_ms: 250,
        ping_max_ms: 5_000,
        relapse_max_ms: 60_000,
        gather_ms: 250,
        wave_ms: 50,
    };
}

/// Between a half and the whole of `longest_ms`.
pub(crate) fn jittered(dice: &mut u64, longest_ms: u64) -> u64 {
    longest_ms / 2 + drawn(dice, longest_ms - longest_ms / 2)
}

/// Between 0 and `longest_ms`.
pub(crate) fn drawn(dice: &mut u64, longest_ms: u64) -> u64 {
    if longest_ms == 0 {
        return 0;
    }
    // SplitMix64 (Steele, Lea, Flood 2014).
    *dice = dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *dice;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) % (longest_ms + 1)
}
