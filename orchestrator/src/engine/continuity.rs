//! Notices that the log went back in time: a failover to a standby that was behind, or a
//! restore from a backup.
//!
//! Nodes say with every call up to when the log is durable, and participants remember it. A
//! participant that has heard of a later time than the log itself knows shows that the log
//! lost what came in between; so does a node whose own mark is gone. A little is what every
//! failover to an asynchronous standby loses: a new epoch begins, it is said, and work goes
//! on. More is a restore, and then nothing is started or taken over before a person says so.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use saga_log::{Asked, EpochRow, LogIdentity, StoreError};
use uuid::Uuid;

use crate::engine::{Engine, Shared};

/// How long a participant may take to say what it has heard.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// How often a participant that did not answer is asked again, in milliseconds.
const ASK_AGAIN_MS: u64 = 2_000;

/// How often a participant is asked that does not let us: a proxy that has no upstream so far, or
/// rights that are not there yet, have passed by then. While one is asked the mark stands still, and
/// nobody else hears how far the log is.
const REFUSALS_MAX: u32 = 30;

/// The actor of an epoch that a node begins by itself.
const ACTOR: &str = "amends";

fn by_itself(reason: &str) -> Asked {
    let (actor, reason) = (ACTOR.to_owned(), reason.to_owned());
    Asked { request_id: String::new(), actor, reason }
}

/// For how long behind a loss a client may start again what was lost, in milliseconds, beside
/// the time that the log went back by: an operator may replay a night's orders in the morning. It
/// costs a first saga an inquiry where it is refused or cancelled.
const STARTED_AGAIN_MS: u64 = 24 * 3_600 * 1_000;

fn started_again_until_ms(log: LogIdentity) -> u64 {
    match log.epoch {
        1 => 0,
        _ => log.began_at_ms.saturating_add(log.behind_ms).saturating_add(STARTED_AGAIN_MS),
    }
}

/// What participants are told of the log with every call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogMark {
    pub log_id: Uuid,
    /// From 1; one more for each time that the log was found to have gone back.
    pub epoch: u64,
    /// The log is durable up to this time, by the clock of a node.
    pub at_ms: u64,
}

/// What a participant has heard of a log: the highest epoch, and the highest time in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeardMark {
    pub epoch: u64,
    pub at_ms: u64,
}

/// What a participant says when it is asked how far it has heard of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    Mark(HeardMark),
    /// It has heard nothing of it, or keeps no marks.
    Nothing,
    /// It does not let us ask, or something else answers in its place. Ask again for a while.
    Refused,
    /// Nobody knows. Ask again.
    Unanswered,
}

/// A log that is further behind than is taken for a failover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WentBack {
    pub behind_ms: u64,
    /// Who has heard more, as in `participant payment`.
    pub heard_by: String,
    /// The epoch of which more was heard than the log has.
    pub(super) epoch: u64,
}

/// What this node knows of the log as a whole.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) mark: LogMark,
    /// Up to when any node has marked the log, by the last look at it.
    pub(crate) marked_ms: u64,
    /// Whether the last look at the log was answered.
    pub(crate) answers: bool,
    pub(crate) went_back: Option<WentBack>,
    /// Under the same name another log was found: nothing here is true of it.
    pub(crate) is_another: bool,
    /// Until when a start may be the second one of a saga that the log has lost.
    started_again_until_ms: u64,
    /// An epoch in which rows were found to be gone. Nothing is taken over before another one
    /// has begun, so that every saga hears of it.
    rows_gone_in: Option<u64>,
    /// Participants that were not asked so far, and how often each did not let us. Until they are,
    /// the mark stands still: it would hide what they have to say.
    unasked: BTreeMap<String, u32>,
}

/// What this node knows of the log, for all its tasks.
#[derive(Debug)]
pub(crate) struct Continuity {
    known: Mutex<Known>,
}

impl Continuity {
    pub(crate) fn of(identity: LogIdentity, participants: Vec<String>) -> Self {
        let LogIdentity { log_id, epoch, mark_at_ms, .. } = identity;
        let known = Mutex::new(Known {
            mark: LogMark { log_id, epoch, at_ms: mark_at_ms },
            started_again_until_ms: started_again_until_ms(identity),
            rows_gone_in: None,
            marked_ms: mark_at_ms,
            answers: true,
            went_back: None,
            is_another: false,
            unasked: participants.into_iter().map(|it| (it, 0)).collect(),
        });
        Self { known }
    }

    pub(crate) fn mark(&self) -> LogMark {
        self.lock().mark
    }

