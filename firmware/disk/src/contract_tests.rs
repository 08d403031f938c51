//! What every [`Disk`] must do, run over all three.

use std::path::Path;
use std::sync::Arc;

use crate::*;

/// Runs `check` over each implementation, each on an empty directory.
fn on_every_disk(check: impl Fn(Arc<dyn Disk>)) {
    let threads = tempfile::tempdir().unwrap();
    check(Arc::new(ThreadsDisk::new(threads.path()).unwrap()));
    check(Arc::new(SimulatedDisk::new(1, SimulatedOptions::default())));
    let uring = tempfile::tempdir().unwrap();
    match UringDisk::new(ThreadsDisk::new(uring.path()).unwrap()) {
        Ok(disk) => check(Arc::new(disk)),
        Err((why, _)) => println!("SKIPPED io_uring: {why}"),
    }
}

fn pattern(units: usize, seed: u64) -> AlignedBuffer {
    let mut buffer = AlignedBuffer::zeroed(units * ALIGNMENT);
    bramble_runtime::Rng::new(seed).fill(&mut buffer);
    buffer
}

#[test]
fn the_probe_says_what_this_machine_has() {
    match uring::probe() {
        Ok(()) => {
            println!("RAN io_uring: its probe works");
            let directory = tempfile::tempdir().unwrap();
            let disk = UringDisk::new(ThreadsDisk::new(directory.path()).unwrap());
            assert!(disk.is_ok(), "where the probe works the disk must");
        }
        Err(why) => println!("SKIPPED io_uring: {why}"),
    }
}

#[test]
fn written_is_read_in_one_and_in_many_ranges() {
    on_every_disk(|disk| {
        let file = disk.create("a/b/c", 1 << 20).unwrap();
        let data = pattern(200, 3);
        let copy = data.to_vec();
        let (result, back) = disk.write_at(file, 8192, data);
        result.unwrap();
        assert_eq!(&back[..], &copy[..], "{}: the buffer comes back unchanged", disk.kind());
        let (result, _) = disk.write_synced(file, 0, pattern(1, 4));
        result.unwrap();
        disk.sync(file).unwrap();
        assert_eq!(disk.size(file).unwrap(), 8192 + copy.len() as u64);
        assert_eq!(read_range(disk.as_ref(), file, 8192 + 5, 100).unwrap(), &copy[5..105]);
        assert_eq!(read_range(disk.as_ref(), file, 0, 4096).unwrap(), &pattern(1, 4)[..]);
        assert_eq!(read_range(disk.as_ref(), file, 4096, 4096).unwrap(), vec![0; 4096], "a hole is zeros");
        let mut rng = bramble_runtime::Rng::new(5);
        let mut requests: Vec<ReadRequest> = (0..100)
            .map(|_| {
                let (offset, length) = (rng.below(700_000), rng.below(100_000) as usize);
                ReadRequest { offset: 8192 + offset, length, buffer: vec![9; rng.below(200_000) as usize] }
            })
            .collect();
        disk.read_at(file, &mut requests).unwrap();
        for request in &requests {
            let from = (request.offset - 8192) as usize;
            assert!(request.buffer == copy[from..from + request.length], "{}: {}", disk.kind(), request.length);
        }
        disk.read_at(file, &mut []).unwrap();
        disk.close(file);
        assert!(disk.size(file).is_err());
    });
}

#[test]
fn ranges_past_the_end_are_errors_not_allocations() {
    on_every_disk(|disk| {
        let file = disk.create("x", 0).unwrap();
        disk.write_at(file, 0, pattern(1, 1)).0.unwrap();
        for (offset, length) in [(0, 4097), (4096, 1), (u64::MAX, 1), (0, usize::MAX)] {
            let error = read_range(disk.as_ref(), file, offset, length).unwrap_err();
            assert!(error.is_damage(), "{}: {error}", disk.kind());
            let mut many = [ReadRequest::new(0, 10), ReadRequest::new(offset, length)];
            assert!(disk.read_at(file, &mut many).unwrap_err().is_damage());
        }
    });
}

#[test]
fn publish_list_remove_and_open_handles() {
    on_every_disk(|disk| {
        assert_eq!(disk.list("blocks").unwrap(), []);
        let file = disk.create("tmp/one", 0).unwrap();
        disk.write_at(file, 0, pattern(2, 1)).0.unwrap();
        disk.sync(file).unwrap();
        disk.publish("tmp/one", "blocks/9/one").unwrap();
        disk.create("blocks/10", 0).unwrap();
        disk.create("blocksmith", 0).unwrap();
        let entry = |name: &str, bytes| DirEntry { name: name.into(), bytes };
        assert_eq!(disk.list("blocks").unwrap(), [entry("blocks/10", 0), entry("blocks/9/one", 8192)]);
        assert_eq!(disk.list("").unwrap().len(), 3);
        assert!(matches!(disk.open("tmp/one"), Err(DiskError::NotFound { .. })));
        let other = disk.create("tmp/two", 0).unwrap();
        disk.write_at(other, 0, pattern(1, 2)).0.unwrap();
        disk.publish("tmp/two", "blocks/9/one").unwrap();
        let replaced = disk.open("blocks/9/one").unwrap();
        assert_eq!(disk.size(replaced).unwrap(), 4096);
        disk.remove("blocks/9/one").unwrap();
        assert_eq!(read_range(disk.as_ref(), file, 0, 8192).unwrap(), &pattern(2, 1)[..], "handles outlive names");
        disk.write_at(other, 4096, pattern(1, 3)).0.unwrap();
        assert!(matches!(disk.remove("blocks/9/one"), Err(DiskError::NotFound { .. })));
        assert!(disk.publish("tmp/none", "x").is_err());
    });
}

