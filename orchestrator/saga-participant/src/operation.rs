//! What a service implements: its operations, which change something, and its queries.
//!
//! Both are implemented on the request messages themselves. `S` is the service's own type;
//! it makes the implementation the service's, and gives provider operations what they need.

use std::future::Future;

use tonic::metadata::MetadataMap;
use uuid::Uuid;

use crate::{
    database::Tx,
    error::{OperationError, reason},
    horizon::saga_start,
    patience::Patience,
};

/// The operation's id, a UUID: the same for every try. Required on every changing call.
pub const OP_ID_KEY: &str = "saga-op-id";
/// The saga that the operation belongs to. Recorded where it is given.
pub const SAGA_ID_KEY: &str = "saga-id";
/// When the saga began, in milliseconds since the Unix epoch by the clock of its log: the same
/// in every call and every inquiry of the saga.
pub const STARTED_KEY: &str = "saga-started-at-ms";
/// The saga's step. For logs.
pub const STEP_KEY: &str = "saga-step";
/// `forward` or `backward`. For logs.
pub const DIRECTION_KEY: &str = "saga-direction";
/// The number of the try, from 1. For logs.
pub const ATTEMPT_KEY: &str = "saga-attempt";
/// In a reply: `true` where a compensation found nothing to undo.
pub const NOTHING_TO_UNDO_KEY: &str = "saga-nothing-to-undo";
/// In a refusal: `recorded` where the operation log has it, so that it speaks of every try.
/// Not in OP_FENCED, OP_ID_REUSED and OP_REVERSED, which speak of an operation's past.
pub const REFUSAL_KEY: &str = "saga-refusal";
/// The value of [`REFUSAL_KEY`].
pub const RECORDED: &str = "recorded";

const SAGA_ID_CHARS_MAX: usize = 128;

/// What is known of a call beside its request.
#[derive(Clone, Debug)]
pub struct OperationMeta {
    /// The operation's id.
    pub op_id: Uuid,
    /// The saga it belongs to, if any.
    pub saga_id: Option<String>,
    /// When that saga began, in milliseconds since the Unix epoch, as far as it is told: by
    /// itself, or by a saga's id that is a UUID of version 7.
    pub started_at_ms: Option<i64>,
    /// The saga's step, if any.
    pub step: Option<String>,
    /// `forward` or `backward`, if told.
    pub direction: Option<String>,
    /// The number of the try, if told.
    pub attempt: Option<u32>,
    /// When the call came, for people. Nothing is decided by it.
    pub at_ms: i64,
    /// Whether the operation's intent was there before this call: an outside provider may
    /// have been asked already, and its answer to a repeat may be an old one.
    pub asked_before: bool,
}

impl OperationMeta {
    /// Reads the metadata of a call that came at `at_ms`.
    ///
    /// # Errors
    ///
    /// [`OperationError::Invalid`]: OP_ID_MISSING or OP_ID_INVALID. Nothing was done.
    pub fn read(metadata: &MetadataMap, at_ms: i64) -> Result<Self, OperationError> {
        let value = |key: &str| metadata.get(key).and_then(|it| it.to_str().ok());
        let Some(op_id) = value(OP_ID_KEY) else {
            return Err(OperationError::Invalid {
                reason: reason::OP_ID_MISSING,
                field: format!("metadata {OP_ID_KEY}"),
                value: String::new(),
                remedy: "send a UUID, the same for every try of this call".to_owned(),
            });
        };
        if metadata.get_all(OP_ID_KEY).iter().count() != 1 {
            return Err(OperationError::Invalid {
                reason: reason::OP_ID_INVALID,
                field: format!("metadata {OP_ID_KEY}"),
                value: "several".to_owned(),
                remedy: "send one: whoever added the other one does not know the call".to_owned(),
            });
        }
        let op_id = parse_op_id(&format!("metadata {OP_ID_KEY}"), op_id)?;
        let saga_id = value(SAGA_ID_KEY).filter(|it| !it.is_empty());
        if let Some(saga_id) = saga_id
            && saga_id.len() > SAGA_ID_CHARS_MAX
        {
            let remedy = format!("at most {SAGA_ID_CHARS_MAX} characters");
            return Err(OperationError::invalid(
                format!("metadata {SAGA_ID_KEY}"),
                saga_id,
                remedy,
            ));
        }
        Ok(Self {
            op_id,
            saga_id: saga_id.map(str::to_owned),
            started_at_ms: saga_start(metadata)?,
            step: value(STEP_KEY).map(str::to_owned),
            direction: value(DIRECTION_KEY).map(str::to_owned),
            attempt: value(ATTEMPT_KEY).and_then(|it| it.parse().ok()),
            at_ms,
            asked_before: false,
        })
    }

