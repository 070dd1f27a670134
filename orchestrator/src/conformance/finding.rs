//! What was found about a claim.

use super::{Claim, Left, Rule};

/// Why nothing more was tried.
pub(super) const STOPPED: &str = "the check was stopped";

/// What was found about one claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is kept, as far as was seen. `note`: what a person should know all the same.
    Pass { note: String },
    /// It is broken.
    Fail { seen: String, expected: String },
    /// It was tried, and whether it is kept could not be seen.
    NotObserved { why: String },
    /// It could not be tried.
    NotChecked { why: String },
}

impl Verdict {
    /// Kept, and nothing to say about it.
    pub const PASS: Self = Self::Pass { note: String::new() };

    /// What is known after both: the worse of them.
    fn and(self, other: Self) -> Self {
        match (&self, &other) {
            (Self::Fail { .. }, _) => self,
            (_, Self::Fail { .. }) => other,
            (Self::NotObserved { .. } | Self::NotChecked { .. }, _) => self,
            (Self::Pass { note }, Self::Pass { .. }) if !note.is_empty() => self,
            (Self::Pass { .. }, _) => other,
        }
    }
}

/// One claim at one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFinding {
    pub step: String,
    pub claim: Claim,
    pub verdict: Verdict,
}

impl RuleFinding {
    pub(super) fn tried(&self) -> bool {
        !matches!(self.verdict, Verdict::NotChecked { .. })
    }
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    pub findings: Vec<RuleFinding>,
    /// Effects of the check that stand.
    pub left: Vec<Left>,
}

impl Checked {
    pub(super) fn note(&mut self, step: &str, rule: Rule, judgement: Judgement) {
        let Judgement { answers, effect, .. } = judgement;
        let step = step.to_owned();
        self.findings.push(RuleFinding {
            step: step.clone(),
            claim: rule.answers(),
            verdict: answers,
        });
        if let Some(claim) = rule.effect() {
            self.findings.push(RuleFinding { step, claim, verdict: effect });
        }
    }
}

/// What was found about both claims of a rule.
#[derive(Debug)]
pub(super) struct Judgement {
    pub(super) answers: Verdict,
    pub(super) effect: Verdict,
    /// Why no other rule can be tried at this step either.
    pub(super) unfit: Option<String>,
}

impl Judgement {
    pub(super) fn not_checked(why: String) -> Self {
        let verdict = Verdict::NotChecked { why };
        Self { answers: verdict.clone(), effect: verdict, unfit: None }
    }

    /// What is known after both.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            answers: self.answers.and(other.answers),
            effect: self.effect.and(other.effect),
            unfit: self.unfit.or(other.unfit),
        }
    }

    /// Whether another saga can say nothing more.
    pub(super) fn is_over(&self) -> bool {
        let broken = matches!(self.effect, Verdict::Fail { .. });
        broken || !matches!(self.answers, Verdict::Pass { .. })
    }
}

/// Whether the answers are as they have to be.
pub(super) type Judged = Result<(), Miss>;

/// Why they are not.
#[derive(Clone, Debug)]
pub(super) enum Miss {
    /// The participant breaks the rule.
    Broken { seen: String, expected: String },
    /// It does not apply here, or was not given what it takes.
    NotTried(String),
    /// What it is about did not happen, as far as was seen.
    NotSeen(String),
    /// The input does not bring the step to be applied, so no rule can be tried.
    Unfit(String),
}

impl Miss {
    pub(super) fn stopped() -> Self {
        Self::NotTried(STOPPED.to_owned())
    }
}
