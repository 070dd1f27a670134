//! `saga start` and `saga wait`: a saga's beginning and end.

use std::time::Duration;

use saga_proto::saga::v1::{Saga, StartSagaRequest, start_saga_request};

use crate::{
    cli::{Names, Start},
    client::Client,
    command::definition::text_of,
    exit::Exit,
    failure::{Failure, spelled},
    name::{by_id, shown, shown_key},
    report::saga_list,
    session::Session,
};

pub(super) async fn start(session: &Session, arguments: Start) -> Result<Exit, Failure> {
    let json = input(&arguments.input)?;
    let (namespace, key) = (arguments.key.namespace, arguments.key.key);
    let shown = shown_key(&namespace, &key);
    let request = StartSagaRequest {
        definition: arguments.definition,
        definition_version: arguments.version,
        business_key: key,
        input: Some(start_saga_request::Input::Json(json)),
        wait: None,
        namespace,
    };
    let client = session.client().await?;
    let mut reply = client.start(&format!("start {shown}"), request).await?;
    if session.is_for_people() && reply.existed {
        session.say(&format!("{shown} had been started before; this is the same saga"));
    }
    let Some(limit) = arguments.wait else {
        session.print(&reply, |reply, look| saga_list::one(reply.saga.as_ref(), look))?;
        return Ok(Exit::Ok);
    };
    let id = reply.saga.as_ref().map_or("", |it| it.saga_id.as_str());
    reply.saga = client.wait(&by_id(id), Some(limit)).await?.saga;
    session.print(&reply, |reply, look| saga_list::one(reply.saga.as_ref(), look))?;
    Ok(awaited(session, &shown, reply.saga.as_ref(), limit))
}

pub(super) async fn wait(session: &Session, arguments: &Names) -> Result<Exit, Failure> {
    let name = arguments.one()?;
    let client: Client = session.client().await?;
    let reply = client.wait(&name, session.timeout).await?;
    session.print(&reply, |reply, look| saga_list::one(reply.saga.as_ref(), look))?;
    let limit = session.timeout.unwrap_or_default();
    Ok(awaited(session, &shown(&name), reply.saga.as_ref(), limit))
}

fn awaited(session: &Session, shown: &str, saga: Option<&Saga>, limit: Duration) -> Exit {
    let state = saga.map(Saga::state).unwrap_or_default();
    Exit::of_awaited(state).unwrap_or_else(|| {
        session.say(&format!("{shown} has not ended within {}", spelled(limit)));
        Exit::Unavailable
    })
}

/// JSON text as it was typed. Whether it fits its type is for the server to say.
pub(super) fn input(argument: &str) -> Result<String, Failure> {
    let json = match argument.strip_prefix('@') {
        Some(file) => text_of(file)?,
        None if argument == "-" => text_of("-")?,
        None => argument.to_owned(),
    };
    match serde_json::from_str::<serde_json::Value>(&json) {
        Ok(_) => Ok(json),
        Err(error) => Err(Failure::usage(
            format!("the input is not JSON: {error}"),
            "--input '{\"field\": 1}', --input @FILE, or --input - for standard input",
        )),
    }
}
