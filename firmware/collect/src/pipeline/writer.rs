//! The writer around the writer.

use super::batch::{Gather, Ready, Request};
use super::compiled::{Compiled, Outcome, PipelineError};
use super::config::PipelineConfig;
use super::counters::PipelineCounters;
use super::logs::Redactor;
use super::redact_spans::redact_spans;
use super::run_logs::redact_logs;
use bramble_runtime::{Budget, Cancel, Clock, Reservation};
use bramble_signal::{LogBatch, MetricBatch, Signal, SpanBatch};
use bramble_storage::{Batch, Delivered, Delivery, Done, Urgency, WriteError, Writer, Written};
use parking_lot::RwLock;
use prometheus::Registry;
use std::sync::Arc;
use std::time::Duration;

/// How often somebody who gathers looks whether the process is to end.
const CANCEL_LOOK_EVERY: Duration = Duration::from_millis(100);

/// What pipelines are made from.
#[derive(Clone, Default)]
pub struct PipelineOptions {
    /// `[[pipeline]]`, in order of declaration.
    pub pipelines: Vec<PipelineConfig>,
    /// Takes secrets out of what is pushed, behind all pipelines; `None` leaves them in.
    pub redactor: Option<Arc<Redactor>>,
}

impl PipelineOptions {
    /// Compiles them and forgets them.
    ///
    /// # Errors
    /// What is wrong with the first that does not compile.
    pub fn check(&self) -> Result<(), OpenPipelinesError> {
        let counters = PipelineCounters::new(&Registry::new())?;
        Compiled::new(&self.pipelines, self.redactor.clone(), &counters)?;
        Ok(())
    }
}

/// Runs batches through pipelines and hands them on. Cheap to clone.
///
/// A batch that no step changes goes on as it came, in the memory that it came in. What steps drop is counted as accepted
/// in the answer: it was wanted. Batches that are delivered (by sources, and by nodes) have been redacted where they were
/// read, and are not looked at a second time; pipelines apply to them all the same.
pub struct Pipelines<W>(Arc<Shared<W>>);

struct Shared<W> {
    inner: W,
    clock: Arc<dyn Clock>,
    receive: Budget,
    counters: PipelineCounters,
    compiled: RwLock<Arc<Compiled>>,
    gather: Gather,
}

impl<W> Clone for Pipelines<W> {
    fn clone(&self) -> Self {
        Pipelines(self.0.clone())
    }
}

