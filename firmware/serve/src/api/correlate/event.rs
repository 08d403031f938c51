//! Events of timelines and stories as JSON.

use super::answer::{ms, span_id};
use crate::params::rfc3339_of_ns;
use bramble_correlate::view::{Event, EventWhat, PairSkew};
use serde_json::{Map, Value, json};

/// An event.
pub(super) fn json(event: &Event) -> Value {
    let mut out = Map::new();
    let mut put = |name: &str, value: Value| out.insert(name.to_owned(), value);
    put("time", rfc3339_of_ns(event.time_ns).into());
    if event.corrected_ns != event.time_ns {
        put("corrected_time", rfc3339_of_ns(event.corrected_ns).into());
    }
    put("kind", event.what.as_str().into());
    put("service", event.service.as_str().into());
    put("node", event.node.as_str().into());
    put("certain", event.join.certain.into());
    put("confidence", event.join.confidence.into());
    put("by", event.join.by.as_str().into());
    let trace = event.trace_id;
    put("trace_id", if trace.is_zero() { Value::Null } else { trace.to_string().into() });
    put("span_id", span_id(event.span_id));
    match &event.what {
        EventWhat::Span { parent_span_id, name, duration_ns, kind, failed, message } => {
            put("parent_span_id", span_id(*parent_span_id));
            put("name", name.as_str().into());
            put("duration_ms", ms(*duration_ns as f64));
            put("failed", (*failed).into());
            put("message", message.as_str().into());
            put("span_kind", kind.as_str().into());
        }
        EventWhat::Log { level, line, labels } => {
            put("level", level.as_str().into());
            put("line", line.as_str().into());
            let labels: Map<String, Value> = labels.iter().map(|(n, v)| (n.clone(), v.as_str().into())).collect();
            put("labels", labels.into());
        }
        EventWhat::Exemplar { series, value } => {
            put("series", series.as_str().into());
            put("value", json!(value));
        }
    }
    out.into()
}

/// What the clock of a called one is ahead of its caller's.
pub(super) fn skew(pairs: &[PairSkew]) -> Value {
    let pair = |p: &PairSkew| {
        json!({
            "client": p.client,
            "client_node": p.client_node,
            "server": p.server,
            "server_node": p.server_node,
            "offset_ms": ms(p.offset_ns as f64),
            "calls": p.calls,
        })
    };
    pairs.iter().map(pair).collect()
}
