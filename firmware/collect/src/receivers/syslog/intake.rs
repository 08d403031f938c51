//! Gathering messages into batches, and handing them over until they are taken.

use super::SyslogOptions;
use super::entry::Entries;
use crate::receivers::ReceiverState;
use crate::receivers::counters::Protocol;
use crate::receivers::log_batch::admit;
use crate::receivers::rates::PER_STREAM;
use crate::receivers::refusal::{Class, Refusal};
use crate::receivers::submit::wait_for_room;
use bramble_runtime::Reservation;
use bramble_signal::{LogBatch, Signal};
use bramble_storage::{Urgency, WriteError, Written};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

/// Batches at most: one that is gathered, the others on their way. Together they are more than what makes the write path
/// commit by itself, so that a sender that is faster than one batch in 30 s never waits for the clock.
pub(super) const SLOTS: usize = 4;

/// A batch is handed over when it is so large, in bytes, or less where memory is short, or so old.
const BATCH_BYTES: usize = 256 << 10;
pub(super) const LINGER: Duration = Duration::from_millis(500);

/// How long batches may take to become durable when we stop.
const LAST_WAIT_MAX: Duration = Duration::from_secs(5);

/// What all connections of a door gather in. Memory is that of [`SLOTS`] batches and of their copies at the writer; only
/// the latter are reserved: what is gathered here may wait for long, and reservations of `receive` are how the write path
/// knows of requests that will come soon.
pub(super) struct Intake {
    state: ReceiverState,
    protocol: Protocol,
    options: Arc<SyslogOptions>,
    batch_bytes: usize,
    slots: Arc<Semaphore>,
    open: Mutex<Option<Open>>,
    stopping: Arc<AtomicBool>,
}

/// The batch that is gathered.
struct Open {
    entries: Entries,
    since: Instant,
    slot: OwnedSemaphorePermit,
}

impl Intake {
    pub(super) fn new(state: ReceiverState, protocol: Protocol, options: SyslogOptions) -> Self {
        Intake {
            batch_bytes: BATCH_BYTES.min(state.0.request_bytes_max() / (4 * SLOTS)),
            slots: Arc::new(Semaphore::new(SLOTS)),
            open: Mutex::new(None),
            stopping: Arc::new(AtomicBool::new(false)),
            options: Arc::new(options),
            state,
            protocol,
        }
    }

    pub(super) fn state(&self) -> &ReceiverState {
        &self.state
    }

    pub(super) fn options(&self) -> &SyslogOptions {
        &self.options
    }

    pub(super) fn irregular(&self, reason: &str) {
        self.state.0.counters.irregular(self.protocol, reason);
    }

    pub(super) fn rejected(&self, reason: &str, count: u64) {
        self.state.0.counters.rejected(self.protocol, reason, count);
    }

    pub(super) fn received(&self, bytes: usize) {
        self.state.0.counters.received(self.protocol, bytes as u64);
    }

    /// Takes a message; waits while all batches are on their way.
    pub(super) async fn push(&self, message: &[u8], peer: &str) {
        if self.push_now(message, peer) {
            return;
        }
        loop {
            // Never closed.
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else { return };
            let open = self.new_batch(slot);
            // Another connection may have been faster: its batch is used, ours given back.
            self.open.lock().get_or_insert(open);
            if self.push_now(message, peer) {
                return;
            }
        }
    }

    fn new_batch(&self, slot: OwnedSemaphorePermit) -> Open {
        let entries = Entries::new(Arc::clone(&self.options), self.state.0.limits.items);
        Open { entries, since: Instant::now(), slot }
    }

    /// Lines that a stage of the pipeline has held come without a message: into the batch at hand, or one of their own.
    fn release(&self, all: bool) {
        if self.options.pipeline.is_none() {
            return;
        }
        let mut place = self.open.lock();
        if place.is_none() {
            // Without a slot they are held until the next time.
            *place = Arc::clone(&self.slots).try_acquire_owned().ok().map(|slot| self.new_batch(slot));
        }
        if let Some(open) = place.as_mut() {
            open.entries.release(self.state.0.clock.wall_ns(), all);
        }
    }

