//! What slots are kept on: the boot partition and the two root partitions.

mod card;
#[cfg(test)]
pub(crate) mod simulated;

pub use card::Card;

use crate::slot::Slot;
use std::io::{self, Read};

/// The boot partition's files and the roots' bytes. File names are relative, with `/`, at most one directory deep but for
/// what a slot's directory holds.
///
/// A write is durable when the method that syncs it has returned, and not before; after a power cut any part of what was
/// not synced may be there. An error leaves what was written undefined, in the file or root that it was for alone.
pub trait Medium {
    /// A file of the boot partition, from its beginning.
    ///
    /// # Errors
    /// The system's.
    fn open(&mut self, name: &str) -> io::Result<Box<dyn Read + '_>>;

    /// The content of a small file of the boot partition.
    ///
    /// # Errors
    /// [`FileTooLarge`](io::ErrorKind::FileTooLarge) for more than `bytes_max`; the system's.
    fn read(&mut self, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(name)?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
        match bytes.len() as u64 > bytes_max {
            true => Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("{name} has more than {bytes_max} bytes"))),
            false => Ok(bytes),
        }
    }

    /// Overwrites bytes of a file in place, all of them in one sector of 512 bytes; durable at return, and by a power cut
    /// whole or not at all.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) when the file ends before; the system's.
    fn overwrite(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes a file, or replaces it, not atomically. Durable after [`sync_files`](Self::sync_files).
    ///
    /// # Errors
    /// The reader's and the system's.
    fn write(&mut self, name: &str, content: &mut dyn Read) -> io::Result<u64>;

    /// Removes a file; none is fine. Durable after [`sync_files`](Self::sync_files).
    ///
    /// # Errors
    /// The system's.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// Empties a slot's directory, which exists afterwards.
    ///
    /// # Errors
    /// The system's.
    fn clear(&mut self, slot: Slot) -> io::Result<()>;

    /// Makes all files durable, and forgets cached copies, so that reading reads the card.
    ///
    /// # Errors
    /// The system's.
    fn sync_files(&mut self) -> io::Result<()>;

    /// Free bytes of the boot partition.
    ///
    /// # Errors
    /// The system's.
    fn free_bytes(&mut self) -> io::Result<u64>;

    /// Bytes used by a slot's directory, which would be free without it.
    ///
    /// # Errors
    /// The system's.
    fn slot_bytes(&mut self, slot: Slot) -> io::Result<u64>;

    /// Size of a root partition.
    ///
    /// # Errors
    /// The system's.
    fn root_bytes(&mut self, slot: Slot) -> io::Result<u64>;

    /// Writes a part of a root partition.
    ///
    /// # Errors
    /// The system's.
    fn write_root(&mut self, slot: Slot, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes a root durable, and forgets cached copies.
    ///
    /// # Errors
    /// The system's.
    fn sync_root(&mut self, slot: Slot) -> io::Result<()>;

    /// Reads a part of a root partition, all of `into`.
    ///
    /// # Errors
    /// The system's.
    fn read_root(&mut self, slot: Slot, at: u64, into: &mut [u8]) -> io::Result<()>;
}
