//! What every field of a request is held to before anything is done with it: how long it may
//! be, and that an enum's value is one that this program knows.

use saga_proto::saga::v1 as pb;
use tonic::Status;

use crate::{
    api::error::{echo, invalid},
    engine::Engine,
};

/// Characters of a name: of a definition, a step, a signal, a participant, a method, a file.
const NAME_CHARS_MAX: usize = 200;
/// Characters of an actor or a reason.
const WORDS_CHARS_MAX: usize = 1_000;
/// Characters of a request id.
const REQUEST_ID_CHARS_MAX: usize = 200;

/// A name, which may be empty.
pub(super) fn name(field: &str, text: &str) -> Result<(), Status> {
    within("FIELD_TOO_LONG", field, text, NAME_CHARS_MAX)
}

/// Who acts and why, as long as a log keeps it. Each may be empty.
pub(super) fn words(actor: &str, reason: &str) -> Result<(), Status> {
    within("REASON_TOO_LONG", "actor", actor, WORDS_CHARS_MAX)?;
    within("REASON_TOO_LONG", "reason", reason, WORDS_CHARS_MAX)
}

/// Who acts and why, where both must be said.
pub(super) fn signed(actor: &str, reason: &str) -> Result<(), Status> {
    for (code, field, words) in
        [("ACTOR_MISSING", "actor", actor), ("REASON_MISSING", "reason", reason)]
    {
        if words.trim().is_empty() {
            return Err(invalid(code, field, "missing; it is kept in the saga's log"));
        }
    }
    words(actor, reason)
}

/// What makes a request one; where nobody says, one of its own.
pub(super) fn own_request_id(engine: &Engine, given: String) -> Result<String, Status> {
    if given.is_empty() {
        return Ok(engine.shared.clock.new_id().to_string());
    }
    request_id(&given).map(|()| given)
}

/// What makes a request one, where it must have that.
pub(super) fn request_id(given: &str) -> Result<(), Status> {
    let is_long = given.chars().nth(REQUEST_ID_CHARS_MAX).is_some();
    // No database of all holds a NUL.
    if given.is_empty() || is_long || given.contains('\0') {
        let wanted = format!(
            "1 to {REQUEST_ID_CHARS_MAX} characters that make this request one, such as a UUID"
        );
        return Err(invalid("REQUEST_ID_MISSING", "request_id", wanted));
    }
    Ok(())
}

/// JSON, which takes more room than the bytes that it stands for: those count, once known.
pub(super) fn json(code: &str, field: &str, json: &str, bytes_max: usize) -> Result<(), Status> {
    if json.len() > bytes_max.saturating_mul(4) {
        let message = format!("{} bytes of JSON, at most 4 * {bytes_max}; send less", json.len());
        return Err(invalid(code, field, message));
    }
    Ok(())
}

/// The value of an enum.
pub(super) fn known<E: TryFrom<i32>>(field: &str, value: i32) -> Result<E, Status> {
    E::try_from(value).map_err(|_| {
        let message = format!("{value} is no value that this server knows; leave it out");
        invalid("ENUM_VALUE_UNKNOWN", field, message)
    })
}

/// The parts of an observation.
pub(super) fn observation(observe: &pb::Observation, bytes_max: usize) -> Result<(), Status> {
    name("observe.method", &observe.method)?;
    name("observe.field", &observe.field)?;
    json("INPUT_TOO_LARGE", "observe.input_json", &observe.input_json, bytes_max)
}

fn within(code: &str, field: &str, text: &str, chars_max: usize) -> Result<(), Status> {
    if text.contains('\0') {
        return Err(invalid("INPUT_INVALID", field, "it holds a NUL character; remove it"));
    }
    // Counting stops where it is too long, however long it is.
    if text.chars().nth(chars_max).is_some() {
        let message = format!("at most {chars_max} characters; it begins with {:?}", echo(text));
        return Err(invalid(code, field, message));
    }
    Ok(())
}
