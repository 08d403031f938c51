//! From statements to a batch.

use super::entry::{Entry, Pair, SeriesEntry, Text};
use super::error::ExpositionError;
use super::{ExpositionFormat, Parser};
use crate::error::DecodeErrorKind;
use crate::label_set::LabelSet;
use crate::limits::Meter;
use crate::{DecodeError, Decoded, Limits, RejectReason};
use bramble_signal::{Exemplar, Labels, MetricBatch, MetricKind, MetricMetadata};

/// What statements get where the document says nothing.
#[derive(Clone, Debug)]
pub struct CollectOptions {
    /// Time of samples without one, milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// Labels that every series gets; they win over the document's.
    pub labels: Vec<(String, String)>,
    /// Whether times of the document are taken.
    pub honor_timestamps: bool,
}

impl CollectOptions {
    /// No labels; times of the document, else `timestamp_ms`.
    pub fn at(timestamp_ms: i64) -> Self {
        CollectOptions { timestamp_ms, labels: Vec::new(), honor_timestamps: true }
    }
}

/// Makes a batch of entries; keeps its scratch memory between documents.
#[derive(Clone, Debug)]
pub struct Collector {
    limits: Limits,
    meter: Meter,
    labels: LabelSet,
    name: String,
    value: String,
    /// The family of the metadata pushed last, so that its type, help and unit become one.
    family: String,
}

/// Memory of an entry in the batch beside labels, samples and histograms.
const SERIES_BYTES: usize = 40;
const METADATA_BYTES: usize = 80;

impl Collector {
    /// A collector that holds series to `limits`.
    pub fn new(limits: Limits) -> Self {
        let (labels, name, value, family) = Default::default();
        Collector { limits, meter: Meter::new(limits.batch_bytes_max), labels, name, value, family }
    }

    /// To be called before the first entry of a new batch.
    pub fn begin_batch(&mut self) {
        self.meter = Meter::new(self.limits.batch_bytes_max);
        self.family.clear();
    }

    /// Memory that the batch takes so far, about.
    pub fn batch_bytes(&self) -> usize {
        self.meter.used_bytes()
    }

    /// Takes one entry into `decoded`. Series that break a limit, repeat a label or hold a histogram that is none are
    /// counted as rejected.
    ///
    /// # Errors
    /// [`DecodeErrorKind::TooLarge`] when the batch would take more than [`Limits::batch_bytes_max`].
    pub fn take(
        &mut self,
        entry: &Entry<'_, '_>,
        options: &CollectOptions,
        decoded: &mut Decoded<MetricBatch>,
    ) -> Result<(), DecodeError> {
        match entry {
            Entry::Comment(_) => Ok(()),
            Entry::Type { metric, kind } => {
                let at = self.metadata(metric, &mut decoded.batch)?;
                at.kind = *kind;
                Ok(())
            }
            Entry::Help { metric, help } => {
                self.meter.add(help.raw().len(), 0)?;
                let at = self.metadata(metric, &mut decoded.batch)?;
                at.help = help.to_cow().into_owned();
                Ok(())
            }
            Entry::Unit { metric, unit } => {
                let at = self.metadata(metric, &mut decoded.batch)?;
                at.unit = (*unit).to_owned();
                Ok(())
            }
            Entry::Series { series, value } => {
                let Some(time) = self.begin(series, options, decoded)? else { return Ok(()) };
                decoded.batch.push_sample(time, *value);
                push_exemplars(series, time, &mut decoded.batch);
                Ok(())
            }
            Entry::Histogram { series, histogram } => {
                if histogram.validate().is_err() {
                    let describe = || format!("{:?}", series.labels.first().map(|pair| pair.value.to_cow()));
                    decoded.rejected.add(RejectReason::BucketMismatch, 1, describe);
                    return Ok(());
                }
                self.meter.add(histogram.memory_bytes(), 0)?;
                let Some(time) = self.begin(series, options, decoded)? else { return Ok(()) };
                decoded.batch.push_histogram(time, (*histogram).clone());
                push_exemplars(series, time, &mut decoded.batch);
                Ok(())
            }
        }
    }

