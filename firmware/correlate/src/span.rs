//! The synthetic span `correlation`: what is known of a window, in the trace itself, with links to what matters most.
//!
//! ```text
//! resource   service.name=bramble, bramble.synthetic=true: derived series and correlations leave it out
//! span       name correlation, kind internal, below the root span; from the first span's start to the last one's end: a line that is
//!            logged much later must not make the trace longer. Where there are no spans, as long as the correlation
//! attributes correlation.* (opened_ms: with the trace id the id), and the business ids under their own names
//! event      first_error
//! links      first error, worst span, the first span of each service; `correlation.link` says which
//! ```
//! Its status is never error: who counts or searches failed spans has the failed one itself. It is written when the
//! correlation is published, and once more, as another span, when it was revised: spans are not replaced.

use crate::correlation::{Correlation, CorrelationId, Marks};
use bramble_line::ids::IdKind;
use bramble_signal::attributes::{
    AttributeValue, AttributesRef, SYNTHETIC, put_array, put_attribute, put_key, put_value,
};
use bramble_signal::{
    ResourceEntry, ScopeEntry, Span32, SpanBatch, SpanEntry, SpanEvent, SpanId, SpanKind, SpanLink, StatusCode,
    put_event, put_link,
};

/// Name of the span.
pub const NAME: &str = "correlation";
/// Service that says it.
const SERVICE: &str = "bramble";
/// What a link leads to.
const LINK: &str = "correlation.link";
/// Most links.
const LINKS_MAX: usize = 32;

/// When a synthetic span is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpanWritten {
    /// With the first publication.
    First,
    /// At the end of grace, if the correlation was revised.
    Final,
}

