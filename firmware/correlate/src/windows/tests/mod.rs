//! What is told of windows, when, and how often.

mod bad;
mod content;
mod property;
mod reference;

use super::testing::{Made, SECOND_NS, START_NS, World, log, options, span};
use crate::item::Level;
use crate::options::CorrelatorOptions;
use crate::span::SpanWritten;

/// Two services of trace 1, a second after one another.
fn two() -> [Made; 2] {
    [span("beorn", (1, 0), 0, 100), span("arda", (2, 1), 10, 50)]
}

fn world_with(items: &[Made]) -> World {
    let mut world = World::new(options());
    items.iter().for_each(|item| world.observe(item));
    world
}

#[test]
fn a_window_is_told_when_it_closes_and_is_then_let_go() {
    let mut world = world_with(&two());
    assert_eq!(world.pass(59), 0);
    assert_eq!(world.windows.lens(), (1, 0));
    assert_eq!(world.pass(2), 1);
    assert_eq!((world.windows.lens(), world.durable), ((0, 1), 0), "in its grace it is still needed of the journal");
    let told = world.last();
    assert_eq!((told.revision, told.spans, told.id.opened_ms), (1, 2, START_NS / 1_000_000));
    assert_eq!(told.marks, crate::Marks::default());
    assert_eq!(world.pass(61), 0);
    assert!(world.windows.is_empty());
    assert_eq!(world.durable, 3, "nothing is needed any more");
    assert_eq!(world.spans.iter().map(|(_, written)| *written).collect::<Vec<_>>(), [SpanWritten::First]);
}

#[test]
fn what_comes_in_the_grace_revises_now_and_then_and_at_the_end() {
    let mut world = world_with(&two());
    world.pass(61);
    for second in 0..20 {
        world.observe(&log("arda", 2000 + second, Level::Error, "no"));
        world.pass(1);
    }
    assert!((2..=3).contains(&(world.rows.len() - 1)), "{} in 20 s", world.rows.len() - 1);
    world.observe(&log("arda", 5000, Level::Info, "late"));
    world.pass(60);
    let told = world.last();
    assert_eq!((told.logs, told.levels[Level::Error as usize], told.has_error()), (21, 20, true));
    assert_eq!(world.newest().len(), 1);
    assert!(world.windows.is_empty());
    let written: Vec<_> = world.spans.iter().map(|(of, written)| (of.revision, *written)).collect();
    assert_eq!(written, [(1, SpanWritten::First), (told.revision, SpanWritten::Final)]);
}

#[test]
fn what_is_there_already_is_no_revision_and_what_is_too_late_is_counted() {
    let mut world = world_with(&two());
    world.pass(61);
    two().iter().for_each(|item| world.observe(item));
    assert_eq!(world.pass(61), 0);
    assert!(world.windows.is_empty());
    world.windows.tally = crate::counters::Tally::default();
    two().iter().for_each(|item| world.observe(item));
    world.observe(&log("arda", 59_000, Level::Info, "late"));
    assert_eq!((world.pass(130), world.windows.tally.late), (0, 3));
    assert!(world.windows.is_empty());
    // What is after its window is another one.
    world.observe(&log("arda", 300_000, Level::Info, "new"));
    world.observe(&log("beorn", 300_001, Level::Info, "new"));
    assert_eq!(world.pass(300), 1);
}

#[test]
fn one_signal_of_one_service_is_counted_until_another_one_comes() {
    let mut world = world_with(&[span("beorn", (1, 0), 0, 5), span("beorn", (2, 1), 1, 2).on("other")]);
    world.observe(&log("arda", 0, Level::Info, "x").of_trace(2));
    assert_eq!(world.pass(70), 0);
    world.observe(&log("beorn", 10, Level::Info, "here"));
    assert_eq!(world.pass(100), 1);
    assert_eq!((world.last().revision, world.last().spans, world.last().logs), (1, 2, 1));
    assert!(world.windows.is_empty());
    let tally = world.windows.tally;
    assert_eq!((tally.singles, tally.unmatched_logs, tally.unmatched_spans), (1, 1, 0));
}

