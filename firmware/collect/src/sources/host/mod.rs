//! The machine Bramble runs on, under node_exporter's names, so that its dashboards and rules work unchanged.
//!
//! Everything is read from `/proc` and `/sys`; file systems are asked with `statvfs`. What a kernel does not have is
//! left out. Series carry `job="node"` and `instance=<hostname>`, and `up` is 1. A round reads some 30 small files and
//! yields a few hundred samples.
//!
//! One file per collector, each a function from the text of the kernel's files to samples, so that tests feed text.

mod cpu;
mod disk;
mod emit;
mod filesystem;
mod memory;
mod network;
mod pressure;
mod system;
mod thermal;

use super::Outlet;
use bramble_runtime::{Cancel, Clock};
use bramble_signal::MetricBatch;
use bramble_storage::Urgency;
use emit::Emitter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often and from where host metrics are read.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// Time between rounds. Default 15 s.
    pub interval: Duration,
    /// The label `instance`. Default: the host name.
    pub instance: String,
    /// Where procfs is. Default `/proc`.
    pub proc: PathBuf,
    /// Where sysfs is. Default `/sys`.
    pub sys: PathBuf,
}

impl Default for HostOptions {
    fn default() -> Self {
        HostOptions {
            interval: Duration::from_secs(15),
            instance: hostname(),
            proc: PathBuf::from("/proc"),
            sys: PathBuf::from("/sys"),
        }
    }
}

/// The kernel's node name.
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Reads all collectors at `now_ms` into a batch.
pub fn collect(options: &HostOptions, now_ms: i64) -> MetricBatch {
    let mut batch = MetricBatch::new();
    let mut emit = Emitter::new(&mut batch, &options.instance, now_ms);
    let proc = |name: &str| read(&options.proc.join(name));
    emit.put("up", &[], 1.0);
    cpu::stat(&proc("stat"), &mut emit);
    cpu::frequencies(&options.sys, &mut emit);
    system::load(&proc("loadavg"), &mut emit);
    system::uname(&mut emit);
    system::time(now_ms, &mut emit);
    system::file_descriptors(&proc("sys/fs/file-nr"), &mut emit);
    memory::meminfo(&proc("meminfo"), &mut emit);
    memory::vmstat(&proc("vmstat"), &mut emit);
    // Mounts and interfaces as process 1 sees them would need privileges; ours are the same outside containers.
    filesystem::mounts(&proc("self/mounts"), &mut emit);
    disk::diskstats(&proc("diskstats"), &mut emit);
    network::dev(&proc("self/net/dev"), &mut emit);
    network::state(&options.sys, &mut emit);
    pressure::pressure(&options.proc, &mut emit);
    thermal::hwmon(&options.sys, &mut emit);
    thermal::zones(&options.sys, &mut emit);
    batch
}

/// Collects every [`HostOptions::interval`] until `cancel` is raised (noticed at the next round at the latest; drop
/// the future to stop at once).
pub async fn run(options: HostOptions, outlet: Outlet, clock: Arc<dyn Clock>, cancel: Cancel) {
    let options = Arc::new(options);
    let mut ticks = tokio::time::interval(options.interval);
    // After a suspended machine or a slow disk one round is enough.
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        if cancel.is_cancelled() {
            return;
        }
        let (options, now_ms) = (Arc::clone(&options), clock.wall_ms());
        // A file system that hangs in statvfs must hang a thread of its own.
        match tokio::task::spawn_blocking(move || collect(&options, now_ms)).await {
            Ok(batch) => outlet.metrics("host", batch, Urgency::Background),
            Err(error) => tracing::warn!(%error, "reading host metrics failed"),
        }
    }
}

/// A file of the kernel; empty when it is not there.
fn read(path: &Path) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// Names in a directory, ascending; none when it is not there.
fn names(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::super::testing::outlet;
    use super::*;
    use bramble_runtime::SystemClock;

    #[test]
    fn this_machine_has_the_usual_metrics() {
        let batch = collect(&HostOptions { instance: "here".into(), ..Default::default() }, 5_000);
        let find = |name: &str| {
            let series = batch.iter().find(|(labels, _)| labels.get("__name__") == Some(name));
            let (labels, samples) = series.unwrap_or_else(|| panic!("{name} is missing"));
            assert_eq!((labels.get("job"), labels.get("instance")), (Some("node"), Some("here")));
            assert_eq!((samples.len(), samples[0].timestamp_ms), (1, 5_000));
            samples[0].value
        };
        assert!(find("node_memory_MemTotal_bytes") > 1e7);
        assert!(find("node_boot_time_seconds") > 1e9);
        assert_eq!((find("node_time_seconds"), find("node_uname_info"), find("up")), (5.0, 1.0, 1.0));
        for name in ["node_cpu_seconds_total", "node_load1", "node_context_switches_total", "node_procs_running"] {
            find(name);
        }
        assert!(batch.series_count() < 5_000);
    }

    #[test]
    fn a_machine_without_anything_is_up() {
        let empty = tempfile::tempdir().unwrap();
        let path = empty.path().to_owned();
        let options = HostOptions { proc: path.clone(), sys: path, ..Default::default() };
        assert!(collect(&options, 0).series_count() >= 1);
    }

    #[tokio::test(start_paused = true)]
    async fn rounds_are_written_in_the_background() {
        let (writer, outlet, _) = outlet(1 << 20);
        let cancel = Cancel::new();
        let options = HostOptions::default();
        let task = tokio::spawn(run(options, outlet, Arc::new(SystemClock::new()), cancel.clone()));
        while writer.metrics.lock().len() < 2 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        cancel.cancel();
        task.await.unwrap();
        assert!(writer.urgencies.lock().iter().all(|&urgency| urgency == Urgency::Background));
    }
}
