//! Spans as frames, what of them is left out, and how hubs tell without sending them that they have the same ones.

use crate::frame::{FRAME_BYTES, FrameWriter, SPANS};
use bramble_signal::attributes::put_attribute;
use bramble_signal::{Span32, SpanBatch, SpanEntry, TraceId};
use bramble_storage::{AttributeScope, ReadError, SpanFields, SpanPredicate};
use bramble_wire::delivery::{put_spans, read_spans};

/// What makes a span itself.
pub(crate) type Identity = (TraceId, u64, u8);

/// A span's identity: the two halves of a shared span have one id, and different kinds.
pub(crate) fn identity(span: &SpanEntry) -> Identity {
    (span.trace_id, u64::from_le_bytes(span.span_id.0), span.kind as u8)
}

/// A number for a set of spans of one trace, the same for the same spans in any order.
pub(crate) fn digest<'s>(spans: impl Iterator<Item = &'s SpanEntry>) -> u64 {
    spans.fold(0, |sum, span| {
        let (_, id, kind) = identity(span);
        sum.wrapping_add(mixed(id ^ mixed(u64::from(kind) + 1)))
    })
}

/// A number of which each bit depends on all of `n`'s (the finalizer of SplitMix64, as Steele, Lea and Flood have it).
pub(crate) fn mixed(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// A number for a span's identity.
pub(crate) fn fingerprint(span: &SpanEntry) -> u64 {
    let (TraceId(trace), id, kind) = identity(span);
    let trace = u128::from_le_bytes(trace);
    mixed(mixed(mixed(trace as u64) ^ (trace >> 64) as u64) ^ mixed(id ^ mixed(u64::from(kind) + 1)))
}

/// Sends spans, in as many frames as they need; spans of a trace stay together as far as a frame reaches.
pub(crate) fn send(batch: &SpanBatch, payload: &mut Vec<u8>, out: &mut FrameWriter<'_>) -> Result<(), ReadError> {
    if batch.arena.len() + batch.spans.len() * 64 <= FRAME_BYTES {
        return send_whole(batch, payload, out);
    }
    let mut part = SpanBatch::new();
    for span in &batch.spans {
        part.push_from(batch, span);
        if part.arena.len() + part.spans.len() * 64 > FRAME_BYTES {
            send_whole(&part, payload, out)?;
            part = SpanBatch::new();
        }
    }
    send_whole(&part, payload, out)
}

fn send_whole(batch: &SpanBatch, payload: &mut Vec<u8>, out: &mut FrameWriter<'_>) -> Result<(), ReadError> {
    if batch.is_empty() {
        return Ok(());
    }
    payload.clear();
    put_spans(batch, payload);
    out.send(SPANS, payload)
}

/// Reads a frame.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(payload: &[u8]) -> Result<SpanBatch, String> {
    let decoded = read_spans(payload, payload.len() * 16 + (64 << 10)).map_err(|error| error.to_string())?;
    match decoded.rejected.first_reason() {
        Some((_, story)) => Err(story.to_owned()),
        None => Ok(decoded.batch),
    }
}

/// Leaves of spans what is wanted.
pub(crate) fn strip(batch: &mut SpanBatch, fields: &SpanFields) {
    let mut kept = Vec::new();
    for at in 0..batch.spans.len() {
        let Some(span) = batch.spans.get(at).copied() else { break };
        let mut stripped = span;
        if let Some(keys) = &fields.attributes
            && !span.attributes.is_empty()
        {
            kept.clear();
            let attributes = batch.attributes(span.attributes);
            let wanted = attributes.iter().filter(|(key, _)| keys.iter().any(|k| k == key));
            wanted.for_each(|(key, value)| put_attribute(&mut kept, key, value));
            stripped.attributes = batch.put(&kept);
        }
        if !fields.events {
            stripped.events = Span32::default();
        }
        if !fields.links {
            stripped.links = Span32::default();
        }
        if !fields.trace_state {
            stripped.trace_state = Span32::default();
        }
        if let Some(span) = batch.spans.get_mut(at) {
            *span = stripped;
        }
    }
}

/// Adds to `fields` what the predicates look at.
pub(crate) fn looked_at(predicates: &[SpanPredicate], fields: &mut SpanFields) {
    for predicate in predicates {
        match predicate {
            SpanPredicate::All(inner) | SpanPredicate::Any(inner) => looked_at(inner, fields),
            SpanPredicate::EventName(_) => fields.events = true,
            SpanPredicate::Attribute { scope: AttributeScope::Event, .. } => fields.events = true,
            SpanPredicate::Attribute { scope: AttributeScope::Link, .. } => fields.links = true,
            SpanPredicate::Attribute { key, .. } => {
                if let Some(keys) = &mut fields.attributes
                    && !keys.contains(key)
                {
                    keys.push(key.clone());
                }
            }
            _ => {}
        }
    }
}