    pub(crate) fn marked_ms(&self) -> u64 {
        self.lock().marked_ms
    }

    pub(crate) fn went_back(&self) -> Option<WentBack> {
        self.lock().went_back.clone()
    }

    /// Whether sagas may be started and taken over.
    pub(crate) fn holds(&self) -> bool {
        let known = self.lock();
        known.went_back.is_none() && !known.is_another
    }

    /// Whether the log lost rows so lately that a start may be the second one of its saga.
    pub(crate) fn lost_lately(&self, now_ms: u64) -> bool {
        now_ms < self.lock().started_again_until_ms
    }

    /// Rows that this node had seen are not in the log, although nobody has said so: it
    /// believed itself to be in `epoch`.
    pub(crate) fn rows_are_gone(&self, epoch: u64) {
        self.lock().rows_gone_in = Some(epoch);
    }

    /// All of it, as it is now.
    pub(crate) fn known(&self) -> Known {
        self.lock().clone()
    }

    /// Whether the log has answered just now.
    pub(crate) fn answered(&self, answers: bool) {
        self.lock().answers = answers;
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // It is whole at every moment, whatever panicked.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what the log says of itself. An epoch that somebody began ends the wait for
    /// it.
    pub(super) fn adopt(&self, log: LogIdentity) {
        let mut known = self.lock();
        if log.log_id != known.mark.log_id {
            if !known.is_another {
                tracing::error!(
                    log.id = %log.log_id,
                    "another log was put in the place of the one that was opened; restart this node"
                );
            }
            known.is_another = true;
            return;
        }
        known.marked_ms = log.mark_at_ms;
        if known.mark.epoch < log.epoch {
            // What was marked in the epoch before is of no meaning in this one.
            known.mark = LogMark { epoch: log.epoch, at_ms: log.mark_at_ms, ..known.mark };
            known.started_again_until_ms = started_again_until_ms(log);
        }
        known.rows_gone_in.take_if(|epoch| *epoch < log.epoch);
        known.went_back.take_if(|went_back| went_back.epoch < log.epoch);
    }

    fn stand_still(&self, went_back: WentBack) {
        let mut known = self.lock();
        if known.went_back.as_ref().is_some_and(|it| went_back.behind_ms <= it.behind_ms) {
            return; // That much is known.
        }
        tracing::error!(
            behind_ms = went_back.behind_ms,
            heard.by = went_back.heard_by,
            "the log went back in time; nothing is started or taken over before \
             `sagactl log acknowledge-restore`"
        );
        known.went_back = Some(went_back);
    }

    /// Whether rows are gone, and the epoch that says so has not begun.
    pub(crate) fn awaits_epoch(&self) -> bool {
        self.lock().rows_gone_in.is_some()
    }

    fn unasked(&self) -> Vec<String> {
        self.lock().unasked.keys().cloned().collect()
    }

    /// Notes what a participant said when it was asked.
    fn asked(&self, participant: &str, heard: Heard) {
        let mut known = self.lock();
        match heard {
            Heard::Unanswered => return,
            Heard::Refused => {
                let Some(refusals) = known.unasked.get_mut(participant) else { return };
                *refusals += 1;
                if *refusals < REFUSALS_MAX {
                    return;
                }
                tracing::warn!(
                    participant,
                    "it does not let us ask how far it has heard of the log (GetLogMark): a restore \
                     of the log is not noticed by what it knows"
                );
            }
            Heard::Mark(_) | Heard::Nothing => {}
        }
        known.unasked.remove(participant);
    }
}

impl Shared {
    /// What to tell participants of the log. Cheap.
    pub(crate) fn log_mark(&self) -> LogMark {
        self.continuity.mark()
    }

    /// Asks the participants that were not asked so far, and compares what they have heard
    /// with the log. They come first and the log behind them, so that a call of another node
    /// in between is no false alarm.
    pub(crate) async fn ask_participants(&self) -> Result<(), StoreError> {
        let LogMark { log_id, .. } = self.log_mark();
        let asked = self.continuity.unasked().into_iter().map(async |participant| {
            let heard = self.caller.heard_mark(&participant, log_id, ASK_TIMEOUT).await;
            (participant, heard)
        });
        let answers = futures::future::join_all(asked).await;
        let heard = answers.iter().filter_map(|(participant, heard)| match heard {
            Heard::Mark(mark) => Some((*mark, format!("participant {participant}"))),
            Heard::Nothing | Heard::Refused | Heard::Unanswered => None,
        });
        if let Some((mark, by)) = heard.max_by_key(|(mark, _)| (mark.epoch, mark.at_ms)) {
            self.compare(mark, &by).await?;
        }
        for (participant, heard) in answers {
            self.continuity.asked(&participant, heard);
        }
        Ok(())
    }

