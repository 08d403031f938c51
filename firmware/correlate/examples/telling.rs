//! How long a timeline and a story take over a store with many entries: some of them in blocks, the newest in heads.
//!
//! `cargo run --release -p bramble-correlate --example telling -- [minutes [entries a second]]`
//!
//! 200 streams of 20 services; one entry in ten names a trace: half in metadata (as doors write it), half in a JSON line
//! with a circuit. Each trace has ten such entries within a second, in four services, and three entries with its request
//! alone.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers")]

mod common;

use bramble_correlate::story::{StoryQuery, story};
use bramble_correlate::view::{Sources, ViewLimits, timeline};
use bramble_correlate::{Correlation, CorrelationId, CorrelationQuery, CorrelationSource};
use bramble_disk::{PageCache, ThreadsDisk};
use bramble_line::ids::IdKind;
use bramble_runtime::{Budget, BudgetName, Rng, SystemClock};
use bramble_signal::LogBatch;
use bramble_storage::memory::MemoryTraces;
use bramble_storage::{BlockId, BlockStore, LogSink, QueryContext, ReadError};
use bramble_store_logs::{LogBudgets, LogLimits, LogStore};
use common::{DAY_NS, FIRST_DAY, circuit, correlation, request, trace_id};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

const RUNS: usize = 11;
const SECOND_NS: i64 = 1_000_000_000;

/// The correlations of all traces; a list is no slower than what they are compared with here.
struct Listed(Vec<Correlation>);

impl CorrelationSource for Listed {
    fn find(&self, query: &CorrelationQuery, _: &QueryContext) -> Result<Vec<Correlation>, ReadError> {
        let fits = |c: &&Correlation| {
            query.since_ns.is_none_or(|t| c.start_ns >= t)
                && query.until_ns.is_none_or(|t| c.start_ns < t)
                && query.ids.iter().all(|id| c.ids.contains(id))
        };
        Ok(self.0.iter().rev().filter(fits).take(query.limit).cloned().collect())
    }

    fn get(&self, _: CorrelationId, _: &QueryContext) -> Result<Option<Correlation>, ReadError> {
        Ok(None)
    }
}

