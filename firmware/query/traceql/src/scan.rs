//! Reading spans that a query may accept, and judging them.

use crate::eval::view::{At, TraceView};
use crate::eval::{accepts, run};
use crate::plan::Plan;
use crate::syntax::ast::{BinaryOp, Expr, Field, Scope, SpansetExpr, Stage};
use bramble_signal::SpanBatch;
use bramble_storage::{QueryContext, ReadError, SpanScan, TraceSource};

/// Why an answer may lack something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Partial {
    /// The query's time was over.
    Time,
    /// The query's memory was used up.
    Memory,
    /// Whoever asks had enough.
    Stopped,
}

impl std::fmt::Display for Partial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Partial::Time => "partial: the time for one query was over before all of the range was read",
            Partial::Memory => "partial: the memory for one query was used up before all of the range was read",
            Partial::Stopped => "partial: the query was ended before all of the range was read",
        })
    }
}

impl Partial {
    /// How a scan ended that answers whether it went on to its end. Running out of memory is an error unless there is
    /// something to show.
    pub(crate) fn of(outcome: Result<bool, ReadError>, found_some: bool) -> Result<Option<Self>, ReadError> {
        match outcome {
            Ok(_) => Ok(None),
            Err(ReadError::Timeout) => Ok(Some(Partial::Time)),
            Err(ReadError::OverBudget(_)) if found_some => Ok(Some(Partial::Memory)),
            Err(e) => Err(e),
        }
    }
}

/// Shows `each` every whole trace that may match and has a span in `range_ns` (inclusive), until it answers `false`;
/// answers whether it did not.
pub(crate) fn traces(
    plan: &Plan,
    source: &dyn TraceSource,
    (start_ns, end_ns): (u64, u64),
    context: &QueryContext,
    mut each: impl FnMut(&TraceView<'_>) -> Result<bool, ReadError>,
) -> Result<bool, ReadError> {
    let scan =
        SpanScan { start_ns, end_ns, predicates: &plan.predicates, whole_traces: true, fields: plan.fields.clone() };
    let mut cursor = source.scan(&scan, context)?;
    let (mut batch, mut batch_number) = (SpanBatch::new(), 0);
    while cursor.next(&mut batch)? {
        context.check()?;
        batch_number += 1;
        for spans in batch.spans.chunk_by(|a, b| a.trace_id == b.trace_id) {
            let in_range = spans.iter().any(|s| (start_ns..=end_ns).contains(&s.start_ns));
            if in_range && !each(&TraceView::new(&batch, spans).of_batch(batch_number))? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Shows `each` every span in `range_ns` (inclusive) that `stages` accept, which judge each span alone, until it answers
/// `false`; answers whether it did not. Nothing is known of the traces in the views it gets.
pub(crate) fn spans(
    stages: &[Stage],
    plan: &Plan,
    source: &dyn TraceSource,
    (start_ns, end_ns): (u64, u64),
    context: &QueryContext,
    mut each: impl FnMut(&TraceView<'_>, At) -> Result<bool, ReadError>,
) -> Result<bool, ReadError> {
    let scan =
        SpanScan { start_ns, end_ns, predicates: &plan.predicates, whole_traces: false, fields: plan.fields.clone() };
    let mut cursor = source.scan(&scan, context)?;
    let (mut batch, mut batch_number) = (SpanBatch::new(), 0);
    let mut judge = Judge::of(stages);
    while cursor.next(&mut batch)? {
        context.check()?;
        batch_number += 1;
        judge.enter_batch(&batch);
        let view = TraceView::loose(&batch).of_batch(batch_number);
        for (at, span) in batch.spans.iter().enumerate() {
            if (start_ns..=end_ns).contains(&span.start_ns)
                && judge.accepts(&view, at, span.resource as usize)
                && !each(&view, at)?
            {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Shows `each` every accepted span; those outside of the range, too, where whole traces are judged.
pub(crate) fn accepted(
    stages: &[Stage],
    plan: &Plan,
    source: &dyn TraceSource,
    range_ns: (u64, u64),
    context: &QueryContext,
    mut each: impl FnMut(&TraceView<'_>, At) -> Result<bool, ReadError>,
) -> Result<bool, ReadError> {
    if !plan.whole_traces {
        return spans(stages, plan, source, range_ns, context, each);
    }
    traces(plan, source, range_ns, context, |view| {
        for set in run(view, stages) {
            for at in set.spans {
                if !each(view, at)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    })
}

/// Judges spans one by one. What looks only at the resource is worked out once for each resource of a batch.
struct Judge<'q> {
    of_resource: Vec<&'q Expr>,
    of_span: Vec<&'q Expr>,
    others: Vec<&'q SpansetExpr>,
    /// By resource of the batch, once it is known.
    known: Vec<Option<bool>>,
}

impl<'q> Judge<'q> {
    fn of(stages: &'q [Stage]) -> Self {
        let mut judge = Judge { of_resource: Vec::new(), of_span: Vec::new(), others: Vec::new(), known: Vec::new() };
        for stage in stages {
            match stage {
                Stage::Spanset(SpansetExpr::Filter(filter)) => filter.iter().for_each(|e| judge.split(e)),
                Stage::Spanset(other) => judge.others.push(other),
                Stage::By(_) | Stage::Coalesce | Stage::Select(_) | Stage::Filter(..) => {}
            }
        }
        judge
    }

    fn split(&mut self, e: &'q Expr) {
        match e {
            Expr::Binary(BinaryOp::And, a, b) => {
                self.split(a);
                self.split(b);
            }
            e if is_of_resource(e) => self.of_resource.push(e),
            e => self.of_span.push(e),
        }
    }

    fn enter_batch(&mut self, batch: &SpanBatch) {
        self.known.clear();
        self.known.resize(batch.resources.len(), None);
    }

    fn accepts(&mut self, view: &TraceView<'_>, at: At, resource: usize) -> bool {
        if !self.of_resource.is_empty() {
            let known = self.known.get(resource).copied().flatten();
            let passes = known.unwrap_or_else(|| self.of_resource.iter().all(|e| accepts(view, at, Some(e))));
            if let (None, Some(known)) = (known, self.known.get_mut(resource)) {
                *known = Some(passes);
            }
            if !passes {
                return false;
            }
        }
        self.of_span.iter().all(|e| accepts(view, at, Some(e))) && self.others.iter().all(|set| holds(view, at, set))
    }
}

fn holds(view: &TraceView<'_>, at: At, set: &SpansetExpr) -> bool {
    match set {
        SpansetExpr::Filter(filter) => accepts(view, at, filter.as_ref()),
        SpansetExpr::Op { left, right, .. } => holds(view, at, left) || holds(view, at, right),
        SpansetExpr::Pipeline(stages) => stages.iter().all(|stage| match stage {
            Stage::Spanset(set) => holds(view, at, set),
            _ => true,
        }),
    }
}

fn is_of_resource(e: &Expr) -> bool {
    match e {
        Expr::Literal(_) => true,
        Expr::Field(field) => matches!(field, Field::Attribute(Scope::Resource, _)),
        Expr::Not(inner) | Expr::Negate(inner) => is_of_resource(inner),
        Expr::Match { value, .. } => is_of_resource(value),
        Expr::Binary(_, a, b) => is_of_resource(a) && is_of_resource(b),
    }
}
