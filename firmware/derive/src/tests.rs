//! Traces made by hand, and what must fall out of them.

use crate::testing::{Made, SECOND_NS, World, batch, client, increase, server, span};
use crate::{DeriveOptions, Histograms, SpanNames};
use bramble_signal::{SpanKind, StatusCode};
use bramble_storage::{Durable, MetricSelect, MetricSource, Observer, QueryContext};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn map(pairs: &[(&str, f64)]) -> BTreeMap<String, f64> {
    pairs.iter().map(|(labels, value)| ((*labels).to_owned(), *value)).collect()
}

#[test]
fn spans_are_counted_by_service_name_kind_and_status() {
    let mut world = World::new(DeriveOptions::default());
    let failed = Made { status: StatusCode::Error, duration_ms: 3, ..server("beorn", 2, 0) };
    let backwards = Made { duration_ms: -50, ..server("beorn", 3, 0) };
    world.observe(&[server("beorn", 1, 0), failed, backwards, server("", 4, 0)]);
    world.emit();
    let labels = |service: &str, status: &str| {
        format!("service={service},span_kind=SPAN_KIND_SERVER,span_name=work,status_code=STATUS_CODE_{status}")
    };
    let (unset, error) = (labels("beorn", "UNSET"), labels("beorn", "ERROR"));
    assert_eq!(world.calls(), map(&[(&error, 1.0), (&unset, 2.0), (&labels("unknown_service", "UNSET"), 1.0)]));
    let of = |name: &str, labels: &str| world.last(name).get(labels).copied();
    assert_eq!(of("traces_spanmetrics_latency_count", &unset), Some(2.0));
    assert_eq!(
        of("traces_spanmetrics_latency_sum", &unset),
        Some(0.01),
        "the one that ended before it began took no time"
    );
    let bucket = |le: &str| of("traces_spanmetrics_latency_bucket", &format!("le={le},{unset}"));
    assert_eq!(
        (bucket("0.002"), bucket("0.008"), bucket("0.016"), bucket("+Inf")),
        (Some(1.0), Some(1.0), Some(2.0), Some(2.0))
    );
    assert!(of("traces_spanmetrics_size_total", &unset).unwrap() > 100.0);
    assert!(world.last("traces_span_metrics_calls_total").is_empty());
}

#[test]
fn the_connectors_names_are_in_milliseconds() {
    let bounds_ns = DeriveOptions::usual_bounds_ns(SpanNames::Connector);
    let options = DeriveOptions { names: SpanNames::Connector, bounds_ns, ..DeriveOptions::default() };
    let mut world = World::new(options);
    world.observe(&[server("beorn", 1, 0)]);
    world.emit();
    let labels = "service_name=beorn,span_kind=SPAN_KIND_SERVER,span_name=work,status_code=STATUS_CODE_UNSET";
    assert_eq!(world.last("traces_span_metrics_calls_total"), map(&[(labels, 1.0)]));
    assert_eq!(world.last("traces_span_metrics_duration_milliseconds_sum"), map(&[(labels, 10.0)]));
    let buckets = world.last("traces_span_metrics_duration_milliseconds_bucket");
    assert_eq!(buckets.len(), 17);
    assert_eq!((buckets[&format!("le=8,{labels}")], buckets[&format!("le=10,{labels}")]), (0.0, 1.0));
    assert!(world.calls().is_empty());
}

