//! Reasons of refusals as they stand in the file.

use super::{fields::Fields, step::read_names};
use crate::finding::Findings;

/// The reasons of refusals that say that the effect is undone already.
pub(super) fn read_reasons(fields: &Fields<'_>, findings: &mut Findings) -> Vec<String> {
    let Some(node) = fields.optional("already_undone") else { return Vec::new() };
    if fields.optional("expect").is_some() {
        let message = "a refusal has no reply that could echo what `expect` says";
        let remedy = "take `expect` or `already_undone` out";
        findings.error("shape", fields.key_span("already_undone"), message, remedy);
    }
    let reasons = read_names(node, "already_undone", findings).into_iter();
    let is_reason = |it: &str| {
        let ok = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        it.starts_with(|c: char| c.is_ascii_uppercase()) && it.len() < 64 && it.chars().all(ok)
    };
    let mut read = Vec::new();
    for reason in reasons {
        if is_reason(&reason.value) {
            read.push(reason.value);
        } else {
            let message = format!("`{}` is not a reason code", reason.value);
            let remedy = "write the reason of the ErrorInfo, as in CHARGE_ALREADY_REFUNDED";
            findings.error("shape", reason.span, message, remedy);
        }
    }
    read
}
