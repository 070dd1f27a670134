//! Retry policies as they stand in the file.

use saga_core::{Jitter, RetryPolicy};

use super::{fields::Fields, keys};
use crate::{finding::Findings, yaml::Spanned};

/// The shortest pause between two attempts that a definition may ask for, in milliseconds.
const DELAY_MS_MIN: u64 = 10;

/// The policy under `key`. What it does not say is as in `default`.
pub(super) fn read_retry(
    fields: &Fields<'_>,
    key: &'static str,
    default: RetryPolicy,
    findings: &mut Findings,
) -> Option<Spanned<RetryPolicy>> {
    let node = fields.optional(key)?;
    let span = fields.key_span(key);
    let fields = Fields::of(node, key, &keys::RETRY, findings)?;
    let mut policy = default;
    if let Some(first) = fields.optional_duration("first", findings) {
        policy.delay_first_ms = first.value;
    }
    if let Some(max) = fields.optional_duration("max", findings) {
        policy.delay_max_ms = max.value;
    }
    if let Some(factor) = fields.optional_text("factor", findings) {
        match permille(&factor.value) {
            Some(permille) => policy.factor_permille = permille,
            None => {
                let message = format!("factor `{}` is not a number from 1 to 100", factor.value);
                findings.error("shape", factor.span, message, "write `factor: 2`");
            }
        }
    }
    if let Some(jitter) = fields.optional_text("jitter", findings) {
        match jitter.value.as_str() {
            "full" => policy.jitter = Jitter::Full,
            "none" => policy.jitter = Jitter::None,
            other => {
                let message = format!("jitter is `{other}`");
                findings.error("shape", jitter.span, message, "write full or none");
            }
        }
    }
    if let Some(attempts) = fields.optional_text("attempts", findings) {
        match attempts.value.parse::<u32>() {
            Ok(count) if (1..=1000).contains(&count) => policy.attempts_max = count,
            _ => {
                let message = format!("attempts `{}` is not from 1 to 1000", attempts.value);
                findings.error("shape", attempts.span, message, "write `attempts: 8`");
            }
        }
    }
    // What fails at once would fail as often as the log can be written.
    if policy.delay_first_ms.min(policy.delay_max_ms) < DELAY_MS_MIN {
        let message = format!("a pause below {DELAY_MS_MIN}ms");
        let remedy = format!("write {DELAY_MS_MIN}ms or more in `first` and `max`");
        findings.error("pause-too-short", span, message, remedy);
    }
    // `max` below `first` would silently win over it.
    if policy.delay_max_ms < policy.delay_first_ms {
        let remedy = "make `max` at least as long as `first`";
        findings.error("shape", span, "the longest pause is shorter than the first", remedy);
    }
    Some(Spanned { value: policy, span })
}

/// A factor such as `1.5`, in thousandths.
fn permille(text: &str) -> Option<u32> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    if part.is_empty() || 3 < part.len() || !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = format!("{part:0<3}").parse::<u32>().ok()?;
    let permille = whole.parse::<u32>().ok()?.checked_mul(1000)?.checked_add(part)?;
    (1000..=100_000).contains(&permille).then_some(permille)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_exact_thousandths() {
        let read = ["2", "1.5", "1.005", "0.5", "1.0001", "x", "101"].map(permille);
        assert_eq!(read, [Some(2000), Some(1500), Some(1005), None, None, None, None]);
    }
}
