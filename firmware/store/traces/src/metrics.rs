//! The store's own numbers.

use prometheus::core::{AtomicU64, Collector, GenericCounter, GenericGauge};
use prometheus::{Opts, Registry};

type Counter = GenericCounter<AtomicU64>;
type Gauge = GenericGauge<AtomicU64>;

/// Counters and gauges of a trace store.
pub(crate) struct TraceMetrics {
    pub(crate) head_spans: Gauge,
    pub(crate) head_bytes: Gauge,
    pub(crate) damaged_pages: Counter,
    pub(crate) filter_hits: Counter,
    pub(crate) filter_misses: Counter,
    pub(crate) flush_seconds: prometheus::Counter,
    pub(crate) flushed_spans: Counter,
}

impl TraceMetrics {
    /// Makes and registers them. A registry that has them already (two stores in a test) keeps the first.
    pub(crate) fn new(registry: &Registry) -> Self {
        fn registered<M: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<M>) -> M {
            let metric = made.unwrap_or_else(|_| unreachable!("names are constants of this file and valid"));
            _ = registry.register(Box::new(metric.clone()));
            metric
        }
        let counter = |name: &str, help: &str| registered(registry, Counter::with_opts(Opts::new(name, help)));
        let gauge = |name: &str, help: &str| registered(registry, Gauge::with_opts(Opts::new(name, help)));
        TraceMetrics {
            head_spans: gauge("bramble_trace_head_spans", "Spans in memory, not yet in a block."),
            head_bytes: gauge("bramble_trace_head_bytes", "Memory of the trace head, both generations."),
            damaged_pages: counter(
                "bramble_trace_damaged_pages_total",
                "Reads of trace blocks that met damage and left something out.",
            ),
            filter_hits: counter(
                "bramble_trace_filter_hits_total",
                "Groups of spans that a trace id filter let a lookup skip.",
            ),
            filter_misses: counter(
                "bramble_trace_filter_misses_total",
                "Groups of spans that were read because their filter did not rule the trace out.",
            ),
            flush_seconds: registered(
                registry,
                prometheus::Counter::new(
                    "bramble_trace_flush_seconds_total",
                    "Time spent writing head generations as blocks.",
                ),
            ),
            flushed_spans: counter("bramble_trace_flushed_spans_total", "Spans written from the head to blocks."),
        }
    }
}