/// The synthetic span's id: the same whenever it is written for the same reason, so that it is kept once. It begins with
/// 255, so that of the spans that start with the trace it is the last: behind the root span, whose times it mostly has,
/// it costs the store nothing but its id.
pub fn span_id(id: CorrelationId, written: SpanWritten) -> SpanId {
    let bytes = id.trace_id.0.into_iter().chain(id.opened_ms.to_le_bytes()).chain([written as u8]);
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, fold);
    // The last bytes have hardly been stirred by then.
    let stirred = (hash ^ (hash >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    SpanId((stirred ^ (stirred >> 29) | 0xff << 56).to_be_bytes())
}

/// Whether a span is one of ours, or of somebody else's who says so.
pub fn is_synthetic(batch: &SpanBatch, span: &SpanEntry) -> bool {
    batch.resource_attributes(span).is_synthetic()
}

/// Adds the synthetic span of a correlation.
pub fn put_span(correlation: &Correlation, written: SpanWritten, batch: &mut SpanBatch) {
    let (start_ns, end_ns) = correlation.spans_ns.unwrap_or((correlation.start_ns, correlation.end_ns));
    let resource = resource(batch);
    let scope = scope(batch);
    let name = batch.put(NAME.as_bytes());
    let attributes = put_here(batch, |out| put_attributes(correlation, out));
    let events = put_here(batch, |out| put_error(correlation, out));
    let links = put_here(batch, |out| put_links(correlation, out));
    batch.spans.push(SpanEntry {
        trace_id: correlation.id.trace_id,
        span_id: span_id(correlation.id, written),
        parent_span_id: correlation.root_span_id,
        resource,
        scope,
        start_ns: at_ns(start_ns),
        end_ns: at_ns(end_ns),
        kind: SpanKind::Internal,
        status: StatusCode::Unset,
        name,
        attributes,
        events,
        links,
        ..SpanEntry::default()
    });
}

fn at_ns(time_ns: i64) -> u64 {
    time_ns.max(0) as u64
}

/// Writes to the end of the arena.
fn put_here(batch: &mut SpanBatch, put: impl FnOnce(&mut Vec<u8>)) -> Span32 {
    let start = batch.arena.len();
    put(&mut batch.arena);
    Span32::new(start, batch.arena.len())
}

/// Our resource; there is one in a batch.
fn resource(batch: &mut SpanBatch) -> u32 {
    let is_ours = |entry: &ResourceEntry| batch.attributes(entry.attributes).is_synthetic();
    if let Some(at) = batch.resources.iter().position(is_ours) {
        return at as u32;
    }
    let attributes = put_here(batch, |out| {
        put_attribute(out, "service.name", AttributeValue::Str(SERVICE));
        put_attribute(out, SYNTHETIC, AttributeValue::Bool(true));
    });
    batch.resources.push(ResourceEntry { attributes, ..ResourceEntry::default() });
    (batch.resources.len() - 1) as u32
}

fn scope(batch: &mut SpanBatch) -> u32 {
    if let Some(at) = batch.scopes.iter().position(|scope| batch.text(scope.name) == SERVICE) {
        return at as u32;
    }
    let name = batch.put(SERVICE.as_bytes());
    batch.scopes.push(ScopeEntry { name, ..ScopeEntry::default() });
    (batch.scopes.len() - 1) as u32
}

fn put_attributes(correlation: &Correlation, out: &mut Vec<u8>) {
    // With the trace id, which the span has anyway, this is the correlation's id.
    put_attribute(out, "correlation.opened_ms", AttributeValue::Int(correlation.id.opened_ms));
    let errors = correlation.participants.iter().map(|p| p.errors).fold(0u64, u64::saturating_add);
    let counts = [
        ("correlation.revision", u64::from(correlation.revision)),
        ("correlation.logs", correlation.logs),
        ("correlation.spans", correlation.spans),
        ("correlation.errors", errors),
        ("correlation.failed_spans", correlation.failed_spans),
        ("correlation.exemplars", correlation.exemplars),
        ("correlation.inferred_logs", correlation.inferred_logs),
    ];
    for (name, count) in counts {
        // What is usual is left out, but for what everybody wants to see.
        if count > 0 || matches!(name, "correlation.logs" | "correlation.spans" | "correlation.errors") {
            put_attribute(out, name, AttributeValue::Int(i64::try_from(count).unwrap_or(i64::MAX)));
        }
    }
    put_attribute(out, "correlation.has_error", AttributeValue::Bool(correlation.has_error()));
    let taking_part = &correlation.participants;
    let is_new = |(at, service): &(usize, &str)| !taking_part.iter().take(*at).any(|before| before.service == *service);
    let services = taking_part.iter().map(|p| p.service.as_str()).enumerate().filter(is_new);
    put_texts(out, "correlation.services", services.map(|(_, service)| service));
    for kind in IdKind::BUSINESS {
        let mut of_kind = correlation.ids.iter().filter(|id| id.0 == kind).map(|id| id.1.as_str()).peekable();
        let Some(first) = of_kind.next() else { continue };
        match of_kind.peek() {
            None => put_attribute(out, kind.as_str(), AttributeValue::Str(first)),
            Some(_) => put_texts(out, kind.as_str(), std::iter::once(first).chain(of_kind)),
        }
    }
    if correlation.marks != Marks::default() {
        put_texts(out, "correlation.marks", correlation.marks.names());
    }
}

fn put_texts<'a>(out: &mut Vec<u8>, name: &str, texts: impl Iterator<Item = &'a str>) {
    put_key(out, name);
    let fill = |out: &mut Vec<u8>| {
        texts.for_each(|text| put_value(out, AttributeValue::Str(text)));
        Ok::<(), std::convert::Infallible>(())
    };
    _ = put_array(out, fill);
}

fn put_error(correlation: &Correlation, out: &mut Vec<u8>) {
    let Some(error) = &correlation.first_error else { return };
    let mut attributes = Vec::with_capacity(128);
    put_attribute(&mut attributes, "error.kind", AttributeValue::Str(if error.is_log { "log" } else { "span" }));
    put_attribute(&mut attributes, "error.service", AttributeValue::Str(&error.service));
    put_attribute(&mut attributes, "error.message", AttributeValue::Str(&error.text));
    put_event(
        out,
        &SpanEvent {
            time_ns: at_ns(error.time_ns),
            name: "first_error",
            attributes: AttributesRef::from_encoded(&attributes),
            dropped_attributes: 0,
        },
    );
}

