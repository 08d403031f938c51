//! Batches of many senders, gathered into few: a delivery costs its hub a commit.

use bramble_runtime::Reservation;
use bramble_signal::{LogBatch, MetricBatch, Signal, SpanBatch};
use bramble_storage::{Batch, Done, Urgency, WriteError, Written};
use std::time::Duration;
use tokio::time::Instant;

/// A gathered batch of this size is sent at once.
const FULL_BYTES: usize = 1 << 20;
/// More is not gathered while a delivery is under way.
pub(super) const GATHERED_BYTES_MAX: usize = 4 << 20;
const SENDER_WAITS: Duration = Duration::from_millis(200);
const BACKGROUND: Duration = Duration::from_secs(5);

/// What waits to be sent of one signal.
pub(super) struct Gathered {
    signal: Signal,
    batch: Batch,
    bytes: usize,
    held: Vec<Reservation>,
    waiting: Vec<(Done, u64)>,
    due: Option<Instant>,
    /// Whether a sender waits.
    is_urgent: bool,
}

/// What was taken of it to be sent.
pub(super) struct Taken {
    pub(super) batch: Batch,
    /// Whether no sender waits for it.
    pub(super) is_patient: bool,
    held: Vec<Reservation>,
    waiting: Vec<(Done, u64)>,
}

impl Taken {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Answers everybody who waits.
    pub(super) fn answer(self, result: Result<(), WriteError>) {
        drop((self.batch, self.held));
        for (done, accepted) in self.waiting {
            done(result.clone().map(|()| Written { accepted, ..Written::default() }));
        }
    }
}

fn empty(signal: Signal) -> Batch {
    match signal {
        Signal::Metrics => Batch::Metrics(MetricBatch::new()),
        Signal::Logs => Batch::Logs(LogBatch::new()),
        Signal::Traces => Batch::Spans(SpanBatch::new()),
    }
}

impl Gathered {
    pub(super) fn new(signal: Signal) -> Self {
        let (held, waiting) = (Vec::new(), Vec::new());
        Gathered { signal, batch: empty(signal), bytes: 0, held, waiting, due: None, is_urgent: false }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a batch. Whether it should be looked at anew when to send.
    pub(super) fn add(&mut self, batch: Batch, held: Reservation, urgency: Urgency, done: Done, now: Instant) -> bool {
        let items = batch.item_count() as u64;
        self.bytes += batch.memory_bytes();
        join(&mut self.batch, batch);
        self.held.push(held);
        self.waiting.push((done, items));
        self.is_urgent |= urgency == Urgency::SenderWaits;
        let due = match urgency {
            _ if self.bytes >= FULL_BYTES => now,
            Urgency::SenderWaits => now + SENDER_WAITS,
            Urgency::Background | Urgency::OwnTelemetry => now + BACKGROUND,
        };
        let earlier = self.due.is_none_or(|before| due < before);
        if earlier {
            self.due = Some(due);
        }
        earlier
    }

    /// Those that were answered just now are about to send again: what waits goes with theirs.
    pub(super) fn postpone(&mut self, now: Instant) {
        if self.bytes < FULL_BYTES {
            self.due = self.due.map(|due| due.max(now + SENDER_WAITS));
        }
    }

    /// When it is to be sent, if anything waits.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    pub(super) fn take(&mut self) -> Option<Taken> {
        self.due.take()?;
        self.bytes = 0;
        let batch = std::mem::replace(&mut self.batch, empty(self.signal));
        let is_patient = !std::mem::take(&mut self.is_urgent);
        let (held, waiting) = (std::mem::take(&mut self.held), std::mem::take(&mut self.waiting));
        Some(Taken { batch, is_patient, held, waiting })
    }
}

/// Puts the items of `other` behind those of `batch`, of the same signal.
fn join(batch: &mut Batch, other: Batch) {
    if batch.is_empty() {
        *batch = other;
        return;
    }
    match (batch, other) {
        (Batch::Metrics(batch), Batch::Metrics(other)) => {
            for (index, (labels, samples)) in other.iter().enumerate() {
                batch.start_series_encoded(labels);
                batch.set_start(other.start_ms(index));
                samples.iter().for_each(|&sample| batch.push_sample_of(&other, sample));
                batch.push_exemplars_of(&other, index);
            }
            for metadata in other.metadata {
                if !batch.metadata.contains(&metadata) {
                    batch.metadata.push(metadata);
                }
            }
            batch.backfill |= other.backfill;
        }
        (Batch::Logs(batch), Batch::Logs(other)) => {
            for stream in other.streams() {
                batch.start_stream_encoded(stream.labels());
                for entry in stream.entries() {
                    batch.push_entry_encoded(entry.timestamp_ns, entry.line, entry.metadata);
                }
            }
        }
        (Batch::Spans(batch), Batch::Spans(other)) => {
            other.spans.iter().for_each(|span| batch.push_from(&other, span));
        }
        // Batches are gathered by signal.
        _ => {}
    }
}
