//! How many spans a second the engine judges and counts on one core, from batches that are in memory.
//!
//!     cargo run --release -p bramble-query-traceql --example speed [SPANS]

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool says what it measured, and may fail by panicking")]

use bramble_query_traceql::{MetricsOptions, SearchOptions, measure, parse, search};
use bramble_signal::attributes::{AttributeValue, put_attribute};
use bramble_signal::{ResourceEntry, ScopeEntry, SpanBatch, SpanEntry, SpanId, SpanKind, StatusCode, TraceId};
use bramble_storage::{QueryContext, ReadError, SpanCursor, SpanScan, TraceSource};

const SPANS_PER_TRACE: u64 = 12;
const SPANS_PER_BATCH: u64 = 4_096;
const SERVICES: u64 = 20;

struct Ready(Vec<SpanBatch>);

struct Cursor<'a>(std::slice::Iter<'a, SpanBatch>);

impl SpanCursor for Cursor<'_> {
    fn next(&mut self, out: &mut SpanBatch) -> Result<bool, ReadError> {
        let Some(batch) = self.0.next() else { return Ok(false) };
        out.clone_from(batch);
        Ok(true)
    }
}

impl TraceSource for Ready {
    fn trace(&self, id: TraceId, _: &QueryContext) -> Result<SpanBatch, ReadError> {
        let mut found = SpanBatch::new();
        for batch in &self.0 {
            for span in batch.spans.iter().filter(|s| s.trace_id == id) {
                found.push_from(batch, span);
            }
        }
        Ok(found)
    }

    fn scan<'a>(&'a self, _: &SpanScan<'_>, _: &'a QueryContext) -> Result<Box<dyn SpanCursor + 'a>, ReadError> {
        Ok(Box::new(Cursor(self.0.iter())))
    }

    fn services(&self, _: u64, _: u64, _: &QueryContext) -> Result<Vec<String>, ReadError> {
        Ok(Vec::new())
    }

    fn operations(&self, _: &str, _: u64, _: u64, _: &QueryContext) -> Result<Vec<(String, SpanKind)>, ReadError> {
        Ok(Vec::new())
    }
}

fn resource(batch: &mut SpanBatch, service: u64) -> ResourceEntry {
    let mut bytes = Vec::new();
    put_attribute(&mut bytes, "telemetry.sdk.language", AttributeValue::Str("rust"));
    put_attribute(&mut bytes, "host.name", AttributeValue::Str("node-1"));
    put_attribute(&mut bytes, "service.name", AttributeValue::Str(&format!("service-{service}")));
    ResourceEntry { attributes: batch.put(&bytes), ..Default::default() }
}

fn batch(first: u64) -> SpanBatch {
    let mut batch = SpanBatch::new();
    for service in 0..SERVICES {
        let entry = resource(&mut batch, service);
        batch.resources.push(entry);
    }
    batch.scopes.push(ScopeEntry::default());
    for number in first..first + SPANS_PER_BATCH {
        let (trace, within) = (number / SPANS_PER_TRACE, number % SPANS_PER_TRACE);
        let mut bytes = Vec::new();
        put_attribute(&mut bytes, "http.method", AttributeValue::Str(if number % 3 == 0 { "GET" } else { "POST" }));
        put_attribute(&mut bytes, "http.status_code", AttributeValue::Int(200 + (number % 5) as i64));
        let id = |n: u64| SpanId(if n == 0 { [0; 8] } else { n.to_be_bytes() });
        let start_ns = number * 1_000_000;
        let span = SpanEntry {
            trace_id: TraceId(u128::from(trace + 1).to_be_bytes()),
            span_id: id(number + 1),
            parent_span_id: id(if within == 0 { 0 } else { number }),
            resource: (number % SERVICES) as u32,
            start_ns,
            end_ns: start_ns + number % 977 * 100_000,
            kind: SpanKind::Server,
            status: if number % 50 == 0 { StatusCode::Error } else { StatusCode::Ok },
            name: batch.put(format!("operation-{}", number % 40).as_bytes()),
            attributes: batch.put(&bytes),
            ..Default::default()
        };
        batch.spans.push(span);
    }
    batch
}

/// Time on a processor, seconds: others may use the machine, too.
fn busy_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn main() {
    let spans: u64 = std::env::args().nth(1).map_or(1 << 20, |n| n.parse().unwrap());
    let source = Ready((0..spans / SPANS_PER_BATCH).map(|n| batch(n * SPANS_PER_BATCH)).collect());
    let end_ns = spans * 1_000_000;
    let context = QueryContext::unlimited();
    let options = MetricsOptions { start_ns: 0, end_ns, step_ns: Some(end_ns / 100) };
    for text in [
        "{} | rate()",
        "{} | rate() by (resource.service.name)",
        "{} | rate() by (resource.service.name, name)",
        "{ span.http.method = \"GET\" && status = error } | rate() by (span.http.status_code)",
        "{ resource.service.name = \"service-3\" } | quantile_over_time(duration, .5, .99) by (name)",
        "{ nestedSetParent < 0 } | rate()",
        "{} | histogram_over_time(duration)",
        "{ rootName = \"operation-0\" } | rate()",
        "{ status = error } >> { } | count_over_time()",
    ] {
        let begin = busy_seconds();
        let series = measure(&parse(text).unwrap(), &source, &options, &context).unwrap();
        let rate = spans as f64 / (busy_seconds() - begin) / 1e6;
        println!("{rate:8.2} M spans/s  {:5} series  {text}", series.len());
    }
    for text in ["{ span.http.method = \"PUT\" }", "{ name = \"x\" } > { status = error }", "{} | count() > 1000"] {
        let begin = busy_seconds();
        let options = SearchOptions { start_ns: 0, end_ns, limit: 20, spans_per_set: 3 };
        let found = search(&parse(text).unwrap(), &source, &options, &context).unwrap();
        let rate = spans as f64 / (busy_seconds() - begin) / 1e6;
        println!("{rate:8.2} M spans/s  {:5} traces  {text}", found.len());
    }
}
