//! Search: the newest traces that a query accepts, as lists show them.
//!
//! Where spans are judged one by one, only what decides is read of them, and the few traces found are then fetched whole.
//! Where their trace decides, traces come whole from the store. What ends a search early (its deadline, its memory, an
//! asker who has enough) leaves what was found so far, marked as partial.

use crate::eval::run;
use crate::eval::view::TraceView;
use crate::found::{FoundTrace, describe};
use crate::plan::{self, Plan};
use crate::scan::{self, Partial};
use crate::shown::{Shown, shown};
use crate::syntax::Query;
use bramble_signal::TraceId;
use bramble_storage::{QueryContext, ReadError, TraceSource};
use std::collections::{BTreeMap, HashSet};

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

/// What a search found.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Searched {
    /// At most the limit, by descending start.
    pub traces: Vec<FoundTrace>,
    /// Why there may be more, or newer ones; `None` when the whole range was searched or the limit reached.
    pub partial: Option<Partial>,
}

/// Traces with at least one accepted set, by descending start: the newest to the precision of a block, or exactly the
/// newest of the range when the query has the hint `most_recent=true`. `on_found` is shown each one as it comes, and ends
/// the search by answering `false`; a trace that was shown may be missing in the answer when newer ones came.
///
/// The deadline of `context` ends the search, too: the answer is then marked as partial.
///
/// # Errors
/// [`ReadError`] of the store, but for its deadline; or when not even one trace fits the query's memory.
pub fn search_with(
    query: &Query,
    source: &dyn TraceSource,
    options: &SearchOptions,
    context: &QueryContext,
    on_found: &mut dyn FnMut(&FoundTrace) -> bool,
) -> Result<Searched, ReadError> {
    // A query that measures has no traces to show.
    if query.metrics.is_some() || options.limit == 0 {
        return Ok(Searched::default());
    }
    let plan = plan::of(&query.stages, &[]);
    let mut search = Search {
        query,
        source,
        options,
        context,
        shown: shown(&query.stages),
        newest: query.most_recent(),
        on_found,
        kept: BTreeMap::new(),
        stopped: false,
    };
    let outcome = match plan.trace_id {
        Some(id) => search.one(id),
        // Unless all of the range is to be read for the newest, the store gives the traces that have such spans, several
        // at a time.
        None if plan.whole_traces || !search.newest => search.traces(&plan),
        None => search.spans(&plan),
    };
    let partial = Partial::of(outcome, !search.kept.is_empty())?.or(search.stopped.then_some(Partial::Stopped));
    Ok(Searched { traces: search.kept.into_values().rev().collect(), partial })
}

/// As [`search_with`], all at once. What ended a search early is in the context's warnings.
///
/// # Errors
/// As [`search_with`].
pub fn search(
    query: &Query,
    source: &dyn TraceSource,
    options: &SearchOptions,
    context: &QueryContext,
) -> Result<Vec<FoundTrace>, ReadError> {
    let found = search_with(query, source, options, context, &mut |_| true)?;
    if let Some(partial) = found.partial {
        context.warn(partial.to_string());
    }
    Ok(found.traces)
}

struct Search<'q> {
    query: &'q Query,
    source: &'q dyn TraceSource,
    options: &'q SearchOptions,
    context: &'q QueryContext,
    shown: Vec<Shown>,
    /// Whether the search goes on when it has enough, for newer ones.
    newest: bool,
    on_found: &'q mut dyn FnMut(&FoundTrace) -> bool,
    /// By start, then id.
    kept: BTreeMap<(u64, TraceId), FoundTrace>,
    /// Whether the asker had enough.
    stopped: bool,
}

impl Search<'_> {
    fn is_full(&self) -> bool {
        self.kept.len() >= self.options.limit
    }

    fn in_range(&self, start_ns: u64) -> bool {
        (self.options.start_ns..=self.options.end_ns).contains(&start_ns)
    }

    fn one(&mut self, id: TraceId) -> Result<bool, ReadError> {
        let batch = self.source.trace(id, self.context)?;
        match batch.spans.iter().any(|s| self.in_range(s.start_ns)) {
            true => self.judge(&TraceView::new(&batch, &batch.spans)),
            false => Ok(true),
        }
    }

    /// Whole traces, judged as they come.
    fn traces(&mut self, plan: &Plan) -> Result<bool, ReadError> {
        let range_ns = (self.options.start_ns, self.options.end_ns);
        scan::traces(plan, self.source, range_ns, self.context, |view| self.judge(view))
    }

    /// Spans, and the traces of those that are accepted.
    fn spans(&mut self, plan: &Plan) -> Result<bool, ReadError> {
        let (stages, source, context) = (&self.query.stages, self.source, self.context);
        let range_ns = (self.options.start_ns, self.options.end_ns);
        let mut seen: HashSet<TraceId> = HashSet::new();
        scan::spans(stages, plan, source, range_ns, context, |view, at| {
            let Some(span) = view.spans.get(at) else { return Ok(true) };
            // A trace starts no later than its spans: this one is older than all that are kept.
            let too_old = self.is_full() && self.kept.keys().next().is_some_and(|(oldest, _)| *oldest > span.start_ns);
            if too_old || !seen.insert(span.trace_id) {
                return Ok(true);
            }
            // An id and its place in the set.
            context.reserve(2 * size_of::<TraceId>())?;
            let batch = source.trace(span.trace_id, context)?;
            if batch.spans.is_empty() {
                return Ok(true);
            }
            self.judge(&TraceView::new(&batch, &batch.spans))
        })
    }

    /// Keeps a trace if the query accepts it. Answers whether the search goes on.
    fn judge(&mut self, view: &TraceView<'_>) -> Result<bool, ReadError> {
        let sets = run(view, &self.query.stages);
        if sets.is_empty() {
            return Ok(true);
        }
        let found = describe(view, sets, &self.shown, self.options.spans_per_set);
        let key = (found.start_ns, found.trace_id);
        if self.is_full() {
            if self.kept.first_key_value().is_some_and(|(oldest, _)| *oldest >= key) {
                return Ok(true);
            }
            if let Some((_, oldest)) = self.kept.pop_first() {
                self.context.release(oldest.memory_bytes());
            }
        }
        self.context.reserve(found.memory_bytes())?;
        self.stopped = !(self.on_found)(&found);
        self.kept.insert(key, found);
        if self.stopped {
            return Ok(false);
        }
        // Without the hint any will do, as the store has the newest blocks first.
        Ok(self.newest || !self.is_full())
    }
}
