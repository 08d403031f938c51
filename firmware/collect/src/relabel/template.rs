//! `$1`, `${name}`: what replacements and target labels say of an expression's groups.
//!
//! As Go's `Regexp.Expand`, which Prometheus uses: a name is the longest run of letters, digits and underscores, `$$` is
//! a dollar, a dollar that begins no name means itself, and a group that does not exist is empty.

use regex::{Captures, Regex};

/// A piece of a template.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Text(String),
    Group(usize),
    /// A group that the expression does not have.
    Nothing,
}

/// A template, resolved against the groups of an expression.
#[derive(Clone, Debug)]
pub(super) struct Template(Vec<Piece>);

/// Whether `template` names groups: then it must be expanded.
pub(super) fn has_variables(template: &str) -> bool {
    template.contains('$')
}

impl Template {
    /// `template` for captures of `regex`.
    pub(super) fn new(template: &str, regex: &Regex) -> Self {
        let (mut pieces, mut rest) = (Vec::new(), template);
        while let Some((before, after)) = rest.split_once('$') {
            push_text(&mut pieces, before);
            rest = if let Some(behind) = after.strip_prefix('$') {
                push_text(&mut pieces, "$");
                behind
            } else if let Some((name, behind)) = variable(after) {
                pieces.push(group(name, regex));
                behind
            } else {
                push_text(&mut pieces, "$");
                after
            };
        }
        push_text(&mut pieces, rest);
        Template(pieces)
    }

    /// Appends what the template says of `captures`.
    pub(super) fn expand(&self, captures: &Captures<'_>, out: &mut String) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Group(group) => out.push_str(captures.get(*group).map_or("", |found| found.as_str())),
                Piece::Nothing => {}
            }
        }
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Text(last)) => last.push_str(text),
        _ => pieces.push(Piece::Text(text.to_owned())),
    }
}

/// The name behind a dollar, and what follows it.
fn variable(text: &str) -> Option<(&str, &str)> {
    let is_name = |c: char| c == '_' || c.is_alphanumeric();
    let (braced, text) = text.strip_prefix('{').map_or((false, text), |inner| (true, inner));
    let end = text.find(|c| !is_name(c)).unwrap_or(text.len());
    let (name, behind) = (text.get(..end)?, text.get(end..)?);
    let behind = if braced { behind.strip_prefix('}')? } else { behind };
    (!name.is_empty()).then_some((name, behind))
}

fn group(name: &str, regex: &Regex) -> Piece {
    let index = match name.parse::<usize>() {
        // Go reads `01` as a name.
        Ok(index) if name == "0" || !name.starts_with('0') => (index < regex.captures_len()).then_some(index),
        _ => regex.capture_names().position(|found| found == Some(name)),
    };
    index.map_or(Piece::Nothing, Piece::Group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_expand_as_in_go() {
        let regex = Regex::new("^(?s:(a+)(?P<rest>.*))$").unwrap();
        let captures = regex.captures("aab").unwrap();
        for (template, expected) in [
            ("$1", "aa"),
            ("${1}x", "aax"),
            ("$1x", ""),
            ("$rest-$1", "b-aa"),
            ("${rest}$$1", "b$1"),
            ("$", "$"),
            ("${1", "${1"),
            ("${}", "${}"),
            ("a$-", "a$-"),
            ("$0", "aab"),
            ("$9|$none", "|"),
            ("plain", "plain"),
        ] {
            let mut out = String::new();
            Template::new(template, &regex).expand(&captures, &mut out);
            assert_eq!(out, expected, "{template}");
        }
    }
}
