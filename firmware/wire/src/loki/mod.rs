//! Loki's push requests to a [`LogBatch`]: protobuf (`PushRequest`), JSON, and the old JSON of `/api/prom/push`.
//!
//! Labels of a push stay stream labels as sent. Structured metadata keeps its values; names get `_` for
//! characters that queries cannot name. A stream whose labels do not parse, or an entry over a limit, is rejected
//! and the rest is kept; Loki answers 400 for such a request after storing the rest. Lines may be any bytes in
//! protobuf. The body must be decompressed already; a protobuf body is snappy inside whatever
//! `Content-Encoding` says.
//!
//! Source: Loki's HTTP API documentation, "Ingest logs", and `pkg/push/push.proto`.

mod json;
mod label_text;
mod protobuf;

pub use label_text::parse_label_text;

use crate::label_set::{LabelSet, push_sanitized};
use crate::limits::Meter;
use crate::{DecodeError, Decoded, Format, Limits, RejectReason, Rejected};
use bramble_signal::{LabelsRef, LogBatch};

/// Decodes push requests; keeps its scratch memory between them. One per worker, not shared.
#[derive(Clone, Default, Debug)]
pub struct Decoder {
    limits: Limits,
    scratch: Scratch,
}

/// Memory reused from item to item.
#[derive(Clone, Default, Debug)]
struct Scratch {
    labels: LabelSet,
    metadata: LabelSet,
    /// Entries of a JSON stream, whose labels may come after them.
    staged: Staged,
}

/// Entries whose stream is not known yet: the metadata and line of each in one arena.
#[derive(Clone, Default, Debug)]
struct Staged {
    arena: Vec<u8>,
    entries: Vec<StagedEntry>,
}

#[derive(Clone, Copy, Debug)]
struct StagedEntry {
    timestamp_ns: i64,
    /// Ends of the metadata and of the line that follows it; the metadata starts where the entry before ended.
    metadata_end: usize,
    line_end: usize,
}

impl Decoder {
    /// A decoder that holds streams and entries to `limits`.
    pub fn new(limits: Limits) -> Self {
        Decoder { limits, ..Default::default() }
    }

    /// Changes [`Limits::batch_bytes_max`] for the next requests, to what a door has reserved.
    pub fn set_batch_bytes_max(&mut self, batch_bytes_max: usize) {
        self.limits.batch_bytes_max = batch_bytes_max;
    }

    /// Decodes a push request. JSON may be of either form, even mixed: streams of `stream` and `values`, or of
    /// `labels` and `entries`. Rejections count entries.
    ///
    /// # Errors
    /// [`DecodeError`] when the request is damaged or would become too large. In JSON that includes timestamps
    /// that are not decimal text and metadata that is not flat text, as Loki has it.
    pub fn decode(&mut self, format: Format, body: &[u8]) -> Result<Decoded<LogBatch>, DecodeError> {
        let mut push = Push {
            limits: self.limits,
            scratch: &mut self.scratch,
            meter: Meter::new(self.limits.batch_bytes_max),
            batch: LogBatch::new(),
            rejected: Rejected::default(),
        };
        match format {
            Format::Protobuf => protobuf::decode(body, &mut push)?,
            Format::Json => json::decode(body, &mut push)?,
        }
        Ok(Decoded { batch: push.batch, rejected: push.rejected, ..Decoded::default() })
    }
}

/// A request being decoded.
struct Push<'a> {
    limits: Limits,
    scratch: &'a mut Scratch,
    meter: Meter,
    batch: LogBatch,
    rejected: Rejected,
}

impl Push<'_> {
    /// Starts a stream with the labels in scratch.
    fn start_stream(&mut self, position: usize) -> Result<Result<(), RejectReason>, DecodeError> {
        let labels = &mut self.scratch.labels;
        if labels.len() == 0 {
            return Ok(Err(RejectReason::InvalidLabels));
        }
        if let Err(reason) = labels.check(&self.limits, self.limits.stream_labels_max) {
            return Ok(Err(reason));
        }
        match labels.encode_unique() {
            Err(reason) => Ok(Err(reason)),
            Ok(encoded) if encoded.is_empty() => Ok(Err(RejectReason::InvalidLabels)),
            Ok(encoded) => {
                self.meter.add(encoded.as_bytes().len() + 16, position)?;
                self.batch.start_stream_encoded(encoded);
                Ok(Ok(()))
            }
        }
    }

    /// Judges an entry whose metadata is in scratch; counts it and returns `false` when it must go.
    fn accepts(&mut self, line: &[u8], position: Option<usize>) -> bool {
        let verdict = match line.len() > self.limits.line_bytes_max {
            true => Err(RejectReason::LineTooLong),
            false => self.scratch.metadata.check_metadata(&self.limits),
        };
        let detail = || match position {
            Some(position) => format!("{} bytes, at byte {position}", line.len()),
            None => format!("{} bytes", line.len()),
        };
        verdict.map_err(|reason| self.rejected.add(reason, 1, detail)).is_ok()
    }

    /// Adds an entry, with the metadata in scratch, to the stream started last.
    fn push_entry(&mut self, timestamp_ns: i64, line: &[u8], position: usize) -> Result<(), DecodeError> {
        if self.accepts(line, Some(position)) {
            let metadata = self.scratch.metadata.encode_last_wins();
            // 24: timestamp and two ranges.
            self.meter.add(line.len() + metadata.as_bytes().len() + 24, position)?;
            self.batch.push_entry_encoded(timestamp_ns, line, metadata);
        }
        Ok(())
    }

    /// Keeps an entry, with the metadata in scratch, until its stream's labels are known.
    fn stage_entry(&mut self, timestamp_ns: i64, line: &[u8]) -> Result<(), DecodeError> {
        if self.accepts(line, None) {
            let metadata = self.scratch.metadata.encode_last_wins();
            // Twice 24: the entry is staged, then copied.
            self.meter.add(line.len() + metadata.as_bytes().len() + 48, 0)?;
            let Staged { arena, entries } = &mut self.scratch.staged;
            arena.extend_from_slice(metadata.as_bytes());
            let metadata_end = arena.len();
            arena.extend_from_slice(line);
            entries.push(StagedEntry { timestamp_ns, metadata_end, line_end: arena.len() });
        }
        Ok(())
    }

    /// Ends a JSON stream: its labels are in scratch, its entries staged.
    fn finish_staged(&mut self, labels_error: Option<DecodeError>) -> Result<(), DecodeError> {
        let count = self.scratch.staged.entries.len() as u64;
        if count == 0 {
            return Ok(());
        }
        let started = match labels_error {
            Some(error) => Err((RejectReason::InvalidLabels, error.to_string())),
            None => self.start_stream(0)?.map_err(|reason| (reason, String::new())),
        };
        if let Err((reason, detail)) = started {
            self.rejected.add(reason, count, || detail);
            return Ok(());
        }
        let Staged { arena, entries } = &self.scratch.staged;
        let mut start = 0;
        for entry in entries {
            let metadata = arena.get(start..entry.metadata_end).unwrap_or_default();
            let line = arena.get(entry.metadata_end..entry.line_end).unwrap_or_default();
            self.batch.push_entry_encoded(entry.timestamp_ns, line, LabelsRef::from_encoded(metadata));
            start = entry.line_end;
        }
        Ok(())
    }
}

fn push_metadata(metadata: &mut LabelSet, name: &str, value: &str) {
    metadata.push_with(|text| push_sanitized(text, name), |text| text.push_str(value));
}

#[cfg(test)]
mod tests;
