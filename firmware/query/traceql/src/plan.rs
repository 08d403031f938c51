//! What a store is asked for: tests that let it skip spans and traces, whether it must give whole traces, and which
//! parts of each span.
//!
//! All of it is implied by the query, never more: what comes back is judged exactly. Predicates are those that every
//! accepted span passes (or, of whole traces, that one span of every accepted trace passes).

mod needs;
mod predicate;

use crate::syntax::ast::{BinaryOp, Expr, Field, Intrinsic, Literal, Relation, SpansetExpr, Stage};
use bramble_signal::TraceId;
use bramble_storage::{SpanFields, SpanPredicate};
use needs::Needs;
pub(crate) use needs::is_root_test;

/// What to ask of a store.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// All hold for each accepted span, or with `whole_traces` for one span of each accepted trace.
    pub predicates: Vec<SpanPredicate>,
    /// Whether spans are judged by what their trace holds.
    pub whole_traces: bool,
    /// What is read of each span.
    pub fields: SpanFields,
    /// The only trace that can be accepted.
    pub trace_id: Option<TraceId>,
}

/// The plan for finding spans that `stages` accept, of which `read` are looked at, too.
pub fn of(stages: &[Stage], read: &[&Field]) -> Plan {
    let mut needs = Needs::default();
    needs.of_stages(stages);
    read.iter().for_each(|field| needs.note(field));
    let whole_traces = needs.whole_trace || !is_spanwise(stages);
    let predicate = if whole_traces { exists_in_stages(stages) } else { each_of_stages(stages) };
    let predicates = match predicate {
        Some(SpanPredicate::All(all)) => all,
        other => other.into_iter().collect(),
    };
    Plan { predicates, whole_traces, fields: needs.into_fields(), trace_id: only_trace(stages) }
}

/// Whether a filter of these steps looks at a fixed field.
pub(crate) fn names(stages: &[Stage], field: &Field) -> bool {
    let filters = stages.iter().filter(|stage| matches!(stage, Stage::Spanset(_)));
    let mut needs = Needs::default();
    filters.for_each(|stage| needs.of_stages(std::slice::from_ref(stage)));
    needs.looks_at(field)
}

/// Whether each span is judged by itself: no structure, and nothing computed of a set decides.
pub(crate) fn is_spanwise(stages: &[Stage]) -> bool {
    stages.iter().all(|stage| match stage {
        Stage::Spanset(set) => is_spanwise_set(set),
        Stage::By(_) | Stage::Coalesce | Stage::Select(_) => true,
        Stage::Filter(..) => false,
    })
}

fn is_spanwise_set(set: &SpansetExpr) -> bool {
    match set {
        SpansetExpr::Filter(_) => true,
        SpansetExpr::Op { relation: Relation::Or, left, right, .. } => is_spanwise_set(left) && is_spanwise_set(right),
        SpansetExpr::Op { .. } => false,
        SpansetExpr::Pipeline(stages) => is_spanwise(stages),
    }
}

/// What each span passes that remains after all steps.
fn each_of_stages(stages: &[Stage]) -> Option<SpanPredicate> {
    predicate::all(stages.iter().filter_map(|stage| match stage {
        Stage::Spanset(set) => each_of_set(set),
        _ => None,
    }))
}

fn each_of_set(set: &SpansetExpr) -> Option<SpanPredicate> {
    match set {
        SpansetExpr::Filter(filter) => predicate::of(filter.as_ref()?),
        SpansetExpr::Op { relation: Relation::Or | Relation::And, left, right, .. }
        | SpansetExpr::Op { union: true, left, right, .. } => {
            predicate::any(vec![each_of_set(left)?, each_of_set(right)?])
        }
        SpansetExpr::Op { right, .. } => each_of_set(right),
        SpansetExpr::Pipeline(stages) => each_of_stages(stages),
    }
}

/// What one span passes of every trace in which something remains.
fn exists_in_stages(stages: &[Stage]) -> Option<SpanPredicate> {
    let mut sets = stages.iter().filter_map(|stage| match stage {
        Stage::Spanset(set) => Some(set),
        _ => None,
    });
    match (sets.next(), sets.next()) {
        (Some(only), None) => exists_in_set(only),
        (Some(first), Some(_)) => each_of_stages(stages).or_else(|| exists_in_set(first)),
        (None, _) => None,
    }
}

fn exists_in_set(set: &SpansetExpr) -> Option<SpanPredicate> {
    match set {
        SpansetExpr::Filter(filter) => predicate::of(filter.as_ref()?),
        SpansetExpr::Pipeline(stages) => exists_in_stages(stages),
        SpansetExpr::Op { relation: Relation::Or, left, right, .. } => {
            predicate::any(vec![exists_in_set(left)?, exists_in_set(right)?])
        }
        // Spans of the right side are the answer, and in the range that is asked for; those of the left may lie before it.
        SpansetExpr::Op { negated, left, right, .. } => {
            let right = exists_in_set(right);
            let rules_out = |p: &SpanPredicate| predicate::strength(p) >= predicate::STRONG;
            if *negated || right.as_ref().is_some_and(rules_out) {
                return right;
            }
            match (exists_in_set(left), right) {
                (Some(left), Some(right)) => Some(if rules_out(&left) { left } else { right }),
                (left, right) => right.or(left),
            }
        }
    }
}

/// The trace that `{ trace:id = "…" && … }` names.
fn only_trace(stages: &[Stage]) -> Option<TraceId> {
    let Some(Stage::Spanset(SpansetExpr::Filter(Some(e)))) = stages.first() else { return None };
    trace_of(e)
}

