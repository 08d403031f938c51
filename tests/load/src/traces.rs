//! Traces of eight spans over four services, with business ids on each span.

use crate::joined::{Request, SPANS_PER_TRACE, Step, traces_per_half_second};
use crate::post::Poster;
use crate::{Arguments, Pace};
use bramble_runtime::Rng;
use bramble_wire::protobuf::Writer;
use std::time::Duration;

const SERVICES: [&str; 4] = ["beorn", "palantir", "arda", "db"];
const TICKS_PER_SECOND: u64 = 2;

fn attribute(out: &mut Writer<'_>, field: u32, key: &str, value: &str) {
    out.message(field, |pair| {
        pair.bytes(1, key);
        pair.message(2, |any| any.bytes(1, value));
    });
}

fn trace(by_service: &mut [Vec<u8>; 4], start_ns: u64, request: Option<&Request>, rng: &mut Rng) {
    let (mut trace_id, mut parent) = ([0u8; 16], [0u8; 8]);
    rng.fill(&mut trace_id);
    let mut circuit = rng.below(20_000);
    if let Some(request) = request {
        (trace_id, circuit) = (request.trace_id, request.circuit);
    }
    let circuit = format!("circ-{circuit:05}");
    let failed = rng.chance(0.03);
    let mut length_ns = 2_000_000 + rng.below(400_000_000);
    let mut from_ns = start_ns;
    for i in 0..SPANS_PER_TRACE {
        let mut id = [0u8; 8];
        rng.fill(&mut id);
        if let Some(request) = request.filter(|_| i == 0) {
            id = request.root_span_id;
        }
        let service = (i / 2).min(3) as usize;
        let mut out = Writer::new(&mut by_service[service]);
        out.message(2, |span| {
            span.bytes(1, trace_id);
            span.bytes(2, id);
            if i > 0 {
                span.bytes(4, parent);
            }
            span.bytes(5, ["GET /api/v1/circuits/{id}", "authorize", "HTTP GET arda", "db.query"][service]);
            span.varint(6, [2, 1, 3, 3][service]);
            span.fixed64(7, from_ns);
            span.fixed64(8, from_ns + length_ns);
            attribute(span, 9, "circuit_id", &circuit);
            attribute(span, 9, "http.method", "GET");
            if failed && i + 1 == SPANS_PER_TRACE {
                span.message(15, |status| status.varint(3, 2));
            }
        });
        parent = id;
        from_ns += length_ns / 10;
        length_ns = length_ns * 7 / 10;
    }
}

/// Sends the traces of half a second twice a second.
pub(crate) fn run(arguments: &Arguments, step: &Step, poster: Poster) {
    let mut rng = Rng::new(arguments.seed ^ 0x20);
    let pace = Pace::new(arguments, Duration::from_millis(1000 / TICKS_PER_SECOND));
    let per_tick = traces_per_half_second(arguments);
    for tick in 0..arguments.seconds * TICKS_PER_SECOND {
        if tick % TICKS_PER_SECOND == 0 {
            step.wait();
        }
        let time_ns = pace.tick(tick) as u64;
        let mut by_service: [Vec<u8>; 4] = Default::default();
        for i in 0..per_tick {
            let request = step.request(tick, i);
            trace(&mut by_service, time_ns + i * 500_000_000 / per_tick, request.as_ref(), &mut rng);
        }
        let mut body = Vec::new();
        for (service, spans) in SERVICES.iter().zip(&by_service) {
            Writer::new(&mut body).message(1, |resource_spans| {
                resource_spans.message(1, |resource| {
                    attribute(resource, 1, "service.name", service);
                    attribute(resource, 1, "host.name", "rpi-001");
                });
                resource_spans.bytes(2, spans);
            });
        }
        poster.post(&[("content-type", "application/x-protobuf")], &body, per_tick * SPANS_PER_TRACE);
    }
}
