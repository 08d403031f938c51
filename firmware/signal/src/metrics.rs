//! Samples, series and batches of them.

use crate::bytes::Span32;
use crate::histogram::{NativeHistogram, histogram_at, histogram_marker, is_histogram_marker, without_marker};
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
    /// The value; may be NaN, infinite, the staleness marker, or stand for a histogram that lies beside the samples
    /// ([`histogram_at`]).
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
    /// All kinds, in storage order.
    pub const ALL: [MetricKind; 8] = [
        MetricKind::Unknown,
        MetricKind::Counter,
        MetricKind::Gauge,
        MetricKind::Histogram,
        MetricKind::GaugeHistogram,
        MetricKind::Summary,
        MetricKind::Info,
        MetricKind::StateSet,
    ];

    /// The number written to disk: 0 to 7.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The kind of a number written to disk.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// The kind of Prometheus' name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

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

/// An example behind a sample: usually one that leads to a trace.
#[derive(Clone, PartialEq, Debug)]
pub struct Exemplar {
    /// What it says of itself, such as `trace_id`.
    pub labels: Labels,
    /// The value observed.
    pub value: f64,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
}

/// The exemplars of one series, by time.
#[derive(Clone, PartialEq, Debug)]
pub struct SeriesExemplars {
    /// Identity.
    pub labels: Labels,
    /// Ascending in time.
    pub exemplars: Vec<Exemplar>,
}

