//! The write path: **prepare → journal → apply**, and everything that keeps heads, journal and blocks in step.
//!
//! A door hands over a batch ([`bramble_storage::Writer`]). The store *prepares* it on the door's thread: judges each
//! item, resolves series, reserves head space. What was accepted waits in a queue; the *commit* step encodes the queue
//! as compact records, makes them durable with one write, *applies* them to the heads (which cannot fail) and answers.
//! So what was answered is durable, and what is visible was answered or is about to be.
//!
//! [`Maintenance`] does the slow work in small steps: freezes a head at a journal sequence, writes it as blocks, commits
//! blocks and sequence in one catalog transaction, lets the journal's tail move; merges days that are over; removes whole
//! days by age and by bytes.
//!
//! Everything here is a synchronous state machine. Production steps it from two threads ([`WritePath::commit_step`],
//! [`Maintenance::step`]); the simulation steps the same code from a seeded scheduler over the simulated disk.
//!
//! Promises: an answered item survives any power cut; nothing is stored that was not sent; a start after any cut
//! succeeds. Not promised: the order of equal timestamps, exactly-once for batches that were never answered.

mod catalog_rows;
mod commit;
mod deletions;
mod deliveries;
mod log_deletions;
mod maintenance;
mod metrics;
mod observing;
mod options;
mod queue;
mod recovery;
mod retention;
mod rollups;
#[cfg(feature = "sabotage")]
pub mod sabotage;
mod sizes;
mod snapshot;
mod stores;
mod taking;
mod taps;
mod timekeeping;

use bramble_record as record;

pub use commit::{OpenError, WritePath};
pub use deletions::Admin;
pub use log_deletions::LogDeletions;
pub use maintenance::{Maintenance, Progress};
pub use observing::Observing;
pub use options::{IngestOptions, Retained, RetentionOptions};
pub use recovery::{Rebuilt, RecoverySummary};
pub use retention::StorageReport;
pub use stores::Stores;
pub use timekeeping::{TimeTrust, TrustedTime};
