//! What a participant has to keep, in words that say just what the check sees of it.
//!
//! Most rules make two claims: one about the answers, and one about the effect, which
//! only an observed number shows. A participant can keep the first and break the second.

/// One way to call the step under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    Duplicate,
    AtOnce,
    MapRepeats,
    OtherBody,
    LateOriginal,
    UndoFirst,
    Undo,
    UndoTwice,
    UndoAtOnce,
    SecondUndo,
    RepeatAfterUndo,
    UndoInFlight,
    ResolveAbsent,
    ResolveApplied,
    ResolveReversed,
    ResolveInFlight,
    ResolveRejected,
    RefusalRepeated,
    UndoOfARejection,
    NoOpId,
    RestartApplied,
    RestartFenced,
    RestartUndone,
}

/// What is claimed of a participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The name in reports.
    pub name: &'static str,
    /// What the reply contract says (domain, section 3).
    pub contract: &'static str,
}

const fn claim(name: &'static str, contract: &'static str) -> Claim {
    Claim { name, contract }
}

/// A rule and its claims.
#[derive(Clone, Copy)]
struct Row {
    rule: Rule,
    answers: Claim,
    effect: Option<Claim>,
}

impl Row {
    /// In the order of [`Rule`].
    const ALL: [Self; 23] = [
        Row {
            rule: Rule::Duplicate,
            answers: claim(
                "duplicate-same-reply",
                "the same operation again is answered with the stored reply, byte for byte",
            ),
            effect: Some(claim(
                "duplicate-one-effect",
                "the same operation again has no further effect",
            )),
        },
        Row {
            rule: Rule::AtOnce,
            answers: claim(
                "at-once-same-reply",
                "equal calls that come at the same time are all answered with one reply",
            ),
            effect: Some(claim(
                "at-once-one-effect",
                "equal calls that come at the same time have one effect together",
            )),
        },
        Row {
            rule: Rule::MapRepeats,
            answers: claim(
                "map-same-reply",
                "a request with a map is known again by its bytes as they came; with its \
                 entries in another order it may be refused with OP_ID_REUSED",
            ),
            effect: Some(claim(
                "map-one-effect",
                "a request with a map has no further effect, whatever the order of its entries",
            )),
        },
        Row {
            rule: Rule::OtherBody,
            answers: claim(
                "other-body",
                "another request under a used operation id is refused with OP_ID_REUSED, and an \
                 inquiry tells as before",
            ),
            effect: Some(claim(
                "other-body-no-effect",
                "another request under a used operation id has no effect",
            )),
        },
        Row {
            rule: Rule::LateOriginal,
            answers: claim(
                "late-original",
                "an original that comes after a fencing inquiry is refused with OP_FENCED, \
                 however often it comes",
            ),
            effect: Some(claim(
                "late-original-no-effect",
                "an original that comes after a fencing inquiry has no effect",
            )),
        },
        Row {
            rule: Rule::UndoFirst,
            answers: claim(
                "undo-first",
                "the compensation of an operation that never came is answered OK, and the \
                 original is refused with OP_FENCED from then on",
            ),
            effect: Some(claim(
                "undo-first-no-effect",
                "the compensation of an operation that never came has no effect, and its \
                 original has none after it",
            )),
        },
        Row {
            rule: Rule::Undo,
            answers: claim("undo", "the compensation of what was applied is answered OK"),
            effect: Some(claim("undo-takes-back", "a compensation takes the effect back")),
        },
        Row {
            rule: Rule::UndoTwice,
            answers: claim(
                "undo-twice",
                "the same compensation again is answered with the stored reply",
            ),
            effect: Some(claim(
                "undo-twice-one-effect",
                "the same compensation again has no further effect",
            )),
        },
        Row {
            rule: Rule::UndoAtOnce,
            answers: claim(
                "undo-at-once",
                "equal compensations that come at the same time are all answered with one reply",
            ),
            effect: Some(claim(
                "undo-at-once-one-effect",
                "equal compensations that come at the same time take the effect back once",
            )),
        },
        Row {
            rule: Rule::SecondUndo,
            answers: claim(
                "second-undo",
                "a second compensation of one operation, under another id, is refused with \
                 ALREADY_REVERSED",
            ),
            effect: Some(claim(
                "second-undo-no-effect",
                "a second compensation of one operation, under another id, has no effect",
            )),
        },
        Row {
            rule: Rule::RepeatAfterUndo,
            answers: claim(
                "repeat-after-undo",
                "an operation that was undone is refused with OP_REVERSED, or answered with its \
                 stored reply, when it comes again; it is never executed again",
            ),
            effect: Some(claim(
                "repeat-after-undo-no-effect",
                "an operation that was undone has no effect when it comes again",
            )),
        },
        Row {
            rule: Rule::UndoInFlight,
            answers: claim(
                "undo-in-flight",
                "a compensation that meets its original under way is answered OK, and the \
                 original is applied and undone, or refused with OP_FENCED",
            ),
            effect: Some(claim(
                "undo-in-flight-no-effect",
                "of an original and its compensation at the same time nothing stands",
            )),
        },
        Row {
            rule: Rule::ResolveAbsent,
            answers: claim(
                "resolve-absent",
                "PEEK tells absent, and the original can be applied afterwards",
            ),
            effect: None,
        },
        Row {
            rule: Rule::ResolveApplied,
            answers: claim("resolve-applied", "an inquiry tells the stored reply, byte for byte"),
            effect: None,
        },
        Row {
            rule: Rule::ResolveReversed,
            answers: claim(
                "resolve-reversed",
                "an inquiry about an operation that was undone tells its stored reply, and that \
                 it was reversed",
            ),
            effect: None,
        },
        Row {
            rule: Rule::ResolveInFlight,
            answers: claim(
                "resolve-in-flight",
                "FENCE waits for an original that is under way: both answers agree",
            ),
            effect: Some(claim(
                "resolve-in-flight-effect",
                "what FENCE tells of an original that is under way is what happened",
            )),
        },
        Row {
            rule: Rule::ResolveRejected,
            answers: claim("resolve-rejected", "an inquiry tells a refusal, with its reason"),
            effect: None,
        },
        Row {
            rule: Rule::RefusalRepeated,
            answers: claim(
                "refusal-repeated",
                "a refused operation is refused again, for its reason",
            ),
            effect: Some(claim(
                "refusal-no-effect",
                "a refused operation has no effect, however often it comes",
            )),
        },
        Row {
            rule: Rule::UndoOfARejection,
            answers: claim(
                "undo-of-a-rejection",
                "the compensation of a refused operation is answered OK, and the refusal stays",
            ),
            effect: Some(claim(
                "undo-of-a-rejection-no-effect",
                "the compensation of a refused operation has no effect",
            )),
        },
        Row {
            rule: Rule::NoOpId,
            answers: claim("no-op-id", "a changing call without an operation id is refused"),
            effect: Some(claim(
                "no-op-id-no-effect",
                "a call without an operation id has no effect",
            )),
        },
        Row {
            rule: Rule::RestartApplied,
            answers: claim(
                "restart-same-reply",
                "after a restart the same operation again is answered with the stored reply, \
                 and an inquiry tells it",
            ),
            effect: Some(claim(
                "restart-one-effect",
                "after a restart the same operation again has no further effect",
            )),
        },
        Row {
            rule: Rule::RestartFenced,
            answers: claim(
                "restart-fenced",
                "after a restart an operation that was fenced is still refused with OP_FENCED",
            ),
            effect: Some(claim(
                "restart-fenced-no-effect",
                "after a restart an operation that was fenced has no effect",
            )),
        },
        Row {
            rule: Rule::RestartUndone,
            answers: claim(
                "restart-undone",
                "after a restart the same compensation is answered with the stored reply, and \
                 another one with ALREADY_REVERSED",
            ),
            effect: Some(claim(
                "restart-undone-no-effect",
                "after a restart neither a compensation nor its original has an effect again",
            )),
        },
    ];
}

