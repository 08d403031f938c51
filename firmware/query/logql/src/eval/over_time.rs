//! Functions over the samples of a window.

use super::sample::Grid;
use crate::syntax::{RangeExpr, RangeOp};

/// The function's value at each step whose window has samples. `samples`: ascending by time.
pub(crate) fn points(expr: &RangeExpr, mut samples: Vec<(i64, f64)>, grid: &Grid) -> Vec<(u32, f64)> {
    samples.sort_by_key(|s| s.0);
    let mut out = Vec::new();
    let mut sorted = Vec::new();
    for step in 0..grid.count as u32 {
        let end = grid.time(step);
        let from = samples.partition_point(|s| s.0 <= end.saturating_sub(expr.range_ns));
        let to = samples.partition_point(|s| s.0 <= end);
        let Some(window) = samples.get(from..to).filter(|w| !w.is_empty()) else { continue };
        out.push((step, over(expr, window, &mut sorted)));
    }
    out
}

fn over(expr: &RangeExpr, window: &[(i64, f64)], sorted: &mut Vec<f64>) -> f64 {
    let values = || window.iter().map(|s| s.1);
    let seconds = expr.range_ns as f64 / 1e9;
    match expr.op {
        RangeOp::Sum => values().sum(),
        RangeOp::Rate => values().sum::<f64>() / seconds,
        RangeOp::Avg => mean(values()),
        RangeOp::Min => values().fold(f64::NAN, |a, b| if b < a || a.is_nan() { b } else { a }),
        RangeOp::Max => values().fold(f64::NAN, |a, b| if b > a || a.is_nan() { b } else { a }),
        RangeOp::Stdvar => variance(values()),
        RangeOp::Stddev => variance(values()).sqrt(),
        RangeOp::First => window.first().map_or(f64::NAN, |s| s.1),
        RangeOp::Last => window.last().map_or(f64::NAN, |s| s.1),
        RangeOp::Quantile => {
            sorted.clear();
            sorted.extend(values());
            sorted.sort_by(f64::total_cmp);
            quantile(expr.param.unwrap_or(f64::NAN), sorted)
        }
        RangeOp::RateCounter => increase(window, expr.range_ns) / seconds,
        // These count lines, and never come here.
        RangeOp::Count | RangeOp::Bytes | RangeOp::BytesRate | RangeOp::Absent => window.len() as f64,
    }
}

/// Mean, without overflowing the sum.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut mean, mut n) = (0.0f64, 0.0);
    for value in values {
        n += 1.0;
        mean = if mean.is_infinite() || value.is_infinite() {
            // Opposite infinities have no mean; otherwise the infinite one wins.
            if mean.is_infinite() && value.is_finite() {
                mean
            } else if mean.is_infinite() {
                mean + value
            } else {
                value
            }
        } else {
            mean + (value / n - mean / n)
        };
    }
    mean
}

/// Population variance, by Welford's method.
pub(crate) fn variance(values: impl Iterator<Item = f64>) -> f64 {
    let (mut n, mut mean, mut sum) = (0.0, 0.0, 0.0);
    for value in values {
        n += 1.0;
        let delta = value - mean;
        mean += delta / n;
        sum += delta * (value - mean);
    }
    sum / n
}

/// The `q`-quantile of ascending values, between two by their distance.
fn quantile(q: f64, sorted: &[f64]) -> f64 {
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let rank = q * (sorted.len() as f64 - 1.0);
    let low = rank.floor().max(0.0);
    let weight = rank - low;
    let at = |n: f64| sorted.get(n as usize).copied();
    let (Some(a), b) = (at(low), at(low + 1.0)) else { return f64::NAN };
    b.map_or(a, |b| a * (1.0 - weight) + b * weight)
}

/// How much a counter grew in the window, resets allowed for; nothing for a single sample.
fn increase(window: &[(i64, f64)], range_ns: i64) -> f64 {
    let (Some(first), Some(last)) = (window.first(), window.last()) else { return 0.0 };
    let sampled = (last.0 - first.0) as f64 / 1e9;
    if window.len() < 2 || sampled <= 0.0 {
        return 0.0;
    }
    let resets: f64 = window.windows(2).map(|w| if w[1].1 < w[0].1 { w[0].1 } else { 0.0 }).sum();
    let grown = last.1 - first.1 + resets;
    // Towards the window's edges by at most one and a half of the mean distance, as Prometheus does it; where the
    // samples lie within the window is not kept, so both ends share what is left.
    let between = sampled / (window.len() - 1) as f64;
    let missing = (range_ns as f64 / 1e9 - sampled).max(0.0);
    grown * (sampled + missing.min(between)) / sampled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        assert_eq!(quantile(0.5, &[1.0, 2.0, 3.0]), 2.0);
        assert_eq!(quantile(0.9, &[0.0, 10.0]), 9.0);
        assert_eq!((quantile(-1.0, &[1.0]), quantile(2.0, &[1.0])), (f64::NEG_INFINITY, f64::INFINITY));
        assert_eq!(quantile(1.0, &[1.0, 5.0]), 5.0);
    }

    #[test]
    fn spread() {
        assert_eq!(variance([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0].into_iter()), 4.0);
        assert_eq!(mean([f64::MAX, f64::MAX].into_iter()), f64::MAX);
    }
}
