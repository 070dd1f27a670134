//! The claims, each a function that says what is wrong.

use std::sync::Arc;

use saga_proto::saga::participant::v1::{ResolveMode, resolve_response::Resolution};
use tonic::{Code, Status};
use uuid::Uuid;

use super::{Answer, Body, Subject, new_op_id, reason_of};
use crate::{
    error::reason,
    operation::{RECORDED, REFUSAL_KEY},
};

type Claim = Result<(), String>;
type On = Arc<dyn Subject>;

const AT_ONCE: usize = 16;
const RACES: usize = 24;
/// The least that clients take of headers, less what proxies add.
const HEADER_BYTES_MAX: usize = (8 << 10) - 512;

macro_rules! ensure {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err(format!($($why)+));
        }
    };
}

macro_rules! claims {
    ($on:expr, $($claim:ident),+ $(,)?) => {
        vec![$((stringify!($claim), $claim($on.clone()).await)),+]
    };
}

pub(super) async fn of_action(on: On) -> Vec<(&'static str, Claim)> {
    claims![
        on,
        a_repeated_call_has_one_effect_and_the_same_reply,
        calls_at_once_have_one_effect_and_the_same_reply,
        another_body_under_the_same_id_is_refused_and_does_nothing,
        a_refusal_is_repeated_byte_for_byte,
        a_peek_at_an_absent_operation_changes_nothing,
        a_fence_forbids_the_original_for_ever,
        an_inquiry_tells_the_stored_reply,
        an_inquiry_tells_the_refusal,
        an_action_and_a_fence_at_once_agree,
        a_caller_that_leaves_cancels_nothing,
    ]
}

pub(super) async fn of_undo(on: On) -> Vec<(&'static str, Claim)> {
    claims![
        on,
        an_undo_takes_the_effect_back_once,
        an_action_that_was_undone_is_refused_and_its_undo_is_not,
        a_second_undo_under_another_id_is_refused,
        an_undo_that_comes_first_forbids_the_original,
        an_undo_of_a_refused_action_finds_nothing_to_undo,
        an_undo_of_a_fenced_action_finds_nothing_to_undo,
        an_undo_that_was_fenced_does_nothing,
        an_action_and_its_undo_at_once_leave_nothing,
    ]
}

async fn a_repeated_call_has_one_effect_and_the_same_reply(on: On) -> Claim {
    let (op_id, before) = (new_op_id(), on.standing().await);
    let first = on.act(op_id, Body::Plain).await.map_err(|it| unwanted(&it))?;
    for _ in 0..3 {
        let again = on.act(op_id, Body::Plain).await.map_err(|it| unwanted(&it))?;
        ensure!(again == first, "the reply changed from {first:?} to {again:?}");
    }
    standing(&on, before + 1).await
}

async fn calls_at_once_have_one_effect_and_the_same_reply(on: On) -> Claim {
    let (op_id, before) = (new_op_id(), on.standing().await);
    let mut calls = Vec::new();
    for _ in 0..AT_ONCE {
        let on = on.clone();
        calls.push(tokio::spawn(async move { settled_act(&on, op_id).await }));
    }
    let mut first = None;
    for call in calls {
        let reply = call.await.map_err(|it| it.to_string())?.map_err(|it| unwanted(&it))?;
        let first = first.get_or_insert_with(|| reply.clone());
        ensure!(reply == *first, "replies differ: {first:?} and {reply:?}");
    }
    standing(&on, before + 1).await
}

async fn another_body_under_the_same_id_is_refused_and_does_nothing(on: On) -> Claim {
    let (op_id, before) = (new_op_id(), on.standing().await);
    let first = on.act(op_id, Body::Plain).await.map_err(|it| unwanted(&it))?;
    refused(on.act(op_id, Body::Other).await, Code::AlreadyExists, reason::OP_ID_REUSED)?;
    let again = on.act(op_id, Body::Plain).await.map_err(|it| unwanted(&it))?;
    ensure!(again == first, "the first request's reply changed");
    standing(&on, before + 1).await
}

