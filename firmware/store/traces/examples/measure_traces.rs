//! What spans cost: CPU per span by step, and bytes per span by page. The data is that of the bench rig: traces of
//! about eight spans through four services, 318 B of OTLP each.
//!
//! `cargo run --release -p bramble-store-traces --example measure_traces -- [traces] [generations]`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool, not a part of the product")]

use bramble_disk::{Disk, PageCache, ThreadsDisk};
use bramble_runtime::{Budget, BudgetName, Rng, SystemClock};
use bramble_signal::attributes::{AttributeValue, put_attribute};
use bramble_signal::{ResourceEntry, SpanBatch, SpanEntry, SpanId, SpanKind, StatusCode, TraceId};
use bramble_storage::{
    AttributeScope, BlockId, BlockStore, QueryContext, SpanFields, SpanPredicate, SpanScan, SpanSink, TraceSource,
    ValueTest,
};
use bramble_store_traces::{TraceBudgets, TraceLimits, TraceStore};
use std::sync::Arc;
use std::time::Instant;

const SERVICES: [&str; 4] = ["beorn", "palantir", "arda", "db"];
const ROUTES: [&str; 5] =
    ["/api/v1/circuits/{id}", "/api/v1/products", "/api/v1/resources/{id}", "/api/v1/orders", "/api/v1/search"];
const STATEMENTS: [&str; 3] = [
    "SELECT * FROM circuit WHERE id = $1",
    "SELECT * FROM resource WHERE type_id = $1",
    "UPDATE product SET state = $2 WHERE id = $1",
];
const BASE_NS: u64 = 1_794_960_000_000_000_000;

struct Random(Rng);

impl Random {
    fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
    fn below(&mut self, n: u64) -> u64 {
        self.0.next_u64() % n
    }
}

fn trace(batch: &mut SpanBatch, id: u64, start_ns: u64, random: &mut Random) {
    let mut trace_id = [0; 16];
    let mut own = Rng::new(id.wrapping_mul(1_000_003) + 1);
    trace_id[..8].copy_from_slice(&own.next_u64().to_be_bytes());
    trace_id[8..].copy_from_slice(&own.next_u64().to_be_bytes());
    let circuit = format!("circ-{:05}", random.below(20_000));
    let product = format!("prod-{:04}", random.below(2000));
    let resource = format!("res-{:06}", random.below(200_000));
    let resource_type = format!("type-{:02}", random.below(40));
    let request = format!("{:016x}{:016x}", random.0.next_u64(), random.0.next_u64());
    let failed = random.unit() < 0.03;
    let total_ns = (-random.unit().ln() * 8.0 * 8e6) as u64 + 2_000_000;
    let route = ROUTES[random.below(5) as usize];
    let mut shape = vec![(0, usize::MAX, 2u64), (0, 0, 1), (0, 0, 3), (1, 2, 2), (2, 3, 2)];
    for _ in 0..2 + random.below(3) {
        shape.push((3, 4, 3));
    }
    let mut spans: Vec<([u8; 8], u64, u64)> = Vec::new();
    for (i, &(service, parent, kind)) in shape.iter().enumerate() {
        let (from, to) = match spans.get(parent) {
            None => (start_ns, start_ns + total_ns),
            Some(&(_, pf, pt)) => {
                let from = pf + ((pt - pf) as f64 * 0.4 * random.unit()) as u64;
                (from, from + ((pt - from) as f64 * (0.3 + 0.6 * random.unit())) as u64)
            }
        };
        let error = failed && (parent == usize::MAX || i + 1 == shape.len());
        let name = match (service, kind) {
            (3, _) => "db.query".to_owned(),
            (_, 2) => format!("GET {route}"),
            (_, 3) => format!("HTTP GET {}", SERVICES[service + 1]),
            _ => "authorize".to_owned(),
        };
        let mut attributes = Vec::new();
        put_attribute(&mut attributes, "circuit_id", AttributeValue::Str(&circuit));
        put_attribute(&mut attributes, "request_id", AttributeValue::Str(&request));
        if service == 3 {
            put_attribute(&mut attributes, "db.system", AttributeValue::Str("postgresql"));
            let statement = STATEMENTS[random.below(3) as usize];
            put_attribute(&mut attributes, "db.statement", AttributeValue::Str(statement));
            put_attribute(&mut attributes, "db.rows", AttributeValue::Int(random.below(500) as i64));
        } else {
            put_attribute(&mut attributes, "product_id", AttributeValue::Str(&product));
            put_attribute(&mut attributes, "resource_id", AttributeValue::Str(&resource));
            put_attribute(&mut attributes, "resource_type_id", AttributeValue::Str(&resource_type));
            put_attribute(&mut attributes, "http.method", AttributeValue::Str("GET"));
            put_attribute(&mut attributes, "http.route", AttributeValue::Str(route));
            let status = if error { 500 } else { 200 };
            put_attribute(&mut attributes, "http.status_code", AttributeValue::Int(status));
            let ms = (to - from) as f64 / 1e6;
            put_attribute(&mut attributes, "http.response_ms", AttributeValue::Double(ms));
        }
        let id = random.0.next_u64().to_be_bytes();
        let entry = SpanEntry {
            trace_id: TraceId(trace_id),
            span_id: SpanId(id),
            parent_span_id: SpanId(spans.get(parent).map_or([0; 8], |p| p.0)),
            resource: service as u32,
            start_ns: from,
            end_ns: to,
            kind: SpanKind::from_code(kind),
            status: if error { StatusCode::Error } else { StatusCode::Unset },
            name: batch.put(name.as_bytes()),
            status_message: batch.put(if error { b"upstream timeout" } else { b"" }),
            attributes: batch.put(&attributes),
            ..Default::default()
        };
        batch.spans.push(entry);
        spans.push((id, from, to));
    }
}

