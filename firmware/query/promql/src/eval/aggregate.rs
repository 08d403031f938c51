//! Aggregations that fold each group into one row, as rows come by.

use super::engine::failed;
use super::evaluator::{Evaluator, Outcome, Sink};
use super::groups::Groups;
use super::native::{HistogramSum, Noted};
use super::rows::{ABSENT, Grid, Row, is_absent, is_float, is_name_label};
use super::sums::{Compensated, Mean, Spread};
use crate::syntax::{AggregateOp, Expr, ExprKind, Span};
use bramble_signal::{Labels, is_histogram_marker};

/// How rows are put together.
pub(crate) struct Grouping<'e> {
    pub(crate) labels: &'e [String],
    pub(crate) without: bool,
}

impl Grouping<'_> {
    /// The pairs of a row's labels that decide its group.
    pub(crate) fn pairs<'l>(&'l self, labels: &'l Labels) -> impl Iterator<Item = (&'l str, &'l str)> + Clone {
        // Without labels to look for there is nothing to go through.
        let all = if self.without || !self.labels.is_empty() { Some(labels.iter()) } else { None };
        all.into_iter().flatten().filter(|(name, _)| {
            let listed = self.labels.iter().any(|l| l == name);
            if self.without { !listed && !is_name_label(name) } else { listed }
        })
    }
}

/// One group's running state: a cell per step.
enum Cells {
    Sum(Vec<(Compensated, bool)>),
    Mean(Vec<(Mean, bool)>),
    Spread(Vec<(Spread, bool)>),
    /// Count, min, max, group: the value so far.
    Plain(Vec<f64>),
}

impl Cells {
    fn new(op: AggregateOp, steps: usize) -> Self {
        match op {
            AggregateOp::Sum => Cells::Sum(vec![Default::default(); steps]),
            AggregateOp::Avg => Cells::Mean(vec![Default::default(); steps]),
            AggregateOp::Stddev | AggregateOp::Stdvar => Cells::Spread(vec![Default::default(); steps]),
            _ => Cells::Plain(vec![ABSENT; steps]),
        }
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Cells::Sum(c) => size_of_val(c.as_slice()),
            Cells::Mean(c) => size_of_val(c.as_slice()),
            Cells::Spread(c) => size_of_val(c.as_slice()),
            Cells::Plain(c) => size_of_val(c.as_slice()),
        }
    }

    /// Adds a row's values. Histograms count for `count` and `group`; sums and means of them are kept elsewhere, and
    /// to the others they are nothing.
    fn add(&mut self, op: AggregateOp, values: &[f64]) {
        macro_rules! fold {
            ($cells:expr) => {
                for ((cell, any), value) in $cells.iter_mut().zip(values).filter(|(_, v)| is_float(**v)) {
                    cell.add(*value);
                    *any = true;
                }
            };
        }
        match self {
            Cells::Sum(cells) => fold!(cells),
            Cells::Mean(cells) => fold!(cells),
            Cells::Spread(cells) => fold!(cells),
            Cells::Plain(cells) if matches!(op, AggregateOp::Count | AggregateOp::Group) => {
                for (cell, _) in cells.iter_mut().zip(values).filter(|(_, v)| !is_absent(**v)) {
                    *cell = if is_absent(*cell) { 1.0 } else { next(op, *cell, 1.0) };
                }
            }
            Cells::Plain(cells) => {
                for (cell, value) in cells.iter_mut().zip(values).filter(|(_, v)| is_float(**v)) {
                    *cell = if is_absent(*cell) { *value } else { next(op, *cell, *value) };
                }
            }
        }
    }

    fn finish(self, op: AggregateOp) -> Vec<f64> {
        macro_rules! results {
            ($cells:expr, $total:expr) => {
                $cells.into_iter().map(|(cell, any)| if any { $total(cell) } else { ABSENT }).collect()
            };
        }
        match self {
            Cells::Sum(cells) => results!(cells, Compensated::total),
            Cells::Mean(cells) => results!(cells, Mean::total),
            Cells::Spread(cells) if op == AggregateOp::Stddev => results!(cells, |s: Spread| s.variance().sqrt()),
            Cells::Spread(cells) => results!(cells, Spread::variance),
            Cells::Plain(cells) => cells,
        }
    }
}

fn next(op: AggregateOp, so_far: f64, value: f64) -> f64 {
    match op {
        AggregateOp::Count => so_far + 1.0,
        AggregateOp::Min if value < so_far || so_far.is_nan() => value,
        AggregateOp::Max if value > so_far || so_far.is_nan() => value,
        _ => so_far,
    }
}

/// Histograms of a group at one step.
enum NativeCell {
    None,
    Sum(Box<HistogramSum>),
    /// They do not go together.
    Broken,
}

