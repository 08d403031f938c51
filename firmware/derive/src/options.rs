//! What is derived, and within which limits.

/// Whose names span metrics have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SpanNames {
    /// Tempo's metrics-generator: `traces_spanmetrics_*`, seconds.
    #[default]
    Tempo,
    /// The span-metrics connector of the OpenTelemetry Collector: `traces_span_metrics_*`, milliseconds.
    Connector,
    /// Both, from one count.
    Both,
}

impl SpanNames {
    pub(crate) fn tempo(self) -> bool {
        self != SpanNames::Connector
    }

    pub(crate) fn connector(self) -> bool {
        self != SpanNames::Tempo
    }
}

/// In which form durations are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Histograms {
    /// Series `_bucket`, `_sum` and `_count`.
    #[default]
    Classic,
    /// Native histograms.
    Native,
    /// Both.
    Both,
}

impl Histograms {
    pub(crate) fn classic(self) -> bool {
        self != Histograms::Native
    }

    pub(crate) fn native(self) -> bool {
        self != Histograms::Classic
    }
}

/// What is derived, and within which limits.
#[derive(Clone, PartialEq, Debug)]
pub struct DeriveOptions {
    /// Whether there are request, error and duration series of spans.
    pub span_metrics: bool,
    /// Whether there are series of the service graph.
    pub service_graph: bool,
    /// Names of span metrics.
    pub names: SpanNames,
    /// Form of all histograms.
    pub histograms: Histograms,
    /// Upper bounds of the buckets of span durations, nanoseconds, strictly ascending, without the infinite one.
    pub bounds_ns: Vec<u64>,
    /// The same of the service graph's.
    pub graph_bounds_ns: Vec<u64>,
    /// Attributes of a span, or of its resource where it has none of that name, that become labels.
    pub dimensions: Vec<String>,
    /// Whether the status message is a label.
    pub status_message: bool,
    /// Whether there is `traces_target_info`, and labels `job` and `instance` that lead to it.
    pub target_info: bool,
    /// Services whose spans are left out.
    pub services_left_out: Vec<String>,
    /// Label sets of span metrics at once; those of overflow come on top, at most a quarter as many.
    pub sets_max: usize,
    /// Edges of the service graph at once.
    pub edges_max: usize,
    /// Halves of edges that may wait for the other half at once.
    pub waiting_max: usize,
    /// How long they wait, nanoseconds.
    pub wait_ns: u64,
    /// After how much time without a span a label set or an edge ends, nanoseconds.
    pub idle_ns: u64,
    /// Attributes of a client's span that name the other side where it is not instrumented; the first that is there does.
    pub peer_attributes: Vec<String>,
    /// Attributes of a client's span that say that it asks a database, and which.
    pub database_attributes: Vec<String>,
    /// Exemplars in one emission; those of errors and of long spans go first.
    pub exemplars_max: usize,
}

/// Bounds of Tempo's span metrics, as its documentation has them.
const TEMPO_BOUNDS_MS: [u64; 12] = [2, 4, 8, 16, 32, 64, 128, 256, 512, 1020, 2050, 4100];
/// Bounds of the connector's durations, as its documentation has them.
const CONNECTOR_BOUNDS_MS: [u64; 16] = [2, 4, 6, 8, 10, 50, 100, 200, 400, 800, 1000, 1400, 2000, 5000, 10_000, 15_000];
/// Bounds of Tempo's service graph, as its documentation has them.
const GRAPH_BOUNDS_MS: [u64; 8] = [100, 200, 400, 800, 1600, 3200, 6400, 12_800];

fn nanoseconds(bounds_ms: &[u64]) -> Vec<u64> {
    bounds_ms.iter().map(|ms| ms * 1_000_000).collect()
}

impl DeriveOptions {
    /// The buckets of span durations that whoever gave the names has.
    pub fn usual_bounds_ns(names: SpanNames) -> Vec<u64> {
        match names {
            SpanNames::Connector => nanoseconds(&CONNECTOR_BOUNDS_MS),
            SpanNames::Tempo | SpanNames::Both => nanoseconds(&TEMPO_BOUNDS_MS),
        }
    }
}

impl Default for DeriveOptions {
    fn default() -> Self {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        DeriveOptions {
            span_metrics: true,
            service_graph: true,
            names: SpanNames::Tempo,
            histograms: Histograms::Classic,
            bounds_ns: Self::usual_bounds_ns(SpanNames::Tempo),
            graph_bounds_ns: nanoseconds(&GRAPH_BOUNDS_MS),
            dimensions: Vec::new(),
            status_message: false,
            target_info: false,
            services_left_out: Vec::new(),
            sets_max: 2000,
            edges_max: 500,
            waiting_max: 10_000,
            wait_ns: 10_000_000_000,
            idle_ns: 900_000_000_000,
            // The last two are beyond Tempo's defaults: without them most HTTP calls to the outside have no other side.
            peer_attributes: owned(&[
                "peer.service",
                "db.name",
                "db.system",
                "db.system.name",
                "server.address",
                "net.peer.name",
            ]),
            database_attributes: owned(&["db.namespace", "db.name", "db.system", "db.system.name"]),
            exemplars_max: 200,
        }
    }
}
