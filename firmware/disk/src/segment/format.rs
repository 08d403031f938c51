//! Header and trailer, field by field, little-endian.

use crate::error::DiskError;

/// The newest container version this build reads, and the one it writes.
pub const CONTAINER_VERSION: u16 = 1;
/// Most blocks one segment may replace; more is a sign of damage.
pub const REPLACES_MAX: usize = 4096;

pub(crate) const HEADER_MAGIC: [u8; 8] = *b"BRMBLSEG";
pub(crate) const TRAILER_MAGIC: [u8; 8] = *b"GESLBMRB";
/// magic 8, container version 2, signal 1, class 1, content version 2, reserved 2, block 8, day 4,
/// number of replaced blocks 4, journal from 8, journal to 8; then 8 per replaced block, then the CRC.
pub(crate) const HEADER_FIXED_BYTES: usize = 8 + 2 + 1 + 1 + 2 + 2 + 8 + 4 + 4 + 8 + 8;
/// file length 8, footer offset 8, footer stored 4, footer raw 4, block 8, min time 8, max time 8, items 8,
/// pages 8, header CRC 4, header length 4, container version 2, content version 2, signal 1, class 1,
/// reserved 6, CRC 4, magic 8.
pub(crate) const TRAILER_BYTES: usize = 8 + 8 + 4 + 4 + 8 + 8 + 8 + 8 + 8 + 4 + 4 + 2 + 2 + 1 + 1 + 6 + 4 + 8;
const _: () = assert!(HEADER_FIXED_BYTES == 48 && TRAILER_BYTES == 96);

/// What a segment says about itself at its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Signal code, given out by the catalog.
    pub signal: u8,
    /// Retention class code within the signal.
    pub class: u8,
    /// Version of the pages' meaning, owned by the store.
    pub content_version: u16,
    /// Block id, unique in the data directory and never reused.
    pub block: u64,
    /// UTC day of the partition, in days since the Unix epoch.
    pub day: i32,
    /// First journal sequence whose data may be in here.
    pub journal_from: u64,
    /// Last journal sequence whose data may be in here, inclusive.
    pub journal_to: u64,
    /// Blocks whose data is in here and which this segment hides; at most [`REPLACES_MAX`].
    pub replaces: Vec<u64>,
}

/// What a segment holds, known once it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentSummary {
    /// Oldest timestamp, nanoseconds since the Unix epoch.
    pub min_time_ns: i64,
    /// Newest timestamp, nanoseconds since the Unix epoch, inclusive.
    pub max_time_ns: i64,
    /// Number of samples, entries or spans.
    pub items: u64,
}

/// A finished segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// File name relative to the data directory.
    pub name: String,
    /// Length of the file in bytes.
    pub file_bytes: u64,
    /// Its header.
    pub header: SegmentHeader,
    /// Its summary.
    pub summary: SegmentSummary,
}

/// The trailer's fields beyond the header's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub(crate) file_bytes: u64,
    pub(crate) footer_offset: u64,
    pub(crate) footer_stored_bytes: u32,
    pub(crate) footer_raw_bytes: u32,
    pub(crate) pages: u64,
    pub(crate) summary: SegmentSummary,
    pub(crate) header_crc: u32,
    pub(crate) header_bytes: u32,
}

/// Reads little-endian integers off the front of a slice that was checked to be long enough.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_first_chunk().map_or(([0; N], &[][..]), |(head, rest)| (*head, rest));
        self.0 = rest;
        head
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

pub(crate) fn newer(name: &str, version: u16) -> Result<(), DiskError> {
    if version > CONTAINER_VERSION {
        let (found, supported) = (u32::from(version), u32::from(CONTAINER_VERSION));
        return Err(DiskError::NewerVersion { name: name.into(), found, supported });
    }
    Ok(())
}

