//! Line filters: those that the store applies, and those that run here.

use super::ip::IpMatcher;
use crate::syntax::{LineFilter, LineOp, LineText};
use bramble_line::pattern::Pattern;
use bramble_line::regexp::compile;
use bramble_storage::LinePredicate;

/// Adds what the store can do of `filter`; `true` when that is all of it.
pub(crate) fn predicates(filter: &LineFilter, out: &mut Vec<LinePredicate>) -> Result<bool, String> {
    let texts: Option<Vec<&str>> = filter
        .texts
        .iter()
        .map(|t| match t {
            LineText::Text(text) => Some(text.as_str()),
            LineText::Ip(_) => None,
        })
        .collect();
    let Some(texts) = texts else { return Ok(false) };
    match filter.op {
        LineOp::Contains => match texts.as_slice() {
            [""] => {}
            [one] => out.push(LinePredicate::Contains(one.as_bytes().to_vec())),
            many => {
                let any: Vec<String> = many.iter().map(|t| regex::escape(t)).collect();
                out.push(LinePredicate::Matches(compile(&any.join("|"))?));
            }
        },
        LineOp::NotContains => {
            out.extend(texts.iter().map(|t| LinePredicate::NotContains(t.as_bytes().to_vec())));
        }
        LineOp::Matches => {
            for text in &texts {
                compile(text)?;
            }
            let any: Vec<String> = texts.iter().map(|t| format!("(?:{t})")).collect();
            let one = if let [one] = texts.as_slice() { compile(one)? } else { compile(&any.join("|"))? };
            out.push(LinePredicate::Matches(one));
        }
        LineOp::NotMatches => {
            for text in &texts {
                out.push(LinePredicate::NotMatches(compile(text)?));
            }
        }
        LineOp::Pattern => {
            // The literals of the only pattern must all be there; whether they are in order is tested here.
            if let [one] = texts.as_slice() {
                let pattern = Pattern::new(one).and_then(Pattern::for_filter)?;
                out.extend(pattern.literals().map(|l| LinePredicate::Contains(l.to_vec())));
            }
            return Ok(false);
        }
        LineOp::NotPattern => return Ok(false),
    }
    Ok(true)
}

enum Test {
    Contains(Vec<u8>),
    Matches(regex::bytes::Regex),
    Pattern(Pattern),
    Ip(IpMatcher),
}

/// A line filter that runs here.
pub(crate) struct LineMatcher {
    tests: Vec<Test>,
    negate: bool,
}

impl LineMatcher {
    pub(crate) fn new(filter: &LineFilter) -> Result<Self, String> {
        let negate = matches!(filter.op, LineOp::NotContains | LineOp::NotMatches | LineOp::NotPattern);
        let test = |text: &LineText| -> Result<Test, String> {
            Ok(match (text, filter.op) {
                (LineText::Ip(text), _) => Test::Ip(IpMatcher::new(text)?),
                (LineText::Text(text), LineOp::Contains | LineOp::NotContains) => {
                    Test::Contains(text.as_bytes().to_vec())
                }
                (LineText::Text(text), LineOp::Matches | LineOp::NotMatches) => Test::Matches(compile(text)?),
                (LineText::Text(text), _) => Test::Pattern(Pattern::new(text).and_then(Pattern::for_filter)?),
            })
        };
        Ok(LineMatcher { tests: filter.texts.iter().map(test).collect::<Result<_, _>>()?, negate })
    }

    pub(crate) fn accepts(&self, line: &[u8]) -> bool {
        let matches = |test: &Test| match test {
            Test::Contains(needle) => memchr::memmem::find(line, needle).is_some(),
            Test::Matches(regex) => regex.is_match(line),
            Test::Pattern(pattern) => pattern.matches(line),
            Test::Ip(ip) => ip.found_in(line),
        };
        self.tests.iter().any(matches) != self.negate
    }
}
