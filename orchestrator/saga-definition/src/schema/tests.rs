//! Files that the reader takes are taken by the schema, and what is wrong with their structure is
//! refused by both.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use regex::Regex;
use serde_json::{Map, Value as Json, json};

use super::schema;
use crate::{
    compile,
    file::keys::{self, Kind, Shape},
    finding::Findings,
    yaml::{self, Node, NodeValue},
};

/// Rules about the structure of a file.
const STRUCTURE: [&str; 6] = ["call", "header", "name", "refusal-code", "shape", "unknown-key"];

/// Cases whose structure is wrong in ways that no schema says, or that would make it hard to read:
/// names that are the engine's to set, keys that exclude each other.
const BEYOND_A_SCHEMA: [&str; 1] = ["given-steps"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn yamls(folder: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(repository().join(folder)).unwrap().map(|it| it.unwrap().path());
    let is_definition = |it: &PathBuf| {
        let name = it.to_string_lossy();
        name.ends_with(".yaml") && !name.ends_with(".test.yaml")
    };
    let mut files: Vec<PathBuf> = files.filter(is_definition).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder}");
    files
}

/// A file as an editor sees it: numbers and truth values are what they are, or texts as in quotes.
fn seen(node: &Node, quoted: bool) -> Json {
    match &node.value {
        NodeValue::Null => Json::Null,
        NodeValue::Scalar(text) if quoted || !node.is_plain => json!(text),
        NodeValue::Scalar(text) => match serde_json::from_str(text.trim()) {
            Ok(number @ (Json::Number(_) | Json::Bool(_))) => number,
            _ => json!(text),
        },
        NodeValue::List(items) => items.iter().map(|it| seen(it, quoted)).collect(),
        NodeValue::Map(entries) => {
            let entries = entries.iter();
            Json::Object(entries.map(|(k, v)| (k.value.clone(), seen(v, quoted))).collect())
        }
    }
}

/// What is wrong with a value by a schema. A word that is not known here is a failure of the test.
fn wrong(value: &Json, by: &Json, root: &Json, at: &str) -> Vec<String> {
    let Json::Object(by) = by else { return Vec::new() };
    let mut found = Vec::new();
    for (word, said) in by {
        let holds = match word.as_str() {
            "$schema" | "title" | "$defs" | "description" => true,
            "$ref" => {
                let path = said.as_str().unwrap().trim_start_matches('#');
                found.extend(wrong(value, root.pointer(path).unwrap(), root, at));
                true
            }
            "type" => {
                let is = match value {
                    Json::Null => "null",
                    Json::Bool(_) => "boolean",
                    Json::Number(it) if it.is_f64() => "number",
                    Json::Number(_) => "integer",
                    Json::String(_) => "string",
                    Json::Array(_) => "array",
                    Json::Object(_) => "object",
                };
                let fits = |it: &Json| it == is || it == "number" && is == "integer";
                said.as_array().map_or_else(|| fits(said), |all| all.iter().any(fits))
            }
            "const" => value == said,
            "enum" => said.as_array().unwrap().contains(value),
            "pattern" => {
                let pattern = Regex::new(said.as_str().unwrap()).unwrap();
                value.as_str().is_none_or(|it| pattern.is_match(it))
            }
            "minLength" => value.as_str().is_none_or(|it| said.as_u64() <= Some(it.len() as u64)),
            "minimum" => value.as_f64().is_none_or(|it| said.as_f64().unwrap() <= it),
            "maximum" => value.as_f64().is_none_or(|it| it <= said.as_f64().unwrap()),
            "minItems" => value.as_array().is_none_or(|it| said.as_u64() <= Some(it.len() as u64)),
            "maxItems" => value.as_array().is_none_or(|it| Some(it.len() as u64) <= said.as_u64()),
            "maxProperties" => {
                value.as_object().is_none_or(|it| Some(it.len() as u64) <= said.as_u64())
            }
            "items" => {
                for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(wrong(item, said, root, &format!("{at}[{number}]")));
                }
                true
            }
            "required" => value.as_object().is_none_or(|it| {
                said.as_array().unwrap().iter().all(|key| it.contains_key(key.as_str().unwrap()))
            }),
            "propertyNames" => value.as_object().is_none_or(|it| {
                it.keys().all(|key| wrong(&json!(key), said, root, at).is_empty())
            }),
            "properties" | "additionalProperties" => {
                found.extend(wrong_fields(value, by, word, root, at));
                true
            }
            "anyOf" => {
                let ways = said.as_array().unwrap();
                ways.iter().any(|way| wrong(value, way, root, at).is_empty())
            }
            other => panic!("the schema says `{other}`, which is not judged here"),
        };
        if !holds {
            found.push(format!("{at}: {word} {said}"));
        }
    }
    found
}

