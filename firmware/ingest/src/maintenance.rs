//! The slow work, in steps: flush what must be flushed, merge what is over, remove what is too old or too much.

mod journal_care;
mod merging;
mod positions;

pub(crate) use positions::Unswapped;

use merging::{is_rollups, mergeable, partitions, pays};

use crate::catalog_rows::{meta_of_row, row_of};
use crate::commit::WritePath;
use crate::retention::{self, StorageReport};
use crate::rollups::RollupState;
use bramble_catalog::Change;
use bramble_signal::Signal;
use bramble_storage::{BlockId, BlockMeta, RetentionClass, StoreError, day_of_ns};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::Ordering;

/// What a step of maintenance did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Something; step again soon.
    Worked,
    /// Nothing was due.
    Idle,
}

/// A partition: every expiry is one of these, or a part of it.
type Partition = (Signal, i32, RetentionClass);

/// Steps flushes, merges and retention. One at a time per data directory.
pub struct Maintenance {
    pub(crate) path: WritePath,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Monotonic time when each head's active generation was first seen with data.
    head_since_ns: [Option<u64>; 3],
    /// Monotonic time of the newest block of each partition, for "quiet".
    block_added_ns: HashMap<Partition, (u64, BlockId)>,
    /// Monotonic time before which a partition whose merge failed is left alone.
    merge_after_ns: HashMap<Partition, u64>,
    rollups: RollupState,
    growth: retention::Growth,
    /// Monotonic time when space was measured last.
    measured_ns: Option<u64>,
}

/// Time between measurements of space: each walks the data directory.
const MEASURE_NS: u64 = 15_000_000_000;

impl WritePath {
    /// Freezes a signal's head, writes it as blocks, commits and swaps. `false` when there was nothing.
    ///
    /// # Errors
    /// [`StoreError`]: the frozen generation stays readable in the head and is tried again by the next call.
    pub(crate) fn flush_signal(&self, signal: Signal) -> Result<bool, StoreError> {
        let shared = &self.shared;
        shared.settle(signal)?;
        let keeper = shared.stores.keeper(signal);
        let waiting = shared.waits_for_observers();
        let (frozen_at, mut positions) = {
            let applied = shared.applied.lock();
            let cut = keeper.freeze(*applied);
            (cut.then_some(*applied), shared.positions(*applied, &waiting))
        };
        if frozen_at.is_none() && !keeper.head().frozen {
            return Ok(false);
        }
        let began_ns = shared.clock.monotonic_ns();
        #[cfg(feature = "sabotage")]
        if let Some(through) = frozen_at.filter(|_| crate::sabotage::advances_early()) {
            let change = Change { add: &[], remove: &[], flushed: &[(signal.code(), through)] };
            shared.catalog.commit(&change).map_err(|e| StoreError::Disk(e.to_string()))?;
        }
        let blocks = keeper.write_frozen(&mut || BlockId(shared.catalog.next_block_id()))?;
        // A generation that waited over a failed flush was cut earlier; its blocks say where. Without blocks (all its
        // items were duplicates) what is applied now is as good, since the frozen generation held everything before.
        let through = frozen_at.or_else(|| blocks.iter().map(|b| b.journal_to).max());
        let rows: Vec<_> = blocks.iter().map(row_of).collect();
        positions[signal as usize] = through.unwrap_or(0).max(positions[signal as usize]);
        shared.commit_positions(&rows, positions)?;
        shared.swap(signal, &blocks, &[], true)?;
        shared.metrics.flushes.with_label_values(&[signal.as_str()]).inc();
        shared.metrics.flush_seconds.observe((shared.clock.monotonic_ns() - began_ns) as f64 / 1e9);
        let (items, bytes) =
            (blocks.iter().map(|b| b.items).sum::<u64>(), blocks.iter().map(|b| b.file_bytes).sum::<u64>());
        tracing::info!(%signal, blocks = blocks.len(), items, bytes, through, "head flushed");
        Ok(true)
    }
}

impl Maintenance {
    /// Maintenance of a write path.
    pub fn new(path: WritePath) -> Self {
        Maintenance { path, state: Mutex::default() }
    }

    /// Does the most urgent piece of work, if any. Must not run before recovery has ended.
    pub fn step(&self) -> Progress {
        self.path.shared.pressed.store(false, Ordering::Relaxed);
        if !self.path.is_ready() {
            return Progress::Idle;
        }
        let mut state = self.state.lock();
        for signal in Signal::ALL {
            if self.flush_is_due(&mut state, signal) {
                return self.flush(&mut state, signal);
            }
        }
        self.release_journal();
        self.grow_journal();
        let blocks = self.blocks();
        if self.retain(&mut state, &blocks) == Progress::Worked {
            return Progress::Worked;
        }
        match self.path.shared.time.decision_ns() {
            Some(now_ns) => self.merge_one(&mut state, &blocks, Some(day_of_ns(now_ns))),
            None => Progress::Idle,
        }
    }

