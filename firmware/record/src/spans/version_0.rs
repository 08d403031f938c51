//! Span records as version 0 wrote them.
//!
//! Body: resources and scopes used (each: encoded fields), then spans in order, field by field; a trace id equal to the
//! one before is one byte.

use super::super::RecordError;
use super::super::bytes::Reader;
use super::narrow;
use bramble_signal::{ResourceEntry, ScopeEntry, SpanBatch, SpanEntry, SpanId, SpanKind, StatusCode, TraceId};

fn put_arena(batch: &mut SpanBatch, reader: &mut Reader<'_>) -> Result<bramble_signal::Span32, RecordError> {
    Ok(batch.put(reader.bytes()?))
}

fn take_span(
    batch: &mut SpanBatch,
    body: &mut Reader<'_>,
    trace_id: TraceId,
    time: u64,
) -> Result<SpanEntry, RecordError> {
    let span_id = SpanId(body.array()?);
    let parent_span_id = SpanId(body.array()?);
    let kind = SpanKind::from_code(u64::from(body.byte()?));
    let status = StatusCode::from_code(u64::from(body.byte()?));
    let (resource, scope) = (narrow(body.varint()?)?, narrow(body.varint()?)?);
    if resource as usize >= batch.resources.len() || scope as usize >= batch.scopes.len() {
        return Err(RecordError("undefined resource or scope"));
    }
    let start_ns = time.wrapping_add(body.signed()? as u64);
    let end_ns = start_ns.wrapping_add(body.signed()? as u64);
    Ok(SpanEntry {
        trace_id,
        span_id,
        parent_span_id,
        resource,
        scope,
        start_ns,
        end_ns,
        kind,
        status,
        flags: narrow(body.varint()?)?,
        dropped_attributes: narrow(body.varint()?)?,
        dropped_events: narrow(body.varint()?)?,
        dropped_links: narrow(body.varint()?)?,
        name: put_arena(batch, body)?,
        status_message: put_arena(batch, body)?,
        trace_state: put_arena(batch, body)?,
        attributes: put_arena(batch, body)?,
        events: put_arena(batch, body)?,
        links: put_arena(batch, body)?,
    })
}

pub(in super::super) fn read(body: &[u8]) -> Result<SpanBatch, RecordError> {
    let mut body = Reader(body);
    let mut batch = SpanBatch::new();
    for _ in 0..body.count()? {
        let (attributes, schema_url) = (put_arena(&mut batch, &mut body)?, put_arena(&mut batch, &mut body)?);
        batch.resources.push(ResourceEntry { attributes, schema_url, dropped_attributes: narrow(body.varint()?)? });
    }
    for _ in 0..body.count()? {
        let (name, version) = (put_arena(&mut batch, &mut body)?, put_arena(&mut batch, &mut body)?);
        let (attributes, schema_url) = (put_arena(&mut batch, &mut body)?, put_arena(&mut batch, &mut body)?);
        batch.scopes.push(ScopeEntry {
            name,
            version,
            attributes,
            schema_url,
            dropped_attributes: narrow(body.varint()?)?,
        });
    }
    let (mut trace_id, mut time) = (TraceId::default(), 0u64);
    loop {
        match body.byte()? {
            0 => break,
            1 => {}
            2 => trace_id = TraceId(body.array()?),
            _ => return Err(RecordError("span marker")),
        }
        let span = take_span(&mut batch, &mut body, trace_id, time)?;
        time = span.start_ns;
        batch.spans.push(span);
    }
    Ok(batch)
}
