//! Exponential histograms: dense buckets as OTLP has them, and native histograms made of them.
//!
//! OTLP's bucket `i` of scale `s` holds (b^i, b^(i+1)] with b = 2^(2^-s); Prometheus' bucket of the same schema and
//! index i + 1 is the same. Halving the resolution joins neighbours: index `i` becomes `i >> 1`.

use crate::protobuf::{Field, Reader};
use crate::{DecodeError, RejectReason};
use bramble_signal::histogram::{
    BUCKETS_MAX, BucketSpan, CUSTOM_BUCKETS_SCHEMA, EXPONENTIAL_SCHEMA_MAX, EXPONENTIAL_SCHEMA_MIN, NativeHistogram,
};

/// Prometheus' threshold where the sender names none.
const ZERO_THRESHOLD: f64 = 1e-128;
/// Most buckets a side of an accumulated histogram may have before its resolution is halved: six times what SDKs use.
const ACCUMULATED_BUCKETS_MAX: i64 = 1024;
/// A longer run of empty buckets ends a span (as client libraries do: a span costs about two buckets).
const GAP_MAX: i64 = 2;

/// Buckets of one side.
#[derive(Clone, Default, Debug, PartialEq)]
pub(super) struct Buckets {
    /// Index of the first.
    offset: i64,
    counts: Vec<u64>,
}

/// An exponential histogram without its count and sum.
#[derive(Clone, Default, Debug, PartialEq)]
pub(in crate::otlp) struct Exponential {
    pub(super) scale: i32,
    pub(super) zero_count: u64,
    pub(super) zero_threshold: f64,
    pub(super) positive: Buckets,
    pub(super) negative: Buckets,
}

impl Buckets {
    /// Reads a `Buckets` message. `Err` inside for more buckets than a histogram may have.
    pub(super) fn read(&mut self, field: &Field<'_>) -> Result<Result<(), RejectReason>, DecodeError> {
        let mut fits = true;
        let mut reader: Reader<'_> = field.message()?;
        while let Some(field) = reader.next()? {
            match field.number {
                1 => self.offset = field.sint32()?.into(),
                2 => field.each_varint(|count| match self.counts.len() < BUCKETS_MAX {
                    true => self.counts.push(count),
                    false => fits = false,
                })?,
                _ => {}
            }
        }
        Ok(if fits { Ok(()) } else { Err(RejectReason::BucketMismatch) })
    }

    fn clear(&mut self) {
        self.offset = 0;
        self.counts.clear();
    }

    fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Joins 2^`by` neighbours.
    fn downscale(&mut self, by: u32) {
        let (from, to) = (self.offset, self.offset >> by);
        let mut joined: Vec<u64> = Vec::new();
        for (i, count) in (from..).zip(self.counts.iter()) {
            let place = usize::try_from((i >> by) - to).unwrap_or(0);
            joined.resize(joined.len().max(place + 1), 0);
            if let Some(slot) = joined.get_mut(place) {
                *slot = slot.saturating_add(*count);
            }
        }
        (self.offset, self.counts) = (to, joined);
    }

    fn end(&self) -> i64 {
        self.offset + self.counts.len() as i64
    }

    /// First and last index of both, one behind the last; `None` when both are empty.
    fn range_with(&self, other: &Buckets) -> Option<(i64, i64)> {
        match (self.counts.is_empty(), other.counts.is_empty()) {
            (true, true) => None,
            (true, false) => Some((other.offset, other.end())),
            (false, true) => Some((self.offset, self.end())),
            (false, false) => Some((self.offset.min(other.offset), self.end().max(other.end()))),
        }
    }

    /// Adds buckets of the same scale; the caller has checked the range.
    fn add(&mut self, other: &Buckets) {
        let Some((from, end)) = self.range_with(other) else { return };
        let mut sum = vec![0u64; usize::try_from(end - from).unwrap_or(0)];
        for side in [&*self, other] {
            let skip = usize::try_from(side.offset - from).unwrap_or(0);
            for (slot, count) in sum.iter_mut().skip(skip).zip(&side.counts) {
                *slot = slot.saturating_add(*count);
            }
        }
        (self.offset, self.counts) = (from, sum);
    }

