//! Search: the newest traces that a query accepts, as lists show them.

use crate::eval::field::value_of;
use crate::eval::value::Value;
use crate::eval::view::{At, TraceView};
use crate::eval::{Spanset, compare, run};
use crate::plan;
use crate::syntax::Query;
use crate::syntax::ast::{BinaryOp, Expr, Field, Intrinsic, Literal, Scalar, SpansetExpr, Stage};
use bramble_signal::{SpanBatch, SpanId, TraceId};
use bramble_storage::{QueryContext, ReadError, SpanScan, TraceSource};
use std::collections::BTreeMap;

/// What bounds a search.
#[derive(Clone, Copy, Debug)]
pub struct SearchOptions {
    /// First span start, nanoseconds, inclusive.
    pub start_ns: u64,
    /// End of the range of span starts, nanoseconds, inclusive.
    pub end_ns: u64,
    /// Most traces; the search ends when it has them.
    pub limit: usize,
    /// Most spans shown of each set.
    pub spans_per_set: usize,
}

/// A trace that was found.
#[derive(Clone, PartialEq, Debug)]
pub struct FoundTrace {
    /// Which.
    pub trace_id: TraceId,
    /// Service and operation of the root; `None` when the root is not known.
    pub root: Option<(String, String)>,
    /// First start, nanoseconds.
    pub start_ns: u64,
    /// From the first start to the last end, nanoseconds.
    pub duration_ns: u64,
    /// Accepted sets, at least one.
    pub sets: Vec<FoundSet>,
    /// Number of spans and of failed ones, by service.
    pub services: BTreeMap<String, (u32, u32)>,
}

/// A set of spans that was accepted.
#[derive(Clone, PartialEq, Debug)]
pub struct FoundSet {
    /// Values that steps computed for the set, by their text.
    pub attributes: Vec<(String, Value<'static>)>,
    /// The first spans by start.
    pub spans: Vec<FoundSpan>,
    /// How many there are.
    pub matched: usize,
}

/// A span that was accepted.
#[derive(Clone, PartialEq, Debug)]
pub struct FoundSpan {
    /// Which.
    pub span_id: SpanId,
    /// The operation, if the query asks for names.
    pub name: Option<String>,
    /// Nanoseconds.
    pub start_ns: u64,
    /// Nanoseconds.
    pub duration_ns: u64,
    /// Fields that the query speaks of, by key without scope.
    pub attributes: Vec<(String, Value<'static>)>,
}

/// The newest traces (to the precision of a block) with at least one accepted set, by descending start.
///
/// # Errors
/// [`ReadError`] of the store, or when the answer does not fit the query's memory.
pub fn search(
    query: &Query,
    source: &dyn TraceSource,
    options: &SearchOptions,
    context: &QueryContext,
) -> Result<Vec<FoundTrace>, ReadError> {
    let mut found = Vec::new();
    // A query that measures has no traces to show.
    if query.metrics.is_some() || options.limit == 0 {
        return Ok(found);
    }
    let shown = shown(&query.stages);
    each_trace(query, source, (options.start_ns, options.end_ns), context, |view| {
        let sets = run(view, &query.stages);
        if !sets.is_empty() {
            let trace = describe(view, sets, &shown, options.spans_per_set);
            context.reserve(trace.memory_bytes())?;
            found.push(trace);
        }
        Ok(found.len() < options.limit)
    })?;
    found.sort_by_key(|t| std::cmp::Reverse((t.start_ns, t.trace_id)));
    Ok(found)
}

/// Shows `each` every trace that may match and has a span in range, until it answers `false`.
///
/// # Errors
/// [`ReadError`] of the store or of `each`.
pub fn each_trace(
    query: &Query,
    source: &dyn TraceSource,
    (start_ns, end_ns): (u64, u64),
    context: &QueryContext,
    mut each: impl FnMut(&TraceView<'_>) -> Result<bool, ReadError>,
) -> Result<(), ReadError> {
    let predicates = plan::predicates(&query.stages);
    let mut cursor = source.scan(&SpanScan::whole(start_ns, end_ns, &predicates), context)?;
    let mut batch = SpanBatch::new();
    while cursor.next(&mut batch)? {
        context.check()?;
        for spans in batch.spans.chunk_by(|a, b| a.trace_id == b.trace_id) {
            if spans.iter().any(|s| (start_ns..=end_ns).contains(&s.start_ns)) && !each(&TraceView::new(&batch, spans))?
            {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn describe(view: &TraceView<'_>, sets: Vec<Spanset<'_>>, shown: &[Shown], spans_per_set: usize) -> FoundTrace {
    let (start_ns, end_ns) = view.bounds();
    let sets = sets.into_iter().map(|mut set| {
        let matched = set.spans.len();
        set.spans.sort_by_key(|at| view.spans.get(*at).map(|s| s.start_ns));
        set.spans.truncate(spans_per_set);
        let spans = set.spans.iter().filter_map(|at| describe_span(view, *at, shown)).collect();
        let attributes = set.attributes.into_iter().map(|(name, value)| (name, value.into_owned())).collect();
        FoundSet { attributes, spans, matched }
    });
    FoundTrace {
        trace_id: view.spans.first().map(|s| s.trace_id).unwrap_or_default(),
        root: view.root().map(|r| (view.batch.service(r).to_owned(), view.batch.text(r.name).to_owned())),
        start_ns,
        duration_ns: end_ns - start_ns,
        sets: sets.collect(),
        services: view.services(),
    }
}

fn describe_span(view: &TraceView<'_>, at: At, shown: &[Shown]) -> Option<FoundSpan> {
    let span = view.spans.get(at)?;
    let (mut name, mut attributes) = (None, Vec::new());
    for shown in shown {
        let value = shown.value(view, at);
        if value == Value::Nil {
            continue;
        }
        match &shown.field {
            Field::Intrinsic(Intrinsic::Name) => name = Some(view.batch.text(span.name).to_owned()),
            Field::Intrinsic(intrinsic) => attributes.push((intrinsic.as_str().to_owned(), value.into_owned())),
            Field::Attribute(_, key) => attributes.push((key.clone(), value.into_owned())),
        }
    }
    Some(FoundSpan {
        span_id: span.span_id,
        name,
        start_ns: span.start_ns,
        duration_ns: span.duration_ns(),
        attributes,
    })
}

impl FoundTrace {
    fn memory_bytes(&self) -> usize {
        let attributes =
            |list: &[(String, Value<'_>)]| list.iter().map(|(k, v)| 64 + k.len() + v.heap_bytes()).sum::<usize>();
        let sets = self.sets.iter().map(|set| {
            let spans: usize = set
                .spans
                .iter()
                .map(|s| size_of::<FoundSpan>() + s.name.as_ref().map_or(0, String::len) + attributes(&s.attributes))
                .sum();
            size_of::<FoundSet>() + attributes(&set.attributes) + spans
        });
        let services: usize = self.services.keys().map(|name| 64 + name.len()).sum();
        size_of::<FoundTrace>()
            + self.root.as_ref().map_or(0, |(a, b)| a.len() + b.len())
            + services
            + sets.sum::<usize>()
    }
}

/// A field that the query speaks of: it is shown where one of its tests holds, or always when it is used without one.
struct Shown {
    field: Field,
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
    fn value<'a>(&self, view: &TraceView<'a>, at: At) -> Value<'a> {
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

fn shown(stages: &[Stage]) -> Vec<Shown> {
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
                note(out, field, Some(Test::Compare(plan::mirrored(*op), literal.clone())));
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