fn trace_of(e: &Expr) -> Option<TraceId> {
    let Expr::Binary(op, a, b) = e else { return None };
    match (op, &**a, &**b) {
        (BinaryOp::And, a, b) => trace_of(a).or_else(|| trace_of(b)),
        (BinaryOp::Eq, Expr::Field(Field::Intrinsic(Intrinsic::TraceId)), Expr::Literal(Literal::Text(id)))
        | (BinaryOp::Eq, Expr::Literal(Literal::Text(id)), Expr::Field(Field::Intrinsic(Intrinsic::TraceId))) => {
            // Compared as text: only the form in which ids print.
            TraceId::parse(id).filter(|parsed| parsed.to_string() == *id)
        }
        _ => None,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;
    use bramble_signal::{SpanKind, StatusCode};
    use bramble_storage::{AttributeScope, ValueTest};

    fn plan(text: &str) -> Plan {
        of(&parse(text).unwrap().stages, &[])
    }

    fn attribute(scope: AttributeScope, key: &str, test: ValueTest) -> SpanPredicate {
        SpanPredicate::Attribute { scope, key: key.to_owned(), test }
    }

    fn within(at_least: f64, at_most: f64) -> ValueTest {
        ValueTest::Within { at_least, at_most }
    }

    #[test]
    fn what_must_hold_is_pushed() {
        use AttributeScope::{Any, Event, Span};
        let is = ValueTest::is;
        for (text, wanted) in [
            ("{ span.circuit_id = \"circ-00042\" }", vec![attribute(Span, "circuit_id", is("circ-00042"))]),
            ("{ duration > 500ms }", vec![SpanPredicate::DurationAtLeast(500_000_000)]),
            ("{ duration <= 500ms }", vec![SpanPredicate::DurationAtMost(500_000_000)]),
            (
                "{ .a = 1 || .b = 2 }",
                vec![SpanPredicate::Any(vec![attribute(Any, "a", is("1")), attribute(Any, "b", is("2"))])],
            ),
            ("{ .a = 1 || true }", vec![]),
            ("{ .a = nil }", vec![]),
            ("{ .a != nil }", vec![attribute(Any, "a", ValueTest::Present)]),
            ("{ !(.a = 1) }", vec![attribute(Any, "a", ValueTest::Present), attribute(Any, "a", is("1"))]),
            ("{ .a + .b > 1 }", vec![attribute(Any, "a", ValueTest::Present), attribute(Any, "b", ValueTest::Present)]),
            ("{ span.a >= 5 }", vec![attribute(Span, "a", within(5.0, f64::INFINITY))]),
            ("{ span.a = 0.5 }", vec![attribute(Span, "a", within(0.5, 0.5))]),
            ("{ event.a = \"x\" }", vec![attribute(Event, "a", is("x"))]),
            ("{ event:name = \"x\" }", vec![SpanPredicate::EventName(is("x"))]),
            (
                "{ kind = server && status = error }",
                vec![SpanPredicate::Kind(SpanKind::Server), SpanPredicate::Status(StatusCode::Error)],
            ),
            ("{ nestedSetParent < 0 }", vec![SpanPredicate::Root]),
            (
                "{ resource.service.name = \"a\" } || { name = \"b\" }",
                vec![SpanPredicate::Any(vec![SpanPredicate::Service(is("a")), SpanPredicate::Name(is("b"))])],
            ),
            ("{ .a = 1 } >> { .b = 2 }", vec![attribute(Any, "b", is("2"))]),
            ("{ .a = 1 } >> { }", vec![attribute(Any, "a", is("1"))]),
            ("{ .a = 1 } !>> { }", vec![]),
            ("{ .a = 1 } | { .b = 2 }", vec![attribute(Any, "a", is("1")), attribute(Any, "b", is("2"))]),
            ("{ .a = 1 } | count() > 2", vec![attribute(Any, "a", is("1"))]),
        ] {
            assert_eq!(plan(text).predicates, wanted, "{text}");
        }
        assert!(matches!(
            plan("{ name =~ \"a.*\" }").predicates.as_slice(),
            [SpanPredicate::Name(ValueTest::Matches(_))]
        ));
    }

    #[test]
    fn whole_traces_only_where_they_decide() {
        for text in ["{ }", "{ .a = 1 } || { .b = 1 }", "{ nestedSetParent < 0 && name = \"x\" }", "{ } | by(name)"] {
            assert!(!plan(text).whole_traces, "{text}");
        }
        for text in [
            "{ } > { }",
            "{ } && { }",
            "{ } | count() > 1",
            "{ rootName = \"x\" }",
            "{ nestedSetParent > 3 }",
            "{ traceDuration > 1s }",
        ] {
            assert!(plan(text).whole_traces, "{text}");
        }
    }

    #[test]
    fn only_what_is_named_is_read() {
        let keys = |keys: &[&str]| Some(keys.iter().map(|k| (*k).to_owned()).collect::<Vec<_>>());
        let fields = plan("{ span.a = 1 && .b = 2 && resource.c = 3 }").fields;
        assert_eq!((fields.attributes, fields.events, fields.links), (keys(&["a", "b"]), false, false));
        assert!(plan("{ event:name = \"x\" }").fields.events);
        assert!(plan("{ link.x = 1 }").fields.links);
        assert_eq!(plan("{ } | select(span.x)").fields.attributes, keys(&["x"]));
        let id = "00000000000000000000000000000abc";
        assert_eq!(plan(&format!("{{ trace:id = \"{id}\" && name = \"x\" }}")).trace_id, TraceId::parse(id));
        assert_eq!(plan("{ trace:id = \"abc\" }").trace_id, None);
    }
}
