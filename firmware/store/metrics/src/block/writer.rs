//! Writes one metric block, series after series in label order.

use super::footer::{BlockKind, CountedPage, DataPage, DictionaryPage, Footer};
use super::metadata::encode_metadata;
use super::page::{PAGE_SERIES, PageBuilder};
use super::rich::{ExemplarPage, RichWriter, encode_exemplars};
use super::times::TimesWriter;
use crate::bytes::{pairs, put_bytes, put_varint};
use crate::exemplars::Exemplars;
use crate::pairs::PairSet;
use crate::samples::Samples;
use bramble_disk::segment::{PageCodec, PageRef, SEGMENT_WRITER_BYTES, SegmentHeader, SegmentSummary, SegmentWriter};
use bramble_disk::{Disk, DiskError};
use bramble_runtime::Reservation;
use bramble_signal::{MetricMetadata, Signal, histogram_marker, is_histogram_marker};
use bramble_storage::{BlockId, BlockMeta, RetentionClass, Sequence, StoreError};
use std::sync::Arc;

/// Version of the pages' meaning. 1 had no rich pages.
pub(crate) const CONTENT_VERSION: u16 = 2;
/// Raw bytes after which a page of labels or of label pairs is closed.
const INDEX_PAGE_BYTES: usize = 32 << 10;
const INDEX_ZSTD_LEVEL: i32 = 3;
/// Most values of one series in a page; a longer one goes on as another series of the same labels.
const SERIES_VALUES_MAX: usize = 64 << 10;
/// Beside the segment writer: a page being gathered and its encoder.
pub(crate) const WRITER_BYTES: usize = SEGMENT_WRITER_BYTES + (1 << 20);

/// And a page of histograms with its encoder.
const RICH_WRITER_BYTES: usize = 2 << 20;

/// Name and value of a dictionary page's first pair.
type FirstPair = (Box<[u8]>, Box<[u8]>);

/// What a new block is.
pub(crate) struct NewBlock {
    pub(crate) id: BlockId,
    pub(crate) class: RetentionClass,
    pub(crate) day: i32,
    pub(crate) journal: (Sequence, Sequence),
    pub(crate) replaces: Vec<BlockId>,
    pub(crate) rank: u64,
    pub(crate) rank_from: u64,
    pub(crate) kind: BlockKind,
    pub(crate) page_values: usize,
}

/// A block being written.
pub(crate) struct BlockWriter {
    segment: SegmentWriter,
    block: NewBlock,
    footer: Footer,
    page: PageBuilder,
    page_first: u32,
    page_range: (i64, i64),
    times: TimesWriter,
    times_count: u32,
    labels: Vec<u8>,
    labels_first: u32,
    last_labels: Vec<u8>,
    /// The last series' pairs by position: the next one's are mostly the same.
    last_pairs: Vec<u32>,
    index: PairSet,
    histograms: u32,
    rich: RichWriter,
    has_rich: bool,
    scratch: Vec<u8>,
    range: (i64, i64),
    space: Reservation,
}

/// A disk's failure as a store's.
pub(crate) fn store_error(block: BlockId, error: DiskError) -> StoreError {
    match error {
        DiskError::Full { .. } => StoreError::Full(error.to_string()),
        DiskError::Corrupt { .. } => StoreError::Damaged { block, what: error.to_string() },
        DiskError::PowerLost => StoreError::Stopped,
        _ => StoreError::Disk(error.to_string()),
    }
}

impl BlockWriter {
    /// Starts a block. `space` of the merge budget grows with the label index.
    pub(crate) fn create(disk: &Arc<dyn Disk>, block: NewBlock, mut space: Reservation) -> Result<Self, DiskError> {
        space.force_resize(WRITER_BYTES);
        let name = BlockMeta::name_of(Signal::Metrics, block.class, block.day, block.id);
        let header = SegmentHeader {
            signal: Signal::Metrics.code(),
            class: block.class.code(),
            content_version: CONTENT_VERSION,
            block: block.id.0,
            day: block.day,
            journal_from: block.journal.0,
            journal_to: block.journal.1,
            replaces: block.replaces.iter().map(|id| id.0).collect(),
        };
        let base_ms = i64::from(block.day) * 86_400_000;
        Ok(BlockWriter {
            segment: SegmentWriter::create(disk.clone(), &name, header)?,
            footer: Footer {
                rank: block.rank,
                rank_from: block.rank_from,
                kind: block.kind,
                base_ms,
                ..Footer::default()
            },
            block,
            page: PageBuilder::default(),
            page_first: 0,
            page_range: (i64::MAX, i64::MIN),
            times: TimesWriter::new(base_ms),
            times_count: 0,
            labels: Vec::new(),
            labels_first: 0,
            last_labels: Vec::new(),
            last_pairs: Vec::new(),
            index: PairSet::default(),
            histograms: 0,
            rich: RichWriter::default(),
            has_rich: false,
            scratch: Vec::new(),
            range: (i64::MAX, i64::MIN),
            space,
        })
    }

