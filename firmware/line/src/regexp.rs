//! Named captures of a regular expression.

use crate::name::is_plain;
use regex::bytes::{CaptureLocations, Regex, RegexBuilder};

/// Upper bound of a compiled expression, bytes.
const SIZE_MAX_BYTES: usize = 1 << 20;

/// Compiles an expression over the bytes of lines.
///
/// # Errors
/// Go's complaint about it, as near as may be.
pub fn compile(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text).size_limit(SIZE_MAX_BYTES).build().map_err(|e| complaint(text, &e))
}

/// Go's complaint about the expression `text`, as near as the reason `error` allows.
pub fn complaint(text: &str, error: &regex::Error) -> String {
    let error = match error {
        regex::Error::CompiledTooBig(_) => return format!("error parsing regexp: expression too large: `{text}`"),
        other => other.to_string(),
    };
    let reason = error.lines().last().unwrap_or("").trim_start_matches("error: ");
    let reason = match reason {
        "unclosed group" => "missing closing )",
        "unopened group" => "unexpected )",
        "unclosed character class" => "missing closing ]",
        "repetition operator missing expression" => "missing argument to repetition operator",
        other => other,
    };
    format!("error parsing regexp: {reason}: `{text}`")
}

/// An expression with at least one named capture.
#[derive(Clone, Debug)]
pub struct Captures {
    regex: Regex,
    /// (group, name)
    names: Vec<(usize, String)>,
}

impl Captures {
    /// Compiles an expression.
    ///
    /// # Errors
    /// What is wrong with it, in Loki's words.
    pub fn new(text: &str) -> Result<Self, String> {
        let regex = compile(text).map_err(|complaint| {
            // Our engine refuses a name that repeats as a syntax error; Loki's text names it.
            duplicate_group(text).map_or(complaint, |n| format!("duplicate extracted label name '{n}'"))
        })?;
        let names: Vec<(usize, String)> =
            regex.capture_names().enumerate().filter_map(|(i, n)| n.map(|n| (i, n.to_owned()))).collect();
        if names.is_empty() {
            return Err("at least one named capture must be supplied".to_owned());
        }
        if let Some((_, name)) = names.iter().find(|(_, n)| !is_plain(n)) {
            return Err(format!("invalid extracted label name '{name}'"));
        }
        Ok(Captures { regex, names })
    }

    /// Scratch for [`read`](Self::read).
    pub fn locations(&self) -> CaptureLocations {
        self.regex.capture_locations()
    }

    /// Calls `found(name, value)` for the named captures of the first match; a group that took no part has an empty
    /// value. `locations`: of this expression. Whether there is a match.
    pub fn read(&self, line: &[u8], locations: &mut CaptureLocations, mut found: impl FnMut(&str, &[u8])) -> bool {
        if self.regex.captures_read(locations, line).is_none() {
            return false;
        }
        for (group, name) in &self.names {
            let value = locations.get(*group).and_then(|(start, end)| line.get(start..end));
            found(name, value.unwrap_or(b""));
        }
        true
    }
}

fn duplicate_group(text: &str) -> Option<&str> {
    let mut seen = Vec::new();
    for part in text.split("(?P<").skip(1) {
        let name = part.split('>').next()?;
        if seen.contains(&name) {
            return Some(name);
        }
        seen.push(name);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures() {
        let captures = Captures::new(r"(?P<a>\d+)(?: (?P<b>x))? (\w)").unwrap();
        let mut out = Vec::new();
        let mut locations = captures.locations();
        let mut read = |line: &[u8]| {
            captures.read(line, &mut locations, |n, v| out.push(format!("{n}={}", String::from_utf8_lossy(v))))
        };
        assert!(read(b"- 12 x y") && read(b"3 z") && !read(b"none"));
        assert_eq!(out, ["a=12", "b=x", "a=3", "b="]);
    }

    #[test]
    fn complaints() {
        let complain = |text: &str| Captures::new(text).unwrap_err();
        assert_eq!(complain("("), "error parsing regexp: missing closing ): `(`");
        assert_eq!(complain("(?P<a>x)(?P<a>y)"), "duplicate extracted label name 'a'");
        assert_eq!(complain("abc"), "at least one named capture must be supplied");
        assert!(compile("(?:a{1000}){1000}").unwrap_err().contains("too large"));
    }
}
