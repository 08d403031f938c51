//! Pressure stall information: time that tasks waited for CPU, memory or disk.

use super::emit::Emitter;
use super::read;
use std::path::Path;

/// File, line, metric. A Pi's kernel has these files only with `psi=1`.
const TOTALS: [(&str, &str, &str); 5] = [
    ("cpu", "some", "node_pressure_cpu_waiting_seconds_total"),
    ("io", "some", "node_pressure_io_waiting_seconds_total"),
    ("io", "full", "node_pressure_io_stalled_seconds_total"),
    ("memory", "some", "node_pressure_memory_waiting_seconds_total"),
    ("memory", "full", "node_pressure_memory_stalled_seconds_total"),
];

pub(super) fn pressure(proc: &Path, emit: &mut Emitter<'_>) {
    for (file, line, metric) in TOTALS {
        if let Some(microseconds) = total(&read(&proc.join("pressure").join(file)), line) {
            emit.put(metric, &[], microseconds / 1e6);
        }
    }
}

fn total(text: &str, line: &str) -> Option<f64> {
    let line = text.lines().find_map(|candidate| candidate.strip_prefix(line))?;
    line.split_ascii_whitespace().find_map(|field| field.strip_prefix("total="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_found_by_line() {
        let text = "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\nfull avg10=0.00 total=7\n";
        assert_eq!((total(text, "some"), total(text, "full"), total("", "some")), (Some(1.5e6), Some(7.0), None));
    }
}
