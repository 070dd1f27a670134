//! Where the types of participants come from when a definition is checked: a file that
//! the operator gives, or the participants themselves, by gRPC reflection.

use std::sync::Arc;

use prost_types::FileDescriptorSet;

use crate::{
    definition::Inquiry,
    participants::{DescriptorError, Participants, Reflected},
};

/// Where types come from.
#[derive(Clone, Debug)]
pub enum Descriptors {
    /// From this set, for all participants.
    Fixed(Arc<FileDescriptorSet>),
    /// From each participant, by reflection.
    Reflection(Arc<Participants>),
}

impl Descriptors {
    /// The types of a participant and all that they refer to, and whether it says that it
    /// answers inquiries. `None`: a set of types is nobody's own.
    ///
    /// # Errors
    ///
    /// [`DescriptorError`] says what is missing. Nothing was changed anywhere.
    pub async fn of_participant(
        &self,
        participant: &str,
    ) -> Result<(FileDescriptorSet, Option<Inquiry>), DescriptorError> {
        match self {
            Self::Fixed(files) => Ok((files.as_ref().clone(), None)),
            Self::Reflection(participants) => {
                let Reflected { services, files } = participants.descriptors(participant).await?;
                let inquiry = Inquiry::of_services(services.iter().map(String::as_str));
                Ok((files, Some(inquiry)))
            }
        }
    }
}
