//! SQLite's files on the simulated disk.

use bramble_catalog::VfsFiles;
use bramble_disk::{DiskError, SimulatedDisk};
use std::io;
use std::sync::Arc;

/// Files in the data directory itself.
pub(crate) struct SimulatedFiles(pub(crate) Arc<SimulatedDisk>);

fn as_io(error: DiskError) -> io::Error {
    let kind = match &error {
        DiskError::NotFound { .. } => io::ErrorKind::NotFound,
        DiskError::Full { .. } => io::ErrorKind::StorageFull,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

impl VfsFiles for SimulatedFiles {
    fn read(&self, name: &str, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        self.0.raw_read(name, offset, out).map_err(as_io)
    }

    fn write(&self, name: &str, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.raw_write(name, offset, data).map_err(as_io)
    }

    fn truncate(&self, name: &str, size: u64) -> io::Result<()> {
        self.0.raw_truncate(name, size).map_err(as_io)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.0.raw_sync(name).map_err(as_io)
    }

    fn size(&self, name: &str) -> io::Result<u64> {
        self.0.raw_size(name).map_err(as_io)
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        self.0.raw_exists(name).map_err(as_io)
    }

    fn delete(&self, name: &str, sync_directory: bool) -> io::Result<()> {
        self.0.raw_delete(name).map_err(as_io)?;
        if sync_directory { self.0.raw_sync_directory("").map_err(as_io) } else { Ok(()) }
    }
}
