//! The [`Disk`] contract over the simulated world.

use std::sync::Arc;
use std::time::Duration;

use super::node::SECTOR;
use super::world::{NodeId, World};
use super::{Operation, SimulatedDisk};
use crate::aligned::{ALIGNMENT, AlignedBuffer};
use crate::disk::{DirEntry, Disk, DiskKind, FileId, ReadRequest, Space, check_alignment, check_name};
use crate::error::DiskError;
use crate::metrics::DiskMetrics;
use crate::threads::check_range;

impl SimulatedDisk {
    /// One write, with its faults. `name` is for messages and counters.
    pub(super) fn write(
        &self,
        begun: (parking_lot::MutexGuard<'_, World>, bool),
        id: NodeId,
        name: &str,
        offset: u64,
        data: &[u8],
        durably: bool,
    ) -> Result<(), DiskError> {
        let (mut world, cut) = begun;
        let end = offset + data.len() as u64;
        if !world.fits(id, end) {
            self.metrics.failed(name);
            return Err(DiskError::Full { name: name.into(), doing: "write" });
        }
        let chance = world.options.write_error_chance;
        let fails = world.rng.chance(chance);
        let lies = world.options.lies_about(name);
        let Some((node, rng)) = world.node_and_rng(id) else { return Err(self.failed(name, "write")) };
        if fails && !cut {
            for (index, sector) in data.chunks(SECTOR).enumerate() {
                if rng.chance(0.5) {
                    node.write(offset as usize + index * SECTOR, sector);
                }
            }
            return Err(self.failed(name, "write"));
        }
        node.write(offset as usize, data);
        if cut {
            world.cut();
            return Err(DiskError::PowerLost);
        }
        if durably {
            if !lies {
                node.sync_range(offset as usize, data.len());
            }
            self.metrics.synced(name, Duration::ZERO);
        }
        self.metrics.wrote(name, data.len());
        Ok(())
    }

    /// One sync, with its faults.
    pub(super) fn sync_node(
        &self,
        begun: (parking_lot::MutexGuard<'_, World>, bool),
        id: NodeId,
        name: &str,
    ) -> Result<(), DiskError> {
        let (mut world, cut) = begun;
        if cut {
            world.cut();
            return Err(DiskError::PowerLost);
        }
        self.metrics.synced(name, Duration::ZERO);
        let chance = world.options.sync_error_chance;
        let fails = world.rng.chance(chance);
        let lies = world.options.lies_about(name);
        let Some((node, rng)) = world.node_and_rng(id) else { return Err(self.failed(name, "sync")) };
        if fails {
            node.fail_sync(rng);
            return Err(self.failed(name, "sync"));
        }
        if !lies {
            node.sync();
        }
        Ok(())
    }

    /// Whether this read fails; rots what it reads if it is time.
    pub(super) fn read_faults(
        &self,
        world: &mut World,
        id: NodeId,
        name: &str,
        at: u64,
        length: u64,
    ) -> Result<(), DiskError> {
        if world.rng.chance(world.options.read_error_chance) {
            return Err(self.failed(name, "read"));
        }
        if length > 0 && world.rng.chance(world.options.bit_rot_chance) {
            let (byte, bit) = (at + world.rng.below(length), world.rng.below(8));
            _ = world.node_mut(id).and_then(|node| node.flip(byte, 1 << bit));
        }
        self.metrics.read(name, length as usize);
        Ok(())
    }

    fn write_handle(&self, file: FileId, offset: u64, data: &[u8], durably: bool) -> Result<(), DiskError> {
        let begun = self.begin(Operation::Mutate)?;
        let (id, name) = begun.0.handle(file, "write")?;
        check_alignment(&name, offset, data.len(), if durably { begun.0.options.write_unit } else { ALIGNMENT })?;
        self.write(begun, id, &name, offset, data, durably)
    }
}

impl Disk for SimulatedDisk {
    fn kind(&self) -> DiskKind {
        DiskKind::Simulated
    }

    fn metrics(&self) -> Arc<DiskMetrics> {
        Arc::clone(&self.metrics)
    }

    fn create(&self, name: &str, preallocate_bytes: u64) -> Result<FileId, DiskError> {
        check_name(name, "create")?;
        let (mut world, cut) = self.begin(Operation::Mutate)?;
        if world.used_bytes().saturating_add(preallocate_bytes) > world.options.capacity_bytes {
            self.metrics.failed(name);
            return Err(DiskError::Full { name: name.into(), doing: "preallocate" });
        }
        let id = world.create(name);
        if cut {
            world.cut();
            return Err(DiskError::PowerLost);
        }
        Ok(world.open(id, name))
    }

    fn open(&self, name: &str) -> Result<FileId, DiskError> {
        check_name(name, "open")?;
        let (mut world, _) = self.begin(Operation::Look)?;
        let id = world.lookup(name)?;
        Ok(world.open(id, name))
    }

    fn preallocate(&self, file: FileId, _offset: u64, bytes: u64) -> Result<(), DiskError> {
        let (world, _) = self.begin(Operation::Look)?;
        let (_, name) = world.handle(file, "preallocate")?;
        if world.used_bytes().saturating_add(bytes) > world.options.capacity_bytes {
            self.metrics.failed(&name);
            return Err(DiskError::Full { name, doing: "preallocate" });
        }
        Ok(())
    }

    fn write_at(&self, file: FileId, offset: u64, data: AlignedBuffer) -> (Result<(), DiskError>, AlignedBuffer) {
        (self.write_handle(file, offset, &data, false), data)
    }

    fn sync(&self, file: FileId) -> Result<(), DiskError> {
        let begun = self.begin(Operation::Mutate)?;
        let (id, name) = begun.0.handle(file, "sync")?;
        self.sync_node(begun, id, &name)
    }

    fn write_unit(&self, _file: FileId) -> usize {
        self.world.lock().options.write_unit
    }

    fn write_synced(&self, file: FileId, offset: u64, data: AlignedBuffer) -> (Result<(), DiskError>, AlignedBuffer) {
        (self.write_handle(file, offset, &data, true), data)
    }

    fn read_at(&self, file: FileId, requests: &mut [ReadRequest]) -> Result<(), DiskError> {
        let (mut world, _) = self.begin(Operation::Look)?;
        let (id, name) = world.handle(file, "read")?;
        for request in requests {
            let size = world.node(id).map_or(0, |node| node.len() as u64);
            check_range(&name, size, request)?;
            self.read_faults(&mut world, id, &name, request.offset, request.length as u64)?;
            let from = request.offset as usize;
            let stored = world.node(id).and_then(|node| node.bytes().get(from..from + request.length));
            request.buffer.clear();
            request.buffer.extend_from_slice(stored.unwrap_or_default());
        }
        Ok(())
    }

    fn truncate(&self, file: FileId, bytes: u64) -> Result<(), DiskError> {
        let (mut world, cut) = self.begin(Operation::Mutate)?;
        let (id, name) = world.handle(file, "truncate")?;
        if !world.fits(id, bytes) {
            return Err(DiskError::Full { name, doing: "truncate" });
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

    fn publish(&self, from: &str, to: &str) -> Result<(), DiskError> {
        check_name(from, "publish")?;
        check_name(to, "publish")?;
        let (mut world, cut) = self.begin(Operation::Mutate)?;
        if cut {
            // Either the whole rename reached the medium, or nothing of it.
            if world.rng.chance(0.5) {
                _ = world.rename(from, to, true);
            }
            world.cut();
            return Err(DiskError::PowerLost);
        }
        let durably = !world.options.lie_about_publish;
        world.rename(from, to, durably)
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        check_name(name, "remove")?;
        let (mut world, cut) = self.begin(Operation::Mutate)?;
        world.remove(name)?;
        if cut {
            world.cut();
            return Err(DiskError::PowerLost);
        }
        Ok(())
    }

    fn list(&self, directory: &str) -> Result<Vec<DirEntry>, DiskError> {
        let (world, _) = self.begin(Operation::Look)?;
        let below =
            |name: &str| directory.is_empty() || name.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'));
        let found = world.names().filter(|(name, _)| below(name));
        let mut entries: Vec<DirEntry> = found.map(|(name, bytes)| DirEntry { name: name.clone(), bytes }).collect();
        entries.sort_unstable();
        Ok(entries)
    }

    fn size(&self, file: FileId) -> Result<u64, DiskError> {
        let (world, _) = self.begin(Operation::Look)?;
        let (id, _) = world.handle(file, "stat")?;
        Ok(world.node(id).map_or(0, |node| node.len() as u64))
    }

    fn close(&self, file: FileId) {
        self.world.lock().close(file);
    }

    fn space(&self) -> Result<Space, DiskError> {
        let (world, _) = self.begin(Operation::Look)?;
        let total_bytes = world.options.capacity_bytes;
        Ok(Space { total_bytes, available_bytes: total_bytes.saturating_sub(world.used_bytes()) })
    }
}
