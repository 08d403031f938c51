//! `| logfmt`.

use super::fields::{Fields, sanitize};
use std::borrow::Cow;

/// Calls `each(key, value)` for the pairs of a line until it returns `false`. `Err`: where the first thing stands that is not logfmt; `strict`
/// stops there, otherwise the rest of the word is skipped.
fn pairs<'a>(line: &'a str, strict: bool, mut each: impl FnMut(&'a str, Cow<'a, str>) -> bool) -> Result<(), String> {
    let bytes = line.as_bytes();
    let mut at = 0;
    let mut first_error = None;
    loop {
        while bytes.get(at).is_some_and(|b| *b <= b' ') {
            at += 1;
        }
        if at >= bytes.len() {
            break;
        }
        match pair(line, &mut at) {
            Ok((key, value)) => {
                if !each(key, value) {
                    break;
                }
            }
            Err(e) => {
                first_error.get_or_insert(e);
                if strict {
                    break;
                }
                while bytes.get(at).is_some_and(|b| *b > b' ') {
                    at += 1;
                }
            }
        }
    }
    first_error.map_or(Ok(()), Err)
}

fn syntax(at: usize, what: &str) -> String {
    format!("logfmt syntax error at pos {} : {what}", at + 1)
}

/// One pair from `at`, which stands on its first byte.
fn pair<'a>(line: &'a str, at: &mut usize) -> Result<(&'a str, Cow<'a, str>), String> {
    let bytes = line.as_bytes();
    let start = *at;
    while let Some(&b) = bytes.get(*at) {
        match b {
            b'=' if *at == start => return Err(syntax(*at, "unexpected '='")),
            b'"' => return Err(syntax(*at, "unexpected '\"'")),
            b'=' => break,
            0..=b' ' => break,
            _ => *at += 1,
        }
    }
    let key = &line[start..*at];
    if bytes.get(*at) != Some(&b'=') {
        return Ok((key, "".into()));
    }
    *at += 1;
    if bytes.get(*at) == Some(&b'"') {
        return quoted(line, at).map(|value| (key, value));
    }
    let from = *at;
    while let Some(&b) = bytes.get(*at) {
        match b {
            b'=' | b'"' => return Err(syntax(*at, &format!("unexpected '{}'", b as char))),
            0..=b' ' => break,
            _ => *at += 1,
        }
    }
    Ok((key, line[from..*at].into()))
}

fn quoted<'a>(line: &'a str, at: &mut usize) -> Result<Cow<'a, str>, String> {
    let bytes = line.as_bytes();
    let from = *at + 1;
    let (mut here, mut escaped) = (from, false);
    while let Some(&b) = bytes.get(here) {
        match b {
            b'"' => {
                *at = here + 1;
                let raw = &line[from..here];
                return Ok(if escaped { resolve(raw).into() } else { raw.into() });
            }
            b'\\' => {
                escaped = true;
                here += 2;
            }
            _ => here += 1,
        }
    }
    *at = bytes.len();
    Err(syntax(bytes.len(), "unterminated quoted value"))
}

fn resolve(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                out.push(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32).unwrap_or('\u{fffd}'));
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

/// Labels of all pairs.
pub(crate) fn all(line: &str, strict: bool, keep_empty: bool, fields: &mut Fields) {
    let mut name = String::new();
    let outcome = pairs(line, strict, |key, value| {
        if !value.is_empty() || keep_empty {
            name.clear();
            sanitize(key, &mut name);
            fields.extract(&name, &value);
        }
        true
    });
    note(outcome, strict, fields);
}

/// Labels of the pairs whose keys are wanted: (label, key).
pub(crate) fn some(line: &str, strict: bool, keep_empty: bool, keys: &[(String, String)], fields: &mut Fields) {
    let outcome = pairs(line, strict, |key, value| {
        for (label, _) in keys.iter().filter(|(_, k)| k == key) {
            if !value.is_empty() || keep_empty {
                fields.extract(label, &value);
            }
        }
        true
    });
    for (label, _) in keys {
        if fields.get(label).is_none() {
            fields.extract(label, "");
        }
    }
    note(outcome, strict, fields);
}

fn note(outcome: Result<(), String>, strict: bool, fields: &mut Fields) {
    if let Err(e) = outcome
        && strict
    {
        fields.fail("LogfmtParserErr", &e);
    }
}

/// Calls `each` for the pairs that have a value; for the listing of fields. Whether there were any.
pub(crate) fn leaves(line: &str, each: &mut dyn FnMut(&str, &str)) -> bool {
    let mut any = false;
    let _ = pairs(line, false, |key, value| {
        if !value.is_empty() {
            any = true;
            each(key, &value);
        }
        true
    });
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str, strict: bool) -> (Vec<String>, Option<String>) {
        let mut out = Vec::new();
        let outcome = pairs(line, strict, |k, v| {
            out.push(format!("{k}:{v}"));
            true
        });
        (out, outcome.err())
    }

    #[test]
    fn pairs_are_read() {
        let (found, error) = read(r#"a=1 msg="x \"y\"" flag b="" c=d"#, true);
        assert_eq!(found, ["a:1", "msg:x \"y\"", "flag:", "b:", "c:d"]);
        assert_eq!(error, None);
    }

    #[test]
    fn bad_words_are_skipped_or_stop() {
        let (found, error) = read(r#"a=1 bad"quote=1 b=2"#, false);
        assert_eq!(found, ["a:1", "b:2"]);
        assert!(error.is_some());
        let (found, error) = read(r#"a=1 bad"quote=1 b=2"#, true);
        assert_eq!((found.len(), error.unwrap().as_str()), (1, "logfmt syntax error at pos 8 : unexpected '\"'"));
        assert!(read("=x", false).1.is_some());
    }
}
