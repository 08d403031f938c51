//! The store against the contract, against a model, and against its memory promise.

use crate::{MetricBudgets, MetricLimits, MetricStore};
use bramble_disk::{Disk, PageCache, SimulatedDisk, SimulatedOptions, ThreadsDisk};
use bramble_runtime::{Budget, BudgetName, ManualClock};
use bramble_signal::{Labels, MatchOp, Matcher, MetricBatch, MetricKind, MetricMetadata, SeriesSamples, stale_marker};
use bramble_storage::contract::{self, BASE_MS};
use bramble_storage::{
    BlockId, BlockMeta, BlockStore, MetricSelect, MetricSink, MetricSource, QueryContext, RejectReason, StoreError,
};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) struct Bench {
    directory: tempfile::TempDir,
    pub(crate) store: MetricStore,
    pub(crate) blocks: RefCell<Vec<BlockMeta>>,
    pub(crate) next: Cell<u64>,
    sequence: Cell<u64>,
}

fn store_in(directory: &tempfile::TempDir, head_bytes: usize, limits: MetricLimits) -> MetricStore {
    store_on(Arc::new(ThreadsDisk::new(directory.path()).unwrap()), head_bytes, limits)
}

fn store_on(disk: Arc<dyn Disk>, head_bytes: usize, limits: MetricLimits) -> MetricStore {
    let budget = |name, bytes| Budget::standalone(name, bytes);
    let cache = Arc::new(PageCache::new(budget(BudgetName::PageCache, 4 << 20)));
    let budgets = MetricBudgets {
        head: budget(BudgetName::MetricHead, head_bytes),
        merge: budget(BudgetName::Merge, 8 << 20),
        index: budget(BudgetName::BlockIndex, 64 << 10),
    };
    let clock = Arc::new(ManualClock::new(BASE_MS * 1_000_000));
    MetricStore::new(disk, cache, clock, budgets, limits, &prometheus::Registry::new())
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(64 << 20, MetricLimits { too_old_ms: None, ..MetricLimits::default() })
    }

    pub(crate) fn with(head_bytes: usize, limits: MetricLimits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = store_in(&directory, head_bytes, limits);
        Bench { directory, store, blocks: RefCell::default(), next: Cell::new(1), sequence: Cell::new(0) }
    }

    pub(crate) fn next_id(&self) -> BlockId {
        self.next.set(self.next.get() + 1);
        BlockId(self.next.get())
    }

    pub(crate) fn write(&self, batch: MetricBatch) {
        let prepared = self.store.prepare(batch, BASE_MS + 86_400_000).unwrap();
        assert!(prepared.rejections.is_empty(), "{}", prepared.rejections.first());
        assert_eq!(prepared.series.len(), prepared.batch.series_count());
        self.sequence.set(self.sequence.get() + 1);
        self.store.apply(prepared, self.sequence.get());
    }

    pub(crate) fn flush(&self) {
        flush(&self.store, &self.blocks, &self.next);
    }

    pub(crate) fn merge(&self) {
        merge(&self.store, &self.blocks, &self.next, u64::MAX);
    }

    pub(crate) fn reopen(&mut self) {
        self.flush();
        self.store = store_in(&self.directory, 64 << 20, MetricLimits { too_old_ms: None, ..MetricLimits::default() });
        assert!(self.store.open_blocks(&self.blocks.borrow()).is_empty());
    }

    /// As [`flush`](Self::flush), at the journal's place.
    pub(crate) fn flush_next(&self) {
        if self.store.freeze(self.sequence.get()) {
            let written = self.store.write_frozen(&mut || self.next_id()).unwrap();
            self.store.swap(&written, &[], true).unwrap();
            self.blocks.borrow_mut().extend(written);
        }
    }

    pub(crate) fn all(&self) -> Vec<SeriesSamples> {
        self.select(&[], i64::MIN / 4, i64::MAX / 4)
    }

    pub(crate) fn select(&self, matchers: &[Matcher], start_ms: i64, end_ms: i64) -> Vec<SeriesSamples> {
        let context = QueryContext::unlimited();
        let mut cursor = self.store.select(&MetricSelect { matchers, start_ms, end_ms }, &context).unwrap();
        let (mut all, mut one) = (Vec::new(), SeriesSamples::default());
        while cursor.next(&mut one).unwrap() {
            assert!(one.timestamps_ms.is_sorted_by(|a, b| a < b) && one.timestamps_ms.len() == one.values.len());
            all.push(one.clone());
        }
        assert!(all.is_sorted_by(|a, b| a.labels < b.labels));
        all
    }
}

