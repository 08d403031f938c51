//! Writing as a door sees it.

use crate::verdict::Rejections;
use bramble_runtime::{OverBudget, Reservation};
use bramble_signal::{LogBatch, MetricBatch, Signal, SpanBatch};
use std::collections::BTreeMap;
use std::sync::Arc;
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

/// A batch of any signal.
#[derive(Clone, PartialEq, Debug)]
pub enum Batch {
    /// Samples.
    Metrics(MetricBatch),
    /// Log entries.
    Logs(LogBatch),
    /// Spans.
    Spans(SpanBatch),
}

impl Batch {
    /// Of which signal it is.
    pub fn signal(&self) -> Signal {
        match self {
            Batch::Metrics(_) => Signal::Metrics,
            Batch::Logs(_) => Signal::Logs,
            Batch::Spans(_) => Signal::Traces,
        }
    }

    /// Memory held, in bytes.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Batch::Metrics(batch) => batch.memory_bytes(),
            Batch::Logs(batch) => batch.memory_bytes(),
            Batch::Spans(batch) => batch.memory_bytes(),
        }
    }

    /// Samples, entries or spans.
    pub fn item_count(&self) -> usize {
        match self {
            Batch::Metrics(batch) => batch.sample_count(),
            Batch::Logs(batch) => batch.entry_count(),
            Batch::Spans(batch) => batch.spans.len(),
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        match self {
            Batch::Metrics(batch) => batch.is_empty(),
            Batch::Logs(batch) => batch.is_empty(),
            Batch::Spans(batch) => batch.spans.is_empty(),
        }
    }
}

/// Where a batch comes from, and how far its source has been read when it is stored: durable in the same commit as the
/// batch, so that a batch is stored exactly once over power cuts, and nothing is read twice or skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Who sends: `files`, `journald`, or a node and one of its lanes (`<node id>/live`). At most one delivery of a source is
    /// under way at a time: the next is handed over after `done` was called.
    pub source: Arc<str>,
    /// Ascending per source, from 1. A delivery whose sequence was stored already is answered and dropped.
    pub sequence: u64,
    /// Positions that change with this batch: key (a file's identity, a cursor's name) and value, both opaque; an empty value
    /// removes the key.
    pub positions: Vec<(String, String)>,
}

/// What is durable of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// The last sequence; 0 for none.
    pub sequence: u64,
    /// All its positions, by key.
    pub positions: BTreeMap<String, String>,
}

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
    /// Hands over a batch of any signal.
    fn write(&self, batch: Batch, held: Reservation, urgency: Urgency, done: Done) {
        match batch {
            Batch::Metrics(batch) => self.write_metrics(batch, held, urgency, done),
            Batch::Logs(batch) => self.write_logs(batch, held, urgency, done),
            Batch::Spans(batch) => self.write_spans(batch, held, urgency, done),
        }
    }
    /// Hands over a batch with where it comes from. A writer without a memory of sources writes the batch alone.
    fn deliver(&self, delivery: Delivery, batch: Batch, held: Reservation, urgency: Urgency, done: Done) {
        _ = delivery;
        self.write(batch, held, urgency, done);
    }
    /// What is durable of a source: where to read on after a start. `None` while that is not known yet (the journal is
    /// being replayed, the hub was not asked): ask again later, before reading.
    fn delivered(&self, source: &str) -> Option<Delivered> {
        _ = source;
        Some(Delivered::default())
    }
    /// A full batch of this source waits behind a delivery that nobody waited for when it was handed over: it would be good
    /// to commit that one soon. May be ignored.
    fn hurry(&self, source: &str) {
        _ = source;
    }
    /// Whether a batch of a signal that takes so much memory would be taken now, as far as can be told without handing
    /// it over. A door may wait a moment when it would not: a flush makes room.
    fn has_room(&self, signal: Signal, memory_bytes: usize) -> bool {
        let _ = (signal, memory_bytes);
        true
    }
}

impl<W: Writer + ?Sized> Writer for Arc<W> {
    fn write_metrics(&self, batch: MetricBatch, held: Reservation, urgency: Urgency, done: Done) {
        (**self).write_metrics(batch, held, urgency, done);
    }

    fn write_logs(&self, batch: LogBatch, held: Reservation, urgency: Urgency, done: Done) {
        (**self).write_logs(batch, held, urgency, done);
    }

    fn write_spans(&self, batch: SpanBatch, held: Reservation, urgency: Urgency, done: Done) {
        (**self).write_spans(batch, held, urgency, done);
    }

    fn write(&self, batch: Batch, held: Reservation, urgency: Urgency, done: Done) {
        (**self).write(batch, held, urgency, done);
    }

    fn deliver(&self, delivery: Delivery, batch: Batch, held: Reservation, urgency: Urgency, done: Done) {
        (**self).deliver(delivery, batch, held, urgency, done);
    }

    fn delivered(&self, source: &str) -> Option<Delivered> {
        (**self).delivered(source)
    }

    fn hurry(&self, source: &str) {
        (**self).hurry(source);
    }

    fn has_room(&self, signal: Signal, memory_bytes: usize) -> bool {
        (**self).has_room(signal, memory_bytes)
    }
}
