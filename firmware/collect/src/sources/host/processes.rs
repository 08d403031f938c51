//! Processes: how many in which state, and the programs that take most CPU or memory.
//!
//! Programs are named by their command and counted together (`namedprocess_namegroup_*{groupname}`, the names of
//! process-exporter), never by process: process ids would be new series for ever. Which programs are shown: those with the
//! most memory and those with the most CPU time of late, at most [`top`](super::HostOptions::processes_top) of each. A
//! program's CPU time is that of its processes since Bramble saw them first, and never decreases while it is shown.

use super::emit::Emitter;
use super::{names, read};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Processes that are looked at, and programs that are remembered.
const PROCESSES_MAX: usize = 8192;
const GROUPS_MAX: usize = 1024;
/// How much of a program's rank by CPU time is what it was before.
const RANK_KEPT: f64 = 0.8;

/// One line of `/proc/<pid>/stat` (proc(5)).
struct Process<'a> {
    name: &'a str,
    state: &'a str,
    parent: u32,
    user_ticks: u64,
    system_ticks: u64,
    threads: u64,
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl<'a> Process<'a> {
    fn parse(text: &'a str) -> Option<Process<'a>> {
        // A command may contain parentheses and spaces.
        let (before, after) = text.rsplit_once(')')?;
        let (_, name) = before.split_once('(')?;
        let fields: Vec<&str> = after.split_ascii_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Process {
            name,
            state: fields.first()?,
            parent: fields.get(1)?.parse().ok()?,
            user_ticks: number(11)?,
            system_ticks: number(12)?,
            threads: number(17)?,
            start_ticks: number(19)?,
            virtual_bytes: number(20)?,
            resident_pages: number(21)?,
        })
    }

    /// The command up to what differs between its processes; threads of the kernel by their kind.
    fn group(&self, pid: u32) -> &'a str {
        let is_kernel = pid == 2 || self.parent == 2;
        let end = if is_kernel { self.name.find(['/', ':', '-']) } else { self.name.find(['/', ':', '[']) };
        let name = end.and_then(|end| self.name.get(..end)).filter(|name| !name.is_empty()).unwrap_or(self.name);
        name.trim()
    }
}

#[derive(Default, Clone, Debug)]
struct Group {
    user_seconds: f64,
    system_seconds: f64,
    /// CPU seconds of a round, smoothed.
    rank: f64,
    round_seconds: f64,
    processes: u64,
    threads: u64,
    resident_bytes: f64,
    virtual_bytes: f64,
    oldest_start_ticks: u64,
}

/// What is remembered of processes from round to round.
#[derive(Default, Debug)]
pub(super) struct Processes {
    /// Start and CPU ticks by process id.
    seen: HashMap<u32, (u64, u64, u64)>,
    groups: BTreeMap<String, Group>,
}

impl Processes {
    /// Reads all processes. `top` programs are shown, none for 0; `boot_seconds` is when the machine started.
    pub(super) fn round(&mut self, proc: &Path, top: usize, boot_seconds: f64, emit: &mut Emitter<'_>) {
        let (mut states, mut pids, mut threads) = (BTreeMap::new(), 0u64, 0u64);
        let mut seen = HashMap::with_capacity(self.seen.len());
        for group in self.groups.values_mut() {
            *group = Group {
                user_seconds: group.user_seconds,
                system_seconds: group.system_seconds,
                rank: group.rank,
                ..Group::default()
            };
        }
        let all = names(proc).into_iter().filter_map(|name| name.parse::<u32>().ok());
        for pid in all.take(PROCESSES_MAX) {
            let text = read(&proc.join(pid.to_string()).join("stat"));
            let Some(process) = Process::parse(&text) else { continue };
            *states.entry(process.state.to_owned()).or_insert(0u64) += 1;
            pids += 1;
            threads += process.threads;
            if top > 0 {
                self.count(pid, &process, &mut seen);
            }
        }
        self.seen = seen;
        for (state, count) in &states {
            emit.put("node_processes_state", &[("state", state)], *count as f64);
        }
        if pids > 0 {
            emit.put("node_processes_pids", &[], pids as f64);
            emit.put("node_processes_threads", &[], threads as f64);
        }
        for (file, metric) in [
            ("sys/kernel/pid_max", "node_processes_max_processes"),
            ("sys/kernel/threads-max", "node_processes_max_threads"),
        ] {
            if let Ok(value) = read(&proc.join(file)).trim().parse() {
                emit.put(metric, &[], value);
            }
        }
        self.emit(top, boot_seconds, emit);
    }

    fn count(&mut self, pid: u32, process: &Process<'_>, seen: &mut HashMap<u32, (u64, u64, u64)>) {
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let (user, system) = (process.user_ticks, process.system_ticks);
        let before = self.seen.get(&pid).filter(|(start, ..)| *start == process.start_ticks);
        seen.insert(pid, (process.start_ticks, user, system));
        let name = process.group(pid);
        if !self.groups.contains_key(name) && self.groups.len() >= GROUPS_MAX {
            return;
        }
        let group = self.groups.entry(name.to_owned()).or_default();
        // A process that is new here began before: what it used until now is not of this round.
        let (user_before, system_before) = before.map_or((user, system), |(_, user, system)| (*user, *system));
        let user_seconds = user.saturating_sub(user_before) as f64 / ticks;
        let system_seconds = system.saturating_sub(system_before) as f64 / ticks;
        group.user_seconds += user_seconds;
        group.system_seconds += system_seconds;
        group.round_seconds += user_seconds + system_seconds;
        group.threads += process.threads;
        group.resident_bytes += process.resident_pages as f64 * rustix::param::page_size() as f64;
        group.virtual_bytes += process.virtual_bytes as f64;
        let is_older = group.processes == 0 || process.start_ticks < group.oldest_start_ticks;
        group.oldest_start_ticks = if is_older { process.start_ticks } else { group.oldest_start_ticks };
        group.processes += 1;
    }