#[test]
fn native_histograms_and_dimensions_by_option() {
    let options = DeriveOptions {
        histograms: Histograms::Both,
        names: SpanNames::Both,
        dimensions: vec!["http.method".into(), "zone".into(), "service".into()],
        target_info: true,
        ..DeriveOptions::default()
    };
    let mut world = World::new(options);
    let resource = vec![("zone", "b"), ("service.namespace", "shop"), ("service.instance.id", "7"), ("service", "x")];
    let get = Made { attributes: vec![("http.method", "GET")], resource, ..server("beorn", 1, 0) };
    world.observe(std::slice::from_ref(&get));
    world.observe(&[get, Made { attributes: vec![("zone", "own")], ..server("beorn", 2, 0) }]);
    world.emit();
    let rest = "span_kind=SPAN_KIND_SERVER,span_name=work,status_code=STATUS_CODE_UNSET";
    let first = format!("__service=x,http_method=GET,instance=7,job=shop/beorn,service=beorn,{rest},zone=b");
    let second = format!("job=beorn,service=beorn,{rest},zone=own");
    assert_eq!(world.calls(), map(&[(&first, 2.0), (&second, 1.0)]));
    let natives = world.series("traces_spanmetrics_latency");
    let histogram = natives[0].histogram(natives[0].values[1]).unwrap();
    assert_eq!((natives.len(), histogram.count, histogram.sum), (2, 2.0, 0.02));
    assert_eq!(natives[0].histogram(natives[0].values[0]).unwrap().count, 0.0, "the first is a zero");
    let milliseconds = world.series("traces_span_metrics_duration_milliseconds");
    assert_eq!(milliseconds[0].histogram(milliseconds[0].values[1]).unwrap().sum, 20.0);
    let info = world.last("traces_target_info");
    assert_eq!(info, map(&[("job=beorn", 1.0), ("instance=7,job=shop/beorn,service=x,zone=b", 1.0)]));
}

#[test]
fn a_request_is_an_edge_in_either_order() {
    let mut world = World::new(DeriveOptions::default());
    let slow = Made { duration_ms: 300, ..client("beorn", 1) };
    world.observe(&[slow, server("palantir", 2, 1)]);
    world.observe(&[server("palantir", 4, 3)]);
    world.observe(&[Made { status: StatusCode::Error, ..client("beorn", 3) }]);
    world.observe(&[client("beorn", 5), server("beorn", 6, 5)]);
    world.emit();
    let (edge, own) = ("client=beorn,server=palantir", "client=beorn,server=beorn");
    assert_eq!(world.edges(), map(&[(edge, 2.0), (own, 1.0)]), "calls to itself count too");
    assert_eq!(world.last("traces_service_graph_request_failed_total"), map(&[(edge, 1.0), (own, 0.0)]));
    let of = |name: &str| world.last(&format!("traces_service_graph_request_{name}"))[edge];
    assert_eq!((of("client_seconds_sum"), of("server_seconds_sum"), of("server_seconds_count")), (0.31, 0.02, 2.0));
}

#[test]
fn databases_messages_users_and_peers_have_their_types() {
    let mut world = World::new(DeriveOptions::default());
    let asks = |attributes, id| Made { attributes, ..client("beorn", id) };
    world.observe(&[
        asks(vec![("db.system", "postgresql"), ("db.name", "orders")], 1),
        asks(vec![("peer.service", "mail")], 2),
        asks(vec![], 3),
        server("beorn", 4, 0),
        server("beorn", 5, 88),
        span("beorn", SpanKind::Producer, 6, 99),
        span("arda", SpanKind::Consumer, 7, 6),
        span("arda", SpanKind::Consumer, 8, 0),
        span("arda", SpanKind::Internal, 9, 3),
    ]);
    world.emit();
    assert_eq!(
        world.edges(),
        map(&[
            ("client=beorn,connection_type=database,server=orders", 1.0),
            ("client=beorn,connection_type=messaging_system,server=arda", 1.0),
            ("client=beorn,connection_type=virtual_node,server=mail", 1.0),
            ("client=user,connection_type=virtual_node,server=beorn", 1.0),
        ])
    );
    let unpaired = world.last("traces_service_graph_unpaired_spans_total");
    assert_eq!(unpaired, map(&[("client=beorn", 1.0), ("server=beorn", 1.0)]));
    assert_eq!(world.own("bramble_derived_edges_expired_total"), 3.0);
}

