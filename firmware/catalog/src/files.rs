//! Files as SQLite needs them.

use std::io;

/// Named files of one directory, addressed by offset. Safe, blocking, callable from several threads.
///
/// Implemented by [`DirectoryFiles`](crate::DirectoryFiles) over the operating system and by the tests over the
/// simulated disk. Names are plain file names without a separator. What is written is durable only after
/// [`sync`](Self::sync); a file's existence after `sync` of it; a deletion after `delete` with `sync_directory`.
/// A write may tear at a power cut, but never changes bytes outside its own range.
pub trait VfsFiles: Send + Sync + 'static {
    /// SQLite opens `name`: the main database, its log, or a temporary file. An absent file is created if `create`.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when absent and not `create`; [`io::ErrorKind::WouldBlock`] when another process
    /// holds it.
    fn open(&self, name: &str, create: bool) -> io::Result<()> {
        match (self.exists(name)?, create) {
            (true, _) => Ok(()),
            (false, true) => self.truncate(name, 0),
            (false, false) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// SQLite is done with `name`.
    fn close(&self, _name: &str) {}

    /// Reads into `out` from `offset`; returns how many bytes there were, fewer only at the end of the file.
    ///
    /// # Errors
    /// Any; an absent file may be [`io::ErrorKind::NotFound`] and counts as empty.
    fn read(&self, name: &str, offset: u64, out: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `data` at `offset`, extending the file with zeros if need be.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] when there is no space; any other.
    fn write(&self, name: &str, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Cuts or extends the file to `size` bytes.
    ///
    /// # Errors
    /// Any.
    fn truncate(&self, name: &str, size: u64) -> io::Result<()>;

    /// Returns when all earlier writes to the file, and the file's entry in its directory, are durable.
    ///
    /// # Errors
    /// Any; what was written since the last successful sync may then be lost.
    fn sync(&self, name: &str) -> io::Result<()>;

    /// The file's size in bytes.
    ///
    /// # Errors
    /// Any; an absent file may be [`io::ErrorKind::NotFound`] and counts as empty.
    fn size(&self, name: &str) -> io::Result<u64>;

    /// Whether the file exists.
    ///
    /// # Errors
    /// Any.
    fn exists(&self, name: &str) -> io::Result<bool>;

    /// Removes the file; with `sync_directory`, returns when that is durable.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when absent; any other.
    fn delete(&self, name: &str, sync_directory: bool) -> io::Result<()>;

    /// What was written so far, for `/metrics`; zeros where nobody counts.
    fn stats(&self) -> FileStats {
        FileStats::default()
    }
}

/// What SQLite wrote since the start of the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FileStats {
    /// Bytes handed to the operating system.
    pub written_bytes: u64,
    /// Write calls.
    pub writes: u64,
    /// Sync calls.
    pub syncs: u64,
}
