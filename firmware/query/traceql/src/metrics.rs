//! Measures over time: spans that a query accepts, counted or aggregated in steps.
//!
//! The sample at time `t` covers span starts after `t - step` up to and including `t`; times are multiples of the step.
//! Durations are measured in seconds. Memory: one accumulator for each series and step, counted against the query.

use crate::eval::compare;
use crate::eval::field::value_of;
use crate::eval::value::Value;
use crate::eval::view::{At, TraceView};
use crate::shown::named;
use crate::syntax::Query;
use crate::syntax::ast::{Field, Measure, Metrics, SeriesStage};
use bramble_storage::{QueryContext, ReadError, TraceSource};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Most steps of one answer.
const STEPS_MAX: u64 = 11_000;

/// Most series before `topk` and the like.
const SERIES_MAX: usize = 10_000;

/// When to measure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MetricsOptions {
    /// Nanoseconds.
    pub start_ns: u64,
    /// Nanoseconds; after the start.
    pub end_ns: u64,
    /// Nanoseconds between samples; `None` for one sample over the whole range.
    pub step_ns: Option<u64>,
}

/// Values under one identity.
#[derive(Clone, PartialEq, Debug)]
pub struct MetricSeries {
    /// Names and values.
    pub labels: Vec<(String, Value<'static>)>,
    /// Milliseconds since the epoch and value, ascending.
    pub samples: Vec<(i64, f64)>,
}

/// Times of an answer.
struct Grid {
    first_ns: u64,
    step_ns: u64,
    count: usize,
}

impl Grid {
    fn of(options: &MetricsOptions) -> Result<Self, ReadError> {
        let range_ns = options.end_ns.saturating_sub(options.start_ns).max(1);
        let Some(step_ns) = options.step_ns else {
            return Ok(Grid { first_ns: options.end_ns, step_ns: range_ns, count: 1 });
        };
        let step_ns = step_ns.max(1);
        let (first, last) = (options.start_ns / step_ns, options.end_ns.div_ceil(step_ns));
        let count = last - first + 1;
        if count > STEPS_MAX {
            return Err(ReadError::Limit(format!("more than {STEPS_MAX} steps: use a longer step or a shorter range")));
        }
        Ok(Grid { first_ns: first * step_ns, step_ns, count: count as usize })
    }

    /// First and last span start that count, inclusive.
    fn range_ns(&self, options: &MetricsOptions) -> (u64, u64) {
        match options.step_ns {
            Some(_) => (self.first_ns, self.first_ns + (self.count as u64 - 1) * self.step_ns),
            None => (options.start_ns, options.end_ns),
        }
    }

    fn place(&self, time_ns: u64) -> Option<usize> {
        let place = time_ns.saturating_sub(self.first_ns).div_ceil(self.step_ns) as usize;
        (place < self.count).then_some(place)
    }

