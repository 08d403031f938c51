//! Which parts of spans and traces a query looks at.

use crate::syntax::ast::{BinaryOp, Expr, Field, Intrinsic, Literal, Scalar, Scope, SpansetExpr, Stage};
use bramble_storage::SpanFields;
use std::collections::{BTreeSet, HashSet};

/// What is looked at.
#[derive(Default)]
pub(super) struct Needs {
    keys: BTreeSet<String>,
    events: bool,
    links: bool,
    intrinsics: HashSet<Intrinsic>,
    /// What is known only with all spans of the trace.
    pub(super) whole_trace: bool,
}

impl Needs {
    pub(super) fn into_fields(self) -> SpanFields {
        SpanFields {
            attributes: Some(self.keys.into_iter().collect()),
            events: self.events,
            links: self.links,
            trace_state: false,
        }
    }

    pub(super) fn looks_at(&self, field: &Field) -> bool {
        matches!(field, Field::Intrinsic(intrinsic) if self.intrinsics.contains(intrinsic))
    }

    pub(super) fn note(&mut self, field: &Field) {
        use Intrinsic::*;
        if let Field::Intrinsic(intrinsic) = field {
            self.intrinsics.insert(*intrinsic);
        }
        match field {
            Field::Attribute(Scope::Any | Scope::Span, key) => _ = self.keys.insert(key.clone()),
            Field::Attribute(Scope::Resource | Scope::Instrumentation, _) => {}
            Field::Attribute(Scope::Event, _) | Field::Intrinsic(EventName | EventTimeSinceStart) => self.events = true,
            Field::Attribute(Scope::Link, _) | Field::Intrinsic(LinkTraceId | LinkSpanId) => self.links = true,
            Field::Intrinsic(
                TraceDuration | RootName | RootService | NestedSetLeft | NestedSetRight | NestedSetParent,
            ) => self.whole_trace = true,
            Field::Intrinsic(
                Duration
                | ChildCount
                | Name
                | Status
                | StatusMessage
                | Kind
                | SpanId
                | ParentId
                | TraceId
                | InstrumentationName
                | InstrumentationVersion,
            ) => {}
        }
    }

    pub(super) fn of_stages(&mut self, stages: &[Stage]) {
        for stage in stages {
            match stage {
                Stage::Spanset(set) => self.of_set(set),
                Stage::By(e) => self.of_expr(e),
                Stage::Coalesce => {}
                Stage::Select(fields) => fields.iter().for_each(|field| self.note(field)),
                Stage::Filter(left, _, right) => {
                    self.of_scalar(left);
                    self.of_scalar(right);
                }
            }
        }
    }

    fn of_set(&mut self, set: &SpansetExpr) {
        match set {
            SpansetExpr::Filter(filter) => filter.iter().for_each(|e| self.of_expr(e)),
            SpansetExpr::Op { left, right, .. } => {
                self.of_set(left);
                self.of_set(right);
            }
            SpansetExpr::Pipeline(stages) => self.of_stages(stages),
        }
    }

    fn of_scalar(&mut self, scalar: &Scalar) {
        match scalar {
            Scalar::Literal(_) | Scalar::Count => {}
            Scalar::Aggregate(_, e) => self.of_expr(e),
            Scalar::Binary(_, a, b) => {
                self.of_scalar(a);
                self.of_scalar(b);
            }
        }
    }

    fn of_expr(&mut self, e: &Expr) {
        match e {
            Expr::Literal(_) => {}
            Expr::Field(field) => self.note(field),
            Expr::Not(inner) | Expr::Negate(inner) => self.of_expr(inner),
            Expr::Match { value, .. } => self.of_expr(value),
            e if is_root_test(e).is_some() => {}
            Expr::Binary(_, a, b) => {
                self.of_expr(a);
                self.of_expr(b);
            }
        }
    }
}

/// Whether this compares `nestedSetParent` so that only being a root decides: then what roots get. The field is -1 for
/// roots and not negative for others; clients ask for roots in this way.
pub(crate) fn is_root_test(e: &Expr) -> Option<bool> {
    let Expr::Binary(op, field, bound) = e else { return None };
    let Expr::Field(Field::Intrinsic(Intrinsic::NestedSetParent)) = **field else { return None };
    let bound = match &**bound {
        Expr::Literal(Literal::Int(i)) => *i,
        Expr::Negate(inner) => match **inner {
            Expr::Literal(Literal::Int(i)) => -i,
            _ => return None,
        },
        _ => return None,
    };
    match (op, bound) {
        (BinaryOp::Less, 0) | (BinaryOp::LessEq | BinaryOp::Eq, -1) => Some(true),
        (BinaryOp::GreaterEq, 0) | (BinaryOp::Greater | BinaryOp::Neq, -1) => Some(false),
        _ => None,
    }
}
