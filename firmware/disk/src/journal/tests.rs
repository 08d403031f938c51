use std::collections::BTreeMap;
use std::sync::Arc;

use bramble_runtime::Rng;

use super::*;
use crate::{Disk, DiskError, SimulatedDisk, SimulatedOptions, ThreadsDisk};

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
    assert!(journal.growth().is_none(), "one is free");
    fill(&mut journal, 1).unwrap();
    assert!(journal.growth().is_none(), "there is room in it");
    while journal.growth().is_none() {
        assert_eq!(journal.extents(), 1, "before it is needed");
        let seed = journal.next_sequence();
        commit(&mut journal, &[&noise(1000, seed)]).unwrap();
    }
    let last = journal.next_sequence() - 1;
    let fraction = journal.used_fraction() * 4.0;
    assert!((0.5..0.6).contains(&fraction), "{fraction} of an extent");
    assert!(journal.grow_ahead().unwrap());
    assert!(!journal.grow_ahead().unwrap(), "one is enough");
    drop(journal);
    let (mut journal, report, _) = open(&disk, SMALL, 0);
    assert_eq!((journal.extents(), report.last_sequence), (2, last));
    journal.release(last);
    assert_eq!((journal.shrink(1).unwrap(), journal.extents()), (1, 1));
    commit(&mut journal, &[b"goes on"]).unwrap();
}

#[test]
fn a_commit_that_cannot_wait_makes_an_extent_of_its_own() {
    let (_directory, disk) = disk();
    let (mut journal, ..) = open(&disk, SMALL, 0);
    let growth = loop {
        if let Some(growth) = journal.growth() {
            break growth;
        }
        commit(&mut journal, &[&noise(1000, 1)]).unwrap();
    };
    // Elsewhere the extent is being made; here commits go on into the next one, and beyond.
    while journal.extents() < 2 {
        commit(&mut journal, &[&noise(1000, 2)]).unwrap();
    }
    let last = commit(&mut journal, &[b"must stay"]).unwrap();
    journal.adopt(growth.run().unwrap());
    assert_eq!(journal.extents(), 3);
    fill(&mut journal, last + 40).unwrap();
    drop(journal);
    let (_, report, records) = open(&disk, SMALL, 0);
    assert_eq!((report.damaged, records.len() as u64), (Vec::new(), last + 40));
}

#[test]
fn needed_bytes_fall_with_each_release() {
    let (mut journal, ..) = open(&disk_of_unit(512), SMALL, 0);
    assert_eq!(journal.needed_bytes(), 0);
    for seed in 0..20 {
        commit(&mut journal, &[&noise(900, seed)]).unwrap();
    }
    assert_eq!(journal.needed_bytes(), journal.bytes_written());
    assert_eq!(journal.needed_bytes(), 20 * 1024);
    journal.release(15);
    assert_eq!((journal.needed_bytes(), journal.extents()), (5 * 1024, 1), "within an extent too");
    assert_eq!((journal.sequence_within(3 * 1024), journal.sequence_within(0)), (18, 21));
    assert_eq!(journal.sequence_within(1 << 20), 1);
    for seed in 20..100 {
        commit(&mut journal, &[&noise(900, seed)]).unwrap();
    }
    assert!((84 * 1024..92 * 1024).contains(&journal.needed_bytes()), "{}", journal.needed_bytes());
    assert!((48..53).contains(&journal.sequence_within(50 * 1024)), "{}", journal.sequence_within(50 * 1024));
    journal.release(98);
    assert_eq!(journal.needed_bytes(), 2 * 1024);
    journal.release(100);
    assert_eq!(journal.needed_bytes(), 0);
}

/// Bytes that do not compress.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    Rng::new(seed).fill(&mut bytes);
    bytes
}

/// A disk whose medium writes `unit` bytes by itself.
fn disk_of_unit(unit: usize) -> Arc<dyn Disk> {
    Arc::new(SimulatedDisk::new(1, SimulatedOptions { write_unit: unit, ..SimulatedOptions::default() }))
}

