//! `saga signal`: gives a saga what it waits for.

use saga_proto::saga::v1::{SignalSagaRequest, signal_saga_request::Payload};
use uuid::Uuid;

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
        request_id: arguments.request_id.unwrap_or_else(|| Uuid::now_v7().to_string()),
        actor: arguments.actor.actor,
        reason: arguments.reason,
    };
    let permit = permit(arguments.consent.yes, &preview::signal(&seen, &request), &mut Terminal)?;
    let doing = format!("signal {} to {}", request.signal, shown(&name));
    let request_id = request.request_id.clone();
    let reply = client.signal(&doing, request, &permit).await.map_err(|mut failure| {
        // The server may have kept it; only the same request finds out.
        if failure.exit == Exit::Unavailable {
            failure.remedies.push(format!("the same command with --request-id {request_id}"));
        }
        failure
    })?;
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
