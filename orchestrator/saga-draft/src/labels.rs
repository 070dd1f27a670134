//! What people find a saga by.

use saga_core::State;

use crate::{Subject, known::Known};

/// Characters of a label's value that are kept.
const LABEL_CHARS_MAX: usize = 200;

/// The labels of a saga, as its definition makes them of its input: what a database takes of
/// them, and so much as people search by. None where one cannot be made of it.
#[must_use]
pub fn labels(subject: Subject<'_>, state: &State) -> Vec<(String, String)> {
    let labels = subject.definition.labels(&Known { state, subject }).unwrap_or_default();
    let kept = |value: &str| value.chars().filter(|it| *it != '\0').take(LABEL_CHARS_MAX).collect();
    labels.into_iter().map(|(name, value)| (name, kept(&value))).collect()
}
