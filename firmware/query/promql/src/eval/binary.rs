//! Binary operations: which operands, and the set operators.

use super::arithmetic::WithScalar;
use super::evaluator::{Evaluator, Outcome, Sink};
use super::groups::Groups;
use super::matching::key_pairs;
use super::names::merge_equal;
use super::rows::{ABSENT, Grid, Row, is_absent};
use crate::syntax::{BinaryOp, Expr, ExprKind, Matching, ValueType};

impl Evaluator<'_> {
    pub(crate) fn binary(&self, expr: &Expr, grid: Grid, sink: Sink<'_>) -> Outcome<()> {
        let ExprKind::Binary { op, lhs, rhs, matching, return_bool } = &expr.kind else { return Ok(()) };
        let (op, return_bool) = (*op, *return_bool);
        match (lhs.value_type(), rhs.value_type(), matching) {
            (ValueType::Scalar, _, _) => {
                let operation =
                    WithScalar { op, return_bool, vector: rhs, scalar: lhs, swapped: true, span: expr.span };
                self.with_scalar(&operation, grid, sink)
            }
            (_, ValueType::Scalar, _) => {
                let operation =
                    WithScalar { op, return_bool, vector: lhs, scalar: rhs, swapped: false, span: expr.span };
                self.with_scalar(&operation, grid, sink)
            }
            (_, _, Some(matching)) if op.is_set() => self.set_operation(op, lhs, rhs, matching, grid, sink),
            (_, _, Some(matching)) => self.matched(expr, matching, grid, sink),
            (_, _, None) => super::engine::failed("vectors without matching"),
        }
    }

    fn set_operation(
        &self,
        op: BinaryOp,
        lhs: &Expr,
        rhs: &Expr,
        matching: &Matching,
        grid: Grid,
        sink: Sink<'_>,
    ) -> Outcome<()> {
        let left = self.collect(lhs, grid)?;
        if op != BinaryOp::Or && left.list.is_empty() {
            return Ok(());
        }
        let right = self.collect(rhs, grid)?;
        let mut hold = self.hold();
        let groups = if op == BinaryOp::Or { left.list.len() } else { right.list.len() };
        self.charge(&mut hold, groups * grid.count, 0)?;
        match op {
            BinaryOp::Or => {
                let (keys, taken) = presence(&left.list, matching, grid);
                let mut all: Vec<Row> = left.take();
                for mut row in right.take() {
                    let group = keys.find(key_pairs(&row.labels, matching)).and_then(|at| taken.get(at));
                    hide(&mut row, group, true);
                    if !row.is_empty() {
                        all.push(row);
                    }
                }
                merge_equal(all)?.into_iter().try_for_each(sink)
            }
            _ => {
                let (keys, there) = presence(&right.list, matching, grid);
                for mut row in left.take() {
                    let group = keys.find(key_pairs(&row.labels, matching)).and_then(|at| there.get(at));
                    hide(&mut row, group, op == BinaryOp::Unless);
                    if !row.is_empty() {
                        sink(row)?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// At which steps each match group has an element.
fn presence(rows: &[Row], matching: &Matching, grid: Grid) -> (Groups, Vec<Vec<bool>>) {
    let mut keys = Groups::default();
    let mut groups: Vec<Vec<bool>> = Vec::new();
    for row in rows {
        let at = keys.place(key_pairs(&row.labels, matching));
        if at == groups.len() {
            groups.push(vec![false; grid.count]);
        }
        let Some(steps) = groups.get_mut(at) else { continue };
        for (there, value) in steps.iter_mut().zip(&row.values) {
            *there |= !is_absent(*value);
        }
    }
    (keys, groups)
}

/// Removes the values at steps where the group's presence is `when`.
fn hide(row: &mut Row, group: Option<&Vec<bool>>, when: bool) {
    for (i, value) in row.values.iter_mut().enumerate() {
        let there = group.and_then(|g| g.get(i)).copied().unwrap_or(false);
        if there == when {
            *value = ABSENT;
        }
    }
}
