//! The store: its state, the writing side, and what the write path drives.

use crate::block::index::StreamEntry;
use crate::block::kept::Kept;
use crate::block::writer::{BlockIdentity, BlockWriter};
use crate::block::{Block, store_error, write_error};
use crate::deleted::Deletions;
use crate::floating::Floating;
use crate::flush::in_order;
use crate::gather::{Gather, Stop};
use crate::head::Generation;
use crate::judge::Judge;
use crate::limits::{LogBudgets, LogLimits, Metrics};
use crate::rows::Rows;
use crate::search::selection::Selection;
use crate::select::add_head_stream;
use bramble_disk::segment::PageRef;
use bramble_disk::{Disk, PageCache};
use bramble_runtime::{Clock, OverBudget};
use bramble_signal::{Labels, LabelsRef, LogBatch, LogEntry, Signal};
use bramble_storage::{
    BlockId, BlockMeta, BlockStore, HeadStats, LogSink, PreparedLogs, Rejections, RetentionClass, Sequence, StoreError,
};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;

const DAY_NS: i64 = 86_400_000_000_000;

pub(crate) struct State {
    pub(crate) active: Generation,
    pub(crate) frozen: Option<Arc<Generation>>,
    /// Oldest first.
    pub(crate) blocks: Arc<Vec<Arc<Block>>>,
}

/// Keeps log entries: newest in memory, the rest in blocks. All methods may be called from any thread.
pub struct LogStore {
    pub(crate) state: RwLock<State>,
    pub(crate) metrics: Metrics,
    disk: Arc<dyn Disk>,
    kept: Arc<Kept>,
    clock: Arc<dyn Clock>,
    budgets: LogBudgets,
    limits: LogLimits,
    pub(crate) floating: Floating,
    pub(crate) deletions: Deletions,
}

impl LogStore {
    /// An empty store; [`BlockStore::open_blocks`] gives it what is on disk. Its gauges and counters go to `registry`.
    ///
    /// # Errors
    /// [`OverBudget`] when the head's budget is used up by somebody else.
    ///
    /// # Panics
    /// Never in practice: only if the names of its own metrics were malformed.
    pub fn new(
        disk: Arc<dyn Disk>,
        cache: Arc<PageCache>,
        clock: Arc<dyn Clock>,
        budgets: LogBudgets,
        limits: LogLimits,
        registry: &prometheus::Registry,
    ) -> Result<Self, OverBudget> {
        let active = Generation::new(budgets.head.reserve(0)?, budgets.head.limit_bytes());
        let state = RwLock::new(State { active, frozen: None, blocks: Arc::default() });
        let metrics = Metrics::register(registry).expect("names of our own metrics are well formed");
        let floating = Floating::new(&limits.floating, budgets.head.clone());
        let deletions = Deletions::default();
        let kept = Arc::new(Kept::new(cache, budgets.index.clone()));
        Ok(LogStore { state, metrics, disk, kept, clock, budgets, limits, floating, deletions })
    }

    fn open_block(&self, meta: &BlockMeta) -> Result<Arc<Block>, StoreError> {
        let deleted = self.deletions.of(meta);
        Block::open(&self.disk, &self.kept, meta, deleted).map(Arc::new)
    }

    fn judge(&self, batch: &LogBatch, now_ns: i64, keep: Option<&mut LogBatch>) -> (Rejections, usize) {
        let state = self.state.read();
        Judge { limits: &self.limits, head: &state.active, now_ns }.judge(batch, keep)
    }

    fn enter(&self, batch: &LogBatch, sequence: Sequence, space: Option<bramble_runtime::Reservation>) {
        let mut state = self.state.write();
        let active = &mut state.active;
        active.append(batch, sequence);
        if let Some(space) = space {
            active.space.merge(space);
        }
        let bytes = active.bytes();
        active.space.force_resize(bytes);
        self.show(&state);
    }

    /// Brings the gauges up to date.
    fn show(&self, state: &State) {
        let frozen_bytes = state.frozen.as_ref().map_or(0, |frozen| frozen.bytes());
        self.metrics.streams.set(state.active.streams.len() as i64);
        self.metrics.head_bytes.set((state.active.bytes() + frozen_bytes) as i64);
    }

    /// Writes one day of those streams of a generation that are of a class.
    fn write_day(
        &self,
        generation: &Generation,
        order: &[usize],
        (day, class): (i32, RetentionClass),
        id: BlockId,
    ) -> Result<BlockMeta, StoreError> {
        let start_ns = i64::from(day).saturating_mul(DAY_NS);
        let last_ns = start_ns.saturating_add(DAY_NS - 1);
        let journal = (generation.first_sequence, generation.through);
        let identity = BlockIdentity { id, day, class, journal, replaces: Vec::new() };
        let mut writer = BlockWriter::create(self.disk.clone(), identity).map_err(write_error)?;
        let mut space = self.budgets.merge.reserve(0).map_err(|error| StoreError::Disk(error.to_string()))?;
        for stream in order.iter().map(|&at| &generation.streams[at]).filter(|stream| stream.class == class) {
            let mut started = false;
            let mut push = |entry: &LogEntry<'_>, held_bytes: usize| {
                if !started {
                    writer.start_stream(&stream.labels).map_err(write_error)?;
                    started = true;
                }
                if writer.push(entry).map_err(write_error)? {
                    space.force_resize(writer.memory_bytes() + held_bytes);
                }
                Ok(())
            };
            let sorted = |rows: &Rows, at: usize| push(&rows.entry(at), rows.memory_bytes());
            let Some(rest_ns) = in_order(stream, (start_ns, last_ns), sorted)? else { continue };
            let mut gather = Gather::new(Selection::all(rest_ns, last_ns), None, &self.metrics);
            add_head_stream(&mut gather, stream, 0);
            while gather.advance().map_err(stopped)? {
                push(&gather.entry(), gather.memory_bytes())?;
            }
        }
        writer.finish(&self.metrics.verification_failures).map_err(write_error)
    }
}

