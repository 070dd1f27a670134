//! What holds for every method of the engine, read from its contract.

use prost_reflect::{DescriptorPool, Kind, MessageDescriptor, MethodDescriptor};

/// Methods that change something and are made one by something else than a request id.
const OTHERWISE: [(&str, &str); 3] = [
    ("SagaService.StartSaga", "its business key makes it one, for ever; there is no version yet"),
    ("OperatorService.CheckParticipant", "changes nothing of ours: its sagas are in no log"),
    ("OperatorService.RunParticipantCheck", "the same, and ends with its stream"),
];

fn methods() -> Vec<MethodDescriptor> {
    let pool = DescriptorPool::decode(saga_proto::FILE_DESCRIPTOR_SET).unwrap();
    let services: Vec<_> = pool.services().filter(|it| it.package_name() == "saga.v1").collect();
    services.iter().flat_map(|it| it.methods().collect::<Vec<_>>()).collect()
}

/// Whether it needs more than the role of those who look.
fn changes(method: &MethodDescriptor) -> bool {
    let pool = method.parent_pool();
    let access = pool.get_extension_by_name("saga.v1.access").unwrap();
    let options = method.options();
    let said = options.get_extension(&access).into_owned();
    let role = said.as_message().unwrap().get_field_by_name("role").unwrap().as_enum_number();
    1 < role.unwrap()
}

fn name(method: &MethodDescriptor) -> String {
    format!("{}.{}", method.parent_service().name(), method.name())
}

fn has(message: &MessageDescriptor, field: &str, kind: &Kind) -> bool {
    message.get_field_by_name(field).is_some_and(|it| it.kind() == *kind && !it.is_list())
}

#[test]
fn whatever_changes_something_is_asked_for_once_by_somebody_about_what_they_saw() {
    let methods = methods();
    let changing: Vec<_> = methods.iter().filter(|it| changes(it)).collect();
    assert!(9 < changing.len(), "{} methods change something", changing.len());
    for method in changing {
        let name = name(method);
        if OTHERWISE.iter().any(|(it, _)| *it == name) {
            continue;
        }
        let wanted = [
            ("request_id", Kind::String),
            ("expected_version", Kind::Uint64),
            ("actor", Kind::String),
            ("reason", Kind::String),
        ];
        for (field, kind) in wanted {
            let is_there = has(&method.input(), field, &kind);
            assert!(is_there, "{name}: its request has no {field}, a {kind:?}");
        }
    }
    for (name_of_none, _) in OTHERWISE {
        assert!(methods.iter().any(|it| name(it) == name_of_none), "{name_of_none} is gone");
    }
}

#[test]
fn every_list_has_pages() {
    let methods = methods();
    let lists: Vec<_> = methods.iter().filter(|it| it.name().starts_with("List")).collect();
    assert!(4 < lists.len(), "{} lists", lists.len());
    for list in lists {
        let name = name(list);
        for (field, kind) in [("page_size", Kind::Int32), ("page_token", Kind::String)] {
            assert!(has(&list.input(), field, &kind), "{name}: its request has no {field}");
        }
        let next = has(&list.output(), "next_page_token", &Kind::String);
        assert!(next, "{name}: its reply has no next_page_token");
    }
}
