//! Between the catalog's rows, segments' headers and [`BlockMeta`].

use bramble_catalog::BlockRow;
use bramble_disk::segment::SegmentInfo;
use bramble_signal::Signal;
use bramble_storage::{BlockId, BlockMeta, RetentionClass};

/// The catalog's row of a block.
pub(crate) fn row_of(meta: &BlockMeta) -> BlockRow {
    BlockRow {
        id: meta.id.0,
        signal: meta.signal.code(),
        class: meta.class.code(),
        day: meta.day,
        min_time_ns: meta.min_time_ns,
        max_time_ns: meta.max_time_ns,
        items: meta.items,
        file_bytes: meta.file_bytes,
        journal_from: meta.journal_from,
        journal_to: meta.journal_to,
        replaces: meta.replaces.iter().map(|id| id.0).collect(),
    }
}

/// The block of a row; `None` when the row names a signal or class that this version does not know.
pub(crate) fn meta_of_row(row: &BlockRow) -> Option<BlockMeta> {
    Some(BlockMeta {
        id: BlockId(row.id),
        signal: Signal::from_code(row.signal)?,
        class: RetentionClass::from_code(row.class)?,
        day: row.day,
        min_time_ns: row.min_time_ns,
        max_time_ns: row.max_time_ns,
        items: row.items,
        file_bytes: row.file_bytes,
        journal_from: row.journal_from,
        journal_to: row.journal_to,
        replaces: row.replaces.iter().map(|&id| BlockId(id)).collect(),
    })
}

/// The block of a segment's own header and trailer.
pub(crate) fn meta_of_segment(info: &SegmentInfo) -> Option<BlockMeta> {
    Some(BlockMeta {
        id: BlockId(info.header.block),
        signal: Signal::from_code(info.header.signal)?,
        class: RetentionClass::from_code(info.header.class)?,
        day: info.header.day,
        min_time_ns: info.summary.min_time_ns,
        max_time_ns: info.summary.max_time_ns,
        items: info.summary.items,
        file_bytes: info.file_bytes,
        journal_from: info.header.journal_from,
        journal_to: info.header.journal_to,
        replaces: info.header.replaces.iter().map(|&id| BlockId(id)).collect(),
    })
}