fn stopped(stop: Stop) -> StoreError {
    match stop {
        Stop::Read(error) => StoreError::Disk(error.to_string()),
        Stop::Disk(error) => write_error(error),
    }
}

impl LogSink for LogStore {
    fn prepare(&self, batch: LogBatch, now_ns: i64) -> Result<PreparedLogs, OverBudget> {
        let is_known = |labels: LabelsRef<'_>| self.state.read().active.knows(labels);
        let batch = self.floating.apply(batch, now_ns, is_known);
        let (rejections, bytes) = self.judge(&batch, now_ns, None);
        // Nearly always nothing is refused, and the batch goes through as it came.
        let batch = if rejections.is_empty() {
            batch
        } else {
            let mut kept = LogBatch::new();
            self.judge(&batch, now_ns, Some(&mut kept));
            kept
        };
        let accepted = batch.entry_count() as u64;
        let space = self.budgets.head.reserve(bytes)?;
        Ok(PreparedLogs { batch, accepted, rejections, space })
    }

    fn apply(&self, prepared: PreparedLogs, sequence: Sequence) {
        self.enter(&prepared.batch, sequence, Some(prepared.space));
    }

    fn replay(&self, batch: &LogBatch, sequence: Sequence) {
        self.floating.remember_batch(batch);
        self.enter(batch, sequence, None);
    }
}

impl BlockStore for LogStore {
    fn signal(&self) -> Signal {
        Signal::Logs
    }

    fn open_blocks(&self, blocks: &[BlockMeta]) -> Vec<(BlockId, StoreError)> {
        let (mut opened, mut failed) = (Vec::new(), Vec::new());
        for meta in blocks {
            match self.open_block(meta) {
                Ok(block) => opened.push(block),
                Err(error) => failed.push((meta.id, error)),
            }
        }
        for block in &opened {
            // A damaged index is reported by whoever needs the block's entries.
            if let Ok(names) = block.floating_names() {
                self.floating.remember(names.iter().map(String::as_str));
            }
        }
        let mut state = self.state.write();
        let mut all: Vec<Arc<Block>> = state.blocks.iter().cloned().chain(opened).collect();
        all.sort_by_key(|block| block.age());
        state.blocks = Arc::new(all);
        failed
    }

    fn head(&self) -> HeadStats {
        let state = self.state.read();
        let frozen_bytes = state.frozen.as_ref().map_or(0, |frozen| frozen.bytes());
        HeadStats {
            flushable_bytes: state.active.bytes(),
            total_bytes: state.active.bytes() + frozen_bytes,
            limit_bytes: self.budgets.head.limit_bytes(),
            items: state.active.items,
            series: state.active.streams.len() as u64,
            first_sequence: state.active.first_sequence,
            frozen: state.frozen.is_some(),
        }
    }

    fn freeze(&self, through: Sequence) -> bool {
        let mut state = self.state.write();
        if state.active.items == 0 || state.frozen.is_some() {
            return false;
        }
        let fresh = Generation::new(state.active.space.split(0), self.budgets.head.limit_bytes());
        let mut frozen = std::mem::replace(&mut state.active, fresh);
        frozen.through = through;
        frozen.stop_growing();
        state.frozen = Some(Arc::new(frozen));
        self.show(&state);
        true
    }

    fn write_frozen(&self, next_id: &mut dyn FnMut() -> BlockId) -> Result<Vec<BlockMeta>, StoreError> {
        let Some(frozen) = self.state.read().frozen.clone() else { return Ok(Vec::new()) };
        let mut order: Vec<usize> = (0..frozen.streams.len()).collect();
        order.sort_by(|&a, &b| frozen.streams[a].labels.cmp(&frozen.streams[b].labels));
        let started_ns = self.clock.monotonic_ns();
        let blocks: Result<Vec<BlockMeta>, StoreError> =
            frozen.partitions.iter().map(|&of| self.write_day(&frozen, &order, of, next_id())).collect();
        let blocks = blocks?;
        let took_ms = self.clock.monotonic_ns().saturating_sub(started_ns) / 1_000_000;
        let file_bytes: u64 = blocks.iter().map(|b| b.file_bytes).sum();
        tracing::info!(items = frozen.items, blocks = blocks.len(), file_bytes, took_ms, "wrote the log head");
        Ok(blocks)
    }

