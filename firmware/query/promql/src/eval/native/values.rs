//! Numbers that a histogram gives by itself, and its negative.

use crate::eval::sums::Compensated;
use bramble_signal::NativeHistogram;

/// What `histogram_count` and its like say of a histogram; `None` for functions of another name.
pub(crate) fn number_of(function: &str) -> Option<fn(&NativeHistogram) -> f64> {
    Some(match function {
        "histogram_count" => |h| h.count,
        "histogram_sum" => |h| h.sum,
        "histogram_avg" => |h| h.sum / h.count,
        "histogram_stddev" => |h| variance(h).sqrt(),
        "histogram_stdvar" => variance,
        _ => return None,
    })
}

/// Its negative, which is a gauge.
pub(crate) fn negated(histogram: &NativeHistogram) -> NativeHistogram {
    let mut negative = histogram.clone();
    negative.negate();
    negative
}

/// Variance around the true mean, each observation taken to lie in the middle of its bucket: the geometric one of
/// exponential buckets, zero in the zero bucket, the arithmetic one of custom buckets.
fn variance(h: &NativeHistogram) -> f64 {
    let mean = h.sum / h.count;
    let mut squares = Compensated::default();
    for bucket in h.buckets().filter(|b| b.count != 0.0) {
        let middle = if h.has_custom_bounds() {
            (bucket.upper + bucket.lower) / 2.0
        } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            0.0
        } else {
            (bucket.upper * bucket.lower).sqrt().copysign(bucket.upper)
        };
        let distance = middle - mean;
        squares.add(bucket.count * distance * distance);
    }
    squares.total() / h.count
}
