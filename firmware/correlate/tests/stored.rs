//! Correlations in the log store itself: head and blocks, filters and templates, find what a scan finds.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use bramble_correlate::correlation::{FirstError, Participant};
use bramble_correlate::row::{Marker, as_stored, newest_marker, put_marker, put_row};
use bramble_correlate::stored::StoredCorrelations;
use bramble_correlate::{Correlation, CorrelationId, CorrelationQuery, CorrelationSource, Marks};
use bramble_disk::{Disk, PageCache, ThreadsDisk};
use bramble_line::ids::IdKind;
use bramble_runtime::{Budget, BudgetName, ManualClock, Rng};
use bramble_signal::{LogBatch, SpanId, TraceId};
use bramble_storage::{BlockId, BlockMeta, BlockStore, LogSink, QueryContext};
use bramble_store_logs::{LogBudgets, LogLimits, LogStore};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

const START_MS: i64 = 20_000 * 86_400_000 + 86_390_000;
const SERVICES: [&str; 5] = ["beorn", "palantir", "svc-7", "a\"b", "logs"];

struct World {
    _directory: tempfile::TempDir,
    store: Arc<LogStore>,
    blocks: Vec<BlockMeta>,
    highest: BTreeMap<CorrelationId, Correlation>,
    random: Rng,
    next_id: u64,
}

impl World {
    fn new(seed: u64) -> World {
        let directory = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(ThreadsDisk::new(directory.path()).unwrap());
        let budget = |name, mib: usize| Budget::standalone(name, mib << 20);
        let budgets = LogBudgets {
            head: budget(BudgetName::LogHead, 64),
            merge: budget(BudgetName::Merge, 64),
            index: budget(BudgetName::BlockIndex, 8),
        };
        let (cache, clock) = (PageCache::new(budget(BudgetName::PageCache, 16)), Arc::new(ManualClock::new(0)));
        let limits = LogLimits::default();
        let store = LogStore::new(disk, Arc::new(cache), clock, budgets, limits, &prometheus::Registry::new());
        World {
            _directory: directory,
            store: Arc::new(store.unwrap()),
            blocks: Vec::new(),
            highest: BTreeMap::new(),
            random: Rng::new(seed),
            next_id: 0,
        }
    }

    fn some_ids(&mut self) -> Vec<(IdKind, String)> {
        let mut ids: Vec<(IdKind, String)> = (0..self.random.below(5))
            .map(|_| {
                let (kind, number) = (IdKind::BUSINESS[self.random.below(5) as usize], self.random.below(12));
                (kind, if kind == IdKind::Request { format!("{number:032x}") } else { format!("c-{number}") })
            })
            .collect();
        ids.sort();
        ids.dedup();
        ids
    }

    /// A correlation that is new, or a later revision of one that is not.
    fn draw(&mut self) -> Correlation {
        let known = self.random.below(4) == 0 && !self.highest.is_empty();
        let nth = self.random.below(self.highest.len().max(1) as u64) as usize;
        let opened_ms = START_MS + self.random.below(20_000) as i64;
        let id = CorrelationId { trace_id: TraceId([1 + self.random.below(200) as u8; 16]), opened_ms };
        let before = self.highest.values().nth(nth).filter(|_| known).or(self.highest.get(&id));
        let mut drawn = before.cloned().unwrap_or_else(|| fresh(id));
        drawn.revision += 1;
        drawn.spans += self.random.below(9);
        let ids = self.some_ids();
        drawn.ids.extend(ids);
        drawn.ids.sort();
        drawn.ids.dedup();
        let service = SERVICES[self.random.below(5) as usize].to_owned();
        if drawn.participants.iter().all(|p| p.service != service) {
            drawn.participants.push(Participant {
                service: service.clone(),
                node: "n".into(),
                spans: 1,
                ..Default::default()
            });
        }
        if self.random.below(10) == 0 {
            let (time_ns, span_id, text) = (drawn.start_ns + 5, SpanId([3; 8]), "broke".to_owned());
            drawn.first_error.get_or_insert(FirstError { time_ns, service, span_id, is_log: false, text });
            drawn.failed_spans += 1;
        }
        drawn
    }

