//! The threads on which everything runs.

use std::{io, num::NonZeroUsize, thread};

use tokio::runtime::{Builder, Runtime};

/// A runtime of so many threads, or of as many as suit the machine.
///
/// # Errors
///
/// The system refuses a thread, or what it takes to wait for sockets.
pub fn build(threads: Option<NonZeroUsize>) -> io::Result<Runtime> {
    let processors = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let mut builder = match threads.unwrap_or_else(|| suiting(processors)).get() {
        1 => Builder::new_current_thread(),
        several => {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(several);
            builder
        }
    };
    builder.enable_all().build()
}

/// A thread that is alone shares nothing: no locks, no memory that another one gives back, no
/// one to wake. On two processors it does as much as two threads, in half their time, and the
/// other one is the database's (`docs/performance.md`).
fn suiting(processors: NonZeroUsize) -> NonZeroUsize {
    if processors.get() <= 2 { NonZeroUsize::MIN } else { processors }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processors_have_one_thread_and_more_have_one_each() {
        let suiting = |processors| suiting(NonZeroUsize::new(processors).unwrap()).get();
        assert_eq!([1, 2, 3, 8].map(suiting), [1, 1, 3, 8]);
    }

    #[test]
    fn the_number_that_is_asked_for_stands() {
        for asked in [1, 3] {
            let runtime = build(NonZeroUsize::new(asked)).unwrap();
            assert_eq!(runtime.metrics().num_workers(), asked);
        }
    }
}