    /// Reads the metadata of an inquiry about `op_id` that came at `at_ms`.
    ///
    /// # Errors
    ///
    /// [`OperationError::Invalid`]: what it says of its saga cannot be read.
    pub(crate) fn of_inquiry(
        metadata: &MetadataMap,
        op_id: Uuid,
        at_ms: i64,
    ) -> Result<Self, OperationError> {
        let started_at_ms = saga_start(metadata)?;
        let (step, direction, attempt) = (None, None, None);
        let (saga_id, asked_before) = (None, false);
        Ok(Self { op_id, saga_id, started_at_ms, step, direction, attempt, at_ms, asked_before })
    }
}

/// Reads an operation id that stands in `field`.
///
/// # Errors
///
/// [`OperationError::Invalid`] with the reason OP_ID_INVALID. Nothing was done.
pub fn parse_op_id(field: &str, text: &str) -> Result<Uuid, OperationError> {
    Uuid::try_parse(text).map_err(|_| OperationError::Invalid {
        reason: reason::OP_ID_INVALID,
        field: field.to_owned(),
        value: text.chars().take(100).collect(),
        remedy: "a UUID, such as 01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
    })
}

/// An operation whose whole effect is in the service's own database.
///
/// A repeat has the same request, byte for byte as it came over the wire, and is answered
/// with the stored reply, byte for byte.
pub trait Operation<S>: prost::Message + Default + Clone + Send + 'static {
    /// Its name in the operation log, such as `Reserve`. Never changes.
    const KIND: &'static str;
    /// What is answered.
    type Reply: prost::Message + Default + Send + 'static;

    /// The operation that this one undoes, if it undoes one. An operation is undone at
    /// most once; what never happened is fenced and needs no undoing, and then
    /// [`Operation::apply`] is not called.
    ///
    /// # Errors
    ///
    /// [`OperationError::Invalid`]: the request names no operation id. Not recorded.
    fn reverses(&self) -> Result<Option<Uuid>, OperationError> {
        Ok(None)
    }

    /// Makes the changes in `tx`, which the kit commits together with the record of the
    /// operation. Called at most once with success for one id.
    ///
    /// # Errors
    ///
    /// Whatever it returns, its changes are taken back; [`OperationError::Rejected`] is
    /// recorded, the others are not.
    fn apply(
        self,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> impl Future<Output = Result<Self::Reply, OperationError>> + Send;
}

/// An [`Operation`] that also needs the service itself, such as its settings. Every
/// [`Operation`] is one.
pub trait ServiceOperation<S>: prost::Message + Default + Clone + Send + 'static {
    /// As [`Operation::KIND`].
    const KIND: &'static str;
    /// As [`Operation::Reply`].
    type Reply: prost::Message + Default + Send + 'static;

    /// As [`Operation::reverses`].
    ///
    /// # Errors
    ///
    /// As of [`Operation::reverses`].
    fn reverses(&self) -> Result<Option<Uuid>, OperationError> {
        Ok(None)
    }

    /// How often the transaction is tried where others are in its way.
    fn patience(_: &S) -> Patience {
        Patience::ONCE
    }

    /// As [`Operation::apply`], with the service.
    ///
    /// # Errors
    ///
    /// As of [`Operation::apply`]. After [`OperationError::Conflict`] it is called again
    /// in a new transaction, as [`ServiceOperation::patience`] says.
    fn apply(
        self,
        service: &S,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> impl Future<Output = Result<Self::Reply, OperationError>> + Send;
}

impl<S, O: Operation<S>> ServiceOperation<S> for O {
    const KIND: &'static str = O::KIND;
    type Reply = O::Reply;

    fn reverses(&self) -> Result<Option<Uuid>, OperationError> {
        Operation::reverses(self)
    }

    fn apply(
        self,
        _: &S,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> impl Future<Output = Result<Self::Reply, OperationError>> + Send {
        Operation::apply(self, tx, op)
    }
}

/// A question. It changes nothing, needs no id and is not recorded.
pub trait Query<S>: Send + 'static {
    /// What is answered.
    type Reply: Send + 'static;

    /// Answers from one moment of the database.
    ///
    /// # Errors
    ///
    /// As the contract says; nothing is recorded.
    fn answer(
        self,
        tx: &mut Tx,
    ) -> impl Future<Output = Result<Self::Reply, OperationError>> + Send;
}
