//! Requests over several services, and how their spans and log lines are sent: in parts, late, again when nobody answered.

use bramble_runtime::Rng;
use bramble_signal::attributes::{AttributeValue, put_attribute};
use bramble_signal::{
    LogBatch, ResourceEntry, ScopeEntry, SpanBatch, SpanEntry, SpanId, SpanKind, StatusCode, TraceId,
};

const SERVICES: [&str; 4] = ["beorn", "palantir", "arda", "db"];
const SECOND_NS: u64 = 1_000_000_000;
/// How far the parts of one burst lie apart at most: less than a window.
const BURST_NS: u64 = 20 * SECOND_NS;
/// When a second burst of the same trace begins: long after the first one's window.
const SECOND_BURST_NS: u64 = 200 * SECOND_NS;

/// A span or a log line.
pub(crate) struct Part {
    time_ns: u64,
    service: &'static str,
    failed: bool,
    what: What,
    pub(crate) is_acknowledged: bool,
}

enum What {
    Log { number: usize },
    Span { id: u64, parent: u64, duration_ns: u64 },
}

/// Everything of one trace.
pub(crate) struct Request {
    pub(crate) trace_id: TraceId,
    circuit: String,
    pub(crate) parts: Vec<Part>,
}

/// A batch of some parts: (request, part) of each.
pub(crate) enum Parts {
    Logs(LogBatch),
    Spans(SpanBatch),
}

fn spread(rng: &mut Rng, service: &'static str, from_ns: u64, what: What) -> Part {
    // Not all of them in order of their spans: clocks differ, and lines are written by other threads.
    let time_ns = from_ns + rng.below(BURST_NS);
    Part { time_ns, service, failed: rng.chance(0.1), what, is_acknowledged: false }
}

impl Request {
    /// A request at `now_ns` whose parts come from then on.
    pub(crate) fn new(rng: &mut Rng, number: u64, now_ns: u64) -> Self {
        let mut trace_id = TraceId([1; 16]);
        rng.fill(&mut trace_id.0[1..]);
        let (mut parts, mut id) = (Vec::new(), number << 16);
        let bursts = if rng.chance(0.15) { 2 } else { 1 };
        for burst in 0..bursts {
            let from_ns = now_ns + burst * SECOND_BURST_NS;
            let services = &SERVICES[..1 + rng.below(SERVICES.len() as u64) as usize];
            let mut parent = 0;
            for &service in services.iter().filter(|_| burst == 0 || services.len() > 1) {
                for _ in 0..rng.below(3) {
                    id += 1;
                    let duration_ns = rng.below(2 * SECOND_NS);
                    parts.push(spread(rng, service, from_ns, What::Span { id, parent, duration_ns }));
                    parent = id;
                }
                for _ in 0..rng.below(3) {
                    parts.push(spread(rng, service, from_ns, What::Log { number: parts.len() }));
                }
            }
        }
        Request { trace_id, circuit: format!("circ-{:05}", rng.below(20)), parts }
    }

    /// Parts that were written until `now_ns`.
    pub(crate) fn written(&self, now_ns: u64) -> impl Iterator<Item = usize> {
        self.parts.iter().enumerate().filter(move |(_, part)| part.time_ns <= now_ns).map(|(at, _)| at)
    }

    /// When everything of it is written.
    pub(crate) fn end_ns(&self) -> u64 {
        self.parts.iter().map(|part| part.time_ns).max().unwrap_or(0)
    }

    fn is_log(&self, part: usize) -> bool {
        matches!(self.parts[part].what, What::Log { .. })
    }
}

/// Batches of parts (request, part): one of log lines, one of spans, each where there are some, with what is in it.
pub(crate) fn batches(requests: &[Request], parts: &[(usize, usize)]) -> Vec<(Parts, Vec<(usize, usize)>)> {
    let (logs, spans): (Vec<_>, Vec<_>) = parts.iter().copied().partition(|(of, part)| requests[*of].is_log(*part));
    let mut made = Vec::new();
    if !logs.is_empty() {
        let mut batch = LogBatch::new();
        logs.iter().for_each(|(of, part)| put_log(&mut batch, &requests[*of], &requests[*of].parts[*part]));
        made.push((Parts::Logs(batch), logs));
    }
    if !spans.is_empty() {
        let mut batch = SpanBatch::new();
        spans.iter().for_each(|(of, part)| put_span(&mut batch, &requests[*of], &requests[*of].parts[*part]));
        made.push((Parts::Spans(batch), spans));
    }
    made
}

fn put_log(batch: &mut LogBatch, request: &Request, part: &Part) {
    let What::Log { number } = part.what else { return };
    let (trace, circuit) = (request.trace_id.to_string(), request.circuit.as_str());
    let level = if part.failed { "error" } else { "info" };
    let mut labels = [("service_name", part.service), ("app", "sim")];
    batch.start_stream(&mut labels).unwrap();
    // Half of them name their ids in metadata, half in the line.
    if number.is_multiple_of(2) {
        let line = format!("level={level} msg=\"step {number}\"");
        let mut metadata = [("trace_id", trace.as_str()), ("circuit_id", circuit)];
        batch.push_entry(part.time_ns as i64, line.as_bytes(), &mut metadata).unwrap();
    } else {
        let line =
            format!(r#"{{"level":"{level}","msg":"step {number}","traceId":"{trace}","circuitId":"{circuit}"}}"#);
        batch.push_entry(part.time_ns as i64, line.as_bytes(), &mut []).unwrap();
    }
}

fn put_span(batch: &mut SpanBatch, request: &Request, part: &Part) {
    let What::Span { id, parent, duration_ns } = part.what else { return };
    let mut bytes = Vec::new();
    put_attribute(&mut bytes, "service.name", AttributeValue::Str(part.service));
    let attributes = batch.put(&bytes);
    let resource = batch.resources.len() as u32;
    batch.resources.push(ResourceEntry { attributes, ..Default::default() });
    if batch.scopes.is_empty() {
        batch.scopes.push(ScopeEntry::default());
    }
    let mut bytes = Vec::new();
    put_attribute(&mut bytes, "circuit.id", AttributeValue::Str(&request.circuit));
    let attributes = batch.put(&bytes);
    let name = batch.put(format!("operation {}", id % 7).as_bytes());
    let as_id = |number: u64| SpanId(number.to_be_bytes());
    batch.spans.push(SpanEntry {
        trace_id: request.trace_id,
        span_id: as_id(id),
        parent_span_id: as_id(parent),
        resource,
        start_ns: part.time_ns,
        end_ns: part.time_ns + duration_ns,
        kind: SpanKind::Server,
        status: if part.failed { StatusCode::Error } else { StatusCode::Unset },
        name,
        attributes,
        ..Default::default()
    });
}
