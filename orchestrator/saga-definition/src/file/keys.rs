//! Every key of the language. Whoever reads a mapping knows its keys from here, and the JSON
//! Schema of the language is made from here, so neither can know a key that the other does not.

use super::step::REFUSAL_CODES;

/// What a mapping may say.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Its name in the schema.
    pub(crate) name: &'static str,
    pub(crate) keys: &'static [Key],
}

/// A key of a mapping.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) is_required: bool,
    pub(crate) of: Kind,
    /// What it means, for whoever writes it.
    pub(crate) meaning: &'static str,
}

/// What stands behind a key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// This word and no other.
    Word(&'static str),
    /// One of these words.
    Words(&'static [&'static str]),
    /// Text of any form.
    Text,
    /// A text of this form.
    Form(&'static str),
    /// A whole number between two bounds.
    Whole(u32, u32),
    /// A number from 1 to 100 with three digits behind the point at most.
    Factor,
    /// `true` or `false`.
    Flag,
    /// `100ms`, `2s`, `5m`, `1h`, `1d`.
    Duration,
    /// An expression.
    Expression,
    /// Names of this form, at most so many, with an expression each.
    Expressions {
        names: &'static str,
        count_max: usize,
    },
    /// A list of texts of this form.
    Forms(&'static str),
    /// A list of status codes.
    Codes,
    /// Fields of a message with expressions, or one expression.
    Fields,
    Mapping(&'static Shape),
    /// `none`, or the mapping.
    NoneOr(&'static Shape),
    /// A list of such mappings.
    List {
        of: &'static Shape,
        count_max: usize,
    },
}

/// Names of steps.
const STEP_NAME: &str = "^[a-z][a-z0-9_]{0,63}$";

/// Names of definitions, participants, signals and labels.
const NAME: &str = "^[a-z][a-z0-9_-]{0,63}$";

/// Reason codes.
const REASON: &str = "^[A-Z][A-Z0-9_]{0,63}$";

const CALL_NAME: &str = "^[a-z][a-z0-9_-]{0,63}/[A-Za-z0-9_.]+/[A-Za-z0-9_]+$";

const HEADER: &str = "^[a-z0-9._-]{1,64}$";

const fn needs(name: &'static str, of: Kind, meaning: &'static str) -> Key {
    Key { name, is_required: true, of, meaning }
}

const fn may(name: &'static str, of: Kind, meaning: &'static str) -> Key {
    Key { name, is_required: false, of, meaning }
}

pub(crate) static DEFINITION: Shape = Shape {
    name: "definition",
    keys: &[
        needs("kind", Kind::Word("Saga"), "What this file defines."),
        needs("name", Kind::Form(NAME), "What sagas of this kind are started by."),
        needs(
            "version",
            Kind::Whole(1, u32::MAX),
            "A stored version never changes: count it up for every change.",
        ),
        may(
            "retires",
            Kind::Whole(1, u32::MAX),
            "This version and all before it are started no more.",
        ),
        needs("input", Kind::Text, "The protobuf message that a saga is started with."),
        may(
            "deadline",
            Kind::Duration,
            "Time until the pivot; a saga that takes longer turns back.",
        ),
        may(
            "labels",
            Kind::Expressions { names: NAME, count_max: super::LABELS_MAX },
            "What sagas are found by: expressions of the input.",
        ),
        needs(
            "steps",
            Kind::List { of: &STEP, count_max: saga_core::STEPS_MAX },
            "What is done, one behind the other unless `after` says otherwise.",
        ),
    ],
};

pub(crate) static STEP: Shape = Shape {
    name: "step",
    keys: &[
        needs("name", Kind::Form(STEP_NAME), "Unique in the definition."),
        may(
            "after",
            Kind::Forms(STEP_NAME),
            "Steps that are applied or skipped before. Absent: the step before it in the file.",
        ),
        may("when", Kind::Expression, "Begins where this is true, else it is skipped."),
        may("pivot", Kind::Flag, "Once this step is applied there is no turning back."),
        may("action", Kind::Mapping(&ACTION), "The call that applies it."),
        may("wait", Kind::Mapping(&WAIT), "The signal that applies it."),
        may("compensation", Kind::NoneOr(&COMPENSATION), "The call that undoes it, or none."),
        may(
            "on_unknown",
            Kind::Words(&["resolve", "retry", "finish_then_undo", "finish-then-undo", "park"]),
            "What is done about an outcome that nobody knows.",
        ),
        may("retry", Kind::Mapping(&RETRY), "When the action is called again."),
        may("resolve", Kind::Mapping(&RETRY), "When the participant is asked again."),
        may("refusals", Kind::Codes, "Further status codes that mean that it was refused."),
    ],
};

// What both calls of a step have.
const CALL: Key = needs("call", Kind::Form(CALL_NAME), "participant/package.Service/Method");
const HEADERS: Key = may(
    "headers",
    Kind::Expressions { names: HEADER, count_max: super::headers::HEADERS_MAX },
    "Metadata of the call: expressions that give texts.",
);
const REQUEST: Key =
    may("request", Kind::Fields, "Fields of the request, or one expression for all of it.");
const EXPECT: Key = may("expect", Kind::Fields, "Fields of the reply that must echo these.");
const TIMEOUT: Key = may("timeout", Kind::Duration, "How long one attempt may take.");
const CALL_RETRY: Key = may("retry", Kind::Mapping(&RETRY), "When it is called again.");

pub(crate) static ACTION: Shape = Shape {
    name: "action",
    keys: &[
        CALL,
        HEADERS,
        REQUEST,
        EXPECT,
        may("refused_when", Kind::Expression, "A reply for which this is true says no."),
        may("refused_reason", Kind::Expression, "The reason that such a reply gives."),
        TIMEOUT,
        CALL_RETRY,
    ],
};

pub(crate) static COMPENSATION: Shape = Shape {
    name: "compensation",
    keys: &[
        CALL,
        HEADERS,
        REQUEST,
        EXPECT,
        TIMEOUT,
        CALL_RETRY,
        may("when", Kind::Expression, "It is undone where this is true, else the effect stays."),
        may(
            "already_undone",
            Kind::Forms(REASON),
            "Reasons of refusals that say that the effect is undone already.",
        ),
    ],
};

pub(crate) static WAIT: Shape = Shape {
    name: "wait",
    keys: &[
        needs("signal", Kind::Form(NAME), "Name of the signal."),
        may("type", Kind::Text, "The protobuf message that the signal carries."),
        may("accept", Kind::Expression, "Whether the signal says yes. Absent: every one does."),
        may("refused", Kind::Form(REASON), "The reason of a signal that says no."),
        may("timeout", Kind::Duration, "How long it is waited for."),
        may(
            "on_timeout",
            Kind::Words(&["refuse", "accept"]),
            "What it means that no signal came in time.",
        ),
    ],
};

pub(crate) static RETRY: Shape = Shape {
    name: "retry",
    keys: &[
        may("first", Kind::Duration, "The first pause."),
        may("factor", Kind::Factor, "What each pause is multiplied with."),
        may("max", Kind::Duration, "The longest pause."),
        may("jitter", Kind::Words(&["full", "none"]), "How much of a pause is left to chance."),
        may("attempts", Kind::Whole(1, 1000), "Attempts before it is given up, or shown as stuck."),
    ],
};

impl Kind {
    /// Whether it is written as one text.
    pub(super) fn is_scalar(self) -> bool {
        !matches!(
            self,
            Self::Expressions { .. }
                | Self::Forms(_)
                | Self::Codes
                | Self::Fields
                | Self::Mapping(_)
                | Self::NoneOr(_)
                | Self::List { .. }
        )
    }
}

impl Shape {
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.keys.iter().map(|it| it.name).collect()
    }
}

/// Names of the codes that may be declared refusals.
pub(crate) fn codes() -> impl Iterator<Item = &'static str> {
    REFUSAL_CODES.iter().map(|(name, _)| *name)
}
