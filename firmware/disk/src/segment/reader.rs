//! Reading a segment: header and trailer once, pages as they are asked for.

use std::sync::Arc;

use crate::disk::{Disk, FileId, ReadRequest};
use crate::error::DiskError;
use crate::page_cache::{Page, PageCache, PageKey, SegmentIdentity};
use crate::segment::format::{SegmentHeader, SegmentInfo, TRAILER_BYTES, Trailer};
use crate::segment::page::{self, PAGE_RAW_BYTES_MAX, PageRef};

/// First read of a header: all of it unless it replaces very many blocks.
const HEADER_GUESS_BYTES: u64 = 512;
/// Pages this near each other are read in one go: on a card the request costs more than the gap.
const GAP_BYTES: u64 = 8 << 10;
/// Longest joined read.
const JOINED_BYTES_MAX: u64 = 1 << 20;

/// An open segment. Holds one file handle, the header and the position of the footer; closes the handle on drop.
pub struct SegmentReader {
    handle: Handle,
    info: SegmentInfo,
    footer: PageRef,
    identity: SegmentIdentity,
    cache: Arc<PageCache>,
}

struct Handle {
    disk: Arc<dyn Disk>,
    file: FileId,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.disk.close(self.file);
    }
}

/// Several page references read by one request.
struct Joined {
    offset: u64,
    end: u64,
    /// Indexes into the caller's references.
    members: Vec<usize>,
}

impl SegmentReader {
    /// Opens and checks `name`: header, trailer, and that they belong together. Reads two small ranges.
    ///
    /// # Errors
    /// [`NotFound`](DiskError::NotFound); [`Corrupt`](DiskError::Corrupt) when it is no finished segment or damaged;
    /// [`NewerVersion`](DiskError::NewerVersion).
    pub fn open(disk: Arc<dyn Disk>, name: &str, cache: Arc<PageCache>) -> Result<Self, DiskError> {
        let file = disk.open(name)?;
        let handle = Handle { disk, file };
        let (info, footer, identity) = read_ends(&handle, name)?;
        Ok(SegmentReader { handle, info, footer, identity, cache })
    }

    /// What it says about itself.
    pub fn info(&self) -> &SegmentInfo {
        &self.info
    }

    /// The store's footer.
    ///
    /// # Errors
    /// As [`page`](SegmentReader::page).
    pub fn footer(&self) -> Result<Page, DiskError> {
        self.page(self.footer)
    }

    /// One page, from the cache or the file.
    ///
    /// # Errors
    /// [`Corrupt`](DiskError::Corrupt) when it is damaged or `at` is no page of this segment; an I/O error.
    pub fn page(&self, at: PageRef) -> Result<Page, DiskError> {
        let mut pages = self.pages(&[at])?;
        pages.pop().ok_or_else(|| DiskError::corrupt(&self.info.name, at.offset, "no page"))
    }

    /// Many pages, in the order asked for. What the cache does not have is read in one parallel call, neighbours
    /// together. Memory: all of the pages, stored and decoded, at once; ask for as many as the query's budget holds.
    ///
    /// # Errors
    /// As [`page`](SegmentReader::page), for the first page that fails.
    pub fn pages(&self, at: &[PageRef]) -> Result<Vec<Page>, DiskError> {
        let mut found: Vec<Option<Page>> = at.iter().map(|page| self.cache.get(self.key(page.offset))).collect();
        let missing: Vec<usize> = (0..at.len()).filter(|&index| found[index].is_none()).collect();
        if !missing.is_empty() {
            let joined = self.join(at, missing)?;
            let request = |run: &Joined| ReadRequest::new(run.offset, (run.end - run.offset) as usize);
            let mut requests: Vec<ReadRequest> = joined.iter().map(request).collect();
            self.handle.disk.read_at(self.handle.file, &mut requests)?;
            for (run, request) in joined.iter().zip(&requests) {
                for &index in &run.members {
                    let page = self.decode(at[index], run.offset, &request.buffer)?;
                    self.cache.insert(self.key(at[index].offset), &page);
                    found[index] = Some(page);
                }
            }
        }
        Ok(found.into_iter().flatten().collect())
    }

