//! Chance that can be repeated: everything random follows from one number.

/// A generator of numbers (SplitMix64; Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// The dice of `seed`.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Any number.
    pub fn roll(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        finish(self.state)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.roll() % (high - low + 1)
    }

    /// True in `permille` of 1,000 cases.
    pub fn chance(&mut self, permille: u64) -> bool {
        self.roll() % 1_000 < permille
    }

    /// One of `from`, which must not be empty.
    ///
    /// # Panics
    ///
    /// Where `from` is empty.
    pub fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        let index = self.roll() % from.len() as u64;
        &from[usize::try_from(index).unwrap()]
    }
}

/// A number that depends on `seed` and on all of `parts`, and on nothing else: what happens
/// to a message must not depend on which message was sent before it.
#[must_use]
pub fn mixed(seed: u64, parts: &[u64]) -> u64 {
    parts.iter().fold(finish(seed), |sum, part| finish(sum.rotate_left(17) ^ part))
}

/// A number for a name (FNV-1a).
#[must_use]
pub fn number_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn finish(mut mixed: u64) -> u64 {
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
