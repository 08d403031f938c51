//! What a medium writes by itself: the unit of the journal's frames.
//!
//! A frame may end where the next one begins only if writing the next cannot damage it. Cards and drives write sectors
//! whole, so two frames that share no sector are safe from each other. A drive may do that only for sectors larger
//! than those it takes orders for (it says so as its *physical* block size), and the file system may want more for
//! direct I/O: the largest of the three counts. Where one of them is not known, the unit is [`ALIGNMENT`].

use std::fs::{self, File};
use std::path::Path;

use rustix::fs::{AtFlags, StatxFlags};

use crate::aligned::ALIGNMENT;

/// Cards, drives and loop devices have none smaller.
const SECTOR_BYTES: usize = 512;

/// The unit for durable writes to `file`: a power of two from 512 to [`ALIGNMENT`].
pub(crate) fn write_unit(file: &File) -> usize {
    let known = direct_unit(file).zip(physical_block_bytes(file, Path::new("/sys/dev/block")));
    known.map_or(ALIGNMENT, |(direct, physical)| unit_of(direct, physical))
}

fn unit_of(direct: usize, physical: usize) -> usize {
    let largest = direct.max(physical).max(SECTOR_BYTES);
    if largest.is_power_of_two() { largest.min(ALIGNMENT) } else { ALIGNMENT }
}

/// What the file system takes for direct I/O; `None` where it takes none or the kernel does not say (before 6.1).
fn direct_unit(file: &File) -> Option<usize> {
    let stat = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN).ok()?;
    let told = stat.stx_mask & StatxFlags::DIOALIGN.bits() != 0;
    usize::try_from(stat.stx_dio_offset_align).ok().filter(|&unit| told && unit > 0)
}

/// The physical block size of the device below, from sysfs: a partition's queue is its disk's.
fn physical_block_bytes(file: &File, devices: &Path) -> Option<usize> {
    let device = rustix::fs::fstat(file).ok()?.st_dev;
    let folder = devices.join(format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device)));
    let text = ["queue/physical_block_size", "../queue/physical_block_size"]
        .iter()
        .find_map(|place| fs::read_to_string(folder.join(place)).ok())?;
    text.trim().parse().ok().filter(|&bytes| bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_counts() {
        assert_eq!(unit_of(512, 512), 512);
        assert_eq!(unit_of(512, 4096), 4096, "a drive that rewrites eight sectors at once can lose seven");
        assert_eq!(unit_of(4096, 512), 4096);
        assert_eq!(unit_of(1, 1), 512);
        assert_eq!(unit_of(512, 16_384), ALIGNMENT, "no more than direct I/O was always given");
        assert_eq!(unit_of(520, 512), ALIGNMENT, "sectors with room for checksums are no power of two");
    }

    #[test]
    fn this_machines_unit_is_one() {
        let directory = tempfile::tempdir().unwrap();
        let file = File::create(directory.path().join("x")).unwrap();
        let unit = write_unit(&file);
        println!("direct: {:?}, unit: {unit}", direct_unit(&file));
        assert!((SECTOR_BYTES..=ALIGNMENT).contains(&unit) && unit.is_power_of_two());
        assert_eq!(physical_block_bytes(&file, directory.path()), None, "a device that sysfs does not know");
    }
}
