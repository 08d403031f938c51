//! Flushing, swapping and merging.

use crate::block::{Block, BlockKind, BlockWriter, NewBlock, PAGE_VALUES, WRITER_BYTES, store_error};
use crate::exemplars::Exemplars;
use crate::head::Generation;
use crate::read::{BlockSeries, Cursor, Origin, Reading};
use crate::rollup;
use crate::samples::Samples;
use crate::store::{EXEMPLARS_BYTES_MAX, Frozen, MetricStore};
use crate::tombstones::{cut, hides};
use bramble_runtime::Reservation;
use bramble_signal::{Exemplar, LabelsRef, MetricMetadata, Signal};
use bramble_storage::{
    BlockId, BlockMeta, BlockStore, Deletion, HeadStats, ReadError, RetentionClass, Sequence, StoreError, day_of_ms,
};
use parking_lot::RwLock;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A flush's block is closed here: far above what a head can hold, so that a day is one block.
const FLUSH_BYTES_MAX: u64 = 256 << 20;
/// Values of a merged page: days of samples per series, so that a page still holds many series.
const MERGED_PAGE_VALUES: usize = 2 * PAGE_VALUES;
const DAY_MS: i64 = 86_400_000;

impl MetricStore {
    fn merge_space(&self) -> Reservation {
        self.accounts.lock().merge.split(0)
    }

    /// Label index that a block being written may have before it is closed, in bytes.
    fn index_bytes_max(&self) -> usize {
        (self.budgets.merge.limit_bytes().saturating_sub(WRITER_BYTES) / 2).max(1 << 20)
    }

    fn frozen(&self) -> Option<Frozen> {
        self.tip.read().frozen.clone()
    }

    /// Series of a generation in label order.
    fn ordered(&self, generation: &RwLock<Generation>) -> Vec<u32> {
        let index = self.index.read();
        let mut series: Vec<u32> = generation.read().series().iter().collect();
        series.sort_unstable_by(|&a, &b| index.compare(a, b));
        series
    }

    fn write_day(
        &self,
        generation: &RwLock<Generation>,
        series: &[u32],
        day: i32,
        outputs: &mut Outputs<'_>,
    ) -> Result<(), StoreError> {
        let (start_ms, end_ms) = (i64::from(day) * DAY_MS, i64::from(day) * DAY_MS + (DAY_MS - 1));
        let (mut scratch, mut labels) = (Vec::new(), Vec::new());
        let mut samples = Samples::default();
        for &number in series {
            samples.clear();
            generation.read().read(number, (start_ms, end_ms), &mut scratch, &mut samples);
            if samples.is_empty() {
                continue;
            }
            samples.normalize();
            labels.clear();
            self.index.read().labels(number, &mut labels);
            outputs.add(&labels, &samples)?;
        }
        outputs.close()
    }

    fn open(&self, meta: &BlockMeta) -> Result<Arc<Block>, StoreError> {
        Block::open(&self.disk, &self.cache, &self.budgets.index, meta).map(Arc::new)
    }

    fn learn_metadata(&self, block: &Block) {
        match block.metadata() {
            Ok(families) => {
                let mut map = self.metadata.lock();
                for family in &families {
                    map.put(family, false);
                }
            }
            Err(error) => tracing::warn!(block = block.id().0, %error, "metadata of a metric block cannot be read"),
        }
    }

    pub(crate) fn merge_metadata(&self, blocks: &[Arc<Block>]) -> Result<Vec<MetricMetadata>, StoreError> {
        let mut families = BTreeMap::new();
        for block in blocks {
            for family in block.metadata().map_err(|error| store_error(block.id(), error))? {
                families.insert(family.name.clone(), family);
            }
        }
        Ok(families.into_values().collect())
    }
}

/// None, and room for none.
pub(crate) fn no_exemplars() -> Exemplars<Vec<u8>> {
    Exemplars::new(0)
}

impl MetricStore {
    /// Most bytes of exemplars in one block.
    fn exemplar_bytes_max(&self) -> usize {
        (self.budgets.merge.limit_bytes() / 8).min(EXEMPLARS_BYTES_MAX)
    }

