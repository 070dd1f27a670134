//! Whether a request that was refused may be sent again. Stands in the metadata of each
//! `google.rpc.ErrorInfo`, so that a client decides by it and not by a sentence.

use std::collections::HashMap;

use tonic_types::ErrorDetails;

/// What a client does with a request that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Nothing was done, and the same request may be taken later.
    Safe,
    /// It may have been done: the same request again, with the same business key or request
    /// id, is answered as the first. Under another one it is done twice.
    SameKey,
    /// The same request is refused again, until somebody changes something.
    Never,
}

impl Retry {
    /// The key of the metadata.
    pub const KEY: &'static str = "retry";

    /// As it stands in the metadata.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::SameKey => "same-key",
            Self::Never => "never",
        }
    }

    /// The details of an error with this advice.
    #[must_use]
    pub fn details(
        self,
        reason: &str,
        domain: &str,
        mut metadata: HashMap<String, String>,
    ) -> ErrorDetails {
        metadata.insert(Self::KEY.to_owned(), self.word().to_owned());
        ErrorDetails::with_error_info(reason, domain, metadata)
    }
}
