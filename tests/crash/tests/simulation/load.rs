//! What senders send: small batches mostly, some large, repeated, out of order, of several days.

use crate::model::Item;
use crate::observe::{entry_item, exemplar_item, sample_item, span_item};
use bramble_runtime::Rng;
use bramble_signal::attributes::{AttributeValue, AttributesRef, put_attribute};
use bramble_signal::histogram::CUSTOM_BUCKETS_SCHEMA;
use bramble_signal::{
    BucketSpan, Exemplar, FLOATING_MARK, Labels, LogBatch, MetricBatch, NativeHistogram, ResetHint, ResourceEntry,
    Sample, ScopeEntry, SpanBatch, SpanEntry, SpanEvent, SpanId, SpanKind, StatusCode, TraceId, put_event,
    stale_marker,
};

const DAY_MS: i64 = 86_400_000;

/// A label that is kept out of streams.
const FLOATING: &str = "request_id";

/// A batch of one signal.
#[derive(Clone)]
pub(crate) enum Batch {
    Metrics(MetricBatch),
    Logs(LogBatch),
    Spans(SpanBatch),
}

impl Batch {
    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Batch::Metrics(batch) => batch.memory_bytes(),
            Batch::Logs(batch) => batch.memory_bytes(),
            Batch::Spans(batch) => batch.memory_bytes(),
        }
    }

    pub(crate) fn items(&self) -> Vec<Item> {
        let mut items = Vec::new();
        match self {
            Batch::Metrics(batch) => {
                for (entry, (labels, samples)) in batch.iter().enumerate() {
                    let (labels, start_ms) = (labels.to_string(), batch.start_ms(entry));
                    let item =
                        |s: &Sample| sample_item(&labels, s.timestamp_ms, s.value, batch.histogram(s.value), start_ms);
                    items.extend(samples.iter().map(item));
                }
            }
            Batch::Logs(batch) => {
                for stream in batch.streams() {
                    // A label that is kept out of streams comes back in the metadata of each entry.
                    let floats = |name: &str| name == FLOATING;
                    let labels = Labels::from_pairs(stream.labels().iter().filter(|(name, _)| !floats(name)));
                    let labels = labels.to_string();
                    let marked = format!("{FLOATING_MARK}{FLOATING}");
                    let floating = stream.labels().get(FLOATING).map(|value| (marked.as_str(), value));
                    let item = |e: bramble_signal::LogEntry<'_>| {
                        let metadata = Labels::from_pairs(e.metadata.iter().chain(floating));
                        entry_item(&labels, e.timestamp_ns, e.line, &metadata.to_string())
                    };
                    items.extend(stream.entries().map(item));
                }
            }
            Batch::Spans(batch) => items.extend(batch.spans.iter().map(|span| span_item(batch, span))),
        }
        items
    }
}

impl Batch {
    /// What is promised beside the items that an answer counts.
    pub(crate) fn uncounted(&self) -> Vec<Item> {
        let Batch::Metrics(batch) = self else { return Vec::new() };
        let of = |entry: usize| {
            let labels = batch.series(entry).0.to_string();
            batch.exemplars(entry).map(move |exemplar| exemplar_item(&labels, exemplar)).collect::<Vec<_>>()
        };
        (0..batch.series_count()).flat_map(of).collect()
    }
}

/// The senders of a world.
pub(crate) struct Senders {
    large_chance: f64,
    repeat_chance: f64,
    recent: Vec<Batch>,
    open_traces: Vec<(TraceId, SpanId)>,
}

/// How many items a batch has: few, now and then many.
fn size(rng: &mut Rng, large_chance: f64) -> u64 {
    if rng.chance(large_chance) { 200 + rng.below(1200) } else { 1 + rng.below(12) }
}

impl Senders {
    /// `repeat_chance`: of sending something recent once more.
    pub(crate) fn new(large_chance: f64, repeat_chance: f64) -> Self {
        Senders { large_chance, repeat_chance, recent: Vec::new(), open_traces: Vec::new() }
    }

