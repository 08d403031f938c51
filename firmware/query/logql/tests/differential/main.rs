//! The same random queries over the engine and over a slow, obvious evaluator written from LogQL's documentation.
//!
//! `data` makes entries, `generate` makes queries as a tree and as text, `model` answers them from the tree with maps and
//! strings and shares no code with the engine; `hinted` is a store that uses every hint it is given against the engine.
//! The real store is asked too, its entries in head and blocks.
//! A failure prints the seed of the case. `LOGQL_CASES` sets how many there are.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "../../../../store/logs/tests/common/mod.rs"]
mod common;
mod data;
mod generate;
mod hinted;
mod model;

use bramble_query_logql::{Answer, Expr, LabelSet, LogParams, RangeParams, eval, parse};
use bramble_storage::{Direction, LogSource, QueryContext};
use data::{Entry, Random};
use std::collections::BTreeMap;

const SECOND: i64 = 1_000_000_000;
type Labels = BTreeMap<String, String>;

fn cases() -> u64 {
    std::env::var("LOGQL_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(500)
}

/// What describes an error depends on the parser; that there is one does not.
fn comparable(labels: &LabelSet) -> Labels {
    let kept = labels.iter().filter(|(name, _)| *name != "__error_details__");
    kept.map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn log_query(source: &dyn LogSource, entries: &[Entry], random: &mut Random, seed: u64) {
    let log = generate::log(random);
    let query = generate::log_text(&log);
    let Ok(Expr::Log(parsed)) = parse(&query) else { panic!("seed {seed}: {query}: {:?}", parse(&query).err()) };
    let direction = if random.one_in(2) { Direction::Forward } else { Direction::Backward };
    let limit = if random.one_in(3) { 3 } else { 1000 };
    let params = LogParams { start_ns: 0, end_ns: 61 * SECOND, limit, direction, interval_ns: 0, categorize: false };
    let answer = eval::log(source, &parsed, &params, &QueryContext::unlimited()).unwrap();
    let Answer::Streams(streams) = answer else { panic!("streams") };
    let mut got: Vec<(Labels, i64, String)> = streams
        .iter()
        .flat_map(|s| s.entries.iter().map(|e| (comparable(&s.labels), e.timestamp_ns, text(&e.line))))
        .collect();
    let mut rows: Vec<model::Row> = model::run(&log, entries);
    rows.sort_by_key(|r| if direction == Direction::Forward { r.time } else { -r.time });
    let mut want: Vec<(Labels, i64, String)> =
        rows.iter().take(limit).map(|r| (r.shown(), r.time, text(&r.line))).collect();
    got.sort();
    want.sort();
    assert_eq!(got, want, "seed {seed}: {query}");
}

fn close(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-9)
}

fn agree(got: &BTreeMap<Labels, BTreeMap<i64, f64>>, want: &BTreeMap<Labels, BTreeMap<i64, f64>>) -> bool {
    got.len() == want.len()
        && got.iter().zip(want).all(|((a, x), (b, y))| {
            a == b && x.len() == y.len() && x.iter().zip(y).all(|(p, q)| p.0 == q.0 && close(*p.1, *q.1))
        })
}

/// Whether there was an answer; the other outcome is the error that both sides see.
fn metric_query(source: &dyn LogSource, entries: &[Entry], random: &mut Random, seed: u64) -> bool {
    let sample = generate::sample(random);
    let query = generate::sample_text(&sample);
    let Ok(Expr::Sample(parsed)) = parse(&query) else { panic!("seed {seed}: {query}: {:?}", parse(&query).err()) };
    let step_ns = [SECOND, 7 * SECOND, 30 * SECOND][random.below(3)];
    let params = RangeParams { start_ns: 5 * SECOND, end_ns: 65 * SECOND, step_ns };
    let got = eval::range(source, &parsed, &params, &QueryContext::unlimited());
    let times: Vec<i64> = (0..).map(|i| params.start_ns + i * step_ns).take_while(|t| *t <= params.end_ns).collect();
    match (got, model::sample(&sample, entries, &times)) {
        (Ok(Answer::Matrix(series)), Ok(want)) => {
            let got: BTreeMap<Labels, BTreeMap<i64, f64>> =
                series.iter().map(|s| (comparable(&s.labels), s.points.iter().copied().collect())).collect();
            assert!(agree(&got, &want), "seed {seed}: {query}\n got {got:?}\nwant {want:?}");
            true
        }
        (Err(error), Err(())) => {
            assert!(error.to_string().starts_with("pipeline error"), "seed {seed}: {error}");
            false
        }
        (got, want) => panic!("seed {seed}: {query}\n got {got:?}\nwant {want:?}"),
    }
}

#[test]
fn log_queries_agree() {
    for seed in 0..cases() {
        let mut random = Random::new(seed);
        let entries = data::entries(&mut random);
        let source = hinted::Hinted::new(&entries, 1 + random.below(9));
        log_query(&source, &entries, &mut random, seed);
    }
}

#[test]
fn metric_queries_agree() {
    let mut answered = 0;
    for seed in 0..cases() {
        let mut random = Random::new(seed ^ 0x5eed);
        let entries = data::entries(&mut random);
        let source = hinted::Hinted::new(&entries, 1 + random.below(9));
        answered += u64::from(metric_query(&source, &entries, &mut random, seed));
    }
    assert!(answered * 3 > cases(), "most queries should have an answer, {answered} have");
}

#[test]
fn queries_over_the_store_agree() {
    for seed in 0..cases() / 10 {
        let mut random = Random::new(seed ^ 0xd15c);
        let entries = data::entries(&mut random);
        let bench = common::Bench::new();
        // Some in two blocks or one, some in the head.
        for part in entries.chunks(entries.len().div_ceil(3).max(1)) {
            bench.write(hinted::batch(part));
            if random.one_in(2) {
                bench.flush();
            }
        }
        if random.one_in(3) {
            bench.merge(1 << 20);
        }
        for _ in 0..10 {
            log_query(&bench.store, &entries, &mut random, seed);
            metric_query(&bench.store, &entries, &mut random, seed);
        }
    }
}

#[test]
fn the_data_has_what_is_asked_for() {
    let mut random = Random::new(1);
    let entries: Vec<Entry> = (0..50).flat_map(|_| data::entries(&mut random)).collect();
    let lines: Vec<String> = entries.iter().map(|e| text(&e.line)).collect();
    for needle in ["{\\\"", "level=", "\\xff", "\\x1b[", "_entry"] {
        assert!(lines.iter().any(|l| l.contains(needle)), "{needle}");
    }
    assert!(
        entries.iter().any(|e| e.floating.contains_key("trace_id"))
            && entries.iter().any(|e| e.metadata.contains_key("app"))
    );
}
