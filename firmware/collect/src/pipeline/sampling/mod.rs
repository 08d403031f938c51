//! Keeping some traces and not others.
//!
//! [`Sampling`] is a writer around the writer: receivers hand spans to it, it hands on what is kept. Two ways, alone or one
//! after the other:
//!
//! * **Head**: by the trace id alone, at once ([`consistent`]): of a share of 10 %, every process that samples by the same
//!   rule keeps the same 10 % of traces. Or so many spans per second, trace by trace.
//! * **Tail**: spans wait in a window ([`window`]) until their trace has been there for a while, and then the whole trace
//!   is judged ([`policy`]): errors, slow ones, those with an attribute, a share of the rest. Spans that come later follow
//!   the decision, as long as it is remembered ([`decisions`]).
//!
//! **With tail sampling a sender is answered once its spans are in the window**, not once they are durable: SDKs give up
//! waiting after ten seconds, send again, and drop what does not fit their queue meanwhile, so holding answers back for as
//! long as a window would lose more than a power cut does, which costs the seconds that the window holds. A stop in order
//! decides everything at once and writes it. What is decided is written with a sender's urgency, tried again when the write
//! path refuses it, and new spans are refused while too much of it waits. Head sampling changes nothing about answers.
//!
//! The window is bounded in time, traces and bytes; when it is full the oldest trace is decided early, and counted. Its
//! memory counts against the budget of request bodies, of which it takes half at most.
//!
//! What is dropped is shown to whoever derives metrics, so that rates and latencies are those of all spans.

mod consistent;
mod counters;
mod decisions;
mod policy;
mod tail;
#[cfg(test)]
mod tests;
mod tokens;
mod window;
mod writer;

pub use consistent::Share;
pub use policy::{AttributeRule, RuleError};
pub use writer::Sampling;

use std::time::Duration;

/// What is kept.
#[derive(Clone, Debug)]
pub struct SamplingOptions {
    /// Share of traces that head sampling keeps.
    pub head_share: Share,
    /// Spans per second that head sampling keeps; `None` for any number. Traces once begun are kept whole.
    pub head_spans_per_second: Option<u64>,
    /// Tail sampling, if there is any.
    pub tail: Option<TailOptions>,
    /// Decisions that are remembered at least, for spans that come late.
    pub decisions_max: usize,
}

impl SamplingOptions {
    /// Whether everything is kept, so that none of this is needed.
    pub fn keeps_all(&self) -> bool {
        self.head_share.is_all() && self.head_spans_per_second.is_none() && self.tail.is_none()
    }
}

/// How whole traces are judged, and how long they may wait for it.
#[derive(Clone, Debug)]
pub struct TailOptions {
    /// From a trace's first span to its decision.
    pub wait: Duration,
    /// Traces that wait at once.
    pub traces_max: usize,
    /// Memory of spans that wait for a decision, or for being written.
    pub bytes_max: usize,
    /// Whether traces with a failed span are kept.
    pub errors: bool,
    /// Traces whose root took so long are kept.
    pub slow_root: Option<Duration>,
    /// Traces with any span that took so long are kept.
    pub slow_span: Option<Duration>,
    /// Traces with such an attribute on a span or its resource are kept.
    pub attributes: Vec<AttributeRule>,
    /// Share of all others that is kept.
    pub rest: Share,
    /// Spans per second that are kept, but for traces kept by name; `None` for any number.
    pub spans_per_second: Option<u64>,
}
