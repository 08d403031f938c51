//! The buckets of a histogram with their bounds, in order.

use super::bounds::{custom_bound, exponential_bound};
use super::layout::Positions;
use super::{BucketSpan, NativeHistogram};

/// One bucket: the observations between two bounds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bucket {
    /// Lower bound, may be -Inf.
    pub lower: f64,
    /// Upper bound, may be +Inf.
    pub upper: f64,
    /// Whether observations of exactly `lower` are in it.
    pub lower_inclusive: bool,
    /// Whether observations of exactly `upper` are in it.
    pub upper_inclusive: bool,
    /// Observations in it.
    pub count: f64,
    /// Place in the schema, ascending away from zero on both sides; 0 for the zero bucket.
    pub index: i64,
}

impl Bucket {
    /// The code of Prometheus' JSON: 0 when open at its lower end, 1 at its upper, 2 at both, 3 at none.
    pub fn boundaries(&self) -> u8 {
        match (self.lower_inclusive, self.upper_inclusive) {
            (false, true) => 0,
            (true, false) => 1,
            (false, false) => 2,
            (true, true) => 3,
        }
    }
}

impl NativeHistogram {
    fn bound(&self, index: i64) -> f64 {
        match self.has_custom_bounds() {
            true => custom_bound(index, &self.custom_bounds),
            false => exponential_bound(index, self.schema),
        }
    }

    fn positive_bucket(&self, index: i64, count: f64) -> Bucket {
        let (lower, upper) = (self.bound(index.saturating_sub(1)), self.bound(index));
        let (lower_inclusive, upper_inclusive) = match self.has_custom_bounds() {
            true => (index == 0, true),
            false => (lower < 0.0, upper > 0.0),
        };
        Bucket { lower, upper, lower_inclusive, upper_inclusive, count, index }
    }

    fn negative_bucket(&self, index: i64, count: f64) -> Bucket {
        let (lower, upper) = (-self.bound(index), -self.bound(index.saturating_sub(1)));
        Bucket { lower, upper, lower_inclusive: lower < 0.0, upper_inclusive: upper > 0.0, count, index }
    }

    /// Buckets of positive observations (or all with custom bounds), ascending from zero; `rev()` for the other way.
    /// Empty buckets of the spans are given too.
    pub fn positive_buckets(&self) -> impl DoubleEndedIterator<Item = Bucket> + '_ {
        counted(&self.positive_spans, &self.positive_counts).map(|(i, count)| self.positive_bucket(i, count))
    }

    /// Buckets of negative observations, descending from zero; `rev()` for the other way.
    pub fn negative_buckets(&self) -> impl DoubleEndedIterator<Item = Bucket> + '_ {
        counted(&self.negative_spans, &self.negative_counts).map(|(i, count)| self.negative_bucket(i, count))
    }

    /// The zero bucket, closed on both sides.
    pub fn zero_bucket(&self) -> Bucket {
        Bucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: self.zero_count,
            index: 0,
        }
    }

    /// The zero bucket as interpolation takes it: when only one side has buckets, it ends at zero on the other.
    pub fn zero_bucket_one_sided(&self) -> Bucket {
        let mut bucket = self.zero_bucket();
        match (self.negative_counts.is_empty(), self.positive_counts.is_empty()) {
            (true, false) => bucket.lower = 0.0,
            (false, true) => bucket.upper = 0.0,
            _ => {}
        }
        bucket
    }

    /// All buckets in ascending order: negative, the zero bucket if it has observations, positive. `rev()` gives them
    /// in descending order. A bucket that reaches into the zero bucket ends at its threshold.
    pub fn buckets(&self) -> impl DoubleEndedIterator<Item = Bucket> + '_ {
        let beyond_zero = |mut bucket: Bucket| {
            if bucket.upper < 0.0 && bucket.upper > -self.zero_threshold {
                bucket.upper = -self.zero_threshold;
            } else if bucket.lower > 0.0 && bucket.lower < self.zero_threshold {
                bucket.lower = self.zero_threshold;
            }
            bucket
        };
        let zero = Some(self.zero_bucket()).filter(|b| b.count > 0.0);
        self.negative_buckets().rev().map(beyond_zero).chain(zero).chain(self.positive_buckets().map(beyond_zero))
    }

    /// All buckets in descending order, see [`NativeHistogram::buckets`].
    pub fn buckets_descending(&self) -> impl DoubleEndedIterator<Item = Bucket> + '_ {
        self.buckets().rev()
    }
}

fn counted<'a>(spans: &'a [BucketSpan], counts: &'a [f64]) -> impl DoubleEndedIterator<Item = (i64, f64)> + 'a {
    Positions::new(spans, counts.len()).map(|(index, at)| (index, counts.get(at).copied().unwrap_or(0.0)))
}