pub(crate) fn flush(store: &MetricStore, blocks: &RefCell<Vec<BlockMeta>>, next: &Cell<u64>) {
    if store.freeze(9) {
        let mut fresh = || {
            next.set(next.get() + 1);
            BlockId(next.get())
        };
        let written = store.write_frozen(&mut fresh).unwrap();
        store.swap(&written, &[], true).unwrap();
        blocks.borrow_mut().extend(written);
    }
}

pub(crate) fn merge(store: &MetricStore, blocks: &RefCell<Vec<BlockMeta>>, next: &Cell<u64>, target: u64) {
    let days: std::collections::BTreeSet<i32> = blocks.borrow().iter().map(|b| b.day).collect();
    for day in days {
        let inputs: Vec<BlockId> = blocks.borrow().iter().filter(|b| b.day == day).map(|b| b.id).collect();
        let mut fresh = || {
            next.set(next.get() + 1);
            BlockId(next.get())
        };
        let merged = store.merge(&inputs, target, &mut fresh, &|| true).unwrap();
        assert!(merged.iter().all(|m| m.replaces.len() == inputs.len()));
        store.swap(&merged, &inputs, false).unwrap();
        blocks.borrow_mut().retain(|b| !inputs.contains(&b.id));
        blocks.borrow_mut().extend(merged);
    }
}

/// What a contract's test does, of either contract.
type Contract = fn(&MetricStore, &mut dyn FnMut(&MetricStore));
const CONTRACTS: [Contract; 2] = [contract::metrics::<MetricStore>, contract::rich_metrics::<MetricStore>];

#[test]
fn contract_with_everything_in_the_head() {
    for contract in CONTRACTS {
        contract(&Bench::new().store, &mut |_| {});
    }
}

#[test]
fn contract_with_a_frozen_generation() {
    for contract in CONTRACTS {
        contract(&Bench::new().store, &mut |store| {
            store.freeze(1);
        });
    }
}

#[test]
fn contract_with_flushes() {
    for (contract, blocks) in CONTRACTS.into_iter().zip([3, 2]) {
        let bench = Bench::new();
        contract(&bench.store, &mut |store| flush(store, &bench.blocks, &bench.next));
        assert_eq!(bench.blocks.borrow().len(), blocks, "one block per flush and day");
    }
}

#[test]
fn contract_with_flushes_and_merges() {
    for (contract, blocks) in CONTRACTS.into_iter().zip([2, 1]) {
        let bench = Bench::new();
        contract(&bench.store, &mut |store| {
            flush(store, &bench.blocks, &bench.next);
            merge(store, &bench.blocks, &bench.next, u64::MAX);
        });
        assert_eq!(bench.blocks.borrow().len(), blocks, "one block per day");
    }
}

#[test]
fn contract_after_reopening() {
    for contract in CONTRACTS {
        let bench = Bench::new();
        contract(&bench.store, &mut |store| {
            flush(store, &bench.blocks, &bench.next);
            // Forget everything in memory, as a restart does.
            let removed: Vec<BlockId> = bench.blocks.borrow().iter().map(|b| b.id).collect();
            store.swap(&[], &removed, false).unwrap();
            assert!(store.open_blocks(&bench.blocks.borrow()).is_empty());
        });
    }
}

fn one(name: &str, samples: &[(i64, f64)]) -> MetricBatch {
    let mut batch = MetricBatch::new();
    batch.start_series(&mut [("__name__", name), ("job", "j")]).unwrap();
    for &(timestamp, value) in samples {
        batch.push_sample(timestamp, value);
    }
    batch
}

#[test]
fn the_last_written_value_wins_wherever_it_is() {
    let mut bench = Bench::new();
    for (round, value) in [1.0, 2.0, 3.0, 4.0].into_iter().enumerate() {
        bench.write(one("m", &[(BASE_MS, value)]));
        if round == 2 {
            bench.merge();
        }
        assert_eq!(bench.all()[0].values, [value]);
        bench.flush();
        assert_eq!(bench.all()[0].values, [value]);
    }
    bench.merge();
    assert_eq!(bench.all()[0].values, [4.0]);
    bench.reopen();
    assert_eq!(bench.all()[0].values, [4.0]);
}

