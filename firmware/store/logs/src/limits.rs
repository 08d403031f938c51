//! What the log store takes, and the memory it may use.

use bramble_runtime::Budget;

/// The budgets that the log store spends from.
#[derive(Clone, Debug)]
pub struct LogBudgets {
    /// Entries not yet in a block.
    pub head: Budget,
    /// Working memory of flush and merge.
    pub merge: Budget,
    /// Open blocks.
    pub index: Budget,
}

/// What the log store takes. What is outside is rejected for good, with a reason.
#[derive(Clone, Debug)]
pub struct LogLimits {
    /// Most streams in one head; entries of further streams are rejected until the next flush.
    pub streams_max: usize,
    /// Longest line, in bytes.
    pub line_bytes_max: usize,
    /// Most metadata of an entry, in encoded bytes, floating labels included.
    pub metadata_bytes_max: usize,
    /// Most labels of a stream.
    pub labels_max: usize,
    /// How old an entry may be, in milliseconds; `None`: any age.
    pub max_age_ms: Option<i64>,
    /// How far ahead of the clock an entry may be, in milliseconds; `None`: any distance.
    pub future_ms: Option<i64>,
    /// How much older than its stream's newest in memory an entry may be, in milliseconds; `None`: any age. A stream
    /// without entries in memory may begin at any time.
    pub out_of_order_ms: Option<i64>,
    /// Which labels are kept out of streams.
    pub floating: FloatingRules,
}

/// Which labels of a stream float: have no part in its identity, and travel with each entry
/// ([`bramble_signal::FLOATING_MARK`]).
#[derive(Clone, Debug)]
pub struct FloatingRules {
    /// Names that always float.
    pub names: Vec<String>,
    /// A name with more distinct values than this among the streams of today and yesterday floats from then on, for as
    /// long as the store holds entries where it does; `None`: only the listed ones. Counted to within some percent.
    pub values_max: Option<usize>,
    /// Names that float only when they are in `names`: they say where something runs, are asked for most, and are few in
    /// the long run.
    pub kept: Vec<String>,
}

/// Names that have a value per request.
const FLOATING: [&str; 29] = [
    "trace_id",
    "traceID",
    "traceId",
    "traceid",
    "trace",
    "span_id",
    "spanID",
    "spanId",
    "spanid",
    "parent_span_id",
    "parentSpanId",
    "request_id",
    "requestID",
    "requestId",
    "req_id",
    "reqId",
    "x_request_id",
    "correlation_id",
    "correlationID",
    "correlationId",
    "transaction_id",
    "session_id",
    "message_id",
    "event_id",
    "circuit_id",
    "product_id",
    "resource_id",
    "resource_type_id",
    "order_id",
];

/// Names that say where something runs.
const KEPT: [&str; 20] = [
    "service",
    "service_name",
    "app",
    "application",
    "job",
    "instance",
    "host",
    "hostname",
    "node",
    "node_name",
    "cluster",
    "namespace",
    "pod",
    "container",
    "container_name",
    "unit",
    "env",
    "environment",
    "level",
    "filename",
];

impl Default for FloatingRules {
    fn default() -> Self {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        FloatingRules { names: owned(&FLOATING), values_max: Some(1000), kept: owned(&KEPT) }
    }
}

impl Default for LogLimits {
    fn default() -> Self {
        LogLimits {
            streams_max: 20_000,
            line_bytes_max: 256 << 10,
            metadata_bytes_max: 256 << 10,
            labels_max: 64,
            max_age_ms: None,
            future_ms: Some(600_000),
            out_of_order_ms: None,
            floating: FloatingRules::default(),
        }
    }
}

/// The store's own counters.
pub(crate) struct Metrics {
    pub(crate) streams: prometheus::IntGauge,
    pub(crate) head_bytes: prometheus::IntGauge,
    pub(crate) damaged_pages: prometheus::IntCounter,
    pub(crate) filtered_groups: prometheus::IntCounter,
    pub(crate) verification_failures: prometheus::IntCounter,
}

impl Metrics {
    /// Registers the counters; a name that is taken already (a second store on one registry) is left alone.
    pub(crate) fn register(registry: &prometheus::Registry) -> Result<Metrics, prometheus::Error> {
        use prometheus::{IntCounter, IntGauge};
        let metrics = Metrics {
            streams: IntGauge::new("bramble_log_head_streams", "Log streams in the head.")?,
            head_bytes: IntGauge::new("bramble_log_head_bytes", "Bytes of log entries in the head.")?,
            damaged_pages: IntCounter::new(
                "bramble_log_damaged_pages_total",
                "Pages of log blocks that could not be read and were left out of an answer.",
            )?,
            filtered_groups: IntCounter::new(
                "bramble_log_filtered_groups_total",
                "Page groups of log blocks that a query did not read because their id filter ruled them out.",
            )?,
            verification_failures: IntCounter::new(
                "bramble_log_verification_failures_total",
                "Page groups of log blocks that did not read as they were written and were kept as text.",
            )?,
        };
        for gauge in [&metrics.streams, &metrics.head_bytes] {
            _ = registry.register(Box::new(gauge.clone()));
        }
        for counter in [&metrics.damaged_pages, &metrics.filtered_groups, &metrics.verification_failures] {
            _ = registry.register(Box::new(counter.clone()));
        }
        Ok(metrics)
    }
}
