//! What a check found, for programs and for people.

use std::{fmt, sync::Arc};

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceSpan,
};

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

/// Collects findings. All checks run before the definition is refused.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    all: Vec<Finding>,
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
        let finding = Finding { rule, severity, line, column, message, remedy, span };
        if !self.all.contains(&finding) {
            self.all.push(finding);
        }
    }

    /// Whether the definition is refused.
    pub(crate) fn has_errors(&self) -> bool {
        self.all.iter().any(|it| it.severity == Severity::Error)
    }

    /// The findings in the order of the file.
    pub(crate) fn sorted(mut self) -> Vec<Finding> {
        self.all.sort_by_key(|it| (it.span.offset, it.rule));
        self.all
    }

    /// The findings as a report about the file.
    pub(crate) fn into_report(self, file_name: &str, yaml: &str) -> Report {
        let findings = self.sorted();
        let rendered = render(&findings, file_name, yaml);
        Report { findings, rendered }
    }
}

/// Findings for people: rule, message, the line, the remedy.
pub(crate) fn render(findings: &[Finding], file_name: &str, yaml: &str) -> String {
    let source = Arc::new(NamedSource::new(file_name, yaml.to_owned()));
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_links(false)
        .with_width(100);
    let mut text = String::new();
    for finding in findings {
        let shown = Shown { finding, source: Arc::clone(&source) };
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
    source: Arc<NamedSource<String>>,
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.finding.fmt(f)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.finding.message)
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
        let positioned = 0 < self.finding.line;
        positioned.then_some(&*self.source as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if self.finding.line == 0 {
            return None;
        }
        let Span { offset, len, .. } = self.finding.span;
        let span = SourceSpan::new(offset.into(), len);
        Some(Box::new(std::iter::once(LabeledSpan::new_primary_with_span(None, span))))
    }
}
