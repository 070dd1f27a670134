//! The hash of worlds. Half of an exploration is hashing, and nobody attacks it: two
//! multiplications a word are enough.

use std::hash::Hasher;

/// A hasher that folds the 128-bit product of each word with a constant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mixer(u64);

// The fractions of pi.
const SEED: u64 = 0x243f_6a88_85a3_08d3;
const FIRST: u64 = 0x1319_8a2e_0370_7345;
const SECOND: u64 = 0xa409_3822_299f_31d1;

impl Default for Mixer {
    fn default() -> Self {
        Self(SEED)
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(u64::from(word));
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = folded(self.0 ^ word, FIRST).rotate_left(23);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.write(&word.to_le_bytes());
    }

    fn finish(&self) -> u64 {
        folded(self.0, SECOND) ^ self.0
    }
}

fn folded(word: u64, by: u64) -> u64 {
    let [low, high] = halves(u128::from(word) * u128::from(by));
    low ^ high
}

#[expect(clippy::cast_possible_truncation, reason = "that is what a half is")]
fn halves(product: u128) -> [u64; 2] {
    [product as u64, (product >> 64) as u64]
}
