//! Handing a batch over and waiting until it is durable.

use super::ReceiverState;
use super::refusal::Refusal;
use bramble_runtime::Reservation;
use bramble_signal::{LogBatch, MetricBatch, Signal, SpanBatch};
use bramble_storage::{Done, Urgency, WriteError, Written};
use std::time::Duration;
use tokio::sync::oneshot;

/// A batch of any signal.
#[derive(Debug)]
pub(crate) enum Batch {
    Metrics(MetricBatch),
    Logs(LogBatch),
    Spans(SpanBatch),
}

impl Batch {
    /// The signal, and the memory that its items take.
    fn size(&self) -> (Signal, usize) {
        match self {
            Batch::Metrics(batch) => (Signal::Metrics, batch.memory_bytes()),
            Batch::Logs(batch) => (Signal::Logs, batch.memory_bytes()),
            Batch::Spans(batch) => (Signal::Traces, batch.memory_bytes()),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Batch::Metrics(batch) => batch.is_empty(),
            Batch::Logs(batch) => batch.is_empty(),
            Batch::Spans(batch) => batch.is_empty(),
        }
    }
}

/// How long a batch waits for room that a flush makes, and how often it looks: a sender that is sent away sends the whole
/// request again, which costs both more than waiting does.
const ROOM_WAIT_MAX: Duration = Duration::from_millis(500);
const ROOM_LOOK_EVERY: Duration = Duration::from_millis(20);

/// Writes `batch`; an empty one is written already.
///
/// # Errors
/// [`Refusal::Write`].
pub(crate) async fn submit(state: &ReceiverState, batch: Batch, held: Reservation) -> Result<Written, Refusal> {
    if batch.is_empty() {
        return Ok(Written::default());
    }
    let (signal, memory_bytes) = batch.size();
    wait_for_room(state, signal, memory_bytes).await;
    let (sender, outcome) = oneshot::channel();
    // A sender that went away does not wait for the outcome; the batch is written all the same.
    let done: Done = Box::new(move |result| drop(sender.send(result)));
    match batch {
        Batch::Metrics(batch) => state.0.writer.write_metrics(batch, held, Urgency::SenderWaits, done),
        Batch::Logs(batch) => state.0.writer.write_logs(batch, held, Urgency::SenderWaits, done),
        Batch::Spans(batch) => state.0.writer.write_spans(batch, held, Urgency::SenderWaits, done),
    }
    // The write path drops what it holds only when it stops.
    outcome.await.unwrap_or(Err(WriteError::ShuttingDown)).map_err(Refusal::from)
}

/// Waits until there is room for a batch, but not for ever.
pub(crate) async fn wait_for_room(state: &ReceiverState, signal: Signal, memory_bytes: usize) {
    let mut waited = Duration::ZERO;
    while waited < ROOM_WAIT_MAX && !state.0.writer.has_room(signal, memory_bytes) {
        tokio::time::sleep(ROOM_LOOK_EVERY).await;
        waited += ROOM_LOOK_EVERY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receivers::testing::Bench;

    async fn waits(full_for: u32) -> (u32, usize) {
        let bench = Bench::small();
        *bench.writer.full_for.lock() = full_for;
        let mut batch = LogBatch::new();
        batch.start_stream(&mut [("app", "web")]).unwrap();
        batch.push_entry(1, b"a", &mut []).unwrap();
        let held = bench.budget.reserve(batch.memory_bytes()).unwrap();
        submit(&bench.state, Batch::Logs(batch), held).await.unwrap();
        let (left, written) = (*bench.writer.full_for.lock(), bench.writer.logs.lock().len());
        (left, written)
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_waits_for_room_but_not_for_ever() {
        assert_eq!(waits(0).await, (0, 1));
        assert_eq!(waits(4).await, (0, 1));
        // The writer has the last word.
        let looks = ROOM_WAIT_MAX.as_millis().div_ceil(ROOM_LOOK_EVERY.as_millis()) as u32;
        assert_eq!(waits(1000).await, (1000 - looks, 1));
    }
}