    /// Whether something asked for maintenance before its next tick.
    pub fn is_pressed(&self) -> bool {
        self.path.shared.pressed.load(Ordering::Relaxed)
    }

    /// Commits what waits and writes every head as blocks.
    ///
    /// # Errors
    /// [`StoreError`] of the first signal that failed.
    pub fn force_flush(&self) -> Result<(), StoreError> {
        self.path.commit_all();
        let mut state = self.state.lock();
        for signal in Signal::ALL {
            // Twice: a generation that waited frozen goes first, then the active one.
            for _ in 0..2 {
                if self.path.flush_signal(signal)? {
                    self.note_flush(&mut state, signal);
                }
            }
        }
        self.release_journal();
        self.shrink_journal();
        self.show_storage(&mut state);
        Ok(())
    }

    /// Writes the heads of `signals` out and runs `work` with all blocks, while nothing else flushes, merges or removes.
    pub(crate) fn at_rest<T>(
        &self,
        signals: &[Signal],
        work: impl FnOnce(&[BlockMeta]) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if !self.path.is_ready() {
            return Err(StoreError::Disk("the journal is still being replayed; try again".to_owned()));
        }
        if !signals.is_empty() {
            self.path.commit_all();
        }
        let mut state = self.state.lock();
        for &signal in signals {
            // Twice, as in `force_flush`.
            for _ in 0..2 {
                if self.path.flush_signal(signal)? {
                    self.note_flush(&mut state, signal);
                }
            }
        }
        self.release_journal();
        Signal::ALL.into_iter().try_for_each(|signal| self.path.shared.settle(signal))?;
        work(&self.blocks())
    }

    /// Writes one block anew, without what was deleted. Only inside [`at_rest`](Self::at_rest).
    pub(crate) fn rewrite(&self, block: &BlockMeta) -> Result<(), StoreError> {
        self.merge((block.signal, block.day, block.class), std::slice::from_ref(block))
    }

    /// As [`rewrite`](Self::rewrite), a day's rollups.
    pub(crate) fn rewrite_rollups(&self, day: i32) -> Result<(), StoreError> {
        self.publish_rollups(day, &self.blocks()).map(drop)
    }

    /// Merges every partition for which that pays, the running day too.
    ///
    /// # Errors
    /// [`StoreError`] of the first merge that failed.
    pub fn force_merge(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        for (partition, blocks) in partitions(&self.blocks()) {
            let blocks = mergeable(blocks);
            let ids: Vec<BlockId> = blocks.iter().map(|block| block.id).collect();
            let held = self.path.shared.stores.keeper(partition.0).is_held(&ids);
            if pays(&blocks) && !is_rollups(partition) && !held {
                self.merge(partition, &blocks)?;
            }
        }
        self.release_journal();
        self.shrink_journal();
        self.show_storage(&mut state);
        Ok(())
    }

    /// Space and what retention will do with it.
    pub fn storage_report(&self) -> StorageReport {
        retention::report(&self.path.shared, &self.blocks(), &self.state.lock().growth)
    }

    /// Lets stores forget what only their index remembers; to be called every few minutes.
    pub fn trim(&self) {
        let before_ms = self.path.shared.clock.wall_ms() - 3_600_000;
        for keeper in &self.path.shared.stores.blocks {
            keeper.trim(before_ms);
        }
        self.ease_journal();
    }

    fn blocks(&self) -> Vec<BlockMeta> {
        match self.path.shared.catalog.blocks() {
            Ok(rows) => rows.iter().filter_map(meta_of_row).collect(),
            Err(error) => {
                tracing::error!(%error, "catalog cannot be read");
                Vec::new()
            }
        }
    }

    fn flush_is_due(&self, state: &mut State, signal: Signal) -> bool {
        let shared = &self.path.shared;
        let head = shared.stores.keeper(signal).head();
        if head.frozen {
            return true;
        }
        let since = &mut state.head_since_ns[signal as usize];
        if head.items == 0 {
            *since = None;
            return false;
        }
        let now_ns = shared.clock.monotonic_ns();
        let since_ns = *since.get_or_insert(now_ns);
        // A head that is full of what a flush cannot free is not helped by flushing all the time.
        let full = head.total_bytes as f64 >= head.limit_bytes as f64 * shared.options.flush_fill[signal as usize];
        (full && head.flushable_bytes >= head.limit_bytes / 10)
            || head.items >= shared.options.head_items_max[signal as usize]
            || now_ns - since_ns >= shared.options.head_age_ns
            || (self.journal_is_pressed() || self.is_straggler(&head))
                && self.holds_oldest(signal, &head)
                && !self.is_kept_for_observers()
    }

