//! Stories: across traces, exact, each event once, bounded.

use super::*;
use crate::view::testing::*;
use crate::view::{By, EventWhat, Join};
use bramble_signal::SpanKind;
use proptest::prelude::*;

fn about(kind: IdKind, value: &str, limit: usize) -> StoryQuery {
    StoryQuery {
        ids: vec![(kind, value.to_owned())],
        since_ns: T0 - 3_600_000 * MS,
        until_ns: T0 + 3_600_000 * MS,
        limit,
    }
}

fn tell(world: &World, query: &StoryQuery) -> Story {
    story(query, &world.sources(), &QueryContext::unlimited()).unwrap()
}

fn circuit(world: &World, limit: usize) -> Story {
    tell(world, &about(IdKind::Circuit, "circ-1", limit))
}

/// Trace 1 at 0: beorn, palantir, arda, ordered circ-1. Trace 2 ten minutes later: a repair; only a span says circ-1.
/// Between them a technician's note without a trace. circ-10 is something else.
fn orders() -> (Vec<Spans>, Vec<Line>) {
    let mut spans = three_services(1, 0, 2_000, 0);
    let repair = |id, parent, service, name, at: (i64, i64), attributes| Spans {
        trace: 2,
        id,
        parent,
        kind: SpanKind::Internal,
        service,
        node: "d",
        name,
        at: (600_000 + at.0, 600_000 + at.1),
        attributes,
        ..Spans::default()
    };
    spans.push(repair(1, 0, "fixer", "repair", (0, 50), vec![]));
    spans.push(repair(2, 1, "fixer", "replace", (10, 20), vec![("circuitId", "circ-1")]));
    spans.push(Spans {
        trace: 3,
        attributes: vec![("circuit_id", "circ-10")],
        ..repair(3, 0, "fixer", "other", (5, 6), vec![])
    });
    let lines = vec![
        said(5, "beorn", format!("circuit_id=circ-1 trace_id={} ordered", trace(1))),
        Line {
            labels: vec![("service_name", "palantir"), ("host", "b")],
            ..said(2_030, "", format!("trace_id={} seen", trace(1)))
        },
        said(300_000, "notes", r#"{"circuitId":"circ-1","text":"waits for a part"}"#),
        Line {
            labels: vec![("service_name", "palantir"), ("host", "b")],
            ..said(400_000, "", "circuit_id=circ-1 without a trace")
        },
        Line { metadata: vec![("trace_id", trace(2).to_string())], ..said(600_015, "fixer", "soldering") },
        said(301_000, "notes", r#"{"circuitId":"circ-10","text":"something else"}"#),
        said(302_000, "notes", "circ-1 is no field here"),
        said(20, "gate", "request_id=r-1 let in"),
    ];
    (spans, lines)
}

fn filled() -> World {
    let (world, (spans, lines)) = (World::default(), orders());
    world.trace(spans);
    world.say(lines);
    let ids = [(IdKind::Request, "r-1"), (IdKind::Circuit, "circ-1")];
    world.correlate(correlation(1, (0, 2_090), &ids, &["beorn", "palantir", "arda"]));
    world.correlate(correlation(3, (600_005, 600_006), &[(IdKind::Circuit, "circ-10")], &["fixer"]));
    world
}

#[test]
fn one_circuit_over_traces_services_and_machines() {
    let story = circuit(&filled(), 100);
    let lines: Vec<String> = told(&story.events).into_iter().map(|(at, what)| format!("{at} {what}")).collect();
    let first = format!("5 circuit_id=circ-1 trace_id={} ordered", trace(1));
    let seen = format!("30 trace_id={} seen", trace(1));
    let expected = [
        "0 beorn GET /order",
        &first,
        "10 beorn GET palantir",
        "20 palantir GET /see",
        "20 request_id=r-1 let in",
        "30 palantir GET arda",
        &seen,
        "40 arda GET /map",
        r#"300000 {"circuitId":"circ-1","text":"waits for a part"}"#,
        // palantir's clock is two seconds ahead, as the one trace tells that knows it.
        "398000 circuit_id=circ-1 without a trace",
        "600000 fixer repair",
        "600010 fixer replace",
        "600015 soldering",
    ];
    assert_eq!(lines, expected);
    assert_eq!(story.services, ["beorn", "palantir", "gate", "arda", "notes", "fixer"]);
    assert_eq!(story.nodes, ["a", "b", "c", "d"]);
    assert_eq!(story.traces, [trace(1), trace(2)]);
    assert_eq!(story.correlations.len(), 1);
    assert_eq!((story.start_ns, story.end_ns), (T0, T0 + 600_050 * MS));
    assert!(!story.truncated);
}

#[test]
fn each_event_says_why_it_is_told() {
    let story = circuit(&filled(), 100);
    let why = |text: &str| {
        let found = told(&story.events).iter().position(|(_, what)| what.contains(text));
        story.events[found.unwrap()].join
    };
    let (by_circuit, by_trace) = (Join::certain(IdKind::Circuit), Join::certain(IdKind::Trace));
    assert_eq!((why("ordered"), why("seen")), (by_circuit, by_trace));
    assert_eq!((why("replace"), why("repair")), (by_circuit, by_trace));
    assert_eq!(why("waits"), by_circuit);
    let inferred = why("let in");
    assert_eq!((inferred.certain, inferred.by), (false, By::Id(IdKind::Request)));
}

#[test]
fn values_are_compared_whole() {
    let world = filled();
    let story = tell(&world, &about(IdKind::Circuit, "circ-10", 100));
    let lines: Vec<String> = told(&story.events).into_iter().map(|(_, what)| what).collect();
    assert_eq!(lines, [r#"{"circuitId":"circ-10","text":"something else"}"#, "fixer other"]);
    for nothing in ["circ", "irc-1", "circ-1 ", ""] {
        assert_eq!(tell(&world, &about(IdKind::Circuit, nothing, 100)).events, [], "{nothing:?}");
    }
    assert!(tell(&world, &about(IdKind::Product, "circ-1", 100)).events.is_empty());
    let none = StoryQuery { ids: Vec::new(), ..about(IdKind::Circuit, "", 100) };
    assert_eq!(tell(&world, &none), Story::default());
}

#[test]
fn several_ids_must_all_fit() {
    let world = filled();
    let both = |request: &str| {
        let mut query = about(IdKind::Circuit, "circ-1", 100);
        query.ids.push((IdKind::Request, request.to_owned()));
        tell(&world, &query)
    };
    let story = both("r-1");
    assert_eq!(story.traces, [trace(1)], "trace 2 has no request");
    assert!(told(&story.events).iter().all(|(_, what)| !what.contains("waits")));
    assert!(both("r-2").events.is_empty());
}

#[test]
fn a_range_bounds_it() {
    let world = filled();
    let early = StoryQuery { until_ns: T0 + 100_000 * MS, ..about(IdKind::Circuit, "circ-1", 100) };
    assert_eq!(tell(&world, &early).traces, [trace(1)]);
    let empty = StoryQuery { until_ns: T0, since_ns: T0, ..early };
    assert!(tell(&world, &empty).events.is_empty());
}

#[test]
fn an_id_of_half_the_traffic_is_told_in_part() {
    let world = World::default();
    let spans = |n: u8| Spans {
        trace: n,
        id: 1,
        service: "beorn",
        name: "GET",
        at: (i64::from(n) * 100, i64::from(n) * 100 + 50),
        attributes: vec![("circuit_id", "circ-1")],
        ..Spans::default()
    };
    world.trace((1..=120).map(spans));
    world.say((0..3_000).map(|n| said(n * 4, "beorn", format!("circuit_id=circ-1 n={n}"))));
    let story = circuit(&world, 100);
    assert!(story.truncated);
    assert!(story.events.len() <= 100 && story.events.len() > 60, "{}", story.events.len());
    let count = |what: &str| story.events.iter().filter(|event| event.what.as_str() == what).count();
    assert!(count("span") >= 12 && count("log") >= 40, "{} spans, {} entries", count("span"), count("log"));
    assert!(story.traces.contains(&trace(120)) && !story.traces.contains(&trace(1)), "the newest");
    for few in [0, 1, 2, 3] {
        assert_eq!(circuit(&world, few).events.len(), few);
        assert_eq!(circuit(&filled(), few).events.len(), few);
    }
}

#[test]
fn an_entry_is_told_once() {
    let world = filled();
    // Found by its label, by its line, by its trace, and by its request.
    let line = format!("request_id=r-1 circuit_id=circ-1 trace_id={}", trace(1));
    world.say([Line {
        labels: vec![("service_name", "beorn"), ("circuit_id", "circ-1")],
        ..said(15, "", line.clone())
    }]);
    let story = circuit(&world, 100);
    let times = story.events.iter().filter(|e| matches!(&e.what, EventWhat::Log { line: l, .. } if *l == line)).count();
    assert_eq!(times, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn the_order_in_which_things_came_does_not_matter(
        order in Just((0usize..12).collect::<Vec<_>>()).prop_shuffle(), limit in 0usize..40
    ) {
        let (mut spans, mut lines) = orders();
        let at = |n: usize| order.iter().position(|o| *o == n);
        let (mut s, mut l) = (0usize.., 0usize..);
        spans.sort_by_cached_key(|_| s.next().and_then(at));
        lines.sort_by_cached_key(|_| l.next().and_then(at));
        let mixed = World::default();
        spans.into_iter().for_each(|span| mixed.trace([span]));
        lines.into_iter().for_each(|line| mixed.say([line]));
        let straight = filled();
        straight.correlations.0.read().iter().rev().for_each(|c| _ = mixed.correlate(c.clone()));
        let story = circuit(&mixed, limit);
        prop_assert!(story.events.len() <= limit);
        prop_assert_eq!(story, circuit(&straight, limit));
    }
}
