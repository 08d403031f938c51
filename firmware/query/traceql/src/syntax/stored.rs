//! What Tempo's storage asks of a span beside the language.
//!
//! Tempo hands each comparison of a field and a constant to its storage as it stands. Where all of a filter's parts must
//! hold (only `&&` between them, and no other spanset in the query), its storage drops spans that fail one, whatever
//! stands around the comparison: `!` before it is not seen, and a constant on the left is read as if it stood on the
//! right. So `{ !(span.i = 0) }` and `{ 4.5s < duration }` find nothing there (recorded: attribute-041, expression-007).
//! Answers follow the recording, so those conditions are written into the query, once.

use super::ast::{BinaryOp, Expr, SpansetExpr, Stage};

/// Adds to the filter of a query with one spanset what Tempo's storage would ask, unless it stands there already.
pub(super) fn complete(stages: &mut [Stage]) {
    let [Stage::Spanset(SpansetExpr::Filter(Some(filter))), rest @ ..] = stages else { return };
    if rest.iter().any(|stage| matches!(stage, Stage::Spanset(_))) || has_or(filter) {
        return;
    }
    let mut asked = Vec::new();
    collect(filter, false, &mut asked);
    for condition in asked {
        let text = condition.to_string();
        if !has_conjunct(filter, &text) {
            let before = std::mem::replace(filter, Expr::Literal(super::ast::Literal::Nil));
            *filter = Expr::Binary(BinaryOp::And, Box::new(before), Box::new(condition));
        }
    }
}

fn has_or(e: &Expr) -> bool {
    match e {
        Expr::Binary(op, a, b) => *op == BinaryOp::Or || has_or(a) || has_or(b),
        Expr::Not(e) | Expr::Negate(e) => has_or(e),
        Expr::Match { value, .. } => has_or(value),
        Expr::Literal(_) | Expr::Field(_) => false,
    }
}

/// Whether a part that must hold prints so.
fn has_conjunct(e: &Expr, text: &str) -> bool {
    match e {
        Expr::Binary(BinaryOp::And, a, b) => has_conjunct(a, text) || has_conjunct(b, text),
        other => other.to_string() == text,
    }
}

/// Comparisons that the storage reads otherwise than the language: below `!`, and turned ones.
fn collect(e: &Expr, negated: bool, out: &mut Vec<Expr>) {
    match e {
        Expr::Binary(op, a, b) if op.is_comparison() => match (&**a, &**b) {
            (Expr::Field(_), Expr::Literal(_)) if negated => out.push(e.clone()),
            (Expr::Literal(_), Expr::Field(_)) if negated || !matches!(op, BinaryOp::Eq | BinaryOp::Neq) => {
                out.push(Expr::Binary(*op, b.clone(), a.clone()));
            }
            _ => {
                collect(a, negated, out);
                collect(b, negated, out);
            }
        },
        Expr::Binary(_, a, b) => {
            collect(a, negated, out);
            collect(b, negated, out);
        }
        Expr::Not(e) => collect(e, true, out),
        Expr::Match { value, .. } if negated && matches!(**value, Expr::Field(_)) => out.push(e.clone()),
        Expr::Negate(_) | Expr::Match { .. } | Expr::Literal(_) | Expr::Field(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::parse;

    #[test]
    fn storage_asks_once_and_only_where_all_must_hold() {
        let printed = |text: &str| parse(text).unwrap().to_string();
        for (text, condition) in [
            ("{ !(span.i = 0) && kind = producer }", "span.i = 0"),
            ("{ 4.5s < duration }", "duration < 4.5s"),
            ("{ !(span.s =~ `a`) }", "span.s =~ `a`"),
        ] {
            let once = printed(text);
            assert!(once.contains(&format!("&& ({condition})")), "{once}");
            assert_eq!(printed(&once), once, "reads back as it is");
        }
        for plain in
            ["{ span.i = 0 }", "{ 0 = span.i }", "{ !(span.i = 0) || kind = client }", "{ !(span.i = 0) } && { }"]
        {
            assert!(!printed(plain).contains("&& (span.i"), "{plain}");
        }
    }
}
