//! What a round of host metrics costs: CPU time of this process per round, and samples.
//!
//! `cargo run --release -p bramble-collect --example host_round [ROUNDS]`

#![expect(clippy::print_stdout, reason = "prints its result")]

use bramble_collect::sources::host::{Host, HostOptions};
use rustix::time::{ClockId, clock_gettime};

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn main() {
    let rounds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(200u32);
    let mut host = Host::new(HostOptions::default());
    // The first also reads what never changes.
    let mut batch = host.collect(0);
    let start = cpu_seconds();
    for round in 0..rounds {
        batch = host.collect(i64::from(round));
    }
    let per_round = (cpu_seconds() - start) / f64::from(rounds.max(1));
    let of_a_core = per_round / HostOptions::default().interval.as_secs_f64() * 100.0;
    println!("{:.3} ms of CPU per round, {of_a_core:.4} % of a core at one in 15 s", per_round * 1e3);
    println!("{} series, {} KiB", batch.series_count(), batch.memory_bytes() / 1024);
    for (labels, samples) in batch.iter() {
        if labels.get("__name__") == Some("node_scrape_collector_duration_seconds") {
            let microseconds = samples.first().map_or(0.0, |sample| sample.value * 1e6);
            println!("  {:12} {microseconds:8.0} us", labels.get("collector").unwrap_or_default());
        }
    }
}
