//! The orchestrator itself.

use tonic_health::pb::health_check_response::ServingStatus;

use crate::{cli::ServerCommand, exit::Exit, failure::Failure, report::server, session::Session};

pub(super) async fn run(session: &Session, command: ServerCommand) -> Result<Exit, Failure> {
    let client = session.client().await?;
    match command {
        ServerCommand::Info => {
            session.print(&client.info().await?, server::report)?;
            Ok(Exit::Ok)
        }
        ServerCommand::Health => {
            let status = client.health().await?;
            let name = status.as_str_name();
            let value = serde_json::json!({ "status": name });
            session.print_value(&value, &[name.to_owned()], |_| name.to_owned())?;
            Ok(if status == ServingStatus::Serving { Exit::Ok } else { Exit::Unavailable })
        }
    }
}
