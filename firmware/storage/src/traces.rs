//! The trace contracts.

use crate::Sequence;
use crate::query::{QueryContext, ReadError};
use crate::verdict::Rejections;
use bramble_runtime::{OverBudget, Reservation};
use bramble_signal::{SpanBatch, SpanKind, StatusCode, TraceId};

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
    /// Judges every span against `now_ns` and reserves head space. Spans are identified by (trace id, span id);
    /// one that is there already is accepted and kept once, the one that arrived first.
    ///
    /// # Errors
    /// [`OverBudget`]: nothing was taken; try later.
    fn prepare(&self, batch: SpanBatch, now_ns: i64) -> Result<PreparedSpans, OverBudget>;

    /// Enters a prepared batch, durable at `sequence`, into the head. Cannot fail.
    fn apply(&self, prepared: PreparedSpans, sequence: Sequence);

    /// Enters a batch during replay, without judging again.
    fn replay(&self, batch: &SpanBatch, sequence: Sequence);
}

/// A test on a span that a store may use to skip traces. Inexact stores may ignore any of them.
#[derive(Clone, Debug, PartialEq)]
pub enum SpanPredicate {
    /// The service (resource attribute `service.name`) is this.
    Service(String),
    /// The operation is this.
    Name(String),
    /// Duration at least, nanoseconds.
    DurationAtLeast(u64),
    /// Duration at most, nanoseconds.
    DurationAtMost(u64),
    /// The role is this.
    Kind(SpanKind),
    /// The outcome is this.
    Status(StatusCode),
    /// An attribute of the span, its resource or its scope (any of them) has this key and this value's text, or is an
    /// array with such an element.
    Attribute {
        /// The key.
        key: String,
        /// The value, as text: strings as they are, numbers and truth values as OTLP/JSON prints them.
        text: String,
    },
}

/// What a search asks for.
#[derive(Clone, Debug)]
pub struct SpanScan<'a> {
    /// First span start wanted, nanoseconds, inclusive.
    pub start_ns: u64,
    /// End of the range of span starts, nanoseconds, inclusive.
    pub end_ns: u64,
    /// A trace is wanted when at least one of its spans in range passes all of these.
    pub predicates: &'a [SpanPredicate],
}

/// Traces one after the other.
pub trait SpanCursor {
    /// Fills `out` (cleared first) with all known spans of one or more whole traces, spans of a trace adjacent
    /// and each trace at most once per scan. Newest traces first, to the precision of a block. Traces that fail
    /// the predicates may be included, if the store cannot tell cheaply. `false` at the end.
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
}