    fn time_ms(&self, place: usize) -> i64 {
        ((self.first_ns + place as u64 * self.step_ns) / 1_000_000) as i64
    }
}

/// What one series gathers in one step.
#[derive(Clone, Default)]
struct Cell {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    /// Number of values by the exponent of the power of two that bounds them.
    #[expect(clippy::box_collection, reason = "cells are many, and for most measures have none")]
    buckets: Option<Box<BTreeMap<i32, u64>>>,
}

struct Group {
    labels: Vec<(String, Value<'static>)>,
    cells: Vec<Cell>,
}

/// The series of a measuring query, by labels ascending. A query that does not measure has none.
///
/// # Errors
/// [`ReadError`] of the store, or [`ReadError::Limit`] when there would be too many steps or series.
pub fn measure(
    query: &Query,
    source: &dyn TraceSource,
    options: &MetricsOptions,
    context: &QueryContext,
) -> Result<Vec<MetricSeries>, ReadError> {
    let Some(metrics) = &query.metrics else { return Ok(Vec::new()) };
    let grid = Grid::of(options)?;
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    // Whole steps: the first and last sample cover what lies beyond the range, so that refreshing moves no value.
    let range_ns = grid.range_ns(options);
    let range = range_ns.0..=range_ns.1;
    let read: Vec<&Field> = metrics.by.iter().chain(metrics.measure.field()).collect();
    let plan = crate::plan::of(&query.stages, &read);
    crate::scan::accepted(&query.stages, &plan, source, range_ns, context, |view, at| {
        let Some(span) = view.spans.get(at).filter(|s| range.contains(&s.start_ns)) else { return Ok(true) };
        if let Some(place) = grid.place(span.start_ns) {
            enter(metrics, view, at, place, grid.count, &mut groups, context)?;
        }
        Ok(true)
    })?;
    let counts = matches!(metrics.measure, Measure::Rate | Measure::Count);
    if groups.is_empty() && counts && metrics.by.is_empty() {
        // No spans is a count of zero.
        groups.insert(String::new(), Group { labels: Vec::new(), cells: vec![Cell::default(); grid.count] });
    }
    let mut series: Vec<MetricSeries> =
        groups.into_values().flat_map(|group| finished(&metrics.measure, &group, &grid)).collect();
    metrics.stages.iter().for_each(|stage| later(stage, &mut series));
    Ok(series)
}

fn enter(
    metrics: &Metrics,
    view: &TraceView<'_>,
    at: At,
    place: usize,
    count: usize,
    groups: &mut BTreeMap<String, Group>,
    context: &QueryContext,
) -> Result<(), ReadError> {
    let value = match metrics.measure.field().map(|field| value_of(view, at, field)) {
        None => 0.0,
        Some(Value::Duration(ns)) => ns as f64 / 1e9,
        Some(other) => match other.number() {
            Some(number) => number,
            None => return Ok(()),
        },
    };
    let labels: Vec<(String, Value<'_>)> =
        metrics.by.iter().map(|field| (field.to_string(), named(field, value_of(view, at, field)))).collect();
    let key: String = labels.iter().map(|(_, v)| format!("{:?},", v.key())).collect();
    if !groups.contains_key(&key) {
        if groups.len() >= SERIES_MAX {
            return Err(ReadError::Limit(format!(
                "more than {SERIES_MAX} series: group by something with fewer values"
            )));
        }
        context.reserve(256 + 2 * key.len() + count * size_of::<Cell>())?;
        let labels = labels.into_iter().map(|(k, v)| (k, v.into_owned())).collect();
        groups.insert(key.clone(), Group { labels, cells: vec![Cell::default(); count] });
    }
    let cell = groups.get_mut(&key).and_then(|g| g.cells.get_mut(place));
    let Some(cell) = cell else { return Ok(()) };
    (cell.min, cell.max) = if cell.count == 0 { (value, value) } else { (cell.min.min(value), cell.max.max(value)) };
    cell.count += 1;
    cell.sum += value;
    if matches!(metrics.measure, Measure::Quantile(..) | Measure::Histogram(_)) && value > 0.0 {
        let scaled = if is_duration(&metrics.measure) { value * 1e9 } else { value };
        let buckets = cell.buckets.get_or_insert_default();
        let before = buckets.len();
        // At least two, so that there is a lower bound.
        *buckets.entry((scaled.log2().ceil() as i32).max(1)).or_insert(0) += 1;
        if buckets.len() > before {
            context.reserve(64)?;
        }
    }
    Ok(())
}

fn is_duration(measure: &Measure) -> bool {
    use crate::syntax::ast::Intrinsic::{Duration, EventTimeSinceStart, TraceDuration};
    matches!(measure.field(), Some(Field::Intrinsic(Duration | TraceDuration | EventTimeSinceStart)))
}

fn bound(measure: &Measure, exponent: i32) -> f64 {
    let value = 2f64.powi(exponent);
    if is_duration(measure) { value / 1e9 } else { value }
}

/// The series of a group: one, or one for each quantile or bucket.
fn finished(measure: &Measure, group: &Group, grid: &Grid) -> Vec<MetricSeries> {
    let series = |extra: Option<(String, Value<'static>)>, sample: &dyn Fn(&Cell) -> Option<f64>| {
        let mut labels = group.labels.clone();
        if matches!(measure, Measure::Histogram(_)) {
            labels.retain(|(_, value)| *value != Value::Nil);
        }
        labels.extend(extra);
        if labels.is_empty() {
            labels.push(("__name__".to_owned(), Value::Text(measure.name().into())));
        }
        let samples =
            group.cells.iter().enumerate().filter_map(|(place, cell)| Some((grid.time_ms(place), sample(cell)?)));
        MetricSeries { labels, samples: samples.collect() }
    };
    let known = |cell: &Cell, value: f64| (cell.count > 0).then_some(value);
    match measure {
        Measure::Compare(_) => Vec::new(),
        Measure::Rate => vec![series(None, &|c| Some(c.count as f64 / (grid.step_ns as f64 / 1e9)))],
        Measure::Count => vec![series(None, &|c| Some(c.count as f64))],
        Measure::Min(_) => vec![series(None, &|c| known(c, c.min))],
        Measure::Max(_) => vec![series(None, &|c| known(c, c.max))],
        Measure::Sum(_) => vec![series(None, &|c| known(c, c.sum))],
        Measure::Avg(_) => vec![series(None, &|c| known(c, c.sum / c.count as f64))],
        Measure::Quantile(_, quantiles) => {
            let of = |q: &f64| {
                series(Some(("p".to_owned(), Value::Float(*q))), &|c| Some(quantile(measure, c, *q).unwrap_or(0.0)))
            };
            quantiles.iter().map(of).collect()
        }
        Measure::Histogram(_) => {
            let exponents: std::collections::BTreeSet<i32> =
                group.cells.iter().filter_map(|c| c.buckets.as_ref()).flat_map(|b| b.keys().copied()).collect();
            let of = |exponent: &i32| {
                let label = ("__bucket".to_owned(), Value::Float(bound(measure, *exponent)));
                series(Some(label), &|c| {
                    Some(c.buckets.as_ref().and_then(|b| b.get(exponent)).copied().unwrap_or(0) as f64)
                })
            };
            exponents.iter().map(of).collect()
        }
    }
}

/// The value below which a share `q` of the values lies, exponentially interpolated within its bucket.
fn quantile(measure: &Measure, cell: &Cell, q: f64) -> Option<f64> {
    let buckets = cell.buckets.as_ref()?;
    let total: u64 = buckets.values().sum();
    // A whole number of values lies below.
    let wanted = (q * total as f64).ceil();
    let mut below = 0.0;
    for (exponent, count) in buckets.iter() {
        let within = *count as f64;
        if below + within >= wanted {
            let share = ((wanted - below) / within).clamp(0.0, 1.0);
            return Some(bound(measure, exponent - 1) * 2f64.powf(share));
        }
        below += within;
    }
    None
}

fn later(stage: &SeriesStage, series: &mut Vec<MetricSeries>) {
    match stage {
        SeriesStage::Filter(op, limit) => {
            for s in series.iter_mut() {
                s.samples.retain(|(_, v)| compare(*op, &Value::Float(*v), &Value::Float(*limit)));
            }
        }
        SeriesStage::Top(limit) => ranked(series, *limit, |a, b| b.total_cmp(&a), |a, b| a.cmp(&b)),
        SeriesStage::Bottom(limit) => ranked(series, *limit, |a, b| a.total_cmp(&b), |a, b| b.cmp(&a)),
    }
    series.retain(|s| !s.samples.is_empty());
}

/// Keeps the first `limit` values at each time; of equal ones those whose labels come first, as `ties` orders them.
fn ranked(
    series: &mut [MetricSeries],
    limit: usize,
    order: impl Fn(f64, f64) -> Ordering,
    ties: impl Fn(usize, usize) -> Ordering,
) {
    series.sort_by_cached_key(|s| s.labels.iter().map(|(_, v)| text_of(v)).collect::<Vec<_>>());
    let mut at_time: BTreeMap<i64, Vec<(f64, usize)>> = BTreeMap::new();
    for (number, s) in series.iter().enumerate() {
        for (time, value) in &s.samples {
            at_time.entry(*time).or_default().push((*value, number));
        }
    }
    for values in at_time.values_mut() {
        values.sort_by(|a, b| order(a.0, b.0).then(ties(a.1, b.1)));
        values.truncate(limit);
    }
    for (number, s) in series.iter_mut().enumerate() {
        s.samples.retain(|(time, _)| at_time.get(time).is_some_and(|kept| kept.iter().any(|(_, n)| *n == number)));
    }
}

/// A value as ranking prints it: what is missing sorts as the word that shows it.
fn text_of(value: &Value<'_>) -> String {
    match value {
        Value::Text(text) => text.clone().into_owned(),
        Value::Nil => "nil".to_owned(),
        other => other.key(),
    }
}
