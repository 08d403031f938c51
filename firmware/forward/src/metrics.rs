//! What is told of each destination on `/metrics`.

use bramble_signal::Signal;
use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// The metric families; registered once per process.
#[derive(Clone)]
pub(crate) struct Families {
    queue_bytes: IntGaugeVec,
    queue_items: IntGaugeVec,
    oldest_seconds: GaugeVec,
    forecast_seconds: GaugeVec,
    sent_items: IntCounterVec,
    sent_bytes: IntCounterVec,
    rejected: IntCounterVec,
    dropped: IntCounterVec,
    retried: IntCounterVec,
    last_error: GaugeVec,
    up: IntGaugeVec,
    pub(crate) hub_up: IntGaugeVec,
    pub(crate) hub_silent: GaugeVec,
}

impl Families {
    pub(crate) fn new(registry: &Registry) -> Result<Families, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
            let made = IntCounterVec::new(Opts::new(format!("bramble_forward_{name}"), help), labels)?;
            registry.register(Box::new(made.clone()))?;
            Ok(made)
        };
        let integer = |name: &str, help: &str, labels: &[&str]| -> Result<IntGaugeVec, prometheus::Error> {
            let made = IntGaugeVec::new(Opts::new(format!("bramble_forward_{name}"), help), labels)?;
            registry.register(Box::new(made.clone()))?;
            Ok(made)
        };
        let gauge = |name: &str, help: &str, labels: &[&str]| -> Result<GaugeVec, prometheus::Error> {
            let made = GaugeVec::new(Opts::new(format!("bramble_forward_{name}"), help), labels)?;
            registry.register(Box::new(made.clone()))?;
            Ok(made)
        };
        let of_signal = ["destination", "signal"];
        Ok(Families {
            queue_bytes: integer("queue_bytes", "Bytes that wait, in memory and on disk.", &["destination", "place"])?,
            queue_items: integer("queue_items", "Samples, entries or spans that wait.", &of_signal)?,
            oldest_seconds: gauge("queue_oldest_seconds", "Age of the oldest batch that waits.", &["destination"])?,
            forecast_seconds: gauge(
                "queue_forecast_seconds",
                "How long the queue on disk lasts at the present rate if nothing is taken.",
                &["destination"],
            )?,
            sent_items: counter("sent_items_total", "Samples, entries or spans that were taken.", &of_signal)?,
            sent_bytes: counter("sent_bytes_total", "Bytes of payloads that were taken, uncompressed.", &of_signal)?,
            rejected: counter(
                "rejected_items_total",
                "Items of taken batches that were refused for good.",
                &of_signal,
            )?,
            dropped: counter("dropped_items_total", "Items that were given up.", &["destination", "signal", "reason"])?,
            retried: counter("retries_total", "Requests that failed and were to be tried again.", &of_signal)?,
            last_error: gauge("last_error_timestamp_seconds", "When a request last failed.", &["destination"])?,
            up: integer("up", "1 while the destination takes batches.", &["destination"])?,
            hub_up: integer("hub_up", "1 while the hub answers.", &["hub"])?,
            hub_silent: gauge("hub_silent_seconds", "How long the hub has not answered; 0 while it does.", &["hub"])?,
        })
    }

    /// Those of one destination.
    pub(crate) fn of(&self, destination: &str) -> Metrics {
        let signals =
            |family: &IntCounterVec| Signal::ALL.map(|s| family.with_label_values(&[destination, s.as_str()]));
        let last_error = self.last_error.with_label_values(&[destination]);
        Metrics {
            memory_bytes: self.queue_bytes.with_label_values(&[destination, "memory"]),
            disk_bytes: self.queue_bytes.with_label_values(&[destination, "disk"]),
            queue_items: Signal::ALL.map(|s| self.queue_items.with_label_values(&[destination, s.as_str()])),
            oldest_seconds: self.oldest_seconds.with_label_values(&[destination]),
            forecast_seconds: self.forecast_seconds.with_label_values(&[destination]),
            sent_items: signals(&self.sent_items),
            sent_bytes: signals(&self.sent_bytes),
            rejected: signals(&self.rejected),
            retried: signals(&self.retried),
            last_error,
            up: self.up.with_label_values(&[destination]),
            dropped: self.dropped.clone(),
            destination: destination.to_owned(),
        }
    }
}

/// Those of one destination.
pub(crate) struct Metrics {
    pub(crate) memory_bytes: IntGauge,
    pub(crate) disk_bytes: IntGauge,
    pub(crate) queue_items: [IntGauge; Signal::ALL.len()],
    pub(crate) oldest_seconds: Gauge,
    pub(crate) forecast_seconds: Gauge,
    pub(crate) sent_items: [IntCounter; Signal::ALL.len()],
    pub(crate) sent_bytes: [IntCounter; Signal::ALL.len()],
    pub(crate) rejected: [IntCounter; Signal::ALL.len()],
    pub(crate) retried: [IntCounter; Signal::ALL.len()],
    pub(crate) last_error: Gauge,
    pub(crate) up: IntGauge,
    dropped: IntCounterVec,
    destination: String,
}

impl Metrics {
    pub(crate) fn dropped(&self, signal: Signal, reason: &str, items: u64) {
        if items > 0 {
            self.dropped.with_label_values(&[self.destination.as_str(), signal.as_str(), reason]).inc_by(items);
        }
    }

    /// All that was given up, whatever the signal and reason.
    pub(crate) fn dropped_sum(&self) -> u64 {
        let reasons = ["queue_full", "expired", "damaged", "refused", "too_large", "over_budget", "disk"];
        let of = |signal: &Signal| {
            let of = |reason: &str| {
                self.dropped.with_label_values(&[self.destination.as_str(), signal.as_str(), reason]).get()
            };
            reasons.into_iter().map(of).sum::<u64>()
        };
        Signal::ALL.iter().map(of).sum()
    }
}