    fn swap(&self, added: &[BlockMeta], removed: &[BlockId], frozen_done: bool) -> Result<(), StoreError> {
        let opened: Result<Vec<Arc<Block>>, StoreError> = added.iter().map(|meta| self.open_block(meta)).collect();
        let opened = opened?;
        let mut state = self.state.write();
        let kept = state.blocks.iter().filter(|block| !removed.contains(&block.meta.id)).cloned();
        let mut all: Vec<Arc<Block>> = kept.chain(opened).collect();
        all.sort_by_key(|block| block.age());
        state.blocks = Arc::new(all);
        if frozen_done {
            state.frozen = None;
        }
        self.show(&state);
        Ok(())
    }

    fn merge(
        &self,
        inputs: &[BlockId],
        target_bytes: u64,
        next_id: &mut dyn FnMut() -> BlockId,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Vec<BlockMeta>, StoreError> {
        let blocks: Vec<Arc<Block>> =
            self.state.read().blocks.iter().filter(|b| inputs.contains(&b.meta.id)).cloned().collect();
        if let Some(missing) = inputs.iter().find(|id| blocks.iter().all(|b| b.meta.id != **id)) {
            // Merging the others would let the caller remove it.
            return Err(StoreError::Damaged { block: *missing, what: "it is to be merged and is not served".into() });
        }
        let Some((day, class)) = blocks.first().map(|block| (block.meta.day, block.meta.class)) else {
            return Ok(Vec::new());
        };
        let mut space = self.budgets.merge.reserve(0).map_err(|error| StoreError::Disk(error.to_string()))?;
        let (mut outputs, mut writer) = (Vec::new(), None::<BlockWriter>);
        let mut create = || {
            let identity = BlockIdentity { id: next_id(), day, class, journal: (0, 0), replaces: inputs.to_vec() };
            BlockWriter::create(self.disk.clone(), identity).map_err(write_error)
        };
        let indexes = read_indexes(&blocks)?;
        for (labels, parts) in streams_of(&indexes) {
            let mut gather = Gather::new(Selection::all(i64::MIN, i64::MAX), None, &self.metrics);
            for (block, stream) in parts {
                gather.add_stream(&blocks[block], &indexes[block].0, &indexes[block].1[stream]);
            }
            if let Some(writer) = &mut writer {
                writer.start_stream(labels).map_err(write_error)?;
            }
            while gather.advance().map_err(|stop| damaged_input(stop, &blocks))? {
                let current = match &mut writer {
                    Some(writer) => writer,
                    none => {
                        let mut fresh = create()?;
                        fresh.start_stream(labels).map_err(write_error)?;
                        none.insert(fresh)
                    }
                };
                if !current.push(&gather.entry()).map_err(write_error)? {
                    continue;
                }
                if !keep_going() {
                    return Err(StoreError::Stopped);
                }
                space.force_resize(current.memory_bytes() + gather.memory_bytes());
                if current.written_bytes() >= target_bytes
                    && let Some(full) = writer.take()
                {
                    outputs.push(full.finish(&self.metrics.verification_failures).map_err(write_error)?);
                }
            }
            if !keep_going() {
                return Err(StoreError::Stopped);
            }
        }
        if let Some(last) = writer.filter(|writer| writer.has_entries()) {
            outputs.push(last.finish(&self.metrics.verification_failures).map_err(write_error)?);
        }
        Ok(outputs)
    }

    fn is_held(&self, blocks: &[BlockId]) -> bool {
        self.holds_deleted(blocks)
    }

    fn trim(&self, _before_ms: i64) {
        // A generation takes all it knows along when it is flushed; nothing outlives it.
    }
}

/// Pages and streams of each block.
type Indexes = Vec<(Arc<Vec<PageRef>>, Vec<StreamEntry>)>;

fn read_indexes(blocks: &[Arc<Block>]) -> Result<Indexes, StoreError> {
    let read = |block: &Arc<Block>| {
        let index = block.index((i64::MIN, i64::MAX), |_| true).map_err(|error| store_error(error, &block.meta))?;
        Ok((index.pages, index.streams))
    };
    blocks.iter().map(read).collect()
}

/// All streams in ascending order, with where they are: (block, stream in its index).
fn streams_of(indexes: &Indexes) -> BTreeMap<&Labels, Vec<(usize, usize)>> {
    let mut streams: BTreeMap<&Labels, Vec<(usize, usize)>> = BTreeMap::new();
    for (block, (_, entries)) in indexes.iter().enumerate() {
        for (at, entry) in entries.iter().enumerate() {
            streams.entry(&entry.labels).or_default().push((block, at));
        }
    }
    streams
}

/// Names the damaged input, as far as the error tells its file.
fn damaged_input(stop: Stop, blocks: &[Arc<Block>]) -> StoreError {
    match stop {
        Stop::Disk(error) => {
            let text = error.to_string();
            let of = blocks.iter().find(|block| text.contains(&block.meta.file_name())).or(blocks.first());
            match of {
                Some(block) => store_error(error, &block.meta),
                None => write_error(error),
            }
        }
        stop => stopped(stop),
    }
}
