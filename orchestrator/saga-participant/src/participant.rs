//! The one line in every handler: `self.participant.apply(request).await`.

use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use tonic::{Request, Response, Status, metadata::MetadataValue};
use tonic_types::StatusExt as _;
use tracing::Instrument as _;

use crate::{
    database::{Database, Permit, Tx},
    error::{OperationError, Refusal, reason},
    in_flight::InFlight,
    log_mark::LogMarks,
    op_log::{self, Answered, Begun, Claim, Met, Stored, record},
    operation::{NOTHING_TO_UNDO_KEY, OperationMeta, Query, ServiceOperation},
    provider::Resumer,
    prune::Pruner,
    raw::{RawReply, RawRequest},
    repeat::{Concluded, repeat},
    request_hash::request_hash,
    telemetry,
};

/// What a participant is made of.
#[derive(Debug)]
pub struct Setup<S> {
    /// The service's own database, with the kit's schema in it.
    pub database: Database,
    /// The domain of its `ErrorInfo`s, such as `inventory.shop`.
    pub domain: &'static str,
    /// What the service's provider operations need.
    pub service: S,
    /// One for each of its provider operations, so that an inquiry can go on with one.
    pub resumers: Vec<Resumer<S>>,
}

/// Runs a service's operations behind the barrier of the operation log.
pub struct Participant<S> {
    pub(crate) shared: Arc<Shared<S>>,
}

pub(crate) struct Shared<S> {
    pub(crate) database: Database,
    pub(crate) domain: &'static str,
    pub(crate) service: S,
    pub(crate) resumers: Vec<Resumer<S>>,
    pub(crate) in_flight: InFlight,
    pub(crate) log_marks: LogMarks,
    pub(crate) pruner: Pruner,
}

impl<S> Clone for Participant<S> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<S> fmt::Debug for Participant<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Participant({})", self.shared.domain)
    }
}

