//! The step `batch`: requests of many senders become one batch, and each sender is told when its part of it is durable.
//!
//! What the Collector's batch processor does, with one difference: that one answers before anything is written, here nobody
//! is answered early. A sender waits up to `timeout` longer for its answer, and what waits is paid for by the requests'
//! own reservations from the budget `receive`, so that it is bounded as they are.
//!
//! Which item of which request a store refused for good is not known behind here; see [`answers`].

mod answers;
mod append;

use answers::{Answer, Answers, Joined};
use append::{append, cut};
use bramble_runtime::{Budget, Reservation};
use bramble_signal::Signal;
use bramble_storage::{Batch, Done, Urgency};
use parking_lot::Mutex;
use prometheus::{IntCounterVec, Opts, Registry};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

use super::config::BatchConfig;

/// The Collector's defaults.
const ITEMS: usize = 8192;
const TIMEOUT: Duration = Duration::from_millis(200);

/// Longest time to wait for more: OpenTelemetry's SDKs give up after ten seconds, and the commit comes behind this.
const TIMEOUT_MAX: Duration = Duration::from_secs(5);

/// What waits of a signal takes at most this share of the budget `receive`; then it goes on.
const BUDGET_SHARE: usize = 8;

/// How much is gathered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BatchSettings {
    /// So many items go on at once.
    items: usize,
    /// Most items of a batch; 0 for no bound.
    items_max: usize,
    timeout_ns: u64,
}

impl BatchSettings {
    /// # Errors
    /// The field and what is wrong with it.
    pub(super) fn compile(config: &BatchConfig) -> Result<BatchSettings, String> {
        let timeout = match &config.timeout {
            None => TIMEOUT,
            Some(text) => bramble_query_logql::syntax::parse_duration(text, true)
                .ok()
                .and_then(|ns| u64::try_from(ns).ok())
                .map(Duration::from_nanos)
                .ok_or_else(|| format!(".timeout: {text:?} is no duration such as 200ms"))?,
        };
        if timeout > TIMEOUT_MAX {
            return Err(format!(".timeout: senders wait for it, so it is at most {} s", TIMEOUT_MAX.as_secs()));
        }
        let (items, items_max) = (config.send_batch_size.unwrap_or(ITEMS), config.send_batch_max_size);
        if items == 0 {
            return Err(".send_batch_size: at least 1".to_owned());
        }
        if items_max > 0 && items_max < items {
            return Err(format!(".send_batch_max_size: {items_max} is less than send_batch_size, {items}"));
        }
        Ok(BatchSettings { items, items_max, timeout_ns: timeout.as_nanos() as u64 })
    }
}

/// A batch that goes on.
pub(super) struct Ready {
    pub(super) batch: Batch,
    pub(super) held: Reservation,
    pub(super) urgency: Urgency,
    pub(super) done: Done,
}

/// Requests of a signal that wait.
struct Gathered {
    batch: Batch,
    held: Reservation,
    urgency: Urgency,
    answers: Vec<Answer>,
    due_ns: u64,
}

impl Gathered {
    fn ready(self) -> Ready {
        let Gathered { batch, held, urgency, answers, .. } = self;
        Ready { batch, held, urgency, done: Answers(answers).done() }
    }
}

/// What waits of all signals.
pub(super) struct Gather {
    waiting: Mutex<[Option<Gathered>; Signal::ALL.len()]>,
    /// Something waits that did not before.
    pub(super) wake: Notify,
    sent: IntCounterVec,
}

/// A request, and how it was handed over.
pub(super) struct Request {
    pub(super) batch: Batch,
    pub(super) held: Reservation,
    pub(super) urgency: Urgency,
    pub(super) done: Done,
}

impl Gather {
    /// Registers `bramble_pipeline_batches_total{signal,reason}`.
    ///
    /// # Errors
    /// [`prometheus::Error::AlreadyReg`] when called twice with one registry.
    pub(super) fn new(registry: &Registry) -> Result<Gather, prometheus::Error> {
        let help = "Batches that the step batch has gathered, by what ended their waiting: size, timeout, memory.";
        let sent = IntCounterVec::new(Opts::new("bramble_pipeline_batches_total", help), &["signal", "reason"])?;
        registry.register(Box::new(sent.clone()))?;
        Ok(Gather { waiting: Mutex::default(), wake: Notify::new(), sent })
    }

