//! `anchored` and `smoothed` ranges: they use the samples around the range's edges instead of extrapolating.

use super::evaluator::{Evaluator, Outcome, Sink};
use super::rows::{ABSENT, Grid, Row};
use super::select::{RangeSeries, drop_stale};
use crate::syntax::{Extension, Selector};

impl Evaluator<'_> {
    /// `metric smoothed`: at each step the value on the line between the samples around it.
    pub(crate) fn smoothed_rows(&self, selector: &Selector, grid: Grid, sink: Sink<'_>) -> Outcome<()> {
        let at = self.shifted(grid, selector.offset.as_ref(), selector.at)?;
        let (before, behind) = (self.lookback_ms, self.lookback_ms);
        let from = at.start_ms.saturating_sub(before).saturating_add(1);
        self.scan(&selector.matchers, from, at.last_ms().saturating_add(behind), &mut |series| {
            drop_stale(series);
            let (stamps, values) = (&series.timestamps_ms, &series.values);
            let point = |i: usize| Some((*stamps.get(i)?, *values.get(i)?));
            let value = |t: i64| {
                let next = stamps.partition_point(|s| *s <= t);
                let a = next.checked_sub(1).and_then(point).filter(|(s, _)| *s > t.saturating_sub(before));
                let b = point(next).filter(|(s, _)| *s <= t.saturating_add(behind));
                match (a, b) {
                    (Some(a), Some(b)) => interpolate(a, b, t, false),
                    (Some((_, v)), None) => v,
                    _ => ABSENT,
                }
            };
            let row = Row { labels: series.labels.clone(), drop_name: false, values: at.times().map(value).collect() };
            if row.is_empty() { Ok(()) } else { sink(row) }
        })
    }
}

/// Fills a row's values; says whether there are any.
pub(crate) fn fill_row(name: &str, extension: Extension, series: &RangeSeries<'_>, out: &mut [f64]) -> bool {
    let mut any = false;
    let mut points = Vec::new();
    for (slot, end) in out.iter_mut().zip(series.ends.times()) {
        let start = end.saturating_sub(series.range_ms);
        let found = match extension {
            Extension::Anchored => anchored(series, start, end, &mut points),
            Extension::Smoothed => smoothed(series, start, end, is_counter(name), &mut points),
        };
        *slot = if found { value(name, &points, series.range_ms as f64 / 1000.0) } else { ABSENT };
        any |= found;
    }
    any
}

fn is_counter(name: &str) -> bool {
    matches!(name, "rate" | "increase")
}

/// The samples in the range, with the newest one at or before its start.
fn anchored(series: &RangeSeries<'_>, start: i64, end: i64, points: &mut Vec<f64>) -> bool {
    points.clear();
    let first_inside = series.timestamps_ms.partition_point(|t| *t <= start);
    let reach = start.saturating_sub(series.reach_ms);
    let anchor = first_inside.checked_sub(1).filter(|i| series.timestamps_ms.get(*i).is_some_and(|t| *t > reach));
    let after = series.timestamps_ms.partition_point(|t| *t <= end);
    if first_inside >= after {
        return false;
    }
    points.extend_from_slice(series.values.get(anchor.unwrap_or(first_inside)..after).unwrap_or_default());
    // Without an anchor the first sample stands for the start too.
    if first_inside == 0
        && let Some(first) = points.first().copied()
    {
        points.insert(0, first);
    }
    true
}

/// The samples in the range, with values at both edges from straight lines to the neighbours beyond them.
fn smoothed(series: &RangeSeries<'_>, start: i64, end: i64, counter: bool, points: &mut Vec<f64>) -> bool {
    points.clear();
    let stamps = series.timestamps_ms;
    let first_inside = stamps.partition_point(|t| *t <= start);
    let after = stamps.partition_point(|t| *t < end);
    // A series that is wholly beyond one edge says nothing about the range.
    if first_inside >= stamps.len() || after == 0 && stamps.first().is_none_or(|t| *t > end) {
        return false;
    }
    points.push(at_edge(series, start, first_inside, counter));
    points.extend_from_slice(series.values.get(first_inside..after.max(first_inside)).unwrap_or_default());
    points.push(at_edge(series, end, stamps.partition_point(|t| *t <= end), counter));
    true
}

/// The value at `edge`, `next` being the first sample after it.
fn at_edge(series: &RangeSeries<'_>, edge: i64, next: usize, counter: bool) -> f64 {
    let point = |i: usize| Some((*series.timestamps_ms.get(i)?, *series.values.get(i)?));
    let near = |(t, _): &(i64, f64)| t.abs_diff(edge) <= (series.reach_ms + series.range_ms).unsigned_abs();
    match (next.checked_sub(1).and_then(point).filter(near), point(next).filter(near)) {
        (Some(a), Some(b)) => interpolate(a, b, edge, counter),
        (Some((_, v)), None) | (None, Some((_, v))) => v,
        (None, None) => f64::NAN,
    }
}

/// On the line from `a` to `b`; a counter that was reset in between starts from zero.
fn interpolate(a: (i64, f64), b: (i64, f64), at: i64, counter: bool) -> f64 {
    let from = if counter && b.1 < a.1 { 0.0 } else { a.1 };
    from + (b.1 - from) * (at - a.0) as f64 / (b.0 - a.0) as f64
}

fn value(name: &str, points: &[f64], range_seconds: f64) -> f64 {
    let pairs = || points.windows(2).map(|w| (w[0], w[1]));
    let change = || points.last().copied().unwrap_or(f64::NAN) - points.first().copied().unwrap_or(f64::NAN);
    let increase = || change() + pairs().filter(|(a, b)| b < a).map(|(a, _)| a).sum::<f64>();
    match name {
        "rate" => increase() / range_seconds,
        "increase" => increase(),
        "delta" => change(),
        "changes" => pairs().filter(|(a, b)| a != b && !(a.is_nan() && b.is_nan())).count() as f64,
        "resets" => pairs().filter(|(a, b)| b < a).count() as f64,
        _ => ABSENT,
    }
}
