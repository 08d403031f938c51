//! Histogram points: with explicit bounds as classic series or as native histograms, exponential ones as native.

use super::delta::Shape;
use super::exponential::custom;
use super::points::{Place, Point};
use super::{Metrics, Scratch};
use crate::error::ItemError;
use crate::{DecodeError, RejectReason};
use bramble_signal::histogram::NativeHistogram;
use bramble_signal::stale_marker;

/// Kinds of delta streams, as `Metric` numbers them.
const EXPLICIT: u32 = 9;
const EXPONENTIAL: u32 = 10;

impl Metrics<'_> {
    /// Adds a point whose buckets are [checked](check_buckets).
    pub(super) fn explicit(&mut self, point: &mut Point<'_>, place: Place, delta: bool) -> Result<(), ItemError> {
        if delta && !point.stale {
            self.accumulate_explicit(point, place)?;
        }
        if !self.options.convert_histograms_to_nhcb {
            return Ok(self.classic(point, place)?);
        }
        let Scratch { bounds, counts, .. } = &*self.scratch;
        let native = custom(bounds, counts, point.count, point.sum.unwrap_or(0.0));
        self.native(native, point, place)
    }

    fn accumulate_explicit(&mut self, point: &mut Point<'_>, place: Place) -> Result<(), ItemError> {
        let key = self.stream_key(place, EXPLICIT);
        let streams = self.locked.get_or_insert_with(|| self.streams.lock());
        let Scratch { bounds, counts, .. } = &mut *self.scratch;
        let (stream, grown) = streams.point(key, (point.start_ns, point.time_ns), |stream| {
            stream.add_explicit(bounds, counts, point.count, point.sum.unwrap_or(0.0));
            Ok(())
        })?;
        self.meter.add(grown, place.position)?;
        if let Shape::Explicit(_, totals) = &stream.shape {
            counts.clear();
            counts.extend_from_slice(totals);
        }
        point.count = stream.count;
        point.sum = point.sum.map(|_| stream.sum);
        Ok(())
    }

    fn classic(&mut self, point: &Point<'_>, place: Place) -> Result<(), DecodeError> {
        self.sum_and_count(point, place)?;
        let mut cumulative = 0u64;
        for i in 0..self.scratch.bounds.len() {
            let bound = self.scratch.bounds.get(i).map_or(f64::INFINITY, |&bits| f64::from_bits(bits));
            cumulative = cumulative.saturating_add(self.scratch.counts.get(i).copied().unwrap_or(0));
            // An explicit last bound of +Inf is the bucket that is written below.
            if bound != f64::INFINITY {
                self.series(place, "_bucket", Some(("le", bound)), point.or_stale(cumulative as f64))?;
                self.take_exemplars(bound);
            }
        }
        self.series(place, "_bucket", Some(("le", f64::INFINITY)), point.or_stale(point.count as f64))?;
        self.take_exemplars(f64::INFINITY);
        Ok(())
    }

    /// Adds a point whose buckets are [accepted](super::exponential::Exponential::accept).
    pub(super) fn exponential(&mut self, point: &Point<'_>, place: Place, delta: bool) -> Result<(), ItemError> {
        let sum = point.sum.unwrap_or(0.0);
        if point.stale {
            return self.native(Ok(NativeHistogram::default()), point, place);
        }
        if !delta {
            let native = self.scratch.buckets.native(point.count, sum);
            return self.native(native, point, place);
        }
        let key = self.stream_key(place, EXPONENTIAL);
        let streams = self.locked.get_or_insert_with(|| self.streams.lock());
        let buckets = &self.scratch.buckets;
        let (stream, grown) = streams
            .point(key, (point.start_ns, point.time_ns), |stream| stream.add_exponential(buckets, point.count, sum))?;
        self.meter.add(grown, place.position)?;
        let native = match &stream.shape {
            Shape::Exponential(total) => total.native(stream.count, stream.sum),
            _ => Err(RejectReason::InvalidHistogram),
        };
        self.native(native, point, place)
    }

    /// Adds a series with one histogram, or with the staleness marker.
    fn native(
        &mut self,
        native: Result<NativeHistogram, RejectReason>,
        point: &Point<'_>,
        place: Place,
    ) -> Result<(), ItemError> {
        if point.stale {
            return Ok(self.series(place, "", None, stale_marker())?);
        }
        let native = native?;
        if let Err(error) = native.validate() {
            self.histogram_error = Some(error);
            return Err(RejectReason::InvalidHistogram.into());
        }
        self.meter.add(native.memory_bytes(), place.position)?;
        self.start_series(place, "", None)?;
        self.decoded.batch.push_histogram(place.time_ms, native);
        self.take_exemplars(f64::INFINITY);
        Ok(())
    }
}

/// One bucket more than bounds, or no buckets at all; bounds ascend; not more in the buckets than in all.
pub(super) fn check_buckets(counts: &[u64], bounds: &[u64], point: &Point<'_>) -> Result<(), RejectReason> {
    let ascending = bounds.is_sorted_by(|&a, &b| f64::from_bits(a) < f64::from_bits(b));
    let nan = bounds.iter().any(|&bits| f64::from_bits(bits).is_nan());
    let shape = counts.len() == bounds.len() + 1 || (counts.is_empty() && bounds.is_empty());
    let total = counts.iter().fold(0u64, |sum, count| sum.saturating_add(*count));
    match ascending && !nan && shape && (total <= point.count || point.stale) {
        true => Ok(()),
        false => Err(RejectReason::BucketMismatch),
    }
}
