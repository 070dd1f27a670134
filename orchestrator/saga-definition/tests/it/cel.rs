//! Expressions are those of CEL: the published conformance vectors, where they are at hand, and
//! vectors of our own for the same kinds.
//!
//! A vector is a line of JSON: `id`, `expr`, and `value` or `error`. What the check refuses is
//! not supported; what it takes has exactly the value that CEL gives it.

use std::{collections::BTreeMap, path::Path};

use prost_reflect::{MapKey, Value};
use saga_definition::{ConstantError, constant};
use serde_json::Value as Json;

/// Our own, which the project keeps.
const OWN: &str = include_str!("vectors.jsonl");

/// Vectors of the published set that lost a backslash on their way.
const DAMAGED: [&str; 2] = [
    "parse/bytes_literals/triple_single_quoted_unescaped_punctuation",
    "parse/bytes_literals/triple_double_quoted_unescaped_punctuation",
];

/// Vectors of the published set that the check takes, at least: fewer, and something was lost.
const TAKEN_MIN: usize = 878;

struct Vector {
    id: String,
    expr: String,
    wanted: Option<Json>,
}

fn vectors(text: &str) -> Vec<Vector> {
    let read = |line: &str| {
        let json: Json = serde_json::from_str(line).unwrap();
        let given = |key: &str| {
            json.get(key).is_some_and(|it| it.as_object().is_none_or(|it| !it.is_empty()))
        };
        // What is bound or named by its container would have to be declared.
        let alone = !given("bindings") && json["container"].as_str().is_none_or(str::is_empty);
        alone.then(|| Vector {
            id: json["id"].as_str().unwrap().to_owned(),
            expr: json["expr"].as_str().unwrap().to_owned(),
            wanted: json.get("value").cloned(),
        })
    };
    text.lines().filter(|it| !it.trim().is_empty()).filter_map(read).collect()
}

/// `None`: the check does not take it. Else what is wrong.
fn judged(vector: &Vector) -> Option<Result<(), String>> {
    let got = match constant(&vector.expr) {
        // What has no value may as well be refused.
        Err(ConstantError::Refused(_)) if vector.wanted.is_some() => return None,
        Err(ConstantError::Refused(_)) => None,
        Err(ConstantError::NoValue(_)) => None,
        Ok(value) => Some(value),
    };
    let same = match (&got, &vector.wanted) {
        (Some(got), Some(wanted)) => is(got, wanted),
        (None, None) => true,
        _ => false,
    };
    let wanted = vector.wanted.as_ref().map_or("an error".to_owned(), Json::to_string);
    let told = || format!("{}: {} is {got:?}, and {wanted} in CEL", vector.id, vector.expr);
    Some(if same { Ok(()) } else { Err(told()) })
}

fn is(got: &Value, wanted: &Json) -> bool {
    let (kind, wanted) = wanted.as_object().unwrap().iter().next().unwrap();
    let text = || wanted.as_str().unwrap();
    match (kind.as_str(), got) {
        ("bool", Value::Bool(it)) => Some(*it) == wanted.as_bool(),
        ("int", Value::I64(it)) => it.to_string() == text(),
        ("uint", Value::U64(it)) => it.to_string() == text(),
        ("double", Value::F64(it)) => {
            let wanted: f64 = text().parse().unwrap();
            it.to_bits() == wanted.to_bits() || it.is_nan() && wanted.is_nan() || *it == wanted
        }
        ("string", Value::String(it)) => it == text(),
        ("bytes", Value::Bytes(it)) => {
            it.iter().map(|it| format!("{it:02x}")).collect::<String>() == text()
        }
        ("list", Value::List(items)) => {
            let wanted = wanted.as_array().unwrap();
            items.len() == wanted.len() && items.iter().zip(wanted).all(|(a, b)| is(a, b))
        }
        ("map", Value::Map(entries)) => {
            let wanted = wanted.as_array().unwrap();
            entries.len() == wanted.len()
                && wanted.iter().all(|pair| {
                    let found = entries.iter().find(|(key, _)| is(&of_key(key), &pair[0]));
                    found.is_some_and(|(_, value)| is(value, &pair[1]))
                })
        }
        ("object", Value::Message(it)) => {
            use prost::Message as _;
            let bytes: String = it.encode_to_vec().iter().map(|it| format!("{it:02x}")).collect();
            Some(bytes.as_str()) == wanted["bytes"].as_str()
        }
        _ => false,
    }
}

fn of_key(key: &MapKey) -> Value {
    Value::from(key.clone())
}

#[test]
fn our_own_vectors_have_the_values_of_cel() {
    let all = vectors(OWN);
    assert!(60 < all.len(), "{} vectors", all.len());
    let judged: Vec<(&str, Option<Result<(), String>>)> =
        all.iter().map(|it| (it.id.as_str(), judged(it))).collect();
    let refused: Vec<&str> = judged.iter().filter(|it| it.1.is_none()).map(|it| it.0).collect();
    assert!(refused.is_empty(), "refused: {refused:?}");
    let wrong: Vec<String> = judged.into_iter().filter_map(|it| it.1?.err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_published_vectors_that_the_check_takes_have_the_values_of_cel() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/cel");
    // The set is the specification's, and not copied: it is there in CI.
    let Ok(text) = std::fs::read_to_string(folder.join("vectors.jsonl")) else { return };
    let all = vectors(&text);
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for vector in all.iter().filter(|it| !DAMAGED.contains(&it.id.as_str())) {
        if let Some(judged) = judged(vector) {
            let file = vector.id.split('/').next().unwrap().to_owned();
            *taken.entry(file).or_default() += 1;
            wrong.extend(judged.err());
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    let sum: usize = taken.values().sum();
    assert!(TAKEN_MIN <= sum, "{sum} of {}: {taken:?}", all.len());
}
