//! What the process as a whole shows on `/metrics`: budgets, memory, CPU.

use bramble_disk::PageCache;
use bramble_runtime::{Budgets, allocator};
use prometheus::core::{Collector, Desc};
use prometheus::{Counter, Gauge, IntCounterVec, IntGauge, IntGaugeVec, Opts, proto};
use std::sync::Arc;

use crate::machine;

/// Reads everything when `/metrics` is asked for.
pub(crate) struct ProcessMetrics {
    budgets: Budgets,
    cache: Arc<PageCache>,
    budget_bytes: IntGaugeVec,
    used_bytes: IntGaugeVec,
    refused: IntCounterVec,
    cap_bytes: IntGauge,
    live_bytes: IntGauge,
    resident_bytes: IntGauge,
    resident_peak_bytes: IntGauge,
    cache_hits: IntGauge,
    cache_misses: IntGauge,
    cpu_seconds: Counter,
    start_seconds: Gauge,
    threads: IntGauge,
    descriptors: IntGauge,
}

fn named<T>(made: prometheus::Result<T>) -> T {
    made.unwrap_or_else(|e| unreachable!("names of our own metrics are well formed: {e}"))
}

impl ProcessMetrics {
    pub(crate) fn new(budgets: Budgets, cache: Arc<PageCache>, started_ms: i64, version: &str) -> (Self, IntGauge) {
        let gauge = |name: &str, help: &str| named(IntGauge::new(name, help));
        let by_budget = |name: &str, help: &str| named(IntGaugeVec::new(Opts::new(name, help), &["budget"]));
        let start_seconds =
            named(Gauge::new("process_start_time_seconds", "Start time since the Unix epoch in seconds."));
        start_seconds.set(started_ms as f64 / 1000.0);
        let build = named(IntGauge::with_opts(
            Opts::new("bramble_build_info", "Which Bramble this is.").const_label("version", version),
        ));
        build.set(1);
        let refused = Opts::new("bramble_memory_budget_refused_total", "Reservations that did not fit.");
        let metrics = ProcessMetrics {
            budgets,
            cache,
            budget_bytes: by_budget("bramble_memory_budget_bytes", "Size of a memory budget."),
            used_bytes: by_budget("bramble_memory_budget_used_bytes", "Bytes reserved from a memory budget."),
            refused: named(IntCounterVec::new(refused, &["budget"])),
            cap_bytes: gauge("bramble_memory_cap_bytes", "The memory cap."),
            live_bytes: gauge("bramble_memory_live_bytes", "Bytes allocated and not freed."),
            resident_bytes: gauge("process_resident_memory_bytes", "Resident memory size in bytes."),
            resident_peak_bytes: gauge("bramble_memory_resident_peak_bytes", "Largest resident memory size in bytes."),
            cache_hits: gauge("bramble_page_cache_hits", "Pages found in the page cache since start."),
            cache_misses: gauge("bramble_page_cache_misses", "Pages read from disk since start."),
            cpu_seconds: named(Counter::new(
                "process_cpu_seconds_total",
                "Total user and system CPU time spent in seconds.",
            )),
            start_seconds,
            threads: gauge("process_threads", "Threads."),
            descriptors: gauge("process_open_fds", "Open file descriptors."),
        };
        (metrics, build)
    }

    fn refresh(&self) {
        self.cap_bytes.set(self.budgets.cap_bytes() as i64);
        for budget in self.budgets.iter() {
            let name = [budget.name().as_str()];
            self.budget_bytes.with_label_values(&name).set(budget.limit_bytes() as i64);
            self.used_bytes.with_label_values(&name).set(budget.used_bytes() as i64);
            let refused = self.refused.with_label_values(&name);
            refused.inc_by((budget.refused() as u64).saturating_sub(refused.get()));
        }
        self.live_bytes.set(allocator::live_bytes() as i64);
        self.resident_bytes.set(machine::resident_bytes() as i64);
        self.resident_peak_bytes.set(machine::resident_peak_bytes() as i64);
        self.cache_hits.set(self.cache.hits() as i64);
        self.cache_misses.set(self.cache.misses() as i64);
        if let Some((cpu_seconds, threads)) = process_stat() {
            self.cpu_seconds.inc_by((cpu_seconds - self.cpu_seconds.get()).max(0.0));
            self.threads.set(threads);
        }
        self.descriptors.set(std::fs::read_dir("/proc/self/fd").map_or(0, |d| d.count() as i64));
    }

    fn parts(&self) -> [&dyn Collector; 13] {
        [
            &self.budget_bytes,
            &self.used_bytes,
            &self.refused,
            &self.cap_bytes,
            &self.live_bytes,
            &self.resident_bytes,
            &self.resident_peak_bytes,
            &self.cache_hits,
            &self.cache_misses,
            &self.cpu_seconds,
            &self.start_seconds,
            &self.threads,
            &self.descriptors,
        ]
    }
}

/// CPU seconds and threads of this process, from proc(5) `stat`: fields 14, 15 and 20; clock ticks are 1/100 s on Linux.
fn process_stat() -> Option<(f64, i64)> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    let after_name = text.rsplit_once(')')?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some((ticks / 100.0, fields.get(17)?.parse().ok()?))
}

impl Collector for ProcessMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.parts().into_iter().flat_map(|p| p.desc()).collect()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        self.refresh();
        self.parts().into_iter().flat_map(|p| p.collect()).collect()
    }
}
