//! Definitions of sagas.

use std::{fs, io};

use saga_proto::saga::v1::{
    CheckDefinitionRequest, GetDefinitionRequest, RegisterDefinitionRequest, Severity,
};

use super::{drawn, prove, rehearse};
use crate::{
    cli::{Apply, DefinitionCommand, File},
    client::Client,
    exit::Exit,
    failure::Failure,
    look::plain_lines,
    reply::pretty,
    report::definition,
    session::Session,
};

pub(super) async fn run(session: &Session, command: DefinitionCommand) -> Result<Exit, Failure> {
    match command {
        DefinitionCommand::Apply(arguments) => apply(session, arguments).await,
        DefinitionCommand::Check(arguments) => check(session, &arguments).await,
        DefinitionCommand::List => {
            let reply = session.client().await?.definition_list().await?;
            session.print(&reply, definition::list)?;
            Ok(Exit::Ok)
        }
        DefinitionCommand::Get { name } => get(session, &name).await,
        DefinitionCommand::Test(arguments) => rehearse::run(session, &arguments),
        DefinitionCommand::Prove(arguments) => prove::run(session, &arguments),
        DefinitionCommand::Graph(arguments) => drawn::draw(session, &arguments),
        DefinitionCommand::Diff(arguments) => drawn::compare(session, &arguments),
        DefinitionCommand::Schema => {
            let schema = saga_definition::schema();
            let id = vec!["definition.schema.json".to_owned()];
            session.print_value(&schema, &id, |_| pretty(&schema))?;
            Ok(Exit::Ok)
        }
    }
}

async fn apply(session: &Session, arguments: Apply) -> Result<Exit, Failure> {
    let Apply { file, reason, once, actor, require_proof } = arguments;
    let yaml = text_of(file.name())?;
    if require_proof {
        prove::check(file.name(), &yaml)?;
    }
    let client = session.client().await?;
    let request = RegisterDefinitionRequest {
        yaml: yaml.clone(),
        file_name: file.name().to_owned(),
        request_id: once.request_id.clone(),
        actor: actor.actor,
        reason,
        expected_version: once.expected_version.unwrap_or(0),
    };
    match client.register(&format!("apply {}", file.name()), request).await {
        Ok(reply) => {
            session.print(&reply, definition::applied)?;
            Ok(Exit::Ok)
        }
        Err(failure) => {
            if failure.code.as_deref().is_some_and(|it| it.ends_with("/DEFINITION_INVALID")) {
                say_report(session, &client, yaml, file.name()).await;
            }
            Err(failure.repeatable(&once.request_id))
        }
    }
}

/// Says what is wrong, with lines. The refusal itself is told by the caller, so a report
/// that cannot be had is left out.
async fn say_report(session: &Session, client: &Client, yaml: String, file_name: &str) {
    let request = CheckDefinitionRequest { yaml, file_name: file_name.to_owned() };
    if let Ok(reply) = client.check(request).await {
        session.say(plain_lines(&reply.report).trim_end());
    }
}

async fn check(session: &Session, arguments: &File) -> Result<Exit, Failure> {
    let yaml = text_of(arguments.name())?;
    let request = CheckDefinitionRequest { yaml, file_name: arguments.name().to_owned() };
    let reply = session.client().await?.check(request).await?;
    session.print(&reply, definition::checked)?;
    let refused = reply.findings.iter().any(|it| it.severity() == Severity::Error);
    Ok(if refused { Exit::Error } else { Exit::Ok })
}

async fn get(session: &Session, name: &str) -> Result<Exit, Failure> {
    let (name, version) = match name.split_once('@') {
        None => (name, 0),
        Some((name, version)) => match version.parse() {
            Ok(version) => (name, version),
            Err(_) => {
                let what = format!("{version:?} is no version");
                return Err(Failure::usage(what, "place-order@3"));
            }
        },
    };
    let request = GetDefinitionRequest { name: name.to_owned(), version };
    let reply = session.client().await?.definition(&format!("show {name}"), request).await?;
    session.print(&reply, |reply, _| {
        reply.definition.as_ref().map(|it| it.yaml.clone()).unwrap_or_default()
    })?;
    Ok(Exit::Ok)
}

/// The contents of a file, or of standard input for `-`.
///
/// # Errors
///
/// [`Exit::Usage`]: it cannot be read as text. Nothing was asked of the server.
pub(super) fn text_of(file: &str) -> Result<String, Failure> {
    let text =
        if file == "-" { io::read_to_string(io::stdin().lock()) } else { fs::read_to_string(file) };
    text.map_err(|error| Failure {
        exit: Exit::Usage,
        what: format!("cannot read {file}"),
        code: None,
        why: error.to_string(),
        remedies: Vec::new(),
    })
}
