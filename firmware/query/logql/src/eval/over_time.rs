//! Functions over the values of a window.
//!
//! Most are folded step by step as values come in, in order of time, so that memory grows with the grid and not with
//! the data; quantiles and counters need the values themselves.

use super::sample::Grid;
use crate::syntax::{RangeExpr, RangeOp};
use bramble_runtime::OverBudget;
use bramble_storage::QueryContext;
use std::cmp::Ordering;

/// Most steps that one value may belong to for folding to be cheaper than keeping it.
const OVERLAP_MAX: i64 = 64;

/// What a series keeps of its values.
pub(crate) enum Values {
    /// One fold per step.
    Folds(Vec<Fold>),
    /// (timestamp, value), ascending by time.
    Samples(Vec<(i64, f64)>),
}

/// A function's state over the values so far.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Fold {
    count: u64,
    /// Sum, mean or extreme.
    value: f64,
    /// Sum of squared differences.
    spread: f64,
}

impl Fold {
    fn add(&mut self, op: RangeOp, value: f64) {
        self.count += 1;
        let first = self.count == 1;
        match op {
            RangeOp::Sum | RangeOp::Rate => self.value += value,
            RangeOp::Avg => self.value = mean_with(self.value, value, self.count as f64),
            RangeOp::Min if first || value < self.value || self.value.is_nan() => self.value = value,
            RangeOp::Max if first || value > self.value || self.value.is_nan() => self.value = value,
            RangeOp::First if first => self.value = value,
            RangeOp::Last => self.value = value,
            RangeOp::Stddev | RangeOp::Stdvar => {
                let delta = value - self.value;
                self.value += delta / self.count as f64;
                self.spread += delta * (value - self.value);
            }
            _ => {}
        }
    }

    fn result(&self, expr: &RangeExpr) -> f64 {
        match expr.op {
            RangeOp::Rate => self.value / (expr.range_ns as f64 / 1e9),
            RangeOp::Stdvar => self.spread / self.count as f64,
            RangeOp::Stddev => (self.spread / self.count as f64).sqrt(),
            _ => self.value,
        }
    }
}

fn folds(expr: &RangeExpr, grid: &Grid) -> bool {
    let overlap = expr.range_ns / grid.step_ns.max(1);
    !matches!(expr.op, RangeOp::Quantile | RangeOp::RateCounter) && (grid.count == 1 || overlap <= OVERLAP_MAX)
}

impl Values {
    /// Nothing yet.
    ///
    /// # Errors
    /// [`OverBudget`]
    pub(crate) fn new(expr: &RangeExpr, grid: &Grid, context: &QueryContext) -> Result<Self, OverBudget> {
        if !folds(expr, grid) {
            return Ok(Values::Samples(Vec::new()));
        }
        context.reserve(grid.count * size_of::<Fold>())?;
        Ok(Values::Folds(vec![Fold::default(); grid.count]))
    }

    /// Adds a value that belongs to `steps`. Values come ascending in time.
    ///
    /// # Errors
    /// [`OverBudget`]
    pub(crate) fn add(
        &mut self,
        op: RangeOp,
        steps: (u32, u32),
        sample: (i64, f64),
        context: &QueryContext,
    ) -> Result<(), OverBudget> {
        match self {
            Values::Folds(folds) => {
                let touched = folds.get_mut(steps.0 as usize..=steps.1 as usize).into_iter().flatten();
                touched.for_each(|fold| fold.add(op, sample.1));
            }
            Values::Samples(samples) => {
                if samples.len() == samples.capacity() {
                    let more = samples.capacity().max(8);
                    context.reserve(more * size_of::<(i64, f64)>())?;
                    samples.reserve_exact(more);
                }
                samples.push(sample);
            }
        }
        Ok(())
    }

    /// The function's value at each step whose window has values.
    pub(crate) fn points(self, expr: &RangeExpr, grid: &Grid) -> Vec<(u32, f64)> {
        match self {
            Values::Folds(folds) => {
                let with = folds.iter().enumerate().filter(|(_, f)| f.count > 0);
                with.map(|(step, fold)| (step as u32, fold.result(expr))).collect()
            }
            Values::Samples(samples) => windows(expr, samples, grid),
        }
    }
}

fn windows(expr: &RangeExpr, mut samples: Vec<(i64, f64)>, grid: &Grid) -> Vec<(u32, f64)> {
    samples.sort_by_key(|s| s.0);
    let (mut out, mut scratch) = (Vec::new(), Vec::new());
    for step in 0..grid.count as u32 {
        let end = grid.time(step);
        let from = samples.partition_point(|s| s.0 <= end.saturating_sub(expr.range_ns));
        let to = samples.partition_point(|s| s.0 <= end);
        let Some(window) = samples.get(from..to).filter(|w| !w.is_empty()) else { continue };
        let value = match expr.op {
            RangeOp::Quantile => {
                scratch.clear();
                scratch.extend(window.iter().map(|s| s.1));
                quantile(expr.param.unwrap_or(f64::NAN), &mut scratch)
            }
            RangeOp::RateCounter => increase(window, expr.range_ns) / (expr.range_ns as f64 / 1e9),
            op => {
                let mut fold = Fold::default();
                window.iter().for_each(|s| fold.add(op, s.1));
                fold.result(expr)
            }
        };
        out.push((step, value));
    }
    out
}

/// The mean of `n` values, of which all but `value` have the mean `mean`, without overflowing their sum.
fn mean_with(mean: f64, value: f64, n: f64) -> f64 {
    if mean.is_infinite() || value.is_infinite() {
        // Opposite infinities have no mean; otherwise the infinite one wins.
        return match (mean.is_infinite(), value.is_finite()) {
            (true, true) => mean,
            (true, false) => mean + value,
            (false, _) => value,
        };
    }
    mean + (value / n - mean / n)
}

/// Mean, without overflowing the sum.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let mut n = 0.0;
    values.fold(0.0, |mean, value| {
        n += 1.0;
        mean_with(mean, value, n)
    })
}

/// Population variance, by Welford's method.
pub(crate) fn variance(values: impl Iterator<Item = f64>) -> f64 {
    let mut fold = Fold::default();
    values.for_each(|value| fold.add(RangeOp::Stdvar, value));
    fold.spread / fold.count as f64
}

/// Ascending, NaN first.
fn order(a: &f64, b: &f64) -> Ordering {
    a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

/// The `q`-quantile of values, between two by their distance; reorders them.
fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if q.is_nan() || values.is_empty() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let rank = q * (values.len() as f64 - 1.0);
    let low = (rank.floor() as usize).min(values.len() - 1);
    let weight = rank - low as f64;
    let (_, at, above) = values.select_nth_unstable_by(low, order);
    let next = above.iter().copied().min_by(order).unwrap_or(*at);
    *at * (1.0 - weight) + next * weight
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
        assert_eq!(quantile(0.5, &mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(quantile(0.9, &mut [10.0, 0.0]), 9.0);
        assert_eq!((quantile(-1.0, &mut [1.0]), quantile(2.0, &mut [1.0])), (f64::NEG_INFINITY, f64::INFINITY));
        assert_eq!(quantile(1.0, &mut [1.0, 5.0]), 5.0);
        assert_eq!(quantile(1.0, &mut [5.0, f64::NAN, 1.0]), 5.0);
    }

    #[test]
    fn spread() {
        assert_eq!(variance([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0].into_iter()), 4.0);
        assert_eq!(mean([f64::MAX, f64::MAX].into_iter()), f64::MAX);
        assert!(mean([f64::INFINITY, f64::NEG_INFINITY].into_iter()).is_nan());
    }
}
