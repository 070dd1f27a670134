//! Saga definitions: YAML that is checked against the participants' types and compiled
//! to calls.
//!
//! [`CompiledDefinition::check`] reads a file, reports everything that is wrong with
//! it at once, and makes what the driver needs; [`CompiledDefinition::read`] makes the same
//! of what was checked when it was stored. That is the pure part for decisions
//! ([`CompiledDefinition::core`]), whom to call ([`CompiledDefinition::call`]) and the
//! bytes to send ([`CompiledDefinition::render`]), and the judge of signals
//! ([`CompiledDefinition::judge`]). A definition does no I/O, and its
//! expressions are bounded in work and memory (X27).
//!
//! Reading order: `yaml`, `file`, `finding`, `rules`, `types`, `expression`, `request`,
//! `compile`, `input`, `run`, `canonical`, `descriptors`; `schema` is made of `file::keys`.

mod canonical;
mod compile;
mod descriptors;
mod expression;
mod file;
mod finding;
mod input;
mod known;
mod refusals;
mod request;
mod rules;
mod run;
mod schema;
mod told;
mod value_type;
mod yaml;

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use http::uri::PathAndQuery;
use prost_reflect::MessageDescriptor;
use saga_core::{Definition, Direction, StepIndex};

pub use canonical::{has_maps, reordered};
use descriptors::Pools;
pub use descriptors::{Contracts, Inquiry, ServedTypes, Sizes, UnreadableFile, Unusable};
pub use expression::{ConstantError, Failure, constant_of as constant, syntax_of};
use expression::{Expression, Reads};
pub use file::suggest;
pub use file::{
    Answer, CallName, Cancel, Expect, ExpectedCall, Fate, Scenario, ScenarioFile, Sent,
};
use finding::Findings;
pub use finding::{FINDINGS_MAX, Finding, Report, Severity, clipped};
pub use input::from_json as encode_json;
pub use refusals::RefusalCodes;
use request::MessageTemplate;
pub use rules::{RULES, is_reserved};
pub use run::{BadReply, RenderError, Rendered, ReplyMeaning, RunData};
pub use schema::schema;

/// The language that definitions are checked in now. It is stored with each of them, and each
/// is read in its own for ever: what a level means never changes.
///
/// 1. What `docs/definitions.md` says without a word about a level.
/// 2. `expect` in calls.
/// 3. Types of each participant by themselves; `string` of an enum is its name; a map literal
///    leaves out what is not set where it comes from; `refused_when`, `headers`, and a request that
///    is one expression.
/// 4. What may have no value where that leaves a saga in limbo is refused.
/// 5. `saga.namespace` and `saga.started_at`; a message into an `Any`; several pivots of which one
///    runs.
/// 6. `timestamp` reads what RFC 3339 is, `matches` patterns of RE2 (classes are those of ASCII), and
///    a double is found among the keys of a map.
pub const LANGUAGE_LEVEL: u32 = 6;

/// A definition that passed every check. Immutable; shared in an `Arc`.
#[derive(Debug)]
pub struct CompiledDefinition {
    /// What decisions depend on.
    pub core: Definition,
    /// SHA-256 of the canonical form: comments and formatting do not change it.
    pub hash: [u8; 32],
    /// Versions of its name up to this one are started no more once it is stored. 0: none.
    pub retires: u32,
    input: MessageDescriptor,
    /// Names of the steps.
    names: Vec<String>,
    plans: Vec<StepPlan>,
    labels: Vec<(String, Expression)>,
    pools: Pools,
}

/// What a step may do.
#[derive(Debug)]
struct StepPlan {
    when: Option<Expression>,
    action: ActionPlan,
    compensation: Option<UndoPlan>,
}

/// How a step comes to be applied.
#[derive(Debug)]
enum ActionPlan {
    Call(Box<CallPlan>),
    Wait(Box<WaitPlan>),
    Given,
}

