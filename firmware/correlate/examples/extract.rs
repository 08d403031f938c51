//! What finding ids costs: nanoseconds per line and per span, medians of many rounds.
//!
//! `cargo run --release -p bramble-correlate --example extract [-- LOGHUB_DIRECTORY]`

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs, reason = "a measuring tool")]

use bramble_correlate::{Extractor, Item, ItemSink, Origin};
use bramble_line::ids::find_ids;
use bramble_signal::attributes::{AttributeValue, put_attribute};
use bramble_signal::{LogBatch, ResourceEntry, ScopeEntry, SpanBatch, SpanEntry, SpanId, SpanKind, TraceId};
use bramble_storage::Durable;
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: usize = 300;
const LINES: usize = 1500;

struct Maker(u64);

impl Maker {
    fn random(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn trace(&mut self) -> String {
        format!("{:016x}{:016x}", self.random(), self.random())
    }

    /// As structured services log; about 300 bytes.
    fn json(&mut self, trace: &str) -> String {
        format!(
            r#"{{"time":"2026-11-19T00:00:{:02}.123456789Z","level":"info","service":"beorn","trace_id":"{trace}","span_id":"{:016x}","circuit_id":"circ-{:05}","request_id":"{:08x}-9bc3-4915-b982-0fcb87f23cb0","message":"circuit state updated","latency_ms":{:.2},"status":200}}"#,
            self.random() % 60,
            self.random(),
            self.random() % 20_000,
            self.random() as u32,
            (self.random() % 10_000) as f64 / 100.0,
        )
    }

    /// About 120 bytes, nothing to find.
    fn text(&mut self) -> String {
        format!(
            "Jun 14 15:16:{:02} combo sshd(pam_unix)[{}]: authentication failure; logname= uid=0 euid=0 tty=NODEVssh ruser= rhost=218.188.2.{}",
            self.random() % 60,
            self.random() % 30_000,
            self.random() % 250,
        )
    }

    fn logfmt(&mut self) -> String {
        format!(
            "ts=2026-11-18T00:59:27.487Z level=info caller=handler.go:44 trace_id={} msg=\"slow query\" duration={}ms",
            self.trace(),
            self.random() % 1000,
        )
    }
}

#[derive(Default)]
struct Count {
    items: usize,
    check: u64,
}

impl ItemSink for Count {
    fn origin(&mut self, origin: &Origin<'_>) {
        self.check ^= origin.service.len() as u64;
    }

