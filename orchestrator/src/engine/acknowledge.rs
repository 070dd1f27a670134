//! What a person says of a log that went back in time: that it goes on.

use saga_log::{Asked, EpochRow, StoreError};

use crate::engine::Engine;

/// Why a restore was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum AcknowledgeError {
    /// The log did not go back, or somebody else has acknowledged it. Nothing was done.
    #[error("nothing is to be acknowledged")]
    Nothing,
    /// The log is in another epoch than was looked at. Look again; nothing was done.
    #[error("the log is in epoch {epoch} now")]
    MovedOn { expected: u64, epoch: u64 },
    /// The request id is that of another acknowledgement. Take another one; nothing was done.
    #[error("the request id is that of epoch {epoch}")]
    RequestIdReused { epoch: u64 },
    /// The log cannot be asked or written. It may have been done.
    #[error("the log cannot be written")]
    Log(#[from] StoreError),
}

impl Engine {
    /// Goes on with a log that went back in time: a new epoch begins, with who asked for it on
    /// record. What was lost is lost. Answers the epoch, also where the request was sent before.
    ///
    /// # Errors
    ///
    /// [`AcknowledgeError`] says whether it may have been done.
    pub async fn acknowledge_restore(
        &self,
        asked: &Asked,
        expected_epoch: u64,
    ) -> Result<EpochRow, AcknowledgeError> {
        let shared = &self.shared;
        if !asked.request_id.is_empty() {
            let epochs = shared.log.store().epochs().await?;
            if let Some(row) = epochs.into_iter().find(|it| it.request_id == asked.request_id) {
                let is_same = row.actor == asked.actor && row.reason == asked.reason;
                let epoch = row.epoch;
                return is_same.then_some(row).ok_or(AcknowledgeError::RequestIdReused { epoch });
            }
        }
        let went_back = shared.continuity.went_back().ok_or(AcknowledgeError::Nothing)?;
        let log = shared.log.store().identity().await?;
        if expected_epoch != 0 && expected_epoch != log.epoch {
            let (expected, epoch) = (expected_epoch, log.epoch);
            return Err(AcknowledgeError::MovedOn { expected, epoch });
        }
        let epoch = went_back.epoch.max(log.epoch) + 1;
        let begun = shared.begin_epoch(log, epoch, asked, went_back.behind_ms).await?;
        begun.ok_or(AcknowledgeError::Nothing)
    }
}