    /// Takes out the buckets that reach below `threshold`; returns what they held and how far they reach.
    fn take_below(&mut self, threshold: f64, scale: i32) -> (u64, f64) {
        let (mut taken, mut reach) = (0u64, threshold);
        let mut many = 0;
        for (i, count) in (self.offset..).zip(&self.counts) {
            if bound(i, scale) >= threshold {
                break;
            }
            many += 1;
            if *count > 0 {
                taken = taken.saturating_add(*count);
                reach = reach.max(bound(i + 1, scale));
            }
        }
        self.counts.drain(..many);
        self.offset += many as i64;
        (taken, reach)
    }

    fn native(&self) -> Result<(Vec<BucketSpan>, Vec<f64>), RejectReason> {
        native_side(self.offset + 1, &self.counts)
    }
}

/// Lower bound of bucket `index`.
fn bound(index: i64, scale: i32) -> f64 {
    (index as f64 * (-f64::from(scale)).exp2()).exp2()
}

/// Spans and counts of dense buckets, the first of which has index `first`.
pub(super) fn native_side(first: i64, counts: &[u64]) -> Result<(Vec<BucketSpan>, Vec<f64>), RejectReason> {
    let (mut spans, mut out): (Vec<BucketSpan>, Vec<f64>) = (Vec::new(), Vec::new());
    // Index behind the last bucket written.
    let mut end = 0;
    for (index, count) in (first..).zip(counts).filter(|(_, count)| **count > 0) {
        let gap = index - end;
        match spans.last_mut() {
            Some(span) if gap <= GAP_MAX => {
                span.length += gap as u32 + 1;
                out.resize(out.len() + gap as usize, 0.0);
            }
            _ => {
                let offset = i32::try_from(gap).map_err(|_| RejectReason::BucketMismatch)?;
                spans.push(BucketSpan { offset, length: 1 });
            }
        }
        out.push(*count as f64);
        end = index + 1;
    }
    Ok((spans, out))
}

impl Exponential {
    pub(super) fn clear(&mut self) {
        (self.scale, self.zero_count, self.zero_threshold) = (0, 0, 0.0);
        self.positive.clear();
        self.negative.clear();
    }

