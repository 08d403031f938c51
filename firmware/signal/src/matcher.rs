//! Label matchers.

use regex::{Regex, RegexBuilder};
use std::fmt;

/// How a matcher compares.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends
    Regex,
    /// `!~`, anchored at both ends
    NotRegex,
}

impl fmt::Display for MatchOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        })
    }
}

/// A regular expression that does not compile, or is too large.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct MatcherError(pub String);

/// A test on one label. A label that is absent has the empty value.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// The label's name.
    pub name: String,
    /// The comparison.
    pub op: MatchOp,
    /// What to compare with: a text, or the expression's source.
    pub value: String,
    regex: Option<Regex>,
}

/// Upper bound of a compiled expression's size in bytes, so that a query cannot eat the query budget by itself.
const REGEX_SIZE_MAX_BYTES: usize = 1 << 20;

impl Matcher {
    /// A matcher.
    ///
    /// # Errors
    /// [`MatcherError`] when a regular expression does not compile or compiles to more than 1 MiB.
    pub fn new(name: impl Into<String>, op: MatchOp, value: impl Into<String>) -> Result<Self, MatcherError> {
        let (name, value) = (name.into(), value.into());
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            // As Prometheus: the whole value must match, and `.` matches a line break too.
            MatchOp::Regex | MatchOp::NotRegex => Some(
                RegexBuilder::new(&format!("^(?s:{value})$"))
                    .size_limit(REGEX_SIZE_MAX_BYTES)
                    .build()
                    .map_err(|e| MatcherError(e.to_string()))?,
            ),
        };
        Ok(Matcher { name, op, value, regex })
    }

    /// `name = value`.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Matcher { name: name.into(), op: MatchOp::Equal, value: value.into(), regex: None }
    }

    /// Whether a label with this value (empty for an absent label) matches.
    pub fn matches(&self, value: &str) -> bool {
        let regex_matches = || self.regex.as_ref().is_some_and(|r| r.is_match(value));
        match self.op {
            MatchOp::Equal => self.value == value,
            MatchOp::NotEqual => self.value != value,
            MatchOp::Regex => regex_matches(),
            MatchOp::NotRegex => !regex_matches(),
        }
    }

    /// Whether an absent label matches.
    pub fn matches_absent(&self) -> bool {
        self.matches("")
    }

    /// For an expression that is only an alternation of literals (`a|b|c`), these literals.
    pub fn alternatives(&self) -> Option<Vec<&str>> {
        let plain = |s: &str| {
            s.bytes().all(|b| {
                b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b':' | b'/' | b' ' | b'@' | b'%' | b',')
            })
        };
        match self.op {
            MatchOp::Regex => {
                let parts: Vec<&str> = self.value.split('|').collect();
                parts.iter().all(|p| plain(p)).then_some(parts)
            }
            _ => None,
        }
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:?}", self.name, self.op, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(op: MatchOp, pattern: &str, value: &str, expected: bool) {
        let matcher = Matcher::new("l", op, pattern).unwrap();
        assert_eq!(matcher.matches(value), expected, "{matcher} on {value:?}");
    }

    #[test]
    fn comparisons() {
        check(MatchOp::Equal, "a", "a", true);
        check(MatchOp::Equal, "", "", true);
        check(MatchOp::NotEqual, "a", "", true);
        check(MatchOp::Regex, "a|b", "b", true);
        check(MatchOp::Regex, "a|b", "ab", false);
        check(MatchOp::Regex, ".*", "x\ny", true);
        check(MatchOp::NotRegex, ".+", "", true);
    }

    #[test]
    fn bad_and_huge_expressions_are_refused() {
        assert!(Matcher::new("l", MatchOp::Regex, "a(").is_err());
        assert!(Matcher::new("l", MatchOp::Regex, r"((\w{100}){100}){100}").is_err());
    }

    #[test]
    fn alternatives_are_literals_only() {
        let of = |p: &str| Matcher::new("l", MatchOp::Regex, p).unwrap().alternatives().map(|a| a.len());
        assert_eq!((of("a|b-1"), of("a.c"), of("x")), (Some(2), None, Some(1)));
    }
}
