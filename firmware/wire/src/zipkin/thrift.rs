//! Spans of version 1 in Thrift: `zipkinCore.thrift`.

use super::draft::{Draft, Endpoint, Spans};
use crate::DecodeError;
use crate::error::ItemError;
use crate::spans::{text, text_or_bytes};
use crate::thrift::{Kind, Reader};
use bramble_signal::attributes::AttributeValue;
use bramble_signal::{SpanId, TraceId};

/// The arguments of a call: a struct whose field 1 is the list.
pub(super) fn arguments(mut reader: Reader<'_>, spans: &mut Spans<'_>) -> Result<(), DecodeError> {
    let mut last = 0;
    while let Some(field) = reader.field(&mut last)? {
        match (field.id, field.kind) {
            (1, Kind::List) => list(&mut reader, spans)?,
            (_, kind) => reader.skip(kind)?,
        }
    }
    Ok(())
}

/// A list of spans.
pub(super) fn list(reader: &mut Reader<'_>, spans: &mut Spans<'_>) -> Result<(), DecodeError> {
    let (kind, count) = reader.list()?;
    if kind != Kind::Struct {
        return (0..count).try_for_each(|_| reader.skip(kind));
    }
    for _ in 0..count {
        let start = *reader;
        match span(reader, spans) {
            Ok(()) => {}
            Err(ItemError::Reject(reason)) => {
                *reader = start;
                reader.skip(Kind::Struct)?;
                spans.decoded.rejected.add(reason, 1, || format!("span at byte {}", start.position()));
            }
            Err(ItemError::Fatal(error)) => return Err(error),
        }
    }
    Ok(())
}

fn span(reader: &mut Reader<'_>, spans: &mut Spans<'_>) -> Result<(), ItemError> {
    let (mut last, mut high, mut low, start) = (0, 0u64, 0u64, reader.position());
    spans.draft.clear();
    while let Some(field) = reader.field(&mut last)? {
        let draft = &mut *spans.draft;
        match (field.id, field.kind) {
            (1, Kind::I64) => low = reader.i64()?.cast_unsigned(),
            (12, Kind::I64) => high = reader.i64()?.cast_unsigned(),
            (3, Kind::Bytes) => draft.name.push_str(text(reader.bytes()?)?),
            (4, Kind::I64) => draft.span_id = SpanId(reader.i64()?.to_be_bytes()),
            (5, Kind::I64) => draft.parent_id = SpanId(reader.i64()?.to_be_bytes()),
            (6, Kind::List) => each(reader, spans, annotation)?,
            (8, Kind::List) => each(reader, spans, binary_annotation)?,
            (9, Kind::Bool) => draft.debug = reader.bool()?,
            (10, Kind::I64) => draft.start_us = u64::try_from(reader.i64()?).unwrap_or(0),
            (11, Kind::I64) => draft.duration_us = u64::try_from(reader.i64()?).unwrap_or(0),
            (_, kind) => reader.skip(kind)?,
        }
    }
    spans.draft.trace_id = TraceId((u128::from(high) << 64 | u128::from(low)).to_be_bytes());
    spans.finish(start)
}

/// Reads a list of structs.
fn each(
    reader: &mut Reader<'_>,
    spans: &mut Spans<'_>,
    read: impl Fn(&mut Reader<'_>, &mut Draft) -> Result<(), ItemError>,
) -> Result<(), ItemError> {
    let (kind, count) = reader.list()?;
    for _ in 0..count {
        match kind {
            Kind::Struct => read(reader, spans.draft)?,
            kind => reader.skip(kind)?,
        }
        spans.check(reader.position())?;
    }
    Ok(())
}

fn annotation(reader: &mut Reader<'_>, draft: &mut Draft) -> Result<(), ItemError> {
    let (mut last, mut time_us, mut value, mut host) = (0, 0, "", None);
    while let Some(field) = reader.field(&mut last)? {
        match (field.id, field.kind) {
            (1, Kind::I64) => time_us = u64::try_from(reader.i64()?).unwrap_or(0),
            (2, Kind::Bytes) => value = text(reader.bytes()?)?,
            (3, Kind::Struct) => host = Some(endpoint(reader)?),
            (_, kind) => reader.skip(kind)?,
        }
    }
    draft.annotation(time_us, value, host.as_ref());
    Ok(())
}

fn binary_annotation(reader: &mut Reader<'_>, draft: &mut Draft) -> Result<(), ItemError> {
    let (mut last, mut key, mut value, mut sort, mut host) = (0, "", &b""[..], 6, None);
    while let Some(field) = reader.field(&mut last)? {
        match (field.id, field.kind) {
            (1, Kind::Bytes) => key = text(reader.bytes()?)?,
            (2, Kind::Bytes) => value = reader.bytes()?,
            (3, Kind::I32) => sort = reader.i32()?,
            (4, Kind::Struct) => host = Some(endpoint(reader)?),
            (_, kind) => reader.skip(kind)?,
        }
    }
    if let ("sa" | "ca" | "ma", Some(host)) = (key, &host) {
        draft.remote.copy_from(host);
        return Ok(());
    }
    draft.note(host.as_ref());
    match typed(sort, value) {
        AttributeValue::Str(text) => draft.tags.put(key, text),
        AttributeValue::Bool(truth) if key == "error" => draft.tags.put_error(if truth { "true" } else { "false" }),
        value => draft.tags.put_value(key, value),
    }
    Ok(())
}

/// The value of an annotation's type; bytes that are not as long as their type says stay bytes.
fn typed(sort: i32, bytes: &[u8]) -> AttributeValue<'_> {
    use AttributeValue::{Bool, Bytes, Double, Int};
    match (sort, bytes) {
        (0, &[byte]) => Bool(byte != 0),
        (2, &[a, b]) => Int(i16::from_be_bytes([a, b]).into()),
        (3, &[a, b, c, d]) => Int(i32::from_be_bytes([a, b, c, d]).into()),
        (4 | 5, eight) if eight.len() == 8 => {
            let number = eight.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
            if sort == 4 { Int(number.cast_signed()) } else { Double(f64::from_bits(number)) }
        }
        (6, text) => text_or_bytes(text),
        (_, bytes) => Bytes(bytes),
    }
}

fn endpoint(reader: &mut Reader<'_>) -> Result<Endpoint, ItemError> {
    let (mut last, mut out) = (0, Endpoint::default());
    while let Some(field) = reader.field(&mut last)? {
        match (field.id, field.kind) {
            (1, Kind::I32) => out.set_ip(&reader.i32()?.to_be_bytes()),
            (2, Kind::I16) => out.port = reader.i16()?.cast_unsigned(),
            (3, Kind::Bytes) => out.service.push_str(text(reader.bytes()?)?),
            (4, Kind::Bytes) => out.set_ip(reader.bytes()?),
            (_, kind) => reader.skip(kind)?,
        }
    }
    Ok(out)
}
