//! What encoding, queueing and sending cost: batches through a [`Forwarder`] to a server on the loopback that reads and forgets,
//! and the bytes that arrive there.
//!
//! `cargo run --release -p bramble-forward --example throughput`
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for people")]

use bramble_forward::{DestinationConfig, Environment, Forwarder};
use bramble_runtime::{Budget, BudgetName, SystemClock};
use bramble_signal::{LogBatch, MetricBatch};
use bramble_storage::{Durable, Observer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const SERIES: u64 = 2000;
const BATCHES: u64 = 300;

/// CPU seconds of this process.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn metrics(at: u64) -> MetricBatch {
    let mut batch = MetricBatch::new();
    for series in 0..SERIES {
        let (cpu, name) = ((series % 8).to_string(), format!("node_metric_{}_seconds_total", series / 8));
        batch
            .start_series(&mut [
                ("__name__", &name),
                ("cpu", &cpu),
                ("instance", "pi:9100"),
                ("job", "node"),
                ("mode", "idle"),
            ])
            .unwrap();
        batch.push_sample((at * 15_000) as i64, (at * series) as f64 * 0.37);
    }
    batch
}

fn logs(at: u64) -> LogBatch {
    let mut batch = LogBatch::new();
    for stream in 0..5 {
        batch.start_stream(&mut [("container", &format!("web-{stream}")), ("namespace", "shop")]).unwrap();
        for line in 0..400 {
            let n = at * 2000 + stream * 400 + line;
            let text = format!(
                "level=info msg=\"request served\" path=/cart/{} status=200 duration={}ms id={n:016x}",
                n % 97,
                n % 411
            );
            batch.push_entry(n as i64, text.as_bytes(), &mut []).unwrap();
        }
    }
    batch
}

fn config(kind: &str, endpoint: String) -> DestinationConfig {
    let table = serde_json::json!({ "name": kind, "kind": kind, "endpoint": endpoint, "memory_max": "64MiB" });
    serde_json::from_value(table).unwrap()
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let received = Arc::new(AtomicU64::new(0));
    let count = received.clone();
    let router = axum::Router::new().fallback(move |body: axum::body::Bytes| {
        count.fetch_add(body.len() as u64, Ordering::Relaxed);
        async { axum::http::StatusCode::NO_CONTENT }
    });
    let router = router.layer(axum::extract::DefaultBodyLimit::disable());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    println!("{:<14} {:>9} {:>10} {:>9} {:>12}", "kind", "items", "ns/item", "B/item", "items/s");
    for kind in ["remote_write", "loki", "otlp"] {
        let directory = std::env::temp_dir().join(format!("bramble-forward-{kind}-{}", std::process::id()));
        let environment = Environment {
            data_dir: directory.clone(),
            clock: Arc::new(SystemClock::new()),
            seed: 1,
            memory: Budget::standalone(BudgetName::Receive, 256 << 20),
            registry: prometheus::Registry::new(),
        };
        let mut config = config(kind, format!("http://{address}/"));
        config.protocol = bramble_forward::config::Protocol::Http;
        let forwarder = Forwarder::start(&environment, vec![config]).unwrap();
        received.store(0, Ordering::Relaxed);
        let batches: Vec<(MetricBatch, LogBatch)> = (0..BATCHES).map(|at| (metrics(at), logs(at))).collect();
        let (cpu, begun) = (cpu_seconds(), Instant::now());
        let mut items = 0;
        for (at, (metrics, logs)) in batches.iter().enumerate() {
            let sequence = at as u64 * 2 + 1;
            if forwarder.wants(bramble_signal::Signal::Metrics) {
                forwarder.observe(Durable::Metrics(metrics), sequence);
                items += metrics.sample_count();
            }
            if forwarder.wants(bramble_signal::Signal::Logs) {
                forwarder.observe(Durable::Logs(logs), sequence + 1);
                items += logs.entry_count();
            }
            while forwarder.status().iter().any(|queue| queue.memory_bytes > 8 << 20) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        forwarder.finish(Duration::from_secs(60)).await;
        let (cpu, wall) = (cpu_seconds() - cpu, begun.elapsed().as_secs_f64());
        let bytes = received.load(Ordering::Relaxed);
        println!(
            "{kind:<14} {items:>9} {:>10.0} {:>9.2} {:>12.0}",
            cpu * 1e9 / items as f64,
            bytes as f64 / items as f64,
            items as f64 / wall
        );
        _ = std::fs::remove_dir_all(directory);
    }
}
