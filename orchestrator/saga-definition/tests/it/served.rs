//! What strangers serve: files of every generator, and of nobody's.

use prost::Message as _;
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    MethodDescriptorProto, ServiceDescriptorProto,
    field_descriptor_proto::{Label, Type},
};
use saga_definition::ServedTypes;

use super::world::{Data, broken, check, compiled, contracts, rendered, served};

/// One step that calls `p/s.S/Do` with the whole input, field by field.
fn yaml(request: &str) -> String {
    format!(
        "kind: Saga\nname: one\nversion: 1\ninput: s.In\nsteps:\n  - name: do\n    pivot: true\n    \
         on_unknown: retry\n    action: {{ call: p/s.S/Do, request: {{ {request} }} }}\n"
    )
}

const PLAIN: &str = "syntax = 'proto3'; package s; import 'google/protobuf/timestamp.proto'; \
                     service S { rpc Do(In) returns (In); } message In { string order_no = 1; \
                     google.protobuf.Timestamp at = 2; Sub sub = 3; message Sub { string x = 1; } }";

/// What protoc makes of it, changed.
fn altered(change: impl Fn(&mut FileDescriptorProto)) -> ServedTypes {
    let mut set = compiled(&[("s.proto", PLAIN)]);
    set.file.iter_mut().filter(|it| it.name() == "s.proto").for_each(change);
    ServedTypes::read_set(&set.encode_to_vec()).unwrap()
}

#[test]
fn files_mean_the_same_however_a_generator_writes_them() {
    let fields = |file: &mut FileDescriptorProto, change: fn(&mut FieldDescriptorProto)| {
        file.message_type.iter_mut().flat_map(|it| &mut it.field).for_each(change);
    };
    let written: [(&str, ServedTypes); 6] = [
        ("protoc", altered(|_| {})),
        ("Java, C++, Python: no json_name", altered(|file| fields(file, |it| it.json_name = None))),
        ("Node: no imports", altered(|file| file.dependency.clear())),
        (
            "no leading dots",
            altered(|file| {
                fields(file, |it| {
                    it.type_name = it.type_name.take().map(|it| it.trim_start_matches('.').into());
                });
            }),
        ),
        (
            "names relative to their scope, and no kind",
            altered(|file| {
                fields(file, |it| {
                    if let Some(name) = &mut it.type_name {
                        *name = name.trim_start_matches(".s.In.").trim_start_matches('.').into();
                        it.r#type = None;
                    }
                });
            }),
        ),
        ("no Timestamp", {
            let mut set = compiled(&[("s.proto", PLAIN)]);
            set.file.retain(|it| it.name() == "s.proto");
            ServedTypes::read_set(&set.encode_to_vec()).unwrap()
        }),
    ];
    let mut made = Vec::new();
    for (how, types) in written {
        assert!(types.missing().is_empty(), "{how}: {:?}", types.missing());
        let contracts = contracts([("p", types)]);
        let yaml = yaml("order_no: input.order_no, at: input.at, sub: input.sub");
        let definition =
            check(&yaml, &contracts).unwrap_or_else(|it| panic!("{how}: {}", it.rendered));
        let input = r#"{"orderNo": "1", "at": "2026-01-01T00:00:00Z", "sub": {"x": "y"}}"#;
        made.push(definition.definition.encode_input_json(input).unwrap());
    }
    assert!(made.windows(2).all(|pair| pair[0] == pair[1]), "{made:?}");
}

/// A file in an edition that the library does not know, and one whose types are nowhere.
#[test]
fn what_nobody_calls_may_be_whatever_it_is() {
    let mut set = compiled(&[("s.proto", PLAIN)]);
    let lost = FieldDescriptorProto {
        name: Some("lost".to_owned()),
        number: Some(1),
        r#type: Some(Type::Message as i32),
        type_name: Some(".nowhere.Type".to_owned()),
        ..FieldDescriptorProto::default()
    };
    let message = |name: &str| DescriptorProto {
        name: Some(name.to_owned()),
        field: vec![lost.clone()],
        ..DescriptorProto::default()
    };
    set.file.push(FileDescriptorProto {
        name: Some("odd.proto".to_owned()),
        message_type: vec![message("Odd")],
        syntax: Some("editions".to_owned()),
        ..FileDescriptorProto::default()
    });
    set.file.iter_mut().for_each(|it| {
        if it.name() == "s.proto" {
            it.message_type.push(message("Other"));
        }
    });
    let types = ServedTypes::read_set(&set.encode_to_vec()).unwrap();
    assert!(check(&yaml("order_no: input.order_no"), &contracts([("p", types)])).is_ok());
}