    /// The next batch, at a wall time in milliseconds.
    pub(crate) fn next(&mut self, rng: &mut Rng, now_ms: i64) -> Batch {
        if !self.recent.is_empty() && rng.chance(self.repeat_chance) {
            // A sender that heard nothing, or an error, sends again.
            return self.recent[rng.below(self.recent.len() as u64) as usize].clone();
        }
        let size = size(rng, self.large_chance);
        let batch = match rng.below(3) {
            0 => Batch::Metrics(metrics(rng, now_ms, size)),
            1 => Batch::Logs(logs(rng, now_ms, size)),
            _ => Batch::Spans(self.spans(rng, now_ms, size)),
        };
        if self.recent.len() == 6 {
            self.recent.swap_remove(rng.below(6) as usize);
        }
        self.recent.push(batch.clone());
        batch
    }

    fn spans(&mut self, rng: &mut Rng, now_ms: i64, size: u64) -> SpanBatch {
        let mut batch = SpanBatch::new();
        put_source(&mut batch, rng.below(3));
        for _ in 0..size {
            let known = self.open_traces.len() as u64;
            let (trace_id, parent_span_id) = match known {
                1.. if rng.chance(0.6) => self.open_traces[rng.below(known) as usize],
                _ => (TraceId(id(rng)), SpanId::default()),
            };
            let span_id = SpanId(id(rng));
            put_span(&mut batch, rng, now_ms, SpanEntry { trace_id, span_id, parent_span_id, ..Default::default() });
            if known < 16 {
                self.open_traces.push((trace_id, span_id));
            } else {
                self.open_traces[rng.below(known) as usize] = (trace_id, span_id);
            }
        }
        batch
    }
}

fn id<const N: usize>(rng: &mut Rng) -> [u8; N] {
    let mut bytes = [1; N];
    rng.fill(&mut bytes[1..]);
    bytes
}

/// Mostly now, some a little late, some of the last days.
fn timestamp_ms(rng: &mut Rng, now_ms: i64) -> i64 {
    let late_ms = match rng.below(20) {
        0 => DAY_MS * (1 + rng.below(3) as i64),
        1..4 => rng.below(3_600_000) as i64,
        _ => rng.below(3000) as i64,
    };
    now_ms - late_ms
}

fn value(rng: &mut Rng) -> f64 {
    match rng.below(12) {
        0 => f64::from_bits(rng.next_u64()),
        1 => stale_marker(),
        2 => -0.0,
        3 => f64::NAN,
        4..8 => rng.below(1000) as f64 / 10.0,
        _ => rng.below(1 << 40) as f64,
    }
}

fn metrics(rng: &mut Rng, now_ms: i64, mut left: u64) -> MetricBatch {
    let mut batch = MetricBatch::new();
    while left > 0 {
        let (name, instance) = (format!("metric_{}", rng.below(8)), format!("host-{}", rng.below(6)));
        let mut labels = vec![("__name__", name.as_str()), ("instance", instance.as_str())];
        let churn = format!("pod-{:x}", rng.below(1 << 20));
        if rng.chance(0.1) {
            labels.push(("pod", &churn));
        }
        batch.start_series(&mut labels).unwrap();
        if rng.chance(0.3) {
            batch.set_start(now_ms / DAY_MS * DAY_MS + rng.below(3) as i64);
        }
        for _ in 0..left.min(1 + rng.below(4)) {
            let at = timestamp_ms(rng, now_ms);
            match rng.chance(0.2) {
                true => batch.push_histogram(at, histogram(rng)),
                false => batch.push_sample(at, value(rng)),
            }
            left -= 1;
            if rng.chance(0.03) {
                let id = format!("{:016x}", rng.next_u64());
                let labels = Labels::from_pairs([("trace_id", id.as_str())]);
                batch.push_exemplar(Exemplar { labels, value: rng.unit(), timestamp_ms: at });
            }
        }
    }
    batch
}

/// Mostly one that grew a little, now and then a wide one or one of strange numbers.
fn histogram(rng: &mut Rng) -> NativeHistogram {
    let custom = rng.chance(0.3);
    let buckets = match rng.below(60) {
        0 => 1 + rng.below(250),
        _ => 1 + rng.below(20),
    };
    let strange = rng.chance(0.1);
    let count = |rng: &mut Rng| if strange { value(rng).abs() } else { rng.below(100) as f64 };
    let positive_counts: Vec<f64> = (0..buckets).map(|_| count(rng)).collect();
    let cut = rng.below(buckets) as u32;
    let spans = [(rng.below(9) as i32 * i32::from(!custom), cut), (i32::from(!custom), buckets as u32 - cut)];
    NativeHistogram {
        schema: if custom { CUSTOM_BUCKETS_SCHEMA } else { rng.below(4) as i8 },
        reset_hint: if rng.chance(0.2) { ResetHint::Reset } else { ResetHint::Unknown },
        zero_threshold: if custom { 0.0 } else { 1e-9 },
        zero_count: if custom { 0.0 } else { count(rng) },
        count: positive_counts.iter().sum(),
        sum: if strange { -0.0 } else { rng.below(1 << 30) as f64 / 1000.0 },
        positive_spans: spans.map(|(offset, length)| BucketSpan { offset, length }).to_vec(),
        positive_counts,
        custom_bounds: if custom { (0..buckets).map(|bound| bound as f64 / 4.0).collect() } else { Vec::new() },
        ..NativeHistogram::default()
    }
}

