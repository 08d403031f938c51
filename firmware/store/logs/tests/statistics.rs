//! Totals and templates against plain counting over rows.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "test code")]

mod common;

use bramble_signal::{LogBatch, MatchOp, Matcher};
use bramble_storage::{LinePredicate, LogSelect, LogSource, QueryContext, TemplateCounts};
use bramble_store_logs::LogStore;
use common::{Bench, everything};
use proptest::prelude::*;
use std::collections::BTreeMap;

const SECOND: i64 = 1_000_000_000;

fn batch(service: &str, entries: &[(i64, String)]) -> LogBatch {
    let mut batch = LogBatch::new();
    batch.start_stream(&mut [("service", service)]).unwrap();
    for (at, line) in entries {
        batch.push_entry(*at, line.as_bytes(), &mut []).unwrap();
    }
    batch
}

fn of_service(service: &str) -> Vec<Matcher> {
    vec![Matcher::new("service", MatchOp::Equal, service).unwrap()]
}

fn templates(store: &LogStore, select: &LogSelect<'_>, step_ns: i64, most: usize) -> Vec<TemplateCounts> {
    let mut found = store.templates(select, step_ns, most, &QueryContext::unlimited()).unwrap();
    found.sort_by(|a, b| (&a.labels, &a.pattern).cmp(&(&b.labels, &b.pattern)));
    found
}

/// Two services, three shapes of lines, one line a second.
fn filled() -> Bench {
    let bench = Bench::new();
    let line = |n: i64| match n % 3 {
        0 => format!("job {n} took {}ms", n * 7),
        1 => format!(r#"{{"level":"info","id":"{:032x}","n":{n}}}"#, n * 1_234_567),
        _ => format!("cache miss for user-{n}"),
    };
    let lines = |from: i64, to: i64| (from..to).map(|n| (n * SECOND, line(n))).collect::<Vec<_>>();
    bench.write(batch("a", &lines(0, 300)));
    bench.write(batch("b", &lines(100, 200)));
    bench.flush();
    bench.write(batch("a", &lines(300, 600)));
    bench.write(batch("a", &[(601 * SECOND, "never seen before".to_owned())]));
    bench
}

#[test]
fn totals_of_whole_ranges_are_exact() {
    let bench = filled();
    let context = QueryContext::unlimited();
    let sums = |store: &LogStore, range: (i64, i64)| -> Vec<(String, u64, u64)> {
        let all = store.totals(&[], range.0, range.1, &context).unwrap();
        all.iter().map(|t| (t.labels.get("service").unwrap().to_owned(), t.entries, t.bytes)).collect()
    };
    let rows = everything(&bench.store);
    let bytes =
        |service: &str| -> u64 { rows.iter().filter(|r| r.1.contains(service)).map(|r| r.2.len() as u64).sum() };
    let expected = [("a".to_owned(), 601, bytes("\"a\"")), ("b".to_owned(), 100, bytes("\"b\""))];
    assert_eq!(sums(&bench.store, (i64::MIN, i64::MAX)), expected);
    bench.flush();
    bench.merge(1 << 30);
    assert_eq!(sums(&bench.reopened(), (0, 602 * SECOND)), expected);
    assert_eq!(sums(&bench.store, (900 * SECOND, 1000 * SECOND)), []);
    let half = bench.store.totals(&of_service("b"), 0, 150 * SECOND, &context).unwrap();
    assert_eq!((half.len(), half[0].entries.abs_diff(50) <= 1), (1, true), "{half:?}");
}

#[test]
fn steps_add_up() {
    let bench = filled();
    let context = QueryContext::unlimited();
    for step in [7 * SECOND, 60 * SECOND, 3000 * SECOND] {
        let steps = bench.store.totals_by_step(&[], 0, 700 * SECOND, step, &context).unwrap();
        let all = bench.store.totals(&[], 0, 700 * SECOND, &context).unwrap();
        for (steps, all) in steps.iter().zip(&all) {
            assert_eq!(steps.labels, all.labels);
            assert_eq!(steps.steps.iter().map(|s| s.1).sum::<u64>(), all.entries);
            assert_eq!(steps.steps.iter().map(|s| s.2).sum::<u64>(), all.bytes);
            assert!(steps.steps.is_sorted() && steps.steps.iter().all(|s| s.0 % step == 0));
        }
    }
}

#[test]
fn templates_of_head_and_blocks() {
    let bench = filled();
    let patterns = |store: &LogStore| -> Vec<(String, u64, i64, i64)> {
        let select = LogSelect { matchers: &of_service("a"), start_ns: 200 * SECOND, ..LogSelect::default() };
        let found = templates(store, &select, 60 * SECOND, 100);
        found.iter().map(|t| (t.pattern.clone(), t.count, t.first_ns / SECOND, t.last_ns / SECOND)).collect()
    };
    let expected = [
        ("cache miss for user-<_>", 134, 2, 599),
        ("job <_> took <_>ms", 133, 0, 597),
        ("never seen before", 1, 601, 601),
        (r#"{"level":"<_>","id":"<_>","n":<_>"#, 133, 1, 598),
    ]
    .map(|(pattern, count, first, last)| (pattern.to_owned(), count, first, last));
    let check = |found: Vec<(String, u64, i64, i64)>| {
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected);
        }
        assert_eq!(found.len(), expected.len(), "{found:?}");
    };
    check(patterns(&bench.store));
    bench.flush();
    check(patterns(&bench.store));
    bench.merge(1 << 30);
    check(patterns(&bench.reopened()));
}

