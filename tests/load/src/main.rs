//! `bramble-load`: realistic load for benchmarks and soaks.
//!
//! Each signal runs on a thread of its own and sends one request per tick: all series once per interval (in requests
//! of 2,000, as Prometheus does), and log lines and spans per second. `--hurry` drops the clock: ticks follow each other
//! as fast as they are answered, with timestamps as if they were paced. A refused request is tried again, as senders do.
//! `--joined` gives log lines the ids of the traces that are sent in the same half second, as instrumented services do; then
//! logs and traces wait for each other every second, however fast they go.
//! Prints one JSON object at the end, and one a minute to standard error.
#![allow(clippy::print_stdout, reason = "a command line tool: its output is its purpose")]

mod joined;
mod logs;
mod metrics;
mod post;
mod traces;

use clap::Parser;
use post::{Poster, Tally};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Generated load for a server that speaks remote write, Loki push and OTLP.
#[derive(Parser, Clone)]
pub(crate) struct Arguments {
    /// Where to send samples, such as http://127.0.0.1:9090/api/v1/write.
    #[arg(long)]
    metrics: Option<String>,
    /// Where to send log lines, such as http://127.0.0.1:3100/loki/api/v1/push.
    #[arg(long)]
    logs: Option<String>,
    /// Where to send spans, such as http://127.0.0.1:4318/v1/traces.
    #[arg(long)]
    traces: Option<String>,
    /// Number of series.
    #[arg(long, default_value_t = 20_000)]
    series: usize,
    /// Seconds between two samples of a series.
    #[arg(long, default_value_t = 15)]
    interval: u64,
    /// Log lines per second.
    #[arg(long, default_value_t = 2000)]
    lines: u64,
    /// Spans per second.
    #[arg(long, default_value_t = 500)]
    spans: u64,
    /// Requests with log lines per second: Promtail and Alloy send one, a bare client many.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=1000))]
    line_requests: u64,
    /// How long, in seconds of timestamps.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// As fast as it goes, with timestamps that end now.
    #[arg(long)]
    hurry: bool,
    /// Log lines that have a trace id have that of a trace which is sent at the same time.
    #[arg(long)]
    joined: bool,
    /// Seed of all that is random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// The clock of one signal: when each tick is, and waiting for it.
pub(crate) struct Pace {
    began: Instant,
    first_ns: i64,
    period: Duration,
    hurry: bool,
}

impl Pace {
    fn new(arguments: &Arguments, period: Duration) -> Self {
        let now_ns = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i64);
        let back_ns = if arguments.hurry { arguments.seconds as i64 * 1_000_000_000 } else { 0 };
        Pace { began: Instant::now(), first_ns: now_ns - back_ns, period, hurry: arguments.hurry }
    }

    /// Waits for tick `n` and returns its time.
    pub(crate) fn tick(&self, n: u64) -> i64 {
        let offset = self.period * n as u32;
        if !self.hurry {
            std::thread::sleep((self.began + offset).saturating_duration_since(Instant::now()));
        }
        self.first_ns + offset.as_nanos() as i64
    }
}

fn main() {
    let arguments = Arguments::parse();
    let began = Instant::now();
    let step = joined::Step::new(&arguments);
    let tallies: Vec<(&str, Arc<Tally>)> =
        ["metrics", "logs", "traces"].into_iter().map(|name| (name, Arc::new(Tally::default()))).collect();
    std::thread::scope(|scope| {
        let targets = [arguments.metrics.clone(), arguments.logs.clone(), arguments.traces.clone()];
        for ((name, tally), url) in tallies.iter().zip(targets) {
            let (Some(url), arguments, step) = (url, arguments.clone(), &step) else { continue };
            let poster = Poster::new(url, tally.clone());
            match *name {
                "metrics" => drop(scope.spawn(move || metrics::run(&arguments, poster))),
                "logs" => drop(scope.spawn(move || logs::run(&arguments, step, poster))),
                _ => drop(scope.spawn(move || traces::run(&arguments, step, poster))),
            }
        }
    });
    let report: serde_json::Map<String, serde_json::Value> =
        tallies.iter().map(|(name, tally)| ((*name).to_owned(), tally.report())).collect();
    println!("{}", serde_json::json!({ "wall_s": began.elapsed().as_secs_f64(), "sent": report }));
}
