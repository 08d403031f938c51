//! Deletions: what they hide from every way of reading, what they hold, and how it leaves the blocks.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use bramble_signal::{LabelsRef, LogBatch, LogEntry, Matcher};
use bramble_storage::{
    BlockId, BlockStore, DeletingLogStore, EntryFilter, EntryQuery, LogDeletion, LogSelect, LogSource, MetadataWanted,
    QueryContext,
};
use bramble_store_logs::LogStore;
use common::{Bench, everything};
use proptest::prelude::*;
use std::sync::Arc;

const BASE_NS: i64 = 1_795_000_000_000_000_000;

struct Contains(&'static str);

impl EntryFilter for Contains {
    fn accepts(&self, _: LabelsRef<'_>, entry: &LogEntry<'_>) -> bool {
        String::from_utf8_lossy(entry.line).contains(self.0)
    }
}

fn deletion(matchers: &[(&str, &str)], text: Option<&'static str>, (start, last): (i64, i64)) -> LogDeletion {
    let matchers = matchers.iter().map(|(name, value)| Matcher::equal(*name, *value)).collect();
    let filter = text.map(|text| Arc::new(Contains(text)) as Arc<dyn EntryFilter>);
    LogDeletion {
        query: EntryQuery { matchers, filter },
        start_ns: BASE_NS + start,
        last_ns: BASE_NS + last,
        through: BlockId(u64::MAX),
        is_final: false,
    }
}

/// Lines 0 to 99 of three services, each at its number.
fn batch() -> LogBatch {
    let mut batch = LogBatch::new();
    for service in ["a", "b", "c"] {
        batch.start_stream(&mut [("service", service)]).unwrap();
        for n in 0..100 {
            let kind = if n % 10 == 0 { "secret" } else { "plain" };
            let trace = format!("{:032x}", n % 4);
            let line = format!("{kind} word number {n}");
            batch.push_entry(BASE_NS + n, line.as_bytes(), &mut [("trace_id", trace.as_str())]).unwrap();
        }
    }
    batch
}

/// How many entries there are by rows and by counting, and which streams.
fn seen(store: &LogStore) -> (usize, Vec<String>) {
    let (context, select) = (QueryContext::unlimited(), LogSelect::default());
    let rows = everything(store).len();
    let mut counted = 0;
    let mut each = |run: &bramble_storage::TallyRun<'_>| {
        counted += run.timestamps_ns.len();
        Ok(())
    };
    store.tally(&select, MetadataWanted::None, false, &context, &mut each).unwrap();
    assert_eq!(counted, rows);
    let streams = store.streams(&[], BASE_NS, BASE_NS + 1000, &context).unwrap();
    (rows, streams.iter().map(|labels| labels.get("service").unwrap_or("").to_owned()).collect())
}

#[test]
fn what_is_deleted_is_hidden_at_once_and_seen_again_when_taken_back() {
    let bench = Bench::new();
    bench.write(batch());
    bench.flush();
    let store = &bench.store;
    let all = ["a", "b", "c"].map(str::to_owned);
    assert_eq!(seen(store), (300, all.to_vec()));
    let hide = |deletions: Vec<LogDeletion>| {
        store.set_deletions(deletions);
        seen(store)
    };
    assert_eq!(hide(vec![deletion(&[("service", "a")], None, (0, 99))]), (200, all[1..].to_vec()), "a whole stream");
    assert_eq!(hide(vec![deletion(&[("service", "a")], None, (10, 19))]), (290, all.to_vec()), "a range, inclusive");
    assert_eq!(hide(vec![deletion(&[("service", "b")], Some("secret"), (0, 99))]), (290, all.to_vec()), "some lines");
    let of_trace = deletion(&[("trace_id", "00000000000000000000000000000001")], None, (0, 99));
    assert_eq!(hide(vec![of_trace]), (225, all.to_vec()), "by what is in metadata");
    let both =
        vec![deletion(&[("service", "a")], Some("secret"), (0, 99)), deletion(&[("service", "a")], None, (5, 14))];
    assert_eq!(hide(both), (281, all.to_vec()), "two that overlap");
    let mut earlier = deletion(&[], None, (0, 99));
    earlier.through = BlockId(0);
    assert_eq!(hide(vec![earlier]), (300, all.to_vec()), "blocks that came later");
    assert_eq!(hide(Vec::new()), (300, all.to_vec()));
}

