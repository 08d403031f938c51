//! Tests that a value's being true implies.

use super::{is_root_test, mirrored};
use crate::syntax::ast::{BinaryOp, Expr, Field, Intrinsic, Literal, Scope};
use bramble_signal::StatusCode;
use bramble_storage::{AttributeScope, SpanPredicate, ValueTest};

/// From here on a test leaves few spans of many.
pub(super) const STRONG: u8 = 2;

/// Whole numbers up to here have one text as double and as integer.
const EXACT_MAX: u64 = 1 << 53;

/// How much a test rules out, roughly.
pub(super) fn strength(predicate: &SpanPredicate) -> u8 {
    let of_test = |test: &ValueTest| match test {
        ValueTest::Is(_) => 3,
        ValueTest::Matches(_) => 2,
        ValueTest::Within { .. } | ValueTest::Present => 1,
    };
    match predicate {
        SpanPredicate::All(all) => all.iter().map(strength).max().unwrap_or(0),
        SpanPredicate::Any(any) => any.iter().map(strength).min().unwrap_or(0),
        SpanPredicate::Service(test)
        | SpanPredicate::Name(test)
        | SpanPredicate::EventName(test)
        | SpanPredicate::Attribute { test, .. } => of_test(test),
        SpanPredicate::Status(StatusCode::Error) => 2,
        SpanPredicate::DurationAtLeast(_)
        | SpanPredicate::DurationAtMost(_)
        | SpanPredicate::Kind(_)
        | SpanPredicate::Status(_)
        | SpanPredicate::Root
        | SpanPredicate::Measured => 1,
    }
}

/// All of them, flat; nothing for none.
pub(super) fn all(predicates: impl IntoIterator<Item = SpanPredicate>) -> Option<SpanPredicate> {
    let mut flat = Vec::new();
    for predicate in predicates {
        let parts = match predicate {
            SpanPredicate::All(inner) => inner,
            single => vec![single],
        };
        for part in parts {
            if !flat.contains(&part) {
                flat.push(part);
            }
        }
    }
    if flat.len() > 1 { Some(SpanPredicate::All(flat)) } else { flat.pop() }
}

/// One of them, flat.
pub(super) fn any(predicates: Vec<SpanPredicate>) -> Option<SpanPredicate> {
    let flat = predicates.into_iter().flat_map(|p| match p {
        SpanPredicate::Any(inner) => inner,
        single => vec![single],
    });
    Some(SpanPredicate::Any(flat.collect()))
}

/// What holds for every span for which `e` is true; nothing if that says nothing.
pub(super) fn of(e: &Expr) -> Option<SpanPredicate> {
    if let Some(root) = is_root_test(e) {
        return root.then_some(SpanPredicate::Root);
    }
    match e {
        Expr::Literal(_) | Expr::Negate(_) => None,
        Expr::Field(field) => attribute(field, ValueTest::is("true")),
        Expr::Not(inner) => match &**inner {
            Expr::Field(field) => attribute(field, ValueTest::is("false")),
            // Not true and not missing.
            Expr::Binary(op, a, b) if op.is_comparison() && !is_nil(a) && !is_nil(b) => present([&**a, &**b]),
            Expr::Match { value, .. } => present([&**value]),
            _ => None,
        },
        Expr::Match { value, negative: true, .. } => present([&**value]),
        Expr::Match { value, regex, .. } => match &**value {
            Expr::Field(field) => of_text(field, ValueTest::Matches(regex.clone())),
            other => present([other]),
        },
        Expr::Binary(BinaryOp::And, a, b) => all([of(a), of(b)].into_iter().flatten()),
        Expr::Binary(BinaryOp::Or, a, b) => any(vec![of(a)?, of(b)?]),
        Expr::Binary(op, a, b) if op.is_comparison() => of_comparison(*op, a, b),
        Expr::Binary(..) => None,
    }
}

fn is_nil(e: &Expr) -> bool {
    matches!(e, Expr::Literal(Literal::Nil))
}

fn of_comparison(op: BinaryOp, a: &Expr, b: &Expr) -> Option<SpanPredicate> {
    if is_nil(a) || is_nil(b) {
        return if op == BinaryOp::Neq { present([a, b]) } else { None };
    }
    let exact = match (a, b) {
        (Expr::Field(field), value) => constant(value).and_then(|value| of_constant(op, field, &value)),
        (value, Expr::Field(field)) => constant(value).and_then(|value| of_constant(mirrored(op), field, &value)),
        _ => None,
    };
    exact.or_else(|| present([a, b]))
}

/// A value that is the same for every span.
fn constant(e: &Expr) -> Option<Literal> {
    match e {
        Expr::Literal(literal) => Some(literal.clone()),
        Expr::Negate(inner) => match constant(inner)? {
            Literal::Int(i) => Some(Literal::Int(-i)),
            Literal::Float(d) => Some(Literal::Float(-d)),
            Literal::Duration(ns) => Some(Literal::Duration(-ns)),
            _ => None,
        },
        _ => None,
    }
}

