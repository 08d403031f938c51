//! How fast lines go through a pipeline on one core: json, labels, timestamp and redaction over lines as services write
//! them.
//!
//! Megabytes and lines per second of CPU time.
//!
//! `cargo run --release --example log_pipeline -p bramble-collect [SECONDS]`

use bramble_collect::pipeline::logs::{LogBuilder, LogPipeline, RawLine, RedactConfig, Redactor, StageConfig};
use bramble_signal::Labels;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

const JSON: &str = r#"[
    {"json": {"expressions": {"level": null, "ts": "time", "service": "service.name"}}},
    {"timestamp": {"source": "ts", "format": "RFC3339Nano"}},
    {"labels": {"level": null, "service": null}}
]"#;
const REGEX: &str = r#"[
    {"regex": {"expression": "^(?P<time>\\S+) (?P<level>[A-Z]+) \\[(?P<thread>[^\\]]*)\\] "}},
    {"timestamp": {"source": "time", "format": "RFC3339Nano"}},
    {"labels": {"level": null}}
]"#;

/// Lines of a web service: about 300 bytes each.
fn json_lines() -> Vec<String> {
    let levels = ["info", "info", "info", "warn", "error", "debug"];
    let line = |n: usize| {
        let level = levels[n % levels.len()];
        format!(
            concat!(
                r#"{{"time":"2024-05-01T10:{:02}:{:02}.{:09}Z","level":"{}","service":{{"name":"checkout","version":"1.{}.0"}},"#,
                r#""trace_id":"4bf92f3577b34da6a3ce929d0e{:06x}","span_id":"00f067aa0b{:06x}","http":{{"method":"GET","#,
                r#""path":"/api/orders/{}","status":{},"duration_ms":{}.{}}},"msg":"request served to customer {} from pool","#,
                r#""caller":"server/handler.go:{}","user_agent":"Mozilla/5.0 (X11; Linux aarch64)"}}"#
            ),
            n / 60 % 60,
            n % 60,
            n * 7919 % 1_000_000_000,
            level,
            n % 9,
            n * 31 % 0xff_ffff,
            n * 17 % 0xff_ffff,
            n * 13,
            if level == "error" { 500 } else { 200 },
            n % 300,
            n % 10,
            n * 3,
            n % 500
        )
    };
    (0..5000).map(line).collect()
}

/// Lines of a JVM service.
fn text_lines() -> Vec<String> {
    let line = |n: usize| {
        format!(
            "2024-05-01T10:{:02}:{:02}.{:03}Z INFO [pool-2-thread-{}] c.e.orders.OrderService - order {} moved from NEW to \
             PAID in {} ms, 3 items, warehouse 17, customer {}",
            n / 60 % 60,
            n % 60,
            n % 1000,
            n % 16,
            n * 13,
            n % 90,
            n * 3
        )
    };
    (0..5000).map(line).collect()
}

/// Seconds this thread has run: on a machine that others use too, the clock on the wall says little.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

fn measure(name: &str, stages: &str, lines: &[String], redact: bool, seconds: f64) {
    let stages: Vec<StageConfig> = serde_json::from_str(stages).expect("stages");
    let redactor = Arc::new(Redactor::new(&RedactConfig::default()).expect("kinds"));
    let mut pipeline = LogPipeline::compile(&stages).expect("stages").redacting(redact.then_some(redactor));
    let labels = Labels::from_pairs([("namespace", "shop"), ("pod", "checkout-7d9f"), ("container", "app")]);
    let mut out = LogBuilder::new();
    let (mut bytes, mut count, mut batches) = (0u64, 0u64, 0u64);
    let (start, cpu_start) = (Instant::now(), cpu_seconds());
    while start.elapsed() < Duration::from_secs_f64(seconds) {
        for line in lines {
            let raw = RawLine::new(1_714_557_600_000_000_000, labels.as_ref(), line.as_bytes());
            pipeline.push(raw, &mut out);
            bytes += line.len() as u64;
            if out.bytes() > 1 << 20 {
                batches += u64::from(!std::hint::black_box(out.finish()).is_empty());
            }
        }
        count += lines.len() as u64;
    }
    let took = (cpu_seconds() - cpu_start).max(1e-9);
    let megabytes = bytes as f64 / took / 1e6;
    let text = format!("{name:<32} {megabytes:8.0} MB/s {:9.0} lines/s {batches:6} batches", count as f64 / took);
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn main() {
    let seconds = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(2.0);
    let (json, text) = (json_lines(), text_lines());
    measure("json+timestamp+labels+redaction", JSON, &json, true, seconds);
    measure("json+timestamp+labels", JSON, &json, false, seconds);
    measure("json lines, redaction alone", "[]", &json, true, seconds);
    measure("no stages", "[]", &json, false, seconds);
    measure("regex+timestamp+labels+redaction", REGEX, &text, true, seconds);
    measure("text lines, redaction alone", "[]", &text, true, seconds);
}
