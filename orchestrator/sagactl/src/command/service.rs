//! Participants.

mod begin;
mod follow;
mod progress;
mod steer;

use saga_proto::saga::v1::{
    CheckParticipantRequest, CheckParticipantResponse, Observation, RuleVerdict,
};

use crate::{
    cli::{ServiceCheck, ServiceCommand},
    command::{definition::text_of, start::input},
    exit::Exit,
    failure::Failure,
    permit::{Terminal, permit},
    reply::escaped,
    report::service,
    session::Session,
};
use follow::{Followed, Restart, follow};

pub(super) async fn run(session: &Session, command: ServiceCommand) -> Result<Exit, Failure> {
    match command {
        ServiceCommand::List => steer::list(session).await,
        ServiceCommand::Describe { participant } => steer::describe(session, &participant).await,
        ServiceCommand::Pause(arguments) => steer::pause(session, arguments).await,
        ServiceCommand::Resume(arguments) => steer::resume(session, arguments).await,
        ServiceCommand::Limit(arguments) => steer::limit(session, arguments).await,
        ServiceCommand::Check(arguments) => Box::pin(check(session, arguments)).await,
        ServiceCommand::New(arguments) => begin::write(session, &arguments),
    }
}

async fn check(session: &Session, arguments: ServiceCheck) -> Result<Exit, Failure> {
    let restart = match &arguments.restart_cmd {
        Some(command) => Some(Restart::Run(command.clone())),
        None => arguments.pause_for_restart.then_some(Restart::Wait),
    };
    let strict = arguments.strict;
    let yes = arguments.consent.yes;
    let request = CheckParticipantRequest { restart: restart.is_some(), ..request(arguments)? };
    let doing = format!("check {}", request.participant);
    let client = session.client().await?;
    let plan = escaped(&client.plan_check(&doing, request.clone()).await?);
    let preview = service::plan(&request.participant, &plan);
    let permit = permit(yes, &preview, &mut Terminal)?;
    let running = client.run_check(&doing, request, &permit).await?;
    let Followed { reply, ended } = follow(session, &doing, running, restart).await?;
    session.print(&reply, service::checked)?;
    ended.map(|()| exit_of(&reply, strict))
}

fn request(arguments: ServiceCheck) -> Result<CheckParticipantRequest, Failure> {
    let optional = |it: Option<&str>| it.map(json_of).transpose().map(Option::unwrap_or_default);
    let observe_input = optional(arguments.observe_input.as_deref())?;
    let observe = arguments.observe.map(|method| Observation {
        method,
        input_json: observe_input,
        field: arguments.observe_field.unwrap_or_default(),
    });
    let mut request = CheckParticipantRequest {
        participant: arguments.participant,
        definition_version: arguments.version,
        first_number: arguments.first_number,
        input_json: json_of(&arguments.input)?,
        refused_input_json: optional(arguments.refused_input.as_deref())?,
        observe,
        ..CheckParticipantRequest::default()
    };
    if is_file(&arguments.definition) {
        request.yaml = text_of(&arguments.definition)?;
    } else {
        request.definition = arguments.definition;
    }
    Ok(request)
}

/// `strict`: what was not seen is not good enough.
fn exit_of(reply: &CheckParticipantResponse, strict: bool) -> Exit {
    let bad = |it: RuleVerdict| match it {
        RuleVerdict::Fail => true,
        RuleVerdict::Pass => false,
        RuleVerdict::NotObserved | RuleVerdict::NotChecked | RuleVerdict::Unspecified => strict,
    };
    if reply.rules.iter().any(|it| bad(it.verdict())) { Exit::Error } else { Exit::Ok }
}

/// The JSON of a file, of standard input for `-`, or as it was typed.
fn json_of(argument: &str) -> Result<String, Failure> {
    if argument == "-" || argument.starts_with(['{', '@']) {
        return input(argument);
    }
    input(&format!("@{argument}"))
}

/// Names of definitions have neither dots nor slashes.
fn is_file(definition: &str) -> bool {
    definition.contains(['.', '/'])
}
