//! The journal: a ring of extents written in order, one durable write per commit.
//!
//! ```text
//! journal/000001 …   extents: files of zeros (4 MiB), each reused as a whole, lap after lap
//! extent  := frame*            of one epoch; behind them zeros, or what an earlier epoch left
//! frame   := head (64 bytes) payload zero*      one commit; whole units of the medium, 512 bytes to 4 KiB
//! payload := the next part of a zstd stream that starts with the extent and is flushed with each commit
//! record  := LEB128 length, bytes               in the decompressed payload, as many as the head says
//! ```
//!
//! * Records are numbered from 1, for good ([`Sequence`]). All records of a commit survive a power cut, or none.
//! * An *epoch* is one use of an extent, numbered from 1: the lap counter that tells frames apart from older ones
//!   in the same place. Compression, and whatever state callers keep in their encoding, restarts with it, so that
//!   every extent can be read on its own.
//! * A commit that fails is refused and its extent abandoned: after a failed write nobody knows what is there, and a
//!   second sync proves nothing. The next commit starts an epoch elsewhere with the same sequence, which tells
//!   recovery that the refused one does not count, should it have reached the disk after all.
//! * Recovery starts a new epoch too, so nothing is ever written behind a torn tail.
//! * The ring grows extent by extent, each zeroed, synced and published before use: commits never change
//!   file-system metadata.
//!
//! What records mean, when to commit and what is still needed is the caller's: it [releases](Journal::release) what
//! blocks hold durably. Field tables: docs/formats.md, "Journal".

mod cursor;
#[cfg(test)]
mod cursor_tests;
mod extent;
mod frame;
mod recovery;
mod ring;
#[cfg(test)]
mod tests;

pub use cursor::{Cursor, Step};
pub use extent::{Growth, NewExtent};
pub use ring::Journal;

use crate::error::DiskError;

/// Number of a record: 1 for the first of the journal's life, never reset.
pub type Sequence = u64;

/// Most bytes of records in one commit, before compression, five bytes per record added.
pub const COMMIT_RAW_BYTES_MAX: usize = 2 << 20;

/// Size of the ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JournalOptions {
    /// Bytes per extent; rounded up to 4 KiB, at least 64 KiB. One commit must fit.
    pub extent_bytes: u32,
    /// Extents that stay when a burst is over; at least 1.
    pub extents_min: u32,
    /// Most extents; bounds the disk space and the time of a replay.
    pub extents_max: u32,
}

impl Default for JournalOptions {
    fn default() -> Self {
        JournalOptions { extent_bytes: 4 << 20, extents_min: 1, extents_max: 16 }
    }
}

/// A record found at recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed<'a> {
    /// Its number. May be at or below what was asked for: see [`Journal::open`].
    pub sequence: Sequence,
    /// The epoch it was written in; when it changes, callers restart their decoding state.
    pub epoch: u64,
    /// What was appended.
    pub record: &'a [u8],
}

/// A part of the journal that could not be applied although something valid follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Number of the extent (its file name).
    pub extent: u32,
    /// Where the damage starts, in bytes.
    pub offset: u64,
    /// What is wrong, and which sequences are lost where that is known.
    pub what: String,
}

/// What recovery found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Records handed over, those at or below the sequence asked for included.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Extents read in full.
    pub extents: u32,
    /// Whether the last commit was cut off in the middle. It was never acknowledged.
    pub torn_tail: bool,
    /// What was lost; empty unless the disk lost or changed what it had promised to keep.
    pub damaged: Vec<Damage>,
    /// The last sequence in use; the next record gets the one after it.
    pub last_sequence: Sequence,
}

/// Why the journal refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Every extent is still needed. Flush heads, release, retry.
    #[error("journal is full: all {extents} extents are needed, the oldest from sequence {oldest} on")]
    Full {
        /// How many extents there are.
        extents: u32,
        /// The first sequence that keeps the ring's tail.
        oldest: Sequence,
    },
    /// A commit that can never fit.
    #[error("a commit of {bytes} bytes is more than the journal takes in one ({max} bytes)")]
    TooLarge {
        /// What was asked for.
        bytes: usize,
        /// What is possible.
        max: usize,
    },
    /// An append without, or larger than, the [`prepare_commit`](Journal::prepare_commit) before it. Nothing was written.
    #[error("append of {bytes} bytes was not prepared")]
    NotPrepared {
        /// What was to be appended.
        bytes: usize,
    },
    /// The disk failed; if it was a commit, the commit is refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}
