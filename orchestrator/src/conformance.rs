//! The conformance check: does a running participant keep the reply contract?
//!
//! Each step of the participant in a definition is driven through each [`Rule`]. A rule
//! has a saga of its own: a new id, an input of its own number, the steps before the one
//! under test run for real, and everything that was done is compensated afterwards. These
//! sagas are in no log: nobody waits for them, and what one leaves behind is reported.
//!
//! "Kept" is said only of what was seen. What the answers show is one claim; what became of
//! the effect is another, which takes a number that can be read: see `observe`.
//!
//! Reading order: [`Rule`], `finding`, `case` and `data` (one saga of a check), `rules` and
//! `restart` (what each does), `observe` (the number), `talk` (who asked for it).

mod case;
mod data;
mod finding;
mod restart;
mod rule;
mod rules;
mod talk;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use saga_core::{Direction, StepIndex};

use crate::participants::observe::{self, numbered};
pub use crate::participants::observe::{Observation, Observer};
use crate::{
    definition::{CompiledDefinition, InputError, has_maps},
    participants::Caller,
};
use case::Case;
pub use case::Left;
use case::Sight;
pub use finding::{Checked, RuleFinding, Verdict};
use finding::{Judged, Judgement, Miss};
use restart::Waiting;
pub use rule::{Claim, Rule};
pub use talk::{News, Talk};

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
    /// The number that shows effects. `None`: what only an effect shows is not observed.
    pub observer: Option<Observer>,
    /// Whether the participant can be restarted when the check asks for it.
    pub restart: bool,
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

    /// The same, with a number that shows effects.
    #[must_use]
    pub fn observing(mut self, observer: Observer) -> Self {
        self.check.observer = Some(observer);
        self
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
    pub async fn run(&self, talk: &Talk) -> Result<Checked, CheckError> {
        let begin = self.whole_number().await;
        let mut checked = Checked::default();
        let mut waiting = Vec::new();
        let (mut tried, total) = (0, self.rules_in_all(talk));
        for step in self.steps() {
            let sight = self.sight(step, &mut checked.left).await;
            let mut unfit = None;
            for rule in self.rules_of(step) {
                let restarts = rule.needs_restart() && self.can_restart(talk);
                if unfit.is_none() && restarts && self.excused(rule, step, talk).is_none() {
                    waiting.push((step, rule, sight.clone()));
                    continue;
                }
                if !rule.needs_restart() {
                    self.tell(talk, step, rule, (tried, total));
                    tried += 1;
                }
                let judgement = match &unfit {
                    Some(why) => Judgement::not_checked(String::clone(why)),
                    None => self.judge(rule, step, &sight, talk, &mut checked.left).await,
                };
                unfit = unfit.or(judgement.unfit.clone());
                checked.note(self.name(step), rule, judgement);
            }
        }
        if !waiting.is_empty() {
            let (step, rule, _) = waiting[0];
            self.tell(talk, step, rule, (tried, total));
            self.restart(waiting, talk, &mut checked).await;
        }
        checked.left.extend(self.moved_since(begin).await);
        match checked.findings.first() {
            Some(RuleFinding { verdict: Verdict::NotChecked { why }, .. })
                if checked.left.is_empty() && !checked.findings.iter().any(RuleFinding::tried) =>
            {
                Err(CheckError::NothingChecked { why: why.clone() })
            }
            _ => Ok(checked),
        }
    }

    /// Tries one rule in as many sagas as it takes, until one of them is not as it should be.
    async fn judge(
        &self,
        rule: Rule,
        step: StepIndex,
        sight: &Sight,
        talk: &Talk,
        left: &mut Vec<Left>,
    ) -> Judgement {
        if let Some(why) = self.excused(rule, step, talk) {
            return Judgement::not_checked(why);
        }
        let json = if rule.needs_refusal() { &self.check.refused_input } else { &self.check.input };
        let mut whole: Option<Judgement> = None;
        for round in 0..rule.rounds() {
            let mut case = Case::new(self, step, json);
            let tried = async {
                case.prepare().await.map_err(|why| {
                    if rule.needs_refusal() { Miss::NotTried(why) } else { Miss::Unfit(why) }
                })?;
                rules::judge(rule, &mut case, round).await
            };
            // What a call that nobody waits for any more has done is undone below.
            let judged = tokio::select! {
                judged = tried => judged,
                () = talk.stop.cancelled() => Err(Miss::stopped()),
            };
            let judgement = case.judgement(judged, sight).await;
            left.extend(case.close().await);
            let judgement = match whole {
                Some(earlier) => earlier.and(judgement),
                None => judgement,
            };
            let over = judgement.is_over();
            whole = Some(judgement);
            if over {
                break;
            }
        }
        whole.unwrap_or_else(|| Judgement::not_checked("it takes no saga".to_owned()))
    }

    /// Why a rule cannot be tried at a step at all.
    fn excused(&self, rule: Rule, step: StepIndex, talk: &Talk) -> Option<String> {
        let why = if talk.stop.is_cancelled() {
            return Some(finding::STOPPED.to_owned());
        } else if rule.needs_compensation() && !self.compensates(step) {
            "it has no compensation at this participant"
        } else if rule.needs_refusal() && self.check.refused_input.is_empty() {
            "no input was given that this step refuses"
        } else if rule.needs_restart() && !self.can_restart(talk) {
            "no restart was asked for; --restart-cmd or --pause-for-restart does"
        } else {
            return None;
        };
        Some(why.to_owned())
    }

    /// By how much one effect of the step moves the observed number.
    async fn sight(&self, step: StepIndex, left: &mut Vec<Left>) -> Sight {
        let mut case = Case::new(self, step, &self.check.input);
        let sight = case.calibrated().await;
        left.extend(case.close().await);
        sight
    }

    /// One restart for all that waits for it.
    async fn restart(
        &self,
        rules: Vec<(StepIndex, Rule, Sight)>,
        talk: &Talk,
        checked: &mut Checked,
    ) {
        let mut waiting = Vec::new();
        for (step, rule, sight) in rules {
            waiting.push(Waiting::begin(self, step, rule, sight).await);
        }
        // The first one counts from before the restart, and so sees an effect that it lost.
        if let Some(first) = waiting.first_mut() {
            first.mark().await;
        }
        let restarted = restart::restart(self, talk).await;
        for (place, it) in waiting.iter_mut().enumerate() {
            if 0 < place {
                it.mark().await;
            }
            let judgement = it.end(&restarted).await;
            checked.note(self.name(it.step), it.rule, judgement);
        }
        for it in waiting {
            it.close(&mut checked.left).await;
        }
    }

    /// The observed number, where it is one of the whole participant.
    async fn whole_number(&self) -> Option<observe::Number> {
        let observer = self.check.observer.as_ref().filter(|it| it.is_shared())?;
        observer.read(self.caller.as_ref(), 0).await.ok()
    }

    /// What stands of the whole check, as far as the number tells.
    async fn moved_since(&self, begin: Option<observe::Number>) -> Option<Left> {
        let (begin, observer) = (begin?, self.check.observer.as_ref()?);
        let end = observer.settled(self.caller.as_ref(), 0, begin).await.ok()?;
        let steps: Vec<&str> = self.steps().map(|it| self.name(it)).collect();
        let why = format!("{} was {begin} before the check and is {end} now", observer.field);
        (begin != end).then(|| Left { step: steps.join(", "), saga: None, why })
    }

    fn rules_of(&self, step: StepIndex) -> impl Iterator<Item = Rule> {
        let request = self.check.definition.request_type(step, Direction::Forward);
        let carries_maps = request.is_some_and(has_maps);
        Rule::all().filter(move |it| *it != Rule::MapRepeats || carries_maps)
    }

    fn rules_in_all(&self, talk: &Talk) -> u32 {
        let counts = |it: &Rule| !it.needs_restart();
        let rules: usize = self.steps().map(|it| self.rules_of(it).filter(counts).count()).sum();
        u32::try_from(rules + usize::from(self.can_restart(talk))).unwrap_or(u32::MAX)
    }

    fn tell(&self, talk: &Talk, step: StepIndex, rule: Rule, (tried, total): (u32, u32)) {
        let step = self.name(step).to_owned();
        talk.tell(News::Tries { step, rule: rule.answers().name, tried, total });
    }

    /// Whether somebody listens who has said that a restart can be asked for.
    fn can_restart(&self, talk: &Talk) -> bool {
        self.check.restart && talk.news.is_some()
    }

    fn compensates(&self, step: StepIndex) -> bool {
        let spec = self.check.definition.call(step, Direction::Backward);
        spec.is_some_and(|it| it.participant == self.check.participant)
    }

    fn name(&self, step: StepIndex) -> &str {
        &self.check.definition.core.step(step).name
    }

    fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}