    /// A generation's exemplars that go into the block of `day`: those of its own time, and in the last block those of
    /// days without samples.
    fn exemplars_of_day(&self, generation: &RwLock<Generation>, day: i32, days: &BTreeSet<i32>) -> Exemplars<Vec<u8>> {
        let (index, generation) = (self.index.read(), generation.read());
        let mut own = Exemplars::accounted(self.exemplar_bytes_max(), self.merge_space());
        let mut labels = Vec::new();
        for (&series, exemplars) in generation.exemplars.iter() {
            labels.clear();
            index.labels(series, &mut labels);
            for exemplar in exemplars {
                let of = day_of_ms(exemplar.timestamp_ms);
                if of == day || (!days.contains(&of) && days.last() == Some(&day)) {
                    own.push(&labels, exemplar);
                }
            }
        }
        own
    }

    fn merge_exemplars(&self, blocks: &[Arc<Block>], deletions: &[Deletion]) -> Result<Exemplars<Vec<u8>>, StoreError> {
        let mut all = Exemplars::accounted(self.exemplar_bytes_max(), self.merge_space());
        for block in blocks {
            let each = &mut |labels: LabelsRef<'_>, exemplar: Exemplar| {
                if !hides(deletions, block.id(), labels, exemplar.timestamp_ms) {
                    all.push(&labels.as_bytes().to_vec(), &exemplar);
                }
            };
            block.exemplars(i64::MIN, i64::MAX, each).map_err(|error| store_error(block.id(), error))?;
        }
        Ok(all)
    }
}

/// The days that a generation has samples of.
fn days_of(generation: &RwLock<Generation>, series: &[u32]) -> BTreeSet<i32> {
    let (first, last) = {
        let generation = generation.read();
        (day_of_ms(generation.min_ms), day_of_ms(generation.max_ms))
    };
    if last.saturating_sub(first) <= 1 {
        return (first..=last).collect();
    }
    let (mut days, mut scratch) = (BTreeSet::new(), Vec::new());
    for &number in series {
        generation.read().read_times(number, &mut scratch, |t| {
            days.insert(day_of_ms(t));
        });
    }
    days
}

/// Blocks being written one after the other.
pub(crate) struct Outputs<'a> {
    pub(crate) store: &'a MetricStore,
    pub(crate) next_id: &'a mut dyn FnMut() -> BlockId,
    pub(crate) class: RetentionClass,
    pub(crate) day: i32,
    pub(crate) journal: (Sequence, Sequence),
    pub(crate) replaces: Vec<BlockId>,
    pub(crate) rank: u64,
    pub(crate) rank_from: u64,
    pub(crate) kind: BlockKind,
    pub(crate) page_values: usize,
    pub(crate) target_bytes: u64,
    pub(crate) metadata: Vec<MetricMetadata>,
    pub(crate) exemplars: Exemplars<Vec<u8>>,
    pub(crate) writer: Option<(BlockId, BlockWriter)>,
    pub(crate) done: Vec<BlockMeta>,
}

impl Outputs<'_> {
    /// Adds a series.
    pub(crate) fn add(&mut self, labels: &[u8], samples: &Samples) -> Result<(), StoreError> {
        self.open()?;
        if let Some((id, writer)) = &mut self.writer {
            writer.add_samples(labels, samples).map_err(|error| store_error(*id, error))?;
        }
        self.close_if_full()
    }

    /// Adds a series of numbers, or a part of one whose other parts must be in the same block.
    pub(crate) fn put(&mut self, labels: &[u8], times: &[i64], values: &[f64]) -> Result<(), StoreError> {
        self.open()?;
        let Some((id, writer)) = &mut self.writer else { return Ok(()) };
        writer.add(labels, times, values).map_err(|error| store_error(*id, error))
    }

    fn open(&mut self) -> Result<(), StoreError> {
        if self.writer.is_none() {
            let id = (self.next_id)();
            let block = NewBlock {
                id,
                class: self.class,
                day: self.day,
                journal: self.journal,
                replaces: self.replaces.clone(),
                rank: self.rank,
                rank_from: self.rank_from,
                kind: self.kind,
                page_values: self.page_values,
            };
            let writer = BlockWriter::create(&self.store.disk, block, self.store.merge_space());
            self.writer = Some((id, writer.map_err(|error| store_error(id, error))?));
        }
        Ok(())
    }

    pub(crate) fn close_if_full(&mut self) -> Result<(), StoreError> {
        let Some((_, writer)) = &self.writer else { return Ok(()) };
        if writer.written_bytes() >= self.target_bytes || writer.index_bytes() > self.store.index_bytes_max() {
            self.close()?;
        }
        Ok(())
    }

    pub(crate) fn close(&mut self) -> Result<(), StoreError> {
        if let Some((id, writer)) = self.writer.take() {
            // Every part carries it: parts expire together, and each must be complete by itself.
            let written = writer.finish(&self.metadata, &self.exemplars);
            self.done.push(written.map_err(|error| store_error(id, error))?);
            // Exemplars tell their series themselves: one part has them all.
            self.exemplars = no_exemplars();
        }
        Ok(())
    }
}

