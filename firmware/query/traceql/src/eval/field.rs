//! What a span has: its own fields, its attributes in each scope, and its trace's.

use super::value::Value;
use super::view::{At, TraceView};
use crate::syntax::ast::{Field, Intrinsic, Scope};
use bramble_signal::SpanEntry;
use bramble_signal::attributes::AttributesRef;
use std::borrow::Cow;

fn text(text: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(text))
}

fn first<'a>(attributes: AttributesRef<'a>, key: &str) -> Option<Value<'a>> {
    attributes.get(key).map(Value::of_attribute).filter(|v| *v != Value::Nil)
}

fn many<'a>(values: impl Iterator<Item = Value<'a>>) -> Value<'a> {
    let mut values: Vec<Value<'a>> = values.collect();
    match values.len() {
        0 => Value::Nil,
        1 => values.pop().unwrap_or(Value::Nil),
        _ => Value::Many(values),
    }
}

/// All single values under a key in several sets of attributes.
fn each<'a>(sets: impl Iterator<Item = AttributesRef<'a>>, key: &str) -> Value<'a> {
    many(sets.filter_map(|a| first(a, key)).flat_map(|v| match v {
        Value::Many(values) => values,
        single => vec![single],
    }))
}

/// The value of a field for the span at `at`; nil when it has none.
pub fn value_of<'a>(view: &TraceView<'a>, at: At, field: &Field) -> Value<'a> {
    let Some(span) = view.spans.get(at) else { return Value::Nil };
    match field {
        Field::Intrinsic(intrinsic) => of_intrinsic(view, at, span, *intrinsic),
        Field::Attribute(scope, key) => {
            let own = || first(view.batch.attributes(span.attributes), key);
            let resource = || first(view.batch.resource_attributes(span), key);
            let library = || {
                view.batch.scopes.get(span.scope as usize).and_then(|s| first(view.batch.attributes(s.attributes), key))
            };
            match scope {
                Scope::Any => own().or_else(resource).or_else(library).unwrap_or(Value::Nil),
                Scope::Span => own().unwrap_or(Value::Nil),
                Scope::Resource => resource().unwrap_or(Value::Nil),
                Scope::Instrumentation => library().unwrap_or(Value::Nil),
                Scope::Event => each(view.batch.events(span).map(|e| e.attributes), key),
                Scope::Link => each(view.batch.links(span).map(|l| l.attributes), key),
            }
        }
    }
}

fn of_intrinsic<'a>(view: &TraceView<'a>, at: At, span: &'a SpanEntry, intrinsic: Intrinsic) -> Value<'a> {
    let batch = view.batch;
    let nested = || view.tree().nested.get(at).copied().unwrap_or_default();
    let library = || batch.scopes.get(span.scope as usize);
    let owned = |text: String| Value::Text(Cow::Owned(text));
    match intrinsic {
        Intrinsic::Duration => Value::Duration(span.duration_ns() as i64),
        Intrinsic::Name => text(batch.text(span.name)),
        Intrinsic::Status => Value::Status(span.status),
        Intrinsic::StatusMessage => text(batch.text(span.status_message)),
        Intrinsic::Kind => Value::Kind(span.kind),
        // Recorded (intrinsic-026): Tempo keeps it in its newest block format only, and it compares with nothing.
        Intrinsic::ChildCount => Value::Nil,
        Intrinsic::SpanId => owned(span.span_id.to_string()),
        Intrinsic::ParentId if span.parent_span_id.is_zero() => Value::Nil,
        Intrinsic::ParentId => owned(span.parent_span_id.to_string()),
        Intrinsic::TraceDuration => Value::Duration((view.bounds().1 - view.bounds().0) as i64),
        Intrinsic::RootName => text(view.root().map_or("", |root| batch.text(root.name))),
        Intrinsic::RootService => text(view.root().map_or("", |root| batch.service(root))),
        Intrinsic::TraceId => owned(span.trace_id.to_string()),
        Intrinsic::NestedSetLeft => Value::Int(nested().left),
        Intrinsic::NestedSetRight => Value::Int(nested().right),
        // Known without the tree, which views of single spans have not.
        Intrinsic::NestedSetParent if span.parent_span_id.is_zero() => Value::Int(-1),
        Intrinsic::NestedSetParent => Value::Int(nested().parent),
        Intrinsic::EventName => many(batch.events(span).map(|e| text(e.name))),
        Intrinsic::EventTimeSinceStart => {
            many(batch.events(span).map(|e| Value::Duration(e.time_ns.saturating_sub(span.start_ns) as i64)))
        }
        Intrinsic::LinkTraceId => many(batch.links(span).map(|l| owned(l.trace_id.to_string()))),
        Intrinsic::LinkSpanId => many(batch.links(span).map(|l| owned(l.span_id.to_string()))),
        Intrinsic::InstrumentationName => library().map_or(Value::Nil, |l| text(batch.text(l.name))),
        Intrinsic::InstrumentationVersion => library().map_or(Value::Nil, |l| text(batch.text(l.version))),
    }
}
