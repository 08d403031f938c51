//! Aggregations that fold each group into one row, as rows come by.

use super::engine::failed;
use super::evaluator::{Evaluator, Outcome, Sink};
use super::rows::{ABSENT, Grid, Row, is_absent, is_name_label};
use super::sums::{Compensated, Mean, Spread};
use crate::syntax::{AggregateOp, Expr, ExprKind};
use bramble_signal::Labels;
use std::collections::HashMap;

/// How rows are put together.
pub(crate) struct Grouping<'e> {
    pub(crate) labels: &'e [String],
    pub(crate) without: bool,
}

impl Grouping<'_> {
    /// The labels of the group that a row belongs to.
    pub(crate) fn key(&self, labels: &Labels) -> Labels {
        let listed = |name: &str| self.labels.iter().any(|l| l == name);
        match self.without {
            true => Labels::from_pairs(labels.iter().filter(|(n, _)| !is_name_label(n) && !listed(n))),
            false if self.labels.is_empty() => Labels::empty(),
            false => Labels::from_pairs(labels.iter().filter(|(n, _)| listed(n))),
        }
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

    fn add(&mut self, op: AggregateOp, values: &[f64]) {
        macro_rules! fold {
            ($cells:expr) => {
                for ((cell, any), value) in $cells.iter_mut().zip(values).filter(|(_, v)| !is_absent(**v)) {
                    cell.add(*value);
                    *any = true;
                }
            };
        }
        match self {
            Cells::Sum(cells) => fold!(cells),
            Cells::Mean(cells) => fold!(cells),
            Cells::Spread(cells) => fold!(cells),
            Cells::Plain(cells) => {
                for (cell, value) in cells.iter_mut().zip(values).filter(|(_, v)| !is_absent(**v)) {
                    *cell = if is_absent(*cell) { first(op, *value) } else { next(op, *cell, *value) };
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

fn first(op: AggregateOp, value: f64) -> f64 {
    match op {
        AggregateOp::Count | AggregateOp::Group => 1.0,
        _ => value,
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
        let mut places: HashMap<Labels, usize> = HashMap::new();
        let mut groups: Vec<(Labels, bool, Cells)> = Vec::new();
        let mut hold = self.hold();
        self.each(inner, grid, &mut |row| {
            let key = grouping.key(&row.labels);
            let at = match places.get(&key) {
                Some(at) => *at,
                None => {
                    let cells = Cells::new(op, grid.count);
                    self.charge(&mut hold, cells.memory_bytes(), 0)?;
                    places.insert(key.clone(), groups.len());
                    groups.push((key, false, cells));
                    groups.len() - 1
                }
            };
            if let Some((_, drop_name, cells)) = groups.get_mut(at) {
                *drop_name |= row.drop_name;
                cells.add(op, &row.values);
            }
            Ok(())
        })?;
        for (labels, drop_name, cells) in groups {
            sink(Row { labels, drop_name, values: cells.finish(op) })?;
        }
        Ok(())
    }
}
