//! From editions to the two syntaxes that the library knows: what the features of a file mean
//! for each field is written out.

use std::collections::HashSet;

use prost_reflect::FieldDescriptor;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumOptions, EnumValueDescriptorProto,
    FieldDescriptorProto, FieldOptions, MessageOptions, OneofDescriptorProto,
    descriptor_proto::ExtensionRange,
    field_descriptor_proto::{Label, Type},
};

use super::wire;

/// Editions whose meaning is known: 2023 and 2024.
const EDITIONS: [i32; 2] = [1000, 1001];

const PRESENCE_EXPLICIT: i32 = 1;
const PRESENCE_IMPLICIT: i32 = 2;
const PRESENCE_REQUIRED: i32 = 3;
const PACKED: i32 = 1;
const EXPANDED: i32 = 2;
const DELIMITED: i32 = 2;

/// How the fields of a file are meant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lowering {
    features: wire::Features,
    /// Whether features are in force: the file is of an edition.
    edition: bool,
    /// The syntax that the file gets.
    pub(super) proto3: bool,
}

impl Lowering {
    /// How the fields of `file` are meant. `Err`: its edition, where nobody knows it yet.
    pub(super) fn of(file: &wire::File) -> Result<Self, String> {
        let (presence, encoding, edition) = match file.syntax.as_str() {
            "" | "proto2" => (PRESENCE_EXPLICIT, EXPANDED, false),
            "proto3" => (PRESENCE_IMPLICIT, PACKED, false),
            "editions" if file.edition.is_some_and(|it| EDITIONS.contains(&it)) => {
                (PRESENCE_EXPLICIT, PACKED, true)
            }
            "editions" => return Err(format!("edition {}", file.edition.unwrap_or(0))),
            other => return Err(format!("syntax `{other}`")),
        };
        let given = wire::Features {
            field_presence: presence,
            repeated_field_encoding: encoding,
            message_encoding: 1,
        };
        let own = file.options.as_ref().and_then(|it| it.features);
        let mut lowering = Self { features: given, edition, proto3: file.syntax == "proto3" };
        if edition {
            lowering = lowering.within(own);
            // An enum that does not begin at 0 is none of proto3's.
            let closed = |it: &wire::Enum| it.values.first().is_some_and(|it| it.number != 0);
            lowering.proto3 = !any_enum(&file.messages, &file.enums, &closed);
        }
        // The library takes such names for one, as compilers once did; of proto2 it does not.
        lowering.proto3 &= !file.messages.iter().any(has_names_alike);
        Ok(lowering)
    }

    /// What is meant inside of something with features of its own.
    fn within(mut self, own: Option<wire::Features>) -> Self {
        let Some(own) = own.filter(|_| self.edition) else { return self };
        let or = |own: i32, around: i32| if own == 0 { around } else { own };
        self.features.field_presence = or(own.field_presence, self.features.field_presence);
        self.features.repeated_field_encoding =
            or(own.repeated_field_encoding, self.features.repeated_field_encoding);
        self.features.message_encoding = or(own.message_encoding, self.features.message_encoding);
        self
    }

    /// The message, without what is nested in it.
    pub(super) fn message(
        self,
        message: &wire::Message,
        resolved: &dyn Fn(&wire::Field) -> Resolved,
    ) -> DescriptorProto {
        let options = message.options.clone().unwrap_or_default();
        let inner = self.inside(message);
        let fields = message.fields.iter().map(|field| {
            let oneof = field.oneof.and_then(|it| usize::try_from(it).ok());
            let oneof = oneof.and_then(|it| message.oneofs.get(it)?.options.as_ref()?.features);
            inner.within(oneof).field(field, resolved(field), options.map_entry)
        });
        let ranges = message.extension_ranges.iter().map(|it| ExtensionRange {
            start: Some(it.start),
            end: Some(it.end),
            options: None,
        });
        let oneofs = message
            .oneofs
            .iter()
            .map(|it| OneofDescriptorProto { name: Some(it.name.clone()), options: None });
        DescriptorProto {
            name: Some(message.name.clone()),
            field: fields.collect(),
            extension_range: ranges.collect(),
            oneof_decl: oneofs.collect(),
            options: (options.map_entry || options.message_set_wire_format).then(|| {
                MessageOptions {
                    map_entry: options.map_entry.then_some(true),
                    message_set_wire_format: options.message_set_wire_format.then_some(true),
                    ..MessageOptions::default()
                }
            }),
            ..DescriptorProto::default()
        }
    }

    /// What is meant in a message.
    pub(super) fn inside(self, message: &wire::Message) -> Self {
        self.within(message.options.as_ref().and_then(|it| it.features))
    }