async fn a_refusal_is_repeated_byte_for_byte(on: On) -> Claim {
    let (op_id, before) = (new_op_id(), on.standing().await);
    let first = refusal(on.act(op_id, Body::Refused).await)?;
    ensure!(!reason_of(&first).is_empty(), "the refusal has no ErrorInfo: {first:?}");
    let final_codes = [Code::FailedPrecondition, Code::NotFound, Code::AlreadyExists];
    ensure!(final_codes.contains(&first.code()), "{:?} is no refusal", first.code());
    let sent = header_bytes(&first);
    ensure!(sent <= HEADER_BYTES_MAX, "{sent} bytes of headers do not fit every client");
    ensure!(is_recorded(&first), "the refusal does not say that it is recorded");
    for _ in 0..3 {
        let again = refusal(on.act(op_id, Body::Refused).await)?;
        ensure!(same(&first, &again), "the refusal changed from {first:?} to {again:?}");
    }
    standing(&on, before).await
}

async fn an_undo_takes_the_effect_back_once(on: On) -> Claim {
    let (op_id, undo_id, before) = (new_op_id(), new_op_id(), on.standing().await);
    on.act(op_id, Body::Plain).await.map_err(|it| unwanted(&it))?;
    standing(&on, before + 1).await?;
    let first = on.undo(undo_id, op_id).await.map_err(|it| unwanted(&it))?;
    ensure!(!first.nothing_to_undo, "the undo found nothing");
    let again = on.undo(undo_id, op_id).await.map_err(|it| unwanted(&it))?;
    ensure!(again == first, "the reply changed from {first:?} to {again:?}");
    standing(&on, before).await
}

async fn an_action_that_was_undone_is_refused_and_its_undo_is_not(on: On) -> Claim {
    let (op_id, undo_id, before) = (new_op_id(), new_op_id(), on.standing().await);
    let acted = on.act(op_id, Body::Plain).await.map_err(|it| unwanted(&it))?;
    let undone = on.undo(undo_id, op_id).await.map_err(|it| unwanted(&it))?;
    for _ in 0..2 {
        let late = on.act(op_id, Body::Plain).await;
        refused(late, Code::FailedPrecondition, reason::OP_REVERSED)?;
        let again = on.undo(undo_id, op_id).await.map_err(|it| unwanted(&it))?;
        ensure!(again == undone, "the undo's reply changed from {undone:?} to {again:?}");
    }
    // What never was this operation is not its past.
    refused(on.act(op_id, Body::Other).await, Code::AlreadyExists, reason::OP_ID_REUSED)?;
    for mode in [ResolveMode::Peek, ResolveMode::Fence] {
        match on.resolve(op_id, mode).await.map_err(|it| unwanted(&it))? {
            Resolution::Reversed(reversed) => {
                ensure!(reversed.reply == acted.reply, "{mode:?} tells another reply");
            }
            other => return Err(format!("{mode:?} answered {other:?}")),
        }
        resolves(&on, undo_id, mode, "Applied").await?;
    }
    standing(&on, before).await
}

async fn a_second_undo_under_another_id_is_refused(on: On) -> Claim {
    let (op_id, before) = (new_op_id(), on.standing().await);
    on.act(op_id, Body::Plain).await.map_err(|it| unwanted(&it))?;
    on.undo(new_op_id(), op_id).await.map_err(|it| unwanted(&it))?;
    let second = on.undo(new_op_id(), op_id).await;
    refused(second, Code::FailedPrecondition, reason::ALREADY_REVERSED)?;
    standing(&on, before).await
}

async fn an_undo_that_comes_first_forbids_the_original(on: On) -> Claim {
    let (op_id, undo_id, before) = (new_op_id(), new_op_id(), on.standing().await);
    let undone = on.undo(undo_id, op_id).await.map_err(|it| unwanted(&it))?;
    ensure!(undone.nothing_to_undo, "the undo does not say that it found nothing");
    let again = on.undo(undo_id, op_id).await.map_err(|it| unwanted(&it))?;
    ensure!(again == undone, "the reply changed from {undone:?} to {again:?}");
    let late = on.act(op_id, Body::Plain).await;
    refused(late, Code::FailedPrecondition, reason::OP_FENCED)?;
    standing(&on, before).await
}

async fn an_undo_of_a_refused_action_finds_nothing_to_undo(on: On) -> Claim {
    let (op_id, before) = (new_op_id(), on.standing().await);
    let first = refusal(on.act(op_id, Body::Refused).await)?;
    let undone = on.undo(new_op_id(), op_id).await.map_err(|it| unwanted(&it))?;
    ensure!(undone.nothing_to_undo, "the undo does not say that it found nothing");
    let again = refusal(on.act(op_id, Body::Refused).await)?;
    ensure!(same(&first, &again), "the refusal changed from {first:?} to {again:?}");
    standing(&on, before).await
}