impl SegmentHeader {
    /// The header's bytes and their CRC.
    pub(crate) fn encode(&self) -> (Vec<u8>, u32) {
        let mut out = Vec::with_capacity(HEADER_FIXED_BYTES + 8 * self.replaces.len() + 4);
        out.extend_from_slice(&HEADER_MAGIC);
        out.extend_from_slice(&CONTAINER_VERSION.to_le_bytes());
        out.extend_from_slice(&[self.signal, self.class]);
        out.extend_from_slice(&self.content_version.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.block.to_le_bytes());
        out.extend_from_slice(&self.day.to_le_bytes());
        out.extend_from_slice(&(self.replaces.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.journal_from.to_le_bytes());
        out.extend_from_slice(&self.journal_to.to_le_bytes());
        for block in &self.replaces {
            out.extend_from_slice(&block.to_le_bytes());
        }
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        (out, crc)
    }

    /// How long the header is that starts with `fixed` (at least [`HEADER_FIXED_BYTES`]), CRC included.
    pub(crate) fn encoded_bytes(name: &str, fixed: &[u8]) -> Result<usize, DiskError> {
        let Some(fixed) = fixed.first_chunk::<HEADER_FIXED_BYTES>() else {
            return Err(DiskError::corrupt(name, 0, "too short for a segment header"));
        };
        let mut fields = Fields(fixed);
        if fields.take::<8>() != HEADER_MAGIC {
            return Err(DiskError::corrupt(name, 0, "no segment header"));
        }
        newer(name, fields.u16())?;
        let _signal_to_day: [u8; 18] = fields.take();
        let replaces = fields.u32() as usize;
        if replaces > REPLACES_MAX {
            return Err(DiskError::corrupt(name, 28, format!("{replaces} replaced blocks, at most {REPLACES_MAX}")));
        }
        Ok(HEADER_FIXED_BYTES + 8 * replaces + 4)
    }

    /// Parses the header at the start of `bytes`; returns it with its CRC.
    pub(crate) fn decode(name: &str, bytes: &[u8]) -> Result<(SegmentHeader, u32), DiskError> {
        let length = Self::encoded_bytes(name, bytes)?;
        let Some((body, crc)) = bytes.get(..length).and_then(|header| header.split_last_chunk::<4>()) else {
            return Err(DiskError::corrupt(name, 0, "segment header is cut off"));
        };
        let crc = u32::from_le_bytes(*crc);
        if crc32c::crc32c(body) != crc {
            return Err(DiskError::corrupt(name, 0, "segment header fails its checksum"));
        }
        let mut fields = Fields(body);
        let _magic_and_version: [u8; 10] = fields.take();
        let [signal, class] = fields.take();
        let content_version = fields.u16();
        let _reserved = fields.u16();
        let block = fields.u64();
        let day = i32::from_le_bytes(fields.take());
        let replaces = fields.u32();
        let (journal_from, journal_to) = (fields.u64(), fields.u64());
        let replaces = (0..replaces).map(|_| fields.u64()).collect();
        Ok((SegmentHeader { signal, class, content_version, block, day, journal_from, journal_to, replaces }, crc))
    }
}

impl Trailer {
    pub(crate) fn encode(&self, header: &SegmentHeader) -> ([u8; TRAILER_BYTES], u32) {
        let mut out = Vec::with_capacity(TRAILER_BYTES);
        out.extend_from_slice(&self.file_bytes.to_le_bytes());
        out.extend_from_slice(&self.footer_offset.to_le_bytes());
        out.extend_from_slice(&self.footer_stored_bytes.to_le_bytes());
        out.extend_from_slice(&self.footer_raw_bytes.to_le_bytes());
        out.extend_from_slice(&header.block.to_le_bytes());
        out.extend_from_slice(&self.summary.min_time_ns.to_le_bytes());
        out.extend_from_slice(&self.summary.max_time_ns.to_le_bytes());
        out.extend_from_slice(&self.summary.items.to_le_bytes());
        out.extend_from_slice(&self.pages.to_le_bytes());
        out.extend_from_slice(&self.header_crc.to_le_bytes());
        out.extend_from_slice(&self.header_bytes.to_le_bytes());
        out.extend_from_slice(&CONTAINER_VERSION.to_le_bytes());
        out.extend_from_slice(&header.content_version.to_le_bytes());
        out.extend_from_slice(&[header.signal, header.class, 0, 0, 0, 0, 0, 0]);
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&TRAILER_MAGIC);
        let mut bytes = [0; TRAILER_BYTES];
        bytes.copy_from_slice(&out);
        (bytes, crc)
    }

    /// Parses the trailer of a file of `file_bytes`; returns it with its CRC.
    pub(crate) fn decode(name: &str, file_bytes: u64, bytes: &[u8]) -> Result<(Trailer, u32), DiskError> {
        let at = file_bytes.saturating_sub(TRAILER_BYTES as u64);
        let damaged = |what: &'static str| DiskError::corrupt(name, at, what);
        let Some((body, end)) = bytes.split_last_chunk::<12>().filter(|(body, _)| body.len() == TRAILER_BYTES - 12)
        else {
            return Err(damaged("too short for a segment trailer"));
        };
        let mut end = Fields(end);
        let crc = end.u32();
        if end.take::<8>() != TRAILER_MAGIC {
            return Err(damaged("no segment trailer: the segment was never finished"));
        }
        if crc32c::crc32c(body) != crc {
            return Err(damaged("segment trailer fails its checksum"));
        }
        let mut fields = Fields(body);
        let (length, footer_offset) = (fields.u64(), fields.u64());
        let (footer_stored_bytes, footer_raw_bytes) = (fields.u32(), fields.u32());
        let _block = fields.u64();
        let min_time_ns = i64::from_le_bytes(fields.take());
        let max_time_ns = i64::from_le_bytes(fields.take());
        let (items, pages) = (fields.u64(), fields.u64());
        let (header_crc, header_bytes) = (fields.u32(), fields.u32());
        newer(name, fields.u16())?;
        if length != file_bytes {
            return Err(damaged("the trailer is of a file of another length"));
        }
        let summary = SegmentSummary { min_time_ns, max_time_ns, items };
        let trailer = Trailer {
            file_bytes,
            footer_offset,
            footer_stored_bytes,
            footer_raw_bytes,
            pages,
            summary,
            header_crc,
            header_bytes,
        };
        Ok((trailer, crc))
    }
}
