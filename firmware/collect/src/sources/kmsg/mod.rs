//! The kernel's messages, from `/dev/kmsg`: for machines without a systemd journal, which holds them too.
//!
//! * Stream labels: `job="kmsg"`, `host`, `service="kernel"`, `level`. Metadata: `facility` where it is not the kernel's own
//!   (programs may write there), `sequence`, and the record's dictionary (`subsystem`, `device`).
//! * Positions: `boot` and `sequence`. Within a boot each record is stored once; after another boot all that the kernel still
//!   has is read. Records that the kernel overwrote before we came are counted (`bramble_kmsg_lost_total`).
//! * A record's time is that of the boot plus its own, as the clock has it now: on a Pi the clock is set some seconds after
//!   the first records were written.

mod record;
#[cfg(test)]
mod tests;

use super::feed::Feed;
use super::gathering::{Gathering, Place, encode_labels};
use crate::pipeline::logs::{LogPipeline, RawLine};
use bramble_runtime::{Cancel, Clock};
use bramble_signal::LabelsRef;
use prometheus::{IntCounter, Registry};
use record::Record;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Longest record that the kernel gives out (`PRINTKRB_RECORD_MAX`, and before 6.5 `CONSOLE_EXT_LOG_MAX`: 8 KiB), doubled.
const RECORD_BYTES_MAX: usize = 16 << 10;
/// How long is waited at once: a stop is noticed after this.
const WAIT_MS: i64 = 500;
/// How long what was read may take to become durable when we stop.
const FINISH_MAX: Duration = Duration::from_secs(5);
/// Records between two looks at the stop signal.
const RECORDS_BETWEEN_LOOKS: usize = 256;
/// Values of a dictionary.
const DICTIONARY_MAX: usize = 32;

/// Keys of positions.
const BOOT: &str = "boot";
const SEQUENCE: &str = "sequence";

/// Where the kernel's messages are read.
#[derive(Clone, Debug)]
pub struct KmsgOptions {
    /// Default `/dev/kmsg`.
    pub path: PathBuf,
    /// Default `/proc/sys/kernel/random/boot_id`.
    pub boot_id_path: PathBuf,
    /// The label `host`.
    pub host: String,
}

impl Default for KmsgOptions {
    fn default() -> Self {
        KmsgOptions {
            path: PathBuf::from("/dev/kmsg"),
            boot_id_path: PathBuf::from("/proc/sys/kernel/random/boot_id"),
            host: super::host::hostname(),
        }
    }
}

/// Kernel messages that are being read. Dropping it stops the reading without waiting.
pub struct Kmsg {
    cancel: Cancel,
    ended: oneshot::Receiver<()>,
}

impl Kmsg {
    /// Starts to read, in a thread of its own (`bramble-kmsg`). To be called in a runtime. The feed (`kmsg`) is this
    /// reader's alone. Registers `bramble_kmsg_lost_total` and `bramble_kmsg_errors_total`.
    ///
    /// # Errors
    /// When the device cannot be opened (reading it needs `CAP_SYSLOG` where `kernel.dmesg_restrict` is set), no thread can
    /// be had, or the counters are registered already.
    pub fn start(
        options: KmsgOptions,
        pipeline: LogPipeline,
        feed: Feed,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> std::io::Result<Kmsg> {
        let device =
            rustix::fs::open(&options.path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help).map_err(std::io::Error::other)?;
            registry.register(Box::new(counter.clone())).map_err(std::io::Error::other)?;
            Ok::<_, std::io::Error>(counter)
        };
        let lost = counter("bramble_kmsg_lost_total", "Kernel messages that were overwritten before they were read.")?;
        let errors =
            counter("bramble_kmsg_errors_total", "Failures to read kernel messages, and records that are none.")?;
        let boot = std::fs::read_to_string(&options.boot_id_path).unwrap_or_default().trim().to_owned();
        let gathering = Gathering::new(feed, pipeline, tokio::runtime::Handle::current());
        let (cancel, (ending, ended)) = (Cancel::new(), oneshot::channel());
        let lines = Lines { gathering, clock, host: options.host, boot, lost, errors, next: None };
        let stop = cancel.clone();
        std::thread::Builder::new().name("bramble-kmsg".to_owned()).spawn(move || {
            lines.run(&device, &stop);
            drop(ending);
        })?;
        Ok(Kmsg { cancel, ended })
    }

    /// Reads no more, and returns when what was read is durable, or after a few seconds.
    pub async fn stop(mut self) {
        self.cancel.cancel();
        // The thread drops its end.
        let _ = (&mut self.ended).await;
    }
}

