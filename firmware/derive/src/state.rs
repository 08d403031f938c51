//! Everything that is counted, behind one lock.

use crate::counters::Counters;
use crate::emit::{Emitter, Out};
use crate::graph::{Graph, Lost, Moment};
use crate::markers::{COUNTED_SEQUENCE, GRAPH, Marks, PART, SEEN, WAITING};
use crate::options::DeriveOptions;
use crate::sets::{Counted, Example, Life, PARTS, Sets, put_key};
use crate::sources::Source;
use crate::targets::Targets;
use crate::texts::{TextId, Texts};
use bramble_runtime::{Budget, OverBudget};
use bramble_signal::{METRIC_NAME, MetricBatch, SpanBatch, SpanEntry};
use bramble_storage::Sequence;
use std::collections::VecDeque;

/// Series in one write, about: it should be one record of the journal, so that its marks are durable with it.
const SERIES_PER_WRITE: usize = 1000;

pub(crate) struct State {
    texts: Texts,
    sets: Sets,
    graph: Graph,
    targets: Targets,
    /// Of the batch at hand.
    sources: Vec<Source>,
    key: Vec<u8>,
    /// What was counted before a restart.
    before: Marks,
    before_highest: Sequence,
    /// Whether what was shown again has ended.
    caught_up: bool,
    /// The last sequence observed.
    observed: Sequence,
    /// What had been observed at some moments of the monotonic clock, ascending: as far back as matters to halves.
    history: VecDeque<(u64, Sequence)>,
    /// The emission to come; the first is 1.
    round: u64,
    stored_round: u64,
    last_emitted_ms: i64,
    /// The lowest mark of the emission before.
    emitted_lowest: Sequence,
    /// The lowest mark that is stored.
    durable: Sequence,
}

/// About what OTLP takes for the fixed fields of a span, with their tags.
const FIXED_BYTES: usize = 68;

fn size_bytes(span: &SpanEntry) -> u64 {
    let texts = [span.name, span.status_message, span.trace_state, span.attributes, span.events, span.links];
    (FIXED_BYTES + texts.iter().map(|text| text.len()).sum::<usize>()) as u64
}

impl State {
    pub(crate) fn new(options: &DeriveOptions, budget: &Budget, started_ms: i64) -> Result<Self, OverBudget> {
        let none = || budget.reserve(0);
        let texts_max = options.sets_max + 2 * options.edges_max + 1024;
        Ok(State {
            texts: Texts::new(texts_max, none()?),
            sets: Sets::new(options, Emitter::units_ns(options), none()?),
            graph: Graph::new(options, none()?, none()?),
            targets: Targets::new(options.sets_max, none()?),
            sources: Vec::new(),
            key: Vec::new(),
            before: Marks::default(),
            before_highest: 0,
            caught_up: false,
            observed: 0,
            history: VecDeque::new(),
            round: 1,
            stored_round: 0,
            last_emitted_ms: started_ms,
            emitted_lowest: 0,
            durable: 0,
        })
    }

    /// Takes over what was counted before a restart.
    pub(crate) fn set_before(&mut self, marks: Marks) {
        (self.before, self.before_highest, self.caught_up) = (marks, marks.highest(), false);
        self.observed = self.observed.max(marks.highest());
        self.durable = marks.lowest();
    }

    fn moment(&self, sequence: Sequence, now_ns: u64) -> Moment {
        let life = Life { zero_ms: self.last_emitted_ms + 1, round: self.round, changed_ns: now_ns };
        Moment { sequence, silent: sequence <= self.before.graph, now_ns, life }
    }

    /// Counts a batch; `sequence` is `None` for spans that no journal has.
    pub(crate) fn observe(
        &mut self,
        batch: &SpanBatch,
        sequence: Option<Sequence>,
        now_ns: u64,
        options: &DeriveOptions,
        counters: &Counters,
    ) {
        self.remember(now_ns, options.wait_ns);
        self.observed = self.observed.max(sequence.unwrap_or(0));
        if !self.caught_up && sequence.is_none_or(|sequence| sequence > self.before.graph) {
            self.caught_up = true;
            self.graph.forget_settled(self.before.waiting);
        }
        // What no journal has comes only once.
        let shown_again = sequence.is_some_and(|sequence| sequence <= self.before_highest);
        let mut moment = self.moment(sequence.unwrap_or(self.observed + 1), now_ns);
        moment.silent &= sequence.is_some();
        self.find_sources(batch, now_ns, options);
        let (mut lost, mut counted, mut overflow) = (Lost::default(), 0, 0);
        if options.service_graph {
            self.graph.expire(moment, self.before.waiting, &mut lost);
        }
        for span in &batch.spans {
            let Some(source) = self.sources.get(span.resource as usize).copied().filter(|s| !s.left_out) else {
                continue;
            };
            if options.span_metrics {
                let gate = shown_again.then_some(moment.sequence);
                // None: counted before a restart.
                if let Some(over) = self.count(batch, span, &source, gate, moment, options) {
                    (counted, overflow) = (counted + 1, overflow + u64::from(over));
                }
            }
            if options.service_graph {
                self.graph.observe(batch, span, &source, &mut self.texts, moment, &mut lost);
            }
        }
        counters.spans.inc_by(counted);
        counters.overflow.inc_by(overflow);
        counters.expired.inc_by(lost.expired);
        counters.dropped.inc_by(lost.dropped);
    }

