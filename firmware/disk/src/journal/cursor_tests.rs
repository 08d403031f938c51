use std::sync::Arc;

use bramble_runtime::Rng;

use super::*;
use crate::{Disk, ThreadsDisk};

const SMALL: JournalOptions = JournalOptions { extent_bytes: 64 << 10, extents_min: 1, extents_max: 4 };

fn record(sequence: u64, rng: &mut Rng) -> Vec<u8> {
    let mut noise = vec![0; rng.below(900) as usize];
    rng.fill(&mut noise);
    [sequence.to_le_bytes().to_vec(), noise].concat()
}

/// Random commits, reads, releases, drops of the oldest and restarts: the reader sees every record once, in order, but for
/// those of extents that were dropped before it came to them.
#[test]
fn a_cursor_follows_the_ring() {
    for seed in 0..6 {
        let mut rng = Rng::new(seed);
        let directory = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(ThreadsDisk::new(directory.path()).unwrap());
        let mut journal = Journal::open(disk.clone(), SMALL, 0, &mut |_| {}).unwrap().0;
        let mut cursor = Cursor::new(0);
        let (mut read_through, mut dropped_through) = (0, 0);
        for _ in 0..400 {
            match rng.below(10) {
                0..4 => {
                    let first = journal.next_sequence();
                    let records: Vec<_> = (first..=first + rng.below(4)).map(|at| record(at, &mut rng)).collect();
                    let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
                    let bytes = records.iter().map(|record| record.len()).sum();
                    if let Err(JournalError::Full { .. }) = journal.prepare_commit(bytes) {
                        let (_, last) = journal.oldest_extent().unwrap();
                        dropped_through = last;
                        journal.release(last);
                        journal.prepare_commit(bytes).unwrap();
                    }
                    journal.append(&records).unwrap();
                }
                4..8 => {
                    let mut seen = Vec::new();
                    let mut see = |found: Replayed<'_>| {
                        assert_eq!(found.record[..8], found.sequence.to_le_bytes());
                        seen.push(found.sequence);
                    };
                    let step = journal.step(&mut cursor, &mut see).unwrap();
                    assert!(!matches!(step, Step::Lost(..)));
                    if let (Some(&first), Some(&last)) = (seen.first(), seen.last()) {
                        assert!(seen.is_sorted_by(|a, b| a + 1 == *b));
                        assert!(first == read_through + 1 || (first > read_through && read_through < dropped_through));
                        read_through = last;
                    }
                    if step == Step::End {
                        assert!(read_through.max(dropped_through) + 1 >= journal.next_sequence());
                    }
                    assert_eq!(cursor.position().max(dropped_through), read_through.max(dropped_through));
                }
                8 => journal.release(read_through),
                _ if rng.chance(0.2) => {
                    drop(journal);
                    let through = read_through.max(dropped_through);
                    journal = Journal::open(disk.clone(), SMALL, through, &mut |_| {}).unwrap().0;
                    cursor = Cursor::new(through);
                    read_through = through;
                }
                _ => {}
            }
        }
        assert!(read_through > 50, "seed {seed} read {read_through}");
    }
}

#[test]
fn what_cannot_be_read_is_told_and_skipped() {
    let directory = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(ThreadsDisk::new(directory.path()).unwrap());
    let mut journal = Journal::open(disk, SMALL, 0, &mut |_| {}).unwrap().0;
    let mut rng = Rng::new(1);
    while journal.oldest_extent().is_none() {
        let bytes = record(journal.next_sequence(), &mut rng);
        journal.prepare_commit(bytes.len()).unwrap();
        journal.append(&[&bytes]).unwrap();
    }
    let (first, last) = journal.oldest_extent().unwrap();
    let path = directory.path().join("journal/000001");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[20_000..21_000].fill(7);
    std::fs::write(&path, bytes).unwrap();
    let mut cursor = Cursor::new(0);
    let mut seen = Vec::new();
    let lost = loop {
        match journal.step(&mut cursor, &mut |found| seen.push(found.sequence)).unwrap() {
            Step::Read => {}
            Step::Lost(from, through) => break (from, through),
            Step::End => panic!("the damage was not seen"),
        }
    };
    assert_eq!((first, lost), (1, (seen.last().unwrap() + 1, last)));
    assert_eq!(journal.step(&mut cursor, &mut |found| assert!(found.sequence > last)).unwrap(), Step::Read);
}
