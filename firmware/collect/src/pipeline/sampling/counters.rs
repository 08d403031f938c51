//! What is told of sampling.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Counters and gauges in Bramble's own registry.
#[derive(Clone)]
pub(super) struct Counters {
    /// By `reason`: head, error, slow, attribute, share, named, late.
    pub(super) kept: IntCounterVec,
    /// By `reason`: head, head_rate, policy, rate, late.
    pub(super) dropped: IntCounterVec,
    /// By `bound`: traces, bytes, trace_bytes, memory, stop.
    pub(super) early: IntCounterVec,
    pub(super) failed_writes: IntCounter,
    pub(super) traces: IntGauge,
    pub(super) bytes: IntGauge,
}

impl Counters {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let by = |name: &str, help: &str, label: &str| {
            let counters = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let failed_writes =
            IntCounter::new("bramble_sampling_failed_writes_total", "Writes of kept spans that are tried again.")?;
        registry.register(Box::new(failed_writes.clone()))?;
        Ok(Counters {
            kept: by("bramble_sampling_kept_spans_total", "Spans that sampling kept.", "reason")?,
            dropped: by("bramble_sampling_dropped_spans_total", "Spans that sampling dropped.", "reason")?,
            early: by("bramble_sampling_early_decisions_total", "Traces decided before their time.", "bound")?,
            failed_writes,
            traces: gauge("bramble_sampling_window_traces", "Traces that wait for their decision.")?,
            bytes: gauge("bramble_sampling_window_bytes", "Memory of spans that wait for decision or write.")?,
        })
    }
}
