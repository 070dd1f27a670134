//! What a message is made of, a line each.

use prost_reflect::MapKey;

use super::{MessageTemplate, Template};
use crate::expression::written;

impl MessageTemplate {
    /// Each field by its path, and the expression that it is given.
    pub(crate) fn told(&self, path: &str, steps: &[String], told: &mut Vec<(String, String)>) {
        if let Some(whole) = &self.whole {
            told.push((path.to_owned(), written(&whole.root, steps, None)));
        }
        for (field, template) in &self.fields {
            template.told(&format!("{path}.{}", field.name()), steps, told);
        }
    }
}

impl Template {
    fn told(&self, path: &str, steps: &[String], told: &mut Vec<(String, String)>) {
        match self {
            Self::Expression(it) => {
                told.push((path.to_owned(), written(&it.root, steps, None)));
            }
            Self::Message(it) if it.whole.is_none() && it.fields.is_empty() => {
                told.push((path.to_owned(), "{}".to_owned()));
            }
            Self::Message(it) => it.told(path, steps, told),
            Self::List(items) => {
                for (index, it) in items.iter().enumerate() {
                    it.told(&format!("{path}[{index}]"), steps, told);
                }
            }
            Self::Map(entries) => {
                for (key, it) in entries {
                    it.told(&format!("{path}[{}]", key_text(key)), steps, told);
                }
            }
        }
    }
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(it) => it.to_string(),
        MapKey::I32(it) => it.to_string(),
        MapKey::I64(it) => it.to_string(),
        MapKey::U32(it) => it.to_string(),
        MapKey::U64(it) => it.to_string(),
        MapKey::String(it) => format!("{it:?}"),
    }
}
