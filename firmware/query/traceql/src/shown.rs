//! Which fields of spans a search shows: those that the query speaks of, where they are why a span was accepted.

use crate::eval::compare;
use crate::eval::field::value_of;
use crate::eval::value::Value;
use crate::eval::view::{At, TraceView};
use crate::plan::mirrored;
use crate::syntax::ast::{BinaryOp, Expr, Field, Intrinsic, Literal, Scalar, SpansetExpr, Stage};

/// A field that the query speaks of: it is shown where one of its tests holds, or always when it is used without one.
pub(crate) struct Shown {
    pub(crate) field: Field,
    tests: Option<Vec<Test>>,
}

enum Test {
    Compare(BinaryOp, Literal),
    Match(regex::Regex, bool),
}

/// A span without events shows an empty name of them, as recorded.
pub(crate) fn named<'a>(field: &Field, value: Value<'a>) -> Value<'a> {
    match (field, value) {
        (Field::Intrinsic(Intrinsic::EventName), Value::Nil) => Value::Text("".into()),
        (_, value) => value,
    }
}

impl Shown {
    pub(crate) fn value<'a>(&self, view: &TraceView<'a>, at: At) -> Value<'a> {
        let value = value_of(view, at, &self.field);
        let Some(tests) = &self.tests else { return named(&self.field, value) };
        let holds = |v: &Value<'_>| {
            tests.iter().any(|test| match test {
                Test::Compare(op, Literal::Nil) => *op == BinaryOp::Neq && *v != Value::Nil,
                Test::Compare(op, literal) => compare(*op, v, &Value::of_literal(literal)),
                Test::Match(regex, negative) => matches!(v, Value::Text(text) if regex.is_match(text) != *negative),
            })
        };
        let mut held: Vec<Value<'a>> = value.singles().iter().filter(|v| holds(v)).cloned().collect();
        if held.len() > 1 { Value::Many(held) } else { held.pop().unwrap_or(Value::Nil) }
    }
}

/// Fields of lists show what a reader does not see anyway: times and names of the trace are in its own line.
fn is_shown(field: &Field) -> bool {
    use Intrinsic::*;
    !matches!(field, Field::Intrinsic(Duration | TraceDuration | RootName | RootService | TraceId | SpanId))
}

/// The fields that a query speaks of.
pub(crate) fn shown(stages: &[Stage]) -> Vec<Shown> {
    let mut out = Vec::new();
    of_stages(stages, &mut out);
    out
}

fn of_stages(stages: &[Stage], out: &mut Vec<Shown>) {
    for stage in stages {
        match stage {
            Stage::Spanset(set) => of_spanset(set, out),
            Stage::By(e) => of_expr(e, out),
            Stage::Coalesce => {}
            Stage::Select(fields) => fields.iter().for_each(|f| note(out, f, None)),
            Stage::Filter(left, _, right) => {
                of_scalar(left, out);
                of_scalar(right, out);
            }
        }
    }
}

fn of_spanset(set: &SpansetExpr, out: &mut Vec<Shown>) {
    match set {
        SpansetExpr::Filter(None) => {}
        SpansetExpr::Filter(Some(e)) => of_expr(e, out),
        SpansetExpr::Op { left, right, .. } => {
            of_spanset(left, out);
            of_spanset(right, out);
        }
        SpansetExpr::Pipeline(stages) => of_stages(stages, out),
    }
}

fn of_scalar(scalar: &Scalar, out: &mut Vec<Shown>) {
    match scalar {
        Scalar::Literal(_) | Scalar::Count => {}
        Scalar::Aggregate(_, e) => of_expr(e, out),
        Scalar::Binary(_, a, b) => {
            of_scalar(a, out);
            of_scalar(b, out);
        }
    }
}

fn of_expr(e: &Expr, out: &mut Vec<Shown>) {
    match e {
        Expr::Literal(_) => {}
        Expr::Field(field) => note(out, field, None),
        Expr::Not(inner) | Expr::Negate(inner) => of_expr(inner, out),
        Expr::Match { value, regex, negative, .. } => match &**value {
            Expr::Field(field) => note(out, field, Some(Test::Match(regex.clone(), *negative))),
            other => of_expr(other, out),
        },
        Expr::Binary(op, a, b) => match (&**a, &**b) {
            (Expr::Field(field), Expr::Literal(literal)) if op.is_comparison() => {
                note(out, field, Some(Test::Compare(*op, literal.clone())))
            }
            (Expr::Literal(literal), Expr::Field(field)) if op.is_comparison() => {
                note(out, field, Some(Test::Compare(mirrored(*op), literal.clone())));
            }
            _ => {
                of_expr(a, out);
                of_expr(b, out);
            }
        },
    }
}

fn note(out: &mut Vec<Shown>, field: &Field, test: Option<Test>) {
    if !is_shown(field) {
        return;
    }
    let at = out.iter().position(|s| s.field == *field).unwrap_or_else(|| {
        out.push(Shown { field: field.clone(), tests: Some(Vec::new()) });
        out.len() - 1
    });
    let Some(shown) = out.get_mut(at) else { return };
    match (test, &mut shown.tests) {
        (Some(test), Some(tests)) => tests.push(test),
        (None, tests) => *tests = None,
        (Some(_), None) => {}
    }
}
