//! `api_v2`'s `PostSpansRequest`: the same model in protobuf, where a span may have a process of its own.

use super::draft::{Draft, Reference, Spans};
use crate::error::ItemError;
use crate::protobuf::{Field, Reader};
use crate::spans::{padded_id, text, text_or_bytes};
use crate::{DecodeError, RejectReason};
use bramble_signal::attributes::{AttributeValue, put_array, put_attribute, put_key, put_value};
use bramble_signal::{SpanId, TraceId};

/// Jaeger keeps warnings about a span under this name.
const WARNINGS: &str = "@jaeger@warnings";

impl Spans<'_> {
    pub(super) fn post_spans(&mut self, body: &[u8]) -> Result<(), DecodeError> {
        let mut reader = Reader::new(body);
        while let Some(field) = reader.next()? {
            if field.number == 1 {
                self.proto_batch(field.message()?)?;
            }
        }
        Ok(())
    }

    fn proto_batch(&mut self, message: Reader<'_>) -> Result<(), DecodeError> {
        let (mut reader, mut process) = (message, Reader::default());
        while let Some(field) = reader.next()? {
            if field.number == 2 {
                process = field.message()?;
            }
        }
        let resource = self.proto_process(process)?;
        let mut reader = message;
        while let Some(field) = reader.next()? {
            if field.number != 1 {
                continue;
            }
            match self.proto_span(&field, resource) {
                Ok(()) => {}
                Err(ItemError::Reject(reason)) => self.reject(reason, field.position),
                Err(ItemError::Fatal(error)) => return Err(error),
            }
        }
        Ok(())
    }

    fn proto_process(&mut self, mut reader: Reader<'_>) -> Result<u32, DecodeError> {
        let start = reader.position();
        self.begin();
        while let Some(field) = reader.next()? {
            match field.number {
                1 if !field.bytes()?.is_empty() => {
                    put_attribute(&mut self.scratch.attributes, "service.name", text_or_bytes(field.bytes()?));
                }
                2 => match key_value(&field) {
                    Ok((key, value)) => put_attribute(&mut self.scratch.attributes, key, value),
                    Err(ItemError::Fatal(error)) => return Err(error),
                    Err(ItemError::Reject(_)) => {}
                },
                _ => {}
            }
        }
        self.resource(start)
    }

    fn proto_span(&mut self, field: &Field<'_>, resource: u32) -> Result<(), ItemError> {
        let message = field.message()?;
        // A process of its own comes first here, since it needs the same scratch memory.
        let (mut reader, mut resource) = (message, resource);
        while let Some(field) = reader.next()? {
            if field.number == 10 {
                resource = self.proto_process(field.message()?)?;
            }
        }
        let (mut reader, mut draft, mut duration_ns, mut has_warnings) = (message, Draft::default(), 0i128, false);
        self.begin();
        while let Some(field) = reader.next()? {
            match field.number {
                1 => draft.trace_id = trace_id(&field)?,
                2 => draft.span_id = span_id(&field)?,
                3 => draft.name = text(field.bytes()?)?,
                4 => self.proto_reference(field.message()?)?,
                5 => draft.flags = field.uint32()?,
                6 => draft.start_ns = clamped(seconds_and_nanos(field.message()?)?),
                7 => duration_ns = seconds_and_nanos(field.message()?)?,
                8 => {
                    let (key, value) = key_value(&field)?;
                    if !draft.known.take(key, value) {
                        put_attribute(&mut self.scratch.attributes, key, value);
                    }
                }
                9 => self.proto_log(field.message()?)?,
                12 => has_warnings = true,
                _ => {}
            }
            self.check(field.position)?;
        }
        if has_warnings {
            self.warnings(message)?;
        }
        draft.end_ns = clamped(i128::from(draft.start_ns) + duration_ns);
        self.finish(&draft, resource, field.position)
    }

    fn warnings(&mut self, mut reader: Reader<'_>) -> Result<(), DecodeError> {
        put_key(&mut self.scratch.attributes, WARNINGS);
        put_array(&mut self.scratch.attributes, |out| {
            while let Some(field) = reader.next()? {
                if field.number == 12 {
                    put_value(out, text_or_bytes(field.bytes()?));
                }
            }
            Ok(())
        })
    }

    fn proto_reference(&mut self, mut reader: Reader<'_>) -> Result<(), ItemError> {
        let mut reference = Reference::default();
        while let Some(field) = reader.next()? {
            match field.number {
                1 => reference.trace_id = trace_id(&field)?,
                2 => reference.span_id = span_id(&field)?,
                3 => reference.follows = field.varint()? == 1,
                _ => {}
            }
        }
        self.scratch.references.push(reference);
        Ok(())
    }

    fn proto_log(&mut self, message: Reader<'_>) -> Result<(), ItemError> {
        let (mut reader, mut time_ns, mut name, mut name_key) = (message, 0, "", "");
        while let Some(field) = reader.next()? {
            match field.number {
                1 => time_ns = clamped(seconds_and_nanos(field.message()?)?),
                2 => {
                    if let (key @ ("event" | "message"), AttributeValue::Str(text)) = key_value(&field)?
                        && name_key != "event"
                    {
                        (name_key, name) = (key, text);
                    }
                }
                _ => {}
            }
        }
        self.scratch.inner.clear();
        let mut reader = message;
        while let Some(field) = reader.next()? {
            if field.number != 2 {
                continue;
            }
            let (key, value) = key_value(&field)?;
            if key == name_key && value == AttributeValue::Str(name) {
                name_key = "";
                continue;
            }
            put_attribute(&mut self.scratch.inner, key, value);
        }
        self.event(time_ns, name);
        Ok(())
    }
}