#[test]
fn an_instrumented_peer_wins_over_its_name_and_a_second_server_is_unpaired() {
    let mut world = World::new(DeriveOptions::default());
    let named = Made { attributes: vec![("server.address", "10.0.0.7")], ..client("beorn", 1) };
    world.observe(&[named.clone(), named, server("palantir", 2, 1), server("palantir", 3, 1)]);
    let zero = Made { trace: 0, ..client("beorn", 9) };
    world.observe(&[zero, client("beorn", 0)]);
    world.emit();
    assert_eq!(world.edges(), map(&[("client=beorn,server=palantir", 1.0)]));
    let unpaired = world.last("traces_service_graph_unpaired_spans_total");
    assert_eq!(unpaired, map(&[("server=palantir", 1.0)]), "zero ids wait for nothing");
}

#[test]
fn halves_without_room_are_dropped_and_told() {
    let mut world = World::new(DeriveOptions { waiting_max: 64, ..DeriveOptions::default() });
    let spans: Vec<Made> = (1..=70).map(|id| client("beorn", id)).collect();
    world.observe(&spans);
    world.derive.emit();
    world.emit();
    assert_eq!(world.last("traces_service_graph_dropped_spans_total"), map(&[("client=beorn", 6.0)]));
    assert_eq!(world.own("bramble_derived_edges_dropped_total"), 6.0);
}

#[test]
fn what_is_over_the_limit_goes_to_one_series_per_service_kind_and_status() {
    let options = DeriveOptions { sets_max: 4, names: SpanNames::Both, ..DeriveOptions::default() };
    let mut world = World::new(options);
    let named = |at: usize| Made { name: format!("GET /orders/{at}"), ..server("beorn", 1, 0) };
    let spans: Vec<Made> = (0..10).map(named).chain([server("palantir", 1, 0)]).collect();
    world.observe(&spans);
    world.observe(&[named(9), named(0)]);
    world.emit();
    let calls = world.calls();
    let overflow = |service: &str| {
        format!("service={service},span_kind=SPAN_KIND_SERVER,span_name=other,status_code=STATUS_CODE_UNSET")
    };
    assert_eq!(calls.len(), 6);
    assert_eq!(
        (calls[&overflow("beorn")], calls[&overflow("other")]),
        (7.0, 1.0),
        "four and a quarter, then one for all"
    );
    assert_eq!(calls.values().sum::<f64>(), 13.0, "none is lost");
    let connector = world.last("traces_span_metrics_calls_total");
    assert_eq!(connector.keys().filter(|labels| labels.contains("otel_metric_overflow=true")).count(), 2);
    assert_eq!(world.own("bramble_derived_overflow_spans_total"), 8.0);
}

#[test]
fn idle_series_end_with_a_marker_and_begin_again_from_zero() {
    let mut world = World::new(DeriveOptions { idle_ns: 60 * SECOND_NS, ..DeriveOptions::default() });
    world.observe(&[client("beorn", 1), server("palantir", 2, 1)]);
    for _ in 0..3 {
        world.emit();
    }
    assert_eq!(world.calls().len(), 2);
    let held = world.budget.used_bytes();
    world.emit();
    world.emit();
    assert_eq!((world.calls().len(), world.edges().len()), (0, 0));
    assert!(world.budget.used_bytes() < held);
    assert!(world.series("traces_spanmetrics_calls_total")[0].values.last().is_some_and(|v| v.is_nan()));
    world.observe(&[client("beorn", 1)]);
    world.emit();
    let series = &world.series("traces_spanmetrics_calls_total")[0];
    let last: Vec<f64> = series.values.iter().rev().take(2).copied().collect();
    assert_eq!((last, increase(series)), (vec![1.0, 0.0], 2.0));
}

