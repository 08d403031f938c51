use std::sync::Arc;

use bramble_runtime::{Budget, BudgetName, Rng};

use super::*;
use crate::{Cause, Disk, DiskError, Page, PageCache, SimulatedDisk, SimulatedOptions, ThreadsDisk};

fn cache(bytes: usize) -> Arc<PageCache> {
    Arc::new(PageCache::new(Budget::standalone(BudgetName::PageCache, bytes)))
}

fn disk() -> (tempfile::TempDir, Arc<dyn Disk>) {
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(ThreadsDisk::new(directory.path()).unwrap());
    (directory, disk)
}

fn header() -> SegmentHeader {
    SegmentHeader {
        signal: 2,
        class: 1,
        content_version: 3,
        block: 77,
        day: -5,
        journal_from: 10,
        journal_to: 20,
        replaces: vec![4, 5],
    }
}

const SUMMARY: SegmentSummary = SegmentSummary { min_time_ns: -1, max_time_ns: i64::MAX, items: 9 };

/// Pages of all kinds: empty, short, compressible, random, longer than a piece.
fn contents() -> Vec<Vec<u8>> {
    let mut random = vec![0; 700_000];
    Rng::new(1).fill(&mut random);
    let text = b"the quick brown fox ".repeat(50_000);
    vec![vec![], b"x".to_vec(), text, random, vec![0; 4096]]
}

fn write(disk: &Arc<dyn Disk>, name: &str, contents: &[Vec<u8>]) -> SegmentInfo {
    let mut writer = SegmentWriter::create(disk.clone(), name, header()).unwrap();
    let mut footer = Vec::new();
    for (index, raw) in contents.iter().enumerate() {
        let codec = if index % 2 == 0 { PageCodec::Zstd(3) } else { PageCodec::Raw };
        writer.write_page(raw, codec).unwrap().put(&mut footer);
    }
    writer.finish(&footer, SUMMARY).unwrap()
}

fn read_all(disk: &Arc<dyn Disk>, name: &str, cache: &Arc<PageCache>) -> Result<Vec<Page>, DiskError> {
    let reader = SegmentReader::open(disk.clone(), name, cache.clone())?;
    let footer = reader.footer()?;
    let mut rest = &footer[..];
    let mut pages = Vec::new();
    while !rest.is_empty() {
        pages.push(PageRef::take(&mut rest).ok_or_else(|| DiskError::corrupt(name, 0, "footer"))?);
    }
    reader.pages(&pages)
}

#[test]
fn round_trip_through_file_and_cache() {
    let (_directory, disk) = disk();
    let contents = contents();
    let info = write(&disk, "blocks/a/77", &contents);
    assert_eq!(info.file_bytes % 4096, 0);
    assert_eq!((&info.header, info.summary), (&header(), SUMMARY));
    assert_eq!(read_info(&disk, "blocks/a/77").unwrap(), info);
    let cache = cache(8 << 20);
    for _ in 0..2 {
        let pages = read_all(&disk, "blocks/a/77", &cache).unwrap();
        assert!(pages.iter().map(|page| &page[..]).eq(contents.iter().map(|raw| &raw[..])));
    }
    assert!(cache.hits() >= contents.len() as u64, "the second round comes from the cache");
    let listed = disk.list("").unwrap();
    assert_eq!(listed.len(), 1, "no temporary file stays: {listed:?}");
    assert_eq!(listed[0].bytes, info.file_bytes);
}

#[test]
fn an_unfinished_segment_leaves_nothing() {
    let (_directory, disk) = disk();
    let mut writer = SegmentWriter::create(disk.clone(), "blocks/1", header()).unwrap();
    writer.write_page(&[1; 600_000], PageCodec::Raw).unwrap();
    assert_eq!(disk.list("tmp").unwrap().len(), 1);
    drop(writer);
    assert_eq!(disk.list("").unwrap(), []);
}

#[test]
fn a_page_that_does_not_shrink_is_stored_raw() {
    let (_directory, disk) = disk();
    let mut writer = SegmentWriter::create(disk, "blocks/1", header()).unwrap();
    let mut random = [0; 1000];
    Rng::new(2).fill(&mut random);
    let page = writer.write_page(&random, PageCodec::Zstd(3)).unwrap();
    assert_eq!(page.stored_bytes, 1005);
    assert_eq!(writer.write_page(&[7; 1000], PageCodec::Zstd(1)).unwrap().offset, page.offset + 1005);
}

#[test]
fn many_replaced_blocks_fit_and_too_many_do_not() {
    let (_directory, disk) = disk();
    let many = SegmentHeader { replaces: (0..REPLACES_MAX as u64).collect(), ..header() };
    let info = SegmentWriter::create(disk.clone(), "blocks/1", many.clone()).unwrap().finish(b"", SUMMARY).unwrap();
    assert_eq!(read_info(&disk, &info.name).unwrap().header, many);
    let more = SegmentHeader { replaces: vec![1; REPLACES_MAX + 1], ..header() };
    assert!(SegmentWriter::create(disk, "blocks/2", more).is_err());
}

