//! The store: two generations of head, the open blocks, and how they change.

use crate::block::{Block, store_error};
use crate::flush::write_generation;
use crate::head::Generation;
use crate::merge::{Output, fan_in, merge_blocks};
use crate::metrics::TraceMetrics;
use bramble_disk::{Disk, PageCache};
use bramble_runtime::{Budget, Clock, Reservation};
use bramble_signal::Signal;
use bramble_storage::{BlockId, BlockMeta, BlockStore, HeadStats, Sequence, StoreError};
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;

/// Where the store's memory is counted.
#[derive(Clone, Debug)]
pub struct TraceBudgets {
    /// Spans not yet in a block.
    pub head: Budget,
    /// Flush and merge working memory.
    pub merge: Budget,
    /// Block indexes kept open.
    pub index: Budget,
}

/// What the store takes and how it files it.
#[derive(Clone, Copy, Debug)]
pub struct TraceLimits {
    /// Spans that started longer ago than this, milliseconds, are refused; `None` takes all.
    pub max_age_ms: Option<i64>,
    /// Spans that start further ahead of the clock than this, milliseconds, are refused.
    pub future_ms: i64,
    /// Largest span: name, attributes, events, links and texts together, bytes.
    pub span_bytes_max: usize,
    /// A trace whose root lasts at least this long, nanoseconds, is kept as long as one with an error.
    pub slow_root_ns: u64,
}

impl Default for TraceLimits {
    /// Any age, 10 minutes ahead, 4 MiB per span, roots of 1 s are slow.
    fn default() -> Self {
        TraceLimits { max_age_ms: None, future_ms: 600_000, span_bytes_max: 4 << 20, slow_root_ns: 1_000_000_000 }
    }
}

/// A generation as readers and the writer share it.
pub(crate) type SharedGeneration = Arc<RwLock<Generation>>;

/// What changes at a freeze or a swap, all at once for readers.
pub(crate) struct State {
    pub(crate) active: SharedGeneration,
    pub(crate) frozen: Option<SharedGeneration>,
    /// Oldest content first.
    pub(crate) blocks: Vec<Arc<Block>>,
}

/// Head bytes, counted.
struct Account {
    active: Reservation,
    frozen: Reservation,
}

/// Keeps spans: in memory first, then in blocks of columns. Implements
/// [`SpanSink`](bramble_storage::SpanSink), [`TraceSource`](bramble_storage::TraceSource) and [`BlockStore`].
///
/// Lock order: state, then a generation, then the account.
pub struct TraceStore {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) cache: Arc<PageCache>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) budgets: TraceBudgets,
    pub(crate) limits: TraceLimits,
    pub(crate) metrics: TraceMetrics,
    pub(crate) state: RwLock<State>,
    account: Mutex<Account>,
}

fn nothing(budget: &Budget) -> Reservation {
    budget.reserve(0).unwrap_or_else(|_| {
        // A budget that was forced over its limit refuses even nothing; an account of its own is right again after
        // the first resize.
        Budget::standalone(budget.name(), usize::MAX).reserve(0).unwrap_or_else(|_| unreachable!("zero bytes fit"))
    })
}

impl TraceStore {
    /// An empty store over `disk`. Its blocks are opened by [`BlockStore::open_blocks`]. Metrics go to `registry`.
    pub fn new(
        disk: Arc<dyn Disk>,
        cache: Arc<PageCache>,
        clock: Arc<dyn Clock>,
        budgets: TraceBudgets,
        limits: TraceLimits,
        registry: &prometheus::Registry,
    ) -> Self {
        let generation = Arc::new(RwLock::new(Generation::new(limits.slow_root_ns)));
        let account = Account { active: nothing(&budgets.head), frozen: nothing(&budgets.head) };
        TraceStore {
            disk,
            cache,
            clock,
            budgets,
            limits,
            metrics: TraceMetrics::new(registry),
            state: RwLock::new(State { active: generation, frozen: None, blocks: Vec::new() }),
            account: Mutex::new(account),
        }
    }

    fn open(&self, meta: &BlockMeta) -> Result<Arc<Block>, StoreError> {
        let budget = self.budgets.index.clone();
        Ok(Arc::new(Block::open(self.disk.clone(), self.cache.clone(), budget, meta)?))
    }

    /// Takes over the space of an applied batch and sets the account to what the head really holds.
    pub(crate) fn settle(&self, space: Option<Reservation>, held_bytes: usize, spans: usize) {
        let mut account = self.account.lock();
        if let Some(space) = space {
            account.active.merge(space);
        }
        account.active.force_resize(held_bytes);
        let frozen = account.frozen.bytes();
        self.metrics.head_bytes.set((held_bytes + frozen) as u64);
        self.metrics.head_spans.set(spans as u64);
    }
}

fn sort_by_age(blocks: &mut [Arc<Block>]) {
    blocks.sort_by_key(|b| (b.age, b.meta.id));
}

impl BlockStore for TraceStore {
    fn signal(&self) -> Signal {
        Signal::Traces
    }

    fn open_blocks(&self, blocks: &[BlockMeta]) -> Vec<(BlockId, StoreError)> {
        let mut failed = Vec::new();
        let mut opened = Vec::new();
        for meta in blocks.iter().filter(|m| m.signal == Signal::Traces) {
            match self.open(meta) {
                Ok(block) => opened.push(block),
                Err(error) => failed.push((meta.id, error)),
            }
        }
        let mut state = self.state.write();
        state.blocks.extend(opened);
        sort_by_age(&mut state.blocks);
        failed
    }

