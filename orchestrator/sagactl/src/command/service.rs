//! Participants.

use std::time::Duration;

use saga_proto::saga::v1::{CheckParticipantRequest, CheckParticipantResponse, RuleVerdict};

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

/// How long a check may take where `--timeout` does not say.
const CHECK_TIMEOUT: Duration = Duration::from_secs(600);

pub(super) async fn run(session: &Session, command: ServiceCommand) -> Result<Exit, Failure> {
    match command {
        ServiceCommand::Check(arguments) => check(session, arguments).await,
    }
}

async fn check(session: &Session, arguments: ServiceCheck) -> Result<Exit, Failure> {
    let refused_input = arguments.refused_input.as_deref();
    let mut request = CheckParticipantRequest {
        participant: arguments.participant,
        definition_version: arguments.version,
        first_number: arguments.first_number,
        input_json: json_of(&arguments.input)?,
        refused_input_json: refused_input.map(json_of).transpose()?.unwrap_or_default(),
        ..CheckParticipantRequest::default()
    };
    if is_file(&arguments.definition) {
        request.yaml = text_of(&arguments.definition)?;
    } else {
        request.definition = arguments.definition;
    }
    let doing = format!("check {}", request.participant);
    let client = session.client().await?;
    let plan = escaped(&client.plan_check(&doing, request.clone()).await?);
    let preview = service::plan(&request.participant, &plan);
    let permit = permit(arguments.consent.yes, &preview, &mut Terminal)?;
    let limit = session.timeout.unwrap_or(CHECK_TIMEOUT);
    let reply = client.check_participant(&doing, request, limit, &permit).await?;
    session.print(&reply, service::checked)?;
    Ok(exit_of(&reply))
}

fn exit_of(reply: &CheckParticipantResponse) -> Exit {
    let broken = reply.rules.iter().any(|it| it.verdict() == RuleVerdict::Fail);
    if broken { Exit::Error } else { Exit::Ok }
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
