//! What both versions do with a series once its labels are read.

use crate::error::ItemError;
use crate::exemplar::{EXEMPLAR_BYTES, EXEMPLAR_CHARACTERS_MAX};
use crate::label_set::LabelSet;
use crate::limits::Meter;
use crate::{DecodeError, Decoded, Limits, RejectReason};
use bramble_signal::histogram::{HistogramError, NativeHistogram};
use bramble_signal::{Exemplar, Labels, LabelsRef, METRIC_NAME, MetricBatch};

/// Memory of a series in the batch beside its labels: two ranges and a start; and of a sample.
const SERIES_BYTES: usize = 24;
const SAMPLE_BYTES: usize = 16;
/// Numbers of samples, histograms and exemplars of a series.
#[derive(Clone, Copy, Default)]
pub(super) struct Items {
    pub(super) samples: u64,
    pub(super) histograms: u64,
    pub(super) exemplars: u64,
}

/// Adds a pair, so that what is collected stays within the limits whatever the request repeats.
pub(super) fn push_label(labels: &mut LabelSet, limits: &Limits, name: &str, value: &str) -> Result<(), RejectReason> {
    if labels.len() >= limits.series_labels_max {
        return Err(RejectReason::TooManyLabels);
    }
    if name.len() > limits.label_name_bytes_max {
        return Err(RejectReason::LabelNameTooLong);
    }
    if value.len() > limits.label_value_bytes_max {
        return Err(RejectReason::LabelValueTooLong);
    }
    labels.push(name, value);
    Ok(())
}

/// The labels of a series, sorted.
pub(super) fn encode(labels: &mut LabelSet) -> Result<LabelsRef<'_>, RejectReason> {
    let named = labels.iter().any(|(name, value)| name == METRIC_NAME && !value.is_empty());
    if named { labels.encode_unique() } else { Err(RejectReason::MissingName) }
}

/// The start of a label set, for a message.
pub(super) fn describe(labels: &LabelSet) -> String {
    let mut text = String::new();
    for (name, value) in labels.iter().take(8) {
        let separator = if text.is_empty() { "" } else { ", " };
        text.push_str(&format!("{separator}{name:.64}={value:.64?}"));
    }
    format!("{{{text}}}")
}

/// A series on its way into the batch: an entry is opened with its first item, and another where what it counts
/// began at another time.
pub(super) struct Series<'a> {
    pub(super) decoded: &'a mut Decoded<MetricBatch>,
    pub(super) meter: &'a mut Meter,
    pub(super) labels: LabelsRef<'a>,
    /// Where it is in the body.
    pub(super) position: usize,
    /// Beginning of the open entry, milliseconds.
    open_start_ms: Option<i64>,
}

impl<'a> Series<'a> {
    pub(super) fn new(
        decoded: &'a mut Decoded<MetricBatch>,
        meter: &'a mut Meter,
        labels: LabelsRef<'a>,
        position: usize,
    ) -> Self {
        Series { decoded, meter, labels, position, open_start_ms: None }
    }

    fn open(&mut self, start_ms: i64) -> Result<(), DecodeError> {
        if self.open_start_ms != Some(start_ms) {
            self.meter.add(SERIES_BYTES + self.labels.as_bytes().len(), self.position)?;
            self.decoded.batch.start_series_encoded(self.labels);
            self.decoded.batch.set_start(start_ms);
            self.open_start_ms = Some(start_ms);
        }
        Ok(())
    }

    /// Adds a sample; `start_ms` is 0 when not known.
    pub(super) fn sample(&mut self, timestamp_ms: i64, value: f64, start_ms: i64) -> Result<(), DecodeError> {
        self.open(start_ms)?;
        self.meter.add(SAMPLE_BYTES, self.position)?;
        self.decoded.batch.push_sample(timestamp_ms, value);
        Ok(())
    }

    /// Adds a histogram, or rejects it.
    pub(super) fn histogram(
        &mut self,
        timestamp_ms: i64,
        histogram: Result<NativeHistogram, HistogramError>,
        start_ms: i64,
    ) -> Result<(), DecodeError> {
        let histogram = match histogram {
            Ok(histogram) => histogram,
            Err(error) => {
                let detail = || format!("{error}: series {} at byte {}", self.labels, self.position);
                self.decoded.rejected.add(RejectReason::InvalidHistogram, 1, detail);
                return Ok(());
            }
        };
        self.open(start_ms)?;
        self.meter.add(SAMPLE_BYTES + histogram.memory_bytes(), self.position)?;
        self.decoded.stale_histograms += u64::from(histogram.is_stale_marker());
        self.decoded.batch.push_histogram(timestamp_ms, histogram);
        Ok(())
    }

    /// Adds an exemplar to the open entry.
    pub(super) fn exemplar(&mut self, exemplar: Exemplar) -> Result<(), DecodeError> {
        self.open(self.open_start_ms.unwrap_or(0))?;
        self.meter.add(EXEMPLAR_BYTES + exemplar.labels.as_bytes().len(), self.position)?;
        self.decoded.batch.push_exemplar(exemplar);
        Ok(())
    }
}

/// An exemplar of the labels in `labels`, unless they break a rule or it has no time.
pub(super) fn exemplar(labels: &mut LabelSet, value: f64, timestamp_ms: i64) -> Result<Exemplar, ItemError> {
    let characters: usize = labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
    if characters > EXEMPLAR_CHARACTERS_MAX || timestamp_ms == 0 {
        return Err(RejectReason::InvalidExemplar.into());
    }
    let labels = match labels.len() {
        0 => Labels::empty(),
        _ => labels.encode_unique().map_err(|_| RejectReason::InvalidExemplar)?.to_labels(),
    };
    Ok(Exemplar { labels, value, timestamp_ms })
}
