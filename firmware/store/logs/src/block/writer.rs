//! Writing a block: streams in order of labels, each stream's entries in order of time.

use crate::block::CONTENT_VERSION;
use crate::block::index::{GroupEntry, Names, Place, StreamEntry};
use crate::dictionary::DictionaryWriter;
use crate::filter::FilterBuilder;
use crate::group::{GROUP_ENTRIES, GROUP_RAW_BYTES, GroupEncoder};
use crate::rows::Rows;
use crate::varint::{put, put_bytes};
use bramble_disk::segment::{PageCodec, PageRef, SegmentHeader, SegmentSummary, SegmentWriter};
use bramble_disk::{Disk, DiskError};
use bramble_signal::{Labels, LabelsRef, LogEntry, Signal, floating_label};
use bramble_storage::{BlockId, BlockMeta, RetentionClass, Sequence};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Groups below this many raw bytes share a page that is compressed as a whole.
const TINY_RAW_BYTES: usize = 12 << 10;
/// Encoded groups below this size share a page.
const SHARED_BELOW_BYTES: usize = 24 << 10;
/// A shared page is closed at this size.
const SHARED_PAGE_BYTES: usize = 64 << 10;

/// Small pieces that share a page.
struct Shared {
    codec: PageCodec,
    page: u32,
    bytes: Vec<u8>,
}

impl Shared {
    fn new(codec: PageCodec) -> Self {
        Shared { codec, page: 0, bytes: Vec::new() }
    }
}

/// The stream being written.
struct OpenStream {
    entry: StreamEntry,
    dictionary: DictionaryWriter,
    /// Whether a group was large enough for columns of its own.
    squeezed: bool,
}

/// What a block is of.
#[derive(Clone, Debug)]
pub(crate) struct BlockIdentity {
    pub(crate) id: BlockId,
    pub(crate) day: i32,
    pub(crate) class: RetentionClass,
    pub(crate) journal: (Sequence, Sequence),
    pub(crate) replaces: Vec<BlockId>,
}

/// Writes one block in a stream. Holds one group's entries and columns, one dictionary, and small shared pages.
pub(crate) struct BlockWriter {
    segment: SegmentWriter,
    identity: BlockIdentity,
    encoder: GroupEncoder,
    pages: Vec<PageRef>,
    index: Vec<u8>,
    stream_count: u64,
    stream: Option<OpenStream>,
    rows: Rows,
    filter: FilterBuilder,
    tiny: Shared,
    small: Shared,
    filters: Shared,
    buffer: Vec<u8>,
    min_time_ns: i64,
    max_time_ns: i64,
    items: u64,
    dictionary_bytes: usize,
    filter_bytes: usize,
    /// Names of labels that float in entries.
    floating: BTreeSet<Box<str>>,
}

impl BlockWriter {
    /// Starts a block.
    pub(crate) fn create(disk: Arc<dyn Disk>, identity: BlockIdentity) -> Result<Self, DiskError> {
        let name = BlockMeta::name_of(Signal::Logs, identity.class, identity.day, identity.id);
        let header = SegmentHeader {
            signal: Signal::Logs.code(),
            class: identity.class.code(),
            content_version: CONTENT_VERSION,
            block: identity.id.0,
            day: identity.day,
            journal_from: identity.journal.0,
            journal_to: identity.journal.1,
            replaces: identity.replaces.iter().map(|id| id.0).collect(),
        };
        Ok(BlockWriter {
            segment: SegmentWriter::create(disk, &name, header)?,
            identity,
            encoder: GroupEncoder::new(),
            pages: Vec::new(),
            index: Vec::new(),
            stream_count: 0,
            stream: None,
            rows: Rows::default(),
            filter: FilterBuilder::default(),
            tiny: Shared::new(PageCodec::Zstd(3)),
            small: Shared::new(PageCodec::Raw),
            filters: Shared::new(PageCodec::Raw),
            buffer: Vec::new(),
            min_time_ns: i64::MAX,
            max_time_ns: i64::MIN,
            items: 0,
            dictionary_bytes: 0,
            filter_bytes: 0,
            floating: BTreeSet::new(),
        })
    }

