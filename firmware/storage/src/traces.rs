//! The trace contracts.

use crate::Sequence;
use crate::query::{QueryContext, ReadError};
use crate::span_test::{AttributeScope, SpanPredicate, ValueTest};
use crate::verdict::Rejections;
use bramble_runtime::{OverBudget, Reservation};
use bramble_signal::attributes::{AttributeValue, AttributesRef};
use bramble_signal::{SpanBatch, SpanEntry, SpanKind, TraceId};
use std::collections::BTreeSet;

/// A batch that was judged: what remains to be made durable and applied. `batch` holds only accepted spans.
pub struct PreparedSpans {
    /// The accepted spans.
    pub batch: SpanBatch,
    /// Items stored or there already.
    pub accepted: u64,
    /// What was refused for good.
    pub rejections: Rejections,
    /// Head space for the batch; [`SpanSink::apply`] takes it over.
    pub space: Reservation,
}

/// The writing side of a trace store.
pub trait SpanSink: Send + Sync + 'static {
    /// Judges every span against `now_ns` and reserves head space. Spans are identified by (trace id, span id, kind),
    /// since both halves of a call have one id in Zipkin's shared spans; one that is there already is accepted and
    /// kept once, the one that arrived first.
    ///
    /// # Errors
    /// [`OverBudget`]: nothing was taken; try later.
    fn prepare(&self, batch: SpanBatch, now_ns: i64) -> Result<PreparedSpans, OverBudget>;

    /// Enters a prepared batch, durable at `sequence`, into the head. Cannot fail.
    fn apply(&self, prepared: PreparedSpans, sequence: Sequence);

    /// Enters a batch during replay, without judging again.
    fn replay(&self, batch: &SpanBatch, sequence: Sequence);
}

/// What is wanted of each span beside its ids, times, numbers, name, status message, resource and instrumentation
/// scope, which are always there. What is not wanted may be left empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpanFields {
    /// Keys of the span's own attributes; `None` for all.
    pub attributes: Option<Vec<String>>,
    /// Its events.
    pub events: bool,
    /// Its links.
    pub links: bool,
    /// Its trace state.
    pub trace_state: bool,
}

impl SpanFields {
    /// Everything.
    pub const ALL: SpanFields = SpanFields { attributes: None, events: true, links: true, trace_state: true };
    /// Only what is always there.
    pub const LEAST: SpanFields =
        SpanFields { attributes: Some(Vec::new()), events: false, links: false, trace_state: false };
}

/// What a search asks for.
#[derive(Clone, Debug)]
pub struct SpanScan<'a> {
    /// First span start wanted, nanoseconds, inclusive.
    pub start_ns: u64,
    /// End of the range of span starts, nanoseconds, inclusive.
    pub end_ns: u64,
    /// A span is wanted when it passes all of these; a trace when it has such a span in range.
    pub predicates: &'a [SpanPredicate],
    /// Whether wanted traces are to be given whole, with all their spans. Otherwise only the wanted spans are.
    pub whole_traces: bool,
    /// What is wanted of each span that is given.
    pub fields: SpanFields,
}

impl<'a> SpanScan<'a> {
    /// Whole traces with everything.
    pub fn whole(start_ns: u64, end_ns: u64, predicates: &'a [SpanPredicate]) -> Self {
        SpanScan { start_ns, end_ns, predicates, whole_traces: true, fields: SpanFields::ALL }
    }
}

/// Spans, batch after batch.
pub trait SpanCursor {
    /// Fills `out` (cleared first). `false` at the end. Newest first, to the precision of a block.
    ///
    /// *Whole traces*: all known spans of one or more traces, spans of a trace adjacent, each trace at most once per scan.
    /// Traces that fail the predicates may be included, if the store cannot tell cheaply.
    ///
    /// *Spans*: each span of the range that passes the predicates, once per scan; others may be included.
    /// Spans of a trace may come apart, in several batches.
    ///
    /// # Errors
    /// [`ReadError`]; the cursor is finished then.
    fn next(&mut self, out: &mut SpanBatch) -> Result<bool, ReadError>;
}

