//! The log store keeps the contract at every stage of an entry's life, and equals the naive store.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use bramble_signal::{LogBatch, MatchOp, Matcher};
use bramble_storage::memory::MemoryLogs;
use bramble_storage::{BlockStore, Direction, LinePredicate, LogSink, QueryContext, contract};
use common::{Bench, Row, everything, flush, merge, query};
use proptest::prelude::*;

#[test]
fn in_the_head() {
    contract::logs(&Bench::new().store, &mut |_| {});
}

#[test]
fn across_flushes() {
    let bench = Bench::new();
    contract::logs(&bench.store, &mut |store| flush(store, &mut || bench.id(), &mut bench.blocks.borrow_mut()));
    assert_eq!(everything(&bench.reopened()).len(), 8);
}

#[test]
fn across_merges() {
    let bench = Bench::new();
    contract::logs(&bench.store, &mut |store| {
        let blocks = &mut bench.blocks.borrow_mut();
        flush(store, &mut || bench.id(), blocks);
        merge(store, 1 << 20, &mut || bench.id(), blocks);
    });
    assert_eq!(bench.blocks.borrow().len(), 1);
    assert_eq!(everything(&bench.reopened()).len(), 8);
}

#[test]
fn a_frozen_generation_stays_readable_until_it_is_swapped() {
    let bench = Bench::new();
    contract::logs(&bench.store, &mut |store| {
        store.freeze(1);
    });
    let written = bench.store.write_frozen(&mut || bench.id()).unwrap();
    assert_eq!(everything(&bench.store).len(), 8);
    bench.store.swap(&written, &[], true).unwrap();
    assert_eq!(everything(&bench.store).len(), 8);
    assert!(bench.store.head().total_bytes > 0 && !bench.store.head().frozen);
}

const DAY_NS: i64 = 86_400_000_000_000;

fn line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => "(get|put) /a/[0-9]{1,3} took 0?[0-9]ms (ok|error)".prop_map(String::into_bytes),
        2 => r#"\{"level":"(info|warn)","trace_id":"[0-9a-f]{32}","n":[0-9]{1,2}\}"#.prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..12),
        1 => Just(Vec::new()),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<(u8, i64, Vec<u8>, Option<String>)>),
    Flush,
    Merge(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let time = (-2i64..3, 0i64..40).prop_map(|(day, t)| day * DAY_NS + t);
    let entry = (0u8..3, time, line(), prop::option::of("[0-9a-f]{8}"));
    prop_oneof![
        4 => prop::collection::vec(entry, 1..60).prop_map(Step::Write),
        2 => Just(Step::Flush),
        1 => prop_oneof![Just(1u64), Just(1 << 20)].prop_map(Step::Merge),
    ]
}

fn batch(entries: &[(u8, i64, Vec<u8>, Option<String>)]) -> LogBatch {
    let mut batch = LogBatch::new();
    for (stream, timestamp_ns, line, metadata) in entries {
        let number = stream.to_string();
        batch.start_stream(&mut [("s", &number), ("env", if *stream == 0 { "dev" } else { "prod" })]).unwrap();
        let mut pairs: Vec<(&str, &str)> = metadata.iter().map(|m| ("trace", m.as_str())).collect();
        batch.push_entry(*timestamp_ns, line, &mut pairs).unwrap();
    }
    batch
}

/// Equal up to the order of arrival within one stream and timestamp, which a merge of late data may change.
fn comparable(mut rows: Vec<Row>, direction: Direction) -> Vec<Row> {
    let times = |r: &Row| if direction == Direction::Forward { r.0 } else { !r.0 };
    assert!(rows.is_sorted_by(|a, b| (times(a), &a.1) <= (times(b), &b.1)), "not in answer order");
    rows.sort();
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn equals_the_naive_store(
        steps in prop::collection::vec(step(), 1..12),
        range in (-2 * DAY_NS..2 * DAY_NS, 0..4 * DAY_NS),
        needle in prop_oneof!["[0-9]{1,2}", Just("error".to_owned()), Just("took 0".to_owned()), Just("\":\"".to_owned())],
        pick in 0usize..1000,
    ) {
        let (bench, naive) = (Bench::new(), MemoryLogs::new());
        let mut ids = Vec::new();
        for step in &steps {
            match step {
                Step::Write(entries) => {
                    ids.extend(entries.iter().filter_map(|e| String::from_utf8(e.2.clone()).ok()?.split('"').nth(7).map(str::to_owned)));
                    bench.write(batch(entries));
                    naive.replay(&batch(entries), 1);
                }
                Step::Flush => bench.flush(),
                Step::Merge(target_bytes) => bench.merge(*target_bytes),
            }
        }
        let contains = |text: &str| LinePredicate::Contains(text.as_bytes().to_vec());
        let regex = |text: &str| regex::bytes::Regex::new(text).unwrap();
        let id = ids.get(pick % ids.len().max(1)).cloned().unwrap_or_else(|| "0123456789abcdef0".to_owned());
        let tests = [
            vec![],
            vec![contains(&needle)],
            vec![LinePredicate::NotContains(needle.clone().into_bytes()), contains("t")],
            vec![contains(&id)],
            vec![contains(&id[1..])],
            vec![LinePredicate::Matches(regex("[a-f]{2}")), LinePredicate::NotMatches(regex("^$"))],
        ];
        let matchers = [vec![], vec![Matcher::equal("env", "prod")], vec![Matcher::new("s", MatchOp::NotEqual, "1").unwrap()]];
        let context = QueryContext::unlimited();
        for (lines, direction) in tests.iter().flat_map(|t| [(t, Direction::Forward), (t, Direction::Backward)]) {
            for matchers in &matchers {
                for range in [(i64::MIN, i64::MAX), (range.0, range.0 + range.1)] {
                    let ours = comparable(query(&bench.store, matchers, lines, direction, range, &context), direction);
                    let theirs = comparable(query(&naive, matchers, lines, direction, range, &context), direction);
                    prop_assert_eq!(ours, theirs);
                }
            }
        }
        prop_assert!(context.warnings().is_empty());
    }
}