    fn item(&mut self, item: &Item<'_>) {
        self.items += 1;
        self.check ^= u64::from(item.trace_id.0[15]) ^ item.ids[0].len() as u64;
    }
}

/// Median nanoseconds of one of `count` things that `run` does.
fn measure(name: &str, count: usize, mut run: impl FnMut() -> usize) {
    let mut items = 0;
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            items = black_box(run());
            start.elapsed().as_nanos() as f64 / count as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{name:<44} {:>7.1} ns  ({:.1} found of {count})", times[ROUNDS / 2], items as f64);
}

fn lines(name: &str, lines: &[String]) {
    let bytes: usize = lines.iter().map(String::len).sum();
    measure(&format!("find_ids, {name} ({} B)", bytes / lines.len()), lines.len(), || {
        let mut found = 0;
        for line in lines {
            find_ids(line.as_bytes(), &mut |kind, id| found += usize::from(!id.is_empty()) + (kind as usize >> 3));
        }
        found
    });
}

fn batch(lines: &[(String, String)], streams: usize) -> LogBatch {
    let mut batch = LogBatch::new();
    for (place, lines) in lines.chunks(lines.len().div_ceil(streams)).enumerate() {
        let host = format!("rpi-{place:03}");
        batch
            .start_stream(&mut [("env", "dev"), ("host", &host), ("service", "beorn"), ("service_name", "beorn")])
            .unwrap();
        for (trace, line) in lines {
            let mut metadata = vec![("detected_level", "info"), ("level", "info")];
            if !trace.is_empty() {
                metadata.push(("trace_id", trace));
            }
            batch.push_entry(1, line.as_bytes(), &mut metadata).unwrap();
        }
    }
    batch
}

fn logs(name: &str, lines: &[(String, String)], streams: usize) {
    let (batch, mut extractor) = (batch(lines, streams), Extractor::new());
    measure(&format!("extract, {name}, {streams} streams"), lines.len(), || {
        let mut sink = Count::default();
        extractor.extract(Durable::Logs(&batch), &mut sink);
        sink.items + (black_box(sink.check) >> 63) as usize
    });
}

/// Spans with ten attributes of resources with twelve.
fn spans(maker: &mut Maker, count: usize, resources: u32, with_ids: bool) {
    let mut batch = SpanBatch::new();
    for _ in 0..resources {
        let mut bytes = Vec::new();
        for key in [
            "service.name",
            "service.version",
            "service.instance.id",
            "host.name",
            "host.arch",
            "os.type",
            "process.pid",
            "process.command",
            "telemetry.sdk.language",
            "telemetry.sdk.name",
            "telemetry.sdk.version",
            "deployment.environment",
        ] {
            put_attribute(&mut bytes, key, AttributeValue::Str("some-value"));
        }
        let attributes = batch.put(&bytes);
        batch.resources.push(ResourceEntry { attributes, ..Default::default() });
    }
    batch.scopes.push(ScopeEntry::default());
    for at in 0..count {
        let mut bytes = Vec::new();
        for key in [
            "http.request.method",
            "http.response.status_code",
            "url.path",
            "url.scheme",
            "server.address",
            "server.port",
            "user_agent.original",
            "client.address",
            "network.protocol.version",
            "thread.id",
        ] {
            put_attribute(&mut bytes, key, AttributeValue::Str("some value"));
        }
        if with_ids {
            put_attribute(&mut bytes, "circuit_id", AttributeValue::Str("circ-12345"));
            put_attribute(&mut bytes, "request_id", AttributeValue::Str("0fcb87f2-9bc3-4915-b982-0fcb87f23cb0"));
        }
        let (attributes, name) = (batch.put(&bytes), batch.put(b"GET /circuits/{id}"));
        batch.spans.push(SpanEntry {
            trace_id: TraceId([maker.random() as u8 | 1; 16]),
            span_id: SpanId([at as u8 | 1; 8]),
            resource: at as u32 % resources,
            start_ns: 5,
            end_ns: 9,
            kind: SpanKind::Server,
            name,
            attributes,
            ..Default::default()
        });
    }
    let mut extractor = Extractor::new();
    let name = format!("extract, spans, {resources} resources{}", if with_ids { ", two ids each" } else { "" });
    measure(&name, count, || {
        let mut sink = Count::default();
        extractor.extract(Durable::Spans(&batch), &mut sink);
        sink.items + (black_box(sink.check) >> 63) as usize
    });
}

fn main() {
    let mut maker = Maker(7);
    let json: Vec<(String, String)> = (0..LINES)
        .map(|_| {
            let trace = maker.trace();
            let line = maker.json(&trace);
            (trace, line)
        })
        .collect();
    let text: Vec<String> = (0..LINES).map(|_| maker.text()).collect();
    let logfmt: Vec<String> = (0..LINES).map(|_| maker.logfmt()).collect();
    lines("JSON", &json.iter().map(|(_, line)| line.clone()).collect::<Vec<_>>());
    lines("text", &text);
    lines("logfmt", &logfmt);
    let mut samples: Vec<String> = Vec::new();
    if let Some(directory) = std::env::args().nth(1) {
        for folder in std::fs::read_dir(directory).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
            let name = folder.file_name().to_string_lossy().into_owned();
            let Ok(bytes) = std::fs::read(folder.path().join(format!("{name}_2k.log"))) else { continue };
            let of_one: Vec<String> = String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect();
            lines(&name, &of_one);
            samples.extend(of_one.into_iter().take(LINES / 16));
        }
    } else {
        samples = text.clone();
    }
    logs("JSON with a trace in metadata", &json, 14);
    logs("text without ids", &text.iter().map(|line| (String::new(), line.clone())).collect::<Vec<_>>(), 14);
    // What the load generator sends: two lines of JSON for three of text.
    let pick = |at: usize| match at % 5 {
        0 | 1 => json[at % json.len()].clone(),
        _ => (String::new(), samples[at * 7 % samples.len()].clone()),
    };
    let mixed: Vec<(String, String)> = (0..LINES).map(pick).collect();
    logs("40 % JSON, 60 % text", &mixed, 30);
    logs("40 % JSON, 60 % text", &mixed, LINES);
    spans(&mut maker, 512, 8, false);
    spans(&mut maker, 512, 8, true);
    spans(&mut maker, 512, 512, true);
}
