//! Something derived from spans: how many there were, kept as a sample among others.

use bramble_ingest::WritePath;
use bramble_runtime::Budget;
use bramble_signal::{MatchOp, Matcher, MetricBatch, SeriesSamples, Signal};
use bramble_storage::{
    Durable, MetricSelect, MetricSource, Observer, QueryContext, ReadError, Sequence, Urgency, Writer,
};
use bramble_store_metrics::MetricStore;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const TOTAL: &str = "counted_spans_total";
const POSITION: &str = "counted_spans_position";

/// A count, and what it has.
#[derive(Clone, Copy, Default)]
struct Count {
    spans: u64,
    through: Sequence,
    /// Of its sample.
    timestamp_ms: i64,
}

/// Counts spans; knows after a start only what its samples say.
pub(crate) struct Counter {
    metrics: Arc<MetricStore>,
    count: Mutex<Count>,
    durable: Arc<AtomicU64>,
}

impl Counter {
    pub(crate) fn new(metrics: Arc<MetricStore>) -> Self {
        Counter { metrics, count: Mutex::default(), durable: Arc::default() }
    }

    pub(crate) fn spans(&self) -> u64 {
        self.count.lock().spans
    }

    /// The count as samples.
    pub(crate) fn batch(&self, now_ms: i64) -> (MetricBatch, Sequence) {
        let mut count = self.count.lock();
        count.timestamp_ms = now_ms.max(count.timestamp_ms + 1);
        let mut batch = MetricBatch::new();
        for (name, value) in [(TOTAL, count.spans), (POSITION, count.through)] {
            batch.start_series(&mut [("__name__", name)]).unwrap();
            batch.push_sample(count.timestamp_ms, value as f64);
        }
        (batch, count.through)
    }

    /// Writes the count like any other samples.
    pub(crate) fn write(&self, path: &WritePath, receive: &Budget, (batch, through): (MetricBatch, Sequence)) {
        let Ok(held) = receive.reserve(batch.memory_bytes()) else { return };
        let durable = self.durable.clone();
        let done = Box::new(move |outcome: Result<_, _>| {
            if outcome.is_ok() {
                durable.fetch_max(through, Ordering::AcqRel);
            }
        });
        path.write_metrics(batch, held, Urgency::Background, done);
    }

    fn newest(&self, name: &str) -> Result<Option<(i64, f64)>, ReadError> {
        let context = QueryContext::unlimited();
        let named = [Matcher::new("__name__", MatchOp::Equal, name).unwrap()];
        let select = MetricSelect { matchers: &named, start_ms: i64::MIN / 4, end_ms: i64::MAX / 4 };
        let mut cursor = self.metrics.select(&select, &context)?;
        let (mut series, mut newest) = (SeriesSamples::default(), None);
        while cursor.next(&mut series)? {
            newest = series.timestamps_ms.iter().copied().zip(series.values.iter().copied()).next_back();
        }
        Ok(newest)
    }
}

impl Observer for Counter {
    fn wants(&self, signal: Signal) -> bool {
        signal == Signal::Traces
    }

    fn observe(&self, batch: Durable<'_>, sequence: Sequence) {
        let Durable::Spans(batch) = batch else { return };
        let mut count = self.count.lock();
        assert!(sequence > count.through, "{sequence} after {}", count.through);
        count.spans += batch.spans.len() as u64;
        count.through = sequence;
    }

    fn counted_through(&self) -> Sequence {
        // A card that cannot be read ends the start anyway.
        let (Ok(total), Ok(position)) = (self.newest(TOTAL), self.newest(POSITION)) else { return 0 };
        let (Some((timestamp_ms, spans)), Some((at_ms, through))) = (total, position) else { return 0 };
        assert_eq!(timestamp_ms, at_ms, "both are in one record");
        let through = through as Sequence;
        *self.count.lock() = Count { spans: spans as u64, through, timestamp_ms };
        self.durable.store(through, Ordering::Release);
        through
    }

    fn durable_through(&self) -> Sequence {
        self.durable.load(Ordering::Acquire)
    }
}
