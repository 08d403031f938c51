//! A block: a segment of groups and an index.

use crate::columns::AttributeSource;
use crate::group_read::{GroupHeader, damaged};
use crate::group_write::{GroupBuilder, GroupEntry, Row, ShapeMap, SourceShape};
use crate::ids::Fronts;
use crate::index::{BlockIndex, OperationSet};
use crate::rows::{Group, Rows};
use crate::view::{SpanView, service_of};
use bramble_disk::segment::{PageRef, SegmentHeader, SegmentInfo, SegmentReader, SegmentSummary, SegmentWriter};
use bramble_disk::{Disk, DiskError, Page, PageCache};
use bramble_runtime::{Budget, Reservation};
use bramble_signal::{Signal, TraceId};
use bramble_storage::{BlockId, BlockMeta, RetentionClass, Sequence, StoreError};
use parking_lot::Mutex;
use std::sync::Arc;

/// The version of this store's pages.
pub(crate) const CONTENT_VERSION: u16 = 3;

/// A store's word for a disk's error.
pub(crate) fn store_error(block: BlockId, error: &DiskError) -> StoreError {
    match error {
        DiskError::Full { .. } => StoreError::Full(error.to_string()),
        DiskError::Corrupt { .. } | DiskError::NewerVersion { .. } => {
            StoreError::Damaged { block, what: error.to_string() }
        }
        DiskError::PowerLost => StoreError::Stopped,
        _ => StoreError::Disk(error.to_string()),
    }
}

/// Where a block belongs and what it comes from.
pub(crate) struct Origin {
    pub(crate) class: RetentionClass,
    pub(crate) day: i32,
    pub(crate) journal_from: Sequence,
    pub(crate) journal_to: Sequence,
    pub(crate) replaces: Vec<BlockId>,
    /// See [`BlockIndex::age`]; `None`: the block's own number.
    pub(crate) age: Option<u64>,
}

/// Writes spans, sorted by (trace id, start, span id), as one block.
pub(crate) struct BlockWriter {
    id: BlockId,
    age: u64,
    segment: SegmentWriter,
    builder: GroupBuilder,
    groups: Vec<GroupEntry>,
    operations: OperationSet,
}

impl BlockWriter {
    /// Starts block `id`.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn create(disk: Arc<dyn Disk>, id: BlockId, origin: &Origin) -> Result<Self, StoreError> {
        let header = SegmentHeader {
            signal: Signal::Traces.code(),
            class: origin.class.code(),
            content_version: CONTENT_VERSION,
            block: id.0,
            day: origin.day,
            journal_from: origin.journal_from,
            journal_to: origin.journal_to,
            replaces: origin.replaces.iter().map(|b| b.0).collect(),
        };
        let name = BlockMeta::name_of(Signal::Traces, origin.class, origin.day, id);
        let segment = SegmentWriter::create(disk, &name, header).map_err(|e| store_error(id, &e))?;
        Ok(BlockWriter {
            id,
            age: origin.age.unwrap_or(id.0),
            segment,
            builder: GroupBuilder::default(),
            groups: Vec::new(),
            operations: OperationSet::default(),
        })
    }

    /// Appends a span, see [`GroupBuilder::push`]. `true` when a group was written: a good moment to ask whether to go on.
    ///
    /// # Errors
    /// What the disk says; drop the writer then.
    pub(crate) fn push<'s>(
        &mut self,
        row: &Row<'_>,
        shapes: &mut ShapeMap,
        shape_of: impl FnOnce() -> SourceShape<'s>,
        attributes: &mut impl AttributeSource,
    ) -> Result<bool, StoreError> {
        self.builder.push(row, shapes, shape_of, attributes);
        let full = self.builder.is_full();
        if full {
            self.finish_group()?;
        }
        Ok(full)
    }

    fn finish_group(&mut self) -> Result<(), StoreError> {
        for (resource, name, kind) in self.builder.operations() {
            self.operations.add(service_of(resource), std::str::from_utf8(name).unwrap_or(""), kind);
        }
        let segment = &mut self.segment;
        let written = self.builder.finish(&mut |page, codec| segment.write_page(page, codec));
        self.groups.extend(written.map_err(|e| store_error(self.id, &e))?);
        Ok(())
    }

    /// Bytes written so far, without the open group.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.segment.written_bytes()
    }

    /// Memory of the open group and the index.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.builder.memory_bytes() + self.groups.capacity() * size_of::<GroupEntry>()
    }

    /// Publishes the block.
    ///
    /// # Errors
    /// What the disk says; there is no such block then.
    pub(crate) fn finish(mut self) -> Result<BlockMeta, StoreError> {
        self.finish_group()?;
        let narrow = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
        let summary = SegmentSummary {
            min_time_ns: narrow(self.groups.iter().map(|g| g.min_start_ns).min().unwrap_or(0)),
            max_time_ns: narrow(self.groups.iter().map(|g| g.max_start_ns).max().unwrap_or(0)),
            items: self.groups.iter().map(|g| u64::from(g.spans)).sum(),
        };
        let footer = BlockIndex::new(self.age, self.groups, self.operations).encode();
        let info = self.segment.finish(&footer, summary).map_err(|e| store_error(self.id, &e))?;
        meta_of(&info).ok_or_else(|| StoreError::Damaged { block: self.id, what: "its own header".to_owned() })
    }
}

