//! What a definition does with the data of one saga: conditions, requests, signals, labels.

use std::fmt;

use bytes::Bytes;
use prost_reflect::{DynamicMessage, MessageDescriptor, Value};
use saga_core::{Direction, OperationId, SagaId, StepIndex, Verdict};

use crate::{
    ActionPlan, CallPlan, CompiledDefinition, canonical,
    expression::{Expression, Failure, Frame, Reads},
    input::is_deeper,
    request::{Difference, FieldError},
};

/// Messages inside one another that libraries read: more, and they take it for damaged.
const LEVELS_MAX: usize = 100;

/// What a saga knows: the values that expressions may read.
pub trait RunData: fmt::Debug {
    /// The saga's id.
    fn saga_id(&self) -> SagaId;
    /// The id of the action of a step, whose name is `step`.
    fn operation(&self, index: StepIndex, step: &str) -> OperationId;
    /// The business key it was started with.
    fn business_key(&self) -> &str;
    /// The namespace that this key is one of.
    fn namespace(&self) -> &str;
    /// When it was accepted, in milliseconds since the Unix epoch, as the log has it: the same
    /// for ever.
    fn started_at_ms(&self) -> u64;
    /// Its input, as bytes of the input type.
    fn input(&self) -> &Bytes;
    /// The reply of a step's action, or the signal that it accepted. `None`: not applied,
    /// skipped, or timed out; or it is unread.
    fn reply(&self, step: StepIndex) -> Option<&Bytes>;
    /// Whether there is a reply that could not be kept: nobody knows what it says.
    fn is_unread(&self, step: StepIndex) -> bool;
    /// The signal that came for a step. `None`: none so far.
    fn signal(&self, step: StepIndex) -> Option<&Bytes>;
    /// What turned it back. `None`: it goes forward.
    fn failure(&self) -> Option<Failure<'_>>;
}

/// What a step wants to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rendered {
    /// Send these bytes.
    Request(Bytes),
    /// The condition of the step, or of its compensation, is false.
    Skip,
}

/// A request cannot be made from this saga's data. Trying again gives the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}: {message}")]
pub struct RenderError {
    /// What was being made, as in `step reserve_stock, action, field order_no`.
    pub what: String,
    /// Line of the expression in the definition.
    pub line: u32,
    /// What went wrong.
    pub message: String,
}

/// What a reply that is one to its call says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyMeaning {
    /// It was done.
    Done,
    /// No: OK on the wire, and a refusal by what the definition knows of the participant.
    Refused {
        /// A reason code.
        reason: String,
    },
}

/// The reason of a reply that says no where the definition names none.
const REFUSED_BY_REPLY: &str = "REFUSED_BY_REPLY";

/// Characters of a reason at most.
const REASON_CHARS_MAX: usize = 63;

/// Characters of a header at most.
const HEADER_BYTES_MAX: usize = 256;

/// A reply that is none to this call, as far as can be known. The call may have taken effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReply {
    /// It cannot be read as its type.
    #[error("reply is not a {type_name}: {message}")]
    NotOfItsType { type_name: String, message: String },
    /// It is the reply to something else. `expected` and `got` are cut where they are long.
    #[error("reply is to something else: {field} is {got}, and {expected} is expected")]
    ToSomethingElse { field: String, expected: String, got: String },
    /// What is expected of it cannot be told from this saga's data.
    #[error("reply cannot be judged: {0}")]
    NotJudged(RenderError),
}

impl CompiledDefinition {
    /// Whether the condition of a step holds. A step without one always begins.
    ///
    /// # Errors
    ///
    /// [`RenderError`]: the condition does not evaluate.
    pub fn begins(&self, step: StepIndex, data: &dyn RunData) -> Result<bool, RenderError> {
        let Some(when) = &self.plans[step.at()].when else { return Ok(true) };
        let what = || format!("step {}", self.names[step.at()]);
        let frame = self.frame(when.reads, data, &what)?;
        holds(when, &frame, || format!("{}, when", what()))
    }

