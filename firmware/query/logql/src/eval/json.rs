//! `| json` and `| unpack`: a scanner that follows the text once and builds no tree.
//!
//! It is as forgiving as Loki's: it looks only at what it needs, so a text that breaks off gives the labels up to
//! there, and an error.

use super::fields::{Fields, sanitize};

const KIND: &str = "JSONParserErr";
const NOT_AN_OBJECT: &str = "Value looks like object, but can't find closing '}' symbol";
const BROKEN: &str = "Value is array, but can't find closing ']' symbol";
const BROKEN_STRING: &str = "Value is string, but can't find closing '\"' symbol";
const UNKNOWN: &str = "Unknown value type";
/// Deepest nesting followed.
const DEPTH_MAX: usize = 64;

/// A value as it stands in the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Raw<'a> {
    /// Without its quotes, escapes not resolved.
    Str(&'a str),
    Object(&'a str),
    Array(&'a str),
    /// Number or boolean.
    Plain(&'a str),
    Null,
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// A string from its opening quote; without the quotes.
    fn string(&mut self) -> Option<&'a str> {
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        let mut at = start;
        while let Some(&b) = bytes.get(at) {
            match b {
                b'"' => {
                    self.at = at + 1;
                    return self.text.get(start..at);
                }
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
        None
    }

    /// From an opening bracket to its closing one.
    fn block(&mut self) -> Option<&'a str> {
        let start = self.at;
        let mut depth = 0usize;
        while let Some(&b) = self.text.as_bytes().get(self.at) {
            match b {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return self.text.get(start..self.at);
            }
        }
        None
    }

    fn value(&mut self) -> Result<Raw<'a>, &'static str> {
        match self.peek() {
            Some(b'"') => self.string().map(Raw::Str).ok_or(BROKEN_STRING),
            Some(b'{') => self.block().map(Raw::Object).ok_or(NOT_AN_OBJECT),
            Some(b'[') => self.block().map(Raw::Array).ok_or(BROKEN),
            Some(_) => {
                let rest = &self.text[self.at..];
                let end = rest.find(|c: char| c.is_ascii_whitespace() || matches!(c, ',' | '}' | ']'));
                let word = &rest[..end.unwrap_or(rest.len())];
                self.at += word.len();
                match word.as_bytes().first() {
                    Some(b'-' | b'0'..=b'9') => Ok(Raw::Plain(word)),
                    _ if word == "true" || word == "false" => Ok(Raw::Plain(word)),
                    _ if word == "null" => Ok(Raw::Null),
                    _ => Err(UNKNOWN),
                }
            }
            None => Err(BROKEN),
        }
    }
}

/// Calls `each(key, value)` for the members of the object that `text` is, until it returns `false`.
pub(crate) fn members<'a>(
    text: &'a str,
    each: &mut dyn FnMut(&'a str, Raw<'a>) -> Result<bool, &'static str>,
) -> Result<(), &'static str> {
    let mut scanner = Scanner { text, at: 0 };
    if !scanner.take(b'{') {
        return Err(NOT_AN_OBJECT);
    }
    if scanner.take(b'}') {
        return Ok(());
    }
    loop {
        if scanner.peek() != Some(b'"') {
            return Err(NOT_AN_OBJECT);
        }
        let key = scanner.string().ok_or(BROKEN_STRING)?;
        if !scanner.take(b':') {
            return Err(NOT_AN_OBJECT);
        }
        let value = scanner.value()?;
        if !each(key, value)? {
            return Ok(());
        }
        match scanner.peek() {
            Some(b',') => scanner.at += 1,
            Some(b'}') => return Ok(()),
            Some(_) => return Err(NOT_AN_OBJECT),
            None => return Err(BROKEN),
        }
    }
}

/// Resolves JSON's escapes. A broken one stays as it stands.
pub(crate) fn unescape(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains('\\') {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        let (c, used) = match tail.as_bytes().first() {
            Some(b'n') => ('\n', 1),
            Some(b't') => ('\t', 1),
            Some(b'r') => ('\r', 1),
            Some(b'b') => ('\u{8}', 1),
            Some(b'f') => ('\u{c}', 1),
            Some(b'"' | b'\\' | b'/') => (tail.as_bytes()[0] as char, 1),
            Some(b'u') => code_point(&tail[1..]).map_or(('\u{fffd}', tail.len().min(1)), |(c, n)| (c, n + 1)),
            _ => ('\\', 0),
        };
        out.push(c);
        rest = &tail[used..];
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

/// Labels of all members; nested objects join their keys with an underscore, arrays and nulls are left out.
pub(crate) fn flatten(line: &str, fields: &mut Fields) {
    let mut name = String::new();
    if let Err(e) = flatten_into(line, &mut name, 0, fields) {
        fields.fail(KIND, e);
    }
}

fn flatten_into(text: &str, prefix: &mut String, depth: usize, fields: &mut Fields) -> Result<(), &'static str> {
    if depth > DEPTH_MAX {
        return Ok(());
    }
    members(text, &mut |key, value| {
        let before = prefix.len();
        if before > 0 {
            prefix.push('_');
        }
        let joint = prefix.len();
        sanitize(&unescape(key), prefix);
        let named = prefix.len() > joint;
        let mut outcome = Ok(());
        match value {
            _ if !named => {}
            Raw::Str(s) => fields.extract(prefix, &unescape(s)),
            Raw::Plain(s) => fields.extract(prefix, s),
            Raw::Object(inner) => outcome = flatten_into(inner, prefix, depth + 1, fields),
            Raw::Array(_) | Raw::Null => {}
        }
        prefix.truncate(before);
        outcome.map(|()| true)
    })
}

/// One step of a path.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    Key(String),
    Index(usize),
}

/// A path, `user.roles[0]["x-id"]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Path(Vec<Step>);

impl Path {
    /// # Errors
    /// What was found where something else is expected.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if let Some(tail) = rest.strip_prefix('[') {
                let (step, after) = bracket(tail)?;
                steps.push(step);
                rest = after;
                continue;
            }
            if c == '.' {
                if steps.is_empty() {
                    return Err("unexpected DOT".to_owned());
                }
                rest = &rest[1..];
            }
            let end = rest.find(['.', '[', ']', '"', ' ']).unwrap_or(rest.len());
            if end == 0 {
                let what = match rest.chars().next() {
                    None => "$end",
                    Some('.') => "DOT",
                    Some('[') => "LSB",
                    Some(']') => "RSB",
                    Some('"') => "STRING",
                    Some(_) => "IDENTIFIER",
                };
                return Err(format!("unexpected {what}, expecting FIELD"));
            }
            steps.push(Step::Key(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        if steps.is_empty() { Err("unexpected $end".to_owned()) } else { Ok(Path(steps)) }
    }

    /// The value at the path.
    fn find<'a>(&self, text: &'a str) -> Result<Option<Raw<'a>>, &'static str> {
        let mut here = Raw::Object(text);
        for step in &self.0 {
            let mut found = None;
            match (step, here) {
                (Step::Key(wanted), Raw::Object(text)) => members(text, &mut |key, value| {
                    if unescape(key) == *wanted {
                        found = Some(value);
                    }
                    Ok(found.is_none())
                })?,
                (Step::Index(n), Raw::Array(text)) => found = element(text, *n)?,
                _ => {}
            }
            match found {
                Some(value) => here = value,
                None => return Ok(None),
            }
        }
        Ok(Some(here))
    }
}

