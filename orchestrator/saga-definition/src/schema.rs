//! The JSON Schema of the language (draft 2020-12), for editors. Made of the keys that the reader
//! reads by.
//!
//! It says what a file looks like. What it means, types and references, the check alone knows.
//! Every scalar may also stand in quotes, as the reader takes it.

use serde_json::{Map, Value as Json, json};

use crate::file::keys::{self, Key, Kind, Shape};

/// The schema of a definition.
#[must_use]
pub fn schema() -> Json {
    let mut shapes = Map::new();
    let mut schema = mapping(&keys::DEFINITION, &mut shapes);
    shapes.insert("expression".to_owned(), expression());
    shapes.insert("fields".to_owned(), fields());
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Saga definition of Amends",
        "$defs": shapes,
    });
    if let (Json::Object(schema), Json::Object(head)) = (&mut schema, head) {
        schema.extend(head);
    }
    schema
}

fn mapping(shape: &Shape, shapes: &mut Map<String, Json>) -> Json {
    let mut properties = Map::new();
    for Key { name, of, meaning, .. } in shape.keys {
        let mut property = kind(*of, shapes);
        if let Json::Object(property) = &mut property {
            property.insert("description".to_owned(), json!(meaning));
        }
        properties.insert((*name).to_owned(), property);
    }
    let required: Vec<&str> =
        shape.keys.iter().filter(|it| it.is_required).map(|it| it.name).collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn kind(of: Kind, shapes: &mut Map<String, Json>) -> Json {
    match of {
        Kind::Word(word) => json!({ "const": word }),
        Kind::Words(words) => json!({ "enum": words }),
        Kind::Text => json!({ "type": "string", "minLength": 1 }),
        Kind::Form(form) => json!({ "type": "string", "pattern": form }),
        Kind::Whole(min, max) => json!({ "anyOf": [
            { "type": "integer", "minimum": min, "maximum": max },
            { "type": "string", "pattern": "^[1-9][0-9]*$" },
        ] }),
        Kind::Factor => json!({ "anyOf": [
            { "type": "number", "minimum": 1, "maximum": 100 },
            { "type": "string", "pattern": "^[1-9][0-9]*([.][0-9]{1,3})?$" },
        ] }),
        Kind::Flag => json!({ "enum": [true, false, "true", "false"] }),
        Kind::Duration => json!({ "type": "string", "pattern": "^0*[1-9][0-9]*(ms|s|m|h|d)$" }),
        Kind::Expression => json!({ "$ref": "#/$defs/expression" }),
        Kind::Expressions { names, count_max } => json!({
            "type": "object",
            "propertyNames": { "pattern": names },
            "additionalProperties": { "$ref": "#/$defs/expression" },
            "maxProperties": count_max,
        }),
        Kind::Forms(form) => json!({
            "type": "array",
            "items": { "type": "string", "pattern": form },
        }),
        Kind::Codes => json!({
            "type": "array",
            "items": { "enum": keys::codes().collect::<Vec<_>>() },
        }),
        Kind::Fields => json!({ "$ref": "#/$defs/fields" }),
        Kind::Mapping(shape) => reference(shape, shapes),
        Kind::NoneOr(shape) => json!({ "anyOf": [{ "const": "none" }, reference(shape, shapes)] }),
        Kind::List { of, count_max } => json!({
            "type": "array",
            "items": reference(of, shapes),
            "minItems": 1,
            "maxItems": count_max,
        }),
    }
}

fn reference(shape: &Shape, shapes: &mut Map<String, Json>) -> Json {
    if !shapes.contains_key(shape.name) {
        let made = mapping(shape, shapes);
        shapes.insert(shape.name.to_owned(), made);
    }
    json!({ "$ref": format!("#/$defs/{}", shape.name) })
}

/// What YAML takes for a number or a truth value is an expression too.
fn expression() -> Json {
    json!({ "type": ["string", "number", "boolean"] })
}

/// Fields of a message: an expression, or mappings and lists of such.
fn fields() -> Json {
    json!({ "anyOf": [
        { "$ref": "#/$defs/expression" },
        { "type": "array", "items": { "$ref": "#/$defs/fields" } },
        { "type": "object", "additionalProperties": { "$ref": "#/$defs/fields" } },
    ] })
}

#[cfg(test)]
mod tests;
