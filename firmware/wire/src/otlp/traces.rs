//! `ExportTraceServiceRequest` to a [`SpanBatch`].

use super::Scratch;
use super::any_value::put_key_value;
use crate::error::ItemError;
use crate::limits::Meter;
use crate::protobuf::{Field, Reader};
use crate::{DecodeError, Decoded, Limits, RejectReason, Rejected};
use bramble_signal::attributes::AttributesRef;
use bramble_signal::{ResourceEntry, ScopeEntry, SpanBatch, SpanEntry, SpanEvent, SpanId, SpanKind, SpanLink};
use bramble_signal::{StatusCode, TraceId};

struct Traces<'a> {
    scratch: &'a mut Scratch,
    meter: Meter,
    batch: SpanBatch,
    rejected: Rejected,
}

pub(super) fn decode(body: &[u8], limits: &Limits, scratch: &mut Scratch) -> Result<Decoded<SpanBatch>, DecodeError> {
    let meter = Meter::new(limits.batch_bytes_max);
    let mut traces = Traces { scratch, meter, batch: SpanBatch::new(), rejected: Rejected::default() };
    let mut reader = Reader::new(body);
    while let Some(field) = reader.next()? {
        if field.number == 1 {
            traces.resource_spans(field.message()?)?;
        }
    }
    Ok(Decoded { batch: traces.batch, rejected: traces.rejected, ..Decoded::default() })
}

impl Traces<'_> {
    fn resource_spans(&mut self, message: Reader<'_>) -> Result<(), DecodeError> {
        let mut entry = ResourceEntry::default();
        self.scratch.attributes.clear();
        let mut reader = message;
        while let Some(field) = reader.next()? {
            match field.number {
                1 => entry.dropped_attributes = self.resource(field.message()?)?,
                3 => entry.schema_url = self.batch.put(field.text()?.as_bytes()),
                _ => {}
            }
        }
        self.meter.add(size_of::<ResourceEntry>() + self.scratch.attributes.len(), message.position())?;
        entry.attributes = self.batch.put(&self.scratch.attributes);
        let index = self.batch.resources.len();
        self.batch.resources.push(entry);
        let mut reader = message;
        while let Some(field) = reader.next()? {
            if field.number == 2 {
                self.scope_spans(field.message()?, index as u32)?;
            }
        }
        Ok(())
    }

    fn resource(&mut self, mut reader: Reader<'_>) -> Result<u32, DecodeError> {
        let mut dropped = 0;
        while let Some(field) = reader.next()? {
            match field.number {
                1 => put_key_value(&mut self.scratch.attributes, &field)?,
                2 => dropped = field.uint32()?,
                _ => {}
            }
        }
        Ok(dropped)
    }

    fn scope_spans(&mut self, message: Reader<'_>, resource: u32) -> Result<(), DecodeError> {
        let mut entry = ScopeEntry::default();
        self.scratch.attributes.clear();
        let mut reader = message;
        while let Some(field) = reader.next()? {
            match field.number {
                1 => self.scope(field.message()?, &mut entry)?,
                3 => entry.schema_url = self.batch.put(field.text()?.as_bytes()),
                _ => {}
            }
        }
        self.meter.add(size_of::<ScopeEntry>() + self.scratch.attributes.len(), message.position())?;
        entry.attributes = self.batch.put(&self.scratch.attributes);
        let scope = self.batch.scopes.len() as u32;
        self.batch.scopes.push(entry);
        let mut reader = message;
        while let Some(field) = reader.next()? {
            if field.number != 2 {
                continue;
            }
            let arena_bytes = self.batch.arena.len();
            match self.span(&field, resource, scope) {
                Ok(()) => {}
                Err(ItemError::Reject(reason)) => {
                    self.batch.arena.truncate(arena_bytes);
                    self.rejected.add(reason, 1, || format!("span at byte {}", field.position));
                }
                Err(ItemError::Fatal(error)) => return Err(error),
            }
        }
        Ok(())
    }

    fn scope(&mut self, mut reader: Reader<'_>, entry: &mut ScopeEntry) -> Result<(), DecodeError> {
        while let Some(field) = reader.next()? {
            match field.number {
                1 => entry.name = self.batch.put(field.text()?.as_bytes()),
                2 => entry.version = self.batch.put(field.text()?.as_bytes()),
                3 => put_key_value(&mut self.scratch.attributes, &field)?,
                4 => entry.dropped_attributes = field.uint32()?,
                _ => {}
            }
        }
        Ok(())
    }

    fn span(&mut self, field: &Field<'_>, resource: u32, scope: u32) -> Result<(), ItemError> {
        let Scratch { attributes, inner, events, links, .. } = &mut *self.scratch;
        attributes.clear();
        events.clear();
        links.clear();
        let mut span = SpanEntry { resource, scope, ..Default::default() };
        let mut reader = field.message()?;
        while let Some(field) = reader.next()? {
            match field.number {
                1 => span.trace_id = TraceId(id(&field, RejectReason::InvalidTraceId)?),
                2 => span.span_id = SpanId(id(&field, RejectReason::InvalidSpanId)?),
                3 => span.trace_state = self.batch.put(field.text()?.as_bytes()),
                4 if field.bytes()?.is_empty() => {}
                4 => span.parent_span_id = SpanId(id(&field, RejectReason::InvalidSpanId)?),
                5 => span.name = self.batch.put(field.text()?.as_bytes()),
                6 => span.kind = SpanKind::from_code(field.varint()?),
                7 => span.start_ns = field.fixed64()?,
                8 => span.end_ns = field.fixed64()?,
                9 => put_key_value(attributes, &field)?,
                10 => span.dropped_attributes = field.uint32()?,
                11 => event(field.message()?, inner, events)?,
                12 => span.dropped_events = field.uint32()?,
                13 => span.dropped_links = span.dropped_links.saturating_add(link(field.message()?, inner, links)?),
                14 => span.dropped_links = span.dropped_links.saturating_add(field.uint32()?),
                15 => {
                    let mut reader = field.message()?;
                    while let Some(field) = reader.next()? {
                        match field.number {
                            2 => span.status_message = self.batch.put(field.text()?.as_bytes()),
                            3 => span.status = StatusCode::from_code(field.varint()?),
                            _ => {}
                        }
                    }
                }
                16 => span.flags = field.fixed32()?,
                _ => {}
            }
        }
        if span.trace_id.is_zero() {
            return Err(RejectReason::InvalidTraceId.into());
        }
        if span.span_id.is_zero() {
            return Err(RejectReason::InvalidSpanId.into());
        }
        // A span's texts are no longer in the batch than in the request; its fixed part is the larger.
        let bytes = size_of::<SpanEntry>() + field.bytes()?.len() + attributes.len() + events.len() + links.len();
        self.meter.add(bytes, field.position)?;
        span.attributes = self.batch.put(attributes);
        span.events = self.batch.put(events);
        span.links = self.batch.put(links);
        self.batch.spans.push(span);
        Ok(())
    }
}