#[test]
fn what_is_out_of_bounds_is_refused_and_the_rest_taken() {
    let limits = MetricLimits {
        series_max: 3,
        series_per_metric_max: 2,
        too_old_ms: Some(1000),
        future_ms: 500,
        out_of_order_ms: None,
    };
    let bench = Bench::with(64 << 20, limits);
    let mut batch = one("a", &[(BASE_MS - 1001, 1.0), (BASE_MS, 2.0), (BASE_MS + 501, 3.0)]);
    for instance in ["1", "2", "3"] {
        batch.start_series(&mut [("__name__", "a"), ("instance", instance)]).unwrap();
        batch.push_sample(BASE_MS, 1.0);
    }
    for name in ["b", "c"] {
        batch.start_series(&mut [("__name__", name)]).unwrap();
        batch.push_sample(BASE_MS, 1.0);
    }
    let prepared = bench.store.prepare(batch, BASE_MS).unwrap();
    let mut reasons = prepared.rejections.by_reason().to_vec();
    reasons.sort();
    let expected = [(RejectReason::TooOld, 1), (RejectReason::TooFarInFuture, 1), (RejectReason::SeriesLimit, 3)];
    assert_eq!(reasons, expected);
    assert_eq!((prepared.accepted, prepared.batch.series_count(), prepared.series.len()), (3, 3, 3));
    bench.store.apply(prepared, 1);
    assert_eq!(bench.all().len(), 3);
}

#[test]
fn a_full_head_says_later_and_a_flush_makes_room() {
    let bench = Bench::with(600 << 10, MetricLimits { too_old_ms: None, ..MetricLimits::default() });
    let mut round = 0;
    let refused = loop {
        let samples: Vec<(i64, f64)> = (0..2000)
            .map(|i| {
                (BASE_MS + round * 2000 + i, f64::from_bits(0x3ff0_0000_0000_0000 | (i * 0x9e37_79b9_7f4a) as u64))
            })
            .collect();
        match bench.store.prepare(one("noise", &samples), BASE_MS) {
            Ok(prepared) => bench.store.apply(prepared, 1),
            Err(refused) => break refused,
        }
        round += 1;
        assert!(round < 1000, "never full");
    };
    assert_eq!(refused.budget, BudgetName::MetricHead);
    let head = bench.store.head();
    assert!(head.total_bytes <= head.limit_bytes && head.flushable_bytes > 0);
    bench.flush();
    assert!(bench.store.prepare(one("noise", &[(BASE_MS, 1.0)]), BASE_MS).is_ok());
    assert_eq!(bench.all()[0].values.len(), round as usize * 2000);
}

#[test]
fn series_that_stopped_leave_memory_and_may_come_back() {
    let bench = Bench::new();
    for round in 0..20 {
        for i in 0..500 {
            bench.write(one(&format!("m{round}_{i}"), &[(BASE_MS, 1.0)]));
        }
        bench.flush();
        bench.store.trim(0);
        assert!(bench.store.head().series <= 1500, "{}", bench.store.head().series);
    }
    let bytes = bench.store.head().total_bytes;
    assert!(bytes < 2 << 20, "{bytes}");
    // A batch prepared before its series was forgotten still finds it.
    let prepared = bench.store.prepare(one("late", &[(BASE_MS, 7.0)]), BASE_MS).unwrap();
    for _ in 0..3 {
        bench.store.trim(0);
    }
    bench.store.apply(prepared, 1);
    let found = bench.select(&[Matcher::equal("__name__", "late")], BASE_MS, BASE_MS);
    assert_eq!(found[0].values, [7.0]);
    bench.merge();
    assert_eq!(bench.all().len(), 10_001);
}

#[test]
fn metadata_survives_the_journal() {
    let mut bench = Bench::new();
    let family = MetricMetadata { name: "m".into(), kind: MetricKind::Counter, help: "Help.".into(), unit: "s".into() };
    let mut batch = one("m", &[(BASE_MS, 1.0)]);
    batch.metadata.push(family.clone());
    bench.write(batch);
    bench.reopen();
    assert_eq!(bench.store.metadata().first(), Some(&family));
    bench.merge();
    bench.reopen();
    assert_eq!(bench.store.metadata(), [family]);
}

