//! Span records.
//!
//! Body: resources and scopes used (each: encoded fields), then spans in order, field by field; a trace id equal to
//! the one before is one byte. Texts and attributes go in as they are: the journal's compression sees their
//! repetition better than a dictionary here would.

use super::bytes::{Reader, put_bytes, put_varint, zigzag};
use super::{RecordError, SPANS};
use bramble_signal::{ResourceEntry, ScopeEntry, SpanBatch, SpanEntry, SpanId, SpanKind, StatusCode, TraceId};

/// Positions of the resources or scopes that a record uses, in order of first use.
struct Used {
    local: Vec<u32>,
    order: Vec<u32>,
}

impl Used {
    const NOT: u32 = u32::MAX;

    fn new(count: usize) -> Self {
        Used { local: vec![Self::NOT; count], order: Vec::new() }
    }

    /// The position in this record, and whether it is new.
    fn position(&mut self, index: u32) -> (u32, bool) {
        let slot = &mut self.local[index as usize];
        let fresh = *slot == Self::NOT;
        if fresh {
            *slot = self.order.len() as u32;
            self.order.push(index);
        }
        (*slot, fresh)
    }
}

pub(super) fn encode(batch: &SpanBatch, from: usize, soft_max_bytes: usize, out: &mut Vec<u8>) -> Option<usize> {
    let (mut resources, mut scopes) = (Used::new(batch.resources.len()), Used::new(batch.scopes.len()));
    let (mut tables, mut spans) = ([Vec::new(), Vec::new()], Vec::new());
    let (mut trace_id, mut time, mut next) = (TraceId::default(), 0u64, from);
    while next < batch.spans.len() && tables[0].len() + tables[1].len() + spans.len() < soft_max_bytes {
        let span = &batch.spans[next];
        let (resource, fresh) = resources.position(span.resource);
        if fresh {
            put_resource(batch, &batch.resources[span.resource as usize], &mut tables[0]);
        }
        let (scope, fresh) = scopes.position(span.scope);
        if fresh {
            put_scope(batch, &batch.scopes[span.scope as usize], &mut tables[1]);
        }
        spans.push(1 + u8::from(span.trace_id != trace_id));
        if span.trace_id != trace_id {
            spans.extend_from_slice(&span.trace_id.0);
            trace_id = span.trace_id;
        }
        put_span(batch, &SpanEntry { resource, scope, ..*span }, time, &mut spans);
        time = span.start_ns;
        next += 1;
    }
    out.push(SPANS);
    for (used, table) in [&resources, &scopes].iter().zip(&tables) {
        put_varint(out, used.order.len() as u64);
        out.extend_from_slice(table);
    }
    out.extend_from_slice(&spans);
    out.push(0);
    (next < batch.spans.len()).then_some(next)
}

fn put_resource(batch: &SpanBatch, resource: &ResourceEntry, out: &mut Vec<u8>) {
    put_bytes(out, batch.bytes(resource.attributes));
    put_bytes(out, batch.bytes(resource.schema_url));
    put_varint(out, u64::from(resource.dropped_attributes));
}

fn put_scope(batch: &SpanBatch, scope: &ScopeEntry, out: &mut Vec<u8>) {
    for text in [scope.name, scope.version, scope.attributes, scope.schema_url] {
        put_bytes(out, batch.bytes(text));
    }
    put_varint(out, u64::from(scope.dropped_attributes));
}

fn put_span(batch: &SpanBatch, span: &SpanEntry, time: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&span.span_id.0);
    out.extend_from_slice(&span.parent_span_id.0);
    out.push(span.kind as u8);
    out.push(span.status as u8);
    put_varint(out, u64::from(span.resource));
    put_varint(out, u64::from(span.scope));
    put_varint(out, zigzag(span.start_ns.wrapping_sub(time) as i64));
    put_varint(out, zigzag(span.end_ns.wrapping_sub(span.start_ns) as i64));
    for number in [span.flags, span.dropped_attributes, span.dropped_events, span.dropped_links] {
        put_varint(out, u64::from(number));
    }
    for bytes in [span.name, span.status_message, span.trace_state, span.attributes, span.events, span.links] {
        put_bytes(out, batch.bytes(bytes));
    }
}

fn narrow(value: u64) -> Result<u32, RecordError> {
    u32::try_from(value).map_err(|_| RecordError("number too large"))
}

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

pub(super) fn read(body: &[u8]) -> Result<SpanBatch, RecordError> {
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
