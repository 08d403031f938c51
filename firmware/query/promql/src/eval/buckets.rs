//! Quantiles and fractions of cumulative buckets.

/// Counts of observations up to and including `bound`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bucket {
    pub(crate) bound: f64,
    pub(crate) count: f64,
}

/// Relative differences below this between neighbouring buckets are rounding.
const SMALL_DELTA: f64 = 1e-12;

fn almost_equal(a: f64, b: f64) -> bool {
    if a.is_nan() && b.is_nan() || a == b {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < SMALL_DELTA * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < SMALL_DELTA
}

/// Sorts, adds up buckets of equal bounds; `false` when the last bound is not +Inf.
fn prepare(buckets: &mut Vec<Bucket>) -> bool {
    buckets.sort_by(|a, b| a.bound.total_cmp(&b.bound));
    buckets.dedup_by(|next, kept| {
        let same = next.bound == kept.bound;
        if same {
            kept.count += next.count;
        }
        same
    });
    buckets.last().is_some_and(|b| b.bound == f64::INFINITY)
}

/// Makes counts ascend; says whether that changed more than rounding.
fn make_monotonic(buckets: &mut [Bucket]) -> bool {
    let mut forced = false;
    let Some(mut before) = buckets.first().map(|b| b.count) else { return false };
    for bucket in buckets.iter_mut().skip(1) {
        if bucket.count == before {
            continue;
        }
        if almost_equal(before, bucket.count) {
            bucket.count = before;
        } else if bucket.count < before {
            bucket.count = before;
            forced = true;
        } else {
            before = bucket.count;
        }
    }
    forced
}

/// The φ-quantile, linear inside the bucket it falls in; and whether counts had to be made to ascend.
pub(crate) fn quantile(phi: f64, buckets: &mut Vec<Bucket>) -> (f64, bool) {
    if phi.is_nan() {
        return (f64::NAN, false);
    }
    if !(0.0..=1.0).contains(&phi) {
        return (if phi < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY }, false);
    }
    if !prepare(buckets) {
        return (f64::NAN, false);
    }
    let forced = make_monotonic(buckets);
    let observations = buckets.last().map_or(0.0, |b| b.count);
    if buckets.len() < 2 || observations == 0.0 || observations.is_nan() {
        return (f64::NAN, forced);
    }
    let mut rank = phi * observations;
    let last = buckets.len() - 1;
    let at = buckets.iter().take(last).position(|b| b.count >= rank).unwrap_or(last);
    let before = at.checked_sub(1).and_then(|i| buckets.get(i)).copied();
    let Some(bucket) = buckets.get(at).copied() else { return (f64::NAN, forced) };
    let value = match before {
        Some(before) if at == last => before.bound,
        None if bucket.bound <= 0.0 => bucket.bound,
        before => {
            let (start, below) = before.map_or((0.0, 0.0), |b| (b.bound, b.count));
            rank -= below;
            start + (bucket.bound - start) * (rank / (bucket.count - below))
        }
    };
    (value, forced)
}

/// The share of observations between `lower` and `upper`. With `from_zero`, a first bucket with a positive bound
/// begins at 0 and others are not divided (Prometheus after 3.5); else it reaches down without end, and inside it
/// nobody knows: NaN.
pub(crate) fn fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>, from_zero: bool) -> f64 {
    if !prepare(buckets) {
        return f64::NAN;
    }
    let count = buckets.last().map_or(0.0, |b| b.count);
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank_of(upper, buckets, count, from_zero) - rank_of(lower, buckets, count, from_zero)) / count
}

/// How many observations lie below `value`.
fn rank_of(value: f64, buckets: &[Bucket], count: f64, from_zero: bool) -> f64 {
    let zero = from_zero && buckets.first().is_some_and(|b| b.bound > 0.0);
    let (mut rank, mut lower) = (0.0, if zero { 0.0 } else { f64::NEG_INFINITY });
    for bucket in buckets {
        if lower >= value {
            break;
        }
        if bucket.bound > value {
            if from_zero && lower.is_infinite() {
                return bucket.count;
            }
            rank += (bucket.count - rank) * (value - lower) / (bucket.bound - lower);
            return if rank > count { count } else { rank };
        }
        (rank, lower) = (bucket.count, bucket.bound);
    }
    if rank > count { count } else { rank }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets() -> Vec<Bucket> {
        [(1.0, 10.0), (2.0, 30.0), (f64::INFINITY, 40.0)].map(|(bound, count)| Bucket { bound, count }).to_vec()
    }

    #[test]
    fn quantiles_are_linear_inside_a_bucket() {
        for (phi, value) in [(0.5, 1.5), (0.125, 0.5), (0.99, 2.0), (0.0, 0.0), (2.0, f64::INFINITY)] {
            assert_eq!(quantile(phi, &mut buckets()), (value, false), "{phi}");
        }
    }

    #[test]
    fn counts_that_fall_are_raised_and_told() {
        let mut falling = buckets();
        falling[1].count = 5.0;
        assert!(quantile(0.5, &mut falling).1);
        let mut open = buckets();
        open.pop();
        assert!(quantile(0.5, &mut open).0.is_nan(), "without +Inf nothing is known");
    }

    #[test]
    fn fractions() {
        assert_eq!(fraction(f64::NEG_INFINITY, 1.0, &mut buckets(), false), 0.25);
        assert!(fraction(0.5, 1.0, &mut buckets(), false).is_nan());
        assert_eq!(fraction(0.0, 1.0, &mut buckets(), true), 0.25);
        assert_eq!(fraction(1.0, 1.5, &mut buckets(), false), 0.25);
        assert_eq!(fraction(2.0, 1.0, &mut buckets(), false), 0.0);
    }
}
