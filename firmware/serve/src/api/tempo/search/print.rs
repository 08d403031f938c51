//! Traces that were found, in JSON and protobuf.

use super::super::value::{attribute, write_attributes};
use bramble_query_traceql::{FoundSet, FoundSpan, FoundTrace};
use bramble_wire::protobuf::Writer;
use serde_json::{Map, Value, json};

/// What clients show where the root is not known.
const NO_ROOT: &str = "<root span not yet received>";

fn span_json(span: &FoundSpan) -> Value {
    let mut out = Map::new();
    out.insert("spanID".to_owned(), span.span_id.to_string().into());
    if let Some(name) = span.name.as_ref().filter(|n| !n.is_empty()) {
        out.insert("name".to_owned(), name.as_str().into());
    }
    out.insert("startTimeUnixNano".to_owned(), span.start_ns.to_string().into());
    out.insert("durationNanos".to_owned(), span.duration_ns.to_string().into());
    if !span.attributes.is_empty() {
        out.insert("attributes".to_owned(), span.attributes.iter().map(|(k, v)| attribute(k, v)).collect());
    }
    Value::Object(out)
}

fn set_json(set: &FoundSet) -> Value {
    let spans: Vec<Value> = set.spans.iter().map(span_json).collect();
    let mut out = json!({"spans": spans, "matched": set.matched});
    if !set.attributes.is_empty() {
        out["attributes"] = set.attributes.iter().map(|(k, v)| attribute(k, v)).collect();
    }
    out
}

pub(super) fn trace_json(trace: &FoundTrace, with_sets: bool) -> Value {
    let mut out = Map::new();
    out.insert("traceID".to_owned(), trace.trace_id.to_string().into());
    match &trace.root {
        Some((service, name)) => {
            out.insert("rootServiceName".to_owned(), service.as_str().into());
            out.insert("rootTraceName".to_owned(), name.as_str().into());
        }
        None => {
            out.insert("rootServiceName".to_owned(), NO_ROOT.into());
        }
    }
    out.insert("startTimeUnixNano".to_owned(), trace.start_ns.to_string().into());
    // The default of its type is left out, as protobuf's JSON does.
    if trace.duration_ns >= 1_000_000 {
        out.insert("durationMs".to_owned(), (trace.duration_ns / 1_000_000).into());
    }
    if with_sets {
        let sets: Vec<Value> = trace.sets.iter().map(set_json).collect();
        // Older clients read only the first.
        out.insert("spanSet".to_owned(), sets.first().cloned().unwrap_or_default());
        out.insert("spanSets".to_owned(), sets.into());
        let services = trace.services.iter().map(|(name, (spans, errors))| {
            let counts = if *errors > 0 {
                json!({"spanCount": spans, "errorCount": errors})
            } else {
                json!({"spanCount": spans})
            };
            (name.clone(), counts)
        });
        out.insert("serviceStats".to_owned(), Value::Object(services.collect()));
    }
    Value::Object(out)
}

/// Writes messages whose spans must fit a number of bytes; `matched` still counts those left out.
struct Sets {
    left_bytes: usize,
    span: Vec<u8>,
}

impl Sets {
    /// `Span{spanID=1, name=2, startTimeUnixNano=3, durationNanos=4, attributes=5}`; whether it fitted.
    fn write_span(&mut self, span: &FoundSpan, out: &mut Writer<'_>) -> bool {
        self.span.clear();
        let mut writer = Writer::new(&mut self.span);
        writer.bytes(1, span.span_id.to_string());
        if let Some(name) = span.name.as_ref().filter(|n| !n.is_empty()) {
            writer.bytes(2, name);
        }
        writer.varint(3, span.start_ns);
        writer.varint(4, span.duration_ns);
        write_attributes(5, &span.attributes, &mut writer);
        let fits = self.span.len() <= self.left_bytes;
        if fits {
            self.left_bytes -= self.span.len();
            out.bytes(1, &self.span);
        }
        fits
    }

    /// `SpanSet{spans=1, matched=2, attributes=3}`.
    fn write_set(&mut self, number: u32, set: &FoundSet, out: &mut Writer<'_>) {
        out.message(number, |w| {
            let _all = set.spans.iter().all(|span| self.write_span(span, w));
            w.varint(2, set.matched as u64);
            write_attributes(3, &set.attributes, w);
        });
    }
}

/// A trace as field `number` of a message: `TraceSearchMetadata{traceID=1, rootServiceName=2, rootTraceName=3,
/// startTimeUnixNano=4, durationMs=5, spanSet=6, spanSets=7, serviceStats=8}`. Spans beyond `bytes_max` are left out.
pub(super) fn write_trace(number: u32, trace: &FoundTrace, with_sets: bool, bytes_max: usize, out: &mut Vec<u8>) {
    Writer::new(out).message(number, |w| {
        w.bytes(1, trace.trace_id.to_string());
        match &trace.root {
            Some((service, name)) => {
                w.bytes(2, service);
                w.bytes(3, name);
            }
            None => w.bytes(2, NO_ROOT),
        }
        w.varint(4, trace.start_ns);
        w.varint(5, trace.duration_ns / 1_000_000);
        if !with_sets {
            return;
        }
        let mut sets = Sets { left_bytes: bytes_max / 2, span: Vec::new() };
        // Older clients read only the first.
        trace.sets.first().into_iter().for_each(|set| sets.write_set(6, set, w));
        sets.left_bytes = bytes_max / 2;
        trace.sets.iter().for_each(|set| sets.write_set(7, set, w));
        for (service, (spans, errors)) in &trace.services {
            w.message(8, |entry| {
                entry.bytes(1, service);
                entry.message(2, |counts| {
                    counts.varint(1, u64::from(*spans));
                    counts.varint(2, u64::from(*errors));
                });
            });
        }
    });
}
