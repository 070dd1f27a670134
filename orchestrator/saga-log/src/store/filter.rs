//! Which sagas are meant: a condition on their index rows and labels. It has no third value: what
//! a saga does not have compares as an empty text, or as no time at all.

use super::row::{SagaRow, Status};

/// Labels of a saga, by name.
pub type Labels = [(String, String)];

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// All of these hold. None: any saga.
    Every(Vec<Filter>),
    /// One of these holds. None: no saga.
    Any(Vec<Filter>),
    /// This does not hold.
    Not(Box<Filter>),
    Status(Status),
    /// It needs a person.
    Stuck,
    Text {
        column: TextColumn,
        test: TextTest,
    },
    Number {
        column: NumberColumn,
        compare: Compare,
        than: u64,
    },
    /// A part of what holds it up is this.
    Cause {
        part: CausePart,
        is: String,
    },
    /// It was started with this label.
    Label {
        name: String,
        value: String,
    },
}

/// A text of an index row. Empty where the row has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextColumn {
    Namespace,
    BusinessKey,
    Definition,
    StuckReason,
    StuckStep,
    TurnedBack,
    WaitingOn,
}

/// What a text is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextTest {
    Is(String),
    BeginsWith(String),
}

/// A number of an index row. One that is not there compares as nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberColumn {
    DefinitionVersion,
    StartedAtMs,
    EndedAtMs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A part of what holds a saga up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CausePart {
    Participant,
    Method,
    Code,
}

impl Default for Filter {
    /// Any saga.
    fn default() -> Self {
        Self::Every(Vec::new())
    }
}

impl Filter {
    /// A text that is this one.
    #[must_use]
    pub fn is(column: TextColumn, text: &str) -> Self {
        Self::Text { column, test: TextTest::Is(text.to_owned()) }
    }

    /// The conditions that all have to hold.
    pub(crate) fn conjuncts(&self) -> Vec<&Self> {
        match self {
            Self::Every(all) => all.iter().flat_map(Self::conjuncts).collect(),
            one => vec![one],
        }
    }

    /// Statuses that a saga may have for which it holds: no other one can.
    pub(crate) fn statuses(&self) -> Vec<Status> {
        let among = |filters: &[Self], every: bool| {
            let sets: Vec<_> = filters.iter().map(Self::statuses).collect();
            let holds = |status: &Status| {
                let mut sets = sets.iter().map(|set| set.contains(status));
                if every { sets.all(|it| it) } else { sets.any(|it| it) }
            };
            Status::ALL.into_iter().filter(holds).collect()
        };
        match self {
            Self::Every(all) => among(all, true),
            Self::Any(any) => among(any, false),
            Self::Status(status) => vec![*status],
            Self::Not(not) => match &**not {
                Self::Status(not) => Status::ALL.into_iter().filter(|it| it != not).collect(),
                _ => Status::ALL.to_vec(),
            },
            _ => Status::ALL.to_vec(),
        }
    }

    /// Whether it holds for this saga.
    #[must_use]
    pub fn holds(&self, row: &SagaRow, labels: &Labels) -> bool {
        let standing = &row.standing;
        match self {
            Self::Every(all) => all.iter().all(|it| it.holds(row, labels)),
            Self::Any(any) => any.iter().any(|it| it.holds(row, labels)),
            Self::Not(not) => !not.holds(row, labels),
            Self::Status(status) => standing.status == *status,
            Self::Stuck => standing.stuck.is_some(),
            Self::Text { column, test } => match test {
                TextTest::Is(text) => column.of(row) == text,
                TextTest::BeginsWith(text) => column.of(row).starts_with(text.as_str()),
            },
            Self::Number { column, compare, than } => {
                column.of(row).is_some_and(|number| compare.holds(number, *than))
            }
            Self::Cause { part, is } => standing.cause.as_ref().is_some_and(|cause| {
                let word = match part {
                    CausePart::Participant => &cause.participant,
                    CausePart::Method => &cause.method,
                    CausePart::Code => &cause.code,
                };
                word == is
            }),
            Self::Label { name, value } => labels.iter().any(|(n, v)| (n, v) == (name, value)),
        }
    }
}

impl TextColumn {
    fn of(self, row: &SagaRow) -> &str {
        let standing = &row.standing;
        let stuck = standing.stuck.as_ref();
        match self {
            Self::Namespace => &row.namespace,
            Self::BusinessKey => &row.business_key,
            Self::Definition => &row.definition,
            Self::StuckReason => stuck.map_or("", |stuck| &stuck.reason),
            Self::StuckStep => stuck.map_or("", |stuck| &stuck.step),
            Self::TurnedBack => standing.turned_back.as_deref().unwrap_or(""),
            Self::WaitingOn => standing.waiting_on.as_deref().unwrap_or(""),
        }
    }
}

impl NumberColumn {
    fn of(self, row: &SagaRow) -> Option<u64> {
        match self {
            Self::DefinitionVersion => Some(row.definition_version.into()),
            Self::StartedAtMs => Some(row.started_at_ms),
            Self::EndedAtMs => row.standing.ended_at_ms,
        }
    }
}

impl Compare {
    fn holds(self, number: u64, than: u64) -> bool {
        match self {
            Self::Equal => number == than,
            Self::Less => number < than,
            Self::LessOrEqual => number <= than,
            Self::Greater => number > than,
            Self::GreaterOrEqual => number >= than,
        }
    }
}
