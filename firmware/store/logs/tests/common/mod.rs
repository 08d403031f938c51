//! A log store on a fresh directory, with the write path's part played by hand.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "test code; each test file uses its part")]

use bramble_disk::{Disk, PageCache, ThreadsDisk};
use bramble_runtime::{Budget, BudgetName, ManualClock};
use bramble_signal::{LogBatch, Matcher};
use bramble_storage::{
    BlockId, BlockMeta, BlockStore, Direction, LinePredicate, LogRows, LogSelect, LogSink, LogSource, QueryContext,
};
use bramble_store_logs::{LogBudgets, LogLimits, LogStore};
use std::cell::{Cell, RefCell};
use std::sync::Arc;

pub struct Bench {
    pub directory: tempfile::TempDir,
    pub disk: Arc<dyn Disk>,
    pub cache: Arc<PageCache>,
    pub store: LogStore,
    pub blocks: RefCell<Vec<BlockMeta>>,
    pub sequence: Cell<u64>,
    next_id: Cell<u64>,
}

pub fn limits() -> LogLimits {
    LogLimits { future_ms: None, ..LogLimits::default() }
}

pub fn budgets(head_bytes: usize) -> LogBudgets {
    LogBudgets {
        head: Budget::standalone(BudgetName::LogHead, head_bytes),
        merge: Budget::standalone(BudgetName::Merge, 64 << 20),
        index: Budget::standalone(BudgetName::BlockIndex, 8 << 20),
    }
}

fn open(disk: &Arc<dyn Disk>, cache: &Arc<PageCache>, head_bytes: usize) -> LogStore {
    let (clock, registry) = (Arc::new(ManualClock::new(0)), prometheus::Registry::new());
    LogStore::new(disk.clone(), cache.clone(), clock, budgets(head_bytes), limits(), &registry).unwrap()
}

/// An empty store of other limits.
pub fn open_with(bench: &Bench, limits: LogLimits) -> LogStore {
    let (clock, registry) = (Arc::new(ManualClock::new(0)), prometheus::Registry::new());
    LogStore::new(bench.disk.clone(), bench.cache.clone(), clock, budgets(64 << 20), limits, &registry).unwrap()
}

impl Bench {
    pub fn new() -> Bench {
        Bench::with_head(64 << 20)
    }

    pub fn with_head(head_bytes: usize) -> Bench {
        let directory = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(ThreadsDisk::new(directory.path()).unwrap());
        let cache = Arc::new(PageCache::new(Budget::standalone(BudgetName::PageCache, 16 << 20)));
        let store = open(&disk, &cache, head_bytes);
        let (blocks, sequence, next_id) = (RefCell::default(), Cell::new(0), Cell::new(1));
        Bench { directory, disk, cache, store, blocks, sequence, next_id }
    }

    pub fn write(&self, batch: LogBatch) {
        let prepared = self.store.prepare(batch, 0).unwrap();
        assert!(prepared.rejections.is_empty(), "{}", prepared.rejections.first());
        self.sequence.set(self.sequence.get() + 1);
        self.store.apply(prepared, self.sequence.get());
    }

    pub fn id(&self) -> BlockId {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        BlockId(id)
    }

    pub fn flush(&self) {
        flush(&self.store, &mut || self.id(), &mut self.blocks.borrow_mut());
    }

    pub fn merge(&self, target_bytes: u64) {
        merge(&self.store, target_bytes, &mut || self.id(), &mut self.blocks.borrow_mut());
    }

    /// Everything that is in blocks, in a store that has just started.
    pub fn reopened(&self) -> LogStore {
        let store = open(&self.disk, &self.cache, 64 << 20);
        self.cache.clear();
        assert_eq!(store.open_blocks(&self.blocks.borrow()), []);
        store
    }
}

pub fn flush(store: &LogStore, next_id: &mut dyn FnMut() -> BlockId, blocks: &mut Vec<BlockMeta>) {
    if !store.freeze(u64::MAX / 2) {
        return;
    }
    let written = store.write_frozen(next_id).unwrap();
    store.swap(&written, &[], true).unwrap();
    blocks.extend(written);
}

pub fn merge(store: &LogStore, target_bytes: u64, next_id: &mut dyn FnMut() -> BlockId, blocks: &mut Vec<BlockMeta>) {
    let days: std::collections::BTreeSet<i32> = blocks.iter().map(|b| b.day).collect();
    for day in days {
        let inputs: Vec<BlockId> = blocks.iter().filter(|b| b.day == day).map(|b| b.id).collect();
        let outputs = store.merge(&inputs, target_bytes, next_id, &|| true).unwrap();
        assert!(outputs.iter().all(|b| b.replaces == inputs && b.day == day));
        store.swap(&outputs, &inputs, false).unwrap();
        blocks.retain(|b| b.day != day);
        blocks.extend(outputs);
    }
}

/// One row of an answer.
pub type Row = (i64, String, Vec<u8>, Vec<u8>);

pub fn query(
    source: &dyn LogSource,
    matchers: &[Matcher],
    lines: &[LinePredicate],
    direction: Direction,
    (start_ns, end_ns): (i64, i64),
    context: &QueryContext,
) -> Vec<Row> {
    let select = LogSelect { matchers, start_ns, end_ns, lines, direction, ..LogSelect::default() };
    let mut cursor = source.select(&select, context).unwrap();
    let (mut all, mut rows) = (Vec::new(), LogRows::default());
    while cursor.next(&mut rows).unwrap() {
        let streams: Vec<Vec<_>> = rows.batch.streams().map(|s| s.entries().collect()).collect();
        for &(stream, entry) in &rows.order {
            let e = streams[stream as usize][entry as usize];
            let labels = rows.batch.stream(stream as usize).labels().to_string();
            all.push((e.timestamp_ns, labels, e.line.to_vec(), e.metadata.as_bytes().to_vec()));
        }
    }
    all
}

pub fn everything(source: &dyn LogSource) -> Vec<Row> {
    query(source, &[], &[], Direction::Forward, (i64::MIN, i64::MAX), &QueryContext::unlimited())
}