fn trace_id(field: &Field<'_>) -> Result<TraceId, ItemError> {
    padded_id(field.bytes()?).map(TraceId).ok_or_else(|| RejectReason::InvalidTraceId.into())
}

fn span_id(field: &Field<'_>) -> Result<SpanId, ItemError> {
    padded_id(field.bytes()?).map(SpanId).ok_or_else(|| RejectReason::InvalidSpanId.into())
}

/// A `Timestamp` or `Duration`, in nanoseconds.
fn seconds_and_nanos(mut reader: Reader<'_>) -> Result<i128, DecodeError> {
    let (mut seconds, mut nanos) = (0, 0);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => seconds = field.int64()?,
            2 => nanos = field.int64()?,
            _ => {}
        }
    }
    Ok(i128::from(seconds) * 1_000_000_000 + i128::from(nanos))
}

fn clamped(ns: i128) -> u64 {
    u64::try_from(ns.max(0)).unwrap_or(u64::MAX)
}

/// A `KeyValue`: its type says which of its values is meant.
fn key_value<'a>(field: &Field<'a>) -> Result<(&'a str, AttributeValue<'a>), ItemError> {
    let (mut key, mut sort) = (&b""[..], 0);
    let (mut string, mut truth, mut int, mut double, mut binary) = (&b""[..], false, 0, 0.0, &b""[..]);
    let mut reader = field.message()?;
    while let Some(field) = reader.next()? {
        match field.number {
            1 => key = field.bytes()?,
            2 => sort = field.varint()?,
            3 => string = field.bytes()?,
            4 => truth = field.bool()?,
            5 => int = field.int64()?,
            6 => double = field.double()?,
            7 => binary = field.bytes()?,
            _ => {}
        }
    }
    let value = match sort {
        0 => text_or_bytes(string),
        1 => AttributeValue::Bool(truth),
        2 => AttributeValue::Int(int),
        3 => AttributeValue::Double(double),
        4 => AttributeValue::Bytes(binary),
        _ => AttributeValue::Empty,
    };
    Ok((text(key)?, value))
}
