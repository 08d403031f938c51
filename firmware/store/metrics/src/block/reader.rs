//! An open block: its footer in memory when the index budget allows, everything else read by pages.

use super::footer::{BlockKind, Footer};
use super::metadata::decode_metadata;
use super::page::OpenPage;
use super::rich::decode_exemplars;
use super::times::TimesPage;
use crate::bytes::Take;
use crate::pairs::PairLookup;
use crate::postings::add_encoded;
use bramble_disk::Disk;
use bramble_disk::segment::{PageRef, SegmentReader};
use bramble_disk::{DiskError, Page, PageCache};
use bramble_runtime::{Budget, Reservation};
use bramble_signal::{Exemplar, LabelsRef, MetricMetadata};
use bramble_storage::{BlockId, BlockMeta, StoreError};
use roaring::RoaringBitmap;
use std::sync::Arc;

/// Takes name, value and encoded series of a pair; `false` ends the walk.
type EachPair<'a> = &'a mut dyn FnMut(&[u8], &[u8], &[u8]) -> bool;

/// A block that can be read.
pub(crate) struct Block {
    pub(crate) meta: BlockMeta,
    pub(crate) rank: u64,
    pub(crate) rank_from: u64,
    pub(crate) kind: BlockKind,
    /// Bounds of its exemplars' times, if it has some.
    pub(crate) exemplar_range: Option<(i64, i64)>,
    segment: SegmentReader,
    footer: Option<(Arc<Footer>, Reservation)>,
}

impl Block {
    /// Opens a published block and checks that it is what the catalog says.
    pub(crate) fn open(
        disk: &Arc<dyn Disk>,
        cache: &Arc<PageCache>,
        index: &Budget,
        meta: &BlockMeta,
    ) -> Result<Self, StoreError> {
        let failed = |error| super::writer::store_error(meta.id, error);
        let segment = SegmentReader::open(disk.clone(), &meta.file_name(), cache.clone()).map_err(failed)?;
        let header = &segment.info().header;
        if header.block != meta.id.0 || header.signal != meta.signal.code() {
            return Err(StoreError::Damaged {
                block: meta.id,
                what: format!("the file is block {:016x}", header.block),
            });
        }
        if header.content_version > super::writer::CONTENT_VERSION {
            let (found, supported) = (u32::from(header.content_version), u32::from(super::writer::CONTENT_VERSION));
            return Err(failed(DiskError::NewerVersion { name: meta.file_name(), found, supported }));
        }
        let mut block = Block {
            meta: meta.clone(),
            rank: 0,
            rank_from: 0,
            kind: BlockKind::Samples,
            exemplar_range: None,
            segment,
            footer: None,
        };
        let footer = block.read_footer().map_err(failed)?;
        (block.rank, block.rank_from, block.kind) = (footer.rank, footer.rank_from, footer.kind);
        let exemplars = &footer.rich.exemplars;
        let ends = (exemplars.iter().map(|p| p.min_ms).min(), exemplars.iter().map(|p| p.max_ms).max());
        block.exemplar_range = ends.0.zip(ends.1);
        // Without room the footer is read again by each query: slower, but nothing grows.
        block.footer = index.reserve(footer.memory_bytes()).ok().map(|space| (footer, space));
        Ok(block)
    }

    pub(super) fn damaged(&self, at: u64, what: &'static str) -> DiskError {
        DiskError::corrupt(&self.segment.info().name, at, what)
    }

    fn read_footer(&self) -> Result<Arc<Footer>, DiskError> {
        let page = self.segment.footer()?;
        Footer::decode(&page).map(Arc::new).ok_or_else(|| self.damaged(0, "footer of a metric block"))
    }

    /// Its footer.
    pub(crate) fn footer(&self) -> Result<Arc<Footer>, DiskError> {
        match &self.footer {
            Some((footer, _)) => Ok(footer.clone()),
            None => self.read_footer(),
        }
    }

