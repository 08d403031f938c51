//! Tags of a search: each must be met anywhere in the span, compared as text.

use super::model;
use bramble_signal::attributes::AttributesRef;
use bramble_signal::{SpanBatch, SpanEntry, SpanKind, StatusCode};
use bramble_storage::{AttributeScope, SpanPredicate, ValueTest};

/// Whether a span has the tag among its attributes, derived tags, resource, scope, events or links.
pub(super) fn has_tag(batch: &SpanBatch, span: &SpanEntry, key: &str, text: &str) -> bool {
    let within = |attributes: AttributesRef<'_>| attributes.iter().any(|(k, v)| k == key && model::text_of(v) == *text);
    let scope = batch.scopes.get(span.scope as usize);
    within(batch.attributes(span.attributes))
        || within(batch.resource_attributes(span))
        || scope.is_some_and(|scope| within(batch.attributes(scope.attributes)))
        || model::derived_tags(batch, span).iter().any(|(k, v)| *k == key && v == text)
        || batch.events(span).any(|e| within(e.attributes) || (key == "event" && e.name == text))
        || batch.links(span).any(|l| within(l.attributes))
}

/// What a store may skip by, for a tag; nothing for values that it cannot compare as text: lists, arrays as a whole,
/// and tags whose text the span does not hold as it is.
pub(super) fn predicate(key: &str, text: &str) -> Option<SpanPredicate> {
    if text.starts_with(['[', '{']) || text == "null" || text.is_empty() || key.starts_with("otel.scope.") {
        return None;
    }
    let attribute = |scope, test| SpanPredicate::Attribute { scope, key: key.to_owned(), test };
    let scopes = [AttributeScope::Any, AttributeScope::Event, AttributeScope::Link];
    let mut any: Vec<SpanPredicate> = scopes.iter().map(|scope| attribute(*scope, ValueTest::is(text))).collect();
    if let Ok(number) = text.parse::<f64>() {
        // A double prints in several ways.
        let test = ValueTest::Within { at_least: number, at_most: number };
        any.extend(scopes.iter().map(|scope| attribute(*scope, test.clone())));
    }
    match key {
        "event" => any.push(SpanPredicate::EventName(ValueTest::is(text))),
        "error" => any.push(SpanPredicate::Status(StatusCode::Error)),
        "span.kind" => any.extend(kind_of(text).map(SpanPredicate::Kind)),
        "otel.status_code" => {
            any.extend([StatusCode::Ok, StatusCode::Error].map(SpanPredicate::Status));
        }
        "otel.status_description" | "w3c.tracestate" => return None,
        _ => {}
    }
    Some(SpanPredicate::Any(any))
}

fn kind_of(word: &str) -> Option<SpanKind> {
    (0..=5).map(SpanKind::from_code).find(|kind| kind.as_str() == word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_signal::attributes::{AttributeValue, put_attribute};
    use bramble_signal::{ResourceEntry, ScopeEntry};

    #[test]
    fn a_store_never_skips_what_has_the_tag() {
        let mut batch = SpanBatch::new();
        batch.resources.push(ResourceEntry::default());
        batch.scopes.push(ScopeEntry::default());
        let mut encoded = Vec::new();
        let values = [
            AttributeValue::Str("x y"),
            AttributeValue::Int(-3),
            AttributeValue::Double(5.0),
            AttributeValue::Bool(true),
        ];
        values.into_iter().for_each(|value| put_attribute(&mut encoded, "k", value));
        let attributes = batch.put(&encoded);
        let span = SpanEntry { attributes, kind: SpanKind::Client, status: StatusCode::Error, ..Default::default() };
        for (key, text, there) in [
            ("k", "x y", true),
            ("k", "-3", true),
            ("k", "5.0", true),
            ("k", "true", true),
            ("k", "x", false),
            ("error", "true", true),
            ("span.kind", "client", true),
            ("span.kind", "server", false),
            ("otel.status_code", "ERROR", true),
            ("otel.status_code", "OK", false),
        ] {
            assert_eq!(has_tag(&batch, &span, key, text), there, "{key}={text}");
            if there {
                assert!(predicate(key, text).is_none_or(|p| p.accepts(&batch, &span)), "{key}={text}");
            }
        }
        assert!(!predicate("k", "z").unwrap().accepts(&batch, &span));
    }
}
