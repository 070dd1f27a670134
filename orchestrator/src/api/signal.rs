//! Signals: what a client sends to a step that waits for it.

use bytes::Bytes;
use saga_proto::saga::v1::{self as pb, signal_saga_request::Payload};
use tonic::{Code, Status};

use crate::{
    api::{
        error::{contended, echo, invalid, status},
        field, repeat,
        saga::find_row,
        view,
    },
    definition::{InputError, SignalSpec},
    engine::{Engine, SignalError, Signalled, StepSignal},
};

pub(super) async fn signal(
    engine: &Engine,
    request: pb::SignalSagaRequest,
) -> Result<pb::SignalSagaResponse, Status> {
    field::request_id(&request.request_id)?;
    field::name("signal", &request.signal)?;
    field::words(&request.actor, &request.reason)?;
    let row = find_row(engine, request.name).await?;
    let definition = engine.definition(&row.definition, row.definition_version).await?;
    let Some(spec) = definition.signals().find(|signal| signal.name == request.signal) else {
        let known: Vec<&str> = definition.signals().map(|signal| signal.name).collect();
        return Err(unknown(&request.signal, &known));
    };
    let payload = payload(engine, &spec, request.payload)?;
    let expected_version = request.expected_version;
    let given = StepSignal {
        step: spec.step,
        request_id: request.request_id,
        payload,
        actor: request.actor,
        reason: request.reason,
        expected_version,
    };
    let (snapshot, existed) = match engine.signal(row.saga, given).await {
        Ok(Signalled::Now(snapshot)) => (snapshot, false),
        Ok(Signalled::Before(snapshot)) => (snapshot, true),
        Err(SignalError::MovedOn(snapshot)) => {
            repeat::still_at(engine, &snapshot, expected_version).await?;
            return Err(SignalError::MovedOn(snapshot).into());
        }
        Err(error) => return Err(error.into()),
    };
    let saga = Some(view::saga(&snapshot, engine.shared.clock.now_ms()));
    Ok(pb::SignalSagaResponse { saga, existed })
}

fn unknown(signal: &str, known: &[&str]) -> Status {
    let remedy = match known {
        [] => "the definition waits for none".to_owned(),
        known => format!("the signals are {}", known.join(", ")),
    };
    invalid("SIGNAL_UNKNOWN", "signal", format!("no step waits for {:?}; {remedy}", echo(signal)))
}

fn payload(
    engine: &Engine,
    spec: &SignalSpec<'_>,
    payload: Option<Payload>,
) -> Result<Bytes, Status> {
    let bytes_max = engine.limits().input_bytes_max;
    let too_large = |bytes: usize| {
        let message = format!("{bytes} bytes, at most {bytes_max}; send less");
        invalid("SIGNAL_TOO_LARGE", "payload", message)
    };
    let given = match &payload {
        Some(Payload::Json(json)) => json.len(),
        Some(Payload::Message(message)) => message.value.len(),
        None => 0,
    };
    // JSON takes more room than the bytes it stands for; what counts is the bytes.
    if given > bytes_max.saturating_mul(4) {
        return Err(too_large(given));
    }
    let encoded = match payload {
        Some(Payload::Json(json)) => spec.encode_json(&json),
        Some(Payload::Message(any)) => spec.check_bytes(&any.type_url, &any.value),
        None => spec.encode_json("{}"),
    };
    let encoded = encoded.map_err(|error| misfit(spec, &error))?;
    if encoded.len() > bytes_max {
        return Err(too_large(encoded.len()));
    }
    Ok(encoded)
}

fn misfit(spec: &SignalSpec<'_>, error: &InputError) -> Status {
    let field = if error.field.is_empty() { "payload" } else { &error.field };
    let what = format!("{}; {}", error.message, error.remedy);
    invalid(
        "SIGNAL_INVALID",
        field,
        format!("signal {} is a {}: {what}", spec.name, spec.type_name()),
    )
}

impl From<SignalError> for Status {
    fn from(error: SignalError) -> Self {
        match error {
            SignalError::Reach(error) => error.into(),
            SignalError::RequestIdReused => status(
                Code::AlreadyExists,
                "REQUEST_ID_REUSED",
                "this request id was used with another payload, or for another act on this saga; use \
                 another id; nothing was done",
            ),
            SignalError::AlreadyGiven => status(
                Code::FailedPrecondition,
                "SIGNAL_ALREADY_GIVEN",
                "another request has given this signal, and the first one counts; nothing was done",
            ),
            SignalError::MovedOn(_) => contended("the saga moved on"),
            SignalError::Ended => status(
                Code::FailedPrecondition,
                "SAGA_ENDED",
                "the saga has ended; look at it again",
            ),
            SignalError::TooLate => status(
                Code::FailedPrecondition,
                "SIGNAL_TOO_LATE",
                "the saga is turning back, or the step has gone on without this signal; nothing \
                 was done",
            ),
        }
    }
}