#[test]
fn one_commit_costs_one_unit_and_too_large_ones_are_refused() {
    for unit in [512, 1024, 4096] {
        let (mut journal, ..) = open(&disk_of_unit(unit), SMALL, 0);
        commit(&mut journal, &[b"small"]).unwrap();
        commit(&mut journal, &[b"small too"]).unwrap();
        assert_eq!(journal.bytes_written(), 2 * unit as u64);
    }
    let (_directory, disk) = disk();
    let (mut journal, ..) = open(&disk, SMALL, 0);
    commit(&mut journal, &[b"small"]).unwrap();
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
    let mut rng = Rng::new(3);
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

/// What the journal promised, against what it gives back.
#[derive(Default)]
struct Model {
    acknowledged: BTreeMap<Sequence, Vec<u8>>,
    released: Sequence,
    /// Commits that failed since the last success: at most one of them may turn up, and wholly.
    unanswered: Vec<Vec<Vec<u8>>>,
}

impl Model {
    fn last(&self) -> Sequence {
        self.acknowledged.keys().next_back().copied().unwrap_or(0)
    }

    fn commit(&mut self, journal: &mut Journal, rng: &mut Rng) -> Result<(), JournalError> {
        let batch: Vec<Vec<u8>> = (0..1 + rng.below(4))
            .map(|_| {
                let mut bytes = vec![0; rng.below(3000) as usize];
                rng.fill(&mut bytes);
                bytes
            })
            .collect();
        let borrowed: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
        journal.prepare_commit(batch.iter().map(Vec::len).sum())?;
        match journal.append(&borrowed) {
            Ok(last) => {
                let first = last + 1 - batch.len() as u64;
                assert_eq!(first, self.last() + 1);
                self.acknowledged.extend((first..).zip(batch));
                self.unanswered.clear();
                Ok(())
            }
            Err(error) => {
                self.unanswered.push(batch);
                Err(error)
            }
        }
    }

    fn release(&mut self, journal: &mut Journal, rng: &mut Rng) {
        self.released += rng.below(self.last() - self.released + 1);
        journal.release(self.released);
    }

    /// What is wrong with what a recovery found; nothing is taken over then.
    fn check(&mut self, report: &RecoveryReport, records: &Records) -> Result<(), String> {
        let last = self.last();
        let mut found = records.iter().filter(|(sequence, ..)| *sequence > self.released);
        for (sequence, bytes) in self.acknowledged.range(self.released + 1..) {
            match found.next() {
                None => return Err(format!("{sequence} of {last} is lost; {report:?}")),
                Some((got, _, content)) if (got, content) != (sequence, bytes) => {
                    return Err(format!("{sequence} came back as {got}"));
                }
                Some(_) => {}
            }
        }
        let rest: Vec<Vec<u8>> = found.map(|(_, _, bytes)| bytes.clone()).collect();
        if !(rest.is_empty() || self.unanswered.contains(&rest)) {
            return Err(format!("{} records nobody committed", rest.len()));
        }
        if report.last_sequence != last + rest.len() as u64 {
            return Err(format!(
                "the last sequence is said to be {}, but is {last} and {}",
                report.last_sequence,
                rest.len()
            ));
        }
        let is_known = |(sequence, _, bytes): &(u64, u64, Vec<u8>)| {
            self.acknowledged.get(sequence).is_none_or(|acknowledged| acknowledged == bytes)
        };
        if !records.iter().all(is_known) {
            return Err("a released record changed".into());
        }
        // What recovery applied counts from now on.
        self.acknowledged.extend((last + 1..).zip(rest));
        self.unanswered.clear();
        Ok(())
    }
}

/// Why work ended early.
#[derive(Debug)]
enum Ended {
    Journal(JournalError),
    /// The journal broke its word.
    Broken(String),
}

impl From<JournalError> for Ended {
    fn from(error: JournalError) -> Self {
        Ended::Journal(error)
    }
}

/// Works until the disk dies or `steps` are done.
fn work(disk: &Arc<dyn Disk>, model: &mut Model, rng: &mut Rng, steps: u64) -> Result<(), Ended> {
    let mut records = Vec::new();
    let mut keep = |found: Replayed<'_>| records.push((found.sequence, found.epoch, found.record.to_vec()));
    let (mut journal, report) = Journal::open(disk.clone(), SMALL, model.released, &mut keep)?;
    model.check(&report, &records).map_err(Ended::Broken)?;
    if !report.damaged.is_empty() {
        return Err(Ended::Broken(format!("damage: {:?}", report.damaged)));
    }
    for _ in 0..steps {
        match rng.below(12) {
            0 => model.release(&mut journal, rng),
            1 => _ = journal.grow_ahead().map_err(JournalError::from)?,
            _ => match model.commit(&mut journal, rng) {
                Err(JournalError::Full { .. }) => model.release(&mut journal, rng),
                // A bad sector: the commit is refused, the next one goes elsewhere.
                Err(JournalError::Disk(DiskError::Io { .. })) => {}
                other => other?,
            },
        }
    }
    Ok(())
}

#[test]
fn no_cut_loses_what_was_acknowledged_or_invents_anything() {
    for seed in 0..400 {
        let mut rng = Rng::new(seed);
        let write_error_chance = if seed % 3 == 0 { 0.1 } else { 0.0 };
        let write_unit = if seed % 4 == 0 { 4096 } else { 512 };
        let options = SimulatedOptions { write_unit, ..SimulatedOptions::default() };
        let simulated = Arc::new(SimulatedDisk::new(seed, options));
        let disk: Arc<dyn Disk> = simulated.clone();
        let mut model = Model::default();
        for _ in 0..5 {
            simulated.cut_after_ops(1 + rng.below(150));
            let result = work(&disk, &mut model, &mut rng, 40);
            simulated.configure(|options| options.write_error_chance = write_error_chance);
            match result {
                Ok(()) | Err(Ended::Journal(JournalError::Disk(DiskError::PowerLost | DiskError::Io { .. }))) => {}
                Err(Ended::Broken(what)) => panic!("seed {seed}: {what}"),
                Err(Ended::Journal(other)) => panic!("seed {seed}: {other}"),
            }
            simulated.reboot();
            simulated.configure(|options| options.write_error_chance = 0.0);
        }
        work(&disk, &mut model, &mut rng, 0).unwrap();
    }
}

#[test]
fn a_disk_that_lies_about_syncs_is_caught() {
    let caught = (0..40).filter(|&seed| {
        let mut rng = Rng::new(seed);
        let simulated = Arc::new(SimulatedDisk::new(seed, SimulatedOptions::default()));
        let disk: Arc<dyn Disk> = simulated.clone();
        let mut model = Model::default();
        work(&disk, &mut model, &mut rng, 20).unwrap();
        simulated.configure(|options| options.lie_about_sync = true);
        work(&disk, &mut model, &mut rng, 20).unwrap();
        simulated.reboot();
        work(&disk, &mut model, &mut rng, 0).is_err()
    });
    assert!(caught.count() > 30, "the check above must be able to fail");
}

#[test]
fn rot_is_reported_and_the_rest_applied() {
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let simulated = Arc::new(SimulatedDisk::new(seed, SimulatedOptions::default()));
        let disk: Arc<dyn Disk> = simulated.clone();
        let mut model = Model::default();
        let (mut journal, ..) = open(&disk, SMALL, 0);
        for _ in 0..25 {
            model.commit(&mut journal, &mut rng).unwrap();
        }
        drop(journal);
        let extents = disk.list("journal").unwrap();
        let extent = &extents[rng.below(extents.len() as u64) as usize];
        simulated.corrupt(&extent.name, rng.below(extent.bytes), 1 << rng.below(8)).unwrap();
        let (mut journal, report, records) = open(&disk, SMALL, 0);
        for (sequence, _, bytes) in &records {
            assert_eq!(Some(bytes), model.acknowledged.get(sequence), "seed {seed}: wrong content for {sequence}");
        }
        if records.len() < model.acknowledged.len() {
            assert!(report.torn_tail || !report.damaged.is_empty(), "seed {seed}: lost without a word: {report:?}");
        } else {
            assert_eq!(
                (report.torn_tail, &report.damaged[..]),
                (false, &[][..]),
                "seed {seed}: padding and zeros are harmless"
            );
        }
        if !report.damaged.is_empty() {
            assert_eq!(
                report.last_sequence,
                model.last(),
                "seed {seed}: sequences behind damage are never given again"
            );
        }
        commit(&mut journal, &[b"still works"]).unwrap();
    }
}

