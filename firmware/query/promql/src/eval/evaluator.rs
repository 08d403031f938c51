//! The evaluator: walks the tree, passing rows from operation to operation.

use super::annotations::Annotations;
use super::counting::Counting;
use super::engine::{EngineOptions, QueryError, SampleStats, failed};
use super::invariant::is_step_invariant;
use super::native;
use super::rows::{Grid, Row, is_float};
use crate::syntax::{AtModifier, DurationExpr, Expr, ExprKind, Span};
use bramble_storage::{MetricSource, QueryContext, ReadError};
use std::cell::{Cell, OnceCell};

pub(crate) type Outcome<T> = Result<T, QueryError>;
/// Where rows go.
pub(crate) type Sink<'s> = &'s mut dyn FnMut(Row) -> Outcome<()>;

/// One query's evaluation.
pub(crate) struct Evaluator<'a> {
    pub(crate) source: &'a dyn MetricSource,
    pub(crate) options: &'a EngineOptions,
    pub(crate) query: &'a str,
    /// The whole query's steps, for `start()`, `end()`, `step()`, `range()`.
    pub(crate) whole: Grid,
    pub(crate) lookback_ms: i64,
    pub(crate) context: &'a QueryContext,
    pub(crate) annotations: Annotations,
    /// Where full resolution begins, once it was asked.
    pub(crate) cold_before: OnceCell<i64>,
    pub(crate) counting: Counting,
    /// Selectors tell resets by comparing each histogram with the one before it: below `histogram_count` and its like.
    pub(crate) tells_resets: Cell<bool>,
    samples: Cell<u64>,
    peak: Cell<u64>,
}

/// Rows that are kept, counted as long as they are.
pub(crate) struct Rows<'e> {
    pub(crate) list: Vec<Row>,
    hold: Hold<'e>,
}

impl Rows<'_> {
    /// The rows; from here on they are the answer's.
    pub(crate) fn take(mut self) -> Vec<Row> {
        // What leaves here becomes the result: still held by the context until the query ends.
        self.hold.bytes = 0;
        std::mem::take(&mut self.list)
    }
}

