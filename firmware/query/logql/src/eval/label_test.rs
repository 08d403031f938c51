//! Label filters.

use super::fields::Fields;
use super::ip::IpMatcher;
use crate::syntax::{Comparison, LabelTest, Operand, parse_bytes, parse_duration, quote};
use bramble_signal::Matcher;

/// A label filter ready to run.
pub(crate) enum LabelFilter {
    Match(Matcher),
    Compare { name: String, op: Comparison, with: Operand },
    Ip { name: String, negate: bool, ip: IpMatcher },
    And(Box<LabelFilter>, Box<LabelFilter>),
    Or(Box<LabelFilter>, Box<LabelFilter>),
}

/// Go's complaint about a number.
pub(crate) fn parse_float(text: &str) -> Result<f64, String> {
    let plain = text.trim_start_matches(['+', '-']);
    let word = plain.eq_ignore_ascii_case("infinity")
        || plain.eq_ignore_ascii_case("inf")
        || plain.eq_ignore_ascii_case("nan");
    match text.parse::<f64>() {
        Ok(value) if word || value.is_finite() => Ok(value),
        Ok(_) => Err(format!("strconv.ParseFloat: parsing {}: value out of range", quote(text))),
        Err(_) => Err(format!("strconv.ParseFloat: parsing {}: invalid syntax", quote(text))),
    }
}

fn compare(op: Comparison, a: f64, b: f64) -> bool {
    match op {
        Comparison::Equal => a == b,
        Comparison::NotEqual => a != b,
        Comparison::Greater => a > b,
        Comparison::GreaterEqual => a >= b,
        Comparison::Less => a < b,
        Comparison::LessEqual => a <= b,
    }
}

impl LabelFilter {
    pub(crate) fn new(test: &LabelTest) -> Result<Self, String> {
        Ok(match test {
            LabelTest::Match(m) => LabelFilter::Match(m.clone()),
            LabelTest::Compare { name, op, with } => {
                LabelFilter::Compare { name: name.clone(), op: *op, with: with.clone() }
            }
            LabelTest::Ip { name, negate, text } => {
                LabelFilter::Ip { name: name.clone(), negate: *negate, ip: IpMatcher::new(text)? }
            }
            LabelTest::And(a, b) => LabelFilter::And(Box::new(Self::new(a)?), Box::new(Self::new(b)?)),
            LabelTest::Or(a, b) => LabelFilter::Or(Box::new(Self::new(a)?), Box::new(Self::new(b)?)),
        })
    }

    /// Whether the row stays. A value that cannot be compared stays and is marked with an error, and rows with an
    /// error pass everything but matchers, as in Loki.
    pub(crate) fn accepts(&self, fields: &mut Fields) -> bool {
        match self {
            LabelFilter::Match(m) => m.matches(fields.get(&m.name).unwrap_or("")),
            LabelFilter::Compare { name, op, with } => {
                let Some(value) = fields.get(name) else { return false };
                if fields.error().is_some() {
                    return true;
                }
                let (left, right) = match with {
                    Operand::Number(n) => (parse_float(value), *n),
                    Operand::Duration(ns) => (parse_duration(value, false).map(|v| v as f64), *ns as f64),
                    Operand::Bytes(n) => (parse_bytes(value).map(|v| v as f64), *n as f64),
                };
                match left {
                    Ok(left) => compare(*op, left, right),
                    Err(e) => {
                        fields.fail("LabelFilterErr", &e);
                        true
                    }
                }
            }
            LabelFilter::Ip { name, negate, ip } => {
                if fields.error().is_some() {
                    return true;
                }
                fields.get(name).is_some_and(|value| ip.is(value) != *negate)
            }
            LabelFilter::And(a, b) => a.accepts(fields) && b.accepts(fields),
            LabelFilter::Or(a, b) => a.accepts(fields) || b.accepts(fields),
        }
    }
}