fn batch_of(first: u64, count: u64, step_ns: u64, random: &mut Random) -> SpanBatch {
    let mut batch = SpanBatch::new();
    for service in SERVICES {
        let mut attributes = Vec::new();
        put_attribute(&mut attributes, "service.name", AttributeValue::Str(service));
        put_attribute(&mut attributes, "host.name", AttributeValue::Str("rpi-001"));
        let attributes = batch.put(&attributes);
        batch.resources.push(ResourceEntry { attributes, ..Default::default() });
    }
    batch.scopes.push(Default::default());
    for id in first..first + count {
        trace(&mut batch, id, BASE_NS + id * step_ns, random);
    }
    batch
}

fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse().unwrap()
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse::<u64>().unwrap());
    let (traces, generations) = (arguments.next().unwrap_or(40_000), arguments.next().unwrap_or(4));
    let directory = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(ThreadsDisk::new(directory.path()).unwrap());
    let budget = |name, bytes| Budget::standalone(name, bytes);
    let store = TraceStore::new(
        disk,
        Arc::new(PageCache::new(budget(BudgetName::PageCache, 11 << 20))),
        Arc::new(SystemClock::new()),
        TraceBudgets {
            head: budget(BudgetName::TraceHead, 1 << 30),
            merge: budget(BudgetName::Merge, 10 << 20),
            index: budget(BudgetName::BlockIndex, 6 << 20),
        },
        TraceLimits::default(),
        &prometheus::Registry::new(),
    );
    let mut random = Random(Rng::new(1));
    let (mut prepare, mut apply, mut flush, mut spans) = (0, 0, 0, 0u64);
    let mut next = 0;
    let mut id = || {
        next += 1;
        BlockId(next)
    };
    let mut blocks = Vec::new();
    let step_ns = 3_600_000_000_000 / (traces * generations);
    for generation in 0..generations {
        for first in (0..traces).step_by(50) {
            let batch = batch_of(generation * traces + first, 50, step_ns, &mut random);
            spans += batch.spans.len() as u64;
            let begun = cpu_ns();
            let prepared = store.prepare(batch, BASE_NS as i64 + 3_600_000_000_000).unwrap();
            let between = cpu_ns();
            store.apply(prepared, first + 1);
            prepare += between - begun;
            apply += cpu_ns() - between;
        }
        if generation == 0 {
            let head = store.head();
            println!("head         {:8.1} B/span", head.total_bytes as f64 / spans as f64);
        }
        let begun = cpu_ns();
        store.freeze(traces);
        let written = store.write_frozen(&mut id).unwrap();
        store.swap(&written, &[], true).unwrap();
        flush += cpu_ns() - begun;
        blocks.extend(written);
    }
    let per = |n: u64| n as f64 / spans as f64;
    println!("spans        {spans}");
    println!("prepare      {:8.0} ns/span\napply        {:8.0} ns/span", per(prepare), per(apply));
    println!("flush        {:8.0} ns/span", per(flush));
    println!("flushed      {:8.2} B/span", per(blocks.iter().map(|b| b.file_bytes).sum()));
    let begun = cpu_ns();
    let mut merged = Vec::new();
    for class in bramble_storage::RetentionClass::ALL {
        let inputs: Vec<BlockId> = blocks.iter().filter(|b| b.class == class).map(|b| b.id).collect();
        let written = store.merge(&inputs, 64 << 20, &mut id, &|| true).unwrap();
        store.swap(&written, &inputs, false).unwrap();
        merged.extend(written);
    }
    println!("merge        {:8.0} ns/span", per(cpu_ns() - begun));
    println!("merged       {:8.2} B/span", per(merged.iter().map(|b| b.file_bytes).sum()));
    for (name, bytes) in store.page_bytes().unwrap() {
        println!("  {name:<32} {:8.3} B/span", per(bytes));
    }
    ask(&store, traces * generations, spans);
}

