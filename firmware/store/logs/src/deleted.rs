//! Entries that were deleted and are still in blocks: each block knows which deletions concern it, and whoever reads one
//! of its streams leaves out what they hide.
//!
//! Heads know nothing of this: a deletion begins with a flush, so that all it means is in blocks up to a number. What a
//! merge reads comes through the same place, so that its output, a later block, is without it. As long as a deletion can
//! be taken back its blocks are not merged ([`is_held`](bramble_storage::BlockStore::is_held)).

use crate::block::index::{GroupEntry, StreamEntry};
use crate::block::{Block, store_error};
use crate::chunk::Chunk;
use crate::search::examine::{Asked, Hits};
use crate::search::origin::Origin;
use crate::search::selection::Selection;
use crate::store::LogStore;
use bramble_signal::{Labels, LabelsRef, LogEntry};
use bramble_storage::{BlockId, BlockMeta, DeletingLogStore, LogDeletion, Selector, StoreError};
use parking_lot::RwLock;
use std::sync::Arc;

/// A deletion with its selector made ready.
pub(crate) struct Deleted {
    deletion: LogDeletion,
    selector: Selector,
}

impl Deleted {
    /// Whether entries of these times (inclusive) may be meant.
    fn meets(&self, (min_ns, max_ns): (i64, i64)) -> bool {
        min_ns <= self.deletion.last_ns && max_ns >= self.deletion.start_ns
    }

    fn concerns(&self, meta: &BlockMeta) -> bool {
        meta.id <= self.deletion.through && self.meets((meta.min_time_ns, meta.max_time_ns))
    }
}

/// All deletions of a store.
#[derive(Default)]
pub(crate) struct Deletions(RwLock<Arc<[Arc<Deleted>]>>);

impl Deletions {
    /// Those that concern a block.
    pub(crate) fn of(&self, meta: &BlockMeta) -> Vec<Arc<Deleted>> {
        self.0.read().iter().filter(|deleted| deleted.concerns(meta)).cloned().collect()
    }
}

/// The deletions that concern one block.
pub(crate) struct BlockDeletions(RwLock<Arc<[Arc<Deleted>]>>);

impl BlockDeletions {
    pub(crate) fn new(deletions: Vec<Arc<Deleted>>) -> Self {
        BlockDeletions(RwLock::new(deletions.into()))
    }

    fn set(&self, deletions: Vec<Arc<Deleted>>) {
        *self.0.write() = deletions.into();
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.read().is_empty()
    }

    /// Whether one of them may be taken back.
    fn is_held(&self) -> bool {
        self.0.read().iter().any(|deleted| !deleted.deletion.is_final)
    }

    /// Those that hide entries of a stream; `None`: none do.
    pub(crate) fn of_stream(&self, labels: &Labels) -> Option<StreamDeletions> {
        let all = self.0.read().clone();
        StreamDeletions::among(all.iter(), labels)
    }
}

/// The deletions that concern one stream of a block.
pub(crate) struct StreamDeletions {
    labels: Labels,
    deletions: Vec<Arc<Deleted>>,
}

impl StreamDeletions {
    fn among<'a>(all: impl Iterator<Item = &'a Arc<Deleted>>, labels: &Labels) -> Option<Self> {
        let matching = all.filter(|deleted| deleted.selector.of_stream(labels.as_ref()).is_some());
        let deletions: Vec<Arc<Deleted>> = matching.cloned().collect();
        (!deletions.is_empty()).then(|| StreamDeletions { labels: labels.clone(), deletions })
    }

    /// Whether all entries in these times (inclusive) are hidden, whatever they say.
    pub(crate) fn covers(&self, (min_ns, max_ns): (i64, i64)) -> bool {
        self.deletions.iter().any(|deleted| {
            let Deleted { deletion, selector } = &**deleted;
            deletion.start_ns <= min_ns
                && deletion.last_ns >= max_ns
                && deletion.query.filter.is_none()
                && selector.of_stream(self.labels.as_ref()).is_some_and(|rest| rest.is_all())
        })
    }

    /// Whether an entry in these times (inclusive) may be hidden.
    pub(crate) fn meets(&self, times: (i64, i64)) -> bool {
        self.deletions.iter().any(|deleted| deleted.meets(times))
    }

    /// Whether an entry of any of these groups may be hidden.
    pub(crate) fn meets_any(&self, groups: &[GroupEntry]) -> bool {
        groups.iter().any(|group| self.meets((group.min_time_ns, group.max_time_ns)))
    }

    /// Whether an entry is hidden.
    fn hides(&self, entry: &LogEntry<'_>) -> bool {
        let labels = self.labels.as_ref();
        self.deletions.iter().any(|deleted| {
            let Deleted { deletion, selector } = &**deleted;
            deleted.meets((entry.timestamp_ns, entry.timestamp_ns))
                && selector.of_stream(labels).is_some_and(|rest| rest.accepts(entry.metadata))
                && deletion.query.filter.as_ref().is_none_or(|filter| filter.accepts(labels, entry))
        })
    }

    /// The hits that are not hidden.
    pub(crate) fn keep(&self, chunk: &Chunk, hits: Hits) -> Hits {
        let times = chunk.timestamps_ns();
        let (mut kept, mut line, mut metadata) = (Vec::new(), Vec::new(), Vec::new());
        for at in hits.iter() {
            let Some(&timestamp_ns) = times.get(at) else { continue };
            if self.meets((timestamp_ns, timestamp_ns)) {
                line.clear();
                metadata.clear();
                chunk.put_line(at, &mut line);
                chunk.put_metadata(at, &mut metadata);
                let metadata = LabelsRef::from_encoded(&metadata);
                if self.hides(&LogEntry { timestamp_ns, line: &line, metadata }) {
                    continue;
                }
            }
            kept.push(at as u32);
        }
        if kept.len() == hits.len() { hits } else { Hits::Some(kept) }
    }
}

