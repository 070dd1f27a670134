//! What is known at a place of a definition: which conditions hold there, and what follows.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::Value;
use saga_core::{StepIndex, StepSet};

use super::{
    Ir,
    shape::{Range, TextShape},
};

/// What is known at a place, beside what is known around it.
///
/// Parts of expressions are known by how they are written. Nothing changes while a request is
/// made, and inputs and replies never do, so what held once holds.
#[derive(Debug, Default)]
pub(crate) struct Facts<'p> {
    around: Option<&'p Facts<'p>>,
    pub(super) ranges: BTreeMap<String, Range>,
    pub(super) texts: BTreeMap<String, TextShape>,
    pub(super) truths: BTreeMap<String, bool>,
    /// What parts surely are.
    pub(super) literals: BTreeMap<String, &'p Value>,
    /// Parts that could fail, and had a value.
    valued: BTreeSet<String>,
    /// Steps that surely have a reply.
    replies: StepSet,
    /// What holds for each element: of which list, at which depth of loops, and the condition.
    pub(super) each: Vec<(String, usize, &'p Ir)>,
}

impl<'p> Facts<'p> {
    /// Nothing more than what is known around it.
    pub(super) fn inside(around: &'p Facts<'p>) -> Self {
        Self { around: Some(around), ..Self::default() }
    }

    /// From here outwards.
    fn scopes(&self) -> impl Iterator<Item = &Facts<'p>> {
        std::iter::successors(Some(self), |it| it.around)
    }

    pub(super) fn range(&self, part: &str) -> Option<Range> {
        let known = self.scopes().filter_map(|it| it.ranges.get(part).copied());
        known.reduce(Range::both)
    }

    pub(super) fn text(&self, part: &str) -> Option<TextShape> {
        let known = self.scopes().filter_map(|it| it.texts.get(part).copied());
        known.reduce(TextShape::both)
    }

    pub(super) fn truth(&self, part: &str) -> Option<bool> {
        self.scopes().find_map(|it| it.truths.get(part).copied())
    }

    pub(super) fn literal(&self, part: &str) -> Option<&'p Value> {
        self.scopes().find_map(|it| it.literals.get(part).copied())
    }

    pub(super) fn is_valued(&self, part: &str) -> bool {
        self.scopes().any(|it| it.valued.contains(part))
    }

    pub(crate) fn has_reply(&self, step: StepIndex) -> bool {
        self.scopes().any(|it| it.replies.contains(step))
    }

    /// What holds for each element of this list in a loop at this depth.
    pub(super) fn each_of(&self, list: &str, depth: usize) -> Vec<&'p Ir> {
        let all = self.scopes().flat_map(|it| &it.each);
        all.filter(|(of, at, _)| of == list && *at == depth).map(|it| it.2).collect()
    }

    pub(super) fn learn_range(&mut self, part: String, range: Range) {
        let known = self.ranges.get(&part).map_or(range, |it| it.both(range));
        self.ranges.insert(part, known);
    }

    pub(super) fn learn_text(&mut self, part: String, text: TextShape) {
        let known = self.texts.get(&part).map_or(text, |it| it.both(text));
        self.texts.insert(part, known);
    }

    pub(super) fn learn_value(&mut self, part: String) {
        self.valued.insert(part);
    }

    /// The step has a reply.
    pub(crate) fn learn_reply(&mut self, step: StepIndex) {
        self.replies = self.replies.with(step);
    }

    /// What holds in either of two cases, of which one is so.
    pub(super) fn learn_either(&mut self, one: Learned, other: Learned) {
        for (part, range) in one.ranges {
            if let Some(also) = other.ranges.get(&part) {
                self.learn_range(part, range.either(*also));
            }
        }
        for (part, truth) in one.truths {
            if other.truths.get(&part) == Some(&truth) {
                self.truths.insert(part, truth);
            }
        }
        self.replies = self.replies.union(one.replies.intersection(other.replies));
    }

    pub(super) fn into_learned(self) -> Learned {
        let Self { ranges, truths, replies, .. } = self;
        Learned { ranges, truths, replies }
    }
}

/// What was learned in one of two cases.
pub(super) struct Learned {
    ranges: BTreeMap<String, Range>,
    truths: BTreeMap<String, bool>,
    replies: StepSet,
}
