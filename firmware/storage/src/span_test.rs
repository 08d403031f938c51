//! Tests on spans that a store may use to skip what cannot match, and the exact way to apply them.

use bramble_signal::attributes::{AttributeValue, AttributesRef};
use bramble_signal::{SpanBatch, SpanEntry, SpanKind, StatusCode};
use regex::Regex;

/// Where attributes are looked for. Its order is the one in which answers list scopes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AttributeScope {
    /// The span, its resource or its instrumentation scope: any of them.
    Any,
    /// The span itself.
    Span,
    /// Who emitted it.
    Resource,
    /// The library that made it.
    Instrumentation,
    /// Any of its events.
    Event,
    /// Any of its links.
    Link,
}

/// A test on a value. An array passes when one of its elements does.
#[derive(Clone, Debug)]
pub enum ValueTest {
    /// Its text is this: strings as they are, numbers and truth values as OTLP/JSON prints them.
    Is(String),
    /// It is a string, and the expression matches it (anchored by who made it).
    Matches(Regex),
    /// It is a number, whole or not, between these, both inclusive.
    Within {
        /// Smallest.
        at_least: f64,
        /// Largest.
        at_most: f64,
    },
    /// It is there.
    Present,
}

impl PartialEq for ValueTest {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (ValueTest::Is(a), ValueTest::Is(b)) => a == b,
            (ValueTest::Matches(a), ValueTest::Matches(b)) => a.as_str() == b.as_str(),
            (ValueTest::Within { at_least: a, at_most: b }, ValueTest::Within { at_least: c, at_most: d }) => {
                (a, b) == (c, d)
            }
            (ValueTest::Present, ValueTest::Present) => true,
            _ => false,
        }
    }
}

impl ValueTest {
    /// The test for a text.
    pub fn is(text: &str) -> Self {
        ValueTest::Is(text.to_owned())
    }

    /// Whether a text passes.
    pub fn accepts_text(&self, value: &str) -> bool {
        match self {
            ValueTest::Is(text) => text == value,
            ValueTest::Matches(regex) => regex.is_match(value),
            ValueTest::Within { .. } => false,
            ValueTest::Present => true,
        }
    }

    /// Whether a value passes.
    pub fn accepts(&self, value: &AttributeValue<'_>) -> bool {
        match value {
            AttributeValue::Array(array) => {
                // Arrays within arrays have no text.
                let mut elements = array.iter().filter(|e| !matches!(e, AttributeValue::Array(_)));
                matches!(self, ValueTest::Present) || elements.any(|element| self.accepts_single(&element))
            }
            single => self.accepts_single(single),
        }
    }

    fn accepts_single(&self, value: &AttributeValue<'_>) -> bool {
        let within =
            |n: f64| matches!(self, ValueTest::Within { at_least, at_most } if (*at_least..=*at_most).contains(&n));
        let prints = |print: &dyn Fn() -> String| matches!(self, ValueTest::Is(text) if *text == print());
        match (self, value) {
            (ValueTest::Present, _) => true,
            (_, AttributeValue::Str(text)) => self.accepts_text(text),
            (_, AttributeValue::Int(i)) => within(*i as f64) || prints(&|| i.to_string()),
            (_, AttributeValue::Double(d)) => within(*d) || prints(&|| d.to_string()),
            (_, AttributeValue::Bool(b)) => prints(&|| b.to_string()),
            _ => false,
        }
    }

    /// Whether an attribute of this key passes.
    pub fn accepts_attribute(&self, attributes: AttributesRef<'_>, key: &str) -> bool {
        attributes.iter().any(|(k, v)| k == key && self.accepts(&v))
    }
}

/// A test on a span that a store may use to skip spans and traces. Stores that cannot tell cheaply may ignore any of
/// them: who asks judges again.
#[derive(Clone, Debug, PartialEq)]
pub enum SpanPredicate {
    /// All of these hold.
    All(Vec<SpanPredicate>),
    /// One of these holds.
    Any(Vec<SpanPredicate>),
    /// Of the service (resource attribute `service.name`, or `unknown_service`).
    Service(ValueTest),
    /// Of the operation.
    Name(ValueTest),
    /// Duration at least, nanoseconds.
    DurationAtLeast(u64),
    /// Duration at most, nanoseconds.
    DurationAtMost(u64),
    /// The role is this.
    Kind(SpanKind),
    /// The outcome is this.
    Status(StatusCode),
    /// It has no parent.
    Root,
    /// It was measured, and not made up to connect others ([`AttributesRef::is_synthetic`]).
    Measured,
    /// Of the name of one of its events.
    EventName(ValueTest),
    /// Of an attribute; absent ones fail.
    Attribute {
        /// Where.
        scope: AttributeScope,
        /// The key.
        key: String,
        /// Of its value.
        test: ValueTest,
    },
}

impl SpanPredicate {
    /// Whether a span passes, exactly.
    pub fn accepts(&self, batch: &SpanBatch, span: &SpanEntry) -> bool {
        match self {
            SpanPredicate::All(all) => all.iter().all(|p| p.accepts(batch, span)),
            SpanPredicate::Any(any) => any.iter().any(|p| p.accepts(batch, span)),
            SpanPredicate::Service(test) => test.accepts_text(batch.service(span)),
            SpanPredicate::Name(test) => test.accepts_text(batch.text(span.name)),
            SpanPredicate::DurationAtLeast(ns) => span.duration_ns() >= *ns,
            SpanPredicate::DurationAtMost(ns) => span.duration_ns() <= *ns,
            SpanPredicate::Kind(kind) => span.kind == *kind,
            SpanPredicate::Status(status) => span.status == *status,
            SpanPredicate::Root => span.parent_span_id.is_zero(),
            SpanPredicate::Measured => !batch.resource_attributes(span).is_synthetic(),
            SpanPredicate::EventName(test) => batch.events(span).any(|event| test.accepts_text(event.name)),
            SpanPredicate::Attribute { scope, key, test } => has_attribute(batch, span, *scope, key, test),
        }
    }
}

fn has_attribute(batch: &SpanBatch, span: &SpanEntry, scope: AttributeScope, key: &str, test: &ValueTest) -> bool {
    let own = || test.accepts_attribute(batch.attributes(span.attributes), key);
    let resource = || test.accepts_attribute(batch.resource_attributes(span), key);
    let library = || {
        let entry = batch.scopes.get(span.scope as usize);
        entry.is_some_and(|entry| test.accepts_attribute(batch.attributes(entry.attributes), key))
    };
    match scope {
        AttributeScope::Any => own() || resource() || library(),
        AttributeScope::Span => own(),
        AttributeScope::Resource => resource(),
        AttributeScope::Instrumentation => library(),
        AttributeScope::Event => batch.events(span).any(|event| test.accepts_attribute(event.attributes, key)),
        AttributeScope::Link => batch.links(span).any(|link| test.accepts_attribute(link.attributes, key)),
    }
}
