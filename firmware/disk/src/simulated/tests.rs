use super::*;
use crate::aligned::AlignedBuffer;
use crate::disk::{Disk, read_range};

fn page(fill: u8, units: usize) -> AlignedBuffer {
    let mut buffer = AlignedBuffer::zeroed(units * 4096);
    buffer.fill(fill);
    buffer
}

fn published(disk: &SimulatedDisk, name: &str, fill: u8, units: usize) {
    let file = disk.create("tmp/x", 0).unwrap();
    disk.write_at(file, 0, page(fill, units)).0.unwrap();
    disk.sync(file).unwrap();
    disk.publish("tmp/x", name).unwrap();
    disk.close(file);
}

fn content(disk: &SimulatedDisk, name: &str) -> Result<Vec<u8>, DiskError> {
    let file = disk.open(name)?;
    read_range(disk, file, 0, disk.size(file)? as usize)
}

#[test]
fn synced_and_published_survives_every_cut() {
    for seed in 0..50 {
        let disk = SimulatedDisk::new(seed, SimulatedOptions::default());
        published(&disk, "a/b", 7, 2);
        disk.power_cut();
        assert_eq!(disk.open("a/b"), Err(DiskError::PowerLost));
        disk.reboot();
        assert_eq!(content(&disk, "a/b").unwrap(), vec![7; 8192]);
    }
}

#[test]
fn unsynced_sectors_names_and_removals_are_lost_by_coin() {
    let (mut torn, mut lost, mut back) = (0, 0, 0);
    for seed in 0..100 {
        let disk = SimulatedDisk::new(seed, SimulatedOptions::default());
        published(&disk, "old", 1, 1);
        published(&disk, "gone", 1, 1);
        let file = disk.open("old").unwrap();
        disk.write_at(file, 0, page(2, 1)).0.unwrap();
        disk.create("new", 0).unwrap();
        disk.remove("gone").unwrap();
        disk.reboot();
        let old = content(&disk, "old").unwrap();
        assert!(old.chunks(512).all(|sector| sector.iter().all(|byte| *byte == sector[0])), "sectors are whole");
        torn += usize::from(old.contains(&1) && old.contains(&2));
        lost += usize::from(content(&disk, "new").is_err());
        back += usize::from(content(&disk, "gone").is_ok());
        assert!(disk.size(file).is_err(), "handles do not survive a reboot");
    }
    assert!(torn > 80 && (20..80).contains(&lost) && (20..80).contains(&back), "{torn} {lost} {back}");
}

#[test]
fn a_cut_can_fall_into_any_operation() {
    for n in 1..=4 {
        let disk = SimulatedDisk::new(n, SimulatedOptions::default());
        disk.cut_after_ops(n);
        let step = || -> Result<(), DiskError> {
            let file = disk.create("tmp/x", 0)?;
            disk.write_at(file, 0, page(1, 1)).0?;
            disk.sync(file)?;
            disk.publish("tmp/x", "x")
        };
        assert_eq!(step(), Err(DiskError::PowerLost));
        assert_eq!((disk.operations(), disk.is_powered()), (n, false));
        disk.reboot();
        if let Ok(bytes) = content(&disk, "x") {
            assert_eq!((n, bytes), (4, vec![1; 4096]), "a published file is whole");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_disaster() {
    let run = |seed| {
        let disk = SimulatedDisk::new(seed, SimulatedOptions { write_error_chance: 0.3, ..Default::default() });
        let file = disk.create("x", 0).unwrap();
        let results: Vec<bool> =
            (0..20).map(|unit| disk.write_at(file, unit * 4096, page(unit as u8, 1)).0.is_ok()).collect();
        disk.reboot();
        (results, content(&disk, "x").ok())
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn a_failed_sync_forgets_for_good() {
    let mut lost = 0;
    for seed in 0..50 {
        let disk = SimulatedDisk::new(seed, SimulatedOptions { sync_error_chance: 1.0, ..Default::default() });
        published_despite(&disk);
        let file = disk.open("x").unwrap();
        disk.write_at(file, 0, page(9, 1)).0.unwrap();
        assert!(disk.sync(file).is_err());
        disk.configure(|options| options.sync_error_chance = 0.0);
        disk.sync(file).unwrap();
        disk.reboot();
        lost += usize::from(content(&disk, "x").unwrap() != vec![9; 4096]);
    }
    assert!(lost > 40, "the second sync must not help: {lost}");
}

fn published_despite(disk: &SimulatedDisk) {
    disk.configure(|options| options.sync_error_chance = 0.0);
    published(disk, "x", 1, 1);
    disk.configure(|options| options.sync_error_chance = 1.0);
}

#[test]
fn full_lying_and_rotten() {
    let disk = SimulatedDisk::new(1, SimulatedOptions { capacity_bytes: 8192, ..Default::default() });
    let file = disk.create("x", 0).unwrap();
    disk.write_at(file, 0, page(1, 2)).0.unwrap();
    assert!(disk.write_at(file, 8192, page(1, 1)).0.unwrap_err().is_full());
    assert!(disk.create("y", 1).unwrap_err().is_full());
    assert_eq!(disk.space().unwrap().available_bytes, 0);
    disk.corrupt("x", 5, 3).unwrap();
    assert_eq!(content(&disk, "x").unwrap()[5], 2);
    disk.configure(|options| options.bit_rot_chance = 1.0);
    assert_ne!(content(&disk, "x").unwrap(), content(&disk, "x").unwrap());

    let mut lost = 0;
    for seed in 0..20 {
        let disk = SimulatedDisk::new(seed, SimulatedOptions { lie_about_sync: true, ..Default::default() });
        published(&disk, "x", 1, 1);
        disk.reboot();
        lost += usize::from(content(&disk, "x").unwrap() != vec![1; 4096]);
    }
    assert!(lost > 15, "{lost}");
}

#[test]
fn raw_files_are_files() {
    let disk = SimulatedDisk::new(1, SimulatedOptions::default());
    assert!(!disk.raw_exists("catalog.db").unwrap());
    disk.raw_write("catalog.db", 10, b"hello").unwrap();
    assert_eq!(disk.raw_size("catalog.db").unwrap(), 15);
    let mut out = [9; 20];
    assert_eq!(disk.raw_read("catalog.db", 8, &mut out).unwrap(), 7);
    assert_eq!(&out[..8], b"\0\0hello\x09");
    disk.raw_sync("catalog.db").unwrap();
    disk.reboot();
    assert_eq!(content(&disk, "catalog.db").unwrap(), b"\0\0\0\0\0\0\0\0\0\0hello");
    disk.raw_truncate("catalog.db", 11).unwrap();
    assert_eq!(content(&disk, "catalog.db").unwrap().last(), Some(&b'h'));
    disk.raw_delete("catalog.db").unwrap();
    disk.raw_sync_directory("").unwrap();
    disk.reboot();
    assert!(!disk.raw_exists("catalog.db").unwrap());
}
