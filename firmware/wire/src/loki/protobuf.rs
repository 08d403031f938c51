//! `logproto.PushRequest`.

use super::{Push, label_text, push_metadata, texts};
use crate::error::ItemError;
use crate::protobuf::{Field, Reader};
use crate::remote_write::name_and_value;
use crate::{DecodeError, RejectReason};

pub(super) fn decode(body: &[u8], push: &mut Push<'_>) -> Result<(), DecodeError> {
    let mut reader = Reader::new(body);
    while let Some(field) = reader.next()? {
        if field.number == 1 {
            push.streams += 1;
            stream(&field, push)?;
        }
    }
    Ok(())
}

fn stream(field: &Field<'_>, push: &mut Push<'_>) -> Result<(), DecodeError> {
    let (mut labels, mut entries) = (None, 0);
    let mut reader = field.message()?;
    while let Some(field) = reader.next()? {
        match field.number {
            1 => labels = Some(field),
            2 => entries += 1,
            _ => {}
        }
    }
    if entries == 0 {
        return Ok(());
    }
    if let Err((reason, text)) = start_stream(labels, field.position, push)? {
        push.rejected.add_told(reason, entries, || text);
        return Ok(());
    }
    let mut reader = field.message()?;
    while let Some(field) = reader.next()? {
        if field.number != 2 {
            continue;
        }
        match entry(&field, push) {
            Ok(()) => {}
            Err(ItemError::Reject(reason)) => {
                push.rejected.add(reason, 1, || format!("entry at byte {}", field.position))
            }
            Err(ItemError::Fatal(error)) => return Err(error),
        }
    }
    Ok(())
}

/// Starts the stream, or says why its entries must go.
fn start_stream(
    labels: Option<Field<'_>>,
    position: usize,
    push: &mut Push<'_>,
) -> Result<Result<(), (RejectReason, String)>, DecodeError> {
    let text = match labels.map(|field| field.text()).transpose() {
        Ok(text) => text.unwrap_or_default(),
        Err(error) => {
            return match ItemError::from(error) {
                ItemError::Reject(reason) => {
                    Ok(Err((reason, format!("{}: labels at byte {position}", reason.describe()))))
                }
                ItemError::Fatal(error) => Err(error),
            };
        }
    };
    if let Err(error) = label_text::parse_into(text, &mut push.scratch.labels) {
        return Ok(Err((RejectReason::InvalidLabels, texts::unparsed(&error))));
    }
    push.start_stream(position)
}

fn entry(field: &Field<'_>, push: &mut Push<'_>) -> Result<(), ItemError> {
    push.scratch.metadata.clear();
    let (mut timestamp_ns, mut line): (_, &[u8]) = (Some(0), &[]);
    let mut reader = field.message()?;
    while let Some(field) = reader.next()? {
        match field.number {
            1 => timestamp_ns = timestamp(field.message()?)?,
            2 => line = field.bytes()?,
            3 => {
                let (name, value) = name_and_value(field.message()?)?;
                push_metadata(&mut push.scratch.metadata, name, value);
            }
            _ => {}
        }
    }
    let timestamp_ns = timestamp_ns.ok_or(RejectReason::InvalidTimestamp)?;
    Ok(push.push_entry(timestamp_ns, line, field.position)?)
}

/// A `google.protobuf.Timestamp` in nanoseconds, when they fit.
fn timestamp(mut reader: Reader<'_>) -> Result<Option<i64>, DecodeError> {
    let (mut seconds, mut nanos) = (0, 0);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => seconds = field.int64()?,
            2 => nanos = field.int64()?,
            _ => {}
        }
    }
    Ok(seconds.checked_mul(1_000_000_000).and_then(|ns: i64| ns.checked_add(nanos)))
}
