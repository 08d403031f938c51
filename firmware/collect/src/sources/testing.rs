//! A writer that remembers what sources hand over.

use super::Outlet;
use bramble_runtime::{Budget, BudgetName, Reservation};
use bramble_signal::{LogBatch, MetricBatch, SpanBatch};
use bramble_storage::{Batch, Delivered, Delivery, Done, Urgency, WriteError, Writer, Written};
use parking_lot::Mutex;
use prometheus::Registry;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Default)]
pub(crate) struct FakeWriter {
    pub(crate) metrics: Mutex<Vec<MetricBatch>>,
    pub(crate) logs: Mutex<Vec<LogBatch>>,
    pub(crate) spans: Mutex<Vec<SpanBatch>>,
    pub(crate) urgencies: Mutex<Vec<Urgency>>,
    pub(crate) fail: Mutex<Option<WriteError>>,
}

impl FakeWriter {
    fn finish(&self, urgency: Urgency, done: Done) {
        self.urgencies.lock().push(urgency);
        done(self.fail.lock().clone().map_or(Ok(Written::default()), Err));
    }
}

impl Writer for FakeWriter {
    fn write_metrics(&self, batch: MetricBatch, _: Reservation, urgency: Urgency, done: Done) {
        self.metrics.lock().push(batch);
        self.finish(urgency, done);
    }

    fn write_logs(&self, batch: LogBatch, _: Reservation, urgency: Urgency, done: Done) {
        self.logs.lock().push(batch);
        self.finish(urgency, done);
    }

    fn write_spans(&self, batch: SpanBatch, _: Reservation, urgency: Urgency, done: Done) {
        self.spans.lock().push(batch);
        self.finish(urgency, done);
    }
}

pub(crate) fn outlet(budget_bytes: usize) -> (Arc<FakeWriter>, Outlet, Registry) {
    let writer = Arc::new(FakeWriter::default());
    let registry = Registry::new();
    let budget = Budget::standalone(BudgetName::Receive, budget_bytes);
    let outlet = Outlet::new(writer.clone(), budget, &registry).unwrap();
    (writer, outlet, registry)
}

/// A writer with a memory of sources, as the write path has one.
#[derive(Default)]
pub(crate) struct DeliveryWriter {
    /// What was stored, in order.
    pub(crate) batches: Mutex<Vec<LogBatch>>,
    /// What is durable, by source.
    pub(crate) durable: Mutex<BTreeMap<String, Delivered>>,
    /// Sequences of all attempts.
    pub(crate) sequences: Mutex<Vec<u64>>,
    pub(crate) urgencies: Mutex<Vec<Urgency>>,
    /// Answers that come before anything is stored, the last first.
    pub(crate) refuse: Mutex<Vec<WriteError>>,
    /// The power is off: nothing is stored, and nobody answers.
    pub(crate) is_cut: Mutex<bool>,
}

impl DeliveryWriter {
    /// All lines that were stored, as text.
    pub(crate) fn lines(&self) -> Vec<String> {
        let batches = self.batches.lock();
        let entries = batches.iter().flat_map(|batch| (0..batch.entry_count()).map(|at| batch.entry(at)));
        entries.map(|entry| String::from_utf8_lossy(entry.line).into_owned()).collect()
    }
}

impl Writer for DeliveryWriter {
    fn write_metrics(&self, _: MetricBatch, _: Reservation, _: Urgency, done: Done) {
        done(Ok(Written::default()));
    }

    fn write_logs(&self, batch: LogBatch, held: Reservation, urgency: Urgency, done: Done) {
        assert!(held.bytes() >= batch.memory_bytes(), "what is handed over is paid for");
        self.urgencies.lock().push(urgency);
        self.batches.lock().push(batch);
        done(Ok(Written::default()));
    }

    fn write_spans(&self, _: SpanBatch, _: Reservation, _: Urgency, done: Done) {
        done(Ok(Written::default()));
    }

    fn deliver(&self, delivery: Delivery, batch: Batch, held: Reservation, urgency: Urgency, done: Done) {
        if *self.is_cut.lock() {
            return;
        }
        self.sequences.lock().push(delivery.sequence);
        if let Some(error) = self.refuse.lock().pop() {
            return done(Err(error));
        }
        let mut durable = self.durable.lock();
        let source = durable.entry(delivery.source.to_string()).or_default();
        if delivery.sequence <= source.sequence {
            return done(Ok(Written::default()));
        }
        source.sequence = delivery.sequence;
        for (key, value) in delivery.positions {
            match value.is_empty() {
                true => source.positions.remove(&key),
                false => source.positions.insert(key, value),
            };
        }
        drop(durable);
        self.write(batch, held, urgency, done);
    }

    fn delivered(&self, source: &str) -> Option<Delivered> {
        Some(self.durable.lock().get(source).cloned().unwrap_or_default())
    }
}
