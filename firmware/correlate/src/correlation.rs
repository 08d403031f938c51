//! A correlation: what is known of one window of one trace.

use crate::item::Level;
use bramble_line::ids::IdKind;
use bramble_signal::{SpanId, TraceId};
use bramble_storage::{QueryContext, ReadError};
use std::fmt;
use std::str::FromStr;

/// Names a correlation, over all its revisions: `<trace id>-<start of its first publication, ms since the epoch>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct CorrelationId {
    /// The trace.
    pub trace_id: TraceId,
    /// Start of the window when it was published first, milliseconds since the epoch.
    pub opened_ms: i64,
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.trace_id, self.opened_ms)
    }
}

impl FromStr for CorrelationId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('-').filter(|(trace, _)| trace.len() == 32);
        let parsed = parts.and_then(|(trace, ms)| Some((TraceId::parse(trace)?, ms.parse().ok()?)));
        let (trace_id, opened_ms) =
            parsed.ok_or_else(|| format!("{text:?} is no correlation: <32 hex digits>-<milliseconds> is wanted"))?;
        Ok(CorrelationId { trace_id, opened_ms })
    }
}

/// Someone who took part.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Participant {
    /// Service.
    pub service: String,
    /// Machine; empty where nothing tells.
    pub node: String,
    /// Deployment environment, likewise.
    pub env: String,
    /// Log entries.
    pub logs: u64,
    /// Spans.
    pub spans: u64,
    /// Failed spans and log entries of level error or worse.
    pub errors: u64,
    /// By how much its clock is ahead of that of the first participant, nanoseconds, as its spans inside those of its
    /// callers tell; 0 where they fit, or nothing tells.
    pub skew_ns: i64,
}

/// The first failure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FirstError {
    /// When, nanoseconds.
    pub time_ns: i64,
    /// Whose.
    pub service: String,
    /// The failed span, or the span in which the line was written; zero where it is not known.
    pub span_id: SpanId,
    /// Whether it is a log entry, and not a span.
    pub is_log: bool,
    /// The line, or the span's name and status message; at most 512 bytes.
    pub text: String,
}

/// The span that matters most: a failed one before others, then the one that spent most time itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorstSpan {
    /// Which.
    pub span_id: SpanId,
    /// Whose.
    pub service: String,
    /// Operation.
    pub name: String,
    /// How long.
    pub duration_ns: u64,
    /// How long none of its children ran.
    pub self_ns: u64,
    /// Whether it failed.
    pub failed: bool,
}

/// What is not as it should be with a correlation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Marks {
    /// Its window was closed before its end, because there were too many, or too little memory.
    pub closed_early: bool,
    /// It has more items than are kept of a window: counts go on, of the rest only what matters most was looked at.
    pub truncated: bool,
    /// A request id of it is that of many traces, so nothing was joined by it.
    pub ambiguous_request: bool,
    /// Clocks of its services disagree.
    pub skewed: bool,
}

impl Marks {
    /// Names of those that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let all = [
            (self.closed_early, "closed_early"),
            (self.truncated, "truncated"),
            (self.ambiguous_request, "ambiguous_request"),
            (self.skewed, "skewed"),
        ];
        all.into_iter().filter_map(|(set, name)| set.then_some(name))
    }
}

/// What is known of one window of one trace. A function of the window's items, whatever their order; but for
/// [`id`](Self::id) and [`revision`](Self::revision), which tell of when they came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Correlation {
    /// Its name.
    pub id: CorrelationId,
    /// From 1; a higher one replaces those before.
    pub revision: u32,
    /// First instant of any item, nanoseconds.
    pub start_ns: i64,
    /// Last instant of any item (ends of spans), nanoseconds.
    pub end_ns: i64,
    /// Length of the window, nanoseconds.
    pub window_ns: u64,
    /// Business ids seen, ascending by kind and value, each once; at most 16 of each kind.
    pub ids: Vec<(IdKind, String)>,
    /// Who took part, callers before those they call; at most 64.
    pub participants: Vec<Participant>,
    /// Log entries that name the trace.
    pub logs: u64,
    /// Log entries by [`Level`].
    pub levels: [u64; Level::ALL.len()],
    /// Spans.
    pub spans: u64,
    /// Failed spans.
    pub failed_spans: u64,
    /// Exemplars.
    pub exemplars: u64,
    /// Log entries without a trace id that name the same request; not among `logs`.
    pub inferred_logs: u64,
    /// From the start of the first span that is kept to the end of the last, nanoseconds; `None` where there are no spans. Not
    /// stored.
    pub spans_ns: Option<(i64, i64)>,
    /// The root span, or the earliest; zero where there are no spans.
    pub root_span_id: SpanId,
    /// First span of each service that has spans, in the order of participants: what the synthetic span links to.
    pub entry_spans: Vec<SpanId>,
    /// The first failure.
    pub first_error: Option<FirstError>,
    /// The span that matters most.
    pub worst_span: Option<WorstSpan>,
    /// Series with exemplars, ascending, at most 8.
    pub exemplar_series: Vec<String>,
    /// What is not as it should be.
    pub marks: Marks,
}

impl Correlation {
    /// Whether something failed.
    pub fn has_error(&self) -> bool {
        self.failed_spans > 0 || self.levels[Level::Error as usize] > 0 || self.levels[Level::Fatal as usize] > 0
    }

    /// From its first instant to its last, nanoseconds.
    pub fn duration_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns).max(0) as u64
    }
}

/// What is asked of stored correlations: all that is given must fit.
#[derive(Clone, Debug, Default)]
pub struct CorrelationQuery {
    /// Only those that start at or after this, nanoseconds.
    pub since_ns: Option<i64>,
    /// Only those that start before this, nanoseconds.
    pub until_ns: Option<i64>,
    /// Only of this trace.
    pub trace_id: Option<TraceId>,
    /// Only those with these ids.
    pub ids: Vec<(IdKind, String)>,
    /// Only those in which this service took part.
    pub service: Option<String>,
    /// Only those with, or without, a failure.
    pub has_error: Option<bool>,
    /// At most this many.
    pub limit: usize,
}

/// Correlations to read.
pub trait CorrelationSource: Send + Sync + 'static {
    /// Newest first by start, each in its highest revision.
    ///
    /// # Errors
    /// [`ReadError`].
    fn find(&self, query: &CorrelationQuery, context: &QueryContext) -> Result<Vec<Correlation>, ReadError>;

    /// One, in its highest revision.
    ///
    /// # Errors
    /// [`ReadError`].
    fn get(&self, id: CorrelationId, context: &QueryContext) -> Result<Option<Correlation>, ReadError>;
}
