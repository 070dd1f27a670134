//! A check of a participant while it runs.

use saga_proto::saga::v1::{
    CheckParticipantRequest, Restarted, RunParticipantCheckRequest, RunParticipantCheckResponse,
    StopCheck, run_participant_check_request::Said, run_participant_check_response::Said as Told,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;

use crate::{exit::Exit, failure::Failure};

/// A check of a participant while it runs.
#[derive(Debug)]
pub(crate) struct RunningCheck {
    doing: String,
    say: Say,
    told: Streaming<RunParticipantCheckResponse>,
}

type Say = mpsc::UnboundedSender<RunParticipantCheckRequest>;

impl RunningCheck {
    /// What is said to the server, and the way to say more.
    pub(super) fn begin(
        request: CheckParticipantRequest,
    ) -> (Say, UnboundedReceiverStream<RunParticipantCheckRequest>) {
        let (say, said) = mpsc::unbounded_channel();
        send(&say, Said::Begin(request));
        (say, UnboundedReceiverStream::new(said))
    }

    pub(super) fn new(doing: &str, say: Say, told: Streaming<RunParticipantCheckResponse>) -> Self {
        Self { doing: doing.to_owned(), say, told }
    }

    /// What the server tells next. May be dropped and asked again.
    ///
    /// # Errors
    ///
    /// The check was not made, or the connection broke: the server undoes what is under way.
    pub(crate) async fn next(&mut self) -> Result<Told, Failure> {
        loop {
            match self.told.message().await {
                Ok(Some(RunParticipantCheckResponse { said: Some(told) })) => return Ok(told),
                // Something newer than this program.
                Ok(Some(_)) => {}
                Ok(None) => return Err(self.broken_off()),
                Err(status) => return Err(Failure::refused(&self.doing, &status)),
            }
        }
    }

    /// Says that the participant was restarted.
    pub(crate) fn restarted(&self) {
        send(&self.say, Said::Restarted(Restarted {}));
    }

    /// Ends the check early. Its report is still told.
    pub(crate) fn stop(&self) {
        send(&self.say, Said::Stop(StopCheck {}));
    }

    fn broken_off(&self) -> Failure {
        Failure {
            exit: Exit::Unavailable,
            what: format!("cannot {}: the server ended it without a report", self.doing),
            code: None,
            why: "what it did may stand".to_owned(),
            remedies: vec!["ListEffects of the participant names what it recorded".to_owned()],
        }
    }
}

/// A server that has gone is noticed by what it does not tell.
fn send(say: &Say, said: Said) {
    let _ = say.send(RunParticipantCheckRequest { said: Some(said) });
}
