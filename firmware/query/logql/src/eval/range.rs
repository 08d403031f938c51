//! Functions over ranges of lines: rows in, series on the grid out.

use super::fields::{Base, ERROR, Fields, PRESERVE_ERROR};
use super::label_test::{LabelFilter, parse_float};
use super::over_time::Values;
use super::pipeline::{Pipeline, Row, Scratch};
use super::rows::walk;
use super::sample::{Grid, GridSeries};
use super::window::{Amounts, Locator};
use super::{LabelSet, QueryError, tally};
use crate::syntax::{Conversion, Grouping, RangeExpr, RangeOp, Unwrap, parse_bytes, parse_duration};
use bramble_signal::{LabelsRef, LogEntry, MatchOp};
use bramble_storage::{Direction, LogSelect, LogSource, QueryContext};
use foldhash::fast::RandomState;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// What a series keeps.
enum Kept {
    /// Lines.
    Counts(Amounts),
    /// Lines, and their bytes: a line may be empty.
    Sizes(Amounts, Amounts),
    /// What was unwrapped.
    Values(Values),
}

/// What is asked of the rows.
pub(super) struct Ask<'a> {
    pub(super) expr: &'a RangeExpr,
    pub(super) grouping: Option<&'a Grouping>,
    pub(super) grid: &'a Grid,
    pub(super) context: &'a QueryContext,
    pub(super) pipeline: &'a Pipeline,
    /// Tests after `unwrap`.
    tests: Vec<LabelFilter>,
}

impl Ask<'_> {
    pub(super) fn select(&self) -> LogSelect<'_> {
        let (expr, grid) = (self.expr, self.grid);
        let last = grid.time(grid.count.saturating_sub(1) as u32);
        LogSelect {
            matchers: &expr.log.matchers,
            start_ns: grid.start_ns.saturating_sub(expr.range_ns).saturating_sub(expr.offset_ns).saturating_add(1),
            end_ns: last.saturating_sub(expr.offset_ns).saturating_add(1),
            lines: &self.pipeline.predicates,
            direction: Direction::Forward,
            ..LogSelect::default()
        }
    }

    /// Whether sizes are summed, rather than lines counted.
    pub(super) fn of_bytes(&self) -> bool {
        matches!(self.expr.op, RangeOp::Bytes | RangeOp::BytesRate)
    }

    /// Scratch that makes only labels that matter.
    pub(super) fn fields(&self) -> Fields {
        let by = self.grouping.filter(|g| !g.without && !self.pipeline.keeps_errors());
        let Some(group) = by else { return Fields::default() };
        let mut more: Vec<&str> = group.names.iter().map(String::as_str).collect();
        more.extend(self.expr.unwrap.iter().map(|u| u.label.as_str()));
        self.tests.iter().for_each(|test| test.names(&mut more));
        Fields::only(self.pipeline.wanted(more).map(Arc::new))
    }

    /// The value of the row, `None` when it has none.
    fn value(&self, unwrap: &Unwrap, fields: &mut Fields) -> Option<f64> {
        let text = fields.get(&unwrap.label).filter(|v| !v.is_empty())?;
        let number = match unwrap.conversion {
            Conversion::None => parse_float(text),
            Conversion::Duration(_) => parse_duration(text, false).map(|ns| ns as f64 / 1e9),
            Conversion::Bytes => parse_bytes(text).map(|n| n as f64),
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
}

/// Series by their labels.
pub(super) struct Gather<'a> {
    ask: &'a Ask<'a>,
    locator: Locator<'a>,
    /// Keys of groups (1 before them) and of rows (0): several rows' keys may lead to one series.
    index: HashMap<Box<[u8]>, usize, RandomState>,
    series: Vec<(LabelSet, Kept)>,
    key: Vec<u8>,
}

impl<'a> Gather<'a> {
    fn new(ask: &'a Ask<'a>) -> Self {
        Gather {
            ask,
            locator: Locator::new(ask.grid, ask.expr.range_ns),
            index: HashMap::default(),
            series: Vec::new(),
            key: Vec::new(),
        }
    }

    /// The series that a row with these labels belongs to. An error that is to be kept keeps all labels.
    pub(super) fn series_of(&mut self, fields: &mut Fields) -> Result<usize, QueryError> {
        let grouping = self.ask.grouping.filter(|_| fields.error().is_none());
        let mut key = std::mem::take(&mut self.key);
        fields.row_key(grouping, &mut key);
        key.push(0);
        let found = match self.index.get(key.as_slice()) {
            Some(at) => *at,
            None => self.find(fields, grouping, &mut key)?,
        };
        self.key = key;
        Ok(found)
    }

