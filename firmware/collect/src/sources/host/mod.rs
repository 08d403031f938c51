//! The machine Bramble runs on, under node_exporter's names, so that its dashboards and rules work unchanged.
//!
//! Everything is read from `/proc` and `/sys`; file systems are asked with `statvfs`, systemd by `systemctl` (once a minute,
//! where it is the first process). What a kernel does not have is left out. Series carry `job="node"` and
//! `instance=<hostname>`, and `up` is 1. A round reads some 60 small files, those of each interface, disk and sensor, and a
//! line of each process, and yields some 700 samples on a Pi. On one, its own sensors come with it ([`pi`](super::pi)).
//!
//! One file per collector, each a function from the text of the kernel's files to samples, so that tests feed text. What is
//! remembered from round to round (CPU time of processes, the last answer of systemd, what never changes) is in [`Host`].

mod clock;
mod cpu;
mod disk;
pub(super) mod emit;
mod filesystem;
mod hwmon;
mod identity;
mod memory;
mod network;
mod pressure;
mod processes;
mod protocols;
mod system;
mod systemd;
#[cfg(test)]
pub(super) mod testing;
mod textfile;
mod thermal;

use super::{Outlet, pi};
use bramble_runtime::{Cancel, Clock};
use bramble_signal::MetricBatch;
use bramble_storage::Urgency;
use emit::Emitter;
use identity::Identity;
use processes::Processes;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use systemd::Systemd;

/// What never changes is read again after this: an upgrade does change it.
const IDENTITY_AGE_MAX: Duration = Duration::from_secs(600);

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
    /// Where the system's files are (`etc/os-release`, `run/systemd`). Default `/`.
    pub root: PathBuf,
    /// Where scripts put metrics of their own (`*.prom`). Default nowhere.
    pub textfile_directory: Option<PathBuf>,
    /// Programs that are shown for their memory, and as many for their CPU time; 0 for none. Default 10.
    pub processes_top: usize,
    /// Whether systemd is asked for its units. Default yes.
    pub systemd_units: bool,
    /// What a card or disk may be written before it wears out, in bytes: for the forecast. Default not known.
    pub endurance_bytes: Option<u64>,
}

impl Default for HostOptions {
    fn default() -> Self {
        HostOptions {
            interval: Duration::from_secs(15),
            instance: hostname(),
            proc: PathBuf::from("/proc"),
            sys: PathBuf::from("/sys"),
            root: PathBuf::from("/"),
            textfile_directory: None,
            processes_top: 10,
            systemd_units: true,
            endurance_bytes: None,
        }
    }
}

/// The kernel's node name.
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Reads all collectors once at `now_ms` into a batch; what needs two rounds to be known is missing.
pub fn collect(options: &HostOptions, now_ms: i64) -> MetricBatch {
    Host::new(options.clone()).collect(now_ms)
}

