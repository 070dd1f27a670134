//! `RunParticipantCheck`: a check that says how far it is, can be stopped, and can ask for a
//! restart of the participant.

use std::{
    pin::Pin,
    sync::{Arc, Weak},
};

use futures::{Stream, StreamExt};
use saga_proto::saga::v1::{
    self as pb, run_participant_check_request::Said as Asked,
    run_participant_check_response::Said as Told,
};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, Status, Streaming};

use super::{bench, made};
use crate::{
    api::error::{crashed, invalid},
    conformance::{Bench, News, Talk},
    engine::Engine,
};

/// What the client of a running check reads.
pub(crate) type Run =
    Pin<Box<dyn Stream<Item = Result<pb::RunParticipantCheckResponse, Status>> + Send>>;

/// Begins the check, which goes on in a task of its own: where its client goes away, it
/// undoes what is under way, and ends.
pub(crate) async fn run(
    engine: &Engine,
    request: Request<Streaming<pb::RunParticipantCheckRequest>>,
) -> Result<Run, Status> {
    let mut said = request.into_inner();
    let first = said.message().await?.and_then(|it| it.said);
    let Some(Asked::Begin(begin)) = first else {
        return Err(invalid("BEGIN_MISSING", "begin", "the first message says what to check"));
    };
    let participant = begin.participant.clone();
    let bench = bench(engine, begin).await?;
    let (tell, news) = mpsc::unbounded_channel();
    let talk = Arc::new(Talk { news: Some(tell), ..Talk::default() });
    tokio::spawn(listen(said, Arc::downgrade(&talk)));
    // Dropped where nobody reads the stream any more.
    let reader = talk.stop.clone().drop_guard();
    let news = UnboundedReceiverStream::new(news).map(move |it| {
        let _ = &reader;
        Ok(news_of(it, &participant))
    });
    let (tell, done) = oneshot::channel();
    tokio::spawn(finish(bench, talk, tell));
    let broken = |_| Err(crashed("the check crashed; what it did may stand"));
    let done = async move { done.await.unwrap_or_else(broken) };
    // The news end when the check does, and what it found follows them.
    Ok(Box::pin(news.chain(futures::stream::once(done))))
}

/// Hears what the client says, until the check is over or the client has gone.
async fn listen(mut said: Streaming<pb::RunParticipantCheckRequest>, talk: Weak<Talk>) {
    loop {
        let message = said.message().await;
        let Some(talk) = talk.upgrade() else { return };
        match message.map(|it| it.map(|it| it.said)) {
            Ok(Some(Some(Asked::Restarted(_)))) => talk.restarted.notify_one(),
            Ok(Some(Some(Asked::Stop(_)))) | Err(_) => return talk.stop.cancel(),
            Ok(Some(_)) => {}
            // It has nothing more to say, and listens.
            Ok(None) => return,
        }
    }
}

async fn finish(
    bench: Bench,
    talk: Arc<Talk>,
    tell: oneshot::Sender<Result<pb::RunParticipantCheckResponse, Status>>,
) {
    let done = made(&bench, &talk).await;
    drop(talk);
    let said = done.map(|it| pb::RunParticipantCheckResponse { said: Some(Told::Done(it)) });
    // Nobody may be there to hear it.
    let _ = tell.send(said);
}

fn news_of(news: News, participant: &str) -> pb::RunParticipantCheckResponse {
    let said = match news {
        News::Tries { step, rule, tried, total } => {
            Told::Progress(pb::CheckProgress { step, rule: rule.to_owned(), tried, total })
        }
        News::RestartWanted => {
            Told::RestartWanted(pb::RestartWanted { participant: participant.to_owned() })
        }
    };
    pb::RunParticipantCheckResponse { said: Some(said) }
}
