//! What is counted of scraping.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Counters of all pools. Cheap to clone.
#[derive(Clone)]
pub(super) struct Counters {
    pub(super) scrapes: IntCounterVec,
    pub(super) samples: IntCounter,
    pub(super) rejected: IntCounter,
    pub(super) dropped_batches: IntCounterVec,
    pub(super) duration: Histogram,
    pub(super) targets: IntGaugeVec,
    pub(super) memory: IntGauge,
    pub(super) reload_ok: IntGauge,
}

impl Counters {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| IntCounter::new(name, help);
        let counters = Counters {
            scrapes: IntCounterVec::new(Opts::new("bramble_scrapes_total", "Scrapes by outcome."), &["outcome"])?,
            samples: counter("bramble_scrape_samples_total", "Samples scraped and handed over.")?,
            rejected: counter("bramble_scrape_rejected_series_total", "Series too large to keep.")?,
            dropped_batches: IntCounterVec::new(
                Opts::new("bramble_scrape_dropped_batches_total", "Scrapes whose samples were not stored, by reason."),
                &["reason"],
            )?,
            duration: Histogram::with_opts(
                HistogramOpts::new("bramble_scrape_duration_seconds", "Time of a scrape, reading its page included.")
                    .buckets(vec![0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 10.0]),
            )?,
            targets: IntGaugeVec::new(Opts::new("bramble_scrape_targets", "Targets by state."), &["state"])?,
            memory: IntGauge::new("bramble_scrape_memory_bytes", "Memory of what is remembered of targets' series.")?,
            reload_ok: IntGauge::new(
                "bramble_scrape_config_ok",
                "Whether the newest attempt to read prometheus.yml succeeded.",
            )?,
        };
        registry.register(Box::new(counters.scrapes.clone()))?;
        registry.register(Box::new(counters.samples.clone()))?;
        registry.register(Box::new(counters.rejected.clone()))?;
        registry.register(Box::new(counters.dropped_batches.clone()))?;
        registry.register(Box::new(counters.duration.clone()))?;
        registry.register(Box::new(counters.targets.clone()))?;
        registry.register(Box::new(counters.memory.clone()))?;
        registry.register(Box::new(counters.reload_ok.clone()))?;
        Ok(counters)
    }
}