/// Links, each span once, under what says most of it.
fn put_links(correlation: &Correlation, out: &mut Vec<u8>) {
    let first = correlation.first_error.iter().map(|error| (error.span_id, "first_error"));
    let worst = correlation.worst_span.iter().map(|worst| (worst.span_id, "worst"));
    let entries = correlation.entry_spans.iter().map(|&entry| (entry, "entry"));
    let mut known: [SpanId; LINKS_MAX] = [SpanId::default(); LINKS_MAX];
    let mut count = 0;
    let mut attributes = Vec::with_capacity(32);
    for (span_id, what) in first.chain(worst).chain(entries) {
        if count == LINKS_MAX || span_id.is_zero() || known.iter().take(count).any(|before| *before == span_id) {
            continue;
        }
        if let Some(place) = known.get_mut(count) {
            *place = span_id;
        }
        count += 1;
        attributes.clear();
        put_attribute(&mut attributes, LINK, AttributeValue::Str(what));
        let attributes = AttributesRef::from_encoded(&attributes);
        let (trace_id, trace_state) = (correlation.id.trace_id, "");
        put_link(out, &SpanLink { trace_id, span_id, trace_state, flags: 0, attributes, dropped_attributes: 0 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::tests::correlation;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;

    fn text<'a>(value: Option<AttributeValue<'a>>) -> &'a str {
        if let Some(AttributeValue::Str(text)) = value { text } else { "" }
    }

    proptest! {
        #[test]
        fn spans_say_what_correlations_do(all in vec(correlation(), 1..6)) {
            let mut batch = SpanBatch::new();
            all.iter().for_each(|correlation| put_span(correlation, SpanWritten::First, &mut batch));
            prop_assert_eq!((batch.resources.len(), batch.scopes.len(), batch.spans.len()), (1, 1, all.len()));
            for (span, correlation) in batch.spans.iter().zip(&all) {
                prop_assert!(is_synthetic(&batch, span) && batch.service(span) == "bramble" && !span.span_id.is_zero());
                prop_assert_eq!((span.trace_id, span.parent_span_id), (correlation.id.trace_id, correlation.root_span_id));
                let (start_ns, end_ns) = correlation.spans_ns.unwrap();
                prop_assert_eq!((span.start_ns, span.end_ns), (at_ns(start_ns), at_ns(end_ns)));
                prop_assert_eq!((span.status, batch.text(span.name)), (StatusCode::Unset, "correlation"));
                let attributes = batch.attributes(span.attributes);
                let opened_ms = Some(AttributeValue::Int(correlation.id.opened_ms));
                prop_assert_eq!(attributes.get("correlation.opened_ms"), opened_ms);
                prop_assert_eq!(attributes.get("correlation.spans"), Some(AttributeValue::Int(correlation.spans as i64)));
                for kind in IdKind::BUSINESS {
                    let values: Vec<&str> = match attributes.get(kind.as_str()) {
                        Some(AttributeValue::Array(all)) => all.iter().map(|value| text(Some(value))).collect(),
                        one => one.into_iter().map(|value| text(Some(value))).collect(),
                    };
                    let wanted: Vec<&str> = correlation.ids.iter().filter(|id| id.0 == kind).map(|id| id.1.as_str()).collect();
                    prop_assert_eq!(values, wanted);
                }
                let events: Vec<_> = batch.events(span).collect();
                prop_assert_eq!(events.len(), usize::from(correlation.first_error.is_some()));
                if let Some(error) = &correlation.first_error {
                    prop_assert_eq!(text(events[0].attributes.get("error.message")), &error.text);
                }
                let mut linked: Vec<SpanId> = batch.links(span).map(|link| link.span_id).collect();
                let named = |id: &SpanId| text(batch.links(span).find(|l| l.span_id == *id).and_then(|l| l.attributes.get(LINK)));
                if let Some(worst) = correlation.worst_span.as_ref().filter(|worst| !worst.span_id.is_zero()) {
                    prop_assert!(["worst", "first_error"].contains(&named(&worst.span_id)));
                }
                prop_assert!(correlation.entry_spans.iter().all(|id| id.is_zero() || linked.contains(id)));
                linked.sort();
                prop_assert!(linked.windows(2).all(|pair| pair[0] != pair[1]));
            }
        }
    }

    #[test]
    fn links_and_ids_are_bounded_and_stay_as_they_are() {
        let id: CorrelationId = "0af7651916cd43dd8448eb211c80319c-1795046400123".parse().unwrap();
        let ids = [span_id(id, SpanWritten::First), span_id(id, SpanWritten::Final)];
        assert_eq!(ids.map(|id| id.to_string()), ["ff920453eb9219aa", "fff44c5f0f81cfef"]);
        let other = CorrelationId { opened_ms: id.opened_ms + 1, ..id };
        assert!(!ids.contains(&span_id(other, SpanWritten::First)));
        let mut found = proptest::test_runner::TestRunner::deterministic();
        let mut large = correlation().new_tree(&mut found).unwrap().current();
        large.entry_spans = (1..100u64).map(|n| SpanId(n.to_be_bytes())).collect();
        let mut batch = SpanBatch::new();
        put_span(&large, SpanWritten::Final, &mut batch);
        assert_eq!(batch.links(&batch.spans[0]).count(), LINKS_MAX);
    }
}
