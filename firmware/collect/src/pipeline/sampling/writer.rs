//! The writer around the writer.

use super::SamplingOptions;
use super::consistent::Share;
use super::counters::Counters;
use super::decisions::Decisions;
use super::tail::Tail;
use super::tokens::Tokens;
use bramble_runtime::{Budget, Clock, Reservation};
use bramble_signal::{LogBatch, MetricBatch, Signal, SpanBatch, SpanEntry, TraceId};
use bramble_storage::{Batch, Delivered, Delivery, Done, Urgency, WriteError, Writer, Written};
use parking_lot::Mutex;
use prometheus::Registry;
use std::sync::Arc;

/// Sees what is dropped.
type Observer = Box<dyn Fn(&SpanBatch) + Send + Sync>;

/// Hands metrics and logs on as they are, and spans that are kept. Cheap to clone.
pub struct Sampling<W>(Arc<Shared<W>>);

struct Shared<W> {
    inner: W,
    clock: Arc<dyn Clock>,
    receive: Budget,
    head_share: Share,
    head_rate: Option<Mutex<HeadRate>>,
    tail: Option<Mutex<Tail>>,
    dropped: Observer,
    counters: Counters,
}

/// So many spans per second, trace by trace.
struct HeadRate {
    tokens: Tokens,
    decisions: Decisions,
}

impl HeadRate {
    fn keeps(&mut self, span: &SpanEntry, now_ns: u64) -> bool {
        match self.decisions.of(span.trace_id) {
            Some(true) => self.tokens.take_anyway(1, now_ns),
            Some(false) => return false,
            None => {
                let kept = self.tokens.take(1, now_ns);
                self.decisions.remember(span.trace_id, kept);
                return kept;
            }
        }
        true
    }
}

impl<W> Clone for Sampling<W> {
    fn clone(&self) -> Self {
        Sampling(self.0.clone())
    }
}

impl<W: Writer> Sampling<W> {
    /// `receive` is the budget of that name; what waits takes at most half of it. `dropped` is shown what is not kept.
    /// Registers `bramble_sampling_*`.
    ///
    /// # Errors
    /// [`prometheus::Error::AlreadyReg`] when called twice with one registry; a message when `receive` is overdrawn.
    pub fn new(
        inner: W,
        options: SamplingOptions,
        receive: Budget,
        clock: Arc<dyn Clock>,
        dropped: impl Fn(&SpanBatch) + Send + Sync + 'static,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let counters = Counters::new(registry)?;
        let none = || receive.reserve(0).map_err(|error| prometheus::Error::Msg(error.to_string()));
        let now_ns = clock.monotonic_ns();
        let decisions = || Ok::<_, prometheus::Error>(Decisions::new(options.decisions_max, none()?));
        let head_rate = match options.head_spans_per_second {
            Some(rate) => Some(Mutex::new(HeadRate { tokens: Tokens::new(rate, now_ns), decisions: decisions()? })),
            None => None,
        };
        let tail = match options.tail.clone() {
            Some(mut tail) => {
                tail.bytes_max = tail.bytes_max.min(receive.limit_bytes() / 2);
                Some(Mutex::new(Tail::new(tail, decisions()?, none()?, counters.clone(), now_ns)))
            }
            None => None,
        };
        let (head_share, dropped): (_, Observer) = (options.head_share, Box::new(dropped));
        Ok(Sampling(Arc::new(Shared { inner, clock, receive, head_share, head_rate, tail, dropped, counters })))
    }

    /// Decides what is due and hands it on: to be called a few times a second.
    pub fn step(&self) {
        let Some(tail) = &self.0.tail else { return };
        let gone = {
            let mut tail = tail.lock();
            tail.decide_due(self.0.clock.monotonic_ns());
            tail.take_gone()
        };
        self.show(&gone);
        self.hand_on();
    }

    /// Decides everything and hands it on, before the write path stops.
    pub fn finish(&self) {
        let Some(tail) = &self.0.tail else { return };
        let (gone, rest) = {
            let mut tail = tail.lock();
            tail.decide_all(self.0.clock.monotonic_ns());
            (tail.take_gone(), tail.take_rest())
        };
        self.show(&gone);
        for batch in rest {
            // Acknowledged already, and the process ends: better past the limit than lost.
            if let Ok(mut held) = self.0.receive.reserve(0) {
                held.force_resize(batch.memory_bytes());
                let spans = batch.spans.len();
                let done: Done = Box::new(move |result| {
                    if let Err(error) = result {
                        tracing::error!(spans, %error, "kept spans could not be written before the end");
                    }
                });
                self.0.inner.write_spans(batch, held, Urgency::SenderWaits, done);
            }
        }
    }

    /// Keeps this trace, whatever the policies say: its spans that wait and those to come. What was dropped of it already
    /// is gone. Only tail sampling can; without it nothing happens.
    pub fn keep(&self, trace_id: TraceId) {
        if let Some(tail) = &self.0.tail {
            tail.lock().keep(trace_id);
        }
    }

