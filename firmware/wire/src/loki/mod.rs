//! Loki's push requests to a [`LogBatch`]: protobuf (`PushRequest`), JSON, and the old JSON of `/api/prom/push`.
//!
//! Labels of a push stay stream labels as sent. Structured metadata keeps its values; names get `_` for
//! characters that queries cannot name. A stream whose labels do not parse, or an entry over a limit, is rejected
//! and the rest is kept; what is said of it is in Loki's words ([`texts`]). Lines may be any bytes in
//! protobuf. The body must be decompressed already; a protobuf body is snappy inside whatever
//! `Content-Encoding` says.
//!
//! Source: Loki's HTTP API documentation, "Ingest logs", and `pkg/push/push.proto`.

pub(crate) mod json;
mod label_text;
mod protobuf;
mod texts;

pub use label_text::parse_label_text;

use crate::label_set::{LabelSet, push_sanitized};
use crate::limits::Meter;
use crate::{DecodeError, DecodeErrorKind, Decoded, Format, Limits, RejectReason, Rejected};
use bramble_signal::{LabelsRef, LogBatch};

/// Labels that name a service, best first (Loki's `discover_service_name`).
pub const SERVICE_LABELS: [&str; 13] = [
    "service",
    "app",
    "application",
    "app_name",
    "name",
    "app_kubernetes_io_name",
    "container",
    "container_name",
    "k8s_container_name",
    "component",
    "workload",
    "job",
    "k8s_job_name",
];

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
    /// Entries that are refused, by reason, with what their sender is told of the first one.
    refused: Vec<(RejectReason, u64, Oversize)>,
}

/// What is known of a refused entry.
#[derive(Clone, Copy, Default, Debug)]
struct Oversize {
    line_bytes: usize,
    metadata_bytes: usize,
    metadata_count: usize,
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
    /// [`DecodeError`] when the request is damaged or would become too large; [`DecodeErrorKind::NoStreams`] when there
    /// is no stream in it. In JSON damage includes timestamps that are not decimal text and metadata that is not flat
    /// text, as Loki has it.
    pub fn decode(&mut self, format: Format, body: &[u8]) -> Result<Decoded<LogBatch>, DecodeError> {
        let mut push = Push {
            limits: self.limits,
            scratch: &mut self.scratch,
            meter: Meter::new(self.limits.batch_bytes_max),
            // Labels, lines and metadata take somewhat less than in the message.
            batch: LogBatch::with_capacity(body.len().min(self.limits.batch_bytes_max)),
            rejected: Rejected::default(),
            streams: 0,
        };
        match format {
            Format::Protobuf => protobuf::decode(body, &mut push)?,
            Format::Json => json::decode(body, &mut push)?,
        }
        match push.streams {
            0 => Err(DecodeError::new(DecodeErrorKind::NoStreams, texts::NO_STREAMS, 0).without_position()),
            _ => Ok(Decoded { batch: push.batch, rejected: push.rejected, ..Decoded::default() }),
        }
    }
}

/// A request being decoded.
struct Push<'a> {
    limits: Limits,
    scratch: &'a mut Scratch,
    meter: Meter,
    batch: LogBatch,
    rejected: Rejected,
    /// Streams met, good or bad, with entries or without.
    streams: u64,
}

