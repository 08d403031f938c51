//! What is told of correlating.

use crate::publish::Published;
use parking_lot::Mutex;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};
use std::collections::HashSet;

/// Services that have a series of their own.
const SERVICES_MAX: usize = 200;
/// What stands for the others.
const OTHER: &str = "other";

/// What happened since it was told last.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Tally {
    pub(crate) items: u64,
    pub(crate) unmatched_logs: u64,
    pub(crate) unmatched_spans: u64,
    pub(crate) singles: u64,
    pub(crate) late: u64,
    pub(crate) closed_early: u64,
    pub(crate) truncated: u64,
    pub(crate) dropped: u64,
}

/// Counters, gauges and histograms in Bramble's own registry.
pub(crate) struct Counters {
    events: IntCounterVec,
    services: Mutex<HashSet<String>>,
    windows: IntGaugeVec,
    latency: Histogram,
    items_of: Histogram,
    items: IntCounter,
    unmatched: IntCounterVec,
    singles: IntCounter,
    late: IntCounter,
    closed_early: IntCounter,
    truncated: IntCounter,
    revisions: IntCounter,
    ambiguous: IntCounter,
    dropped: IntCounter,
    pub(crate) failed: IntCounter,
}

impl Counters {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        let windows = IntGaugeVec::new(
            Opts::new(
                "bramble_correlation_windows",
                "Traces with a window, by state: open, or in the grace after its publication.",
            ),
            &["state"],
        )?;
        registry.register(Box::new(windows.clone()))?;
        Ok(Counters {
            events: counters(
                "correlation_events_total",
                "Correlations, by the service where they began; services beyond the first 200 are together \"other\".",
                &["service", "has_error"],
            )?,
            services: Mutex::new(HashSet::new()),
            windows,
            latency: histogram(
                "bramble_correlation_window_latency_seconds",
                "From the end of a window, or from when its late items had come, until its correlation was stored.",
                &[0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0],
            )?,
            items_of: histogram(
                "bramble_correlation_items",
                "Log entries, spans and exemplars of a correlation.",
                &[2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1000.0, 10_000.0],
            )?,
            items: counter(
                "bramble_correlation_items_total",
                "Log entries, spans and exemplars with a trace id or a request id that were looked at.",
            )?,
            unmatched: counters(
                "bramble_correlation_unmatched_total",
                "Items that were joined with nothing: entries that name no trace, and windows of one signal and service.",
                &["signal"],
            )?,
            singles: counter(
                "bramble_correlation_single_total",
                "Windows that had one signal of one service until their end: counted, not stored.",
            )?,
            late: counter(
                "bramble_correlation_late_total",
                "Items of windows that were over: published, and past their grace.",
            )?,
            closed_early: counter(
                "bramble_correlation_closed_early_total",
                "Windows closed before their end because there were too many, or too little memory.",
            )?,
            truncated: counter(
                "bramble_correlation_truncated_items_total",
                "Items that were only counted, because their window had too many.",
            )?,
            revisions: counter("bramble_correlation_revisions_total", "Revisions stored after the first one.")?,
            ambiguous: counter(
                "bramble_correlation_ambiguous_total",
                "Correlations with a request id that more traces have than may share one.",
            )?,
            dropped: counter(
                "bramble_correlation_dropped_total",
                "Items, or correlations that could not be written, that were given up for lack of room.",
            )?,
            failed: counter(
                "bramble_correlation_failed_writes_total",
                "Writes of correlations that failed; they are written again.",
            )?,
        })
    }

    pub(crate) fn count(&self, tally: Tally) {
        let unmatched = |signal: &str, count| {
            if count > 0 {
                self.unmatched.with_label_values(&[signal]).inc_by(count);
            }
        };
        unmatched("logs", tally.unmatched_logs);
        unmatched("spans", tally.unmatched_spans);
        self.items.inc_by(tally.items);
        self.singles.inc_by(tally.singles);
        self.late.inc_by(tally.late);
        self.closed_early.inc_by(tally.closed_early);
        self.truncated.inc_by(tally.truncated);
        self.dropped.inc_by(tally.dropped);
    }

    pub(crate) fn windows(&self, open: usize, grace: usize) {
        self.windows.with_label_values(&["open"]).set(open as i64);
        self.windows.with_label_values(&["grace"]).set(grace as i64);
    }

    /// A correlation was stored, so long after it was handed over.
    pub(crate) fn stored(&self, published: &Published, after_ns: u64) {
        let correlation = &*published.correlation;
        if !published.write_row {
            return;
        }
        if correlation.revision > 1 {
            self.revisions.inc();
            return;
        }
        let service = correlation.participants.first().map_or("", |participant| participant.service.as_str());
        let has_error = if correlation.has_error() { "true" } else { "false" };
        self.events.with_label_values(&[self.service(service), has_error]).inc();
        self.latency.observe((published.latency_ns + after_ns) as f64 / 1e9);
        self.items_of.observe((correlation.logs + correlation.spans + correlation.exemplars) as f64);
        if correlation.marks.ambiguous_request {
            self.ambiguous.inc();
        }
    }

    fn service<'a>(&self, service: &'a str) -> &'a str {
        let mut services = self.services.lock();
        if services.contains(service) {
            return service;
        }
        if services.len() >= SERVICES_MAX {
            return OTHER;
        }
        services.insert(service.to_owned());
        service
    }
}