    /// Heap memory in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        8 * (self.positive.counts.capacity() + self.negative.counts.capacity())
    }

    /// Checks a point as it came, and brings its scale to what native histograms have.
    ///
    /// # Errors
    /// [`RejectReason::HistogramScale`], [`RejectReason::BucketMismatch`] when its buckets do not add up to `count`.
    pub(super) fn accept(&mut self, count: u64, sum_is_nan: bool) -> Result<(), RejectReason> {
        if self.scale < EXPONENTIAL_SCHEMA_MIN.into() {
            return Err(RejectReason::HistogramScale);
        }
        let total = self.positive.total().saturating_add(self.negative.total()).saturating_add(self.zero_count);
        // Observations of NaN are in no bucket.
        let fits = if sum_is_nan { total <= count } else { total == count };
        let has_threshold = self.zero_threshold >= 0.0 && self.zero_threshold.is_finite();
        if !fits || !has_threshold {
            return Err(RejectReason::BucketMismatch);
        }
        if self.zero_threshold == 0.0 {
            self.zero_threshold = ZERO_THRESHOLD;
        }
        self.downscale_to(self.scale.min(EXPONENTIAL_SCHEMA_MAX.into()));
        Ok(())
    }

    fn downscale_to(&mut self, scale: i32) {
        // Beyond 2^33 neighbours every index of 32 bits is -1 or 0.
        let by = u32::try_from(i64::from(self.scale) - i64::from(scale)).unwrap_or(0).min(40);
        if by > 0 {
            self.positive.downscale(by);
            self.negative.downscale(by);
        }
        self.scale = scale;
    }

    /// Adds the observations of `other`, at the coarser of both resolutions or one that fits.
    ///
    /// # Errors
    /// [`RejectReason::BucketMismatch`] when even the coarsest would have too many buckets.
    pub(super) fn add(&mut self, mut other: Exponential) -> Result<(), RejectReason> {
        let scale = self.scale.min(other.scale);
        self.downscale_to(scale);
        other.downscale_to(scale);
        let fits = |by: i32| {
            let wide = |a: &Buckets, b: &Buckets| {
                a.range_with(b).is_some_and(|(from, end)| (end >> by) - (from >> by) > ACCUMULATED_BUCKETS_MAX)
            };
            !wide(&self.positive, &other.positive) && !wide(&self.negative, &other.negative)
        };
        let coarser = (0..=scale - i32::from(EXPONENTIAL_SCHEMA_MIN)).find(|by| fits(*by));
        let scale = scale - coarser.ok_or(RejectReason::BucketMismatch)?;
        self.downscale_to(scale);
        other.downscale_to(scale);
        self.positive.add(&other.positive);
        self.negative.add(&other.negative);
        self.zero_count = self.zero_count.saturating_add(other.zero_count);
        if self.zero_threshold != other.zero_threshold {
            self.widen_zero(self.zero_threshold.max(other.zero_threshold));
        }
        Ok(())
    }

    /// Raises the zero threshold; it must not end inside a bucket that holds something.
    fn widen_zero(&mut self, threshold: f64) {
        self.zero_threshold = threshold;
        loop {
            let (positive, reach) = self.positive.take_below(self.zero_threshold, self.scale);
            let (negative, reach) = self.negative.take_below(reach, self.scale);
            self.zero_count = self.zero_count.saturating_add(positive).saturating_add(negative);
            if reach <= self.zero_threshold {
                return;
            }
            self.zero_threshold = reach;
        }
    }

    /// The native histogram with the same buckets.
    ///
    /// # Errors
    /// [`RejectReason::BucketMismatch`] for indexes beyond what a histogram can have.
    pub(super) fn native(&self, count: u64, sum: f64) -> Result<NativeHistogram, RejectReason> {
        let (positive_spans, positive_counts) = self.positive.native()?;
        let (negative_spans, negative_counts) = self.negative.native()?;
        Ok(NativeHistogram {
            schema: i8::try_from(self.scale).map_err(|_| RejectReason::HistogramScale)?,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count as f64,
            count: count as f64,
            sum,
            positive_spans,
            positive_counts,
            negative_spans,
            negative_counts,
            ..NativeHistogram::default()
        })
    }
}