    fn show(&self, gone: &SpanBatch) {
        if !gone.is_empty() {
            (self.0.dropped)(gone);
        }
    }

    /// Hands on what is decided, as far as the writer has room. Never from a [`Done`]: the commit thread waits for nobody.
    fn hand_on(&self) {
        let Some(tail) = &self.0.tail else { return };
        loop {
            let now_ns = self.0.clock.monotonic_ns();
            let Some((number, batch)) = tail.lock().next(now_ns) else { return };
            let held = match self.0.receive.reserve(batch.memory_bytes()) {
                Ok(held) => held,
                Err(over) => return tail.lock().settle(number, Some(over.into()), now_ns),
            };
            let shared = self.0.clone();
            let done: Done = Box::new(move |result: Result<Written, WriteError>| {
                if let Some(tail) = &shared.tail {
                    tail.lock().settle(number, result.err(), shared.clock.monotonic_ns());
                }
            });
            self.0.inner.write_spans(batch, held, Urgency::SenderWaits, done);
        }
    }

    /// Takes out what head sampling drops.
    fn sample_head(&self, batch: &mut SpanBatch) -> SpanBatch {
        let (shared, mut gone) = (&*self.0, SpanBatch::new());
        if shared.head_share.is_all() && shared.head_rate.is_none() {
            return gone;
        }
        let now_ns = shared.clock.monotonic_ns();
        let mut rate = shared.head_rate.as_ref().map(Mutex::lock);
        let mut kept = Vec::with_capacity(batch.spans.len());
        for span in std::mem::take(&mut batch.spans) {
            let reason = if !shared.head_share.keeps(span.trace_id, batch.text(span.trace_state)) {
                Some("head")
            } else if !rate.as_mut().is_none_or(|rate| rate.keeps(&span, now_ns)) {
                Some("head_rate")
            } else {
                None
            };
            match reason {
                None => kept.push(span),
                Some(reason) => {
                    shared.counters.dropped.with_label_values(&[reason]).inc();
                    gone.push_from(batch, &span);
                }
            }
        }
        batch.spans = kept;
        gone
    }

    /// `gone`: what head sampling dropped. It is shown when the rest is taken: a sender that is refused sends all again.
    fn sample_tail(&self, tail: &Mutex<Tail>, batch: &SpanBatch, gone: &SpanBatch, done: Done) {
        let now_ns = self.0.clock.monotonic_ns();
        let taken = {
            let mut tail = tail.lock();
            match tail.refusal() {
                Some(error) => Err(error),
                None => {
                    tail.take(batch, now_ns);
                    Ok(tail.take_gone())
                }
            }
        };
        let outcome = taken.map(|gone_by_tail| {
            self.show(gone);
            self.show(&gone_by_tail);
            Written { accepted: (batch.spans.len() + gone.spans.len()) as u64, ..Written::default() }
        });
        self.hand_on();
        done(outcome);
    }
}

impl<W: Writer> Writer for Sampling<W> {
    fn write_metrics(&self, batch: MetricBatch, held: Reservation, urgency: Urgency, done: Done) {
        self.0.inner.write_metrics(batch, held, urgency, done);
    }

    fn write_logs(&self, batch: LogBatch, held: Reservation, urgency: Urgency, done: Done) {
        self.0.inner.write_logs(batch, held, urgency, done);
    }

    fn write_spans(&self, mut batch: SpanBatch, held: Reservation, urgency: Urgency, done: Done) {
        let gone = self.sample_head(&mut batch);
        if let Some(tail) = &self.0.tail {
            return self.sample_tail(tail, &batch, &gone, done);
        }
        let (kept, dropped) = (batch.spans.len() as u64, gone.spans.len() as u64);
        if batch.is_empty() {
            self.show(&gone);
            return done(Ok(Written { accepted: dropped, ..Written::default() }));
        }
        let sampling = self.clone();
        let done: Done = Box::new(move |result: Result<Written, WriteError>| {
            done(result.map(|written| {
                sampling.show(&gone);
                sampling.0.counters.kept.with_label_values(&["head"]).inc_by(kept);
                Written { accepted: written.accepted + dropped, ..written }
            }));
        });
        self.0.inner.write_spans(batch, held, urgency, done);
    }

    /// Deliveries go by: whoever numbers what it sends is told that it is durable when it is, and a node samples by itself.
    fn deliver(&self, delivery: Delivery, batch: Batch, held: Reservation, urgency: Urgency, done: Done) {
        self.0.inner.deliver(delivery, batch, held, urgency, done);
    }

    fn delivered(&self, source: &str) -> Option<Delivered> {
        self.0.inner.delivered(source)
    }

    fn hurry(&self, source: &str) {
        self.0.inner.hurry(source);
    }

    fn has_room(&self, signal: Signal, memory_bytes: usize) -> bool {
        match (&self.0.tail, signal) {
            (Some(tail), Signal::Traces) => tail.lock().refusal().is_none(),
            _ => self.0.inner.has_room(signal, memory_bytes),
        }
    }
}
