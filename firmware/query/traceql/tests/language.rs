//! What each part of the language accepts, on a handful of spans.

mod common;

use bramble_query_traceql::*;
use bramble_runtime::{Budget, BudgetName, Cancel};
use bramble_signal::{SpanKind, StatusCode};
use bramble_storage::memory::MemoryTraces;
use bramble_storage::{QueryContext, ReadError};
use common::*;
use std::time::Instant;

/// Trace 1: 1 → (2 → 3, 4); trace 2: an orphan 5, and a root 6 with an array.
fn data() -> MemoryTraces {
    let mut spans = vec![
        span(1, 1, 0, "root"),
        span(1, 2, 1, "call"),
        span(1, 3, 2, "query"),
        span(1, 4, 1, "call"),
        span(2, 5, 99, "orphan"),
        span(2, 6, 0, "root"),
    ];
    spans[0].kind = SpanKind::Server;
    spans[1].ints = vec![("n", 5), ("rows", 10)];
    spans[2].doubles = vec![("n", 5.5)];
    spans[2].status = StatusCode::Error;
    spans[2].service = 1;
    spans[3].texts = vec![("n", "5"), ("a b", "x"), ("empty", "")];
    spans[3].events = vec!["exception"];
    spans[4].service = 2;
    spans[5].tags = vec!["a", "b"];
    store(&spans)
}

#[test]
fn filters_and_steps() {
    let traces = data();
    let all = vec![(1, 1), (1, 2), (1, 3), (1, 4), (2, 5), (2, 6)];
    for (text, wanted) in [
        ("{}", all.clone()),
        ("// all of it\n{ true } // really", all),
        ("{ name = \"root\" }", vec![(1, 1), (2, 6)]),
        ("{ name != \"root\" && span:name !~ \"c.*\" }", vec![(1, 3), (2, 5)]),
        ("{ span:status = error || kind = server }", vec![(1, 1), (1, 3)]),
        ("{ resource.service.name =~ \"s[12]\" }", vec![(1, 3), (2, 5)]),
        ("{ .service.name = \"s1\" }", vec![(1, 3)]),
        // Numbers compare whether whole or not; texts do not.
        ("{ span.n >= 5 }", vec![(1, 2), (1, 3)]),
        ("{ span.n = 5.0 }", vec![(1, 2)]),
        ("{ span.n > 5 }", vec![(1, 3)]),
        ("{ span.n = \"5\" }", vec![(1, 4)]),
        ("{ span.n < \"6\" }", vec![(1, 4)]),
        ("{ span.n + span.rows * 2 = 25 }", vec![(1, 2)]),
        ("{ -span.n = -5 }", vec![(1, 2)]),
        ("{ 2 ^ 3 ^ 2 = 512 && name = \"root\" }", vec![(1, 1), (2, 6)]),
        ("{ span.n % 2 = 1 }", vec![(1, 2)]),
        // What is missing is neither equal nor different; not even for `!`.
        ("{ span.rows != 11 }", vec![(1, 2)]),
        ("{ !(span.rows = 11) || false }", vec![(1, 2)]),
        // As Tempo's storage has it, see syntax/stored.rs.
        ("{ !(span.rows = 11) }", vec![]),
        ("{ 2ms < duration }", vec![]),
        ("{ span.rows = nil && name = \"call\" }", vec![(1, 4)]),
        ("{ nil != span.rows }", vec![(1, 2)]),
        ("{ nil = nil }", vec![]),
        ("{ span.rows = 10 || span.nope = 1 }", vec![(1, 2)]),
        ("{ span.\"a b\" = \"x\" }", vec![(1, 4)]),
        ("{ span.empty = \"\" }", vec![(1, 4)]),
        ("{ span.tags = \"b\" }", vec![(2, 6)]),
        ("{ span.tags != \"b\" }", vec![]),
        ("{ span.tags != \"c\" }", vec![(2, 6)]),
        ("{ span.tags =~ \"[xb]\" }", vec![(2, 6)]),
        ("{ span.tags !~ \"[xb]\" }", vec![]),
        ("{ event:name = \"exception\" }", vec![(1, 4)]),
        ("{ duration > 2ms && duration <= 4000us }", vec![(1, 3), (1, 4)]),
        ("{ nestedSetParent < 0 }", vec![(1, 1), (2, 6)]),
        ("{ nestedSetParent = -1 && trace:rootName = \"root\" }", vec![(1, 1), (2, 6)]),
        ("{ span:childCount = 2 }", vec![]),
        ("{ rootServiceName = \"s0\" && name = \"query\" }", vec![(1, 3)]),
        ("{ trace:id = \"00000000000000000000000000000002\" && name = \"orphan\" }", vec![(2, 5)]),
        ("{ span:parentID = \"0000000000000001\" }", vec![(1, 2), (1, 4)]),
        ("{ name = \"root\" } > { }", vec![(1, 2), (1, 4)]),
        ("{ name = \"root\" } >> { }", vec![(1, 2), (1, 3), (1, 4)]),
        ("{ name = \"query\" } << { }", vec![(1, 1), (1, 2)]),
        ("{ name = \"query\" } < { }", vec![(1, 2)]),
        ("{ } ~ { }", vec![(1, 2), (1, 4)]),
        ("{ name = \"root\" } !> { }", vec![(1, 1), (1, 3), (2, 5), (2, 6)]),
        ("{ name = \"root\" } &> { name = \"call\" }", vec![(1, 1), (1, 2), (1, 4)]),
        ("{ name = \"query\" } && { name = \"root\" }", vec![(1, 1), (1, 3)]),
        ("{ } | count() > 3", vec![(1, 1), (1, 2), (1, 3), (1, 4)]),
        ("{ } | by(name) | count() > 1", vec![(1, 2), (1, 4)]),
        ("{ } | by(name) | count() > 1 | coalesce()", vec![(1, 2), (1, 4)]),
        ("{ } | max(duration) < 5ms", vec![(1, 1), (1, 2), (1, 3), (1, 4)]),
        ("{ } | avg(span.rows) = 10 | select(span.n)", vec![(1, 1), (1, 2), (1, 3), (1, 4)]),
        ("{ } | { name = \"call\" } | { span.rows > 1 }", vec![(1, 2)]),
        ("({ } | count() > 3) && ({ name = \"query\" })", vec![(1, 1), (1, 2), (1, 3), (1, 4)]),
        ("{ name = \"query\" } with(most_recent=true, unknown=1)", vec![(1, 3)]),
    ] {
        assert_eq!(found(text, &traces), wanted, "{text}");
    }
}

