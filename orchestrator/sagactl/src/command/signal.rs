//! `saga signal`: gives a saga what it waits for.

use saga_proto::saga::v1::{SignalSagaRequest, signal_saga_request::Payload};

use crate::{
    cli::Signal,
    command::{change::seen, start::input},
    exit::Exit,
    failure::Failure,
    name::{quoted, shown},
    permit::{Terminal, permit},
    report::{preview, saga_list},
    session::Session,
};

pub(super) async fn signal(session: &Session, arguments: Signal) -> Result<Exit, Failure> {
    let says = match (&arguments.input, &arguments.file) {
        (Some(text), _) => Some(input(text)?),
        (None, Some(file)) => Some(input(&format!("@{file}"))?),
        (None, None) => None,
    };
    let name = arguments.saga.name;
    let client = session.client().await?;
    let seen = seen(&client, &name).await?;
    let request = SignalSagaRequest {
        name: Some(name.clone()),
        signal: arguments.signal,
        payload: says.map(Payload::Json),
        request_id: arguments.once.request_id,
        expected_version: arguments.once.expected_version.unwrap_or(0),
        actor: arguments.actor.actor,
        reason: arguments.reason,
    };
    let permit = permit(arguments.consent.yes, &preview::signal(&seen, &request), &mut Terminal)?;
    let doing = format!("signal {} to {}", request.signal, shown(&name));
    let request_id = request.request_id.clone();
    let reply = client.signal(&doing, request, &permit).await;
    let reply = reply.map_err(|failure| failure.repeatable(&request_id))?;
    session.print(&reply, |reply, look| saga_list::one(reply.saga.as_ref(), look))?;
    let shown = shown(&name);
    if reply.existed {
        session.say(&format!("{shown} had this signal before, from the same request"));
    } else {
        let wait = format!("sagactl saga wait {}", quoted(&name));
        session.say(&format!("{shown} has the signal. To wait for its end: {wait}"));
    }
    Ok(Exit::Ok)
}
