//! The number that shows effects: where it is read, and what it says.
//!
//! An answer says what a participant claims; whether something happened, happened twice
//! or was undone, only its data say. The check reads one number of them.

use std::time::Duration;

use bytes::Bytes;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor,
    Value,
};
use saga_core::{Direction, OperationId, SagaId};
use uuid::Uuid;

use crate::{
    definition::{CallSpec, RefusalCodes, encode_json},
    participants::{
        CallRequest, Caller,
        probe::{Answer, Key},
    },
};

/// How long one reading may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Readings of one number that is not there yet, or not as expected.
const TRIES: u32 = 5;

/// Pause before the second reading; doubles.
const PAUSE_FIRST: Duration = Duration::from_millis(40);

/// A floating-point number is compared to six decimals.
const PARTS: f64 = 1_000_000.0;

/// Where a number is read, as a person wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// `package.Service/Method`, without the participant.
    pub method: String,
    pub participant: String,
    /// Proto-JSON; `{n}` as in the input.
    pub input: String,
    pub field: String,
}

/// A number that can be read.
#[derive(Debug)]
pub struct Observer {
    spec: CallSpec,
    request: MessageDescriptor,
    input: String,
    path: Vec<Part>,
    /// The field, as it was written.
    pub(crate) field: String,
}

/// One part of a field's path.
#[derive(Debug)]
struct Part {
    field: FieldDescriptor,
    /// Of a list.
    index: Option<usize>,
}

/// What a reading gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    value: i128,
    /// It is in millionths.
    parts: bool,
}

impl Number {
    const NONE: Self = Self { value: 0, parts: false };

    /// This number after `effects` effects, each of which moves it by `moves`.
    pub(crate) fn after(self, effects: i128, moves: Self) -> Self {
        let value = self.value.saturating_add(moves.value.saturating_mul(effects));
        Self { value, parts: self.parts || moves.parts }
    }

    pub(crate) fn less(self, other: Self) -> Self {
        let value = self.value.saturating_sub(other.value);
        Self { value, parts: self.parts || other.parts }
    }

    pub(crate) fn is_zero(self) -> bool {
        self.value == 0
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.parts {
            #[expect(clippy::cast_precision_loss, reason = "it came from such a number")]
            return write!(f, "{}", self.value as f64 / PARTS);
        }
        write!(f, "{}", self.value)
    }
}

impl Observer {
    /// The observer of `observation`, by the types of its participant.
    ///
    /// # Errors
    ///
    /// What is wrong with it. Nothing was called.
    pub fn new(observation: Observation, types: &DescriptorPool) -> Result<Self, String> {
        let Observation { method: name, participant, input, field } = observation;
        let method = method(types, &name)?;
        let path = http::uri::PathAndQuery::try_from(format!("/{name}"));
        let spec = CallSpec {
            participant,
            path: path.map_err(|error| format!("{name}: {error}"))?,
            timeout: TIMEOUT,
            refusals: RefusalCodes::NONE,
            already_undone: Vec::new(),
            request_type: method.input(),
            reply_type: method.output(),
            types_id: 0,
        };
        let input = if input.is_empty() { "{}".to_owned() } else { input };
        let request = method.input();
        encode_json(&request, &numbered(&input, 0)).map_err(|error| error.to_string())?;
        let path = path_of(&method.output(), &field)?;
        Ok(Self { spec, request, input, path, field })
    }

    /// `participant/package.Service/Method`.
    #[must_use]
    pub fn call(&self) -> String {
        format!("{}{}", self.spec.participant, self.spec.path)
    }

    /// Whether it reads the same number in every saga of a check.
    pub(crate) fn is_shared(&self) -> bool {
        !self.input.contains("{n}")
    }

