//! How much goes into one record and one commit, and taking out of batches what would not fit.

use crate::record::{EXEMPLAR_BYTES_MAX, RECORD_SOFT_MAX_BYTES, SAMPLE_BYTES_MAX, histogram_record_bytes};
use bramble_disk::journal::COMMIT_RAW_BYTES_MAX;
use bramble_signal::{Exemplar, LogBatch, LogEntry, MetricBatch, Sample, SpanBatch, SpanEntry};
use bramble_storage::{RejectReason, Rejections};

/// Raw bytes of records after which a group commit is written; a larger queue takes several.
const COMMIT_SOFT_MAX_BYTES: usize = 1 << 20;

/// Largest span with its resource and scope, and largest log entry with its metadata: what one record must hold.
const ITEM_BYTES_MAX: usize = 400 << 10;

/// Largest metadata of one metric family: real ones have a line or two.
const METADATA_BYTES_MAX: usize = 16 << 10;

/// Samples of one series entry that go into one record; larger entries are cut when they arrive.
const ENTRY_SAMPLES_MAX: usize = 16_384;

/// Largest label set of an exemplar; OpenMetrics allows 128 characters.
const EXEMPLAR_LABELS_BYTES_MAX: usize = 2 << 10;

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

/// Takes out histograms and exemplars that no record can hold, or that are not of one piece.
pub(crate) fn without_huge_histograms(
    batch: MetricBatch,
    bytes_max: usize,
    rejections: &mut Rejections,
) -> MetricBatch {
    let histogram_bytes_max = bytes_max.saturating_sub(SAMPLE_BYTES_MAX);
    let fault = |sample: &Sample| match histogram_record_bytes(batch.histogram(sample.value)?) {
        Ok(bytes) if bytes <= histogram_bytes_max => None,
        Ok(bytes) => {
            let story = format!("histogram of up to {bytes} bytes; at most {histogram_bytes_max} are taken");
            Some((RejectReason::TooLarge, story))
        }
        Err(what) => Some((RejectReason::Malformed, format!("histogram: {what}"))),
    };
    let fits = |exemplar: &Exemplar| exemplar.labels.as_bytes().len() <= EXEMPLAR_LABELS_BYTES_MAX;
    let well = (0..batch.series_count())
        .all(|entry| batch.series(entry).1.iter().all(|s| fault(s).is_none()) && batch.exemplars(entry).all(fits));
    if well {
        return batch;
    }
    let mut kept = MetricBatch::new();
    for (index, (labels, samples)) in batch.iter().enumerate() {
        kept.start_series_encoded(labels);
        kept.set_start(batch.start_ms(index));
        for sample in samples {
            match fault(sample) {
                None => kept.push_sample_of(&batch, *sample),
                Some((reason, story)) => rejections.add(reason, 1, || format!("{labels}: {story}")),
            }
        }
        // Exemplars are no samples: a sender is not told of one that is dropped.
        batch.exemplars(index).filter(|e| fits(e)).for_each(|e| kept.push_exemplar(e.clone()));
    }
    kept.metadata.clone_from(&batch.metadata);
    kept.backfill = batch.backfill;
    kept
}

/// Cuts series entries with more samples than fit into a record, by their number or by what their histograms and
/// exemplars take, into several entries of the same series.
pub(crate) fn cut_long_entries(batch: MetricBatch, sizes: &CommitSizes) -> MetricBatch {
    // At least so much that no entry has more samples than it may.
    let sample_bytes = SAMPLE_BYTES_MAX.max(sizes.item_bytes_max.div_ceil(sizes.entry_samples_max.max(1)));
    let bytes = |sample: &Sample| {
        let histogram = batch.histogram(sample.value).and_then(|h| histogram_record_bytes(h).ok());
        sample_bytes + histogram.unwrap_or(0)
    };
    let exemplar_bytes = |e: &Exemplar| EXEMPLAR_BYTES_MAX + e.labels.as_bytes().len();
    let plain = batch.histogram_count() == 0 && batch.exemplar_count() == 0;
    let total = |entry: usize| {
        batch.series(entry).1.iter().map(bytes).sum::<usize>()
            + batch.exemplars(entry).map(exemplar_bytes).sum::<usize>()
    };
    let fits = |entry: usize| {
        batch.series(entry).1.len() <= sizes.entry_samples_max && (plain || total(entry) <= sizes.item_bytes_max)
    };
    if (0..batch.series_count()).all(fits) {
        return batch;
    }
    let mut cut = MetricBatch::new();
    for (index, (labels, samples)) in batch.iter().enumerate() {
        let start = |cut: &mut MetricBatch| {
            cut.start_series_encoded(labels);
            cut.set_start(batch.start_ms(index));
        };
        start(&mut cut);
        let mut room = sizes.item_bytes_max;
        let mut take = |cut: &mut MetricBatch, bytes: usize| {
            if bytes > room && room < sizes.item_bytes_max {
                start(cut);
                room = sizes.item_bytes_max;
            }
            room = room.saturating_sub(bytes);
        };
        for sample in samples {
            take(&mut cut, bytes(sample));
            cut.push_sample_of(&batch, *sample);
        }
        for exemplar in batch.exemplars(index) {
            take(&mut cut, exemplar_bytes(exemplar));
            cut.push_exemplar(exemplar.clone());
        }
    }
    cut.metadata.clone_from(&batch.metadata);
    cut.backfill = batch.backfill;
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

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_signal::{BucketSpan, Labels, NativeHistogram};

    fn wide(buckets: usize) -> NativeHistogram {
        NativeHistogram {
            positive_spans: vec![BucketSpan { offset: 0, length: buckets as u32 }],
            positive_counts: vec![1.0; buckets],
            ..NativeHistogram::default()
        }
    }

    #[test]
    fn entries_are_cut_by_what_their_histograms_take() {
        let sizes = CommitSizes::of(4 << 20);
        let mut batch = MetricBatch::new();
        batch.start_series(&mut [("__name__", "h")]).unwrap();
        batch.set_start(7);
        (0..10).for_each(|t| batch.push_histogram(t, wide(10_000)));
        batch.push_exemplar(Exemplar { labels: Labels::empty(), value: 1.0, timestamp_ms: 1 });
        let cut = cut_long_entries(batch, &sizes);
        assert!(cut.series_count() > 1 && cut.sample_count() == 10 && cut.exemplar_count() == 1);
        for entry in 0..cut.series_count() {
            let (labels, samples) = cut.series(entry);
            let bytes = |s: &Sample| histogram_record_bytes(cut.histogram(s.value).unwrap()).unwrap();
            assert!(samples.iter().map(bytes).sum::<usize>() <= sizes.item_bytes_max);
            assert!(cut.start_ms(entry) == 7 && labels.get("__name__") == Some("h"));
        }
    }

    #[test]
    fn histograms_that_cannot_be_kept_are_refused_and_the_rest_taken() {
        let mut batch = MetricBatch::new();
        batch.start_series(&mut [("__name__", "h")]).unwrap();
        batch.push_histogram(1, wide(10));
        batch.push_histogram(2, NativeHistogram { positive_counts: vec![1.0; 9], ..wide(10) });
        batch.push_histogram(3, wide(16_000));
        let huge = Labels::from_pairs([("trace_id", "x".repeat(3000).as_str())]);
        batch.push_exemplar(Exemplar { labels: huge, value: 1.0, timestamp_ms: 1 });
        let mut rejections = Rejections::new();
        let kept = without_huge_histograms(batch, 100_000, &mut rejections);
        assert_eq!((kept.sample_count(), kept.exemplar_count(), rejections.total()), (1, 0, 2));
    }
}
