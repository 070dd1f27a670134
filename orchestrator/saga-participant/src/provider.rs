//! Operations that ask an outside provider.
//!
//! No transaction is open during the call (I11). The intent is committed before it, with
//! the request and the planned call, and the answer after it; whoever finds an intent
//! without an answer repeats the planned call, byte for byte, with the same key.

use std::{fmt, future::Future};

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use prost::Message as _;
use tonic::{Request, Response, Status};
use tracing::Instrument as _;

use crate::{
    database::Tx,
    error::{OperationError, Refusal, reason},
    op_log::{self, Answered, Claim, Stored, record},
    operation::OperationMeta,
    participant::{Participant, checked_reversal, now_ms},
    raw::RawRequest,
    repeat::{self, Concluded},
    request_hash::request_hash,
    telemetry,
};

/// What is to be done at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent<P, R> {
    /// Call it like this.
    Call(P),
    /// Nothing: the answer is known. The operation has taken effect.
    Answer(R),
}

/// What is known after a call to the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled<A> {
    /// The provider has answered for good: it did it, or it will not.
    Definite(A),
    /// Nobody knows whether the provider did it. The operation stays open.
    Unknown {
        /// What happened, for people.
        message: String,
    },
    /// The provider is still at it. To the caller the same as unknown.
    Wait {
        /// What happened, for people.
        message: String,
    },
    /// The provider does not accept our credentials or our requests: for the operator. To the
    /// caller the same as unknown: an earlier request of the operation, or one before the one
    /// that was not accepted, may have had its effect. The operation stays open.
    Configuration {
        /// What happened, for people.
        message: String,
    },
}

/// How the service judges a definite answer. In both cases the rows that it wrote in
/// [`ProviderOperation::record`] stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<R> {
    /// The operation has taken effect.
    Applied(R),
    /// The operation is refused; the provider did nothing, and will do nothing.
    Rejected(Refusal),
}

/// An operation that asks an outside provider. `S` holds the way to the provider.
///
/// The idempotency key at the provider is the operation's id.
pub trait ProviderOperation<S>: prost::Message + Default + Clone + Send + 'static {
    /// Its name in the operation log, such as `Confirm`. Never changes.
    const KIND: &'static str;
    /// What is answered.
    type Reply: prost::Message + Default + Send + 'static;
    /// The call, with all that it needs. Stored, so that it can be repeated as it was: without
    /// map fields, which come out in another order each time.
    type Plan: prost::Message + Default + Send + 'static;
    /// What a definite answer of the provider says.
    type Answer: Send + 'static;

    /// As [`crate::Operation::reverses`].
    ///
    /// # Errors
    ///
    /// [`OperationError::Invalid`]: the request names no operation id. Not recorded.
    fn reverses(&self) -> Result<Option<uuid::Uuid>, OperationError> {
        Ok(None)
    }

    /// Checks the request and writes what must be known before the provider is called.
    /// Committed before the call. Not called again for the same operation.
    ///
    /// # Errors
    ///
    /// As of [`crate::Operation::apply`]: its changes are taken back, and a refusal is
    /// recorded. The provider was not called.
    fn intend(
        &self,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> impl Future<Output = Result<Intent<Self::Plan, Self::Reply>, OperationError>> + Send;

    /// Calls the provider. No transaction is open. May be called any number of times with
    /// the same plan and the same id, also after another process has died in it; never
    /// twice at once in one process. Must come to an end by itself.
    fn call(
        plan: Self::Plan,
        service: &S,
        op: &OperationMeta,
    ) -> impl Future<Output = Settled<Self::Answer>> + Send;

    /// Writes what the provider answered, together with the record of the operation.
    ///
    /// # Errors
    ///
    /// Any error takes the changes back and leaves the operation open, because the
    /// provider may have acted: the caller hears UNAVAILABLE, and a later call asks the
    /// provider again. A refusal is a [`Verdict`], not an error.
    fn record(
        self,
        answer: Self::Answer,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> impl Future<Output = Result<Verdict<Self::Reply>, OperationError>> + Send;
}

type Resume<S> = fn(Participant<S>, Stored) -> BoxFuture<'static, Result<Answered, Status>>;

/// Goes on with an operation of one kind that waits for its provider.
pub struct Resumer<S> {
    pub(crate) kind: &'static str,
    pub(crate) resume: Resume<S>,
}

impl<S> fmt::Debug for Resumer<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Resumer({})", self.kind)
    }
}