    /// As [`series_of`](Self::series_of) for a key not seen before.
    fn find(
        &mut self,
        fields: &mut Fields,
        grouping: Option<&Grouping>,
        key: &mut Vec<u8>,
    ) -> Result<usize, QueryError> {
        let (context, own) = (self.ask.context, key.clone());
        fields.group_key(grouping, key);
        key.push(1);
        let at = match self.index.get(key.as_slice()) {
            Some(at) => *at,
            None => {
                let labels = fields.to_group(grouping);
                context.reserve(labels.memory_bytes() + 2 * key.len() + size_of::<(LabelSet, Kept)>())?;
                let kept = match self.ask.expr.unwrap {
                    Some(_) if self.ask.expr.op != RangeOp::Absent => {
                        Kept::Values(Values::new(self.ask.expr, self.ask.grid, context)?)
                    }
                    _ if self.ask.of_bytes() => Kept::Sizes(Amounts::default(), Amounts::default()),
                    _ => Kept::Counts(Amounts::default()),
                };
                self.index.insert(key.as_slice().into(), self.series.len());
                self.series.push((labels, kept));
                self.series.len() - 1
            }
        };
        context.reserve(2 * own.len() + size_of::<(Box<[u8]>, usize)>())?;
        self.index.insert(own.into(), at);
        Ok(at)
    }

    /// Adds lines of one series: `bytes` are their sizes, or none if lines count.
    pub(super) fn amounts(&mut self, at: usize, times: &[i64], bytes: &[u32]) -> Result<(), QueryError> {
        let (ask, count) = (self.ask, self.ask.grid.count);
        let Some((_, kept)) = self.series.get_mut(at) else { return Ok(()) };
        for (i, time) in times.iter().enumerate() {
            let Some(steps) = self.locator.steps(time.saturating_add(ask.expr.offset_ns)) else { continue };
            match kept {
                Kept::Counts(counts) => counts.add(steps, 1, count, ask.context)?,
                Kept::Sizes(counts, sizes) => {
                    counts.add(steps, 1, count, ask.context)?;
                    sizes.add(steps, bytes.get(i).map_or(0, |b| i64::from(*b)), count, ask.context)?;
                }
                Kept::Values(_) => {}
            }
        }
        Ok(())
    }

