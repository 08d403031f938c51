//! What a store may use to skip traces: tests that a span of every accepted trace must pass.

use crate::syntax::ast::{BinaryOp, Expr, Field, Intrinsic, Literal, Relation, Scope, SpansetExpr, Stage};
use bramble_storage::{AttributeScope, SpanPredicate, ValueTest};

/// Predicates of a query's first step. All of them hold for at least one span of every trace that the query accepts.
pub fn predicates(stages: &[Stage]) -> Vec<SpanPredicate> {
    let mut out = Vec::new();
    if let Some(Stage::Spanset(set)) = stages.first() {
        of_spanset(set, &mut out);
    }
    out
}

fn of_spanset(set: &SpansetExpr, out: &mut Vec<SpanPredicate>) {
    match set {
        SpansetExpr::Filter(None) | SpansetExpr::Op { relation: Relation::Or, .. } => {}
        SpansetExpr::Filter(Some(e)) => of_expr(e, out),
        SpansetExpr::Pipeline(stages) => out.extend(predicates(stages)),
        SpansetExpr::Op { negated, left, right, .. } => {
            // One span must pass all of them, so they come from one side: the right one, whose spans are the answer.
            of_spanset(right, out);
            if out.is_empty() && !negated {
                of_spanset(left, out);
            }
        }
    }
}

fn of_expr(e: &Expr, out: &mut Vec<SpanPredicate>) {
    match e {
        Expr::Binary(BinaryOp::And, a, b) => {
            of_expr(a, out);
            of_expr(b, out);
        }
        Expr::Binary(op, a, b) => match (&**a, &**b) {
            (Expr::Field(field), Expr::Literal(literal)) => out.extend(of_comparison(*op, field, literal)),
            (Expr::Literal(literal), Expr::Field(field)) => out.extend(of_comparison(mirrored(*op), field, literal)),
            _ => {}
        },
        _ => {}
    }
}

/// The operator with its sides exchanged.
pub(crate) fn mirrored(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Less => BinaryOp::Greater,
        BinaryOp::LessEq => BinaryOp::GreaterEq,
        BinaryOp::Greater => BinaryOp::Less,
        BinaryOp::GreaterEq => BinaryOp::LessEq,
        other => other,
    }
}

fn of_comparison(op: BinaryOp, field: &Field, literal: &Literal) -> Option<SpanPredicate> {
    match (field, op, literal) {
        (Field::Intrinsic(Intrinsic::Duration), _, Literal::Duration(ns) | Literal::Int(ns)) => {
            of_duration(op, u64::try_from(*ns).ok()?)
        }
        (Field::Intrinsic(Intrinsic::Name), BinaryOp::Eq, Literal::Text(text)) => {
            Some(SpanPredicate::Name(ValueTest::is(text)))
        }
        (Field::Intrinsic(Intrinsic::Kind), BinaryOp::Eq, Literal::Kind(kind)) => Some(SpanPredicate::Kind(*kind)),
        (Field::Intrinsic(Intrinsic::Status), BinaryOp::Eq, Literal::Status(status)) => {
            Some(SpanPredicate::Status(*status))
        }
        (Field::Attribute(Scope::Resource, key), BinaryOp::Eq, Literal::Text(text))
            if key == "service.name" && !text.is_empty() =>
        {
            Some(SpanPredicate::Service(ValueTest::is(text)))
        }
        (
            Field::Attribute(Scope::Any | Scope::Span | Scope::Resource | Scope::Instrumentation, key),
            BinaryOp::Eq,
            literal,
        ) => Some(SpanPredicate::Attribute {
            scope: AttributeScope::Any,
            key: key.clone(),
            test: ValueTest::Is(text_of(literal)?),
        }),
        _ => None,
    }
}

/// Texts, truth values and whole numbers print one way only; decimals do not and are left to the exact test.
fn text_of(literal: &Literal) -> Option<String> {
    match literal {
        Literal::Text(text) => Some(text.clone()),
        Literal::Int(i) => Some(i.to_string()),
        Literal::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}

fn of_duration(op: BinaryOp, ns: u64) -> Option<SpanPredicate> {
    match op {
        BinaryOp::Greater | BinaryOp::GreaterEq | BinaryOp::Eq => Some(SpanPredicate::DurationAtLeast(ns)),
        BinaryOp::Less | BinaryOp::LessEq => Some(SpanPredicate::DurationAtMost(ns)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    #[test]
    fn only_what_must_hold_is_pushed() {
        let of = |text: &str| predicates(&parse(text).unwrap().stages);
        let attribute = |key: &str, text: &str| SpanPredicate::Attribute {
            scope: AttributeScope::Any,
            key: key.to_owned(),
            test: ValueTest::is(text),
        };
        assert_eq!(of("{ span.circuit_id = \"circ-00042\" }"), [attribute("circuit_id", "circ-00042")]);
        assert_eq!(of("{ duration > 500ms }"), [SpanPredicate::DurationAtLeast(500_000_000)]);
        assert_eq!(of("{ 500ms < duration }"), [SpanPredicate::DurationAtLeast(500_000_000)]);
        assert_eq!(of("{ .a = 1 || .b = 2 }"), []);
        assert_eq!(of("{ !(.a = 1) }"), []);
        assert_eq!(of("{ .a = 1 } || { .b = 2 }"), []);
        assert_eq!(of("{ .a = 1 } >> { .b = 2 }"), [attribute("b", "2")]);
        assert_eq!(of("{ .a = 1 } >> { }"), [attribute("a", "1")]);
        assert_eq!(of("{ .a = 1 } !>> { }"), []);
        assert_eq!(of("{ event.a = 1 }"), []);
    }
}