#[test]
fn a_damaged_page_is_a_warning() {
    let bench = Bench::new();
    for name in ["a", "b"] {
        let samples: Vec<(i64, f64)> = (0..20_000).map(|i| (BASE_MS + i * 1000, (i % 7) as f64)).collect();
        bench.write(one(name, &samples));
    }
    bench.flush();
    let path = bench.directory.path().join(bench.blocks.borrow()[0].file_name());
    let mut bytes = std::fs::read(&path).unwrap();
    // The first page after the header is series `a`'s.
    bytes[300] ^= 0x10;
    std::fs::write(&path, bytes).unwrap();
    let bench = Bench {
        store: store_in(&bench.directory, 64 << 20, MetricLimits::default()),
        directory: bench.directory,
        blocks: bench.blocks,
        next: bench.next,
        sequence: bench.sequence,
    };
    assert!(bench.store.open_blocks(&bench.blocks.borrow()).is_empty());
    let context = QueryContext::unlimited();
    let select = MetricSelect { matchers: &[], start_ms: BASE_MS, end_ms: BASE_MS + 86_000_000 };
    let mut cursor = bench.store.select(&select, &context).unwrap();
    let mut one = SeriesSamples::default();
    let mut found = Vec::new();
    while cursor.next(&mut one).unwrap() {
        found.push((one.labels.get("__name__").unwrap().to_owned(), one.values.len()));
    }
    assert_eq!(found, [("b".to_owned(), 20_000)]);
    assert_eq!(context.warnings().len(), 1);
    // A merge's inputs are removed afterwards: it must not go on without what it cannot read.
    let block = bench.blocks.borrow()[0].id;
    let merged = bench.store.merge(&[block], u64::MAX, &mut || bench.next_id(), &|| true);
    assert!(matches!(merged, Err(StoreError::Damaged { block: found, .. }) if found == block), "{merged:?}");
}

#[test]
fn a_merge_stops_when_told_and_splits_when_large() {
    let bench = Bench::new();
    for i in 0..1200 {
        let samples: Vec<(i64, f64)> =
            (0..200).map(|t| (BASE_MS + t * 1000, ((i * 7919 + t * 104_729) % 10_007) as f64)).collect();
        bench.write(one(&format!("m{i:04}"), &samples));
    }
    bench.flush();
    let before = bench.all();
    let inputs: Vec<BlockId> = bench.blocks.borrow().iter().map(|b| b.id).collect();
    let stopped = bench.store.merge(&inputs, u64::MAX, &mut || bench.next_id(), &|| false);
    assert_eq!(stopped, Err(StoreError::Stopped));
    merge(&bench.store, &bench.blocks, &bench.next, 2_000);
    assert!(bench.blocks.borrow().len() > 2);
    assert_eq!(bench.all(), before);
}

