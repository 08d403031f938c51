//! What an expression selects.

use super::tree::{Expr, ExprKind};
use bramble_signal::Matcher;

/// The matchers of every selector of the expression, in the order of the text.
pub fn selectors(expr: &Expr) -> Vec<Vec<Matcher>> {
    let mut found = Vec::new();
    collect(expr, &mut found);
    found
}

fn collect(expr: &Expr, found: &mut Vec<Vec<Matcher>>) {
    match &expr.kind {
        ExprKind::Number { .. } | ExprKind::Text(_) => {}
        ExprKind::Selector(selector) | ExprKind::Range { selector, .. } => found.push(selector.matchers.clone()),
        ExprKind::Subquery { expr, .. } | ExprKind::Unary { expr, .. } | ExprKind::Paren(expr) => collect(expr, found),
        ExprKind::Call { args, .. } => args.iter().for_each(|arg| collect(arg, found)),
        ExprKind::Aggregate { expr, param, .. } => {
            if let Some(param) = param {
                collect(param, found);
            }
            collect(expr, found);
        }
        ExprKind::Binary { lhs, rhs, .. } => {
            collect(lhs, found);
            collect(rhs, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::parse;

    #[test]
    fn all_selectors_are_found() {
        let expr = parse("topk(scalar(a), -b) + rate(c{x=\"1\"}[5m]) / max_over_time((d + 1)[1h:])").unwrap();
        let names: Vec<String> =
            selectors(&expr).iter().map(|m| m.iter().map(|m| m.value.as_str()).collect::<Vec<_>>().join(",")).collect();
        assert_eq!(names, ["a", "b", "1,c", "d"]);
        assert!(selectors(&parse("1 + time()").unwrap()).is_empty());
    }
}
