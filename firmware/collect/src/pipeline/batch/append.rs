//! Batches put together and taken apart.

use bramble_signal::{LogBatch, MetricBatch, SpanBatch};
use bramble_storage::Batch;

/// Puts `more` behind `batch`, which is of the same signal.
pub(super) fn append(batch: &mut Batch, more: Batch) {
    match (batch, more) {
        (Batch::Metrics(batch), Batch::Metrics(more)) => append_metrics(batch, more),
        (Batch::Logs(batch), Batch::Logs(more)) => append_logs(batch, &more),
        (Batch::Spans(batch), Batch::Spans(more)) => more.spans.iter().for_each(|span| batch.push_from(&more, span)),
        (batch, more) => debug_assert_eq!(batch.signal(), more.signal(), "requests are gathered by signal"),
    }
}

fn append_metrics(batch: &mut MetricBatch, mut more: MetricBatch) {
    batch.metadata.append(&mut more.metadata);
    for (index, (labels, samples)) in more.iter().enumerate() {
        batch.start_series_encoded(labels);
        batch.set_start(more.start_ms(index));
        samples.iter().for_each(|&sample| batch.push_sample_of(&more, sample));
        batch.push_exemplars_of(&more, index);
    }
}

fn append_logs(batch: &mut LogBatch, more: &LogBatch) {
    for stream in more.streams() {
        batch.start_stream_encoded(stream.labels());
        for entry in stream.entries() {
            batch.push_entry_encoded(entry.timestamp_ns, entry.line, entry.metadata);
        }
    }
}

/// Parts of at most `items_max` (at least 1) items each, in order.
pub(super) fn cut(batch: &Batch, items_max: usize) -> Vec<Batch> {
    let items_max = items_max.max(1);
    match batch {
        Batch::Metrics(batch) => cut_metrics(batch, items_max).into_iter().map(Batch::Metrics).collect(),
        Batch::Logs(batch) => cut_logs(batch, items_max).into_iter().map(Batch::Logs).collect(),
        Batch::Spans(batch) => {
            let part = |spans: &[bramble_signal::SpanEntry]| {
                let mut part = SpanBatch::new();
                spans.iter().for_each(|span| part.push_from(batch, span));
                Batch::Spans(part)
            };
            batch.spans.chunks(items_max).map(part).collect()
        }
    }
}

fn cut_metrics(batch: &MetricBatch, items_max: usize) -> Vec<MetricBatch> {
    let fresh = || {
        let mut part = MetricBatch::new();
        part.backfill = batch.backfill;
        part
    };
    let (mut parts, mut part) = (Vec::new(), fresh());
    part.metadata.clone_from(&batch.metadata);
    for (index, (labels, mut samples)) in batch.iter().enumerate() {
        loop {
            let room = items_max - part.sample_count();
            let (now, later) = samples.split_at(room.min(samples.len()));
            part.start_series_encoded(labels);
            part.set_start(batch.start_ms(index));
            now.iter().for_each(|&sample| part.push_sample_of(batch, sample));
            if later.is_empty() {
                // Exemplars go with the last sample.
                part.push_exemplars_of(batch, index);
            }
            if part.sample_count() == items_max {
                parts.push(std::mem::replace(&mut part, fresh()));
            }
            if later.is_empty() {
                break;
            }
            samples = later;
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

fn cut_logs(batch: &LogBatch, items_max: usize) -> Vec<LogBatch> {
    let (mut parts, mut part) = (Vec::new(), LogBatch::new());
    for stream in batch.streams() {
        let mut is_begun = false;
        for entry in stream.entries() {
            if part.entry_count() == items_max {
                parts.push(std::mem::take(&mut part));
                is_begun = false;
            }
            if !std::mem::replace(&mut is_begun, true) {
                part.start_stream_encoded(stream.labels());
            }
            part.push_entry_encoded(entry.timestamp_ns, entry.line, entry.metadata);
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}
