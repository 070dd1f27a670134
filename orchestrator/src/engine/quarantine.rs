//! Sets a saga aside that cannot be driven, so that it does not take others with it and
//! a person sees it. Nothing of it is lost: an operator's retry takes it up again.

use bytes::Bytes;
use saga_core::SagaId;
use saga_log::{Draft, IndexChange, LogRow, Standing, StuckRow, Written};

use crate::{
    driver::standing::{WAITING_ON_OPERATOR, for_the_index},
    engine::Shared,
};

impl Shared {
    /// Marks the saga as stuck for `reason`, by a row without events. Where that cannot
    /// be written now, the saga is taken up again, and breaks off again.
    pub(crate) async fn quarantine(&self, saga: SagaId, reason: &str, message: &str) {
        tracing::error!(saga.id = %saga, reason, message, "a saga is set aside");
        match self.try_quarantine(saga, reason, message).await {
            Ok(true) => {}
            Ok(false) => self.orphans.add(saga),
            Err(error) => {
                tracing::warn!(saga.id = %saga, %error, "a saga could not be set aside");
                self.orphans.add_later(saga);
            }
        }
    }

    async fn try_quarantine(
        &self,
        saga: SagaId,
        reason: &str,
        message: &str,
    ) -> anyhow::Result<bool> {
        let tip = self.load_rows(saga, 0).await?.last().map(LogRow::tip);
        // Behind the log, so that it goes with this version if the append succeeds.
        let Some(index) = self.log.store().saga(saga).await? else {
            return Ok(true);
        };
        let now_ms = self.clock.now_ms();
        let standing = Standing {
            owner: None,
            wake_at_ms: None,
            waiting_on: Some(WAITING_ON_OPERATOR.to_owned()),
            rank: None,
            stuck: Some(StuckRow {
                reason: reason.to_owned(),
                step: String::new(),
                message: for_the_index(message),
                since_ms: now_ms,
            }),
            cause: None,
            ..index.standing
        };
        let draft = Draft {
            saga,
            writer: self.node,
            log_epoch: 0,
            at_ms: now_ms,
            events: Bytes::new(),
            index: IndexChange::Set(Box::new(standing)),
        };
        Ok(self.log.append(draft.behind(tip)).await? == Written::Done)
    }
}