    fn emit(&mut self, top: usize, boot_seconds: f64, emit: &mut Emitter<'_>) {
        self.groups.retain(|_, group| group.processes > 0);
        for group in self.groups.values_mut() {
            group.rank = group.rank * RANK_KEPT + group.round_seconds * (1.0 - RANK_KEPT);
        }
        let best = |measure: fn(&Group) -> f64| {
            let mut ranked: Vec<_> = self.groups.iter().filter(|(_, group)| measure(group) > 0.0).collect();
            ranked.sort_by(|a, b| measure(b.1).total_cmp(&measure(a.1)));
            ranked.truncate(top);
            ranked
        };
        let mut shown: BTreeMap<&String, &Group> = best(|group| group.resident_bytes).into_iter().collect();
        shown.extend(best(|group| group.rank));
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        for (name, group) in shown {
            let labels = [("groupname", name.as_str())];
            let with = |label| [labels[0], label];
            let cpu = "namedprocess_namegroup_cpu_seconds_total";
            emit.put(cpu, &with(("mode", "user")), group.user_seconds);
            emit.put(cpu, &with(("mode", "system")), group.system_seconds);
            let memory = "namedprocess_namegroup_memory_bytes";
            emit.put(memory, &with(("memtype", "resident")), group.resident_bytes);
            emit.put(memory, &with(("memtype", "virtual")), group.virtual_bytes);
            emit.put("namedprocess_namegroup_num_procs", &labels, group.processes as f64);
            emit.put("namedprocess_namegroup_num_threads", &labels, group.threads as f64);
            let start = boot_seconds + group.oldest_start_ticks as f64 / ticks;
            emit.put("namedprocess_namegroup_oldest_start_time_seconds", &labels, start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::emit::emitted;
    use super::super::testing::tree;
    use super::*;

    fn stat(name: &str, parent: u32, user: u64, rss: u64) -> String {
        format!("1 ({name}) S {parent} 1 1 0 -1 4194560 1 2 3 4 {user} 50 0 0 20 0 3 0 1000 4096000 {rss} 1844 1 1 0\n")
    }

    fn write(proc: &Path, pid: u32, text: &str) {
        std::fs::create_dir_all(proc.join(pid.to_string())).unwrap();
        std::fs::write(proc.join(pid.to_string()).join("stat"), text).unwrap();
    }

    #[test]
    fn programs_are_counted_together_and_their_time_never_decreases() {
        let root = tree(&[("sys/kernel/pid_max", "32768\n"), ("self/stat", "x")]);
        let proc = root.path();
        write(proc, 2, &stat("kthreadd", 0, 0, 0));
        write(proc, 9, &stat("kworker/0:1-events", 2, 900, 0));
        for pid in [20, 21] {
            write(proc, pid, &stat("ng (x) inx", 1, 100, 10));
        }
        write(proc, 30, &stat("small", 1, 5, 1));
        let mut processes = Processes::default();
        let first = emitted(|emit| processes.round(proc, 1, 100.0, emit));
        assert!(first.contains(&"node_processes_state{state=\"S\"} 5".to_owned()), "{first:?}");
        assert!(first.contains(&"node_processes_threads{} 15".to_owned()));
        assert!(first.contains(&"node_processes_max_processes{} 32768".to_owned()));
        let group = |line: &str| format!("namedprocess_namegroup_{line}");
        assert!(first.contains(&group("num_procs{groupname=\"ng (x) inx\"} 2")));
        assert!(first.contains(&group("cpu_seconds_total{groupname=\"ng (x) inx\",mode=\"user\"} 0")));
        assert!(first.contains(&group("oldest_start_time_seconds{groupname=\"ng (x) inx\"} 110")));
        assert!(!first.iter().any(|line| line.contains("small")), "one program by memory");
        // One process ends, the other and a worker have run.
        std::fs::remove_dir_all(proc.join("20")).unwrap();
        write(proc, 21, &stat("ng (x) inx", 1, 300, 10));
        write(proc, 9, &stat("kworker/0:1-events", 2, 1900, 0));
        let second = emitted(|emit| processes.round(proc, 1, 100.0, emit));
        assert!(second.contains(&group("cpu_seconds_total{groupname=\"ng (x) inx\",mode=\"user\"} 2")), "{second:?}");
        assert!(second.contains(&group("cpu_seconds_total{groupname=\"kworker\",mode=\"user\"} 10")));
        let third = emitted(|emit| processes.round(proc, 0, 100.0, emit));
        assert!(!third.iter().any(|line| line.starts_with("namedprocess")));
    }

    #[test]
    fn broken_lines_are_none() {
        for text in ["", "1 (a", "1 (a) S", "1 (a) S x", "no"] {
            assert!(Process::parse(text).is_none(), "{text}");
        }
    }
}
