//! `jaeger.thrift`'s `Batch` and `agent.thrift`'s `emitBatch`.

use super::draft::{Draft, Reference, Spans};
use crate::error::ItemError;
use crate::spans::{nanos, text, text_or_bytes};
use crate::thrift::{Kind, Reader};
use crate::{DecodeError, DecodeErrorKind};
use bramble_signal::attributes::{AttributeValue, put_attribute};
use bramble_signal::{SpanId, TraceId};

/// A tag whose name or value can not be kept, or damage.
type TagResult<'a> = Result<(&'a str, AttributeValue<'a>), ItemError>;

impl Spans<'_> {
    /// The arguments of `emitBatch`: a struct whose field 1 is the batch.
    pub(super) fn arguments(&mut self, mut reader: Reader<'_>) -> Result<(), DecodeError> {
        let mut last = 0;
        while let Some(field) = reader.field(&mut last)? {
            match (field.id, field.kind) {
                (1, Kind::Struct) => self.batch(&mut reader)?,
                (_, kind) => reader.skip(kind)?,
            }
        }
        Ok(())
    }

    /// A `Batch`. Spans that come before their process are passed over until it is known.
    pub(super) fn batch(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let (mut last, mut resource, mut early) = (0, None, Vec::new());
        while let Some(field) = reader.field(&mut last)? {
            match (field.id, field.kind, resource) {
                (1, Kind::Struct, _) => resource = Some(self.process(reader)?),
                (2, Kind::List, Some(resource)) => self.spans(reader, resource)?,
                (2, Kind::List, None) if early.is_empty() => {
                    early.push(*reader);
                    reader.skip(Kind::List)?;
                }
                (_, kind, _) => reader.skip(kind)?,
            }
        }
        for mut spans in early {
            let resource = match resource {
                Some(resource) => resource,
                None => {
                    self.begin();
                    self.resource(spans.position())?
                }
            };
            self.spans(&mut spans, resource)?;
        }
        Ok(())
    }

    fn process(&mut self, reader: &mut Reader<'_>) -> Result<u32, DecodeError> {
        let (mut last, start) = (0, reader.position());
        self.begin();
        while let Some(field) = reader.field(&mut last)? {
            match (field.id, field.kind) {
                (1, Kind::Bytes) => {
                    let service = text_or_bytes(reader.bytes()?);
                    if !matches!(service, AttributeValue::Str("")) {
                        put_attribute(&mut self.scratch.attributes, "service.name", service);
                    }
                }
                (2, Kind::List) => {
                    let (kind, count) = reader.list()?;
                    for _ in 0..count {
                        match tag(reader, kind) {
                            Ok((key, value)) => put_attribute(&mut self.scratch.attributes, key, value),
                            Err(ItemError::Fatal(error)) => return Err(error),
                            // A tag that has no name to be found by; the spans are worth more.
                            Err(ItemError::Reject(_)) => {}
                        }
                        self.check(start)?;
                    }
                }
                (_, kind) => reader.skip(kind)?,
            }
        }
        self.resource(start)
    }

    fn spans(&mut self, reader: &mut Reader<'_>, resource: u32) -> Result<(), DecodeError> {
        let (kind, count) = reader.list()?;
        if kind != Kind::Struct {
            return (0..count).try_for_each(|_| reader.skip(kind));
        }
        for _ in 0..count {
            let start = *reader;
            match self.span(reader, resource) {
                Ok(()) => {}
                Err(ItemError::Reject(reason)) => {
                    // Somewhere inside the span: the next begins where this one ends.
                    *reader = start;
                    reader.skip(Kind::Struct)?;
                    self.reject(reason, start.position());
                }
                Err(ItemError::Fatal(error)) => return Err(error),
            }
        }
        Ok(())
    }

    fn span(&mut self, reader: &mut Reader<'_>, resource: u32) -> Result<(), ItemError> {
        let (mut last, start) = (0, reader.position());
        let (mut draft, mut trace, mut time_us, mut duration_us) = (Draft::default(), (0, 0), 0, 0);
        self.begin();
        while let Some(field) = reader.field(&mut last)? {
            match (field.id, field.kind) {
                (1, Kind::I64) => trace.1 = reader.i64()?,
                (2, Kind::I64) => trace.0 = reader.i64()?,
                (3, Kind::I64) => draft.span_id = span_id(reader.i64()?),
                (4, Kind::I64) => draft.parent_id = span_id(reader.i64()?),
                (5, Kind::Bytes) => draft.name = text(reader.bytes()?)?,
                (6, Kind::List) => self.references(reader)?,
                (7, Kind::I32) => draft.flags = reader.i32()?.cast_unsigned(),
                (8, Kind::I64) => time_us = reader.i64()?,
                (9, Kind::I64) => duration_us = reader.i64()?,
                (10, Kind::List) => {
                    let (kind, count) = reader.list()?;
                    for _ in 0..count {
                        let (key, value) = tag(reader, kind)?;
                        if !draft.known.take(key, value) {
                            put_attribute(&mut self.scratch.attributes, key, value);
                        }
                        self.check(start)?;
                    }
                }
                (11, Kind::List) => self.logs(reader)?,
                (_, kind) => reader.skip(kind)?,
            }
        }
        draft.trace_id = trace_id(trace);
        (draft.start_ns, draft.end_ns) = (nanos(time_us), nanos(time_us.saturating_add(duration_us)));
        self.finish(&draft, resource, start)
    }

    fn references(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let (kind, count) = reader.list()?;
        for _ in 0..count {
            if kind != Kind::Struct {
                reader.skip(kind)?;
                continue;
            }
            let (mut last, mut trace, mut reference) = (0, (0, 0), Reference::default());
            while let Some(field) = reader.field(&mut last)? {
                match (field.id, field.kind) {
                    (1, Kind::I32) => reference.follows = reader.i32()? == 1,
                    (2, Kind::I64) => trace.1 = reader.i64()?,
                    (3, Kind::I64) => trace.0 = reader.i64()?,
                    (4, Kind::I64) => reference.span_id = span_id(reader.i64()?),
                    (_, kind) => reader.skip(kind)?,
                }
            }
            reference.trace_id = trace_id(trace);
            self.scratch.references.push(reference);
            self.check(reader.position())?;
        }
        Ok(())
    }

    fn logs(&mut self, reader: &mut Reader<'_>) -> Result<(), ItemError> {
        let (kind, count) = reader.list()?;
        for _ in 0..count {
            if kind != Kind::Struct {
                reader.skip(kind)?;
                continue;
            }
            self.log(reader)?;
            self.check(reader.position())?;
        }
        Ok(())
    }

    fn log(&mut self, reader: &mut Reader<'_>) -> Result<(), ItemError> {
        let (mut last, mut time_us, mut fields) = (0, 0, None);
        while let Some(field) = reader.field(&mut last)? {
            match (field.id, field.kind) {
                (1, Kind::I64) => time_us = reader.i64()?,
                (2, Kind::List) => {
                    fields = Some(*reader);
                    reader.skip(Kind::List)?;
                }
                (_, kind) => reader.skip(kind)?,
            }
        }
        self.scratch.inner.clear();
        let Some(mut fields) = fields else {
            self.event(nanos(time_us), "");
            return Ok(());
        };
        let (kind, count) = fields.list()?;
        let (mut names, mut name) = (fields, "");
        let mut name_key = "";
        for _ in 0..count {
            if let (key @ ("event" | "message"), AttributeValue::Str(text)) = tag(&mut names, kind)?
                && name_key != "event"
            {
                (name_key, name) = (key, text);
            }
        }
        for _ in 0..count {
            let (key, value) = tag(&mut fields, kind)?;
            if key == name_key && value == AttributeValue::Str(name) {
                // The name; should there be another field like it, that one is kept.
                name_key = "";
                continue;
            }
            put_attribute(&mut self.scratch.inner, key, value);
            self.check(fields.position())?;
        }
        self.event(nanos(time_us), name);
        Ok(())
    }
}

