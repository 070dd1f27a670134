//! Asks a participant whether it is there.

use futures::{StreamExt, stream::FuturesUnordered};
use http::{HeaderMap, uri::PathAndQuery};
use saga_governor::Ping;
use tonic::Code;

use super::{
    channels::{Channel, Entry},
    exchange::{self, Seen, Unary},
};

/// The usual question after a server's health. That there is an answer matters, not which one:
/// who does not serve it says so, and whoever says that it is not well is called all the same.
const PATH: &str = "/grpc.health.v1.Health/Check";

/// Asks at every address. One answer is enough.
pub(super) async fn ping(entry: &Entry) -> Ping {
    let asked: FuturesUnordered<_> =
        entry.channels.to_each_address().map(|channel| answers(channel, entry)).collect();
    let mut answers = asked.filter(|answers| std::future::ready(*answers));
    match answers.next().await {
        Some(_) => Ping::Answered,
        None => Ping::Silent,
    }
}

async fn answers(channel: &Channel, entry: &Entry) -> bool {
    let unary = Unary {
        path: PathAndQuery::from_static(PATH),
        metadata: HeaderMap::new(),
        body: bytes::Bytes::new(),
        timeout: entry.ping_timeout,
        reply_bytes_max: entry.reply_bytes_max,
    };
    match exchange::unary(channel, unary).await {
        Seen::Reply(_) | Seen::NothingToUndo(_) | Seen::TooLarge { .. } | Seen::BadReply { .. } => {
            true
        }
        // A proxy with nobody behind it.
        Seen::Status(status) => status.code() != Code::Unavailable,
        Seen::NotSent { .. } | Seen::TimedOut | Seen::Lost { .. } | Seen::NotGrpc { .. } => false,
    }
}