#[test]
fn a_write_that_fails_loses_nothing() {
    let mut world = World::new(DeriveOptions::default());
    world.observe(&[server("beorn", 1, 0)]);
    world.clock.advance_ns(15 * SECOND_NS);
    let lost = world.derive.emit();
    world.derive.settle(lost.round, None);
    assert_eq!(world.derive.durable_through(), 0);
    world.observe(&[server("beorn", 1, 0)]);
    world.emit();
    let series = &world.series("traces_spanmetrics_calls_total")[0];
    assert_eq!((series.values.clone(), increase(series)), (vec![0.0, 2.0], 2.0));
    assert_eq!((world.derive.durable_through(), world.own("bramble_derived_failed_emissions_total")), (2, 1.0));
    world.emit();
    assert_eq!(world.series("traces_spanmetrics_calls_total")[0].values, [0.0, 2.0, 2.0]);
}

#[test]
fn exemplars_are_of_errors_and_of_long_spans_and_few() {
    let mut world = World::new(DeriveOptions { exemplars_max: 2, ..DeriveOptions::default() });
    let one = |trace, duration_ms, name: &str, status| Made {
        trace,
        duration_ms,
        name: name.into(),
        status,
        ..span("beorn", SpanKind::Internal, 1, 0)
    };
    world.observe(&[
        one(1, 5, "a", StatusCode::Unset),
        one(2, 700, "a", StatusCode::Unset),
        one(3, 6, "a", StatusCode::Unset),
        one(4, 1, "b", StatusCode::Error),
        one(5, 9, "c", StatusCode::Unset),
    ]);
    world.emit();
    let exemplars = || {
        let matchers = [bramble_signal::Matcher::equal("__name__", "traces_spanmetrics_latency_bucket")];
        let select = MetricSelect { matchers: &matchers, start_ms: 0, end_ms: i64::MAX };
        let found = world.store.exemplars(&select, &QueryContext::unlimited()).unwrap();
        let mut told: Vec<(String, String)> = Vec::new();
        for series in found {
            let le = series.labels.as_ref().get("le").unwrap_or("").to_owned();
            told.extend(series.exemplars.iter().map(|e| (le.clone(), e.labels.to_string())));
        }
        told.sort();
        told
    };
    let of = |trace: &str| format!("{{trace_id=\"{}\"}}", trace.repeat(16));
    let wanted = vec![("0.002".to_owned(), of("04")), ("1.02".to_owned(), of("02"))];
    assert_eq!(exemplars(), wanted, "in the bucket of its value; the least of three found no room");
    world.emit();
    assert_eq!(exemplars(), wanted, "nothing new, no exemplars");
}

#[test]
fn synthetic_spans_and_services_by_option_are_left_out() {
    let options = DeriveOptions { services_left_out: vec!["bramble".into()], ..DeriveOptions::default() };
    let mut world = World::new(options);
    let synthetic = Made { resource: vec![("bramble.synthetic", "true")], ..server("beorn", 1, 0) };
    world.observe(&[synthetic, server("bramble", 2, 0), server("arda", 3, 0)]);
    world.emit();
    assert_eq!((world.calls().len(), world.edges().len()), (1, 1));
}

