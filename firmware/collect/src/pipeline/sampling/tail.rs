//! Tail sampling without threads, clocks or writers: spans in, decisions, batches out.

use super::TailOptions;
use super::counters::Counters;
use super::decisions::Decisions;
use super::policy::Policy;
use super::tokens::Tokens;
use super::window::Window;
use bramble_runtime::Reservation;
use bramble_signal::{SpanBatch, SpanEntry, TraceId};
use bramble_storage::WriteError;
use std::collections::{HashSet, VecDeque};

/// Memory of one batch that is handed on.
const BATCH_BYTES: usize = 512 << 10;
/// Batches that are handed on at once; of each a copy is kept until it is durable.
const IN_FLIGHT_MAX: usize = 4;
/// Traces that are kept by name at once; beyond, the names given first are forgotten.
const NAMED_MAX: usize = 4096;

pub(super) struct Tail {
    options: TailOptions,
    policy: Policy,
    window: Window,
    decisions: Decisions,
    tokens: Option<Tokens>,
    named: HashSet<TraceId>,
    named_order: VecDeque<TraceId>,
    /// Kept, to be handed on.
    ready: VecDeque<SpanBatch>,
    /// Handed on, by number; not durable yet.
    in_flight: Vec<(u64, SpanBatch)>,
    next_number: u64,
    /// Why the last batch that was handed on was refused.
    refused: Option<(WriteError, u64)>,
    /// Dropped and not yet shown to whoever derives metrics.
    gone: SpanBatch,
    space: Reservation,
    counters: Counters,
}

impl Tail {
    /// `space` counts what waits; `options.bytes_max` has been brought below what it may take.
    pub(super) fn new(
        options: TailOptions,
        decisions: Decisions,
        space: Reservation,
        counters: Counters,
        now_ns: u64,
    ) -> Self {
        Tail {
            policy: Policy::new(&options),
            tokens: options.spans_per_second.map(|rate| Tokens::new(rate, now_ns)),
            options,
            window: Window::default(),
            decisions,
            named: HashSet::new(),
            named_order: VecDeque::new(),
            ready: VecDeque::new(),
            in_flight: Vec::new(),
            next_number: 0,
            refused: None,
            gone: SpanBatch::new(),
            space,
            counters,
        }
    }

    /// Keeps this trace, whatever it is; spans that come from now on too, even if it was dropped before.
    pub(super) fn keep(&mut self, trace_id: TraceId) {
        if self.named.insert(trace_id) {
            self.named_order.push_back(trace_id);
            if self.named_order.len() > NAMED_MAX
                && let Some(first) = self.named_order.pop_front()
            {
                self.named.remove(&first);
            }
        }
        if self.decisions.of(trace_id) == Some(false) {
            self.decisions.remember(trace_id, true);
        }
    }

    /// Why new spans cannot be taken: too many kept ones could not be written.
    pub(super) fn refusal(&self) -> Option<WriteError> {
        let waits = self.out_bytes();
        if waits <= self.options.bytes_max / 4 {
            return None;
        }
        let full = || {
            let over = bramble_runtime::OverBudget {
                budget: bramble_runtime::BudgetName::Receive,
                wanted_bytes: waits,
                limit_bytes: self.options.bytes_max / 4,
            };
            WriteError::OverBudget(over)
        };
        Some(self.refused.as_ref().map_or_else(full, |(error, _)| error.clone()))
    }

    /// Takes in all spans of a batch.
    pub(super) fn take(&mut self, batch: &SpanBatch, now_ns: u64) {
        for span in &batch.spans {
            self.take_span(batch, span, now_ns);
        }
        self.decide_due(now_ns);
        self.count();
    }

    fn take_span(&mut self, batch: &SpanBatch, span: &SpanEntry, now_ns: u64) {
        // Without a trace id nothing can be decided; the store says what is wrong with it.
        if span.trace_id.is_zero() {
            return self.send(batch, span);
        }
        match self.decisions.of(span.trace_id) {
            Some(true) => {
                self.counters.kept.with_label_values(&["late"]).inc();
                self.send(batch, span);
            }
            Some(false) => {
                self.counters.dropped.with_label_values(&["late"]).inc();
                self.gone.push_from(batch, span);
            }
            None => {
                let bytes = self.window.add(batch, span, now_ns);
                if bytes > self.options.bytes_max / 4 {
                    self.decide_early(span.trace_id, "trace_bytes", now_ns);
                }
                self.keep_bounds(now_ns);
            }
        }
    }

