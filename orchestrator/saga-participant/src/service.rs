//! `saga.participant.v1.ParticipantService`: what became of an operation.

use saga_proto::saga::participant::v1::{
    Absent, AdvanceHorizonRequest, AdvanceHorizonResponse, Applied, Effect, EffectState, Fenced,
    GetLogMarkRequest, GetLogMarkResponse, InProgress, ListEffectsRequest, ListEffectsResponse,
    Rejected, ResolveMode, ResolveRequest, ResolveResponse, Reversed,
    participant_service_server::{ParticipantService, ParticipantServiceServer},
    resolve_response::Resolution,
};
use tonic::{Request, Response, Status, metadata::MetadataMap};
use uuid::Uuid;

use crate::{
    database::{Arg, Row, Tx},
    error::{OperationError, reason},
    op_log::{self, Found, Met, State, Stored},
    operation::{OperationMeta, parse_op_id},
    participant::{Participant, now_ms},
    serve::MESSAGE_BYTES_MAX,
};

const PAGE_SIZE_DEFAULT: u32 = 50;
const PAGE_SIZE_MAX: u32 = 1_000;

/// Serves the inquiry about a participant's operations.
#[derive(Debug)]
pub struct ParticipantApi<S> {
    participant: Participant<S>,
}

impl<S: Send + Sync + 'static> ParticipantApi<S> {
    /// The service.
    pub fn new(participant: Participant<S>) -> Self {
        Self { participant }
    }

    /// The service, ready to be added to the routes.
    pub fn server(participant: Participant<S>) -> ParticipantServiceServer<Self> {
        ParticipantServiceServer::new(Self::new(participant))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }
}

#[tonic::async_trait]
impl<S: Send + Sync + 'static> ParticipantService for ParticipantApi<S> {
    async fn resolve(
        &self,
        request: Request<ResolveRequest>,
    ) -> Result<Response<ResolveResponse>, Status> {
        // Who only looks writes nothing.
        if request.get_ref().mode() == ResolveMode::Fence {
            self.participant.hear_log(request.metadata());
        }
        let (metadata, _, request) = request.into_parts();
        let resolution = self.participant.resolve(&metadata, &request).await;
        let resolution = resolution.map_err(|it| self.participant.status(&it))?;
        Ok(Response::new(ResolveResponse { resolution: Some(resolution) }))
    }

    async fn list_effects(
        &self,
        request: Request<ListEffectsRequest>,
    ) -> Result<Response<ListEffectsResponse>, Status> {
        let listed = self.participant.list_effects(request.into_inner()).await;
        listed.map(Response::new).map_err(|it| self.participant.status(&it))
    }

    async fn advance_horizon(
        &self,
        request: Request<AdvanceHorizonRequest>,
    ) -> Result<Response<AdvanceHorizonResponse>, Status> {
        let AdvanceHorizonRequest { log_id: id, at_ms } = request.into_inner();
        let kept = match log_id(&id) {
            Ok(log_id) => self.participant.advance_horizon(log_id, at_ms).await,
            Err(error) => Err(error),
        };
        kept.map(Response::new).map_err(|it| self.participant.status(&it))
    }

    async fn get_log_mark(
        &self,
        request: Request<GetLogMarkRequest>,
    ) -> Result<Response<GetLogMarkResponse>, Status> {
        let mark = match log_id(&request.get_ref().log_id) {
            Ok(log_id) => self.participant.log_mark(log_id).await,
            Err(error) => Err(error),
        };
        mark.map(Response::new).map_err(|it| self.participant.status(&it))
    }
}

fn log_id(text: &str) -> Result<Uuid, OperationError> {
    Uuid::try_parse(text).map_err(|_| OperationError::Invalid {
        reason: reason::LOG_ID_INVALID,
        field: "log_id".to_owned(),
        value: text.chars().take(100).collect(),
        remedy: "a UUID, as in the metadata saga-log-id".to_owned(),
    })
}

