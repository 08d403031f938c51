//! The contracts between the two sides of a store: what writes and what asks.
//!
//! Doors and query engines see only this crate; stores implement it; the write path drives it. So the same
//! engines run over the embedded stores, over the naive in-memory implementation of the tests, and later over
//! several hubs. This crate knows no file, no socket and no query language.
//!
//! * Writing, seen from a door: [`Writer`]: hand over a batch, hear once it is durable.
//! * Writing, seen from a store: [`MetricSink`], [`LogSink`], [`SpanSink`]: `prepare` judges and reserves,
//!   the journal makes durable, `apply` cannot fail.
//! * Keeping: [`BlockStore`]: freeze a head, write it as blocks, swap, merge. The write path decides when.
//! * Reading: [`MetricSource`], [`LogSource`], [`TraceSource`]: matchers, range and predicates in, columns out,
//!   under a [`QueryContext`] that carries budget, cancellation, statistics and warnings.
//!
//! Every implementation passes the same [`contract`] tests; [`memory`] is the obvious, slow one.

mod admin;
mod block;
pub mod contract;
mod logs;
pub mod memory;
mod metrics;
mod observer;
mod query;
mod selector;
mod span_test;
mod taps;
mod traces;
mod verdict;
mod visible;
mod visible_spans;
mod writer;

pub use admin::{
    CancelError, DeletingLogStore, DeletingStore, Deletion, DeletionRequest, DeletionState, EntryFilter, EntryQuery,
    LogAdmin, LogDeletion, MetricAdmin, ReadQuery,
};
pub use block::{BlockId, BlockMeta, BlockStore, HeadStats, RetentionClass, StoreError, day_of_ms, day_of_ns};
pub use logs::{
    Direction, LinePredicate, LogCursor, LogRows, LogSelect, LogSink, LogSource, Mention, MetadataWanted,
    OWN_STREAM_LABEL, PreparedLogs, StreamSteps, StreamTotals, TallyRun, TallyVisitor, TemplateCounts,
};
pub use metrics::{
    Cardinality, MetricSelect, MetricSink, MetricSource, PreparedMetrics, PreparedSeries, SeriesCursor, SeriesRef,
};
pub use observer::{Durable, Observer};
pub use query::{QueryContext, QueryStats, ReadError};
pub use selector::{PerEntry, Selector};
pub use span_test::{AttributeScope, SpanPredicate, ValueTest};
pub use taps::{Drained, Dropped, LogTap, LogTaps, Offering, Wake};
pub use traces::{FoundValue, PreparedSpans, SpanCursor, SpanFields, SpanScan, SpanSink, TraceSource, each_attribute};
pub use verdict::{RejectReason, Rejections, Verdict};
pub use visible::{Visible, class_of_stream, hiding_own, may_be_of_class};
pub use visible_spans::VisibleSpans;
pub use writer::{Batch, Delivered, Delivery, Done, Urgency, WriteError, Writer, Written};

/// A record's place in the journal: from 1, ascending, never reset.
pub type Sequence = u64;
