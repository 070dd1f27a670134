//! Where the types of participants come from when a definition is checked: a file that
//! the operator gives, or the participants themselves, by gRPC reflection.

use std::sync::Arc;

use prost_types::FileDescriptorSet;

use crate::participants::{DescriptorError, Participants};

/// Where types come from.
#[derive(Clone, Debug)]
pub enum Descriptors {
    /// From this set, for all participants.
    Fixed(Arc<FileDescriptorSet>),
    /// From each participant, by reflection.
    Reflection(Arc<Participants>),
}

impl Descriptors {
    /// The types of a participant and all that they refer to.
    ///
    /// # Errors
    ///
    /// [`DescriptorError`] says what is missing. Nothing was changed anywhere.
    pub async fn of_participant(
        &self,
        participant: &str,
    ) -> Result<FileDescriptorSet, DescriptorError> {
        match self {
            Self::Fixed(files) => Ok(files.as_ref().clone()),
            Self::Reflection(participants) => participants.descriptors(participant).await,
        }
    }
}