impl Rule {
    /// All rules, in the order in which they are checked. The first one tells whether the
    /// input suits the step at all.
    pub fn all() -> impl Iterator<Item = Self> {
        Row::ALL.into_iter().map(|it| it.rule)
    }

    /// What its answers show.
    #[must_use]
    pub fn answers(self) -> Claim {
        Row::ALL[self as usize].answers
    }

    /// What only the number shows, which is read before and after.
    #[must_use]
    pub fn effect(self) -> Option<Claim> {
        Row::ALL[self as usize].effect
    }

    /// How many sagas it takes. Whether two calls meet is a matter of moments, so rules
    /// about that get several.
    pub(super) fn rounds(self) -> u32 {
        match self {
            Self::ResolveInFlight | Self::UndoInFlight => super::rules::RACES,
            Self::AtOnce | Self::UndoAtOnce => super::rules::CROWDS,
            _ => 1,
        }
    }

    pub(super) fn needs_refusal(self) -> bool {
        matches!(self, Self::ResolveRejected | Self::RefusalRepeated | Self::UndoOfARejection)
    }

    pub(super) fn needs_compensation(self) -> bool {
        matches!(
            self,
            Self::UndoFirst
                | Self::Undo
                | Self::UndoTwice
                | Self::UndoAtOnce
                | Self::SecondUndo
                | Self::RepeatAfterUndo
                | Self::UndoInFlight
                | Self::ResolveReversed
                | Self::UndoOfARejection
                | Self::RestartUndone
        )
    }

    pub(super) fn needs_restart(self) -> bool {
        matches!(self, Self::RestartApplied | Self::RestartFenced | Self::RestartUndone)
    }
}

#[test]
fn each_rule_has_its_row() {
    let places: Vec<usize> = Rule::all().map(|it| it as usize).collect();
    assert_eq!(places, (0..Row::ALL.len()).collect::<Vec<_>>());
}