impl BlockStore for MetricStore {
    fn signal(&self) -> Signal {
        Signal::Metrics
    }

    fn open_blocks(&self, blocks: &[BlockMeta]) -> Vec<(BlockId, StoreError)> {
        let (mut opened, mut failed) = (Vec::new(), Vec::new());
        for meta in blocks.iter().filter(|meta| meta.signal == Signal::Metrics) {
            match self.open(meta) {
                Ok(block) => opened.push(block),
                Err(error) => failed.push((meta.id, error)),
            }
        }
        opened.sort_by_key(|block| (block.rank, block.id()));
        for block in &opened {
            self.learn_metadata(block);
        }
        self.tip.write().blocks = opened.into();
        failed
    }

    fn head(&self) -> HeadStats {
        let series = self.index.read().len() as u64;
        let tip = self.tip.read();
        let active = tip.active.read();
        let accounts = self.accounts.lock();
        HeadStats {
            flushable_bytes: accounts.active.bytes(),
            total_bytes: accounts.index.bytes() + accounts.active.bytes() + accounts.frozen.bytes(),
            limit_bytes: self.budgets.head.limit_bytes(),
            items: active.items,
            series,
            first_sequence: if active.items > 0 { active.first_sequence } else { 0 },
            frozen: tip.frozen.is_some(),
        }
    }

    fn freeze(&self, through: Sequence) -> bool {
        let mut tip = self.tip.write();
        let first = {
            let active = tip.active.read();
            if active.items == 0 || tip.frozen.is_some() {
                return false;
            }
            active.first_sequence
        };
        let fresh = Arc::new(RwLock::new(self.fresh_generation()));
        let generation = std::mem::replace(&mut tip.active, fresh);
        tip.frozen = Some(Frozen { generation, journal: (first, through) });
        let mut accounts = self.accounts.lock();
        let bytes = accounts.active.bytes();
        let moved = accounts.active.split(bytes);
        accounts.frozen.merge(moved);
        true
    }

    fn write_frozen(&self, next_id: &mut dyn FnMut() -> BlockId) -> Result<Vec<BlockMeta>, StoreError> {
        let Some(Frozen { generation, journal }) = self.frozen() else { return Ok(Vec::new()) };
        let series = self.ordered(&generation);
        let metadata = self.metadata.lock().heard();
        let mut outputs = Outputs {
            store: self,
            next_id,
            class: RetentionClass::Hot,
            day: 0,
            journal,
            replaces: Vec::new(),
            rank: journal.1,
            rank_from: journal.1,
            kind: BlockKind::Samples,
            page_values: PAGE_VALUES,
            target_bytes: FLUSH_BYTES_MAX,
            metadata,
            exemplars: no_exemplars(),
            writer: None,
            done: Vec::new(),
        };
        let days = days_of(&generation, &series);
        for &day in &days {
            outputs.day = day;
            outputs.exemplars = self.exemplars_of_day(&generation, day, &days);
            self.write_day(&generation, &series, day, &mut outputs)?;
        }
        self.metadata.lock().written(&outputs.metadata);
        Ok(outputs.done)
    }

