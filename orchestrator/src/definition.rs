//! Saga definitions: YAML that is checked against the participants' types and compiled
//! to calls.
//!
//! [`CompiledDefinition::compile`] reads a file, reports everything that is wrong with
//! it at once, and makes what the driver needs: the pure part for decisions
//! ([`CompiledDefinition::core`]), whom to call ([`CompiledDefinition::call`]) and the
//! bytes to send ([`CompiledDefinition::render`]). A definition does no I/O, and its
//! expressions are bounded in work and memory (X27).
//!
//! Reading order: `yaml`, `file`, `finding`, `rules`, `types`, `expression`, `request`,
//! `compile`, `input`, `canonical`, `descriptors`.

mod canonical;
mod compile;
mod descriptors;
mod expression;
mod file;
mod finding;
mod input;
mod request;
mod rules;
mod value_type;
mod yaml;

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use http::uri::PathAndQuery;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, Value};
use saga_core::{Definition, Direction, SagaId, StepIndex};

pub use descriptors::{PoolError, pool_of};
use expression::{Expression, Frame, Reads};
use file::CompensationFile;
use finding::Findings;
pub use finding::{Finding, Report, Severity};
use request::MessageTemplate;
pub use rules::RULES;

/// A definition that passed every check. Immutable; shared in an `Arc`.
#[derive(Debug)]
pub struct CompiledDefinition {
    /// What decisions depend on.
    pub core: Definition,
    /// SHA-256 of the canonical form: comments and formatting do not change it.
    pub hash: [u8; 32],
    input: MessageDescriptor,
    /// Names of the steps.
    names: Vec<String>,
    plans: Vec<StepPlan>,
    labels: Vec<(String, Expression)>,
    pool: DescriptorPool,
}

/// What a step may do.
#[derive(Debug)]
struct StepPlan {
    when: Option<Expression>,
    action: CallPlan,
    compensation: Option<CallPlan>,
}

/// A call, and how its request is made.
#[derive(Debug)]
struct CallPlan {
    spec: CallSpec,
    request: MessageTemplate,
    reads: Reads,
}

/// A definition, and what the check has to say about it nevertheless.
#[derive(Debug)]
pub struct Compiled {
    /// The definition.
    pub definition: CompiledDefinition,
    /// Warnings, in the order of the file.
    pub warnings: Vec<Finding>,
    /// The warnings with the lines they are about, without colours.
    pub rendered: String,
}

/// Whom a step calls, and how.
#[derive(Clone, Debug)]
pub struct CallSpec {
    /// Name of the participant in the configuration.
    pub participant: String,
    /// `/package.Service/Method`.
    pub path: PathAndQuery,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// Status codes that mean "refused" for this call, beside those that always do.
    pub refusals: RefusalCodes,
    /// Type of the reply.
    pub reply_type: MessageDescriptor,
}

/// A set of gRPC status codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefusalCodes(u32);

impl RefusalCodes {
    /// No code.
    pub const NONE: Self = Self(0);

    /// This set and `code`.
    #[must_use]
    pub fn with(self, code: tonic::Code) -> Self {
        Self(self.0 | 1 << (code as u32))
    }

    /// Whether `code` is in this set.
    #[must_use]
    pub fn contains(self, code: tonic::Code) -> bool {
        self.0 & (1 << (code as u32)) != 0
    }

    /// Whether no code is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What a saga knows: the values that expressions may read.
pub trait RunData {
    /// The saga's id.
    fn saga_id(&self) -> SagaId;
    /// The business key it was started with.
    fn business_key(&self) -> &str;
    /// Its input, as bytes of the input type.
    fn input(&self) -> &Bytes;
    /// The reply of a step's action. `None`: not applied, or skipped.
    fn reply(&self, step: StepIndex) -> Option<&Bytes>;
}

/// What a step wants to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rendered {
    /// Send these bytes.
    Request(Bytes),
    /// The step's condition is false.
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

/// An input that does not fit the definition. Nothing was accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("input field `{field}`: {message}; {remedy}")]
pub struct InputError {
    /// Path of the field, as in `lines[3].qty`; empty where it is about the whole.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// A reply that cannot be read as its type. The call may have taken effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("reply is not a {type_name}: {message}")]
pub struct BadReply {
    /// The type it should have.
    pub type_name: String,
    /// Why it does not.
    pub message: String,
}

impl CompiledDefinition {
    /// Checks and compiles a definition. `descriptors` holds the input type and the
    /// services of all participants that [`participants_of`](Self::participants_of) names.
    ///
    /// # Errors
    ///
    /// [`Report`] with every error and warning that was found.
    pub fn compile(
        yaml: &str,
        file_name: &str,
        descriptors: &DescriptorPool,
    ) -> Result<Compiled, Report> {
        compile::compile(yaml, file_name, descriptors)
    }

    /// The participants that a definition calls, so that they can be asked for their types.
    ///
    /// # Errors
    ///
    /// [`Report`], where the file cannot be read at all.
    pub fn participants_of(yaml: &str, file_name: &str) -> Result<BTreeSet<String>, Report> {
        let mut findings = Findings::default();
        let Some((_, file)) = compile::read(yaml, &mut findings) else {
            return Err(findings.into_report(file_name, yaml));
        };
        let mut participants = BTreeSet::new();
        for step in file.steps {
            participants.insert(step.action.participant);
            if let CompensationFile::Call { call, .. } = step.compensation {
                participants.insert(call.participant);
            }
        }
        Ok(participants)
    }