impl LogStore {
    /// Whether these blocks hold something that may be taken back.
    pub(crate) fn holds_deleted(&self, blocks: &[BlockId]) -> bool {
        let served = self.state.read().blocks.clone();
        served.iter().any(|block| blocks.contains(&block.meta.id) && block.deletions.is_held())
    }

    fn ready(&self, deletion: LogDeletion) -> Arc<Deleted> {
        let floating = self.floating_among(&deletion.query.matchers);
        // Who deletes what people see does not mean what they do not.
        let selector = Selector::new(deletion.query.matchers.clone(), &floating).hiding_own();
        Arc::new(Deleted { deletion, selector })
    }

    /// How many entries of a block a deletion hides.
    fn count_deleted(&self, block: &Arc<Block>, deleted: &Arc<Deleted>) -> Result<u64, StoreError> {
        let range = (deleted.deletion.start_ns, deleted.deletion.last_ns);
        let wanted = |labels: LabelsRef<'_>| deleted.selector.of_stream(labels).is_some();
        let index = block.index_with_deleted(range, wanted).map_err(|error| store_error(error, &block.meta))?;
        let (pages, mut count) = (index.pages, 0);
        for stream in &index.streams {
            let Some(only) = StreamDeletions::among(std::iter::once(deleted), &stream.labels) else { continue };
            count += self.count_in_stream(block, (&pages, stream), only)?;
        }
        Ok(count)
    }

    fn count_in_stream(
        &self,
        block: &Arc<Block>,
        (pages, stream): (&Arc<Vec<bramble_disk::segment::PageRef>>, &StreamEntry),
        only: StreamDeletions,
    ) -> Result<u64, StoreError> {
        let selection = Selection::all(i64::MIN, i64::MAX);
        let Some(entries) = selection.of_stream(stream.labels.as_ref()) else { return Ok(0) };
        let asked = Asked { selection: &selection, entries: &entries, context: None };
        let origin = Origin::new(
            block.clone(),
            pages.clone(),
            stream.dictionary,
            selection.sought(stream.labels.as_ref()),
            Some(only),
        );
        let mut count = 0;
        for group in &stream.groups {
            let kept = match origin.open(group, &asked, &self.metrics) {
                Ok(found) => found.map_or(0, |(_, hits)| hits.len()),
                Err(crate::gather::Stop::Disk(error)) => return Err(store_error(error, &block.meta)),
                Err(crate::gather::Stop::Read(error)) => return Err(StoreError::Disk(error.to_string())),
            };
            count += group.entries.saturating_sub(kept as u64);
        }
        Ok(count)
    }
}

impl DeletingLogStore for LogStore {
    fn set_deletions(&self, deletions: Vec<LogDeletion>) {
        let ready: Vec<Arc<Deleted>> = deletions.into_iter().map(|deletion| self.ready(deletion)).collect();
        // Blocks that are opened from here on ask the store; the others are told.
        *self.deletions.0.write() = ready.into();
        let blocks = self.state.read().blocks.clone();
        blocks.iter().for_each(|block| block.deletions.set(self.deletions.of(&block.meta)));
    }

    fn blocks_with_deleted(&self, deletion: &LogDeletion) -> Result<Vec<(BlockId, u64)>, StoreError> {
        let deleted = self.ready(deletion.clone());
        let blocks = self.state.read().blocks.clone();
        let mut found = Vec::new();
        for block in blocks.iter().filter(|block| deleted.concerns(&block.meta)) {
            match self.count_deleted(block, &deleted)? {
                0 => {}
                count => found.push((block.meta.id, count)),
            }
        }
        found.sort();
        Ok(found)
    }
}
