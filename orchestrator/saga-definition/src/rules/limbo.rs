//! The rule about expressions that may have no value. Before the pivot a request that cannot be
//! made turns the saga back, which is an end; in a compensation, behind the pivot and in the
//! judgement of a signal it leaves the saga in limbo: neither forward nor back. There it is an
//! error, with the condition that mends it.

use prost_reflect::FieldDescriptor;
use saga_core::{StepIndex, StepSet};

use super::waits;
use crate::{
    ActionPlan, CallPlan, CompiledDefinition,
    expression::{Danger, Expression, Facts, Flaw, Ir, Judge},
    file::DefinitionFile,
    finding::Findings,
};

/// The rule about limbo, and the one about replies that may not be there.
pub(crate) fn check(
    file: &DefinitionFile,
    definition: &CompiledDefinition,
    findings: &mut Findings,
) {
    let mut check = Check::of(definition, findings);
    for index in definition.core.indices() {
        check.step = index;
        check.forward();
        if file.steps[index.at()].undo().is_some() {
            check.backward();
        }
    }
}

/// What becomes of a saga where an expression has no value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Consequence {
    /// It is stuck.
    Limbo,
    /// The reply counts for nothing, and the step stays in doubt.
    Doubt,
    /// It turns back.
    TurnsBack,
}

/// The steps of which all is known that follows from their having been begun, and from their
/// having a reply.
#[derive(Default)]
struct Known {
    begun: StepSet,
    replied: StepSet,
}

/// What the conditions of steps say of each other.
#[derive(Clone, Copy)]
pub(super) struct Conditions<'a> {
    pub(super) definition: &'a CompiledDefinition,
}

impl<'a> Conditions<'a> {
    /// The steps that are surely skipped where `pivot` is not.
    pub(super) fn excluded_by(self, pivot: StepIndex) -> StepSet {
        let steps = self.definition.core.indices().filter(|it| *it != pivot);
        steps.filter(|it| self.excludes(pivot, *it)).collect()
    }

    /// Where the one runs, the condition of the other has a value, and it is false; or it has one,
    /// and could not be true, since the one would not run then.
    fn excludes(self, pivot: StepIndex, other: StepIndex) -> bool {
        let is_false =
            |check: &mut Check<'_, '_>, ir: &Ir, facts: &Facts<'_>| check.judge.is_false(ir, facts);
        let has_value = |check: &mut Check<'_, '_>, ir: &Ir, facts: &Facts<'_>| {
            check.judge.has_value(ir, facts)
        };
        self.where_runs(pivot, other, is_false)
            || self.where_runs(pivot, other, has_value) && self.where_runs(other, pivot, is_false)
    }

    /// What holds for the condition of `other` where that of `step` is true.
    fn where_runs(
        self,
        step: StepIndex,
        other: StepIndex,
        holds: impl FnOnce(&mut Check<'_, '_>, &Ir, &Facts<'_>) -> bool,
    ) -> bool {
        let when = |it: StepIndex| self.definition.plans[it.at()].when.as_ref();
        let (Some(runs), Some(when)) = (when(step), when(other)) else { return false };
        let mut findings = Findings::default();
        let mut check = Check::of(self.definition, &mut findings);
        let (mut facts, mut known) = (Facts::default(), Known::default());
        check.learn_before(step, &mut known, &mut facts);
        check.judge.learn(&mut facts, &runs.root, true);
        check.learn_before(other, &mut known, &mut facts);
        holds(&mut check, &when.root, &facts)
    }

    /// Whether one of these steps surely runs, where they are reached.
    pub(super) fn one_runs(self, steps: StepSet) -> bool {
        steps.iter().any(|last| {
            let mut findings = Findings::default();
            let mut check = Check::of(self.definition, &mut findings);
            let (mut facts, mut known) = (Facts::default(), Known::default());
            for step in steps.iter() {
                check.learn_before(step, &mut known, &mut facts);
            }
            let when = |it: StepIndex| self.definition.plans[it.at()].when.as_ref();
            let others = steps.iter().filter(|it| *it != last).filter_map(when);
            others.for_each(|it| check.judge.learn(&mut facts, &it.root, false));
            when(last).is_some_and(|it| check.judge.is_true(&it.root, &facts))
        })
    }
}

