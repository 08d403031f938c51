//! Which expressions have the same value at every step.

use crate::syntax::{Expr, ExprKind};

/// Functions whose value depends on the evaluation time even when their arguments do not.
const TIME_BOUND: [&str; 12] = [
    "days_in_month",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "hour",
    "minute",
    "month",
    "year",
    "predict_linear",
    "time",
    "timestamp",
    "start_timestamp",
];

/// Whether `expr` gives the same at every step: everything in it is a literal or fixed by `@`.
pub(crate) fn is_step_invariant(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Number { .. } | ExprKind::Text(_) => true,
        ExprKind::Selector(s) | ExprKind::Range { selector: s, .. } => s.at.is_some(),
        ExprKind::Subquery { at, .. } => at.is_some(),
        ExprKind::Call { function, args } => !TIME_BOUND.contains(&function.name) && args.iter().all(is_step_invariant),
        ExprKind::Aggregate { expr, param, .. } => {
            is_step_invariant(expr) && param.as_ref().is_none_or(|p| is_step_invariant(p))
        }
        ExprKind::Binary { lhs, rhs, .. } => is_step_invariant(lhs) && is_step_invariant(rhs),
        ExprKind::Unary { expr, .. } | ExprKind::Paren(expr) => is_step_invariant(expr),
    }
}