    fn write(&mut self, count: usize) {
        let mut batch = LogBatch::new();
        for _ in 0..count {
            let drawn = self.draw();
            put_row(&drawn, &mut batch);
            self.highest.insert(drawn.id, drawn);
        }
        batch.start_stream(&mut [("service", "beorn")]).unwrap();
        batch.push_entry(START_MS * 1_000_000, b"not \"beorn\" c-3", &mut [("circuit_id", "c-3")]).unwrap();
        put_marker(&Marker { low: self.next_id + 7, written_ns: START_MS * 1_000_000 }, &mut batch);
        let prepared = self.store.prepare(batch, START_MS * 1_000_000).unwrap();
        assert!(prepared.rejections.is_empty());
        self.store.apply(prepared, 1);
    }

    fn flush(&mut self) {
        self.store.freeze(u64::MAX / 2);
        let next_id = &mut self.next_id;
        let mut id = || {
            *next_id += 1;
            BlockId(*next_id)
        };
        let written = self.store.write_frozen(&mut id).unwrap();
        self.store.swap(&written, &[], true).unwrap();
        self.blocks.extend(written);
    }

    fn ask(&mut self) {
        let source = StoredCorrelations::new(self.store.clone());
        let context = QueryContext::unlimited();
        let mut random = Rng::new(self.random.next_u64());
        let time = |random: &mut Rng| (START_MS + random.below(21_000) as i64) * 1_000_000 + random.below(1000) as i64;
        let query = CorrelationQuery {
            since_ns: random.chance(0.3).then(|| time(&mut random)),
            until_ns: random.chance(0.3).then(|| time(&mut random)),
            trace_id: random.chance(0.2).then(|| TraceId([1 + random.below(210) as u8; 16])),
            ids: if random.chance(0.6) { self.some_ids().into_iter().take(2).collect() } else { Vec::new() },
            service: random.chance(0.3).then(|| SERVICES[random.below(5) as usize].to_owned()),
            has_error: random.chance(0.3).then(|| random.chance(0.5)),
            limit: [1, 3, 20, 10_000][random.below(4) as usize],
        };
        let fits = |c: &&Correlation| {
            query.since_ns.is_none_or(|since| c.start_ns >= since)
                && query.until_ns.is_none_or(|until| c.start_ns < until)
                && query.trace_id.is_none_or(|trace| c.id.trace_id == trace)
                && query.ids.iter().all(|id| c.ids.contains(id))
                && query.service.as_ref().is_none_or(|name| c.participants.iter().any(|p| p.service == *name))
                && query.has_error.is_none_or(|error| c.has_error() == error)
        };
        let mut wanted: Vec<Correlation> = self.highest.values().filter(fits).map(as_stored).collect();
        wanted.sort_by_key(|c| Reverse((c.start_ns, c.id)));
        wanted.truncate(query.limit);
        assert_eq!(source.find(&query, &context).unwrap(), wanted, "{query:?}");
        let nth = random.below(self.highest.len() as u64) as usize;
        let one = self.highest.values().nth(nth).unwrap();
        assert_eq!(source.get(one.id, &context).unwrap(), Some(as_stored(one)));
    }
}

fn fresh(id: CorrelationId) -> Correlation {
    Correlation {
        id,
        revision: 0,
        start_ns: id.opened_ms * 1_000_000 + i64::from(id.trace_id.0[0]) * 1000,
        end_ns: id.opened_ms * 1_000_000 + 5_000_000,
        window_ns: 60_000_000_000,
        ids: Vec::new(),
        participants: Vec::new(),
        logs: 0,
        levels: Default::default(),
        spans: 0,
        failed_spans: 0,
        exemplars: 0,
        inferred_logs: 0,
        spans_ns: None,
        root_span_id: SpanId([1; 8]),
        entry_spans: vec![SpanId([1; 8])],
        first_error: None,
        worst_span: None,
        exemplar_series: Vec::new(),
        marks: Marks::default(),
    }
}

#[test]
fn what_is_found_is_what_a_scan_finds() {
    for seed in 0..3 {
        let mut world = World::new(seed);
        for round in 0..4 {
            world.write(250);
            (0..25).for_each(|_| world.ask());
            // The last rows stay in the head; some rounds are of two blocks a day.
            if round % 2 == 0 {
                world.flush();
                (0..15).for_each(|_| world.ask());
            }
        }
        let marker = newest_marker(&*world.store, &QueryContext::unlimited()).unwrap().unwrap();
        assert!(marker.low > 7 && world.blocks.len() >= 6);
    }
}
