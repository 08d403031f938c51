//! Data points to series.

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
const SUMMARY: u32 = 11;

/// The point says that there is no value: the end of a series.
const FLAG_NO_RECORDED_VALUE: u64 = 1;

/// What a metric is, or why it cannot be stored.
pub(super) fn kind(data: &Field<'_>) -> Result<Result<MetricKind, RejectReason>, DecodeError> {
    let (mut temporality, mut monotonic) = (0, false);
    let mut reader = data.message()?;
    while let Some(field) = reader.next()? {
        match (data.number, field.number) {
            (SUM | HISTOGRAM, 2) => temporality = field.varint()?,
            (SUM, 3) => monotonic = field.bool()?,
            _ => {}
        }
    }
    Ok(match (data.number, temporality) {
        (GAUGE, _) => Ok(MetricKind::Gauge),
        (SUMMARY, _) => Ok(MetricKind::Summary),
        (SUM, 2) if monotonic => Ok(MetricKind::Counter),
        (SUM, 2) => Ok(MetricKind::Gauge),
        (HISTOGRAM, 2) => Ok(MetricKind::Histogram),
        (SUM | HISTOGRAM, 1) => Err(RejectReason::DeltaLate),
        (SUM | HISTOGRAM, _) => Err(RejectReason::UnspecifiedTemporality),
        _ => Err(RejectReason::HistogramScale),
    })
}

/// What the three kinds of points have in common.
#[derive(Default)]
struct Point<'a> {
    time_ns: u64,
    stale: bool,
    /// Number points.
    value: Option<f64>,
    /// Histogram and summary points.
    count: u64,
    sum: Option<f64>,
    exemplars: u64,
    message: Reader<'a>,
}

impl Metrics<'_> {
    /// Decodes the points of the metric whose names are translated.
    pub(super) fn points(&mut self, data: &Field<'_>) -> Result<(), DecodeError> {
        let mut reader = data.message()?;
        while let Some(field) = reader.next()? {
            if field.number != 1 {
                continue;
            }
            match self.point(data.number, &field) {
                Ok(()) => {}
                Err(ItemError::Reject(reason)) => {
                    let name = &self.scratch.names.name;
                    let detail = || format!("data point of {name} at byte {}", field.position);
                    self.decoded.rejected.add(reason, 1, detail);
                }
                Err(ItemError::Fatal(error)) => return Err(error),
            }
        }
        Ok(())
    }

    fn point(&mut self, kind: u32, field: &Field<'_>) -> Result<(), ItemError> {
        let Scratch { inner, counts, bounds, labels, base, .. } = &mut *self.scratch;
        inner.clear();
        counts.clear();
        bounds.clear();
        let message = field.message()?;
        let point = match kind {
            HISTOGRAM => Point::read_histogram(message, inner, counts, bounds)?,
            SUMMARY => Point::read_summary(message, inner)?,
            _ => Point::read_number(message, inner)?,
        };
        if point.time_ns == 0 {
            return Err(RejectReason::InvalidTimestamp.into());
        }
        // Nanoseconds in 64 bits are always representable as signed milliseconds.
        let time_ms = (point.time_ns / 1_000_000).cast_signed();
        if kind == HISTOGRAM {
            check_buckets(counts, bounds)?;
        }
        labels.clear();
        push_attributes(AttributesRef::from_encoded(inner), labels, self.limits.series_labels_max, |_| true);
        labels.extend(base);
        // Two more: the name, and `le` or `quantile`.
        let labels_max = self.limits.series_labels_max.saturating_sub(2);
        labels.check(self.limits, labels_max)?;
        let common = PointLabels(labels.mark());
        let value = if point.stale { Some(stale_marker()) } else { point.value };
        match (kind, value) {
            (HISTOGRAM, _) => self.histogram(&point, common, time_ms, field.position)?,
            (SUMMARY, _) => self.summary(&point, common, time_ms, field.position)?,
            (_, Some(value)) => self.series(common, "", None, time_ms, value, field.position)?,
            (_, None) => return Err(RejectReason::NoValue.into()),
        }
        self.decoded.exemplars_skipped += point.exemplars;
        self.newest_ms = self.newest_ms.max(Some(time_ms));
        Ok(())
    }

    /// Adds one series with one sample: the point's labels, the family's name with `suffix`, and `extra`.
    fn series(
        &mut self,
        common: PointLabels,
        suffix: &str,
        extra: Option<(&str, f64)>,
        time_ms: i64,
        value: f64,
        position: usize,
    ) -> Result<(), DecodeError> {
        let Scratch { labels, names, .. } = &mut *self.scratch;
        labels.rewind(common.0);
        labels.push(METRIC_NAME, names.with_suffix(suffix));
        if let Some((name, bound)) = extra {
            labels.push_with(|text| text.push_str(name), |text| push_bound(text, bound));
        }
        let encoded = labels.encode_last_wins();
        self.meter.add(SERIES_BYTES + SAMPLE_BYTES + encoded.as_bytes().len(), position)?;
        self.decoded.batch.start_series_encoded(encoded);
        self.decoded.batch.push_sample(time_ms, value);
        Ok(())
    }

    fn sum_and_count(
        &mut self,
        point: &Point<'_>,
        common: PointLabels,
        time_ms: i64,
        position: usize,
    ) -> Result<(), DecodeError> {
        // A histogram of values that may be negative has no sum: it would not be a counter.
        if let Some(sum) = point.sum {
            self.series(common, "_sum", None, time_ms, point.or_stale(sum), position)?;
        }
        self.series(common, "_count", None, time_ms, point.or_stale(point.count as f64), position)
    }

    fn histogram(
        &mut self,
        point: &Point<'_>,
        common: PointLabels,
        time_ms: i64,
        position: usize,
    ) -> Result<(), DecodeError> {
        self.sum_and_count(point, common, time_ms, position)?;
        let mut cumulative = 0u64;
        for i in 0..self.scratch.bounds.len() {
            let bound = self.scratch.bounds.get(i).map_or(f64::INFINITY, |&bits| f64::from_bits(bits));
            cumulative = cumulative.saturating_add(self.scratch.counts.get(i).copied().unwrap_or(0));
            // An explicit last bound of +Inf is the bucket that is written below.
            if bound != f64::INFINITY {
                self.series(
                    common,
                    "_bucket",
                    Some(("le", bound)),
                    time_ms,
                    point.or_stale(cumulative as f64),
                    position,
                )?;
            }
        }
        let all = point.or_stale(point.count as f64);
        self.series(common, "_bucket", Some(("le", f64::INFINITY)), time_ms, all, position)
    }

    fn summary(
        &mut self,
        point: &Point<'_>,
        common: PointLabels,
        time_ms: i64,
        position: usize,
    ) -> Result<(), DecodeError> {
        self.sum_and_count(point, common, time_ms, position)?;
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
            self.series(common, "", Some(("quantile", quantile)), time_ms, point.or_stale(value), position)?;
        }
        Ok(())
    }
}

