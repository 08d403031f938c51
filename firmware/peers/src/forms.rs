//! Matchers and predicates as JSON. They are compiled while they are read, so that what does not compile is a bad request.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bramble_signal::{MatchOp, Matcher, SpanKind, StatusCode};
use bramble_storage::{AttributeScope, LinePredicate, SpanPredicate, ValueTest};
use serde::{Deserialize, Serialize};

/// Upper bound of a compiled expression, bytes; that of the languages that make them.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// A [`Matcher`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "(String, String, String)", into = "(String, String, String)")]
pub(crate) struct Test(pub(crate) Matcher);

impl From<Test> for (String, String, String) {
    fn from(Test(matcher): Test) -> Self {
        (matcher.name, matcher.op.to_string(), matcher.value)
    }
}

impl TryFrom<(String, String, String)> for Test {
    type Error = String;

    fn try_from((name, op, value): (String, String, String)) -> Result<Self, String> {
        let op = match op.as_str() {
            "=" => MatchOp::Equal,
            "!=" => MatchOp::NotEqual,
            "=~" => MatchOp::Regex,
            "!~" => MatchOp::NotRegex,
            other => return Err(format!("no such comparison: {other:?}")),
        };
        Matcher::new(name, op, value).map(Test).map_err(|error| error.to_string())
    }
}

/// A [`LinePredicate`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "LineForm", into = "LineForm")]
pub(crate) struct Line(pub(crate) LinePredicate);

/// Bytes are in base64, since a line is any bytes.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum LineForm {
    Contains(String),
    NotContains(String),
    Matches(String),
    NotMatches(String),
}

impl From<Line> for LineForm {
    fn from(Line(predicate): Line) -> Self {
        match predicate {
            LinePredicate::Contains(bytes) => LineForm::Contains(STANDARD.encode(bytes)),
            LinePredicate::NotContains(bytes) => LineForm::NotContains(STANDARD.encode(bytes)),
            LinePredicate::Matches(regex) => LineForm::Matches(regex.as_str().to_owned()),
            LinePredicate::NotMatches(regex) => LineForm::NotMatches(regex.as_str().to_owned()),
        }
    }
}

impl TryFrom<LineForm> for Line {
    type Error = String;

    fn try_from(form: LineForm) -> Result<Self, String> {
        let bytes = |text: &str| STANDARD.decode(text).map_err(|error| format!("no base64: {error}"));
        let regex = |text: &str| {
            let built = regex::bytes::RegexBuilder::new(text).size_limit(REGEX_BYTES_MAX).build();
            built.map_err(|error| error.to_string())
        };
        Ok(Line(match form {
            LineForm::Contains(text) => LinePredicate::Contains(bytes(&text)?),
            LineForm::NotContains(text) => LinePredicate::NotContains(bytes(&text)?),
            LineForm::Matches(text) => LinePredicate::Matches(regex(&text)?),
            LineForm::NotMatches(text) => LinePredicate::NotMatches(regex(&text)?),
        }))
    }
}

/// An [`AttributeScope`], by name.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(remote = "AttributeScope", rename_all = "snake_case")]
pub(crate) enum Wanted {
    Any,
    Span,
    Resource,
    Instrumentation,
    Event,
    Link,
}

/// A [`ValueTest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "ValueForm", into = "ValueForm")]
pub(crate) struct Value(ValueTest);

/// Bounds by their bits: JSON has no infinity.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ValueForm {
    Is(String),
    Matches(String),
    WithinBits(u64, u64),
    Present,
}

impl From<Value> for ValueForm {
    fn from(Value(test): Value) -> Self {
        match test {
            ValueTest::Is(text) => ValueForm::Is(text),
            ValueTest::Matches(regex) => ValueForm::Matches(regex.as_str().to_owned()),
            ValueTest::Within { at_least, at_most } => ValueForm::WithinBits(at_least.to_bits(), at_most.to_bits()),
            ValueTest::Present => ValueForm::Present,
        }
    }
}

impl TryFrom<ValueForm> for Value {
    type Error = String;

