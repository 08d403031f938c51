//! The thread that reads.

use super::super::feed::FeedStopped;
use super::super::gathering::{Gathering, Place};
use super::fields::{Entry, Rendered};
use super::libsystemd::{Journal, JournalError};
use super::{JournaldMetrics, JournaldOptions, JournaldStatus};
use crate::pipeline::logs::RawLine;
use bramble_runtime::{Cancel, Clock};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the journal is waited for at once: a stop is noticed after this, and held lines are looked at.
const WAIT: Duration = Duration::from_millis(500);
/// When to try again after a failure, and after there was no journal at all.
const RETRY_AFTER: Duration = Duration::from_secs(10);
const RETRY_ABSENT_AFTER: Duration = Duration::from_secs(60);
/// How long what was read may take to become durable when we stop.
const FINISH_MAX: Duration = Duration::from_secs(5);
/// Longer values are not read in full where they are compressed, in bytes.
const VALUE_BYTES_MAX: usize = 256 << 10;
/// Entries between two looks at the stop signal.
const ENTRIES_BETWEEN_LOOKS: u32 = 256;

/// Keys of positions.
const CURSOR: &str = "cursor";
const REALTIME: &str = "realtime";
const AT: &str = "at";

/// Why reading ended.
enum Ended {
    /// We are stopping.
    Stopped,
    Failed(JournalError),
}

impl From<std::io::Error> for Ended {
    fn from(error: std::io::Error) -> Self {
        Ended::Failed(error.into())
    }
}

impl From<FeedStopped> for Ended {
    fn from(_: FeedStopped) -> Self {
        Ended::Stopped
    }
}

pub(super) struct Reader {
    options: JournaldOptions,
    gathering: Gathering,
    clock: Arc<dyn Clock>,
    metrics: JournaldMetrics,
    status: Arc<Mutex<JournaldStatus>>,
    cancel: Cancel,
    entry: Entry,
    rendered: Rendered,
    own_pid: String,
    /// Where the last entry was that was taken, and when; this process's, or the stored one.
    last: Option<(Place, u64)>,
}

impl Reader {
    pub(super) fn new(
        options: JournaldOptions,
        gathering: Gathering,
        clock: Arc<dyn Clock>,
        metrics: JournaldMetrics,
        status: Arc<Mutex<JournaldStatus>>,
        cancel: Cancel,
    ) -> Self {
        let own_pid = std::process::id().to_string();
        let (entry, rendered) = (Entry::default(), Rendered::default());
        Reader { options, gathering, clock, metrics, status, cancel, entry, rendered, own_pid, last: None }
    }

    pub(super) fn run(mut self) {
        self.last = stored_place(&self.gathering.positions());
        while !self.cancel.is_cancelled() {
            match self.read() {
                Ended::Stopped => break,
                Ended::Failed(error) => {
                    let absent = !matches!(error, JournalError::Read(_));
                    if !absent {
                        self.metrics.errors.inc();
                    }
                    self.tell_failure(&error);
                    self.sleep(if absent { RETRY_ABSENT_AFTER } else { RETRY_AFTER });
                }
            }
        }
        self.gathering.finish(FINISH_MAX);
        self.status.lock().state = "stopped";
    }

    fn tell_failure(&self, error: &JournalError) {
        let text = error.to_string();
        let mut status = self.status.lock();
        if status.last_error.as_ref() != Some(&text) {
            tracing::warn!(%error, "the systemd journal is not read");
        }
        status.state = "unavailable";
        status.last_error = Some(text);
    }

    fn sleep(&self, time: Duration) {
        let start = Instant::now();
        while start.elapsed() < time && !self.cancel.is_cancelled() {
            std::thread::sleep(WAIT.min(time));
        }
    }

    /// Reads until it fails or is stopped.
    fn read(&mut self) -> Ended {
        match self.open().and_then(|journal| self.follow(journal).map_or_else(Err, |()| Ok(()))) {
            Ok(()) => Ended::Stopped,
            Err(ended) => ended,
        }
    }

    /// The journal, before the first entry that is to be read.
    fn open(&mut self) -> Result<Journal, Ended> {
        let mut journal = Journal::open(&self.options.place).map_err(Ended::Failed)?;
        journal.set_value_bytes_max(VALUE_BYTES_MAX)?;
        for unit in &self.options.units {
            journal.add_match(format!("_SYSTEMD_UNIT={unit}").as_bytes())?;
        }
        for text in &self.options.matches {
            journal.add_match(text.as_bytes())?;
        }
        let Some((place, realtime_us)) = self.last.clone() else {
            if let Some(cursor) = &self.options.cursor
                && journal.go_to(cursor)?
            {
                return Ok(journal);
            }
            let now_us = u64::try_from(self.clock.wall_ns() / 1000).unwrap_or(0);
            let age_us = u64::try_from(self.options.max_age.as_micros()).unwrap_or(u64::MAX);
            journal.seek_realtime(now_us.saturating_sub(age_us))?;
            return Ok(journal);
        };
        match &place {
            Place::After(cursor) | Place::At(cursor) if journal.go_to(cursor)? => {
                if matches!(place, Place::At(_)) {
                    self.take(&mut journal)?;
                }
            }
            // Entries of the same microsecond are read again rather than missed.
            _ => {
                self.metrics.cursor_lost.inc();
                tracing::warn!("the journal no longer has the entry that was read last; reading on by its time");
                journal.seek_realtime(realtime_us)?;
            }
        }
        Ok(journal)
    }