#[test]
fn another_rings_extent_is_ignored_and_a_newer_frame_refused() {
    let (first_directory, first) = disk();
    let (mut journal, ..) = open(&first, SMALL, 0);
    fill(&mut journal, 40).unwrap();
    drop(journal);
    let (second_directory, second) = disk();
    let (mut journal, ..) = open(&second, SMALL, 0);
    fill(&mut journal, 70).unwrap();
    drop(journal);
    let path = |directory: &tempfile::TempDir, number| directory.path().join(super::extent::name(number));
    std::fs::copy(path(&second_directory, 3), path(&first_directory, 3)).unwrap();
    let (journal, report, records) = open(&first, SMALL, 0);
    check(&records, 1, 40);
    assert_eq!(report.damaged.len(), 1);
    assert!(report.damaged[0].what.contains("another ring"), "{report:?}");
    drop(journal);

    let mut bytes = std::fs::read(path(&second_directory, 1)).unwrap();
    patch_frame(&mut bytes, 0, 3, 512);
    std::fs::write(path(&second_directory, 1), bytes).unwrap();
    let refused = Journal::open(second, SMALL, 0, &mut |_| {});
    assert!(matches!(refused.err(), Some(JournalError::Disk(DiskError::NewerVersion { found: 3, supported: 2, .. }))));
}

