//! What the metric store says about itself.

use prometheus::{IntCounter, IntGauge, Opts, Registry};

/// Counters and gauges, registered once.
pub(crate) struct Counters {
    pub(crate) series: IntGauge,
    pub(crate) head_bytes: IntGauge,
    pub(crate) series_created: IntCounter,
    pub(crate) series_forgotten: IntCounter,
    pub(crate) out_of_order: IntCounter,
    pub(crate) duplicates: IntCounter,
    pub(crate) damaged_pages: IntCounter,
    pub(crate) metadata_dropped: IntCounter,
}

impl Counters {
    /// Registers them; a name that is taken already is left to its first owner.
    pub(crate) fn new(registry: &Registry) -> Self {
        let options = |name: &str, help: &str| Opts::new(name, help).const_label("signal", "metrics");
        let counter = |name: &str, help: &str| match IntCounter::with_opts(options(name, help)) {
            Ok(counter) => {
                if let Err(error) = registry.register(Box::new(counter.clone())) {
                    tracing::warn!(name, %error, "own metric not registered");
                }
                counter
            }
            Err(error) => unreachable!("constant name {name}: {error}"),
        };
        let gauge = |name: &str, help: &str| match IntGauge::with_opts(options(name, help)) {
            Ok(gauge) => {
                if let Err(error) = registry.register(Box::new(gauge.clone())) {
                    tracing::warn!(name, %error, "own metric not registered");
                }
                gauge
            }
            Err(error) => unreachable!("constant name {name}: {error}"),
        };
        Counters {
            series: gauge("bramble_head_series", "Series known to the head."),
            head_bytes: gauge("bramble_head_bytes", "Memory of the head: index and samples."),
            series_created: counter("bramble_head_series_created_total", "Series that became known to the head."),
            series_forgotten: counter("bramble_head_series_forgotten_total", "Series that stopped and left the head."),
            out_of_order: counter("bramble_head_out_of_order_total", "Samples older than their series' newest."),
            duplicates: counter("bramble_head_duplicates_total", "Samples equal to the one before, dropped."),
            damaged_pages: counter("bramble_block_damaged_pages_total", "Reads that met a damaged page."),
            metadata_dropped: counter("bramble_head_metadata_dropped_total", "Families beyond the metadata limit."),
        }
    }
}
