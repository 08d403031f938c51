//! The way of lines that a source reads: batch by batch, each with how far the source has been read.
//!
//! * One delivery of a source is under way at a time, and sequences ascend by one, so that what is durable of a source is
//!   always a prefix of what it read. Whoever reads faster than can be stored waits in [`Feed::push`].
//! * A delivery that is refused is handed over again with the same sequence, after the time that the refusal asks for,
//!   for ever: what a source has is not lost because memory or disk are short for a while.
//! * A trickle rides along in the background (up to 30 s until it is durable and visible); a batch that is nearly full is
//!   urgent, since its source cannot read on.
//!
//! What waits here is at most one batch of [`Feed::batch_bytes`] and the copy of it that the writer holds; the latter is
//! reserved from the budget `receive`. The former is not: open requests of that budget are how the write path knows
//! whether somebody is about to send more, and a trickle that waits for 30 s would make every sender wait.

use crate::receivers::automatic_labels::AutomaticLabels;
use bramble_runtime::{Budget, BudgetName};
use bramble_signal::LogBatch;
use bramble_storage::{Batch, Delivered, Delivery, Urgency, WriteError, Writer, Written};
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};

/// Largest batch where memory is not short.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Smallest batch, however short memory is.
const BATCH_BYTES_MIN: usize = 64 << 10;
/// How often a writer is asked that does not know yet how far a source was read.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// What is added to the lines of all sources, as to those of all senders.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FeedOptions {
    /// Add the stream label `service_name`, taken from labels that say much the same.
    pub service_name: bool,
    /// Add the metadata `detected_level`.
    pub detected_level: bool,
}

impl Default for FeedOptions {
    fn default() -> Self {
        FeedOptions { service_name: true, detected_level: true }
    }
}

/// The process stops, or the feed's runtime is gone: nothing more is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the feed has stopped")]
pub struct FeedStopped;

/// What feeds share. Cheap to clone.
#[derive(Clone)]
pub struct Feeds {
    writer: Arc<dyn Writer>,
    receive: Budget,
    options: FeedOptions,
    lines: IntCounterVec,
    bytes: IntCounterVec,
    rejected: IntCounterVec,
    retries: IntCounterVec,
}

impl Feeds {
    /// `receive` is the budget of that name. Registers `bramble_source_lines_total{source}`,
    /// `bramble_source_bytes_total{source}` (of lines, once durable), `bramble_source_rejected_total{source,reason}` and
    /// `bramble_source_retries_total{source,reason}`.
    ///
    /// # Errors
    /// [`prometheus::Error::AlreadyReg`] when called twice with one registry.
    pub fn new(
        writer: Arc<dyn Writer>,
        receive: Budget,
        options: FeedOptions,
        registry: &Registry,
    ) -> Result<Feeds, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        Ok(Feeds {
            lines: counter("bramble_source_lines_total", "Log lines of a source that are durable.", &["source"])?,
            bytes: counter("bramble_source_bytes_total", "Bytes of log lines that are durable.", &["source"])?,
            rejected: counter(
                "bramble_source_rejected_total",
                "Log lines of a source that the store refused for good.",
                &["source", "reason"],
            )?,
            retries: counter(
                "bramble_source_retries_total",
                "Deliveries of a source that were refused and handed over again.",
                &["source", "reason"],
            )?,
            writer,
            receive,
            options,
        })
    }

    /// The feed of one source, by the name under which its sequence and positions are kept. Two open feeds of one name
    /// would drop each other's lines. Spawns a task: to be called in a runtime.
    pub fn open(&self, source: &str) -> Feed {
        let idle = Arc::new(Semaphore::new(1));
        let is_hurried = Arc::new(AtomicBool::new(false));
        let spare = Arc::new(Spare::default());
        let (parcels, inbox) = mpsc::channel(1);
        let driver = Driver {
            spare: Arc::clone(&spare),
            writer: Arc::clone(&self.writer),
            receive: self.receive.clone(),
            source: source.into(),
            is_hurried: Arc::clone(&is_hurried),
            lines: self.lines.with_label_values(&[source]),
            bytes: self.bytes.with_label_values(&[source]),
            rejected: self.rejected.clone(),
            retries: self.retries.clone(),
        };
        tokio::spawn(driver.run(inbox));
        Feed {
            writer: Arc::clone(&self.writer),
            source: source.into(),
            batch_bytes: (self.receive.limit_bytes() / 4).clamp(BATCH_BYTES_MIN, BATCH_BYTES_MAX),
            automatic: AutomaticLabels { service_name: self.options.service_name, levels: self.options.detected_level },
            idle,
            is_hurried,
            next: Mutex::new(None),
            spare,
            parcels,
        }
    }
}

/// The memory of the batch that became durable last, for a source that gathers the next one in it.
#[derive(Default)]
struct Spare {
    is_wanted: AtomicBool,
    batch: parking_lot::Mutex<Option<LogBatch>>,
}

