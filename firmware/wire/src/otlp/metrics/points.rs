//! Data points to series: what all kinds have in common, numbers and summaries.

use super::histograms::check_buckets;
use super::names::Ending;
use super::{Metrics, PointLabels, SAMPLE_BYTES, SERIES_BYTES, Scratch, push_attributes};
use crate::error::ItemError;
use crate::otlp::any_value::{push_display, put_key_value};
use crate::protobuf::{Field, Reader};
use crate::{DecodeError, RejectReason};
use bramble_signal::attributes::AttributesRef;
use bramble_signal::{METRIC_NAME, MetricKind, stale_marker};

/// Numbers of `Metric`'s data fields.
const GAUGE: u32 = 5;
const SUM: u32 = 7;
const HISTOGRAM: u32 = 9;
const EXPONENTIAL: u32 = 10;
const SUMMARY: u32 = 11;

/// The point says that there is no value: the end of a series.
const FLAG_NO_RECORDED_VALUE: u64 = 1;

/// What a metric is.
pub(super) struct Kind {
    pub(super) metadata: MetricKind,
    pub(super) ending: Ending,
    /// Whether its points are differences.
    pub(super) delta: bool,
}

/// What a metric is, or why it cannot be stored.
pub(super) fn kind(data: &Field<'_>) -> Result<Result<Kind, RejectReason>, DecodeError> {
    let (mut temporality, mut monotonic) = (0, false);
    let mut reader = data.message()?;
    while let Some(field) = reader.next()? {
        match (data.number, field.number) {
            (SUM | HISTOGRAM | EXPONENTIAL, 2) => temporality = field.varint()?,
            (SUM, 3) => monotonic = field.bool()?,
            _ => {}
        }
    }
    let (metadata, ending) = match data.number {
        GAUGE => (MetricKind::Gauge, Ending::Ratio),
        SUM if monotonic => (MetricKind::Counter, Ending::Total),
        SUM => (MetricKind::Gauge, Ending::None),
        SUMMARY => (MetricKind::Summary, Ending::None),
        _ => (MetricKind::Histogram, Ending::None),
    };
    Ok(match (data.number, temporality) {
        (GAUGE | SUMMARY, _) | (_, 2) => Ok(Kind { metadata, ending, delta: false }),
        (_, 1) => Ok(Kind { metadata, ending, delta: true }),
        _ => Err(RejectReason::UnspecifiedTemporality),
    })
}

/// A point's fields that are not kept in the scratch memory.
#[derive(Default)]
pub(super) struct Point<'a> {
    pub(super) start_ns: u64,
    pub(super) time_ns: u64,
    pub(super) stale: bool,
    /// Number points.
    pub(super) value: Option<f64>,
    /// Other points.
    pub(super) count: u64,
    pub(super) sum: Option<f64>,
    /// Whether it has exemplars.
    has_exemplars: bool,
    pub(super) message: Reader<'a>,
}

/// Where a point's series are and when.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) common: PointLabels,
    pub(super) time_ms: i64,
    /// In the body.
    pub(super) position: usize,
}