/// Gives the frame at `at` another version and unit; returns how long its payload is.
fn patch_frame(bytes: &mut [u8], at: usize, version: u8, unit: u16) -> usize {
    let frame = &mut bytes[at..];
    frame[4] = version;
    frame[6..8].copy_from_slice(&unit.to_le_bytes());
    let payload = u32::from_le_bytes(frame[40..44].try_into().unwrap()) as usize;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&frame[..60]), &frame[64..64 + payload]);
    frame[60..64].copy_from_slice(&crc.to_le_bytes());
    payload
}

#[test]
fn frames_of_version_1_are_read() {
    let disk = disk_of_unit(4096);
    let (mut journal, ..) = open(&disk, SMALL, 0);
    fill(&mut journal, 12).unwrap();
    drop(journal);
    let file = disk.open("journal/000001").unwrap();
    let mut bytes = crate::read_range(disk.as_ref(), file, 0, 64 << 10).unwrap();
    let (mut at, mut frames) = (0, 0);
    while bytes[at..].starts_with(b"BJFR") {
        at += (64 + patch_frame(&mut bytes, at, 1, 0)).next_multiple_of(4096);
        frames += 1;
    }
    disk.write_at(file, 0, crate::AlignedBuffer::padded_copy(&bytes)).0.unwrap();
    let (_, report, records) = open(&disk, SMALL, 0);
    check(&records, 1, 12);
    assert_eq!((report.damaged.len(), report.torn_tail, frames > 3), (0, false, true));
    patch_frame(&mut bytes, 0, 2, 100);
    disk.write_at(file, 0, crate::AlignedBuffer::padded_copy(&bytes)).0.unwrap();
    let (_, report, records) = open(&disk, SMALL, 0);
    assert!(records.is_empty() && !report.damaged.is_empty(), "no unit is 100 bytes: {report:?}");
}

#[test]
fn bad_spots_are_reported_and_do_not_keep_it_from_opening() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let simulated = Arc::new(SimulatedDisk::new(seed, SimulatedOptions::default()));
        let disk: Arc<dyn Disk> = simulated.clone();
        let mut model = Model::default();
        let (mut journal, ..) = open(&disk, SMALL, 0);
        for _ in 0..25 {
            model.commit(&mut journal, &mut rng).unwrap();
        }
        drop(journal);
        simulated.configure(|options| options.read_error_chance = 0.2);
        let (_, report, records) = open(&disk, SMALL, 0);
        assert!(records.iter().all(|(sequence, _, bytes)| model.acknowledged.get(sequence) == Some(bytes)));
        assert!(records.len() == model.acknowledged.len() || !report.damaged.is_empty(), "seed {seed}: {report:?}");
    }
}

#[cfg(feature = "sabotage")]
#[test]
fn an_ignored_checksum_is_caught_by_the_tests_above() {
    use crate::sabotage::{Ignored, ignore_checksums};
    let wrong = (0..100).filter(|&seed| {
        let mut rng = Rng::new(seed);
        let simulated = Arc::new(SimulatedDisk::new(seed, SimulatedOptions::default()));
        let disk: Arc<dyn Disk> = simulated.clone();
        let mut model = Model::default();
        let (mut journal, ..) = open(&disk, SMALL, 0);
        (0..10).for_each(|_| model.commit(&mut journal, &mut rng).unwrap());
        drop(journal);
        simulated.corrupt("journal/000001", 64 + rng.below(20_000), 4).unwrap();
        ignore_checksums(Ignored::JournalFrames);
        let (_, _, records) = open(&disk, SMALL, 0);
        ignore_checksums(Ignored::Nothing);
        records.iter().any(|(sequence, _, bytes)| model.acknowledged.get(sequence) != Some(bytes))
    });
    assert!(wrong.count() > 20, "without the checksum wrong content must show");
}
