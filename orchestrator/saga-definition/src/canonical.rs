//! Canonical forms: of a definition, for its hash, and of a message, so that equal
//! messages are equal bytes.

use std::collections::HashSet;

use prost::{
    Message,
    bytes::BufMut,
    encoding::{WireType, encode_key, encode_varint},
};
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value,
};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::{
    descriptors::is_implicit,
    yaml::{Node, NodeValue},
};

const ANY: &str = "google.protobuf.Any";

/// SHA-256 of the canonical JSON of a definition: keys in order, all scalars as text.
/// Comments, quotes, indentation and the order of keys do not change it.
pub(crate) fn hash(root: &Node) -> [u8; 32] {
    Sha256::digest(canonical_json(root).to_string().as_bytes()).into()
}

fn canonical_json(node: &Node) -> Json {
    match &node.value {
        NodeValue::Null => Json::Null,
        NodeValue::Scalar(text) => Json::String(text.trim().to_owned()),
        NodeValue::List(items) => Json::Array(items.iter().map(canonical_json).collect()),
        NodeValue::Map(entries) => {
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_by(|(a, _), (b, _)| a.value.cmp(&b.value));
            let entries = sorted.into_iter().map(|(k, v)| (k.value.clone(), canonical_json(v)));
            Json::Object(entries.collect())
        }
    }
}

/// Messages inside one another at most whose contents are looked at: below, the bytes of an
/// `Any` are left as they are. Inputs are never as deep; a reply may be.
const DEPTH_MAX: usize = 100;

/// The bytes of a message: fields by number, known ones and others alike; map entries by key;
/// what is in an `Any` of a known type likewise. Messages that are equal have equal bytes,
/// which the encoding of a hash map has not.
///
/// What is compared with something stored is in this form, so a change of it is a new form of
/// whatever names one (`api/request.rs`).
pub(crate) fn encode(message: &DynamicMessage) -> bytes::Bytes {
    if is_in_order(&message.descriptor()) {
        return message.encode_to_vec().into();
    }
    in_order(message, Keys::Rising, 0).into()
}

/// The bytes of the same message with the entries of its maps in another order. `None`: it
/// has no map of two or more entries, so there is no other order.
pub fn reordered(of: &MessageDescriptor, bytes: &[u8]) -> Option<bytes::Bytes> {
    let message = DynamicMessage::decode(of.clone(), bytes).ok()?;
    let [rising, falling] = [Keys::Rising, Keys::Falling].map(|it| in_order(&message, it, 0));
    (rising != falling).then(|| falling.into())
}

/// Whether a message of this type can carry a map, however deep.
pub fn has_maps(message: &MessageDescriptor) -> bool {
    !every_type(message, |it| it.fields().all(|field| !field.is_map()))
}

/// In which order the entries of a map are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    Rising,
    Falling,
}

/// Whether messages of this type are encoded in order anyway: nothing in reach is a map, or
/// may hold one.
fn is_in_order(message: &MessageDescriptor) -> bool {
    every_type(message, |it| {
        let plain = it.full_name() != ANY && it.extension_ranges().len() == 0;
        plain && it.fields().all(|field| !field.is_map() && !is_implicit(&field))
    })
}

/// Whether this holds for a message and all that it is made of. A chain of types may be
/// longer than the stack is deep.
fn every_type(message: &MessageDescriptor, holds: impl Fn(&MessageDescriptor) -> bool) -> bool {
    let mut seen = HashSet::from([message.full_name().to_owned()]);
    let mut open = vec![message.clone()];
    while let Some(message) = open.pop() {
        if !holds(&message) {
            return false;
        }
        for field in message.fields() {
            if let Some(inner) = field.kind().as_message()
                && seen.insert(inner.full_name().to_owned())
            {
                open.push(inner.clone());
            }
        }
    }
    true
}