    /// Full name of the input type.
    #[must_use]
    pub fn input_type(&self) -> &str {
        self.input.full_name()
    }

    /// The input in canonical proto-JSON as protobuf bytes. Equal inputs give equal bytes.
    ///
    /// # Errors
    ///
    /// [`InputError`] names the field: unknown, of a wrong type, or out of range.
    pub fn encode_input_json(&self, json: &str) -> Result<Bytes, InputError> {
        input::from_json(&self.input, json)
    }

    /// Checks an input in protobuf bytes. `type_name` is its full name or type URL. Equal
    /// inputs give equal bytes, however the client had encoded them.
    ///
    /// # Errors
    ///
    /// [`InputError`]: another type, bytes that cannot be read, or unknown fields.
    pub fn check_input_bytes(&self, type_name: &str, bytes: &[u8]) -> Result<Bytes, InputError> {
        input::from_bytes(&self.input, type_name, bytes)
    }

    /// The call of a step. `None`: the step has no compensation.
    #[must_use]
    pub fn call(&self, step: StepIndex, direction: Direction) -> Option<&CallSpec> {
        self.plan(step, direction).map(|it| &it.spec)
    }

    fn plan(&self, step: StepIndex, direction: Direction) -> Option<&CallPlan> {
        let plan = self.plans.get(step.at())?;
        match direction {
            Direction::Forward => Some(&plan.action),
            Direction::Backward => plan.compensation.as_ref(),
        }
    }

    /// The request of a step's call. `Skip` only for an action whose `when` is false.
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
        let when = match direction {
            Direction::Forward => self.plans[step.at()].when.as_ref(),
            Direction::Backward => None,
        };
        let reads = when.map_or(call.reads, |it| it.reads.union(call.reads));
        let what = || format!("step {}, {}", self.names[step.at()], direction.as_str());
        let frame = self.frame(reads, data, &what)?;
        if let Some(when) = when {
            let value = frame.eval(&when.root).map_err(|error| RenderError {
                what: format!("{}, when", what()),
                line: when.span.line,
                message: error.to_string(),
            })?;
            if *value == Value::Bool(false) {
                return Ok(Rendered::Skip);
            }
        }
        let message = call.request.render(&frame).map_err(|error| RenderError {
            what: format!("{}, field {}", what(), error.field),
            line: error.line,
            message: error.error.to_string(),
        })?;
        Ok(Rendered::Request(canonical::encode(&message)))
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

    /// What expressions see: only what they read is decoded.
    fn frame<'a>(
        &'a self,
        reads: Reads,
        data: &'a dyn RunData,
        what: &dyn Fn() -> String,
    ) -> Result<Frame<'a>, RenderError> {
        let mut frame = Frame::new(data.saga_id(), data.business_key(), &self.names);
        let decode = |of: &MessageDescriptor, bytes: &Bytes| {
            let decoded = DynamicMessage::decode(of.clone(), bytes.as_ref());
            decoded.map(Value::Message).map_err(|error| RenderError {
                what: what(),
                line: 0,
                message: format!("{} cannot be read: {error}", of.full_name()),
            })
        };
        if reads.input {
            frame.input = Some(decode(&self.input, data.input())?);
        }
        for step in reads.replies.union(reads.asks).iter() {
            if let (Some(bytes), Some(call)) =
                (data.reply(step), self.plan(step, Direction::Forward))
            {
                frame.replies[step.at()] = Some(decode(&call.spec.reply_type, bytes)?);
            }
        }
        Ok(frame)
    }

    /// Whether a reply can be read as its type (F27).
    ///
    /// # Errors
    ///
    /// [`BadReply`]. The call may have taken effect: take its outcome as unknown.
    pub fn check_reply(
        &self,
        step: StepIndex,
        direction: Direction,
        reply: &Bytes,
    ) -> Result<(), BadReply> {
        let Some(spec) = self.call(step, direction) else {
            let message = "the step has no such call".to_owned();
            return Err(BadReply { type_name: String::new(), message });
        };
        match DynamicMessage::decode(spec.reply_type.clone(), reply.as_ref()) {
            Ok(_) => Ok(()),
            Err(error) => Err(BadReply {
                type_name: spec.reply_type.full_name().to_owned(),
                message: error.to_string(),
            }),
        }
    }

    /// The types that this definition needs, as an encoded `FileDescriptorSet`. Stored
    /// with it, so that it compiles again without its participants.
    #[must_use]
    pub fn descriptors(&self) -> Bytes {
        let calls = self.plans.iter().flat_map(|it| {
            std::iter::once(&it.action).chain(&it.compensation).map(|call| &call.spec)
        });
        let services = calls.filter_map(|spec| {
            let (service, _) = spec.path.path().trim_start_matches('/').split_once('/')?;
            Some(self.pool.get_service_by_name(service)?.parent_file())
        });
        let files = services.chain(std::iter::once(self.input.parent_file()));
        descriptors::encode_files(files)
    }
}
