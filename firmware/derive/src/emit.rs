//! Counts as samples of series.

use crate::graph::{Between, Edge, Loose, LooseCount};
use crate::histogram::Durations;
use crate::options::DeriveOptions;
use crate::sets::{Example, Life, Set};
use crate::sources::{label_name, parts_of};
use crate::texts::Texts;
use bramble_signal::labels::encode;
use bramble_signal::{
    Exemplar, Labels, LabelsRef, METRIC_NAME, MetricBatch, MetricKind, MetricMetadata, NativeHistogram, stale_marker,
};

const KINDS: [&str; 6] = [
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];
const STATUSES: [&str; 3] = ["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];

const SECOND_NS: f64 = 1e9;
const MILLISECOND_NS: f64 = 1e6;

/// Help and type of everything that is emitted.
const METADATA: [(&str, MetricKind, &str); 12] = [
    ("traces_spanmetrics_calls_total", MetricKind::Counter, "Spans."),
    ("traces_spanmetrics_size_total", MetricKind::Counter, "Bytes of spans, about as OTLP encodes them."),
    ("traces_spanmetrics_latency", MetricKind::Histogram, "Durations of spans, seconds."),
    ("traces_span_metrics_calls_total", MetricKind::Counter, "Spans."),
    ("traces_span_metrics_duration_milliseconds", MetricKind::Histogram, "Durations of spans, milliseconds."),
    ("traces_target_info", MetricKind::Gauge, "Attributes of what emits spans."),
    ("traces_service_graph_request_total", MetricKind::Counter, "Requests between two nodes."),
    ("traces_service_graph_request_failed_total", MetricKind::Counter, "Failed requests between two nodes."),
    ("traces_service_graph_request_server_seconds", MetricKind::Histogram, "Time of a request as the server saw it."),
    ("traces_service_graph_request_client_seconds", MetricKind::Histogram, "Time of a request as the client saw it."),
    ("traces_service_graph_unpaired_spans_total", MetricKind::Counter, "Spans whose other half did not come."),
    ("traces_service_graph_dropped_spans_total", MetricKind::Counter, "Spans that found no room to wait."),
];

/// What the names and labels of span metrics are.
#[derive(Clone, Copy)]
struct Style {
    service: &'static str,
    calls: &'static str,
    size: Option<&'static str>,
    durations: &'static str,
    unit_ns: f64,
    overflow: Option<&'static str>,
}

const TEMPO: Style = Style {
    service: "service",
    calls: "traces_spanmetrics_calls_total",
    size: Some("traces_spanmetrics_size_total"),
    durations: "traces_spanmetrics_latency",
    unit_ns: SECOND_NS,
    overflow: None,
};

const CONNECTOR: Style = Style {
    service: "service_name",
    calls: "traces_span_metrics_calls_total",
    size: None,
    durations: "traces_span_metrics_duration_milliseconds",
    unit_ns: MILLISECOND_NS,
    overflow: Some("otel_metric_overflow"),
};

/// Names of the series of a histogram.
struct HistogramNames {
    native: &'static str,
    bucket: String,
    sum: String,
    count: String,
}

impl HistogramNames {
    fn new(name: &'static str) -> Self {
        HistogramNames {
            native: name,
            bucket: format!("{name}_bucket"),
            sum: format!("{name}_sum"),
            count: format!("{name}_count"),
        }
    }
}

/// Everything of the names and labels that does not change.
pub(crate) struct Emitter {
    styles: Vec<(Style, HistogramNames, Vec<String>)>,
    server_seconds: HistogramNames,
    client_seconds: HistogramNames,
    graph_les: Vec<String>,
    status_message: bool,
    dimensions: Vec<String>,
    graph_bounds_ns: Vec<u64>,
    bounds_ns: Vec<u64>,
}

/// Labels of `le` as Prometheus prints numbers.
fn les(bounds_ns: &[u64], unit_ns: f64) -> Vec<String> {
    bounds_ns.iter().map(|&ns| (ns as f64 / unit_ns).to_string()).chain(["+Inf".to_owned()]).collect()
}

/// How the samples of one life are to be written.
#[derive(Clone, Copy)]
pub(crate) struct Written {
    /// Whether they were written before: otherwise a zero goes first.
    known: bool,
    zero_ms: i64,
    ends: bool,
}

/// One write in the making.
pub(crate) struct Out {
    pub(crate) batch: MetricBatch,
    pub(crate) now_ms: i64,
    /// Emissions up to this one were stored.
    stored_round: u64,
    named: Vec<u8>,
    labelled: Vec<u8>,
}

impl Out {
    pub(crate) fn new(now_ms: i64, stored_round: u64) -> Self {
        Out { batch: MetricBatch::new(), now_ms, stored_round, named: Vec::new(), labelled: Vec::new() }
    }

    fn written(&self, life: &Life, ends: bool) -> Written {
        Written { known: life.round <= self.stored_round, zero_ms: life.zero_ms.min(self.now_ms - 1), ends }
    }

    /// Opens the series of `base` with this name and, in histograms, this bound.
    fn open(&mut self, base: &[u8], name: &str, le: Option<&str>) {
        self.named.clear();
        LabelsRef::from_encoded(base).encode_with(METRIC_NAME, name, &mut self.named);
        let labels = match le {
            None => &self.named,
            Some(le) => {
                self.labelled.clear();
                LabelsRef::from_encoded(&self.named).encode_with("le", le, &mut self.labelled);
                &self.labelled
            }
        };
        self.batch.start_series_encoded(LabelsRef::from_encoded(labels));
    }

    fn put(&mut self, base: &[u8], name: &str, le: Option<&str>, value: f64, written: Written) {
        self.open(base, name, le);
        if written.ends {
            return self.batch.push_sample(self.now_ms, stale_marker());
        }
        if !written.known {
            self.batch.push_sample(written.zero_ms, 0.0);
        }
        self.batch.push_sample(self.now_ms, value);
    }

    fn histogram(
        &mut self,
        base: &[u8],
        names: &HistogramNames,
        (bounds_ns, les): (&[u64], &[String]),
        unit_ns: f64,
        durations: &Durations,
        (written, example): (Written, Option<&Example>),
    ) {
        let exemplar = example.map(|example| (example, self.exemplar(example, unit_ns)));
        let place = |ns: u64| bounds_ns.iter().position(|bound| ns <= *bound).unwrap_or(bounds_ns.len());
        if !durations.buckets.is_empty() {
            let mut below = 0;
            for (at, (count, le)) in durations.buckets.iter().zip(les).enumerate() {
                below += count;
                self.put(base, &names.bucket, Some(le), below as f64, written);
                if let Some((_, exemplar)) = exemplar.as_ref().filter(|(example, _)| place(example.duration_ns) == at) {
                    self.batch.push_exemplar(exemplar.clone());
                }
            }
            self.put(base, &names.sum, None, durations.sum_ns as f64 / unit_ns, written);
            self.put(base, &names.count, None, durations.count as f64, written);
        }
        if let Some(native) = durations.native.iter().find(|native| native.unit_ns() == unit_ns) {
            self.open(base, names.native, None);
            if written.ends {
                return self.batch.push_sample(self.now_ms, stale_marker());
            }
            if !written.known {
                let none = NativeHistogram { schema: 3, ..NativeHistogram::default() };
                self.batch.push_histogram(written.zero_ms, none);
            }
            self.batch.push_histogram(self.now_ms, native.value(durations.count, durations.sum_ns));
            if let (true, Some((_, exemplar))) = (durations.buckets.is_empty(), exemplar) {
                self.batch.push_exemplar(exemplar);
            }
        }
    }

    fn exemplar(&self, example: &Example, unit_ns: f64) -> Exemplar {
        // In the minute before now, so that what comes late neither is refused nor gets between older ones.
        let end_ms = (example.end_ns / 1_000_000) as i64;
        Exemplar {
            labels: Labels::from_pairs([("trace_id", example.trace_id.to_string())]),
            value: example.duration_ns as f64 / unit_ns,
            timestamp_ms: end_ms.clamp(self.now_ms - 60_000, self.now_ms),
        }
    }

    /// A sample of a series that needs no beginning.
    pub(crate) fn gauge(&mut self, pairs: &mut [(&str, &str)], value: f64) {
        if self.batch.start_series(pairs).is_ok() {
            self.batch.push_sample(self.now_ms, value);
        }
    }
}

impl Emitter {
    pub(crate) fn new(options: &DeriveOptions) -> Self {
        let wanted = [(options.names.tempo(), TEMPO), (options.names.connector(), CONNECTOR)];
        let style =
            |style: Style| (style, HistogramNames::new(style.durations), les(&options.bounds_ns, style.unit_ns));
        let taken =
            ["service", "service_name", "span_name", "span_kind", "status_code", "status_message", "job", "instance"];
        let taken: Vec<&str> = taken.into_iter().chain(["le", "otel_metric_overflow", METRIC_NAME]).collect();
        Emitter {
            styles: wanted.into_iter().filter(|(wanted, _)| *wanted).map(|(_, s)| style(s)).collect(),
            server_seconds: HistogramNames::new("traces_service_graph_request_server_seconds"),
            client_seconds: HistogramNames::new("traces_service_graph_request_client_seconds"),
            graph_les: les(&options.graph_bounds_ns, SECOND_NS),
            status_message: options.status_message,
            dimensions: options.dimensions.iter().map(|name| label_name(name, &taken)).collect(),
            graph_bounds_ns: options.graph_bounds_ns.clone(),
            bounds_ns: options.bounds_ns.clone(),
        }
    }

    /// Nanoseconds in the units that native histograms are wanted in.
    pub(crate) fn units_ns(options: &DeriveOptions) -> Vec<f64> {
        let wanted = [(options.names.tempo(), SECOND_NS), (options.names.connector(), MILLISECOND_NS)];
        match options.histograms.native() {
            true => wanted.into_iter().filter(|(wanted, _)| *wanted).map(|(_, unit)| unit).collect(),
            false => Vec::new(),
        }
    }

    /// The series of a label set.
    pub(crate) fn set(&self, set: &Set, texts: &Texts, with_example: bool, ends: bool, out: &mut Out) {
        let written = out.written(&set.life, ends);
        let example = set.example.as_ref().filter(|_| with_example);
        let mut base = Vec::with_capacity(256);
        for (style, names, les) in &self.styles {
            base.clear();
            self.set_labels(*style, set, texts, &mut base);
            out.put(&base, style.calls, None, set.durations.count as f64, written);
            if let Some(size) = style.size {
                out.put(&base, size, None, set.size_bytes as f64, written);
            }
            let bounds = (&self.bounds_ns[..], &les[..]);
            out.histogram(&base, names, bounds, style.unit_ns, &set.durations, (written, example));
        }
    }

    fn set_labels(&self, style: Style, set: &Set, texts: &Texts, base: &mut Vec<u8>) {
        let named = set.named();
        let (service, job, instance) = parts_of(texts.get(named.identity));
        let code = |words: &[&'static str], code: u8| words.get(usize::from(code)).copied().unwrap_or("");
        let mut values = named.texts();
        let mut pairs = vec![
            (style.service, service),
            ("job", job),
            ("instance", instance),
            ("span_name", values.next().unwrap_or("")),
            ("span_kind", code(&KINDS, named.kind)),
            ("status_code", code(&STATUSES, named.status)),
        ];
        if self.status_message {
            pairs.push(("status_message", values.next().unwrap_or("")));
        }
        pairs.extend(self.dimensions.iter().map(String::as_str).zip(values));
        if let (true, Some(label)) = (named.overflow, style.overflow) {
            pairs.push((label, "true"));
        }
        encode_lenient(pairs, base);
    }

    /// The series of an edge.
    pub(crate) fn edge(
        &self,
        between: &Between,
        edge: &Edge,
        texts: &Texts,
        (with_example, ends): (bool, bool),
        out: &mut Out,
    ) {
        let written = out.written(&edge.life, ends);
        let example = edge.example.as_ref().filter(|_| with_example);
        let mut base = Vec::with_capacity(128);
        between_labels(between, texts, &mut base);
        out.put(&base, "traces_service_graph_request_total", None, edge.client.count as f64, written);
        out.put(&base, "traces_service_graph_request_failed_total", None, edge.failed as f64, written);
        let bounds = (&self.graph_bounds_ns[..], &self.graph_les[..]);
        out.histogram(&base, &self.server_seconds, bounds, SECOND_NS, &edge.server, (written, example));
        out.histogram(&base, &self.client_seconds, bounds, SECOND_NS, &edge.client, (written, None));
    }

    /// The series of halves that made no edge.
    pub(crate) fn loose(
        &self,
        (loose, between): &(Loose, Between),
        count: &LooseCount,
        texts: &Texts,
        ends: bool,
        out: &mut Out,
    ) {
        let name = match loose {
            Loose::Unpaired => "traces_service_graph_unpaired_spans_total",
            Loose::Dropped => "traces_service_graph_dropped_spans_total",
        };
        let written = out.written(&count.life, ends);
        let mut base = Vec::with_capacity(128);
        between_labels(between, texts, &mut base);
        out.put(&base, name, None, count.count as f64, written);
    }

    /// Types and help texts.
    pub(crate) fn metadata() -> Vec<MetricMetadata> {
        let one = |(name, kind, help): &(&str, MetricKind, &str)| MetricMetadata {
            name: (*name).to_owned(),
            kind: *kind,
            help: (*help).to_owned(),
            unit: String::new(),
        };
        METADATA.iter().map(one).collect()
    }
}

fn between_labels(between: &Between, texts: &Texts, base: &mut Vec<u8>) {
    let (client, server) = (texts.get(between.client), texts.get(between.server));
    let pairs = vec![("client", client), ("server", server), ("connection_type", between.connection.as_str())];
    encode_lenient(pairs, base);
}

/// Encodes labels; the first of two with one name is kept.
pub(crate) fn encode_lenient(mut pairs: Vec<(&str, &str)>, out: &mut Vec<u8>) {
    pairs.sort_by_key(|(name, _)| *name);
    pairs.dedup_by_key(|(name, _)| *name);
    // Names are neither empty nor repeated now.
    let _ = encode(&mut pairs, out);
}
