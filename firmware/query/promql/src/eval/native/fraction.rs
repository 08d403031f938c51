//! The share of a native histogram's observations between two values.

use bramble_signal::NativeHistogram;
use bramble_signal::histogram::Bucket;

/// The share of observations between `lower` and `upper`: NaN without observations, 0 when `lower >= upper`.
/// Observations of NaN are in no share. A first custom bucket without lower bound begins at 0 when its bound is
/// positive; `newer`: otherwise it is not divided (Prometheus after 3.5).
pub(crate) fn fraction(lower: f64, upper: f64, h: &NativeHistogram, newer: bool) -> f64 {
    if h.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank_of(upper, h, newer) - rank_of(lower, h, newer)) / h.count
}

/// How many observations lie below `value`.
fn rank_of(value: f64, h: &NativeHistogram, newer: bool) -> f64 {
    let mut rank = 0f64;
    for bucket in h.buckets() {
        let bucket = bounded(h, bucket);
        if bucket.lower >= value {
            return rank.min(h.count);
        }
        if bucket.upper > value {
            return (rank + below(value, h, &bucket, newer)).min(h.count);
        }
        rank += bucket.count;
    }
    match h.sum.is_nan() {
        true => rank.min(h.count),
        false => h.count,
    }
}

/// The bucket as interpolation takes it.
fn bounded(h: &NativeHistogram, bucket: Bucket) -> Bucket {
    if !h.has_custom_bounds() {
        return if bucket.lower < 0.0 && bucket.upper > 0.0 { h.zero_bucket_one_sided() } else { bucket };
    }
    let from_zero = bucket.lower == f64::NEG_INFINITY && bucket.upper > 0.0 && bucket.upper.is_finite();
    if from_zero { Bucket { lower: 0.0, ..bucket } } else { bucket }
}

/// Observations of a bucket below a value inside it.
fn below(value: f64, h: &NativeHistogram, bucket: &Bucket, newer: bool) -> f64 {
    let Bucket { lower, upper, count, .. } = *bucket;
    if h.has_custom_bounds() || lower <= 0.0 && upper >= 0.0 {
        if newer && lower == f64::NEG_INFINITY {
            return count;
        }
        return count * (value - lower) / (upper - lower);
    }
    count * logarithmic_share(value, bucket)
}

/// The share of an exponential bucket below a value inside it.
pub(crate) fn logarithmic_share(value: f64, bucket: &Bucket) -> f64 {
    let [lower, upper, at] = [bucket.lower, bucket.upper, value].map(|v| v.abs().log2());
    match value > 0.0 {
        true => (at - lower) / (upper - lower),
        false => 1.0 - (at - upper) / (lower - upper),
    }
}