#[test]
fn creating_truncates_and_truncating_cuts() {
    on_every_disk(|disk| {
        let file = disk.create("x", 0).unwrap();
        disk.write_at(file, 0, pattern(3, 1)).0.unwrap();
        disk.preallocate(file, 4096, 1 << 20).unwrap();
        assert_eq!(disk.size(file).unwrap(), 3 * 4096);
        disk.truncate(file, 4096).unwrap();
        assert_eq!(disk.size(file).unwrap(), 4096);
        disk.close(file);
        let again = disk.create("x", 0).unwrap();
        assert_eq!(disk.size(again).unwrap(), 0);
    });
}

#[test]
fn misuse_is_refused() {
    on_every_disk(|disk| {
        for name in ["", "/etc/passwd", "../x", "a//b", "a/./b", "a/\0"] {
            assert!(matches!(disk.create(name, 0), Err(DiskError::Invalid { .. })), "{name:?}");
            assert!(disk.open(name).is_err() && disk.remove(name).is_err() && disk.publish("x", name).is_err());
        }
        let file = disk.create("x", 0).unwrap();
        let mut unaligned = AlignedBuffer::zeroed(4096);
        assert!(disk.write_at(file, 512, AlignedBuffer::zeroed(4096)).0.is_err());
        unaligned.resize(100);
        assert!(disk.write_at(file, 0, unaligned).0.is_err());
        assert!(disk.write_synced(FileId(999), 0, AlignedBuffer::zeroed(4096)).0.is_err());
        assert!(disk.sync(FileId(999)).is_err());
        disk.close(FileId(999));
    });
}

#[test]
fn traffic_and_space_are_counted() {
    on_every_disk(|disk| {
        for (name, cause) in [("journal/1", Cause::Journal), ("tmp/1", Cause::Segment), ("1", Cause::Other)] {
            let file = disk.create(name, 0).unwrap();
            disk.write_at(file, 0, pattern(2, 1)).0.unwrap();
            disk.sync(file).unwrap();
            disk.write_synced(file, 0, pattern(1, 1)).0.unwrap();
            let mut reads = [ReadRequest::new(0, 10), ReadRequest::new(5, 7)];
            disk.read_at(file, &mut reads).unwrap();
            let metrics = disk.metrics();
            let counted = (metrics.written_bytes(cause), metrics.read_bytes(cause), metrics.syncs(cause));
            assert_eq!((counted, metrics.errors(cause)), ((3 * 4096, 17, 2), 0), "{}", disk.kind());
        }
        let space = disk.space().unwrap();
        assert!(space.available_bytes <= space.total_bytes && space.total_bytes > 0);
    });
}

#[test]
fn many_threads_share_a_disk() {
    on_every_disk(|disk| {
        std::thread::scope(|scope| {
            for worker in 0..4u64 {
                let disk = &disk;
                scope.spawn(move || {
                    let file = disk.create(&format!("f{worker}"), 0).unwrap();
                    for round in 0..20 {
                        disk.write_at(file, round * 4096, pattern(1, worker * 100 + round)).0.unwrap();
                    }
                    disk.sync(file).unwrap();
                    let mut all: Vec<ReadRequest> = (0..20).map(|at| ReadRequest::new(at * 4096, 4096)).collect();
                    disk.read_at(file, &mut all).unwrap();
                    for (round, request) in all.iter().enumerate() {
                        assert_eq!(&request.buffer[..], &pattern(1, worker * 100 + round as u64)[..]);
                    }
                });
            }
        });
    });
}

#[test]
fn the_journal_and_segments_work_on_every_disk() {
    on_every_disk(|disk| {
        let options = journal::JournalOptions { extent_bytes: 1 << 20, extents_min: 2, extents_max: 3 };
        let (mut journal, _) = journal::Journal::open(disk.clone(), options, 0, &mut |_| {}).unwrap();
        for _ in 0..5 {
            journal.prepare_commit(100_000).unwrap();
            journal.append(&[&pattern(24, 1)[..98_000], b"small"]).unwrap();
        }
        drop(journal);
        let mut found = 0;
        let (_, report) = journal::Journal::open(disk.clone(), options, 0, &mut |_| found += 1).unwrap();
        assert_eq!((found, report.last_sequence, report.damaged.len()), (10, 10, 0));
        let mut writer = segment::SegmentWriter::create(disk.clone(), "blocks/1", Default::default()).unwrap();
        let pages: Vec<_> =
            (0..30).map(|seed| writer.write_page(&pattern(20, seed), segment::PageCodec::Raw).unwrap()).collect();
        writer.finish(b"", Default::default()).unwrap();
        let budget = bramble_runtime::Budget::standalone(bramble_runtime::BudgetName::PageCache, 1 << 20);
        let reader = segment::SegmentReader::open(disk, "blocks/1", Arc::new(PageCache::new(budget))).unwrap();
        let wanted: Vec<_> = pages.iter().copied().step_by(3).collect();
        for (index, page) in reader.pages(&wanted).unwrap().iter().enumerate() {
            assert_eq!(&page[..], &pattern(20, index as u64 * 3)[..]);
        }
    });
}

#[test]
fn a_missing_directory_is_made_and_a_file_in_its_place_refused() {
    let directory = tempfile::tempdir().unwrap();
    assert!(ThreadsDisk::new(&directory.path().join("new/data")).is_ok());
    std::fs::write(directory.path().join("file"), "").unwrap();
    let refused = ThreadsDisk::new(&directory.path().join("file/data"));
    assert!(matches!(refused.err(), Some(DiskError::Unusable { .. })));
    assert!(Path::new("/proc/self").exists(), "direct writes find their file through /proc");
}