/// A block's description from what its segment says; `None` when it is no trace block.
pub(crate) fn meta_of(info: &SegmentInfo) -> Option<BlockMeta> {
    let header = &info.header;
    Some(BlockMeta {
        id: BlockId(header.block),
        signal: Signal::from_code(header.signal).filter(|s| *s == Signal::Traces)?,
        class: RetentionClass::from_code(header.class)?,
        day: header.day,
        min_time_ns: info.summary.min_time_ns,
        max_time_ns: info.summary.max_time_ns,
        items: info.summary.items,
        file_bytes: info.file_bytes,
        journal_from: header.journal_from,
        journal_to: header.journal_to,
        replaces: header.replaces.iter().map(|b| BlockId(*b)).collect(),
    })
}

/// An open block.
pub(crate) struct Block {
    pub(crate) meta: BlockMeta,
    /// See [`BlockIndex::age`].
    pub(crate) age: u64,
    reader: SegmentReader,
    /// The index, kept while the budget has room.
    kept: Mutex<Option<(Arc<BlockIndex>, Reservation)>>,
    budget: Budget,
}

impl Block {
    /// Opens and checks a block: its segment and its index.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], also for a segment of another store or a newer version.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        cache: Arc<PageCache>,
        budget: Budget,
        meta: &BlockMeta,
    ) -> Result<Self, StoreError> {
        let fail = |error: DiskError| store_error(meta.id, &error);
        let wrong = |what: &str| StoreError::Damaged { block: meta.id, what: what.to_owned() };
        let reader = SegmentReader::open(disk, &meta.file_name(), cache).map_err(fail)?;
        let found = meta_of(reader.info()).ok_or_else(|| wrong("not a block of traces"))?;
        if found.id != meta.id {
            return Err(wrong("the file holds another block"));
        }
        let version = reader.info().header.content_version;
        if version != CONTENT_VERSION {
            return Err(wrong(&format!("written in trace format {version}, this Bramble reads {CONTENT_VERSION}")));
        }
        let mut block = Block { meta: found, age: 0, reader, kept: Mutex::new(None), budget };
        block.age = block.index().map_err(fail)?.age;
        Ok(block)
    }

    /// The index.
    ///
    /// # Errors
    /// Damage, or what the disk says.
    pub(crate) fn index(&self) -> Result<Arc<BlockIndex>, DiskError> {
        let mut kept = self.kept.lock();
        if let Some((index, _)) = kept.as_ref() {
            return Ok(index.clone());
        }
        let footer = self.reader.footer()?;
        let index = Arc::new(BlockIndex::decode(&footer).ok_or_else(|| damaged("index"))?);
        if let Ok(space) = self.budget.reserve(index.memory_bytes()) {
            *kept = Some((index.clone(), space));
        }
        Ok(index)
    }

    /// Pages of the block.
    ///
    /// # Errors
    /// Damage, or what the disk says.
    pub(crate) fn pages(&self, at: &[PageRef]) -> Result<Vec<Page>, DiskError> {
        self.reader.pages(at)
    }

    /// The fronts of a group's trace ids, which say whether a trace may be there.
    ///
    /// # Errors
    /// Damage, or what the disk says.
    pub(crate) fn filter(&self, entry: &GroupEntry) -> Result<Fronts, DiskError> {
        Fronts::take(&mut &self.reader.page(entry.filter)?[..]).ok_or_else(|| damaged("fronts of trace ids"))
    }

    /// A group's header.
    ///
    /// # Errors
    /// Damage, or what the disk says.
    pub(crate) fn header(&self, entry: &GroupEntry) -> Result<GroupHeader, DiskError> {
        GroupHeader::take(&self.reader.page(entry.header)?).ok_or_else(|| damaged("group header"))
    }

    /// A whole group.
    ///
    /// # Errors
    /// Damage, or what the disk says.
    pub(crate) fn group(&self, entry: &GroupEntry) -> Result<Group, DiskError> {
        Group::read(self.header(entry)?, &|at| self.pages(at))
    }
}

