//! The conformance check: does a running participant keep the reply contract?
//!
//! Each step of the participant in a definition is driven through each [`Rule`]. A rule
//! has a saga of its own: a new id, an input of its own number, the steps before the one
//! under test run for real, and everything that was done is compensated afterwards. These
//! sagas are in no log: nobody waits for them, and what one leaves behind is reported.
//!
//! Reading order: [`Rule`] here, `case` and `data` (one saga of a check), `rules` (what each
//! does).

mod case;
mod data;
mod rules;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use saga_core::{Direction, StepIndex};

use crate::{
    definition::{CompiledDefinition, InputError},
    participants::Caller,
};
use case::Case;
pub use case::Left;

/// What a participant has to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    DuplicateSameReply,
    OtherBody,
    LateOriginal,
    UndoFirst,
    UndoTwice,
    ResolveAbsent,
    ResolveApplied,
    ResolveInFlight,
    ResolveRejected,
    UndoOfARejection,
    NoOpId,
}

impl Rule {
    /// All rules, in the order in which they are checked. The first one tells whether the
    /// input suits the step at all.
    pub const ALL: [Self; 11] = [
        Self::DuplicateSameReply,
        Self::OtherBody,
        Self::LateOriginal,
        Self::UndoFirst,
        Self::UndoTwice,
        Self::ResolveAbsent,
        Self::ResolveApplied,
        Self::ResolveInFlight,
        Self::ResolveRejected,
        Self::UndoOfARejection,
        Self::NoOpId,
    ];

    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DuplicateSameReply => "duplicate-same-reply",
            Self::OtherBody => "other-body",
            Self::LateOriginal => "late-original",
            Self::UndoFirst => "undo-first",
            Self::UndoTwice => "undo-twice",
            Self::ResolveAbsent => "resolve-absent",
            Self::ResolveApplied => "resolve-applied",
            Self::ResolveInFlight => "resolve-in-flight",
            Self::ResolveRejected => "resolve-rejected",
            Self::UndoOfARejection => "undo-of-a-rejection",
            Self::NoOpId => "no-op-id",
        }
    }

    /// What the reply contract says (domain, section 3).
    #[must_use]
    pub fn contract(self) -> &'static str {
        match self {
            Self::DuplicateSameReply => {
                "the same operation again is answered with the stored reply, byte for byte"
            }
            Self::OtherBody => {
                "another request under a used operation id is refused with OP_ID_REUSED, \
                 and nothing is done"
            }
            Self::LateOriginal => {
                "an original that comes after a fencing inquiry is refused with OP_FENCED, \
                 however often it comes"
            }
            Self::UndoFirst => {
                "the compensation of an operation that never came is answered OK, and the \
                 original is refused with OP_FENCED from then on"
            }
            Self::UndoTwice => "the same compensation again is answered with the stored reply",
            Self::ResolveAbsent => "PEEK tells absent, and changes nothing",
            Self::ResolveApplied => "an inquiry tells the stored reply, byte for byte",
            Self::ResolveInFlight => {
                "FENCE waits for an original that is under way: both answers agree"
            }
            Self::ResolveRejected => "an inquiry tells a refusal, with its reason",
            Self::UndoOfARejection => {
                "the compensation of a refused operation is answered OK, and the refusal stays"
            }
            Self::NoOpId => "a changing call without an operation id is refused, not executed",
        }
    }

    /// How many sagas it takes. Whether an inquiry meets a call under way is a matter of
    /// moments, so that rule gets several.
    fn rounds(self) -> u32 {
        if self == Self::ResolveInFlight { rules::RACES } else { 1 }
    }

    fn needs_refusal(self) -> bool {
        matches!(self, Self::ResolveRejected | Self::UndoOfARejection)
    }

    fn needs_compensation(self) -> bool {
        matches!(self, Self::UndoFirst | Self::UndoTwice | Self::UndoOfARejection)
    }
}

/// What was found about one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is kept.
    Pass,
    /// It is broken.
    Fail { seen: String, expected: String },
    /// It could not be tried.
    NotChecked { why: String },
}

/// One rule at one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFinding {
    pub step: String,
    pub rule: Rule,
    pub verdict: Verdict,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    pub findings: Vec<RuleFinding>,
    /// Effects of the check that stand.
    pub left: Vec<Left>,
}

/// A step that will be checked, and the calls that this makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedStep {
    pub name: String,
    /// `participant/package.Service/Method` of its action.
    pub action: String,
    /// Of its compensation. `None`: there is none, so its effects stay.
    pub compensation: Option<String>,
    /// The steps that run before it, each time.
    pub before: Vec<String>,
}

/// Why a check was not made.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Nothing was called.
    #[error("participant {participant} is not in the server's configuration")]
    NotConfigured { participant: String },
    /// Nothing was called.
    #[error("definition {definition} has no step whose action calls participant {participant}")]
    NoStep { definition: String, participant: String },
    /// Nothing was called.
    #[error("{which}: {source}")]
    Input { which: &'static str, source: InputError },
    /// No rule could be tried. What ran before was compensated.
    #[error("nothing could be checked: {why}")]
    NothingChecked { why: String },
}

/// A check to make.
#[derive(Debug)]
pub struct Check {
    pub definition: Arc<CompiledDefinition>,
    pub participant: String,
    /// Proto-JSON; `{n}` stands for a number of its own in each saga of the check.
    pub input: String,
    /// As `input`, and each step under test refuses it. Empty: not known.
    pub refused_input: String,
}

/// With what a check is made.
pub struct Bench {
    check: Check,
    caller: Arc<dyn Caller>,
    /// How long one inquiry may take.
    resolve_timeout: Duration,
    numbers: AtomicU64,
}