    /// The request of a step's call. `Skip` only where the `when` of the step or of its
    /// compensation is false.
    ///
    /// # Errors
    ///
    /// [`RenderError`]: an expression does not evaluate. Nothing was sent.
    ///
    /// # Panics
    ///
    /// Where the step has no such call: see [`call`](Self::call).
    pub fn render(
        &self,
        step: StepIndex,
        direction: Direction,
        data: &dyn RunData,
    ) -> Result<Rendered, RenderError> {
        let call = self.plan(step, direction).expect("only calls that exist are rendered");
        let plan = &self.plans[step.at()];
        let when = match direction {
            Direction::Forward => plan.when.as_ref(),
            Direction::Backward => plan.compensation.as_ref().and_then(|undo| undo.when.as_ref()),
        };
        let reads = call.reads.union(call.expect_reads);
        let reads = when.map_or(reads, |it| it.reads.union(reads));
        let what = || format!("step {}, {}", self.names[step.at()], direction.as_str());
        let frame = self.frame(reads, data, &what)?;
        if let Some(when) = when
            && !holds(when, &frame, || format!("{}, when", what()))?
        {
            return Ok(Rendered::Skip);
        }
        let message = call.request.render(&frame).map_err(|error| RenderError {
            what: format!("{}, field {}", what(), error.field),
            line: error.line,
            message: error.error.to_string(),
        })?;
        self.headers(step, direction, data)?;
        // Nothing is sent whose reply could not be judged.
        call.expect.render(&frame).map_err(|error| unexpected(&what(), error))?;
        let request = canonical::encode(&message);
        // A level takes two bytes at least.
        if 2 * LEVELS_MAX < request.len() && is_deeper(&message, LEVELS_MAX) {
            let message =
                format!("more than {LEVELS_MAX} messages inside one another: nobody reads it");
            let line = call.request.reads().first().map_or(0, |(_, span)| span.line);
            return Err(RenderError { what: what(), line, message });
        }
        Ok(Rendered::Request(request))
    }

    /// What the signal that came for a step means.
    ///
    /// # Errors
    ///
    /// [`RenderError`]: `accept` does not evaluate on this signal, or there is none.
    pub fn judge(&self, step: StepIndex, data: &dyn RunData) -> Result<Verdict, RenderError> {
        let what = || format!("step {}, accept", self.names[step.at()]);
        let missing = |message: &str| {
            let message = message.to_owned();
            RenderError { what: what(), line: 0, message }
        };
        let wait = self.wait(step).ok_or_else(|| missing("the step waits for no signal"))?;
        let bytes = data.signal(step).ok_or_else(|| missing("there is no signal"))?;
        let signal = decoded(&wait.of, bytes, &what)?;
        let Some(accept) = &wait.accept else { return Ok(Verdict::Accepted) };
        let mut frame = self.frame(accept.reads, data, &what)?;
        frame.signal = Some(signal);
        if holds(accept, &frame, what)? {
            return Ok(Verdict::Accepted);
        }
        Ok(Verdict::Refused { reason: wait.refused.clone() })
    }

    /// The labels of a new saga, in the order of the definition.
    ///
    /// # Errors
    ///
    /// [`RenderError`]: an expression does not evaluate.
    pub fn labels(&self, data: &dyn RunData) -> Result<Vec<(String, String)>, RenderError> {
        let reads = self.labels.iter().fold(Reads::default(), |sum, (_, it)| sum.union(it.reads));
        let frame = self.frame(reads, data, &|| "labels".to_owned())?;
        let labels = self.labels.iter().map(|(name, expression)| {
            let text = frame.eval_text(&expression.root).map_err(|error| RenderError {
                what: format!("label {name}"),
                line: expression.span.line,
                message: error.to_string(),
            })?;
            Ok((name.clone(), text))
        });
        labels.collect()
    }

    fn reply_type(&self, step: StepIndex) -> Option<&MessageDescriptor> {
        match &self.plans[step.at()].action {
            ActionPlan::Call(call) => Some(&call.spec.reply_type),
            ActionPlan::Wait(wait) => Some(&wait.of),
            ActionPlan::Given => None,
        }
    }

    /// What expressions see: only what they read is decoded.
    fn frame<'a>(
        &'a self,
        reads: Reads,
        data: &'a dyn RunData,
        what: &dyn Fn() -> String,
    ) -> Result<Frame<'a>, RenderError> {
        let mut frame = Frame::new(data, &self.names);
        let decode = |of: &MessageDescriptor, bytes: &Bytes| decoded(of, bytes, what);
        if reads.input {
            frame.input = Some(decode(&self.input, data.input())?);
        }
        for step in reads.replies.union(reads.asks).iter() {
            if data.is_unread(step) {
                frame.unread = frame.unread.with(step);
                continue;
            }
            if let (Some(bytes), Some(of)) = (data.reply(step), self.reply_type(step)) {
                frame.replies[step.at()] = Some(decode(of, bytes)?);
            }
        }
        frame.failure = data.failure();
        Ok(frame)
    }

    /// Whether it takes the reply itself to know what became of this call: by `expect` or
    /// `refused_when`.
    #[must_use]
    pub fn judges_replies(&self, step: StepIndex, direction: Direction) -> bool {
        let call = self.plan(step, direction);
        call.is_some_and(|call| call.refused.is_some() || !call.expect.is_empty())
    }

    /// Whether a reply can be read as its type (F27) and echoes what the definition expects of
    /// it (F28). The same for what a call answered and for what an inquiry returns: it depends
    /// on what the saga knew when the call was made, so it gives the same at any later time.
    ///
    /// # Errors
    ///
    /// [`BadReply`]. The call may have taken effect: take its outcome as unknown.
    pub fn check_reply(
        &self,
        step: StepIndex,
        direction: Direction,
        reply: &Bytes,
        data: &dyn RunData,
    ) -> Result<ReplyMeaning, BadReply> {
        let Some(call) = self.plan(step, direction) else {
            let message = "the step has no such call".to_owned();
            return Err(BadReply::NotOfItsType { type_name: String::new(), message });
        };
        let of = &call.spec.reply_type;
        let reply = DynamicMessage::decode(of.clone(), reply.as_ref()).map_err(|error| {
            let (type_name, message) = (of.full_name().to_owned(), error.to_string());
            BadReply::NotOfItsType { type_name, message }
        })?;
        let what = || format!("step {}, {}", self.names[step.at()], direction.as_str());
        let frame = self.frame(call.expect_reads, data, &what).map_err(BadReply::NotJudged)?;
        match call.expect.difference(&reply, &frame) {
            Ok(None) => self.meaning(call, reply, data, &what),
            Ok(Some(Difference { field, expected, got })) => {
                Err(BadReply::ToSomethingElse { field, expected, got })
            }
            Err(error) => Err(BadReply::NotJudged(unexpected(&what(), error))),
        }
    }
}

