//! Blocks: one UTC day's entries in a segment. Content version 2; tables in docs/formats.md.

pub(crate) mod index;
pub(crate) mod writer;

use crate::block::index::{Index, Place};
use crate::deleted::{BlockDeletions, Deleted};
use bramble_disk::segment::{PageRef, SegmentReader};
use bramble_disk::{Disk, DiskError, Page, PageCache};
use bramble_runtime::{Budget, Reservation};
use bramble_signal::{LabelsRef, Signal};
use bramble_storage::{BlockMeta, StoreError};
use std::ops::Range;
use std::sync::Arc;

/// Version of what pages and footer mean.
pub(crate) const CONTENT_VERSION: u16 = 2;
/// What an open block holds: the reader with its name, header and handle.
const OPEN_BLOCK_BYTES: usize = 1024;

/// An open block.
pub(crate) struct Block {
    pub(crate) meta: BlockMeta,
    /// What of it was deleted.
    pub(crate) deletions: BlockDeletions,
    reader: SegmentReader,
    _space: Reservation,
}

impl Block {
    /// Opens the segment of `meta`, of which `deleted` were deleted.
    pub(crate) fn open(
        disk: &Arc<dyn Disk>,
        cache: &Arc<PageCache>,
        budget: &Budget,
        meta: &BlockMeta,
        deleted: Vec<Arc<Deleted>>,
    ) -> Result<Block, StoreError> {
        let damaged = |what: String| StoreError::Damaged { block: meta.id, what };
        let reader =
            SegmentReader::open(disk.clone(), &meta.file_name(), cache.clone()).map_err(|error| match error {
                error if error.is_damage() => damaged(error.to_string()),
                error => store_error(error, meta),
            })?;
        let header = &reader.info().header;
        if header.signal != Signal::Logs.code() || header.block != meta.id.0 {
            return Err(damaged("the segment is of another block".to_owned()));
        }
        // Version 1 was never released.
        if header.content_version != CONTENT_VERSION {
            return Err(damaged(format!(
                "content version {}; this Bramble reads {CONTENT_VERSION}",
                header.content_version
            )));
        }
        let mut space = budget.reserve(0).map_err(|error| StoreError::Disk(error.to_string()))?;
        // A block that exists has to be served; the budget's owner sees when there are too many.
        space.force_resize(OPEN_BLOCK_BYTES);
        Ok(Block { meta: meta.clone(), deletions: BlockDeletions::new(deleted), reader, _space: space })
    }

    /// Blocks of a day's merge hold what came before all flushes that are not merged yet.
    pub(crate) fn age(&self) -> (u64, u64) {
        (self.meta.journal_from, self.meta.id.0)
    }

    /// The part of the index that matters, without groups of which everything was deleted.
    pub(crate) fn index(
        &self,
        range: (i64, i64),
        wanted: impl FnMut(LabelsRef<'_>) -> bool,
    ) -> Result<Index, DiskError> {
        let mut index = self.index_with_deleted(range, wanted)?;
        if !self.deletions.is_empty() {
            for stream in &mut index.streams {
                if let Some(deleted) = self.deletions.of_stream(&stream.labels) {
                    stream.groups.retain(|group| !deleted.covers((group.min_time_ns, group.max_time_ns)));
                }
            }
            index.streams.retain(|stream| !stream.groups.is_empty());
        }
        Ok(index)
    }

    /// As [`index`](Self::index), with all groups.
    pub(crate) fn index_with_deleted(
        &self,
        range: (i64, i64),
        wanted: impl FnMut(LabelsRef<'_>) -> bool,
    ) -> Result<Index, DiskError> {
        let footer = self.reader.footer()?;
        Index::read(&footer, range, wanted).ok_or_else(|| self.corrupt("index of streams is damaged"))
    }

    /// Names of labels that float in entries.
    pub(crate) fn floating_names(&self) -> Result<Vec<String>, DiskError> {
        self.index_with_deleted((i64::MIN, i64::MAX), |_| false).map(|index| index.floating)
    }

    /// The bytes at `place`.
    pub(crate) fn read(&self, pages: &[PageRef], place: Place) -> Result<Piece, DiskError> {
        let page =
            pages.get(place.page as usize).ok_or_else(|| self.corrupt("reference to a page that is not there"))?;
        let page = self.reader.page(*page)?;
        let (start, bytes) = (place.offset as usize, place.bytes as usize);
        let range = start..start.saturating_add(bytes);
        if page.get(range.clone()).is_none() {
            return Err(self.corrupt("reference past the end of a page"));
        }
        Ok(Piece { page, range })
    }

    /// Damage found in what the pages mean.
    pub(crate) fn corrupt(&self, what: &'static str) -> DiskError {
        DiskError::corrupt(&self.reader.info().name, 0, what)
    }
}

/// A part of a page.
pub(crate) struct Piece {
    page: Page,
    range: Range<usize>,
}

impl Piece {
    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.page.get(self.range.clone()).unwrap_or_default()
    }
}

/// What a disk's failure means to whoever drives the store.
pub(crate) fn store_error(error: DiskError, meta: &BlockMeta) -> StoreError {
    match error {
        DiskError::PowerLost => StoreError::Stopped,
        error if error.is_full() => StoreError::Full(error.to_string()),
        error if error.is_damage() => StoreError::Damaged { block: meta.id, what: error.to_string() },
        error => StoreError::Disk(error.to_string()),
    }
}

/// [`store_error`] of a write.
pub(crate) fn write_error(error: DiskError) -> StoreError {
    match error {
        DiskError::PowerLost => StoreError::Stopped,
        error if error.is_full() => StoreError::Full(error.to_string()),
        error => StoreError::Disk(error.to_string()),
    }
}
