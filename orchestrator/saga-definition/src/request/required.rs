//! Fields that a message must have: `required` of proto2, and of editions.

use prost_reflect::{Cardinality, MessageDescriptor};

use super::{MessageTemplate, Template};
use crate::finding::{Findings, Span};

impl MessageTemplate {
    /// Reports required fields that nothing is given for: whoever reads such a message refuses
    /// its bytes. `span` is the call.
    pub(crate) fn check_required(&self, span: Span, findings: &mut Findings) {
        if self.whole.is_some() {
            return;
        }
        let given = |number: u32| self.fields.iter().any(|(field, _)| field.number() == number);
        for field in self.message.fields() {
            if field.cardinality() == Cardinality::Required && !given(field.number()) {
                let message = format!("{} requires `{}`", self.message.full_name(), field.name());
                let remedy = format!("give it: `{}: ...`", field.name());
                findings.error("required-field", span, message, remedy);
            }
        }
        self.fields.iter().for_each(|(_, template)| template.check_required(span, findings));
    }
}

impl Template {
    fn check_required(&self, span: Span, findings: &mut Findings) {
        match self {
            Self::Expression(_) => {}
            Self::Message(it) => it.check_required(span, findings),
            Self::List(items) => items.iter().for_each(|it| it.check_required(span, findings)),
            Self::Map(entries) => {
                entries.iter().for_each(|(_, it)| it.check_required(span, findings));
            }
        }
    }
}

/// The first required field that is not among these names.
pub(crate) fn missing<'n>(
    of: &MessageDescriptor,
    given: impl Fn(&str) -> bool + 'n,
) -> Option<String> {
    let lacks = |name: &str| !given(name);
    let mut required = of.fields().filter(|it| it.cardinality() == Cardinality::Required);
    required.find(|it| lacks(it.name())).map(|it| it.name().to_owned())
}
