//! Samples, series and batches of them.

use crate::bytes::Span32;
use crate::labels::{LabelError, Labels, LabelsRef, encode};

/// The label that holds a series' metric name.
pub const METRIC_NAME: &str = "__name__";

/// The NaN that ends a series (Prometheus' `value.StaleNaN`).
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The staleness marker as a value.
pub fn stale_marker() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

/// Whether `value` is the staleness marker; other NaNs are ordinary values.
pub fn is_stale_marker(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// One value of a series.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// The value; may be NaN, infinite, or the staleness marker.
    pub value: f64,
}

/// Equal when the bits are: NaN payloads matter, since one of them is the staleness marker.
impl PartialEq for Sample {
    fn eq(&self, other: &Self) -> bool {
        (self.timestamp_ms, self.value.to_bits()) == (other.timestamp_ms, other.value.to_bits())
    }
}

/// What a metric counts, as its exposition says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MetricKind {
    /// Not said.
    Unknown,
    /// Only grows, but for resets.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets, sum and count.
    Histogram,
    /// A histogram that goes up and down.
    GaugeHistogram,
    /// Quantiles, sum and count.
    Summary,
    /// Constant 1 with information in labels.
    Info,
    /// One of several states.
    StateSet,
}

impl MetricKind {
    /// Prometheus' name of the kind.
    pub fn as_str(self) -> &'static str {
        match self {
            MetricKind::Unknown => "unknown",
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
            MetricKind::GaugeHistogram => "gaugehistogram",
            MetricKind::Summary => "summary",
            MetricKind::Info => "info",
            MetricKind::StateSet => "stateset",
        }
    }
}

/// Type, unit and help of a metric family.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetricMetadata {
    /// Family name, as Prometheus' `/api/v1/metadata` keys it.
    pub name: String,
    /// What it counts.
    pub kind: MetricKind,
    /// What it is, for people.
    pub help: String,
    /// Its unit, or empty.
    pub unit: String,
}

/// A series of a batch: ranges into the batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct SeriesEntry {
    labels: Span32,
    samples: Span32,
}

/// Samples of many series, as a receiver hands them over.
///
/// `labels` is one arena of encoded label sets; series are in arrival order and may repeat; samples of a series
/// are in arrival order.
#[derive(Clone, Default, Debug, PartialEq)]
pub struct MetricBatch {
    arena: Vec<u8>,
    series: Vec<SeriesEntry>,
    samples: Vec<Sample>,
    /// Metadata that came along.
    pub metadata: Vec<MetricMetadata>,
}

impl MetricBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a series from pairs in any order (they are sorted in place); [`push_sample`](Self::push_sample)
    /// then adds to it.
    ///
    /// # Errors
    /// [`LabelError`] for an empty or repeated name; the batch is unchanged then.
    pub fn start_series(&mut self, pairs: &mut [(&str, &str)]) -> Result<(), LabelError> {
        let start = self.arena.len();
        encode(pairs, &mut self.arena)?;
        self.open(start);
        Ok(())
    }

    /// Starts a series with labels that are encoded already.
    pub fn start_series_encoded(&mut self, labels: LabelsRef<'_>) {
        let start = self.arena.len();
        self.arena.extend_from_slice(labels.as_bytes());
        self.open(start);
    }

    fn open(&mut self, start: usize) {
        let here = self.samples.len();
        self.series
            .push(SeriesEntry { labels: Span32::new(start, self.arena.len()), samples: Span32::new(here, here) });
    }

    /// Adds a sample to the series started last; ignored when there is none.
    pub fn push_sample(&mut self, timestamp_ms: i64, value: f64) {
        if let Some(series) = self.series.last_mut() {
            self.samples.push(Sample { timestamp_ms, value });
            series.samples.end += 1;
        }
    }

    /// Number of series entries.
    pub fn series_count(&self) -> usize {
        self.series.len()
    }

    /// Number of samples.
    pub fn sample_count(&self) -> usize {
        self.samples.len()
    }

    /// Labels and samples of entry `index` (below [`series_count`](Self::series_count)).
    pub fn series(&self, index: usize) -> (LabelsRef<'_>, &[Sample]) {
        let entry = self.series[index];
        (LabelsRef::from_encoded(&self.arena[entry.labels.range()]), &self.samples[entry.samples.range()])
    }

    /// All series entries in arrival order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (LabelsRef<'_>, &[Sample])> {
        (0..self.series.len()).map(|i| self.series(i))
    }

    /// Whether there is neither a sample nor metadata.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.metadata.is_empty()
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.series.clear();
        self.samples.clear();
        self.metadata.clear();
    }

    /// Memory held, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.arena.capacity()
            + self.series.capacity() * size_of::<SeriesEntry>()
            + self.samples.capacity() * size_of::<Sample>()
            + self.metadata.iter().map(|m| m.name.len() + m.help.len() + m.unit.len() + 80).sum::<usize>()
    }
}

/// One series of an answer: its labels and its samples in two parallel columns, timestamps strictly ascending.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesSamples {
    /// Identity.
    pub labels: Labels,
    /// Milliseconds since the Unix epoch, strictly ascending.
    pub timestamps_ms: Vec<i64>,
    /// As many values.
    pub values: Vec<f64>,
}

impl Default for SeriesSamples {
    fn default() -> Self {
        SeriesSamples { labels: Labels::empty(), timestamps_ms: Vec::new(), values: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_gives_back_what_was_pushed() {
        let mut batch = MetricBatch::new();
        batch.push_sample(1, 1.0);
        assert!(batch.is_empty(), "no series to add to");
        batch.start_series(&mut [("job", "a"), ("__name__", "up")]).unwrap();
        batch.push_sample(1, 1.0);
        batch.push_sample(2, stale_marker());
        batch.start_series(&mut [("__name__", "down")]).unwrap();
        assert!(batch.start_series(&mut [("a", "1"), ("a", "1")]).is_err());
        let (labels, samples) = batch.series(0);
        assert_eq!(labels.to_string(), r#"{__name__="up", job="a"}"#);
        assert!(is_stale_marker(samples[1].value) && !is_stale_marker(f64::NAN));
        assert_eq!(batch.series(1).1.len(), 0);
        assert_eq!((batch.series_count(), batch.sample_count()), (2, 2));
    }
}
