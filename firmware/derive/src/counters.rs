//! What is told of deriving itself.

use prometheus::{IntCounter, IntGauge, Registry};

/// Counters and gauges in Bramble's own registry.
pub(crate) struct Counters {
    pub(crate) spans: IntCounter,
    pub(crate) overflow: IntCounter,
    pub(crate) expired: IntCounter,
    pub(crate) dropped: IntCounter,
    pub(crate) failed_emissions: IntCounter,
    pub(crate) rejected: IntCounter,
    pub(crate) label_sets: IntGauge,
    pub(crate) edges: IntGauge,
    pub(crate) waiting: IntGauge,
}

impl Counters {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        Ok(Counters {
            spans: counter("bramble_derived_spans_total", "Spans that derived metrics have counted.")?,
            overflow: counter(
                "bramble_derived_overflow_spans_total",
                "Spans counted in a series for what is over the limit of label sets.",
            )?,
            expired: counter(
                "bramble_derived_edges_expired_total",
                "Halves of service graph edges whose other half did not come in time.",
            )?,
            dropped: counter(
                "bramble_derived_edges_dropped_total",
                "Halves of service graph edges for which there was no room to wait.",
            )?,
            failed_emissions: counter(
                "bramble_derived_failed_emissions_total",
                "Writes of derived series that failed; the counts go with the next one.",
            )?,
            rejected: counter(
                "bramble_derived_rejected_samples_total",
                "Samples of derived series that the metric store refused.",
            )?,
            label_sets: gauge("bramble_derived_label_sets", "Label sets of span metrics at present.")?,
            edges: gauge("bramble_derived_edges", "Edges of the service graph at present.")?,
            waiting: gauge(
                "bramble_derived_edges_waiting",
                "Halves of service graph edges that wait for their other half.",
            )?,
        })
    }
}