/// A batch on its way.
struct Parcel {
    sequence: u64,
    batch: LogBatch,
    positions: Vec<(String, String)>,
    urgency: Urgency,
    /// Given back when the batch is durable.
    turn: tokio::sync::OwnedSemaphorePermit,
}

/// Where a source puts what it read.
pub struct Feed {
    writer: Arc<dyn Writer>,
    source: Arc<str>,
    batch_bytes: usize,
    automatic: AutomaticLabels,
    /// One permit: nothing is under way.
    idle: Arc<Semaphore>,
    is_hurried: Arc<AtomicBool>,
    /// The next sequence, once it is known.
    next: Mutex<Option<u64>>,
    spare: Arc<Spare>,
    parcels: mpsc::Sender<Parcel>,
}

impl Feed {
    /// What is durable of this source: where to read on. Waits until the writer knows.
    pub async fn delivered(&self) -> Delivered {
        loop {
            if let Some(delivered) = self.writer.delivered(&self.source) {
                self.next.lock().await.get_or_insert(delivered.sequence + 1);
                return delivered;
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// How much a source gathers at most before it pushes, in bytes of batch memory: 1 MiB, less where memory is short.
    pub fn batch_bytes(&self) -> usize {
        self.batch_bytes
    }

    /// A batch that is done with, for its memory: fresh pages for each batch cost a fast source as much as reading does. Kept
    /// for who has asked once.
    pub fn spare(&self) -> Option<LogBatch> {
        self.spare.is_wanted.store(true, Ordering::Release);
        self.spare.batch.lock().take()
    }

    /// Whether nothing is under way: what was gathered may be pushed now without waiting.
    pub fn is_idle(&self) -> bool {
        self.idle.available_permits() > 0
    }

    /// Hands over a batch with the positions behind it (an empty value removes a key), once the one before is durable;
    /// returns before this one is. A batch without entries is handed over when it has positions.
    ///
    /// # Errors
    /// [`FeedStopped`]: nothing was handed over.
    pub async fn push(&self, batch: LogBatch, positions: Vec<(String, String)>) -> Result<(), FeedStopped> {
        if batch.is_empty() && positions.is_empty() {
            return Ok(());
        }
        let is_large = batch.used_bytes() >= self.batch_bytes / 4;
        let mut batch = self.with_automatic_labels(batch);
        // The writer's copy of it costs nothing then.
        batch.share();
        if is_large && !self.is_idle() {
            self.is_hurried.store(true, Ordering::Release);
            self.writer.hurry(&self.source);
        }
        let turn = Arc::clone(&self.idle).acquire_owned().await.map_err(|_| FeedStopped)?;
        let sequence = self.take_sequence().await;
        let urgency = if is_large { Urgency::SenderWaits } else { Urgency::Background };
        self.parcels.send(Parcel { sequence, batch, positions, urgency, turn }).await.map_err(|_| FeedStopped)
    }

    /// Waits until everything that was pushed is durable. For the end of a process, which bounds this: a refused
    /// delivery may take for ever.
    pub async fn finish(&self) {
        if !self.is_idle() {
            self.is_hurried.store(true, Ordering::Release);
            self.writer.hurry(&self.source);
        }
        drop(self.idle.acquire().await);
    }

    async fn take_sequence(&self) -> u64 {
        if self.next.lock().await.is_none() {
            self.delivered().await;
        }
        let mut next = self.next.lock().await;
        let sequence = next.unwrap_or(1);
        *next = Some(sequence + 1);
        sequence
    }

    fn with_automatic_labels(&self, batch: LogBatch) -> LogBatch {
        // What a batch may grow by is paid for when it is handed over.
        let unlimited = Budget::standalone(BudgetName::Receive, usize::MAX);
        match unlimited.reserve(batch.memory_bytes()).map(|held| self.automatic.add_labels(batch, held)) {
            Ok(Ok((batch, _))) => batch,
            // Only a budget refuses, and this one has no bound.
            _ => LogBatch::new(),
        }
    }
}

/// Hands over what was pushed.
struct Driver {
    spare: Arc<Spare>,
    writer: Arc<dyn Writer>,
    receive: Budget,
    source: Arc<str>,
    is_hurried: Arc<AtomicBool>,
    lines: IntCounter,
    bytes: IntCounter,
    rejected: IntCounterVec,
    retries: IntCounterVec,
}

impl Driver {
    async fn run(self, mut inbox: mpsc::Receiver<Parcel>) {
        while let Some(parcel) = inbox.recv().await {
            self.deliver(parcel).await;
        }
    }

    async fn deliver(&self, parcel: Parcel) {
        let mut urgency = parcel.urgency;
        let written = loop {
            match self.attempt(&parcel, urgency).await {
                Ok(written) => break written,
                Err(error) => {
                    self.retries.with_label_values(&[&self.source, error.reason()]).inc();
                    tracing::debug!(source = &*self.source, %error, "a delivery is handed over again later");
                    tokio::time::sleep(error.retry_after()).await;
                }
            }
            if self.is_hurried.load(Ordering::Acquire) {
                urgency = Urgency::SenderWaits;
            }
        };
        for (reason, count) in written.rejections.by_reason() {
            self.rejected.with_label_values(&[&self.source, reason.as_str()]).inc_by(*count);
        }
        let line_bytes =
            parcel.batch.streams().flat_map(|stream| stream.entries()).map(|entry| entry.line.len() as u64);
        self.bytes.inc_by(line_bytes.sum());
        self.lines.inc_by(parcel.batch.entry_count() as u64);
        self.is_hurried.store(false, Ordering::Release);
        if self.spare.is_wanted.load(Ordering::Acquire) {
            *self.spare.batch.lock() = Some(parcel.batch);
        }
        drop(parcel.turn);
    }

    async fn attempt(&self, parcel: &Parcel, urgency: Urgency) -> Result<Written, WriteError> {
        // The writer keeps what it is given, and a refusal does not give it back.
        let held = self.receive.reserve(parcel.batch.memory_bytes())?;
        let (sender, outcome) = oneshot::channel();
        let delivery = Delivery {
            source: Arc::clone(&self.source),
            sequence: parcel.sequence,
            positions: parcel.positions.clone(),
        };
        let done = Box::new(move |result| drop(sender.send(result)));
        self.writer.deliver(delivery, Batch::Logs(parcel.batch.clone()), held, urgency, done);
        outcome.await.unwrap_or(Err(WriteError::ShuttingDown))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::DeliveryWriter;
    use super::*;

    fn lines(texts: &[&str]) -> LogBatch {
        let mut batch = LogBatch::new();
        batch.start_stream(&mut [("app", "web")]).unwrap();
        for text in texts {
            batch.push_entry(1, text.as_bytes(), &mut []).unwrap();
        }
        batch
    }

    fn position(value: &str) -> Vec<(String, String)> {
        vec![("file".to_owned(), value.to_owned())]
    }

    fn feeds(writer: &Arc<DeliveryWriter>, registry: &Registry) -> Feeds {
        let budget = Budget::standalone(BudgetName::Receive, 8 << 20);
        Feeds::new(writer.clone(), budget, FeedOptions::default(), registry).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn batches_follow_each_other_and_are_retried_in_place() {
        let (writer, registry) = (Arc::new(DeliveryWriter::default()), Registry::new());
        let feed = feeds(&writer, &registry).open("files");
        *writer.refuse.lock() = vec![WriteError::Journal("full".to_owned()), WriteError::StorageFull(String::new())];
        feed.push(lines(&["one", "two"]), position("8")).await.unwrap();
        assert!(!feed.is_idle());
        feed.push(lines(&["three"]), position("14")).await.unwrap();
        feed.finish().await;
        assert!(feed.is_idle());
        assert_eq!(writer.lines(), ["one", "two", "three"]);
        assert_eq!(*writer.sequences.lock(), [1, 1, 1, 2], "a refused delivery keeps its sequence");
        let delivered = writer.delivered("files").unwrap();
        assert_eq!((delivered.sequence, delivered.positions["file"].as_str()), (2, "14"));
        // A new process goes on behind it; positions go without lines, and keys go.
        let feed = feeds(&writer, &Registry::new()).open("files");
        assert_eq!(feed.delivered().await.sequence, 2);
        feed.push(LogBatch::new(), position("")).await.unwrap();
        feed.push(LogBatch::new(), vec![]).await.unwrap();
        feed.finish().await;
        let delivered = writer.delivered("files").unwrap();
        assert_eq!((delivered.sequence, delivered.positions.len()), (3, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn lines_get_what_senders_lines_get_and_full_batches_are_urgent() {
        let (writer, registry) = (Arc::new(DeliveryWriter::default()), Registry::new());
        let feed = feeds(&writer, &registry).open("files");
        feed.push(lines(&["level=error it broke"]), position("1")).await.unwrap();
        feed.push(lines(&["x".repeat(feed.batch_bytes()).as_str()]), position("2")).await.unwrap();
        feed.finish().await;
        let batches = writer.batches.lock();
        assert_eq!(batches[0].stream(0).labels().get("service_name"), Some("web"));
        assert_eq!(batches[0].entry(0).metadata.get("detected_level"), Some("error"));
        assert_eq!(*writer.urgencies.lock(), [Urgency::Background, Urgency::SenderWaits]);
        let counted = |name: &str| {
            let families = registry.gather();
            let family = families.iter().find(|family| family.name() == name).unwrap();
            family.get_metric()[0].get_counter().get_value() as usize
        };
        assert_eq!(counted("bramble_source_lines_total"), 2);
        assert_eq!(counted("bramble_source_bytes_total"), 20 + feed.batch_bytes());
    }
}