/// A series of a batch: ranges into the batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct SeriesEntry {
    labels: Span32,
    samples: Span32,
    /// 0 when not known.
    start_ms: i64,
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
    /// What samples with a histogram's marker stand for.
    histograms: Vec<NativeHistogram>,
    /// Exemplars with the entry that each belongs to, ascending by entry.
    exemplars: Vec<(u32, Exemplar)>,
    /// Metadata that came along.
    pub metadata: Vec<MetricMetadata>,
    /// Whether its sender fills in the past: then samples may be older than the window for samples out of order.
    pub backfill: bool,
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
        let (labels, samples) = (Span32::new(start, self.arena.len()), Span32::new(here, here));
        self.series.push(SeriesEntry { labels, samples, start_ms: 0 });
    }

    /// Gives entry `index` (below [`series_count`](Self::series_count)) other labels. The bytes of those before stay in the
    /// arena.
    pub fn set_labels(&mut self, index: usize, labels: LabelsRef<'_>) {
        let start = self.arena.len();
        self.arena.extend_from_slice(labels.as_bytes());
        self.series[index].labels = Span32::new(start, self.arena.len());
    }

    /// Adds a sample to the series started last; ignored when there is none.
    pub fn push_sample(&mut self, timestamp_ms: i64, value: f64) {
        self.push_raw(timestamp_ms, without_marker(value));
    }

    /// Adds a histogram as a sample to the series started last; ignored when there is none. A stale histogram (its
    /// sum is the marker) is stored as the staleness marker alone.
    pub fn push_histogram(&mut self, timestamp_ms: i64, histogram: NativeHistogram) {
        if self.series.is_empty() {
            return;
        }
        if histogram.is_stale_marker() {
            return self.push_raw(timestamp_ms, stale_marker());
        }
        let place = u32::try_from(self.histograms.len()).unwrap_or(u32::MAX);
        self.histograms.push(histogram);
        self.push_raw(timestamp_ms, histogram_marker(place));
    }

    /// Adds a sample of another batch, with its histogram if it stands for one.
    pub fn push_sample_of(&mut self, other: &MetricBatch, sample: Sample) {
        match other.histogram(sample.value) {
            Some(histogram) => self.push_histogram(sample.timestamp_ms, histogram.clone()),
            None => self.push_sample(sample.timestamp_ms, sample.value),
        }
    }

    /// Adds the exemplars of entry `index` of another batch to the series started last.
    pub fn push_exemplars_of(&mut self, other: &MetricBatch, index: usize) {
        for exemplar in other.exemplars(index) {
            self.push_exemplar(exemplar.clone());
        }
    }

    fn push_raw(&mut self, timestamp_ms: i64, value: f64) {
        if let Some(series) = self.series.last_mut() {
            self.samples.push(Sample { timestamp_ms, value });
            series.samples.end += 1;
        }
    }

    /// Adds an exemplar to the series started last; ignored when there is none.
    pub fn push_exemplar(&mut self, exemplar: Exemplar) {
        if let Some(last) = self.series.len().checked_sub(1) {
            self.exemplars.push((last as u32, exemplar));
        }
    }

    /// Says when what the samples of the series started last count began, milliseconds since the Unix epoch; 0 for
    /// not known. Samples with another beginning need an entry of their own.
    pub fn set_start(&mut self, start_ms: i64) {
        if let Some(series) = self.series.last_mut() {
            series.start_ms = start_ms;
        }
    }

    /// When what entry `index` counts began, milliseconds; 0 when not known.
    pub fn start_ms(&self, index: usize) -> i64 {
        self.series[index].start_ms
    }

    /// The histogram that a sample's value stands for, if it does.
    pub fn histogram(&self, value: f64) -> Option<&NativeHistogram> {
        histogram_at(value, &self.histograms)
    }

    /// Exemplars of entry `index`, in arrival order.
    pub fn exemplars(&self, index: usize) -> impl Iterator<Item = &Exemplar> {
        let first = self.exemplars.partition_point(|(entry, _)| (*entry as usize) < index);
        self.exemplars[first..].iter().take_while(move |(entry, _)| *entry as usize == index).map(|(_, e)| e)
    }

    /// Number of exemplars.
    pub fn exemplar_count(&self) -> usize {
        self.exemplars.len()
    }

    /// Number of samples that are histograms.
    pub fn histogram_count(&self) -> usize {
        self.histograms.len()
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

    /// Whether there is neither a sample nor an exemplar nor metadata.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.metadata.is_empty() && self.exemplars.is_empty()
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.series.clear();
        self.samples.clear();
        self.histograms.clear();
        self.exemplars.clear();
        self.metadata.clear();
        self.backfill = false;
    }

    /// Memory held, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.arena.capacity()
            + self.series.capacity() * size_of::<SeriesEntry>()
            + self.samples.capacity() * size_of::<Sample>()
            + self.histograms.iter().map(NativeHistogram::memory_bytes).sum::<usize>()
            + self.exemplars.iter().map(|(_, e)| size_of::<Exemplar>() + e.labels.as_bytes().len() + 24).sum::<usize>()
            + self.metadata.iter().map(|m| m.name.len() + m.help.len() + m.unit.len() + 80).sum::<usize>()
    }
}

/// From a sample on, what a series counts began at another time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StartChange {
    /// First sample that this is true of, milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// When the count began, milliseconds; 0 for not known.
    pub start_ms: i64,
}

/// Width of a rollup, milliseconds: five minutes.
pub const ROLLUP_WIDTH_MS: i64 = 300_000;

/// What is kept of a series' float samples of five minutes, after the samples themselves are gone. A rollup covers the
/// times `(start, start + ROLLUP_WIDTH_MS]`, multiples of its width; staleness markers count as no sample.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rollup {
    /// Exclusive beginning, milliseconds since the Unix epoch.
    pub start_ms: i64,
    /// Samples; not 0 unless only a staleness marker was there.
    pub count: u32,
    /// Counter resets between its samples, and between the sample before and its first.
    pub resets: u32,
    /// Whether the last sample was followed by a staleness marker inside it.
    pub stale: bool,
    /// Sum of the samples.
    pub sum: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// First sample.
    pub first: Sample,
    /// Last sample.
    pub last: Sample,
    /// Growth of a counter from its first to its last sample, resets counted.
    pub increase: f64,
}