fn logs(rng: &mut Rng, now_ms: i64, mut left: u64) -> LogBatch {
    let mut batch = LogBatch::new();
    while left > 0 {
        let service = format!("service-{}", rng.below(5));
        let request = format!("r-{:x}", rng.below(1 << 24));
        let mut labels = vec![("app", "sim"), ("service", service.as_str())];
        if rng.chance(0.2) {
            labels.push((FLOATING, &request));
        }
        batch.start_stream(&mut labels).unwrap();
        for _ in 0..left.min(1 + rng.below(6)) {
            let timestamp_ns = timestamp_ms(rng, now_ms) * 1_000_000 + rng.below(4) as i64;
            let trace = format!("{:032x}", u128::from(rng.next_u64()));
            let mut metadata = [("trace_id", trace.as_str())];
            let metadata = if rng.chance(0.3) { &mut metadata[..] } else { &mut [] };
            batch.push_entry(timestamp_ns, &line(rng), metadata).unwrap();
            left -= 1;
        }
    }
    batch
}

fn line(rng: &mut Rng) -> Vec<u8> {
    match rng.below(40) {
        0 => Vec::new(),
        1 => {
            let mut bytes = vec![0; rng.below(300) as usize];
            rng.fill(&mut bytes);
            bytes
        }
        2 => format!("long {} ", rng.below(9)).repeat(rng.below(600) as usize).into_bytes(),
        3..20 => format!("GET /api/{} took {} ms, status {}", rng.below(50), rng.below(3000), 200 + rng.below(5))
            .into_bytes(),
        _ => format!("level=info msg=\"user {:x} did {}\"", rng.below(1 << 30), rng.below(10)).into_bytes(),
    }
}

fn put_source(batch: &mut SpanBatch, service: u64) {
    let mut bytes = Vec::new();
    put_attribute(&mut bytes, "service.name", AttributeValue::Str(&format!("service-{service}")));
    put_attribute(&mut bytes, "host.id", AttributeValue::Int(service as i64));
    let attributes = batch.put(&bytes);
    batch.resources.push(ResourceEntry { attributes, ..Default::default() });
    let name = batch.put(b"simulation");
    batch.scopes.push(ScopeEntry { name, ..Default::default() });
}

fn put_span(batch: &mut SpanBatch, rng: &mut Rng, now_ms: i64, ids: SpanEntry) {
    let name = batch.put(format!("operation {}", rng.below(9)).as_bytes());
    let mut bytes = Vec::new();
    put_attribute(&mut bytes, "http.status_code", AttributeValue::Int(200 + rng.below(300) as i64));
    put_attribute(&mut bytes, "http.url", AttributeValue::Str(&format!("/items/{}", rng.below(1000))));
    if rng.chance(0.2) {
        put_attribute(&mut bytes, "ratio", AttributeValue::Double(rng.unit()));
    }
    let attributes = batch.put(&bytes);
    let start_ns = timestamp_ms(rng, now_ms) as u64 * 1_000_000 + rng.below(1_000_000);
    let mut bytes = Vec::new();
    if rng.chance(0.2) {
        let attributes = AttributesRef::default();
        put_event(&mut bytes, &SpanEvent { time_ns: start_ns + 7, name: "retry", attributes, dropped_attributes: 1 });
    }
    let events = batch.put(&bytes);
    batch.spans.push(SpanEntry {
        start_ns,
        end_ns: start_ns + rng.below(3_000_000_000),
        kind: SpanKind::from_code(rng.below(6)),
        status: StatusCode::from_code(rng.below(3)),
        name,
        attributes,
        events,
        ..ids
    });
}
