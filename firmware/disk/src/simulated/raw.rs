//! Files by name, in bytes: what SQLite's virtual file system needs.

use super::{Operation, SimulatedDisk};
use crate::disk::check_name;
use crate::error::DiskError;

impl SimulatedDisk {
    /// Reads up to `out.len()` bytes at `offset`; returns how many there were. 0 at or past the end.
    ///
    /// # Errors
    /// [`NotFound`](DiskError::NotFound), a simulated I/O error, or [`PowerLost`](DiskError::PowerLost); so in all `raw_*` calls.
    pub fn raw_read(&self, name: &str, offset: u64, out: &mut [u8]) -> Result<usize, DiskError> {
        let (mut world, _) = self.begin(Operation::Look)?;
        let id = world.lookup(name)?;
        let size = world.node(id).map_or(0, |node| node.len() as u64);
        let length = size.saturating_sub(offset).min(out.len() as u64);
        if length == 0 {
            return Ok(0);
        }
        self.read_faults(&mut world, id, name, offset, length)?;
        let (from, length) = (offset as usize, length as usize);
        let stored = world.node(id).and_then(|node| node.bytes().get(from..from + length)).unwrap_or_default();
        out[..stored.len()].copy_from_slice(stored);
        Ok(stored.len())
    }

    /// Writes at any offset, creating the file if needed; not durable until [`raw_sync`](SimulatedDisk::raw_sync).
    ///
    /// # Errors
    /// As [`raw_read`](SimulatedDisk::raw_read); [`Full`](DiskError::Full).
    pub fn raw_write(&self, name: &str, offset: u64, data: &[u8]) -> Result<(), DiskError> {
        check_name(name, "write")?;
        let (mut world, cut) = self.begin(Operation::Mutate)?;
        let id = match world.lookup(name) {
            Ok(id) => id,
            Err(_) => world.create(name),
        };
        self.write((world, cut), id, name, offset, data, false)
    }

    /// Cuts or extends with zeros, creating the file if needed; not durable.
    ///
    /// # Errors
    /// As [`raw_write`](SimulatedDisk::raw_write).
    pub fn raw_truncate(&self, name: &str, bytes: u64) -> Result<(), DiskError> {
        check_name(name, "truncate")?;
        let (mut world, cut) = self.begin(Operation::Mutate)?;
        let id = match world.lookup(name) {
            Ok(id) => id,
            Err(_) => world.create(name),
        };
        if !world.fits(id, bytes) {
            return Err(DiskError::Full { name: name.into(), doing: "truncate" });
        }
        if let Some(node) = world.node_mut(id) {
            node.truncate(bytes as usize);
        }
        if cut {
            world.cut();
            return Err(DiskError::PowerLost);
        }
        Ok(())
    }

    /// Makes content, length and name durable (SQLite syncs the directory of a file it made).
    ///
    /// # Errors
    /// As [`raw_read`](SimulatedDisk::raw_read).
    pub fn raw_sync(&self, name: &str) -> Result<(), DiskError> {
        let (mut world, cut) = self.begin(Operation::Mutate)?;
        let id = world.lookup(name)?;
        if !cut && !world.options.lies_about(name) {
            world.sync_name(name);
        }
        self.sync_node((world, cut), id, name)
    }

    /// The file's length in bytes.
    ///
    /// # Errors
    /// As [`raw_read`](SimulatedDisk::raw_read).
    pub fn raw_size(&self, name: &str) -> Result<u64, DiskError> {
        let (world, _) = self.begin(Operation::Look)?;
        let id = world.lookup(name)?;
        Ok(world.node(id).map_or(0, |node| node.len() as u64))
    }

    /// Whether there is such a file.
    ///
    /// # Errors
    /// [`PowerLost`](DiskError::PowerLost).
    pub fn raw_exists(&self, name: &str) -> Result<bool, DiskError> {
        Ok(self.begin(Operation::Look)?.0.lookup(name).is_ok())
    }

    /// Unlinks the file. It may be back after a cut, unless [`raw_sync_directory`](SimulatedDisk::raw_sync_directory) follows.
    ///
    /// # Errors
    /// As [`raw_read`](SimulatedDisk::raw_read).
    pub fn raw_delete(&self, name: &str) -> Result<(), DiskError> {
        let (mut world, cut) = self.begin(Operation::Mutate)?;
        world.remove(name)?;
        if cut {
            world.cut();
            return Err(DiskError::PowerLost);
        }
        Ok(())
    }

    /// Makes the names in `directory` (`""`: the data directory itself) durable as they are now: SQLite asks for it with
    /// some deletions.
    ///
    /// # Errors
    /// [`PowerLost`](DiskError::PowerLost).
    pub fn raw_sync_directory(&self, directory: &str) -> Result<(), DiskError> {
        let (mut world, cut) = self.begin(Operation::Mutate)?;
        if cut {
            world.cut();
            return Err(DiskError::PowerLost);
        }
        world.sync_directory(directory);
        Ok(())
    }
}