/// What a scrape target exposes: histograms whose buckets repeat each other, of series that begin late, pause, restart
/// and go stale, through flushes and merges.
fn scraped() -> impl Strategy<Value = Vec<(usize, usize, usize, i64)>> {
    // Bucket, start, length, what a scrape adds.
    proptest::collection::vec((0usize..24, 0usize..30, 1usize..14, 0i64..3), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn histograms_of_late_and_short_series_come_back(first in scraped(), second in scraped()) {
        let bounds = ["+Inf", "0.1", "0.2", "1", "120", "20", "3", "60"];
        let (mut bench, mut model) = (Bench::new(), Model::new());
        for part in [first, second] {
            let mut batch = MetricBatch::new();
            for (bucket, start, length, step) in part {
                let (code, bound) = (["200", "400", "503"][bucket / 8], bounds[bucket % 8]);
                let labels = Labels::from_pairs([("__name__", "d_bucket"), ("code", code), ("le", bound)]);
                let count = Labels::from_pairs([("__name__", "d_count"), ("code", code)]);
                for labels in [labels, count] {
                    batch.start_series_encoded(labels.as_ref());
                    for at in 0..length {
                        let time = BASE_MS + (start + at) as i64 * 1000;
                        let value = if at == 12 { stale_marker() } else { (at as i64 % 11 * step) as f64 };
                        batch.push_sample(time, value);
                        model.entry(labels.clone()).or_default().insert(time, value.to_bits());
                    }
                }
            }
            bench.write(batch);
            bench.flush();
            prop_assert_eq!(to_bits(bench.all()), expected(&model, |_| true, (i64::MIN, i64::MAX)));
        }
        bench.merge();
        prop_assert_eq!(to_bits(bench.all()), expected(&model, |_| true, (i64::MIN, i64::MAX)));
        bench.reopen();
        prop_assert_eq!(to_bits(bench.all()), expected(&model, |_| true, (i64::MIN, i64::MAX)));
    }
}

/// Cuts the power in the middle of every operation of a flush and a merge: what was published is whole, what
/// was not does not exist, and the head still has everything.
#[test]
fn a_power_cut_leaves_whole_blocks_or_none() {
    let limits = || MetricLimits { too_old_ms: None, ..MetricLimits::default() };
    let write = |store: &MetricStore, round: i64| {
        for i in 0..20 {
            let samples: Vec<(i64, f64)> =
                (0..50).map(|t| (BASE_MS + (round * 50 + t) * 1000, (t * i) as f64)).collect();
            let prepared = store.prepare(one(&format!("m{i}"), &samples), BASE_MS + 86_400_000).unwrap();
            store.apply(prepared, round as u64 + 1);
        }
    };
    let count = |store: &MetricStore| {
        let context = QueryContext::unlimited();
        let select = MetricSelect { matchers: &[], start_ms: 0, end_ms: i64::MAX };
        let mut cursor = store.select(&select, &context).unwrap();
        let (mut one, mut samples) = (SeriesSamples::default(), 0);
        while cursor.next(&mut one).unwrap() {
            samples += one.values.len();
        }
        assert!(context.warnings().is_empty(), "{:?}", context.warnings());
        samples
    };
    let mut finished = 0;
    for cut in 1..60 {
        let disk = Arc::new(SimulatedDisk::new(cut, SimulatedOptions::default()));
        let store = store_on(disk.clone(), 64 << 20, limits());
        let mut next = 0;
        let mut id = || {
            next += 1;
            BlockId(next)
        };
        let mut listed: Vec<BlockMeta> = Vec::new();
        disk.cut_after_ops(cut);
        let mut survived = true;
        for round in 0..2 {
            write(&store, round);
            store.freeze(round as u64 + 1);
            match store.write_frozen(&mut id) {
                Ok(written) => {
                    store.swap(&written, &[], true).unwrap_or_else(|e| assert_eq!(e, StoreError::Stopped));
                    listed.extend(written);
                }
                Err(error) => {
                    assert_eq!(error, StoreError::Stopped);
                    survived = false;
                }
            }
        }
        let inputs: Vec<BlockId> = listed.iter().map(|b| b.id).collect();
        if survived && let Ok(merged) = store.merge(&inputs, u64::MAX, &mut id, &|| true) {
            listed = merged;
            finished += 1;
        }
        disk.reboot();
        // What the catalog would list is whole, after a restart as well.
        let again = store_on(disk.clone(), 64 << 20, limits());
        assert!(again.open_blocks(&listed).is_empty(), "cut {cut}");
        assert_eq!(count(&again) as u64, listed.iter().map(|b| b.items).sum::<u64>(), "cut {cut}");
    }
    assert!(finished > 0 && finished < 59, "cuts were spread over all of it: {finished}");
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-50i64..50).prop_map(|n| n as f64),
        2 => (-5000i64..5000).prop_map(|n| n as f64 / 100.0),
        2 => any::<u64>().prop_map(f64::from_bits),
        1 => Just(stale_marker()),
        1 => Just(-0.0),
        1 => Just(0.1 + 0.2),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<(usize, i64, f64)>),
    Freeze,
    Flush,
    Merge(u64),
    Reopen,
    Trim,
}

fn step() -> impl Strategy<Value = Step> {
    let time = prop_oneof![8 => 0i64..40, 1 => Just(86_400_000i64), 1 => -90_000_000i64..90_000_000];
    prop_oneof![
        5 => proptest::collection::vec((0usize..6, time, value()), 0..40).prop_map(Step::Write),
        1 => Just(Step::Freeze),
        2 => Just(Step::Flush),
        2 => prop_oneof![Just(u64::MAX), Just(1)].prop_map(Step::Merge),
        1 => Just(Step::Reopen),
        1 => Just(Step::Trim),
    ]
}