impl<S: Send + Sync + 'static> Participant<S> {
    /// Tells what became of an operation. PEEK only looks. With FENCE it is decided
    /// afterwards, unless it is still under way; where a provider's answer is missing, the
    /// provider is asked again.
    async fn resolve(
        &self,
        metadata: &MetadataMap,
        request: &ResolveRequest,
    ) -> Result<Resolution, OperationError> {
        let op_id = parse_op_id("op_id", &request.op_id)?;
        let op = OperationMeta::of_inquiry(metadata, op_id, now_ms())?;
        let stored = match request.mode() {
            ResolveMode::Peek => self.peek(&op).await?,
            ResolveMode::Fence => match self.fence(op.clone()).await {
                Ok(stored) => Some(stored),
                // Its transaction is open for longer than we wait.
                Err(error) if waited_in_vain(&error) => {
                    return Ok(Resolution::InProgress(InProgress {}));
                }
                Err(error) => return Err(error),
            },
            ResolveMode::Unspecified => {
                let remedy = "RESOLVE_MODE_PEEK or RESOLVE_MODE_FENCE";
                return Err(OperationError::invalid("mode", request.mode, remedy));
            }
        };
        let fence = request.mode() == ResolveMode::Fence;
        match stored {
            Some(stored) if fence && stored.state == State::Intended => {
                self.resolve_intended(&op, stored).await
            }
            Some(stored) => Ok(resolution(stored)),
            None => Ok(Resolution::Absent(Absent {})),
        }
    }

    /// Asks the provider again what became of an operation.
    async fn resolve_intended(
        &self,
        op: &OperationMeta,
        stored: Stored,
    ) -> Result<Resolution, OperationError> {
        // Whether it was found out is read from the log.
        let _: Result<_, Status> = self.settle(stored).await?;
        let stored = self.peek(op).await?;
        Ok(stored.map_or(Resolution::InProgress(InProgress {}), resolution))
    }

    /// Only looks: it writes nothing, not even that the row is needed for longer.
    async fn peek(&self, op: &OperationMeta) -> Result<Option<Stored>, OperationError> {
        let (op_id, started_at_ms) = (op.op_id, op.start());
        let look = move |mut tx: Tx| async move { Ok(op_log::find(&mut tx, op_id).await?) };
        let Found { horizon, stored } = self.shared.database.read(look).await?;
        if horizon.passed(started_at_ms) {
            return Err(OperationError::TooOld { op_id });
        }
        if stored.is_none() {
            horizon.admit(op_id, started_at_ms)?;
        }
        Ok(stored)
    }

    async fn fence(&self, op: OperationMeta) -> Result<Stored, OperationError> {
        let fence = move |mut tx: Tx| async move {
            let fenced = op_log::fence(&mut tx, op.op_id, &op).await;
            let is_new = fenced.map_err(OperationError::before_claim)?.is_some();
            // Behind the fence, which may have waited for the row to be deleted.
            let met = op_log::meet(&mut tx, op.op_id, &op).await?;
            let Met { horizon, stored, .. } = met.ok_or_else(OperationError::in_progress)?;
            if is_new {
                horizon.admit(op.op_id, op.start())?;
            }
            tx.commit().await?;
            Ok(stored)
        };
        self.shared.database.write(fence).await
    }

    async fn list_effects(
        &self,
        request: ListEffectsRequest,
    ) -> Result<ListEffectsResponse, OperationError> {
        let after = match request.page_token.as_str() {
            "" => 0,
            token => {
                token.strip_prefix("seq-").and_then(|it| it.parse().ok()).ok_or_else(|| {
                    OperationError::Invalid {
                        reason: reason::PAGE_TOKEN_INVALID,
                        field: "page_token".to_owned(),
                        value: token.chars().take(100).collect(),
                        remedy: "the next_page_token of the page before, or empty".to_owned(),
                    }
                })?
            }
        };
        let page_size = match request.page_size {
            0 => PAGE_SIZE_DEFAULT,
            size => size.min(PAGE_SIZE_MAX),
        };
        let list = move |mut tx: Tx| async move {
            let saga_id = request.saga_id.as_str();
            let rows = effect_rows(&mut tx, saga_id, after, i64::from(page_size) + 1).await?;
            Ok(page(&rows, page_size as usize)?)
        };
        self.shared.database.read(list).await
    }
}

