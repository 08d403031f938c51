//! Log lines: 40 % JSON with random ids, the rest text of a dozen shapes with numbers, addresses and ids in them.

use crate::joined::{Request, Step, traces_per_half_second};
use crate::post::Poster;
use crate::{Arguments, Pace};
use bramble_runtime::Rng;
use serde_json::json;
use std::time::Duration;

const SERVICES: [&str; 10] =
    ["beorn", "palantir", "arda", "gateway", "billing", "sshd", "kernel", "k3s", "mqtt", "backup"];
fn hex(rng: &mut Rng, len: usize) -> String {
    (0..len).map(|_| char::from_digit(rng.below(16) as u32, 16).unwrap_or('0')).collect()
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn line(service: usize, request: Option<Request>, rng: &mut Rng) -> (String, String) {
    let mut trace = hex(rng, 32);
    if service < 4 {
        let level = ["info", "info", "info", "debug", "warn", "error"][rng.below(6) as usize];
        let message = ["order accepted", "cache miss, loading from db", "request completed", "circuit state updated"]
            [rng.below(4) as usize];
        let (mut span, mut circuit) = (hex(rng, 16), rng.below(20_000));
        if let Some(request) = request {
            (trace, span, circuit) = (digits(&request.trace_id), digits(&request.root_span_id), request.circuit);
        }
        let text = json!({
            "level": level, "service": SERVICES[service], "trace_id": trace, "span_id": span,
            "circuit_id": format!("circ-{circuit:05}"), "message": message, "latency_ms": rng.below(90_000) as f64 / 100.0,
            "status": if level == "error" { 500 } else { 200 },
        });
        return (text.to_string(), trace);
    }
    let (a, b) = (rng.below(65_536), rng.below(256));
    let text = match rng.below(6) {
        0 => format!("Failed password for root from 10.0.{b}.{} port {a} ssh2", rng.below(256)),
        1 => format!("[{a}.{b:06}] mmc0: card {} blocks {} us", hex(rng, 8), rng.below(90_000)),
        2 => format!("Connection from 192.168.1.{b} closed after {} ms, {a} bytes", rng.below(5000)),
        3 => format!("worker-{} finished job {} in {}.{:02}s", b % 8, hex(rng, 12), b, a % 100),
        4 => format!("error: upstream timeout while reading {a} bytes from node rpi-{:03}", b % 24),
        _ => format!("usb 1-{}: new high-speed USB device number {} using xhci_hcd", b % 4, b % 100),
    };
    (text, trace)
}

/// Sends a batch of every service so often a second.
pub(crate) fn run(arguments: &Arguments, step: &Step, poster: Poster) {
    let mut rng = Rng::new(arguments.seed ^ 0x10);
    let ticks_per_second = arguments.line_requests;
    let pace = Pace::new(arguments, Duration::from_nanos(1_000_000_000 / ticks_per_second));
    let per_tick = arguments.lines / ticks_per_second;
    let traces = traces_per_half_second(arguments);
    for tick in 0..arguments.seconds * ticks_per_second {
        if tick % ticks_per_second == 0 {
            step.wait();
        }
        let time_ns = pace.tick(tick);
        let mut streams: Vec<Vec<serde_json::Value>> = vec![Vec::new(); SERVICES.len()];
        for i in 0..per_tick {
            let service = rng.below(SERVICES.len() as u64) as usize;
            let request = step.request(tick * 2 / ticks_per_second, i % traces);
            let (text, trace) = line(service, request, &mut rng);
            let at =
                (time_ns + (i * 1_000_000_000 / ticks_per_second / per_tick.max(1)) as i64 + rng.below(1000) as i64)
                    .to_string();
            streams[service].push(if service < 4 {
                json!([at, text, { "trace_id": trace }])
            } else {
                json!([at, text])
            });
        }
        let streams: Vec<_> = streams
            .into_iter()
            .enumerate()
            .filter(|(_, values)| !values.is_empty())
            .map(|(i, values)| json!({"stream": {"service": SERVICES[i], "env": "prod", "host": format!("rpi-{:03}", i % 6)}, "values": values}))
            .collect();
        let body = json!({ "streams": streams }).to_string();
        poster.post(&[("content-type", "application/json")], body.as_bytes(), per_tick);
    }
}
