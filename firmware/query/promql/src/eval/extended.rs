//! `anchored` and `smoothed` ranges: they use the samples around the range's edges instead of extrapolating.

use super::evaluator::{Evaluator, Outcome, Sink};
use super::native::{self, Edges, Element, Kind, Noted};
use super::rollups::Touched;
use super::rows::{ABSENT, Grid, Row};
use super::select::drop_stale;
use super::window::{RangeSeries, Window};
use crate::syntax::{Extension, Selector, Span};
use bramble_signal::{NativeHistogram, ResetHint, SeriesSamples, histogram_at, is_histogram_marker};

impl Evaluator<'_> {
    /// `metric smoothed`: at each step the value on the line between the samples around it.
    pub(crate) fn smoothed_rows(&self, selector: &Selector, span: Span, grid: Grid, sink: Sink<'_>) -> Outcome<()> {
        let at = self.shifted(grid, selector.offset.as_ref(), selector.at)?;
        let (before, behind) = (self.lookback_ms, self.lookback_ms);
        let from = at.start_ms.saturating_sub(before).saturating_add(1);
        self.scan(&selector.matchers, from, at.last_ms().saturating_add(behind), &mut |series| {
            drop_stale(series);
            let mut row = Row::floats(series.labels.clone(), false, vec![ABSENT; grid.count]);
            let mut noted: Vec<Noted> = Vec::new();
            for i in 0..grid.count {
                let (t, series) = (at.at(i), &*series);
                let first = series.timestamps_ms.partition_point(|s| *s <= t.saturating_sub(before));
                let after = series.timestamps_ms.partition_point(|s| *s <= t.saturating_add(behind));
                let value = match smoothed_value(series, first..after, t, &mut noted) {
                    None => continue,
                    Some(Element::Float(value)) => value,
                    Some(Element::Histogram(histogram)) => row.keep(histogram),
                };
                if let Some(slot) = row.values.get_mut(i) {
                    *slot = value;
                }
            }
            noted.dedup();
            noted.into_iter().for_each(|note| self.note(note, row.name(), span));
            if row.is_empty() { Ok(()) } else { sink(row) }
        })
    }
}

/// The value of a series on the line between the samples around `t`, from those within reach.
fn smoothed_value(
    series: &SeriesSamples,
    reach: std::ops::Range<usize>,
    t: i64,
    noted: &mut Vec<Noted>,
) -> Option<Element> {
    let (stamps, values) = (series.timestamps_ms.get(reach.clone())?, series.values.get(reach)?);
    let histograms = values.iter().filter(|v| is_histogram_marker(**v)).count();
    if histograms > 0 && histograms < values.len() {
        noted.push(Noted::MixedRange);
        return None;
    }
    let next = stamps.partition_point(|s| *s <= t);
    let point = |i: usize| Some((*stamps.get(i)?, *values.get(i)?));
    let (a, b) = (point(next.checked_sub(1)?)?, point(next));
    let histogram = |value: f64| series.histogram(value);
    match (histogram(a.1), b.map(|b| (b.0, histogram(b.1)))) {
        (None, _) => Some(Element::Float(b.map_or(a.1, |b| interpolate(a, b, t, false)))),
        (Some(first), Some((_, Some(second)))) if first.has_custom_bounds() != second.has_custom_bounds() => {
            noted.push(Noted::MixedSchemas);
            None
        }
        (Some(first), Some((b_ms, Some(second)))) => {
            let counter = second.reset_hint != ResetHint::Gauge;
            let notes = &mut |note| noted.push(note);
            native::interpolate((a.0, first), (b_ms, second), t, counter, notes).map(Element::Histogram)
        }
        (Some(first), _) => Some(Element::Histogram(first.clone())),
    }
}

/// Fills a row; says whether there is anything.
pub(crate) fn fill_row(
    name: &str,
    extension: Extension,
    series: &RangeSeries<'_>,
    row: &mut Row,
    notes: &mut dyn FnMut(Noted),
) -> bool {
    let mut any = false;
    let mut points = Vec::new();
    for i in 0..series.ends.count {
        let end = series.ends.at(i);
        let start = end.saturating_sub(series.range_ms);
        let element = match series.histograms.is_empty() {
            false => native_change(name, extension, series, start, end, notes),
            true => {
                let found = match extension {
                    Extension::Anchored => anchored(series, start, end, &mut points),
                    Extension::Smoothed => smoothed(series, start, end, is_counter(name), &mut points),
                };
                found.then(|| Element::Float(value(name, &points, series.range_ms as f64 / 1000.0)))
            }
        };
        let value = match element {
            None => continue,
            Some(Element::Float(value)) => value,
            Some(Element::Histogram(histogram)) => row.keep(histogram),
        };
        if let Some(slot) = row.values.get_mut(i) {
            *slot = value;
            any = true;
        }
    }
    any
}

/// As [`fill_row`] at one step, of a series that holds histograms.
fn native_change(
    name: &str,
    extension: Extension,
    series: &RangeSeries<'_>,
    start: i64,
    end: i64,
    notes: &mut dyn FnMut(Noted),
) -> Option<Element> {
    let smoothed = extension == Extension::Smoothed;
    let behind = if smoothed { end.saturating_add(series.reach_ms) } else { end };
    let first = series.timestamps_ms.partition_point(|t| *t <= start.saturating_sub(series.reach_ms));
    let after = series.timestamps_ms.partition_point(|t| *t <= behind);
    let (stamps, values) = (series.timestamps_ms.get(first..after)?, series.values.get(first..after)?);
    let at = |(t, v): (&i64, &f64)| Some((*t, histogram_at(*v, series.histograms)?));
    let histograms: Vec<(i64, &NativeHistogram)> = stamps.iter().zip(values).filter_map(at).collect();
    if !matches!(name, "rate" | "increase" | "delta") {
        let first = stamps.partition_point(|t| *t <= start).saturating_sub(1);
        let (timestamps_ms, values) = (stamps.get(first..)?, values.get(first..)?);
        timestamps_ms.last().filter(|t| **t > start)?;
        let histograms = series.histograms;
        let w = Window {
            timestamps_ms,
            values,
            histograms,
            starts: &[],
            touched: Touched::default(),
            start_ms: start,
            end_ms: end,
        };
        return native::window(name, &w, true, notes, &mut |_| None);
    }
    if !histograms.is_empty() && histograms.len() < values.len() {
        notes(Noted::MixedRange);
        return None;
    }
    let seconds = series.range_ms as f64 / 1000.0;
    if histograms.is_empty() {
        let mut points = Vec::new();
        let found = match extension {
            Extension::Anchored => anchored(series, start, end, &mut points),
            Extension::Smoothed => self::smoothed(series, start, end, is_counter(name), &mut points),
        };
        return found.then(|| Element::Float(value(name, &points, seconds)));
    }
    let kind = Kind { counter: is_counter(name), per_second: name == "rate" };
    let edges = Edges { start_ms: start, end_ms: end, smoothed };
    native::extended_window(&histograms, edges, kind, seconds, notes).map(Element::Histogram)
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
