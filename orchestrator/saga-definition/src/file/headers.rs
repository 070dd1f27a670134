//! Metadata of a call as it stands in the file.

use super::fields::{Fields, map, scalar};
use crate::{finding::Findings, yaml::Spanned};

/// Headers of one call at most.
pub(super) const HEADERS_MAX: usize = 8;

/// Beginnings of names that are not a definition's to set.
const RESERVED: [&str; 16] = [
    "saga-",
    "grpc-",
    "authorization",
    "proxy-",
    "cookie",
    "te",
    "host",
    "content-",
    "connection",
    "transfer-encoding",
    "upgrade",
    "keep-alive",
    "traceparent",
    "tracestate",
    "user-agent",
    "x-forwarded-",
];

/// Metadata that a definition may set: what a participant calls by a name of its own. Who calls,
/// and for which saga, is for the engine to say.
pub(super) fn read_headers(
    fields: &Fields<'_>,
    findings: &mut Findings,
) -> Vec<(Spanned<String>, Spanned<String>)> {
    let Some(node) = fields.optional("headers") else { return Vec::new() };
    let entries = map(node, "headers", findings).unwrap_or(&[]);
    if HEADERS_MAX < entries.len() {
        let message = format!("{} headers; at most {HEADERS_MAX} are allowed", entries.len());
        findings.error("shape", node.span, message, "keep those that the participant reads");
    }
    let mut headers: Vec<(Spanned<String>, Spanned<String>)> = Vec::new();
    for (key, value) in entries {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
        let name = key.value.as_str();
        let remedy = if !name.chars().all(plain) || name.is_empty() || 64 < name.len() {
            "small letters, digits, `-`, `_` and `.`; 64 at most"
        } else if name.ends_with("-bin") {
            "headers are texts here; give bytes in the request"
        } else if RESERVED.iter().any(|it| name.starts_with(it)) {
            "the engine and the transport set this one; who calls is said in the configuration"
        } else {
            if let Some(text) = scalar(value, name, findings) {
                headers.push((key.clone(), text));
            }
            continue;
        };
        findings.error("header", key.span, format!("`{name}` is no header of a call"), remedy);
    }
    headers
}
