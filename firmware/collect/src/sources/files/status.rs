//! What is shown of tailing.

use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use std::path::PathBuf;

/// Files of which metrics tell one by one; the others are in the sums.
const FILES_SHOWN: usize = 200;

/// A file that is tailed, or that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStatus {
    /// Where it is now.
    pub path: PathBuf,
    /// Bytes that were read; of a compressed file decompressed.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes that are there and were not read.
    pub lag_bytes: u64,
    /// `tailed`, `rotated` (being read to its end), `done` (compressed and read), `unreadable`, `copy` (of a file that is read).
    pub state: &'static str,
    /// `auto` (nothing read yet), `plain`, `cri`, `docker`.
    pub format: &'static str,
    /// Why it cannot be read, if so.
    pub last_error: Option<String>,
}

/// Counters of all tailing. Cheap to clone.
#[derive(Clone)]
pub(super) struct FileCounters {
    pub(super) cut: IntCounter,
    pub(super) binary: IntCounter,
    pub(super) malformed: IntCounter,
    pub(super) truncated: IntCounter,
    pub(super) rotated: IntCounter,
    pub(super) errors: IntCounterVec,
    pub(super) files: IntGauge,
    pub(super) open: IntGauge,
    pub(super) unreadable: IntGauge,
    pub(super) omitted: IntGauge,
    pub(super) lag_bytes: IntGauge,
    pub(super) positions: IntGauge,
    offset: GaugeVec,
    lag: GaugeVec,
}

impl FileCounters {
    pub(super) fn register(registry: &Registry) -> Result<FileCounters, prometheus::Error> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let by_path = |name: &str, help: &str| {
            let gauge = GaugeVec::new(Opts::new(name, help), &["path"])?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let errors = Opts::new("bramble_file_errors_total", "Files that could not be opened or read.");
        let errors = IntCounterVec::new(errors, &["reason"])?;
        registry.register(Box::new(errors.clone()))?;
        Ok(FileCounters {
            cut: counter("bramble_file_lines_cut_total", "Lines cut because they were too long.")?,
            binary: counter("bramble_file_lines_binary_total", "Lines with zero bytes, taken as they are.")?,
            malformed: counter("bramble_file_lines_malformed_total", "Lines that are not of their file's format.")?,
            truncated: counter("bramble_file_truncations_total", "Files that were truncated and begun anew.")?,
            rotated: counter("bramble_file_rotations_total", "Files that were renamed or removed.")?,
            errors,
            files: gauge("bramble_file_tailed", "Files that are tailed.")?,
            open: gauge("bramble_file_handles", "Files that are held open.")?,
            unreadable: gauge("bramble_file_unreadable", "Files that match and cannot be read.")?,
            omitted: gauge("bramble_file_omitted", "Files that match and are too many.")?,
            lag_bytes: gauge("bramble_file_lag_total_bytes", "Bytes that are there and were not read.")?,
            positions: gauge("bramble_file_positions", "Positions that are remembered.")?,
            offset: by_path("bramble_file_offset_bytes", "Bytes of a file that were read.")?,
            lag: by_path("bramble_file_lag_bytes", "Bytes of a file that were not read.")?,
        })
    }

    pub(super) fn show(&self, files: &[FileStatus]) {
        self.offset.reset();
        self.lag.reset();
        let count = |wanted: &str| files.iter().filter(|file| file.state == wanted).count() as i64;
        self.unreadable.set(count("unreadable"));
        self.files.set(count("tailed") + count("rotated"));
        self.lag_bytes.set(files.iter().map(|file| file.lag_bytes as i64).sum());
        for file in files.iter().filter(|file| file.state == "tailed").take(FILES_SHOWN) {
            let path = file.path.to_string_lossy();
            self.offset.with_label_values(&[&path]).set(file.offset as f64);
            self.lag.with_label_values(&[&path]).set(file.lag_bytes as f64);
        }
    }
}
