//! The simulation: power cuts at thousands of seeded points during ingest, flush, merge and recovery.
//!
//! The code under test is production's, whole: write path, journal, three stores, catalog on SQLite; only the disk, the
//! clock and the scheduler are simulated. After each cut the process starts again and must have everything that it
//! acknowledged, bit for bit, and nothing that was never sent. The sabotages prove that this would be noticed.
#![allow(clippy::unwrap_used, reason = "test code: what is unwrapped is made a few lines before")]

mod counter;
mod deletions;
mod delivering;
mod files;
mod joined;
mod load;
mod machine;
mod model;
mod observe;
mod sabotage;
mod suite;
mod tiers;
mod world;

use bramble_disk::SimulatedOptions;
use suite::{story, survive};
use world::Trouble;

#[test]
fn power_cuts_during_ingest() {
    survive("power_cuts_during_ingest", 1_000_000, &Trouble { maintenance_percent: 8, ..Trouble::default() });
}

#[test]
fn power_cuts_during_everything() {
    survive("power_cuts_during_everything", 2_000_000, &Trouble::default());
}

#[test]
fn power_cuts_during_everything_more() {
    survive("power_cuts_during_everything_more", 3_000_000, &Trouble::default());
}

#[test]
fn power_cuts_during_flush_and_merge() {
    survive("power_cuts_during_flush_and_merge", 4_000_000, &Trouble { maintenance_percent: 50, ..Trouble::default() });
}

#[test]
fn power_cuts_during_recovery() {
    survive("power_cuts_during_recovery", 5_000_000, &Trouble { cut_recovery_chance: 0.9, ..Trouble::default() });
}

#[test]
fn power_cuts_in_long_lives() {
    // Laps of the ring, batches that take several commits, a journal that fills up.
    let trouble = Trouble { steps: 400, large_chance: 0.05, maintenance_percent: 10, ..Trouble::default() };
    survive("power_cuts_in_long_lives", 5_500_000, &trouble);
}

#[test]
fn power_cuts_in_long_lives_on_a_failing_card() {
    let faults = SimulatedOptions {
        write_error_chance: 0.03,
        sync_error_chance: 0.03,
        read_error_chance: 0.01,
        ..SimulatedOptions::default()
    };
    let trouble = Trouble { faults, steps: 300, large_chance: 0.05, ..Trouble::default() };
    survive("power_cuts_in_long_lives_on_a_failing_card", 7_500_000, &trouble);
}

#[test]
fn power_cuts_on_a_full_card() {
    let faults = SimulatedOptions { capacity_bytes: 700 << 10, ..SimulatedOptions::default() };
    survive("power_cuts_on_a_full_card", 6_000_000, &Trouble { faults, ..Trouble::default() });
}

#[test]
fn power_cuts_on_a_failing_card() {
    let faults = SimulatedOptions {
        write_error_chance: 0.01,
        sync_error_chance: 0.01,
        read_error_chance: 0.002,
        ..SimulatedOptions::default()
    };
    survive("power_cuts_on_a_failing_card", 7_000_000, &Trouble { faults, ..Trouble::default() });
}

#[test]
fn power_cuts_on_a_rotting_card() {
    survive("power_cuts_on_a_rotting_card", 8_000_000, &Trouble { rot_chance: 0.3, ..Trouble::default() });
}

#[test]
fn power_cuts_during_deletions() {
    let trouble =
        Trouble { delivers: true, delete_percent: 25, maintenance_percent: 15, steps: 120, ..Trouble::default() };
    survive("power_cuts_during_deletions", 8_500_000, &trouble);
}

#[test]
fn power_cuts_during_deletions_on_a_failing_card() {
    let faults = SimulatedOptions { write_error_chance: 0.01, sync_error_chance: 0.01, ..SimulatedOptions::default() };
    let trouble = Trouble { faults, delivers: true, delete_percent: 20, ..Trouble::default() };
    survive("power_cuts_during_deletions_on_a_failing_card", 8_700_000, &trouble);
}

#[test]
fn power_cuts_with_deliveries() {
    let trouble = Trouble { delivers: true, delete_percent: 0, ..Trouble::default() };
    survive("power_cuts_with_deliveries", 11_000_000, &trouble);
}

#[test]
fn power_cuts_with_deliveries_in_long_lives() {
    let trouble = Trouble { delivers: true, delete_percent: 0, steps: 300, large_chance: 0.03, ..Trouble::default() };
    survive("power_cuts_with_deliveries_in_long_lives", 11_500_000, &trouble);
}

#[test]
fn what_is_derived_from_spans_counts_each_once() {
    let trouble = Trouble { observed: true, ..Trouble::default() };
    survive("what_is_derived_from_spans_counts_each_once", 10_000_000, &trouble);
}

#[test]
fn what_is_derived_from_spans_counts_each_once_in_long_lives() {
    let trouble = Trouble { observed: true, steps: 400, large_chance: 0.05, ..Trouble::default() };
    survive("what_is_derived_from_spans_counts_each_once_in_long_lives", 10_500_000, &trouble);
}

#[test]
fn a_seed_replays() {
    for seed in 9_000_000..9_000_004 {
        let trouble = Trouble::default();
        assert_eq!(story(seed, &trouble), story(seed, &trouble), "seed {seed}");
    }
}