#[test]
fn every_flipped_byte_is_noticed_or_harmless() {
    let simulated = Arc::new(SimulatedDisk::new(1, SimulatedOptions::default()));
    let disk: Arc<dyn Disk> = simulated.clone();
    let mut contents = contents();
    contents.retain(|raw| raw.len() < 600_000);
    contents.push(b"some text, some more text, some text".repeat(20));
    let info = write(&disk, "blocks/1", &contents);
    let file = disk.open("blocks/1").unwrap();
    let good = crate::read_range(disk.as_ref(), file, 0, info.file_bytes as usize).unwrap();
    let mut unnoticed = Vec::new();
    for at in 0..good.len() {
        simulated.corrupt("blocks/1", at as u64, 1 << (at % 8)).unwrap();
        match read_all(&disk, "blocks/1", &cache(0)) {
            Err(DiskError::Corrupt { .. } | DiskError::NewerVersion { .. }) => {}
            Err(other) => panic!("byte {at}: {other}"),
            Ok(pages) => {
                assert!(pages.iter().map(|page| &page[..]).eq(contents.iter().map(|raw| &raw[..])));
                unnoticed.push(at);
            }
        }
        simulated.corrupt("blocks/1", at as u64, 1 << (at % 8)).unwrap();
    }
    let (first, last) = (unnoticed[0], unnoticed[unnoticed.len() - 1]);
    assert_eq!(last + 1, good.len() - 96, "what is not noticed ends where the trailer starts");
    assert_eq!(unnoticed.len(), last - first + 1, "and is one piece: the padding");
    assert!(good[first..=last].iter().all(|&byte| byte == 0));
}

#[test]
fn every_cut_is_noticed() {
    let (directory, disk) = disk();
    write(&disk, "blocks/1", &[b"page".to_vec()]);
    let path = directory.path().join("blocks/1");
    let good = std::fs::read(&path).unwrap();
    for length in (0..good.len()).step_by(7) {
        std::fs::write(&path, &good[..length]).unwrap();
        let error = read_all(&disk, "blocks/1", &cache(0)).unwrap_err();
        assert!(error.is_damage(), "cut to {length}: {error}");
    }
}

#[test]
fn a_newer_container_is_refused_by_name() {
    let (directory, disk) = disk();
    write(&disk, "blocks/1", &[]);
    let path = directory.path().join("blocks/1");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8] = 2;
    std::fs::write(&path, &bytes).unwrap();
    let error = read_info(&disk, "blocks/1").unwrap_err();
    assert_eq!(error, DiskError::NewerVersion { name: "blocks/1".into(), found: 2, supported: 1 });
}

#[test]
fn wild_references_are_damage_not_allocations() {
    let (_directory, disk) = disk();
    write(&disk, "blocks/1", &contents());
    let reader = SegmentReader::open(disk, "blocks/1", cache(1 << 20)).unwrap();
    let wild = [
        PageRef { offset: u64::MAX, stored_bytes: 9, raw_bytes: 9 },
        PageRef { offset: 0, stored_bytes: u32::MAX, raw_bytes: 9 },
        PageRef { offset: 100, stored_bytes: 9, raw_bytes: u32::MAX },
        PageRef { offset: 100, stored_bytes: 0, raw_bytes: 0 },
        PageRef { offset: 100, stored_bytes: 50, raw_bytes: 50 },
    ];
    for at in wild {
        assert!(reader.page(at).unwrap_err().is_damage(), "{at:?}");
    }
}

#[test]
fn references_survive_their_encoding() {
    for at in [
        PageRef::default(),
        PageRef { offset: u64::MAX, stored_bytes: u32::MAX, raw_bytes: u32::MAX },
        PageRef { offset: 128, stored_bytes: 127, raw_bytes: 300 },
    ] {
        let mut bytes = Vec::new();
        at.put(&mut bytes);
        assert_eq!(PageRef::take(&mut &bytes[..]), Some(at));
        assert_eq!(PageRef::take(&mut &bytes[..bytes.len() - 1]), None);
    }
    assert_eq!(PageRef::take(&mut &[0xFF; 30][..]), None);
}

/// Writes a segment with a power cut during operation `n`; after the reboot: was it finished, and is it there and whole?
fn cut_during(seed: u64, n: u64, options: SimulatedOptions) -> (bool, Result<bool, DiskError>) {
    let simulated = Arc::new(SimulatedDisk::new(seed, options));
    let disk: Arc<dyn Disk> = simulated.clone();
    let contents: Vec<Vec<u8>> = contents().into_iter().filter(|raw| raw.len() <= 700_000).collect();
    simulated.cut_after_ops(n);
    let write = || -> Result<(), DiskError> {
        let mut writer = SegmentWriter::create(disk.clone(), "blocks/1", header())?;
        let mut footer = Vec::new();
        for raw in &contents {
            writer.write_page(raw, PageCodec::Raw)?.put(&mut footer);
        }
        writer.finish(&footer, SUMMARY).map(drop)
    };
    let finished = write().is_ok();
    simulated.reboot();
    if disk.list("blocks").unwrap().is_empty() {
        return (finished, Ok(false));
    }
    let read = read_all(&disk, "blocks/1", &cache(0));
    (finished, read.map(|pages| pages.iter().map(|page| &page[..]).eq(contents.iter().map(|raw| &raw[..]))))
}

#[test]
fn a_power_cut_leaves_a_whole_segment_or_none() {
    for seed in 0..40 {
        let (finished, found) = cut_during(seed, 1 + seed % 12, SimulatedOptions::default());
        match found {
            Ok(whole) => assert!(whole || !finished, "seed {seed}: a finished segment is gone"),
            Err(error) => panic!("seed {seed}: {error}"),
        }
    }
}

#[test]
fn a_skipped_sync_before_the_publish_is_caught() {
    let lying =
        SimulatedOptions { lie_about_sync: true, lie_only_about: Some(Cause::Segment), ..SimulatedOptions::default() };
    let caught = (0..10).filter(|&seed| !matches!(cut_during(seed, 1000, lying.clone()), (true, Ok(true))));
    assert!(caught.count() > 5, "the test above must be able to fail");
}
