//! Participants with types of their own, and the data of a saga.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use saga_core::{Direction, OperationId, OperationName, OperationRoot, SagaId, StepIndex};
use saga_definition::{
    Compiled, CompiledDefinition, Contracts, Failure, LANGUAGE_LEVEL, Rendered, Report, RunData,
    ServedTypes,
};
use uuid::Uuid;

/// The files of one participant, compiled.
pub(crate) fn compiled(files: &[(&str, &str)]) -> prost_types::FileDescriptorSet {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    protox::compile(files.iter().map(|(name, _)| name), [dir.path()]).unwrap()
}

/// The types of these files, as a participant that was compiled with them serves them.
pub(crate) fn served(files: &[(&str, &str)]) -> ServedTypes {
    use prost::Message as _;
    ServedTypes::read_set(&compiled(files).encode_to_vec()).unwrap()
}

/// What participants of these names serve.
pub(crate) fn contracts<const N: usize>(of: [(&str, ServedTypes); N]) -> Contracts {
    let types: BTreeMap<String, Arc<ServedTypes>> =
        of.into_iter().map(|(name, types)| (name.to_owned(), Arc::new(types))).collect();
    Contracts { types, ..Contracts::from(ServedTypes::default()) }
}

/// The definition as the check makes it, and as it is read again where it was stored.
pub(crate) fn check(yaml: &str, contracts: &Contracts) -> Result<Compiled, Report> {
    let mut compiled = CompiledDefinition::check(yaml, "test.yaml", contracts)?;
    let types = compiled.definition.types();
    let read = CompiledDefinition::read(yaml, "test", LANGUAGE_LEVEL, &types).unwrap();
    assert_eq!(read.types(), types, "stored types are stored again as they were");
    compiled.definition = read;
    Ok(compiled)
}

/// The rules that a definition breaks.
pub(crate) fn broken(yaml: &str, contracts: &Contracts) -> Vec<(&'static str, String)> {
    let report = CompiledDefinition::check(yaml, "test.yaml", contracts).unwrap_err();
    report.findings.into_iter().map(|it| (it.rule, it.message)).collect()
}

/// The request that step `step` sends on this input, decoded by the types of `of`.
pub(crate) fn request(
    definition: &CompiledDefinition,
    step: u8,
    input: &str,
    of: &MessageDescriptor,
) -> String {
    let data = Data { input: definition.encode_input_json(input).unwrap(), ..Data::default() };
    let bytes = rendered(definition, step, &data);
    let message = DynamicMessage::decode(of.clone(), bytes).unwrap();
    serde_json::to_value(&message).unwrap().to_string()
}

/// The bytes that step `step` sends.
pub(crate) fn rendered(definition: &CompiledDefinition, step: u8, data: &Data) -> Bytes {
    match definition.render(StepIndex(step), Direction::Forward, data) {
        Ok(Rendered::Request(bytes)) => bytes,
        other => panic!("{other:?}"),
    }
}

/// A saga that is always the same one.
#[derive(Debug, Default)]
pub(crate) struct Data {
    pub(crate) input: Bytes,
    pub(crate) replies: Vec<Option<Bytes>>,
    /// The step whose reply could not be kept.
    pub(crate) unread: Option<StepIndex>,
}

impl RunData for Data {
    fn saga_id(&self) -> SagaId {
        SagaId(Uuid::from_u128(0xa5))
    }

    fn operation(&self, _: StepIndex, step: &str) -> OperationId {
        let name = OperationName { step, direction: Direction::Forward, generation: 0 };
        OperationId::derive(self.saga_id(), OperationRoot::Saga, name)
    }

    fn business_key(&self) -> &str {
        "order-000001"
    }

    fn namespace(&self) -> &str {
        "eu"
    }

    fn started_at_ms(&self) -> u64 {
        1_767_225_600_123
    }

    fn input(&self) -> &Bytes {
        &self.input
    }

    fn reply(&self, step: StepIndex) -> Option<&Bytes> {
        self.replies.get(step.at())?.as_ref()
    }

    fn is_unread(&self, step: StepIndex) -> bool {
        self.unread == Some(step)
    }

    fn signal(&self, _: StepIndex) -> Option<&Bytes> {
        None
    }

    fn failure(&self) -> Option<Failure<'_>> {
        None
    }
}
