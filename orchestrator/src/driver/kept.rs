//! What sagas keep of their payloads in memory, over all that this node drives. Each may be let
//! go while a call of its saga is out: the log has it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Payloads of one saga that are kept in memory while a call of it is out, in bytes.
const OF_ONE_MAX: usize = 64 * 1024;

/// What all sagas keep, in bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Payloads {
    bytes: Arc<AtomicUsize>,
}

/// What one saga keeps. It is counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Kept {
    all: Payloads,
    bytes: usize,
    /// Whether its state is without its payloads.
    pub(super) slim: bool,
}

impl Payloads {
    /// What all sagas keep, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// A saga that is not counted yet.
    pub(super) fn of_a_saga(&self) -> Kept {
        Kept { all: self.clone(), bytes: 0, slim: false }
    }
}

impl Kept {
    /// Counts what the saga keeps now. True where it is to be let go: it is much by itself, or
    /// all sagas keep more than `bytes_max` with it.
    pub(super) fn is_too_much(&mut self, bytes: usize, bytes_max: usize) -> bool {
        self.count(bytes);
        0 < bytes && (OF_ONE_MAX < bytes || bytes_max < self.all.bytes())
    }

    /// The saga keeps nothing any more.
    pub(super) fn let_go(&mut self) {
        self.count(0);
        self.slim = true;
    }

    fn count(&mut self, bytes: usize) {
        self.all.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.all.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.count(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_when_all_keep_enough_keeps_nothing() {
        let all = Payloads::default();
        let [mut first, mut second, mut large] = [(); 3].map(|()| all.of_a_saga());
        assert!(!first.is_too_much(600, 1_000));
        assert!(second.is_too_much(600, 1_000));
        second.let_go();
        assert!(second.slim && !first.slim);
        assert_eq!(all.bytes(), 600);
        // What it is grows and shrinks; it is counted once.
        assert!(!first.is_too_much(900, 1_000));
        assert!(!first.is_too_much(100, 1_000));
        assert!(!second.is_too_much(0, 0), "there is nothing to let go");
        assert!(large.is_too_much(OF_ONE_MAX + 1, usize::MAX));
        large.let_go();
        drop(first);
        assert_eq!(all.bytes(), 0);
    }
}
