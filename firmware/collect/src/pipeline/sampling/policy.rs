//! Judging whole traces.

use super::TailOptions;
use super::consistent::Share;
use bramble_signal::{SpanBatch, SpanEntry, StatusCode};
use bramble_storage::{AttributeScope, SpanPredicate, ValueTest};
use regex::Regex;
use std::fmt;
use std::str::FromStr;

/// Why a trace is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Why {
    Error,
    Slow,
    Attribute,
    Share,
}

impl Why {
    /// The value of the label `reason`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Why::Error => "error",
            Why::Slow => "slow",
            Why::Attribute => "attribute",
            Why::Share => "share",
        }
    }
}

/// A test on an attribute of a span, its resource or its library: `key`, `key=value` or `key=~expression` (of the whole
/// value).
#[derive(Clone, Debug, PartialEq)]
pub struct AttributeRule {
    text: String,
    predicate: SpanPredicate,
}

/// A rule that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError(String);

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RuleError {}

impl FromStr for AttributeRule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let (key, test) = match text.split_once('=') {
            None => (text, ValueTest::Present),
            Some((key, expression)) if expression.starts_with('~') => {
                let anchored = format!("^(?s:{})$", &expression[1..]);
                let regex = Regex::new(&anchored).map_err(|error| RuleError(format!("{text:?}: {error}")))?;
                (key, ValueTest::Matches(regex))
            }
            Some((key, value)) => (key, ValueTest::is(value)),
        };
        match key.trim() {
            "" => Err(RuleError(format!("{text:?} names no attribute"))),
            key => {
                let predicate = SpanPredicate::Attribute { scope: AttributeScope::Any, key: key.to_owned(), test };
                Ok(AttributeRule { text: text.to_owned(), predicate })
            }
        }
    }
}

impl fmt::Display for AttributeRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What of the options is about single traces.
pub(super) struct Policy {
    errors: bool,
    slow_root_ns: u64,
    slow_span_ns: u64,
    attributes: Vec<AttributeRule>,
    rest: Share,
}

impl Policy {
    pub(super) fn new(options: &TailOptions) -> Self {
        let ns = |time: Option<std::time::Duration>| time.map_or(u64::MAX, |time| time.as_nanos() as u64);
        Policy {
            errors: options.errors,
            slow_root_ns: ns(options.slow_root),
            slow_span_ns: ns(options.slow_span),
            attributes: options.attributes.clone(),
            rest: options.rest,
        }
    }

    /// Why a trace is kept, or `None`. `batch` holds its spans and no others.
    pub(super) fn judge(&self, batch: &SpanBatch) -> Option<Why> {
        let slow = |span: &SpanEntry| {
            let root = span.parent_span_id.is_zero() && span.duration_ns() >= self.slow_root_ns;
            root || span.duration_ns() >= self.slow_span_ns
        };
        let (mut is_slow, mut has_attribute) = (false, false);
        for span in &batch.spans {
            if self.errors && span.status == StatusCode::Error {
                return Some(Why::Error);
            }
            is_slow |= slow(span);
            has_attribute |= self.attributes.iter().any(|rule| rule.predicate.accepts(batch, span));
        }
        let kept_by_share = || {
            let first = batch.spans.first()?;
            let state = batch.spans.iter().map(|span| batch.text(span.trace_state)).find(|state| !state.is_empty());
            self.rest.keeps(first.trace_id, state.unwrap_or("")).then_some(Why::Share)
        };
        match (is_slow, has_attribute) {
            (true, _) => Some(Why::Slow),
            (_, true) => Some(Why::Attribute),
            _ => kept_by_share(),
        }
    }
}
