//! What a client asked for, in one number: tells a repeated start from a reused key.
//!
//! The number is stored with the saga, and operation ids are derived from it, so what it is
//! made of never changes. It is a hash of the form's name, of what was asked for, and of the
//! input in its canonical form; another canonical form is another form of the number.

use bytes::Bytes;
use saga_core::{Event, encoding};
use saga_log::SagaRow;
use sha2::{Digest, Sha256};

use crate::{
    definition::CompiledDefinition,
    engine::{Engine, ReachError},
};

/// The first form had no name. In it what was in an `Any` was hashed as it came.
const FORM_1: &[u8] = b"";
/// The form of today.
const FORM_2: &[u8] = b"saga-request-2\0";

/// A start as a client asked for it.
pub(super) struct Asked<'a> {
    /// Name of the definition.
    pub(super) name: &'a str,
    /// Its version as asked: 0 for the newest.
    pub(super) version: u32,
    pub(super) definition: &'a CompiledDefinition,
    /// In canonical form.
    pub(super) input: &'a Bytes,
}

impl Asked<'_> {
    /// The number of today's form.
    pub(super) fn hash(&self) -> [u8; 32] {
        self.hash_of(FORM_2, self.input)
    }

    fn hash_of(&self, form: &[u8], input: &[u8]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(form);
        hash.update(self.name.as_bytes());
        hash.update([0]);
        hash.update(self.version.to_be_bytes());
        hash.update(input);
        hash.finalize().into()
    }

    /// Whether a saga was started by this very request, in a form of before: its number is
    /// that of the input in its log, and that input is this one.
    ///
    /// # Errors
    ///
    /// [`ReachError`]: its log cannot be read. Ask again.
    pub(super) async fn was_before(
        &self,
        engine: &Engine,
        saga: &SagaRow,
    ) -> Result<bool, ReachError> {
        let rows = engine.rows(saga.saga, 0, 1).await?;
        let events = rows.first().and_then(|row| encoding::decode(&row.events).ok());
        let Some(Event::Started(started)) = events.as_ref().and_then(|it| it.first()) else {
            return Ok(false);
        };
        if self.hash_of(FORM_1, &started.input) != saga.request_hash {
            return Ok(false);
        }
        let input_type = self.definition.input_type();
        let input = self.definition.check_input_bytes(input_type, &started.input);
        Ok(input.is_ok_and(|input| input == *self.input))
    }
}

#[cfg(test)]
mod tests {
    use prost_reflect::DescriptorPool;

    use super::*;

    /// Operation ids hang on it: a change of either is a loss of every stored one.
    #[test]
    fn both_forms_are_what_they_were() {
        let pool = DescriptorPool::decode(shop_proto::FILE_DESCRIPTOR_SET).unwrap();
        let yaml = include_str!("../../../deploy/definitions/set-stock.yaml");
        let definition =
            CompiledDefinition::check(yaml, "set-stock", &pool.into()).unwrap().definition;
        let input = Bytes::from_static(b"\x0a\x01a");
        let asked = Asked { name: "set-stock", version: 3, definition: &definition, input: &input };
        let hex = |hash: [u8; 32]| hash.iter().map(|it| format!("{it:02x}")).collect::<String>();
        assert_eq!(
            hex(asked.hash_of(FORM_1, &input)),
            "2316f2a5200a15d0af409ab23ad8dfbd0a6764a5e51a6a9b01ee70b986da2cec"
        );
        assert_eq!(
            hex(asked.hash()),
            "7f3cd92dd9a3efac06a818c69d1d4b750833fba4ecd001ce3b7c83beab952223"
        );
    }
}
