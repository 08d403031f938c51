//! Settings of the write path; every one has a default that suits a Pi with a 32 GB card.

use bramble_disk::journal::JournalOptions;
use bramble_signal::Signal;
use bramble_storage::RetentionClass;

/// How long and how much is kept.
#[derive(Clone, Debug)]
pub struct RetentionOptions {
    /// Days kept per class: hot, warm, cold.
    pub days: [u32; 3],
    /// Byte limits for one signal's blocks of one class; whichever of age and bytes is reached first counts.
    pub limits: Vec<Retained>,
    /// Bytes that everything together may take. `None`: what the file system has, less the reserve.
    pub total_bytes: Option<u64>,
    /// Free space of the file system that is never used, so that ingest does not meet a full disk.
    pub reserve_bytes: u64,
}

/// A byte limit.
#[derive(Clone, Copy, Debug)]
pub struct Retained {
    /// Whose.
    pub signal: Signal,
    /// Which class.
    pub class: RetentionClass,
    /// At most this many bytes of blocks.
    pub bytes: u64,
}

impl Default for RetentionOptions {
    fn default() -> Self {
        RetentionOptions { days: [15, 30, 90], limits: Vec::new(), total_bytes: None, reserve_bytes: 512 << 20 }
    }
}

/// Settings of commits, flushes and merges.
#[derive(Clone, Debug)]
pub struct IngestOptions {
    /// The journal's ring.
    pub journal: JournalOptions,
    /// Longest wait for a commit where a sender waits, nanoseconds.
    pub sender_wait_ns: u64,
    /// How long a commit gathers when every open request already waits, nanoseconds.
    pub gather_ns: u64,
    /// Longest wait for a commit where nobody waits, nanoseconds: the loss window for such data.
    pub background_wait_ns: u64,
    /// Batch memory in the queue that starts a commit at once.
    pub commit_bytes: usize,
    /// Own telemetry waiting for a ride, in bytes; beyond it, it is dropped and counted.
    pub own_telemetry_bytes: usize,
    /// Part of a head's budget that starts a flush (metrics, logs, traces); the rest is room for what arrives while it
    /// is written. A metric head's index stays, so little of the room is needed again at once; log lines are written faster
    /// than they come in, and larger blocks of them need no merge.
    pub flush_fill: [f64; 3],
    /// Part of the journal that starts a flush of whoever holds the oldest record.
    pub journal_fill: f64,
    /// Items of a head (metrics, logs, traces) that start a flush: they bound the time of a replay. 8 million samples take
    /// some 7 MiB of the journal; one took 0.7 µs to replay while other builds ran.
    pub head_items_max: [u64; 3],
    /// Bytes that the journal must keep before a head that is nearly empty is flushed because it holds the oldest of them:
    /// otherwise a few records would let the ring grow, and each new extent is zeros written for nothing.
    pub straggler_bytes: u64,
    /// Bytes of the journal that are kept for the correlator alone: what windows need that are open is shown to it again
    /// at a start. Two minutes of 1,000 lines and 500 spans a second take 6 MB.
    pub correlator_bytes: u64,
    /// Age of a head's oldest record that starts a flush, nanoseconds.
    pub head_age_ns: u64,
    /// Quiet time after a day's last block before the day is merged, nanoseconds.
    pub merge_quiet_ns: u64,
    /// Size at which a merge's output is split, bytes.
    pub merge_target_bytes: u64,
    /// Tiers.
    pub retention: RetentionOptions,
}

impl Default for IngestOptions {
    fn default() -> Self {
        IngestOptions {
            journal: JournalOptions { extent_bytes: 4 << 20, extents_min: 1, extents_max: 16 },
            sender_wait_ns: 1_000_000_000,
            gather_ns: 5_000_000,
            background_wait_ns: 10_000_000_000,
            commit_bytes: 256 << 10,
            own_telemetry_bytes: 256 << 10,
            flush_fill: [0.85, 0.8, 0.65],
            journal_fill: 0.5,
            head_items_max: [8_000_000, u64::MAX, u64::MAX],
            straggler_bytes: 8 << 20,
            correlator_bytes: 8 << 20,
            head_age_ns: 2 * 3_600_000_000_000,
            merge_quiet_ns: 15 * 60_000_000_000,
            merge_target_bytes: 64 << 20,
            retention: RetentionOptions::default(),
        }
    }
}
