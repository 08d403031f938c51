//! What the fuzz targets share: how a format is chosen, and what must hold for any batch.

use bramble_signal::{LabelsRef, LogBatch, METRIC_NAME, MetricBatch, SpanBatch};
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

/// Spans have ids, and everything that they refer to is there and can be read to its end.
pub fn check_spans(batch: &SpanBatch) {
    let attributes = |encoded: bramble_signal::attributes::AttributesRef<'_>| {
        let mut again = Vec::new();
        encoded.iter().for_each(|(key, value)| bramble_signal::attributes::put_attribute(&mut again, key, value));
        assert_eq!(again, encoded.as_bytes(), "attributes that do not read back");
    };
    for span in &batch.spans {
        assert!(!span.trace_id.is_zero() && !span.span_id.is_zero(), "a span without ids");
        attributes(batch.resource_attributes(span));
        attributes(batch.attributes(span.attributes));
        let scope = &batch.scopes[span.scope as usize];
        for text in [span.name, span.status_message, span.trace_state, scope.name, scope.version] {
            assert!(std::str::from_utf8(batch.bytes(text)).is_ok(), "text that is none");
        }
        let (mut events, mut links) = (Vec::new(), Vec::new());
        for event in batch.events(span) {
            attributes(event.attributes);
            bramble_signal::put_event(&mut events, &event);
        }
        for link in batch.links(span) {
            attributes(link.attributes);
            bramble_signal::put_link(&mut links, &link);
        }
        assert_eq!(events, batch.bytes(span.events), "events that do not read back");
        assert_eq!(links, batch.bytes(span.links), "links that do not read back");
    }
    // Growing vectors may have twice what they hold.
    assert!(batch.memory_bytes() <= 2 * BATCH_BYTES_MAX + 4096, "batch of {} bytes", batch.memory_bytes());
}
