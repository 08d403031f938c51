//! Which parts of the language a server speaks: experimental functions, and what is newer than Prometheus 3.5.

use super::error::{ParseError, Span};
use super::tree::{AggregateOp, Expr, ExprKind, Selector};

/// What is allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    pub(crate) experimental: bool,
    pub(crate) newer: bool,
}

/// Functions that Prometheus 3.5 does not know.
const NEWER: [&str; 6] =
    ["first_over_time", "histogram_quantiles", "max_of", "min_of", "start_timestamp", "ts_of_first_over_time"];
/// Words that became functions after 3.5; before, they can only be names.
const NEWER_WORDS: [&str; 4] = ["start", "end", "range", "step"];

/// Refuses what the level excludes.
pub(crate) fn check_level(query: &str, expr: &Expr, level: Level) -> Result<(), ParseError> {
    let refuse = |span: Span, text: String| Err(ParseError::at(query, span, text));
    let below = |e: &Expr| check_level(query, e, level);
    match &expr.kind {
        ExprKind::Selector(s) | ExprKind::Range { selector: s, .. } => check_selector(query, expr, s, level),
        ExprKind::Call { function, args } => {
            let name = function.name;
            if !level.newer && NEWER_WORDS.contains(&name) {
                let paren = expr.span.start + name.len();
                return refuse(Span::new(paren, paren + 1), "unexpected \"(\"".to_owned());
            }
            if !level.newer && NEWER.contains(&name) {
                return refuse(expr.span, format!("unknown function with name {name:?}"));
            }
            if !level.experimental && function.experimental {
                return refuse(expr.span, format!("function {name:?} is not enabled"));
            }
            args.iter().try_for_each(below)
        }
        ExprKind::Aggregate { op, expr: inner, param, .. } => {
            if !level.experimental && matches!(op, AggregateOp::Limitk | AggregateOp::LimitRatio) {
                let text = format!(
                    "{op}() is experimental and must be enabled with --enable-feature=promql-experimental-functions"
                );
                return refuse(expr.span, text);
            }
            param.iter().try_for_each(|p| below(p))?;
            below(inner)
        }
        ExprKind::Binary { lhs, rhs, .. } => {
            below(lhs)?;
            below(rhs)
        }
        ExprKind::Subquery { expr, .. } | ExprKind::Unary { expr, .. } | ExprKind::Paren(expr) => below(expr),
        ExprKind::Number { .. } | ExprKind::Text(_) => Ok(()),
    }
}

fn check_selector(query: &str, expr: &Expr, selector: &Selector, level: Level) -> Result<(), ParseError> {
    if selector.extension.is_some() && !level.newer {
        return Err(ParseError::at(query, expr.span, "anchored and smoothed modifiers are not enabled"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::parse;

    fn refused(query: &str, experimental: bool, newer: bool) -> Option<String> {
        check_level(query, &parse(query).unwrap(), Level { experimental, newer }).err().map(|e| e.message)
    }

    #[test]
    fn levels_exclude() {
        let old = |q: &str| refused(q, true, false);
        assert_eq!(old("start()").unwrap(), "1:6: parse error: unexpected \"(\"");
        assert!(old("1 + sum(first_over_time(a[5m]))").unwrap().contains("unknown function"));
        assert!(old("rate(a[5m] anchored)").is_some());
        assert_eq!(old("a + fill(0) b"), None, "newer too, but in nobody's way");
        assert_eq!(old("mad_over_time(a[5m])"), None);
        assert!(refused("limitk(1, a)", false, true).unwrap().contains("experimental"));
    }
}