async fn an_undo_of_a_fenced_action_finds_nothing_to_undo(on: On) -> Claim {
    let (op_id, before) = (new_op_id(), on.standing().await);
    resolves(&on, op_id, ResolveMode::Fence, "Fenced").await?;
    let undone = on.undo(new_op_id(), op_id).await.map_err(|it| unwanted(&it))?;
    ensure!(undone.nothing_to_undo, "the undo does not say that it found nothing");
    standing(&on, before).await
}

async fn an_undo_that_was_fenced_does_nothing(on: On) -> Claim {
    let (op_id, undo_id, before) = (new_op_id(), new_op_id(), on.standing().await);
    on.act(op_id, Body::Plain).await.map_err(|it| unwanted(&it))?;
    resolves(&on, undo_id, ResolveMode::Fence, "Fenced").await?;
    let undone = on.undo(undo_id, op_id).await;
    refused(undone, Code::FailedPrecondition, reason::OP_FENCED)?;
    standing(&on, before + 1).await
}

async fn a_peek_at_an_absent_operation_changes_nothing(on: On) -> Claim {
    let (op_id, before) = (new_op_id(), on.standing().await);
    resolves(&on, op_id, ResolveMode::Peek, "Absent").await?;
    resolves(&on, op_id, ResolveMode::Peek, "Absent").await?;
    on.act(op_id, Body::Plain).await.map_err(|it| unwanted(&it))?;
    standing(&on, before + 1).await
}

async fn a_fence_forbids_the_original_for_ever(on: On) -> Claim {
    let (op_id, before) = (new_op_id(), on.standing().await);
    resolves(&on, op_id, ResolveMode::Fence, "Fenced").await?;
    for body in [Body::Plain, Body::Other, Body::Plain] {
        let late = on.act(op_id, body).await;
        refused(late, Code::FailedPrecondition, reason::OP_FENCED)?;
    }
    resolves(&on, op_id, ResolveMode::Fence, "Fenced").await?;
    resolves(&on, op_id, ResolveMode::Peek, "Fenced").await?;
    standing(&on, before).await
}

async fn an_inquiry_tells_the_stored_reply(on: On) -> Claim {
    let op_id = new_op_id();
    let answer = on.act(op_id, Body::Plain).await.map_err(|it| unwanted(&it))?;
    for mode in [ResolveMode::Peek, ResolveMode::Fence] {
        match on.resolve(op_id, mode).await.map_err(|it| unwanted(&it))? {
            Resolution::Applied(applied) => {
                ensure!(applied.reply == answer.reply, "{mode:?} tells another reply");
            }
            other => return Err(format!("{mode:?} answered {other:?}")),
        }
    }
    Ok(())
}

async fn an_inquiry_tells_the_refusal(on: On) -> Claim {
    let op_id = new_op_id();
    let status = refusal(on.act(op_id, Body::Refused).await)?;
    for mode in [ResolveMode::Peek, ResolveMode::Fence] {
        match on.resolve(op_id, mode).await.map_err(|it| unwanted(&it))? {
            Resolution::Rejected(rejected) => {
                let told = (rejected.reason, rejected.message.as_str());
                let given = (reason_of(&status), status.message());
                ensure!(told == given, "{mode:?} tells {told:?} instead of {given:?}");
            }
            other => return Err(format!("{mode:?} answered {other:?}")),
        }
    }
    Ok(())
}

async fn an_action_and_a_fence_at_once_agree(on: On) -> Claim {
    for _ in 0..RACES {
        let (op_id, before) = (new_op_id(), on.standing().await);
        let acting = {
            let on = on.clone();
            tokio::spawn(async move { settled_act(&on, op_id).await })
        };
        let resolution = decided(&on, op_id).await?;
        let acted = acting.await.map_err(|it| it.to_string())?;
        match (resolution, acted) {
            (Resolution::Applied(_), Ok(_)) => standing(&on, before + 1).await?,
            (Resolution::Fenced(_), Err(status)) if reason_of(&status) == reason::OP_FENCED => {
                standing(&on, before).await?;
            }
            (resolution, acted) => {
                return Err(format!("the inquiry says {resolution:?}, the call {acted:?}"));
            }
        }
    }
    Ok(())
}

