//! Structured data of RFC 5424: `[id name="value" …][id …]`.

use std::borrow::Cow;

/// All elements, as text that was checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StructuredData<'a>(&'a str);

/// One element: its id (`exampleSDID@32473`) and its values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Element<'a> {
    /// The id.
    pub id: &'a str,
    /// ` name="value"`, as often as wanted, without the bracket.
    values: &'a str,
}

impl<'a> StructuredData<'a> {
    /// Elements at the start of `text` (or `-`) and the message behind them; `None` when there are none.
    pub(super) fn split(text: &'a [u8]) -> Option<(StructuredData<'a>, &'a [u8])> {
        let behind = |rest: &'a [u8]| match rest.first() {
            None => Some(rest),
            Some(b' ') => rest.get(1..),
            Some(_) => None,
        };
        if let Some(rest) = text.strip_prefix(b"-") {
            return Some((StructuredData::default(), behind(rest)?));
        }
        let mut end = 0;
        while text.get(end) == Some(&b'[') {
            end += element_len(text.get(end..)?)?;
        }
        let (elements, rest) = text.split_at_checked(end).filter(|_| end > 0)?;
        Some((StructuredData(std::str::from_utf8(elements).ok()?), behind(rest)?))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The elements as they were sent.
    pub fn as_str(&self) -> &'a str {
        self.0
    }

    /// Each element.
    pub fn elements(&self) -> impl Iterator<Item = Element<'a>> + use<'a> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let len = element_len(rest.as_bytes())?;
            let (element, after) = rest.split_at_checked(len)?;
            rest = after;
            let inside = element.strip_prefix('[')?.strip_suffix(']')?;
            let end = inside.find(' ').unwrap_or(inside.len());
            let (id, values) = inside.split_at_checked(end)?;
            Some(Element { id, values })
        })
    }
}

impl<'a> Element<'a> {
    /// Names and values; escapes are undone.
    pub fn values(&self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> + use<'a> {
        let mut rest = self.values;
        std::iter::from_fn(move || {
            let (name, after) = rest.trim_start_matches(' ').split_once("=\"")?;
            let end = value_len(after.as_bytes())?;
            let (value, after) = after.split_at_checked(end)?;
            rest = after.strip_prefix('"')?;
            Some((name, unescaped(value)))
        })
    }
}

/// Length of the element at the start, with its brackets.
fn element_len(text: &[u8]) -> Option<usize> {
    let mut at = 1 + name_len(text.strip_prefix(b"[")?)?;
    loop {
        match text.get(at)? {
            b']' => return Some(at + 1),
            b' ' => {
                // Two spaces, or one before the bracket, are not in the standard and are sent.
                at += 1;
                if matches!(text.get(at)?, b' ' | b']') {
                    continue;
                }
                at += name_len(text.get(at..)?)?;
                text.get(at..)?.strip_prefix(b"=\"")?;
                at += 2;
                at += value_len(text.get(at..)?)? + 1;
            }
            _ => return None,
        }
    }
}

/// Length of an id or name; at least one character, no space, `=`, `]` or `"`.
fn name_len(text: &[u8]) -> Option<usize> {
    let ends = |b: &u8| matches!(b, b' ' | b'=' | b']' | b'"') || b.is_ascii_control();
    text.iter().position(ends).filter(|&len| len > 0)
}

/// Length of a value up to its closing quote.
fn value_len(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    text.iter().position(|&b| {
        let ends = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        ends
    })
}

/// `\"`, `\\` and `\]` without their backslash; any other backslash stays.
fn unescaped(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let (mut out, mut chars) = (String::with_capacity(value.len()), value.chars().peekable());
    while let Some(c) = chars.next() {
        match chars.peek() {
            Some(&next @ ('"' | '\\' | ']')) if c == '\\' => {
                out.push(next);
                chars.next();
            }
            _ => out.push(c),
        }
    }
    Cow::Owned(out)
}
