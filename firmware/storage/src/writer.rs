//! Writing as a door sees it.

use crate::verdict::Rejections;
use bramble_runtime::{OverBudget, Reservation};
use bramble_signal::{LogBatch, MetricBatch, Signal, SpanBatch};
use std::time::Duration;

/// Who waits for the answer; decides how long a commit may gather batches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Urgency {
    /// A sender holds a request open: at most one second, sooner when every open request already waits.
    SenderWaits,
    /// Nobody waits (scrapes, host metrics, UDP): up to 30 seconds.
    Background,
    /// Bramble's own telemetry: never causes a commit, rides along with the next one.
    OwnTelemetry,
}

/// A batch is durable.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Written {
    /// Items stored or there already.
    pub accepted: u64,
    /// Those of them that are histograms; a histogram that only ends its series counts as a plain sample.
    pub histograms: u64,
    /// Exemplars stored or there already; not among `accepted`.
    pub exemplars: u64,
    /// Items refused for good.
    pub rejections: Rejections,
}

/// A batch was not taken. Nothing of it is stored; all of these may be tried again.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WriteError {
    /// A memory budget is full.
    #[error("{0}")]
    OverBudget(#[from] OverBudget),
    /// The journal is full until a flush finishes, or its disk failed.
    #[error("journal: {0}")]
    Journal(String),
    /// The disk's reserve is reached; retention is making room.
    #[error("storage is full: {0}")]
    StorageFull(String),
    /// The process is stopping.
    #[error("shutting down")]
    ShuttingDown,
}

impl WriteError {
    /// When to come back.
    pub fn retry_after(&self) -> Duration {
        match self {
            WriteError::OverBudget(_) => Duration::from_secs(2),
            WriteError::Journal(_) => Duration::from_secs(5),
            WriteError::StorageFull(_) => Duration::from_secs(30),
            WriteError::ShuttingDown => Duration::from_secs(10),
        }
    }

    /// The word used as a label value in `bramble_ingest_refused_total{reason}`.
    pub fn reason(&self) -> &'static str {
        match self {
            WriteError::OverBudget(_) => "over_budget",
            WriteError::Journal(_) => "journal",
            WriteError::StorageFull(_) => "storage_full",
            WriteError::ShuttingDown => "shutting_down",
        }
    }
}

/// Called exactly once, from the commit thread, with the outcome of a batch. Must not block.
pub type Done = Box<dyn FnOnce(Result<Written, WriteError>) + Send>;

/// Takes batches; implemented by the write path, used by every receiver.
///
/// `held` is what the door reserved for the batch (budget `receive`); it is released once the batch is applied
/// or refused. `done` hears the outcome after the batch is durable and visible to queries.
pub trait Writer: Send + Sync + 'static {
    /// Hands over samples.
    fn write_metrics(&self, batch: MetricBatch, held: Reservation, urgency: Urgency, done: Done);
    /// Hands over log entries.
    fn write_logs(&self, batch: LogBatch, held: Reservation, urgency: Urgency, done: Done);
    /// Hands over spans.
    fn write_spans(&self, batch: SpanBatch, held: Reservation, urgency: Urgency, done: Done);
    /// Whether a batch of a signal that takes so much memory would be taken now, as far as can be told without handing
    /// it over. A door may wait a moment when it would not: a flush makes room.
    fn has_room(&self, signal: Signal, memory_bytes: usize) -> bool {
        let _ = (signal, memory_bytes);
        true
    }
}
