//! What a check found, for programs and for people.

use std::{fmt, sync::Arc};

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceSpan,
};

/// Findings that are kept at most; the others are only counted. Errors stand before warnings.
pub const FINDINGS_MAX: usize = 50;

/// Characters of one quotation from the file, and of one text, at most.
const QUOTED_CHARS_MAX: usize = 100;
const TEXT_CHARS_MAX: usize = 1_000;

/// Bytes of a line that is drawn. A mapping in one line may be all of the file.
const LINE_BYTES_MAX: usize = 500;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The definition works; it may not do what was meant.
    Warning,
    /// The definition is refused.
    Error,
}

/// One finding of the check of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule, as in `compensation-missing`.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Line in the file, from 1; 0 where it is about the whole.
    pub line: u32,
    /// Column in the line, from 1, in characters; 0 where it is about the whole.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    /// Where, in bytes of the file: for the snippet.
    pub(crate) span: Span,
}

/// A part of the file, in bytes, and where it begins for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    /// First byte.
    pub(crate) offset: usize,
    /// Bytes.
    pub(crate) len: usize,
    /// Line, from 1.
    pub(crate) line: u32,
    /// Column, from 1, in characters.
    pub(crate) column: u32,
}

/// A refused definition: every finding, and the same as text.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("definition refused: {} error(s)", self.errors())]
pub struct Report {
    /// Errors and warnings, in the order of the file.
    pub findings: Vec<Finding>,
    /// How many more there are.
    pub more: usize,
    /// The findings with the lines they are about, without colours.
    pub rendered: String,
}

impl Report {
    fn errors(&self) -> usize {
        self.findings.iter().filter(|it| it.severity == Severity::Error).count()
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rendered)
    }
}

/// Collects findings. All checks run before the definition is refused, whatever was found: a
/// file full of mistakes takes as long as one without, because what is too much is only counted.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    kept: Vec<Finding>,
    more: usize,
}

impl Findings {
    /// Adds an error.
    pub(crate) fn error(
        &mut self,
        rule: &'static str,
        span: Span,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(rule, Severity::Error, span, message.into(), remedy.into());
    }

    /// Adds a warning.
    pub(crate) fn warning(
        &mut self,
        rule: &'static str,
        span: Span,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(rule, Severity::Warning, span, message.into(), remedy.into());
    }

    fn add(
        &mut self,
        rule: &'static str,
        severity: Severity,
        span: Span,
        message: String,
        remedy: String,
    ) {
        let Span { line, column, .. } = span;
        let (message, remedy) = (shortened(&message), shortened(&remedy));
        let finding = Finding { rule, severity, line, column, message, remedy, span };
        if self.kept.contains(&finding) {
            return;
        }
        if self.kept.len() < FINDINGS_MAX {
            return self.kept.push(finding);
        }
        self.more += 1;
        // What refuses the definition is never behind what only warns.
        let warning = self.kept.iter_mut().rfind(|it| it.severity == Severity::Warning);
        if let (Severity::Error, Some(warning)) = (severity, warning) {
            *warning = finding;
        }
    }

    /// Whether the definition is refused.
    pub(crate) fn has_errors(&self) -> bool {
        self.kept.iter().any(|it| it.severity == Severity::Error)
    }

    /// The findings in the order of the file, as a report about it.
    pub(crate) fn into_report(mut self, file_name: &str, yaml: &str) -> Report {
        self.kept.sort_by_key(|it| (it.span.offset, it.rule));
        let mut rendered = render(&self.kept, file_name, yaml);
        if 0 < self.more {
            rendered.push_str(&format!("and {} more\n", self.more));
        }
        Report { findings: self.kept, more: self.more, rendered }
    }
}

/// A text in which each quotation, which stands between backticks, is cut to what people read.
fn shortened(text: &str) -> String {
    if text.len() <= QUOTED_CHARS_MAX {
        return text.to_owned();
    }
    // What is between the first backtick and the second, the third and the fourth, ...
    let parts = text.split('`').enumerate().map(|(at, part)| {
        let chars_max = if at % 2 == 1 { QUOTED_CHARS_MAX } else { TEXT_CHARS_MAX };
        clipped(part, chars_max)
    });
    clipped(&parts.collect::<Vec<_>>().join("`"), TEXT_CHARS_MAX)
}

/// The beginning of a text, with a mark where something is missing.
#[must_use]
pub fn clipped(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Findings for people: rule, message, the line, the remedy.
fn render(findings: &[Finding], file_name: &str, yaml: &str) -> String {
    let source = Arc::new(NamedSource::new(file_name, yaml.to_owned()));
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_links(false)
        .with_width(100);
    let mut text = String::new();
    for finding in findings {
        let Span { offset, .. } = finding.span;
        let end = yaml[offset..].find('\n').map_or(yaml.len(), |it| offset + it);
        let begin = yaml[..offset].rfind('\n').map_or(0, |it| it + 1);
        let drawn = 0 < finding.line && end - begin <= LINE_BYTES_MAX;
        let shown = Shown { finding, source: drawn.then(|| Arc::clone(&source)) };
        if handler.render_report(&mut text, &shown).is_err() {
            // A snippet that cannot be drawn must not hide the finding itself.
            text.push_str(&format!("{}: {}\n", finding.rule, finding.message));
        }
        text.push('\n');
    }
    text
}

/// A finding with its file, as the report printer wants it.
struct Shown<'a> {
    finding: &'a Finding,
    /// `None`: it is about the whole file, or its line is too long to be drawn.
    source: Option<Arc<NamedSource<String>>>,
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.finding.fmt(f)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { message, line, column, .. } = self.finding;
        match &self.source {
            None if 0 < *line => write!(f, "{message} (line {line}, column {column})"),
            _ => f.write_str(message),
        }
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.finding.rule))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.finding.severity {
            Severity::Warning => miette::Severity::Warning,
            Severity::Error => miette::Severity::Error,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.finding.remedy))
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.source.as_deref().map(|it| it as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.source.as_ref()?;
        let Span { offset, len, .. } = self.finding.span;
        let span = SourceSpan::new(offset.into(), len);
        Some(Box::new(std::iter::once(LabeledSpan::new_primary_with_span(None, span))))
    }
}
