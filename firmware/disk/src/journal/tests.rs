use std::sync::Arc;

use super::*;
use crate::{Disk, ThreadsDisk};

const SMALL: JournalOptions = JournalOptions { extent_bytes: 64 << 10, extents_min: 2, extents_max: 4 };

fn disk() -> (tempfile::TempDir, Arc<dyn Disk>) {
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(ThreadsDisk::new(directory.path()).unwrap());
    (directory, disk)
}

type Records = Vec<(Sequence, u64, Vec<u8>)>;

fn open(disk: &Arc<dyn Disk>, options: JournalOptions, after: Sequence) -> (Journal, RecoveryReport, Records) {
    let mut records = Vec::new();
    let mut keep = |found: Replayed<'_>| records.push((found.sequence, found.epoch, found.record.to_vec()));
    let (journal, report) = Journal::open(disk.clone(), options, after, &mut keep).unwrap();
    (journal, report, records)
}

fn commit(journal: &mut Journal, records: &[&[u8]]) -> Result<Sequence, JournalError> {
    journal.prepare_commit(records.iter().map(|record| record.len()).sum())?;
    journal.append(records)
}

fn record(sequence: u64) -> Vec<u8> {
    format!("record {sequence} ").repeat(1 + (sequence % 50) as usize).into_bytes()
}

/// Commits records of `record(sequence)` in commits of one to three until `through`.
fn fill(journal: &mut Journal, through: Sequence) -> Result<(), JournalError> {
    while journal.next_sequence() <= through {
        let first = journal.next_sequence();
        let batch: Vec<Vec<u8>> = (first..=(first + first % 3).min(through)).map(record).collect();
        let batch: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
        commit(journal, &batch)?;
    }
    Ok(())
}

fn check(records: &Records, from: Sequence, through: Sequence) {
    let sequences: Vec<Sequence> = records.iter().map(|(sequence, ..)| *sequence).collect();
    assert!(sequences.is_sorted() && sequences.first().is_none_or(|&first| first <= from), "{sequences:?}");
    assert_eq!(sequences.last().copied().unwrap_or(0), through);
    assert!(records.iter().all(|(sequence, _, bytes)| *bytes == record(*sequence)));
    assert_eq!(sequences.len() as u64, through + 1 - sequences.first().copied().unwrap_or(1), "each one once");
}

#[test]
fn what_was_committed_comes_back_in_order() {
    let (_directory, disk) = disk();
    let (mut journal, report, records) = open(&disk, SMALL, 0);
    assert_eq!((report, records.len()), (RecoveryReport::default(), 0));
    fill(&mut journal, 60).unwrap();
    drop(journal);
    let (mut journal, report, records) = open(&disk, SMALL, 0);
    check(&records, 1, 60);
    assert_eq!((report.records, report.last_sequence, report.torn_tail), (60, 60, false));
    assert_eq!(report.damaged, []);
    fill(&mut journal, 70).unwrap();
    drop(journal);
    let (_, _, records) = open(&disk, SMALL, 65);
    check(&records, 66, 70);
    let epochs: Vec<u64> = records.iter().map(|(_, epoch, _)| *epoch).collect();
    assert!(
        epochs.iter().all(|&epoch| epoch == epochs[0]),
        "a restart begins a new epoch, all that is needed: {epochs:?}"
    );
    assert_eq!(records[0].0, 61);
}

#[test]
fn a_full_ring_refuses_until_it_is_released() {
    let (_directory, disk) = disk();
    let (mut journal, ..) = open(&disk, SMALL, 0);
    let error = fill(&mut journal, u64::MAX - 5).unwrap_err();
    assert!(matches!(error, JournalError::Full { extents: 4, oldest: 1 }), "{error}");
    assert!(journal.used_fraction() > 0.9);
    let last = journal.next_sequence() - 1;
    journal.release(last / 2);
    assert_eq!(journal.oldest_sequence(), last / 2 + 1);
    fill(&mut journal, last + 5).unwrap();
    drop(journal);
    let (_, report, records) = open(&disk, SMALL, last / 2);
    check(&records, last / 2 + 1, last + 5);
    assert_eq!(report.damaged, []);
}

#[test]
fn laps_go_round_without_growing_or_zeroing() {
    let (_directory, disk) = disk();
    let (mut journal, ..) = open(&disk, SMALL, 0);
    for lap in 1..40 {
        fill(&mut journal, lap * 60).unwrap();
        let through = lap * 60 - 10;
        journal.release(through);
        if lap % 7 == 0 {
            drop(journal);
            let (reopened, report, records) = open(&disk, SMALL, through);
            check(&records, through + 1, lap * 60);
            assert_eq!(report.damaged, []);
            journal = reopened;
        }
    }
    assert!(journal.extents() <= 4);
    assert!(journal.bytes_written() > 0);
}

#[test]
fn the_ring_grows_ahead_of_need() {
    let (_directory, disk) = disk();
    let (mut journal, ..) = open(&disk, SMALL, 0);
    assert_eq!(journal.extents(), 1);
    assert!(journal.grow_ahead().unwrap());
    assert!(!journal.grow_ahead().unwrap(), "two are enough while one is free");
    fill(&mut journal, 1).unwrap();
    let growth = journal.growth();
    assert!(growth.is_none());
    drop(journal);
    let (journal, ..) = open(&disk, SMALL, 0);
    assert_eq!(journal.extents(), 2);
}

#[test]
fn one_commit_costs_one_unit_and_too_large_ones_are_refused() {
    let (_directory, disk) = disk();
    let (mut journal, ..) = open(&disk, SMALL, 0);
    commit(&mut journal, &[b"small"]).unwrap();
    assert_eq!(journal.bytes_written(), 4096);
    assert!(matches!(journal.prepare_commit(40 << 10), Err(JournalError::TooLarge { .. })));
    assert!(matches!(journal.append(&[&[1; 70 << 10]]), Err(JournalError::NotPrepared { .. })));
    assert_eq!(journal.append(&[]).unwrap(), 1);
    commit(&mut journal, &[b"next"]).unwrap();
    commit(&mut journal, &[b"", b"empty records are records"]).unwrap();
    drop(journal);
    let (_, _, records) = open(&disk, SMALL, 0);
    assert_eq!(
        records.iter().map(|(_, _, bytes)| &bytes[..]).collect::<Vec<_>>(),
        [&b"small"[..], b"next", b"", b"empty records are records"]
    );
}

#[test]
fn incompressible_records_fit_too() {
    let (_directory, disk) = disk();
    let (mut journal, ..) = open(&disk, SMALL, 0);
    let mut rng = bramble_runtime::Rng::new(3);
    let mut written = Vec::new();
    for length in [1, 100, 4000, 4032, 4033, 10_000, 30_000] {
        let mut bytes = vec![0; length];
        rng.fill(&mut bytes);
        commit(&mut journal, &[&bytes]).unwrap();
        written.push(bytes);
    }
    drop(journal);
    let (_, _, records) = open(&disk, SMALL, 0);
    assert!(records.iter().map(|(_, _, bytes)| bytes).eq(&written));
}