#[test]
fn after_a_crash_nothing_is_counted_twice_and_nothing_is_lost() {
    let options = || DeriveOptions { wait_ns: 60 * SECOND_NS, ..DeriveOptions::default() };
    let mut first = World::new(options());
    first.observe(&[client("beorn", 1), server("palantir", 2, 1)]);
    // Waits over the emission and over the crash.
    first.observe(&[client("beorn", 3), server("beorn", 8, 0)]);
    first.observe(&[client("beorn", 5), server("palantir", 6, 5)]);
    first.emit();
    assert_eq!(first.derive.durable_through(), 0, "what waits must be shown again, and what may have met it");
    first.observe(&[server("palantir", 4, 3)]);
    let journal = [
        vec![client("beorn", 1), server("palantir", 2, 1)],
        vec![client("beorn", 3), server("beorn", 8, 0)],
        vec![client("beorn", 5), server("palantir", 6, 5)],
        vec![server("palantir", 4, 3)],
    ];
    first.clock.advance_ns(3 * SECOND_NS);
    let mut second = World::after(options(), first.store.clone(), first.clock.clone());
    let counted = second.derive.counted_through();
    assert_eq!((counted, second.derive.durable_through()), (0, 0));
    for (sequence, spans) in (1..).zip(&journal).filter(|(sequence, _)| *sequence > counted) {
        second.derive.observe(Durable::Spans(&batch(spans)), sequence);
    }
    second.sequence = 4;
    second.emit();
    let increases = |name: &str| -> BTreeMap<String, f64> {
        let labels = |s: &bramble_signal::SeriesSamples| {
            ["service", "span_kind", "client", "server"]
                .map(|l| s.labels.as_ref().get(l).unwrap_or("").to_owned())
                .join(" ")
        };
        second.series(name).iter().map(|s| (labels(s), increase(s))).collect()
    };
    assert_eq!(
        increases("traces_spanmetrics_calls_total"),
        map(&[
            ("beorn SPAN_KIND_CLIENT  ", 3.0),
            ("beorn SPAN_KIND_SERVER  ", 1.0),
            ("palantir SPAN_KIND_SERVER  ", 3.0),
        ])
    );
    assert_eq!(
        increases("traces_service_graph_request_total"),
        map(&[("  beorn palantir", 3.0), ("  user beorn", 1.0)])
    );
    assert!(second.last("traces_service_graph_unpaired_spans_total").is_empty());
}

#[test]
fn halves_that_met_before_a_crash_do_not_wait_after_it() {
    let options = DeriveOptions::default;
    let named = |id| Made { attributes: vec![("server.address", "10.0.0.7")], ..client("beorn", id) };
    let journal = [
        vec![server("palantir", 1, 50)],
        vec![client("arda", 30), server("arda", 31, 30)],
        vec![client("arda", 2), server("arda", 3, 2)],
        // The server was first; and of this batch another half waits.
        vec![server("palantir", 11, 10)],
        vec![named(10), named(20)],
        vec![server("palantir", 21, 20)],
    ];
    let mut first = World::new(options());
    for (spans, pause_s) in journal.iter().zip([5, 25, 2, 1, 0]) {
        first.observe(spans);
        first.clock.advance_ns(pause_s * SECOND_NS);
    }
    first.store_now();
    first.observe(&journal[5]);
    let second = World::after(options(), first.store.clone(), first.clock.clone());
    let counted = second.derive.counted_through();
    assert_eq!(counted, 1, "where the other halves may be, not all that ever was");
    for (sequence, spans) in (1..).zip(&journal).filter(|(sequence, _)| *sequence > counted) {
        second.derive.observe(Durable::Spans(&batch(spans)), sequence);
    }
    second.emit();
    let edges: BTreeMap<String, f64> = second
        .series("traces_service_graph_request_total")
        .iter()
        .map(|s| (["client", "server"].map(|l| s.labels.as_ref().get(l).unwrap_or("")).join(" "), increase(s)))
        .collect();
    assert_eq!(edges, map(&[("arda arda", 2.0), ("beorn palantir", 2.0)]));
    let unpaired = second.series("traces_service_graph_unpaired_spans_total");
    assert_eq!(unpaired.iter().map(increase).sum::<f64>(), 1.0, "the very first, in the first life");
}

#[test]
fn dropped_spans_count_also_while_the_journal_is_shown_again() {
    let mut first = World::new(DeriveOptions::default());
    first.observe(&[server("beorn", 1, 0)]);
    first.emit();
    let mut second = World::after(DeriveOptions::default(), first.store.clone(), first.clock.clone());
    assert_eq!(second.derive.counted_through(), 1);
    second.derive.observe_dropped(&batch(&[server("beorn", 1, 0), server("beorn", 1, 0)]));
    second.sequence = 1;
    second.emit();
    assert_eq!(second.calls().values().sum::<f64>(), 2.0);
}