/// The native histogram with custom bounds that an explicit histogram is. `bounds` are the bits of doubles, `counts`
/// one more than they; or both are empty.
///
/// # Errors
/// As [`Exponential::native`].
pub(super) fn custom(bounds: &[u64], counts: &[u64], count: u64, sum: f64) -> Result<NativeHistogram, RejectReason> {
    let mut custom_bounds: Vec<f64> = bounds.iter().map(|&bits| f64::from_bits(bits)).collect();
    // Without buckets all is in the one that ends at +Inf.
    let all = [count];
    let counts = if counts.is_empty() { &all[..] } else { counts };
    let mut joined = Vec::new();
    let counts = match (custom_bounds.last(), counts) {
        // The bound of +Inf is implied: what is below and above it is one bucket.
        (Some(&f64::INFINITY), [head @ .., a, b]) => {
            custom_bounds.pop();
            joined.extend_from_slice(head);
            joined.push(a.saturating_add(*b));
            &joined[..]
        }
        _ => counts,
    };
    let (positive_spans, positive_counts) = native_side(0, counts)?;
    Ok(NativeHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count: count as f64,
        sum,
        positive_spans,
        positive_counts,
        custom_bounds,
        ..NativeHistogram::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn point(scale: i32, offset: i64, counts: &[u64]) -> Exponential {
        let positive = Buckets { offset, counts: counts.to_vec() };
        Exponential { scale, zero_threshold: ZERO_THRESHOLD, positive, ..Exponential::default() }
    }

    #[test]
    fn indexes_are_one_apart_and_gaps_make_spans() {
        let native = point(2, -1, &[0, 1, 0, 0, 2, 0, 0, 0, 3, 0]).native(6, 9.0).unwrap();
        assert_eq!(native.positive_spans, [BucketSpan { offset: 1, length: 4 }, BucketSpan { offset: 3, length: 1 }]);
        assert_eq!(native.positive_counts, [1.0, 0.0, 0.0, 2.0, 3.0]);
        assert_eq!((native.validate(), native.schema, native.zero_threshold), (Ok(()), 2, 1e-128));
    }

    #[test]
    fn finer_scales_are_joined_and_coarser_ones_refused() {
        let mut fine = point(10, -5, &[1, 2, 3, 4, 5, 6, 7]);
        fine.accept(28, false).unwrap();
        // Four to one: -5 | -4 -3 -2 -1 | 0 1.
        assert_eq!((fine.scale, fine.positive), (8, Buckets { offset: -2, counts: vec![1, 14, 13] }));
        assert_eq!(point(-5, 0, &[1]).accept(1, false), Err(RejectReason::HistogramScale));
        assert_eq!(point(0, 0, &[1]).accept(2, false), Err(RejectReason::BucketMismatch));
        assert_eq!(point(0, 0, &[1]).accept(2, true), Ok(()));
        let mut extreme = point(i32::MAX, i32::MIN.into(), &[1, 1]);
        extreme.accept(2, false).unwrap();
        assert_eq!(extreme.positive, Buckets { offset: -1, counts: vec![2] });
    }

    #[test]
    fn sums_take_the_coarser_resolution_and_the_wider_zero() {
        let mut sum = point(2, 0, &[1, 1, 1, 1]);
        sum.add(Exponential { zero_threshold: 1.5, zero_count: 7, ..point(1, 4, &[5]) }).unwrap();
        // (1, 1.41] and (1.41, 2] hold two each; 1.5 is inside the second, so that zero reaches to 2.
        assert_eq!((sum.scale, sum.zero_count, sum.zero_threshold), (1, 11, 2.0));
        assert_eq!(sum.native(16, 0.0).unwrap().positive_counts, [5.0]);
        let mut wide = point(8, 0, &[1]);
        wide.add(point(8, 200_000, &[1])).unwrap();
        assert!(wide.scale < 8 && wide.positive.counts.len() <= 1025);
        assert_eq!(wide.positive.total(), 2);
        let mut too_wide = point(-4, i32::MIN.into(), &[1]);
        assert_eq!(too_wide.add(point(-4, i32::MAX.into(), &[1])), Err(RejectReason::BucketMismatch));
    }

    #[test]
    fn explicit_bounds_are_custom_bounds() {
        let bits = |bounds: &[f64]| bounds.iter().map(|b| b.to_bits()).collect::<Vec<_>>();
        let custom = |bounds: &[f64], counts: &[u64], count| super::custom(&bits(bounds), counts, count, 1.0).unwrap();
        let histogram = custom(&[0.5, 1.0, 2.0, 4.0, 8.0], &[0, 3, 0, 0, 0, 1], 4);
        assert_eq!(histogram.validate(), Ok(()));
        assert_eq!(
            histogram.positive_spans,
            [BucketSpan { offset: 1, length: 1 }, BucketSpan { offset: 3, length: 1 }]
        );
        assert_eq!(custom(&[], &[], 5).positive_counts, [5.0]);
        let with_infinity = custom(&[1.0, f64::INFINITY], &[1, 2, 0], 3);
        assert_eq!((with_infinity.validate(), with_infinity.custom_bounds), (Ok(()), vec![1.0]));
    }

    fn any_point() -> impl Strategy<Value = Exponential> {
        (-4i32..12, -300i64..300, proptest::collection::vec(0u64..9, 0..40), 0u64..3, 0u64..2).prop_map(
            |(scale, offset, counts, zero_count, wide)| {
                let zero_threshold = if wide == 0 { 0.0 } else { 0.25 };
                let mut point = Exponential { zero_count, zero_threshold, ..point(scale, offset, &counts) };
                let count = point.positive.total() + zero_count;
                point.accept(count, false).unwrap();
                point
            },
        )
    }

    proptest! {
        #[test]
        fn nothing_is_lost_in_sums(points in proptest::collection::vec(any_point(), 1..6)) {
            let total = |e: &Exponential| e.positive.total() + e.negative.total() + e.zero_count;
            let mut sum = Exponential { scale: 8, ..Exponential::default() };
            let mut wanted = 0;
            for point in points {
                wanted += total(&point);
                sum.add(point).unwrap();
                prop_assert_eq!(total(&sum), wanted);
                prop_assert_eq!(sum.native(wanted, 0.0).unwrap().validate(), Ok(()));
            }
        }
    }
}
