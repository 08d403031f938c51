//! Whatever the order, the lateness, the repetitions and the restarts: what is known in the end is what the slow reference
//! knows.

use super::super::testing::{Is, Made, SECOND_NS, START_NS, World, options};
use super::reference::{self, Brief};
use crate::item::Level;
use crate::options::CorrelatorOptions;
use bramble_signal::SpanKind;
use proptest::prelude::*;
use std::collections::BTreeSet;

const SERVICES: [&str; 3] = ["arda", "beorn", "palantir"];

/// What happens, and when: seconds after the start.
#[derive(Clone, Debug)]
enum Event {
    Comes(Made),
    Restarts,
    /// The next write fails.
    Fails,
}

fn made() -> impl Strategy<Value = Made> {
    let span = (1..6u32, 0..6u32, 0..8u64, any::<bool>(), 0..3u8).prop_map(|(id, parent, seconds, failed, kind)| {
        let kind = SpanKind::from_code(u64::from(kind) + 1);
        (id, Is::Span { parent, duration_ns: seconds * SECOND_NS as u64, kind, failed, name: "work".into() })
    });
    let log = (0..3u32, prop::sample::select(&Level::ALL[..]), 0..3u8)
        .prop_map(|(span, level, line)| (span, Is::Log { level, line: format!("line {line}") }));
    let is = prop_oneof![span, log];
    let requests = prop::sample::select(vec!["", "", "r1", "r2", "r3"]);
    let circuits = prop::sample::select(vec!["", "", "c1", "c2"]);
    (1..5u8, 0..3usize, 0..160i64, is, requests, circuits).prop_map(
        |(trace, service, second, (span, is), request, circuit)| Made {
            trace,
            service: SERVICES[service],
            node: "one",
            env: "",
            time_ns: START_NS + second * SECOND_NS,
            span,
            request: request.into(),
            circuit: circuit.into(),
            is,
        },
    )
}

/// Entries without a trace.
fn loose() -> impl Strategy<Value = Made> {
    (made(), 1..4u8).prop_map(|(made, request)| Made {
        trace: 0,
        request: format!("r{request}"),
        is: Is::Log { level: Level::Info, line: format!("loose {}", made.span) },
        ..made
    })
}

/// Items, each with how late it comes, and again how much later if it comes twice.
fn items(of: impl Strategy<Value = Made>, most: usize) -> impl Strategy<Value = Vec<(Made, i64, Option<i64>)>> {
    prop::collection::vec((of, 0..50i64, prop::option::weighted(0.2, 0..8i64)), 0..most)
}

fn timeline(items: &[(Made, i64, Option<i64>)], others: &[(i64, Event)]) -> Vec<(i64, Event)> {
    let mut timeline: Vec<(i64, Event)> = others.to_vec();
    for (item, late, again) in items {
        let at = (item.time_ns - START_NS) / SECOND_NS + late;
        timeline.push((at, Event::Comes(item.clone())));
        timeline.extend(again.map(|more| (at + more, Event::Comes(item.clone()))));
    }
    timeline.sort_by_key(|(at, _)| *at);
    timeline
}

fn run(timeline: &[(i64, Event)], options: CorrelatorOptions) -> World {
    let mut world = World::new(options);
    let mut fails = false;
    let mut events = timeline.iter().peekable();
    for second in 0..600 {
        while let Some((_, event)) = events.next_if(|(at, _)| *at <= second) {
            match event {
                Event::Comes(item) => world.observe(item),
                Event::Restarts => world.restart(),
                Event::Fails => fails = true,
            }
        }
        world.advance(SECOND_NS);
        let published = world.publish();
        if std::mem::take(&mut fails) && !published.is_empty() {
            // The process dies with the write.
            world.restart();
        } else {
            world.write(published);
        }
    }
    world
}