impl CompiledDefinition {
    /// What a reply means that is one to this call.
    fn meaning(
        &self,
        call: &CallPlan,
        reply: DynamicMessage,
        data: &dyn RunData,
        what: &dyn Fn() -> String,
    ) -> Result<ReplyMeaning, BadReply> {
        let Some(refused) = &call.refused else { return Ok(ReplyMeaning::Done) };
        let reads = refused.reason.as_ref().map_or(Reads::default(), |it| it.reads);
        let reads = refused.when.reads.union(reads);
        let mut frame = self.frame(reads, data, what).map_err(BadReply::NotJudged)?;
        frame.own_reply = Some(Value::Message(reply));
        let at = || format!("{}, refused_when", what());
        if !holds(&refused.when, &frame, at).map_err(BadReply::NotJudged)? {
            return Ok(ReplyMeaning::Done);
        }
        let reason = match &refused.reason {
            None => String::new(),
            Some(reason) => frame.eval_text(&reason.root).map_err(|error| {
                BadReply::NotJudged(RenderError {
                    what: format!("{}, refused_reason", what()),
                    line: reason.span.line,
                    message: error.to_string(),
                })
            })?,
        };
        let code = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.';
        let reason: String = reason.chars().filter(|c| code(*c)).take(REASON_CHARS_MAX).collect();
        let reason = if reason.is_empty() { REFUSED_BY_REPLY.to_owned() } else { reason };
        Ok(ReplyMeaning::Refused { reason })
    }

    /// The metadata of a step's call, beside what the engine sends.
    ///
    /// # Errors
    ///
    /// [`RenderError`]: an expression does not evaluate, or gives what no header can hold.
    /// Nothing was sent.
    pub fn headers(
        &self,
        step: StepIndex,
        direction: Direction,
        data: &dyn RunData,
    ) -> Result<Vec<(String, String)>, RenderError> {
        let Some(call) = self.plan(step, direction) else { return Ok(Vec::new()) };
        let reads = call.headers.iter().fold(Reads::default(), |sum, (_, it)| sum.union(it.reads));
        let what = || format!("step {}, {}", self.names[step.at()], direction.as_str());
        let frame = self.frame(reads, data, &what)?;
        let made = call.headers.iter().map(|(name, expression)| {
            let error = |message: String| RenderError {
                what: format!("{}, header {name}", what()),
                line: expression.span.line,
                message,
            };
            let text = frame.eval_text(&expression.root).map_err(|it| error(it.to_string()))?;
            let printable = text.chars().all(|c| matches!(c, ' '..='~'));
            if !printable || HEADER_BYTES_MAX < text.len() {
                let message =
                    format!("a header holds {HEADER_BYTES_MAX} printable ASCII characters");
                return Err(error(message));
            }
            Ok((name.clone(), text))
        });
        made.collect()
    }
}

fn unexpected(what: &str, error: FieldError) -> RenderError {
    RenderError {
        what: format!("{what}, expect, field {}", error.field),
        line: error.line,
        message: error.error.to_string(),
    }
}

fn holds(
    condition: &Expression,
    frame: &Frame<'_>,
    what: impl Fn() -> String,
) -> Result<bool, RenderError> {
    let value = frame.eval(&condition.root).map_err(|error| RenderError {
        what: what(),
        line: condition.span.line,
        message: error.to_string(),
    })?;
    Ok(*value == Value::Bool(true))
}

fn decoded(
    of: &MessageDescriptor,
    bytes: &Bytes,
    what: &dyn Fn() -> String,
) -> Result<Value, RenderError> {
    let decoded = DynamicMessage::decode(of.clone(), bytes.as_ref());
    decoded.map(Value::Message).map_err(|error| RenderError {
        what: what(),
        line: 0,
        message: format!("{} cannot be read: {error}", of.full_name()),
    })
}