fn span_id(number: i64) -> SpanId {
    SpanId(number.to_be_bytes())
}

/// High and low half.
fn trace_id((high, low): (i64, i64)) -> TraceId {
    TraceId((u128::from(high.cast_unsigned()) << 64 | u128::from(low.cast_unsigned())).to_be_bytes())
}

/// A `Tag`: its type says which of its values is meant.
fn tag<'a>(reader: &mut Reader<'a>, kind: Kind) -> TagResult<'a> {
    if kind != Kind::Struct {
        let error = DecodeError::new(DecodeErrorKind::Malformed, "tags are not structs", reader.position());
        return Err(ItemError::Fatal(error));
    }
    let (mut last, mut key, mut sort) = (0, &b""[..], 0);
    let (mut string, mut double, mut truth, mut long, mut binary) = (&b""[..], 0.0, false, 0, &b""[..]);
    while let Some(field) = reader.field(&mut last)? {
        match (field.id, field.kind) {
            (1, Kind::Bytes) => key = reader.bytes()?,
            (2, Kind::I32) => sort = reader.i32()?,
            (3, Kind::Bytes) => string = reader.bytes()?,
            (4, Kind::Double) => double = reader.double()?,
            (5, Kind::Bool) => truth = reader.bool()?,
            (6, Kind::I64) => long = reader.i64()?,
            (7, Kind::Bytes) => binary = reader.bytes()?,
            (_, kind) => reader.skip(kind)?,
        }
    }
    let value = match sort {
        0 => text_or_bytes(string),
        1 => AttributeValue::Double(double),
        2 => AttributeValue::Bool(truth),
        3 => AttributeValue::Int(long),
        4 => AttributeValue::Bytes(binary),
        _ => AttributeValue::Empty,
    };
    Ok((text(key)?, value))
}
