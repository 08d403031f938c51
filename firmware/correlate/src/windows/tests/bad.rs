//! Bad input: bounded work, marked, no blow-up.

use super::super::testing::{Is, Made, SECOND_NS, START_NS, World, log, options, span};
use super::{two, world_with};
use crate::item::Level;
use crate::options::CorrelatorOptions;
use bramble_signal::SpanKind;

#[test]
fn a_trace_of_a_hundred_thousand_spans_is_counted_and_the_earliest_and_failures_are_kept() {
    let spans = |n: u32| {
        let service = ["beorn", "arda"][n as usize % 2];
        let made = span(service, (n + 1, n / 10), i64::from(n % 50_000), 5);
        if n % 1000 == 999 { made.fails() } else { made }
    };
    let run = |order: &dyn Fn(u32) -> u32| {
        let mut world = World::new(CorrelatorOptions { items_max: 1000, ..options() });
        (0..100_000).for_each(|n| world.observe(&spans(order(n))));
        world.pass(61);
        world.last()
    };
    let told = run(&|n| n);
    assert!(told.marks.truncated);
    assert_eq!((told.spans, told.failed_spans), (100_000, 100));
    assert_eq!((told.start_ns, told.end_ns), (START_NS, START_NS + 50_004 * 1_000_000));
    assert_eq!(told.participants.iter().map(|p| p.spans).sum::<u64>(), 850, "750 that are first, and all that failed");
    // Whatever the order.
    assert_eq!(run(&|n| n * 7919 % 100_000), told);
}

#[test]
fn a_request_id_of_half_the_traffic_joins_nothing_and_is_marked() {
    let mut world = World::new(options());
    for trace in 1..=200 {
        two().into_iter().for_each(|item| world.observe(&item.of_trace(trace).of_request("constant")));
        world.observe(&log("nginx", 5, Level::Info, &trace.to_string()).of_trace(0).of_request("constant"));
    }
    assert_eq!(world.pass(61), 200);
    assert!(world.rows.iter().all(|row| row.marks.ambiguous_request && row.inferred_logs == 0));
    world.pass(400);
    assert_eq!(world.windows.tally.unmatched_logs, 200);
    assert!(world.windows.is_empty());
}

#[test]
fn a_trace_id_that_is_everywhere_has_few_windows_at_once() {
    let mut world = World::new(options());
    for n in 0..20_000i64 {
        world.observe(&log(["beorn", "arda"][n as usize % 2], n * 7_200_000 % 86_400_000_000, Level::Info, "x"));
        if n % 100 == 0 {
            world.pass(1);
        }
    }
    world.pass(200);
    assert!(world.windows.is_empty());
    assert!(world.windows.tally.dropped > 0);
}

#[test]
fn parents_in_a_circle_and_times_at_the_ends_of_time_do_no_harm() {
    let mut items = vec![
        span("beorn", (1, 2), 0, 10),
        span("arda", (2, 1), 0, 10),
        span("arda", (3, 3), 0, 10),
        span("gollum", (4, 77), 0, 10).of_kind(SpanKind::Server),
    ];
    if let Is::Span { duration_ns, .. } = &mut items[1].is {
        *duration_ns = u64::MAX;
    }
    let mut world = world_with(&items);
    world.pass(61);
    assert_eq!((world.last().spans, world.last().end_ns), (4, i64::MAX));
    let mut world = World::new(options());
    for time_ns in [i64::MIN, -1, 0, i64::MAX - 1, i64::MAX] {
        world.observe(&Made { time_ns, ..log("beorn", 0, Level::Info, "a") });
        world.observe(&Made { time_ns, ..log("arda", 0, Level::Info, "b") });
    }
    world.pass(600);
    assert!(world.windows.is_empty());
}

#[test]
fn with_no_memory_left_windows_close_early_and_nothing_grows() {
    let mut world = World::new(CorrelatorOptions { windows_max: 100_000, ..options() });
    for n in 0..300_000u32 {
        let (trace, line) = (n / 4, format!("{n} failed"));
        let mut item = log(["beorn", "arda"][n as usize % 2], i64::from(n / 100), Level::Error, &line);
        item.request = format!("request-{trace}");
        let windows = &mut world.windows;
        windows.set_observed(u64::from(n));
        windows.set_now(START_NS + i64::from(n) * 10_000, u64::from(n) * 10_000);
        // More traces than a byte tells.
        item.enter_as(u128::from(trace) + 1, windows);
        if n % 1000 == 0 {
            world.wall_ns = START_NS + i64::from(n) * 10_000;
            world.mono_ns = u64::from(n) * 10_000;
            let published = world.publish();
            world.write(published);
        }
    }
    assert!(world.rows.iter().filter(|row| row.marks.closed_early).count() > 10_000);
    assert!(world.used_bytes() <= 8 << 20, "{} bytes", world.used_bytes());
    world.advance(SECOND_NS);
    world.pass(400);
    assert!(world.windows.is_empty());
}
