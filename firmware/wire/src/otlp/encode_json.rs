//! A [`SpanBatch`] as `TracesData` in JSON.

use super::any_value::{push_display, push_double, push_json_text};
use super::encode::{same_resource, same_scope, span_order};
use super::schema::{SPAN_KINDS, STATUS_CODES};
use crate::hex::{put_base64, put_hex};
use bramble_signal::attributes::{AttributeValue, AttributesRef};
use bramble_signal::{SpanBatch, SpanEntry};

/// Whose JSON it is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JsonDialect {
    /// OTLP's: ids in hexadecimal, enums as numbers.
    Otlp,
    /// Tempo's answers, which follow protobuf's JSON mapping: ids in base64, enums by name.
    Tempo,
}

/// Appends `{"resourceSpans":[…]}`.
pub fn encode_traces_json(batch: &SpanBatch, dialect: JsonDialect, out: &mut String) {
    out.push_str("{\"resourceSpans\":");
    encode_resource_spans_json(batch, dialect, out);
    out.push('}');
}

/// Appends only the array of resource spans, for answers that put it under another key (Tempo's `batches`).
/// Spans are grouped by resource and scope, in order of arrival within.
pub fn encode_resource_spans_json(batch: &SpanBatch, dialect: JsonDialect, out: &mut String) {
    let order = span_order(batch);
    let mut json = Json { out, dialect };
    json.array(order.chunk_by(same_resource(batch)), |json, spans| json.resource_spans(batch, spans));
}

struct Json<'a> {
    out: &'a mut String,
    dialect: JsonDialect,
}

