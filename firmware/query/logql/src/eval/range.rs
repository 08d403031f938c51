//! Functions over ranges of lines: rows in, series on the grid out.
//!
//! Counts and sizes keep, per series, only where on the grid lines enter and leave the window; values keep their
//! samples.

use super::fields::{Base, Fields};
use super::label_test::{LabelFilter, parse_float};
use super::over_time;
use super::pipeline::{Pipeline, Row};
use super::rows::walk;
use super::sample::{Grid, GridSeries};
use super::{LabelSet, QueryError};
use crate::syntax::{Conversion, Grouping, RangeExpr, RangeOp, Unwrap, parse_bytes, parse_duration};
use bramble_signal::{LogEntry, MatchOp};
use bramble_storage::{Direction, LogSelect, LogSource, QueryContext};
use foldhash::fast::RandomState;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::ControlFlow;

/// What a series keeps.
#[derive(Default)]
struct Kept {
    labels: LabelSet,
    /// (step, amount) that enters the window, ascending by step.
    enter: Vec<(u32, u64)>,
    /// (step, amount) that has left it.
    leave: Vec<(u32, u64)>,
    /// (timestamp, value), ascending.
    samples: Vec<(i64, f64)>,
}

/// Adds to the last place or behind it; rows come in order of time, so this is where nearly all belong. Bytes grown.
fn add(list: &mut Vec<(u32, u64)>, step: u32, amount: u64) -> usize {
    match list.last_mut() {
        Some(last) if last.0 == step => last.1 += amount,
        Some(last) if last.0 > step => {
            let at = list.partition_point(|(s, _)| *s < step);
            match list.get_mut(at) {
                Some(place) if place.0 == step => place.1 += amount,
                _ => list.insert(at, (step, amount)),
            }
            return size_of::<(u32, u64)>();
        }
        _ => {
            list.push((step, amount));
            return size_of::<(u32, u64)>();
        }
    }
    0
}

struct Gather<'a> {
    expr: &'a RangeExpr,
    grouping: Option<Grouping>,
    grid: &'a Grid,
    context: &'a QueryContext,
    tests: Vec<LabelFilter>,
    index: HashMap<Box<[u8]>, usize, RandomState>,
    series: Vec<Kept>,
    /// Series of the streams of this batch, for rows that have no other labels.
    of_stream: Vec<Option<usize>>,
    key: Vec<u8>,
}

impl Gather<'_> {
    fn series_of(&mut self, stream: usize, fields: &mut Fields) -> Result<usize, QueryError> {
        let base = fields.is_base();
        if base && let Some(Some(known)) = self.of_stream.get(stream) {
            return Ok(*known);
        }
        let mut key = std::mem::take(&mut self.key);
        fields.group_key(self.grouping.as_ref(), &mut key);
        let found = match self.index.get(key.as_slice()) {
            Some(at) => *at,
            None => {
                let labels = fields.to_group(self.grouping.as_ref());
                self.context.reserve(labels.memory_bytes() + 2 * key.len() + size_of::<Kept>())?;
                self.index.insert(key.as_slice().into(), self.series.len());
                self.series.push(Kept { labels, ..Kept::default() });
                self.series.len() - 1
            }
        };
        self.key = key;
        if base && let Some(place) = self.of_stream.get_mut(stream) {
            *place = Some(found);
        }
        Ok(found)
    }

    /// The value of the row, `None` when it has none.
    fn value(&self, unwrap: &Unwrap, fields: &mut Fields) -> Option<f64> {
        let text = fields.get(&unwrap.label).filter(|v| !v.is_empty())?.to_owned();
        let number = match unwrap.conversion {
            Conversion::None => parse_float(&text),
            Conversion::Duration(_) => parse_duration(&text, false).map(|ns| ns as f64 / 1e9),
            Conversion::Bytes => parse_bytes(&text).map(|n| n as f64),
        };
        let number = number.unwrap_or_else(|e| {
            fields.fail("SampleExtractionErr", &e);
            0.0
        });
        let passes = self.tests.iter().all(|t| t.accepts(fields));
        // The tests after `unwrap` still see the label; the series does not have it.
        if fields.error().is_none() {
            fields.remove(&unwrap.label);
        }
        passes.then_some(number)
    }

    fn row(&mut self, stream: usize, row: &Row<'_>, fields: &mut Fields) -> Result<(), QueryError> {
        let timestamp_ns = row.timestamp_ns.saturating_add(self.expr.offset_ns);
        let Some((first, last)) = self.grid.steps(timestamp_ns, self.expr.range_ns) else { return Ok(()) };
        let value = match &self.expr.unwrap {
            None => None,
            Some(unwrap) => match self.value(unwrap, fields) {
                None => return Ok(()),
                some => some,
            },
        };
        if let Some(kind) = fields.error() {
            return Err(pipeline_error(kind, fields));
        }
        let bytes = matches!(self.expr.op, RangeOp::Bytes | RangeOp::BytesRate);
        let amount = if bytes { row.line.len() as u64 } else { 1 };
        let at = self.series_of(stream, fields)?;
        let Some(kept) = self.series.get_mut(at) else { return Ok(()) };
        let grown = match value {
            Some(value) if self.expr.op != RangeOp::Absent => {
                kept.samples.push((timestamp_ns, value));
                size_of::<(i64, f64)>()
            }
            _ => add(&mut kept.enter, first, amount) + add(&mut kept.leave, last + 1, amount),
        };
        if grown > 0 {
            self.context.reserve(grown)?;
        }
        Ok(())
    }
}

