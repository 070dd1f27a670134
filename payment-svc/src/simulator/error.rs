//! Why the simulator did not do something.

use super::{file, lane::LaneError};

/// Why the simulator did not do something.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The file cannot be opened as one of the simulator.
    #[error("simulator: {operation}")]
    Open {
        /// What was tried.
        operation: &'static str,
        /// Why it did not work.
        source: sqlx::Error,
    },

    /// A newer program wrote the file. Use that program, or another file.
    #[error(
        "simulator: the file has schema version {found}, this program knows {}",
        file::SCHEMA_VERSION
    )]
    SchemaUnknown {
        /// The file's version.
        found: i64,
    },

    /// The file could not be written. Nobody knows whether the change happened.
    #[error("simulator: the file cannot be written")]
    Write,

    /// The file could not be read.
    #[error("simulator: the file cannot be read")]
    Read {
        /// Why.
        source: sqlx::Error,
    },

    /// A payment breaks a limit. Nothing was opened.
    #[error("payment `{payment_key}`: key, order number, amount or fault script is not valid")]
    SessionInvalid {
        /// Its key.
        payment_key: String,
    },

    /// A payment of this key exists for another order or amount.
    #[error("payment `{payment_key}` exists for another order or amount")]
    SessionConflict {
        /// Its key.
        payment_key: String,
    },

    /// A fault has a status that is none, or something is declined that is asked for no
    /// money; or webhooks go nowhere, or too often. Nothing was planned or sent.
    #[error(
        "a fault's status is not between 500 and 599, a look-up is declined, or a webhook's url \
         or number of copies is not valid"
    )]
    ScriptInvalid,

    /// The clock would leave its range. It was not moved.
    #[error("the clock cannot be moved that far")]
    ClockRange,
}

impl From<LaneError> for SimulatorError {
    fn from(LaneError: LaneError) -> Self {
        Self::Write
    }
}
