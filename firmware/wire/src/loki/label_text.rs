//! Stream labels as text: `{app="web", env="dev"}`.
//!
//! Values are Go string literals: quoted once or twice with Go's escapes, or raw between backticks. A trailing comma
//! is allowed, as Prometheus' parser has it, whose words errors are in as far as it has one for the case.

use crate::error::{DecodeError, DecodeErrorKind};
use crate::label_set::LabelSet;

/// Parses stream labels.
///
/// Returns names and values in the order of the text; names may repeat, the set may be empty.
///
/// # Errors
/// [`DecodeErrorKind::Labels`], with the byte of the text where something else was expected.
pub fn parse_label_text(text: &str) -> Result<Vec<(String, String)>, DecodeError> {
    let mut labels = LabelSet::default();
    parse_into(text, &mut labels)?;
    Ok(labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// Whether `name` could stand in such a text.
///
/// # Errors
/// [`DecodeErrorKind::Labels`], as if it stood first in one.
pub(super) fn check_name(name: &str) -> Result<(), DecodeError> {
    let plain = |(at, b): (usize, u8)| b.is_ascii_alphabetic() || b == b'_' || (at > 0 && b.is_ascii_digit());
    match name.bytes().enumerate().position(|byte| !plain(byte)) {
        None if !name.is_empty() => Ok(()),
        bad => {
            let at = bad.unwrap_or(0);
            let got = name.get(at..).and_then(|rest| rest.chars().next()).unwrap_or('=');
            Err(DecodeError::new(DecodeErrorKind::Labels, unexpected(Some(got), "a label name"), at + 1))
        }
    }
}

/// What is wrong, in the words of Prometheus' lexer for what it does not know inside braces.
fn unexpected(got: Option<char>, wanted: &str) -> String {
    match got {
        None => "unexpected end of input inside braces".to_owned(),
        Some(c) if c.is_alphanumeric() || "_={},\"'`!~ ".contains(c) => format!("unexpected {c:?}, expected {wanted}"),
        Some(c) => format!("unexpected character inside braces: {c:?}"),
    }
}

/// Replaces `out` by the labels of `text`.
pub(super) fn parse_into(text: &str, out: &mut LabelSet) -> Result<(), DecodeError> {
    out.clear();
    let mut parser = Parser { text, at: 0 };
    parser.expect('{')?;
    while !parser.skip('}') {
        let name = parser.name()?;
        parser.expect('=')?;
        parser.space();
        let mut value = Ok(());
        out.push_with(|text| text.push_str(name), |text| value = parser.value(text));
        value?;
        if !parser.skip(',') {
            parser.expect('}')?;
            break;
        }
    }
    parser.space();
    match parser.rest().is_empty() {
        true => Ok(()),
        false => Err(parser.error("the end after '}'")),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Something else than `wanted` is here.
    fn error(&self, wanted: &str) -> DecodeError {
        self.wrong(unexpected(self.rest().chars().next(), wanted))
    }

    fn wrong(&self, what: impl Into<std::borrow::Cow<'static, str>>) -> DecodeError {
        DecodeError::new(DecodeErrorKind::Labels, what, self.at)
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn skip(&mut self, c: char) -> bool {
        self.space();
        let found = self.rest().starts_with(c);
        self.at += if found { c.len_utf8() } else { 0 };
        found
    }

    fn expect(&mut self, c: char) -> Result<(), DecodeError> {
        match self.skip(c) {
            true => Ok(()),
            false => Err(self.error(&format!("'{c}'"))),
        }
    }

    fn name(&mut self) -> Result<&'a str, DecodeError> {
        self.space();
        let rest = self.rest();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let len = rest.bytes().position(|b| !plain(b)).unwrap_or(rest.len());
        let name = rest.get(..len).unwrap_or_default();
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.error("a label name"));
        }
        self.at += len;
        Ok(name)
    }

    /// Appends the literal's value.
    fn value(&mut self, out: &mut String) -> Result<(), DecodeError> {
        match self.rest().as_bytes().first() {
            Some(&quote @ (b'"' | b'\'')) => self.quoted(quote, out),
            Some(b'`') => {
                let rest = self.rest().get(1..).unwrap_or_default();
                let Some(len) = rest.find('`') else { return Err(self.wrong("unterminated raw string")) };
                out.push_str(rest.get(..len).unwrap_or_default());
                self.at += len + 2;
                Ok(())
            }
            _ => Err(self.error("a quoted value")),
        }
    }

    fn quoted(&mut self, quote: u8, out: &mut String) -> Result<(), DecodeError> {
        let start = self.at;
        self.at += 1;
        // Escapes of single bytes (`\xff`) may spell one character together.
        let mut bytes: Vec<u8> = Vec::new();
        loop {
            let rest = self.rest();
            let plain = rest.bytes().position(|b| b == quote || matches!(b, b'\\' | b'\n')).unwrap_or(rest.len());
            let text = rest.get(..plain).unwrap_or_default();
            match bytes.is_empty() {
                true => out.push_str(text),
                false => bytes.extend_from_slice(text.as_bytes()),
            }
            self.at += plain;
            match rest.as_bytes().get(plain) {
                Some(&byte) if byte == quote => break,
                Some(b'\\') => {
                    let escape_at = self.at;
                    match self.escape(quote)? {
                        Escape::Char(c) if bytes.is_empty() => out.push(c),
                        Escape::Char(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                        Escape::Byte(byte) => bytes.push(byte),
                    }
                    // From the first raw byte on, the value is collected as bytes and checked at its end.
                    debug_assert!(self.at > escape_at);
                }
                _ => {
                    self.at = start;
                    return Err(self.wrong("unterminated quoted string"));
                }
            }
        }
        match std::str::from_utf8(&bytes) {
            Ok(text) => out.push_str(text),
            Err(_) => {
                self.at = start;
                return Err(self.wrong("label value is not UTF-8"));
            }
        }
        self.at += 1;
        Ok(())
    }

    /// Reads an escape at a backslash: Go's, and of the quotes only the one that ends the value.
    fn escape(&mut self, quote: u8) -> Result<Escape, DecodeError> {
        let rest = self.rest().as_bytes();
        let simple = |c| Ok((Escape::Char(c), 2));
        let number = |from: usize, digits: usize, radix: u32| {
            let text = rest.get(from..from + digits)?;
            let whole = text.iter().all(|&b| char::from(b).is_digit(radix));
            let text = std::str::from_utf8(text).ok().filter(|_| whole)?;
            u32::from_str_radix(text, radix).ok().map(|value| (value, from + digits))
        };
        let bad = || self.wrong("unknown escape sequence");
        let read = match rest.get(1) {
            Some(b'n') => simple('\n'),
            Some(b't') => simple('\t'),
            Some(b'r') => simple('\r'),
            Some(b'\\') => simple('\\'),
            Some(&byte) if byte == quote => simple(char::from(quote)),
            Some(b'a') => simple('\x07'),
            Some(b'b') => simple('\x08'),
            Some(b'f') => simple('\x0c'),
            Some(b'v') => simple('\x0b'),
            Some(b'x') => byte(number(2, 2, 16)).ok_or_else(bad),
            Some(b'0'..=b'7') => byte(number(1, 3, 8)).ok_or_else(bad),
            Some(b'u') => code_point(number(2, 4, 16)).ok_or_else(bad),
            Some(b'U') => code_point(number(2, 8, 16)).ok_or_else(bad),
            _ => Err(bad()),
        };
        let (escape, len) = read?;
        self.at += len;
        Ok(escape)
    }
}

enum Escape {
    Char(char),
    Byte(u8),
}

fn byte(number: Option<(u32, usize)>) -> Option<(Escape, usize)> {
    let (value, len) = number?;
    let byte = u8::try_from(value).ok()?;
    // ASCII needs no collecting.
    Some((if byte.is_ascii() { Escape::Char(byte.into()) } else { Escape::Byte(byte) }, len))
}

fn code_point(number: Option<(u32, usize)>) -> Option<(Escape, usize)> {
    let (value, len) = number?;
    Some((Escape::Char(char::from_u32(value)?), len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_signal::Labels;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
        parse_label_text(text).map_err(|e| e.to_string())
    }

    fn pairs(pairs: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
        Ok(pairs.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())).collect())
    }

    #[test]
    fn forms_that_senders_use() {
        assert_eq!(parse(r#"{a="b"}"#), pairs(&[("a", "b")]));
        assert_eq!(parse(" { b = \"\" ,a=`raw \\n` , } "), pairs(&[("b", ""), ("a", "raw \\n")]));
        assert_eq!(parse("{}"), pairs(&[]));
        assert_eq!(parse(r#"{a='it\'s "b"'}"#), pairs(&[("a", "it's \"b\"")]));
        for name in ["a", "_1", "a_B9"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for (name, error) in [
            ("", "byte 1: unexpected '=', expected a label name"),
            ("1a", "byte 1: unexpected '1', expected a label name"),
            ("bad-name", "byte 4: unexpected character inside braces: '-'"),
            ("é", "byte 1: unexpected 'é', expected a label name"),
        ] {
            assert_eq!(check_name(name).unwrap_err().to_string(), error);
        }
        assert_eq!(
            parse(r#"{a="q\"\\ \n\t\x41\101\u00e9\U0001F600 é \xc3\xa9!\n"}"#),
            pairs(&[("a", "q\"\\ \n\tAAé😀 é é!\n")])
        );
    }

    #[test]
    fn errors_point_at_the_byte() {
        for (text, error) in [
            ("", "byte 0: unexpected end of input inside braces"),
            ("{a=\"b\"", "byte 6: unexpected end of input inside braces"),
            ("{a=\"b\"} x", "byte 8: unexpected 'x', expected the end after '}'"),
            ("{1a=\"b\"}", "byte 1: unexpected '1', expected a label name"),
            ("{a~\"b\"}", "byte 2: unexpected '~', expected '='"),
            ("{bad-name=\"b\"}", "byte 4: unexpected character inside braces: '-'"),
            ("{a:b=\"b\"}", "byte 2: unexpected character inside braces: ':'"),
            ("{\u{1}trace_id=\"b\"}", "byte 1: unexpected character inside braces: '\\u{1}'"),
            ("{a=b}", "byte 3: unexpected 'b', expected a quoted value"),
            ("{a=\"b}", "byte 3: unterminated quoted string"),
            ("{a='b\"}", "byte 3: unterminated quoted string"),
            ("{a=\"\\q\"}", "byte 4: unknown escape sequence"),
            ("{a=\"\\'\"}", "byte 4: unknown escape sequence"),
            ("{a=\"\\xff\"}", "byte 3: label value is not UTF-8"),
            ("{a=`b}", "byte 3: unterminated raw string"),
        ] {
            assert_eq!(parse(text), Err(error.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn printed_labels_parse_back(labels in proptest::collection::btree_map("[a-z_]{1,5}", ".{1,8}", 0..5)) {
            let printed = Labels::from_pairs(&labels).to_string();
            let want: Vec<_> = labels.into_iter().collect();
            prop_assert_eq!(parse(&printed), Ok(want));
        }

        #[test]
        fn any_text_is_judged(text in ".{0,20}") {
            let _ = parse(&text);
            let _ = parse(&format!("{{a=\"{text}"));
        }
    }
}
