//! Taking batches, committing and applying them.

use crate::deliveries::{Deliveries, encode_delivery};
use crate::maintenance::Unswapped;
use crate::metrics::IngestMetrics;
use crate::observing::{Observers, Observing};
use crate::options::IngestOptions;
use crate::queue::{Due, Pending, Queue};
use crate::record::{Body, Encoder};
use crate::sizes::CommitSizes;
use crate::stores::Stores;
use crate::timekeeping::TrustedTime;
use bramble_catalog::Catalog;
use bramble_disk::Disk;
use bramble_disk::journal::{Journal, JournalError};
use bramble_runtime::{Budget, Clock, Reservation};
use bramble_signal::Signal;
use bramble_storage::{Durable, LogTaps, Sequence, WriteError};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

/// Largest extent: with 300,000 series, whose definitions take 2.7 MB, three quarters of it are data.
const EXTENT_BYTES_MAX: u32 = 16 << 20;

const RECOVERING: u8 = 0;
const RUNNING: u8 = 1;
const STOPPING: u8 = 2;

/// Why the write path cannot open its data directory. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The catalog.
    #[error("catalog: {0}")]
    Catalog(#[from] bramble_catalog::CatalogError),
    /// The disk.
    #[error("disk: {0}")]
    Disk(#[from] bramble_disk::DiskError),
    /// The journal.
    #[error("journal: {0}")]
    Journal(#[from] JournalError),
    /// A store could not write a block while the journal was replayed.
    #[error("store: {0}")]
    Store(#[from] bramble_storage::StoreError),
}

/// A journal sequence per signal, one per observer, and that of the table of deliveries.
pub(crate) type Positions = [Sequence; Signal::ALL.len() + Observing::ALL.len() + 1];

/// How far the first waiting batch is in the journal, if it takes several commits.
#[derive(Clone, Copy, Default)]
struct Partly {
    /// Its next item.
    from: usize,
    /// The sequence of its first record.
    began: Option<Sequence>,
}

/// The records of a group commit.
struct Group {
    /// Where each ends.
    ends: Vec<usize>,
    /// Of each batch that ends among them, the sequence of its first record.
    began: Vec<Sequence>,
    /// And of its last one.
    ended: Vec<Sequence>,
    /// Sequence of the record of all deliveries, if the epoch begins here.
    table: Option<Sequence>,
}

/// What a group commit made durable.
struct Committed {
    /// Of each batch that is wholly in the journal now, the sequence of its first record.
    began: Vec<Sequence>,
    /// And of its last one.
    ended: Vec<Sequence>,
    /// The last sequence below which no batch is in pieces: what is flushed may be recorded up to here.
    through: Sequence,
}

pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) time: TrustedTime,
    pub(crate) options: IngestOptions,
    pub(crate) sizes: CommitSizes,
    pub(crate) stores: Stores,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) catalog: Catalog,
    pub(crate) metrics: IngestMetrics,
    pub(crate) taps: Arc<LogTaps>,
    pub(crate) observers: Observers,
    pub(crate) deliveries: Mutex<Deliveries>,
    receive: Budget,
    pub(crate) journal_budget: Budget,
    pub(crate) queue: Mutex<Queue>,
    pub(crate) wake: Condvar,
    /// The journal and its encoder; held during a commit. `None` until recovery has ended.
    pub(crate) journal: Mutex<Option<JournalSide>>,
    /// Sequence of the last applied record; held while a commit is applied, so that whoever holds it sees heads
    /// that contain exactly the records up to it.
    pub(crate) applied: Mutex<Sequence>,
    /// What the catalog says: through which sequence each signal is in blocks. The journal keeps everything above the
    /// lowest.
    pub(crate) recorded: Mutex<Positions>,
    /// In the order of their commits.
    pub(crate) unswapped: Mutex<Vec<Unswapped>>,
    phase: AtomicU8,
    pub(crate) storage_full: AtomicBool,
    /// Set when a head or the journal was full: maintenance should not wait for its next tick.
    pub(crate) pressed: AtomicBool,
}

