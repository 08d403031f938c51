//! Types: what can be said of a query before it runs.

use super::ast::*;
use super::{ParseError, Query};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Type {
    /// An attribute: known only when it is read.
    Any,
    Nil,
    Bool,
    Number,
    Text,
    Status,
    Kind,
}

pub(super) fn query(query: &Query) -> Result<(), ParseError> {
    query.stages.iter().try_for_each(stage)
}

fn stage(stage: &Stage) -> Result<(), ParseError> {
    match stage {
        Stage::Spanset(set) => spanset(set),
        Stage::By(e) => type_of(e).map(|_| ()),
        Stage::Coalesce | Stage::Select(_) => Ok(()),
        Stage::Filter(left, _, right) => scalar(left).and(scalar(right)),
    }
}

fn spanset(set: &SpansetExpr) -> Result<(), ParseError> {
    match set {
        SpansetExpr::Filter(None) => Ok(()),
        SpansetExpr::Filter(Some(e)) => match type_of(e)? {
            Type::Any | Type::Bool => Ok(()),
            _ => Err(ParseError(format!("span filter field expressions must resolve to a boolean: {{ {e} }}"))),
        },
        SpansetExpr::Op { left, right, .. } => spanset(left).and_then(|()| spanset(right)),
        SpansetExpr::Pipeline(stages) => stages.iter().try_for_each(stage),
    }
}

fn scalar(value: &Scalar) -> Result<(), ParseError> {
    match value {
        Scalar::Literal(_) | Scalar::Count => Ok(()),
        Scalar::Aggregate(_, e) => match type_of(e)? {
            Type::Any | Type::Number => Ok(()),
            _ => Err(ParseError(format!("aggregate field expressions must resolve to a number type: {value}"))),
        },
        Scalar::Binary(_, a, b) => scalar(a).and_then(|()| scalar(b)),
    }
}

fn of_field(field: &Field) -> Type {
    use Intrinsic::*;
    match field {
        Field::Attribute(..) => Type::Any,
        Field::Intrinsic(intrinsic) => match intrinsic {
            Duration | ChildCount | TraceDuration | NestedSetLeft | NestedSetRight | NestedSetParent
            | EventTimeSinceStart => Type::Number,
            Status => Type::Status,
            Kind => Type::Kind,
            _ => Type::Text,
        },
    }
}

fn of_literal(literal: &Literal) -> Type {
    match literal {
        Literal::Nil => Type::Nil,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) | Literal::Float(_) | Literal::Duration(_) => Type::Number,
        Literal::Text(_) => Type::Text,
        Literal::Status(_) => Type::Status,
        Literal::Kind(_) => Type::Kind,
    }
}

fn type_of(e: &Expr) -> Result<Type, ParseError> {
    let illegal = || ParseError(format!("illegal operation for the given type: {e}"));
    Ok(match e {
        Expr::Literal(literal) => of_literal(literal),
        Expr::Field(field) => of_field(field),
        Expr::Not(inner) => match type_of(inner)? {
            Type::Any | Type::Bool => Type::Bool,
            _ => return Err(illegal()),
        },
        Expr::Negate(inner) => match type_of(inner)? {
            Type::Any | Type::Number => Type::Number,
            _ => return Err(illegal()),
        },
        Expr::Match { value, .. } => match type_of(value)? {
            Type::Any | Type::Text => Type::Bool,
            _ => return Err(ParseError(format!("binary operations must operate on the same type: {e}"))),
        },
        Expr::Binary(op, a, b) => of_binary(e, *op, type_of(a)?, type_of(b)?)?,
    })
}

fn of_binary(e: &Expr, op: BinaryOp, a: Type, b: Type) -> Result<Type, ParseError> {
    use BinaryOp::*;
    let is_equality = matches!(op, Eq | Neq);
    let open = a == Type::Any || b == Type::Any || (is_equality && (a == Type::Nil || b == Type::Nil));
    if a != b && !open {
        return Err(ParseError(format!("binary operations must operate on the same type: {e}")));
    }
    let fits = |t: Type| match op {
        And | Or => t == Type::Bool,
        Eq | Neq => true,
        Less | LessEq | Greater | GreaterEq => matches!(t, Type::Number | Type::Text),
        Add | Sub | Mul | Div | Mod | Pow => t == Type::Number,
    };
    if [a, b].into_iter().any(|t| t != Type::Any && !fits(t)) {
        return Err(ParseError(format!("illegal operation for the given types: {e}")));
    }
    Ok(if matches!(op, And | Or) || op.is_comparison() { Type::Bool } else { Type::Number })
}
