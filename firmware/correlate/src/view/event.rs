//! What a timeline and a story consist of.

use crate::item::Level;
use bramble_line::ids::IdKind;
use bramble_signal::{SpanId, SpanKind, TraceId};
use std::cmp::Ordering;

/// Why an event is part of a timeline or story.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum By {
    /// It names this id, or its trace does.
    Id(IdKind),
    /// It was written at the same place and time, and mentions the same peer.
    Place,
}

impl By {
    /// `trace_id`, `request_id`, …, `place`.
    pub fn as_str(self) -> &'static str {
        match self {
            By::Id(kind) => kind.as_str(),
            By::Place => "place",
        }
    }
}

/// How sure it is that an event is part of it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Join {
    /// Whether it says so itself.
    pub certain: bool,
    /// 1 for what is certain, else below: see [`infer`](crate::infer).
    pub confidence: f64,
    /// By what.
    pub by: By,
}

impl Join {
    /// It names the id itself.
    pub fn certain(kind: IdKind) -> Self {
        Join { certain: true, confidence: 1.0, by: By::Id(kind) }
    }

    /// It seems so.
    pub fn inferred(by: By, confidence: f64) -> Self {
        Join { certain: false, confidence, by }
    }
}

/// A span, a log entry or an exemplar.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// When, by its own clock, nanoseconds: a span's start.
    pub time_ns: i64,
    /// When, by the clock of the trace's root span.
    pub corrected_ns: i64,
    /// Whose.
    pub service: String,
    /// Machine; empty where nothing tells.
    pub node: String,
    /// Its trace; zero where it names none.
    pub trace_id: TraceId,
    /// The span, or the one in which an entry was written; zero where it is not said.
    pub span_id: SpanId,
    /// Why it is here.
    pub join: Join,
    /// The rest.
    pub what: EventWhat,
}

/// What an event is.
#[derive(Clone, PartialEq, Debug)]
pub enum EventWhat {
    /// A span.
    Span {
        /// The span that it is part of; zero for a root.
        parent_span_id: SpanId,
        /// Operation.
        name: String,
        /// How long it lasted.
        duration_ns: u64,
        /// Its role.
        kind: SpanKind,
        /// Whether its status is an error.
        failed: bool,
        /// Status message.
        message: String,
    },
    /// A log entry.
    Log {
        /// How serious.
        level: Level,
        /// Its line; at most 4 KiB, what is not UTF-8 replaced.
        line: String,
        /// Labels of its stream, its floating labels and metadata under their plain names; ascending, each once.
        labels: Vec<(String, String)>,
    },
    /// An exemplar.
    Exemplar {
        /// The series: `name{label="value"}`.
        series: String,
        /// Its value.
        value: f64,
    },
}

impl EventWhat {
    /// `span`, `log` or `exemplar`.
    pub fn as_str(&self) -> &'static str {
        match self {
            EventWhat::Span { .. } => "span",
            EventWhat::Log { .. } => "log",
            EventWhat::Exemplar { .. } => "exemplar",
        }
    }
}

impl Event {
    /// When it ended, by the clock of the root span: a span's end.
    pub fn corrected_end_ns(&self) -> i64 {
        match self.what {
            EventWhat::Span { duration_ns, .. } => self.corrected_ns.saturating_add_unsigned(duration_ns),
            _ => self.corrected_ns,
        }
    }

    /// Whether it tells of a failure.
    pub fn is_error(&self) -> bool {
        match self.what {
            EventWhat::Span { failed, .. } => failed,
            EventWhat::Log { level, .. } => level.is_error(),
            EventWhat::Exemplar { .. } => false,
        }
    }

    /// By corrected time; at the same instant spans first, those that last longer before what they contain. Total: events
    /// that are equal by it are equal.
    pub(crate) fn in_order(a: &Event, b: &Event) -> Ordering {
        a.corrected_ns.cmp(&b.corrected_ns).then_with(|| Event::at_one_time(a, b))
    }

    fn at_one_time(a: &Event, b: &Event) -> Ordering {
        let by_what = match (&a.what, &b.what) {
            (
                EventWhat::Span { duration_ns: one, name: first, parent_span_id: p, .. },
                EventWhat::Span { duration_ns: other, name: second, parent_span_id: q, .. },
            ) => other.cmp(one).then_with(|| (!p.is_zero()).cmp(&!q.is_zero())).then_with(|| first.cmp(second)),
            (EventWhat::Log { line: one, labels: first, .. }, EventWhat::Log { line: other, labels: second, .. }) => {
                (a.time_ns, one, first).cmp(&(b.time_ns, other, second))
            }
            (
                EventWhat::Exemplar { series: one, value: first },
                EventWhat::Exemplar { series: other, value: second },
            ) => one.cmp(other).then_with(|| first.total_cmp(second)),
            (one, other) => one.order().cmp(&other.order()),
        };
        let names = |e: &Event| (e.trace_id, e.span_id);
        by_what.then_with(|| names(a).cmp(&names(b))).then_with(|| (&a.service, &a.node).cmp(&(&b.service, &b.node)))
    }
}

impl EventWhat {
    fn order(&self) -> u8 {
        match self {
            EventWhat::Span { .. } => 0,
            EventWhat::Log { .. } => 1,
            EventWhat::Exemplar { .. } => 2,
        }
    }
}