/// Bytes and samples taken from a query's account until dropped.
pub(crate) struct Hold<'e> {
    context: &'e QueryContext,
    counter: &'e Cell<u64>,
    bytes: usize,
    samples: u64,
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.context.release(self.bytes);
        self.counter.set(self.counter.get().saturating_sub(self.samples));
    }
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(
        source: &'a dyn MetricSource,
        options: &'a EngineOptions,
        query: &'a str,
        whole: Grid,
        lookback_ms: i64,
        context: &'a QueryContext,
    ) -> Self {
        Evaluator {
            source,
            options,
            query,
            whole,
            lookback_ms,
            context,
            annotations: Annotations::default(),
            cold_before: OnceCell::new(),
            counting: Counting::default(),
            tells_resets: Cell::new(false),
            samples: Cell::new(0),
            peak: Cell::new(0),
        }
    }

    /// What was counted so far.
    pub(crate) fn sample_stats(&self) -> SampleStats {
        self.counting.finish(self.whole, self.peak.get())
    }

    /// Evaluates a part of the query with selectors that do, or do not, tell resets.
    pub(crate) fn telling_resets<T>(&self, tell: bool, run: impl FnOnce() -> T) -> T {
        let before = self.tells_resets.replace(tell);
        let result = run();
        self.tells_resets.set(before);
        result
    }

    pub(crate) fn warn(&self, span: Span, text: impl AsRef<str>) {
        self.annotations.warn(self.query, span, text);
    }

    pub(crate) fn info(&self, span: Span, text: impl AsRef<str>) {
        self.annotations.info(self.query, span, text);
    }

    /// An empty account.
    pub(crate) fn hold(&self) -> Hold<'_> {
        Hold { context: self.context, counter: &self.samples, bytes: 0, samples: 0 }
    }

    /// Adds to an account.
    pub(crate) fn charge(&self, hold: &mut Hold<'_>, bytes: usize, samples: usize) -> Outcome<()> {
        self.context.reserve(bytes).map_err(|e| QueryError::from(ReadError::OverBudget(e)))?;
        hold.bytes += bytes;
        self.count_held(hold, samples)
    }

    fn count_held(&self, hold: &mut Hold<'_>, samples: usize) -> Outcome<()> {
        let now = self.samples.get() + samples as u64;
        hold.samples += samples as u64;
        self.samples.set(now);
        self.peak.set(self.peak.get().max(now));
        if now > self.options.max_samples { Err(QueryError::TooManySamples) } else { Ok(()) }
    }

    /// Makes an account one of at least `bytes`, and of `samples` instead of those before.
    pub(crate) fn hold_instead(&self, hold: &mut Hold<'_>, bytes: usize, samples: usize) -> Outcome<()> {
        self.samples.set(self.samples.get().saturating_sub(hold.samples));
        hold.samples = 0;
        let more = bytes.saturating_sub(hold.bytes);
        if more == 0 {
            return self.count_held(hold, samples);
        }
        self.charge(hold, more, samples)
    }

    /// Accounts for one row over `grid` before anything of that width is allocated.
    pub(crate) fn admit(&self, grid: Grid) -> Outcome<Hold<'_>> {
        let mut hold = self.hold();
        if grid.count as u64 > self.options.max_samples {
            return Err(QueryError::TooManySamples);
        }
        self.charge(&mut hold, grid.count * size_of::<f64>(), 0)?;
        Ok(hold)
    }

    /// All rows of a vector expression, kept.
    pub(crate) fn collect(&self, expr: &Expr, grid: Grid) -> Outcome<Rows<'_>> {
        let (mut list, mut hold) = (Vec::new(), self.hold());
        self.each(expr, grid, &mut |row| {
            self.charge(&mut hold, row.memory_bytes(), row.samples())?;
            list.push(row);
            Ok(())
        })?;
        Ok(Rows { list, hold })
    }

    /// Evaluates a vector expression, giving each row that has a value to `sink`.
    pub(crate) fn each(&self, expr: &Expr, grid: Grid, sink: Sink<'_>) -> Outcome<()> {
        self.context.check()?;
        if grid.count == 0 {
            return Ok(());
        }
        if grid.count > 1 && is_step_invariant(expr) {
            // The same at every step: evaluated once.
            return self.counting.apart(0..grid.count, || {
                self.each(expr, Grid::once(grid.start_ms), &mut |mut row| {
                    if let Some(value) = row.values.first().copied() {
                        row.values = vec![value; grid.count];
                    }
                    sink(row)
                })
            });
        }
        match &expr.kind {
            ExprKind::Paren(inner) => self.each(inner, grid, sink),
            ExprKind::Selector(selector) => self.instant_rows(selector, expr.span, grid, sink),
            ExprKind::Call { function, args } => self.call(function, args, expr, grid, sink),
            ExprKind::Aggregate { .. } => self.aggregate(expr, grid, sink),
            ExprKind::Binary { .. } => self.telling_resets(false, || self.binary(expr, grid, sink)),
            ExprKind::Unary { negative, expr: inner } if *negative => self.renamed(inner, sink, &mut |sink| {
                self.each(inner, grid, &mut |mut row| {
                    row.values.iter_mut().filter(|v| is_float(**v)).for_each(|v| *v = -*v);
                    row.histograms.iter_mut().for_each(|h| *h = native::negated(h));
                    sink(row)
                })
            }),
            ExprKind::Unary { expr: inner, .. } => self.each(inner, grid, sink),
            _ => failed("expression does not evaluate to an instant vector"),
        }
    }

    /// A scalar expression's value at every step.
    pub(crate) fn scalar(&self, expr: &Expr, grid: Grid) -> Outcome<Vec<f64>> {
        match &expr.kind {
            ExprKind::Number { value, .. } => Ok(vec![*value; grid.count]),
            ExprKind::Paren(inner) => self.scalar(inner, grid),
            ExprKind::Unary { negative, expr: inner } => {
                let mut values = self.scalar(inner, grid)?;
                if *negative {
                    values.iter_mut().for_each(|v| *v = -*v);
                }
                Ok(values)
            }
            ExprKind::Binary { op, lhs, rhs, .. } => {
                let (mut left, right) = (self.scalar(lhs, grid)?, self.scalar(rhs, grid)?);
                for (a, b) in left.iter_mut().zip(right) {
                    *a = super::arithmetic::scalars(*op, *a, b);
                }
                Ok(left)
            }
            ExprKind::Call { function, args } => self.scalar_call(function, args, grid),
            _ => failed("expression does not evaluate to a scalar"),
        }
    }

    /// A string expression's value.
    pub(crate) fn text(&self, expr: &Expr) -> Outcome<String> {
        match &expr.unparen().kind {
            ExprKind::Text(text) => Ok(text.clone()),
            _ => failed("expression does not evaluate to a string"),
        }
    }

    /// Milliseconds of a duration.
    pub(crate) fn duration_ms(&self, duration: &DurationExpr) -> Outcome<i64> {
        duration.resolve(self.whole.step_ms, self.whole.last_ms() - self.whole.start_ms).map_err(QueryError::Execution)
    }

    /// Milliseconds of a range, which must be positive.
    pub(crate) fn range_ms(&self, duration: &DurationExpr) -> Outcome<i64> {
        match self.duration_ms(duration)? {
            ms if ms > 0 => Ok(ms),
            _ => failed("duration must be greater than 0"),
        }
    }

    /// Where a selector looks, given the steps it is asked for.
    pub(crate) fn shifted(&self, grid: Grid, offset: Option<&DurationExpr>, at: Option<AtModifier>) -> Outcome<Grid> {
        let offset = offset.map_or(Ok(0), |o| self.duration_ms(o))?;
        let (start, step_ms) = match at {
            None => (grid.start_ms, grid.step_ms),
            Some(AtModifier::Time(ms)) => (ms, 0),
            Some(AtModifier::Start) => (self.whole.start_ms, 0),
            Some(AtModifier::End) => (self.whole.last_ms(), 0),
        };
        Ok(Grid { start_ms: start.saturating_sub(offset), step_ms, count: grid.count })
    }
}
