//! Taking batches from doors and sources: judged by their stores, then queued for a commit.

use crate::commit::WritePath;
use crate::queue::Pending;
use crate::record::Body;
use crate::sizes::{
    cut_long_entries, without_huge_entries, without_huge_histograms, without_huge_metadata, without_huge_spans,
};
use bramble_runtime::Reservation;
use bramble_signal::{LogBatch, MetricBatch, Signal, SpanBatch};
use bramble_storage::{Batch, Delivered, Delivery, Done, Rejections, Urgency, WriteError, Writer, Written};
use std::sync::atomic::Ordering;

impl WritePath {
    fn refusal(&self) -> Option<WriteError> {
        if self.is_stopping() {
            return Some(WriteError::ShuttingDown);
        }
        let full = self.shared.storage_full.load(Ordering::Relaxed);
        full.then(|| WriteError::StorageFull("the reserve is reached and nothing is old enough to remove".into()))
    }

    fn refuse(&self, signal: Signal, error: WriteError, done: Done) {
        self.shared.metrics.count_refusal(signal, &error);
        if matches!(error, WriteError::OverBudget(_)) {
            self.shared.pressed.store(true, Ordering::Relaxed);
        }
        done(Err(error));
    }

    /// Queues a prepared batch, or answers at once when nothing of it is left to store.
    fn enqueue(&self, signal: Signal, pending: Pending, stored: bool) {
        self.shared.metrics.count_rejections(signal, &pending.written.rejections);
        if !stored {
            (pending.done)(Ok(pending.written));
            return;
        }
        let mut queue = self.shared.queue.lock();
        if pending.urgency == Urgency::OwnTelemetry && !queue.takes_own(pending.memory_bytes, &self.shared.options) {
            drop(queue);
            self.shared.metrics.own_dropped.inc();
            (pending.done)(Err(WriteError::Journal("own telemetry found no commit to ride on".into())));
            return;
        }
        queue.push(pending);
        self.shared.metrics.queue_batches.set(queue.len() as i64);
        drop(queue);
        self.shared.wake.notify_one();
    }

    /// Judges a batch and queues what is left of it.
    fn take(&self, batch: Batch, with: Handover) {
        let signal = batch.signal();
        if let Some(error) = self.refusal() {
            return self.refuse(signal, error, with.done);
        }
        let (body, written, memory_bytes) = match self.prepare(batch) {
            Ok(prepared) => prepared,
            Err(error) => return self.refuse(signal, error, with.done),
        };
        let Handover { delivery, held, urgency, done } = with;
        let stored = memory_bytes.is_some() || delivery.is_some();
        let body = if memory_bytes.is_some() { body } else { Body::Nothing(signal) };
        let arrived_ns = self.shared.clock.monotonic_ns();
        let memory_bytes = memory_bytes.unwrap_or(0);
        let pending = Pending { body, delivery, written, done, held, memory_bytes, urgency, arrived_ns };
        self.enqueue(signal, pending, stored);
    }

    /// What the stores take of a batch, what they say of it, and its memory; no memory when nothing is left.
    fn prepare(&self, batch: Batch) -> Result<(Body, Written, Option<usize>), WriteError> {
        let (shared, mut huge) = (&self.shared, Rejections::new());
        let (sizes, stores, clock) = (&shared.sizes, &shared.stores, &shared.clock);
        match batch {
            Batch::Metrics(batch) => {
                let batch = without_huge_histograms(without_huge_metadata(batch), sizes.item_bytes_max, &mut huge);
                let mut prepared = stores.metrics.prepare(cut_long_entries(batch, sizes), clock.wall_ms())?;
                prepared.rejections.merge(huge);
                let written = Written {
                    histograms: prepared.batch.histogram_count() as u64,
                    exemplars: prepared.batch.exemplar_count() as u64,
                    ..written(prepared.accepted, &mut prepared.rejections)
                };
                let memory_bytes = (!prepared.batch.is_empty()).then(|| prepared.batch.memory_bytes());
                Ok((Body::Metrics(prepared), written, memory_bytes))
            }
            Batch::Logs(batch) => {
                let batch = without_huge_entries(batch, sizes.item_bytes_max, &mut huge);
                let mut prepared = stores.logs.prepare(batch, clock.wall_ns())?;
                prepared.rejections.merge(huge);
                let written = written(prepared.accepted, &mut prepared.rejections);
                let memory_bytes = (!prepared.batch.is_empty()).then(|| prepared.batch.memory_bytes());
                Ok((Body::Logs(prepared), written, memory_bytes))
            }
            Batch::Spans(batch) => {
                let batch = without_huge_spans(batch, sizes.item_bytes_max, &mut huge);
                let mut prepared = stores.spans.prepare(batch, clock.wall_ns())?;
                prepared.rejections.merge(huge);
                let written = written(prepared.accepted, &mut prepared.rejections);
                let memory_bytes = (!prepared.batch.is_empty()).then(|| prepared.batch.memory_bytes());
                Ok((Body::Spans(prepared), written, memory_bytes))
            }
        }
    }
}

/// How a batch was handed over.
struct Handover {
    delivery: Option<Delivery>,
    held: Reservation,
    urgency: Urgency,
    done: Done,
}

fn written(accepted: u64, rejections: &mut Rejections) -> Written {
    Written { accepted, rejections: std::mem::take(rejections), ..Written::default() }
}

impl Writer for WritePath {
    fn write_metrics(&self, batch: MetricBatch, held: Reservation, urgency: Urgency, done: Done) {
        self.write(Batch::Metrics(batch), held, urgency, done);
    }

    fn write_logs(&self, batch: LogBatch, held: Reservation, urgency: Urgency, done: Done) {
        self.write(Batch::Logs(batch), held, urgency, done);
    }

    fn write_spans(&self, batch: SpanBatch, held: Reservation, urgency: Urgency, done: Done) {
        self.write(Batch::Spans(batch), held, urgency, done);
    }

    fn write(&self, batch: Batch, held: Reservation, urgency: Urgency, done: Done) {
        self.take(batch, Handover { delivery: None, held, urgency, done });
    }

    fn deliver(&self, delivery: Delivery, batch: Batch, held: Reservation, urgency: Urgency, done: Done) {
        if let Some(done) = self.admit(&delivery, &batch, done) {
            self.take(batch, Handover { delivery: Some(delivery), held, urgency, done });
        }
    }

    fn delivered(&self, source: &str) -> Option<Delivered> {
        self.delivered_of(source)
    }

    fn hurry(&self, _: &str) {
        self.shared.queue.lock().hurry();
        self.shared.wake.notify_one();
    }

    fn has_room(&self, signal: Signal, memory_bytes: usize) -> bool {
        // Samples take far less in their head than in a batch.
        signal == Signal::Metrics || self.refusal().is_some() || self.shared.head_has_room(signal, memory_bytes)
    }
}