    fn keep_bounds(&mut self, now_ns: u64) {
        loop {
            let bound = if self.window.len() > self.options.traces_max {
                "traces"
            } else if self.window.bytes() > self.options.bytes_max / 4 * 3 {
                "bytes"
            } else {
                return;
            };
            let Some((oldest, _)) = self.window.oldest() else { return };
            self.decide_early(oldest, bound, now_ns);
        }
    }

    fn decide_early(&mut self, trace_id: TraceId, bound: &str, now_ns: u64) {
        self.counters.early.with_label_values(&[bound]).inc();
        self.decide(trace_id, now_ns);
    }

    /// Decides the traces that have waited long enough.
    pub(super) fn decide_due(&mut self, now_ns: u64) {
        let wait_ns = self.options.wait.as_nanos() as u64;
        while let Some((oldest, since_ns)) = self.window.oldest() {
            if since_ns.saturating_add(wait_ns) > now_ns {
                break;
            }
            self.decide(oldest, now_ns);
        }
    }

    /// Decides everything, for the process stops.
    pub(super) fn decide_all(&mut self, now_ns: u64) {
        while let Some((oldest, _)) = self.window.oldest() {
            self.decide_early(oldest, "stop", now_ns);
        }
    }

    fn decide(&mut self, trace_id: TraceId, now_ns: u64) {
        let Some(batch) = self.window.take(trace_id) else { return };
        let spans = batch.spans.len();
        let reason = match self.named.contains(&trace_id) {
            true => Ok("named"),
            false => match self.policy.judge(&batch) {
                None => Err("policy"),
                Some(_) if self.tokens.as_mut().is_some_and(|tokens| !tokens.take(spans, now_ns)) => Err("rate"),
                Some(why) => Ok(why.as_str()),
            },
        };
        self.decisions.remember(trace_id, reason.is_ok());
        match reason {
            Ok(why) => {
                self.counters.kept.with_label_values(&[why]).inc_by(spans as u64);
                batch.spans.iter().for_each(|span| self.send(&batch, span));
            }
            Err(why) => {
                self.counters.dropped.with_label_values(&[why]).inc_by(spans as u64);
                batch.spans.iter().for_each(|span| self.gone.push_from(&batch, span));
            }
        }
    }

    fn send(&mut self, batch: &SpanBatch, span: &SpanEntry) {
        if self.ready.back().is_none_or(|last| last.memory_bytes() >= BATCH_BYTES) {
            self.ready.push_back(SpanBatch::new());
        }
        if let Some(last) = self.ready.back_mut() {
            last.push_from(batch, span);
        }
    }

    /// What was dropped since the last call.
    pub(super) fn take_gone(&mut self) -> SpanBatch {
        std::mem::take(&mut self.gone)
    }

    /// The next batch to hand on, with its number: to be followed by [`settle`](Self::settle). `None` when there is none,
    /// when enough are under way, or when it is too early after a refusal.
    pub(super) fn next(&mut self, now_ns: u64) -> Option<(u64, SpanBatch)> {
        let rests = self.refused.as_ref().is_some_and(|(_, until_ns)| now_ns < *until_ns);
        if rests || self.in_flight.len() >= IN_FLIGHT_MAX {
            return None;
        }
        let batch = self.ready.pop_front()?;
        self.next_number += 1;
        self.in_flight.push((self.next_number, batch.clone()));
        self.count();
        Some((self.next_number, batch))
    }

    /// The rest of what is to be handed on, when the process stops and nobody can try again.
    pub(super) fn take_rest(&mut self) -> impl Iterator<Item = SpanBatch> + use<> {
        std::mem::take(&mut self.ready).into_iter()
    }

    /// Hears what became of a batch. One that was refused goes out again.
    pub(super) fn settle(&mut self, number: u64, error: Option<WriteError>, now_ns: u64) {
        let Some(at) = self.in_flight.iter().position(|(n, _)| *n == number) else { return };
        let (_, batch) = self.in_flight.swap_remove(at);
        match error {
            None => self.refused = None,
            Some(error) => {
                self.counters.failed_writes.inc();
                let until_ns = now_ns.saturating_add(error.retry_after().as_nanos() as u64);
                self.refused = Some((error, until_ns));
                self.ready.push_front(batch);
            }
        }
        self.count();
    }

    /// Memory of what is to be handed on, and of the copies of what is under way.
    fn out_bytes(&self) -> usize {
        let under_way = self.in_flight.iter().map(|(_, batch)| batch);
        self.ready.iter().chain(under_way).map(SpanBatch::memory_bytes).sum()
    }

    fn count(&mut self) {
        let bytes = self.window.bytes() + self.out_bytes();
        self.counters.traces.set(self.window.len() as i64);
        self.counters.bytes.set(bytes as i64);
        // Below half of the budget by the options, and learnt only now.
        self.space.force_resize(bytes);
    }
}