    /// Adds a row that left the pipeline. `known`: its series, if it has no labels but its stream's.
    fn row(&mut self, row: &Row<'_>, fields: &mut Fields, known: &mut Option<usize>) -> Result<(), QueryError> {
        let ask = self.ask;
        let time = row.timestamp_ns.saturating_add(ask.expr.offset_ns);
        let Some(steps) = self.locator.steps(time) else { return Ok(()) };
        let value = match &ask.expr.unwrap {
            None => 0.0,
            Some(unwrap) => match ask.value(unwrap, fields) {
                None => return Ok(()),
                Some(value) => value,
            },
        };
        if fails(fields) {
            return Err(pipeline_error(fields));
        }
        let at = match known {
            Some(at) if fields.is_base() => *at,
            _ => self.series_of(fields)?,
        };
        if fields.is_base() {
            *known = Some(at);
        }
        match self.series.get_mut(at) {
            Some((_, Kept::Values(values))) => values.add(ask.expr.op, steps, (time, value), ask.context)?,
            Some((_, Kept::Counts(counts))) => counts.add(steps, 1, ask.grid.count, ask.context)?,
            Some((_, Kept::Sizes(counts, sizes))) => {
                counts.add(steps, 1, ask.grid.count, ask.context)?;
                sizes.add(steps, row.line.len() as i64, ask.grid.count, ask.context)?;
            }
            None => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<GridSeries>, QueryError> {
        let Ask { expr, grid, context, .. } = self.ask;
        if expr.op == RangeOp::Absent {
            return Ok(vec![absent(expr, self.series, grid)]);
        }
        let per = match expr.op {
            RangeOp::Rate | RangeOp::BytesRate => expr.range_ns as f64 / 1e9,
            _ => 1.0,
        };
        let mut out = Vec::with_capacity(self.series.len());
        for (labels, kept) in self.series {
            context.check()?;
            let mut points = Vec::new();
            match kept {
                Kept::Values(values) => points = values.points(expr, grid),
                Kept::Counts(counts) => counts.each(grid.count, |step, n| points.push((step, n as f64 / per))),
                Kept::Sizes(counts, sizes) => {
                    counts.each(grid.count, |step, _| points.push((step, 0.0)));
                    let mut rest = points.iter_mut().peekable();
                    sizes.each(grid.count, |step, bytes| {
                        while rest.next_if(|p| p.0 < step).is_some() {}
                        if let Some(point) = rest.next_if(|p| p.0 == step) {
                            point.1 = bytes as f64 / per;
                        }
                    });
                }
            }
            let series = GridSeries { labels, points };
            context.reserve(series.memory_bytes())?;
            out.push(series);
        }
        Ok(out)
    }
}

/// Whether the row has an error that nobody asked to keep.
pub(super) fn fails(fields: &Fields) -> bool {
    fields.error().is_some() && fields.get(PRESERVE_ERROR) != Some("true")
}

fn pipeline_error(fields: &Fields) -> QueryError {
    let kind = fields.get(ERROR).unwrap_or("");
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
    let tests: Result<_, _> = expr.unwrap.iter().flat_map(|u| &u.tests).map(LabelFilter::new).collect();
    let ask = Ask { expr, grouping, grid, context, pipeline: &pipeline, tests: tests.map_err(QueryError::Query)? };
    let mut gather = Gather::new(&ask);
    if expr.unwrap.is_none() && pipeline.by_labels() {
        if tally::tally(source, &ask, &mut gather)? {
            return gather.finish();
        }
        // A row has an error: the rows themselves show which and why.
        gather = Gather::new(&ask);
    }
    by_rows(source, &ask, &mut gather)?;
    gather.finish()
}

fn by_rows(source: &dyn LogSource, ask: &Ask<'_>, gather: &mut Gather<'_>) -> Result<(), QueryError> {
    let hints = ask.pipeline.hints();
    let mentions = hints.mentions();
    let select = LogSelect { fields: &hints.fields, mentions: &mentions, ..ask.select() };
    let mut scratch = ask.pipeline.scratch(ask.fields());
    // Series of the streams of this batch, for rows that have no other labels.
    let mut of_stream: Vec<Option<usize>> = Vec::new();
    let mut cursor = source.select(&select, ask.context)?;
    walk(&mut *cursor, ask.context, |fresh, stream, base, entry| {
        if let Some(streams) = fresh {
            of_stream.clear();
            of_stream.resize(streams, None);
        }
        let Some(mut row) = run(ask.pipeline, base, entry, &mut scratch) else {
            return Ok(ControlFlow::Continue(()));
        };
        let mut known = of_stream.get(stream).copied().flatten();
        gather.row(&row, &mut scratch.fields, &mut known).map_err(|e| match e {
            // The text names all labels of the row, also those that were left out.
            QueryError::Query(_) => whole_error(ask, base, entry, &mut row).unwrap_or(e),
            e => e,
        })?;
        if let Some(place) = of_stream.get_mut(stream) {
            *place = known;
        }
        Ok(ControlFlow::Continue(()))
    })
}

/// The row after the pipeline, if it passes.
fn run<'e>(pipeline: &Pipeline, base: &Base, entry: LogEntry<'e>, scratch: &mut Scratch) -> Option<Row<'e>> {
    scratch.fields.start(base, entry.metadata);
    let mut row = Row { timestamp_ns: entry.timestamp_ns, line: Cow::Borrowed(entry.line) };
    (pipeline.is_empty() || pipeline.run(&mut row, scratch)).then_some(row)
}

/// The error of a row with all its labels.
fn whole_error<'e>(ask: &Ask<'_>, base: &Base, entry: LogEntry<'e>, row: &mut Row<'e>) -> Option<QueryError> {
    let mut scratch = ask.pipeline.scratch(Fields::default());
    *row = run(ask.pipeline, base, entry, &mut scratch)?;
    if let Some(unwrap) = &ask.expr.unwrap {
        ask.value(unwrap, &mut scratch.fields)?;
    }
    fails(&scratch.fields).then(|| pipeline_error(&scratch.fields))
}

/// Labels of a run of lines, after the stages, which look at nothing else. `None`: rejected.
pub(super) fn run_labels(
    pipeline: &Pipeline,
    labels: LabelsRef<'_>,
    metadata: LabelsRef<'_>,
    scratch: &mut Scratch,
) -> Option<()> {
    scratch.fields.start_at(labels, metadata);
    let mut row = Row { timestamp_ns: 0, line: Cow::Borrowed(b"") };
    pipeline.run(&mut row, scratch).then_some(())
}

/// 1 where no series has lines; labelled by the selector's equalities.
fn absent(expr: &RangeExpr, series: Vec<(LabelSet, Kept)>, grid: &Grid) -> GridSeries {
    let mut present = vec![false; grid.count];
    for (_, kept) in series {
        let Kept::Counts(counts) = kept else { continue };
        counts.each(grid.count, |step, _| {
            if let Some(place) = present.get_mut(step as usize) {
                *place = true;
            }
        });
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
