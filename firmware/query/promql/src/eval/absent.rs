//! `absent` and `absent_over_time`.

use super::evaluator::{Evaluator, Outcome, Sink};
use super::rows::{ABSENT, Grid, Row, is_absent};
use crate::syntax::{Expr, ExprKind};
use bramble_signal::{Labels, METRIC_NAME, MatchOp, Matcher};

/// The labels that a missing series would certainly have had: those asked for with `=`, once.
fn expected_labels(expr: &Expr) -> Labels {
    let (ExprKind::Selector(s) | ExprKind::Range { selector: s, .. }) = &expr.kind else { return Labels::empty() };
    let sure = |m: &&Matcher| {
        m.name != METRIC_NAME
            && m.op == MatchOp::Equal
            && s.matchers.iter().filter(|other| other.name == m.name).count() == 1
    };
    Labels::from_pairs(s.matchers.iter().filter(sure).map(|m| (&m.name, &m.value)))
}

impl Evaluator<'_> {
    pub(crate) fn absent(&self, args: &[Expr], grid: Grid, sink: Sink<'_>) -> Outcome<()> {
        let Some(arg) = args.first() else { return Ok(()) };
        let mut values = vec![1.0; grid.count];
        self.each(arg, grid, &mut |row| {
            for (missing, value) in values.iter_mut().zip(&row.values) {
                if !is_absent(*value) {
                    *missing = ABSENT;
                }
            }
            Ok(())
        })?;
        give(expected_labels(arg), values, sink)
    }

    pub(crate) fn absent_over_time(&self, args: &[Expr], grid: Grid, sink: Sink<'_>) -> Outcome<()> {
        let Some(arg) = args.first() else { return Ok(()) };
        let mut values = vec![1.0; grid.count];
        self.ranges(arg, grid, &mut |series| {
            series.windows(|i, window| {
                if let (false, Some(missing)) = (window.values.is_empty(), values.get_mut(i)) {
                    *missing = ABSENT;
                }
            });
            Ok(())
        })?;
        give(expected_labels(arg), values, sink)
    }
}

fn give(labels: Labels, values: Vec<f64>, sink: Sink<'_>) -> Outcome<()> {
    let row = Row::floats(labels, false, values);
    if row.is_empty() { Ok(()) } else { sink(row) }
}