impl Metrics<'_> {
    /// Decodes the points of the metric whose names are translated.
    pub(super) fn points(&mut self, data: &Field<'_>, delta: bool) -> Result<(), DecodeError> {
        let mut reader = data.message()?;
        while let Some(field) = reader.next()? {
            if field.number != 1 {
                continue;
            }
            match self.point(data.number, &field, delta) {
                Ok(()) => {}
                Err(ItemError::Reject(reason)) => {
                    let (name, error) = (&self.scratch.names.name, self.histogram_error.take());
                    let detail = || {
                        let error = error.map_or_else(String::new, |error| format!("{error}: "));
                        format!("{error}data point of {name} at byte {}", field.position)
                    };
                    self.decoded.rejected.add(reason, 1, detail);
                }
                Err(ItemError::Fatal(error)) => return Err(error),
            }
        }
        Ok(())
    }

    fn point(&mut self, kind: u32, field: &Field<'_>, delta: bool) -> Result<(), ItemError> {
        let message = field.message()?;
        let mut point = self.read_point(kind, message)?;
        if point.time_ns == 0 {
            return Err(RejectReason::InvalidTimestamp.into());
        }
        // What a point says of itself is judged first: labels, which a resource may have many of, cost most.
        match kind {
            GAUGE | SUM if point.value.is_none() && !point.stale => return Err(RejectReason::NoValue.into()),
            HISTOGRAM => check_buckets(&self.scratch.counts, &self.scratch.bounds, &point)?,
            EXPONENTIAL if !point.stale => {
                self.scratch.buckets.accept(point.count, point.sum.is_some_and(f64::is_nan))?;
            }
            _ => {}
        }
        // Nanoseconds in 64 bits are always representable as signed milliseconds.
        let time_ms = (point.time_ns / 1_000_000).cast_signed();
        let place = Place { common: self.common_labels()?, time_ms, position: field.position };
        if point.has_exemplars {
            self.read_exemplars(message, exemplar_field(kind), time_ms)?;
        } else {
            self.scratch.exemplars.clear();
        }
        match kind {
            HISTOGRAM => self.explicit(&mut point, place, delta)?,
            EXPONENTIAL => self.exponential(&point, place, delta)?,
            SUMMARY => self.summary(&point, place)?,
            _ => self.number(&point, place, delta)?,
        }
        let (oldest, newest) = self.times_ms.unwrap_or((time_ms, time_ms));
        self.times_ms = Some((oldest.min(time_ms), newest.max(time_ms)));
        Ok(())
    }

    fn read_point<'a>(&mut self, kind: u32, message: Reader<'a>) -> Result<Point<'a>, ItemError> {
        let Scratch { inner, counts, bounds, buckets, .. } = &mut *self.scratch;
        inner.clear();
        counts.clear();
        bounds.clear();
        buckets.clear();
        let mut point = Point { message, ..Point::default() };
        // A summary's sum is not optional: absent means zero.
        point.sum = (kind == SUMMARY).then_some(0.0);
        let mut reader = message;
        let mut reject = Ok(());
        while let Some(field) = reader.next()? {
            match (kind, field.number) {
                (_, 2) => point.start_ns = field.fixed64()?,
                (_, 3) => point.time_ns = field.fixed64()?,
                (GAUGE | SUM, 4) => point.value = Some(field.double()?),
                (GAUGE | SUM, 6) => point.value = Some(field.fixed64()?.cast_signed() as f64),
                (GAUGE | SUM, 5) | (HISTOGRAM, 8) | (EXPONENTIAL, 11) => point.has_exemplars = true,
                (GAUGE | SUM | SUMMARY, 7) | (HISTOGRAM, 9) | (EXPONENTIAL, 1) => put_key_value(inner, &field)?,
                (GAUGE | SUM | SUMMARY, 8) | (HISTOGRAM | EXPONENTIAL, 10) => {
                    point.stale = field.varint()? & FLAG_NO_RECORDED_VALUE != 0;
                }
                (HISTOGRAM | EXPONENTIAL | SUMMARY, 4) => point.count = field.fixed64()?,
                (HISTOGRAM | EXPONENTIAL | SUMMARY, 5) => point.sum = Some(field.double()?),
                (HISTOGRAM, 6) => field.push_fixed64(counts)?,
                (HISTOGRAM, 7) => field.push_fixed64(bounds)?,
                (EXPONENTIAL, 6) => buckets.scale = field.sint32()?,
                (EXPONENTIAL, 7) => buckets.zero_count = field.fixed64()?,
                (EXPONENTIAL, 8) => reject = reject.and(buckets.positive.read(&field)?),
                (EXPONENTIAL, 9) => reject = reject.and(buckets.negative.read(&field)?),
                (EXPONENTIAL, 14) => buckets.zero_threshold = field.double()?,
                _ => {}
            }
        }
        Ok(reject.map(|()| point)?)
    }

    /// Promoted attributes, the point's, and those of scope and resource, of which later ones win.
    fn common_labels(&mut self) -> Result<PointLabels, RejectReason> {
        let Scratch { inner, labels, promoted, base, .. } = &mut *self.scratch;
        // Too much of a resource is not copied for each of its points.
        promoted.check(self.limits, self.limits.series_labels_max)?;
        base.check(self.limits, self.limits.series_labels_max)?;
        labels.clear();
        labels.extend(promoted);
        let labels_max = self.limits.series_labels_max;
        push_attributes(AttributesRef::from_encoded(inner), labels, labels_max, self.options.translation, |_| true);
        labels.extend(base);
        // Two more: the name, and `le` or `quantile`.
        labels.check(self.limits, labels_max.saturating_sub(2))?;
        Ok(PointLabels(labels.mark()))
    }

    /// The key of the stream of differences that the point is of.
    pub(super) fn stream_key(&mut self, place: Place, kind: u32) -> u128 {
        let Scratch { labels, names, .. } = &mut *self.scratch;
        labels.rewind(place.common.0);
        labels.push(METRIC_NAME, &names.name);
        let streams = self.locked.get_or_insert_with(|| self.streams.lock());
        streams.key(labels.encode_last_wins().as_bytes(), kind)
    }

    /// Starts a series: the point's labels, the family's name with `suffix`, and `extra`.
    pub(super) fn start_series(
        &mut self,
        place: Place,
        suffix: &str,
        extra: Option<(&str, f64)>,
    ) -> Result<(), DecodeError> {
        let Scratch { labels, names, .. } = &mut *self.scratch;
        labels.rewind(place.common.0);
        labels.push(METRIC_NAME, names.with_suffix(suffix));
        if let Some((name, bound)) = extra {
            labels.push_with(|text| text.push_str(name), |text| push_bound(text, bound));
        }
        let encoded = labels.encode_last_wins();
        self.meter.add(SERIES_BYTES + SAMPLE_BYTES + encoded.as_bytes().len(), place.position)?;
        self.decoded.batch.start_series_encoded(encoded);
        Ok(())
    }

    /// Adds one series with one sample.
    pub(super) fn series(
        &mut self,
        place: Place,
        suffix: &str,
        extra: Option<(&str, f64)>,
        value: f64,
    ) -> Result<(), DecodeError> {
        self.start_series(place, suffix, extra)?;
        self.decoded.batch.push_sample(place.time_ms, value);
        Ok(())
    }

    fn number(&mut self, point: &Point<'_>, place: Place, delta: bool) -> Result<(), ItemError> {
        let value = match (point.stale, point.value) {
            (true, _) => stale_marker(),
            (false, None) => return Err(RejectReason::NoValue.into()),
            (false, Some(value)) if delta => {
                let key = self.stream_key(place, SUM);
                let streams = self.locked.get_or_insert_with(|| self.streams.lock());
                let (stream, grown) = streams.point(key, (point.start_ns, point.time_ns), |stream| {
                    stream.sum += value;
                    Ok(())
                })?;
                self.meter.add(grown, place.position)?;
                stream.sum
            }
            (false, Some(value)) => value,
        };
        self.series(place, "", None, value)?;
        self.take_exemplars(f64::INFINITY);
        Ok(())
    }

    pub(super) fn sum_and_count(&mut self, point: &Point<'_>, place: Place) -> Result<(), DecodeError> {
        // A histogram of values that may be negative has no sum: it would not be a counter.
        if let Some(sum) = point.sum {
            self.series(place, "_sum", None, point.or_stale(sum))?;
        }
        self.series(place, "_count", None, point.or_stale(point.count as f64))
    }

    fn summary(&mut self, point: &Point<'_>, place: Place) -> Result<(), DecodeError> {
        self.sum_and_count(point, place)?;
        let mut reader = point.message;
        while let Some(field) = reader.next()? {
            if field.number != 6 {
                continue;
            }
            let (mut quantile, mut value) = (0.0, 0.0);
            let mut reader = field.message()?;
            while let Some(field) = reader.next()? {
                match field.number {
                    1 => quantile = field.double()?,
                    2 => value = field.double()?,
                    _ => {}
                }
            }
            self.series(place, "", Some(("quantile", quantile)), point.or_stale(value))?;
        }
        Ok(())
    }
}

impl Point<'_> {
    pub(super) fn or_stale(&self, value: f64) -> f64 {
        if self.stale { stale_marker() } else { value }
    }
}

fn exemplar_field(kind: u32) -> u32 {
    match kind {
        HISTOGRAM => 8,
        EXPONENTIAL => 11,
        _ => 5,
    }
}

/// A bound as the text of `le` or `quantile`: shortest digits without exponent, as Prometheus' OTLP has it.
fn push_bound(out: &mut String, bound: f64) {
    match bound {
        f64::INFINITY => out.push_str("+Inf"),
        f64::NEG_INFINITY => out.push_str("-Inf"),
        bound => push_display(out, bound),
    }
}