    fn key(&self, offset: u64) -> PageKey {
        PageKey { segment: self.identity, offset }
    }

    fn decode(&self, at: PageRef, run_offset: u64, run: &[u8]) -> Result<Page, DiskError> {
        let from = at.offset.saturating_sub(run_offset) as usize;
        let stored = run.get(from..).and_then(|rest| rest.get(..at.stored_bytes as usize)).unwrap_or_default();
        page::decode(&self.info.name, self.info.header.block, at, stored)
    }

    /// Checks the references (they may come from a damaged index) and joins neighbours.
    fn join(&self, at: &[PageRef], mut missing: Vec<usize>) -> Result<Vec<Joined>, DiskError> {
        missing.sort_by_key(|&index| at[index].offset);
        let mut runs: Vec<Joined> = Vec::new();
        for index in missing {
            let page = at[index];
            let end = page.offset.checked_add(u64::from(page.stored_bytes));
            let Some(end) = end.filter(|&end| end <= self.info.file_bytes) else {
                return Err(DiskError::corrupt(&self.info.name, page.offset, "page reference past the end"));
            };
            if page.raw_bytes as usize > PAGE_RAW_BYTES_MAX {
                return Err(DiskError::corrupt(&self.info.name, page.offset, "page reference of more than 64 MiB"));
            }
            match runs.last_mut() {
                Some(run) if page.offset <= run.end + GAP_BYTES && end - run.offset <= JOINED_BYTES_MAX => {
                    run.end = run.end.max(end);
                    run.members.push(index);
                }
                _ => runs.push(Joined { offset: page.offset, end, members: vec![index] }),
            }
        }
        Ok(runs)
    }
}

/// Reads and checks both ends of a segment.
fn read_ends(handle: &Handle, name: &str) -> Result<(SegmentInfo, PageRef, SegmentIdentity), DiskError> {
    let file_bytes = handle.disk.size(handle.file)?;
    let Some(trailer_at) = file_bytes.checked_sub(TRAILER_BYTES as u64) else {
        return Err(DiskError::corrupt(name, file_bytes, "too short for a segment"));
    };
    let guess = HEADER_GUESS_BYTES.min(file_bytes) as usize;
    let mut ends = [ReadRequest::new(0, guess), ReadRequest::new(trailer_at, TRAILER_BYTES)];
    handle.disk.read_at(handle.file, &mut ends)?;
    let [head, tail] = ends;
    let (trailer, trailer_crc) = Trailer::decode(name, file_bytes, &tail.buffer)?;
    let header_bytes = SegmentHeader::encoded_bytes(name, &head.buffer)?;
    let head = if header_bytes <= head.buffer.len() {
        head.buffer
    } else {
        crate::disk::read_range(handle.disk.as_ref(), handle.file, 0, header_bytes)?
    };
    let (header, header_crc) = SegmentHeader::decode(name, &head)?;
    if header_crc != trailer.header_crc {
        return Err(DiskError::corrupt(name, trailer_at, "header and trailer are of two segments"));
    }
    let footer = PageRef {
        offset: trailer.footer_offset,
        stored_bytes: trailer.footer_stored_bytes,
        raw_bytes: trailer.footer_raw_bytes,
    };
    let identity = SegmentIdentity { block: header.block, header_crc, trailer_crc };
    Ok((SegmentInfo { name: name.into(), file_bytes, header, summary: trailer.summary }, footer, identity))
}

/// What the segment `name` says about itself: for rebuilding the catalog.
///
/// # Errors
/// As [`SegmentReader::open`].
pub fn read_info(disk: &Arc<dyn Disk>, name: &str) -> Result<SegmentInfo, DiskError> {
    let handle = Handle { disk: disk.clone(), file: disk.open(name)? };
    Ok(read_ends(&handle, name)?.0)
}
