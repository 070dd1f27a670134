//! How often an operation is tried where other transactions are in its way. The only
//! place that tries again (S1-16): an operation declares how often, and no more.

use std::{future::Future, time::Duration};

use crate::error::OperationError;

/// How often a transaction is tried, and the pause between. Only the local transaction is
/// tried again, never the saga's step (S1-12, S1-14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Tries, with the first. 1: a conflict goes to the caller as it is.
    pub attempts_max: u32,
    /// From the end of one try to the begin of the next. No transaction is open and no
    /// connection is held then.
    pub pause_ms: u64,
}

impl Patience {
    /// A conflict goes to the caller.
    pub const ONCE: Self = Self { attempts_max: 1, pause_ms: 0 };

    /// Tries until `attempt` ends in anything but a conflict, or has been made often
    /// enough: then PLEASE_RETRY. May be cancelled in a pause; nothing was done then.
    pub(crate) async fn keep<T, F>(
        self,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, OperationError>
    where
        F: Future<Output = Result<T, OperationError>>,
    {
        let Self { attempts_max, pause_ms } = self;
        let mut number = 1;
        loop {
            match attempt().await {
                Err(error) if error.is_conflict() && 1 < attempts_max => {
                    if attempts_max <= number {
                        return Err(OperationError::please_retry(number, pause_ms));
                    }
                }
                ended => return ended,
            }
            tracing::debug!(attempt = number, "others were in the way; trying again");
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            number += 1;
        }
    }
}
