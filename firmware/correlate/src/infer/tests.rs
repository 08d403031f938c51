//! What is inferred, how sure it is, and what never is.

use super::*;
use crate::view::testing::*;
use crate::view::{EventWhat, ViewLimits, timeline};
use bramble_signal::SpanKind;

/// Confidence, by what, and line of each inferred entry.
fn inferred(world: &World, correlation: &Correlation) -> Vec<(u32, &'static str, String)> {
    let timeline = timeline(correlation, &world.sources(), &ViewLimits::default(), &QueryContext::unlimited()).unwrap();
    let unsure = timeline.events.iter().filter(|event| !event.join.certain);
    unsure
        .map(|event| match &event.what {
            EventWhat::Log { line, .. } => {
                ((event.join.confidence * 1000.0).round() as u32, event.join.by.as_str(), line.clone())
            }
            other => panic!("{other:?} cannot be inferred"),
        })
        .collect()
}

fn of_request(value: &'static str) -> Correlation {
    correlation(1, (0, 100), &[(IdKind::Request, value)], &["beorn", "palantir", "arda"])
}

#[test]
fn the_same_request_is_nearly_certain() {
    let world = World::default();
    world.trace(three_services(1, 0, 0, 0));
    let ours = world.correlate(of_request("r-1"));
    world.say([
        said(40, "arda", "request_id=r-1 opened the map"),
        Line { metadata: vec![("request_id", "r-1".to_owned())], ..said(41, "gate", "by metadata") },
        said(42, "arda", "request_id=r-12 of another"),
        said(43, "arda", "r-1 is no request here"),
        said(44, "beorn", format!("request_id=r-1 trace_id={}", trace(1))),
        said(-30_000, "arda", "request_id=r-1 long before"),
        said(45, "arda", "request_id=r-1 x_request_id=r-2 of two requests"),
        said(46, "arda", "request_id=r-1 span_id=00f067aa0ba902b7 of a span that is not ours"),
    ]);
    let expected = [
        (900, "request_id", "request_id=r-1 opened the map".to_owned()),
        (900, "request_id", "by metadata".to_owned()),
    ];
    assert_eq!(inferred(&world, &ours), expected);
}

#[test]
fn an_entry_of_another_trace_is_never_inferred() {
    let world = World::default();
    let ours = world.correlate(of_request("r-1"));
    world.say([
        said(40, "arda", format!("request_id=r-1 trace_id={}", trace(2))),
        Line { metadata: vec![("trace_id", trace(3).to_string())], ..said(41, "arda", "request_id=r-1") },
    ]);
    assert!(inferred(&world, &ours).is_empty());
}

#[test]
fn traces_that_share_a_request_share_the_confidence() {
    let world = World::default();
    let ours = world.correlate(of_request("r-1"));
    world.say([said(40, "arda", "request_id=r-1")]);
    let sure = |world: &World| inferred(world, &ours).first().map_or(0, |(confidence, ..)| *confidence);
    assert_eq!(sure(&world), 900);
    world.correlate(correlation(2, (10, 20), &[(IdKind::Request, "r-1")], &[]));
    assert_eq!(sure(&world), 450);
    // One that was not published yet, but an entry names it.
    world.say([said(50, "gate", format!("request_id=r-1 trace_id={}", trace(3)))]);
    assert_eq!(sure(&world), 300);
    world.correlate(correlation(4, (30, 40), &[(IdKind::Request, "r-1")], &[]));
    assert_eq!(sure(&world), 0, "with four there is nothing to infer");
}

#[test]
fn an_id_of_half_the_traffic_joins_nothing() {
    let world = World::default();
    let ours = world.correlate(of_request("constant"));
    world.say((0..ROWS_MAX as i64 + 1).map(|n| said(n % 60, "arda", format!("request_id=constant n={n}"))));
    assert!(inferred(&world, &ours).is_empty());
}

