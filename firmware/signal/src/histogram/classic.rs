//! Classic histograms, whose buckets are series of cumulative counts, as one histogram with custom bounds.

use super::layout::Runs;
use super::{BUCKETS_MAX, CUSTOM_BUCKETS_SCHEMA, NativeHistogram};

/// Observations up to and including a bound.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ClassicBucket {
    /// The value of label `le`; +Inf for all.
    pub upper: f64,
    /// All observations up to there.
    pub cumulative_count: f64,
}

/// Why classic buckets make no histogram.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
pub enum ClassicError {
    /// `le` is not a number.
    #[error("bucket bound is not a number")]
    Bound,
    /// A count below zero, or no number.
    #[error("bucket count must be non-negative: le={upper}, count={count}")]
    NegativeCount {
        /// The bucket.
        upper: f64,
        /// Its count.
        count: f64,
    },
    /// A bucket holds less than one below it, though it holds that one's observations too.
    #[error("count is not cumulative: le={upper}, {count} < {below}")]
    NotCumulative {
        /// The bucket.
        upper: f64,
        /// Its count.
        count: f64,
        /// The count of the bucket below.
        below: f64,
    },
    /// The count of all observations is not that of the highest bucket.
    #[error("count mismatch: {count} observations, {highest} in the highest bucket")]
    CountMismatch {
        /// Count of all observations.
        count: f64,
        /// Count of the highest bucket.
        highest: f64,
    },
    /// More than [`BUCKETS_MAX`].
    #[error("{0} buckets, at most {BUCKETS_MAX} are taken")]
    TooManyBuckets(usize),
}

/// Makes a histogram with custom bounds of classic buckets.
///
/// `buckets` in any order; of several with one bound the first counts. Without a bucket of +Inf, `count` (or else the
/// highest bucket's count) is its count. The result is compact: whole counts keep up to two empty buckets between
/// others, as Prometheus' conversion does. Its hint is unknown. Sorts `buckets`.
///
/// # Errors
/// [`ClassicError`] for the first bucket, from the lowest, that breaks a rule; then for `count`.
pub fn convert_classic(
    buckets: &mut Vec<ClassicBucket>,
    count: Option<f64>,
    sum: f64,
) -> Result<NativeHistogram, ClassicError> {
    if buckets.len() >= BUCKETS_MAX / 2 {
        return Err(ClassicError::TooManyBuckets(buckets.len()));
    }
    if buckets.iter().any(|b| b.upper.is_nan()) {
        return Err(ClassicError::Bound);
    }
    // Not `total_cmp`: 0 and -0 are one bound.
    buckets.sort_by(|a, b| a.upper.partial_cmp(&b.upper).unwrap_or(std::cmp::Ordering::Equal));
    buckets.dedup_by(|next, first| next.upper == first.upper);
    let highest = buckets.last().map(|b| b.cumulative_count);
    let count = count.or(highest).unwrap_or(0.0);
    if buckets.last().is_none_or(|b| b.upper != f64::INFINITY) {
        buckets.push(ClassicBucket { upper: f64::INFINITY, cumulative_count: count });
    }
    let (mut below, mut whole) = (0.0, is_whole(count));
    let mut runs = Runs::with_capacity::<f64>(buckets.len());
    for (place, bucket) in (0..).zip(buckets.iter()) {
        let ClassicBucket { upper, cumulative_count: count } = *bucket;
        if count.is_nan() || count < 0.0 {
            return Err(ClassicError::NegativeCount { upper, count });
        }
        if count < below {
            return Err(ClassicError::NotCumulative { upper, count, below });
        }
        runs.push(place, count - below);
        whole &= is_whole(count);
        below = count;
    }
    if count != below {
        return Err(ClassicError::CountMismatch { count, highest: below });
    }
    let bounds = buckets.iter().map(|b| b.upper).filter(|b| *b != f64::INFINITY);
    let mut histogram = NativeHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count,
        sum,
        custom_bounds: bounds.collect(),
        ..NativeHistogram::default()
    };
    histogram.set_positive(runs);
    histogram.compact(if whole { 2 } else { 0 });
    Ok(histogram)
}

fn is_whole(count: f64) -> bool {
    count.round() == count && count.abs() < 9e18
}