/// Reads one thing and adds its samples.
type Collector<'a> = &'a mut dyn FnMut(&mut Emitter<'_>);

/// The collectors with what they remember.
pub struct Host {
    options: HostOptions,
    identity: Option<(Instant, Identity)>,
    processes: Processes,
    systemd: Systemd,
}

impl Host {
    /// Reads nothing yet.
    pub fn new(options: HostOptions) -> Self {
        Host { options, identity: None, processes: Processes::default(), systemd: Systemd::default() }
    }

    /// Reads all collectors at `now_ms` into a batch.
    pub fn collect(&mut self, now_ms: i64) -> MetricBatch {
        let mut batch = MetricBatch::new();
        let options = self.options.clone();
        let mut emit = Emitter::new(&mut batch, &options.instance, now_ms);
        emit.put("up", &[], 1.0);
        system::uname(&mut emit);
        system::time(now_ms, &mut emit);
        let each: [(&str, Collector<'_>); 10] = [
            ("cpu", &mut |emit| cpus(&options, emit)),
            ("memory", &mut |emit| memories(&options, emit)),
            ("system", &mut |emit| systems(&options, emit)),
            // Mounts and interfaces as process 1 sees them would need privileges; ours are the same outside containers.
            ("filesystem", &mut |emit| filesystem::mounts(&read(&options.proc.join("self/mounts")), emit)),
            ("diskstats", &mut |emit| disk::diskstats(&read(&options.proc.join("diskstats")), emit)),
            ("network", &mut |emit| networks(&options, emit)),
            ("sensors", &mut |emit| sensors(&options, emit)),
            ("processes", &mut |emit| {
                let boot_seconds = boot_seconds(&options.proc);
                self.processes.round(&options.proc, options.processes_top, boot_seconds, emit);
            }),
            ("identity", &mut |emit| emit_identity(&mut self.identity, &options, emit)),
            ("textfile", &mut |emit| {
                if let Some(directory) = &options.textfile_directory {
                    textfile::textfiles(directory, emit);
                }
            }),
        ];
        for (name, read) in each {
            let start = Instant::now();
            read(&mut emit);
            let labels = [("collector", name)];
            emit.put("node_scrape_collector_duration_seconds", &labels, start.elapsed().as_secs_f64());
            emit.put("node_scrape_collector_success", &labels, 1.0);
        }
        if options.systemd_units {
            self.systemd.round(&options.root.join("run"), &mut emit);
        }
        batch
    }
}

fn cpus(options: &HostOptions, emit: &mut Emitter<'_>) {
    cpu::stat(&read(&options.proc.join("stat")), emit);
    cpu::frequencies(&options.sys, emit);
    cpu::schedstat(&read(&options.proc.join("schedstat")), emit);
}

fn memories(options: &HostOptions, emit: &mut Emitter<'_>) {
    memory::meminfo(&read(&options.proc.join("meminfo")), emit);
    memory::vmstat(&read(&options.proc.join("vmstat")), emit);
    system::edac(&options.sys, emit);
}

fn systems(options: &HostOptions, emit: &mut Emitter<'_>) {
    system::load(&read(&options.proc.join("loadavg")), emit);
    system::file_descriptors(&read(&options.proc.join("sys/fs/file-nr")), emit);
    system::entropy(&options.proc, emit);
    pressure::pressure(&options.proc, emit);
    clock::timex(emit);
    clock::sources(&options.sys, emit);
}

fn networks(options: &HostOptions, emit: &mut Emitter<'_>) {
    let net = |name: &str| read(&options.proc.join("self/net").join(name));
    network::dev(&net("dev"), emit);
    network::state(&options.sys, emit);
    protocols::netstat(&net("netstat"), emit);
    protocols::netstat(&net("snmp"), emit);
    protocols::snmp6(&net("snmp6"), emit);
    protocols::sockstat(&net("sockstat"), emit);
    protocols::sockstat(&net("sockstat6"), emit);
    protocols::softnet(&net("softnet_stat"), emit);
    protocols::conntrack(&options.proc, emit);
    protocols::arp(&net("arp"), emit);
}

fn sensors(options: &HostOptions, emit: &mut Emitter<'_>) {
    hwmon::hwmon(&options.sys, emit);
    thermal::zones(&options.sys, emit);
    pi::board(&options.proc, &options.sys, emit);
    let uptime = read(&options.proc.join("uptime"));
    let uptime_seconds = uptime.split_ascii_whitespace().next().and_then(|text| text.parse().ok());
    pi::storage(&options.sys, uptime_seconds, options.endurance_bytes, emit);
}

fn emit_identity(identity: &mut Option<(Instant, Identity)>, options: &HostOptions, emit: &mut Emitter<'_>) {
    let fresh = identity.take().filter(|(when, _)| when.elapsed() < IDENTITY_AGE_MAX);
    let (_, known) =
        identity.insert(fresh.unwrap_or_else(|| (Instant::now(), Identity::read(&options.root, &options.sys))));
    known.emit(emit);
}

/// When the machine was started, in seconds since the epoch, as the kernel says it; 0 when it does not.
fn boot_seconds(proc: &Path) -> f64 {
    let stat = read(&proc.join("stat"));
    stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok()).unwrap_or(0.0)
}

/// Collects every [`HostOptions::interval`] until `cancel` is raised (noticed at the next round at the latest; drop
/// the future to stop at once).
pub async fn run(options: HostOptions, outlet: Outlet, clock: Arc<dyn Clock>, cancel: Cancel) {
    let mut ticks = tokio::time::interval(options.interval);
    let mut host = Host::new(options.clone());
    // After a suspended machine or a slow disk one round is enough.
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        if cancel.is_cancelled() {
            return;
        }
        let now_ms = clock.wall_ms();
        // A file system that hangs in statvfs must hang a thread of its own.
        let round = move || {
            let batch = host.collect(now_ms);
            (host, batch)
        };
        match tokio::task::spawn_blocking(round).await {
            Ok((same, batch)) => {
                host = same;
                outlet.metrics("host", batch, Urgency::Background);
            }
            Err(error) => {
                tracing::warn!(%error, "reading host metrics failed");
                host = Host::new(options.clone());
            }
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
        for name in ["node_timex_sync_status", "node_processes_threads", "node_sockstat_sockets_used", "node_os_info"] {
            find(name);
        }
        for name in ["node_netstat_Tcp_CurrEstab", "node_softnet_processed_total", "node_entropy_available_bits"] {
            find(name);
        }
        assert!(batch.series_count() < 5_000);
    }

    #[test]
    fn a_machine_without_anything_is_up() {
        let empty = tempfile::tempdir().unwrap();
        let path = empty.path().to_owned();
        let options = HostOptions { proc: path.clone(), sys: path.clone(), root: path, ..Default::default() };
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