#[test]
fn the_newest_are_kept_and_all_are_shown() {
    let spans: Vec<Span> = (1..=30).map(|trace| span(trace, 1, 0, "x")).collect();
    let traces = store(&spans);
    let options = SearchOptions { limit: 5, ..EVERYTHING };
    let query = parse("{ name = \"x\" } with(most_recent=true)").unwrap();
    let mut shown = Vec::new();
    let mut note = |t: &FoundTrace| {
        shown.push(t.trace_id.0[15]);
        true
    };
    let found = search_with(&query, &traces, &options, &QueryContext::unlimited(), &mut note).unwrap();
    let ids: Vec<u8> = found.traces.iter().map(|t| t.trace_id.0[15]).collect();
    assert_eq!((ids, found.partial), (vec![30, 29, 28, 27, 26], None));
    assert!(found.traces.iter().all(|t| shown.contains(&t.trace_id.0[15])), "{shown:?}");
    let stopped = search_with(&query, &traces, &options, &QueryContext::unlimited(), &mut |_| false).unwrap();
    assert_eq!((stopped.traces.len(), stopped.partial), (1, Some(Partial::Stopped)));
}

#[test]
fn bounds_leave_what_was_found() {
    let traces = data();
    let budget = Budget::standalone(BudgetName::Query, 1 << 20);
    let late = QueryContext::new(&budget, Some(Instant::now()), Cancel::new()).unwrap();
    for text in ["{ }", "{ } > { }"] {
        let found = search_with(&parse(text).unwrap(), &traces, &EVERYTHING, &late, &mut |_| true).unwrap();
        assert_eq!(found.partial, Some(Partial::Time), "{text}");
    }
    let options = MetricsOptions { start_ns: 0, end_ns: 1000 * SECOND_NS, step_ns: Some(SECOND_NS) };
    let query = parse("{ } | rate()").unwrap();
    let measured = measure_with(&query, &traces, &options, None, &late, &mut |_| true).unwrap();
    assert_eq!(measured.partial, Some(Partial::Time));
    assert_eq!(measure(&query, &traces, &options, &late), Err(ReadError::Timeout));
    let small = Budget::standalone(BudgetName::Query, 900);
    let tight = QueryContext::new(&small, None, Cancel::new()).unwrap();
    let found = search_with(&parse("{ }").unwrap(), &traces, &EVERYTHING, &tight, &mut |_| true);
    assert!(matches!(found, Err(ReadError::OverBudget(_)) | Ok(Searched { partial: Some(Partial::Memory), .. })));
    let cancelled = Cancel::new();
    cancelled.cancel();
    let gone = QueryContext::new(&budget, None, cancelled).unwrap();
    assert_eq!(search(&parse("{ }").unwrap(), &traces, &EVERYTHING, &gone), Err(ReadError::Cancelled));
}

#[test]
fn names_and_values() {
    let traces = data();
    let (range, context) = ((0, u64::MAX / 2), QueryContext::unlimited());
    let keys = |text: &str, scope, limit| {
        let tags = tags::names_in(&parse(text).unwrap(), scope, &traces, range, limit, &context).unwrap();
        let keys: Vec<String> =
            tags.found.iter().flat_map(|(s, keys)| keys.iter().map(|k| format!("{}.{k}", s.as_str()))).collect();
        (keys.join(" "), tags.partial)
    };
    let of = |text: &str| (text.to_owned(), false);
    assert_eq!(keys("{ }", Some(Scope::Span), 100), of("span.a b span.empty span.n span.rows span.tags"));
    assert_eq!(keys("{ name = \"call\" && span.rows = 10 }", None, 100), of("span.n span.rows resource.service.name"));
    assert!(keys("{ name = \"call\" }", Some(Scope::Span), 2).1);
    let values = |text: &str, field: &str, limit| {
        let field = parse_field(field).unwrap();
        let tags = tags::values_in(&parse(text).unwrap(), &field, &traces, range, limit, &context).unwrap();
        (tags.found.iter().map(Value::to_string).collect::<Vec<_>>().join(" "), tags.partial)
    };
    assert_eq!(values("{ }", "resource.service.name", 100), of("s0 s1 s2"));
    assert_eq!(values("{ }", "span.tags", 100), of("a b"));
    assert_eq!(values("{ }", "name", 100), of("call orphan query root"));
    assert_eq!(values("{ status = error }", "name", 100), of("query"));
    assert_eq!(values("{ name = \"root\" } > { }", "name", 100), of("call"));
    assert!(values("{ name != \"x\" }", "kind", 1).1);
    assert_eq!(values("{ }", "duration", 100), of(""));
}
