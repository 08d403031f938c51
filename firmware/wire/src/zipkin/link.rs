//! Links, which Zipkin does not know: the Collector's exporter writes them as tags.

use super::event::put_json;
use bramble_signal::attributes::AttributesRef;
use bramble_signal::{SpanId, SpanLink, TraceId};

/// Appends the link that is written as `trace id|span id|trace state|{attributes}|dropped`; `false` when it is none.
pub(super) fn put(out: &mut Vec<u8>, inner: &mut Vec<u8>, text: &str) -> bool {
    let mut parts = text.splitn(4, '|');
    let (Some(trace), Some(span), Some(trace_state)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let Some((json, dropped)) = parts.next().and_then(|rest| rest.rsplit_once('|')) else { return false };
    let ids = TraceId::parse(trace.trim_matches('"')).zip(SpanId::parse(span.trim_matches('"')));
    let (Some((trace_id, span_id)), Ok(dropped_attributes)) = (ids, dropped.parse()) else { return false };
    inner.clear();
    if put_json(inner, json).is_none() {
        return false;
    }
    let attributes = AttributesRef::from_encoded(inner);
    bramble_signal::put_link(
        out,
        &SpanLink { trace_id, span_id, trace_state, flags: 0, attributes, dropped_attributes },
    );
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_collectors_form_is_read() {
        let (mut out, mut inner) = (Vec::new(), Vec::new());
        assert!(put(&mut out, &mut inner, r#"0102|03|a=b|{"k":"x|y"}|4"#));
        let link = bramble_signal::links(&out).next().unwrap();
        assert_eq!((link.trace_id, link.span_id), (TraceId::parse("102").unwrap(), SpanId::parse("3").unwrap()));
        assert_eq!((link.trace_state, link.dropped_attributes), ("a=b", 4));
        assert!(link.attributes.get("k").is_some());
        for text in ["", "1|2", "1|2||{}", "x|2||{}|0", "1|2||{|0", "1|2||{}|x"] {
            assert!(!put(&mut out, &mut inner, text), "{text}");
        }
    }
}
