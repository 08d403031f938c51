//! Paths into an object: `user.roles[0]["x-id"]`.

use super::scan::Scanner;
use super::{JsonError, Raw, members, unescape};

#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    Key(String),
    Index(usize),
}

/// A path, at least one step long.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Path(Vec<Step>);

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// What was found where something else is expected, in the words of Loki's grammar.
    pub fn parse(text: &str) -> Result<Self, String> {
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

    /// The value at the path in the object that `text` is.
    ///
    /// # Errors
    /// Where the text breaks off before the value was found.
    pub fn find<'a>(&self, text: &'a str) -> Result<Option<Raw<'a>>, JsonError> {
        let mut here = Raw::Object(text);
        for step in &self.0 {
            let found = match (step, here) {
                (Step::Key(wanted), Raw::Object(text)) => member(text, wanted)?,
                (Step::Index(n), Raw::Array(text)) => element(text, *n)?,
                _ => None,
            };
            match found {
                Some(value) => here = value,
                None => return Ok(None),
            }
        }
        Ok(Some(here))
    }
}

fn member<'a>(text: &'a str, wanted: &str) -> Result<Option<Raw<'a>>, JsonError> {
    for member in members(text) {
        let (key, value) = member?;
        if unescape(key) == wanted {
            return Ok(Some(value));
        }
    }
    Ok(None)
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

/// Element `index`, from 0, of the array that `text` is, its brackets included.
///
/// # Errors
/// Where the text breaks off before the element.
pub fn element(text: &str, index: usize) -> Result<Option<Raw<'_>>, JsonError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let find = |path: &str, line| Path::parse(path).unwrap().find(line).unwrap();
        assert_eq!(find("a.b[1].c", r#"{"a":{"b":[0,{"c":"x"}]}}"#), Some(Raw::Str("x")));
        assert_eq!(find(r#"["w k!"]"#, r#"{"w k!":5}"#), Some(Raw::Plain("5")));
        assert_eq!(find("a.b", r#"{"a":1}"#), None);
        assert_eq!(find("l[2]", r#"{"l":[1, 2]}"#), None);
        assert_eq!(Path::parse("user..id").unwrap_err(), "unexpected DOT, expecting FIELD");
        assert!(Path::parse("a[x]").is_err() && Path::parse("").is_err() && Path::parse("a[1").is_err());
    }
}
