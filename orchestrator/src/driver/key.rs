//! What a client calls a saga.

use saga_draft::Subject;

use crate::definition::CompiledDefinition;

/// A key in a namespace of keys.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) namespace: String,
    pub(crate) business_key: String,
}

impl Key {
    /// What a draft of this saga is made of, besides its state.
    pub(super) fn subject<'s>(
        &'s self,
        definition: &'s CompiledDefinition,
        request_bytes_max: usize,
    ) -> Subject<'s> {
        let Self { namespace, business_key } = self;
        Subject { definition, business_key, namespace, request_bytes_max }
    }
}
