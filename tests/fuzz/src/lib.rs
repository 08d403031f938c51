//! What the fuzz targets share: how a format is chosen, and what must hold for any batch.

use bramble_signal::{LabelsRef, LogBatch, METRIC_NAME, MetricBatch};
use bramble_wire::{Format, Limits};

/// Memory that a target lets a batch take: small, so that the limit itself is reached.
pub const BATCH_BYTES_MAX: usize = 1 << 20;

/// The limits of all targets.
pub fn limits() -> Limits {
    Limits { batch_bytes_max: BATCH_BYTES_MAX, ..Limits::default() }
}

/// The first byte chooses the format, as seeds have it: `p` protobuf, `j` JSON, others by their lowest bit.
pub fn split_format(data: &[u8]) -> Option<(Format, &[u8])> {
    let (&first, body) = data.split_first()?;
    let json = first == b'j' || (first != b'p' && first & 1 == 1);
    Some((if json { Format::Json } else { Format::Protobuf }, body))
}

/// Both are the same; an undefined number is the same as itself.
pub fn check_same<T: PartialEq + std::fmt::Debug>(a: &T, b: &T) {
    // Printing is slow, and seldom needed.
    assert!(a == b || format!("{a:?}") == format!("{b:?}"), "{a:?} is not {b:?}");
}

fn check_labels(labels: LabelsRef<'_>) {
    assert!(LabelsRef::parse(labels.as_bytes()).is_some(), "label set breaks its invariants: {labels}");
}

/// Streams have labels, and all label sets are in order.
pub fn check_logs(batch: &LogBatch) {
    for stream in batch.streams() {
        assert!(!stream.labels().is_empty(), "a stream without labels");
        check_labels(stream.labels());
        stream.entries().for_each(|entry| check_labels(entry.metadata));
    }
    // Growing vectors may have twice what they hold.
    assert!(batch.memory_bytes() <= 2 * BATCH_BYTES_MAX + 4096, "batch of {} bytes", batch.memory_bytes());
}

/// Series have names and samples or exemplars, histograms are valid, and all label sets are in order.
pub fn check_metrics(batch: &MetricBatch) {
    for (entry, (labels, samples)) in batch.iter().enumerate() {
        check_labels(labels);
        assert!(labels.get(METRIC_NAME).is_some(), "a series without a name: {labels}");
        assert!(!samples.is_empty() || batch.exemplars(entry).count() > 0, "a series without samples: {labels}");
        for histogram in samples.iter().filter_map(|sample| batch.histogram(sample.value)) {
            assert_eq!(histogram.validate(), Ok(()));
        }
        batch.exemplars(entry).for_each(|exemplar| check_labels(exemplar.labels.as_ref()));
    }
    assert!(batch.memory_bytes() <= 2 * BATCH_BYTES_MAX + 4096, "batch of {} bytes", batch.memory_bytes());
}