/// One group.
struct Folded {
    drop_name: bool,
    cells: Cells,
    /// Sums of histograms, one per step; none until there is one.
    natives: Vec<NativeCell>,
}

impl Folded {
    /// Adds a row's histograms; says how much memory that took.
    fn add_histograms(&mut self, row: &Row, is_mean: bool, newer: bool, notes: &mut dyn FnMut(Noted)) -> usize {
        let mut bytes = 0;
        if self.natives.is_empty() {
            self.natives.resize_with(row.values.len(), || NativeCell::None);
            bytes += row.values.len() * size_of::<NativeCell>();
        }
        for (i, cell) in self.natives.iter_mut().enumerate() {
            let Some(histogram) = row.histogram(i) else { continue };
            match cell {
                NativeCell::Broken => {}
                NativeCell::None => {
                    let sum = HistogramSum::new(histogram);
                    bytes += sum.memory_bytes();
                    *cell = NativeCell::Sum(Box::new(sum));
                }
                NativeCell::Sum(sum) => {
                    if let Err(noted) = sum.add(histogram, is_mean, newer) {
                        notes(noted);
                        *cell = NativeCell::Broken;
                    }
                }
            }
        }
        bytes
    }

    fn finish(self, labels: Labels, op: AggregateOp, notes: &mut dyn FnMut(Noted)) -> Row {
        let mut row = Row::floats(labels, self.drop_name, self.cells.finish(op));
        for (i, cell) in self.natives.into_iter().enumerate() {
            let there = row.values.get(i).is_some_and(|v| !is_absent(*v));
            let value = match cell {
                NativeCell::None => continue,
                NativeCell::Sum(_) | NativeCell::Broken if there => {
                    notes(Noted::MixedGroup);
                    ABSENT
                }
                NativeCell::Broken => ABSENT,
                NativeCell::Sum(sum) => {
                    let mut sum = sum.finish(op == AggregateOp::Avg, notes);
                    sum.compact(0);
                    row.keep(sum)
                }
            };
            if let Some(slot) = row.values.get_mut(i) {
                *slot = value;
            }
        }
        row
    }
}

impl Evaluator<'_> {
    /// Evaluates an aggregation.
    pub(crate) fn aggregate(&self, expr: &Expr, grid: Grid, sink: Sink<'_>) -> Outcome<()> {
        let ExprKind::Aggregate { op, expr: inner, param, grouping, without } = &expr.kind else { return Ok(()) };
        let grouping = Grouping { labels: grouping, without: *without };
        match (op.has_param(), param) {
            (false, _) => self.fold(*op, inner, &grouping, grid, sink),
            (true, Some(param)) => self.select_from_groups(*op, inner, param, &grouping, grid, sink),
            (true, None) => failed(format!("{op} needs a parameter")),
        }
    }

    fn fold(&self, op: AggregateOp, inner: &Expr, grouping: &Grouping<'_>, grid: Grid, sink: Sink<'_>) -> Outcome<()> {
        let mut groups = Groups::default();
        let mut folded: Vec<Folded> = Vec::new();
        let mut hold = self.hold();
        let newer = self.options.newer_than_3_5;
        self.each(inner, grid, &mut |row| {
            let at = groups.place(grouping.pairs(&row.labels));
            if at == folded.len() {
                let cells = Cells::new(op, grid.count);
                self.charge(&mut hold, cells.memory_bytes(), 0)?;
                folded.push(Folded { drop_name: false, cells, natives: Vec::new() });
            }
            let Some(group) = folded.get_mut(at) else { return Ok(()) };
            group.drop_name |= row.drop_name;
            group.cells.add(op, &row.values);
            if row.histograms.is_empty() {
                return Ok(());
            }
            match op {
                AggregateOp::Sum | AggregateOp::Avg => {
                    let is_mean = op == AggregateOp::Avg;
                    let notes = &mut |noted| self.note(noted, row.name(), inner.span);
                    let bytes = group.add_histograms(&row, is_mean, newer, notes);
                    self.charge(&mut hold, bytes, 0)
                }
                AggregateOp::Count | AggregateOp::Group => Ok(()),
                _ => {
                    self.ignores_histograms(op, &row, inner.span);
                    Ok(())
                }
            }
        })?;
        for (labels, group) in groups.into_keys().into_iter().zip(folded) {
            let row = group.finish(labels, op, &mut |noted| self.note(noted, "", inner.span));
            if !row.is_empty() {
                sink(row)?;
            }
        }
        Ok(())
    }

    /// Tells that an aggregation has nothing to do with a row's histograms.
    pub(crate) fn ignores_histograms(&self, op: AggregateOp, row: &Row, span: Span) {
        if !row.histograms.is_empty() && row.values.iter().any(|v| is_histogram_marker(*v)) {
            self.info(span, format!("ignored histogram in {op} aggregation"));
        }
    }
}