/// One row more than the page holds tells whether there is another page. Rows are never
/// moved, so a token stays good. An operation that commits while a list is being read may
/// be missing from that list, not from the next.
async fn effect_rows(
    tx: &mut Tx,
    saga_id: &str,
    after: i64,
    rows_max: i64,
) -> Result<Vec<Row>, sqlx::Error> {
    if saga_id.is_empty() {
        return tx
            .rows(
                "/* list_effects */
                select seq, op_id, saga_id, kind, state, reverses, at_ms
                from op_log where seq > $1 order by seq limit $2",
                &[Arg::Int(after), Arg::Int(rows_max)],
            )
            .await;
    }
    tx.rows(
        "/* list_effects_of_saga */
        select seq, op_id, saga_id, kind, state, reverses, at_ms
        from op_log where saga_id = $3 and seq > $1 order by seq limit $2",
        &[Arg::Int(after), Arg::Int(rows_max), Arg::Text(saga_id)],
    )
    .await
}

fn page(rows: &[Row], page_size: usize) -> Result<ListEffectsResponse, sqlx::Error> {
    let page = &rows[..rows.len().min(page_size)];
    let effects = page.iter().map(effect).collect::<Result<_, _>>()?;
    let next_page_token = match page.last() {
        Some(last) if page_size < rows.len() => format!("seq-{}", last.int(0)?),
        _ => String::new(),
    };
    Ok(ListEffectsResponse { effects, next_page_token })
}

fn effect(row: &Row) -> Result<Effect, sqlx::Error> {
    let state = match State::parse(&row.text(4)?)? {
        State::Applied => EffectState::Applied,
        State::Rejected => EffectState::Rejected,
        State::Fenced => EffectState::Fenced,
        State::Intended => EffectState::Intended,
    };
    Ok(Effect {
        op_id: row.uuid(1)?.to_string(),
        saga_id: row.optional_text(2)?.unwrap_or_default(),
        kind: row.text(3)?,
        state: state.into(),
        reverses: row.optional_uuid(5)?.map(|id| id.to_string()).unwrap_or_default(),
        recorded_at: Some(timestamp(row.int(6)?)),
    })
}

/// A time in milliseconds since the Unix epoch, as protobuf has it.
pub fn timestamp(at_ms: i64) -> prost_types::Timestamp {
    let nanos = i32::try_from(at_ms.rem_euclid(1_000)).unwrap_or(0) * 1_000_000;
    prost_types::Timestamp { seconds: at_ms.div_euclid(1_000), nanos }
}

fn waited_in_vain(error: &OperationError) -> bool {
    matches!(
        error,
        OperationError::Overloaded(_)
            | OperationError::Unknown { reason: reason::OPERATION_IN_PROGRESS, .. }
    )
}

fn resolution(stored: Stored) -> Resolution {
    match stored.state {
        State::Applied if stored.reversal == Some(State::Applied) => {
            Resolution::Reversed(Reversed { reply: stored.result })
        }
        // Whether its provider has undone it already is not known.
        State::Applied if stored.reversal == Some(State::Intended) => {
            Resolution::InProgress(InProgress {})
        }
        State::Applied => Resolution::Applied(Applied { reply: stored.result }),
        State::Rejected => {
            Resolution::Rejected(Rejected { reason: stored.reason, message: stored.message })
        }
        State::Fenced => Resolution::Fenced(Fenced {}),
        State::Intended => Resolution::InProgress(InProgress {}),
    }
}