/// One series of an answer: its labels and its samples in two parallel columns, timestamps strictly ascending; what
/// does not fit into a column of numbers lies beside them.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesSamples {
    /// Identity.
    pub labels: Labels,
    /// Milliseconds since the Unix epoch, strictly ascending.
    pub timestamps_ms: Vec<i64>,
    /// As many values; some may stand for histograms.
    pub values: Vec<f64>,
    /// What such values stand for ([`histogram_at`]); empty for most series.
    pub histograms: Vec<NativeHistogram>,
    /// When counts began, where that is known: ascending by timestamp; empty for most series.
    pub starts: Vec<StartChange>,
    /// Where samples are gone: rollups, ascending. `timestamps_ms` and `values` hold for the same times the samples
    /// that can be told from them (first, last, and the peak before a reset), so that who does not look here
    /// still gets rates and last values right.
    pub rollups: Vec<Rollup>,
}

impl SeriesSamples {
    /// The histogram that `value` stands for, if it does.
    pub fn histogram(&self, value: f64) -> Option<&NativeHistogram> {
        histogram_at(value, &self.histograms)
    }

    /// Adds a sample behind the others, with its histogram if `histograms` has one for it.
    pub fn push(&mut self, sample: Sample, histograms: &[NativeHistogram]) {
        let mut value = sample.value;
        if is_histogram_marker(value) {
            let Some(histogram) = histogram_at(value, histograms) else { return };
            value = histogram_marker(u32::try_from(self.histograms.len()).unwrap_or(u32::MAX));
            self.histograms.push(histogram.clone());
        }
        self.timestamps_ms.push(sample.timestamp_ms);
        self.values.push(value);
    }

    /// Empties all columns and keeps their memory and the labels.
    pub fn clear_samples(&mut self) {
        self.timestamps_ms.clear();
        self.values.clear();
        self.histograms.clear();
        self.starts.clear();
        self.rollups.clear();
    }
}

impl Default for SeriesSamples {
    fn default() -> Self {
        SeriesSamples {
            labels: Labels::empty(),
            timestamps_ms: Vec::new(),
            values: Vec::new(),
            histograms: Vec::new(),
            starts: Vec::new(),
            rollups: Vec::new(),
        }
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
        batch.set_labels(1, Labels::from_pairs([("__name__", "sideways")]).as_ref());
        assert_eq!(batch.series(1).0.to_string(), r#"{__name__="sideways"}"#);
    }
    #[test]
    fn histograms_lie_beside_the_samples() {
        let mut batch = MetricBatch::new();
        batch.start_series(&mut [("__name__", "h")]).unwrap();
        batch.push_histogram(1, NativeHistogram { count: 3.0, ..NativeHistogram::default() });
        // A sender's NaN is never taken for a histogram.
        batch.push_sample(2, histogram_marker(0));
        batch.push_exemplar(Exemplar { labels: Labels::empty(), value: 1.0, timestamp_ms: 2 });
        let (_, samples) = batch.series(0);
        assert_eq!(batch.histogram(samples[0].value).map(|h| h.count), Some(3.0));
        assert!(batch.histogram(samples[1].value).is_none() && samples[1].value.is_nan());
        let mut copy = MetricBatch::new();
        copy.start_series(&mut [("__name__", "before")]).unwrap();
        copy.push_histogram(1, NativeHistogram::default());
        copy.start_series(&mut [("__name__", "h")]).unwrap();
        copy.push_sample_of(&batch, samples[0]);
        copy.push_exemplars_of(&batch, 0);
        assert_eq!(copy.histogram(copy.series(1).1[0].value).map(|h| h.count), Some(3.0));
        assert_eq!((copy.exemplars(0).count(), copy.exemplars(1).count()), (0, 1));
    }

    #[test]
    fn kinds_come_back_from_their_codes_and_names() {
        for (at, kind) in MetricKind::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(kind.code()), at);
            assert_eq!(
                (MetricKind::from_code(kind.code()), MetricKind::from_name(kind.as_str())),
                (Some(kind), Some(kind))
            );
        }
        assert_eq!((MetricKind::from_code(8), MetricKind::from_name("untyped")), (None, None));
    }
}
