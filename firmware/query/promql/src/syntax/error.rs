//! Positions and errors.

/// A byte range of the query, end exclusive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// After the last byte.
    pub end: usize,
}

impl Span {
    /// The range from `start` to `end`.
    pub fn new(start: usize, end: usize) -> Self {
        Span { start, end }
    }

    /// From the beginning of this one to the end of `other`.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start, end: other.end }
    }
}

/// `line:column` of a byte offset, both counted from 1, columns in bytes, as Prometheus counts them.
pub fn position_text(query: &str, offset: usize) -> String {
    let before = query.as_bytes().get(..offset.min(query.len())).unwrap_or_default();
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let last_break = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    format!("{line}:{}", offset - last_break.min(offset) + 1)
}

/// A query that is not PromQL.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    /// `line:column: parse error: …`.
    pub message: String,
    /// First byte of the offending text.
    pub start: usize,
    /// After its last byte.
    pub end: usize,
}

impl ParseError {
    pub(crate) fn at(query: &str, span: Span, text: impl AsRef<str>) -> Self {
        let place = if query.is_empty() { "unknown position".into() } else { position_text(query, span.start) };
        ParseError { message: format!("{place}: parse error: {}", text.as_ref()), start: span.start, end: span.end }
    }
}
