//! Walking over the bytes of a text, with the pieces that both text formats share.

use super::entry::{Pair, Text};
use super::error::ExpositionError;
use std::borrow::Cow;

/// A place in a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    /// A line's start that was counted, and its number, so that many errors do not each count from the beginning.
    mark: (usize, u64),
}

/// What the formats have different about labels.
#[derive(Clone, Copy, Debug)]
pub(super) struct LabelSyntax {
    /// Blanks may stand anywhere, commas may be left out.
    pub(super) loose: bool,
    /// A quoted text alone names the metric.
    pub(super) may_name: bool,
}

/// What stood between braces beside the labels.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Braces<'a> {
    /// The metric's name, if one was quoted.
    pub(super) name: Option<Text<'a>>,
    /// Whether the last label was followed by a comma.
    pub(super) trailing_comma: bool,
}

type Result<T> = std::result::Result<T, ExpositionError>;

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Cursor { bytes, at: 0, mark: (0, 1) }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    pub(super) fn eat_all(&mut self, text: &[u8]) -> bool {
        let there = self.rest().starts_with(text);
        self.at += if there { text.len() } else { 0 };
        there
    }

    pub(super) fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let len = rest.iter().position(|b| !wanted(*b)).unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }

    pub(super) fn skip_blanks(&mut self) {
        self.take_while(|b| b == b' ' || b == b'\t');
    }

    /// The rest of the line, without its end; the end is passed.
    pub(super) fn take_line(&mut self) -> &'a [u8] {
        let rest = self.rest();
        let len = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        self.at += (len + 1).min(rest.len());
        rest.get(..len).unwrap_or_default()
    }

    /// An error here.
    pub(super) fn error(&mut self, message: impl Into<Cow<'static, str>>) -> ExpositionError {
        self.error_at(self.at, message)
    }

    /// An error at byte `position`.
    pub(super) fn error_at(&mut self, position: usize, message: impl Into<Cow<'static, str>>) -> ExpositionError {
        let from = if position < self.mark.0 { (0, 1) } else { self.mark };
        let passed = self.bytes.get(from.0..position).unwrap_or_default();
        let line_start = memchr::memrchr(b'\n', passed).map_or(from.0, |at| from.0 + at + 1);
        self.mark = (line_start, from.1 + memchr::memchr_iter(b'\n', passed).count() as u64);
        let column = (position - line_start.min(position)) as u64 + 1;
        ExpositionError { line: self.mark.1, column, position, message: message.into() }
    }

    /// "expected X, found Y".
    pub(super) fn expected(&mut self, what: &str) -> ExpositionError {
        let found = match self.peek() {
            None => "the end".to_owned(),
            Some(b'\n') => "the end of the line".to_owned(),
            Some(byte @ 0x20..0x7f) => format!("{:?}", char::from(byte)),
            Some(byte) => format!("byte 0x{byte:02x}"),
        };
        self.error(format!("expected {what}, found {found}"))
    }

    /// A metric's name without quotes, if one stands here.
    pub(super) fn metric_name(&mut self) -> Option<&'a str> {
        let first = self.peek()?;
        if !(first.is_ascii_alphabetic() || matches!(first, b'_' | b':')) {
            return None;
        }
        let name = self.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':'));
        std::str::from_utf8(name).ok()
    }

    fn label_name(&mut self) -> Option<&'a str> {
        let first = self.peek()?;
        if !(first.is_ascii_alphabetic() || first == b'_') {
            return None;
        }
        let name = self.take_while(|b| b.is_ascii_alphanumeric() || b == b'_');
        std::str::from_utf8(name).ok()
    }

    /// Text between quotes on one line; the cursor is at the first quote.
    pub(super) fn quoted(&mut self, what: &str) -> Result<Text<'a>> {
        if self.peek() != Some(b'"') {
            return Err(self.expected(what));
        }
        let start = self.at + 1;
        let mut end = start;
        loop {
            let rest = self.bytes.get(end..).unwrap_or_default();
            let Some(found) = memchr::memchr3(b'"', b'\\', b'\n', rest) else { break };
            end += found;
            match self.bytes.get(end) {
                Some(b'\\') if self.bytes.get(end + 1).is_some_and(|b| *b != b'\n') => end += 2,
                Some(b'"') => {
                    let text = std::str::from_utf8(self.bytes.get(start..end).unwrap_or_default());
                    let Ok(text) = text.map_err(|e| e.valid_up_to()) else {
                        return Err(self.error_at(start, format!("{what} is not UTF-8")));
                    };
                    self.at = end + 1;
                    return Ok(Text::of_quoted(text));
                }
                _ => break,
            }
        }
        Err(self.error(format!("{what} has no closing quote")))
    }

    /// Labels up to and with the closing brace, appended to `pairs`; the cursor is behind the opening one.
    pub(super) fn labels(&mut self, syntax: LabelSyntax, pairs: &mut Vec<Pair<'a>>) -> Result<Braces<'a>> {
        let mut braces = Braces::default();
        loop {
            self.blanks_if(syntax.loose);
            if self.eat(b'}') {
                return Ok(braces);
            }
            let start = self.at;
            let (name, is_quoted) = match self.label_name() {
                Some(name) => (Text::Plain(name), false),
                None => (self.quoted("a label name")?, true),
            };
            self.blanks_if(syntax.loose);
            if is_quoted && syntax.may_name && matches!(self.peek(), Some(b',' | b'}')) {
                if braces.name.replace(name).is_some() {
                    return Err(self.error_at(start, "the metric has two names"));
                }
            } else {
                if !self.eat(b'=') {
                    return Err(self.expected("'='"));
                }
                self.blanks_if(syntax.loose);
                let value = self.quoted("a label value")?;
                pairs.push(Pair { name, value });
                self.blanks_if(syntax.loose);
            }
            braces.trailing_comma = self.eat(b',');
            if !braces.trailing_comma && !syntax.loose && self.peek() != Some(b'}') {
                return Err(self.expected("',' or '}'"));
            }
        }
    }

    fn blanks_if(&mut self, allowed: bool) {
        if allowed {
            self.skip_blanks();
        }
    }
}
