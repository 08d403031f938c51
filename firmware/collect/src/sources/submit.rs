//! Handing over batches that nobody waits for.

use bramble_runtime::Budget;
use bramble_signal::{LogBatch, MetricBatch, SpanBatch};
use bramble_storage::{Done, Urgency, WriteError, Writer};
use prometheus::{IntCounterVec, Opts, Registry};
use std::sync::Arc;

/// What sources share: where batches go, and the account of those that did not get there. Cheap to clone.
#[derive(Clone)]
pub struct Outlet {
    writer: Arc<dyn Writer>,
    receive: Budget,
    dropped: IntCounterVec,
}

impl Outlet {
    /// `receive` is the budget of that name. Registers `bramble_source_dropped_total{source,reason}`: batches of our
    /// own that were not stored.
    ///
    /// # Errors
    /// [`prometheus::Error::AlreadyReg`] when called twice with one registry.
    pub fn new(writer: Arc<dyn Writer>, receive: Budget, registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = Opts::new("bramble_source_dropped_total", "Batches of own sources that were not stored.");
        let dropped = IntCounterVec::new(options, &["source", "reason"])?;
        registry.register(Box::new(dropped.clone()))?;
        Ok(Outlet { writer, receive, dropped })
    }

    pub(crate) fn dropped(&self, source: &str, reason: &str, count: u64) {
        self.dropped.with_label_values(&[source, reason]).inc_by(count);
    }

    pub(crate) fn metrics(&self, source: &'static str, batch: MetricBatch, urgency: Urgency) {
        match self.receive.reserve(batch.memory_bytes()) {
            _ if batch.is_empty() => {}
            Ok(held) => self.writer.write_metrics(batch, held, urgency, self.done(source)),
            Err(error) => self.dropped(source, WriteError::from(error).reason(), 1),
        }
    }

    pub(crate) fn logs(&self, source: &'static str, batch: LogBatch, urgency: Urgency) {
        match self.receive.reserve(batch.memory_bytes()) {
            _ if batch.is_empty() => {}
            Ok(held) => self.writer.write_logs(batch, held, urgency, self.done(source)),
            Err(error) => self.dropped(source, WriteError::from(error).reason(), 1),
        }
    }

    pub(crate) fn spans(&self, source: &'static str, batch: SpanBatch, urgency: Urgency) {
        match self.receive.reserve(batch.memory_bytes()) {
            _ if batch.is_empty() => {}
            Ok(held) => self.writer.write_spans(batch, held, urgency, self.done(source)),
            Err(error) => self.dropped(source, WriteError::from(error).reason(), 1),
        }
    }

    fn done(&self, source: &'static str) -> Done {
        let dropped = self.dropped.clone();
        Box::new(move |result| {
            if let Err(error) = result {
                dropped.with_label_values(&[source, error.reason()]).inc();
            }
        })
    }
}
