//! What sagas are there, and why they stand where they stand.

use saga_proto::saga::v1::{
    CountSagasRequest, CountSagasResponse, ListSagasRequest, ListSagasResponse, ListStuckResponse,
    Saga, SagaState, StuckGroup, StuckPlace,
};

use crate::{
    cli::{Causes, List, Named, SagaCommand, SagaLog},
    client::Client,
    command::{change, log as whole_log, signal, start},
    exit::Exit,
    failure::Failure,
    name::quoted,
    reply::{Reply, escaped, value},
    report::{causes as causes_report, describe, history, saga_list, stuck as stuck_report},
    session::Session,
};

pub(super) async fn run(session: &Session, command: SagaCommand) -> Result<Exit, Failure> {
    let about = command.about().map(quoted);
    let done = dispatch(session, command).await;
    done.map_err(|failure| match about {
        Some(saga) => failure.about(&saga),
        None => failure,
    })
}

async fn dispatch(session: &Session, command: SagaCommand) -> Result<Exit, Failure> {
    match command {
        SagaCommand::Start(arguments) => start::start(session, arguments).await,
        SagaCommand::List(arguments) => list(session, arguments).await,
        SagaCommand::Get(arguments) => get(session, &arguments).await,
        SagaCommand::Describe(arguments) => describe(session, &arguments).await,
        SagaCommand::Log(arguments) => log(session, &arguments).await,
        SagaCommand::Wait(arguments) => start::wait(session, arguments).await,
        SagaCommand::Cancel(arguments) => change::cancel(session, arguments).await,
        SagaCommand::Retry(arguments) => change::retry(session, arguments).await,
        SagaCommand::Signal(arguments) => signal::signal(session, arguments).await,
        SagaCommand::Settle(arguments) => change::settle(session, arguments).await,
        SagaCommand::Renew(arguments) => change::renew(session, arguments).await,
        SagaCommand::Close(arguments) => change::close(session, arguments).await,
    }
}

async fn list(session: &Session, arguments: List) -> Result<Exit, Failure> {
    let filter = arguments.which.condition();
    let state = arguments.which.state.map_or(SagaState::Unspecified, SagaState::from).into();
    let definition = arguments.which.definition.unwrap_or_default();
    let client = session.client().await?;
    if arguments.count {
        let request =
            CountSagasRequest { state, definition, filter, ..CountSagasRequest::default() };
        let counting = |so_far: &CountSagasResponse| {
            session.say(&saga_list::counting(so_far));
        };
        let reply = client.count(request, counting).await?;
        session.print(&reply, saga_list::count)?;
        return Ok(Exit::Ok);
    }
    let request = ListSagasRequest { state, definition, filter, ..ListSagasRequest::default() };
    let limit = if arguments.limit == 0 { usize::MAX } else { arguments.limit };
    let looking = |so_far: &ListSagasResponse| session.say(&saga_list::looking(so_far));
    let reply = client.list(request, limit, looking).await?;
    session.print(&reply, saga_list::report)?;
    if session.is_for_people() && !reply.next_page_token.is_empty() {
        session.say("there are more; --limit 0 lists all");
    }
    Ok(Exit::Ok)
}

async fn get(session: &Session, arguments: &Named) -> Result<Exit, Failure> {
    let reply = session.client().await?.saga(&arguments.name).await?;
    session.print(&reply, |reply, look| saga_list::one(reply.saga.as_ref(), look))?;
    Ok(Exit::Ok)
}

async fn describe(session: &Session, arguments: &Named) -> Result<Exit, Failure> {
    let client = session.client().await?;
    let reply = client.saga(&arguments.name).await?;
    let events = client.events(&arguments.name).await?;
    let group = same_cause(&client, reply.saga.as_ref()).await;
    let groups = ListStuckResponse { groups: group.into_iter().collect(), ..Default::default() };
    // All that the report is made of, as the server sent it.
    let value = serde_json::json!({
        "saga": value(&reply)["saga"],
        "events": value(&events)["events"],
        "sameCause": value(&groups)["groups"][0],
    });
    session.print_value(&value, &reply.ids(), |look| {
        let saga = escaped(&reply).saga.unwrap_or_default();
        let groups = escaped(&groups).groups;
        describe::report(&saga, &escaped(&events).events, groups.first(), look)
    })?;
    Ok(Exit::Ok)
}

/// The group of stuck sagas that this one belongs to. A server that does not let us see
/// the groups still lets us see the saga.
async fn same_cause(client: &Client, saga: Option<&Saga>) -> Option<StuckGroup> {
    let saga = saga?;
    let stuck = saga.stuck.as_ref()?;
    let groups = client.stuck(1, "").await.ok()?.groups;
    groups.into_iter().find(|group| {
        let is_here = |it: &StuckPlace| it.step == stuck.step && it.definition == saga.definition;
        let is_told = group.message.is_empty() || stuck.message.ends_with(&group.message);
        group.reason == stuck.reason && group.places.iter().any(is_here) && is_told
    })
}

async fn log(session: &Session, arguments: &SagaLog) -> Result<Exit, Failure> {
    if arguments.verify {
        return whole_log::verify(session, &arguments.saga.name).await;
    }
    let reply = session.client().await?.events(&arguments.saga.name).await?;
    session.print(&reply, history::report)?;
    Ok(Exit::Ok)
}

pub(super) async fn stuck(session: &Session, which: &Causes) -> Result<Exit, Failure> {
    let reply = groups(session, which).await?;
    session.print(&reply, stuck_report::report)?;
    Ok(Exit::Ok)
}

pub(super) async fn causes(session: &Session, which: &Causes) -> Result<Exit, Failure> {
    let reply = groups(session, which).await?;
    session.print(&reply, causes_report::report)?;
    Ok(Exit::Ok)
}

async fn groups(session: &Session, which: &Causes) -> Result<ListStuckResponse, Failure> {
    let Causes { examples, which } = which;
    session.client().await?.stuck(*examples, &which.whole_condition()).await
}
