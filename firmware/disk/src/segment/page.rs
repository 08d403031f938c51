//! One page: the smallest unit that is read and checked.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use zstd::bulk::{Compressor, Decompressor};

use crate::error::DiskError;
use crate::page_cache::Page;

/// Largest page before compression, in bytes. A longer claim in a file is damage.
pub const PAGE_RAW_BYTES_MAX: usize = 64 << 20;
/// codec 1, CRC 4.
pub(crate) const PAGE_HEAD_BYTES: usize = 5;

const CODEC_RAW: u8 = 0;
const CODEC_ZSTD: u8 = 1;

/// How a page is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageCodec {
    /// As it is.
    Raw,
    /// zstd at this level; stored raw after all when that is not larger. Memory grows with the level: 1.3 MB at 3,
    /// 11 MB at 9.
    Zstd(i32),
}

/// Where a page is and how long.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct PageRef {
    /// First byte of the page's head in the file.
    pub offset: u64,
    /// Bytes in the file, head included.
    pub stored_bytes: u32,
    /// Bytes once decoded.
    pub raw_bytes: u32,
}

impl PageRef {
    /// Appends the reference as three LEB128 integers, 3 to 20 bytes.
    pub fn put(self, out: &mut Vec<u8>) {
        for mut value in [self.offset, u64::from(self.stored_bytes), u64::from(self.raw_bytes)] {
            while value >= 0x80 {
                out.push(value as u8 | 0x80);
                value >>= 7;
            }
            out.push(value as u8);
        }
    }

    /// Takes a reference off the front of `input`. `None` when it is cut off or cannot be one; `input` is then
    /// somewhere inside.
    pub fn take(input: &mut &[u8]) -> Option<PageRef> {
        let offset = take_varint(input)?;
        let stored_bytes = u32::try_from(take_varint(input)?).ok()?;
        let raw_bytes = u32::try_from(take_varint(input)?).ok()?;
        Some(PageRef { offset, stored_bytes, raw_bytes })
    }
}

fn take_varint(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = input.split_first()?;
        *input = rest;
        if shift == 63 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// The CRC knows where the page belongs, so that a page of another place or another file fails it.
fn checksum(block: u64, offset: u64, raw_bytes: u32, codec: u8, payload: &[u8]) -> u32 {
    let mut place = [0u8; 21];
    place[..8].copy_from_slice(&block.to_le_bytes());
    place[8..16].copy_from_slice(&offset.to_le_bytes());
    place[16..20].copy_from_slice(&raw_bytes.to_le_bytes());
    place[20] = codec;
    crc32c::crc32c_append(crc32c::crc32c(&place), payload)
}

/// Encodes pages with one compression context and one scratch buffer.
pub(crate) struct PageEncoder {
    compressor: Option<(i32, Compressor<'static>)>,
    scratch: Vec<u8>,
}

impl PageEncoder {
    pub(crate) fn new() -> Self {
        PageEncoder { compressor: None, scratch: Vec::new() }
    }

    /// Encodes `raw` (shorter than [`PAGE_RAW_BYTES_MAX`]) for `offset` in `block`: returns the head and the payload.
    pub(crate) fn encode<'a>(
        &'a mut self,
        block: u64,
        offset: u64,
        raw: &'a [u8],
        codec: PageCodec,
    ) -> io::Result<([u8; PAGE_HEAD_BYTES], &'a [u8])> {
        let (code, payload) = match codec {
            PageCodec::Zstd(level) if self.compress(raw, level)? < raw.len() => (CODEC_ZSTD, &self.scratch[..]),
            _ => (CODEC_RAW, raw),
        };
        let crc = checksum(block, offset, raw.len() as u32, code, payload);
        let [a, b, c, d] = crc.to_le_bytes();
        Ok(([code, a, b, c, d], payload))
    }

    fn compress(&mut self, raw: &[u8], level: i32) -> io::Result<usize> {
        let compressor = match &mut self.compressor {
            Some((current, compressor)) => {
                if *current != level {
                    compressor.set_compression_level(level)?;
                    *current = level;
                }
                compressor
            }
            none => &mut none.insert((level, Compressor::new(level)?)).1,
        };
        self.scratch.clear();
        self.scratch.reserve(zstd::zstd_safe::compress_bound(raw.len()));
        compressor.compress_to_buffer(raw, &mut self.scratch)
    }
}

thread_local! {
    /// One decompression context (about 160 KB) per thread that reads pages.
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

fn decompress(payload: &[u8], out: &mut [u8]) -> io::Result<usize> {
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot.insert(Decompressor::new()?),
        };
        decompressor.decompress_to_buffer(payload, out)
    })
}

/// Checks and decodes the `stored` bytes of page `at` of `block` in file `name`.
pub(crate) fn decode(name: &str, block: u64, at: PageRef, stored: &[u8]) -> Result<Page, DiskError> {
    let damaged = |what: &'static str| DiskError::corrupt(name, at.offset, what);
    let Some((&[code, a, b, c, d], payload)) = stored.split_first_chunk::<PAGE_HEAD_BYTES>() else {
        return Err(damaged("page is shorter than its head"));
    };
    let matches = checksum(block, at.offset, at.raw_bytes, code, payload) == u32::from_le_bytes([a, b, c, d]);
    #[cfg(feature = "sabotage")]
    let matches = matches || crate::sabotage::ignores(crate::sabotage::Ignored::SegmentPages);
    if !matches {
        return Err(damaged("page fails its checksum"));
    }
    match code {
        CODEC_RAW if payload.len() == at.raw_bytes as usize => Ok(Page(payload.into())),
        CODEC_RAW => Err(damaged("raw page of another length than its reference says")),
        CODEC_ZSTD => {
            let mut page: Arc<[u8]> = std::iter::repeat_n(0, at.raw_bytes as usize).collect();
            // Just made, so nobody else holds it.
            let out = Arc::get_mut(&mut page).ok_or_else(|| damaged("page is shared before it is decoded"))?;
            match decompress(payload, out) {
                Ok(length) if length == at.raw_bytes as usize => Ok(Page(page)),
                Ok(_) => Err(damaged("page decompresses to less than its reference says")),
                Err(_) => Err(damaged("page does not decompress")),
            }
        }
        _ => Err(damaged("page has an unknown codec")),
    }
}
