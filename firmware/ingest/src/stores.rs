//! The three stores as the write path sees them.

use bramble_signal::Signal;
use bramble_storage::{BlockStore, LogSink, MetricSink, SpanSink};
use std::sync::Arc;

/// Handles on the same three stores, by what they can do.
#[derive(Clone)]
pub struct Stores {
    /// Takes samples.
    pub metrics: Arc<dyn MetricSink>,
    /// Takes log entries.
    pub logs: Arc<dyn LogSink>,
    /// Takes spans.
    pub spans: Arc<dyn SpanSink>,
    /// Keeps heads and blocks: metrics, logs, traces, in that order.
    pub blocks: [Arc<dyn BlockStore>; 3],
}

impl Stores {
    /// Handles on these stores.
    pub fn new<M, L, T>(metrics: Arc<M>, logs: Arc<L>, traces: Arc<T>) -> Self
    where
        M: MetricSink + BlockStore,
        L: LogSink + BlockStore,
        T: SpanSink + BlockStore,
    {
        Stores { blocks: [metrics.clone(), logs.clone(), traces.clone()], metrics, logs, spans: traces }
    }

    /// The keeper of a signal.
    pub fn keeper(&self, signal: Signal) -> &Arc<dyn BlockStore> {
        &self.blocks[signal as usize]
    }
}
