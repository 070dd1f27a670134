//! What is configured under `[service]`. Every key is explained in
//! `deploy/config/inventory.toml`.

use saga_participant::{LaneLimits, Patience};
use serde::Deserialize;

use crate::stock::Guard;

/// The service's own part of the configuration.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How changes of the same stock are kept apart.
    pub stock: StockConfig,
}

/// How changes of the same stock are kept apart. Whatever is chosen, the results are the
/// same; what differs is who waits, and where.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StockConfig {
    /// Which way.
    pub strategy: Strategy,
    /// `optimistic`: how often a transaction is tried before PLEASE_RETRY.
    pub attempts_max: u32,
    /// `optimistic`: the pause between two tries of Reserve, Decrease and Commit.
    pub order_pause_ms: u64,
    /// `optimistic`: the pause between two tries of SetStock, Restock and Release.
    pub set_pause_ms: u64,
    /// `micro-batch`: reservations in one transaction.
    pub batch_max: u32,
    /// `micro-batch`: reservations that may wait for the next transaction. Further ones
    /// are refused with OVERLOADED.
    pub batch_waiting_max: u32,
}

/// How changes of the same stock are kept apart.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Rows are locked, in one order, before they are read.
    #[default]
    RowLocks,
    /// Rows are read without a lock, and written where their version is still the one
    /// that was read. Else the transaction is tried again.
    Optimistic,
    /// As row locks; and reservations that wait go together in one transaction.
    MicroBatch,
}

impl Default for StockConfig {
    /// The pauses are those of S1-13.
    fn default() -> Self {
        Self {
            strategy: Strategy::RowLocks,
            attempts_max: 3,
            order_pause_ms: 100,
            set_pause_ms: 300,
            batch_max: 64,
            batch_waiting_max: 1_024,
        }
    }
}

impl StockConfig {
    /// Looks whether it can be served.
    ///
    /// # Errors
    ///
    /// A sentence that names the key and what it may be.
    pub fn check(self) -> anyhow::Result<()> {
        let numbers = [
            ("attempts_max", self.attempts_max),
            ("batch_max", self.batch_max),
            ("batch_waiting_max", self.batch_waiting_max),
        ];
        for (key, value) in numbers {
            anyhow::ensure!(1 <= value, "service.stock.{key} is {value}: write at least 1");
        }
        Ok(())
    }

    pub(crate) fn guard(self) -> Guard {
        match self.strategy {
            Strategy::RowLocks | Strategy::MicroBatch => Guard::Locks,
            Strategy::Optimistic => Guard::Versions,
        }
    }

    /// How patient Reserve, Decrease and Commit are.
    pub(crate) fn order_patience(self) -> Patience {
        self.patience(self.order_pause_ms)
    }

    /// How patient SetStock, Restock and Release are.
    pub(crate) fn set_patience(self) -> Patience {
        self.patience(self.set_pause_ms)
    }

    /// Who waits for a lock is woken, and tries no more: `lock_wait_max_ms` is its patience.
    fn patience(self, pause_ms: u64) -> Patience {
        match self.guard() {
            Guard::Locks => Patience::ONCE,
            Guard::Versions => Patience { attempts_max: self.attempts_max, pause_ms },
        }
    }

    /// The limits of the lane of reservations, where they have one.
    pub(crate) fn lane(self) -> Option<LaneLimits> {
        let Self { batch_max, batch_waiting_max: waiting_max, .. } = self;
        (self.strategy == Strategy::MicroBatch).then_some(LaneLimits { batch_max, waiting_max })
    }
}
