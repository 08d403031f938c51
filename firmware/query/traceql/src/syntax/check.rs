//! Types: what can be said of values before a query runs.

use super::ast::*;

/// What kind of value it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Type {
    /// An attribute: known only when it is read.
    Any,
    Nil,
    Bool,
    Number,
    Text,
    Status,
    Kind,
}

/// What is wrong, without the operation that Tempo's sentence ends with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mismatch {
    Differ,
    Illegal,
}

impl Mismatch {
    pub(super) fn sentence(self, e: &Expr) -> String {
        match self {
            Mismatch::Differ => format!("binary operations must operate on the same type: {e}"),
            Mismatch::Illegal => format!("illegal operation for the given types: {e}"),
        }
    }
}

pub(super) fn of_field(field: &Field) -> Type {
    use Intrinsic::*;
    match field {
        Field::Attribute(..) => Type::Any,
        Field::Intrinsic(intrinsic) => match intrinsic {
            Duration | ChildCount | TraceDuration | NestedSetLeft | NestedSetRight | NestedSetParent
            | EventTimeSinceStart => Type::Number,
            Status => Type::Status,
            Kind => Type::Kind,
            Name
            | StatusMessage
            | SpanId
            | ParentId
            | RootName
            | RootService
            | TraceId
            | EventName
            | LinkTraceId
            | LinkSpanId
            | InstrumentationName
            | InstrumentationVersion => Type::Text,
        },
    }
}

pub(super) fn of_literal(literal: &Literal) -> Type {
    match literal {
        Literal::Nil => Type::Nil,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) | Literal::Float(_) | Literal::Duration(_) => Type::Number,
        Literal::Text(_) => Type::Text,
        Literal::Status(_) => Type::Status,
        Literal::Kind(_) => Type::Kind,
    }
}

/// The type of `a op b`.
pub(super) fn of_binary(op: BinaryOp, a: Type, b: Type) -> Result<Type, Mismatch> {
    use BinaryOp::*;
    let is_equality = matches!(op, Eq | Neq);
    let open = a == Type::Any || b == Type::Any || (is_equality && (a == Type::Nil || b == Type::Nil));
    if a != b && !open {
        return Err(Mismatch::Differ);
    }
    let fits = |t: Type| match op {
        And | Or => t == Type::Bool,
        Eq | Neq => true,
        Less | LessEq | Greater | GreaterEq => matches!(t, Type::Number | Type::Text),
        Add | Sub | Mul | Div | Mod | Pow => t == Type::Number,
    };
    if [a, b].into_iter().any(|t| t != Type::Any && !fits(t)) {
        return Err(Mismatch::Illegal);
    }
    Ok(if matches!(op, And | Or) || op.is_comparison() { Type::Bool } else { Type::Number })
}