impl Json<'_> {
    /// `"key":`, with a comma when something stands before it in its object.
    fn key(&mut self, key: &str) {
        if !self.out.ends_with('{') {
            self.out.push(',');
        }
        push_json_text(self.out, key);
        self.out.push(':');
    }

    fn array<T>(&mut self, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Json<'_>, T)) {
        self.out.push('[');
        for (i, item) in items.into_iter().enumerate() {
            if i > 0 {
                self.out.push(',');
            }
            write(self, item);
        }
        self.out.push(']');
    }

    fn object(&mut self, write: impl FnOnce(&mut Json<'_>)) {
        self.out.push('{');
        write(self);
        self.out.push('}');
    }

    fn text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.key(key);
            push_json_text(self.out, text);
        }
    }

    fn count(&mut self, key: &str, value: u32) {
        if value != 0 {
            self.key(key);
            push_display(self.out, value);
        }
    }

    fn time(&mut self, key: &str, ns: u64) {
        if ns != 0 {
            self.key(key);
            push_display(self.out, format_args!("\"{ns}\""));
        }
    }

    fn id(&mut self, key: &str, id: &[u8]) {
        self.key(key);
        self.out.push('"');
        match self.dialect {
            JsonDialect::Otlp => put_hex(self.out, id),
            JsonDialect::Tempo => put_base64(self.out, id),
        }
        self.out.push('"');
    }

    fn code(&mut self, key: &str, code: u32, names: &[(&str, u64)]) {
        match names.get(code as usize) {
            Some((name, _)) if code != 0 && self.dialect == JsonDialect::Tempo => self.text(key, name),
            _ => self.count(key, code),
        }
    }

    fn attributes(&mut self, attributes: AttributesRef<'_>) {
        if !attributes.is_empty() {
            self.key("attributes");
            self.key_values(attributes);
        }
    }

    fn key_values(&mut self, attributes: AttributesRef<'_>) {
        self.array(attributes.iter(), |json, (key, value)| {
            json.object(|json| {
                json.key("key");
                push_json_text(json.out, key);
                json.key("value");
                json.any_value(value);
            });
        });
    }

    fn any_value(&mut self, value: AttributeValue<'_>) {
        self.object(|json| match value {
            AttributeValue::Empty => {}
            AttributeValue::Str(text) => {
                json.key("stringValue");
                push_json_text(json.out, text);
            }
            AttributeValue::Bool(b) => {
                json.key("boolValue");
                push_display(json.out, b);
            }
            AttributeValue::Int(i) => {
                json.key("intValue");
                push_display(json.out, format_args!("\"{i}\""));
            }
            AttributeValue::Double(d) => {
                json.key("doubleValue");
                let quote = if d.is_finite() { "" } else { "\"" };
                json.out.push_str(quote);
                push_double(json.out, d);
                json.out.push_str(quote);
            }
            AttributeValue::Array(values) => {
                json.key("arrayValue");
                json.object(|json| {
                    json.key("values");
                    json.array(values.iter(), |json, value| json.any_value(value));
                });
            }
            AttributeValue::List(list) => {
                json.key("kvlistValue");
                json.object(|json| {
                    json.key("values");
                    json.key_values(list);
                });
            }
            AttributeValue::Bytes(bytes) => {
                json.key("bytesValue");
                json.out.push('"');
                put_base64(json.out, bytes);
                json.out.push('"');
            }
        });
    }

    fn resource_spans(&mut self, batch: &SpanBatch, spans: &[u32]) {
        let first = spans.first().and_then(|&index| batch.spans.get(index as usize));
        let entry = first.and_then(|span| batch.resources.get(span.resource as usize)).copied().unwrap_or_default();
        self.object(|json| {
            json.key("resource");
            json.object(|json| {
                json.attributes(batch.attributes(entry.attributes));
                json.count("droppedAttributesCount", entry.dropped_attributes);
            });
            json.key("scopeSpans");
            json.array(spans.chunk_by(same_scope(batch)), |json, spans| json.scope_spans(batch, spans));
            json.text("schemaUrl", batch.text(entry.schema_url));
        });
    }

    fn scope_spans(&mut self, batch: &SpanBatch, spans: &[u32]) {
        let first = spans.first().and_then(|&index| batch.spans.get(index as usize));
        let entry = first.and_then(|span| batch.scopes.get(span.scope as usize)).copied().unwrap_or_default();
        self.object(|json| {
            json.key("scope");
            json.object(|json| {
                json.text("name", batch.text(entry.name));
                json.text("version", batch.text(entry.version));
                json.attributes(batch.attributes(entry.attributes));
                json.count("droppedAttributesCount", entry.dropped_attributes);
            });
            json.key("spans");
            let spans = spans.iter().filter_map(|&index| batch.spans.get(index as usize));
            json.array(spans, |json, span| json.span(batch, span));
            json.text("schemaUrl", batch.text(entry.schema_url));
        });
    }

    fn span(&mut self, batch: &SpanBatch, span: &SpanEntry) {
        self.object(|json| {
            json.id("traceId", &span.trace_id.0);
            json.id("spanId", &span.span_id.0);
            json.text("traceState", batch.text(span.trace_state));
            if !span.parent_span_id.is_zero() {
                json.id("parentSpanId", &span.parent_span_id.0);
            }
            json.text("name", batch.text(span.name));
            json.code("kind", span.kind as u32, SPAN_KINDS);
            json.time("startTimeUnixNano", span.start_ns);
            json.time("endTimeUnixNano", span.end_ns);
            json.attributes(batch.attributes(span.attributes));
            json.count("droppedAttributesCount", span.dropped_attributes);
            json.events_and_links(batch, span);
            json.key("status");
            json.object(|json| {
                json.text("message", batch.text(span.status_message));
                json.code("code", span.status as u32, STATUS_CODES);
            });
            json.count("flags", span.flags);
        });
    }

    fn events_and_links(&mut self, batch: &SpanBatch, span: &SpanEntry) {
        if !span.events.is_empty() {
            self.key("events");
            self.array(batch.events(span), |json, event| {
                json.object(|json| {
                    json.time("timeUnixNano", event.time_ns);
                    json.text("name", event.name);
                    json.attributes(event.attributes);
                    json.count("droppedAttributesCount", event.dropped_attributes);
                });
            });
        }
        self.count("droppedEventsCount", span.dropped_events);
        if !span.links.is_empty() {
            self.key("links");
            self.array(batch.links(span), |json, link| {
                json.object(|json| {
                    json.id("traceId", &link.trace_id.0);
                    json.id("spanId", &link.span_id.0);
                    json.text("traceState", link.trace_state);
                    json.attributes(link.attributes);
                    json.count("droppedAttributesCount", link.dropped_attributes);
                    json.count("flags", link.flags);
                });
            });
        }
        self.count("droppedLinksCount", span.dropped_links);
    }
}