fn in_order(message: &DynamicMessage, keys: Keys, depth: usize) -> Vec<u8> {
    let of = message.descriptor();
    let mut parts: Vec<(u32, Vec<u8>)> = Vec::new();
    for (field, value) in message.fields() {
        if is_zero(value) && is_implicit(&field) {
            continue;
        }
        let place = Place { number: field.number(), kind: field.kind(), group: field.is_group() };
        let bytes = place.encode(value, keys, depth).unwrap_or_else(|| {
            let mut alone = DynamicMessage::new(of.clone());
            alone
                .set_field(&field, contents(message, &field, keys, depth).unwrap_or(value.clone()));
            alone.encode_to_vec()
        });
        parts.push((field.number(), bytes));
    }
    for (field, value) in message.extensions() {
        let place = Place { number: field.number(), kind: field.kind(), group: field.is_group() };
        let bytes = place.encode(value, keys, depth).unwrap_or_else(|| {
            let mut alone = DynamicMessage::new(of.clone());
            alone.set_extension(&field, value.clone());
            alone.encode_to_vec()
        });
        parts.push((field.number(), bytes));
    }
    for field in message.unknown_fields() {
        let mut bytes = Vec::new();
        field.encode(&mut bytes);
        parts.push((field.number(), bytes));
    }
    // Stable: what is unknown and has one number stays in the order in which it came.
    parts.sort_by_key(|(number, _)| *number);
    parts.into_iter().flat_map(|(_, bytes)| bytes).collect()
}

/// Whether this is what a field without presence has where nothing was given.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Bool(it) => !it,
        Value::I32(it) | Value::EnumNumber(it) => *it == 0,
        Value::I64(it) => *it == 0,
        Value::U32(it) => *it == 0,
        Value::U64(it) => *it == 0,
        // Minus zero is another number.
        Value::F32(it) => it.to_bits() == 0,
        Value::F64(it) => it.to_bits() == 0,
        Value::String(it) => it.is_empty(),
        Value::Bytes(it) => it.is_empty(),
        Value::Message(_) | Value::List(_) | Value::Map(_) => false,
    }
}

/// The `value` of an `Any`, in order. `None`: this is none, or what is in it is not known.
fn contents(
    any: &DynamicMessage,
    field: &FieldDescriptor,
    keys: Keys,
    depth: usize,
) -> Option<Value> {
    if field.name() != "value" || depth == DEPTH_MAX {
        return None;
    }
    Some(Value::Bytes(in_order(&unpacked(any)?, keys, depth + 1).into()))
}

/// What is in an `Any`. `None`: this is none, or its type is not known, or not its type.
pub(crate) fn unpacked(any: &DynamicMessage) -> Option<DynamicMessage> {
    let of = any.descriptor();
    if of.full_name() != ANY {
        return None;
    }
    let (url, value) = (any.get_field_by_name("type_url")?, any.get_field_by_name("value")?);
    let (_, name) = url.as_str()?.rsplit_once('/')?;
    let inner = of.parent_pool().get_message_by_name(name)?;
    DynamicMessage::decode(inner, value.as_bytes()?.as_ref()).ok()
}

/// Where a value stands in a message.
struct Place {
    number: u32,
    kind: Kind,
    group: bool,
}

impl Place {
    /// The field with a value that holds messages. `None`: it is any other.
    fn encode(&self, value: &Value, keys: Keys, depth: usize) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        match (value, &self.kind) {
            (Value::Message(message), _) => self.put(message, keys, depth, &mut out),
            (Value::List(items), Kind::Message(_)) => {
                for item in items {
                    self.put(item.as_message()?, keys, depth, &mut out);
                }
            }
            (Value::Map(entries), Kind::Message(entry)) => {
                let mut sorted: Vec<_> = entries.iter().collect();
                sorted.sort_by(|(a, _), (b, _)| key_order(a).cmp(&key_order(b)));
                if keys == Keys::Falling {
                    sorted.reverse();
                }
                for (key, value) in sorted {
                    let mut made = DynamicMessage::new(entry.clone());
                    made.set_field(&entry.map_entry_key_field(), Value::from(key.clone()));
                    made.set_field(&entry.map_entry_value_field(), value.clone());
                    self.put(&made, keys, depth, &mut out);
                }
            }
            _ => return None,
        }
        Some(out)
    }

    fn put(&self, message: &DynamicMessage, keys: Keys, depth: usize, out: &mut Vec<u8>) {
        let inner = in_order(message, keys, depth + 1);
        if self.group {
            encode_key(self.number, WireType::StartGroup, out);
            out.put_slice(&inner);
            encode_key(self.number, WireType::EndGroup, out);
        } else {
            encode_key(self.number, WireType::LengthDelimited, out);
            encode_varint(inner.len() as u64, out);
            out.put_slice(&inner);
        }
    }
}

pub(crate) fn key_order(key: &MapKey) -> (i128, &str) {
    match key {
        MapKey::Bool(it) => (i128::from(*it), ""),
        MapKey::I32(it) => (i128::from(*it), ""),
        MapKey::I64(it) => (i128::from(*it), ""),
        MapKey::U32(it) => (i128::from(*it), ""),
        MapKey::U64(it) => (i128::from(*it), ""),
        MapKey::String(it) => (0, it),
    }
}