pub(crate) struct JournalSide {
    pub(crate) journal: Journal,
    encoder: Encoder,
    /// The epoch that has a record of all deliveries.
    tabled_epoch: Option<u64>,
    records: Vec<u8>,
    /// What encoder and records take, against the budget `journal`.
    space: Reservation,
}

impl JournalSide {
    /// Chooses the size of extents so that repeating definitions takes at most about a quarter of each.
    pub(crate) fn size_extents(&mut self, least_bytes: u32) -> Result<(), bramble_disk::DiskError> {
        let wanted = (self.encoder.definition_bytes() * 4).next_power_of_two().min(EXTENT_BYTES_MAX as usize) as u32;
        self.journal.set_extent_bytes(wanted.max(least_bytes))
    }

    pub(crate) fn new(journal: Journal, sizes: CommitSizes, space: Reservation) -> Self {
        let encoder = Encoder::new(sizes.record_soft_max_bytes);
        JournalSide { journal, encoder, tabled_epoch: None, records: Vec::new(), space }
    }
}

/// The write path: hand it to doors as [`Writer`], step it from one thread.
#[derive(Clone)]
pub struct WritePath {
    pub(crate) shared: Arc<Shared>,
}

/// What [`WritePath::new`] is built from.
pub(crate) struct Parts {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) time: TrustedTime,
    pub(crate) options: IngestOptions,
    pub(crate) stores: Stores,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) catalog: Catalog,
    pub(crate) metrics: IngestMetrics,
    pub(crate) taps: Arc<LogTaps>,
    pub(crate) receive: Budget,
    pub(crate) journal_budget: Budget,
}

impl WritePath {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { clock, time, options, stores, disk, catalog, metrics, taps, receive, journal_budget } = parts;
        let shared = Shared {
            clock,
            time,
            sizes: CommitSizes::of(options.journal.extent_bytes),
            options,
            stores,
            disk,
            catalog,
            metrics,
            taps,
            observers: Observers::default(),
            deliveries: Mutex::default(),
            receive,
            journal_budget,
            queue: Mutex::default(),
            wake: Condvar::new(),
            journal: Mutex::new(None),
            applied: Mutex::new(0),
            recorded: Mutex::default(),
            unswapped: Mutex::default(),
            phase: AtomicU8::new(RECOVERING),
            storage_full: AtomicBool::new(false),
            pressed: AtomicBool::new(false),
        };
        WritePath { shared: Arc::new(shared) }
    }

    /// Whether the journal has been replayed: until then answers to queries are partial, and writes wait.
    pub fn is_ready(&self) -> bool {
        self.shared.phase.load(Ordering::Acquire) != RECOVERING
    }

    pub(crate) fn set_ready(&self) {
        let _ = self.shared.phase.compare_exchange(RECOVERING, RUNNING, Ordering::AcqRel, Ordering::Acquire);
        self.shared.metrics.ready.set(1);
    }

    /// Refuses new batches from now on. The next [`commit_step`](Self::commit_step) commits what waits.
    pub fn stop(&self) {
        self.shared.phase.store(STOPPING, Ordering::Release);
        self.shared.wake.notify_all();
    }

    /// Whether [`stop`](Self::stop) was called.
    pub fn is_stopping(&self) -> bool {
        self.shared.phase.load(Ordering::Acquire) == STOPPING
    }

    /// Commits if a commit is due; whether it did. `false` before recovery.
    pub fn commit_step(&self) -> bool {
        let batches = {
            let mut queue = self.shared.queue.lock();
            let due = match queue.due(self.shared.clock.monotonic_ns(), &self.shared.receive, &self.shared.options) {
                Due::Now => true,
                Due::At(at) => self.shared.clock.monotonic_ns() >= at,
                Due::Idle => false,
            };
            if queue.is_empty() || !(due || self.is_stopping()) || !self.is_ready() {
                return false;
            }
            queue.take()
        };
        self.shared.metrics.queue_batches.set(0);
        self.shared.commit(batches);
        true
    }

    /// Blocks the commit thread until a commit may be due, something was said, or `at_most` has passed.
    pub fn wait_for_work(&self, at_most: Duration) {
        let mut queue = self.shared.queue.lock();
        let wait = match queue.due(self.shared.clock.monotonic_ns(), &self.shared.receive, &self.shared.options) {
            Due::Now => return,
            Due::At(at) => Duration::from_nanos(at.saturating_sub(self.shared.clock.monotonic_ns())).min(at_most),
            Due::Idle => at_most,
        };
        if !self.is_stopping() && !wait.is_zero() {
            self.shared.wake.wait_for(&mut queue, wait);
        }
    }

    /// Commits everything that waits, own telemetry too; for tests, shutdown and `force_flush`.
    pub fn commit_all(&self) {
        let batches = self.shared.queue.lock().take();
        if !batches.is_empty() {
            self.shared.commit(batches);
        }
    }
}

