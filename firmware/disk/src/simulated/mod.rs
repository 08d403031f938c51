//! The tests' disk: it forgets, tears, rots, fails, fills up and stalls, all from a seed.
//!
//! The fault model, and why production code may be expected to survive exactly this:
//!
//! * **Power cut.** Of what was written and not synced each 512-byte sector is, by a coin, new or old; a file whose
//!   length changed has the old or the new length. A new or removed name is, by a coin, there or not, until a
//!   [`publish`](Disk::publish) into its directory. A rename is atomic. What was synced stays. (Cards keep sectors whole;
//!   journaling file systems keep renames whole; nothing else is promised.)
//! * **A failed write** leaves any mixture of old and new sectors. **A failed sync** loses its writes for good, by a
//!   coin each, even if a later sync succeeds: Linux marks pages clean after the failure.
//! * **Bit rot** flips one stored bit below a read. **Full** means [`DiskError::Full`] at a capacity.
//! * **Slow** operations add to [`elapsed_ns`](SimulatedDisk::elapsed_ns), which a test may feed to its clock.
//!
//! Single-threaded use is deterministic in the seed. SQLite's virtual file system uses the byte-granular `raw_*` calls,
//! which share names, contents and faults with the [`Disk`] ones.

mod node;
mod raw;
mod serve;
#[cfg(test)]
mod tests;
mod world;

use std::sync::Arc;

use bramble_runtime::Rng;
use parking_lot::{Mutex, MutexGuard};

use crate::error::DiskError;
use crate::metrics::{Cause, DiskMetrics};
use world::World;

#[cfg(doc)]
use crate::disk::Disk;

/// Which faults happen, and how often. All off by default, save those of a power cut.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulatedOptions {
    /// Bytes of files that fit.
    pub capacity_bytes: u64,
    /// What [`Disk::write_unit`] says: 512, the sector that this disk keeps whole, or a multiple up to 4096.
    pub write_unit: usize,
    /// Chance that a read fails, 0 to 1.
    pub read_error_chance: f64,
    /// Chance that a write fails, having written any part.
    pub write_error_chance: f64,
    /// Chance that a sync fails, having made any part durable and forgetting the rest.
    pub sync_error_chance: f64,
    /// Chance that a read finds a stored bit flipped, for good.
    pub bit_rot_chance: f64,
    /// Chance that a write or sync stalls for [`stall_ns`](SimulatedOptions::stall_ns).
    pub stall_chance: f64,
    /// Length of a stall.
    pub stall_ns: u64,
    /// Sabotage: syncs and synced writes succeed and make nothing durable.
    pub lie_about_sync: bool,
    /// Limits [`lie_about_sync`](SimulatedOptions::lie_about_sync) to files of one cause, by the name they were opened under:
    /// `Segment` is "the sync before a publish was skipped".
    pub lie_only_about: Option<Cause>,
    /// Sabotage: publishing succeeds and does not sync the directory.
    pub lie_about_publish: bool,
}

impl Default for SimulatedOptions {
    fn default() -> Self {
        SimulatedOptions {
            capacity_bytes: 1 << 30,
            write_unit: 512,
            read_error_chance: 0.0,
            write_error_chance: 0.0,
            sync_error_chance: 0.0,
            bit_rot_chance: 0.0,
            stall_chance: 0.0,
            stall_ns: 500_000_000,
            lie_about_sync: false,
            lie_only_about: None,
            lie_about_publish: false,
        }
    }
}

impl SimulatedOptions {
    fn lies_about(&self, name: &str) -> bool {
        self.lie_about_sync && self.lie_only_about.is_none_or(|cause| cause == Cause::of(name))
    }
}

/// A disk in memory. Clones of its `Arc` share it; it outlives simulated reboots.
pub struct SimulatedDisk {
    world: Mutex<World>,
    metrics: Arc<DiskMetrics>,
}

/// What an operation is: mutations count for [`SimulatedDisk::cut_after_ops`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Look,
    Mutate,
}

impl SimulatedDisk {
    /// An empty disk whose faults are determined by `seed`.
    pub fn new(seed: u64, options: SimulatedOptions) -> Self {
        SimulatedDisk { world: Mutex::new(World::new(Rng::new(seed), options)), metrics: Arc::new(DiskMetrics::new()) }
    }

    /// Changes the faults from now on.
    pub fn configure(&self, change: impl FnOnce(&mut SimulatedOptions)) {
        change(&mut self.world.lock().options);
    }

    /// Cuts the power now. Everything fails with [`DiskError::PowerLost`] until [`reboot`](SimulatedDisk::reboot).
    pub fn power_cut(&self) {
        self.world.lock().cut();
    }

    /// Cuts the power in the middle of the `n`-th mutating operation from now; 1 is the next one.
    pub fn cut_after_ops(&self, n: u64) {
        let mut world = self.world.lock();
        world.cut_at = Some(world.operations + n.max(1));
    }

    /// Takes back [`cut_after_ops`](SimulatedDisk::cut_after_ops).
    pub fn cancel_cut(&self) {
        self.world.lock().cut_at = None;
    }

    /// Whether the power is on.
    pub fn is_powered(&self) -> bool {
        self.world.lock().powered
    }

    /// Power on. Handles from before are closed; a cut that is still to come is cancelled.
    pub fn reboot(&self) {
        let mut world = self.world.lock();
        if world.powered {
            // A reset button is a power cut too.
            world.cut();
        }
        world.powered = true;
        world.cut_at = None;
    }

    /// Mutating operations since the disk was made.
    pub fn operations(&self) -> u64 {
        self.world.lock().operations
    }

    /// Simulated time spent in operations, in nanoseconds.
    pub fn elapsed_ns(&self) -> u64 {
        self.world.lock().elapsed_ns
    }

    /// Flips the bits of `xor` in one stored byte, for good.
    ///
    /// # Errors
    /// [`NotFound`](DiskError::NotFound), or [`Corrupt`](DiskError::Corrupt) past the end of the file.
    pub fn corrupt(&self, name: &str, offset: u64, xor: u8) -> Result<(), DiskError> {
        let mut world = self.world.lock();
        let id = world.lookup(name)?;
        let flipped = world.node_mut(id).and_then(|node| node.flip(offset, xor));
        flipped.ok_or_else(|| DiskError::corrupt(name, offset, "past the end"))
    }

    /// Starts an operation: the power must be on. True when the power is to be cut in its middle.
    fn begin(&self, operation: Operation) -> Result<(MutexGuard<'_, World>, bool), DiskError> {
        let mut world = self.world.lock();
        if !world.powered {
            return Err(DiskError::PowerLost);
        }
        let cut = operation == Operation::Mutate && world.count_operation();
        Ok((world, cut))
    }

    fn failed(&self, name: &str, doing: &'static str) -> DiskError {
        self.metrics.failed(name);
        let why = "simulated I/O error".to_string();
        DiskError::Io { name: name.into(), doing, why, code: Some(libc::EIO) }
    }
}