fn attribute(scope: AttributeScope, key: &str, test: ValueTest) -> SpanPredicate {
    SpanPredicate::Attribute { scope, key: key.into(), test }
}

/// CPU time of all threads, those that ended too, milliseconds.
fn process_cpu_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split(' ').collect();
    // utime and stime in ticks of 10 ms.
    (fields[12].parse::<f64>().unwrap() + fields[13].parse::<f64>().unwrap()) * 10.0
}

/// Runs a question once, then as often as it takes to know its cost, and prints what it found and how long it took:
/// the first time, the best time, and CPU time of all threads.
fn repeat(name: &str, spans: u64, mut ask: impl FnMut() -> usize) {
    let mut walls = Vec::new();
    let mut found = 0;
    let (mut cpu, begun) = (0.0, Instant::now());
    while walls.len() < 3 || (begun.elapsed().as_millis() < 500 && walls.len() < 200) {
        let begun = Instant::now();
        found = ask();
        walls.push(begun.elapsed().as_secs_f64() * 1e3);
        if walls.len() == 1 {
            cpu = process_cpu_ms();
        }
    }
    let cpu = (process_cpu_ms() - cpu) / (walls.len() - 1) as f64;
    let best = walls[1..].iter().copied().fold(f64::INFINITY, f64::min);
    let rate = spans as f64 / cpu / 1e3;
    println!(
        "{name:<28} {found:>8} found, first {:8.2} ms, best {best:8.2} ms, cpu {cpu:8.2} ms, {rate:>7.1} M spans/s",
        walls[0]
    );
}

