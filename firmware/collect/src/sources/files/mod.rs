//! Files that grow: logs of programs, pods and containers, over rotation, restarts and power cuts.
//!
//! What is promised, of lines that end in a line break:
//!
//! * every line is delivered exactly once. How far files were read is durable in the same commit as the lines
//!   ([`Feed`](super::Feed)), so a restart or a power cut neither loses nor doubles one;
//! * a file is known again under another name, as a copy (`copytruncate`) and compressed: see `position`;
//! * a file that is renamed or removed is read to its end while it is held open, and looked for beside its old place when it
//!   is not; what was written to a file between two looks and truncated or removed before the second is lost where no copy
//!   is left: nobody can know of it. A file that came and was renamed between two looks is known only if its new name matches
//!   a glob. Neither can a file be told from one before it that had the same inode and exactly the
//!   same beginning, up to where that one was read.
//!
//! How it goes: one thread. [`scan`] finds names and gives each file a [`tail`]; the kernel's hints ([`watch`]) and looks every
//! few seconds say which have grown; those are read in turns, a chunk each, through [`framing`] (CRI, Docker) and the
//! target's pipeline into a batch, which [`tailer`] hands to the feed. While a batch is on its way the next one gathers, up to
//! [`Feed::batch_bytes`](super::Feed::batch_bytes); then reading waits.
//!
//! Memory: one chunk for all files, and of each file its last line without an end (at most `line_bytes_max`), 64 bytes before
//! it, its first KiB, and what its pipeline holds.

mod coding;
mod config;
mod framing;
mod gunzip;
mod labels;
mod pattern;
mod position;
mod presets;
mod probe;
mod scan;
mod status;
mod tail;
mod tailer;
#[cfg(test)]
mod tests;
mod watch;

pub use config::{FileFormat, FileStart, FileTarget, FilesConfig, FilesError, FilesOptions};
pub use pattern::PatternError;
pub use presets::{PRESETS, preset};
pub use status::FileStatus;

use super::Feed;
use bramble_runtime::Clock;
use config::Target;
use parking_lot::Mutex;
use prometheus::Registry;
use rustix::event::{EventfdFlags, eventfd};
use status::FileCounters;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tailer::{Shared, Tailer, Targets};
use tokio::runtime::Handle;
use watch::Watch;

/// Tailing at work. Clones are the same.
#[derive(Clone)]
pub struct Files {
    shared: Arc<Shared>,
    thread: Arc<Mutex<Option<std::thread::JoinHandle<()>>>>,
}

impl Files {
    /// Starts the thread, which reads nothing until it has targets and `feed` knows how far things were read. To be
    /// called in a runtime of tokio, which must outlive the thread ([`stop`](Self::stop)). Registers `bramble_file_*`.
    ///
    /// # Errors
    /// [`FilesError::Start`], [`FilesError::Metrics`].
    pub fn start(
        feed: Feed,
        options: FilesOptions,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Result<Files, FilesError> {
        let counters = FileCounters::register(registry).map_err(|error| FilesError::Metrics(error.to_string()))?;
        let failed = |error: std::io::Error| FilesError::Start(error.to_string());
        let wake = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
        let watch = Watch::new(wake.try_clone().map_err(failed)?);
        let runtime = Handle::try_current().map_err(|error| FilesError::Start(error.to_string()))?;
        let shared = Arc::new(Shared {
            targets: Mutex::new(Targets::default()),
            is_stopping: AtomicBool::new(false),
            stop: tokio::sync::Notify::new(),
            wake,
            status: Mutex::new(Vec::new()),
        });
        let tailer = Tailer::new(Arc::clone(&shared), options, clock, (feed, runtime), watch, counters);
        let thread =
            std::thread::Builder::new().name("files".to_owned()).spawn(move || tailer.run()).map_err(failed)?;
        Ok(Files { shared, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Replaces all targets of `owner`. A file that targets of several owners match belongs to the first in the order of
    /// their names, and within an owner to the first in the list. Files that no target matches any more are closed; their
    /// positions are kept for a day.
    ///
    /// # Errors
    /// What is wrong with the first bad configuration; nothing changes then.
    pub fn set_targets(&self, owner: &str, targets: Vec<FileTarget>) -> Result<(), FilesError> {
        let targets = targets.into_iter().map(Target::new).collect::<Result<Vec<_>, _>>()?;
        let mut shared = self.shared.targets.lock();
        if targets.is_empty() {
            shared.by_owner.remove(owner);
        } else {
            shared.by_owner.insert(owner.to_owned(), targets);
        }
        shared.generation += 1;
        drop(shared);
        self.wake();
        Ok(())
    }

    /// Where to start in files that have no position of our own: offsets in bytes by path, for instance those that
    /// another collector has left. To be called before [`set_targets`](Self::set_targets).
    pub fn set_initial_positions(&self, positions: Vec<(PathBuf, u64)>) {
        self.shared.targets.lock().initial = positions.into_iter().collect();
    }

    /// All files, by path, as they were at most a second ago.
    pub fn status(&self) -> Vec<FileStatus> {
        self.shared.status.lock().clone()
    }

    /// Reads no more, hands over what was read, and waits for a few seconds until it is durable. What is not is read again
    /// in the next life.
    pub async fn stop(&self) {
        self.shared.is_stopping.store(true, Ordering::Release);
        self.shared.stop.notify_one();
        self.wake();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    fn wake(&self) {
        // A counter that is full wakes as well.
        _ = rustix::io::write(&self.shared.wake, &1u64.to_ne_bytes());
    }
}
