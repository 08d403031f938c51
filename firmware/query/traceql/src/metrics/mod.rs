//! Measures over time: spans that a query accepts, counted or aggregated in steps.
//!
//! The sample at time `t` covers span starts after `t - step` up to and including `t`; times are multiples of the step.
//! Durations are measured in seconds. Memory: one cell for each series and step, counted against the query; none for a
//! span.

mod cells;
mod compare;
mod exemplars;
mod grid;
mod groups;
mod stages;

use crate::eval::field::value_of;
use crate::eval::value::Value;
use crate::eval::view::{At, TraceView};
use crate::plan;
use crate::scan::{self, Partial};
use crate::syntax::Query;
use crate::syntax::ast::{Field, Measure, Metrics};
use bramble_storage::{QueryContext, ReadError, TraceSource};
use cells::Column;
pub(crate) use compare::WELL_KNOWN;
use exemplars::Exemplars;
use grid::Grid;
use groups::Groups;

/// Spans counted between two calls of `on_progress`.
const PROGRESS_SPANS: u64 = 1 << 16;

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
    /// Some of its spans, if they were asked for.
    pub exemplars: Vec<MetricExemplar>,
}

/// A span that a series counts.
#[derive(Clone, PartialEq, Debug)]
pub struct MetricExemplar {
    /// Milliseconds since the epoch.
    pub time_ms: i64,
    /// What is measured of it, or the sample's value where spans are only counted.
    pub value: f64,
    /// `trace:id` and `span:id`, in hex.
    pub labels: Vec<(String, Value<'static>)>,
}

/// What was measured.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Measured {
    /// In no particular order.
    pub series: Vec<MetricSeries>,
    /// Why spans are missing in it; `None` when all of the range was read.
    pub partial: Option<Partial>,
}

/// Hears of progress: gets a function that makes the series so far, and answers whether to go on.
pub type OnProgress<'a> = dyn FnMut(&dyn Fn() -> Vec<MetricSeries>) -> bool + 'a;

/// The series of a measuring query; a query that does not measure has none. `exemplars` is how many the asker wants in
/// all, unless the query has a hint of its own; there are at most 100, and none for one sample over the whole range.
/// `on_progress` is called now and then with a function that makes the series so far, and ends the reading by answering
/// `false`.
///
/// The deadline of `context` ends the reading, too: the answer is then marked as partial.
///
/// # Errors
/// [`ReadError`] of the store, but for its deadline; [`ReadError::Limit`] when there would be too many steps or series.
pub fn measure_with(
    query: &Query,
    source: &dyn TraceSource,
    options: &MetricsOptions,
    exemplars: Option<usize>,
    context: &QueryContext,
    on_progress: &mut OnProgress<'_>,
) -> Result<Measured, ReadError> {
    let Some(metrics) = &query.metrics else { return Ok(Measured::default()) };
    let grid = Grid::of(options)?;
    if let Measure::Compare(compare) = &metrics.measure {
        let (mut series, partial) = compare::measure(query, compare, source, &grid, context)?;
        metrics.stages.iter().for_each(|stage| stages::apply(stage, &mut series));
        return Ok(Measured { series, partial });
    }
    let wanted = query.exemplars().or(exemplars).filter(|_| options.step_ns.is_some()).unwrap_or(0);
    let read: Vec<&Field> = metrics.by.iter().chain(metrics.measure.field()).collect();
    let plan = plan::of(&query.stages, &read);
    let mut measuring = Measuring {
        metrics,
        grid,
        scale: cells::scale_of(&metrics.measure),
        column_bytes: Column::bytes(&metrics.measure, grid.count),
        groups: Groups::of(&metrics.by),
        columns: Vec::new(),
        exemplars: Exemplars::of(wanted, &grid),
    };
    let mut spans = 0u64;
    let mut stopped = false;
    let outcome = scan::accepted(&query.stages, &plan, source, grid.range_ns, context, |view, at| {
        measuring.enter(view, at, context)?;
        spans += 1;
        if spans.is_multiple_of(PROGRESS_SPANS) {
            stopped = !on_progress(&|| measuring.series());
        }
        Ok(!stopped)
    });
    let partial = Partial::of(outcome, !measuring.columns.is_empty())?.or(stopped.then_some(Partial::Stopped));
    Ok(Measured { series: measuring.series(), partial })
}

/// As [`measure_with`], all at once and without exemplars.
///
/// # Errors
/// As [`measure_with`], and [`ReadError`] for what would make the answer partial.
pub fn measure(
    query: &Query,
    source: &dyn TraceSource,
    options: &MetricsOptions,
    context: &QueryContext,
) -> Result<Vec<MetricSeries>, ReadError> {
    let measured = measure_with(query, source, options, None, context, &mut |_| true)?;
    match measured.partial {
        None => Ok(measured.series),
        Some(Partial::Time) => Err(ReadError::Timeout),
        Some(partial) => Err(ReadError::Limit(partial.to_string())),
    }
}

struct Measuring<'q> {
    metrics: &'q Metrics,
    grid: Grid,
    scale: f64,
    column_bytes: usize,
    groups: Groups,
    /// By number of the group.
    columns: Vec<Column>,
    exemplars: Exemplars,
}

impl Measuring<'_> {
    fn enter(&mut self, view: &TraceView<'_>, at: At, context: &QueryContext) -> Result<(), ReadError> {
        let Some(span) = view.spans.get(at) else { return Ok(()) };
        let Some(place) = self.grid.place(span.start_ns) else { return Ok(()) };
        let value = match self.metrics.measure.field().map(|field| value_of(view, at, field)) {
            None => 0.0,
            Some(Value::Duration(ns)) => ns as f64 / 1e9,
            Some(other) => match other.number() {
                Some(number) => number,
                None => return Ok(()),
            },
        };
        let group = self.groups.place(view, at, self.column_bytes, context)?;
        while self.columns.len() <= group {
            self.columns.push(Column::of(&self.metrics.measure, self.grid.count));
        }
        let Some(column) = self.columns.get_mut(group) else { return Ok(()) };
        column.add(place, value, self.scale, context)?;
        self.exemplars.offer(group, place, span, value, context)
    }

    fn series(&self) -> Vec<MetricSeries> {
        let measure = &self.metrics.measure;
        let exemplars = self.exemplars.kept(self.columns.len());
        let groups = self.groups.labels().iter().zip(&self.columns).zip(&exemplars);
        let mut series: Vec<MetricSeries> = groups
            .flat_map(|((labels, column), exemplars)| cells::finished(measure, labels, column, &self.grid, exemplars))
            .collect();
        if series.is_empty() && matches!(measure, Measure::Rate | Measure::Count) && self.metrics.by.is_empty() {
            // No spans is a count of zero.
            let column = Column::of(measure, self.grid.count);
            series = cells::finished(measure, &Vec::new(), &column, &self.grid, &[]);
        }
        self.metrics.stages.iter().for_each(|stage| stages::apply(stage, &mut series));
        series
    }
}