/// Walks all spans of a block in order, one group in memory.
pub(crate) struct BlockWalk {
    pub(crate) block: Arc<Block>,
    index: Arc<BlockIndex>,
    next_group: usize,
    current: Option<(Group, Rows)>,
    /// Of the current group, where it is written to.
    shapes: ShapeMap,
}

impl BlockWalk {
    /// At the block's first span.
    ///
    /// # Errors
    /// Damage, or what the disk says.
    pub(crate) fn new(block: Arc<Block>) -> Result<Self, DiskError> {
        let index = block.index()?;
        Ok(BlockWalk { block, index, next_group: 0, current: None, shapes: ShapeMap::default() })
    }

    /// The trace of the next span; `None` at the end. Reads the next group when needed.
    ///
    /// # Errors
    /// Damage, or what the disk says.
    pub(crate) fn next_trace(&mut self) -> Result<Option<TraceId>, DiskError> {
        loop {
            if let Some((group, rows)) = &mut self.current
                && let Some(trace) = rows.next_trace(group)
            {
                return Ok(group.trace_ids.get(trace as usize).copied());
            }
            // Given back before the next one is read, so that one group is in memory.
            self.current = None;
            let Some(entry) = self.index.groups.get(self.next_group) else { return Ok(None) };
            self.next_group += 1;
            let group = self.block.group(entry)?;
            let rows = Rows::new(&group);
            self.shapes.forget();
            self.current = Some((group, rows));
        }
    }

    /// The next span, after [`next_trace`](Self::next_trace) said that there is one.
    ///
    /// # Errors
    /// Damage.
    pub(crate) fn next<'a>(&'a mut self, scratch: &'a mut Vec<u8>) -> Result<SpanView<'a>, DiskError> {
        let (group, rows) = self.current.as_mut().ok_or_else(|| damaged("walk past the end"))?;
        rows.next(group, scratch).ok_or_else(|| damaged("span"))
    }

    /// Writes the next span to another block, after [`next_trace`](Self::next_trace) said that there is one.
    ///
    /// # Errors
    /// Damage, or what the disk says.
    pub(crate) fn write_next(&mut self, to: &mut BlockWriter) -> Result<(), StoreError> {
        let damage = |what| store_error(self.block.meta.id, &damaged(what));
        let (group, rows) = self.current.as_mut().ok_or_else(|| damage("walk past the end"))?;
        let (row, mut values) = rows.next_row(group).ok_or_else(|| damage("span"))?;
        to.push(&row, &mut self.shapes, || group.shape(row.shape), &mut values).map(drop)
    }
}