/// A signal, and how it is judged.
#[derive(Debug)]
struct WaitPlan {
    signal: String,
    of: MessageDescriptor,
    /// `None`: every signal is accepted.
    accept: Option<Expression>,
    /// The reason code of one that is not.
    refused: String,
}

/// A compensation, and when it is made.
#[derive(Debug)]
struct UndoPlan {
    when: Option<Expression>,
    call: CallPlan,
}

/// A call, and how its request is made.
#[derive(Debug)]
struct CallPlan {
    spec: CallSpec,
    request: MessageTemplate,
    reads: Reads,
    /// What the reply must echo. Without fields: nothing.
    expect: MessageTemplate,
    expect_reads: Reads,
    /// Metadata of its own.
    headers: Vec<(String, Expression)>,
    /// Which replies say no.
    refused: Option<RefusedPlan>,
}

/// A reply that says no.
#[derive(Debug)]
struct RefusedPlan {
    when: Expression,
    reason: Option<Expression>,
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
    /// Of a compensation: reasons of refusals that say that its effect is undone already.
    pub already_undone: Vec<String>,
    /// Type of the request.
    pub request_type: MessageDescriptor,
    /// Type of the reply.
    pub reply_type: MessageDescriptor,
    /// Which types these are: another number for other types, as far as this process lives.
    pub types_id: u64,
}

/// A signal that a step waits for.
#[derive(Clone, Copy, Debug)]
pub struct SignalSpec<'d> {
    pub step: StepIndex,
    pub name: &'d str,
    of: &'d MessageDescriptor,
}

impl SignalSpec<'_> {
    /// Full name of the signal's type.
    #[must_use]
    pub fn type_name(&self) -> &str {
        self.of.full_name()
    }

    /// A payload in canonical proto-JSON as protobuf bytes.
    ///
    /// # Errors
    ///
    /// As [`CompiledDefinition::encode_input_json`].
    pub fn encode_json(&self, json: &str) -> Result<Bytes, InputError> {
        input::from_json(self.of, json)
    }

    /// Checks a payload in protobuf bytes.
    ///
    /// # Errors
    ///
    /// As [`CompiledDefinition::check_input_bytes`].
    pub fn check_bytes(&self, type_name: &str, bytes: &[u8]) -> Result<Bytes, InputError> {
        input::from_bytes(self.of, type_name, bytes)
    }
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

/// Why a stored definition cannot be run. It was checked when it was stored: this is damage,
/// or the work of a newer program.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// A newer program has stored it. Upgrade this one.
    #[error(
        "it is in language level {level}, and this program knows 1 to {LANGUAGE_LEVEL}; upgrade it"
    )]
    Newer { level: u32 },
    /// Nothing that runs can be made of it any more.
    #[error("nothing that runs can be made of it:\n{}", .0.rendered)]
    Broken(Box<Report>),
}

/// Which definition a text is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub name: String,
    pub version: u32,
    /// SHA-256 of the canonical form.
    pub hash: [u8; 32],
}

impl CompiledDefinition {
    /// Checks a definition by all rules of today, and compiles it. `contracts` holds the input
    /// type and what the participants serve that
    /// [`participants_of`](Self::participants_of) names.
    ///
    /// # Errors
    ///
    /// [`Report`] with every error and warning that was found.
    pub fn check(yaml: &str, file_name: &str, contracts: &Contracts) -> Result<Compiled, Report> {
        compile::check(yaml, file_name, contracts)
    }

    /// Compiles a definition that was checked when it was stored, in the language of `level`,
    /// with the [`types`](Self::types) that were stored with it. No rule applies that its
    /// check did not have.
    ///
    /// # Errors
    ///
    /// [`Unreadable`]: it is damaged, or newer than this program.
    pub fn read(yaml: &str, name: &str, level: u32, types: &[u8]) -> Result<Self, Unreadable> {
        compile::read(yaml, name, level, types)
    }

