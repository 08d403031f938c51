//! `/proc/stat`, and clock speeds.

use super::emit::Emitter;
use super::{names, read};
use std::path::Path;

/// Modes in the order of the columns after the CPU's name (proc(5)).
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
const GUEST_MODES: [&str; 2] = ["user", "nice"];

pub(super) fn stat(text: &str, emit: &mut Emitter<'_>) {
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace();
        let Some(name) = fields.next() else { continue };
        let mut number = || fields.next().and_then(|field| field.parse::<f64>().ok());
        let single = match name {
            "intr" => "node_intr_total",
            "ctxt" => "node_context_switches_total",
            "btime" => "node_boot_time_seconds",
            "processes" => "node_forks_total",
            "procs_running" => "node_procs_running",
            "procs_blocked" => "node_procs_blocked",
            _ => {
                if let Some(cpu) = name.strip_prefix("cpu").filter(|cpu| !cpu.is_empty()) {
                    for mode in MODES {
                        let Some(value) = number() else { break };
                        emit.put("node_cpu_seconds_total", &[("cpu", cpu), ("mode", mode)], value / ticks);
                    }
                    for mode in GUEST_MODES {
                        let Some(value) = number() else { break };
                        emit.put("node_cpu_guest_seconds_total", &[("cpu", cpu), ("mode", mode)], value / ticks);
                    }
                }
                continue;
            }
        };
        if let Some(value) = number() {
            emit.put(single, &[], value);
        }
    }
}

/// Current and limiting clock speeds of each CPU.
pub(super) fn frequencies(sys: &Path, emit: &mut Emitter<'_>) {
    const FILES: [(&str, &str); 5] = [
        ("cpuinfo_max_freq", "node_cpu_frequency_max_hertz"),
        ("cpuinfo_min_freq", "node_cpu_frequency_min_hertz"),
        ("scaling_cur_freq", "node_cpu_scaling_frequency_hertz"),
        ("scaling_max_freq", "node_cpu_scaling_frequency_max_hertz"),
        ("scaling_min_freq", "node_cpu_scaling_frequency_min_hertz"),
    ];
    let root = sys.join("devices/system/cpu");
    for name in names(&root) {
        let Some(cpu) = name.strip_prefix("cpu").filter(|cpu| cpu.bytes().all(|b| b.is_ascii_digit())) else {
            continue;
        };
        for (file, metric) in FILES {
            // The kernel says kilohertz.
            if let Ok(khz) = read(&root.join(&name).join("cpufreq").join(file)).trim().parse::<f64>() {
                emit.put(metric, &[("cpu", cpu)], khz * 1000.0);
            }
        }
    }
}

/// `/proc/schedstat`: per CPU, in nanoseconds, time running and waiting, and how many slices.
pub(super) fn schedstat(text: &str, emit: &mut Emitter<'_>) {
    const COLUMNS: [(usize, f64, &str); 3] = [
        (6, 1e-9, "node_schedstat_running_seconds_total"),
        (7, 1e-9, "node_schedstat_waiting_seconds_total"),
        (8, 1.0, "node_schedstat_timeslices_total"),
    ];
    for line in text.lines() {
        let Some((cpu, rest)) = line.strip_prefix("cpu").and_then(|line| line.split_once(' ')) else { continue };
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        for (column, factor, metric) in COLUMNS {
            if let Some(value) = fields.get(column).and_then(|field| field.parse::<f64>().ok()) {
                emit.put(metric, &[("cpu", cpu)], value * factor);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::emit::emitted;
    use super::*;

    #[test]
    fn stat_is_read_by_column() {
        let text = "cpu  1 2 3\ncpu0 100 200 300 400 500 600 700 800 900 1000\ncpu1 1\nintr 77 1 2\nctxt 88\nbtime 99\nprocesses 5\nprocs_running 2\nprocs_blocked x\n";
        let lines = emitted(|emit| stat(text, emit));
        assert!(lines.contains(&"node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 4".to_owned()), "{lines:?}");
        assert!(lines.contains(&"node_cpu_guest_seconds_total{cpu=\"0\",mode=\"nice\"} 10".to_owned()));
        assert!(lines.contains(&"node_intr_total{} 77".to_owned()));
        assert_eq!(lines.iter().filter(|line| line.contains("cpu=\"1\"")).count(), 1, "columns that are missing");
        assert!(!lines.iter().any(|line| line.contains("blocked")));
    }

    #[test]
    fn schedstat_is_in_seconds() {
        let text = "version 15\ntimestamp 1\ncpu0 0 0 0 0 0 0 2000000000 500000000 7\ndomain0 3 1\n";
        assert_eq!(
            emitted(|emit| schedstat(text, emit)),
            [
                "node_schedstat_running_seconds_total{cpu=\"0\"} 2",
                "node_schedstat_waiting_seconds_total{cpu=\"0\"} 0.5",
                "node_schedstat_timeslices_total{cpu=\"0\"} 7",
            ]
        );
    }
}