/// What stands between brackets, and the text after them.
fn bracket(tail: &str) -> Result<(Step, &str), String> {
    if let Some(quoted) = tail.strip_prefix('"') {
        let end = quoted.find("\"]").ok_or("unexpected $end, expecting RSB")?;
        return Ok((Step::Key(quoted[..end].to_owned()), &quoted[end + 2..]));
    }
    let end = tail.find(']').ok_or("unexpected $end, expecting RSB")?;
    let index = tail[..end].trim().parse().map_err(|_| "unexpected FIELD, expecting INDEX or STRING".to_owned())?;
    Ok((Step::Index(index), &tail[end + 1..]))
}

pub(crate) fn element(text: &str, index: usize) -> Result<Option<Raw<'_>>, &'static str> {
    let mut scanner = Scanner { text, at: 1 };
    if scanner.peek() == Some(b']') {
        return Ok(None);
    }
    for _ in 0..index {
        scanner.value()?;
        if !scanner.take(b',') {
            return Ok(None);
        }
    }
    scanner.value().map(Some)
}

/// Labels of the values at `paths`; a value that is not there gives an empty label.
pub(crate) fn extract(line: &str, paths: &[(String, Path)], fields: &mut Fields) {
    if !line.trim_start().starts_with(['{', '[', '"']) {
        fields.fail(KIND, "");
        return;
    }
    for (name, path) in paths {
        let value = match path.find(line) {
            Ok(Some(Raw::Str(s))) => unescape(s),
            Ok(Some(Raw::Plain(s) | Raw::Array(s) | Raw::Object(s))) => s.into(),
            Ok(Some(Raw::Null) | None) | Err(_) => "".into(),
        };
        fields.extract(name, &value);
    }
}