    fn metadata<'b>(
        &mut self,
        metric: &Text<'_>,
        batch: &'b mut MetricBatch,
    ) -> Result<&'b mut MetricMetadata, DecodeError> {
        self.name.clear();
        metric.push_to(&mut self.name);
        if self.family != self.name || batch.metadata.is_empty() {
            self.meter.add(METADATA_BYTES + self.name.len(), 0)?;
            self.family.clone_from(&self.name);
            let name = self.name.clone();
            batch.metadata.push(MetricMetadata {
                name,
                kind: MetricKind::Unknown,
                help: String::new(),
                unit: String::new(),
            });
        }
        batch
            .metadata
            .last_mut()
            .ok_or_else(|| DecodeError::new(DecodeErrorKind::Malformed, "metadata was pushed and is not there", 0))
    }

    /// Starts the series; returns the sample's time, or `None` when the series was rejected.
    fn begin(
        &mut self,
        series: &SeriesEntry<'_, '_>,
        options: &CollectOptions,
        decoded: &mut Decoded<MetricBatch>,
    ) -> Result<Option<i64>, DecodeError> {
        self.labels.clear();
        for pair in series.labels {
            self.name.clear();
            pair.name.push_to(&mut self.name);
            if options.labels.iter().any(|(name, _)| *name == self.name) {
                continue;
            }
            let (name, value) = (&self.name, &mut self.value);
            value.clear();
            pair.value.push_to(value);
            self.labels.push(name, value);
        }
        for (name, value) in &options.labels {
            self.labels.push(name, value);
        }
        let checked = self.labels.check(&self.limits, self.limits.series_labels_max);
        let encoded = match checked.and_then(|()| self.labels.encode_unique()) {
            Ok(encoded) => encoded,
            Err(reason) => {
                let describe = || format!("{:.200}", series.raw);
                decoded.rejected.add(reason, 1, describe);
                return Ok(None);
            }
        };
        self.meter.add(SERIES_BYTES + encoded.as_bytes().len(), 0)?;
        decoded.batch.start_series_encoded(encoded);
        if let Some(start) = series.start_timestamp_ms {
            decoded.batch.set_start(start);
        }
        let said = series.timestamp_ms.filter(|_| options.honor_timestamps);
        Ok(Some(said.unwrap_or(options.timestamp_ms)))
    }
}

/// Labels of an exemplar that repeat: the last one counts, since an exemplar is never a reason for an error.
fn push_exemplars(series: &SeriesEntry<'_, '_>, sample_ms: i64, batch: &mut MetricBatch) {
    for exemplar in series.exemplars.iter() {
        let pairs = exemplar.labels.iter().map(|Pair { name, value }| (name.to_cow(), value.to_cow()));
        let labels = Labels::from_pairs(pairs.filter(|(name, _)| !name.is_empty()));
        let timestamp_ms = exemplar.timestamp_ms.unwrap_or(sample_ms);
        batch.push_exemplar(Exemplar { labels, value: exemplar.value, timestamp_ms });
    }
}

/// A whole document as a batch, as a scraper needs it: all or nothing but for series over a limit.
///
/// # Errors
/// [`ExpositionError`] where the document is wrong or would take more than [`Limits::batch_bytes_max`].
pub fn collect(
    collector: &mut Collector,
    format: ExpositionFormat,
    document: &[u8],
    options: &CollectOptions,
) -> Result<Decoded<MetricBatch>, ExpositionError> {
    let mut decoded = Decoded::default();
    collector.begin_batch();
    let mut parser = Parser::new(format, document);
    while let Some(entry) = parser.next()? {
        collector.take(&entry, options, &mut decoded)?;
    }
    Ok(decoded)
}
