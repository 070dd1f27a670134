//! What has to outlive a restart: one restart for all steps, between the calls of each and
//! their repeats.

use std::time::Duration;

use bytes::Bytes;
use saga_core::{OperationId, SagaId, StepIndex};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    Bench, Judged, Judgement, Miss, Rule,
    case::{Case, Left, Sight},
    rules::{
        self,
        judged::{act, applied, expect_told, refused, same_reply, undo, undone},
    },
    talk::{News, Talk},
};
use crate::participants::{
    OperationOf,
    probe::{Inquiry, Told},
};

/// Between two looks whether the participant is there.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long one look may take.
const LOOK: Duration = Duration::from_secs(1);

/// How long a participant may be away, and how long after the word that it was restarted
/// it may still be going.
const AWAY_MAX: Duration = Duration::from_secs(300);
const GOING_MAX: Duration = Duration::from_secs(3);

/// A case that waits for the restart, and what was answered before it.
pub(super) struct Waiting<'b> {
    pub(super) step: StepIndex,
    pub(super) rule: Rule,
    case: Case<'b>,
    before: Result<Bytes, Miss>,
    sight: Sight,
}

impl<'b> Waiting<'b> {
    /// Does what is to outlive the restart.
    pub(super) async fn begin(bench: &'b Bench, step: StepIndex, rule: Rule, sight: Sight) -> Self {
        let mut case = Case::new(bench, step, &bench.check.input);
        let before = match case.prepare().await {
            Ok(()) => before(rule, &mut case).await,
            Err(why) => Err(Miss::NotTried(why)),
        };
        Self { step, rule, case, before, sight }
    }

    /// Counts effects from here on: what others have done until now is none of its own.
    pub(super) async fn mark(&mut self) {
        if self.before.is_ok() {
            self.case.mark(0).await;
        }
    }

    /// Looks whether it did, where there was a restart.
    pub(super) async fn end(&mut self, restarted: &Judged) -> Judgement {
        let judged = match (&self.before, restarted) {
            (Ok(before), Ok(())) => after(self.rule, &mut self.case, before).await,
            (Ok(_), Err(miss)) | (Err(miss), _) => Err(miss.clone()),
        };
        self.case.judgement(judged, &self.sight).await
    }

    /// Compensates what it did.
    pub(super) async fn close(self, left: &mut Vec<Left>) {
        left.extend(self.case.close().await);
    }
}

async fn before(rule: Rule, case: &mut Case<'_>) -> Result<Bytes, Miss> {
    if rule == Rule::RestartFenced {
        expect_told(Inquiry::Fence, &case.resolve(Inquiry::Fence).await, &Told::Fenced)?;
        return Ok(Bytes::new());
    }
    let first = applied(case).await?;
    if rule == Rule::RestartUndone {
        return undone("the compensation", undo(case).await?);
    }
    Ok(first)
}

async fn after(rule: Rule, case: &mut Case<'_>, before: &Bytes) -> Judged {
    match rule {
        Rule::RestartFenced => {
            refused("the late original", &act(case).await?, "FAILED_PRECONDITION", "OP_FENCED")
        }
        Rule::RestartUndone => {
            same_reply("the same compensation", before, &undo(case).await?)?;
            rules::reversed_once(case).await
        }
        _ => {
            same_reply("the same call", before, &act(case).await?)?;
            rules::resolve_applied(case, before).await
        }
    }
}

/// Asks for the restart, and waits until the participant was seen away and back.
pub(super) async fn restart(bench: &Bench, talk: &Talk) -> Judged {
    if talk.stop.is_cancelled() {
        return Err(Miss::stopped());
    }
    talk.tell(News::RestartWanted);
    let mut away_since = None;
    let mut going_until = None;
    let said = talk.restarted.notified();
    tokio::pin!(said);
    loop {
        let answers = answers(bench).await;
        match (answers, away_since) {
            (true, Some(_)) => return Ok(()),
            (false, None) => away_since = Some(Instant::now()),
            (false, Some(since)) if AWAY_MAX < since.elapsed() => {
                return Err(Miss::NotTried(format!("it was not back within {AWAY_MAX:?}")));
            }
            _ => {}
        }
        if going_until.is_some_and(|it| it < Instant::now()) && away_since.is_none() {
            let why = "it was said to be restarted, and answered all the time: no restart was seen";
            return Err(Miss::NotSeen(why.to_owned()));
        }
        tokio::select! {
            () = &mut said, if going_until.is_none() => {
                going_until = Some(Instant::now() + GOING_MAX);
            }
            () = talk.stop.cancelled() => return Err(Miss::stopped()),
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

async fn answers(bench: &Bench) -> bool {
    // Of an operation that nobody ever sends, and only looked at.
    let (saga, id) = (SagaId(Uuid::now_v7()), OperationId(Uuid::now_v7()));
    let operation = OperationOf { saga, started_at_ms: None, id };
    let told = bench.caller.inquire(&bench.check.participant, operation, Inquiry::Peek, LOOK).await;
    !matches!(told, Told::Unanswered { .. })
}
