//! The hub that is asked: a question is answered from its own stores alone, so that hubs that name each other do not go
//! round in circles.

mod logs;
mod metrics;
mod traces;

use crate::frame::{End, FrameWriter, Sink};
use crate::request::{Question, Request};
use bramble_storage::{LogSource, MetricSource, QueryContext, ReadError, TraceSource};
use std::sync::atomic::Ordering;

/// This hub's own stores.
#[derive(Clone, Copy)]
pub struct Stores<'s> {
    /// Metrics.
    pub metrics: &'s dyn MetricSource,
    /// Logs, own streams too: the asker's selector says whether it wants them.
    pub logs: &'s dyn LogSource,
    /// Traces, likewise.
    pub traces: &'s dyn TraceSource,
}

/// Answers a question, frame by frame, until it is answered or nobody listens any more. Blocks: `sink` waits while the asker
/// is behind. What goes wrong is said in the last frame.
pub fn answer(request: &Request, stores: Stores<'_>, context: &QueryContext, sink: &mut dyn Sink) {
    let Ok(mut out) = FrameWriter::new(sink) else { return };
    let outcome = question(&request.0, stores, context, &mut out);
    // Without a listener there is nobody to tell.
    if outcome != Err(ReadError::Cancelled) {
        let stats = &context.stats;
        let counters = [&stats.series, &stats.items, &stats.bytes, &stats.pages, &stats.blocks];
        let more = outcome == Ok(true);
        let error = outcome.err().map(|error| error.to_string());
        let read = counters.map(|counter| counter.load(Ordering::Relaxed));
        let _ = out.end(&End { error, warnings: context.warnings(), more, read });
    }
}

/// Answers that a question is not looked into, and why.
pub fn refuse(why: &str, sink: &mut dyn Sink) {
    let Ok(out) = FrameWriter::new(sink) else { return };
    let _ = out.end(&End { error: Some(why.to_owned()), ..End::default() });
}

/// Answers all but the end; whether a list was cut off at its limit.
fn question(
    question: &Question,
    stores: Stores<'_>,
    context: &QueryContext,
    out: &mut FrameWriter<'_>,
) -> Result<bool, ReadError> {
    match question {
        Question::Samples(_)
        | Question::Series(_)
        | Question::LabelNames(_)
        | Question::LabelValues { .. }
        | Question::Metadata
        | Question::Exemplars(_) => metrics::answer(question, stores.metrics, context, out),
        Question::Entries(_)
        | Question::Digests { .. }
        | Question::Streams(_)
        | Question::Totals { .. }
        | Question::Templates { .. } => logs::answer(question, stores.logs, context, out),
        _ => traces::answer(question, stores.traces, context, out),
    }
}
