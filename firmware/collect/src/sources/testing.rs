//! A writer that remembers what sources hand over.

use super::Outlet;
use bramble_runtime::{Budget, BudgetName, Reservation};
use bramble_signal::{LogBatch, MetricBatch, SpanBatch};
use bramble_storage::{Done, Urgency, WriteError, Writer, Written};
use parking_lot::Mutex;
use prometheus::Registry;
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
