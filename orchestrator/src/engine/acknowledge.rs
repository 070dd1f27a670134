//! What a person says of a log that went back in time: that it goes on.

use saga_log::{Asked, EpochRow, StoreError};

use crate::engine::Engine;

/// Why a restore was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum AcknowledgeError {
    /// Nobody has noticed that the log went back, or somebody else has acknowledged it. Nothing
    /// was done.
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
    /// `unnoticed`: also where no participant remembers more than the log has.
    ///
    /// # Errors
    ///
    /// [`AcknowledgeError`] says whether it may have been done.
    pub async fn acknowledge_restore(
        &self,
        asked: &Asked,
        expected_epoch: u64,
        unnoticed: bool,
    ) -> Result<EpochRow, AcknowledgeError> {
        let shared = &self.shared;
        if let Some(row) = self.acknowledged(asked).await? {
            return Ok(row);
        }
        let log = shared.log.store().identity().await?;
        // Another node may have been told meanwhile.
        shared.continuity.adopt(log);
        let (heard_epoch, behind_ms) = match shared.continuity.went_back() {
            Some(went_back) => (went_back.epoch, went_back.behind_ms),
            None if unnoticed => (log.epoch, 0),
            None => return Err(AcknowledgeError::Nothing),
        };
        if expected_epoch != 0 && expected_epoch != log.epoch {
            let (expected, epoch) = (expected_epoch, log.epoch);
            return Err(AcknowledgeError::MovedOn { expected, epoch });
        }
        let epoch = heard_epoch.max(log.epoch) + 1;
        match shared.begin_epoch(log, epoch, asked, behind_ms).await? {
            Some(begun) => Ok(begun),
            // Another node was quicker, perhaps with this very request.
            None => self.acknowledged(asked).await?.ok_or(AcknowledgeError::Nothing),
        }
    }

    /// The epoch that this request began, where it was sent before.
    async fn acknowledged(&self, asked: &Asked) -> Result<Option<EpochRow>, AcknowledgeError> {
        if asked.request_id.is_empty() {
            return Ok(None);
        }
        let epochs = self.shared.log.store().epochs().await?;
        let Some(row) = epochs.into_iter().find(|it| it.request_id == asked.request_id) else {
            return Ok(None);
        };
        let is_same = row.actor == asked.actor && row.reason == asked.reason;
        let epoch = row.epoch;
        is_same.then_some(Some(row)).ok_or(AcknowledgeError::RequestIdReused { epoch })
    }
}
