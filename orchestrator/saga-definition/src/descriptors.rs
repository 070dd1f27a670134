//! Descriptors: those of several participants as one pool, and those that a definition
//! needs as bytes.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use prost_reflect::{DescriptorPool, FileDescriptor};
use prost_types::FileDescriptorSet;

/// The service that answers inquiries.
const PARTICIPANT_SERVICE: &str = "saga.participant.v1.ParticipantService";

/// What the participants of a definition serve: what it is checked against.
#[derive(Clone, Debug)]
pub struct Contracts {
    /// The types of all of them.
    pub pool: DescriptorPool,
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

impl From<DescriptorPool> for Contracts {
    fn from(pool: DescriptorPool) -> Self {
        Self { pool, inquiry: BTreeMap::new(), sizes: None }
    }
}

impl Contracts {
    /// Whether this participant answers inquiries. Types that hold the service hold it for
    /// those that serve it; types that do not may have been left incomplete.
    pub(crate) fn inquiry_of(&self, participant: &str) -> Inquiry {
        let presumed = match self.pool.get_service_by_name(PARTICIPANT_SERVICE) {
            Some(_) => Inquiry::Answered,
            None => Inquiry::Unknown,
        };
        self.inquiry.get(participant).copied().unwrap_or(presumed)
    }
}

/// Descriptors that do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// Two participants serve different contents under one file name.
    #[error("file {file} differs between participants; give one of them another name")]
    Conflict { file: String },
    /// A participant's descriptors are incomplete or contradict themselves.
    #[error("descriptors cannot be used")]
    Invalid(#[source] prost_reflect::DescriptorError),
}

/// One pool from the descriptors of all participants of a definition.
///
/// # Errors
///
/// [`PoolError`]: two participants contradict one another, or one itself.
pub fn pool_of(
    sets: impl IntoIterator<Item = FileDescriptorSet>,
) -> Result<DescriptorPool, PoolError> {
    let mut all = FileDescriptorSet::default();
    for file in sets.into_iter().flat_map(|set| set.file) {
        match all.file.iter().find(|it| it.name() == file.name()) {
            None => all.file.push(file),
            Some(known) if same_contents(known, &file) => {}
            Some(_) => return Err(PoolError::Conflict { file: file.name().to_owned() }),
        }
    }
    DescriptorPool::from_file_descriptor_set(all).map_err(PoolError::Invalid)
}

/// Whether two files declare the same. Comments may differ: not every server keeps them.
fn same_contents(
    a: &prost_types::FileDescriptorProto,
    b: &prost_types::FileDescriptorProto,
) -> bool {
    let bare = |file: &prost_types::FileDescriptorProto| {
        let mut file = file.clone();
        file.source_code_info = None;
        file
    };
    bare(a) == bare(b)
}

/// Files and all that they import, each after what it imports.
pub(crate) fn encode_files(files: impl Iterator<Item = FileDescriptor>) -> bytes::Bytes {
    let mut set = FileDescriptorSet::default();
    let mut seen = BTreeSet::new();
    let mut open: Vec<(FileDescriptor, bool)> = files.map(|file| (file, false)).collect();
    while let Some((file, imports_done)) = open.pop() {
        if imports_done {
            let mut file = file.file_descriptor_proto().clone();
            file.source_code_info = None;
            set.file.push(file);
        } else if seen.insert(file.name().to_owned()) {
            let imports: Vec<FileDescriptor> = file.dependencies().collect();
            open.push((file, true));
            open.extend(imports.into_iter().map(|file| (file, false)));
        }
    }
    set.encode_to_vec().into()
}