fn ask(store: &TraceStore, traces: u64, spans: u64) {
    let context = QueryContext::unlimited();
    let mut middle = Rng::new((traces / 2).wrapping_mul(1_000_003) + 1);
    let mut id = [0; 16];
    id[..8].copy_from_slice(&middle.next_u64().to_be_bytes());
    id[8..].copy_from_slice(&middle.next_u64().to_be_bytes());
    let trace = |id: [u8; 16]| store.trace(TraceId(id), &context).unwrap().spans.len();
    repeat("trace by id", spans, || trace(id));
    repeat("absent id", spans, || trace([0x5a; 16]));
    let whole = |predicates: &[SpanPredicate], limit: usize| {
        let mut cursor = store.scan(&SpanScan::whole(0, u64::MAX, predicates), &context).unwrap();
        let (mut batch, mut found, mut traces) = (SpanBatch::new(), 0, 0);
        while traces < limit && cursor.next(&mut batch).unwrap() {
            found += batch.spans.len();
            traces += batch.spans.chunk_by(|a, b| a.trace_id == b.trace_id).count();
        }
        found
    };
    let any = |key: &str, text: &str| attribute(AttributeScope::Any, key, ValueTest::is(text));
    let circuit = [any("circuit_id", "circ-00042")];
    repeat("circuit_id", spans, || whole(&circuit, 20));
    repeat("circuit_id absent", spans, || whole(&[any("circuit_id", "circ-99999")], 20));
    repeat("request_id absent", spans, || whole(&[any("request_id", "00000000000000000000000000000000")], 20));
    let errors = [SpanPredicate::Service(ValueTest::is("db")), SpanPredicate::Status(StatusCode::Error)];
    repeat("errors of db, all", spans, || whole(&errors, usize::MAX));
    repeat("errors of db, 20", spans, || whole(&errors, 20));
    repeat("duration > 500 ms, 100", spans, || whole(&[SpanPredicate::DurationAtLeast(500_000_000)], 100));
    repeat("duration > 400 ms, all", spans, || whole(&[SpanPredicate::DurationAtLeast(400_000_000)], usize::MAX));
    repeat("name absent", spans, || whole(&[SpanPredicate::Name(ValueTest::is("nope"))], 20));
    repeat("all traces", spans, || whole(&[], usize::MAX));
    single(store, spans, &context);
    let values = |scope, key: &str| store.attribute_values(scope, key, (0, u64::MAX), 1000, &context).unwrap().0.len();
    repeat("values of http.route", spans, || values(AttributeScope::Span, "http.route"));
    repeat("values of circuit_id", spans, || values(AttributeScope::Span, "circuit_id"));
    repeat("values of service.name", spans, || values(AttributeScope::Resource, "service.name"));
    repeat("names", spans, || {
        store.attribute_names(AttributeScope::Any, (0, u64::MAX), 1000, &context).unwrap().0.len()
    });
    repeat("services", spans, || store.services(0, u64::MAX, &context).unwrap().len());
}

/// What TraceQL's metrics ask.
fn single(store: &TraceStore, spans: u64, context: &QueryContext) {
    let run = |predicates: &[SpanPredicate], keys: Option<&[&str]>| {
        let attributes = keys.map(|keys| keys.iter().map(|k| (*k).to_owned()).collect());
        let fields = match keys {
            Some(_) => SpanFields { attributes, ..SpanFields::LEAST },
            None => SpanFields::ALL,
        };
        let scan = SpanScan { whole_traces: false, fields, ..SpanScan::whole(0, u64::MAX, predicates) };
        let mut cursor = store.scan(&scan, context).unwrap();
        let (mut batch, mut found) = (SpanBatch::new(), 0);
        while cursor.next(&mut batch).unwrap() {
            found += batch.spans.len();
        }
        found
    };
    let failed = ValueTest::Within { at_least: 500.0, at_most: f64::INFINITY };
    let failed = [attribute(AttributeScope::Span, "http.status_code", failed)];
    repeat("spans: rate by service", spans, || run(&[], Some(&[])));
    repeat("spans: quantile, status>=500", spans, || run(&failed, Some(&["http.status_code"])));
    repeat("spans: by http.route", spans, || run(&[], Some(&["http.route"])));
    repeat("spans: circuit_id", spans, || {
        run(&[attribute(AttributeScope::Span, "circuit_id", ValueTest::is("circ-00042"))], Some(&["circuit_id"]))
    });
    repeat("spans: slow", spans, || run(&[SpanPredicate::DurationAtLeast(400_000_000)], Some(&[])));
    repeat("spans: everything", spans, || run(&[], None));
}