    /// Whether there is a batch to put it in.
    fn push_now(&self, message: &[u8], peer: &str) -> bool {
        let mut place = self.open.lock();
        let Some(open) = place.as_mut() else { return false };
        let irregular = open.entries.push(message, peer, self.state.0.clock.wall_ns());
        let full = if open.entries.memory_bytes() >= self.batch_bytes { place.take() } else { None };
        drop(place);
        match irregular {
            Some("relabelled") => self.rejected("relabelled", 1),
            Some(reason) => self.irregular(reason),
            None => {}
        }
        if let Some(open) = full {
            self.send(open);
        }
        true
    }

    /// Hands the batch over if it is old enough.
    pub(super) fn tick(&self) {
        self.release(false);
        let mut place = self.open.lock();
        let due = place.as_ref().is_some_and(|open| open.since.elapsed() >= LINGER);
        let open = if due { place.take() } else { None };
        drop(place);
        if let Some(open) = open {
            self.send(open);
        }
    }

    /// Hands over what is there and waits until all of it is durable, for a while.
    pub(super) async fn finish(&self) {
        self.stopping.store(true, Ordering::Release);
        self.release(true);
        let open = self.open.lock().take();
        if let Some(open) = open {
            self.send(open);
        }
        let _ = tokio::time::timeout(LAST_WAIT_MAX, self.slots.acquire_many(SLOTS as u32)).await;
    }

    fn send(&self, open: Open) {
        let batch = open.entries.into_batch();
        if batch.is_empty() {
            return;
        }
        let parcel = Parcel {
            state: self.state.clone(),
            protocol: self.protocol,
            stopping: Arc::clone(&self.stopping),
            // With the last slot taken, senders wait for this one.
            is_urgent: self.slots.available_permits() == 0 || self.stopping.load(Ordering::Acquire),
            slot: open.slot,
        };
        tokio::spawn(parcel.deliver(batch));
    }
}

/// A batch on its way.
struct Parcel {
    state: ReceiverState,
    protocol: Protocol,
    stopping: Arc<AtomicBool>,
    is_urgent: bool,
    slot: OwnedSemaphorePermit,
}

impl Parcel {
    async fn deliver(self, batch: LogBatch) {
        let entries = batch.entry_count() as u64;
        if let Err(reason) = self.until_taken(batch).await {
            self.state.0.counters.rejected(self.protocol, reason, entries);
        }
        drop(self.slot);
    }

    /// # Errors
    /// The reason why it is lost: we are stopping, or it never fits.
    async fn until_taken(&self, batch: LogBatch) -> Result<(), &'static str> {
        let batch = loop {
            match self.admit(&batch) {
                Ok(batch) => break batch,
                Err(refusal) => self.wait(&refusal).await?,
            }
        };
        loop {
            match self.write(&batch).await {
                Ok(_) => return Ok(()),
                Err(error) => self.wait(&Refusal::Write(error)).await?,
            }
        }
    }

    /// What is done to all logs.
    fn admit(&self, batch: &LogBatch) -> Result<LogBatch, Refusal> {
        let held = self.state.0.receive.reserve(batch.memory_bytes())?;
        let admitted = admit(&self.state, batch.clone(), held)?;
        if let Some(limited) = &admitted.limited {
            self.state.0.counters.rejected(self.protocol, PER_STREAM, limited.entries);
        }
        Ok(admitted.batch)
    }

    async fn write(&self, batch: &LogBatch) -> Result<Written, WriteError> {
        if batch.is_empty() {
            return Ok(Written::default());
        }
        wait_for_room(&self.state, Signal::Logs, batch.memory_bytes()).await;
        let held: Reservation = self.state.0.receive.reserve(batch.memory_bytes())?;
        let (sender, outcome) = oneshot::channel();
        let done = Box::new(move |result| drop(sender.send(result)));
        let urgency = if self.is_urgent { Urgency::SenderWaits } else { Urgency::Background };
        self.state.0.writer.write_logs(batch.clone(), held, urgency, done);
        outcome.await.unwrap_or(Err(WriteError::ShuttingDown))
    }

    async fn wait(&self, refusal: &Refusal) -> Result<(), &'static str> {
        let last = matches!(refusal, Refusal::Write(WriteError::ShuttingDown)) || self.stopping.load(Ordering::Acquire);
        match refusal.class() {
            Class::Later(after) if !last => {
                tracing::debug!(reason = refusal.reason(), "syslog lines are handed over again later");
                tokio::time::sleep(after).await;
                Ok(())
            }
            _ => Err(refusal.reason()),
        }
    }
}