fn wrong_fields(
    value: &Json,
    by: &Map<String, Json>,
    word: &str,
    root: &Json,
    at: &str,
) -> Vec<String> {
    let declared = by.get("properties").and_then(Json::as_object);
    let mut found = Vec::new();
    for (key, inner) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{key}");
        match (word, declared.and_then(|it| it.get(key))) {
            ("properties", Some(said)) => found.extend(wrong(inner, said, root, &at)),
            ("additionalProperties", None) if by[word] == false => found.push(at),
            ("additionalProperties", None) => found.extend(wrong(inner, &by[word], root, &at)),
            _ => {}
        }
    }
    found
}

/// What the schema says of a file, however its scalars are written.
fn said(node: &Node) -> Vec<String> {
    let schema = schema();
    let [typed, quoted] =
        [false, true].map(|quoted| wrong(&seen(node, quoted), &schema, &schema, "$"));
    assert_eq!(typed.is_empty(), quoted.is_empty(), "{typed:?}, {quoted:?}");
    typed
}

/// The rules of structure that a file breaks.
fn read(text: &str) -> BTreeSet<&'static str> {
    let mut findings = Findings::default();
    compile::draft(text, &mut findings);
    let report = findings.into_report("test.yaml", text);
    let rules = report.findings.iter().map(|it| it.rule);
    rules.filter(|it| STRUCTURE.contains(it)).collect()
}

#[test]
fn what_is_stored_and_what_is_shown_fits_the_schema() {
    let folders = ["deploy/definitions", "orchestrator/tests/definitions/stored/level-1"];
    let levels = (2..=crate::LANGUAGE_LEVEL)
        .map(|it| format!("orchestrator/tests/definitions/stored/level-{it}"));
    let mut fitted = 0;
    for folder in folders.into_iter().map(str::to_owned).chain(levels) {
        for file in yamls(&folder) {
            let text = fs::read_to_string(&file).unwrap();
            let node = yaml::parse(&text, &mut Findings::default()).unwrap();
            assert_eq!(said(&node), [] as [String; 0], "{}", file.display());
            fitted += 1;
        }
    }
    assert!(20 < fitted, "{fitted}");
}

#[test]
fn a_file_of_wrong_structure_is_refused_and_no_other() {
    let mut refused = BTreeSet::new();
    for file in yamls("orchestrator/tests/definitions/cases") {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).unwrap();
        let Some(node) = yaml::parse(&text, &mut Findings::default()) else { continue };
        let (by_schema, by_reader) = (said(&node), read(&text));
        if by_schema.is_empty() {
            let may = by_reader.is_empty() || BEYOND_A_SCHEMA.contains(&name.as_str());
            assert!(may, "{name}: the reader says {by_reader:?}");
        } else {
            assert!(!by_reader.is_empty(), "{name}: {by_schema:?}");
            refused.extend(by_reader);
        }
    }
    assert_eq!(refused, STRUCTURE.into_iter().collect());
}

/// A key that stands in the schema and is read by nobody would be taken for a default.
#[test]
fn every_key_of_the_schema_is_read() {
    let mut read_keys = 0;
    let places: [(&Shape, &str); 6] = [
        (&keys::DEFINITION, "KEY: [[x]]\n"),
        (&keys::STEP, "steps: [{ KEY: [[x]] }]\n"),
        (&keys::ACTION, "steps: [{ name: a, action: { KEY: [[x]] } }]\n"),
        (&keys::COMPENSATION, "steps: [{ name: a, compensation: { KEY: [[x]] } }]\n"),
        (&keys::WAIT, "steps: [{ name: a, wait: { SIGNAL KEY: [[x]] } }]\n"),
        (&keys::RETRY, "steps: [{ name: a, retry: { KEY: [[x]] } }]\n"),
    ];
    for (shape, place) in places {
        for key in shape.keys {
            // Its fields are those of a message, which the reader does not know.
            if matches!(key.of, Kind::Fields) {
                continue;
            }
            let signal = if key.name == "signal" { "" } else { "signal: s," };
            let text = place.replace("KEY", key.name).replace("SIGNAL", signal);
            let node = yaml::parse(&text, &mut Findings::default()).unwrap();
            assert!(!said(&node).is_empty(), "{text}");
            let mut findings = Findings::default();
            compile::draft(&text, &mut findings);
            let report = findings.into_report("test.yaml", &text);
            // A list is told of by what it is a list of.
            let name = key.name.trim_end_matches('s');
            let told = report.findings.iter().any(|it| it.message.contains(name));
            assert!(told, "{} of {} is not read: {}", key.name, shape.name, report.rendered);
            read_keys += 1;
        }
    }
    assert!(35 < read_keys, "{read_keys}");
}
