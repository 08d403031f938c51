//! `ListOfSpans` of `zipkin.proto3`.

use super::draft::{Draft, Endpoint, Spans};
use super::keep_going;
use crate::error::ItemError;
use crate::protobuf::{Field, Reader};
use crate::spans::padded_id;
use crate::{DecodeError, RejectReason};
use bramble_signal::{SpanId, SpanKind, TraceId};

pub(super) fn decode(body: &[u8], spans: &mut Spans<'_>) -> Result<(), DecodeError> {
    let mut reader = Reader::new(body);
    while let Some(field) = reader.next()? {
        if field.number == 1 {
            let outcome = span(&field, spans);
            keep_going(spans, outcome, || format!("span at byte {}", field.position))?;
        }
    }
    Ok(())
}

fn span(field: &Field<'_>, spans: &mut Spans<'_>) -> Result<(), ItemError> {
    spans.draft.clear();
    let mut reader = field.message()?;
    while let Some(field) = reader.next()? {
        let draft = &mut *spans.draft;
        match field.number {
            1 => draft.trace_id = padded_id(field.bytes()?).map(TraceId).ok_or(RejectReason::InvalidTraceId)?,
            2 => draft.parent_id = span_id(&field)?,
            3 => draft.span_id = span_id(&field)?,
            4 => draft.kind = kind(field.varint()?),
            5 => draft.name.push_str(field.text()?),
            6 => draft.start_us = field.fixed64()?,
            7 => draft.duration_us = field.varint()?,
            8 => endpoint(field.message()?, &mut draft.local)?,
            9 => endpoint(field.message()?, &mut draft.remote)?,
            10 => annotation(field.message()?, draft)?,
            11 => tag(field.message()?, draft)?,
            12 => draft.debug = field.bool()?,
            13 => draft.shared = field.bool()?,
            _ => {}
        }
        spans.check(field.position)?;
    }
    spans.finish(field.position)
}

fn span_id(field: &Field<'_>) -> Result<SpanId, ItemError> {
    padded_id(field.bytes()?).map(SpanId).ok_or_else(|| RejectReason::InvalidSpanId.into())
}

fn kind(number: u64) -> SpanKind {
    match number {
        1 => SpanKind::Client,
        2 => SpanKind::Server,
        3 => SpanKind::Producer,
        4 => SpanKind::Consumer,
        _ => SpanKind::Unspecified,
    }
}

fn endpoint(mut reader: Reader<'_>, out: &mut Endpoint) -> Result<(), DecodeError> {
    out.clear();
    while let Some(field) = reader.next()? {
        match field.number {
            1 => out.service.push_str(field.text()?),
            2 | 3 => out.set_ip(field.bytes()?),
            4 => out.port = u16::try_from(field.varint()?).unwrap_or(0),
            _ => {}
        }
    }
    Ok(())
}

fn annotation(mut reader: Reader<'_>, draft: &mut Draft) -> Result<(), DecodeError> {
    let (mut time_us, mut value) = (0, "");
    while let Some(field) = reader.next()? {
        match field.number {
            1 => time_us = field.fixed64()?,
            2 => value = field.text()?,
            _ => {}
        }
    }
    draft.annotation(time_us, value, None);
    Ok(())
}

fn tag(mut reader: Reader<'_>, draft: &mut Draft) -> Result<(), DecodeError> {
    let (mut key, mut value) = ("", "");
    while let Some(field) = reader.next()? {
        match field.number {
            1 => key = field.text()?,
            2 => value = field.text()?,
            _ => {}
        }
    }
    draft.tags.put(key, value);
    Ok(())
}