#[test]
fn a_long_trace_has_several_windows() {
    let mut world = World::new(options());
    for second in 0..200 {
        world.observe(&log(["beorn", "arda"][second as usize % 2], second * 1000, Level::Info, "tick"));
        world.pass(1);
    }
    world.pass(200);
    let newest = world.newest();
    assert_eq!(newest.values().map(|c| c.logs).collect::<Vec<_>>(), [60, 60, 60, 20]);
    assert!(newest.values().all(|c| c.revision == 1), "nothing came late");
    assert!(world.windows.is_empty());
}

#[test]
fn backfill_is_gathered_and_a_wrong_clock_does_not_matter() {
    // Items of an hour ago, over three seconds.
    let mut world = World::new(options());
    for n in 0..10 {
        world.observe(&log(["beorn", "arda"][n as usize % 2], n - 3_600_000, Level::Info, "old"));
        world.advance(SECOND_NS / 3);
        assert!(world.publish().is_empty());
    }
    assert_eq!((world.pass(2), world.last().logs), (1, 10));
    world.observe(&log("arda", -3_600_000 + 20_000, Level::Info, "older still"));
    assert_eq!((world.pass(90), world.last().revision), (1, 2));
    assert!(world.spans.is_empty(), "a trace that is history is left as it was");
    // The clock stands in 1970, and all items are of today.
    let mut world = World::new(options());
    world.wall_ns = 0;
    two().iter().for_each(|item| world.observe(item));
    assert_eq!((world.pass(59), world.pass(2)), (0, 1));
    // One host is a day ahead: others' windows stay open, and its own close.
    let mut world = World::new(options());
    let ahead = [log("fast", 86_400_000, Level::Info, "a"), log("other", 86_400_001, Level::Info, "b")];
    ahead.into_iter().for_each(|item| world.observe(&item.of_trace(2)));
    two().iter().for_each(|item| world.observe(item));
    assert_eq!((world.pass(59), world.pass(2)), (0, 2));
}

#[test]
fn a_restart_neither_loses_nor_repeats() {
    let mut world = world_with(&two());
    world.pass(30);
    world.restart();
    world.observe(&log("arda", 30_000, Level::Warn, "after"));
    assert_eq!((world.pass(31), world.last().logs, world.last().spans), (1, 1, 2));
    world.restart();
    assert_eq!(world.pass(20), 0, "it was told");
    world.observe(&log("arda", 31_000, Level::Warn, "later"));
    assert_eq!((world.pass(80), world.last().logs, world.last().revision), (1, 2, 2));
    // Its row was written, but nobody said so.
    world.observe(&span("beorn", (1, 0), 161_000, 9).of_trace(7));
    world.observe(&span("arda", (2, 1), 161_000, 9).of_trace(7));
    world.pass(58);
    world.advance(3 * SECOND_NS);
    let published = world.publish();
    assert_eq!(published.len(), 1);
    let (durable, low) = (world.durable, world.low);
    world.write(published);
    (world.durable, world.low) = (durable, low);
    world.restart();
    assert_eq!(world.pass(300), 0);
    assert_eq!(world.newest().len(), 2);
    assert!(world.windows.is_empty());
}

#[test]
fn with_too_many_windows_those_that_were_told_go_first() {
    let mut world = World::new(CorrelatorOptions { windows_max: 16, ..options() });
    let both = |trace| two().map(|item| item.of_trace(trace));
    (1..=8).flat_map(both).for_each(|item| world.observe(&item));
    assert_eq!(world.pass(61), 8);
    (9..=24).flat_map(both).for_each(|item| world.observe(&item));
    assert_eq!(world.windows.lens(), (16, 0));
    let now = |item: Made| Made { time_ns: world.wall_ns, ..item };
    let more: Vec<Made> = (25..=26).flat_map(both).map(now).collect();
    more.iter().for_each(|item| world.observe(item));
    let published = world.publish();
    assert_eq!(published.len(), 2);
    world.write(published);
    assert!(world.rows.iter().rev().take(2).all(|row| row.id.trace_id.0[0] < 11));
    assert_eq!(world.pass(5), 14, "those were over, and had only to settle");
    assert_eq!(world.pass(60), 2);
    let early = world.newest().values().filter(|c| c.marks.closed_early).count();
    assert_eq!((early, world.windows.tally.closed_early), (2, 2));
}