impl Push<'_> {
    /// Starts a stream with the labels in scratch, or says why its entries must go.
    fn start_stream(&mut self, position: usize) -> Result<Result<(), (RejectReason, String)>, DecodeError> {
        let (limits, labels) = (&self.limits, &mut self.scratch.labels);
        if labels.iter().all(|(_, value)| value.is_empty()) {
            return Ok(Err((RejectReason::InvalidLabels, texts::NO_LABELS.to_owned())));
        }
        let verdict = labels.check(limits, limits.stream_labels_max);
        if let Err(reason) = verdict.and_then(|()| labels.encode_unique().map(drop)) {
            return Ok(Err((reason, texts::stream(reason, labels, limits))));
        }
        let encoded = labels.encoded();
        self.meter.add(encoded.as_bytes().len() + 16, position)?;
        self.batch.start_stream_encoded(encoded);
        Ok(Ok(()))
    }

    /// The line as it is kept, or why the entry, whose metadata is in scratch, must go.
    fn judge<'l>(&self, line: &'l [u8]) -> Result<&'l [u8], (RejectReason, Oversize)> {
        let (limits, metadata) = (&self.limits, &self.scratch.metadata);
        let kept = limits.fit_line(line);
        let verdict = match kept.len() > limits.line_bytes_max {
            true => Err(RejectReason::LineTooLong),
            false => metadata.check_metadata(limits),
        };
        verdict.map(|()| kept).map_err(|reason| {
            let (metadata_bytes, metadata_count) = (metadata.text_bytes(), metadata.len());
            (reason, Oversize { line_bytes: line.len(), metadata_bytes, metadata_count })
        })
    }

    /// Adds an entry, with the metadata in scratch, to the stream started last, whose labels are in scratch.
    fn push_entry(&mut self, timestamp_ns: i64, line: &[u8], position: usize) -> Result<(), DecodeError> {
        match self.judge(line) {
            Ok(line) => {
                let metadata = self.scratch.metadata.encode_last_wins();
                // 24: timestamp and two ranges.
                self.meter.add(line.len() + metadata.as_bytes().len() + 24, position)?;
                self.batch.push_entry_encoded(timestamp_ns, line, metadata);
            }
            Err((reason, size)) => {
                let (labels, limits) = (&self.scratch.labels, &self.limits);
                self.rejected.add_told(reason, 1, || texts::entry(reason, labels, size, limits));
            }
        }
        Ok(())
    }

    /// Keeps an entry, with the metadata in scratch, until its stream's labels are known.
    fn stage_entry(&mut self, timestamp_ns: i64, line: &[u8]) -> Result<(), DecodeError> {
        match self.judge(line) {
            Ok(line) => {
                let metadata = self.scratch.metadata.encode_last_wins();
                // Twice 24: the entry is staged, then copied.
                self.meter.add(line.len() + metadata.as_bytes().len() + 48, 0)?;
                let Staged { arena, entries, .. } = &mut self.scratch.staged;
                arena.extend_from_slice(metadata.as_bytes());
                let metadata_end = arena.len();
                arena.extend_from_slice(line);
                entries.push(StagedEntry { timestamp_ns, metadata_end, line_end: arena.len() });
            }
            Err((reason, size)) => self.stage_refusal(reason, size),
        }
        Ok(())
    }

    /// Counts an entry that is refused once its stream is known.
    fn stage_refusal(&mut self, reason: RejectReason, size: Oversize) {
        let refused = &mut self.scratch.staged.refused;
        match refused.iter_mut().find(|(other, ..)| *other == reason) {
            Some((_, count, _)) => *count += 1,
            None => refused.push((reason, 1, size)),
        }
    }

    /// Ends a JSON stream: its labels are in scratch, its entries staged.
    fn finish_staged(&mut self, labels_error: Option<DecodeError>) -> Result<(), DecodeError> {
        let refused: u64 = self.scratch.staged.refused.iter().map(|(_, count, _)| count).sum();
        let count = self.scratch.staged.entries.len() as u64 + refused;
        if count == 0 {
            return Ok(());
        }
        let started = match labels_error {
            Some(error) => Err((RejectReason::InvalidLabels, texts::unparsed(&error))),
            None => self.start_stream(0)?,
        };
        if let Err((reason, text)) = started {
            self.rejected.add_told(reason, count, || text);
            return Ok(());
        }
        let Scratch { labels, staged: Staged { arena, entries, refused }, .. } = &*self.scratch;
        for &(reason, count, size) in refused {
            self.rejected.add_told(reason, count, || texts::entry(reason, labels, size, &self.limits));
        }
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