impl Drop for Kmsg {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// From records to lines.
struct Lines {
    gathering: Gathering,
    clock: Arc<dyn Clock>,
    host: String,
    boot: String,
    lost: IntCounter,
    errors: IntCounter,
    /// The sequence that is to come next; `None` before the first of a boot.
    next: Option<u64>,
}

impl Lines {
    fn run(mut self, device: &OwnedFd, stop: &Cancel) {
        self.next = next_of(&self.gathering.positions(), &self.boot);
        let mut bytes = vec![0; RECORD_BYTES_MAX];
        while !stop.is_cancelled() {
            let at_end = self.read_some(device, &mut bytes);
            self.gathering.tick(self.clock.wall_ns());
            if (self.gathering.is_full() || self.gathering.is_due()) && self.push().is_err() {
                return;
            }
            if at_end {
                wait(device);
            }
        }
        let _ = self.push();
        self.gathering.finish(FINISH_MAX);
    }

    /// Reads records; says whether there are no more now.
    fn read_some(&mut self, device: &OwnedFd, bytes: &mut [u8]) -> bool {
        let boot_ns = self.boot_ns();
        for _ in 0..RECORDS_BETWEEN_LOOKS {
            match rustix::io::read(device, &mut *bytes) {
                Ok(0) => return true,
                Ok(length) => self.take(bytes.get(..length).unwrap_or_default(), boot_ns),
                // The next read is at the oldest record that is left; how many are gone is told by its sequence.
                Err(Errno::PIPE | Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(error) => {
                    self.errors.inc();
                    tracing::debug!(%error, "reading kernel messages failed");
                    return true;
                }
            }
        }
        false
    }

    /// When the machine was booted, by the clock as it is now.
    fn boot_ns(&self) -> i64 {
        let uptime = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let uptime_ns = uptime.tv_sec.saturating_mul(1_000_000_000).saturating_add(uptime.tv_nsec);
        self.clock.wall_ns().saturating_sub(uptime_ns)
    }

    fn take(&mut self, bytes: &[u8], boot_ns: i64) {
        let Some(record) = Record::parse(bytes) else {
            self.errors.inc();
            return;
        };
        match self.next {
            // Stored already.
            Some(next) if record.sequence < next => return,
            Some(next) => self.lost.inc_by(record.sequence - next),
            None => {}
        }
        self.next = Some(record.sequence + 1);
        let time_ns = i64::try_from(record.time_us).unwrap_or(0).saturating_mul(1000);
        let (mut labels, mut metadata) = (Vec::new(), Vec::new());
        let raw = RawLine {
            now_ns: self.clock.wall_ns(),
            metadata: metadata_of(&record, &mut metadata),
            ..RawLine::new(boot_ns.saturating_add(time_ns), self.labels_of(&record, &mut labels), &record.message)
        };
        if raw.line.is_empty() {
            self.gathering.skipped();
        } else {
            self.gathering.take(raw, || record.sequence.to_string());
        }
    }

    fn labels_of<'a>(&self, record: &Record<'_>, out: &'a mut Vec<u8>) -> LabelsRef<'a> {
        let level = record.priority.level();
        let mut pairs = vec![("host", self.host.as_str()), ("job", "kmsg"), ("level", level), ("service", "kernel")];
        encode_labels(&mut pairs, out)
    }

    fn push(&mut self) -> Result<(), super::feed::FeedStopped> {
        let Some(last) = self.next.and_then(|next| next.checked_sub(1)) else { return Ok(()) };
        let boot = self.boot.clone();
        self.gathering.push(&last.to_string(), |place| {
            // At a record that is held is behind the one before it.
            let next = match place {
                Place::After(sequence) => sequence.parse::<u64>().map_or(0, |sequence| sequence + 1),
                Place::At(sequence) => sequence.parse().unwrap_or(0),
            };
            vec![(BOOT.to_owned(), boot), (SEQUENCE.to_owned(), next.to_string())]
        })
    }
}

/// What is to be read next: the stored sequence, if it is of this boot.
fn next_of(positions: &BTreeMap<String, String>, boot: &str) -> Option<u64> {
    let same_boot = positions.get(BOOT).is_some_and(|stored| stored == boot && !boot.is_empty());
    positions.get(SEQUENCE).filter(|_| same_boot)?.parse().ok()
}

fn metadata_of<'a>(record: &Record<'_>, out: &'a mut Vec<u8>) -> LabelsRef<'a> {
    let sequence = record.sequence.to_string();
    let dictionary = record.dictionary().take(DICTIONARY_MAX);
    let dictionary: Vec<_> = dictionary.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    let mut pairs = vec![("sequence", sequence.as_str())];
    if record.priority.facility() != 0 {
        pairs.push(("facility", record.priority.facility_name()));
    }
    pairs.extend(dictionary.iter().map(|(name, value)| (name.as_str(), value.as_ref())));
    encode_labels(&mut pairs, out)
}

fn wait(device: &OwnedFd) {
    let timeout = Timespec { tv_sec: 0, tv_nsec: WAIT_MS * 1_000_000 };
    let mut fds = [PollFd::new(device, PollFlags::IN)];
    let ready = poll(&mut fds, Some(&timeout));
    // A file instead of the device is always ready; what polling fails on must not spin.
    if !matches!(ready, Ok(0)) {
        std::thread::sleep(Duration::from_millis(20));
    }
}
