//! The log as a whole, and whether the log of one saga is as it was written.

use saga_proto::saga::v1::{AcknowledgeRestoreRequest, SagaName};

use crate::{
    cli::{AcknowledgeRestore, LogCommand},
    exit::Exit,
    failure::Failure,
    permit::{Terminal, permit},
    report::log,
    session::Session,
};

pub(super) async fn run(session: &Session, command: LogCommand) -> Result<Exit, Failure> {
    match command {
        LogCommand::AcknowledgeRestore(arguments) => acknowledge(session, arguments).await,
    }
}

async fn acknowledge(session: &Session, arguments: AcknowledgeRestore) -> Result<Exit, Failure> {
    if arguments.reason.trim().is_empty() {
        return Err(Failure::usage("a reason is missing", "--reason \"who restored it, and why\""));
    }
    let client = session.client().await?;
    let preview = log::preview(&client.info().await?, arguments.unnoticed);
    let permit = permit(arguments.consent.yes, &preview, &mut Terminal)?;
    let once = arguments.once;
    let request = AcknowledgeRestoreRequest {
        actor: arguments.actor.actor,
        reason: arguments.reason,
        request_id: once.request_id.clone(),
        expected_version: once.expected_version.unwrap_or(0),
        unnoticed: arguments.unnoticed,
    };
    let reply = client.acknowledge(request, &permit).await;
    let reply = reply.map_err(|failure| failure.repeatable(&once.request_id))?;
    session.print(&reply, |reply, _| log::acknowledged(reply))?;
    Ok(Exit::Ok)
}

/// Checks that no row was changed, and none taken out of the middle.
pub(super) async fn verify(session: &Session, name: &SagaName) -> Result<Exit, Failure> {
    let reply = session.client().await?.verify(name).await?;
    session.print(&reply, log::verified)?;
    Ok(if reply.breaks.is_empty() { Exit::Ok } else { Exit::Error })
}