/// The attributes that must be there for values to be there.
fn present<'e>(values: impl IntoIterator<Item = &'e Expr>) -> Option<SpanPredicate> {
    fn each(e: &Expr, out: &mut Vec<SpanPredicate>) {
        match e {
            Expr::Field(field) => out.extend(attribute(field, ValueTest::Present)),
            Expr::Negate(inner) => each(inner, out),
            Expr::Binary(op, a, b) if !op.is_comparison() && !matches!(op, BinaryOp::And | BinaryOp::Or) => {
                each(a, out);
                each(b, out);
            }
            _ => {}
        }
    }
    let mut out = Vec::new();
    values.into_iter().for_each(|e| each(e, &mut out));
    all(out)
}

fn attribute(field: &Field, test: ValueTest) -> Option<SpanPredicate> {
    let Field::Attribute(scope, key) = field else { return None };
    let scope = match scope {
        Scope::Any => AttributeScope::Any,
        Scope::Span => AttributeScope::Span,
        Scope::Resource => AttributeScope::Resource,
        Scope::Instrumentation => AttributeScope::Instrumentation,
        Scope::Event => AttributeScope::Event,
        Scope::Link => AttributeScope::Link,
    };
    Some(SpanPredicate::Attribute { scope, key: key.clone(), test })
}

/// A field that is a text, or an attribute that may be one.
fn of_text(field: &Field, test: ValueTest) -> Option<SpanPredicate> {
    match field {
        Field::Intrinsic(Intrinsic::Name) => Some(SpanPredicate::Name(test)),
        Field::Intrinsic(Intrinsic::EventName) => Some(SpanPredicate::EventName(test)),
        Field::Intrinsic(_) => None,
        // A service that is not said has a name for the store, but is an empty text here.
        Field::Attribute(Scope::Resource, key) if key == "service.name" && !test.accepts_text("") => {
            Some(SpanPredicate::Service(test))
        }
        attribute_field => attribute(attribute_field, test),
    }
}

fn of_constant(op: BinaryOp, field: &Field, value: &Literal) -> Option<SpanPredicate> {
    if let (BinaryOp::Eq, Literal::Text(text)) = (op, value) {
        return of_text(field, ValueTest::is(text));
    }
    match (field, value) {
        (Field::Intrinsic(Intrinsic::Duration), _) => of_duration(op, number(value)?),
        (Field::Intrinsic(Intrinsic::Kind), Literal::Kind(kind)) if op == BinaryOp::Eq => {
            Some(SpanPredicate::Kind(*kind))
        }
        (Field::Intrinsic(Intrinsic::Status), Literal::Status(status)) => of_status(op, *status),
        (Field::Intrinsic(_), _) => None,
        (_, Literal::Bool(b)) if op == BinaryOp::Eq => attribute(field, ValueTest::Is(b.to_string())),
        (_, Literal::Int(i)) if op == BinaryOp::Eq && i.unsigned_abs() <= EXACT_MAX => {
            attribute(field, ValueTest::Is(i.to_string()))
        }
        _ => attribute(field, range(op, number(value)?)?),
    }
}

fn number(value: &Literal) -> Option<f64> {
    match value {
        Literal::Int(i) | Literal::Duration(i) => Some(*i as f64),
        Literal::Float(d) => Some(*d),
        _ => None,
    }
}

fn range(op: BinaryOp, bound: f64) -> Option<ValueTest> {
    let (at_least, at_most) = match op {
        BinaryOp::Eq => (bound, bound),
        BinaryOp::Less | BinaryOp::LessEq => (f64::NEG_INFINITY, bound),
        BinaryOp::Greater | BinaryOp::GreaterEq => (bound, f64::INFINITY),
        _ => return None,
    };
    Some(ValueTest::Within { at_least, at_most })
}

fn of_status(op: BinaryOp, status: StatusCode) -> Option<SpanPredicate> {
    match op {
        BinaryOp::Eq => Some(SpanPredicate::Status(status)),
        BinaryOp::Neq => {
            let others = [StatusCode::Unset, StatusCode::Ok, StatusCode::Error].into_iter().filter(|s| *s != status);
            any(others.map(SpanPredicate::Status).collect())
        }
        _ => None,
    }
}

fn of_duration(op: BinaryOp, ns: f64) -> Option<SpanPredicate> {
    // Rounded outwards: doubles do not hold all digits of long durations.
    match op {
        BinaryOp::Greater | BinaryOp::GreaterEq | BinaryOp::Eq => Some(SpanPredicate::DurationAtLeast(floor(ns))),
        BinaryOp::Less | BinaryOp::LessEq => Some(SpanPredicate::DurationAtMost(ceil(ns))),
        _ => None,
    }
}

fn floor(ns: f64) -> u64 {
    if ns < EXACT_MAX as f64 { ns.floor() as u64 } else { (ns * (1.0 - 1e-15)) as u64 }
}

fn ceil(ns: f64) -> u64 {
    if ns < EXACT_MAX as f64 { ns.ceil() as u64 } else { (ns * (1.0 + 1e-15)) as u64 }
}