    fn head(&self) -> HeadStats {
        let state = self.state.read();
        let frozen = state.frozen.is_some();
        let active = state.active.read();
        let account = self.account.lock();
        HeadStats {
            flushable_bytes: if active.spans.is_empty() { 0 } else { account.active.bytes() },
            total_bytes: account.active.bytes() + account.frozen.bytes(),
            limit_bytes: self.budgets.head.limit_bytes(),
            items: active.spans.len() as u64,
            series: active.traces.len() as u64,
            first_sequence: if active.spans.is_empty() { 0 } else { active.first_sequence },
            frozen,
        }
    }

    fn freeze(&self, through: Sequence) -> bool {
        let mut state = self.state.write();
        {
            let mut active = state.active.write();
            if active.spans.is_empty() || state.frozen.is_some() {
                return false;
            }
            active.last_sequence = active.last_sequence.max(through);
        }
        let fresh = Arc::new(RwLock::new(Generation::new(self.limits.slow_root_ns)));
        state.frozen = Some(std::mem::replace(&mut state.active, fresh));
        let mut account = self.account.lock();
        let empty = account.active.split(0);
        account.frozen = std::mem::replace(&mut account.active, empty);
        self.metrics.head_spans.set(0);
        true
    }

    fn write_frozen(&self, next_id: &mut dyn FnMut() -> BlockId) -> Result<Vec<BlockMeta>, StoreError> {
        let Some(frozen) = self.state.read().frozen.clone() else { return Ok(Vec::new()) };
        let generation = frozen.read();
        let begun = self.clock.monotonic_ns();
        let written = write_generation(&self.disk, &generation, &mut nothing(&self.budgets.merge), next_id)?;
        let took_ns = self.clock.monotonic_ns().saturating_sub(begun);
        self.metrics.flush_seconds.inc_by(took_ns as f64 / 1e9);
        self.metrics.flushed_spans.inc_by(generation.spans.len() as u64);
        Ok(written)
    }

    fn swap(&self, added: &[BlockMeta], removed: &[BlockId], frozen_done: bool) -> Result<(), StoreError> {
        let opened = added.iter().map(|meta| self.open(meta)).collect::<Result<Vec<_>, _>>()?;
        let mut state = self.state.write();
        state.blocks.retain(|b| !removed.contains(&b.meta.id));
        state.blocks.extend(opened);
        sort_by_age(&mut state.blocks);
        if frozen_done {
            state.frozen = None;
            // A query may still hold the generation for a moment; its bytes are no longer the head's.
            self.account.lock().frozen.force_resize(0);
        }
        Ok(())
    }

    fn merge(
        &self,
        inputs: &[BlockId],
        target_bytes: u64,
        next_id: &mut dyn FnMut() -> BlockId,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Vec<BlockMeta>, StoreError> {
        let blocks: Vec<Arc<Block>> = {
            let state = self.state.read();
            state.blocks.iter().filter(|b| inputs.contains(&b.meta.id)).cloned().collect()
        };
        if let Some(missing) = inputs.iter().find(|id| blocks.iter().all(|b| b.meta.id != **id)) {
            return Err(StoreError::Damaged { block: *missing, what: "not an open block".to_owned() });
        }
        let mut space = nothing(&self.budgets.merge);
        let mut written = Vec::new();
        // More inputs than memory are merged in parts that each replace their own inputs; a later merge takes the
        // results. At least two per part.
        let mut group_bytes = 0;
        for block in &blocks {
            let index = block.index().map_err(|e| store_error(block.meta.id, &e))?;
            group_bytes = group_bytes.max(index.group_memory_bytes_max());
        }
        let width = fan_in(self.budgets.merge.limit_bytes(), group_bytes);
        let parts = blocks.len().div_ceil(width).max(1);
        for part in blocks.chunks(blocks.len().div_ceil(parts).max(1)) {
            let space = &mut space;
            let mut output = Output { disk: &self.disk, target_bytes, next_id, keep_going, space, group_bytes };
            written.extend(merge_blocks(part, &mut output)?);
        }
        Ok(written)
    }

    fn trim(&self, _before_ms: i64) {
        // The head remembers nothing beyond its spans: ids for deduplication go with their generation, and an empty
        // generation holds no memory.
    }
}

impl TraceStore {
    /// Stored bytes of all open blocks by what their pages hold, ascending by name: for seeing where space goes.
    /// Reads every group's header.
    ///
    /// # Errors
    /// [`StoreError`] of the first block that cannot be read.
    pub fn page_bytes(&self) -> Result<std::collections::BTreeMap<String, u64>, StoreError> {
        let blocks = self.state.read().blocks.clone();
        let mut sums = std::collections::BTreeMap::new();
        for block in blocks {
            let fail = |e| store_error(block.meta.id, &e);
            for entry in &block.index().map_err(fail)?.groups {
                let pages = block.header(entry).map_err(fail)?.page_bytes();
                let own = [("filter", entry.filter), ("header", entry.header)];
                let own = own.into_iter().map(|(n, p)| (n.to_owned(), u64::from(p.stored_bytes)));
                for (name, bytes) in pages.into_iter().chain(own) {
                    *sums.entry(name).or_insert(0) += bytes;
                }
            }
        }
        Ok(sums)
    }
}