    /// Its number.
    pub(crate) fn id(&self) -> BlockId {
        self.meta.id
    }

    /// Whether it may hold samples within the bounds.
    pub(crate) fn overlaps(&self, start_ms: i64, end_ms: i64) -> bool {
        self.meta.min_time_ns.div_euclid(1_000_000) <= end_ms && self.meta.max_time_ns.div_euclid(1_000_000) >= start_ms
    }

    /// One page.
    pub(crate) fn page(&self, at: PageRef) -> Result<Page, DiskError> {
        self.segment.page(at)
    }

    /// Many pages, read together.
    pub(crate) fn pages(&self, at: &[PageRef]) -> Result<Vec<Page>, DiskError> {
        self.segment.pages(at)
    }

    /// A data page, opened.
    pub(crate) fn open_page(&self, at: PageRef, page: &[u8]) -> Result<OpenPage, DiskError> {
        OpenPage::open(page).ok_or_else(|| self.damaged(at.offset, "page of values"))
    }

    /// The error for values that cannot be decoded.
    pub(crate) fn damaged_values(&self, at: PageRef) -> DiskError {
        self.damaged(at.offset, "values of a series")
    }

    /// The metadata that came with its samples.
    pub(crate) fn metadata(&self) -> Result<Vec<MetricMetadata>, DiskError> {
        let Some(at) = self.footer()?.metadata else { return Ok(Vec::new()) };
        decode_metadata(&self.page(at)?).ok_or_else(|| self.damaged(at.offset, "page of metadata"))
    }

