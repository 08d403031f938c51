//! Stores that scripts run over.

use bramble_disk::{PageCache, ThreadsDisk};
use bramble_runtime::{Budget, BudgetName, ManualClock};
use bramble_signal::MetricBatch;
use bramble_storage::memory::MemoryMetrics;
use bramble_storage::{BlockId, BlockStore, MetricSink, MetricSource};
use bramble_store_metrics::{MetricBudgets, MetricLimits, MetricStore};
use std::cell::Cell;
use std::sync::Arc;

/// A store to load and to query.
pub(crate) trait Bench {
    /// Takes samples.
    fn load(&self, batch: MetricBatch);
    /// What there is to do before queries.
    fn settle(&self) {}
    /// What is queried.
    fn source(&self) -> Arc<dyn MetricSource>;
}

/// The naive store.
pub(crate) fn memory() -> Box<dyn Bench> {
    Box::new(Memory(Arc::new(MemoryMetrics::new())))
}

/// The real store, all in its head.
pub(crate) fn real() -> Box<dyn Bench> {
    Box::new(Real::new(false))
}

/// The real store, each load in blocks of its own.
pub(crate) fn flushed() -> Box<dyn Bench> {
    Box::new(Real::new(true))
}

struct Memory(Arc<MemoryMetrics>);

impl Bench for Memory {
    fn load(&self, batch: MetricBatch) {
        self.0.load(batch);
    }

    fn source(&self) -> Arc<dyn MetricSource> {
        self.0.clone()
    }
}

struct Real {
    _directory: tempfile::TempDir,
    store: Arc<MetricStore>,
    flushes: bool,
    blocks: Cell<u64>,
    sequence: Cell<u64>,
}

impl Real {
    fn new(flushes: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let disk = Arc::new(ThreadsDisk::new(directory.path()).unwrap());
        let cache = Arc::new(PageCache::new(Budget::standalone(BudgetName::PageCache, 4 << 20)));
        let budgets = MetricBudgets {
            head: Budget::standalone(BudgetName::MetricHead, 64 << 20),
            merge: Budget::standalone(BudgetName::Merge, 64 << 20),
            index: Budget::standalone(BudgetName::BlockIndex, 1 << 20),
        };
        // Scripts begin at the epoch and go on for years.
        let limits = MetricLimits { too_old_ms: None, future_ms: 400 * 365 * 86_400_000, ..MetricLimits::default() };
        let clock = Arc::new(ManualClock::new(0));
        let store = MetricStore::new(disk, cache, clock, budgets, limits, &prometheus::Registry::new());
        Real { _directory: directory, store: Arc::new(store), flushes, blocks: Cell::new(1), sequence: Cell::new(0) }
    }
}

impl Bench for Real {
    fn load(&self, batch: MetricBatch) {
        let prepared = self.store.prepare(batch, 0).unwrap();
        assert!(prepared.rejections.is_empty(), "{}", prepared.rejections.first());
        self.sequence.set(self.sequence.get() + 1);
        self.store.apply(prepared, self.sequence.get());
    }

    fn settle(&self) {
        if self.flushes && self.store.freeze(self.sequence.get()) {
            let mut fresh = || {
                self.blocks.set(self.blocks.get() + 1);
                BlockId(self.blocks.get())
            };
            let written = self.store.write_frozen(&mut fresh).unwrap();
            self.store.swap(&written, &[], true).unwrap();
        }
    }

    fn source(&self) -> Arc<dyn MetricSource> {
        self.store.clone()
    }
}

/// The real store, with days rolled up.
#[allow(dead_code, reason = "each test program uses some of these")]
pub(crate) struct Rolled(Real);

#[allow(dead_code, reason = "each test program uses some of these")]
impl Rolled {
    pub(crate) fn new() -> Self {
        Rolled(Real::new(true))
    }

    /// Writes what was loaded as blocks, and of `day` leaves only rollups.
    pub(crate) fn roll_up(&self, day: i32) {
        let store = &self.0.store;
        store.freeze(self.0.sequence.get());
        let mut fresh = || {
            self.0.blocks.set(self.0.blocks.get() + 1);
            BlockId(self.0.blocks.get())
        };
        let written = store.write_frozen(&mut fresh).unwrap();
        store.swap(&written, &[], true).unwrap();
        let rolled = store.roll_up(day, u64::MAX, &mut fresh, &|| true).unwrap();
        let gone: Vec<BlockId> = written.iter().filter(|b| b.day == day).map(|b| b.id).collect();
        assert!(!rolled.is_empty() && !gone.is_empty(), "nothing to roll up");
        store.swap(&rolled, &gone, false).unwrap();
    }
}

impl Bench for Rolled {
    fn load(&self, batch: MetricBatch) {
        self.0.load(batch);
    }

    fn source(&self) -> Arc<dyn MetricSource> {
        self.0.source()
    }
}