    /// Takes a request; what is to go on now comes back, in order.
    pub(super) fn take(&self, settings: &BatchSettings, request: Request, receive: &Budget, now_ns: u64) -> Vec<Ready> {
        let signal = request.batch.signal();
        let count = request.batch.item_count();
        let mut ready = Vec::new();
        let mut waiting = self.waiting.lock();
        let Some(slot) = waiting.get_mut(signal as usize) else { return vec![alone(request)] };
        let fits =
            |gathered: &Gathered| settings.items_max == 0 || gathered.batch.item_count() + count <= settings.items_max;
        if let Some(full) = slot.take_if(|gathered| !fits(gathered)) {
            self.count(signal, "size");
            ready.push(full.ready());
        }
        if settings.items_max > 0 && count > settings.items_max {
            ready.extend(in_parts(request, settings.items_max));
            return ready;
        }
        // Whoever fills up the past is judged otherwise, and who rides along must not become urgent.
        let is_special = matches!(&request.batch, Batch::Metrics(metrics) if metrics.backfill)
            || request.urgency == Urgency::OwnTelemetry;
        if is_special || slot.is_none() && (count >= settings.items || settings.timeout_ns == 0) {
            ready.push(alone(request));
            return ready;
        }
        match slot {
            Some(gathered) => add(gathered, request),
            None => {
                let Request { batch, held, urgency, done } = request;
                let answers = vec![Answer::of(&batch, done)];
                let due_ns = now_ns.saturating_add(settings.timeout_ns);
                *slot = Some(Gathered { batch, held, urgency, answers, due_ns });
                self.wake.notify_one();
            }
        }
        let bytes_max = receive.limit_bytes() / BUDGET_SHARE;
        let is_enough = |gathered: &mut Gathered| gathered.batch.item_count() >= settings.items;
        if let Some(full) = slot.take_if(is_enough) {
            self.count(signal, "size");
            ready.push(full.ready());
        } else if let Some(large) = slot.take_if(|gathered| gathered.held.bytes() >= bytes_max) {
            self.count(signal, "memory");
            ready.push(large.ready());
        }
        ready
    }

    /// When the first of what waits is due.
    pub(super) fn due_ns(&self) -> Option<u64> {
        self.waiting.lock().iter().flatten().map(|gathered| gathered.due_ns).min()
    }

    /// What is due.
    pub(super) fn take_due(&self, now_ns: u64) -> Vec<Ready> {
        let mut waiting = self.waiting.lock();
        let due = Signal::ALL.into_iter().zip(waiting.iter_mut()).filter_map(|(signal, slot)| {
            let due = slot.take_if(|gathered| gathered.due_ns <= now_ns)?;
            self.count(signal, "timeout");
            Some(due.ready())
        });
        due.collect()
    }

    fn count(&self, signal: Signal, reason: &str) {
        self.sent.with_label_values(&[signal.as_str(), reason]).inc();
    }
}

/// A request that goes on as it came.
fn alone(request: Request) -> Ready {
    let Request { batch, held, urgency, done } = request;
    Ready { batch, held, urgency, done }
}

fn add(gathered: &mut Gathered, request: Request) {
    let Request { batch, held, urgency, done } = request;
    gathered.answers.push(Answer::of(&batch, done));
    append(&mut gathered.batch, batch);
    gathered.held.merge(held);
    // Memory that grows by doubling may be more than the requests had.
    let bytes = gathered.batch.memory_bytes().max(gathered.held.bytes());
    gathered.held.force_resize(bytes);
    if urgency == Urgency::SenderWaits {
        gathered.urgency = urgency;
    }
}

/// A request of more items than a batch may have.
fn in_parts(request: Request, items_max: usize) -> Vec<Ready> {
    let Request { batch, mut held, urgency, done } = request;
    let parts = cut(&batch, items_max);
    drop(batch);
    let joined = Arc::new(Joined::new(parts.len(), done));
    let part = |batch: Batch| {
        let mut mine = held.split(batch.memory_bytes());
        mine.force_resize(batch.memory_bytes());
        let joined = joined.clone();
        Ready { batch, held: mine, urgency, done: Box::new(move |outcome| joined.heard(outcome)) }
    };
    parts.into_iter().map(part).collect()
}

#[cfg(test)]
mod tests;
