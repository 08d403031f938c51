//! Faults put in on purpose. A sabotage that the suite does not notice fails it.

use crate::suite::story;
use crate::world::Trouble;
use bramble_disk::sabotage::{Ignored, ignore_checksums};
use bramble_disk::{Cause, SimulatedOptions};
use bramble_ingest::sabotage::{advance_position_before_commit, forget_deletions};

/// Worlds within which a sabotage must have been noticed.
const SEEDS: u64 = 25;

/// How a sabotage was noticed first.
fn noticed(first_seed: u64, trouble: &Trouble) -> String {
    let first = (first_seed..first_seed + SEEDS).find_map(|seed| story(seed, trouble).err());
    first.unwrap_or_else(|| panic!("{SEEDS} worlds from seed {first_seed} on did not notice the sabotage"))
}

#[test]
fn skipping_the_sync_before_a_publish_is_noticed() {
    let faults =
        SimulatedOptions { lie_about_sync: true, lie_only_about: Some(Cause::Segment), ..SimulatedOptions::default() };
    noticed(10_000_000, &Trouble { faults, ..Trouble::default() });
}

#[test]
fn advancing_the_position_before_the_commit_is_noticed() {
    advance_position_before_commit(true);
    let complaint = noticed(11_000_000, &Trouble::default());
    assert!(complaint.contains("lost: "), "{complaint}");
}

#[test]
fn ignoring_the_checksums_of_journal_frames_is_noticed() {
    ignore_checksums(Ignored::JournalFrames);
    noticed(12_000_000, &Trouble::default());
}

#[test]
fn ignoring_the_checksums_of_segment_pages_is_noticed() {
    ignore_checksums(Ignored::SegmentPages);
    let trouble = Trouble { rot_chance: 1.0, ..Trouble::default() };
    let complaint = noticed(13_000_000, &trouble);
    assert!(["changed: ", "invented: ", "panic: ", "twice"].iter().any(|c| complaint.contains(c)), "{complaint}");
}

#[test]
fn deletions_that_are_not_durable_are_noticed() {
    forget_deletions(true);
    let complaint = noticed(14_000_000, &Trouble { delete_percent: 12, ..Trouble::default() });
    assert!(complaint.contains("back: "), "{complaint}");
}
