//! Publishing, writes that fail, and what is told of it.

use super::Correlator;
use crate::CorrelatorOptions;
use crate::row::published_in;
use bramble_runtime::{Budget, BudgetName, Clock, ManualClock};
use bramble_signal::{LogBatch, Signal};
use bramble_storage::memory::MemoryLogs;
use bramble_storage::{Durable, LogSink, Observer};
use prometheus::Registry;
use std::sync::Arc;

const START_NS: i64 = 1_700_000_000_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;

struct World {
    clock: Arc<ManualClock>,
    store: Arc<MemoryLogs>,
    registry: Registry,
    correlator: Correlator,
}

fn world_after(clock: Arc<ManualClock>, store: Arc<MemoryLogs>) -> World {
    let (budget, registry) = (Budget::standalone(BudgetName::Correlate, 8 << 20), Registry::new());
    let options = CorrelatorOptions::default();
    let correlator = Correlator::new(options, clock.clone(), &budget, &registry, store.clone()).unwrap();
    World { clock, store, registry, correlator }
}

fn world() -> World {
    world_after(Arc::new(ManualClock::new(START_NS)), Arc::new(MemoryLogs::default()))
}

fn lines(trace: u8) -> LogBatch {
    let mut batch = LogBatch::new();
    for service in ["beorn", "arda"] {
        batch.start_stream(&mut [("service_name", service)]).unwrap();
        let line = format!("level=error trace_id={trace:032x} no");
        batch.push_entry(START_NS, line.as_bytes(), &mut []).unwrap();
    }
    batch
}

impl World {
    fn value(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let of = families.iter().filter(|family| family.name() == name).flat_map(|family| family.get_metric());
        of.map(|m| m.get_counter().get_value() + m.get_gauge().get_value()).sum()
    }
}

#[test]
fn what_could_not_be_written_comes_again_and_counts_when_it_is_stored() {
    let world = world();
    assert!(Signal::ALL.iter().all(|&signal| world.correlator.wants(signal)));
    world.correlator.observe(Durable::Logs(&lines(1)), 7);
    world.clock.advance_ns(10 * SECOND_NS);
    assert!(world.correlator.publish().is_empty(), "it is open, and nothing can be let go of the journal");
    assert_eq!(world.correlator.durable_through(), 0);
    world.clock.advance_ns(51 * SECOND_NS);
    let first = world.correlator.publish();
    assert_eq!((first.correlations.len(), first.marker.map(|marker| marker.low)), (1, Some(6)));
    world.correlator.settle(first.round, false);
    assert_eq!(world.value("correlation_events_total"), 0.0);
    let second = world.correlator.publish();
    assert_eq!(second.correlations[0].correlation, first.correlations[0].correlation);
    // Nobody says what became of it.
    let third = world.correlator.publish();
    assert_eq!(third.correlations.len(), 1);
    world.correlator.settle(second.round, true);
    assert_eq!(world.value("correlation_events_total"), 0.0, "that round is over");
    world.correlator.settle(third.round, true);
    assert_eq!(world.value("correlation_events_total"), 1.0);
    assert_eq!(world.value("bramble_correlation_failed_writes_total"), 2.0);
    assert!(world.correlator.publish().is_empty());
    let mut rows = 0;
    published_in(&third.log_batch(), &mut |row| rows += u32::from(row.has_error()));
    assert_eq!((rows, third.span_batch().spans.len()), (1, 1));
    world.clock.advance_ns(61 * SECOND_NS);
    world.correlator.publish();
    assert_eq!(world.correlator.durable_through(), 7, "its grace is over");
}

#[test]
fn a_restart_finds_its_marker_and_its_rows() {
    let world = world();
    world.correlator.observe(Durable::Logs(&lines(1)), 7);
    world.clock.advance_ns(61 * SECOND_NS);
    let publication = world.correlator.publish();
    let rows = publication.log_batch();
    let prepared = world.store.prepare(rows.clone(), world.clock.wall_ns()).unwrap();
    world.store.apply(prepared, 8);
    let next = world_after(world.clock, world.store);
    assert_eq!(next.correlator.counted_through(), 0);
    next.correlator.observe(Durable::Logs(&lines(9)), 6);
    next.correlator.observe(Durable::Logs(&lines(1)), 7);
    next.correlator.observe(Durable::Logs(&rows), 8);
    for _ in 0..100 {
        let publication = next.correlator.publish();
        assert!(publication.correlations.is_empty(), "one was told, and the other was let go before the restart");
        next.correlator.settle(publication.round, true);
        next.clock.advance_ns(SECOND_NS);
    }
    assert_eq!(next.value("bramble_correlation_windows"), 0.0);
}
