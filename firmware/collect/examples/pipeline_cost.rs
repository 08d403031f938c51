//! What pipelines cost per line and span: with nothing declared, with redaction alone, and with common steps.
//!
//! `cargo run --release -p bramble-collect --example pipeline_cost`

#![expect(clippy::print_stdout, reason = "what it measures is its output")]

use bramble_collect::pipeline::logs::{RedactConfig, Redactor};
use bramble_collect::pipeline::{PipelineOptions, Pipelines};
use bramble_runtime::{Budget, BudgetName, ManualClock, Reservation};
use bramble_signal::attributes::{AttributeValue, put_attribute};
use bramble_signal::{LogBatch, MetricBatch, ResourceEntry, ScopeEntry, SpanBatch, SpanEntry};
use bramble_storage::{Batch, Done, Urgency, Writer, Written};
use prometheus::Registry;
use std::sync::Arc;
use std::time::Instant;

const BATCHES: usize = 400;
const ITEMS: usize = 1000;

/// Takes everything and keeps nothing.
struct Nowhere;

impl Writer for Nowhere {
    fn write_metrics(&self, batch: MetricBatch, _: Reservation, _: Urgency, done: Done) {
        drop(std::hint::black_box(batch));
        done(Ok(Written::default()));
    }
    fn write_logs(&self, batch: LogBatch, _: Reservation, _: Urgency, done: Done) {
        drop(std::hint::black_box(batch));
        done(Ok(Written::default()));
    }
    fn write_spans(&self, batch: SpanBatch, _: Reservation, _: Urgency, done: Done) {
        drop(std::hint::black_box(batch));
        done(Ok(Written::default()));
    }
}

fn logs(seed: usize) -> LogBatch {
    let mut batch = LogBatch::new();
    for stream in 0..10 {
        let app = format!("app-{stream}");
        let _ = batch.start_stream(&mut [("app", app.as_str()), ("env", "prod"), ("host", "pi-1")]);
        for entry in 0..ITEMS / 10 {
            let n = seed * 7919 + stream * 101 + entry;
            let line = format!(
                "{{\"ts\":\"2026-11-21T10:{:02}:{:02}.{:03}Z\",\"level\":\"info\",\"msg\":\"handled request\",\"path\":\"/api/v1/items/{n}\",\"status\":200,\"duration_ms\":{},\"trace_id\":\"{:032x}\"}}",
                n % 60,
                n % 59,
                n % 1000,
                n % 173,
                n as u128 * 0x9e37_79b9_7f4a_7c15
            );
            let _ = batch.push_entry(n as i64, line.as_bytes(), &mut [("detected_level", "info")]);
        }
    }
    batch
}

fn spans(seed: usize) -> SpanBatch {
    let mut batch = SpanBatch::new();
    batch.scopes.push(ScopeEntry::default());
    let mut encoded = Vec::new();
    for (key, value) in [("service.name", "web"), ("service.version", "1.2.3"), ("host.name", "pi-1")] {
        put_attribute(&mut encoded, key, AttributeValue::Str(value));
    }
    let attributes = batch.put(&encoded);
    batch.resources.push(ResourceEntry { attributes, ..ResourceEntry::default() });
    for at in 0..ITEMS {
        let n = seed * 7919 + at;
        encoded.clear();
        put_attribute(&mut encoded, "http.request.method", AttributeValue::Str("GET"));
        put_attribute(&mut encoded, "http.route", AttributeValue::Str("/api/v1/items/{id}"));
        put_attribute(&mut encoded, "url.path", AttributeValue::Str(&format!("/api/v1/items/{n}")));
        put_attribute(&mut encoded, "http.response.status_code", AttributeValue::Int(200));
        put_attribute(&mut encoded, "user_agent.original", AttributeValue::Str("curl/8.5.0"));
        put_attribute(&mut encoded, "server.address", AttributeValue::Str("items.shop.svc.cluster.local"));
        let (attributes, name) = (batch.put(&encoded), batch.put(b"GET /api/v1/items/{id}"));
        batch.spans.push(SpanEntry { attributes, name, ..SpanEntry::default() });
    }
    batch
}