impl fmt::Debug for Bench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bench").field("check", &self.check).finish_non_exhaustive()
    }
}

impl Bench {
    /// A bench whose sagas are numbered from `first_number`.
    ///
    /// # Errors
    ///
    /// [`CheckError`]: the check cannot be made. Nothing was called.
    pub fn new(
        check: Check,
        caller: Arc<dyn Caller>,
        resolve_timeout: Duration,
        first_number: u64,
    ) -> Result<Self, CheckError> {
        if !caller.knows(&check.participant) {
            return Err(CheckError::NotConfigured { participant: check.participant });
        }
        let bench = Self { check, caller, resolve_timeout, numbers: AtomicU64::new(first_number) };
        if bench.steps().next().is_none() {
            return Err(CheckError::NoStep {
                definition: bench.check.definition.core.name.clone(),
                participant: bench.check.participant,
            });
        }
        let inputs = [("input", &bench.check.input), ("refused_input", &bench.check.refused_input)];
        for (which, json) in inputs {
            if which == "input" || !json.is_empty() {
                let encoded = bench.check.definition.encode_input_json(&numbered(json, 0));
                encoded.map_err(|source| CheckError::Input { which, source })?;
            }
        }
        Ok(bench)
    }

    /// The steps whose action calls the participant.
    fn steps(&self) -> impl Iterator<Item = StepIndex> {
        let Check { definition, participant, .. } = &self.check;
        definition.core.indices().filter(move |step| {
            let spec = definition.call(*step, Direction::Forward);
            spec.is_some_and(|it| it.participant == *participant)
        })
    }

    /// What will be called.
    #[must_use]
    pub fn plan(&self) -> Vec<PlannedStep> {
        let definition = &self.check.definition;
        let called = |step, direction| {
            let spec = definition.call(step, direction)?;
            Some(format!("{}{}", spec.participant, spec.path))
        };
        let planned = |step: StepIndex| PlannedStep {
            name: definition.core.step(step).name.clone(),
            action: called(step, Direction::Forward).unwrap_or_default(),
            compensation: called(step, Direction::Backward),
            before: definition
                .core
                .ancestors(step)
                .iter()
                .map(|it| definition.core.step(it).name.clone())
                .collect(),
        };
        self.steps().map(planned).collect()
    }

    /// Checks every rule at every step. Takes as long as the participants take; everything
    /// that it did is undone when it returns, but for what it names as left.
    ///
    /// # Errors
    ///
    /// [`CheckError::NothingChecked`].
    pub async fn run(&self) -> Result<Checked, CheckError> {
        let mut checked = Checked::default();
        for step in self.steps() {
            let mut unfit = None;
            for rule in Rule::ALL {
                let verdict = match &unfit {
                    Some(why) => Verdict::NotChecked { why: String::clone(why) },
                    None => match self.judge(rule, step, &mut checked.left).await {
                        Ok(()) => Verdict::Pass,
                        Err(Miss::Broken { seen, expected }) => Verdict::Fail { seen, expected },
                        Err(Miss::NotTried(why)) => Verdict::NotChecked { why },
                        Err(Miss::Unfit(why)) => {
                            unfit = Some(why.clone());
                            Verdict::NotChecked { why }
                        }
                    },
                };
                let step = self.check.definition.core.step(step).name.clone();
                checked.findings.push(RuleFinding { step, rule, verdict });
            }
        }
        let tried = |it: &RuleFinding| !matches!(it.verdict, Verdict::NotChecked { .. });
        match checked.findings.first() {
            Some(RuleFinding { verdict: Verdict::NotChecked { why }, .. })
                if checked.left.is_empty() && !checked.findings.iter().any(tried) =>
            {
                Err(CheckError::NothingChecked { why: why.clone() })
            }
            _ => Ok(checked),
        }
    }

    async fn judge(&self, rule: Rule, step: StepIndex, left: &mut Vec<Left>) -> Judged {
        if rule.needs_compensation() && !self.compensates(step) {
            let why = "it has no compensation at this participant";
            return Err(Miss::NotTried(why.to_owned()));
        }
        if rule.needs_refusal() && self.check.refused_input.is_empty() {
            return Err(Miss::NotTried("no input was given that this step refuses".to_owned()));
        }
        let json = if rule.needs_refusal() { &self.check.refused_input } else { &self.check.input };
        for round in 0..rule.rounds() {
            let mut case = Case::new(self, step, json);
            let judged = match case.prepare().await {
                Ok(()) => rules::judge(rule, &mut case, round).await,
                Err(why) if rule.needs_refusal() => Err(Miss::NotTried(why)),
                Err(why) => Err(Miss::Unfit(why)),
            };
            left.extend(case.close().await);
            judged?;
        }
        Ok(())
    }

    fn compensates(&self, step: StepIndex) -> bool {
        let spec = self.check.definition.call(step, Direction::Backward);
        spec.is_some_and(|it| it.participant == self.check.participant)
    }

    fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

/// Whether a rule is kept at a step.
type Judged = Result<(), Miss>;

/// Why a rule has not passed.
#[derive(Debug)]
enum Miss {
    /// The participant breaks it.
    Broken { seen: String, expected: String },
    /// It does not apply here, or was not given what it takes.
    NotTried(String),
    /// The input does not bring the step to be applied, so no rule can be tried.
    Unfit(String),
}

/// `{n}` is no JSON outside of a string, so replacing it in the text replaces it in strings.
fn numbered(json: &str, number: u64) -> String {
    json.replace("{n}", &number.to_string())
}
