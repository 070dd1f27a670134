//! Canonical forms: of a definition, for its hash, and of a message, so that equal
//! messages are equal bytes.

use prost::{
    Message,
    bytes::{BufMut, BytesMut},
    encoding::{WireType, encode_key, encode_varint},
};
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value,
};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::definition::yaml::{Node, NodeValue};

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

/// The bytes of a message: fields by number, map entries by key. Messages that are equal
/// have equal bytes, which the encoding of a hash map has not.
pub(crate) fn encode(message: &DynamicMessage) -> bytes::Bytes {
    if !has_maps(&message.descriptor()) {
        return message.encode_to_vec().into();
    }
    let mut out = BytesMut::new();
    encode_message(message, Keys::Rising, &mut out);
    out.freeze()
}

/// The bytes of the same message with the entries of its maps in another order. `None`: it
/// has no map of two or more entries, so there is no other order.
pub(crate) fn reordered(of: &MessageDescriptor, bytes: &[u8]) -> Option<bytes::Bytes> {
    let message = DynamicMessage::decode(of.clone(), bytes).ok()?;
    let mut out = BytesMut::new();
    encode_message(&message, Keys::Falling, &mut out);
    (out != encode(&message)).then(|| out.freeze())
}

/// In which order the entries of a map are written.
#[derive(Clone, Copy)]
enum Keys {
    Rising,
    Falling,
}

/// Whether a message of this type can carry a map, however deep.
pub(crate) fn has_maps(message: &MessageDescriptor) -> bool {
    has_map(message, &mut Vec::new())
}

fn has_map(message: &MessageDescriptor, seen: &mut Vec<String>) -> bool {
    if seen.iter().any(|it| it == message.full_name()) {
        return false;
    }
    seen.push(message.full_name().to_owned());
    message.fields().any(|field| {
        let inner = field.kind();
        field.is_map() || inner.as_message().is_some_and(|inner| has_map(inner, seen))
    })
}

fn encode_message(message: &DynamicMessage, keys: Keys, out: &mut BytesMut) {
    let mut fields: Vec<_> = message.fields().collect();
    fields.sort_by_key(|(field, _)| field.number());
    for (field, value) in fields {
        match value {
            Value::Map(entries) => encode_map(&field, entries, keys, out),
            Value::List(items) if matches!(field.kind(), Kind::Message(_)) => {
                for item in items {
                    encode_nested(&field, item, keys, out);
                }
            }
            Value::Message(_) => encode_nested(&field, value, keys, out),
            _ => out.put_slice(&alone(&message.descriptor(), &field, value.clone())),
        }
    }
}

/// One field by itself.
fn alone(of: &MessageDescriptor, field: &FieldDescriptor, value: Value) -> Vec<u8> {
    let mut single = DynamicMessage::new(of.clone());
    single.set_field(field, value);
    single.encode_to_vec()
}

fn encode_nested(field: &FieldDescriptor, value: &Value, keys: Keys, out: &mut BytesMut) {
    let Value::Message(message) = value else { return };
    let mut inner = BytesMut::new();
    encode_message(message, keys, &mut inner);
    encode_key(field.number(), WireType::LengthDelimited, out);
    encode_varint(inner.len() as u64, out);
    out.put_slice(&inner);
}

fn encode_map(
    field: &FieldDescriptor,
    entries: &std::collections::HashMap<MapKey, Value>,
    keys: Keys,
    out: &mut BytesMut,
) {
    let Kind::Message(entry) = field.kind() else { return };
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort_by(|(a, _), (b, _)| key_order(a).cmp(&key_order(b)));
    if matches!(keys, Keys::Falling) {
        sorted.reverse();
    }
    for (key, value) in sorted {
        let mut made = DynamicMessage::new(entry.clone());
        made.set_field(&entry.map_entry_key_field(), Value::from(key.clone()));
        made.set_field(&entry.map_entry_value_field(), value.clone());
        encode_nested(field, &Value::Message(made), keys, out);
    }
}

fn key_order(key: &MapKey) -> (i128, &str) {
    match key {
        MapKey::Bool(it) => (i128::from(*it), ""),
        MapKey::I32(it) => (i128::from(*it), ""),
        MapKey::I64(it) => (i128::from(*it), ""),
        MapKey::U32(it) => (i128::from(*it), ""),
        MapKey::U64(it) => (i128::from(*it), ""),
        MapKey::String(it) => (0, it),
    }
}
