//! What the correlator takes of a log entry, a span or an exemplar.

use crate::origin::Origin;
use bramble_line::ids::IdKind;
use bramble_signal::{SpanId, SpanKind, TraceId};

/// How serious a log entry is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
pub enum Level {
    /// Not said.
    #[default]
    Unknown,
    /// Trace and debug.
    Debug,
    /// Info and notice.
    Info,
    /// Warning.
    Warn,
    /// Error.
    Error,
    /// Fatal, critical, alert, emergency.
    Fatal,
}

impl Level {
    /// All, least serious first.
    pub const ALL: [Level; 6] = [Level::Unknown, Level::Debug, Level::Info, Level::Warn, Level::Error, Level::Fatal];

    /// `unknown`, `debug`, `info`, `warn`, `error`, `fatal`.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Unknown => "unknown",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
            Level::Fatal => "fatal",
        }
    }

    /// Whether something failed.
    pub fn is_error(self) -> bool {
        self >= Level::Error
    }
}

/// What an item is, beside what all items have.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum What<'a> {
    /// A log entry.
    Log {
        /// How serious.
        level: Level,
        /// Its line.
        line: &'a [u8],
        /// A hash of stream labels, line and metadata: equal for equal entries of equal timestamps, the same in every
        /// process and version.
        identity: u64,
    },
    /// A span; it starts at the item's time.
    Span {
        /// The span that it is part of; zero for a root.
        parent_span_id: SpanId,
        /// How long it lasted.
        duration_ns: u64,
        /// Its role.
        kind: SpanKind,
        /// Whether its status is an error.
        failed: bool,
        /// Operation.
        name: &'a str,
        /// Status message.
        message: &'a str,
    },
    /// An exemplar of a metric.
    Exemplar {
        /// The series: `name{label="value"}`.
        series: &'a str,
        /// Its value.
        value: f64,
    },
}

/// A log entry, a span or an exemplar that names a trace or another id.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Item<'a> {
    /// When, nanoseconds since the Unix epoch: an entry's or exemplar's timestamp, a span's start.
    pub time_ns: i64,
    /// Its trace; zero where it names none.
    pub trace_id: TraceId,
    /// The span itself, or that in which the entry was written; zero where it is not said.
    pub span_id: SpanId,
    /// Values of [`IdKind::BUSINESS`], in that order; empty where not said. At most 128 bytes of graphic ASCII each.
    pub ids: [&'a str; IdKind::BUSINESS.len()],
    /// The rest.
    pub what: What<'a>,
}

/// Takes items out of a batch.
pub trait ItemSink {
    /// Items that follow are of this origin.
    fn origin(&mut self, origin: &Origin<'_>);

    /// An item of the origin told last.
    fn item(&mut self, item: &Item<'_>);
}
