//! Labels that are kept out of streams, through head, blocks, merge and a new start.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use bramble_signal::{FLOATING_MARK, LogBatch};
use bramble_storage::{BlockStore, LogSink, LogSource, RejectReason};
use bramble_store_logs::{FloatingRules, LogLimits, LogStore};
use common::{Bench, everything};
use std::sync::Arc;

fn traced(first: u64, count: u64) -> LogBatch {
    let mut batch = LogBatch::new();
    for n in first..first + count {
        let (trace, user) = (format!("{n:032x}"), format!("u{n}"));
        batch.start_stream(&mut [("app", "web"), ("trace_id", &trace), ("user", &user)]).unwrap();
        batch.push_entry(n as i64, format!("request {n}").as_bytes(), &mut [("k", "v")]).unwrap();
    }
    batch
}

fn streams(store: &LogStore) -> usize {
    let labels: std::collections::BTreeSet<String> = everything(store).into_iter().map(|row| row.1).collect();
    labels.len()
}

#[test]
fn names_are_known_again_after_a_start() {
    let bench = Bench::new();
    for batch in 0..30 {
        bench.write(traced(batch * 50, 50));
    }
    assert_eq!(bench.store.floating_names(), ["trace_id", "user"]);
    let before = everything(&bench.store);
    assert_eq!(before.len(), 1500);
    let mark = FLOATING_MARK as u8;
    assert!(before.iter().all(|(_, labels, _, metadata)| !labels.contains("trace_id") && metadata.contains(&mark)));
    let in_head = streams(&bench.store);
    assert!((900..1150).contains(&in_head), "{in_head} streams: about a thousand users, then one stream");
    bench.flush();
    bench.merge(1 << 30);
    let again = bench.reopened();
    assert_eq!(everything(&again), before);
    assert_eq!(again.floating_names(), ["trace_id", "user"]);
    // A user never seen floats at once.
    again.apply(again.prepare(traced(9000, 1), 0).unwrap(), 1);
    assert_eq!(streams(&again), in_head);
}

#[test]
fn late_entries_are_refused_in_lokis_words() {
    let (bench, second) = (Bench::new(), 1_000_000_000i64);
    let floating = FloatingRules { names: Vec::new(), values_max: None, kept: Vec::new() };
    let limits =
        LogLimits { out_of_order_ms: Some(60_000), max_age_ms: Some(3_600_000), floating, ..LogLimits::default() };
    let (clock, registry) = (Arc::new(bramble_runtime::ManualClock::new(0)), prometheus::Registry::new());
    let budgets = common::budgets(1 << 20);
    let store = LogStore::new(bench.disk.clone(), bench.cache.clone(), clock, budgets, limits, &registry).unwrap();
    let now_ns = 1_795_240_800 * second;
    let at = |times: &[i64]| {
        let mut batch = LogBatch::new();
        batch.start_stream(&mut [("app", "web")]).unwrap();
        for time in times {
            batch.push_entry(now_ns + time * second, b"x", &mut []).unwrap();
        }
        batch
    };
    let first = store.prepare(at(&[-600, 0, -61, -60]), now_ns).unwrap();
    assert_eq!((first.accepted, first.rejections.by_reason()), (3, &[(RejectReason::TooOld, 1)][..]));
    assert_eq!(
        first.rejections.first(),
        "entry with timestamp 2026-11-21 05:58:59 +0000 UTC ignored, reason: 'entry too far behind, entry timestamp is: \
         2026-11-21T05:58:59Z, oldest acceptable timestamp is: 2026-11-21T05:59:00Z',\nuser 'fake', total ignored: 2 out \
         of 4 for stream: {app=\"web\"}"
    );
    store.apply(first, 1);
    assert_eq!(store.prepare(at(&[-61]), now_ns).unwrap().accepted, 0, "the head remembers its newest");
    let old = store.prepare(at(&[-3601]), now_ns).unwrap();
    assert_eq!(
        old.rejections.first(),
        "entry for stream '{app=\"web\"}' has timestamp too old: 2026-11-21T04:59:59Z, oldest acceptable timestamp is: \
         2026-11-21T05:00:00Z"
    );
    let new = store.prepare(at(&[601]), now_ns).unwrap();
    assert_eq!(new.rejections.first(), "entry for stream '{app=\"web\"}' has timestamp too new: 2026-11-21T06:10:01Z");
    assert!(store.freeze(9));
    assert_eq!(
        store.prepare(at(&[-61]), now_ns).unwrap().accepted,
        1,
        "a stream that is not in memory may begin anywhere"
    );
}
