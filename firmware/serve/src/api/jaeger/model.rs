//! Spans in the JSON of Jaeger's UI.

use bramble_signal::attributes::{AttributeValue, AttributesRef};
use bramble_signal::{ResourceEntry, SpanBatch, SpanEntry, SpanEvent, SpanKind, StatusCode};
use serde_json::{Map, Value, json};

/// Integers beyond this are not exact in JavaScript and are printed as strings.
const JAVASCRIPT_INTEGER_MAX: i64 = (1 << 53) - 1;

/// The text of any attribute value, as tag searches compare it.
pub(super) fn text_of(value: AttributeValue<'_>) -> String {
    match json_of(value) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn json_of(value: AttributeValue<'_>) -> Value {
    match value {
        AttributeValue::Empty => Value::Null,
        AttributeValue::Bool(b) => json!(b),
        AttributeValue::Int(i) => json!(i),
        AttributeValue::Double(d) => json!(d),
        AttributeValue::Str(s) => json!(s),
        AttributeValue::Bytes(b) => json!(base64(b)),
        AttributeValue::Array(a) => a.iter().map(json_of).collect(),
        AttributeValue::List(l) => {
            Value::Object(l.iter().map(|(k, v)| (k.to_owned(), json_of(v))).collect::<Map<_, _>>())
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = DIGITS[(group >> (18 - 6 * i)) as usize & 63] as char;
            out.push(if i <= chunk.len() { digit } else { '=' });
        }
    }
    out
}

fn tag(key: &str, value: AttributeValue<'_>) -> Value {
    let (kind, value) = match value {
        AttributeValue::Bool(b) => ("bool", json!(b)),
        AttributeValue::Int(i) if i.abs() > JAVASCRIPT_INTEGER_MAX => ("int64", json!(i.to_string())),
        AttributeValue::Int(i) => ("int64", json!(i)),
        AttributeValue::Double(d) => ("float64", json!(d)),
        AttributeValue::Bytes(b) => ("binary", json!(base64(b))),
        AttributeValue::Empty => ("string", json!("")),
        AttributeValue::Str(s) => ("string", json!(s)),
        nested => ("string", json!(json_of(nested).to_string())),
    };
    json!({"key": key, "type": kind, "value": value})
}

/// Tags that Jaeger derives from fields which OTLP has beside attributes.
pub(super) fn derived_tags(batch: &SpanBatch, span: &SpanEntry) -> Vec<(&'static str, String)> {
    let scope = &batch.scopes[span.scope as usize];
    let mut tags = Vec::new();
    let mut add = |key, text: &str| {
        if !text.is_empty() {
            tags.push((key, text.to_owned()));
        }
    };
    add("otel.scope.name", batch.text(scope.name));
    add("otel.scope.version", batch.text(scope.version));
    if span.kind != SpanKind::Unspecified {
        add("span.kind", span.kind.as_str());
    }
    match span.status {
        StatusCode::Unset => {}
        StatusCode::Ok => add("otel.status_code", "OK"),
        StatusCode::Error => {
            add("otel.status_code", "ERROR");
            add("error", "true");
        }
    }
    add("otel.status_description", batch.text(span.status_message));
    add("w3c.tracestate", batch.text(span.trace_state));
    tags
}

fn attribute_tags(attributes: AttributesRef<'_>) -> impl Iterator<Item = Value> {
    attributes.iter().map(|(key, value)| tag(key, value))
}

fn references(batch: &SpanBatch, span: &SpanEntry) -> Vec<Value> {
    let mut all = Vec::new();
    if !span.parent_span_id.is_zero() {
        let ids = (span.trace_id.to_string(), span.parent_span_id.to_string());
        all.push(json!({"refType": "CHILD_OF", "traceID": ids.0, "spanID": ids.1}));
    }
    for link in batch.links(span) {
        let child = link.attributes.get("opentracing.ref_type") == Some(AttributeValue::Str("child_of"));
        let kind = if child { "CHILD_OF" } else { "FOLLOWS_FROM" };
        all.push(json!({"refType": kind, "traceID": link.trace_id.to_string(), "spanID": link.span_id.to_string()}));
    }
    all
}

fn log(event: &SpanEvent<'_>) -> Value {
    let mut fields: Vec<Value> = Vec::new();
    if !event.name.is_empty() && event.attributes.get("event").is_none() {
        fields.push(tag("event", AttributeValue::Str(event.name)));
    }
    fields.extend(attribute_tags(event.attributes));
    json!({"timestamp": event.time_ns / 1000, "fields": fields})
}

/// A span; `process` names its process within the trace.
pub(super) fn span(batch: &SpanBatch, span: &SpanEntry, process: &str) -> Value {
    let mut tags: Vec<Value> = attribute_tags(batch.attributes(span.attributes)).collect();
    for (key, text) in derived_tags(batch, span) {
        let value = if key == "error" { AttributeValue::Bool(true) } else { AttributeValue::Str(&text) };
        tags.push(tag(key, value));
    }
    json!({
        "traceID": span.trace_id.to_string(), "spanID": span.span_id.to_string(), "operationName": batch.text(span.name),
        "references": references(batch, span), "startTime": span.start_ns / 1000, "duration": span.duration_ns() / 1000,
        "tags": tags, "logs": batch.events(span).map(|e| log(&e)).collect::<Vec<_>>(), "processID": process,
        "warnings": (span.end_ns < span.start_ns).then(|| vec!["span ends before it starts"]),
    })
}

/// A process: who emitted.
pub(super) fn process(batch: &SpanBatch, resource: &ResourceEntry) -> Value {
    let attributes = batch.attributes(resource.attributes);
    let tags: Vec<Value> = attributes.iter().filter(|(k, _)| *k != "service.name").map(|(k, v)| tag(k, v)).collect();
    json!({"serviceName": attributes.service(), "tags": tags})
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_pads() {
        assert_eq!(
            (base64(b"").as_str(), base64(b"f").as_str(), base64(b"fo").as_str(), base64(b"foo").as_str()),
            ("", "Zg==", "Zm8=", "Zm9v")
        );
        assert_eq!(base64(&[0, 0, 48, 57]), "AAAwOQ==");
    }
}
