//! Where the types of participants come from when a definition is checked: files that
//! the operator gives, or the participants themselves, by gRPC reflection.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    definition::{Inquiry, ServedTypes},
    participants::{DescriptorError, Participants, Reflected},
};

/// Where types come from.
#[derive(Clone, Debug)]
pub enum Descriptors {
    /// From this set, for all participants.
    Fixed(Arc<ServedTypes>),
    /// From each participant, by reflection.
    Reflection(Arc<Participants>),
    /// Of some participants from a set of their own, of the others from elsewhere.
    Own { sets: BTreeMap<String, Arc<ServedTypes>>, others: Box<Self> },
}

impl Descriptors {
    /// The types of a participant and all that they refer to, and whether it says that it
    /// answers inquiries. `None`: a set of types need not name all that is served.
    ///
    /// # Errors
    ///
    /// [`DescriptorError`] says what is missing. Nothing was changed anywhere.
    pub async fn of_participant(
        &self,
        participant: &str,
    ) -> Result<(Arc<ServedTypes>, Option<Inquiry>), DescriptorError> {
        match self {
            Self::Fixed(types) => Ok((Arc::clone(types), None)),
            Self::Own { sets, others } => match sets.get(participant) {
                Some(types) => Ok((Arc::clone(types), None)),
                None => Box::pin(others.of_participant(participant)).await,
            },
            Self::Reflection(participants) => {
                let Reflected { services, types } = participants.descriptors(participant).await?;
                let inquiry = Inquiry::of_services(services.iter().map(String::as_str));
                Ok((Arc::new(types), Some(inquiry)))
            }
        }
    }
}
