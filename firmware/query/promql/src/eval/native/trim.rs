//! The trimming operators: a histogram without its observations above (`</`) or below (`>/`) a value.

use super::fraction::logarithmic_share;
use bramble_signal::NativeHistogram;
use bramble_signal::histogram::Bucket;

/// What stays of a bucket.
struct Kept {
    count: f64,
    /// Where its observations are taken to lie.
    middle: f64,
    /// The value lies in the bucket, or beyond it.
    cut: bool,
}

/// The histogram's observations up to `value` (`upper`) or from it on. Count and sum are estimated anew from what
/// stays of the buckets, unless all of them stay.
pub(crate) fn trim(h: &NativeHistogram, value: f64, upper: bool) -> NativeHistogram {
    let mut out = h.clone();
    let (mut count, mut sum, mut changed) = (0.0, 0.0, false);
    let mut take = |bucket: Bucket, slot: &mut f64| {
        if *slot == 0.0 {
            return;
        }
        let kept =
            if h.has_custom_bounds() { custom(&bucket, value, upper) } else { exponential(&bucket, value, upper) };
        changed |= kept.cut;
        *slot = kept.count;
        count += kept.count;
        if kept.count != 0.0 {
            sum += kept.count * kept.middle;
        }
    };
    h.positive_buckets().zip(&mut out.positive_counts).for_each(|(bucket, slot)| take(bucket, slot));
    h.negative_buckets().zip(&mut out.negative_counts).for_each(|(bucket, slot)| take(bucket, slot));
    take(h.zero_bucket_one_sided(), &mut out.zero_count);
    if !changed {
        return h.clone();
    }
    (out.count, out.sum) = (count, sum);
    out
}

fn whole(bucket: &Bucket, middle: f64) -> Kept {
    Kept { count: bucket.count, middle, cut: false }
}

const NOTHING: Kept = Kept { count: 0.0, middle: 0.0, cut: true };

fn exponential(bucket: &Bucket, value: f64, keeps_below: bool) -> Kept {
    let Bucket { lower, upper, count, .. } = *bucket;
    let linear = lower <= 0.0 && upper >= 0.0;
    let middle = |lower: f64, upper: f64| match linear {
        true => (lower + upper) / 2.0,
        false => (lower * upper).sqrt().copysign(upper + lower),
    };
    match place(bucket, value, keeps_below) {
        Some(true) => whole(bucket, middle(lower, upper)),
        Some(false) => NOTHING,
        None => {
            let share = if linear { (value - lower) / (upper - lower) } else { logarithmic_share(value, bucket) };
            part(count, share, [lower, value, upper], keeps_below, middle)
        }
    }
}

/// Custom buckets are divided linearly. One without lower bound begins at 0 if its upper bound is positive; other
/// buckets without a bound cannot be divided: they stay where the value does not bound them, at the value or their
/// bound, whichever is nearer to what is kept.
fn custom(bucket: &Bucket, value: f64, keeps_below: bool) -> Kept {
    let Bucket { lower, upper, count, .. } = *bucket;
    let all = if keeps_below { f64::INFINITY } else { f64::NEG_INFINITY };
    match (lower == f64::NEG_INFINITY, upper == f64::INFINITY) {
        (true, true) => {
            if value == all {
                whole(bucket, 0.0)
            } else {
                NOTHING
            }
        }
        (_, true) if value == all => whole(bucket, lower),
        (_, true) if keeps_below || value == f64::INFINITY => NOTHING,
        (_, true) => Kept { count, middle: lower.max(value), cut: value > lower },
        (true, _) if upper > 0.0 && !keeps_below && value < 0.0 && value != all => NOTHING,
        (true, _) if upper > 0.0 => custom(&Bucket { lower: 0.0, ..*bucket }, value, keeps_below),
        (true, _) if value == all => whole(bucket, upper),
        (true, _) if !keeps_below || value == f64::NEG_INFINITY => NOTHING,
        (true, _) => Kept { count, middle: upper.min(value), cut: value < upper },
        _ => match place(bucket, value, keeps_below) {
            Some(true) => whole(bucket, (lower + upper) / 2.0),
            Some(false) => NOTHING,
            None => {
                let share = (value - lower) / (upper - lower);
                part(count, share, [lower, value, upper], keeps_below, |lower, upper| (lower + upper) / 2.0)
            }
        },
    }
}

/// Whether the bucket stays or goes; `None` when the value is inside.
fn place(bucket: &Bucket, value: f64, keeps_below: bool) -> Option<bool> {
    if value.is_nan() {
        return Some(false);
    }
    if bucket.upper <= value {
        return Some(keeps_below);
    }
    (bucket.lower >= value).then_some(!keeps_below)
}

fn part(count: f64, share: f64, bounds: [f64; 3], keeps_below: bool, middle: impl Fn(f64, f64) -> f64) -> Kept {
    let [lower, value, upper] = bounds;
    match keeps_below {
        true => Kept { count: count * share, middle: middle(lower, value), cut: true },
        false => Kept { count: count * (1.0 - share), middle: middle(value, upper), cut: true },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_signal::BucketSpan;
    use bramble_signal::histogram::CUSTOM_BUCKETS_SCHEMA;

    fn custom_histogram() -> NativeHistogram {
        NativeHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: 11.0,
            sum: 60.0,
            positive_spans: vec![BucketSpan { offset: 0, length: 3 }],
            positive_counts: vec![1.0, 6.0, 4.0],
            custom_bounds: vec![5.0, 10.0],
            ..NativeHistogram::default()
        }
    }

    #[test]
    fn what_is_cut_is_estimated_anew() {
        let below = trim(&custom_histogram(), 7.5, true);
        assert_eq!((below.count, below.sum), (4.0, 2.5 + 3.0 * 6.25));
        let above = trim(&custom_histogram(), 7.5, false);
        assert_eq!((above.count, above.sum), (7.0, 3.0 * 8.75 + 4.0 * 10.0));
        assert_eq!(trim(&custom_histogram(), f64::INFINITY, true).sum, 60.0);
    }
}
