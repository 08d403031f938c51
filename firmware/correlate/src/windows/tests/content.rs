//! What a correlation says.

use super::super::testing::{Is, Made, log, span};
use super::world_with;
use crate::correlation::Correlation;
use crate::item::Level;
use bramble_line::ids::IdKind;
use bramble_signal::{SpanId, SpanKind};

fn correlation(items: &[Made]) -> Correlation {
    let mut world = world_with(items);
    world.pass(70);
    let told = world.last();
    // Whatever the order.
    let mut other = super::World::new(super::options());
    items.iter().rev().for_each(|item| other.observe(item));
    other.pass(70);
    assert_eq!(other.last(), told);
    told
}

fn id(number: u8) -> SpanId {
    SpanId([0, 0, 0, 0, 0, 0, 0, number])
}

fn services(c: &Correlation) -> Vec<&str> {
    c.participants.iter().map(|p| p.service.as_str()).collect()
}

#[test]
fn callers_come_before_those_they_call_whatever_clocks_say() {
    let told = correlation(&[
        span("palantir", (4, 3), 500, 10),
        span("arda", (3, 2), 900, 20),
        span("beorn", (1, 0), 1000, 100),
        span("beorn", (2, 1), 1010, 80).of_kind(SpanKind::Client),
        log("gollum", 1002, Level::Info, "nobody called me"),
    ]);
    assert_eq!(services(&told), ["beorn", "arda", "palantir", "gollum"]);
    assert_eq!(told.root_span_id, id(1));
    assert_eq!(told.entry_spans, [id(1), id(3), id(4)]);
    assert_eq!((told.logs, told.spans), (1, 4));
}

#[test]
fn clocks_that_disagree_are_told_and_do_not_change_who_was_busy() {
    let told = correlation(&[
        span("beorn", (1, 0), 0, 1000).on("a"),
        span("beorn", (2, 1), 100, 800).on("a").of_kind(SpanKind::Client),
        span("arda", (3, 2), 60_100 - 40_000, 700).on("b").of_kind(SpanKind::Server),
    ]);
    assert!(told.marks.skewed);
    assert_eq!(told.participants.iter().map(|p| p.skew_ns / 1_000_000).collect::<Vec<_>>(), [0, 19_950]);
    let worst = told.worst_span.unwrap();
    assert_eq!((worst.span_id, worst.service.as_str(), worst.self_ns), (id(3), "arda", 700_000_000));
}

#[test]
fn the_first_failure_is_the_one_inside_and_the_worst_span_failed() {
    let told = correlation(&[
        span("beorn", (1, 0), 0, 1000).fails(),
        span("arda", (2, 1), 100, 50).fails(),
        span("arda", (3, 1), 200, 700),
        log("beorn", 400, Level::Error, "gave up"),
    ]);
    let first = told.first_error.clone().unwrap();
    assert_eq!((first.service.as_str(), first.span_id, first.is_log), ("arda", id(2), false));
    assert_eq!(first.text, "work: it broke");
    let worst = told.worst_span.clone().unwrap();
    assert_eq!((worst.span_id, worst.failed, worst.self_ns), (id(1), true, 250_000_000));
    assert_eq!((told.failed_spans, told.levels[Level::Error as usize], told.has_error()), (2, 1, true));
    assert_eq!(told.participants.iter().map(|p| p.errors).collect::<Vec<_>>(), [2, 1]);
    let told = correlation(&[span("beorn", (1, 0), 0, 1000), log("beorn", 4, Level::Fatal, "no disk")]);
    assert_eq!(told.first_error.map(|e| (e.text, e.is_log)), Some(("no disk".into(), true)));
}

#[test]
fn ids_exemplars_and_entries_that_name_only_the_request_are_there() {
    let mut items = vec![
        span("beorn", (1, 0), 0, 1000).of_request("r1"),
        log("beorn", 5, Level::Info, "x").of_request("r2"),
        Made { is: Is::Exemplar { series: "latency{a=\"b\"}" }, ..log("beorn", 7, Level::Info, "") },
        Made { is: Is::Exemplar { series: "count" }, ..log("beorn", 8, Level::Info, "") },
        log("nginx", 3, Level::Info, "GET /").of_trace(0).of_request("r1"),
        log("nginx", 4, Level::Info, "GET /").of_trace(0).of_request("other"),
    ];
    items[0].circuit = "c1".into();
    let told = correlation(&items);
    let ids: Vec<_> = told.ids.iter().map(|(kind, id)| (*kind, id.as_str())).collect();
    assert_eq!(ids, [(IdKind::Request, "r1"), (IdKind::Request, "r2"), (IdKind::Circuit, "c1")]);
    assert_eq!((told.exemplars, told.inferred_logs, told.logs), (2, 1, 1));
    assert_eq!(told.exemplar_series, ["count", "latency{a=\"b\"}"]);
}

#[test]
fn both_halves_of_a_call_may_have_one_id() {
    let told = correlation(&[
        span("beorn", (1, 0), 0, 100).of_kind(SpanKind::Client),
        span("arda", (1, 0), 10, 80).of_kind(SpanKind::Server),
        span("arda", (2, 1), 20, 30),
    ]);
    assert_eq!((services(&told), told.spans), (vec!["beorn", "arda"], 3));
}

#[test]
fn a_service_is_one_participant_however_much_its_senders_say() {
    let of = |made: Made, env| Made { env, ..made };
    let told = correlation(&[
        span("beorn", (1, 0), 0, 100),
        of(log("beorn", 5, Level::Info, "x").on("pi-1"), "test"),
        span("arda", (2, 1), 10, 50).on("pi-1"),
        of(log("arda", 20, Level::Info, "y").on("pi-1"), "test"),
        span("arda", (3, 1), 10, 50).on("pi-2"),
        Made { is: Is::Exemplar { series: "latency" }, ..log("unknown_service", 7, Level::Info, "") },
    ]);
    let found: Vec<_> = told.participants.iter().map(|p| (&*p.service, &*p.node, &*p.env, p.logs, p.spans)).collect();
    let expected = [("beorn", "pi-1", "test", 1, 1), ("arda", "pi-1", "test", 1, 1), ("arda", "pi-2", "", 0, 1)];
    assert_eq!((found, told.exemplars), (expected.to_vec(), 1));
}
