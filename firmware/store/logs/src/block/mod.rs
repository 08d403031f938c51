//! Blocks: one UTC day's entries in a segment. Content version 2; tables in docs/formats.md.

pub(crate) mod index;
pub(crate) mod kept;
pub(crate) mod writer;

use crate::block::index::{Index, Place};
use crate::block::kept::Kept;
use crate::deleted::{BlockDeletions, Deleted};
use crate::dictionary::Dictionary;
use bramble_disk::segment::{PageRef, SegmentReader};
use bramble_disk::{Disk, DiskError, Page};
use bramble_runtime::Reservation;
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
    kept: Arc<Kept>,
    _space: Reservation,
}

impl Block {
    /// Opens the segment of `meta`, of which `deleted` were deleted.
    pub(crate) fn open(
        disk: &Arc<dyn Disk>,
        kept: &Arc<Kept>,
        meta: &BlockMeta,
        deleted: Vec<Arc<Deleted>>,
    ) -> Result<Block, StoreError> {
        let damaged = |what: String| StoreError::Damaged { block: meta.id, what };
        let reader =
            SegmentReader::open(disk.clone(), &meta.file_name(), kept.cache.clone()).map_err(|error| match error {
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
        let mut space = kept.index.reserve(0).map_err(|error| StoreError::Disk(error.to_string()))?;
        // A block that exists has to be served; the budget's owner sees when there are too many.
        space.force_resize(OPEN_BLOCK_BYTES);
        Ok(Block {
            meta: meta.clone(),
            deletions: BlockDeletions::new(deleted),
            reader,
            kept: kept.clone(),
            _space: space,
        })
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
        if let Some(whole) = self.kept.index_of(self.meta.id) {
            return Ok(whole.part(range, wanted));
        }
        let footer = self.reader.footer()?;
        let damaged = || self.corrupt("index of streams is damaged");
        // Decoded it takes some times as much.
        if footer.len() * 4 > self.kept.most_bytes() {
            return Index::read(&footer, range, wanted).ok_or_else(damaged);
        }
        let whole = Arc::new(Index::read(&footer, (i64::MIN, i64::MAX), |_| true).ok_or_else(damaged)?);
        self.kept.keep_index(self.meta.id, &whole);
        Ok(whole.part(range, wanted))
    }

    /// The dictionary at `place`; whether it is worth keeping for others.
    pub(crate) fn dictionary(&self, pages: &[PageRef], place: Place, keep: bool) -> Result<Arc<Dictionary>, DiskError> {
        if place.bytes == 0 {
            return Ok(Arc::default());
        }
        let at = (place.page, place.offset);
        if let Some(known) = self.kept.dictionary_of(self.meta.id, at) {
            return Ok(known);
        }
        let stored = self.read(pages, place)?;
        let read = Dictionary::read(stored.bytes());
        let read = Arc::new(read.ok_or_else(|| self.corrupt("a template dictionary does not decode"))?);
        if keep {
            self.kept.keep_dictionary(self.meta.id, at, &read);
        }
        Ok(read)
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

impl Drop for Block {
    fn drop(&mut self) {
        self.kept.forget(self.meta.id);
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