    /// Looks whether the log still has what this node has marked in it, and marks it anew.
    pub(crate) async fn mark_log(&self, now_ms: u64) -> Result<(), StoreError> {
        let LogMark { epoch, at_ms, .. } = self.log_mark();
        self.compare(HeardMark { epoch, at_ms }, "this node").await?;
        if !self.continuity.holds() || !self.continuity.unasked().is_empty() {
            return Ok(());
        }
        self.log.store().mark(now_ms).await?;
        let mut known = self.continuity.lock();
        known.mark.at_ms = known.mark.at_ms.max(now_ms);
        Ok(())
    }

    /// Compares what was heard of the log with the log as it is now.
    async fn compare(&self, heard: HeardMark, by: &str) -> Result<(), StoreError> {
        let store = self.log.store();
        let log = store.identity().await?;
        self.continuity.adopt(log);
        // What came behind the epoch of which was heard: up to there its history is in the log.
        let next = match heard.epoch < log.epoch {
            true => store.epochs().await?.into_iter().find(|row| heard.epoch < row.epoch),
            false => None,
        };
        let (kept_at_ms, known_ms) =
            next.as_ref().map_or((log.mark_at_ms, 0), |row| (row.mark_at_ms, row.behind_ms));
        let is_unknown_epoch = log.epoch < heard.epoch;
        let behind_ms = heard.at_ms.saturating_sub(kept_at_ms);
        if !is_unknown_epoch && behind_ms <= known_ms {
            return Ok(());
        }
        if behind_ms > self.limits.restore_tolerance_ms {
            let (heard_by, epoch) = (by.to_owned(), heard.epoch);
            self.continuity.stand_still(WentBack { behind_ms, heard_by, epoch });
            return Ok(());
        }
        if next.is_some() {
            return Ok(()); // As little as any failover loses, and another epoch began since.
        }
        let reason = format!("by {by} the log went back by {behind_ms} ms");
        let epoch = heard.epoch.max(log.epoch) + 1;
        if self.begin_epoch(log, epoch, &by_itself(&reason), behind_ms).await?.is_some() {
            tracing::warn!(
                log.epoch = epoch,
                behind_ms,
                heard.by = by,
                "the log went back in time; what was accepted in its last moments may be lost"
            );
        }
        Ok(())
    }

    /// Looks which epoch the log is in, and begins one where rows are gone of which nobody has
    /// said so. Comes before anything is taken over.
    pub(crate) async fn look_at_epoch(&self) -> Result<(), StoreError> {
        let log = self.log.store().identity().await?;
        self.continuity.adopt(log);
        if self.continuity.lock().rows_gone_in != Some(log.epoch) {
            return Ok(());
        }
        let behind_ms = self.log_mark().at_ms.saturating_sub(log.mark_at_ms);
        let reason = "rows that were written by this node are gone";
        let asked = by_itself(reason);
        if self.begin_epoch(log, log.epoch + 1, &asked, behind_ms).await?.is_some() {
            tracing::warn!(log.epoch = log.epoch + 1, behind_ms, "the log lost rows");
        }
        Ok(())
    }

    pub(super) async fn begin_epoch(
        &self,
        log: LogIdentity,
        epoch: u64,
        asked: &Asked,
        behind_ms: u64,
    ) -> Result<Option<EpochRow>, StoreError> {
        let Asked { request_id, actor, reason } = asked.clone();
        let row = EpochRow {
            epoch,
            began_at_ms: self.clock.now_ms(),
            request_id,
            actor,
            reason,
            mark_at_ms: log.mark_at_ms,
            behind_ms,
        };
        let begun = self.log.store().begin_epoch(log.epoch, &row).await?;
        self.continuity.adopt(self.log.store().identity().await?);
        Ok(begun.then_some(row))
    }
}

impl Engine {
    /// How far the log went back in time, if that was not acknowledged.
    #[must_use]
    pub fn went_back(&self) -> Option<WentBack> {
        self.shared.continuity.went_back()
    }
}

/// Asks participants that could not be asked at the start, until all have answered.
pub(super) async fn ask_late(shared: Arc<Shared>) {
    while !shared.continuity.unasked().is_empty() {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(ASK_AGAIN_MS)) => {}
            () = shared.stopping() => return,
        }
        if let Err(error) = shared.ask_participants().await {
            tracing::debug!(%error, "participants are asked again what they have heard of the log");
        }
    }
}
