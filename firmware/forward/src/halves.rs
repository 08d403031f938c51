//! Cutting a batch in two, for who takes only smaller ones.

use crate::item::{Item, decode_batch, encode_batch, shown};
use bramble_signal::{LogBatch, MetricBatch, SpanBatch};
use bramble_storage::Batch;

/// Two halves of an item; `None` when it is one item, or belongs to a sequence, which cannot be cut.
pub(crate) fn cut(item: &Item) -> Option<(Item, Item)> {
    if item.origin.is_some() || item.items < 2 {
        return None;
    }
    let (first, second) = cut_batch(&decode_batch(item.signal, &item.payload).ok()?)?;
    let half = |batch: Batch| Item {
        items: batch.item_count() as u64,
        payload: encode_batch(shown(&batch)).into(),
        ..item.clone()
    };
    Some((half(first), half(second)))
}

/// Two batches with about as many items each, neither empty.
pub(crate) fn cut_batch(batch: &Batch) -> Option<(Batch, Batch)> {
    let count = batch.item_count();
    if count < 2 {
        return None;
    }
    Some(match batch {
        Batch::Metrics(batch) => {
            let (first, second) = cut_metrics(batch, count / 2);
            (Batch::Metrics(first), Batch::Metrics(second))
        }
        Batch::Logs(batch) => {
            let (first, second) = cut_logs(batch, count / 2);
            (Batch::Logs(first), Batch::Logs(second))
        }
        Batch::Spans(batch) => {
            let mut halves = (SpanBatch::new(), SpanBatch::new());
            for (at, span) in batch.spans.iter().enumerate() {
                if at < count / 2 { &mut halves.0 } else { &mut halves.1 }.push_from(batch, span);
            }
            (Batch::Spans(halves.0), Batch::Spans(halves.1))
        }
    })
}

fn cut_metrics(batch: &MetricBatch, middle: usize) -> (MetricBatch, MetricBatch) {
    let mut halves = [MetricBatch::new(), MetricBatch::new()];
    let mut seen = 0;
    for (index, (labels, samples)) in batch.iter().enumerate() {
        let (before, after) = samples.split_at(middle.saturating_sub(seen).min(samples.len()));
        seen += samples.len();
        for (half, (second, part)) in halves.iter_mut().zip([(false, before), (true, after)]) {
            // Exemplars go with the last sample.
            let with_exemplars = second != after.is_empty() && batch.exemplars(index).next().is_some();
            if part.is_empty() && !with_exemplars {
                continue;
            }
            half.start_series_encoded(labels);
            half.set_start(batch.start_ms(index));
            part.iter().for_each(|&sample| half.push_sample_of(batch, sample));
            if with_exemplars {
                half.push_exemplars_of(batch, index);
            }
        }
    }
    let [mut first, mut second] = halves;
    first.metadata.clone_from(&batch.metadata);
    (first.backfill, second.backfill) = (batch.backfill, batch.backfill);
    (first, second)
}

fn cut_logs(batch: &LogBatch, middle: usize) -> (LogBatch, LogBatch) {
    let mut halves = (LogBatch::new(), LogBatch::new());
    let mut seen = 0;
    for stream in batch.streams() {
        let mut begun = [false; 2];
        for entry in stream.entries() {
            let second = usize::from(seen >= middle);
            let half = if second == 0 { &mut halves.0 } else { &mut halves.1 };
            if !std::mem::replace(&mut begun[second], true) {
                half.start_stream_encoded(stream.labels());
            }
            half.push_entry_encoded(entry.timestamp_ns, entry.line, entry.metadata);
            seen += 1;
        }
    }
    halves
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_signal::{Exemplar, Labels};

    #[test]
    fn halves_hold_everything_once() {
        let mut batch = MetricBatch::new();
        for series in 0..5 {
            batch.start_series(&mut [("__name__", "m"), ("n", &series.to_string())]).unwrap();
            for at in 0..series {
                batch.push_sample(at, at as f64);
            }
            batch.push_exemplar(Exemplar { labels: Labels::empty(), value: 1.0, timestamp_ms: series });
        }
        let (first, second) = cut_metrics(&batch, 5);
        assert_eq!((first.sample_count(), second.sample_count()), (5, 5));
        assert_eq!(first.exemplar_count() + second.exemplar_count(), 5);
        let mut logs = LogBatch::new();
        for stream in ["a", "b"] {
            logs.start_stream(&mut [("s", stream)]).unwrap();
            (0..3).for_each(|at| logs.push_entry(at, stream.as_bytes(), &mut []).unwrap());
        }
        let (first, second) = cut_logs(&logs, 2);
        let counts = |batch: &LogBatch| (batch.stream_count(), batch.entry_count());
        assert_eq!((counts(&first), counts(&second)), ((1, 2), (2, 4)));
    }
}