#[test]
fn what_is_called_and_cannot_be_used_names_participant_file_and_symbol() {
    let types = altered(|file| {
        file.message_type[0].field[1].type_name = Some(".nowhere.Type".to_owned());
    });
    let found = broken(&yaml("order_no: input.order_no"), &contracts([("p", types)]));
    assert_eq!(found[0].0, "unusable-types");
    for part in ["participant p", "s.In", "s.proto", "nowhere.Type"] {
        assert!(found[0].1.contains(part), "{part}: {found:?}");
    }
}

/// `edition = "2023"` as protoc encodes it: which the library does not even have fields for.
fn edition(file: &FileDescriptorProto, field_features: &[(usize, &[u8])]) -> Vec<u8> {
    let mut file = file.clone();
    file.syntax = Some("editions".to_owned());
    for field in &mut file.message_type[0].field {
        field.proto3_optional = None;
        field.oneof_index = None;
    }
    let mut bytes =
        FileDescriptorProto { message_type: Vec::new(), ..file.clone() }.encode_to_vec();
    // edition = 1000
    bytes.extend([14 << 3, 0xe8, 0x07]);
    let mut message = DescriptorProto { field: Vec::new(), ..file.message_type[0].clone() };
    message.oneof_decl.clear();
    let mut encoded = message.encode_to_vec();
    for (at, field) in file.message_type[0].field.iter().enumerate() {
        let mut field = field.encode_to_vec();
        for (_, features) in field_features.iter().filter(|it| it.0 == at) {
            // options { features { .. } }
            let inner = [&[0xaa, 0x01, u8::try_from(features.len()).unwrap()], *features].concat();
            field.extend([8 << 3 | 2, u8::try_from(inner.len()).unwrap()]);
            field.extend(inner);
        }
        encoded.extend([2 << 3 | 2, u8::try_from(field.len()).unwrap()]);
        encoded.extend(field);
    }
    bytes.push(4 << 3 | 2);
    prost::encoding::encode_varint(encoded.len() as u64, &mut bytes);
    bytes.extend(encoded);
    bytes
}

#[test]
fn editions_are_read_as_their_features_say() {
    let file = "syntax = 'proto3'; package s; service S { rpc Do(In) returns (In); } message In { \
                string id = 1; int32 implicit = 2; Sub sub = 3; repeated int32 spread = 4; repeated \
                int32 packed = 5; message Sub { int64 a = 1; } }";
    let set = compiled(&[("s.proto", file)]);
    let features: [(usize, &[u8]); 3] = [
        // field_presence = IMPLICIT, message_encoding = DELIMITED, repeated_field_encoding =
        // EXPANDED
        (1, &[1 << 3, 2]),
        (2, &[5 << 3, 2]),
        (3, &[3 << 3, 2]),
    ];
    let types = ServedTypes::read([edition(&set.file[0], &features)]).unwrap();
    let all = "id: input.id, implicit: input.implicit, sub: input.sub, spread: input.spread, \
               packed: input.packed";
    let definition = check(&yaml(all), &contracts([("p", types)])).unwrap().definition;
    let input =
        r#"{"id": "", "implicit": 0, "sub": {"a": "5"}, "spread": [1, 2], "packed": [1, 2]}"#;
    let bytes = definition.encode_input_json(input).unwrap();
    // `id` is explicit, and there though it is empty; `sub` is a group.
    let expected = [0x0a, 0, 0x1b, 0x08, 5, 0x1c, 0x20, 1, 0x20, 2, 0x2a, 2, 1, 2].as_slice();
    assert_eq!(bytes, expected);
}

