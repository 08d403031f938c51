//! How much goes into one record and one commit, and taking out of batches what would not fit.

use crate::record::RECORD_SOFT_MAX_BYTES;
use bramble_disk::journal::COMMIT_RAW_BYTES_MAX;
use bramble_signal::{LogBatch, LogEntry, MetricBatch, SpanBatch, SpanEntry};
use bramble_storage::{RejectReason, Rejections};

/// Raw bytes of records after which a group commit is written; a larger queue takes several.
const COMMIT_SOFT_MAX_BYTES: usize = 1 << 20;

/// Largest span with its resource and scope, and largest log entry with its metadata: what one record must hold.
const ITEM_BYTES_MAX: usize = 400 << 10;

/// Largest metadata of one metric family: real ones have a line or two.
const METADATA_BYTES_MAX: usize = 16 << 10;

/// Samples of one series entry that go into one record; larger entries are cut when they arrive.
const ENTRY_SAMPLES_MAX: usize = 16_384;

/// Most bytes that one sample takes in a record: timestamp, mode, value.
const SAMPLE_BYTES_MAX: usize = 19;

/// How much goes into one commit: the soft maximum, a whole record more, and its largest item must fit into the room
/// that the journal can promise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CommitSizes {
    /// What a commit must find in an extent.
    pub(crate) room_bytes: usize,
    pub(crate) soft_max_bytes: usize,
    pub(crate) record_soft_max_bytes: usize,
    pub(crate) item_bytes_max: usize,
    pub(crate) entry_samples_max: usize,
}

impl CommitSizes {
    /// Sizes that fit extents of `extent_bytes`.
    pub(crate) fn of(extent_bytes: u32) -> Self {
        let room_bytes = COMMIT_RAW_BYTES_MAX.min(extent_bytes as usize / 2);
        let item_bytes_max = ITEM_BYTES_MAX.min(room_bytes / 5);
        CommitSizes {
            room_bytes,
            soft_max_bytes: COMMIT_SOFT_MAX_BYTES.min(room_bytes / 2),
            record_soft_max_bytes: RECORD_SOFT_MAX_BYTES.min(room_bytes / 4),
            item_bytes_max,
            entry_samples_max: ENTRY_SAMPLES_MAX.min(item_bytes_max / SAMPLE_BYTES_MAX),
        }
    }
}

/// Takes out metadata that no record can hold. It is only told to people, so it is dropped without a rejection, which
/// a sender would take for lost samples.
pub(crate) fn without_huge_metadata(mut batch: MetricBatch) -> MetricBatch {
    batch.metadata.retain(|m| m.name.len() + m.help.len() + m.unit.len() <= METADATA_BYTES_MAX);
    batch
}

/// Cuts series entries with more than `samples_max` samples into several entries of the same series.
pub(crate) fn cut_long_entries(batch: MetricBatch, samples_max: usize) -> MetricBatch {
    if batch.iter().all(|(_, samples)| samples.len() <= samples_max) {
        return batch;
    }
    let mut cut = MetricBatch::new();
    for (index, (labels, samples)) in batch.iter().enumerate() {
        for part in samples.chunks(samples_max) {
            cut.start_series_encoded(labels);
            cut.set_start(batch.start_ms(index));
            part.iter().for_each(|s| cut.push_sample_of(&batch, *s));
        }
        if samples.is_empty() {
            cut.start_series_encoded(labels);
        }
        cut.push_exemplars_of(&batch, index);
    }
    cut.metadata = batch.metadata;
    cut
}

/// Takes out entries that no record can hold.
pub(crate) fn without_huge_entries(batch: LogBatch, bytes_max: usize, rejections: &mut Rejections) -> LogBatch {
    let bytes = |e: &LogEntry<'_>| e.line.len() + e.metadata.as_bytes().len();
    if batch.streams().all(|s| s.entries().all(|e| bytes(&e) + s.labels().as_bytes().len() <= bytes_max)) {
        return batch;
    }
    let mut kept = LogBatch::new();
    for stream in batch.streams() {
        kept.start_stream_encoded(stream.labels());
        for entry in stream.entries() {
            let size = bytes(&entry) + stream.labels().as_bytes().len();
            if size <= bytes_max {
                kept.push_entry_encoded(entry.timestamp_ns, entry.line, entry.metadata);
            } else {
                let story = || format!("log entry of {size} bytes with its labels; at most {bytes_max} are taken");
                rejections.add(RejectReason::TooLarge, 1, story);
            }
        }
    }
    kept
}

/// Takes out spans that no record can hold.
pub(crate) fn without_huge_spans(batch: SpanBatch, bytes_max: usize, rejections: &mut Rejections) -> SpanBatch {
    let bytes = |s: &SpanEntry| {
        let (resource, scope) = (&batch.resources[s.resource as usize], &batch.scopes[s.scope as usize]);
        let own = [s.name, s.status_message, s.trace_state, s.attributes, s.events, s.links];
        let shared =
            [resource.attributes, resource.schema_url, scope.name, scope.version, scope.attributes, scope.schema_url];
        own.iter().chain(&shared).map(|r| r.len()).sum::<usize>()
    };
    if batch.spans.iter().all(|s| bytes(s) <= bytes_max) {
        return batch;
    }
    let mut kept = SpanBatch::new();
    for span in &batch.spans {
        let size = bytes(span);
        if size <= bytes_max {
            kept.push_from(&batch, span);
        } else {
            let story = || format!("span of {size} bytes with its resource; at most {bytes_max} are taken");
            rejections.add(RejectReason::TooLarge, 1, story);
        }
    }
    kept
}
