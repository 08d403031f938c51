//! JSON lines: a scanner that follows the text once and builds no tree.
//!
//! It looks only at what it needs: brackets, quotes and the first byte of a value. So a text that breaks off gives the
//! members up to there, and numbers come as they are written.

mod path;
mod scan;

pub use path::{Path, element};
use scan::Scanner;
use std::borrow::Cow;

/// Deepest nesting followed; what lies deeper is left out.
const DEPTH_MAX: usize = 64;

/// Where a text stops being JSON. The texts are those that Loki shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JsonError {
    /// An object was expected, or one does not end.
    #[error("Value looks like object, but can't find closing '}}' symbol")]
    Object,
    /// A value is missing, or an array does not end.
    #[error("Value is array, but can't find closing ']' symbol")]
    Array,
    /// A string does not end.
    #[error("Value is string, but can't find closing '\"' symbol")]
    String,
    /// Neither string, number, array, object nor one of JSON's words.
    #[error("Unknown value type")]
    Unknown,
}

/// A value as it stands in the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Raw<'a> {
    /// Without its quotes, escapes not resolved.
    Str(&'a str),
    /// With its braces.
    Object(&'a str),
    /// With its brackets.
    Array(&'a str),
    /// Number or boolean.
    Plain(&'a str),
    /// `null`
    Null,
}

/// The members of the object that `text` is, in order; an error is the last item.
pub fn members(text: &str) -> Members<'_> {
    Members { scanner: Scanner { text, at: 0 }, state: State::Before }
}

enum State {
    Before,
    Between,
    Done,
}

/// See [`members`].
pub struct Members<'a> {
    scanner: Scanner<'a>,
    state: State,
}

impl<'a> Members<'a> {
    fn member(&mut self) -> Result<Option<(&'a str, Raw<'a>)>, JsonError> {
        let scanner = &mut self.scanner;
        match self.state {
            State::Done => return Ok(None),
            State::Before => {
                if !scanner.take(b'{') {
                    return Err(JsonError::Object);
                }
                if scanner.take(b'}') {
                    return Ok(None);
                }
            }
            State::Between => match scanner.peek() {
                Some(b',') => scanner.at += 1,
                Some(b'}') => return Ok(None),
                Some(_) => return Err(JsonError::Object),
                None => return Err(JsonError::Array),
            },
        }
        self.state = State::Between;
        if scanner.peek() != Some(b'"') {
            return Err(JsonError::Object);
        }
        let key = scanner.string().ok_or(JsonError::String)?;
        if !scanner.take(b':') {
            return Err(JsonError::Object);
        }
        Ok(Some((key, scanner.value()?)))
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<(&'a str, Raw<'a>), JsonError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.member();
        if !matches!(found, Ok(Some(_))) {
            self.state = State::Done;
        }
        found.transpose()
    }
}

/// Hears the values of an object and of the objects inside it.
pub trait Visit<'a> {
    /// An object begins under `key` (escapes not resolved). Whether its values are of interest: if not, they are
    /// checked and not told, and no [`close`](Self::close) follows.
    fn open(&mut self, key: &'a str) -> bool;
    /// The object opened last ends, perhaps too early.
    fn close(&mut self);
    /// A value that is no object, under `key` (escapes not resolved).
    fn value(&mut self, key: &'a str, value: Raw<'a>);
}

/// Walks the object that `text` is, depth first.
///
/// # Errors
/// Where it breaks off; what came before was told.
pub fn walk<'a>(text: &'a str, visitor: &mut impl Visit<'a>) -> Result<(), JsonError> {
    walk_from(text, visitor, 0)
}

fn walk_from<'a>(text: &'a str, visitor: &mut impl Visit<'a>, depth: usize) -> Result<(), JsonError> {
    for member in members(text) {
        let (key, value) = member?;
        let Raw::Object(inner) = value else {
            visitor.value(key, value);
            continue;
        };
        if depth >= DEPTH_MAX {
            continue;
        }
        if visitor.open(key) {
            let outcome = walk_from(inner, visitor, depth + 1);
            visitor.close();
            outcome?;
        } else {
            check(inner, depth + 1)?;
        }
    }
    Ok(())
}

