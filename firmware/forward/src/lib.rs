//! Sending on: what goes to a hub, to a Prometheus, a Loki, an OpenTelemetry Collector, to Datadog or into a file.
//!
//! * [`Forwarder`] hears of every batch that becomes durable on a hub ([`Observer`](bramble_storage::Observer)) and sends what
//!   was asked for to each destination: dual-write.
//! * [`NodeWriter`] is the write path of a machine that stores nothing ([`Writer`](bramble_storage::Writer)): a batch is done
//!   when the hub said yes, or, while it is away, when it is synced to the queue on disk. Nothing touches the disk while
//!   the hub answers.
//!
//! What they promise:
//! * A destination that is slow, dead or refuses delays neither who hands over nor another destination: each has its own
//!   queue, first in memory within a budget, then on disk within a bound of bytes and age. What is given up is counted by
//!   reason, oldest first.
//! * Batches wait in the exact encoding of [`bramble_wire::delivery`], are encoded once for all destinations that take all of
//!   them, and are translated when they are sent.
//! * A power cut loses nothing that was said to be durable. What it repeats is bounded by what was settled since the place in
//!   the queue was last written down; a hub drops a repeated delivery by its sequence.
//!
//! It does not know where batches come from, nor what a hub does with them.

mod amount;
mod backoff;
pub mod config;
mod credentials;
mod destination;
mod forwarder;
mod halves;
mod item;
mod metrics;
mod node;
mod selection;
mod send;
mod spool;

pub use amount::{Amount, Period};
pub use config::{ConfigError, DestinationConfig, Kind, validate_all};
pub use destination::DestinationStatus;
pub use forwarder::Forwarder;
pub use node::{HubState, NodeOptions, NodeWriter};

use bramble_runtime::{Budget, Clock};
use prometheus::Registry;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the crate is given to work with.
#[derive(Clone)]
pub struct Environment {
    /// The data directory, locked by its owner. Queues lie in `spool/<destination>/`.
    pub data_dir: PathBuf,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// For jitter and, where the system has no random numbers, a node's id.
    pub seed: u64,
    /// What waits in memory.
    pub memory: Budget,
    /// Where `bramble_forward_*` goes.
    pub registry: Registry,
}

/// Why sending on cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// A `[[forward]]` table cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A metric is registered already.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A file of the data directory cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

/// Replaces a file as a whole, durably.
fn replace_file(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    // A name of its own for each file: two may be replaced at once. What an earlier start left has another mode, perhaps.
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => (),
    }
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    match path.parent() {
        Some(directory) => std::fs::File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}
