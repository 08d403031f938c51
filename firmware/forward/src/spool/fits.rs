//! What a record can hold.

use bramble_record::{EXEMPLAR_BYTES_MAX, SAMPLE_BYTES_MAX, histogram_record_bytes};
use bramble_signal::{LogBatch, LogStream, MetricBatch, MetricMetadata, Span32, SpanBatch, SpanEntry};
use bramble_storage::Batch;

/// Samples of one entry that a record takes.
const ENTRY_SAMPLES_MAX: usize = 16_384;

/// Whether a record can hold each item of a batch.
pub(super) fn fits(batch: &Batch, bytes_max: usize) -> bool {
    match batch {
        Batch::Metrics(batch) => {
            let metadata = |m: &MetricMetadata| m.name.len() + m.help.len() + m.unit.len();
            (0..batch.series_count()).all(|entry| fits_entry(batch, entry, bytes_max))
                && batch.metadata.iter().all(|m| metadata(m) <= bytes_max)
        }
        Batch::Logs(batch) => fits_logs(batch, bytes_max),
        Batch::Spans(batch) => fits_spans(batch, bytes_max),
    }
}

fn fits_entry(batch: &MetricBatch, entry: usize, bytes_max: usize) -> bool {
    let (labels, samples) = batch.series(entry);
    let mut bytes = labels.as_bytes().len() + samples.len() * SAMPLE_BYTES_MAX;
    for sample in samples {
        match batch.histogram(sample.value).map(histogram_record_bytes) {
            None => {}
            Some(Ok(more)) => bytes += more,
            Some(Err(_)) => return false,
        }
    }
    bytes += batch.exemplars(entry).map(|e| EXEMPLAR_BYTES_MAX + e.labels.as_bytes().len()).sum::<usize>();
    samples.len() <= ENTRY_SAMPLES_MAX && bytes <= bytes_max
}

fn fits_logs(batch: &LogBatch, bytes_max: usize) -> bool {
    let stream = |stream: LogStream<'_>| {
        let labels = stream.labels().as_bytes().len();
        stream.entries().all(|entry| labels + entry.line.len() + entry.metadata.as_bytes().len() <= bytes_max)
    };
    batch.streams().all(stream)
}

fn fits_spans(batch: &SpanBatch, bytes_max: usize) -> bool {
    let sum = |texts: &[Span32]| texts.iter().map(|text| text.len()).sum::<usize>();
    let of = |span: &SpanEntry| {
        let resource = batch.resources.get(span.resource as usize)?;
        let scope = batch.scopes.get(span.scope as usize)?;
        let own = [span.name, span.status_message, span.trace_state, span.attributes, span.events, span.links];
        let others = [resource.attributes, resource.schema_url];
        let scopes = [scope.name, scope.version, scope.attributes, scope.schema_url];
        Some(sum(&own) + sum(&others) + sum(&scopes))
    };
    batch.spans.iter().all(|span| of(span).is_some_and(|bytes| bytes <= bytes_max))
}