impl Shared {
    pub(crate) fn is_recovering(&self) -> bool {
        self.phase.load(Ordering::Acquire) == RECOVERING
    }

    /// Whether a head would take a batch of so much memory, with those that wait for their commit.
    pub(crate) fn head_has_room(&self, signal: Signal, memory_bytes: usize) -> bool {
        let head = self.stores.keeper(signal).head();
        let wanted = head.total_bytes + self.queue.lock().memory_bytes() + memory_bytes;
        // What no flush makes room for is not worth waiting for.
        let has_room = wanted <= head.limit_bytes || head.flushable_bytes < head.limit_bytes / 10 && !head.frozen;
        if !has_room {
            self.pressed.store(true, Ordering::Relaxed);
        }
        has_room
    }

    /// Journals, applies and answers; batches that could not be journalled are answered with the reason.
    fn commit(&self, batches: Vec<Pending>) {
        let began_ns = self.clock.monotonic_ns();
        let mut guard = self.journal.lock();
        let Some(side) = guard.as_mut() else {
            return refuse_all(batches, &WriteError::Journal("recovery has not ended".into()), self);
        };
        let mut waiting = std::collections::VecDeque::from(batches);
        let mut partly = Partly::default();
        while !waiting.is_empty() {
            match self.commit_some(side, &waiting, &mut partly) {
                Ok(committed) => self.apply(waiting.drain(..committed.began.len()), &committed),
                Err(error) => {
                    side.encoder.invalidate();
                    self.metrics.commit_failures.inc();
                    self.pressed.store(true, Ordering::Relaxed);
                    tracing::warn!(error = %error, batches = waiting.len(), "commit refused");
                    refuse_all(waiting, &WriteError::Journal(error.to_string()), self);
                    return;
                }
            }
        }
        // Dictionaries are bounded by series and streams, which have limits of their own; here they are only accounted.
        side.space.force_resize(side.encoder.memory_bytes() + side.records.capacity());
        self.metrics.journal_used_ratio.set(side.journal.used_fraction());
        self.metrics.commit_seconds.observe((self.clock.monotonic_ns() - began_ns) as f64 / 1e9);
    }

    /// One group commit of the first batches; `partly` is where the first one continues, and is moved on.
    fn commit_some(
        &self,
        side: &mut JournalSide,
        waiting: &std::collections::VecDeque<Pending>,
        partly: &mut Partly,
    ) -> Result<Committed, JournalError> {
        // Asking for the most that any commit takes would leave half of each extent empty.
        let wanted = waiting.iter().map(|pending| side.encoder.bytes_wanted(&pending.body, pending.memory_bytes));
        let wanted = wanted.fold(0, usize::saturating_add).min(self.sizes.room_bytes);
        let epoch = side.journal.prepare_commit(wanted)?;
        let (mut group, mut after) = self.encode_group(side, epoch, waiting, *partly);
        // Of logs only a guess was asked for. Who moves on to an empty extent encodes anew, and it fits.
        let moved_to = side.journal.prepare_commit(side.records.len().min(self.sizes.room_bytes))?;
        if moved_to != epoch {
            (group, after) = self.encode_group(side, moved_to, waiting, *partly);
        }
        *partly = after;
        let Group { ends, began, ended, table } = group;
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let records: Vec<&[u8]> = starts.zip(&ends).map(|(start, &end)| &side.records[start..end]).collect();
        let sequence = side.journal.append(&records)?;
        if let Some(table) = table {
            side.tabled_epoch = Some(moved_to);
            self.deliveries.lock().tabled(table);
        }
        self.metrics.commits.inc();
        self.metrics.commit_records.inc_by(ends.len() as u64);
        Ok(Committed { began, ended, through: partly.began.map_or(sequence, |first| first - 1) })
    }