#[test]
fn line_tests_and_limits_hold() {
    let bench = filled();
    let lines = [LinePredicate::Contains(b"took 7".to_vec())];
    let select = LogSelect { lines: &lines, ..LogSelect::default() };
    let found = templates(&bench.store, &select, SECOND, 100);
    let counted: u64 = found.iter().map(|t| t.count).sum();
    let rows = everything(&bench.store);
    assert_eq!(counted, rows.iter().filter(|r| lines[0].accepts(&r.2)).count() as u64);
    assert!(counted > 0 && found.iter().all(|t| t.pattern == "job <_> took <_>ms"));
    let most = templates(&bench.store, &LogSelect::default(), SECOND, 2);
    assert_eq!(most.iter().map(|t| t.count).collect::<Vec<_>>(), [200, 200]);
    assert!(templates(&bench.store, &LogSelect::default(), SECOND, 0).is_empty());
}

#[test]
fn floating_labels_select_entries() {
    let bench = Bench::new();
    let mut batch = LogBatch::new();
    for trace in ["t1", "t2"] {
        batch.start_stream(&mut [("service", "a"), ("trace_id", trace)]).unwrap();
        for n in 0..10 {
            batch.push_entry(n, format!("step {n} of {trace}").as_bytes(), &mut [("k", "v")]).unwrap();
        }
    }
    bench.write(batch);
    let matchers = [of_service("a"), vec![Matcher::new("trace_id", MatchOp::Equal, "t1").unwrap()]].concat();
    let context = QueryContext::unlimited();
    for round in 0..2 {
        let totals = bench.store.totals(&matchers, 0, 100, &context).unwrap();
        // Of metadata there are two pieces, the marked floating label and `k`; their texts count once.
        assert_eq!((totals.len(), totals[0].entries, totals[0].bytes), (1, 10, 10 * (12 + 16) + 13), "{round}");
        let steps = bench.store.totals_by_step(&matchers, 0, 100, 5, &context).unwrap();
        assert_eq!(steps[0].steps.iter().map(|s| (s.0, s.1)).collect::<Vec<_>>(), [(0, 5), (5, 5)]);
        let select = LogSelect { matchers: &matchers, ..LogSelect::default() };
        let found = templates(&bench.store, &select, 5, 10);
        assert_eq!(found.iter().map(|t| (t.pattern.as_str(), t.count)).collect::<Vec<_>>(), [("step <_> of t<_>", 10)]);
        bench.flush();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_line_is_counted_once_in_its_step(
        entries in prop::collection::vec((0i64..5000, "(ab|x[0-9]{1,3}|[=:] |<a>|\"){0,8}"), 1..200),
        flush_at in 0usize..200, range in (0i64..3000, 3000i64..6000), step in 1i64..2000
    ) {
        let bench = Bench::new();
        let unique: BTreeMap<(i64, String), ()> = entries.iter().map(|e| (e.clone(), ())).collect();
        for (at, (entry, ())) in unique.iter().enumerate() {
            bench.write(batch("s", std::slice::from_ref(entry)));
            if at == flush_at {
                bench.flush();
            }
        }
        let inside = |at: i64| (range.0..range.1).contains(&at);
        let mut expected: BTreeMap<i64, u64> = BTreeMap::new();
        for (at, line) in unique.keys().filter(|(at, line)| inside(*at) && !line.is_empty()) {
            let _ = line;
            *expected.entry(at - at % step).or_default() += 1;
        }
        let select = LogSelect { start_ns: range.0, end_ns: range.1, ..LogSelect::default() };
        let lines: Vec<&str> = unique.keys().map(|(_, line)| line.as_str()).collect();
        let mut got: BTreeMap<i64, u64> = BTreeMap::new();
        for found in templates(&bench.store, &select, step, 10_000) {
            prop_assert!(found.samples.is_sorted());
            prop_assert!(lines.contains(&String::from_utf8_lossy(&found.example).as_ref()));
            prop_assert_eq!(found.count, found.samples.iter().map(|s| s.1).sum::<u64>());
            for (at, count) in found.samples {
                *got.entry(at).or_default() += count;
            }
        }
        prop_assert_eq!(got, expected);
    }
}
