//! What changes a saga. Each shows what it would do, and asks.

use saga_proto::saga::v1::{
    CancelEffect, CancelSagaRequest, CancelSagaResponse, CloseSagaRequest, ForceOutcomeRequest,
    RenewOperationRequest, RetrySagaRequest, Saga, SagaName, SettledOutcome, StepCall,
};

use crate::{
    cli::{Cancel, Close, Once, Renew, Retry, Settle},
    client::Client,
    command::start::input,
    exit::Exit,
    failure::Failure,
    name::{quoted, shown},
    permit::{Terminal, permit},
    reply::escaped,
    report::{preview, saga_list, words::saga_state},
    session::Session,
};

pub(super) async fn cancel(session: &Session, arguments: Cancel) -> Result<Exit, Failure> {
    let name = arguments.saga.name;
    let client = session.client().await?;
    let seen = seen(&client, &name).await?;
    let permit = permit(arguments.consent.yes, &preview::cancel(&seen), &mut Terminal)?;
    let doing = format!("cancel {}", shown(&name));
    let request = CancelSagaRequest {
        name: Some(name.clone()),
        reason: arguments.reason,
        actor: arguments.actor.actor,
        wait: None,
        expected_version: arguments.once.expected_version.unwrap_or(0),
        request_id: arguments.once.request_id.clone(),
    };
    let limit = arguments.wait.unwrap_or_default();
    let reply = client.cancel(&doing, request, limit, &permit).await;
    let reply = reply.map_err(|failure| failure.repeatable(&arguments.once.request_id))?;
    session.print(&reply, |reply, look| saga_list::one(reply.saga.as_ref(), look))?;
    let (exit, told) = told_of_cancel(&name, &reply);
    session.say(&told);
    Ok(exit)
}

/// What the person is told of a cancel, and how the process ends.
fn told_of_cancel(name: &SagaName, reply: &CancelSagaResponse) -> (Exit, String) {
    let (shown, typed) = (shown(name), quoted(name));
    let ended = reply.saga.as_ref().filter(|saga| saga.ended_at.is_some());
    let ended = ended.map(|saga| saga_state(saga.state()).1);
    let wait = format!("To wait for its end: sagactl saga wait {typed}");
    match (reply.effect(), ended) {
        (CancelEffect::TurnsBack, Some(ended)) => {
            (Exit::Ok, format!("{shown} has turned back: {ended}"))
        }
        (CancelEffect::TurnsBack, None) => (Exit::Ok, format!("{shown} turns back. {wait}")),
        (CancelEffect::TooLate, Some(ended)) => {
            (Exit::Conflict, format!("too late: {shown} had passed its pivot, and is {ended}"))
        }
        (CancelEffect::TooLate, None) => (
            Exit::Conflict,
            format!("too late: {shown} has passed its pivot and goes on to its end. {wait}"),
        ),
        (CancelEffect::Ended, ended) => (
            Exit::Conflict,
            format!("nothing was changed: {shown} had ended, {}", ended.unwrap_or("somehow")),
        ),
        (CancelEffect::Undecided, _) => (
            Exit::Unavailable,
            format!(
                "not decided yet: {shown} turns back unless its pivot turns out to be applied. \
                 To wait for that: sagactl saga cancel {typed} --wait 1m --yes"
            ),
        ),
        (CancelEffect::Unspecified, _) => {
            (Exit::Error, "the server says what this sagactl does not know".to_owned())
        }
    }
}

pub(super) async fn retry(session: &Session, arguments: Retry) -> Result<Exit, Failure> {
    let name = arguments.saga.name;
    let client = session.client().await?;
    let seen = seen(&client, &name).await?;
    let permit = permit(arguments.consent.yes, &preview::retry(&seen), &mut Terminal)?;
    let doing = format!("retry {}", shown(&name));
    let request = RetrySagaRequest {
        name: Some(name.clone()),
        actor: arguments.actor.actor,
        reason: arguments.reason,
        // It moves with each try.
        expected_version: arguments.once.expected_version.unwrap_or(0),
        request_id: arguments.once.request_id.clone(),
    };
    let reply = client.retry(&doing, request, &permit).await;
    let reply = reply.map_err(|failure| failure.repeatable(&arguments.once.request_id))?;
    session.print(&reply, |reply, look| saga_list::one(reply.saga.as_ref(), look))?;
    session.say(&format!("{} tries now", shown(&name)));
    Ok(Exit::Ok)
}