    /// Encodes as many of the first batches as go into one commit; returns them and where the next one starts.
    fn encode_group(
        &self,
        side: &mut JournalSide,
        epoch: u64,
        waiting: &std::collections::VecDeque<Pending>,
        mut partly: Partly,
    ) -> (Group, Partly) {
        side.encoder.enter(epoch);
        side.records.clear();
        let next_sequence = side.journal.next_sequence();
        let (mut ends, mut began, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        let table = self.table_of(side, epoch, &mut ends);
        while began.len() < waiting.len() && side.records.len() < self.sizes.soft_max_bytes {
            let sequence = next_sequence + ends.len() as Sequence;
            let first = *partly.began.get_or_insert(sequence);
            let pending = &waiting[began.len()];
            let left = side.encoder.encode(&pending.body, partly.from, &mut side.records);
            if !matches!(pending.body, Body::Nothing(_)) {
                ends.push(side.records.len());
            }
            match left {
                Some(from) => partly.from = from,
                None => {
                    if let Some(delivery) = &pending.delivery {
                        encode_delivery(delivery, &mut side.records);
                        ends.push(side.records.len());
                    }
                    began.push(first);
                    ended.push(sequence);
                    partly = Partly::default();
                }
            }
        }
        (Group { ends, began, ended, table }, partly)
    }

    /// Begins an epoch's records with that of all deliveries, if there are any.
    fn table_of(&self, side: &mut JournalSide, epoch: u64, ends: &mut Vec<usize>) -> Option<Sequence> {
        let deliveries = self.deliveries.lock();
        if side.tabled_epoch == Some(epoch) || deliveries.is_empty() {
            return None;
        }
        deliveries.encode(&mut side.records);
        ends.push(side.records.len());
        Some(side.journal.next_sequence())
    }

    /// Heads hear the first sequence of a batch: from there on the journal must keep it until it is in a block.
    fn apply(&self, batches: impl Iterator<Item = Pending>, committed: &Committed) {
        let mut answers = Vec::new();
        let mut applied = self.applied.lock();
        let offering = self.taps.offering();
        for ((pending, &sequence), &ended) in batches.zip(&committed.began).zip(&committed.ended) {
            self.offer(&offering, &pending.body);
            let signal = pending.body.signal();
            match pending.body {
                Body::Metrics(prepared) => {
                    self.observers.observe(Durable::Metrics(&prepared.batch), ended);
                    self.stores.metrics.apply(prepared, sequence);
                }
                Body::Logs(prepared) => {
                    self.observers.observe(Durable::Logs(&prepared.batch), ended);
                    self.stores.logs.apply(prepared, sequence);
                }
                Body::Spans(prepared) => {
                    self.observers.observe(Durable::Spans(&prepared.batch), ended);
                    self.stores.spans.apply(prepared, sequence);
                }
                Body::Nothing(_) => {}
            }
            if let Some(delivery) = pending.delivery {
                self.deliveries.lock().apply(delivery);
            }
            self.metrics.items.with_label_values(&[signal.as_str()]).inc_by(pending.written.accepted);
            answers.push((pending.done, pending.written, pending.held));
        }
        *applied = committed.through.max(*applied);
        drop((applied, offering));
        for (done, written, held) in answers {
            drop(held);
            done(Ok(written));
        }
    }
}

fn refuse_all(batches: impl IntoIterator<Item = Pending>, error: &WriteError, shared: &Shared) {
    for pending in batches {
        shared.metrics.count_refusal(pending.body.signal(), error);
        (pending.done)(Err(error.clone()));
    }
}
