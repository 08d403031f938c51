//! Values computed for a span.

use super::field::value_of;
use super::value::Value;
use super::view::{At, TraceView};
use crate::syntax::ast::{BinaryOp, Expr, Literal};
use std::cmp::Ordering;

/// Whether a filter holds for a span.
pub fn accepts(view: &TraceView<'_>, at: At, filter: Option<&Expr>) -> bool {
    filter.is_none_or(|filter| truth(view, at, filter) == Some(true))
}

/// Whether a value is true or false; `None` when it is missing, which neither `!` nor a comparison makes true.
fn truth(view: &TraceView<'_>, at: At, e: &Expr) -> Option<bool> {
    match e {
        Expr::Not(inner) => truth(view, at, inner).map(|b| !b),
        Expr::Binary(BinaryOp::And, a, b) => match truth(view, at, a) {
            Some(false) => Some(false),
            a => match truth(view, at, b) {
                Some(true) => a,
                Some(false) => Some(false),
                None => None,
            },
        },
        Expr::Binary(BinaryOp::Or, a, b) => match truth(view, at, a) {
            Some(true) => Some(true),
            a => match truth(view, at, b) {
                Some(false) => a,
                Some(true) => Some(true),
                None => None,
            },
        },
        Expr::Match { value, regex, negative, .. } => {
            let value = evaluate(view, at, value);
            let matches = |v: &Value<'_>| matches!(v, Value::Text(text) if regex.is_match(text));
            (value != Value::Nil).then(|| value.singles().iter().any(matches) != *negative)
        }
        Expr::Binary(op, a, b) if op.is_comparison() => match (is_nil(a), is_nil(b)) {
            (false, false) => compared(*op, &evaluate(view, at, a), &evaluate(view, at, b)),
            // A test for nothing asks whether something is there; of nothing itself it is never true.
            (true, true) => Some(false),
            (true, false) => is_there(*op, &evaluate(view, at, b)),
            (false, true) => is_there(*op, &evaluate(view, at, a)),
        },
        other => match evaluate(view, at, other) {
            Value::Bool(b) => Some(b),
            _ => None,
        },
    }
}

fn is_there(op: BinaryOp, value: &Value<'_>) -> Option<bool> {
    match op {
        BinaryOp::Eq => Some(*value == Value::Nil),
        BinaryOp::Neq => Some(*value != Value::Nil),
        _ => None,
    }
}

/// A value for a span; nil where it has none.
pub fn evaluate<'a>(view: &TraceView<'a>, at: At, e: &'a Expr) -> Value<'a> {
    match e {
        Expr::Literal(literal) => Value::of_literal(literal),
        Expr::Field(field) => value_of(view, at, field),
        Expr::Negate(inner) => match evaluate(view, at, inner) {
            Value::Int(i) => Value::Int(i.wrapping_neg()),
            Value::Duration(ns) => Value::Duration(ns.wrapping_neg()),
            Value::Float(d) => Value::Float(-d),
            _ => Value::Nil,
        },
        Expr::Binary(op, a, b) if !op.is_comparison() && !matches!(op, BinaryOp::And | BinaryOp::Or) => {
            calculate(*op, &evaluate(view, at, a), &evaluate(view, at, b))
        }
        Expr::Not(_) | Expr::Match { .. } | Expr::Binary(..) => truth(view, at, e).map_or(Value::Nil, Value::Bool),
    }
}

/// Whether this is the word `nil`.
fn is_nil(e: &Expr) -> bool {
    matches!(e, Expr::Literal(Literal::Nil))
}

/// Whether two values compare so; `None` when one is missing.
fn compared(op: BinaryOp, a: &Value<'_>, b: &Value<'_>) -> Option<bool> {
    (*a != Value::Nil && *b != Value::Nil).then(|| compare(op, a, b))
}

/// Whether two values compare so: never when one is missing; of many values one must pass, for `!=` all.
pub fn compare(op: BinaryOp, a: &Value<'_>, b: &Value<'_>) -> bool {
    match op {
        _ if *a == Value::Nil || *b == Value::Nil => false,
        BinaryOp::Neq => a.singles().iter().all(|a| b.singles().iter().all(|b| passes(op, a, b))),
        _ => a.singles().iter().any(|a| b.singles().iter().any(|b| passes(op, a, b))),
    }
}

fn passes(op: BinaryOp, a: &Value<'_>, b: &Value<'_>) -> bool {
    let order = a.order(b);
    match op {
        BinaryOp::Eq => order == Some(Ordering::Equal),
        BinaryOp::Neq => order.is_some_and(|o| o != Ordering::Equal),
        BinaryOp::Less => order == Some(Ordering::Less),
        BinaryOp::LessEq => order.is_some_and(|o| o != Ordering::Greater),
        BinaryOp::Greater => order == Some(Ordering::Greater),
        BinaryOp::GreaterEq => order.is_some_and(|o| o != Ordering::Less),
        _ => false,
    }
}

/// Arithmetic: whole numbers stay whole, a duration makes a duration, anything else nothing.
pub(super) fn calculate<'a>(op: BinaryOp, a: &Value<'_>, b: &Value<'_>) -> Value<'a> {
    let (Some(x), Some(y)) = (a.number(), b.number()) else { return Value::Nil };
    if let (Value::Int(x), Value::Int(y)) = (a, b) {
        let whole = match op {
            BinaryOp::Add => x.checked_add(*y),
            BinaryOp::Sub => x.checked_sub(*y),
            BinaryOp::Mul => x.checked_mul(*y),
            BinaryOp::Div => x.checked_div(*y),
            BinaryOp::Mod => x.checked_rem(*y),
            _ => None,
        };
        if let Some(whole) = whole {
            return Value::Int(whole);
        }
    }
    let number = match op {
        BinaryOp::Add => x + y,
        BinaryOp::Sub => x - y,
        BinaryOp::Mul => x * y,
        BinaryOp::Div => x / y,
        BinaryOp::Mod => x % y,
        BinaryOp::Pow => x.powf(y),
        _ => return Value::Nil,
    };
    match (a, b) {
        (Value::Duration(_), _) | (_, Value::Duration(_)) if number.is_finite() => Value::Duration(number as i64),
        _ => Value::Float(number),
    }
}
