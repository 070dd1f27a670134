//! A suite that any participant can run: is it safe to be part of a saga?
//!
//! The suite knows nothing of the service but how to call one of its actions and the
//! action's compensation, and how to count the effects that stand. Where the service is
//! reached, in this process or over the wire, is the subject's business.

use std::{fmt, sync::Arc};

use saga_proto::saga::participant::v1::{ResolveMode, resolve_response::Resolution};
use tonic::{Request, Status, async_trait};
use uuid::Uuid;

use crate::{
    operation::{NOTHING_TO_UNDO_KEY, OP_ID_KEY},
    raw::{RawReply, RawRequest},
};

mod binary;
mod claims;
mod scratch;
mod wire;

pub use binary::{Binary, Running};
pub use scratch::Scratch;
pub use wire::{connect, resolve, serve};

/// Which request an action carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// One that takes effect.
    Plain,
    /// One that takes effect and differs from [`Body::Plain`].
    Other,
    /// One that is refused for good.
    Refused,
}

/// How a call was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The encoded reply.
    pub reply: Vec<u8>,
    /// Whether it was a compensation that found nothing to undo.
    pub nothing_to_undo: bool,
}

/// A participant under test.
#[async_trait]
pub trait Subject: Send + Sync + 'static {
    /// Calls the action.
    async fn act(&self, op_id: Uuid, body: Body) -> Result<Answer, Status>;

    /// Calls the compensation of `original`. A subject whose action has none leaves this
    /// out and is judged by [`certify_action`].
    async fn undo(&self, op_id: Uuid, original: Uuid) -> Result<Answer, Status> {
        Err(Status::unimplemented(format!("{op_id} cannot undo {original}")))
    }

    /// Calls `ParticipantService.Resolve`.
    async fn resolve(&self, op_id: Uuid, mode: ResolveMode) -> Result<Resolution, Status>;

    /// How many actions stand: took effect and were not undone. Read from the service's
    /// tables or from its provider, never from its replies.
    async fn standing(&self) -> i64;
}

/// What the suite found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Each claim, and what is wrong where it does not hold.
    pub claims: Vec<(&'static str, Result<(), String>)>,
}

impl Report {
    /// Panics with every claim that does not hold.
    ///
    /// # Panics
    ///
    /// A claim does not hold.
    pub fn assert_all_hold(&self) {
        assert!(self.claims.iter().all(|(_, held)| held.is_ok()), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (claim, held) in &self.claims {
            match held {
                Ok(()) => writeln!(formatter, "holds   {claim}")?,
                Err(why) => writeln!(formatter, "BROKEN  {claim}: {why}")?,
            }
        }
        Ok(())
    }
}

/// Runs every claim, one after another. Ids are new, so it can be run on a service that
/// has data; it leaves some behind.
pub async fn certify(subject: Arc<dyn Subject>) -> Report {
    let mut report = certify_action(subject.clone()).await;
    report.claims.extend(claims::of_undo(subject).await);
    report
}

/// Runs the claims about an action that has no compensation.
pub async fn certify_action(subject: Arc<dyn Subject>) -> Report {
    Report { claims: claims::of_action(subject).await }
}

/// A request with the metadata of an operation, as if it had come over the wire.
///
/// # Panics
///
/// Never: a UUID is a legal metadata value.
pub fn with_op_id<T: prost::Message>(op_id: Uuid, message: T) -> Request<T> {
    let raw = RawRequest::of(&message.encode_to_vec());
    let mut request = Request::new(message);
    request.extensions_mut().insert(raw);
    let value = op_id.to_string().parse().expect("a UUID is ASCII");
    request.metadata_mut().insert(OP_ID_KEY, value);
    request
}

/// A reply as the suite compares it.
///
/// # Errors
///
/// The call's own status.
pub fn answer<R: prost::Message>(
    response: Result<tonic::Response<R>, Status>,
) -> Result<Answer, Status> {
    let response = response?;
    let nothing_to_undo = response.metadata().contains_key(NOTHING_TO_UNDO_KEY);
    let sent = response.extensions().get().map(|RawReply(sent)| sent.to_vec());
    let reply = sent.unwrap_or_else(|| response.into_inner().encode_to_vec());
    Ok(Answer { reply, nothing_to_undo })
}

/// The reason of a status's `ErrorInfo`; empty where it has none.
pub fn reason_of(status: &Status) -> String {
    use tonic_types::StatusExt as _;
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// An operation id that was never used.
pub fn new_op_id() -> Uuid {
    Uuid::now_v7()
}

/// Makes each of the named functions, which take a [`Scratch`], a test on both databases.
#[macro_export]
macro_rules! on_both_databases {
    ($($claim:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $claim() {
                super::$claim($crate::testkit::Scratch::sqlite()).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $claim() {
                super::$claim($crate::testkit::Scratch::postgres().await).await;
            })+
        }
    };
}