/// An enum that begins at 1 is none of proto3's; a field whose zero is as good as none is none of
/// proto2's.
#[test]
fn what_neither_syntax_says_together_keeps_its_bytes() {
    let file = "syntax = 'proto2'; package s; service S { rpc Do(In) returns (In); } message In { \
                optional string id = 1; optional int32 implicit = 2; optional K k = 3; optional Sub \
                sub = 4; optional double d = 5; message Sub { optional int32 a = 1; } enum K { A = 1; \
                B = 2; } map<string, int32> m = 6; }";
    let set = compiled(&[("s.proto", file)]);
    let features: [(usize, &[u8]); 2] = [(1, &[1 << 3, 2]), (4, &[1 << 3, 2])];
    let types = ServedTypes::read([edition(&set.file[0], &features)]).unwrap();
    let all = "id: input.id, implicit: input.implicit, k: input.k, sub: input.sub, d: input.d, m: \
               input.m";
    let definition = check(&yaml(all), &contracts([("p", types)])).unwrap().definition;
    let sent = |input: &str| {
        let input = definition.encode_input_json(input).unwrap();
        rendered(&definition, 0, &Data { input, ..Data::default() })
    };
    // `id` and `a` are explicit; zero of `implicit` and of `d` is not there, minus zero is.
    let zero = sent(r#"{"id": "", "implicit": 0, "k": "A", "sub": {"a": 0}, "d": 0}"#);
    assert_eq!(zero.as_ref(), [0x0a, 0, 0x18, 1, 0x22, 2, 0x08, 0]);
    let minus = sent(r#"{"implicit": 7, "d": -0.0, "m": {"": 0}}"#);
    let expected = [&[0x10, 7][..], &[5 << 3 | 1, 0, 0, 0, 0, 0, 0, 0, 0x80]].concat();
    assert_eq!(minus[..expected.len()], expected);
}

/// Compilers took them for one once, and do not any more.
#[test]
fn names_that_differ_in_capitals_alone_are_two() {
    let file = "syntax = 'proto2'; package s; service S { rpc Do(In) returns (In); } message In { \
                optional string A_b = 1; optional string a__b = 2; optional int32 n = 3; repeated \
                int32 l = 4; }";
    let mut set = compiled(&[("s.proto", file)]);
    set.file[0].syntax = Some("proto3".to_owned());
    let types = ServedTypes::read_set(&set.encode_to_vec()).unwrap();
    let all = "A_b: input.A_b, a__b: input.a__b, n: input.n, l: input.l";
    let definition = check(&yaml(all), &contracts([("p", types)])).unwrap().definition;
    let input = r#"{"A_b": "", "a__b": "2", "n": 0, "l": [1, 0]}"#;
    let input = definition.encode_input_json(input).unwrap();
    let sent = rendered(&definition, 0, &Data { input, ..Data::default() });
    assert_eq!(sent.as_ref(), [0x12, 1, b'2', 0x22, 2, 1, 0], "as proto3: packed, without zeros");
}

#[test]
fn a_chain_of_types_costs_no_stack_and_is_bounded() {
    let chain = |len: usize| {
        let message = |at: usize| DescriptorProto {
            name: Some(format!("M{at}")),
            field: vec![FieldDescriptorProto {
                name: Some("next".to_owned()),
                number: Some(1),
                label: Some(Label::Optional as i32),
                r#type: Some(Type::Message as i32),
                type_name: Some(format!(".s.M{}", (at + 1) % len)),
                ..FieldDescriptorProto::default()
            }],
            ..DescriptorProto::default()
        };
        let mut messages: Vec<DescriptorProto> = (0..len).map(message).collect();
        messages[0].name = Some("In".to_owned());
        messages[len - 1].field[0].type_name = Some(".s.In".to_owned());
        let method = MethodDescriptorProto {
            name: Some("Do".to_owned()),
            input_type: Some(".s.In".to_owned()),
            output_type: Some(".s.In".to_owned()),
            ..MethodDescriptorProto::default()
        };
        let service = ServiceDescriptorProto {
            name: Some("S".to_owned()),
            method: vec![method],
            options: None,
        };
        let file = FileDescriptorProto {
            name: Some("s.proto".to_owned()),
            package: Some("s".to_owned()),
            message_type: messages,
            service: vec![service],
            ..FileDescriptorProto::default()
        };
        let set = FileDescriptorSet { file: vec![file] };
        ServedTypes::read_set(&set.encode_to_vec()).unwrap()
    };
    let yaml = yaml("next: input.next");
    let definition = check(&yaml, &contracts([("p", chain(9_000))])).unwrap().definition;
    assert!(definition.encode_input_json(r#"{"next": {}}"#).is_ok());
    let found = broken(&yaml, &contracts([("p", chain(60_000))]));
    assert!(found[0].1.contains("more than 10000 types"), "{found:?}");
}

#[test]
fn extensions_of_what_is_called_are_known() {
    let file = "syntax = 'proto2'; package s; service S { rpc Do(In) returns (In); } message In { \
                optional string id = 1; extensions 100 to 200; } extend In { optional string ext = \
                100; }";
    let definition =
        check(&yaml("id: input.id"), &contracts([("p", served(&[("s.proto", file)]))]));
    let bytes = definition.unwrap().definition.encode_input_json(r#"{"[s.ext]": "x"}"#).unwrap();
    assert_eq!(bytes.as_ref(), [0xa2, 0x06, 1, b'x']);
}
