//! Limits, budgets, damage, and blocks of many groups and streams.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use bramble_runtime::{Budget, BudgetName, Cancel, Rng};
use bramble_signal::{LogBatch, Matcher};
use bramble_storage::{
    BlockStore, Direction, LinePredicate, LogSink, LogSource, QueryContext, RejectReason, StoreError,
};
use common::{Bench, everything, query};
use std::io::{Seek, SeekFrom, Write};
use std::sync::atomic::Ordering;

const WHOLE: (i64, i64) = (i64::MIN, i64::MAX);

/// `count` lines of one stream, half of them JSON with ids, timestamps from `from`.
fn service_lines(name: &str, from: i64, count: u64, rng: &mut Rng) -> LogBatch {
    let mut batch = LogBatch::new();
    batch.start_stream(&mut [("service", name)]).unwrap();
    for n in 0..count {
        let id = format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64());
        let line = if n % 2 == 0 {
            format!(r#"{{"level":"info","trace_id":"{id}","latency_ms":{}.{:02}}}"#, rng.below(900), rng.below(100))
        } else {
            format!(
                "worker {} finished job {} in {}ms: queue drained",
                rng.below(8),
                rng.next_u64() % 100_000,
                rng.below(5000)
            )
        };
        let mut metadata = vec![("level", "info"), ("trace_id", id.as_str())];
        metadata.truncate(if n % 2 == 0 { 2 } else { 1 });
        batch.push_entry(from + n as i64 * 1_000_000, line.as_bytes(), &mut metadata).unwrap();
    }
    batch
}

fn filled() -> Bench {
    let (bench, mut rng) = (Bench::new(), Rng::new(1));
    for round in 0..4 {
        for service in ["arda", "beorn", "mordor"] {
            bench.write(service_lines(service, round * 6_000_000_000, 6000, &mut rng));
        }
        bench.flush();
    }
    bench
}

#[test]
fn many_groups_come_back_before_and_after_the_merge() {
    let bench = filled();
    let before = everything(&bench.store);
    assert_eq!(before.len(), 72_000);
    assert_eq!(bench.blocks.borrow().len(), 4);
    let flushed_bytes: u64 = bench.blocks.borrow().iter().map(|b| b.file_bytes).sum();
    bench.merge(200_000);
    assert!(bench.blocks.borrow().len() > 1, "more than the target is cut into several blocks");
    let merged_bytes: u64 = bench.blocks.borrow().iter().map(|b| b.file_bytes).sum();
    assert!(merged_bytes < flushed_bytes + 65_536, "{merged_bytes} after {flushed_bytes}");
    assert_eq!(everything(&bench.store), before);
    assert_eq!(everything(&bench.reopened()), before);
    let mut backward = query(&bench.store, &[], &[], Direction::Backward, WHOLE, &QueryContext::unlimited());
    backward.reverse();
    assert_eq!(backward.len(), before.len());
    assert_eq!(backward.first().map(|r| r.0), before.first().map(|r| r.0));
}

#[test]
fn stopping_early_reads_little_and_an_id_reads_one_group() {
    let bench = filled();
    bench.merge(64 << 20);
    let context = QueryContext::unlimited();
    let all = query(&bench.store, &[], &[], Direction::Forward, WHOLE, &context);
    let pages = context.stats.pages.load(Ordering::Relaxed);
    let context = QueryContext::unlimited();
    let select = bramble_storage::LogSelect {
        matchers: &[Matcher::equal("service", "arda")],
        start_ns: i64::MIN,
        end_ns: i64::MAX,
        lines: &[],
        direction: Direction::Backward,
        ..bramble_storage::LogSelect::default()
    };
    let mut rows = Default::default();
    assert!(bench.store.select(&select, &context).unwrap().next(&mut rows).unwrap());
    assert!(context.stats.pages.load(Ordering::Relaxed) <= 2, "the newest group, of {pages}");
    let id = all.iter().find_map(|r| String::from_utf8_lossy(&r.2).split('"').nth(7).map(str::to_owned)).unwrap();
    let context = QueryContext::unlimited();
    let found =
        query(&bench.store, &[], &[LinePredicate::Contains(id.into_bytes())], Direction::Forward, WHOLE, &context);
    assert_eq!(found.len(), 1);
    assert!(context.stats.pages.load(Ordering::Relaxed) <= 2, "of {pages} groups");
}

#[test]
fn every_byte_string_survives() {
    let bench = Bench::new();
    let mut batch = LogBatch::new();
    batch.start_stream(&mut [("a", "b")]).unwrap();
    let long: Vec<u8> = (0..256 << 10).map(|n| (n * 7 % 251) as u8).collect();
    for (n, line) in [b"".as_slice(), b"\x00", b"\xff\xfe", b"\x01\x02\x08", &long].iter().enumerate() {
        batch.push_entry(n as i64, line, &mut [("k", "\u{1}v")]).unwrap();
    }
    bench.write(batch);
    let before = everything(&bench.store);
    bench.flush();
    assert_eq!(everything(&bench.store), before);
    bench.merge(1 << 20);
    assert_eq!(everything(&bench.reopened()), before);
    assert_eq!(before[4].2, long);
}