impl<'a> Point<'a> {
    fn or_stale(&self, value: f64) -> f64 {
        if self.stale { stale_marker() } else { value }
    }

    fn read_number(message: Reader<'a>, attributes: &mut Vec<u8>) -> Result<Self, DecodeError> {
        let mut point = Point { message, ..Default::default() };
        let mut reader = message;
        while let Some(field) = reader.next()? {
            match field.number {
                3 => point.time_ns = field.fixed64()?,
                4 => point.value = Some(field.double()?),
                5 => point.exemplars += 1,
                6 => point.value = Some(field.fixed64()?.cast_signed() as f64),
                7 => put_key_value(attributes, &field)?,
                8 => point.stale = field.varint()? & FLAG_NO_RECORDED_VALUE != 0,
                _ => {}
            }
        }
        Ok(point)
    }

    fn read_histogram(
        message: Reader<'a>,
        attributes: &mut Vec<u8>,
        counts: &mut Vec<u64>,
        bounds: &mut Vec<u64>,
    ) -> Result<Self, DecodeError> {
        let mut point = Point { message, ..Default::default() };
        let mut reader = message;
        while let Some(field) = reader.next()? {
            match field.number {
                3 => point.time_ns = field.fixed64()?,
                4 => point.count = field.fixed64()?,
                5 => point.sum = Some(field.double()?),
                6 => field.push_fixed64(counts)?,
                7 => field.push_fixed64(bounds)?,
                8 => point.exemplars += 1,
                9 => put_key_value(attributes, &field)?,
                10 => point.stale = field.varint()? & FLAG_NO_RECORDED_VALUE != 0,
                _ => {}
            }
        }
        Ok(point)
    }

    fn read_summary(message: Reader<'a>, attributes: &mut Vec<u8>) -> Result<Self, DecodeError> {
        // A summary's sum is not optional: absent means zero.
        let mut point = Point { message, sum: Some(0.0), ..Default::default() };
        let mut reader = message;
        while let Some(field) = reader.next()? {
            match field.number {
                3 => point.time_ns = field.fixed64()?,
                4 => point.count = field.fixed64()?,
                5 => point.sum = Some(field.double()?),
                7 => put_key_value(attributes, &field)?,
                8 => point.stale = field.varint()? & FLAG_NO_RECORDED_VALUE != 0,
                _ => {}
            }
        }
        Ok(point)
    }
}

/// One bucket more than bounds, or no buckets at all; bounds ascend.
fn check_buckets(counts: &[u64], bounds: &[u64]) -> Result<(), RejectReason> {
    let ascending = bounds.is_sorted_by(|&a, &b| f64::from_bits(a) < f64::from_bits(b));
    let nan = bounds.iter().any(|&bits| f64::from_bits(bits).is_nan());
    let fits = counts.len() == bounds.len() + 1 || (counts.is_empty() && bounds.is_empty());
    match ascending && !nan && fits {
        true => Ok(()),
        false => Err(RejectReason::BucketMismatch),
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