fn any_span() -> impl Strategy<Value = Made> {
    let kind = prop_oneof![
        Just(SpanKind::Server),
        Just(SpanKind::Client),
        Just(SpanKind::Internal),
        Just(SpanKind::Producer),
        Just(SpanKind::Consumer)
    ];
    let service = prop_oneof![Just("a"), Just("b"), Just("c")];
    (service, kind, 0u8..6, 0u8..6, 0u8..4, 0u8..3, -5i64..5000, any::<bool>()).prop_map(
        |(service, kind, id, parent, trace, name, duration_ms, failed)| Made {
            trace,
            name: format!("op {name}"),
            duration_ms,
            status: if failed { StatusCode::Error } else { StatusCode::Ok },
            ..span(service, kind, id, parent)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Against counting with maps, over batches cut anywhere and a crash anywhere.
    #[test]
    fn counts_are_those_of_a_naive_computation(
        batches in proptest::collection::vec(proptest::collection::vec(any_span(), 0..6), 1..12),
        emit_after in proptest::collection::vec(any::<bool>(), 12),
        crash_after in 0usize..12,
    ) {
        // Halves do not expire within the test: naive pairing has no clock.
        let options = || DeriveOptions { wait_ns: u64::MAX / 2, ..DeriveOptions::default() };
        let mut world = World::new(options());
        for (at, spans) in batches.iter().enumerate() {
            world.observe(spans);
            if emit_after[at] {
                world.emit();
            }
            if at == crash_after {
                world = World::after(options(), world.store.clone(), world.clock.clone());
                let counted = world.derive.counted_through();
                for (sequence, spans) in (1..).zip(&batches).take(at + 1).filter(|(s, _)| *s > counted) {
                    world.derive.observe(Durable::Spans(&batch(spans)), sequence);
                }
                world.sequence = at as u64 + 1;
            }
        }
        world.emit();
        let (mut calls, mut edges) = (BTreeMap::new(), BTreeMap::new());
        let mut waiting: Vec<(u8, u8, bool, &str, bool)> = Vec::new();
        for made in batches.iter().flatten() {
            *calls.entry((made.service, made.name.clone(), made.kind as u8, made.status as u8)).or_insert(0.0) += 1.0;
            if made.trace == 0 || made.id == 0 {
                continue;
            }
            let messaging = matches!(made.kind, SpanKind::Producer | SpanKind::Consumer);
            let (key, is_client) = match made.kind {
                SpanKind::Client | SpanKind::Producer => (made.id, true),
                SpanKind::Server | SpanKind::Consumer if made.parent > 0 => (made.parent, false),
                SpanKind::Server => {
                    *edges.entry(("user", made.service, "virtual_node")).or_insert(0.0) += 1.0;
                    continue;
                }
                _ => continue,
            };
            match waiting.iter().position(|w| (w.0, w.1) == (made.trace, key)) {
                Some(at) if waiting[at].2 != is_client => {
                    let other = waiting.remove(at);
                    let (client, server) = if is_client { (made.service, other.3) } else { (other.3, made.service) };
                    let kind = if messaging || other.4 { "messaging_system" } else { "" };
                    *edges.entry((client, server, kind)).or_insert(0.0) += 1.0;
                }
                Some(_) => {}
                None => waiting.push((made.trace, key, is_client, made.service, messaging)),
            }
        }
        let summed = |name: &str| world.series(name).iter().map(increase).sum::<f64>();
        prop_assert_eq!(summed("traces_spanmetrics_calls_total"), calls.values().sum::<f64>());
        prop_assert_eq!(world.series("traces_spanmetrics_calls_total").len(), calls.len());
        let mut got = BTreeMap::new();
        let all = world.series("traces_service_graph_request_total");
        for series in &all {
            let label = |name| series.labels.as_ref().get(name).unwrap_or("");
            got.insert((label("client"), label("server"), label("connection_type")), increase(series));
        }
        prop_assert_eq!(got, edges);
    }
}