    /// Bytes written so far.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.segment.written_bytes()
    }

    /// Memory of the label index, in bytes.
    pub(crate) fn index_bytes(&self) -> usize {
        self.index.heap_bytes()
    }

    /// Adds a series: `labels` encoded, not below the last ones; timestamps strictly ascending, as many values, not
    /// none.
    pub(crate) fn add_samples(&mut self, labels: &[u8], samples: &Samples) -> Result<(), DiskError> {
        if samples.is_plain() {
            return self.add(labels, &samples.timestamps_ms, &samples.values);
        }
        if !self.has_rich {
            self.has_rich = true;
            self.space.force_resize(self.space.bytes() + RICH_WRITER_BYTES);
        }
        let first = self.footer.series;
        let without_place = |v: &f64| if is_histogram_marker(*v) { histogram_marker(0) } else { *v };
        let values: Vec<f64> = samples.values.iter().map(without_place).collect();
        self.add(labels, &samples.timestamps_ms, &values)?;
        for (series, from) in (first..).zip((0..samples.len()).step_by(SERIES_VALUES_MAX)) {
            let within = from..(from + SERIES_VALUES_MAX).min(samples.len());
            self.rich.add(series, samples, within, &mut self.segment, &mut self.footer.rich)?;
        }
        Ok(())
    }

    /// As [`add_samples`](Self::add_samples), of numbers alone.
    pub(crate) fn add(&mut self, labels: &[u8], timestamps_ms: &[i64], values: &[f64]) -> Result<(), DiskError> {
        if self.page.values() > 0 && self.is_other_metric(labels) && self.page.values() >= self.block.page_values / 2 {
            self.flush_page()?;
        }
        for (times, values) in timestamps_ms.chunks(SERIES_VALUES_MAX).zip(values.chunks(SERIES_VALUES_MAX)) {
            self.add_part(labels, times, values)?;
        }
        Ok(())
    }

    fn is_other_metric(&self, labels: &[u8]) -> bool {
        pairs(labels).next().map(|p| p.encoded) != pairs(&self.last_labels).next().map(|p| p.encoded)
    }

    fn add_part(&mut self, labels: &[u8], timestamps_ms: &[i64], values: &[f64]) -> Result<(), DiskError> {
        let (Some(&first), Some(&last)) = (timestamps_ms.first(), timestamps_ms.last()) else { return Ok(()) };
        let column = self.times.intern(timestamps_ms);
        if self.times.is_full() {
            self.flush_times()?;
        }
        // Parts of rollups are not counts of one histogram, whatever their labels.
        let bucket = if self.block.kind == BlockKind::Samples { self.bucket(labels) } else { None };
        self.add_labels(labels)?;
        self.page.push(column, values, bucket);
        self.page_range = (self.page_range.0.min(first), self.page_range.1.max(last));
        self.range = (self.range.0.min(first), self.range.1.max(last));
        self.footer.series += 1;
        self.footer.samples += values.len() as u64;
        if self.page.values() >= self.block.page_values || self.page.series() >= PAGE_SERIES {
            self.flush_page()?;
        }
        Ok(())
    }

    /// For a classic histogram's bucket: a number for the histogram, and the upper bound.
    fn bucket(&mut self, labels: &[u8]) -> Option<(u32, f64)> {
        let bound = pairs(labels).find(|pair| pair.name == b"le")?;
        let bound = std::str::from_utf8(bound.value).ok()?.parse().ok().filter(|b: &f64| !b.is_nan())?;
        let others = |set| pairs(set).filter(|pair| pair.name != b"le").map(|pair| pair.encoded);
        let had_bound = pairs(&self.last_labels).any(|pair| pair.name == b"le");
        if !had_bound || !others(labels).eq(others(&self.last_labels)) {
            self.histograms = self.histograms.wrapping_add(1);
        }
        Some((self.histograms, bound))
    }

    fn add_labels(&mut self, labels: &[u8]) -> Result<(), DiskError> {
        let number = self.footer.series;
        for (place, pair) in pairs(labels).enumerate() {
            let id = match self.last_pairs.get(place) {
                Some(&id) if self.index.encoded(id) == pair.encoded => id,
                _ => self.index.intern(pair),
            };
            match self.last_pairs.get_mut(place) {
                Some(slot) => *slot = id,
                None => self.last_pairs.push(id),
            }
            self.index.post(id, number);
        }
        let shared = self.last_labels.iter().zip(labels).take_while(|(a, b)| a == b).count();
        let shared = if self.labels.is_empty() { 0 } else { shared };
        put_varint(&mut self.labels, shared as u64);
        put_bytes(&mut self.labels, labels.get(shared..).unwrap_or_default());
        self.last_labels.clear();
        self.last_labels.extend_from_slice(labels);
        if self.labels.len() >= INDEX_PAGE_BYTES {
            let rich = if self.has_rich { RICH_WRITER_BYTES } else { 0 };
            self.space.force_resize(WRITER_BYTES + rich + self.index.heap_bytes());
            self.flush_labels(number + 1)?;
        }
        Ok(())
    }

    fn flush_page(&mut self) -> Result<(), DiskError> {
        if self.page.series() == 0 {
            return Ok(());
        }
        let encoded = self.page.finish(&mut self.scratch);
        encoded.map_err(|what| DiskError::corrupt("metric page", 0, format!("cannot encode values: {what}")))?;
        let at = self.segment.write_page(&self.scratch, PageCodec::Raw)?;
        let (min_ms, max_ms) = std::mem::replace(&mut self.page_range, (i64::MAX, i64::MIN));
        self.footer.data.push(DataPage { at, first: self.page_first, min_ms, max_ms });
        self.page_first = self.footer.series;
        Ok(())
    }

    fn flush_times(&mut self) -> Result<(), DiskError> {
        if let Some((page, count)) = self.times.page() {
            let at = self.segment.write_page(&page, PageCodec::Zstd(INDEX_ZSTD_LEVEL))?;
            self.footer.times.push(CountedPage { at, first: self.times_count });
            self.times_count += count;
        }
        Ok(())
    }

    fn flush_labels(&mut self, end: u32) -> Result<(), DiskError> {
        if !self.labels.is_empty() {
            let at = self.segment.write_page(&self.labels, PageCodec::Zstd(INDEX_ZSTD_LEVEL))?;
            self.footer.labels.push(CountedPage { at, first: self.labels_first });
            self.labels_first = end;
            self.labels.clear();
        }
        Ok(())
    }

    fn write_dictionary(&mut self) -> Result<(), DiskError> {
        let mut page = Vec::with_capacity(INDEX_PAGE_BYTES + 1024);
        let mut first = None::<FirstPair>;
        let (mut last_name, mut last_value): (&[u8], &[u8]) = (&[], &[]);
        let sorted = self.index.sorted();
        let mut list = Vec::new();
        for (at, &id) in sorted.iter().enumerate() {
            let (name, value) = self.index.name_value(id);
            if first.is_none() {
                first = Some((name.into(), value.into()));
                (last_name, last_value) = (&[], &[]);
            }
            for (text, last) in [(name, &mut last_name), (value, &mut last_value)] {
                let shared = last.iter().zip(text).take_while(|(a, b)| a == b).count();
                put_varint(&mut page, shared as u64);
                put_bytes(&mut page, &text[shared..]);
                *last = text;
            }
            list.clear();
            if let Some(postings) = self.index.postings(id) {
                postings.encode(&mut list);
            }
            put_bytes(&mut page, &list);
            if (page.len() >= INDEX_PAGE_BYTES || at + 1 == sorted.len())
                && let Some((name, value)) = first.take()
            {
                let at = self.segment.write_page(&page, PageCodec::Zstd(INDEX_ZSTD_LEVEL))?;
                self.footer.dictionary.push(DictionaryPage { at, name, value });
                page.clear();
            }
        }
        Ok(())
    }

    fn write_metadata(&mut self, metadata: &[MetricMetadata]) -> Result<Option<PageRef>, DiskError> {
        if metadata.is_empty() {
            return Ok(None);
        }
        self.segment.write_page(&encode_metadata(metadata), PageCodec::Zstd(INDEX_ZSTD_LEVEL)).map(Some)
    }

    fn write_exemplars(&mut self, exemplars: &Exemplars<Vec<u8>>) -> Result<(), DiskError> {
        for (page, min_ms, max_ms) in encode_exemplars(exemplars) {
            let at = self.segment.write_page(&page, PageCodec::Zstd(INDEX_ZSTD_LEVEL))?;
            self.footer.rich.exemplars.push(ExemplarPage { at, min_ms, max_ms });
        }
        Ok(())
    }

    /// Writes what remains, and publishes the block.
    pub(crate) fn finish(
        mut self,
        metadata: &[MetricMetadata],
        exemplars: &Exemplars<Vec<u8>>,
    ) -> Result<BlockMeta, DiskError> {
        self.flush_page()?;
        self.rich.finish(&mut self.segment, &mut self.footer.rich)?;
        self.write_exemplars(exemplars)?;
        self.flush_times()?;
        self.flush_labels(self.footer.series)?;
        self.write_dictionary()?;
        self.footer.metadata = self.write_metadata(metadata)?;
        let summary = SegmentSummary {
            min_time_ns: self.range.0.saturating_mul(1_000_000),
            max_time_ns: self.range.1.saturating_mul(1_000_000),
            items: self.footer.samples,
        };
        let info = self.segment.finish(&self.footer.encode(self.times_count), summary)?;
        Ok(BlockMeta {
            id: self.block.id,
            signal: Signal::Metrics,
            class: self.block.class,
            day: self.block.day,
            min_time_ns: summary.min_time_ns,
            max_time_ns: summary.max_time_ns,
            items: summary.items,
            file_bytes: info.file_bytes,
            journal_from: self.block.journal.0,
            journal_to: self.block.journal.1,
            replaces: self.block.replaces,
        })
    }
}
