//! Writing a segment front to back, once.

use std::sync::Arc;

use crate::aligned::{ALIGNMENT, AlignedBuffer};
use crate::disk::{Disk, FileId};
use crate::error::DiskError;
use crate::segment::format::{REPLACES_MAX, SegmentHeader, SegmentInfo, SegmentSummary, TRAILER_BYTES, Trailer};
use crate::segment::page::{PAGE_HEAD_BYTES, PAGE_RAW_BYTES_MAX, PageCodec, PageEncoder, PageRef};

/// Largest single write. Cards are as fast with it as with more (reference/field.md §3), and the memory counts.
const PIECE_BYTES: usize = 512 << 10;
/// Blocks are reserved in units of a card's allocation unit, so that a segment lies in few of them.
const UNIT_BYTES: u64 = 4 << 20;

/// What a writer holds at most beside the caller's page, in bytes, at zstd level 3 and pages of up to 256 KiB: the
/// piece, a compression context, and scratch for one compressed page.
pub const SEGMENT_WRITER_BYTES: usize = PIECE_BYTES + 1_400_000 + (256 << 10);

/// Writes one segment under `tmp/` and publishes it. Dropped before [`finish`](SegmentWriter::finish) returns, it
/// removes what it wrote.
pub struct SegmentWriter {
    disk: Arc<dyn Disk>,
    name: String,
    temporary: Temporary,
    header: SegmentHeader,
    header_crc: u32,
    header_bytes: u32,
    /// None only while a write is under way or after one failed.
    piece: Option<AlignedBuffer>,
    /// Where the piece starts in the file.
    piece_offset: u64,
    reserved_bytes: u64,
    pages: u64,
    encoder: PageEncoder,
}

/// The unfinished file; unlinked on drop unless it was published.
struct Temporary {
    disk: Arc<dyn Disk>,
    name: String,
    file: FileId,
    published: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        self.disk.close(self.file);
        if !self.published {
            // Left over, it is cleaned up at the next start.
            _ = self.disk.remove(&self.name);
        }
    }
}

impl SegmentWriter {
    /// Starts a segment that will be called `name`. Holds about [`SEGMENT_WRITER_BYTES`] until dropped.
    ///
    /// # Errors
    /// When the file cannot be created, or with more than [`REPLACES_MAX`] replaced blocks.
    pub fn create(disk: Arc<dyn Disk>, name: &str, header: SegmentHeader) -> Result<Self, DiskError> {
        if header.replaces.len() > REPLACES_MAX {
            let what = "it replaces more than 4096 blocks";
            return Err(DiskError::Invalid { name: name.into(), doing: "create", what });
        }
        let temporary_name = format!("tmp/{}", name.replace('/', "_"));
        let file = disk.create(&temporary_name, UNIT_BYTES)?;
        let temporary = Temporary { disk: disk.clone(), name: temporary_name, file, published: false };
        let (bytes, header_crc) = header.encode();
        let mut writer = SegmentWriter {
            disk,
            name: name.into(),
            temporary,
            header,
            header_crc,
            header_bytes: bytes.len() as u32,
            piece: Some(AlignedBuffer::with_capacity(PIECE_BYTES)),
            piece_offset: 0,
            reserved_bytes: UNIT_BYTES,
            pages: 0,
            encoder: PageEncoder::new(),
        };
        writer.append(&bytes)?;
        Ok(writer)
    }

    /// The header it was created with.
    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// Bytes of the file so far, without footer and trailer.
    pub fn written_bytes(&self) -> u64 {
        self.piece_offset + self.piece.as_ref().map_or(0, |piece| piece.len()) as u64
    }

    /// Appends a page of at most [`PAGE_RAW_BYTES_MAX`] bytes; may be empty.
    ///
    /// # Errors
    /// When the disk fails or is full. The segment cannot be finished then; drop the writer.
    pub fn write_page(&mut self, raw: &[u8], codec: PageCodec) -> Result<PageRef, DiskError> {
        if raw.len() > PAGE_RAW_BYTES_MAX {
            let what = "a page is at most 64 MiB";
            return Err(DiskError::Invalid { name: self.name.clone(), doing: "write a page", what });
        }
        let offset = self.written_bytes();
        // Taken out and put back, because its answer borrows from it while we append.
        let mut encoder = std::mem::replace(&mut self.encoder, PageEncoder::new());
        let encoded = encoder.encode(self.header.block, offset, raw, codec);
        let (head, payload) = encoded.map_err(|error| DiskError::from_io(&self.name, "compress a page", &error))?;
        self.append(&head)?;
        self.append(payload)?;
        let stored_bytes = (PAGE_HEAD_BYTES + payload.len()) as u32;
        self.encoder = encoder;
        self.pages += 1;
        Ok(PageRef { offset, stored_bytes, raw_bytes: raw.len() as u32 })
    }

    /// Writes footer and trailer, syncs, and publishes the segment under its name. On return it is durable.
    ///
    /// # Errors
    /// When the disk fails or is full; then no segment of this name exists.
    pub fn finish(mut self, footer: &[u8], summary: SegmentSummary) -> Result<SegmentInfo, DiskError> {
        let footer = self.write_page(footer, PageCodec::Zstd(3))?;
        let unpadded = self.written_bytes() + TRAILER_BYTES as u64;
        let file_bytes = unpadded.next_multiple_of(ALIGNMENT as u64);
        let padding = [0u8; ALIGNMENT];
        self.append(padding.get(..(file_bytes - unpadded) as usize).unwrap_or_default())?;
        let trailer = Trailer {
            file_bytes,
            footer_offset: footer.offset,
            footer_stored_bytes: footer.stored_bytes,
            footer_raw_bytes: footer.raw_bytes,
            pages: self.pages - 1,
            summary,
            header_crc: self.header_crc,
            header_bytes: self.header_bytes,
        };
        self.append(&trailer.encode(&self.header).0)?;
        self.flush()?;
        // Gives back the blocks reserved beyond the end.
        self.disk.truncate(self.temporary.file, file_bytes)?;
        self.disk.sync(self.temporary.file)?;
        self.disk.publish(&self.temporary.name, &self.name)?;
        self.temporary.published = true;
        Ok(SegmentInfo { name: self.name, file_bytes, header: self.header, summary })
    }

    fn append(&mut self, mut data: &[u8]) -> Result<(), DiskError> {
        while !data.is_empty() {
            let Some(piece) = &mut self.piece else { return Err(self.failed_before()) };
            let taken = piece.append(data);
            data = data.get(taken..).unwrap_or_default();
            if piece.room() == 0 {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Writes the piece, which is whole units: full, or padded at the end of the segment.
    fn flush(&mut self) -> Result<(), DiskError> {
        let Some(piece) = self.piece.take() else { return Err(self.failed_before()) };
        if piece.is_empty() {
            self.piece = Some(piece);
            return Ok(());
        }
        let end = self.piece_offset + piece.len() as u64;
        if end > self.reserved_bytes {
            self.disk.preallocate(self.temporary.file, self.reserved_bytes, UNIT_BYTES)?;
            self.reserved_bytes += UNIT_BYTES;
        }
        let (result, mut piece) = self.disk.write_at(self.temporary.file, self.piece_offset, piece);
        result?;
        piece.clear();
        self.piece = Some(piece);
        self.piece_offset = end;
        Ok(())
    }

    fn failed_before(&self) -> DiskError {
        DiskError::Invalid { name: self.name.clone(), doing: "write", what: "an earlier write of it failed" }
    }
}
