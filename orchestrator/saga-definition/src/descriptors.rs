//! Descriptors: what each participant serves, and of that what a definition needs: a pool for
//! each participant, because two of them may know different types under one name.
//!
//! Reading order: `wire`, `served`, `lower`, `needed`, `pruned`, `meaning`, `pools`.

mod lower;
mod meaning;
mod needed;
mod pools;
mod pruned;
mod served;
mod wire;

use std::{collections::BTreeMap, sync::Arc};

use prost_reflect::DescriptorPool;

pub(crate) use lower::is_implicit;
pub(crate) use meaning::{contradiction, enum_contradiction, loss};
pub(crate) use needed::Needs;
pub use needed::Unusable;
pub(crate) use pools::{Pools, Search};
pub use served::{ServedTypes, UnreadableFile};

/// The service that answers inquiries.
const PARTICIPANT_SERVICE: &str = "saga.participant.v1.ParticipantService";

/// What the participants of a definition serve: what it is checked against.
#[derive(Clone, Debug)]
pub struct Contracts {
    /// The types of each.
    pub types: BTreeMap<String, Arc<ServedTypes>>,
    /// The types of those that are not in `types`.
    pub others: Arc<ServedTypes>,
    /// By participant, whether it answers inquiries. One that is not in it: as the types say.
    pub inquiry: BTreeMap<String, Inquiry>,
    /// How large things may be. `None`: nobody has said it, and nothing is said about it.
    pub sizes: Option<Sizes>,
}

/// How large things may be where a definition runs, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    pub input_bytes_max: usize,
    /// By participant.
    pub reply_bytes_max: BTreeMap<String, usize>,
    pub request_bytes_max: usize,
}

/// Whether a participant answers inquiries: serves `saga.participant.v1.ParticipantService`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inquiry {
    Answered,
    NotAnswered,
    /// Nobody has said which services it serves.
    Unknown,
}

impl Inquiry {
    /// What a participant says of itself that serves these.
    pub fn of_services<'s>(mut services: impl Iterator<Item = &'s str>) -> Self {
        if services.any(|it| it == PARTICIPANT_SERVICE) {
            Self::Answered
        } else {
            Self::NotAnswered
        }
    }
}

impl From<ServedTypes> for Contracts {
    /// The same types for every participant.
    fn from(types: ServedTypes) -> Self {
        let others = Arc::new(types);
        Self { types: BTreeMap::new(), others, inquiry: BTreeMap::new(), sizes: None }
    }
}

impl From<DescriptorPool> for Contracts {
    fn from(pool: DescriptorPool) -> Self {
        Self::from(ServedTypes::from(&pool))
    }
}

impl Contracts {
    /// The types of a participant.
    pub(crate) fn of(&self, participant: &str) -> &ServedTypes {
        self.types.get(participant).unwrap_or(&self.others)
    }

    /// Whether this participant answers inquiries. Types that hold the service hold it for
    /// those that serve it; types that do not may have been left incomplete.
    pub(crate) fn inquiry_of(&self, participant: &str) -> Inquiry {
        let presumed = match self.of(participant).methods(PARTICIPANT_SERVICE) {
            Some(_) => Inquiry::Answered,
            None => Inquiry::Unknown,
        };
        self.inquiry.get(participant).copied().unwrap_or(presumed)
    }
}