impl<S: Send + Sync + 'static> Resumer<S> {
    /// The resumer of operation `O`.
    pub fn of<O: ProviderOperation<S>>() -> Self {
        Self {
            kind: O::KIND,
            resume: |participant, stored| resume::<S, O>(participant, stored).boxed(),
        }
    }
}

async fn resume<S: Send + Sync + 'static, O: ProviderOperation<S>>(
    participant: Participant<S>,
    stored: Stored,
) -> Result<Answered, Status> {
    let asked = Asked::<O>::stored(&stored).map_err(|it| participant.status(&it))?;
    let op = OperationMeta {
        op_id: stored.op_id,
        saga_id: stored.saga_id,
        started_at_ms: stored.started_at_ms,
        step: None,
        direction: None,
        attempt: None,
        at_ms: stored.at_ms,
        asked_before: true,
    };
    participant.perform_once(op, asked).await
}

/// A request with its bytes, as they came over the wire, and their hash.
struct Asked<O> {
    request: O,
    raw: Bytes,
    hash: [u8; 32],
}

impl<O: prost::Message + Default> Asked<O> {
    /// The request of a row. It keeps the row's hash, however that was made.
    fn stored(stored: &Stored) -> Result<Self, OperationError> {
        let request = O::decode(stored.request.as_slice()).map_err(|source| {
            tracing::error!(error = %source, "the operation log holds a damaged request");
            OperationError::broken()
        })?;
        let hash = stored.request_hash.as_slice().try_into();
        let hash = hash.map_err(|_| OperationError::broken())?;
        Ok(Self { request, raw: Bytes::copy_from_slice(&stored.request), hash })
    }
}

