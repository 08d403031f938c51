//! What reaches the disk, by cause: a headline figure on flash.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntGauge, Opts, Registry};

use crate::disk::DiskKind;

/// Why bytes move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// The journal ring.
    Journal,
    /// Segment files, finished or being written.
    Segment,
    /// Anything else.
    Other,
}

impl Cause {
    /// All causes, in the order of their counters.
    pub const ALL: [Cause; 3] = [Cause::Journal, Cause::Segment, Cause::Other];

    /// The cause of traffic to `name`: `journal/…` is the journal, a file in the data directory itself is
    /// other, everything else is segments.
    pub fn of(name: &str) -> Cause {
        match name.split_once('/') {
            Some(("journal", _)) => Cause::Journal,
            Some(_) => Cause::Segment,
            None => Cause::Other,
        }
    }

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Journal => "journal",
            Cause::Segment => "segment",
            Cause::Other => "other",
        }
    }
}

struct Counters {
    written_bytes: IntCounter,
    writes: IntCounter,
    read_bytes: IntCounter,
    reads: IntCounter,
    syncs: IntCounter,
    errors: IntCounter,
    sync_seconds: Histogram,
}

/// Counters of one disk, by [`Cause`].
pub struct DiskMetrics {
    by_cause: [Counters; 3],
}

impl Default for DiskMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl DiskMetrics {
    /// Counters at zero, not registered anywhere.
    pub fn new() -> Self {
        DiskMetrics { by_cause: Cause::ALL.map(Counters::new) }
    }

    /// Shows the counters on `registry` as `bramble_disk_*{cause=…}`.
    ///
    /// # Errors
    /// When they are registered there already.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        for counters in &self.by_cause {
            for counter in [
                &counters.written_bytes,
                &counters.writes,
                &counters.read_bytes,
                &counters.reads,
                &counters.syncs,
                &counters.errors,
            ] {
                registry.register(Box::new(counter.clone()))?;
            }
            registry.register(Box::new(counters.sync_seconds.clone()))?;
        }
        Ok(())
    }

    /// Shows on `registry` which implementation serves and why (as [`open_disk`](crate::open_disk) says), as
    /// `bramble_disk_info{kind=…,why=…} 1`.
    ///
    /// # Errors
    /// When it is shown there already.
    pub fn register_kind(registry: &Registry, kind: DiskKind, why: &str) -> Result<(), prometheus::Error> {
        let options = Opts::new("bramble_disk_info", "Which disk implementation serves, and why.")
            .const_label("kind", kind.as_str())
            .const_label("why", why);
        let gauge = IntGauge::with_opts(options)?;
        gauge.set(1);
        registry.register(Box::new(gauge))
    }

    fn of(&self, cause: Cause) -> &Counters {
        // Cause::ALL is in declaration order.
        &self.by_cause[cause as usize]
    }

    /// Bytes written for `cause` since start.
    pub fn written_bytes(&self, cause: Cause) -> u64 {
        self.of(cause).written_bytes.get()
    }

    /// Bytes read for `cause` since start.
    pub fn read_bytes(&self, cause: Cause) -> u64 {
        self.of(cause).read_bytes.get()
    }

    /// Syncs (and synced writes) for `cause` since start.
    pub fn syncs(&self, cause: Cause) -> u64 {
        self.of(cause).syncs.get()
    }

    /// Failed operations for `cause` since start: on a card the only health signal there is.
    pub fn errors(&self, cause: Cause) -> u64 {
        self.of(cause).errors.get()
    }

    pub(crate) fn wrote(&self, name: &str, bytes: usize) {
        let counters = self.of(Cause::of(name));
        counters.written_bytes.inc_by(bytes as u64);
        counters.writes.inc();
    }

    pub(crate) fn read(&self, name: &str, bytes: usize) {
        let counters = self.of(Cause::of(name));
        counters.read_bytes.inc_by(bytes as u64);
        counters.reads.inc();
    }

    pub(crate) fn synced(&self, name: &str, took: Duration) {
        let counters = self.of(Cause::of(name));
        counters.syncs.inc();
        counters.sync_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn failed(&self, name: &str) {
        self.of(Cause::of(name)).errors.inc();
    }
}

impl Counters {
    fn new(cause: Cause) -> Self {
        let counter = |name: &str, help: &str| {
            let options = Opts::new(name, help).const_label("cause", cause.as_str());
            IntCounter::with_opts(options).expect("the names below are valid metric names")
        };
        // A healthy card syncs in 2-30 ms; the field's worst stalls are several seconds.
        let bounds = vec![0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
        let options = HistogramOpts::new("bramble_disk_sync_seconds", "Time one sync or synced write took.")
            .const_label("cause", cause.as_str())
            .buckets(bounds);
        Counters {
            written_bytes: counter("bramble_disk_written_bytes_total", "Bytes handed to the disk."),
            writes: counter("bramble_disk_writes_total", "Write operations."),
            read_bytes: counter("bramble_disk_read_bytes_total", "Bytes read from files."),
            reads: counter("bramble_disk_reads_total", "Read operations."),
            syncs: counter("bramble_disk_syncs_total", "Syncs and synced writes."),
            errors: counter("bramble_disk_errors_total", "Operations that failed."),
            sync_seconds: Histogram::with_opts(options).expect("the bounds above ascend"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_cause_and_registers_once() {
        let metrics = DiskMetrics::new();
        metrics.wrote("journal/000001", 4096);
        metrics.wrote("tmp/x", 10);
        metrics.wrote("FORMAT", 1);
        assert_eq!(Cause::ALL.map(|cause| metrics.written_bytes(cause)), [4096, 10, 1]);
        let registry = Registry::new();
        metrics.register(&registry).unwrap();
        assert!(metrics.register(&registry).is_err());
        DiskMetrics::register_kind(&registry, DiskKind::Threads, "as configured").unwrap();
        assert_eq!(registry.gather().len(), 7 + 1, "one family per counter, with a cause label each");
    }
}
