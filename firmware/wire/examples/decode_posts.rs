//! What decoding posted logs costs:
//!
//! ```sh
//! cargo run --release -p bramble-wire --example decode_posts
//! ```
//!
//! Prints records and bytes per second of each form; run it alone.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement")]

use bramble_wire::Limits;
use bramble_wire::correlation_logs::{BodyKind, Decoder};
use std::time::Instant;

const RECORDS: usize = 1000;
const ROUNDS: usize = 200;

fn ids(name: &str, value: &str, found: &mut dyn FnMut(&'static str, &str)) -> bool {
    let id = match name {
        "trace_id" => "trace_id",
        "circuit_id" => "circuit_id",
        _ => return false,
    };
    found(id, value);
    true
}

fn main() {
    let record = |n: usize, message: &str| {
        format!(
            r#"{{"timestamp":"2026-11-21T06:00:00.{:03}Z","severity":"INFO","message":"{message} {n}","trace_id":"4bf92f3577b34da6a3ce929d0e0{n:05x}","labels":{{"circuit_id":"C-{}"}},"duration_ms":12.5}}"#,
            n % 1000,
            n % 50
        )
    };
    let envelope = |message: &str| {
        let records: Vec<String> = (0..RECORDS).map(|n| record(n, message)).collect();
        format!(r#"{{"resource":{{"service":"beorn","host":"pi","env":"dev"}},"records":[{}]}}"#, records.join(","))
    };
    let lines: Vec<String> = (0..RECORDS).map(|n| record(n, "request served for customer")).collect();
    let syslog = "<34>1 2026-11-21T06:00:00Z gate su 77 ID47 [x@1 k=\\\"v\\\"] request served for customer";
    let text: String = (0..RECORDS).map(|n| format!("<34>Nov 21 06:00:00 gate su[77]: request {n} served\n")).collect();
    for (name, body, kind) in [
        ("records", envelope("request served for customer"), BodyKind::Json),
        ("records of syslog", envelope(syslog), BodyKind::Json),
        ("lines of JSON", lines.join("\n"), BodyKind::JsonLines),
        ("lines of syslog", text, BodyKind::Unknown),
    ] {
        let mut decoder = Decoder::new(Limits::default(), ids);
        let began = Instant::now();
        for _ in 0..ROUNDS {
            let posted = decoder.decode(body.as_bytes(), kind, &[], 0).unwrap();
            assert_eq!(posted.batch.entry_count(), RECORDS);
        }
        let seconds = began.elapsed().as_secs_f64();
        let (records, bytes) = (RECORDS * ROUNDS, body.len() * ROUNDS);
        println!("{name}: {:.0} k records/s, {:.0} MB/s", records as f64 / seconds / 1e3, bytes as f64 / seconds / 1e6);
    }
}