    fn find_sources(&mut self, batch: &SpanBatch, now_ns: u64, options: &DeriveOptions) {
        self.sources.clear();
        let life = self.moment(0, now_ns).life;
        for resource in &batch.resources {
            let attributes = batch.attributes(resource.attributes);
            let source = Source::of(attributes, &mut self.texts, options);
            if options.target_info && !source.left_out {
                self.targets.see(source.identity, attributes, life);
            }
            self.sources.push(source);
        }
    }

    /// Counts a span in its label set, unless that had counted it before a restart; whether in one for overflow.
    fn count(
        &mut self,
        batch: &SpanBatch,
        span: &SpanEntry,
        source: &Source,
        shown_again: Option<Sequence>,
        moment: Moment,
        options: &DeriveOptions,
    ) -> Option<bool> {
        put_key(batch, span, source, options, &mut self.key);
        if let Some(sequence) = shown_again {
            let part = Sets::part(service_of(&self.texts, source), &self.key);
            if self.before.sets.get(usize::from(part)).is_some_and(|mark| sequence <= *mark) {
                return None;
            }
        }
        let duration_ns = span.duration_ns();
        let failed = span.status == bramble_signal::StatusCode::Error;
        let example = Example { trace_id: span.trace_id, duration_ns, end_ns: span.end_ns, failed };
        let counted = Counted { duration_ns, size_bytes: size_bytes(span), example };
        if let Some(set) = self.sets.known(&self.key) {
            set.count(&counted, &options.bounds_ns, moment.now_ns);
            return Some(false);
        }
        let set = self.sets.add(&mut self.key, service_of(&self.texts, source), moment.life)?;
        set.count(&counted, &options.bounds_ns, moment.now_ns);
        Some(set.named().overflow)
    }

    /// All series as they are now, in writes of which each has its marks.
    pub(crate) fn emit(
        &mut self,
        now_ns: u64,
        now_ms: i64,
        (options, emitter, counters): (&DeriveOptions, &Emitter, &Counters),
    ) -> (u64, Vec<MetricBatch>) {
        let mut lost = Lost::default();
        let moment = self.moment(self.observed, now_ns);
        self.graph.expire(moment, self.before.waiting, &mut lost);
        counters.expired.inc_by(lost.expired);
        let round = self.round;
        let mut ended = self.end_idle(now_ns, now_ms, options, emitter);
        if self.stored_round == 0 {
            ended.batch.metadata = Emitter::metadata();
        }
        let least = self.least_rank(options.exemplars_max);
        let wanted = |example: &Option<Example>| example.is_some_and(|e| least.is_none_or(|least| e.rank() >= least));
        let mut writes = Vec::new();
        let mut out = ended;
        for part in 0..PARTS {
            for set in self.sets.iter_mut().filter(|set| usize::from(set.part) == part) {
                emitter.set(set, &self.texts, wanted(&set.example), false, &mut out);
                set.example = None;
            }
            self.mark(&part.to_string(), self.observed, &mut out);
            if out.batch.series_count() >= SERIES_PER_WRITE {
                let next = Out::new(now_ms, self.stored_round);
                writes.push(std::mem::replace(&mut out, next).batch);
            }
        }
        for (between, edge) in &mut self.graph.edges {
            emitter.edge(between, edge, &self.texts, (wanted(&edge.example), false), &mut out);
            edge.example = None;
        }
        for (key, count) in &self.graph.loose {
            emitter.loose(key, count, &self.texts, false, &mut out);
        }
        self.targets.emit(&self.texts, &mut out);
        self.mark(GRAPH, self.observed, &mut out);
        let (waiting, seen) = self.waiting_and_seen(options.wait_ns);
        self.mark(WAITING, waiting, &mut out);
        self.mark(SEEN, seen, &mut out);
        writes.push(out.batch);
        self.sweep();
        (self.round, self.last_emitted_ms, self.emitted_lowest) = (round + 1, now_ms, seen);
        counters.label_sets.set(self.sets.len() as i64);
        counters.edges.set(self.graph.edges.len() as i64);
        counters.waiting.set(self.graph.waiting.len() as i64);
        (round, writes)
    }