/// A second's entries: `traces` traces from number `first` on.
fn second(at_ns: i64, first: u64, traces: u64, random: &mut Rng) -> LogBatch {
    let mut batch = LogBatch::new();
    for stream in 0..200u64 {
        let (service, host) = (format!("service-{:02}", stream % 20), format!("pi-{}", stream / 20));
        batch.start_stream(&mut [("service_name", &service), ("host", &host), ("env", "prod")]).unwrap();
        for trace in (first..first + traces).filter(|trace| trace % 20 / 5 == stream % 4 && stream / 20 == trace % 10) {
            let (id, at) = (trace_id(trace).to_string(), at_ns + random.below(500_000_000) as i64);
            for n in 0..2 {
                batch.push_entry(at + n, b"handled in time", &mut [("trace_id", &id)]).unwrap();
                let line = format!(r#"{{"level":"info","circuitId":"{}","traceId":"{id}","n":{n}}}"#, circuit(trace));
                batch.push_entry(at + 10 + n, line.as_bytes(), &mut []).unwrap();
            }
            let line = format!("level=debug request_id={} cached", request(trace));
            batch.push_entry(at + 30, line.as_bytes(), &mut []).unwrap();
        }
        for _ in 0..traces * 45 / 200 {
            let (at, took) = (at_ns + random.below(SECOND_NS as u64) as i64, random.below(1_000));
            let line =
                format!("level=info method=GET path=/api/v1/orders/{} status=200 took={took}ms", random.below(100_000));
            batch.push_entry(at, line.as_bytes(), &mut []).unwrap();
        }
    }
    batch
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |at: usize, usual: u64| arguments.get(at).map_or(usual, |n| n.parse().unwrap());
    let (minutes, rate) = (argument(0, 30), argument(1, 1_000));
    let traces_a_second = (rate / 50).max(1);
    let directory = tempfile::tempdir().unwrap();
    let cache = Arc::new(PageCache::new(Budget::standalone(BudgetName::PageCache, 32 << 20)));
    let budgets = LogBudgets {
        head: Budget::standalone(BudgetName::LogHead, 1 << 30),
        merge: Budget::standalone(BudgetName::Merge, 64 << 20),
        index: Budget::standalone(BudgetName::BlockIndex, 8 << 20),
    };
    let limits = LogLimits { future_ms: None, ..LogLimits::default() };
    let (disk, clock) = (Arc::new(ThreadsDisk::new(directory.path()).unwrap()), Arc::new(SystemClock::new()));
    let store = LogStore::new(disk, cache, clock, budgets, limits, &prometheus::Registry::new()).unwrap();
    let (from, seconds) = (FIRST_DAY * DAY_NS, minutes as i64 * 60);
    let (mut random, mut next, mut all, mut entries) = (Rng::new(1), 0, Vec::new(), 0u64);
    for at in 0..seconds {
        let first = at as u64 * traces_a_second;
        let batch = second(from + at * SECOND_NS, first, traces_a_second, &mut random);
        entries += batch.entry_count() as u64;
        all.extend((first..first + traces_a_second).map(|nth| correlation(nth, from + at * SECOND_NS)));
        let prepared = store.prepare(batch, 0).unwrap();
        store.apply(prepared, 1);
        // The last minutes stay in heads.
        if at % 600 == 599 && at + 180 < seconds {
            store.freeze(u64::MAX / 2);
            let mut id = || {
                next += 1;
                BlockId(next)
            };
            let written = store.write_frozen(&mut id).unwrap();
            store.swap(&written, &[], true).unwrap();
        }
    }
    println!("{minutes} minutes of {} entries a second, {next} blocks", entries / seconds as u64);
    let (traces, listed) = (MemoryTraces::new(), Listed(all));
    let sources = Sources { logs: &store, traces: &traces, correlations: &listed, metrics: None };
    let measure = |name: &str, tell: &dyn Fn(&QueryContext) -> (usize, bool)| {
        let once = || {
            let (started, context) = (Instant::now(), QueryContext::unlimited());
            let (events, truncated) = tell(&context);
            (started.elapsed().as_secs_f64() * 1e3, events, truncated, context.stats.items.load(Ordering::Relaxed))
        };
        let cold = once();
        let mut warm: Vec<f64> = (0..RUNS).map(|_| once().0).collect();
        warm.sort_by(f64::total_cmp);
        println!(
            "{name:34} {:4} events{} cold {:7.1} ms, warm {:7.1} ms; {} rows",
            cold.1,
            if cold.2 { "+" } else { "" },
            cold.0,
            warm[RUNS / 2],
            cold.3
        );
    };
    for (name, nth) in [("timeline, in a block", 100), ("timeline, in heads", listed.0.len() - 30)] {
        measure(name, &|context| {
            let timeline = timeline(&listed.0[nth], &sources, &ViewLimits::default(), context).unwrap();
            (timeline.events.len(), timeline.truncated)
        });
    }
    let span = |minutes: i64| (from + (seconds - minutes * 60).max(0) * SECOND_NS, from + seconds * SECOND_NS);
    for (name, minutes) in [("story of a circuit, 5 minutes", 5), ("story of a circuit, all", i64::MAX / 60)] {
        let (since_ns, until_ns) = span(minutes.min(seconds));
        let ids = vec![(IdKind::Circuit, circuit(listed.0.len() as u64 - 30))];
        measure(name, &|context| {
            let query = StoryQuery { ids: ids.clone(), since_ns, until_ns, limit: 1_000 };
            let story = story(&query, &sources, context).unwrap();
            (story.events.len(), story.truncated)
        });
    }
}
