//! The segment container: the immutable file of a block.
//!
//! ```text
//! file     := header page* footer zero* trailer          a multiple of 4 KiB long
//! header   := magic, version, signal, class, block, day, journal range, replaced blocks, CRC
//! page     := codec (1 byte) CRC32C (4 bytes) payload     the CRC covers block, offset, raw length, codec, payload
//! footer   := page                                        its meaning belongs to the store, like all pages'
//! trailer  := lengths, position of the footer, summary, copies of the header's identity, CRC, magic (96 bytes)
//! ```
//!
//! It promises that a segment exists wholly or not at all: it is written under `tmp/`, synced and then renamed,
//! and without a valid trailer it is no segment. Every byte that is handed out was covered by a checksum that
//! also knows where it belongs, so that a misdirected write shows. What pages mean is left to the stores.
//!
//! ```
//! # use std::sync::Arc;
//! # use bramble_disk::{Disk, ThreadsDisk, PageCache, segment::*};
//! # use bramble_runtime::{Budget, BudgetName};
//! # let directory = std::env::temp_dir().join(format!("bramble-doc-{}", std::process::id()));
//! # let disk: Arc<dyn Disk> = Arc::new(ThreadsDisk::new(&directory)?);
//! let header = SegmentHeader { signal: 1, block: 7, ..SegmentHeader::default() };
//! let mut writer = SegmentWriter::create(disk.clone(), "blocks/7", header)?;
//! let page = writer.write_page(b"column", PageCodec::Zstd(3))?;
//! let mut footer = Vec::new();
//! page.put(&mut footer);
//! writer.finish(&footer, SegmentSummary { min_time_ns: 1, max_time_ns: 2, items: 1 })?;
//!
//! let cache = Arc::new(PageCache::new(Budget::standalone(BudgetName::PageCache, 1 << 20)));
//! let reader = SegmentReader::open(disk, "blocks/7", cache)?;
//! let footer = reader.footer()?;
//! let page = PageRef::take(&mut &footer[..]).ok_or("short footer")?;
//! assert_eq!(&reader.page(page)?[..], b"column");
//! # std::fs::remove_dir_all(directory)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Field tables: docs/formats.md, "Segment file".

mod format;
mod page;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use format::{CONTAINER_VERSION, REPLACES_MAX, SegmentHeader, SegmentInfo, SegmentSummary};
pub use page::{PAGE_RAW_BYTES_MAX, PageCodec, PageRef};
pub use reader::{SegmentReader, read_info};
pub use writer::{SEGMENT_WRITER_BYTES, SegmentWriter};