    fn try_from(form: ValueForm) -> Result<Self, String> {
        Ok(Value(match form {
            ValueForm::Is(text) => ValueTest::Is(text),
            ValueForm::Matches(text) => {
                let built = regex::RegexBuilder::new(&text).size_limit(REGEX_BYTES_MAX).build();
                ValueTest::Matches(built.map_err(|error| error.to_string())?)
            }
            ValueForm::WithinBits(at_least, at_most) => {
                ValueTest::Within { at_least: f64::from_bits(at_least), at_most: f64::from_bits(at_most) }
            }
            ValueForm::Present => ValueTest::Present,
        }))
    }
}

/// A [`SpanPredicate`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "PredicateForm", into = "PredicateForm")]
pub(crate) struct Predicate(pub(crate) SpanPredicate);

/// Kinds and outcomes by OTLP's numbers.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PredicateForm {
    All(Vec<Predicate>),
    Any(Vec<Predicate>),
    Service(Value),
    Name(Value),
    DurationAtLeastNs(u64),
    DurationAtMostNs(u64),
    Kind(u8),
    Status(u8),
    Root,
    Measured,
    EventName(Value),
    Attribute {
        #[serde(with = "Wanted")]
        scope: AttributeScope,
        key: String,
        test: Value,
    },
}

impl From<Predicate> for PredicateForm {
    fn from(Predicate(predicate): Predicate) -> Self {
        let each = |all: Vec<SpanPredicate>| all.into_iter().map(Predicate).collect();
        match predicate {
            SpanPredicate::All(all) => PredicateForm::All(each(all)),
            SpanPredicate::Any(any) => PredicateForm::Any(each(any)),
            SpanPredicate::Service(test) => PredicateForm::Service(Value(test)),
            SpanPredicate::Name(test) => PredicateForm::Name(Value(test)),
            SpanPredicate::DurationAtLeast(ns) => PredicateForm::DurationAtLeastNs(ns),
            SpanPredicate::DurationAtMost(ns) => PredicateForm::DurationAtMostNs(ns),
            SpanPredicate::Kind(kind) => PredicateForm::Kind(kind as u8),
            SpanPredicate::Status(status) => PredicateForm::Status(status as u8),
            SpanPredicate::Root => PredicateForm::Root,
            SpanPredicate::Measured => PredicateForm::Measured,
            SpanPredicate::EventName(test) => PredicateForm::EventName(Value(test)),
            SpanPredicate::Attribute { scope, key, test } => PredicateForm::Attribute { scope, key, test: Value(test) },
        }
    }
}

impl From<PredicateForm> for Predicate {
    fn from(form: PredicateForm) -> Self {
        let each = |all: Vec<Predicate>| all.into_iter().map(|predicate| predicate.0).collect();
        Predicate(match form {
            PredicateForm::All(all) => SpanPredicate::All(each(all)),
            PredicateForm::Any(any) => SpanPredicate::Any(each(any)),
            PredicateForm::Service(test) => SpanPredicate::Service(test.0),
            PredicateForm::Name(test) => SpanPredicate::Name(test.0),
            PredicateForm::DurationAtLeastNs(ns) => SpanPredicate::DurationAtLeast(ns),
            PredicateForm::DurationAtMostNs(ns) => SpanPredicate::DurationAtMost(ns),
            PredicateForm::Kind(code) => SpanPredicate::Kind(SpanKind::from_code(code.into())),
            PredicateForm::Status(code) => SpanPredicate::Status(StatusCode::from_code(code.into())),
            PredicateForm::Root => SpanPredicate::Root,
            PredicateForm::Measured => SpanPredicate::Measured,
            PredicateForm::EventName(test) => SpanPredicate::EventName(test.0),
            PredicateForm::Attribute { scope, key, test } => SpanPredicate::Attribute { scope, key, test: test.0 },
        })
    }
}

/// Ids of traces as 32 hex digits.
pub(crate) mod hex_id {
    use bramble_signal::TraceId;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(id: &TraceId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TraceId, D::Error> {
        let text = String::deserialize(deserializer)?;
        TraceId::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("no trace id: {text:?}")))
    }
}
