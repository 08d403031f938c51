//! Extents: files of the ring, their names, and how a new one is made.

use std::sync::Arc;

use crate::aligned::AlignedBuffer;
use crate::disk::{Disk, FileId};
use crate::error::DiskError;

/// Zeroing goes in pieces of this size: large enough for a card's speed, small enough for memory.
const ZERO_PIECE_BYTES: u64 = 256 << 10;
const TEMPORARY_PREFIX: &str = "tmp/journal-";

/// One file of the ring.
#[derive(Debug)]
pub(crate) struct Extent {
    /// The number in its file name.
    pub(crate) number: u32,
    pub(crate) file: FileId,
    pub(crate) bytes: u64,
    /// Its latest epoch; 0 when never used.
    pub(crate) epoch: u64,
    pub(crate) first_sequence: u64,
    /// Last sequence of the latest epoch, or 0 when it holds none: then it is free.
    pub(crate) last_sequence: u64,
}

pub(crate) fn name(number: u32) -> String {
    format!("journal/{number:06}")
}

/// The number in an extent's file name; `None` for other files.
pub(crate) fn number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("journal/")?;
    if digits.len() < 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) { None } else { digits.parse().ok() }
}

/// Removes what a cut during growth left behind.
pub(crate) fn remove_unfinished(disk: &dyn Disk) -> Result<(), DiskError> {
    let left = disk.list("tmp")?;
    left.iter().filter(|entry| entry.name.starts_with(TEMPORARY_PREFIX)).try_for_each(|entry| disk.remove(&entry.name))
}

/// The making of one more extent: megabytes of zeros, so it may run on any thread while commits go on.
pub struct Growth {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) number: u32,
    pub(crate) bytes: u64,
}

/// A zeroed, durable extent for [`Journal::adopt`](super::Journal::adopt). Not adopted, it is found at the next start.
#[derive(Debug)]
pub struct NewExtent(pub(crate) Extent);

impl Growth {
    /// Makes the extent.
    ///
    /// # Errors
    /// When the disk is full or fails; nothing stays behind then.
    pub fn run(self) -> Result<NewExtent, DiskError> {
        let temporary = format!("{TEMPORARY_PREFIX}{:06}", self.number);
        let file = self.disk.create(&temporary, self.bytes)?;
        let made = self.fill(file).and_then(|()| self.disk.publish(&temporary, &name(self.number)));
        if let Err(error) = made {
            self.disk.close(file);
            _ = self.disk.remove(&temporary);
            return Err(error);
        }
        // Opened anew, so that its traffic counts as the journal's.
        self.disk.close(file);
        let file = self.disk.open(&name(self.number))?;
        let Growth { number, bytes, .. } = self;
        Ok(NewExtent(Extent { number, file, bytes, epoch: 0, first_sequence: 0, last_sequence: 0 }))
    }

    fn fill(&self, file: FileId) -> Result<(), DiskError> {
        let mut zeros = AlignedBuffer::zeroed(ZERO_PIECE_BYTES as usize);
        let mut offset = 0;
        while offset < self.bytes {
            zeros.resize((self.bytes - offset).min(ZERO_PIECE_BYTES) as usize);
            let written = zeros.len() as u64;
            let result;
            (result, zeros) = self.disk.write_at(file, offset, zeros);
            result?;
            offset += written;
        }
        self.disk.sync(file)
    }
}
