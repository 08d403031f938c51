//! Expressions of numbers over a grid of times.

use super::aggregate::aggregate;
use super::binary::binary;
use super::range::range;
use super::{LabelSet, QueryError, Series};
use crate::syntax::{RangeExpr, RangeOp, Sample, VectorOp};
use bramble_storage::{LogSource, QueryContext};
use std::collections::BTreeMap;

/// Times at which to evaluate: `count` of them, `step_ns` apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    pub(crate) start_ns: i64,
    pub(crate) step_ns: i64,
    pub(crate) count: usize,
}

impl Grid {
    pub(crate) fn time(&self, step: u32) -> i64 {
        self.start_ns.saturating_add(self.step_ns.saturating_mul(i64::from(step)))
    }

    /// First and last step whose window `(time - range, time]` has `timestamp`.
    pub(crate) fn steps(&self, timestamp_ns: i64, range_ns: i64) -> Option<(u32, u32)> {
        let since = i128::from(timestamp_ns) - i128::from(self.start_ns);
        let step = i128::from(self.step_ns);
        let first = (since + step - 1).div_euclid(step).max(0);
        let last = (since + i128::from(range_ns) - 1).div_euclid(step).min(self.count as i128 - 1);
        (first <= last).then_some((first as u32, last as u32))
    }
}

/// A series on the grid.
#[derive(Clone, Default, Debug)]
pub(crate) struct GridSeries {
    pub(crate) labels: LabelSet,
    /// (step, value), ascending.
    pub(crate) points: Vec<(u32, f64)>,
}

impl GridSeries {
    pub(crate) fn into_series(self, grid: &Grid) -> Series {
        let points = self.points.into_iter().map(|(step, value)| (grid.time(step), value)).collect();
        Series { labels: self.labels, points }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.labels.memory_bytes() + self.points.len() * size_of::<(u32, f64)>() + size_of::<Self>()
    }
}

/// Series without points are left out.
pub(crate) fn evaluate(
    source: &dyn LogSource,
    sample: &Sample,
    grid: &Grid,
    context: &QueryContext,
) -> Result<Vec<GridSeries>, QueryError> {
    let mut out = match sample {
        Sample::Literal(value) | Sample::Vector(value) => {
            let points = (0..grid.count as u32).map(|step| (step, *value)).collect();
            vec![GridSeries { labels: LabelSet::default(), points }]
        }
        Sample::Range(expr) => range(source, expr, expr.grouping.as_ref(), grid, context)?,
        Sample::Aggregate { op, param, inner, grouping } => {
            match &**inner {
                // The sum of counts of all series of a group is the count of the group: no need to tell them apart.
                Sample::Range(expr) if *op == VectorOp::Sum && adds_up(expr) => {
                    let none = crate::syntax::Grouping { without: false, names: Vec::new() };
                    range(source, expr, Some(grouping.as_ref().unwrap_or(&none)), grid, context)?
                }
                other => {
                    let rows = evaluate(source, other, grid, context)?;
                    aggregate(*op, *param, grouping.as_ref(), rows, context)?
                }
            }
        }
        Sample::Binary { op, left, right, as_bool, matching } => {
            binary(source, (*op, left, right), *as_bool, matching.as_ref(), grid, context)?
        }
        Sample::LabelReplace { inner, target, replacement, source: from, regex } => {
            let rows = evaluate(source, inner, grid, context)?;
            label_replace(rows, target, replacement, from, regex)?
        }
    };
    out.retain(|row| !row.points.is_empty());
    Ok(out)
}

/// Whether the sum over series is the same function of all lines together.
fn adds_up(expr: &RangeExpr) -> bool {
    expr.grouping.is_none()
        && matches!(expr.op, RangeOp::Count | RangeOp::Rate | RangeOp::Bytes | RangeOp::BytesRate | RangeOp::Sum)
}

fn label_replace(
    rows: Vec<GridSeries>,
    target: &str,
    replacement: &str,
    from: &str,
    regex: &str,
) -> Result<Vec<GridSeries>, QueryError> {
    let regex = regex::RegexBuilder::new(&format!("^(?:{regex})$"))
        .size_limit(1 << 20)
        .build()
        .map_err(|e| QueryError::Query(format!("invalid regex in label_replace: {e}")))?;
    let mut merged: BTreeMap<LabelSet, Vec<(u32, f64)>> = BTreeMap::new();
    let mut out = Vec::new();
    for mut row in rows {
        let value = row.labels.get(from).unwrap_or("");
        if let Some(captures) = regex.captures(value) {
            let mut text = String::new();
            captures.expand(replacement, &mut text);
            row.labels.set(target, &text);
        }
        if merged.insert(row.labels.clone(), Vec::new()).is_some() {
            return Err(QueryError::Execution("vector cannot contain metrics with the same labelset".to_owned()));
        }
        out.push(row);
    }
    Ok(out)
}