    fn swap(&self, added: &[BlockMeta], removed: &[BlockId], frozen_done: bool) -> Result<(), StoreError> {
        let added = added.iter().map(|meta| self.open(meta)).collect::<Result<Vec<_>, _>>()?;
        let mut tip = self.tip.write();
        let kept = tip.blocks.iter().filter(|block| !removed.contains(&block.id())).cloned();
        let mut blocks: Vec<_> = kept.chain(added).collect();
        blocks.sort_by_key(|block| (block.rank, block.id()));
        let before = std::mem::replace(&mut tip.blocks, blocks.into());
        let frozen = if frozen_done { tip.frozen.take() } else { None };
        if frozen_done {
            let mut accounts = self.accounts.lock();
            accounts.frozen.force_resize(0);
            self.publish_bytes(&accounts);
        }
        drop(tip);
        // Outside the lock: freeing a generation and closing files takes a while.
        drop((before, frozen));
        removed.iter().for_each(|&block| self.open_pages.forget(block));
        Ok(())
    }

    fn merge(
        &self,
        inputs: &[BlockId],
        target_bytes: u64,
        next_id: &mut dyn FnMut() -> BlockId,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Vec<BlockMeta>, StoreError> {
        let deletions = self.deletions();
        let all = self.tip.read().blocks.clone();
        let blocks: Vec<Arc<Block>> = all.iter().filter(|block| inputs.contains(&block.id())).cloned().collect();
        if let Some(missing) = inputs.iter().find(|id| blocks.iter().all(|block| block.id() != **id)) {
            // Merging the others would let the caller remove it.
            return Err(StoreError::Damaged { block: *missing, what: "it is to be merged and is not served".into() });
        }
        let Some(first) = blocks.first() else { return Ok(Vec::new()) };
        let mut streams = Vec::with_capacity(blocks.len());
        for block in &blocks {
            let footer = block.footer().map_err(|error| store_error(block.id(), error))?;
            let mut series = (0..footer.series).collect();
            let cuts = cut(&deletions, block, &footer, &mut series).map_err(|error| store_error(block.id(), error))?;
            let series = BlockSeries::new(block.clone(), footer, series.iter().collect()).cutting(cuts);
            streams.push(Origin::Block(Box::new(series)));
        }
        let mut outputs = Outputs {
            store: self,
            next_id,
            class: first.meta.class,
            day: first.meta.day,
            journal: (0, 0),
            replaces: blocks.iter().map(|block| block.id()).collect(),
            rank: blocks.iter().map(|block| block.rank).max().unwrap_or(0),
            rank_from: blocks.iter().map(|block| block.rank_from).min().unwrap_or(0),
            kind: BlockKind::Samples,
            page_values: MERGED_PAGE_VALUES,
            target_bytes,
            metadata: self.merge_metadata(&blocks)?,
            exemplars: self.merge_exemplars(&blocks, &deletions)?,
            writer: None,
            done: Vec::new(),
        };
        let damage = OnceCell::new();
        let reading =
            Reading { context: None, keep_going: Some(keep_going), damage: Some(&damage), counters: &self.counters };
        let mut cursor = Cursor::new(reading, streams, i64::MIN, i64::MAX);
        loop {
            match cursor.next_series() {
                Ok(Some(series)) => outputs.add(&series.labels, &series.samples)?,
                Ok(None) => break,
                Err(ReadError::Storage(what)) => return Err(damage.get().cloned().unwrap_or(StoreError::Disk(what))),
                Err(_) => return Err(StoreError::Stopped),
            }
        }
        outputs.close()?;
        Ok(outputs.done)
    }

    fn unrolled_days(&self) -> Vec<i32> {
        rollup::unrolled_days(&self.tip.read().blocks)
    }

    fn roll_up(
        &self,
        day: i32,
        target_bytes: u64,
        next_id: &mut dyn FnMut() -> BlockId,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Vec<BlockMeta>, StoreError> {
        self.roll_up_day(day, target_bytes, next_id, keep_going)
    }

    fn trim(&self, _before_ms: i64) {
        let mut index = self.index.write();
        let used = {
            let tip = self.tip.read();
            let mut used = tip.active.read().known_series();
            if let Some(frozen) = &tip.frozen {
                used |= frozen.generation.read().known_series();
            }
            used
        };
        let before = index.len();
        index.trim(&used);
        self.counters.series_forgotten.inc_by((before - index.len()) as u64);
        self.account_index(&index);
    }
}
