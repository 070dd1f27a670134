//! What sagas are there, and why they stand where they stand.

use std::time::Duration;

use saga_proto::saga::v1::{
    CountSagasRequest, CountSagasResponse, ListSagasRequest, ListSagasResponse, ListStuckResponse,
    Saga, SagaName, SagaState, StuckGroup, StuckPlace, saga_name,
};

use crate::{
    cli::{Causes, List, Names, SagaCommand, SagaLog},
    client::Client,
    command::{change, definition::text_of, log as whole_log, signal, start},
    exit::Exit,
    failure::Failure,
    name::{by_id, quoted, typed},
    reply::{Reply, escaped, value},
    report::{causes as causes_report, describe, history, saga_list, stuck as stuck_report},
    session::Session,
};

pub(super) async fn run(session: &Session, command: SagaCommand) -> Result<Exit, Failure> {
    let names = match command.names() {
        None => return one(session, command).await,
        Some(names) => named(names)?,
    };
    if let [name] = &names[..] {
        return one(session, command.of_one(name)).await;
    }
    let mut exits = Vec::new();
    for name in &names {
        let done = one(session, command.of_one(name)).await;
        exits.push(done.unwrap_or_else(|failure| {
            session.fail(&failure);
            failure.exit
        }));
    }
    Ok(Exit::of_all(&exits))
}

/// The names that were typed, and for `-` those of standard input.
fn named(typed: &[String]) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for name in typed {
        if name == "-" {
            let lines = text_of("-")?;
            let lines = lines.lines().map(str::trim).filter(|it| !it.is_empty());
            names.extend(lines.map(str::to_owned));
        } else {
            names.push(name.clone());
        }
    }
    if names.is_empty() {
        return Err(Failure::usage("standard input names no saga", "sagactl saga list -o id"));
    }
    Ok(names)
}

async fn one(session: &Session, command: SagaCommand) -> Result<Exit, Failure> {
    let about = command.about();
    let about = about.map_err(|wrong| Failure::usage(wrong, "an id, or NAMESPACE/KEY"))?;
    let done = dispatch(session, command).await;
    match (done, about) {
        (Err(failure), Some(name)) => {
            let failure = or_elsewhere(session, failure, &name).await;
            Err(failure.about(&quoted(&name)))
        }
        (done, _) => done,
    }
}

/// Sagas that a key may mean which is not in the namespace that was named.
const OTHERS_TOLD: usize = 3;
const GUESS_WITHIN: Duration = Duration::from_secs(1);

/// Where there is no such saga: those with the same key in other namespaces.
async fn or_elsewhere(session: &Session, mut failure: Failure, name: &SagaName) -> Failure {
    let is_absent = failure.code.as_deref() == Some("NOT_FOUND/SAGA_NOT_FOUND");
    let (true, Some(saga_name::Name::BusinessKey(key))) = (is_absent, &name.name) else {
        return failure;
    };
    let filter = format!("business_key == {}", serde_json::Value::from(key.as_str()));
    let request = ListSagasRequest { filter, ..ListSagasRequest::default() };
    let Ok(client) = session.client().await else { return failure };
    let found = client.list(request, OTHERS_TOLD, |_| ());
    // No index leads to it: who has mistyped a name does not wait long for a guess.
    let Ok(Ok(found)) = tokio::time::timeout(GUESS_WITHIN, found).await else { return failure };
    let same = escaped(&found).sagas.into_iter().filter(|it| it.business_key == *key);
    let found: Vec<String> = same.map(|it| typed(&it)).collect();
    if !found.is_empty() {
        failure.why.push_str(&format!("; elsewhere there is {}", found.join(", ")));
    }
    failure
}

async fn dispatch(session: &Session, command: SagaCommand) -> Result<Exit, Failure> {
    match command {
        SagaCommand::Start(arguments) => start::start(session, arguments).await,
        SagaCommand::List(arguments) => list(session, arguments).await,
        SagaCommand::Get(arguments) => get(session, &arguments).await,
        SagaCommand::Describe(arguments) => describe(session, &arguments).await,
        SagaCommand::Log(arguments) => log(session, &arguments).await,
        SagaCommand::Wait(arguments) => start::wait(session, &arguments).await,
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

async fn get(session: &Session, arguments: &Names) -> Result<Exit, Failure> {
    let reply = session.client().await?.saga(&arguments.one()?).await?;
    session.print(&reply, |reply, look| saga_list::one(reply.saga.as_ref(), look))?;
    Ok(Exit::Ok)
}

async fn describe(session: &Session, arguments: &Names) -> Result<Exit, Failure> {
    let client = session.client().await?;
    let name = arguments.one()?;
    let reply = client.saga(&name).await?;
    let events = client.events(&name, &mut String::new()).await?;
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
    let name = arguments.sagas.one()?;
    if arguments.verify {
        return whole_log::verify(session, &name).await;
    }
    let client = session.client().await?;
    let mut page_token = String::new();
    let mut reply = client.events(&name, &mut page_token).await?;
    let begin = reply.events.first().and_then(|it| it.appended_at);
    let mut seen = reply.events.last().map_or(0, |it| it.version);
    let left_out = reply.events.len().saturating_sub(arguments.tail.unwrap_or(usize::MAX));
    reply.events.drain(..left_out);
    session.print(&reply, |reply, look| history::report(reply, begin, look))?;
    while arguments.follow && reply.events.last().is_none_or(|it| it.kind != ENDED) {
        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        let mut more = client.events(&name, &mut page_token).await?;
        more.events.retain(|it| seen < it.version);
        let Some(last) = more.events.last() else { continue };
        seen = last.version;
        session.print(&more, |reply, look| history::more(reply, begin, look))?;
        reply = more;
    }
    Ok(Exit::Ok)
}

/// The event behind which nothing comes.
const ENDED: &str = "Ended";
/// How long a log that is followed is left alone.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);

pub(super) async fn stuck(session: &Session, which: &Causes) -> Result<Exit, Failure> {
    let mut reply = groups(session, which).await?;
    if session.is_for_people() {
        let client = session.client().await?;
        // What is offered is what one of them would take.
        for example in reply.groups.iter_mut().filter_map(|it| it.examples.first_mut()) {
            if let Ok(reply) = client.saga(&by_id(&example.saga_id)).await
                && let Some(saga) = reply.saga
            {
                *example = saga;
            }
        }
    }
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