fn id<const N: usize>(field: &Field<'_>, reason: RejectReason) -> Result<[u8; N], ItemError> {
    <[u8; N]>::try_from(field.bytes()?).map_err(|_| reason.into())
}

fn event(mut reader: Reader<'_>, attributes: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    attributes.clear();
    let (mut time_ns, mut name, mut dropped_attributes) = (0, "", 0);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => time_ns = field.fixed64()?,
            2 => name = field.text()?,
            3 => put_key_value(attributes, &field)?,
            4 => dropped_attributes = field.uint32()?,
            _ => {}
        }
    }
    let attributes = AttributesRef::from_encoded(attributes);
    bramble_signal::put_event(out, &SpanEvent { time_ns, name, attributes, dropped_attributes });
    Ok(())
}

/// Appends a link, or returns 1 when its ids are malformed: a link to nowhere counts as dropped, the span stays.
fn link(mut reader: Reader<'_>, attributes: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<u32, DecodeError> {
    attributes.clear();
    let (mut trace_id, mut span_id): (&[u8], &[u8]) = (&[], &[]);
    let (mut trace_state, mut flags, mut dropped_attributes) = ("", 0, 0);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => trace_id = field.bytes()?,
            2 => span_id = field.bytes()?,
            3 => trace_state = field.text()?,
            4 => put_key_value(attributes, &field)?,
            5 => dropped_attributes = field.uint32()?,
            6 => flags = field.fixed32()?,
            _ => {}
        }
    }
    let (Ok(trace_id), Ok(span_id)) = (trace_id.try_into(), span_id.try_into()) else { return Ok(1) };
    let attributes = AttributesRef::from_encoded(attributes);
    let (trace_id, span_id) = (TraceId(trace_id), SpanId(span_id));
    bramble_signal::put_link(out, &SpanLink { trace_id, span_id, trace_state, flags, attributes, dropped_attributes });
    Ok(0)
}