fn pipeline_error(kind: &str, fields: &Fields) -> QueryError {
    QueryError::Query(format!(
        "pipeline error: '{kind}' for series: '{}'.\nUse a label filter to intentionally skip this error. (e.g | \
         __error__!=\"{kind}\").\nTo skip all potential errors you can match empty errors.(e.g __error__=\"\")\nThe \
         label filter can also be specified after unwrap. (e.g | unwrap latency | __error__=\"\" )\n",
        fields.to_set(None)
    ))
}

/// Evaluates the function, with series grouped as `grouping` says rather than as the expression itself does.
pub(crate) fn range(
    source: &dyn LogSource,
    expr: &RangeExpr,
    grouping: Option<&Grouping>,
    grid: &Grid,
    context: &QueryContext,
) -> Result<Vec<GridSeries>, QueryError> {
    let pipeline = Pipeline::new(&expr.log)?;
    let tests = expr.unwrap.iter().flat_map(|u| &u.tests).map(LabelFilter::new).collect::<Result<_, _>>();
    let last = grid.time(grid.count.saturating_sub(1) as u32);
    let select = LogSelect {
        matchers: &expr.log.matchers,
        start_ns: grid.start_ns.saturating_sub(expr.range_ns).saturating_sub(expr.offset_ns).saturating_add(1),
        end_ns: last.saturating_sub(expr.offset_ns).saturating_add(1),
        lines: &pipeline.predicates,
        direction: Direction::Forward,
        ..LogSelect::default()
    };
    let mut gather = Gather {
        expr,
        grouping: grouping.cloned(),
        grid,
        context,
        tests: tests.map_err(QueryError::Query)?,
        index: HashMap::default(),
        series: Vec::new(),
        of_stream: Vec::new(),
        key: Vec::new(),
    };
    let mut fields = Fields::default();
    let mut cursor = source.select(&select, context)?;
    walk(&mut *cursor, context, |fresh, stream, base: &Base, entry: LogEntry<'_>| {
        if let Some(streams) = fresh {
            gather.of_stream.clear();
            gather.of_stream.resize(streams, None);
        }
        fields.start(base, entry.metadata);
        let mut row = Row { timestamp_ns: entry.timestamp_ns, line: Cow::Borrowed(entry.line) };
        if pipeline.is_empty() || pipeline.run(&mut row, &mut fields) {
            gather.row(stream, &row, &mut fields)?;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    drop(cursor);
    finish(gather)
}

fn finish(gather: Gather<'_>) -> Result<Vec<GridSeries>, QueryError> {
    let (expr, grid, context) = (gather.expr, gather.grid, gather.context);
    if expr.op == RangeOp::Absent {
        return Ok(vec![absent(expr, &gather.series, grid)]);
    }
    let seconds = expr.range_ns as f64 / 1e9;
    let per = match expr.op {
        RangeOp::Rate | RangeOp::BytesRate => seconds,
        _ => 1.0,
    };
    let mut out = Vec::with_capacity(gather.series.len());
    for kept in gather.series {
        context.check()?;
        let points = if expr.unwrap.is_some() {
            over_time::points(expr, kept.samples, grid)
        } else {
            amounts(&kept, grid.count as u32).map(|(step, amount)| (step, amount as f64 / per)).collect()
        };
        let series = GridSeries { labels: kept.labels, points };
        context.reserve(series.memory_bytes())?;
        out.push(series);
    }
    Ok(out)
}

/// (step, amount within the window) for the steps whose window has any.
fn amounts(kept: &Kept, count: u32) -> impl Iterator<Item = (u32, u64)> {
    let (mut enter, mut leave) = (kept.enter.iter().peekable(), kept.leave.iter().peekable());
    let (mut entered, mut left) = (0u64, 0u64);
    (0..count).filter_map(move |step| {
        while let Some((_, amount)) = enter.next_if(|(s, _)| *s <= step) {
            entered += amount;
        }
        while let Some((_, amount)) = leave.next_if(|(s, _)| *s <= step) {
            left += amount;
        }
        (entered > left).then_some((step, entered - left))
    })
}

/// 1 where no series has lines; labelled by the selector's equalities.
fn absent(expr: &RangeExpr, series: &[Kept], grid: &Grid) -> GridSeries {
    let mut present = vec![false; grid.count];
    for kept in series {
        for (step, _) in amounts(kept, grid.count as u32) {
            if let Some(place) = present.get_mut(step as usize) {
                *place = true;
            }
        }
    }
    let equal = expr.log.matchers.iter().filter(|m| m.op == MatchOp::Equal);
    let mut labels = LabelSet::default();
    for m in equal {
        let others = expr.log.matchers.iter().filter(|o| o.name == m.name).count();
        if others == 1 {
            labels.set(&m.name, &m.value);
        }
    }
    let points = present.iter().enumerate().filter(|(_, p)| !**p).map(|(step, _)| (step as u32, 1.0)).collect();
    GridSeries { labels, points }
}