    /// Which definition a text is, whatever the check would say of it. `None`: it is none.
    #[must_use]
    pub fn identity(yaml: &str) -> Option<Identity> {
        let draft = compile::draft(yaml, &mut Findings::default())?;
        let (name, version) = (draft.file.name.value.clone(), draft.file.version);
        Some(Identity { name, version, hash: draft.hash() })
    }

    /// The participants that a definition calls, so that they can be asked for their types.
    ///
    /// # Errors
    ///
    /// [`Report`], where the file cannot be read at all.
    pub fn participants_of(yaml: &str, file_name: &str) -> Result<BTreeSet<String>, Report> {
        let mut findings = Findings::default();
        let Some(draft) = compile::checked_draft(yaml, &mut findings) else {
            return Err(findings.into_report(file_name, yaml));
        };
        let mut participants = BTreeSet::new();
        for step in &draft.file.steps {
            let calls = step.call().into_iter().chain(step.undo());
            participants.extend(calls.map(|call| call.participant.clone()));
        }
        Ok(participants)
    }

    /// The messages that a definition names by themselves: its input, and its signals.
    #[must_use]
    pub fn messages_of(yaml: &str) -> BTreeSet<String> {
        let Some(draft) = compile::checked_draft(yaml, &mut Findings::default()) else {
            return BTreeSet::new();
        };
        let signals = draft.file.steps.iter().filter_map(|it| it.wait()?.of.as_ref());
        signals.chain([&draft.file.input]).map(|it| it.value.clone()).collect()
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

    /// The reply of a step's action in canonical proto-JSON as protobuf bytes.
    ///
    /// # Errors
    ///
    /// As [`CompiledDefinition::encode_input_json`]; also where the step calls nothing.
    pub fn encode_reply_json(&self, step: StepIndex, json: &str) -> Result<Bytes, InputError> {
        let Some(spec) = self.call(step, Direction::Forward) else {
            return Err(InputError {
                field: String::new(),
                message: "the step calls nothing, so it has no reply".to_owned(),
                remedy: "leave it out".to_owned(),
            });
        };
        input::from_json(&spec.reply_type, json)
    }

    /// The signals that steps wait for, in the order of the definition.
    pub fn signals(&self) -> impl Iterator<Item = SignalSpec<'_>> {
        self.core.indices().filter_map(|step| {
            let wait = self.wait(step)?;
            Some(SignalSpec { step, name: &wait.signal, of: &wait.of })
        })
    }

    /// Whether the signal of a step may be refused for what it says.
    #[must_use]
    pub fn may_refuse(&self, step: StepIndex) -> bool {
        self.wait(step).is_some_and(|it| it.accept.is_some())
    }

    fn wait(&self, step: StepIndex) -> Option<&WaitPlan> {
        match &self.plans.get(step.at())?.action {
            ActionPlan::Wait(wait) => Some(wait),
            ActionPlan::Call(_) | ActionPlan::Given => None,
        }
    }

    /// The call of a step. `None`: it has none in this direction.
    #[must_use]
    pub fn call(&self, step: StepIndex, direction: Direction) -> Option<&CallSpec> {
        self.plan(step, direction).map(|it| &it.spec)
    }

    fn plan(&self, step: StepIndex, direction: Direction) -> Option<&CallPlan> {
        let plan = self.plans.get(step.at())?;
        match direction {
            Direction::Forward => match &plan.action {
                ActionPlan::Call(call) => Some(call),
                ActionPlan::Wait(_) | ActionPlan::Given => None,
            },
            Direction::Backward => plan.compensation.as_ref().map(|undo| &undo.call),
        }
    }

    /// The type of a call's request.
    #[must_use]
    pub fn request_type(
        &self,
        step: StepIndex,
        direction: Direction,
    ) -> Option<&MessageDescriptor> {
        self.plan(step, direction).map(|it| it.request.message())
    }

    /// The types that this definition needs of each participant. Stored with it, so that it
    /// compiles again without its participants.
    #[must_use]
    pub fn types(&self) -> Bytes {
        self.pools.encode()
    }
}