    fn flush(&self, state: &mut State, signal: Signal) -> Progress {
        match self.path.flush_signal(signal) {
            Ok(_) => {
                self.note_flush(state, signal);
                self.release_journal();
                Progress::Worked
            }
            Err(error) => {
                self.path.shared.metrics.flush_failures.with_label_values(&[signal.as_str()]).inc();
                tracing::error!(%signal, %error, "flush failed; the head keeps its items and it will be tried again");
                Progress::Idle
            }
        }
    }

    fn note_flush(&self, state: &mut State, signal: Signal) {
        state.head_since_ns[signal as usize] = None;
        let now_ns = self.path.shared.clock.monotonic_ns();
        for block in self.blocks().iter().filter(|b| b.signal == signal && b.journal_to > 0) {
            let newest = state.block_added_ns.entry((signal, block.day, block.class)).or_insert((now_ns, block.id));
            if block.id > newest.1 {
                *newest = (now_ns, block.id);
            }
        }
    }

    /// Puts today's sizes on `/metrics` at once: after a forced flush or merge somebody looks.
    fn show_storage(&self, state: &mut State) {
        let (shared, blocks) = (&self.path.shared, self.blocks());
        let space = retention::measure(shared, &blocks);
        state.growth.observe(shared.clock.monotonic_ns(), space.used_bytes);
        retention::show(shared, &blocks, &space, &state.growth);
    }

    fn retain(&self, state: &mut State, blocks: &[BlockMeta]) -> Progress {
        let shared = &self.path.shared;
        let now_ns = shared.clock.monotonic_ns();
        if state.measured_ns.is_some_and(|then| now_ns < then + MEASURE_NS) {
            return Progress::Idle;
        }
        let space = retention::measure(shared, blocks);
        state.growth.observe(shared.clock.monotonic_ns(), space.used_bytes);
        retention::show(shared, blocks, &space, &state.growth);
        let options = &shared.options.retention;
        let chosen = retention::choose(options, shared.time.decision_ns(), blocks, &space);
        shared.storage_full.store(chosen.is_none() && retention::is_full(options, &space), Ordering::Relaxed);
        let Some((reason, victims)) = chosen else {
            state.measured_ns = Some(now_ns);
            return Progress::Idle;
        };
        let today = shared.time.decision_ns().map(day_of_ns);
        match self.roll_up_before(&mut state.rollups, &victims, blocks, today, reason == "bytes") {
            Ok(Progress::Worked) => return Progress::Worked,
            Ok(Progress::Idle) => {}
            Err(_) => {
                state.measured_ns = Some(now_ns);
                return Progress::Idle;
            }
        }
        match self.remove(&victims, reason) {
            Ok(()) => Progress::Worked,
            Err(error) => {
                tracing::error!(%error, "retention could not remove blocks");
                Progress::Idle
            }
        }
    }

    /// Catalog, readers, files: in this order, so that a cut at any point leaves nothing half removed.
    fn remove(&self, victims: &[BlockMeta], reason: &'static str) -> Result<(), StoreError> {
        let shared = &self.path.shared;
        Signal::ALL.into_iter().try_for_each(|signal| shared.settle(signal))?;
        let ids: Vec<u64> = victims.iter().map(|b| b.id.0).collect();
        let change = Change { add: &[], remove: &ids, flushed: &[] };
        shared.catalog.commit(&change).map_err(|e| StoreError::Disk(e.to_string()))?;
        for signal in Signal::ALL {
            let gone: Vec<BlockId> = victims.iter().filter(|b| b.signal == signal).map(|b| b.id).collect();
            if !gone.is_empty() {
                shared.swap(signal, &[], &gone, false)?;
            }
        }
        for block in victims {
            shared
                .metrics
                .expired_blocks
                .with_label_values(&[block.signal.as_str(), block.class.as_str(), reason])
                .inc();
            if let Err(error) = shared.disk.remove(&block.file_name()) {
                tracing::warn!(block = %block.file_name(), %error, "file of a removed block stays until the next start");
            }
        }
        tracing::info!(
            blocks = victims.len(),
            reason,
            day = victims.first().map(|b| b.day),
            "retention removed blocks"
        );
        Ok(())
    }
}