#[test]
fn other_ids_count_within_services_that_took_part() {
    let world = World::default();
    let ids = [(IdKind::Circuit, "circ-1"), (IdKind::ResourceType, "router")];
    let ours = world.correlate(correlation(1, (0, 100), &ids, &["beorn", "arda"]));
    world.say([
        said(40, "arda", r#"{"circuitId":"circ-1"}"#),
        said(41, "arda", r#"{"circuitId":"circ-10"}"#),
        said(42, "gate", "circuit_id=circ-1 of a service that took no part"),
        said(43, "arda", "circuit_id=circ-1 request_id=r-9 of a request that is not ours"),
        said(44, "arda", "resource_type_id=router"),
        said(60_500, "arda", "circuit_id=circ-1 after the window"),
    ]);
    assert_eq!(inferred(&world, &ours), [(400, "circuit_id", r#"{"circuitId":"circ-1"}"#.to_owned())]);
}

/// A call that beorn's pod answered to 10.0.0.7, from 0 to 100 ms.
fn call(n: u8, at: (i64, i64), resource: Vec<(&'static str, &'static str)>) -> Spans {
    Spans {
        trace: n,
        id: 10 + n,
        kind: SpanKind::Server,
        service: "beorn",
        name: "GET /",
        at,
        attributes: vec![("client.address", "10.0.0.7")],
        resource,
        ..Spans::default()
    }
}

fn at_place(at: i64, labels: &[(&'static str, &'static str)], line: &str) -> Line {
    Line { at, labels: labels.to_vec(), line: line.to_owned(), ..Line::default() }
}

#[test]
fn place_time_and_peer_together_tell() {
    let world = World::default();
    world.trace([call(1, (0, 100), vec![("k8s.pod.name", "beorn-1"), ("k8s.namespace.name", "shop")])]);
    let ours = world.correlate(correlation(1, (0, 100), &[], &["beorn"]));
    let pod = [("namespace", "shop"), ("pod", "beorn-1"), ("container", "nginx")];
    world.say([
        at_place(50, &pod, "10.0.0.7 - GET / 200"),
        at_place(150, &pod, "[10.0.0.7]:4711 written a little later"),
        at_place(300, &pod, "10.0.0.7 too late"),
        at_place(51, &pod, "10.0.0.8 somebody else"),
        at_place(52, &pod, "10.0.0.77 a longer address"),
        at_place(53, &pod, "110.0.0.7 likewise"),
        at_place(54, &[("namespace", "shop"), ("pod", "beorn-2")], "10.0.0.7 another pod"),
        at_place(55, &[("namespace", "test"), ("pod", "beorn-1")], "10.0.0.7 another namespace"),
        at_place(56, &[("service_name", "beorn"), ("unit", "beorn.service")], "10.0.0.7 same service only"),
        at_place(57, &pod, &format!("10.0.0.7 trace_id={}", trace(2))),
        at_place(58, &pod, "10.0.0.7 request_id=r-7 of a request that nobody knows"),
    ]);
    let expected = [
        (700, "place", "10.0.0.7 - GET / 200".to_owned()),
        (500, "place", "10.0.0.7 same service only".to_owned()),
        (700, "place", "[10.0.0.7]:4711 written a little later".to_owned()),
    ];
    assert_eq!(inferred(&world, &ours), expected);
}

#[test]
fn a_unit_or_a_service_counts_on_its_node() {
    let world = World::default();
    world.trace([Spans { node: "pi-1", ..call(1, (0, 100), vec![]) }]);
    let ours = world.correlate(correlation(1, (0, 100), &[], &["beorn"]));
    world.say([
        at_place(50, &[("service_name", "beorn"), ("host", "pi-1")], "10.0.0.7 here"),
        at_place(51, &[("service_name", "beorn"), ("host", "pi-2")], "10.0.0.7 there"),
        at_place(52, &[("service_name", "gate"), ("host", "pi-1")], "10.0.0.7 of another service"),
    ]);
    assert_eq!(inferred(&world, &ours), [(600, "place", "10.0.0.7 here".to_owned())]);
}

#[test]
fn who_else_was_served_then_shares_the_confidence() {
    let pod = || vec![("k8s.pod.name", "beorn-1")];
    let world = World::default();
    world.trace([call(1, (0, 100), pod())]);
    let ours = world.correlate(correlation(1, (0, 100), &[], &["beorn"]));
    world.say([at_place(50, &[("pod", "beorn-1")], "10.0.0.7 GET /")]);
    let sure = || inferred(&world, &ours).first().map_or(0, |(confidence, ..)| *confidence);
    assert_eq!(sure(), 700);
    world.trace([call(2, (40, 60), pod()), call(3, (500, 900), pod())]);
    assert_eq!(sure(), 350, "the third was served at another time");
    world.trace([call(4, (30, 60), pod()), call(5, (0, 55), pod())]);
    assert_eq!(sure(), 0);
}

#[test]
fn addresses_of_everybody_tell_nothing() {
    let world = World::default();
    let local = Spans {
        attributes: vec![("client.address", "127.0.0.1"), ("server.address", "arda")],
        ..call(1, (0, 100), vec![])
    };
    world.trace([local]);
    let ours = world.correlate(correlation(1, (0, 100), &[], &["beorn"]));
    world.say([said(50, "beorn", "127.0.0.1 arda")]);
    assert!(inferred(&world, &ours).is_empty());
}

#[test]
fn the_surest_way_counts_and_the_surest_stay() {
    let world = World::default();
    world.trace([call(1, (0, 100), vec![("k8s.pod.name", "beorn-1")])]);
    let ids = [(IdKind::Request, "r-1"), (IdKind::Circuit, "circ-1")];
    let ours = world.correlate(correlation(1, (0, 100), &ids, &["beorn"]));
    let both = "10.0.0.7 circuit_id=circ-1 request_id=r-1";
    world.say([at_place(50, &[("pod", "beorn-1"), ("service_name", "beorn")], both)]);
    assert_eq!(inferred(&world, &ours), [(900, "request_id", both.to_owned())]);
    world.say((0..5).map(|n| said(n, "beorn", format!("circuit_id=circ-1 n={n}"))));
    let limits = ViewLimits { events: 100, inferred: 3 };
    let few = timeline(&ours, &world.sources(), &limits, &QueryContext::unlimited()).unwrap();
    assert!(few.truncated);
    let lines: Vec<i64> = told(&few.events[1..]).iter().map(|(at, _)| *at).collect();
    assert_eq!(lines, [0, 1, 50], "the span, the two earliest by circuit, the one by request");
}