/// Labels that Promtail's `pack` stage put around a line, and the line. Nothing happens without an `_entry`.
pub(crate) fn unpack(line: &str, fields: &mut Fields) -> Option<String> {
    if !line.trim_start().starts_with('{') {
        if !line.is_empty() {
            fields.fail(KIND, "expecting json object(6), but it is not");
        }
        return None;
    }
    let mut entry = None;
    let outcome = members(line, &mut |key, value| {
        if let ("_entry", Raw::Str(s)) = (key, value) {
            entry = Some(unescape(s).into_owned());
        }
        Ok(true)
    });
    if let Err(e) = outcome {
        fields.fail(KIND, e);
        return None;
    }
    let entry = entry?;
    let labels = members(line, &mut |key, value| {
        if let Raw::Str(s) = value
            && key != "_entry"
        {
            let mut name = String::new();
            sanitize(&unescape(key), &mut name);
            fields.extract(&name, &unescape(s));
        }
        Ok(true)
    });
    debug_assert!(labels.is_ok(), "the text was read once already");
    Some(entry)
}

/// Calls `each(keys, value)` for all values of the object that are no objects; for the listing of fields.
pub(crate) fn leaves(line: &str, each: &mut dyn FnMut(&[String], &str)) -> bool {
    fn walk(text: &str, keys: &mut Vec<String>, each: &mut dyn FnMut(&[String], &str)) -> Result<(), &'static str> {
        members(text, &mut |key, value| {
            keys.push(unescape(key).into_owned());
            let outcome = match value {
                Raw::Object(inner) if keys.len() <= DEPTH_MAX => walk(inner, keys, each),
                Raw::Str(s) => {
                    each(keys, &unescape(s));
                    Ok(())
                }
                Raw::Plain(s) => {
                    each(keys, s);
                    Ok(())
                }
                Raw::Object(_) | Raw::Array(_) | Raw::Null => Ok(()),
            };
            keys.pop();
            outcome.map(|()| true)
        })
    }
    walk(line, &mut Vec::new(), each).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::fields::{Base, Fields};
    use super::*;
    use bramble_signal::{Labels, LabelsRef};

    fn fields() -> Fields {
        let mut fields = Fields::default();
        let labels = Labels::from_pairs([("app", "a")]);
        fields.start(&Base::new(labels.as_ref()), LabelsRef::EMPTY);
        fields
    }

    fn flat(line: &str) -> String {
        let mut fields = fields();
        flatten(line, &mut fields);
        fields.to_set(None).to_string()
    }

    #[test]
    fn objects_flatten() {
        assert_eq!(
            flat(r#"{"app":"b","n":1.10,"u":{"x-id":"q\"\u00f6"},"l":[1],"no":null,"0":true,"":"e"}"#),
            r#"{_0="true", app="a", app_extracted="b", n="1.10", u_x_id="q\"ö"}"#
        );
        assert_eq!(flat("{}"), r#"{app="a"}"#);
    }

    #[test]
    fn broken_objects_give_what_they_have() {
        let broken = flat(r#"{"t": "yes", "n": 1"#);
        assert!(broken.contains(r#"n="1", t="yes""#) && broken.contains("can't find closing ']' symbol"), "{broken}");
        assert!(flat("not json").contains("can't find closing '}' symbol"));
    }

    #[test]
    fn paths() {
        let find = |path: &str, line| Path::parse(path).unwrap().find(line).unwrap();
        assert_eq!(find("a.b[1].c", r#"{"a":{"b":[0,{"c":"x"}]}}"#), Some(Raw::Str("x")));
        assert_eq!(find(r#"["w k!"]"#, r#"{"w k!":5}"#), Some(Raw::Plain("5")));
        assert_eq!(find("a.b", r#"{"a":1}"#), None);
        assert_eq!(Path::parse("user..id").unwrap_err(), "unexpected DOT, expecting FIELD");
    }

    #[test]
    fn packed_lines_unpack() {
        let mut f = fields();
        assert_eq!(unpack(r#"{"_entry":"x \"y\"","pod":"p"}"#, &mut f).unwrap(), "x \"y\"");
        assert_eq!(f.get("pod"), Some("p"));
        let mut f = fields();
        assert_eq!(unpack(r#"{"pod":"p"}"#, &mut f), None);
        assert_eq!(f.get("pod"), None);
    }
}
