//! JSON as it was written: numbers as text, and keys as often as they came.

use std::{fmt, iter};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A JSON value as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Json<'t> {
    Null,
    Bool(bool),
    /// A number, digit by digit.
    Number(&'t str),
    Text(String),
    List(Vec<Json<'t>>),
    Object(Vec<(String, Json<'t>)>),
}

/// Reads one JSON value. Nested 128 deep at most.
pub(super) fn parse(text: &str) -> Result<Json<'_>, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let mut numbers = numbers(text);
    let json = Reader(&mut numbers).deserialize(&mut reader)?;
    reader.end()?;
    Ok(json)
}

/// The numbers of a JSON text, in its order: what begins like one outside of a string.
fn numbers(text: &str) -> impl Iterator<Item = &str> {
    let bytes = text.as_bytes();
    let mut at = 0;
    iter::from_fn(move || {
        while let Some(byte) = bytes.get(at) {
            let from = at;
            match byte {
                b'"' => {
                    at += 1;
                    while let Some(byte) = bytes.get(at) {
                        at += if *byte == b'\\' { 2 } else { 1 };
                        if *byte == b'"' {
                            break;
                        }
                    }
                }
                b'-' | b'0'..=b'9' => {
                    let is_part =
                        |it: &u8| matches!(it, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                    while bytes.get(at).is_some_and(is_part) {
                        at += 1;
                    }
                    return text.get(from..at);
                }
                _ => at += 1,
            }
        }
        None
    })
}

/// Reads a value whose numbers are the next of these: the parser gives them in the order of
/// the text, and rounds them.
struct Reader<'n, N>(&'n mut N);

impl<'t, N: Iterator<Item = &'t str>> Reader<'_, N> {
    fn number<E: Error>(self) -> Result<Json<'t>, E> {
        self.0.next().map(Json::Number).ok_or_else(|| E::custom("a number is expected"))
    }
}

impl<'de, 't, N: Iterator<Item = &'t str>> DeserializeSeed<'de> for Reader<'_, N> {
    type Value = Json<'t>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'t>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, 't, N: Iterator<Item = &'t str>> Visitor<'de> for Reader<'_, N> {
    type Value = Json<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Json<'t>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, it: bool) -> Result<Json<'t>, E> {
        Ok(Json::Bool(it))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Json<'t>, E> {
        self.number()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Json<'t>, E> {
        self.number()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Json<'t>, E> {
        self.number()
    }

    fn visit_str<E: Error>(self, it: &str) -> Result<Json<'t>, E> {
        Ok(Json::Text(it.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'t>, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element_seed(Reader(&mut *self.0))? {
            all.push(item);
        }
        Ok(Json::List(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json<'t>, A::Error> {
        let mut all = Vec::new();
        while let Some(key) = entries.next_key::<String>()? {
            all.push((key, entries.next_value_seed(Reader(&mut *self.0))?));
        }
        Ok(Json::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_as_they_are_written_and_keys_as_often_as_they_come() {
        let text = r#" {"a-1\\": [1, -2.50e+3, "3\"4"], "b": 9007199254740993.0, "b": {"-5": 0}} "#;
        let Json::Object(entries) = parse(text).unwrap() else { panic!("no object") };
        let list = vec![Json::Number("1"), Json::Number("-2.50e+3"), Json::Text("3\"4".to_owned())];
        assert_eq!(entries[0], ("a-1\\".to_owned(), Json::List(list)));
        assert_eq!(entries[1], ("b".to_owned(), Json::Number("9007199254740993.0")));
        let inner = Json::Object(vec![("-5".to_owned(), Json::Number("0"))]);
        assert_eq!(entries[2], ("b".to_owned(), inner));
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in ["", "{", "{} {}", "1 2", "[1,]", "01", "\"\\ud800\"", "1e999"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