#[test]
fn what_is_outside_the_limits_is_refused_with_a_reason() {
    let (bench, now_ns) = (Bench::new(), 1_000_000_000_000_000_000i64);
    let limits = bramble_store_logs::LogLimits {
        streams_max: 1,
        line_bytes_max: 10,
        max_age_ms: Some(1000),
        ..Default::default()
    };
    let (clock, registry) = (std::sync::Arc::new(bramble_runtime::ManualClock::new(0)), prometheus::Registry::new());
    let budgets = common::budgets(1 << 20);
    let store =
        bramble_store_logs::LogStore::new(bench.disk.clone(), bench.cache.clone(), clock, budgets, limits, &registry)
            .unwrap();
    let mut batch = LogBatch::new();
    batch.start_stream(&mut [("a", "b")]).unwrap();
    batch.push_entry(now_ns - 1_001_000_000, b"old", &mut []).unwrap();
    batch.push_entry(now_ns - 1_000_000_000, b"kept", &mut []).unwrap();
    batch.push_entry(now_ns + 601_000_000_000, b"future", &mut []).unwrap();
    batch.push_entry(now_ns, b"far too long", &mut []).unwrap();
    batch.start_stream(&mut [("a", "c")]).unwrap();
    batch.push_entry(now_ns, b"x", &mut []).unwrap();
    let prepared = store.prepare(batch, now_ns).unwrap();
    assert_eq!(prepared.accepted, 1);
    assert_eq!(
        prepared.rejections.by_reason(),
        [RejectReason::TooOld, RejectReason::TooFarInFuture, RejectReason::TooLarge, RejectReason::SeriesLimit]
            .map(|reason| (reason, 1))
    );
    store.apply(prepared, 1);
    assert_eq!(everything(&store).len(), 1);
}

#[test]
fn a_full_head_refuses_until_it_is_flushed() {
    let (bench, mut rng) = (Bench::with_head(1 << 20), Rng::new(2));
    let mut taken = 0;
    loop {
        match bench.store.prepare(service_lines("arda", taken * 1000, 500, &mut rng), 0) {
            Ok(prepared) => bench.store.apply(prepared, 1),
            Err(over) => break assert_eq!(over.budget, BudgetName::LogHead),
        }
        taken += 1;
        let head = bench.store.head();
        assert!(head.total_bytes <= head.limit_bytes, "{head:?}");
    }
    assert!(taken > 15, "compressed chunks hold more raw bytes than the budget: {taken}");
    bench.flush();
    assert_eq!(bench.store.head().total_bytes, 0);
    assert!(bench.store.prepare(service_lines("arda", 0, 500, &mut rng), 0).is_ok());
}

#[test]
fn a_small_query_budget_is_an_error_and_is_given_back() {
    let bench = filled();
    let budget = Budget::standalone(BudgetName::Query, 64 << 10);
    let context = QueryContext::new(&budget, None, Cancel::new()).unwrap();
    let select = bramble_storage::LogSelect {
        matchers: &[],
        start_ns: i64::MIN,
        end_ns: i64::MAX,
        lines: &[],
        direction: Direction::Forward,
        ..bramble_storage::LogSelect::default()
    };
    let mut rows = Default::default();
    assert!(bench.store.select(&select, &context).unwrap().next(&mut rows).is_err());
    assert_eq!(budget.used_bytes(), 0);
}

#[test]
fn a_query_that_does_not_fit_at_once_is_answered_piece_by_piece() {
    let bench = filled();
    for direction in [Direction::Forward, Direction::Backward] {
        let all = query(&bench.store, &[], &[], direction, (0, 300_000_000), &QueryContext::unlimited());
        // One decoded group and its dictionary fit, three streams' do not.
        let budget = Budget::standalone(BudgetName::Query, 440 << 10);
        let context = QueryContext::new(&budget, None, Cancel::new()).unwrap();
        assert_eq!(query(&bench.store, &[], &[], direction, (0, 300_000_000), &context), all);
        let decoded = context.stats.pages.load(Ordering::Relaxed);
        assert!(decoded > 10, "only {decoded} groups were decoded: this test does not test putting back");
        drop(context);
        assert_eq!(budget.used_bytes(), 0);
    }
}

#[test]
fn damage_is_told_and_the_rest_is_served() {
    let bench = filled();
    let name = bench.blocks.borrow()[1].file_name();
    let path = bench.directory.path().join(&name);
    let mut file = std::fs::File::options().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(20_000)).unwrap();
    file.write_all(&[0xA5; 16]).unwrap();
    drop(file);
    let store = bench.reopened();
    let context = QueryContext::unlimited();
    let rows = query(&store, &[], &[], Direction::Forward, WHOLE, &context);
    assert!(rows.len() < 72_000 && rows.len() > 60_000, "{}", rows.len());
    assert_eq!(context.warnings().len(), 1, "{:?}", context.warnings());
    let inputs: Vec<_> = bench.blocks.borrow().iter().map(|b| b.id).collect();
    let merged = store.merge(&inputs, 1 << 30, &mut || bench.id(), &|| true);
    assert!(matches!(merged, Err(StoreError::Damaged { block, .. }) if block == inputs[1]), "{merged:?}");
}

#[test]
fn a_merge_can_be_stopped() {
    let bench = filled();
    let inputs: Vec<_> = bench.blocks.borrow().iter().map(|b| b.id).collect();
    assert_eq!(bench.store.merge(&inputs, 1 << 30, &mut || bench.id(), &|| false), Err(StoreError::Stopped));
    assert_eq!(everything(&bench.store).len(), 72_000);
}