fn metrics(seed: usize) -> MetricBatch {
    let mut batch = MetricBatch::new();
    for at in 0..ITEMS {
        let instance = format!("10.0.0.{}:9100", at % 250);
        let name = format!("node_metric_{}", at % 37);
        let _ = batch.start_series(&mut [("__name__", &name), ("instance", &instance), ("job", "node"), ("cpu", "1")]);
        batch.push_sample(seed as i64, at as f64);
    }
    batch
}

fn measure(what: &str, options: &PipelineOptions, make: impl Fn(usize) -> Batch) {
    let budget = Budget::standalone(BudgetName::Receive, 1 << 30);
    let pipelines =
        match Pipelines::new(Nowhere, options, budget.clone(), Arc::new(ManualClock::new(1)), &Registry::new()) {
            Ok(pipelines) => pipelines,
            Err(error) => return println!("{what}: {error}"),
        };
    let batches: Vec<Batch> = (0..BATCHES).map(make).collect();
    let (items, bytes): (usize, usize) =
        batches.iter().fold((0, 0), |(items, bytes), b| (items + b.item_count(), bytes + b.memory_bytes()));
    let held: Vec<Reservation> = batches.iter().filter_map(|b| budget.reserve(b.memory_bytes()).ok()).collect();
    let began = Instant::now();
    for (batch, held) in batches.into_iter().zip(held) {
        pipelines.write(batch, held, Urgency::SenderWaits, Box::new(|_| ()));
    }
    let took = began.elapsed();
    let (ns, rate) = (took.as_nanos() as f64 / items as f64, bytes as f64 / took.as_secs_f64() / 1e6);
    println!("{what:<58} {ns:8.1} ns per item  {rate:8.0} MB/s of batches");
}

fn main() {
    let redactor = || Redactor::new(&RedactConfig::default()).ok().map(Arc::new);
    let declared = |yaml: &str, redact: bool| PipelineOptions {
        pipelines: if yaml.is_empty() { Vec::new() } else { serde_saphyr::from_str(yaml).unwrap_or_default() },
        redactor: if redact { redactor() } else { None },
    };
    let enrich = "- {name: p, steps: [{enrich: {attributes: {deployment.environment: prod}}}]}";
    let drop = "- {name: p, signals: [logs], steps: [{drop: {line: 'path\":\"/health'}}]}";
    let level = "- {name: p, signals: [logs], steps: [{drop: {severity_below: info}}]}";
    let hash = "- {name: p, steps: [{attributes: [{action: hash, key: user.id}, {action: delete, key: cookie}]}]}";
    let stages = "- {name: p, signals: [logs], steps: [{stages: [{json: {expressions: {level: level}}}, {labels: {level: level}}]}]}";
    let route = "- {name: p, signals: [traces], steps: [{drop: {match: '{http.route=\"/health\"}'}}]}";
    let relabel = "- {name: p, signals: [metrics], steps: [{relabel: [{regex: cpu, action: labeldrop}]}]}";
    let of_logs = |at: usize| Batch::Logs(logs(at));
    let of_spans = |at: usize| Batch::Spans(spans(at));
    let of_metrics = |at: usize| Batch::Metrics(metrics(at));
    for (what, yaml, redact) in [
        ("lines: nothing", "", false),
        ("lines: redaction", "", true),
        ("lines: enrich", enrich, false),
        ("lines: drop by text", drop, false),
        ("lines: drop by level", level, false),
        ("lines: two actions that find nothing", hash, false),
        ("lines: stages json, labels", stages, false),
    ] {
        measure(what, &declared(yaml, redact), of_logs);
    }
    for (what, yaml, redact) in [
        ("spans: nothing", "", false),
        ("spans: redaction", "", true),
        ("spans: enrich", enrich, false),
        ("spans: drop by route", route, false),
        ("spans: two actions that find nothing", hash, false),
    ] {
        measure(what, &declared(yaml, redact), of_spans);
    }
    for (what, yaml) in [("series: nothing", ""), ("series: enrich", enrich), ("series: relabel", relabel)] {
        measure(what, &declared(yaml, false), of_metrics);
    }
}