/// As [`walk`] for nobody.
fn check(text: &str, depth: usize) -> Result<(), JsonError> {
    for member in members(text) {
        if let Raw::Object(inner) = member?.1
            && depth < DEPTH_MAX
        {
            check(inner, depth + 1)?;
        }
    }
    Ok(())
}

/// Resolves JSON's escapes. A broken one stays as it stands.
pub fn unescape(text: &str) -> Cow<'_, str> {
    if memchr::memchr(b'\\', text.as_bytes()).is_none() {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once('\\') {
        out.push_str(before);
        let (c, used) = match tail.as_bytes().first() {
            Some(b'n') => ('\n', 1),
            Some(b't') => ('\t', 1),
            Some(b'r') => ('\r', 1),
            Some(b'b') => ('\u{8}', 1),
            Some(b'f') => ('\u{c}', 1),
            Some(&b @ (b'"' | b'\\' | b'/')) => (char::from(b), 1),
            Some(b'u') => code_point(&tail[1..]).map_or(('\u{fffd}', 1), |(c, n)| (c, n + 1)),
            _ => ('\\', 0),
        };
        out.push(c);
        rest = tail.get(used..).unwrap_or("");
    }
    out.push_str(rest);
    out.into()
}

/// A code point after `\u`, and how many bytes it takes.
fn code_point(text: &str) -> Option<(char, usize)> {
    let unit = |from: usize| u32::from_str_radix(text.get(from..from + 4)?, 16).ok();
    let first = unit(0)?;
    if !(0xd800..0xe000).contains(&first) {
        return char::from_u32(first).map(|c| (c, 4));
    }
    let second = if text.get(4..6) == Some("\\u") { unit(6) } else { None };
    match second {
        Some(low) if first < 0xdc00 && (0xdc00..0xe000).contains(&low) => {
            char::from_u32(0x10000 + ((first - 0xd800) << 10) + (low - 0xdc00)).map(|c| (c, 10))
        }
        _ => Some(('\u{fffd}', 4)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Shown {
        path: Vec<String>,
        out: Vec<String>,
    }

    impl<'a> Visit<'a> for Shown {
        fn open(&mut self, key: &'a str) -> bool {
            self.path.push(key.to_owned());
            if key == "skip" {
                self.path.pop();
                return false;
            }
            true
        }
        fn close(&mut self) {
            self.path.pop();
        }
        fn value(&mut self, key: &'a str, value: Raw<'a>) {
            self.out.push(format!("{}.{key}={value:?}", self.path.join(".")));
        }
    }

    fn walked(line: &str) -> (Vec<String>, Result<(), JsonError>) {
        let mut shown = Shown::default();
        let outcome = walk(line, &mut shown);
        (shown.out, outcome)
    }

    #[test]
    fn objects_are_walked() {
        let (found, outcome) =
            walked(r#" {"a" : "x\"y" , "o":{"b":1.10,"l":[1,{"c":"]"}]},"skip":{"z":1},"n":null,"t":true} tail"#);
        assert_eq!(
            found,
            [
                r#".a=Str("x\\\"y")"#,
                r#"o.b=Plain("1.10")"#,
                r#"o.l=Array("[1,{\"c\":\"]\"}]")"#,
                ".n=Null",
                r#".t=Plain("true")"#
            ]
        );
        assert_eq!(outcome, Ok(()));
    }

    #[test]
    fn broken_objects_give_what_they_have() {
        assert_eq!(walked(r#"{"t": "yes", "n": 1"#).1, Err(JsonError::Array));
        assert_eq!(walked(r#"{"t": "yes", "n": 1"#).0.len(), 2);
        assert_eq!(walked("text").1, Err(JsonError::Object));
        assert_eq!(walked(r#"{"a":"b"#).1, Err(JsonError::String));
        assert_eq!(walked(r#"{"a":{"b":1"#).1, Err(JsonError::Object));
        assert_eq!(walked(r#"{"a":nonsense}"#).1, Err(JsonError::Unknown));
        assert_eq!(walked(r#"{"skip":{"z"},"b":1}"#).1, Err(JsonError::Object));
        assert_eq!(walked("{}").1, Ok(()));
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape(r"a\u00f6\n\ud83d\ude00\q\ud800"), "aö\n😀\\q\u{fffd}");
        assert_eq!(unescape("plain"), "plain");
        assert_eq!(unescape(r"\u12"), "\u{fffd}12");
    }
}
