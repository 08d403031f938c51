//! Log entries in the shape of Loki's `PushRequest`, labels as pairs.

use crate::error::DecodeError;
use crate::label_set::LabelSet;
use crate::limits::Meter;
use crate::protobuf::{Field, Reader, Writer};
use crate::{Decoded, RejectReason, Rejected};
use bramble_signal::{LabelsRef, LogBatch};

/// Memory of a stream and of an entry in the batch beside their texts.
const STREAM_BYTES: usize = 16;
const ENTRY_BYTES: usize = 24;

/// Field of a stream's labels as pairs. Loki's text form in field 1 would have to be parsed, and cannot say every name.
const LABELS: u32 = 4;

fn pairs(w: &mut Writer<'_>, number: u32, labels: LabelsRef<'_>) {
    for (name, value) in labels.iter() {
        w.message(number, |w| {
            w.bytes(1, name);
            w.bytes(2, value);
        });
    }
}

/// Appends the batch: streams and their entries in order of arrival, lines as they are.
pub fn put_logs(batch: &LogBatch, out: &mut Vec<u8>) {
    let w = &mut Writer::new(out);
    for stream in batch.streams() {
        w.message(1, |w| {
            pairs(w, LABELS, stream.labels());
            for entry in stream.entries() {
                w.message(2, |w| {
                    w.message(1, |w| {
                        w.varint(1, entry.timestamp_ns.div_euclid(1_000_000_000).cast_unsigned());
                        w.varint(2, entry.timestamp_ns.rem_euclid(1_000_000_000).cast_unsigned());
                    });
                    w.bytes(2, entry.line);
                    pairs(w, 3, entry.metadata);
                });
            }
        });
    }
}

struct Logs {
    batch: LogBatch,
    rejected: Rejected,
    meter: Meter,
    labels: LabelSet,
}

/// Reads a batch that takes at most `limit_bytes` of memory. Streams and entries whose labels are none (a name twice or
/// empty, no UTF-8) are rejected, the others stay.
///
/// # Errors
/// [`DecodeError`] for damage or a batch above the limit.
pub fn read_logs(payload: &[u8], limit_bytes: usize) -> Result<Decoded<LogBatch>, DecodeError> {
    let mut logs = Logs {
        batch: LogBatch::new(),
        rejected: Rejected::default(),
        meter: Meter::new(limit_bytes),
        labels: LabelSet::default(),
    };
    let mut reader = Reader::new(payload);
    while let Some(field) = reader.next()? {
        if field.number == 1 {
            logs.stream(&field)?;
        }
    }
    Ok(Decoded { batch: logs.batch, rejected: logs.rejected, ..Decoded::default() })
}

impl Logs {
    fn stream(&mut self, field: &Field<'_>) -> Result<(), DecodeError> {
        self.labels.clear();
        let (mut bad, mut entries) = (None, 0);
        let mut reader = field.message()?;
        while let Some(field) = reader.next()? {
            match field.number {
                2 => entries += 1,
                LABELS => bad = bad.or(self.pair(&field)?),
                _ => {}
            }
        }
        if let Some(reason) = bad.or_else(|| self.labels.encode_unique().err()) {
            self.rejected.add(reason, entries, || format!("stream at byte {}", field.position));
            return Ok(());
        }
        let labels = self.labels.encoded();
        self.meter.add(labels.as_bytes().len() + STREAM_BYTES, field.position)?;
        self.batch.start_stream_encoded(labels);
        let mut reader = field.message()?;
        while let Some(field) = reader.next()? {
            if field.number == 2 {
                self.entry(&field)?;
            }
        }
        Ok(())
    }

    /// Collects a pair, or says why its set must go.
    fn pair(&mut self, field: &Field<'_>) -> Result<Option<RejectReason>, DecodeError> {
        let (mut name, mut value): (&[u8], &[u8]) = (&[], &[]);
        let mut reader = field.message()?;
        while let Some(field) = reader.next()? {
            match field.number {
                1 => name = field.bytes()?,
                2 => value = field.bytes()?,
                _ => {}
            }
        }
        match (std::str::from_utf8(name), std::str::from_utf8(value)) {
            (Ok(name), Ok(value)) => self.labels.push(name, value),
            _ => return Ok(Some(RejectReason::InvalidUtf8)),
        }
        Ok(None)
    }

    fn entry(&mut self, field: &Field<'_>) -> Result<(), DecodeError> {
        self.labels.clear();
        let (mut timestamp_ns, mut line, mut bad): (_, &[u8], _) = (Some(0), &[], None);
        let mut reader = field.message()?;
        while let Some(field) = reader.next()? {
            match field.number {
                1 => timestamp_ns = timestamp(field.message()?)?,
                2 => line = field.bytes()?,
                3 => bad = bad.or(self.pair(&field)?),
                _ => {}
            }
        }
        let bad = bad.or_else(|| self.labels.encode_unique().err());
        let (timestamp_ns, None) = (timestamp_ns.unwrap_or_default(), bad.or(invalid(timestamp_ns))) else {
            let reason = bad.unwrap_or(RejectReason::InvalidTimestamp);
            self.rejected.add(reason, 1, || format!("entry at byte {}", field.position));
            return Ok(());
        };
        let metadata = self.labels.encoded();
        self.meter.add(line.len() + metadata.as_bytes().len() + ENTRY_BYTES, field.position)?;
        self.batch.push_entry_encoded(timestamp_ns, line, metadata);
        Ok(())
    }
}

fn invalid(timestamp_ns: Option<i64>) -> Option<RejectReason> {
    timestamp_ns.is_none().then_some(RejectReason::InvalidTimestamp)
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
    // In 128 bits: the first second of what 64 hold is further down than its nanoseconds bring it up again.
    let ns = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    Ok(i64::try_from(ns).ok())
}