struct Check<'a, 'f> {
    definition: &'a CompiledDefinition,
    judge: Judge<'a>,
    findings: &'f mut Findings,
    step: StepIndex,
}

impl<'a, 'f> Check<'a, 'f> {
    fn of(definition: &'a CompiledDefinition, findings: &'f mut Findings) -> Self {
        Self { definition, judge: Judge::new(&definition.names), findings, step: StepIndex(0) }
    }

    fn forward(&mut self) {
        let definition = self.definition;
        let is_behind = definition.core.is_after_pivot(self.step);
        let consequence = if is_behind { Consequence::Limbo } else { Consequence::TurnsBack };
        let plan = &definition.plans[self.step.at()];
        let (mut facts, mut known) = (Facts::default(), Known::default());
        self.learn_before(self.step, &mut known, &mut facts);
        if let Some(when) = &plan.when {
            self.judge_one(when, None, consequence, &facts);
            self.judge.learn(&mut facts, &when.root, true);
            self.learn_before(self.step, &mut known, &mut facts);
        }
        match &plan.action {
            ActionPlan::Call(call) => {
                self.judge_call(call, consequence, &facts);
                let Some(refused) = &call.refused else { return };
                self.learn_call(call, &mut facts);
                self.judge_one(&refused.when, None, Consequence::Doubt, &facts);
                self.judge.learn(&mut facts, &refused.when.root, true);
                if let Some(reason) = &refused.reason {
                    self.judge_one(reason, None, Consequence::Doubt, &facts);
                }
            }
            ActionPlan::Wait(wait) => {
                if let Some(accept) = &wait.accept {
                    self.judge_one(accept, None, Consequence::Limbo, &facts);
                }
            }
            ActionPlan::Given => {}
        }
    }

    fn backward(&mut self) {
        let Some(undo) = &self.definition.plans[self.step.at()].compensation else { return };
        let (mut facts, mut known) = (Facts::default(), Known::default());
        self.learn_begun(self.step, &mut facts);
        self.learn_before(self.step, &mut known, &mut facts);
        // That the reply may not be known has a rule of its own, which knows of doubts.
        facts.learn_reply(self.step);
        if let Some(when) = &undo.when {
            self.judge_one(when, None, Consequence::Limbo, &facts);
            self.judge.learn(&mut facts, &when.root, true);
            self.learn_before(self.step, &mut known, &mut facts);
        }
        self.judge_call(&undo.call, Consequence::Limbo, &facts);
    }

    fn judge_call(&mut self, call: &CallPlan, consequence: Consequence, facts: &Facts<'_>) {
        for (expression, field) in call.request.values().into_iter().chain(call.expect.values()) {
            self.judge_one(expression, field.as_ref(), consequence, facts);
        }
        for (_, expression) in &call.headers {
            self.judge.judge(&expression.root, facts);
            self.judge.fit_header(&expression.root, facts);
            self.say(expression, consequence);
        }
    }

    fn judge_one(
        &mut self,
        expression: &Expression,
        field: Option<&FieldDescriptor>,
        consequence: Consequence,
        facts: &Facts<'_>,
    ) {
        self.judge.judge(&expression.root, facts);
        if let Some(field) = field {
            self.judge.fit(&expression.root, field, facts);
        }
        self.say(expression, consequence);
    }

    /// Adds what is known of the steps before one, given what is known already.
    fn learn_before(&mut self, step: StepIndex, known: &mut Known, facts: &mut Facts<'a>) {
        let before = self.definition.core.ancestors(step);
        // Each was begun or skipped: whether it should be had an answer.
        for when in before.iter().filter_map(|it| self.definition.plans[it.at()].when.as_ref()) {
            self.judge.take();
            self.judge.learn_values(facts, &when.root);
        }
        // What was begun may show that another one was, too.
        loop {
            // Each has a budget of its own.
            self.judge.take();
            let new = |of: StepSet| before.iter().filter(move |it| !of.contains(*it));
            if let Some(begun) = new(known.begun).find(|it| self.has_begun(*it, facts)) {
                known.begun = known.begun.with(begun);
                self.learn_begun(begun, facts);
                if waits::may_go_on_alone(self.definition.core.step(begun)).is_none() {
                    facts.learn_reply(begun);
                }
            } else if let Some(replied) = new(known.replied).find(|it| facts.has_reply(*it)) {
                known.replied = known.replied.with(replied);
                self.learn_accepted(replied, facts);
            } else {
                return;
            }
        }
    }

