//! A correlation as JSON.

use super::links::Links;
use crate::params::rfc3339_of_ns;
use bramble_correlate::correlation::{FirstError, Participant, WorstSpan};
use bramble_correlate::{Correlation, Level};
use bramble_line::ids::IdKind;
use bramble_signal::SpanId;
use bramble_storage::QueryContext;
use serde_json::{Map, Value, json};

/// A correlation.
pub(super) fn correlation(c: &Correlation, links: &Links) -> Map<String, Value> {
    let mut out = Map::new();
    let mut put = |name: &str, value: Value| out.insert(name.to_owned(), value);
    put("id", c.id.to_string().into());
    put("trace_id", c.id.trace_id.to_string().into());
    put("revision", c.revision.into());
    put("window", window(c));
    put("start", rfc3339_of_ns(c.start_ns).into());
    put("end", rfc3339_of_ns(c.end_ns).into());
    put("duration_ms", ms(c.duration_ns() as f64));
    for kind in IdKind::BUSINESS {
        if let Some((_, first)) = c.ids.iter().find(|(k, _)| *k == kind) {
            put(kind.as_str(), first.as_str().into());
        }
    }
    put("ids", ids(&c.ids));
    put("services", c.participants.iter().map(participant).collect());
    put("counts", counts(c));
    put("has_error", c.has_error().into());
    put("first_error", c.first_error.as_ref().map_or(Value::Null, first_error));
    put("worst_span", c.worst_span.as_ref().map_or(Value::Null, worst_span));
    put("exemplars", c.exemplar_series.as_slice().into());
    put("marks", c.marks.names().collect());
    put("links", links.of(c));
    out
}

/// `{"circuit_id": ["…"]}` of the kinds that there are.
pub(super) fn ids(ids: &[(IdKind, String)]) -> Value {
    let mut by_kind = Map::new();
    for (kind, value) in ids {
        let values = by_kind.entry(kind.as_str()).or_insert_with(|| json!([]));
        if let Some(values) = values.as_array_mut() {
            values.push(value.as_str().into());
        }
    }
    by_kind.into()
}

/// Milliseconds of nanoseconds, as a number with what is below them.
pub(super) fn ms(ns: f64) -> Value {
    json!(ns / 1e6)
}

/// A span's id; null where there is none.
pub(super) fn span_id(id: SpanId) -> Value {
    if id.is_zero() { Value::Null } else { id.to_string().into() }
}

fn window(c: &Correlation) -> Value {
    let end_ns = c.start_ns.saturating_add_unsigned(c.window_ns);
    json!({
        "start": rfc3339_of_ns(c.start_ns),
        "end": rfc3339_of_ns(end_ns),
        "seconds": c.window_ns as f64 / 1e9,
    })
}

fn participant(p: &Participant) -> Value {
    json!({
        "service": p.service,
        "node": p.node,
        "env": p.env,
        "logs": p.logs,
        "spans": p.spans,
        "errors": p.errors,
        "skew_ms": ms(p.skew_ns as f64),
    })
}

fn counts(c: &Correlation) -> Value {
    let levels = Level::ALL.iter().zip(c.levels).filter(|(_, count)| *count > 0);
    let levels: Map<String, Value> = levels.map(|(level, count)| (level.as_str().to_owned(), count.into())).collect();
    json!({
        "logs": c.logs,
        "spans": c.spans,
        "errors": c.participants.iter().map(|p| p.errors).sum::<u64>(),
        "failed_spans": c.failed_spans,
        "exemplars": c.exemplars,
        "inferred_logs": c.inferred_logs,
        "levels": levels,
    })
}

fn first_error(error: &FirstError) -> Value {
    json!({
        "kind": if error.is_log { "log" } else { "span" },
        "time": rfc3339_of_ns(error.time_ns),
        "service": error.service,
        "text": error.text,
        "span_id": span_id(error.span_id),
    })
}

fn worst_span(span: &WorstSpan) -> Value {
    json!({
        "span_id": span_id(span.span_id),
        "service": span.service,
        "name": span.name,
        "duration_ms": ms(span.duration_ns as f64),
        "self_ms": ms(span.self_ns as f64),
        "failed": span.failed,
    })
}

/// `,"warnings":[…]` when there are any.
pub(super) fn warnings(context: &QueryContext) -> String {
    let warnings = context.warnings();
    if warnings.is_empty() { String::new() } else { format!(",\"warnings\":{}", json!(warnings)) }
}
