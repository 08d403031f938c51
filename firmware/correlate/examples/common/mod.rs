//! Correlations as the bench rig's traces give them: four services, 8.5 spans, five ids, 3 % failed.
#![allow(dead_code, unreachable_pub, reason = "each example uses its part")]

use bramble_correlate::correlation::{FirstError, Participant, WorstSpan};
use bramble_correlate::{Correlation, CorrelationId, Marks};
use bramble_line::ids::IdKind;
use bramble_runtime::Rng;
use bramble_signal::{SpanId, TraceId};

/// Nanoseconds of a day.
pub const DAY_NS: i64 = 86_400_000_000_000;
/// Day of the first correlation.
pub const FIRST_DAY: i64 = 20_700;
/// Who takes part.
pub const SERVICES: [&str; 4] = ["beorn", "palantir", "arda", "db"];
const ROUTES: [&str; 5] =
    ["/api/v1/circuits/{id}", "/api/v1/products", "/api/v1/resources/{id}", "/api/v1/orders", "/api/v1/search"];

/// Trace id of correlation `nth`.
pub fn trace_id(nth: u64) -> TraceId {
    let mut own = Rng::new(nth.wrapping_mul(1_000_003) + 1);
    let mut id = [0; 16];
    id[..8].copy_from_slice(&own.next_u64().to_be_bytes());
    id[8..].copy_from_slice(&own.next_u64().to_be_bytes());
    TraceId(id)
}

/// Its circuit.
pub fn circuit(nth: u64) -> String {
    format!("circ-{:05}", nth.wrapping_mul(7919) % 20_000)
}

/// Its request.
pub fn request(nth: u64) -> String {
    format!("{:032x}", u128::from_be_bytes(trace_id(nth ^ (1 << 40)).0))
}

/// Correlation `nth` of all, at `start_ns`.
pub fn correlation(nth: u64, start_ns: i64) -> Correlation {
    let mut random = Rng::new(nth);
    let span_id = |random: &mut Rng| SpanId(random.next_u64().to_be_bytes());
    let (failed, total_ns) = (random.chance(0.03), 2_000_000 + (-random.unit().max(1e-9).ln() * 8.0 * 8e6) as u64);
    let db = 2 + random.below(3);
    let spans = [3, 1, 1, db];
    let participants = SERVICES.iter().zip(spans).map(|(service, spans)| Participant {
        service: (*service).to_owned(),
        node: "rpi-001".to_owned(),
        spans,
        errors: u64::from(failed && (*service == "beorn" || *service == "db")),
        ..Participant::default()
    });
    let route = ROUTES[random.below(5) as usize];
    let entry_spans: Vec<SpanId> = (0..4).map(|_| span_id(&mut random)).collect();
    let worst = random.below(4) as usize;
    let duration_ns = (total_ns as f64 * (0.2 + 0.6 * random.unit())) as u64;
    let mut ids = vec![
        (IdKind::Request, request(nth)),
        (IdKind::Circuit, circuit(nth)),
        (IdKind::Product, format!("prod-{:04}", random.below(2000))),
        (IdKind::Resource, format!("res-{:06}", random.below(200_000))),
        (IdKind::ResourceType, format!("type-{:02}", random.below(40))),
    ];
    if nth % 100 == 7 {
        ids.push((IdKind::Circuit, format!("d-{}", nth / 100)));
        ids.sort();
    }
    Correlation {
        id: CorrelationId { trace_id: trace_id(nth), opened_ms: start_ns.div_euclid(1_000_000) },
        revision: 1,
        start_ns,
        end_ns: start_ns + total_ns as i64,
        window_ns: 60_000_000_000,
        ids,
        participants: participants.collect(),
        logs: 0,
        levels: Default::default(),
        spans: spans.iter().sum(),
        failed_spans: if failed { 2 } else { 0 },
        exemplars: 0,
        inferred_logs: 0,
        spans_ns: Some((start_ns, start_ns + total_ns as i64)),
        root_span_id: entry_spans[0],
        first_error: failed.then(|| FirstError {
            time_ns: start_ns,
            service: "beorn".to_owned(),
            span_id: entry_spans[0],
            is_log: false,
            text: format!("GET {route}: upstream timeout"),
        }),
        worst_span: Some(WorstSpan {
            span_id: if failed { entry_spans[0] } else { entry_spans[worst] },
            service: SERVICES[worst].to_owned(),
            name: if worst == 3 { "db.query".to_owned() } else { format!("GET {route}") },
            duration_ns,
            self_ns: (duration_ns as f64 * random.unit()) as u64,
            failed,
        }),
        entry_spans,
        exemplar_series: Vec::new(),
        marks: Marks::default(),
    }
}
