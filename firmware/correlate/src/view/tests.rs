//! Timelines: the worked example, what is found, what is left out, bounds.

use super::testing::*;
use super::*;
use crate::item::Level;
use bramble_signal::{SpanBatch, SpanId, SpanKind, StatusCode, TraceId};
use bramble_storage::memory::MemoryMetrics;
use bramble_storage::{OWN_STREAM_LABEL, SpanCursor, SpanScan};
use proptest::prelude::*;

fn view(world: &World, correlation: &Correlation) -> Timeline {
    view_with(world.sources(), correlation, &ViewLimits::default())
}

fn view_with(sources: Sources<'_>, correlation: &Correlation, limits: &ViewLimits) -> Timeline {
    timeline(correlation, &sources, limits, &QueryContext::unlimited()).unwrap()
}

fn on(node: &'static str, line: Line) -> Line {
    let mut labels = line.labels.clone();
    labels.push(("host", node));
    Line { labels, ..line }
}

/// palantir's clock is two seconds ahead, arda's half a second behind.
fn example() -> Vec<Line> {
    vec![
        on("a", said(5, "beorn", format!(r#"{{"level":"info","msg":"asked","trace_id":"{}"}}"#, trace(1)))),
        on("b", said(2_025, "palantir", format!("level=warn msg=looking traceId={}", trace(1)))),
        on(
            "c",
            Line {
                metadata: vec![("trace_id", trace(1).to_string()), ("level", "error".to_owned())],
                ..said(-450, "arda", "no map of that")
            },
        ),
        on("a", said(50, "beorn", format!("of another trace_id={}", trace(2)))),
    ]
}

#[test]
fn three_services_are_told_on_one_clock() {
    let world = World::default();
    world.trace(three_services(1, 0, 2_000, -500));
    world.say(example());
    let correlation = world.correlate(correlation(1, (-500, 2_090), &[], &["beorn", "palantir", "arda"]));
    let timeline = view(&world, &correlation);
    let lines: Vec<String> = told(&timeline.events).into_iter().map(|(at, what)| format!("{at} {what}")).collect();
    let asked = format!(r#"5 {{"level":"info","msg":"asked","trace_id":"{}"}}"#, trace(1));
    let looking = format!("25 level=warn msg=looking traceId={}", trace(1));
    let expected = [
        "0 beorn GET /order",
        &asked,
        "10 beorn GET palantir",
        "20 palantir GET /see",
        &looking,
        "30 palantir GET arda",
        "40 arda GET /map",
        "50 no map of that",
    ];
    assert_eq!(lines, expected);
    assert!(!timeline.truncated);
    let pair = |client: &str, client_node: &str, server: &str, server_node: &str, offset_ms: i64| PairSkew {
        client: client.to_owned(),
        client_node: client_node.to_owned(),
        server: server.to_owned(),
        server_node: server_node.to_owned(),
        offset_ns: offset_ms * MS,
        calls: 1,
    };
    assert_eq!(timeline.skew, [pair("beorn", "a", "palantir", "b", 2_000), pair("palantir", "b", "arda", "c", -2_500)]);
    let last = timeline.events.last().unwrap();
    assert_eq!((last.time_ns, last.service.as_str(), last.node.as_str()), (T0 - 450 * MS, "arda", "c"));
    assert_eq!((last.join, last.is_error()), (Join::certain(IdKind::Trace), true));
    assert!(matches!(&last.what, EventWhat::Log { level: Level::Error, labels, .. }
        if labels.contains(&("service_name".to_owned(), "arda".to_owned()))));
}

#[test]
fn a_trace_is_found_however_it_is_spelt() {
    let world = World::default();
    let id = trace(1).to_string();
    let uuid = format!("{}-{}-{}-{}-{}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]);
    let field = |at, name, value: &str| Line { metadata: vec![(name, value.to_owned())], ..said(at, "beorn", "x") };
    let found = vec![
        said(1, "beorn", format!("traceparent: 00-{id}-00f067aa0ba902b7-01")),
        said(2, "beorn", format!("trace_id={}", id.to_uppercase())),
        said(3, "beorn", format!("trace.id={uuid}")),
        field(4, "traceId", &id),
        field(5, "\u{1}trace_id", &id),
        field(6, "trace_id", &id.to_uppercase()),
        Line {
            labels: vec![("service_name", "arda"), ("trace_id", "a0a0a0a0a0a0a0a0a0a0a0a0a0a0a001")],
            ..said(7, "", "x")
        },
    ];
    let count = found.len();
    world.say(found);
    // The digits alone, another trace's field, our own stream, long before.
    world.say([said(8, "beorn", format!("got {id}")), said(-60_000, "beorn", format!("trace_id={id}"))]);
    let other = trace(2).to_string();
    world.say([Line { metadata: vec![("trace_id", other)], ..said(9, "beorn", format!("cause trace_id={id}")) }]);
    world.say([Line {
        labels: vec![("service_name", "bramble"), (OWN_STREAM_LABEL, "correlations")],
        ..said(9, "", format!("trace_id={id}"))
    }]);
    let timeline = view(&world, &correlation(1, (0, 100), &[], &["beorn"]));
    let times: Vec<i64> = told(&timeline.events).iter().map(|(at, _)| *at).collect();
    assert_eq!(times, (1..=count as i64).collect::<Vec<_>>());
    assert!(timeline.events.iter().all(|event| event.trace_id == trace(1) && event.join.certain));
}

#[test]
fn our_own_span_is_not_part_of_it() {
    let world = World::default();
    let mut spans = three_services(1, 0, 0, 0);
    spans.push(Spans {
        trace: 1,
        id: 9,
        parent: 1,
        service: "bramble",
        name: "correlation",
        at: (0, 100),
        resource: vec![("bramble.synthetic", "true")],
        ..Spans::default()
    });
    spans.push(Spans {
        trace: 1,
        id: 10,
        parent: 1,
        service: "bramble",
        name: "query",
        at: (1, 2),
        ..Spans::default()
    });
    world.trace(spans);
    world.say([said(5, "bramble", format!("asked for trace_id={}", trace(1)))]);
    let timeline = view(&world, &correlation(1, (0, 100), &[], &["beorn"]));
    assert_eq!(timeline.events.len(), 5);
    assert!(timeline.events.iter().all(|event| event.service != "bramble"));
}

#[test]
fn exemplars_are_shown_where_they_were() {
    use bramble_signal::{Exemplar, Labels, MetricBatch};
    use bramble_storage::MetricSink;
    let metrics = MemoryMetrics::new();
    let mut batch = MetricBatch::new();
    batch.start_series(&mut [("__name__", "latency_seconds"), ("service", "beorn")]).unwrap();
    batch.push_sample(T0 / MS + 40, 1.0);
    for (at, id, value) in [(40, trace(1), 0.5), (41, trace(2), 0.6)] {
        let labels = Labels::from_pairs([("trace_id", id.to_string())]);
        batch.push_exemplar(Exemplar { labels, value, timestamp_ms: T0 / MS + at });
    }
    let prepared = metrics.prepare(batch, T0).unwrap();
    metrics.apply(prepared, 1);
    let world = World::default();
    let mut correlation = correlation(1, (0, 100), &[], &["beorn"]);
    correlation.exemplar_series = vec![r#"latency_seconds{service="beorn"}"#.to_owned()];
    let sources = Sources { metrics: Some(&metrics), ..world.sources() };
    let timeline = view_with(sources, &correlation, &ViewLimits::default());
    assert_eq!(told(&timeline.events), [(40, r#"latency_seconds{service="beorn"} 0.5"#.to_owned())]);
}

/// One trace, however large.
struct OneTrace(SpanBatch);

impl TraceSource for OneTrace {
    fn trace(&self, _: TraceId, _: &QueryContext) -> Result<SpanBatch, ReadError> {
        Ok(self.0.clone())
    }

    fn scan<'a>(&'a self, _: &SpanScan<'_>, _: &'a QueryContext) -> Result<Box<dyn SpanCursor + 'a>, ReadError> {
        struct Nothing;
        impl SpanCursor for Nothing {
            fn next(&mut self, out: &mut SpanBatch) -> Result<bool, ReadError> {
                out.spans.clear();
                Ok(false)
            }
        }
        Ok(Box::new(Nothing))
    }

    fn services(&self, _: u64, _: u64, _: &QueryContext) -> Result<Vec<String>, ReadError> {
        Ok(Vec::new())
    }

    fn operations(&self, _: &str, _: u64, _: u64, _: &QueryContext) -> Result<Vec<(String, SpanKind)>, ReadError> {
        Ok(Vec::new())
    }
}

/// The three services' spans, and very many small ones below arda's.
fn large(count: u32) -> OneTrace {
    let mut batch = SpanBatch::new();
    three_services(1, 0, 0, 0).iter().for_each(|span| span.put(&mut batch));
    let arda = batch.spans[4];
    for n in 0..count {
        let mut span = arda;
        span.span_id = SpanId((u64::from(n) + (1 << 40)).to_be_bytes());
        span.parent_span_id = arda.span_id;
        span.kind = SpanKind::Internal;
        span.start_ns += u64::from(n) + 1;
        span.end_ns = span.start_ns + u64::from(n % 1_000);
        span.status = if n % 10_000 == 7 { StatusCode::Error } else { StatusCode::Unset };
        batch.spans.push(span);
    }
    OneTrace(batch)
}

#[test]
fn of_a_hundred_thousand_spans_those_that_matter_stay() {
    let (world, traces) = (World::default(), large(100_000));
    world.say(example());
    let sources = Sources { traces: &traces, ..world.sources() };
    let limits = ViewLimits { events: 200, inferred: 10 };
    let timeline = view_with(sources, &correlation(1, (-500, 2_090), &[], &["beorn"]), &limits);
    assert!(timeline.truncated);
    assert_eq!(timeline.events.len(), 200);
    let failed = timeline.events.iter().filter(|event| event.is_error()).count();
    assert_eq!(failed, 11, "10 spans and a log entry");
    for n in 1..=5 {
        assert!(
            timeline.events.iter().any(|event| event.span_id == span_id(n)),
            "{n} is called from elsewhere, or a root"
        );
    }
    let shortest = timeline.events.iter().filter_map(|event| match event.what {
        EventWhat::Span { duration_ns, failed: false, .. } => Some(duration_ns),
        _ => None,
    });
    assert!(shortest.min().unwrap() >= 990, "only the longest");
}

#[test]
fn of_many_entries_failures_stay() {
    let world = World::default();
    world.trace(three_services(1, 0, 0, 0));
    let line = |n: i64| {
        let level = if n % 100 == 99 { "error" } else { "info" };
        said(n, "beorn", format!("level={level} n={n} trace_id={}", trace(1)))
    };
    world.say((0..1_000).map(line));
    let limits = ViewLimits { events: 20, inferred: 10 };
    let timeline = view_with(world.sources(), &correlation(1, (0, 1_000), &[], &["beorn"]), &limits);
    assert!(timeline.truncated && timeline.events.len() == 20);
    assert_eq!(timeline.events.iter().filter(|event| event.is_error()).count(), 10);
    assert_eq!(timeline.events.iter().filter(|event| event.what.as_str() == "span").count(), 5);
}

#[test]
fn a_query_gives_back_what_it_took() {
    let world = World::default();
    world.trace(three_services(1, 0, 0, 0));
    world.say(example());
    let budget = bramble_runtime::Budget::standalone(bramble_runtime::BudgetName::Query, 1 << 20);
    let context = QueryContext::new(&budget, None, bramble_runtime::Cancel::new()).unwrap();
    let correlation = correlation(1, (0, 100), &[], &["beorn"]);
    let timeline = timeline(&correlation, &world.sources(), &ViewLimits::default(), &context).unwrap();
    let kept: usize = timeline.events.iter().map(bytes_of).sum();
    assert_eq!(budget.used_bytes(), kept, "what is answered, and no more");
    drop(context);
    assert_eq!(budget.used_bytes(), 0);
    let context = QueryContext::new(&budget, None, bramble_runtime::Cancel::new()).unwrap();
    let hog = budget.reserve((1 << 20) - 100).unwrap();
    let refused = super::timeline(&correlation, &world.sources(), &ViewLimits::default(), &context);
    assert!(matches!(refused, Err(ReadError::OverBudget(_))));
    drop(hog);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn the_order_in_which_things_came_does_not_matter(
        order in Just((0usize..24).collect::<Vec<_>>()).prop_shuffle(), most in 3usize..30
    ) {
        let (mut spans, mut lines) = (three_services(1, 0, 700, -300), example());
        lines.extend((0..12).map(|n| said(n * 7, "beorn", format!("level={} n={n} trace_id={}", ["info", "error"][n as usize % 2], trace(1)))));
        lines.extend((0..3).map(|n| said(40 + n, "arda", "request_id=r-1 without a trace")));
        let limits = ViewLimits { events: most, inferred: 2 };
        let correlation = correlation(1, (-300, 800), &[(IdKind::Request, "r-1")], &["beorn", "arda"]);
        let straight = World::default();
        straight.trace(spans.clone());
        straight.say(lines.clone());
        let at = |n: usize| order.iter().position(|o| *o == n);
        let (mut s, mut l) = (0usize.., 0usize..);
        spans.sort_by_cached_key(|_| s.next().and_then(at));
        lines.sort_by_cached_key(|_| l.next().and_then(at));
        let mixed = World::default();
        spans.into_iter().for_each(|span| mixed.trace([span]));
        lines.into_iter().for_each(|line| mixed.say([line]));
        let expected = view_with(straight.sources(), &correlation, &limits);
        prop_assert_eq!(view_with(mixed.sources(), &correlation, &limits), expected);
    }
}
