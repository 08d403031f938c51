//! Who hears of items as they become durable, each once, over restarts and power cuts too.

use crate::Sequence;
use bramble_signal::{LogBatch, MetricBatch, Signal, SpanBatch};

/// A batch that became durable.
#[derive(Clone, Copy)]
pub enum Durable<'a> {
    /// Samples, histograms, exemplars and metadata.
    Metrics(&'a MetricBatch),
    /// Entries.
    Logs(&'a LogBatch),
    /// Spans.
    Spans(&'a SpanBatch),
}

impl Durable<'_> {
    /// Its signal.
    pub fn signal(&self) -> Signal {
        match self {
            Durable::Metrics(_) => Signal::Metrics,
            Durable::Logs(_) => Signal::Logs,
            Durable::Spans(_) => Signal::Traces,
        }
    }
}

/// Hears of batches as they become durable: what is derived from them is counted here, once per item that was journalled.
pub trait Observer: Send + Sync + 'static {
    /// Whether it wants to hear of a signal; asked once.
    fn wants(&self, signal: Signal) -> bool;

    /// A batch whose last record is `sequence`: durable and about to be applied, or (a record of it at a time) being
    /// replayed. Called from the commit thread, by ascending sequence: short, bounded work.
    fn observe(&self, batch: Durable<'_>, sequence: Sequence);

    /// Asked once, when the journal was replayed into the stores: items above the answer are shown to
    /// [`observe`](Self::observe) before anything new is. What the catalog recorded of
    /// [`durable_through`](Self::durable_through) is not shown again, whatever the answer.
    fn counted_through(&self) -> Sequence;

    /// Through which sequence what was counted is durable, as a start after a power cut would find it. The journal keeps
    /// the items above it, unless it is nearly full; the default keeps none.
    fn durable_through(&self) -> Sequence {
        Sequence::MAX
    }
}