    /// What the halves that wait came after, and what their other halves, had they any, would have come after.
    fn waiting_and_seen(&self, wait_ns: u64) -> (Sequence, Sequence) {
        let Some(oldest) = self.graph.waiting.oldest() else { return (self.observed, self.observed) };
        let waiting = oldest.sequence.saturating_sub(1).min(self.observed);
        let since_ns = oldest.since_ns.saturating_sub(wait_ns);
        let known = self.history.iter().rev().find(|(at_ns, _)| *at_ns <= since_ns);
        (waiting, known.map_or(self.before.lowest(), |(_, sequence)| *sequence).min(waiting))
    }

    /// Notes what was observed until now; eight moments for each time that halves may wait are enough.
    fn remember(&mut self, now_ns: u64, wait_ns: u64) {
        if self.history.back().is_none_or(|(at_ns, _)| now_ns.saturating_sub(*at_ns) > wait_ns / 8) {
            self.history.push_back((now_ns, self.observed));
        }
        // Halves wait at most so long, and their other halves came at most so long before them.
        let matters_ns = now_ns.saturating_sub(wait_ns.saturating_mul(2));
        while self.history.get(1).is_some_and(|(at_ns, _)| *at_ns <= matters_ns) {
            self.history.pop_front();
        }
    }

    fn mark(&self, part: &str, sequence: Sequence, out: &mut Out) {
        let mut pairs = [(METRIC_NAME, COUNTED_SEQUENCE), ("job", "bramble"), (PART, part)];
        out.gauge(&mut pairs, sequence as f64);
    }

    /// The least rank of an example that is among the `most` best; `None` when all of them are.
    fn least_rank(&self, most: usize) -> Option<(bool, u64)> {
        let of_sets = self.sets.iter().filter_map(|set| set.example.as_ref());
        let of_edges = self.graph.edges.values().filter_map(|edge| edge.example.as_ref());
        let mut ranks: Vec<(bool, u64)> = of_sets.chain(of_edges).map(Example::rank).collect();
        if ranks.len() <= most {
            return None;
        }
        let at = ranks.len() - most;
        match most {
            0 => Some((true, u64::MAX)),
            _ => Some(*ranks.select_nth_unstable(at).1),
        }
    }

    /// Ends what has been idle: the markers that say so are the first of the write.
    fn end_idle(&mut self, now_ns: u64, now_ms: i64, options: &DeriveOptions, emitter: &Emitter) -> Out {
        let mut out = Out::new(now_ms, self.stored_round);
        let Some(before_ns) = now_ns.checked_sub(options.idle_ns) else { return out };
        let texts = &self.texts;
        self.sets.end_idle(before_ns, |set| emitter.set(&set, texts, false, true, &mut out));
        let out_cell = std::cell::RefCell::new(&mut out);
        self.graph.end_idle(
            before_ns,
            |between, edge| emitter.edge(between, edge, texts, (false, true), &mut out_cell.borrow_mut()),
            |key, count| emitter.loose(key, count, texts, true, &mut out_cell.borrow_mut()),
        );
        self.targets.end_idle(before_ns, texts, &mut out);
        out
    }

    fn sweep(&mut self) {
        if !self.texts.is_crowded() {
            return;
        }
        let State { texts, sets, graph, targets, .. } = self;
        texts.sweep(|mark| {
            sets.iter().for_each(|set| mark(set.named().identity));
            targets.iter().for_each(&mut *mark);
            let betweens = graph.edges.keys().chain(graph.loose.keys().map(|(_, between)| between));
            betweens.flat_map(|between| [between.client, between.server]).for_each(&mut *mark);
            graph.waiting.iter().flat_map(|half| [half.service, half.peer]).for_each(&mut *mark);
        });
    }

    /// Hears that all writes of an emission were stored.
    pub(crate) fn stored(&mut self, round: u64) {
        self.stored_round = self.stored_round.max(round);
        if round + 1 == self.round {
            self.durable = self.emitted_lowest;
        }
    }

    /// Through which sequence a start after a crash would find everything counted.
    pub(crate) fn durable(&self) -> Sequence {
        self.durable
    }
}

/// The name of a source's service.
fn service_of<'a>(texts: &'a Texts, source: &Source) -> &'a str {
    let id: TextId = source.service;
    texts.get(id)
}
