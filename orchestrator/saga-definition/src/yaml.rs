//! YAML as a tree in which every node knows where it stands in the file.
//!
//! Only what a definition needs: no anchors, aliases and tags (an alias can make a small
//! file huge), one document, and a bound on depth.

use std::collections::HashSet;

use granit_parser::{Event, Parser, ScalarStyle, ScanError};

use crate::finding::{Findings, Span};

/// Collections inside one another at most.
const DEPTH_MAX: usize = 32;

/// A value in the file.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Where it stands.
    pub(crate) span: Span,
    /// What it is.
    pub(crate) value: NodeValue,
    /// Whether it is a text without quotes.
    pub(crate) is_plain: bool,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(crate) enum NodeValue {
    /// Nothing, `~` or `null`.
    Null,
    /// Text, without quotes.
    Scalar(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<(Spanned<String>, Node)>),
}

/// A value, and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Spanned<T> {
    /// The value.
    pub(crate) value: T,
    /// Where it stands.
    pub(crate) span: Span,
}

/// Reads the one document of a file.
///
/// Returns `None` with one finding where the text is not YAML, or uses what is left out.
pub(crate) fn parse(yaml: &str, findings: &mut Findings) -> Option<Node> {
    let mut reader = Reader { parser: Parser::new_from_str(yaml), text: yaml };
    match reader.document() {
        Ok(node) => Some(node),
        Err(Refused { span, message, remedy }) => {
            findings.error("yaml", span, message, remedy);
            None
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    text: &'a str,
}

struct Refused {
    span: Span,
    message: String,
    remedy: String,
}

fn refused(span: Span, message: impl Into<String>, remedy: impl Into<String>) -> Refused {
    Refused { span, message: message.into(), remedy: remedy.into() }
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Node, Refused> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(..) => {}
                Event::StreamEnd | Event::DocumentEnd => {
                    return Err(refused(span, "the file is empty", "begin with `kind: Saga`"));
                }
                event => {
                    let root = self.node(event, span, 0)?;
                    self.end()?;
                    return Ok(root);
                }
            }
        }
    }

    fn end(&mut self) -> Result<(), Refused> {
        loop {
            match self.next()? {
                (Event::DocumentEnd, _) => {}
                (Event::StreamEnd, _) => return Ok(()),
                (_, span) => {
                    let remedy = "put each definition into a file of its own";
                    return Err(refused(span, "a second document begins here", remedy));
                }
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Refused> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, self.place(span))),
            Some(Err(error)) => Err(self.not_yaml(&error)),
            None => Err(refused(Span::default(), "the file ends too early", "complete it")),
        }
    }

    fn not_yaml(&self, error: &ScanError) -> Refused {
        let marker = *error.marker();
        let span = self.place(granit_parser::Span::new(marker, marker));
        let remedy = "quote expressions that contain `: `, ` #`, or begin with a quote, a \
                      bracket, `!`, `&` or `*`: '...'";
        refused(span, format!("not YAML: {}", error.info()), remedy)
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Refused> {
        if depth == DEPTH_MAX {
            let message = format!("more than {DEPTH_MAX} collections inside one another");
            return Err(refused(span, message, "make it flatter"));
        }
        let is_plain = matches!(event, Event::Scalar(_, ScalarStyle::Plain, ..));
        let value = match event {
            Event::Scalar(text, style, 0, None) => {
                let plain = matches!(style, ScalarStyle::Plain);
                match &*text {
                    "" | "~" | "null" if plain => NodeValue::Null,
                    _ => NodeValue::Scalar(text.into_owned()),
                }
            }
            Event::SequenceStart(_, 0, None) => NodeValue::List(self.list(depth)?),
            Event::MappingStart(_, 0, None) => NodeValue::Map(self.map(depth)?),
            _ => {
                let message = "anchors (&), aliases (*) and tags (!) are not supported";
                return Err(refused(span, message, "write the value out, or quote it"));
            }
        };
        Ok(Node { span, value, is_plain })
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Refused> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<(Spanned<String>, Node)>, Refused> {
        let mut entries: Vec<(Spanned<String>, Node)> = Vec::new();
        let mut seen = HashSet::new();
        loop {
            let (event, span) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Ok(entries),
                Event::Scalar(text, _, 0, None) => Spanned { value: text.into_owned(), span },
                _ => return Err(refused(span, "a key must be plain text", "write `key: value`")),
            };
            if !seen.insert(key.value.clone()) {
                let message = format!("`{}` is given twice", key.value);
                return Err(refused(span, message, "keep one of them"));
            }
            let (event, span) = self.next()?;
            // An absent value stands nowhere: point at its key.
            let span = if span.len == 0 && span.line != key.span.line { key.span } else { span };
            entries.push((key, self.node(event, span, depth + 1)?));
        }
    }

    /// Where a parser's span stands, cut to its first line: a report shows one line.
    fn place(&self, span: granit_parser::Span) -> Span {
        let offset = span.start.byte_offset().unwrap_or(0).min(self.text.len());
        let end = span.end.byte_offset().unwrap_or(offset).clamp(offset, self.text.len());
        let first_line = self.text.get(offset..end).unwrap_or("").lines().next().unwrap_or("");
        Span {
            offset,
            len: first_line.trim_end().len(),
            line: u32::try_from(span.start.line()).unwrap_or(u32::MAX),
            column: u32::try_from(span.start.col() + 1).unwrap_or(u32::MAX),
        }
    }
}