    /// Calls `each` for the series' labels and exemplars that may be within the bounds.
    pub(crate) fn exemplars(
        &self,
        start_ms: i64,
        end_ms: i64,
        each: &mut dyn FnMut(LabelsRef<'_>, Exemplar),
    ) -> Result<(), DiskError> {
        let footer = self.footer()?;
        for entry in footer.rich.exemplars.iter().filter(|p| p.min_ms <= end_ms && p.max_ms >= start_ms) {
            let page = self.page(entry.at)?;
            decode_exemplars(&page, each).ok_or_else(|| self.damaged(entry.at.offset, "page of exemplars"))?;
        }
        Ok(())
    }

    /// Calls `each` for label pairs in ascending order, from (`name`, `value`) on, with their encoded series, until it
    /// returns `false`.
    pub(crate) fn pairs_from(
        &self,
        footer: &Footer,
        name: &[u8],
        value: &[u8],
        each: EachPair<'_>,
    ) -> Result<(), DiskError> {
        let after = footer.dictionary.partition_point(|p| (&*p.name, &*p.value) <= (name, value));
        for entry in footer.dictionary.iter().skip(after.saturating_sub(1)) {
            let page = self.page(entry.at)?;
            let mut bytes = Take(&page);
            let (mut own_name, mut own_value) = (Vec::new(), Vec::new());
            while !bytes.is_empty() {
                let read = front_coded(&mut bytes, &mut own_name)
                    .and_then(|()| front_coded(&mut bytes, &mut own_value))
                    .and_then(|()| bytes.bytes());
                let Some(series) = read else { return Err(self.damaged(entry.at.offset, "page of label pairs")) };
                if (own_name.as_slice(), own_value.as_slice()) >= (name, value) && !each(&own_name, &own_value, series)
                {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Reads `shared length, rest` into `text`, which holds the one before.
fn front_coded(bytes: &mut Take<'_>, text: &mut Vec<u8>) -> Option<()> {
    let shared = bytes.count(text.len())?;
    let rest = bytes.bytes()?;
    text.truncate(shared);
    text.extend_from_slice(rest);
    Some(())
}

/// Label pairs of a block.
pub(crate) struct BlockPairs<'a> {
    pub(crate) block: &'a Block,
    pub(crate) footer: &'a Footer,
}

impl PairLookup for BlockPairs<'_> {
    type Error = DiskError;

    fn series_with(&self, name: &str, value: &str, set: &mut RoaringBitmap) -> Result<(), DiskError> {
        let mut intact = true;
        self.block.pairs_from(self.footer, name.as_bytes(), value.as_bytes(), &mut |n, v, series| {
            if (n, v) == (name.as_bytes(), value.as_bytes()) {
                intact = add_encoded(series, set);
            }
            false
        })?;
        if intact { Ok(()) } else { Err(self.block.damaged(0, "list of series")) }
    }

    fn series_where(
        &self,
        name: &str,
        accept: &mut dyn FnMut(&str) -> bool,
        set: &mut RoaringBitmap,
    ) -> Result<(), DiskError> {
        let mut intact = true;
        self.block.pairs_from(self.footer, name.as_bytes(), &[], &mut |n, v, series| {
            if n != name.as_bytes() {
                return false;
            }
            if std::str::from_utf8(v).is_ok_and(&mut *accept) {
                intact &= add_encoded(series, set);
            }
            true
        })?;
        if intact { Ok(()) } else { Err(self.block.damaged(0, "list of series")) }
    }

    fn all_series(&self) -> Result<RoaringBitmap, DiskError> {
        let mut all = RoaringBitmap::new();
        all.insert_range(0..self.footer.series);
        Ok(all)
    }
}

/// Reads labels of ascending series numbers.
pub(crate) struct LabelReader {
    page: Option<(usize, Page)>,
    offset: usize,
    /// Number of the series that comes next in the page.
    next: u32,
    labels: Vec<u8>,
}

impl LabelReader {
    pub(crate) fn new() -> Self {
        LabelReader { page: None, offset: 0, next: 0, labels: Vec::new() }
    }

    /// The encoded labels of `series`, which is above all asked for before.
    pub(crate) fn labels(&mut self, block: &Block, footer: &Footer, series: u32) -> Result<&[u8], DiskError> {
        let at = footer.labels.partition_point(|p| p.first <= series).saturating_sub(1);
        let Some(entry) = footer.labels.get(at) else { return Err(block.damaged(0, "no page of labels")) };
        let page = match &self.page {
            Some((same, page)) if *same == at => page,
            _ => {
                (self.offset, self.next) = (0, entry.first);
                self.labels.clear();
                &self.page.insert((at, block.page(entry.at)?)).1
            }
        };
        let mut bytes = Take(page.get(self.offset..).unwrap_or_default());
        while self.next <= series {
            if front_coded(&mut bytes, &mut self.labels).is_none() {
                return Err(block.damaged(entry.at.offset, "page of labels"));
            }
            self.next += 1;
        }
        self.offset = page.len() - bytes.0.len();
        Ok(&self.labels)
    }

    /// Gives back the page; it is fetched again when needed.
    pub(crate) fn release(&mut self) {
        self.page = None;
    }
}

/// Reads timestamp columns, keeping the directory of the last page.
#[derive(Default)]
pub(crate) struct TimesReader {
    page: Option<(usize, Page, TimesPage)>,
}

impl TimesReader {
    /// Reads column `number` into `out`.
    pub(crate) fn column(
        &mut self,
        block: &Block,
        footer: &Footer,
        number: u32,
        out: &mut Vec<i64>,
    ) -> Result<(), DiskError> {
        let at = footer.times.partition_point(|p| p.first <= number).saturating_sub(1);
        let Some(entry) = footer.times.get(at) else { return Err(block.damaged(0, "no page of timestamps")) };
        if self.page.as_ref().is_none_or(|(open, _, _)| *open != at) {
            let page = block.page(entry.at)?;
            let directory = TimesPage::open(&page);
            let directory = directory.ok_or_else(|| block.damaged(entry.at.offset, "page of timestamps"))?;
            self.page = Some((at, page, directory));
        }
        let Some((_, page, directory)) = &self.page else { return Ok(()) };
        directory
            .column(page, (number - entry.first) as usize, footer.base_ms, out)
            .ok_or_else(|| block.damaged(entry.at.offset, "timestamps of a series"))
    }
}