/// Why pipelines cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenPipelinesError {
    /// What is declared is wrong.
    #[error(transparent)]
    Declared(#[from] PipelineError),
    /// A metric of ours is registered already.
    #[error("{0}")]
    Metrics(#[from] prometheus::Error),
}

impl<W: Writer> Pipelines<W> {
    /// `receive` is the budget of that name. Registers `bramble_pipeline_*`.
    ///
    /// # Errors
    /// [`OpenPipelinesError`].
    pub fn new(
        inner: W,
        options: &PipelineOptions,
        receive: Budget,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Result<Self, OpenPipelinesError> {
        let counters = PipelineCounters::new(registry)?;
        let compiled = Compiled::new(&options.pipelines, options.redactor.clone(), &counters)?;
        let (compiled, gather) = (RwLock::new(Arc::new(compiled)), Gather::new(registry)?);
        Ok(Pipelines(Arc::new(Shared { inner, clock, receive, counters, compiled, gather })))
    }

    /// Takes other pipelines from the next batch on; state of stages (limits, samples) begins anew.
    ///
    /// # Errors
    /// [`PipelineError`]; those before stay in force then.
    pub fn replace(&self, options: &PipelineOptions) -> Result<(), PipelineError> {
        let compiled = Compiled::new(&options.pipelines, options.redactor.clone(), &self.0.counters)?;
        *self.0.compiled.write() = Arc::new(compiled);
        // Perhaps nothing is gathered any more.
        self.release(u64::MAX);
        Ok(())
    }

    /// Hands on what a step `batch` has gathered when its time is over; once `cancel` is raised, at once. Never ends: to be
    /// spawned.
    pub async fn run(self, cancel: Cancel) {
        let gather = &self.0.gather;
        loop {
            let Some(due_ns) = gather.due_ns() else {
                gather.wake.notified().await;
                continue;
            };
            let now_ns = self.0.clock.monotonic_ns();
            if cancel.is_cancelled() {
                self.release(u64::MAX);
            } else if now_ns >= due_ns {
                self.release(now_ns);
            } else {
                tokio::time::sleep(Duration::from_nanos(due_ns - now_ns).min(CANCEL_LOOK_EVERY)).await;
            }
        }
    }

    /// Hands on what is due.
    fn release(&self, now_ns: u64) {
        self.0.gather.take_due(now_ns).into_iter().for_each(|ready| self.go_on(ready));
    }

    fn go_on(&self, ready: Ready) {
        let Ready { batch, held, urgency, done } = ready;
        self.0.inner.write(batch, held, urgency, done);
    }

    /// Hands a batch on, or lets it wait for others.
    fn hand_on(&self, batch: Batch, held: Reservation, urgency: Urgency, done: Done) {
        let compiled = self.compiled();
        let Some(settings) = compiled.batch(batch.signal()) else {
            return self.0.inner.write(batch, held, urgency, done);
        };
        let request = Request { batch, held, urgency, done };
        let ready = self.0.gather.take(settings, request, &self.0.receive, self.0.clock.monotonic_ns());
        ready.into_iter().for_each(|ready| self.go_on(ready));
    }

    /// The writer behind.
    pub fn inner(&self) -> &W {
        &self.0.inner
    }

    fn compiled(&self) -> Arc<Compiled> {
        self.0.compiled.read().clone()
    }

    fn run_metrics(&self, batch: &mut MetricBatch, held: &mut Reservation) -> Result<Outcome, WriteError> {
        let compiled = self.compiled();
        if compiled.of(Signal::Metrics).next().is_none() {
            return Ok(Outcome::default());
        }
        let before = batch.memory_bytes();
        let outcome = compiled.metrics(batch, &self.0.receive)?;
        if outcome.changed {
            settle(held, before, batch.memory_bytes())?;
        }
        Ok(outcome)
    }

    fn run_logs(&self, batch: &mut LogBatch, held: &mut Reservation, pushed: bool) -> Result<Outcome, WriteError> {
        let (compiled, before) = (self.compiled(), batch.memory_bytes());
        let mut outcome = compiled.logs(batch, &self.0.receive, self.0.clock.wall_ns())?;
        if let Some(redactor) = compiled.redactor.as_ref().filter(|_| pushed) {
            let hits = redact_logs(redactor, batch);
            self.count_redacted(Signal::Logs, hits, &mut outcome);
        }
        if outcome.changed {
            settle(held, before, batch.memory_bytes())?;
        }
        Ok(outcome)
    }

    fn run_spans(&self, batch: &mut SpanBatch, held: &mut Reservation, pushed: bool) -> Result<Outcome, WriteError> {
        let (compiled, before) = (self.compiled(), batch.memory_bytes());
        let mut outcome = compiled.spans(batch, &self.0.receive)?;
        if let Some(redactor) = compiled.redactor.as_ref().filter(|_| pushed) {
            let hits = redact_spans(redactor, batch);
            self.count_redacted(Signal::Traces, hits, &mut outcome);
        }
        if outcome.changed {
            settle(held, before, batch.memory_bytes())?;
        }
        Ok(outcome)
    }

    fn count_redacted(&self, signal: Signal, hits: u64, outcome: &mut Outcome) {
        if hits > 0 {
            self.0.counters.redacted(signal, hits);
            outcome.changed = true;
        }
    }
}

/// Pays for a batch that grew, and gives back what one that shrank no longer takes.
fn settle(held: &mut Reservation, before: usize, after: usize) -> Result<(), WriteError> {
    if after > before {
        held.grow(after - before)?;
    } else {
        held.force_resize(held.bytes().saturating_sub(before - after));
    }
    Ok(())
}

/// Adds what was dropped to what the sender is told.
fn counting(outcome: Outcome, done: Done) -> Done {
    if outcome.items == 0 && outcome.exemplars == 0 {
        return done;
    }
    Box::new(move |result| done(result.map(|written| add(outcome, written))))
}

fn add(outcome: Outcome, written: Written) -> Written {
    Written {
        accepted: written.accepted + outcome.items,
        histograms: written.histograms + outcome.histograms,
        exemplars: written.exemplars + outcome.exemplars,
        ..written
    }
}

impl<W: Writer> Writer for Pipelines<W> {
    fn write_metrics(&self, mut batch: MetricBatch, mut held: Reservation, urgency: Urgency, done: Done) {
        match self.run_metrics(&mut batch, &mut held) {
            Err(error) => done(Err(error)),
            Ok(outcome) if outcome.items > 0 && batch.is_empty() => done(Ok(add(outcome, Written::default()))),
            Ok(outcome) => self.hand_on(Batch::Metrics(batch), held, urgency, counting(outcome, done)),
        }
    }

    fn write_logs(&self, mut batch: LogBatch, mut held: Reservation, urgency: Urgency, done: Done) {
        match self.run_logs(&mut batch, &mut held, true) {
            Err(error) => done(Err(error)),
            Ok(outcome) if outcome.items > 0 && batch.is_empty() => done(Ok(add(outcome, Written::default()))),
            Ok(outcome) => self.hand_on(Batch::Logs(batch), held, urgency, counting(outcome, done)),
        }
    }

    fn write_spans(&self, mut batch: SpanBatch, mut held: Reservation, urgency: Urgency, done: Done) {
        match self.run_spans(&mut batch, &mut held, true) {
            Err(error) => done(Err(error)),
            Ok(outcome) if outcome.items > 0 && batch.is_empty() => done(Ok(add(outcome, Written::default()))),
            Ok(outcome) => self.hand_on(Batch::Spans(batch), held, urgency, counting(outcome, done)),
        }
    }

    fn deliver(&self, delivery: Delivery, mut batch: Batch, mut held: Reservation, urgency: Urgency, done: Done) {
        let outcome = match &mut batch {
            Batch::Metrics(batch) => self.run_metrics(batch, &mut held),
            Batch::Logs(batch) => self.run_logs(batch, &mut held, false),
            Batch::Spans(batch) => self.run_spans(batch, &mut held, false),
        };
        match outcome {
            Err(error) => done(Err(error)),
            // Even an empty batch goes on: its positions must become durable.
            Ok(outcome) => self.0.inner.deliver(delivery, batch, held, urgency, counting(outcome, done)),
        }
    }

    fn delivered(&self, source: &str) -> Option<Delivered> {
        self.0.inner.delivered(source)
    }

    fn hurry(&self, source: &str) {
        self.0.inner.hurry(source);
    }

    fn has_room(&self, signal: Signal, memory_bytes: usize) -> bool {
        self.compiled().has_room(signal, &self.0.receive) && self.0.inner.has_room(signal, memory_bytes)
    }
}