/// What was told in the end is what the reference knows: all windows worth it, and others only if they once were.
fn compare(world: &World, items: &[Made]) -> Result<(), TestCaseError> {
    let expected = reference::windows(items, 60 * SECOND_NS, options().request_traces_max);
    let newest = world.newest();
    let told: Vec<Brief> = newest.values().map(|c| reference::told(c)).collect();
    for window in expected.iter().filter(|window| !window.is_single) {
        prop_assert!(told.contains(window), "missing {window:#?} of {told:#?}");
    }
    for window in &told {
        prop_assert!(expected.contains(window), "{window:#?} is none of {expected:#?}");
    }
    for correlation in newest.values() {
        let opened_ns = correlation.id.opened_ms * 1_000_000;
        prop_assert!((correlation.start_ns..correlation.start_ns + 60 * SECOND_NS).contains(&opened_ns));
    }
    let starts: BTreeSet<_> = told.iter().map(|window| (window.trace, window.start_ns)).collect();
    prop_assert_eq!(starts.len(), told.len(), "no window is told of under two names");
    prop_assert!(world.windows.is_empty(), "everything is let go");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Items come within the grace of their windows; some twice.
    #[test]
    fn order_lateness_and_repetition_change_nothing(of_traces in items(made(), 40)) {
        let world = run(&timeline(&of_traces, &[]), options());
        let all: Vec<Made> = of_traces.iter().map(|(item, ..)| item.clone()).collect();
        compare(&world, &all)?;
        // In order, and at once.
        let mut ordered = of_traces.clone();
        ordered.iter_mut().for_each(|(_, late, again)| (*late, *again) = (0, None));
        let other = run(&timeline(&ordered, &[]), options());
        for correlation in other.newest().values() {
            let same = |c: &&std::sync::Arc<crate::Correlation>| c.id.trace_id == correlation.id.trace_id && c.start_ns == correlation.start_ns;
            let newest = world.newest();
            let Some(found) = newest.values().find(same) else { continue };
            let with_names = crate::Correlation { id: found.id, revision: found.revision, ..(**correlation).clone() };
            prop_assert_eq!(&**found, &with_names);
        }
    }

    /// Entries without a trace join by their request, unless too many traces have it.
    #[test]
    fn requests_join_the_same_whatever_the_order(of_traces in items(made(), 20), loose in items(loose(), 10)) {
        // All within a window, so that all traces are there at once.
        let near = |(mut item, late, again): (Made, i64, Option<i64>)| {
            item.time_ns = START_NS + (item.time_ns - START_NS) / 4 / SECOND_NS * SECOND_NS;
            (item, late / 3, again)
        };
        let all: Vec<_> = of_traces.into_iter().chain(loose).map(near).collect();
        let few = CorrelatorOptions { request_traces_max: 2, ..options() };
        let world = run(&timeline(&all, &[]), few);
        let all: Vec<Made> = all.into_iter().map(|(item, ..)| item).collect();
        let expected = reference::windows(&all, 60 * SECOND_NS, 2);
        let newest = world.newest();
        let told: Vec<Brief> = newest.values().map(|c| reference::told(c)).collect();
        for window in expected.iter().filter(|window| !window.is_single) {
            prop_assert!(told.contains(window), "missing {:#?} of {:#?}", window, told);
        }
        prop_assert!(told.iter().all(|window| expected.contains(window)));
        prop_assert!(world.windows.is_empty());
    }

    /// The process ends at any time, and so does the write of what was published.
    #[test]
    fn restarts_change_nothing(
        of_traces in items(made(), 30),
        ends in prop::collection::vec((0..300i64, any::<bool>()), 0..5),
    ) {
        let ends: Vec<_> = ends.iter().map(|(at, fails)| (*at, if *fails { Event::Fails } else { Event::Restarts })).collect();
        let world = run(&timeline(&of_traces, &ends), options());
        let all: Vec<Made> = of_traces.into_iter().map(|(item, ..)| item).collect();
        compare(&world, &all)?;
    }

    /// What comes again when its windows are long over is told of by nobody.
    #[test]
    fn nothing_is_told_twice_however_late(of_traces in items(made(), 30), after in 0..1000i64) {
        let mut world = run(&timeline(&of_traces, &[]), options());
        let before = world.rows.len();
        let traces: BTreeSet<u8> = world.rows.iter().map(|row| row.id.trace_id.0[0]).collect();
        world.pass(after / 10);
        of_traces.iter().filter(|(item, ..)| traces.contains(&item.trace)).for_each(|(item, ..)| world.observe(item));
        world.pass(200);
        prop_assert_eq!(world.rows.len(), before);
        prop_assert!(world.windows.is_empty());
    }
}
