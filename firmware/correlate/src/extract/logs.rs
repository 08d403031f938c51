//! Items out of log entries.

use super::ids::Ids;
use super::level::Said;
use super::pairs::pairs;
use super::{Extracted, OWN_SERVICE};
use crate::identity::{Parts, field_of};
use crate::item::{Item, ItemSink, What};
use crate::origin::Origin;
use bramble_line::ids::{IdKind, find_ids, find_in_field};
use bramble_signal::hash::xxhash64;
use bramble_signal::{LabelsRef, LogBatch, LogEntry, LogStream};
use bramble_storage::OWN_STREAM_LABEL;

/// Ids are looked for in so much of a line.
const LINE_BYTES_MAX: usize = 32 * 1024;

/// What is true of all entries of a stream.
struct Stream<'a> {
    parts: Parts<'a>,
    origin: Origin<'a>,
    ids: Ids<'a>,
    said: Said<'a>,
    /// Hash of the labels.
    identity: u64,
}

impl<'a> Stream<'a> {
    /// `None` for our own.
    fn of(labels: LabelsRef<'a>) -> Option<Stream<'a>> {
        let (mut parts, mut ids, mut said) = (Parts::default(), Ids::default(), Said::default());
        for (name, value) in pairs(labels) {
            if name == OWN_STREAM_LABEL.as_bytes() {
                return None;
            }
            if let Some((part, rank)) = field_of(name) {
                parts.offer(part, rank, text(value));
            }
            ids.add_field(name, value);
            said.add_field(name, value);
        }
        let origin = parts.origin();
        if origin.service == OWN_SERVICE {
            return None;
        }
        Some(Stream { origin, parts, ids, said, identity: xxhash64(labels.as_bytes(), 0) })
    }
}

pub(super) fn extract(batch: &LogBatch, sink: &mut impl ItemSink) -> Extracted {
    let mut extracted = Extracted::default();
    for stream in batch.streams() {
        if let Some(its) = Stream::of(stream.labels()) {
            of_stream(stream, &its, sink, &mut extracted);
        }
    }
    extracted
}

fn of_stream(stream: LogStream<'_>, its: &Stream<'_>, sink: &mut impl ItemSink, extracted: &mut Extracted) {
    let (mut told, mut told_of_stream) = (None, false);
    for entry in stream.entries() {
        extracted.logs += 1;
        let (mut ids, mut said, mut parts) = (Ids::default(), Said::default(), None);
        for (name, value) in pairs(entry.metadata) {
            ids.add_field(name, value);
            said.add_field(name, value);
            if let Some((part, rank)) = field_of(name)
                && its.parts.lacks(part)
            {
                parts.get_or_insert(its.parts).offer(part, rank, text(value));
            }
        }
        ids.fill(&its.ids);
        ids.fill(&of_line(entry.line));
        if ids.is_empty() {
            extracted.logs_without_ids += 1;
            continue;
        }
        match parts {
            // Nearly all entries are of whom their stream is.
            None if told_of_stream => {}
            parts => {
                let origin = parts.map_or(its.origin, |parts| parts.origin());
                if told != Some(origin) {
                    sink.origin(&origin);
                    told = Some(origin);
                }
                told_of_stream = parts.is_none();
            }
        }
        let level = said.level(&its.said, entry.line);
        let what = What::Log { level, line: entry.line, identity: identity(&entry, its.identity) };
        let Ids { trace_id, span_id, business } = ids;
        sink.item(&Item { time_ns: entry.timestamp_ns, trace_id, span_id, ids: business, what });
    }
}

fn text(value: &[u8]) -> &str {
    std::str::from_utf8(value).unwrap_or("")
}

fn of_line(line: &[u8]) -> Ids<'_> {
    let mut ids = Ids::default();
    let line = line.get(..LINE_BYTES_MAX).unwrap_or(line);
    find_ids(line, &mut |kind, id| ids.add(kind, id, line));
    ids
}

fn identity(entry: &LogEntry<'_>, of_labels: u64) -> u64 {
    xxhash64(entry.line, xxhash64(entry.metadata.as_bytes(), of_labels))
}

/// Calls `found` for all ids of an entry: those of its metadata, then of its stream's labels, then of its line. As
/// [`find_ids`], but that a line is looked at no further than 32 KiB.
pub fn ids_of(labels: LabelsRef<'_>, metadata: LabelsRef<'_>, line: &[u8], found: &mut impl FnMut(IdKind, &[u8])) {
    for (name, value) in pairs(metadata).chain(pairs(labels)) {
        find_in_field(name, value, found);
    }
    find_ids(line.get(..LINE_BYTES_MAX).unwrap_or(line), found);
}

impl<'a> Origin<'a> {
    /// Who an entry is of: its stream's labels tell, and what they do not tell, its metadata.
    pub fn of_entry(labels: LabelsRef<'a>, metadata: LabelsRef<'a>) -> Origin<'a> {
        let mut parts = Parts::default();
        parts.offer_labels(labels);
        let of_stream = parts;
        for (name, value) in pairs(metadata) {
            if let Some((part, rank)) = field_of(name)
                && of_stream.lacks(part)
            {
                parts.offer(part, rank, text(value));
            }
        }
        parts.origin()
    }
}