#[test]
fn counts_and_templates_do_not_tell_what_is_hidden() {
    let bench = Bench::new();
    bench.write(batch());
    bench.flush();
    let (store, context) = (&bench.store, QueryContext::unlimited());
    let totals = || -> u64 {
        store.totals(&[], BASE_NS, BASE_NS + 100, &context).unwrap().iter().map(|totals| totals.entries).sum()
    };
    assert_eq!(totals(), 300);
    store.set_deletions(vec![deletion(&[("service", "a")], None, (0, 99))]);
    assert_eq!(totals(), 200);
    store.set_deletions(vec![deletion(&[], Some("secret"), (0, 99))]);
    let select = LogSelect { start_ns: BASE_NS, end_ns: BASE_NS + 100, ..LogSelect::default() };
    let templates = store.templates(&select, 1000, 100, &context).unwrap();
    assert!(templates.iter().all(|t| !t.pattern.contains("secret") && !t.example.starts_with(b"secret")));
}

#[test]
fn blocks_are_held_while_it_can_be_taken_back_and_then_rewritten_without_it() {
    let bench = Bench::new();
    bench.write(batch());
    bench.flush();
    let store = &bench.store;
    let id = bench.blocks.borrow()[0].id;
    let mut secrets = deletion(&[("service", "b")], Some("secret"), (0, 99));
    store.set_deletions(vec![secrets.clone()]);
    assert!(store.is_held(&[id]) && !store.is_held(&[BlockId(77)]));
    assert_eq!(store.blocks_with_deleted(&secrets).unwrap(), [(id, 10)]);
    secrets.is_final = true;
    secrets.through = id;
    store.set_deletions(vec![secrets.clone()]);
    assert!(!store.is_held(&[id]));
    bench.merge(u64::MAX);
    assert_eq!(store.blocks_with_deleted(&secrets).unwrap(), []);
    store.set_deletions(Vec::new());
    assert_eq!(seen(store).0, 290);
    let reopened = bench.reopened();
    assert_eq!(seen(&reopened).0, 290);
    // Sent again, it is there again.
    bench.write(batch());
    bench.flush();
    store.set_deletions(vec![secrets]);
    assert_eq!(seen(store).0, 300);
}

#[test]
fn a_block_of_which_nothing_is_left_goes_away() {
    let bench = Bench::new();
    bench.write(batch());
    bench.flush();
    let mut all = deletion(&[], None, (0, 99));
    all.is_final = true;
    bench.store.set_deletions(vec![all]);
    bench.merge(u64::MAX);
    assert!(bench.blocks.borrow().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever is flushed, deleted, merged and opened again in between: what is read is what was written less what was
    /// deleted before it.
    #[test]
    fn deletions_are_as_if_it_had_never_been_written(
        steps in prop::collection::vec((0usize..3, 0i64..100, 0i64..60, any::<bool>(), 0u8..6), 1..8),
    ) {
        let bench = Bench::new();
        let mut expected: Vec<(i64, String, String)> = Vec::new();
        let mut deletions: Vec<LogDeletion> = Vec::new();
        for (service, start, span, secrets_only, then) in steps {
            bench.write(batch());
            for stream in batch().streams() {
                let of = stream.labels().get("service").unwrap().to_owned();
                for entry in stream.entries() {
                    let row = (entry.timestamp_ns, of.clone(), String::from_utf8_lossy(entry.line).into_owned());
                    if !expected.contains(&row) {
                        expected.push(row);
                    }
                }
            }
            bench.flush();
            let name = ["a", "b", "c"][service];
            let text = secrets_only.then_some("secret");
            let mut deleted = deletion(&[("service", name)], text, (start, start + span));
            deleted.through = bench.id();
            deleted.is_final = true;
            expected.retain(|(t, of, line)| {
                let meant = of == name && (deleted.start_ns..=deleted.last_ns).contains(t);
                !(meant && (!secrets_only || line.contains("secret")))
            });
            deletions.push(deleted);
            bench.store.set_deletions(deletions.clone());
            if then < 2 {
                bench.merge(if then == 0 { u64::MAX } else { 1000 });
            }
            expected.sort();
            let rows = |store: &LogStore| {
                let found = everything(store).into_iter().map(|(t, labels, line, _)| {
                    let service = labels.split('"').nth(1).unwrap_or("").to_owned();
                    (t, service, String::from_utf8_lossy(&line).into_owned())
                });
                let mut found: Vec<(i64, String, String)> = found.collect();
                found.sort();
                found
            };
            prop_assert_eq!(&rows(&bench.store), &expected);
            if then == 5 {
                let reopened = bench.reopened();
                reopened.set_deletions(deletions.clone());
                prop_assert_eq!(&rows(&reopened), &expected);
            }
        }
    }
}
