//! What is expected of a reply, compared with the reply.

use prost_reflect::{DynamicMessage, Value};

use super::{FieldError, MessageTemplate, Template, prefixed};
use crate::expression::Frame;

/// Characters of a value in a message at most: the field may be as long as the reply.
const VALUE_CHARS_MAX: usize = 100;

/// A field of a reply that is not what was expected.
#[derive(Debug)]
pub(crate) struct Difference {
    /// Path of the field.
    pub(crate) field: String,
    /// What was expected, cut.
    pub(crate) expected: String,
    /// What came, cut.
    pub(crate) got: String,
}

impl MessageTemplate {
    /// The first field of `reply` that is not what this template makes of the saga's data. A
    /// field that is not set is its default.
    pub(crate) fn difference(
        &self,
        reply: &DynamicMessage,
        frame: &Frame<'_>,
    ) -> Result<Option<Difference>, FieldError> {
        Ok(self.compared(&self.render(frame)?, reply))
    }

    fn compared(&self, expected: &DynamicMessage, got: &DynamicMessage) -> Option<Difference> {
        self.fields.iter().find_map(|(field, template)| {
            let (wanted, came) = (expected.get_field(field), got.get_field(field));
            if let (Template::Message(inner), Value::Message(wanted), Value::Message(came)) =
                (template, &*wanted, &*came)
            {
                let found = inner.compared(wanted, came)?;
                return Some(Difference { field: prefixed(field.name(), &found.field), ..found });
            }
            (wanted != came).then(|| Difference {
                field: field.name().to_owned(),
                expected: shown(&wanted),
                got: shown(&came),
            })
        })
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