    /// Reads the number, for the saga of this number.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(crate) async fn read(&self, caller: &dyn Caller, number: u64) -> Result<Number, String> {
        let body = encode_json(&self.request, &numbered(&self.input, number));
        let body = body.map_err(|error| error.to_string())?;
        let mut last = String::new();
        for attempt in 1..=TRIES {
            match caller.probe(self.request(body.clone(), attempt), Key::LeftOut).await {
                Answer::Reply(reply) => return self.number(reply),
                Answer::Status(status) if status.code == "NOT_FOUND" => return Ok(Number::NONE),
                answer if answer.may_be_tried_again() => last = answer.to_string(),
                answer => return Err(format!("{} was answered {answer}", self.call())),
            }
            pause(attempt).await;
        }
        Err(format!("{} was answered {last}", self.call()))
    }

    /// Reads until the number is `expected`, a few times. A number that two readings do not
    /// agree on is moved by somebody else.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(crate) async fn settled(
        &self,
        caller: &dyn Caller,
        number: u64,
        expected: Number,
    ) -> Result<Number, String> {
        let mut readings = Vec::new();
        for attempt in 1..=TRIES {
            let reading = self.read(caller, number).await?;
            if reading == expected {
                return Ok(reading);
            }
            readings.push(reading);
            pause(attempt).await;
        }
        match readings.as_slice() {
            [.., before, last] if before == last => Ok(*last),
            _ => Err(format!("{} moves while nothing is called", self.field)),
        }
    }

    /// Reads until the number is another than `before`, a few times.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(crate) async fn moved(
        &self,
        caller: &dyn Caller,
        number: u64,
        before: Number,
    ) -> Result<Number, String> {
        let mut reading = before;
        for attempt in 1..=TRIES {
            reading = self.read(caller, number).await?;
            if reading != before {
                break;
            }
            pause(attempt).await;
        }
        Ok(reading)
    }

    fn request(&self, body: Bytes, attempt: u32) -> CallRequest<'_> {
        CallRequest {
            spec: &self.spec,
            body,
            headers: Vec::new(),
            saga: SagaId(Uuid::now_v7()),
            started_at_ms: None,
            step: "observe",
            direction: Direction::Forward,
            attempt,
            // Not sent: a method that only reads needs none.
            operation: OperationId(Uuid::now_v7()),
            log: None,
            timeout: TIMEOUT,
        }
    }

    fn number(&self, reply: Bytes) -> Result<Number, String> {
        let mut message = DynamicMessage::decode(self.spec.reply_type.clone(), reply)
            .map_err(|error| format!("the reply of {} cannot be read: {error}", self.call()))?;
        let mut value = Value::Message(message.clone());
        for part in &self.path {
            value = message.get_field(&part.field).into_owned();
            if let (Some(index), Value::List(items)) = (part.index, &value) {
                let Some(item) = items.get(index) else { return Ok(Number::NONE) };
                value = item.clone();
            }
            if let Value::Message(inner) = &value {
                message = inner.clone();
            }
        }
        number(&value).ok_or_else(|| format!("{} is no number: {value:?}", self.field))
    }
}

fn method(types: &DescriptorPool, name: &str) -> Result<MethodDescriptor, String> {
    let (service, method) = name.split_once('/').ok_or("write package.Service/Method")?;
    let found = types
        .get_service_by_name(service)
        .ok_or_else(|| format!("there is no service {service}"))?;
    let method = found.methods().find(|it| it.name() == method);
    let method = method.ok_or_else(|| format!("there is no method {name}"))?;
    if method.is_client_streaming() || method.is_server_streaming() {
        return Err(format!("{name} streams; name a method with one reply"));
    }
    Ok(method)
}

fn path_of(reply: &MessageDescriptor, path: &str) -> Result<Vec<Part>, String> {
    let mut of = Some(reply.clone());
    let mut parts: Vec<Part> = Vec::new();
    for name in path.split('.') {
        let (name, index) = match name.split_once('[') {
            None => (name, None),
            Some((name, index)) => {
                let index = index.strip_suffix(']').and_then(|it| it.parse().ok());
                (name, Some(index.ok_or_else(|| format!("{path}: write an index as [0]"))?))
            }
        };
        let message = of.take().ok_or_else(|| format!("{path}: {name} is within no message"))?;
        let field = message
            .get_field_by_name(name)
            .or_else(|| message.get_field_by_json_name(name))
            .ok_or_else(|| format!("{} has no field {name}", message.full_name()))?;
        if index.is_some() && !field.is_list() {
            return Err(format!("{path}: {name} is no list"));
        }
        if index.is_some() || field.cardinality() != prost_reflect::Cardinality::Repeated {
            of = field.kind().as_message().cloned();
        }
        parts.push(Part { field, index });
    }
    let countable = parts.last().is_some_and(|Part { field, index }| {
        let repeated = field.is_list() || field.is_map();
        repeated && index.is_none() || is_number(&field.kind())
    });
    if countable { Ok(parts) } else { Err(format!("{path} is no number, list or map")) }
}

fn is_number(kind: &Kind) -> bool {
    !matches!(kind, Kind::Message(_) | Kind::Bytes | Kind::Enum(_))
}

fn number(value: &Value) -> Option<Number> {
    let whole = |value: i128| Some(Number { value, parts: false });
    match value {
        Value::Bool(it) => whole((*it).into()),
        Value::I32(it) => whole((*it).into()),
        Value::I64(it) => whole((*it).into()),
        Value::U32(it) => whole((*it).into()),
        Value::U64(it) => whole((*it).into()),
        Value::F32(it) => parts((*it).into()),
        Value::F64(it) => parts(*it),
        Value::String(it) => match it.parse() {
            Ok(it) => whole(it),
            Err(_) => parts(it.parse().ok()?),
        },
        Value::List(items) => whole(i128::try_from(items.len()).ok()?),
        Value::Map(entries) => whole(i128::try_from(entries.len()).ok()?),
        Value::Bytes(_) | Value::EnumNumber(_) | Value::Message(_) => None,
    }
}

fn parts(value: f64) -> Option<Number> {
    #[expect(clippy::cast_possible_truncation, reason = "it saturates, and so is compared")]
    let parts = (value * PARTS).round() as i128;
    value.is_finite().then_some(Number { value: parts, parts: true })
}

/// The pause behind reading number `attempt`. None behind the last one.
async fn pause(attempt: u32) {
    if attempt < TRIES {
        tokio::time::sleep(PAUSE_FIRST * 2_u32.pow(attempt - 1)).await;
    }
}

/// `{n}` is no JSON outside of a string, so replacing it in the text replaces it in strings.
pub(crate) fn numbered(json: &str, number: u64) -> String {
    json.replace("{n}", &number.to_string())
}
