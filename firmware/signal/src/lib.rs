//! The vocabulary of Bramble: what a metric, a log entry and a span *are*, without how they travel, where
//! they are kept, or how they are asked for. No I/O, no clock, no API JSON.
//!
//! Three kinds of things live here:
//! * identities and questions: [`Labels`], [`LabelsRef`], [`Matcher`];
//! * batches, the compact form in which receivers hand data over: [`MetricBatch`], [`LogBatch`],
//!   [`SpanBatch`]. A batch owns one byte arena and flat vectors of ranges into it, so that a request with
//!   ten thousand items costs a handful of allocations;
//! * encodings that batches share: label sequences ([`labels`]) and attribute sequences ([`attributes`]), and a [`hash`].
//!
//! Units are in names: `_ms` and `_ns` are milliseconds and nanoseconds since the Unix epoch.

pub mod attributes;
mod bytes;
pub mod hash;
pub mod histogram;
pub mod labels;
mod logs;
mod matcher;
mod metrics;
mod traces;

pub use bytes::Span32;
pub use histogram::{BucketSpan, NativeHistogram, ResetHint, histogram_at, histogram_marker, is_histogram_marker};
pub use labels::{Labels, LabelsBuilder, LabelsRef};
pub use logs::{EntryRange, FLOATING_MARK, LogBatch, LogEntry, LogStream, floating_label};
pub use matcher::{MatchOp, Matcher, MatcherError};
pub use metrics::{
    Exemplar, METRIC_NAME, MetricBatch, MetricKind, MetricMetadata, ROLLUP_WIDTH_MS, Rollup, STALE_NAN_BITS, Sample,
    SeriesExemplars, SeriesSamples, StartChange, is_stale_marker, stale_marker,
};
pub use traces::{
    ResourceEntry, ScopeEntry, SpanBatch, SpanEntry, SpanEvent, SpanId, SpanKind, SpanLink, StatusCode, TraceId,
};
pub use traces::{events, links, put_event, put_link};

/// The three signals.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Signal {
    /// Numbers over time.
    Metrics,
    /// Lines.
    Logs,
    /// Spans.
    Traces,
}

impl Signal {
    /// All signals, in storage order.
    pub const ALL: [Signal; 3] = [Signal::Metrics, Signal::Logs, Signal::Traces];

    /// The name used in paths, metrics and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Signal::Metrics => "metrics",
            Signal::Logs => "logs",
            Signal::Traces => "traces",
        }
    }

    /// The number written to disk: 1, 2, 3.
    pub fn code(self) -> u8 {
        self as u8 + 1
    }

    /// The signal of a number written to disk.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).wrapping_sub(1)).copied()
    }
}

impl std::fmt::Display for Signal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
