//! The contract every disk keeps: real ones in production, a simulated one in tests.

use std::fmt;
use std::sync::Arc;

#[cfg(doc)]
use crate::aligned::ALIGNMENT;
use crate::aligned::AlignedBuffer;
use crate::error::DiskError;
use crate::metrics::DiskMetrics;

/// Which implementation serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiskKind {
    /// io_uring on a storage thread.
    IoUring,
    /// Plain system calls on the calling thread.
    Threads,
    /// The tests' disk.
    Simulated,
}

impl DiskKind {
    /// The name used in logs, metrics and configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            DiskKind::IoUring => "io_uring",
            DiskKind::Threads => "threads",
            DiskKind::Simulated => "simulated",
        }
    }
}

impl fmt::Display for DiskKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An open file of one [`Disk`]. Never reused while that disk lives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct FileId(pub u64);

/// One range to read.
#[derive(Debug, Default)]
pub struct ReadRequest {
    /// First byte, any alignment.
    pub offset: u64,
    /// Number of bytes, any alignment.
    pub length: usize,
    /// Receives exactly `length` bytes when the read succeeds; its content is undefined when it fails.
    /// Capacity is reused.
    pub buffer: Vec<u8>,
}

impl ReadRequest {
    /// A request with an empty buffer.
    pub fn new(offset: u64, length: usize) -> Self {
        ReadRequest { offset, length, buffer: Vec::new() }
    }
}

/// A file below some directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// Name relative to the data directory, as the other calls take it.
    pub name: String,
    /// Length in bytes.
    pub bytes: u64,
}

/// The file system's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Size of the file system in bytes.
    pub total_bytes: u64,
    /// What an ordinary user can still write, in bytes.
    pub available_bytes: u64,
}

/// Files below one data directory. Every call blocks until it is done; calls may come from any thread.
///
/// Names are relative to the data directory, parts separated by `/`; parts are not empty, `.` or `..`.
/// A write is durable after [`sync`](Disk::sync) of its file, not before; [`write_synced`](Disk::write_synced)
/// is durable when it returns. After an error of a write or a sync the range's content is unknown, and a
/// second sync proves nothing: abandon the range.
pub trait Disk: Send + Sync + 'static {
    /// Which implementation this is.
    fn kind(&self) -> DiskKind;

    /// Bytes and operations so far, by cause.
    fn metrics(&self) -> Arc<DiskMetrics>;

    /// Creates `name`, or empties it if it exists, and makes its parent folders (durably). Reserves
    /// `preallocate_bytes` of blocks where the file system can; the length stays zero.
    fn create(&self, name: &str, preallocate_bytes: u64) -> Result<FileId, DiskError>;

    /// Opens an existing file for reading and writing.
    fn open(&self, name: &str) -> Result<FileId, DiskError>;

    /// Reserves blocks for `offset..offset + bytes` without changing the length. A file system that cannot
    /// do so is no error.
    ///
    /// # Errors
    /// [`Full`](DiskError::Full) when there is no room.
    fn preallocate(&self, file: FileId, offset: u64, bytes: u64) -> Result<(), DiskError>;

    /// Writes all of `data` at `offset`, extending the file if needed; both are multiples of
    /// [`ALIGNMENT`]. Hands the buffer back unchanged.
    fn write_at(&self, file: FileId, offset: u64, data: AlignedBuffer) -> (Result<(), DiskError>, AlignedBuffer);

    /// Makes all earlier writes of this file durable, with the length needed to read them.
    fn sync(&self, file: FileId) -> Result<(), DiskError>;

    /// The smallest unit that the medium below `file` writes by itself, in bytes: a power of two from 512 to [`ALIGNMENT`].
    /// Two writes that share no unit cannot tear each other. [`ALIGNMENT`] where it is not known.
    fn write_unit(&self, file: FileId) -> usize;

    /// [`write_at`](Disk::write_at) and [`sync`](Disk::sync) of that range in one durable write: a journal's commit. Offset
    /// and length are multiples of [`write_unit`](Disk::write_unit).
    fn write_synced(&self, file: FileId, offset: u64, data: AlignedBuffer) -> (Result<(), DiskError>, AlignedBuffer);

    /// Reads all ranges, in parallel where the implementation can.
    ///
    /// # Errors
    /// The first failure; a range past the end of the file is [`Corrupt`](DiskError::Corrupt).
    fn read_at(&self, file: FileId, requests: &mut [ReadRequest]) -> Result<(), DiskError>;

    /// Cuts the file (and blocks reserved beyond) to `bytes`.
    fn truncate(&self, file: FileId, bytes: u64) -> Result<(), DiskError>;

    /// Renames `from` to `to`, replacing it, atomically and durably (the directory is synced). Open handles
    /// stay valid. The content must have been synced before.
    fn publish(&self, from: &str, to: &str) -> Result<(), DiskError>;

    /// Unlinks a file. Open handles stay readable. Not durable: after a power cut the file may be back.
    fn remove(&self, name: &str) -> Result<(), DiskError>;

    /// All files below `directory` (`""`: everything), at any depth, sorted by name. A directory that does not
    /// exist is empty.
    fn list(&self, directory: &str) -> Result<Vec<DirEntry>, DiskError>;

    /// The file's length in bytes.
    fn size(&self, file: FileId) -> Result<u64, DiskError>;

    /// Forgets a handle; unknown ones are ignored.
    fn close(&self, file: FileId);

    /// Size and free space of the file system.
    fn space(&self) -> Result<Space, DiskError>;
}

/// Reads one range of `file`.
///
/// # Errors
/// As [`Disk::read_at`].
pub fn read_range(disk: &dyn Disk, file: FileId, offset: u64, length: usize) -> Result<Vec<u8>, DiskError> {
    let mut requests = [ReadRequest::new(offset, length)];
    disk.read_at(file, &mut requests)?;
    let [request] = requests;
    Ok(request.buffer)
}

/// Checks that `name` stays inside the data directory.
pub(crate) fn check_name(name: &str, doing: &'static str) -> Result<(), DiskError> {
    let bad_part = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains('\0');
    if name.split('/').any(bad_part) {
        let what = "a file name is relative, without empty, '.' or '..' parts";
        return Err(DiskError::Invalid { name: name.into(), doing, what });
    }
    Ok(())
}

/// Checks that a write is whole units of `unit` bytes.
pub(crate) fn check_alignment(name: &str, offset: u64, length: usize, unit: usize) -> Result<(), DiskError> {
    if !offset.is_multiple_of(unit as u64) || !length.is_multiple_of(unit) || length == 0 {
        let what = "offset and length of a write are multiples of its unit, and not empty";
        return Err(DiskError::Invalid { name: name.into(), doing: "write", what });
    }
    Ok(())
}
