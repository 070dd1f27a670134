//! What changes a saga. Each shows what it would do, and asks.

use saga_proto::saga::v1::{
    CancelEffect, CancelSagaRequest, ForceOutcomeRequest, RetrySagaRequest, Saga, SagaName,
    SettledOutcome,
};

use crate::{
    cli::{Cancel, Retry, Settle},
    client::Client,
    exit::Exit,
    failure::Failure,
    name::shown,
    permit::{Terminal, permit},
    reply::escaped,
    report::{preview, saga_list},
    session::Session,
};

pub(super) async fn cancel(session: &Session, arguments: Cancel) -> Result<Exit, Failure> {
    let name = arguments.saga.name;
    let client = session.client().await?;
    let seen = seen(&client, &name).await?;
    let permit = permit(arguments.consent.yes, &preview::cancel(&seen), &mut Terminal)?;
    let doing = format!("cancel {}", shown(&name));
    let request = CancelSagaRequest { name: Some(name.clone()), reason: arguments.reason };
    let reply = client.cancel(&doing, request, &permit).await?;
    session.print(&reply, |reply, look| saga_list::one(reply.saga.as_ref(), look))?;
    let shown = shown(&name);
    match reply.effect() {
        CancelEffect::TooLate => {
            session.say(&format!("{shown} has passed its pivot and goes on to its end"));
            Ok(Exit::Conflict)
        }
        CancelEffect::Ended => {
            session.say(&format!("{shown} had ended; nothing was changed"));
            Ok(Exit::Conflict)
        }
        CancelEffect::TurnsBack | CancelEffect::Unspecified => {
            session.say(&format!("{shown} turns back; sagactl saga wait {shown} sees it end"));
            Ok(Exit::Ok)
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
    };
    let reply = client.retry(&doing, request, &permit).await?;
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
    };
    let permit = permit(arguments.consent.yes, &preview::settle(&seen, &request), &mut Terminal)?;
    let doing = format!("settle {} of {}", request.step, shown(&name));
    let reply = client.settle(&doing, request, &permit).await?;
    session.print(&reply, |reply, look| saga_list::one(reply.saga.as_ref(), look))?;
    session.say(&format!("{} is settled and goes on", shown(&name)));
    Ok(Exit::Ok)
}

/// The saga as the person sees it before the question.
pub(super) async fn seen(client: &Client, name: &SagaName) -> Result<Saga, Failure> {
    Ok(escaped(&client.saga(name).await?).saga.unwrap_or_default())
}
