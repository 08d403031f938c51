//! Streams that Bramble writes for itself: blocks of their own class, kept apart by merges, taken whatever their age, and
//! out of sight.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use bramble_signal::{LogBatch, Matcher};
use bramble_storage::{
    BlockId, BlockMeta, BlockStore, DeletingLogStore, Direction, EntryQuery, LogDeletion, LogSink, LogSource,
    OWN_STREAM_LABEL, QueryContext, RetentionClass, Visible,
};
use common::{Bench, everything, query};
use std::sync::Arc;
use std::sync::atomic::Ordering;

const DAY_NS: i64 = 86_400_000_000_000;
const NOON_NS: i64 = 20_000 * DAY_NS + DAY_NS / 2;

fn own() -> Matcher {
    Matcher::equal(OWN_STREAM_LABEL, "correlations")
}

/// Entries of two days, of a service and of our own.
fn mixed(line: &str) -> LogBatch {
    let mut batch = LogBatch::new();
    for labels in [("service", "a"), (OWN_STREAM_LABEL, "correlations")] {
        batch.start_stream(&mut [labels]).unwrap();
        for at in [NOON_NS, NOON_NS + DAY_NS] {
            batch.push_entry(at, line.as_bytes(), &mut [("trace_id", "0af7651916cd43dd8448eb211c80319c")]).unwrap();
        }
    }
    batch
}

fn partitions(blocks: &[BlockMeta]) -> Vec<(i32, RetentionClass, u64)> {
    let mut all: Vec<_> = blocks.iter().map(|b| (b.day, b.class, b.items)).collect();
    all.sort();
    all
}

#[test]
fn each_day_and_class_has_blocks_of_its_own() {
    use RetentionClass::{Cold, Warm};
    let bench = Bench::new();
    for line in ["first", "second"] {
        bench.write(mixed(line));
        bench.flush();
    }
    let one_flush = [(20_000, Warm, 1), (20_000, Cold, 1), (20_001, Warm, 1), (20_001, Cold, 1)];
    let mut twice: Vec<_> = one_flush.into_iter().chain(one_flush).collect();
    twice.sort();
    assert_eq!(partitions(&bench.blocks.borrow()), twice);
    assert!(bench.blocks.borrow().iter().all(|block| block.file_name().contains(block.class.as_str())));
    let before = everything(&bench.store);
    assert_eq!(before.len(), 8);

    let blocks = bench.blocks.borrow().clone();
    let mut merged = Vec::new();
    for class in [Warm, Cold] {
        for day in [20_000, 20_001] {
            let of = |block: &&BlockMeta| (block.day, block.class) == (day, class);
            let inputs: Vec<BlockId> = blocks.iter().filter(of).map(|block| block.id).collect();
            let outputs = bench.store.merge(&inputs, u64::MAX, &mut || bench.id(), &|| true).unwrap();
            bench.store.swap(&outputs, &inputs, false).unwrap();
            merged.extend(outputs);
        }
    }
    assert_eq!(partitions(&merged), one_flush.map(|(day, class, _)| (day, class, 2)));
    assert_eq!(everything(&bench.store), before);
    *bench.blocks.borrow_mut() = merged;
    assert_eq!(everything(&bench.reopened()), before);
}

#[test]
fn a_query_opens_only_blocks_of_classes_that_it_can_be_about() {
    let bench = Bench::new();
    bench.write(mixed("x"));
    bench.flush();
    let store = Arc::new(bench.reopened());
    let opened = |source: &dyn LogSource, matchers: &[Matcher]| {
        let context = QueryContext::unlimited();
        let found = query(source, matchers, &[], Direction::Backward, (0, i64::MAX), &context).len();
        (found, context.stats.blocks.load(Ordering::Relaxed))
    };
    assert_eq!(opened(&*store, &[]), (4, 4));
    assert_eq!(opened(&*store, &[own()]), (2, 2));
    let visible = Visible::new(store.clone());
    assert_eq!(opened(&visible, &[]), (2, 2));
    assert_eq!(opened(&visible, &[Matcher::equal("service", "a")]), (2, 2));
    assert_eq!(opened(&visible, &[own()]), (2, 2));
    let context = QueryContext::unlimited();
    assert_eq!(visible.streams(&[], 0, i64::MAX, &context).unwrap().len(), 1);
    assert_eq!(visible.totals(&[], 0, i64::MAX, &context).unwrap().len(), 1);
    assert_eq!(visible.totals(&[own()], 0, i64::MAX, &context).unwrap().len(), 1);
}

#[test]
fn what_bramble_says_of_old_items_is_taken() {
    let bench = Bench::new();
    let mut batch = mixed("x");
    batch.start_stream(&mut [(OWN_STREAM_LABEL, "correlations")]).unwrap();
    batch.push_entry(5, b"from long ago", &mut []).unwrap();
    batch.start_stream(&mut [("service", "b")]).unwrap();
    batch.push_entry(5, b"from long ago", &mut []).unwrap();
    let limits = bramble_store_logs::LogLimits {
        max_age_ms: Some(10 * 86_400_000),
        out_of_order_ms: Some(3_600_000),
        future_ms: Some(600_000),
        streams_max: 1,
        ..common::limits()
    };
    let store = common::open_with(&bench, limits);
    let prepared = store.prepare(batch, NOON_NS + DAY_NS).unwrap();
    assert_eq!((prepared.batch.entry_count(), prepared.accepted), (5, 5), "{}", prepared.rejections.first());
    let held: Vec<bool> = prepared.batch.streams().map(|s| s.labels().get(OWN_STREAM_LABEL).is_some()).collect();
    assert_eq!(held, [false, true, true]);
}

#[test]
fn who_deletes_all_does_not_mean_what_is_hidden() {
    let bench = Bench::new();
    bench.write(mixed("x"));
    bench.flush();
    let delete = |matchers: Vec<Matcher>| {
        let deletion = LogDeletion {
            query: EntryQuery { matchers, filter: None },
            start_ns: 0,
            last_ns: i64::MAX,
            through: BlockId(u64::MAX),
            is_final: true,
        };
        bench.store.set_deletions(vec![deletion]);
        everything(&bench.store).into_iter().map(|row| row.1).collect::<Vec<_>>()
    };
    let own_label = format!("{{{OWN_STREAM_LABEL}=\"correlations\"}}");
    assert_eq!(delete(vec![]), [own_label.clone(), own_label]);
    assert_eq!(delete(vec![own()]), [r#"{service="a"}"#; 2]);
}