    /// Whether a step before this one was surely not skipped.
    fn has_begun(&mut self, step: StepIndex, facts: &Facts<'_>) -> bool {
        match &self.definition.plans[step.at()].when {
            None => true,
            Some(when) => facts.has_reply(step) || self.judge.is_true(&when.root, facts),
        }
    }

    /// A step was begun: its condition held, and its request was made.
    fn learn_begun(&mut self, step: StepIndex, facts: &mut Facts<'a>) {
        let plan = &self.definition.plans[step.at()];
        if let Some(when) = &plan.when {
            self.judge.learn(facts, &when.root, true);
        }
        if let ActionPlan::Call(call) = &plan.action {
            self.learn_call(call, facts);
        }
    }

    fn learn_call(&mut self, call: &'a CallPlan, facts: &mut Facts<'a>) {
        for (expression, field) in call.request.values().into_iter().chain(call.expect.values()) {
            self.judge.learn_sent(facts, &expression.root, field.as_ref());
        }
        for (_, expression) in &call.headers {
            self.judge.learn_header(facts, &expression.root);
        }
    }

    /// A step has a reply, which was accepted.
    fn learn_accepted(&mut self, step: StepIndex, facts: &mut Facts<'a>) {
        let name = &self.definition.names[step.at()];
        self.judge.own = Some(format!("steps.{name}.reply"));
        match &self.definition.plans[step.at()].action {
            ActionPlan::Wait(wait) => {
                if let Some(accept) = &wait.accept {
                    self.judge.learn(facts, &accept.root, true);
                }
            }
            ActionPlan::Call(call) => {
                if let Some(refused) = &call.refused {
                    self.judge.learn(facts, &refused.when.root, false);
                }
            }
            ActionPlan::Given => {}
        }
        self.judge.own = None;
    }

    /// Says the worst of what was found about an expression.
    fn say(&mut self, expression: &Expression, consequence: Consequence) {
        let worst = self.judge.take().into_iter().min_by_key(|it| match it.danger {
            Danger::NoReply(_) => 0,
            Danger::Data => 1,
            Danger::HugeNumber => 2,
        });
        let Some(flaw) = worst else { return };
        let name = &self.definition.names[self.step.at()];
        if let Danger::NoReply(other) = flaw.danger {
            return self.say_no_reply(expression, other, consequence);
        }
        let Flaw { danger, why, guard } = flaw;
        let what = match consequence {
            Consequence::TurnsBack => return,
            Consequence::Limbo => "the saga is then stuck where it cannot go on and cannot go back",
            Consequence::Doubt => "the reply then counts for nothing, and nobody knows the outcome",
        };
        let message = format!("step {name}: this may have no value: {why}; {what}");
        let remedy = match guard.as_str() {
            "" => "let a step before the pivot read it first, in its request or its `when`: where \
                   that fails the saga turns back, and what had a value once has it for ever"
                .to_owned(),
            guard => format!("ask `{guard}` first: by `? :`, by `&&`, or as `when` of the step"),
        };
        let rule = "may-fail-in-limbo";
        match (consequence, danger) {
            (Consequence::Limbo, Danger::Data) => {
                self.findings.error(rule, expression.span, message, remedy);
            }
            _ => self.findings.warning(rule, expression.span, message, remedy),
        }
    }

    fn say_no_reply(
        &mut self,
        expression: &Expression,
        other: StepIndex,
        consequence: Consequence,
    ) {
        let other = self.definition.core.step(other);
        let because = waits::may_lack_its_reply(other).unwrap_or("may be skipped");
        let message = format!("step {} {because}, and then has no reply", other.name);
        let remedy = format!(
            "ask first: has(steps.{0}.reply) ? steps.{0}.reply.field : ..., or give this step \
             `when: has(steps.{0}.reply)`",
            other.name
        );
        let rule = "conditional-reference";
        match consequence {
            Consequence::Limbo => self.findings.error(rule, expression.span, message, remedy),
            _ => self.findings.warning(rule, expression.span, message, remedy),
        }
    }
}