fn label_sets() -> Vec<Labels> {
    vec![
        Labels::from_pairs([("__name__", "a"), ("x", "1")]),
        Labels::from_pairs([("__name__", "a"), ("x", "2")]),
        Labels::from_pairs([("__name__", "a"), ("Zone", "2")]),
        Labels::from_pairs([("__name__", "b")]),
        Labels::from_pairs([("x", "1")]),
        Labels::empty(),
    ]
}

fn to_bits(all: Vec<SeriesSamples>) -> Vec<(Labels, Vec<(i64, u64)>)> {
    let bits = |s: SeriesSamples| {
        let samples = s.timestamps_ms.iter().zip(&s.values).map(|(&t, v)| (t, v.to_bits())).collect();
        (s.labels, samples)
    };
    all.into_iter().map(bits).collect()
}

type Model = BTreeMap<Labels, BTreeMap<i64, u64>>;

fn expected(model: &Model, accept: impl Fn(&Labels) -> bool, range: (i64, i64)) -> Vec<(Labels, Vec<(i64, u64)>)> {
    let samples =
        |column: &BTreeMap<i64, u64>| column.range(range.0..=range.1).map(|(&t, &v)| (t, v)).collect::<Vec<_>>();
    model
        .iter()
        .filter(|(labels, _)| accept(labels))
        .map(|(labels, column)| (labels.clone(), samples(column)))
        .filter(|(_, samples)| !samples.is_empty())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn behaves_like_a_map(steps in proptest::collection::vec(step(), 1..16), start in -10i64..50, length in 0i64..50) {
        let mut bench = Bench::new();
        let (sets, mut model) = (label_sets(), Model::new());
        for step in steps {
            match step {
                Step::Write(samples) => {
                    let mut batch = MetricBatch::new();
                    for &(series, timestamp, value) in &samples {
                        batch.start_series_encoded(sets[series].as_ref());
                        batch.push_sample(BASE_MS + timestamp, value);
                        model.entry(sets[series].clone()).or_default().insert(BASE_MS + timestamp, value.to_bits());
                    }
                    let prepared = bench.store.prepare(batch, BASE_MS + 200_000_000).unwrap();
                    prop_assert!(prepared.rejections.is_empty());
                    bench.sequence.set(bench.sequence.get() + 1);
                    bench.store.apply(prepared, bench.sequence.get());
                }
                Step::Freeze => { bench.store.freeze(bench.sequence.get()); }
                Step::Flush => {
                    let frozen = bench.store.head().frozen || bench.store.freeze(bench.sequence.get());
                    if frozen {
                        let written = bench.store.write_frozen(&mut || bench.next_id()).unwrap();
                        bench.store.swap(&written, &[], true).unwrap();
                        bench.blocks.borrow_mut().extend(written);
                    }
                }
                Step::Merge(target) => merge(&bench.store, &bench.blocks, &bench.next, target),
                Step::Reopen => {
                    for _ in 0..2 {
                        if bench.store.head().frozen || bench.store.freeze(bench.sequence.get()) {
                            let written = bench.store.write_frozen(&mut || bench.next_id()).unwrap();
                            bench.store.swap(&written, &[], true).unwrap();
                            bench.blocks.borrow_mut().extend(written);
                        }
                    }
                    bench.reopen();
                }
                Step::Trim => bench.store.trim(0),
            }
            prop_assert_eq!(to_bits(bench.all()), expected(&model, |_| true, (i64::MIN, i64::MAX)));
        }
        let range = (BASE_MS + start, BASE_MS + start + length);
        let matchers = [
            vec![Matcher::equal("__name__", "a")],
            vec![Matcher::new("x", MatchOp::Regex, "1|2").unwrap()],
            vec![Matcher::new("x", MatchOp::Regex, "[12].*").unwrap(), Matcher::new("__name__", MatchOp::NotEqual, "a").unwrap()],
            vec![Matcher::equal("x", "")],
            vec![Matcher::new("Zone", MatchOp::NotRegex, ".+").unwrap(), Matcher::new("__name__", MatchOp::Regex, "a?").unwrap()],
        ];
        for matchers in matchers {
            let accept = |labels: &Labels| matchers.iter().all(|m| m.matches(labels.get(&m.name).unwrap_or_default()));
            prop_assert_eq!(to_bits(bench.select(&matchers, range.0, range.1)), expected(&model, accept, range));
        }
    }
}