    /// Bytes in the file so far.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.segment.written_bytes()
    }

    /// Whether there is anything to publish.
    pub(crate) fn has_entries(&self) -> bool {
        self.items > 0 || !self.rows.is_empty()
    }

    /// Ends the stream before and starts that of `labels`, which come in ascending order.
    pub(crate) fn start_stream(&mut self, labels: &Labels) -> Result<(), DiskError> {
        self.end_stream()?;
        let entry = StreamEntry { labels: labels.clone(), dictionary: Place::default(), groups: Vec::new() };
        self.stream = Some(OpenStream { entry, dictionary: DictionaryWriter::default(), squeezed: false });
        Ok(())
    }

    /// Adds an entry of the stream started last, not older than the one before. Returns whether a page group was
    /// finished by it.
    pub(crate) fn push(&mut self, entry: &LogEntry<'_>) -> Result<bool, DiskError> {
        self.rows.push(entry.timestamp_ns, entry.line, entry.metadata.as_bytes());
        let full = self.rows.raw_bytes() >= GROUP_RAW_BYTES || self.rows.len() >= GROUP_ENTRIES;
        if full {
            self.write_group()?;
        }
        Ok(full)
    }

    fn write_group(&mut self) -> Result<(), DiskError> {
        let Some(mut stream) = self.stream.take() else { return Ok(()) };
        let rows = std::mem::take(&mut self.rows);
        if let (Some(&min_time_ns), Some(&max_time_ns)) = (rows.timestamps_ns().first(), rows.timestamps_ns().last()) {
            let squeeze = rows.raw_bytes() >= TINY_RAW_BYTES;
            self.encoder.columns.squeeze = squeeze;
            stream.squeezed |= squeeze;
            let mut buffer = std::mem::take(&mut self.buffer);
            self.encoder.write(&rows, &mut stream.dictionary, &mut buffer);
            let columns = self.place(&buffer, squeeze)?;
            buffer.clear();
            self.encoder.add_ids(&rows, &mut self.filter);
            let (mut names, mut before) = (Names::NONE, Vec::new());
            for at in 0..rows.len() {
                for (nth, (name, _)) in LabelsRef::from_encoded(rows.metadata(at)).iter_bytes().enumerate() {
                    // Most have the same names in the same places as the one before.
                    if before.get(nth) == Some(&name) {
                        continue;
                    }
                    before.truncate(nth);
                    before.push(name);
                    let name = std::str::from_utf8(name).unwrap_or_default();
                    names.add(name);
                    if let Some(floating) = floating_label(name).filter(|name| !self.floating.contains(*name)) {
                        self.floating.insert(floating.into());
                    }
                }
            }
            self.filter.finish(&mut buffer);
            self.filter_bytes += buffer.len();
            let filter = share(&mut self.filters, &mut self.pages, &mut self.segment, &buffer)?;
            buffer.clear();
            self.buffer = buffer;
            let (entries, raw_bytes) = (rows.len() as u64, rows.raw_bytes() as u64);
            let equal_times = rows.timestamps_ns().windows(2).any(|pair| pair[0] == pair[1]);
            let group = GroupEntry {
                min_time_ns,
                max_time_ns,
                entries,
                raw_bytes,
                volume_bytes: rows.volume_bytes(),
                equal_times,
                names,
                columns,
                filter,
            };
            stream.entry.groups.push(group);
            self.min_time_ns = self.min_time_ns.min(min_time_ns);
            self.max_time_ns = self.max_time_ns.max(max_time_ns);
            self.items += entries;
        }
        self.rows = rows;
        self.rows.clear();
        self.stream = Some(stream);
        Ok(())
    }

    /// Puts an encoded group or dictionary where its size belongs.
    fn place(&mut self, bytes: &[u8], squeezed: bool) -> Result<Place, DiskError> {
        if bytes.len() >= SHARED_BELOW_BYTES {
            let page = self.pages.len() as u32;
            self.pages.push(self.segment.write_page(bytes, PageCodec::Raw)?);
            return Ok(Place { page, offset: 0, bytes: bytes.len() as u32 });
        }
        let shared = if squeezed { &mut self.small } else { &mut self.tiny };
        share(shared, &mut self.pages, &mut self.segment, bytes)
    }

    fn end_stream(&mut self) -> Result<(), DiskError> {
        self.write_group()?;
        let Some(mut stream) = self.stream.take() else { return Ok(()) };
        if stream.entry.groups.is_empty() {
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        self.encoder.columns.squeeze = stream.squeezed;
        stream.dictionary.write(&mut self.encoder.columns, &mut buffer);
        self.dictionary_bytes += buffer.len();
        stream.entry.dictionary = self.place(&buffer, stream.squeezed)?;
        buffer.clear();
        self.buffer = buffer;
        stream.entry.put(&mut self.index);
        self.stream_count += 1;
        Ok(())
    }

    /// Ends the block and publishes it; counts groups that did not read as they were written.
    pub(crate) fn finish(mut self, failures: &prometheus::IntCounter) -> Result<BlockMeta, DiskError> {
        self.end_stream()?;
        failures.inc_by(self.encoder.failures);
        let (columns, dictionary_bytes, filter_bytes) = (self.encoder.took(), self.dictionary_bytes, self.filter_bytes);
        tracing::debug!(
            block = self.identity.id.0,
            items = self.items,
            timestamps_bytes = columns.timestamps,
            lines_bytes = ?columns.lines,
            metadata_bytes = columns.metadata,
            dictionary_bytes,
            filter_bytes,
            index_bytes = self.index.len(),
            "log block"
        );
        for shared in [&mut self.tiny, &mut self.small, &mut self.filters] {
            close(shared, &mut self.pages, &mut self.segment)?;
        }
        let mut footer = Vec::with_capacity(self.index.len() + self.pages.len() * 8 + 16);
        put(&mut footer, self.pages.len() as u64);
        self.pages.iter().for_each(|page| page.put(&mut footer));
        put(&mut footer, self.stream_count);
        footer.extend_from_slice(&self.index);
        put(&mut footer, self.floating.len() as u64);
        self.floating.iter().for_each(|name| put_bytes(&mut footer, name.as_bytes()));
        let (min_time_ns, max_time_ns, items) = (self.min_time_ns, self.max_time_ns, self.items);
        let info = self.segment.finish(&footer, SegmentSummary { min_time_ns, max_time_ns, items })?;
        Ok(BlockMeta {
            id: self.identity.id,
            signal: Signal::Logs,
            class: self.identity.class,
            day: self.identity.day,
            min_time_ns,
            max_time_ns,
            items,
            file_bytes: info.file_bytes,
            journal_from: self.identity.journal.0,
            journal_to: self.identity.journal.1,
            replaces: self.identity.replaces,
        })
    }

    /// Memory held, about, in bytes; compression contexts and the segment's piece included.
    pub(crate) fn memory_bytes(&self) -> usize {
        const CONTEXTS_BYTES: usize = 3 << 20;
        let dictionary = self.stream.as_ref().map_or(0, |s| s.dictionary.memory_bytes());
        CONTEXTS_BYTES + self.rows.memory_bytes() + self.buffer.capacity() + self.index.capacity() + dictionary
    }
}

fn share(
    shared: &mut Shared,
    pages: &mut Vec<PageRef>,
    segment: &mut SegmentWriter,
    bytes: &[u8],
) -> Result<Place, DiskError> {
    if shared.bytes.is_empty() {
        shared.page = pages.len() as u32;
        pages.push(PageRef::default());
    }
    let place = Place { page: shared.page, offset: shared.bytes.len() as u32, bytes: bytes.len() as u32 };
    shared.bytes.extend_from_slice(bytes);
    if shared.bytes.len() >= SHARED_PAGE_BYTES {
        close(shared, pages, segment)?;
    }
    Ok(place)
}

fn close(shared: &mut Shared, pages: &mut [PageRef], segment: &mut SegmentWriter) -> Result<(), DiskError> {
    if !shared.bytes.is_empty() {
        let written = segment.write_page(&shared.bytes, shared.codec)?;
        if let Some(page) = pages.get_mut(shared.page as usize) {
            *page = written;
        }
        shared.bytes.clear();
    }
    Ok(())
}
