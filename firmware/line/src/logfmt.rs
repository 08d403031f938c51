//! logfmt lines: `level=info msg="a b" flag`.

use std::borrow::Cow;
use std::fmt;

/// What stands where it may not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Byte(u8),
    Unterminated,
}

/// Where a line stops being logfmt. The text is the one that Loki shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogfmtError {
    /// Offset, bytes.
    pub at: usize,
    what: What,
}

impl std::error::Error for LogfmtError {}

impl fmt::Display for LogfmtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "logfmt syntax error at pos {} : ", self.at + 1)?;
        match self.what {
            What::Byte(b) => write!(f, "unexpected '{}'", b as char),
            What::Unterminated => f.write_str("unterminated quoted value"),
        }
    }
}

/// Calls `each(key, value)` for the pairs of a line until it returns `false`. A key without a value has an empty one.
///
/// # Errors
/// The first thing that is not logfmt; `strict` stops there, otherwise the rest of the word is skipped.
pub fn pairs<'a>(
    line: &'a str,
    strict: bool,
    mut each: impl FnMut(&'a str, Cow<'a, str>) -> bool,
) -> Result<(), LogfmtError> {
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

fn unexpected<T>(at: usize, byte: u8) -> Result<T, LogfmtError> {
    Err(LogfmtError { at, what: What::Byte(byte) })
}

/// One pair from `at`, which stands on its first byte.
fn pair<'a>(line: &'a str, at: &mut usize) -> Result<(&'a str, Cow<'a, str>), LogfmtError> {
    let bytes = line.as_bytes();
    let start = *at;
    while let Some(&b) = bytes.get(*at) {
        match b {
            b'=' if *at == start => return unexpected(*at, b),
            b'"' => return unexpected(*at, b),
            b'=' | 0..=b' ' => break,
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
            b'=' | b'"' => return unexpected(*at, b),
            0..=b' ' => break,
            _ => *at += 1,
        }
    }
    Ok((key, line[from..*at].into()))
}

fn quoted<'a>(line: &'a str, at: &mut usize) -> Result<Cow<'a, str>, LogfmtError> {
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
    Err(LogfmtError { at: bytes.len(), what: What::Unterminated })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str, strict: bool) -> (Vec<String>, Option<String>) {
        let mut out = Vec::new();
        let outcome = pairs(line, strict, |k, v| {
            out.push(format!("{k}:{v}"));
            true
        });
        (out, outcome.err().map(|e| e.to_string()))
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
