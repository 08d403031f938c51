//! Names of metrics: when they go, and what becomes of rows that are equal then.

use super::engine::failed;
use super::evaluator::{Evaluator, Outcome, Sink};
use super::rows::{Row, is_name_label, without_name};
use crate::syntax::{AggregateOp, Expr, ExprKind, ValueType};
use bramble_signal::Labels;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

impl Evaluator<'_> {
    /// Runs `produce`, whose rows lose their metric names: at once, or marked when removal is delayed. Rows that
    /// become equal are merged when they never meet at a step.
    pub(crate) fn renamed(
        &self,
        input: &Expr,
        sink: Sink<'_>,
        produce: &mut dyn FnMut(Sink<'_>) -> Outcome<()>,
    ) -> Outcome<()> {
        if self.options.delayed_name_removal {
            return produce(&mut |mut row| {
                row.drop_name = true;
                sink(row)
            });
        }
        let strip = |mut row: Row| {
            row.labels = without_name(&row.labels);
            row
        };
        if has_one_name(input) {
            return produce(&mut |row| sink(strip(row)));
        }
        let (mut list, mut hold) = (Vec::new(), self.hold());
        produce(&mut |row| {
            self.charge(&mut hold, row.memory_bytes(), row.samples())?;
            list.push(strip(row));
            Ok(())
        })?;
        merge_equal(list)?.into_iter().try_for_each(sink)
    }

    /// Final rows: delayed names go, equal rows merge.
    pub(crate) fn finish(&self, mut rows: Vec<Row>) -> Outcome<Vec<Row>> {
        for row in rows.iter_mut().filter(|r| r.drop_name) {
            row.labels = without_name(&row.labels);
        }
        rows.retain(|r| !r.is_empty());
        merge_equal(rows)
    }
}

/// Whether all rows of the expression have the same metric name, or none.
fn has_one_name(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Selector(s) | ExprKind::Range { selector: s, .. } => {
            s.name.is_some()
                || s.matchers
                    .iter()
                    .any(|m| m.name == bramble_signal::METRIC_NAME && m.op == bramble_signal::MatchOp::Equal)
        }
        ExprKind::Paren(e) | ExprKind::Subquery { expr: e, .. } => has_one_name(e),
        ExprKind::Unary { negative, expr } => *negative || has_one_name(expr),
        ExprKind::Aggregate { op, expr, grouping, without, .. } => {
            let keeps_rows =
                matches!(op, AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk | AggregateOp::LimitRatio);
            has_one_name(expr) || !keeps_rows && (*without || !grouping.iter().any(|g| is_name_label(g)))
        }
        ExprKind::Binary { op, .. } => !op.is_set() && !op.is_comparison() && !op.is_trim(),
        ExprKind::Call { function, args } => match function.name {
            "label_replace" | "label_join" | "info" => false,
            "last_over_time" | "first_over_time" => args.iter().all(has_one_name),
            name if name.starts_with("sort") => args.first().is_some_and(has_one_name),
            // All others drop names.
            _ => true,
        },
        _ => expr.value_type() == ValueType::Scalar,
    }
}

/// Merges rows of equal labels that never have a value at the same step.
pub(crate) fn merge_equal(rows: Vec<Row>) -> Outcome<Vec<Row>> {
    let mut places: HashMap<Labels, usize, RandomState> =
        HashMap::with_capacity_and_hasher(rows.len(), RandomState::default());
    let mut merged: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(into) = places.get(&row.labels).and_then(|at| merged.get_mut(*at)) else {
            places.insert(row.labels.clone(), merged.len());
            merged.push(row);
            continue;
        };
        into.drop_name |= row.drop_name;
        if !into.absorb(row) {
            return failed("vector cannot contain metrics with the same labelset");
        }
    }
    Ok(merged)
}
