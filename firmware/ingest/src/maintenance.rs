//! The slow work, in steps: flush what must be flushed, merge what is over, remove what is too old or too much.

use crate::catalog_rows::{meta_of_row, row_of};
use crate::commit::{Positions, Shared, WritePath};
use crate::retention::{self, StorageReport};
use crate::rollups::RollupState;
use bramble_catalog::Change;
use bramble_signal::Signal;
use bramble_storage::{BlockId, BlockMeta, HeadStats, RetentionClass, Sequence, StoreError, day_of_ns};
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

/// Blocks that arrive for a day after it was merged stay small until there are this many.
const LATE_BLOCKS_MERGE: usize = 12;

/// A day of metrics in so few blocks that are so large on average is as good as merged: each has hundreds of samples of a series, so
/// that one block would be some 3 % smaller and save a query a few reads, for writing all of it once more.
const MERGED_BLOCKS_MAX: usize = 8;
const MERGED_BLOCK_BYTES_MIN: u64 = 4 << 20;

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

/// Pause before a merge that failed is tried again.
const MERGE_RETRY_NS: u64 = 3_600_000_000_000;

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
        let (frozen_at, mut positions) = {
            let applied = shared.applied.lock();
            let cut = keeper.freeze(*applied);
            (cut.then_some(*applied), shared.positions(*applied))
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
            if pays(&blocks) && !is_rollups(partition) {
                self.merge(partition, &blocks)?;
            }
        }
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
        let idle = |side: &crate::commit::JournalSide| side.journal.used_fraction() < 0.1;
        if self.path.shared.journal.lock().as_ref().is_some_and(idle) {
            self.shrink_journal();
        }
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
            || (self.journal_is_pressed() || self.is_straggler(&head)) && self.holds_oldest(signal, &head)
    }

    /// Whether a head has next to nothing, and the journal much that may be kept for it alone.
    fn is_straggler(&self, head: &HeadStats) -> bool {
        let shared = &self.path.shared;
        let needed = || shared.journal.lock().as_ref().map_or(0, |side| side.journal.needed_bytes());
        head.flushable_bytes <= head.limit_bytes / 16 && needed() >= shared.options.straggler_bytes
    }

    fn journal_is_pressed(&self) -> bool {
        let guard = self.path.shared.journal.lock();
        guard.as_ref().is_some_and(|side| side.journal.used_fraction() >= self.path.shared.options.journal_fill)
    }

    /// Whether this head's first record is the oldest of all heads'.
    fn holds_oldest(&self, signal: Signal, head: &HeadStats) -> bool {
        let first = |s: Signal| {
            Some(self.path.shared.stores.keeper(s).head()).filter(|h| h.items > 0).map(|h| h.first_sequence)
        };
        Signal::ALL.into_iter().filter(|s| *s != signal).filter_map(first).all(|other| head.first_sequence <= other)
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

    /// Makes the ring larger ahead of need. The zeros are written without holding up commits.
    fn grow_journal(&self) {
        let least_bytes = self.path.shared.options.journal.extent_bytes;
        if let Some(side) = self.path.shared.journal.lock().as_mut()
            && let Err(error) = side.size_extents(least_bytes)
        {
            tracing::warn!(%error, "an extent's file stays until the next start");
        }
        let growth = self.path.shared.journal.lock().as_ref().and_then(|side| side.journal.growth());
        let Some(growth) = growth else { return };
        match growth.run() {
            Ok(extent) => {
                if let Some(side) = self.path.shared.journal.lock().as_mut() {
                    side.journal.adopt(extent);
                }
            }
            Err(error) => tracing::warn!(%error, "the journal cannot grow"),
        }
    }

    /// Gives back extents that a burst needed.
    fn shrink_journal(&self) {
        if let Some(side) = self.path.shared.journal.lock().as_mut()
            && let Err(error) = side.journal.shrink(self.path.shared.options.journal.extents_min)
        {
            tracing::warn!(%error, "an extent's file stays until the next start");
        }
    }

    /// Moves the journal's tail to the oldest record that the catalog does not know to be in blocks.
    fn release_journal(&self) {
        let shared = &self.path.shared;
        if self.journal_is_pressed() {
            // Flushes record positions too; this is for a journal full of what leaves nothing to flush.
            let positions = {
                let applied = shared.applied.lock();
                shared.positions(*applied)
            };
            let recorded = lowest(&shared.recorded.lock());
            if lowest(&positions) > recorded
                && let Err(error) = shared.commit_positions(&[], positions)
            {
                tracing::warn!(%error, "positions could not be recorded; the journal keeps its records");
            }
        }
        let through = lowest(&shared.recorded.lock());
        if let Some(side) = shared.journal.lock().as_mut() {
            side.journal.release(through);
            shared.metrics.journal_used_ratio.set(side.journal.used_fraction());
            shared.metrics.journal_extents.set(side.journal.extents() as i64);
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

    /// Merges the first partition that is over, quiet and in pieces.
    fn merge_one(&self, state: &mut State, blocks: &[BlockMeta], today: Option<i32>) -> Progress {
        let shared = &self.path.shared;
        let now_ns = shared.clock.monotonic_ns();
        for (partition, blocks) in partitions(blocks) {
            if is_rollups(partition) {
                continue;
            }
            let over = today.is_some_and(|today| partition.1 < today);
            let added_ns = state.block_added_ns.get(&partition).map_or(0, |newest| newest.0);
            let waits = state.merge_after_ns.get(&partition).is_some_and(|after_ns| now_ns < *after_ns);
            if !over || waits || now_ns < added_ns.saturating_add(shared.options.merge_quiet_ns) {
                continue;
            }
            let (fresh, merged): (Vec<_>, Vec<_>) = blocks.into_iter().partition(|b| b.journal_to > 0);
            let due = if merged.is_empty() { pays(&fresh) } else { fresh.len() >= LATE_BLOCKS_MERGE };
            if due && self.merge(partition, &fresh).is_ok() {
                return Progress::Worked;
            }
            if due {
                // A damaged block stays damaged: other days must not wait for it, and neither should the log fill.
                state.merge_after_ns.insert(partition, now_ns + MERGE_RETRY_NS);
            }
        }
        let State { rollups, block_added_ns, .. } = state;
        let is_quiet = |block: &BlockMeta| {
            let newest = block_added_ns.get(&(block.signal, block.day, block.class));
            now_ns >= newest.map_or(0, |newest| newest.0).saturating_add(shared.options.merge_quiet_ns)
        };
        today.map_or(Progress::Idle, |today| self.roll_up_one(rollups, blocks, today, is_quiet))
    }

    fn merge(&self, (signal, day, class): Partition, inputs: &[BlockMeta]) -> Result<(), StoreError> {
        let shared = &self.path.shared;
        shared.settle(signal)?;
        let keeper = shared.stores.keeper(signal);
        let began_ns = shared.clock.monotonic_ns();
        let ids: Vec<BlockId> = inputs.iter().map(|b| b.id).collect();
        let keep_going = || !self.path.is_stopping();
        let mut next_id = || BlockId(shared.catalog.next_block_id());
        let outcome =
            keeper.merge(&ids, shared.options.merge_target_bytes, &mut next_id, &keep_going).and_then(|outputs| {
                let rows: Vec<_> = outputs.iter().map(row_of).collect();
                let removed: Vec<u64> = ids.iter().map(|id| id.0).collect();
                let change = Change { add: &rows, remove: &removed, flushed: &[] };
                shared.catalog.commit(&change).map_err(|e| StoreError::Disk(e.to_string()))?;
                shared.swap(signal, &outputs, &ids, false)?;
                Ok(outputs)
            });
        match outcome {
            Ok(outputs) => {
                for block in inputs {
                    if let Err(error) = shared.disk.remove(&block.file_name()) {
                        tracing::warn!(block = %block.file_name(), %error, "merged block's file stays until the next start");
                    }
                }
                shared.metrics.merges.with_label_values(&[signal.as_str()]).inc();
                shared.metrics.merge_seconds.observe((shared.clock.monotonic_ns() - began_ns) as f64 / 1e9);
                let bytes = |blocks: &[BlockMeta]| blocks.iter().map(|b| b.file_bytes).sum::<u64>();
                let (from, to) = (bytes(inputs), bytes(&outputs));
                tracing::info!(%signal, day, class = class.as_str(), inputs = inputs.len(), outputs = outputs.len(), from, to, "day merged");
                Ok(())
            }
            Err(error) => {
                shared.metrics.merge_failures.with_label_values(&[signal.as_str()]).inc();
                tracing::warn!(%signal, day, class = class.as_str(), %error, "merge did not finish; its inputs stay");
                Err(error)
            }
        }
    }
}

/// Rollups are written anew, never merged: what is one row in two blocks would count twice.
/// Whether merging a day's blocks is worth writing them again.
fn pays(blocks: &[BlockMeta]) -> bool {
    let bytes = blocks.iter().map(|block| block.file_bytes).sum::<u64>();
    let large = bytes / (blocks.len() as u64).max(1) >= MERGED_BLOCK_BYTES_MIN;
    let is_metrics = blocks.iter().all(|block| block.signal == Signal::Metrics);
    blocks.len() > 1 && !(is_metrics && large && blocks.len() <= MERGED_BLOCKS_MAX)
}

fn is_rollups((signal, _, class): Partition) -> bool {
    signal == Signal::Metrics && class == RetentionClass::Cold
}

fn lowest(positions: &Positions) -> Sequence {
    positions.iter().copied().min().unwrap_or(0)
}

/// The last sequence that a head does not need, given the one that is recorded already.
fn needed_after(head: &HeadStats, applied: Sequence, recorded: Sequence) -> Sequence {
    let needed_after = match head {
        // What waits frozen is older than the active generation, and its first sequence is not known here.
        HeadStats { frozen: true, .. } => 0,
        HeadStats { items: 0, .. } => applied,
        _ => head.first_sequence.saturating_sub(1).min(applied),
    };
    needed_after.max(recorded)
}

/// A change of what a store serves that the catalog has and the store could not follow.
pub(crate) struct Unswapped {
    signal: Signal,
    added: Vec<BlockMeta>,
    removed: Vec<BlockId>,
    frozen_done: bool,
}

impl Shared {
    /// Makes a store serve what the catalog lists since just now. If it cannot (a block does not open), the change waits
    /// for [`settle`](Self::settle).
    pub(crate) fn swap(
        &self,
        signal: Signal,
        added: &[BlockMeta],
        removed: &[BlockId],
        frozen_done: bool,
    ) -> Result<(), StoreError> {
        let swapped = self.stores.keeper(signal).swap(added, removed, frozen_done);
        if swapped.is_err() {
            let (added, removed) = (added.to_vec(), removed.to_vec());
            self.unswapped.lock().push(Unswapped { signal, added, removed, frozen_done });
        }
        swapped
    }

    /// Lets the store catch up with the catalog. Until it has, nothing else may change: a merge of blocks that the
    /// catalog lists and the store does not serve would lose them.
    pub(crate) fn settle(&self, signal: Signal) -> Result<(), StoreError> {
        let mut waiting = self.unswapped.lock();
        while let Some(at) = waiting.iter().position(|change| change.signal == signal) {
            let Unswapped { added, removed, frozen_done, .. } = &waiting[at];
            self.stores.keeper(signal).swap(added, removed, *frozen_done)?;
            waiting.remove(at);
        }
        Ok(())
    }

    /// What may be recorded now, by signal: all of it is in blocks up to there, or there was nothing of it. The caller
    /// holds the lock that `applied` is behind.
    ///
    /// Positions of signals that are quiet move with the others: what the journal's tail has left behind is otherwise
    /// missing at the next start, and looks like damage.
    fn positions(&self, applied: Sequence) -> Positions {
        let recorded = *self.recorded.lock();
        Signal::ALL.map(|s| needed_after(&self.stores.keeper(s).head(), applied, recorded[s as usize]))
    }

    /// One catalog transaction: new blocks and how far each signal is in blocks.
    fn commit_positions(&self, rows: &[bramble_catalog::BlockRow], positions: Positions) -> Result<(), StoreError> {
        let flushed = Signal::ALL.map(|s| (s.code(), positions[s as usize]));
        let change = Change { add: rows, remove: &[], flushed: &flushed };
        self.catalog.commit(&change).map_err(|e| StoreError::Disk(e.to_string()))?;
        let mut recorded = self.recorded.lock();
        for (old, new) in recorded.iter_mut().zip(positions) {
            *old = new.max(*old);
        }
        Ok(())
    }
}

/// Blocks by partition, oldest day first.
fn partitions(blocks: &[BlockMeta]) -> Vec<(Partition, Vec<BlockMeta>)> {
    let mut by: std::collections::BTreeMap<(i32, Signal, RetentionClass), Vec<BlockMeta>> = Default::default();
    for block in blocks {
        by.entry((block.day, block.signal, block.class)).or_default().push(block.clone());
    }
    by.into_iter().map(|((day, signal, class), blocks)| ((signal, day, class), blocks)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_must_pay() {
        let blocks = |sizes: &[u64]| -> Vec<BlockMeta> {
            let block = |(id, mib): (usize, &u64)| BlockMeta {
                id: BlockId(id as u64),
                signal: Signal::Metrics,
                class: RetentionClass::Hot,
                day: 1,
                min_time_ns: 0,
                max_time_ns: 0,
                items: 1,
                file_bytes: mib << 20,
                journal_from: 1,
                journal_to: 1,
                replaces: Vec::new(),
            };
            sizes.iter().enumerate().map(block).collect()
        };
        assert!(!pays(&[]) && !pays(&blocks(&[1])) && pays(&blocks(&[1, 1])));
        assert!(!pays(&blocks(&[9, 9, 9, 9, 1])), "a few large ones with what was left at the end");
        assert!(pays(&blocks(&[9, 1, 1])) && pays(&blocks(&[9; 9])), "small ones, or many");
    }

    #[test]
    fn the_journal_keeps_what_waits_frozen() {
        let head = HeadStats { items: 3, first_sequence: 50, frozen: true, ..HeadStats::default() };
        assert_eq!(
            needed_after(&head, 60, 19),
            19,
            "the active generation's first sequence says nothing of older items"
        );
        assert_eq!(needed_after(&HeadStats { frozen: false, ..head }, 60, 19), 49);
        assert_eq!(needed_after(&HeadStats { items: 0, ..HeadStats::default() }, 60, 19), 60, "nothing to keep");
    }
}