impl<S: Send + Sync + 'static> Participant<S> {
    /// Performs an operation that asks an outside provider, at most once by way of the
    /// provider's own key, and answers every repetition as the first. Goes on to its end
    /// although the caller leaves, once it has begun.
    ///
    /// # Errors
    ///
    /// The codes are explained in [`crate::error`]. UNAVAILABLE leaves the operation open: the
    /// provider may have acted.
    pub async fn perform<O: ProviderOperation<S>>(
        &self,
        mut request: Request<O>,
    ) -> Result<Response<O::Reply>, Status> {
        self.hear_log(request.metadata());
        let op = OperationMeta::read(request.metadata(), now_ms());
        let op = op.map_err(|it| self.status(&it))?;
        let raw = RawRequest::take(&mut request).map_err(|it| self.status(&it))?;
        let hash = request_hash(O::KIND, &raw);
        let asked = Asked { request: request.into_inner(), raw, hash };
        let answered = self.perform_once(op, asked).await?;
        self.response(answered)
    }

    /// Performs the operation, or waits for the call that is performing it.
    async fn perform_once<O: ProviderOperation<S>>(
        &self,
        op: OperationMeta,
        asked: Asked<O>,
    ) -> Result<Answered, Status> {
        let key = (op.op_id, asked.hash);
        let participant = self.clone();
        let span = telemetry::operation_span(O::KIND, &op);
        let work = async move {
            let performed = participant.perform_inner(&op, asked).await;
            telemetry::ended(&performed);
            performed.unwrap_or_else(|error| Err(participant.status(&error)))
        };
        let Self { shared } = self;
        shared.in_flight.join_or_start(key, shared.database.tasks(), work.instrument(span)).await
    }

    async fn perform_inner<O: ProviderOperation<S>>(
        &self,
        op: &OperationMeta,
        asked: Asked<O>,
    ) -> Result<Result<Answered, Status>, OperationError> {
        let (plan, asked_before) = match self.intend(op, &asked).await? {
            Intent::Call(it) => it,
            Intent::Answer(ended) => return Ok(ended),
        };
        let op = &OperationMeta { asked_before, ..op.clone() };
        match O::call(plan, &self.shared.service, op).await {
            Settled::Definite(answer) => self
                .record_answer(op, asked.request, answer)
                .await
                .map_err(|error| after_call(op, &error)),
            Settled::Unknown { message } | Settled::Wait { message } => {
                Err(OperationError::Unknown { reason: reason::PROVIDER_OUTCOME_UNKNOWN, message })
            }
            Settled::Configuration { message } => Err(OperationError::Configuration { message }),
        }
    }

    /// Makes the intent durable, or finds the one that was made before, and tells which.
    async fn intend<O: ProviderOperation<S>>(
        &self,
        op: &OperationMeta,
        asked: &Asked<O>,
    ) -> Result<Intent<(O::Plan, bool), Result<Answered, Status>>, OperationError> {
        let Asked { request, raw, hash } = asked;
        let claim = Claim {
            op,
            kind: O::KIND,
            request_hash: hash,
            decoded: request,
            reverses: checked_reversal(op, request.reverses()?)?,
            request: Some(raw),
        };
        let permit = self.shared.database.enter_write().await?;
        let (tx, begun) = self.begin(&claim, permit).await?;
        let mut tx = match self.conclude(tx, &claim, begun, O::Reply::default()).await? {
            Concluded::Ended(ended) => return Ok(Intent::Answer(ended)),
            // The same request under the hash of before: whoever goes on with it is known
            // by that one, and no two may.
            Concluded::Intended(stored) if stored.request_hash != hash => {
                return self.settle(stored).await.map(Intent::Answer);
            }
            Concluded::Intended(stored) => {
                let plan = stored_plan::<O::Plan>(&stored)?;
                return Ok(Intent::Call((plan, true)));
            }
            Concluded::Fresh(tx) => tx,
        };
        tx.mark().await?;
        match request.intend(&mut tx, op).await {
            Ok(Intent::Call(plan)) => {
                let plan_bytes = plan.encode_to_vec();
                let horizon = record::record_plan(&mut tx, op.op_id, &plan_bytes).await?;
                // Behind the call to the provider it would be too late.
                horizon.admit(op.op_id, op.start())?;
                tx.commit().await?;
                Ok(Intent::Call((plan, false)))
            }
            Ok(Intent::Answer(reply)) => self.record(tx, op, Ok(reply)).await.map(Intent::Answer),
            Err(error) => self.record(tx, op, Err::<O::Reply, _>(error)).await.map(Intent::Answer),
        }
    }

    /// Writes a definite answer, unless another process was quicker.
    async fn record_answer<O: ProviderOperation<S>>(
        &self,
        op: &OperationMeta,
        request: O,
        answer: O::Answer,
    ) -> Result<Result<Answered, Status>, OperationError> {
        let database = &self.shared.database;
        let mut tx = database.begin_write(database.enter_promised_write().await).await?;
        let Some(stored) = op_log::find_and_hold(&mut tx, op.op_id).await? else {
            return Err(OperationError::broken());
        };
        match repeat::ended(&stored) {
            Ok(None) => {}
            Ok(Some(ended)) => {
                tx.rollback().await;
                return Ok(ended);
            }
            Err(error) => {
                tx.rollback().await;
                return Ok(Err(self.status(&error)));
            }
        }
        match request.record(answer, &mut tx, op).await {
            // Whatever the horizon is: an open intent is never deleted, and was acted on.
            Ok(Verdict::Applied(reply)) => {
                let answered = Answered { reply: reply.encode_to_vec(), nothing_to_undo: false };
                record::record_applied(&mut tx, op.op_id, &answered).await?;
                tx.commit().await?;
                Ok(Ok(answered))
            }
            Ok(Verdict::Rejected(refusal)) => {
                let status = refusal.recorded_status(self.shared.domain);
                record::record_rejected(&mut tx, op.op_id, &refusal, &status).await?;
                tx.commit().await?;
                Ok(Err(status))
            }
            Err(error) => {
                tx.rollback().await;
                Err(error)
            }
        }
    }
}

/// After the provider was called no error may say that nothing was done.
fn after_call(op: &OperationMeta, error: &OperationError) -> OperationError {
    tracing::error!(op.id = %op.op_id, error = %error, "the provider's answer was not recorded");
    let message = "the provider's answer was not recorded; ask again with the same id".to_owned();
    OperationError::Unknown { reason: reason::PROVIDER_OUTCOME_UNKNOWN, message }
}

fn stored_plan<P: prost::Message + Default>(stored: &Stored) -> Result<P, OperationError> {
    P::decode(stored.plan.as_slice()).map_err(|source| {
        tracing::error!(error = %source, "the operation log holds a damaged plan");
        OperationError::broken()
    })
}