    fn follow(&mut self, mut journal: Journal) -> Result<(), Ended> {
        self.status.lock().state = "reading";
        loop {
            let at_end = self.read_some(&mut journal)?;
            self.gathering.tick(self.clock.wall_ns());
            let stopping = self.cancel.is_cancelled();
            if stopping || self.gathering.is_full() || self.gathering.is_due() {
                self.push()?;
            }
            if stopping {
                return Ok(());
            }
            if at_end {
                journal.wait(WAIT)?;
            }
        }
    }

    /// Takes entries while there are some and there is room; says whether the end was reached.
    fn read_some(&mut self, journal: &mut Journal) -> Result<bool, Ended> {
        let (mut taken, mut at_end) = (false, false);
        for _ in 0..ENTRIES_BETWEEN_LOOKS {
            if self.gathering.is_full() {
                break;
            }
            at_end = !journal.next()?;
            if at_end {
                break;
            }
            self.take(journal)?;
            taken = true;
        }
        if taken {
            // Now, while the journal stands there: waiting may rotate it away.
            self.last = Some((Place::After(journal.cursor()?), journal.realtime_us()?));
        }
        Ok(at_end)
    }

    /// Takes the entry that the journal is at.
    fn take(&mut self, journal: &mut Journal) -> Result<(), Ended> {
        self.entry.clear();
        let entry = &mut self.entry;
        journal.for_each_field(|field| entry.add(field))?;
        let realtime_us = journal.realtime_us()?;
        {
            let mut status = self.status.lock();
            status.entries += 1;
            status.last_realtime_us = Some(realtime_us);
        }
        let own = self.options.skip_own && self.entry.get("_PID") == Some(self.own_pid.as_bytes());
        let skipped = if own {
            Some("own")
        } else if !self.rendered.render(&self.entry, &self.options) {
            Some("relabelled")
        } else {
            None
        };
        let line = if skipped.is_none() { self.rendered.line(&self.entry) } else { None };
        let Some(line) = line else {
            self.metrics.skipped.with_label_values(&[skipped.unwrap_or("no_message")]).inc();
            self.gathering.skipped();
            return Ok(());
        };
        let timestamp_ns = i64::try_from(realtime_us).unwrap_or(0).saturating_mul(1000);
        let raw = RawLine {
            now_ns: self.clock.wall_ns(),
            metadata: self.rendered.metadata(),
            ..RawLine::new(timestamp_ns, self.rendered.labels(), line)
        };
        // A cursor is a text to be made; it is asked for only where a stage holds the line back.
        self.gathering.take(raw, || journal.cursor().map_or_else(|_| String::new(), |c| format!("{realtime_us} {c}")));
        Ok(())
    }

    /// Pushes what was gathered with the place of the entry that was taken last.
    fn push(&mut self) -> Result<(), Ended> {
        let Some((Place::After(cursor) | Place::At(cursor), realtime_us)) = &self.last else { return Ok(()) };
        self.gathering.push(&format!("{realtime_us} {cursor}"), |place| positions_of(&place))?;
        Ok(())
    }
}

/// `<realtime> <cursor>`.
fn parts(text: &str) -> (u64, &str) {
    let (realtime, cursor) = text.split_once(' ').unwrap_or(("0", text));
    (realtime.parse().unwrap_or(0), cursor)
}

fn positions_of(place: &Place) -> Vec<(String, String)> {
    let (text, at) = match place {
        Place::After(text) => (text, ""),
        Place::At(text) => (text, "1"),
    };
    let (realtime, cursor) = parts(text);
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    vec![pair(CURSOR, cursor), pair(REALTIME, &realtime.to_string()), pair(AT, at)]
}

fn stored_place(positions: &BTreeMap<String, String>) -> Option<(Place, u64)> {
    let cursor = positions.get(CURSOR)?.clone();
    let place = if positions.contains_key(AT) { Place::At(cursor) } else { Place::After(cursor) };
    Some((place, positions.get(REALTIME).and_then(|text| text.parse().ok()).unwrap_or(0)))
}