/// The reading side of a trace store. One call sees one snapshot of heads and blocks.
pub trait TraceSource: Send + Sync + 'static {
    /// All known spans of a trace, ascending by start time; empty when unknown.
    ///
    /// # Errors
    /// [`ReadError`].
    fn trace(&self, id: TraceId, context: &QueryContext) -> Result<SpanBatch, ReadError>;

    /// Traces that may match.
    ///
    /// # Errors
    /// [`ReadError`].
    fn scan<'a>(
        &'a self,
        scan: &SpanScan<'_>,
        context: &'a QueryContext,
    ) -> Result<Box<dyn SpanCursor + 'a>, ReadError>;

    /// Services with spans in range (to the precision of a block), ascending.
    ///
    /// # Errors
    /// [`ReadError`].
    fn services(&self, start_ns: u64, end_ns: u64, context: &QueryContext) -> Result<Vec<String>, ReadError>;

    /// Operations of a service with their kind, ascending, each pair once.
    ///
    /// # Errors
    /// [`ReadError`].
    fn operations(
        &self,
        service: &str,
        start_ns: u64,
        end_ns: u64,
        context: &QueryContext,
    ) -> Result<Vec<(String, SpanKind)>, ReadError>;

    /// Keys of attributes of spans that start in range (to the precision of a block), ascending, each once; `scope` names
    /// one place to look, or [`AttributeScope::Any`] for all of them, events and links too. At most `limit`; whether there
    /// are more. The default reads all spans; stores do better.
    ///
    /// # Errors
    /// [`ReadError`].
    fn attribute_names(
        &self,
        scope: AttributeScope,
        (start_ns, end_ns): (u64, u64),
        limit: usize,
        context: &QueryContext,
    ) -> Result<(Vec<(AttributeScope, String)>, bool), ReadError> {
        let mut found = BTreeSet::new();
        let scan = SpanScan { whole_traces: false, ..SpanScan::whole(start_ns, end_ns, &[]) };
        let mut cursor = self.scan(&scan, context)?;
        let mut batch = SpanBatch::new();
        while found.len() <= limit && cursor.next(&mut batch)? {
            for span in &batch.spans {
                each_attribute(&batch, span, scope, &mut |scope, key, _| {
                    if !found.contains(&(scope, key.to_owned())) {
                        found.insert((scope, key.to_owned()));
                    }
                });
            }
        }
        let partial = found.len() > limit;
        Ok((found.into_iter().take(limit).collect(), partial))
    }

    /// Distinct values that an attribute has in spans that start in range (to the precision of a block); elements of
    /// arrays one by one. At most `limit`; whether there are more. The default reads all spans that have it; stores do
    /// better.
    ///
    /// # Errors
    /// [`ReadError`].
    fn attribute_values(
        &self,
        scope: AttributeScope,
        key: &str,
        (start_ns, end_ns): (u64, u64),
        limit: usize,
        context: &QueryContext,
    ) -> Result<(Vec<FoundValue>, bool), ReadError> {
        let mut found = BTreeSet::new();
        let predicates = [SpanPredicate::Attribute { scope, key: key.to_owned(), test: ValueTest::Present }];
        let scan = SpanScan { whole_traces: false, ..SpanScan::whole(start_ns, end_ns, &predicates) };
        let mut cursor = self.scan(&scan, context)?;
        let mut batch = SpanBatch::new();
        while found.len() <= limit && cursor.next(&mut batch)? {
            for span in &batch.spans {
                each_attribute(&batch, span, scope, &mut |_, name, value| {
                    if name == key {
                        FoundValue::each_of(&value, &mut |value| _ = found.insert(value));
                    }
                });
            }
        }
        let partial = found.len() > limit;
        Ok((found.into_iter().take(limit).collect(), partial))
    }
}

/// A value of an attribute, by itself. Doubles by their bits, so that they can be sorted and told apart.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FoundValue {
    /// Truth value.
    Bool(bool),
    /// Whole number.
    Int(i64),
    /// Bits of a number.
    Double(u64),
    /// Text.
    Text(String),
}

impl FoundValue {
    /// The value, or the elements of an array that are values by themselves; bytes and lists have none.
    pub fn each_of(value: &AttributeValue<'_>, visit: &mut dyn FnMut(FoundValue)) {
        match value {
            AttributeValue::Bool(b) => visit(FoundValue::Bool(*b)),
            AttributeValue::Int(i) => visit(FoundValue::Int(*i)),
            AttributeValue::Double(d) => visit(FoundValue::Double(d.to_bits())),
            AttributeValue::Str(text) => visit(FoundValue::Text((*text).to_owned())),
            AttributeValue::Array(array) => {
                let singles = array.iter().filter(|e| !matches!(e, AttributeValue::Array(_)));
                singles.for_each(|element| FoundValue::each_of(&element, visit));
            }
            AttributeValue::Empty | AttributeValue::Bytes(_) | AttributeValue::List(_) => {}
        }
    }
}

/// Shows `visit` the attributes of a span that are in `scope` (of all scopes for [`AttributeScope::Any`]).
pub fn each_attribute(
    batch: &SpanBatch,
    span: &SpanEntry,
    scope: AttributeScope,
    visit: &mut dyn FnMut(AttributeScope, &str, AttributeValue<'_>),
) {
    let wanted = |s: AttributeScope| scope == s || scope == AttributeScope::Any;
    let mut show = |s: AttributeScope, attributes: AttributesRef<'_>| {
        if wanted(s) {
            attributes.iter().for_each(|(key, value)| visit(s, key, value));
        }
    };
    show(AttributeScope::Span, batch.attributes(span.attributes));
    show(AttributeScope::Resource, batch.resource_attributes(span));
    if let Some(library) = batch.scopes.get(span.scope as usize) {
        show(AttributeScope::Instrumentation, batch.attributes(library.attributes));
    }
    batch.events(span).for_each(|event| show(AttributeScope::Event, event.attributes));
    batch.links(span).for_each(|link| show(AttributeScope::Link, link.attributes));
}
