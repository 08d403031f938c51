//! The systemd journal, read through libsystemd where there is one.
//!
//! * Stream labels: `job="journald"`, `host`, `unit` (services, sockets, timers, mounts; of instances that are there for one
//!   connection the template), `service` (SYSLOG_IDENTIFIER, else the unit, else the command), `level`, `transport`. All
//!   other fields are metadata under their names in lower case without leading underscores. The line is MESSAGE.
//! * The cursor is stored in the same commit as the lines, so that each entry is stored once over power cuts. Positions:
//!   `cursor`; `realtime`, its time in microseconds; `at`, present when a pipeline still held the entry of the cursor.
//! * A cursor whose entry is gone (rotated away, a new journal) is counted (`bramble_journald_cursor_lost_total`), and reading
//!   goes on with the first entry that is not older: what is still there is read, what was deleted is not.
//! * Without systemd, journal or permission there is no error but a state that says so ([`Journald::status`]), and another
//!   attempt every minute: a group may be joined, journald may start later.
//! * Entries of our own process are left out: they are stored as own logs already, and reading what reading them logs would
//!   never end.
//!
//! libsystemd blocks and is bound to a thread, so a thread of its own reads (`bramble-journald`).

mod fields;
mod libsystemd;
mod reader;
#[cfg(test)]
mod tests;

pub use libsystemd::{JournalError, JournalPlace};

use super::feed::Feed;
use super::gathering::Gathering;
use crate::pipeline::logs::LogPipeline;
use crate::relabel::{LabelPairs, RelabelConfig};
use bramble_runtime::{Cancel, Clock};
use libsystemd::Journal;
use parking_lot::Mutex;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// What is read of which journal.
#[derive(Clone, Debug)]
pub struct JournaldOptions {
    /// Which journal. Default: the machine's.
    pub place: JournalPlace,
    /// Only entries with one of these units (`ssh.service`); empty for all. Default all.
    pub units: Vec<String>,
    /// Only entries with these `FIELD=value`; those of one field are alternatives. Default all.
    pub matches: Vec<String>,
    /// How far back the first start reads. Default 24 h.
    pub max_age: Duration,
    /// Whether the line is the whole entry as a JSON object. Default no.
    pub json: bool,
    /// Labels of all entries. Default none.
    pub labels: LabelPairs,
    /// Instead of labels and metadata of our own, what these rules make of `__journal_<field>` (in lower case),
    /// `__journal_priority_keyword` and `__journal_syslog_facility_keyword`, as Promtail does. Default none.
    pub relabel: Option<Vec<RelabelConfig>>,
    /// The entry behind which the first start reads, of whoever read the journal before us; goes before `max_age`. Default none.
    pub cursor: Option<String>,
    /// Whether entries of this process are left out. Default yes.
    pub skip_own: bool,
}

impl Default for JournaldOptions {
    fn default() -> Self {
        JournaldOptions {
            place: JournalPlace::Local,
            units: Vec::new(),
            matches: Vec::new(),
            max_age: Duration::from_secs(24 * 3600),
            json: false,
            labels: LabelPairs::new(),
            relabel: None,
            cursor: None,
            skip_own: true,
        }
    }
}

/// Whether there is a journal with entries that we may read: what decides if kernel messages are to be read otherwise.
///
/// # Errors
/// [`JournalError`] says why not.
pub fn available(place: &JournalPlace) -> Result<(), JournalError> {
    let mut journal = Journal::open(place)?;
    journal.seek_head()?;
    if journal.next()? { Ok(()) } else { Err(JournalError::Empty) }
}

/// Counters of all journals that are read. Clones share them.
#[derive(Clone, Debug)]
pub struct JournaldMetrics {
    skipped: IntCounterVec,
    cursor_lost: IntCounter,
    errors: IntCounter,
}

impl JournaldMetrics {
    /// Registers `bramble_journald_skipped_total{reason}` (`no_message`, `own`, `relabelled`),
    /// `bramble_journald_cursor_lost_total` and `bramble_journald_errors_total`.
    ///
    /// # Errors
    /// [`prometheus::Error::AlreadyReg`] when called twice with one registry.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let skipped = Opts::new("bramble_journald_skipped_total", "Journal entries that are not stored, by reason.");
        let skipped = IntCounterVec::new(skipped, &["reason"])?;
        let cursor_lost = IntCounter::new(
            "bramble_journald_cursor_lost_total",
            "Starts at which the journal no longer had the entry that was read last.",
        )?;
        let errors = IntCounter::new("bramble_journald_errors_total", "Failures to open or read the journal.")?;
        registry.register(Box::new(skipped.clone()))?;
        registry.register(Box::new(cursor_lost.clone()))?;
        registry.register(Box::new(errors.clone()))?;
        Ok(JournaldMetrics { skipped, cursor_lost, errors })
    }
}

/// What a reader is doing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct JournaldStatus {
    /// `starting`, `reading`, `unavailable` or `stopped`.
    pub state: &'static str,
    /// Entries read since the start, stored or not.
    pub entries: u64,
    /// When the last of them was written, in microseconds since the epoch.
    pub last_realtime_us: Option<u64>,
    /// What went wrong last, and whether it still does is in `state`.
    pub last_error: Option<String>,
}

/// A journal that is being read. Dropping it stops the reading without waiting.
pub struct Journald {
    status: Arc<Mutex<JournaldStatus>>,
    cancel: Cancel,
    ended: oneshot::Receiver<()>,
}

impl Journald {
    /// Starts to read, in a thread. To be called in a runtime. The feed is this reader's alone (`journald`, or
    /// `journald/<job>`).
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(
        options: JournaldOptions,
        pipeline: LogPipeline,
        feed: Feed,
        clock: Arc<dyn Clock>,
        metrics: JournaldMetrics,
    ) -> std::io::Result<Journald> {
        let status = Arc::new(Mutex::new(JournaldStatus { state: "starting", ..Default::default() }));
        let (cancel, (ending, ended)) = (Cancel::new(), oneshot::channel());
        let gathering = Gathering::new(feed, pipeline, tokio::runtime::Handle::current());
        let (shared, stop) = (Arc::clone(&status), cancel.clone());
        std::thread::Builder::new().name("bramble-journald".to_owned()).spawn(move || {
            reader::Reader::new(options, gathering, clock, metrics, shared, stop).run();
            drop(ending);
        })?;
        Ok(Journald { status, cancel, ended })
    }

    /// What it is doing.
    pub fn status(&self) -> JournaldStatus {
        self.status.lock().clone()
    }

    /// Reads no more, and returns when what was read is durable, or after a few seconds.
    pub async fn stop(mut self) {
        self.cancel.cancel();
        // The thread drops its end.
        let _ = (&mut self.ended).await;
    }
}

impl Drop for Journald {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