pub(super) async fn settle(session: &Session, arguments: Settle) -> Result<Exit, Failure> {
    if arguments.reason.trim().is_empty() {
        return Err(Failure::usage("a reason is missing", "--reason \"what you found out\""));
    }
    let name = arguments.saga.name;
    let client = session.client().await?;
    let seen = seen(&client, &name).await?;
    let outcome = SettledOutcome::from(arguments.outcome);
    let request = ForceOutcomeRequest {
        name: Some(name.clone()),
        step: arguments.step,
        outcome: outcome.into(),
        actor: arguments.actor.actor,
        reason: arguments.reason,
        call: arguments.call.map_or(StepCall::Unspecified, StepCall::from).into(),
        reply_json: arguments.reply.as_deref().map(input).transpose()?.unwrap_or_default(),
        // What is true stays true, however often the engine has tried meanwhile.
        expected_version: arguments.once.expected_version.unwrap_or(0),
        request_id: arguments.once.request_id.clone(),
    };
    let permit = permit(arguments.consent.yes, &preview::settle(&seen, &request), &mut Terminal)?;
    let step = request.step.clone();
    let doing = format!("settle {step} of {}", shown(&name));
    let reply = client.settle(&doing, request, &permit).await;
    let reply = reply.map_err(|failure| failure.repeatable(&arguments.once.request_id))?;
    session.print(&reply, |reply, look| saga_list::one(reply.saga.as_ref(), look))?;
    let fact = if outcome == SettledOutcome::Applied { "was applied" } else { "was not applied" };
    session.say(&format!("recorded: {step} of {} {fact}", shown(&name)));
    Ok(Exit::Ok)
}

pub(super) async fn renew(session: &Session, arguments: Renew) -> Result<Exit, Failure> {
    if arguments.reason.trim().is_empty() {
        return Err(Failure::usage("a reason is missing", "--reason \"what has changed\""));
    }
    let name = arguments.saga.name;
    let client = session.client().await?;
    let seen = seen(&client, &name).await?;
    let permit =
        permit(arguments.consent.yes, &preview::renew(&seen, &arguments.step), &mut Terminal)?;
    let step = arguments.step;
    let doing = format!("renew {step} of {}", shown(&name));
    let request = RenewOperationRequest {
        name: Some(name.clone()),
        step: step.clone(),
        actor: arguments.actor.actor,
        reason: arguments.reason,
        expected_version: version_asked_about(&seen, arguments.consent.yes, &arguments.once),
        request_id: arguments.once.request_id.clone(),
    };
    let reply = client.renew(&doing, request, &permit).await;
    let reply = reply.map_err(|failure| failure.repeatable(&arguments.once.request_id))?;
    session.print(&reply, |reply, look| saga_list::one(reply.saga.as_ref(), look))?;
    session.say(&format!("recorded: {step} of {} is made again, under another id", shown(&name)));
    Ok(Exit::Ok)
}

pub(super) async fn close(session: &Session, arguments: Close) -> Result<Exit, Failure> {
    if arguments.reason.trim().is_empty() {
        return Err(Failure::usage(
            "a reason is missing",
            "--reason \"why, and who cares for the rest\"",
        ));
    }
    let name = arguments.saga.name;
    let client = session.client().await?;
    let seen = seen(&client, &name).await?;
    let permit = permit(arguments.consent.yes, &preview::close(&seen), &mut Terminal)?;
    let doing = format!("close {}", shown(&name));
    let request = CloseSagaRequest {
        name: Some(name.clone()),
        actor: arguments.actor.actor,
        reason: arguments.reason,
        expected_version: version_asked_about(&seen, arguments.consent.yes, &arguments.once),
        request_id: arguments.once.request_id.clone(),
    };
    let reply = client.close(&doing, request, &permit).await;
    let reply = reply.map_err(|failure| failure.repeatable(&arguments.once.request_id))?;
    session.print(&reply, |reply, look| saga_list::one(reply.saga.as_ref(), look))?;
    session.say(&format!(
        "{} is closed: {}",
        shown(&name),
        reply.saga.as_ref().map_or("", |saga| &saga.why)
    ));
    Ok(Exit::Ok)
}

/// The version that the person has named, or was shown before the answer. 0: nobody was asked.
fn version_asked_about(seen: &Saga, yes: bool, once: &Once) -> u64 {
    once.expected_version.unwrap_or(if yes { 0 } else { seen.version })
}

/// The saga as the person sees it before the question.
pub(super) async fn seen(client: &Client, name: &SagaName) -> Result<Saga, Failure> {
    Ok(escaped(&client.saga(name).await?).saga.unwrap_or_default())
}