impl<S: Send + Sync + 'static> Participant<S> {
    /// A participant. Asks nothing of the database yet.
    pub fn new(setup: Setup<S>) -> Self {
        let Setup { database, domain, service, resumers } = setup;
        let shared = Shared {
            database,
            domain,
            service,
            resumers,
            in_flight: InFlight::default(),
            log_marks: LogMarks::default(),
            pruner: Pruner::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The database.
    pub fn database(&self) -> &Database {
        &self.shared.database
    }

    /// What the service's provider operations need.
    pub fn service(&self) -> &S {
        &self.shared.service
    }

    /// Performs an operation whose whole effect is in the database, at most once, and
    /// answers every repetition as the first. Goes on to its end although the caller
    /// leaves, once it has begun.
    ///
    /// # Errors
    ///
    /// The codes are explained in [`crate::error`].
    pub async fn apply<O: ServiceOperation<S>>(
        &self,
        request: Request<O>,
    ) -> Result<Response<O::Reply>, Status> {
        self.hear_log(request.metadata());
        let ended = match Call::<O>::read::<S>(request) {
            Ok(call) => {
                let patience = O::patience(&self.shared.service);
                patience.keep(|| self.apply_call(call.clone())).await
            }
            Err(error) => Err(error),
        };
        self.response(ended.map_err(|it| self.status(&it))??)
    }

    /// Answers a query.
    ///
    /// # Errors
    ///
    /// Those of the query, and RESOURCE_EXHAUSTED and UNAVAILABLE. Nothing is recorded.
    pub async fn answer<Q: Query<S>>(
        &self,
        request: Request<Q>,
    ) -> Result<Response<Q::Reply>, Status> {
        let query = request.into_inner();
        let answer =
            self.shared.database.read(|mut tx| async move { query.answer(&mut tx).await }).await;
        answer.map(Response::new).map_err(|it| self.status(&it))
    }

    /// Tries a call once, in a task that goes on to its end.
    pub(crate) async fn apply_call<O: ServiceOperation<S>>(&self, call: Call<O>) -> Ended {
        let permit = self.shared.database.enter_write().await?;
        let participant = self.clone();
        let span = telemetry::operation_span(O::KIND, &call.op);
        let work = async move {
            let ended = participant.apply_claim(call, permit).await;
            telemetry::ended(&ended);
            ended
        };
        self.shared.database.finish(work.instrument(span)).await
    }

    async fn apply_claim<O: ServiceOperation<S>>(&self, call: Call<O>, permit: Permit) -> Ended {
        let claim = call.claim::<S>();
        let (tx, begun) = self.begin(&claim, permit).await?;
        match self.conclude(tx, &claim, begun, O::Reply::default()).await? {
            Concluded::Ended(ended) => Ok(ended),
            Concluded::Fresh(mut tx) => {
                tx.mark().await?;
                let request = call.request.clone();
                let ended = request.apply(&self.shared.service, &mut tx, &call.op).await;
                self.record(tx, &call.op, ended).await
            }
            Concluded::Intended(_) => Err(OperationError::broken()),
        }
    }

    /// Begins a transaction and claims the operation in it. An original that waits for its
    /// provider is settled first, with no transaction open.
    pub(crate) async fn begin(
        &self,
        claim: &Claim<'_>,
        permit: Permit,
    ) -> Result<(Tx, Begun), OperationError> {
        let database = &self.shared.database;
        let mut tx = database.begin_write(permit).await?;
        let begun = op_log::begin(&mut tx, claim).await?;
        let Begun::OriginalIntended(original) = begun else {
            return Ok((tx, begun));
        };
        tx.rollback().await;
        // Whether it was found out is read from the log.
        let _: Result<Answered, Status> = self.settle(original).await?;
        let mut tx = database.begin_write(database.enter_promised_write().await).await?;
        let begun = op_log::begin(&mut tx, claim).await?;
        Ok((tx, begun))
    }

    /// Answers what needs no effect; hands back what does.
    pub(crate) async fn conclude(
        &self,
        mut tx: Tx,
        claim: &Claim<'_>,
        begun: Begun,
        nothing_to_undo: impl prost::Message,
    ) -> Result<Concluded, OperationError> {
        match begun {
            Begun::Fresh => Ok(Concluded::Fresh(tx)),
            Begun::NothingToUndo { fenced } => {
                let reply = nothing_to_undo.encode_to_vec();
                let answered = Answered { reply, nothing_to_undo: true };
                let op = claim.op;
                let horizon = record::record_applied(&mut tx, op.op_id, &answered).await?;
                horizon.admit(op.op_id, op.start())?;
                if let Some(original) = fenced {
                    horizon.admit(original, op.start_of(original))?;
                }
                tx.commit().await?;
                Ok(Concluded::Ended(Ok(answered)))
            }
            Begun::Refused(refusal) => {
                self.reject(tx, claim.op, &refusal).await.map(|it| Concluded::Ended(Err(it)))
            }
            Begun::Recorded(Met { stored, renewed, .. }) => {
                match renewed {
                    true => tx.commit().await?,
                    false => tx.rollback().await,
                }
                repeat(claim, stored)
            }
            Begun::InTheWay(error) => {
                tx.rollback().await;
                Err(error)
            }
            // It was settled a moment ago without becoming known.
            Begun::OriginalIntended(_) => {
                tx.rollback().await;
                Err(OperationError::original_unknown())
            }
        }
    }

    /// Records how an operation ended that was claimed in `tx`, together with its effect, if
    /// there is one.
    pub(crate) async fn record<R: prost::Message>(
        &self,
        mut tx: Tx,
        op: &OperationMeta,
        ended: Result<R, OperationError>,
    ) -> Ended {
        match ended {
            Ok(reply) => {
                let answered = Answered { reply: reply.encode_to_vec(), nothing_to_undo: false };
                let horizon = record::record_applied(&mut tx, op.op_id, &answered).await?;
                horizon.admit(op.op_id, op.start())?;
                tx.commit().await?;
                Ok(Ok(answered))
            }
            Err(OperationError::Rejected(refusal)) => {
                tx.undo_to_mark().await?;
                self.reject(tx, op, &refusal).await.map(Err)
            }
            Err(error) => {
                tx.rollback().await;
                Err(error)
            }
        }
    }

    /// Records the refusal of an operation that was claimed in `tx`.
    pub(crate) async fn reject(
        &self,
        mut tx: Tx,
        op: &OperationMeta,
        refusal: &Refusal,
    ) -> Result<Status, OperationError> {
        let status = refusal.recorded_status(self.shared.domain);
        let horizon = record::record_rejected(&mut tx, op.op_id, refusal, &status).await?;
        horizon.admit(op.op_id, op.start())?;
        tx.commit().await?;
        Ok(status)
    }

    /// Goes on with an operation that waits for its provider, to its answer or to another
    /// try that tells nothing.
    pub(crate) async fn settle(
        &self,
        original: Stored,
    ) -> Result<Result<Answered, Status>, OperationError> {
        let kind = original.kind.clone();
        let Some(resumer) = self.shared.resumers.iter().find(|it| it.kind == kind) else {
            tracing::error!(kind, "nothing resumes this kind of operation");
            return Err(OperationError::broken());
        };
        match (resumer.resume)(self.clone(), original).await {
            // Whoever inquires is told why it stands still.
            Err(status) if is_configuration(&status) => {
                Err(OperationError::Configuration { message: status.message().to_owned() })
            }
            ended => Ok(ended),
        }
    }

    pub(crate) fn status(&self, error: &OperationError) -> Status {
        error.status(self.shared.domain)
    }

    pub(crate) fn response<R: prost::Message + Default>(
        &self,
        answered: Answered,
    ) -> Result<Response<R>, Status> {
        let reply = R::decode(answered.reply.as_slice()).map_err(|source| {
            tracing::error!(error = %source, "the operation log holds a damaged reply");
            self.status(&OperationError::broken())
        })?;
        let mut response = Response::new(reply);
        response.extensions_mut().insert(RawReply(answered.reply.into()));
        if answered.nothing_to_undo {
            response.metadata_mut().insert(NOTHING_TO_UNDO_KEY, MetadataValue::from_static("true"));
        }
        Ok(response)
    }
}

/// How a call ended: answered, refused with a status that is recorded, or neither.
pub(crate) type Ended = Result<Result<Answered, Status>, OperationError>;

/// A call of an operation that keeps the rules every call has to keep.
#[derive(Clone, Debug)]
pub(crate) struct Call<O> {
    pub(crate) op: OperationMeta,
    pub(crate) request: O,
    pub(crate) request_hash: [u8; 32],
    pub(crate) reverses: Option<uuid::Uuid>,
}

impl<O> Call<O> {
    pub(crate) fn read<S>(mut request: Request<O>) -> Result<Self, OperationError>
    where
        O: ServiceOperation<S>,
    {
        let op = OperationMeta::read(request.metadata(), now_ms())?;
        let request_hash = request_hash(O::KIND, &RawRequest::take(&mut request)?);
        let request = request.into_inner();
        let reverses = checked_reversal(&op, request.reverses()?)?;
        Ok(Self { op, request, request_hash, reverses })
    }

    pub(crate) fn claim<S>(&self) -> Claim<'_>
    where
        O: ServiceOperation<S>,
    {
        let Self { op, request, request_hash, reverses } = self;
        let (kind, reverses) = (O::KIND, *reverses);
        Claim { op, kind, request_hash, decoded: request, reverses, request: None }
    }
}

pub(crate) fn checked_reversal(
    op: &OperationMeta,
    reverses: Option<uuid::Uuid>,
) -> Result<Option<uuid::Uuid>, OperationError> {
    if reverses == Some(op.op_id) {
        return Err(OperationError::Invalid {
            reason: reason::OP_ID_INVALID,
            field: "metadata saga-op-id".to_owned(),
            value: op.op_id.to_string(),
            remedy: "a compensation needs an id of its own".to_owned(),
        });
    }
    Ok(reverses)
}

/// Milliseconds since the Unix epoch. Recorded for people; nothing is decided by it.
#[expect(clippy::disallowed_methods, reason = "the one place where the kit reads the clock")]
pub(crate) fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

fn is_configuration(status: &Status) -> bool {
    let details = status.get_error_details();
    details.error_info().is_some_and(|it| it.reason == reason::PROVIDER_CONFIGURATION)
}
