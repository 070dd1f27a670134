//! Waits for a signal as they stand in the file.

use saga_core::{OnTimeout, Timer};

use super::{fields::Fields, keys};
use crate::{
    file::is_name,
    finding::{Findings, Span},
    yaml::{Node, Spanned},
};

/// The reason code of a signal that says no, where the definition gives none.
const REFUSED: &str = "SIGNAL_REFUSED";

/// `wait`.
#[derive(Debug)]
pub(crate) struct WaitFile {
    /// Where `wait` says its first word.
    pub(crate) span: Span,
    /// Name of the signal.
    pub(crate) signal: Spanned<String>,
    /// Full name of the signal's type. `None`: missing.
    pub(crate) of: Option<Spanned<String>>,
    /// Whether the signal says yes. `None`: every signal does.
    pub(crate) accept: Option<Spanned<String>>,
    /// The reason code of one that says no.
    pub(crate) refused: String,
    pub(crate) timer: Option<Spanned<Timer>>,
}

/// Reads `wait`. Returns `None` where it is not usable.
pub(super) fn read_wait(node: &Node, findings: &mut Findings) -> Option<WaitFile> {
    let fields = Fields::of(node, "a wait", &keys::WAIT, findings)?;
    let signal = fields.text("signal", findings);
    if let Some(signal) = &signal
        && !is_name(&signal.value, "-_")
    {
        let remedy = "begin with a small letter; go on with small letters, digits, `-` and `_`; \
                      64 at most";
        let message = format!("`{}` is not the name of a signal", signal.value);
        findings.error("name", signal.span, message, remedy);
    }
    let accept = fields.optional_text("accept", findings);
    let refused = fields.optional_text("refused", findings);
    if let Some(refused) = &refused {
        if accept.is_none() {
            let remedy = "add `accept: signal.<field>`, or take `refused` out";
            findings.error("shape", refused.span, "every signal is accepted here", remedy);
        }
        if !is_reason(&refused.value) {
            let message = format!("`{}` is not a reason code", refused.value);
            let remedy = "write it as OUT_OF_STOCK: capitals, digits and `_`; 64 at most";
            findings.error("name", refused.span, message, remedy);
        }
    }
    let (span, timer) = (fields.first_span(), read_timer(&fields, findings));
    Some(WaitFile {
        span,
        signal: signal?,
        of: fields.optional_text("type", findings),
        accept,
        refused: refused.map_or_else(|| REFUSED.to_owned(), |it| it.value),
        timer,
    })
}

fn read_timer(fields: &Fields<'_>, findings: &mut Findings) -> Option<Spanned<Timer>> {
    let timeout = fields.optional_duration("timeout", findings);
    let on_timeout = fields.optional_text("on_timeout", findings);
    if let (None, Some(then)) = (fields.optional("timeout"), &on_timeout) {
        let remedy = "add `timeout: 7d`, or take `on_timeout` out";
        findings.error("shape", then.span, "there is no timeout", remedy);
    }
    let then = match on_timeout.as_ref().map(|it| it.value.as_str()) {
        None | Some("refuse") => OnTimeout::Refuse,
        Some("accept") => OnTimeout::Accept,
        Some(other) => {
            let span = fields.key_span("on_timeout");
            let message = format!("on_timeout is `{other}`");
            findings.error("shape", span, message, "write refuse or accept");
            OnTimeout::Refuse
        }
    };
    let Spanned { value: after_ms, span } = timeout?;
    Some(Spanned { value: Timer { after_ms, then }, span })
}

/// Whether `text` is a reason code such as `OUT_OF_STOCK`.
fn is_reason(text: &str) -> bool {
    let tail_ok = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.chars().all(tail_ok)
}