    /// A field, or an extension.
    pub(super) fn field(
        self,
        field: &wire::Field,
        resolved: Resolved,
        in_map_entry: bool,
    ) -> FieldDescriptorProto {
        let own = field.options.as_ref().and_then(|it| it.features);
        let features = self.within(own).features;
        let repeated = field.label == Label::Repeated as i32;
        let delimited = self.edition
            && !in_map_entry
            && !resolved.is_map
            && resolved.of == Type::Message as i32
            && features.message_encoding == DELIMITED;
        let required = self.edition && features.field_presence == PRESENCE_REQUIRED;
        let explicit = self.edition
            && self.proto3
            && !repeated
            && field.extendee.is_empty()
            && features.field_presence == PRESENCE_EXPLICIT;
        let is_message = [Type::Message as i32, Type::Group as i32].contains(&resolved.of);
        let implicit = !self.proto3
            && !repeated
            && !in_map_entry
            && !is_message
            && field.extendee.is_empty()
            && (field.oneof.is_none() && !field.proto3_optional)
            && features.field_presence == PRESENCE_IMPLICIT;
        let packed = field.options.as_ref().and_then(|it| it.packed);
        let packed = packed.unwrap_or(features.repeated_field_encoding == PACKED);
        let of = if delimited { Type::Group as i32 } else { resolved.of };
        FieldDescriptorProto {
            name: Some(field.name.clone()),
            extendee: resolved.extendee,
            number: Some(field.number),
            label: Some(if required { Label::Required as i32 } else { field.label }),
            r#type: Some(of),
            type_name: resolved.type_name,
            default_value: field.default.clone(),
            oneof_index: field.oneof,
            json_name: Some(match field.json_name.as_str() {
                "" => camel_case(&field.name),
                given => given.to_owned(),
            }),
            options: if repeated && is_packable(of) {
                Some(FieldOptions { packed: Some(packed), ..FieldOptions::default() })
            } else {
                implicit.then(implicit_mark)
            },
            proto3_optional: (self.proto3 && field.proto3_optional
                || explicit && field.oneof.is_none())
            .then_some(true),
        }
    }
}

/// What says of a field in a file of proto2 that its zero is as good as none, for which proto2 has
/// no word. An option that means nothing to anybody: it is stored with the types.
fn implicit_mark() -> FieldOptions {
    FieldOptions { weak: Some(true), ..FieldOptions::default() }
}

/// Whether a field is left out where it is zero although its file says that its presence counts.
pub(crate) fn is_implicit(field: &FieldDescriptor) -> bool {
    let given = &field.field_descriptor_proto().options;
    given.as_ref().is_some_and(|it| it.weak == Some(true))
}

/// What the names in a field refer to.
#[derive(Clone, Debug, Default)]
pub(super) struct Resolved {
    /// Number of its type: of one that is only named, too.
    pub(super) of: i32,
    /// With a leading dot.
    pub(super) type_name: Option<String>,
    pub(super) extendee: Option<String>,
    pub(super) is_map: bool,
}

pub(super) fn enumeration(of: &wire::Enum) -> EnumDescriptorProto {
    let values = of.values.iter().map(|it| EnumValueDescriptorProto {
        name: Some(it.name.clone()),
        number: Some(it.number),
        options: None,
    });
    // Whoever serves it was compiled: two names of one number are meant.
    let options = EnumOptions { allow_alias: Some(true), ..EnumOptions::default() };
    EnumDescriptorProto {
        name: Some(of.name.clone()),
        value: values.collect(),
        options: Some(options),
        ..EnumDescriptorProto::default()
    }
}

fn any_enum(
    messages: &[wire::Message],
    enums: &[wire::Enum],
    is: &dyn Fn(&wire::Enum) -> bool,
) -> bool {
    enums.iter().any(is) || messages.iter().any(|it| any_enum(&it.messages, &it.enums, is))
}

/// Whether two fields of a message differ in nothing but capitals and `_`.
fn has_names_alike(message: &wire::Message) -> bool {
    let plain = |it: &wire::Field| it.name.replace('_', "").to_ascii_lowercase();
    let mut seen = HashSet::new();
    !message.fields.iter().all(|it| seen.insert(plain(it)))
        || message.messages.iter().any(has_names_alike)
}

fn is_packable(of: i32) -> bool {
    let long = [Type::String, Type::Bytes, Type::Message, Type::Group];
    !long.iter().any(|it| *it as i32 == of)
}

/// The name of a field in JSON, as protoc derives it.
fn camel_case(name: &str) -> String {
    let mut made = String::with_capacity(name.len());
    let mut upper = false;
    for c in name.chars() {
        match c {
            '_' => upper = true,
            _ if upper => {
                made.push(c.to_ascii_uppercase());
                upper = false;
            }
            _ => made.push(c),
        }
    }
    made
}