async fn an_action_and_its_undo_at_once_leave_nothing(on: On) -> Claim {
    for _ in 0..RACES {
        let (op_id, undo_id, before) = (new_op_id(), new_op_id(), on.standing().await);
        let acting = {
            let on = on.clone();
            tokio::spawn(async move { settled_act(&on, op_id).await })
        };
        loop {
            match on.undo(undo_id, op_id).await {
                Ok(_) => break,
                Err(status) if may_be_tried_again(&status) => tokio::task::yield_now().await,
                Err(status) => return Err(unwanted(&status)),
            }
        }
        let acted = acting.await.map_err(|it| it.to_string())?;
        if let Err(status) = acted {
            let told = [reason::OP_FENCED, reason::OP_REVERSED];
            ensure!(told.contains(&&*reason_of(&status)), "{}", unwanted(&status));
        }
        standing(&on, before).await?;
    }
    Ok(())
}

async fn a_caller_that_leaves_cancels_nothing(on: On) -> Claim {
    for polls in 0..RACES {
        let (op_id, before) = (new_op_id(), on.standing().await);
        let call = {
            let on = on.clone();
            tokio::spawn(async move { on.act(op_id, Body::Plain).await })
        };
        for _ in 0..polls {
            tokio::task::yield_now().await;
        }
        call.abort();
        let resolution = decided(&on, op_id).await?;
        let stands = match &resolution {
            Resolution::Applied(_) => 1,
            Resolution::Fenced(_) => 0,
            other => return Err(format!("after {polls} polls: {other:?}")),
        };
        standing(&on, before + stands).await?;
        // The connection it used is in order: the next call finds no open transaction.
        on.act(new_op_id(), Body::Plain).await.map_err(|it| unwanted(&it))?;
        standing(&on, before + stands + 1).await?;
    }
    Ok(())
}

/// The action, tried again until it is applied or refused.
async fn settled_act(on: &On, op_id: Uuid) -> Result<Answer, Status> {
    loop {
        match on.act(op_id, Body::Plain).await {
            Err(status) if may_be_tried_again(&status) => tokio::task::yield_now().await,
            ended => return ended,
        }
    }
}

/// The answer of a fencing inquiry, asked again until there is one.
async fn decided(on: &On, op_id: Uuid) -> Result<Resolution, String> {
    loop {
        match on.resolve(op_id, ResolveMode::Fence).await {
            Ok(Resolution::InProgress(_)) => tokio::task::yield_now().await,
            Err(status) if may_be_tried_again(&status) => tokio::task::yield_now().await,
            Ok(resolution) => return Ok(resolution),
            Err(status) => return Err(unwanted(&status)),
        }
    }
}

fn may_be_tried_again(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Aborted | Code::ResourceExhausted)
}

async fn standing(on: &On, expected: i64) -> Claim {
    let found = on.standing().await;
    ensure!(found == expected, "{found} effects stand instead of {expected}");
    Ok(())
}

async fn resolves(on: &On, op_id: Uuid, mode: ResolveMode, expected: &str) -> Claim {
    let resolution = on.resolve(op_id, mode).await.map_err(|it| unwanted(&it))?;
    let found = format!("{resolution:?}");
    ensure!(found.starts_with(expected), "{mode:?} answered {found} instead of {expected}");
    Ok(())
}

fn refused(answer: Result<Answer, Status>, code: Code, reason: &str) -> Claim {
    let status = refusal(answer)?;
    let found = (status.code(), reason_of(&status));
    ensure!(found == (code, reason.to_owned()), "{found:?} instead of {code:?}/{reason}");
    let recorded = reason == reason::ALREADY_REVERSED;
    ensure!(is_recorded(&status) == recorded, "{reason} is wrong about being recorded");
    Ok(())
}

fn refusal(answer: Result<Answer, Status>) -> Result<Status, String> {
    answer.err().ok_or_else(|| "it was not refused".to_owned())
}

fn same(one: &Status, other: &Status) -> bool {
    let parts = |it: &Status| (it.code(), it.message().to_owned(), it.details().to_vec());
    parts(one) == parts(other) && is_recorded(one) == is_recorded(other)
}

fn is_recorded(status: &Status) -> bool {
    status.metadata().get(REFUSAL_KEY).is_some_and(|it| it == RECORDED)
}

/// What a client's limit counts of a status.
fn header_bytes(status: &Status) -> usize {
    let response = status.clone().into_http::<tonic::body::Body>();
    response.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
}

fn unwanted(status: &Status) -> String {
    format!("{:?}/{}: {}", status.code(), reason_of(status), status.message())
}
