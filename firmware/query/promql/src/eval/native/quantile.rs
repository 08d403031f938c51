//! Quantiles of native histograms.

use bramble_signal::NativeHistogram;
use bramble_signal::histogram::Bucket;

/// What observations of NaN did to a quantile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Nans {
    /// There are none, or they did not matter.
    None,
    /// They are what is asked for.
    Result,
    /// They count as larger than all others.
    Skew,
}

/// The φ-quantile: interpolated in the bucket that it falls into, on a logarithmic scale in exponential buckets,
/// linearly in the zero bucket and in custom ones.
pub(crate) fn quantile(phi: f64, h: &NativeHistogram) -> (f64, Nans) {
    if phi < 0.0 {
        return (f64::NEG_INFINITY, Nans::None);
    }
    if phi > 1.0 {
        return (f64::INFINITY, Nans::None);
    }
    if h.count == 0.0 || phi.is_nan() {
        return (f64::NAN, Nans::None);
    }
    // Observations of NaN are in no bucket: only from below are ranks what they seem.
    let from_below = h.sum.is_nan() || phi < 0.5;
    let rank = if from_below { phi * h.count } else { (1.0 - phi) * h.count };
    let (found, count) = match from_below {
        true => find(h.buckets(), rank),
        false => find(h.buckets_descending(), rank),
    };
    let count = count.min(h.count);
    if count < rank || found.is_none() {
        return match h.sum.is_nan() {
            true => (f64::NAN, Nans::Result),
            false => (found.map_or(0.0, |b| b.upper), Nans::None),
        };
    }
    let nans = if h.sum.is_nan() { Nans::Skew } else { Nans::None };
    let Some(bucket) = found else { return (f64::NAN, nans) };
    let bucket = match bounded(h, bucket) {
        Ok(bucket) => bucket,
        Err(value) => return (value, nans),
    };
    let rank = if from_below { rank - (count - bucket.count) } else { count - rank };
    (within(h, &bucket, rank / bucket.count), nans)
}

/// The bucket in which the counts so far reach `rank` (or the last that is not empty), and their sum.
fn find(buckets: impl Iterator<Item = Bucket>, rank: f64) -> (Option<Bucket>, f64) {
    let (mut found, mut count) = (None, 0.0);
    for bucket in buckets.filter(|b| b.count != 0.0) {
        count += bucket.count;
        found = Some(bucket);
        if count >= rank {
            break;
        }
    }
    (found, count)
}

/// The bucket as interpolation takes it, or the value when there is nothing to interpolate.
fn bounded(h: &NativeHistogram, bucket: Bucket) -> Result<Bucket, f64> {
    if !h.has_custom_bounds() {
        return Ok(if bucket.lower < 0.0 && bucket.upper > 0.0 { h.zero_bucket_one_sided() } else { bucket });
    }
    match bucket {
        b if b.lower == f64::NEG_INFINITY && b.upper <= 0.0 => Err(b.upper),
        b if b.lower == f64::NEG_INFINITY && b.upper.is_infinite() => Err(f64::NEG_INFINITY),
        b if b.lower == f64::NEG_INFINITY => Ok(Bucket { lower: 0.0, ..b }),
        b if b.upper == f64::INFINITY => Err(b.lower),
        b => Ok(b),
    }
}

/// The value at a share of a bucket.
fn within(h: &NativeHistogram, bucket: &Bucket, share: f64) -> f64 {
    let Bucket { lower, upper, .. } = *bucket;
    if h.has_custom_bounds() || lower <= 0.0 && upper >= 0.0 {
        return lower + (upper - lower) * share;
    }
    let (log_lower, log_upper) = (lower.abs().log2(), upper.abs().log2());
    match lower > 0.0 {
        true => (log_lower + (log_upper - log_lower) * share).exp2(),
        false => -(log_upper + (log_lower - log_upper) * (1.0 - share)).exp2(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_signal::BucketSpan;

    fn histogram() -> NativeHistogram {
        NativeHistogram {
            count: 4.0,
            sum: 5.0,
            positive_spans: vec![BucketSpan { offset: 0, length: 3 }],
            positive_counts: vec![1.0, 2.0, 1.0],
            ..NativeHistogram::default()
        }
    }

    #[test]
    fn interpolation_is_exponential() {
        assert!((quantile(0.5, &histogram()).0 - 2f64.sqrt()).abs() < 1e-12);
        assert_eq!(quantile(-0.1, &histogram()).0, f64::NEG_INFINITY);
        assert!(quantile(0.5, &NativeHistogram::default()).0.is_nan());
    }

    #[test]
    fn observations_of_nan_are_told() {
        let some = NativeHistogram { sum: f64::NAN, count: 5.0, ..histogram() };
        assert_eq!(quantile(0.8, &some), (4.0, Nans::Skew));
        assert!(matches!(quantile(0.9, &some), (v, Nans::Result) if v.is_nan()));
    }
}
