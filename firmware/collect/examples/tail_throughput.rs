//! How fast files are tailed through a JSON pipeline into a sink that does nothing but count: `cargo run --release --example
//! tail_throughput -p bramble-collect [MEGABYTES] [FILES] [plain|json|cri]`.
//!
//! Megabytes per second of the one reading thread, and CPU seconds of the whole process for each megabyte: labels that every
//! line gets (`service_name`, `detected_level`) are added on the same thread. Files lie in the directory of `TMPDIR`.

use bramble_collect::pipeline::logs::{LogPipeline, StageConfig};
use bramble_collect::sources::files::{FileStart, FileTarget, Files, FilesConfig, FilesOptions};
use bramble_collect::sources::{FeedOptions, Feeds};
use bramble_runtime::{Budget, BudgetName, Reservation, SystemClock};
use bramble_signal::{LogBatch, MetricBatch, SpanBatch};
use bramble_storage::{Done, Urgency, Writer, Written};
use prometheus::Registry;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[derive(Default)]
struct Counter {
    lines: AtomicU64,
}

impl Writer for Counter {
    fn write_metrics(&self, _: MetricBatch, _: Reservation, _: Urgency, done: Done) {
        done(Ok(Written::default()));
    }

    fn write_logs(&self, batch: LogBatch, _: Reservation, _: Urgency, done: Done) {
        self.lines.fetch_add(batch.entry_count() as u64, Ordering::Relaxed);
        done(Ok(Written::default()));
    }

    fn write_spans(&self, _: SpanBatch, _: Reservation, _: Urgency, done: Done) {
        done(Ok(Written::default()));
    }
}

const LEVELS: [&str; 4] = ["info", "info", "debug", "error"];

fn line(n: u64, kind: &str) -> String {
    let level = LEVELS[(n % 4) as usize];
    let text = format!(
        r#"{{"ts":"2026-11-21T10:15:30.{:06}Z","level":"{level}","logger":"shop.cart.checkout","msg":"order {n} placed by customer {}","trace_id":"{:032x}","duration_ms":{},"path":"/api/v1/cart/{}"}}"#,
        n % 1_000_000,
        n % 977,
        u128::from(n) * 0x9e37_79b9_7f4a_7c15,
        n % 500,
        n % 10_000,
    );
    match kind {
        "cri" => format!("2026-11-21T10:15:30.{:09}Z stdout F {text}\n", n % 1_000_000_000),
        _ => format!("{text}\n"),
    }
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let megabytes: u64 = arguments.next().map_or(Ok(400), |text| text.parse())?;
    let count: u64 = arguments.next().map_or(Ok(8), |text| text.parse())?;
    let kind = arguments.next().unwrap_or_else(|| "json".to_owned());
    let root = std::env::temp_dir().join(format!("tail_throughput-{}", std::process::id()));
    std::fs::create_dir_all(&root)?;
    let (mut lines, mut bytes) = (0, 0);
    for file in 0..count {
        let mut out = std::io::BufWriter::new(std::fs::File::create(root.join(format!("{file}.log")))?);
        let mut mine = 0;
        while mine < megabytes * 1_000_000 / count {
            let line = line(lines, &kind);
            out.write_all(line.as_bytes())?;
            (lines, mine) = (lines + 1, mine + line.len() as u64);
        }
        bytes += mine;
        out.flush()?;
    }
    let stages: Vec<StageConfig> = match kind.as_str() {
        "plain" => Vec::new(),
        _ => serde_json::from_str(
            r#"[{"json":{"expressions":{"level":"level","ts":"ts","trace_id":"trace_id"}}},
                {"timestamp":{"source":"ts","format":"RFC3339Nano"}},
                {"labels":{"level":"level"}},{"structured_metadata":{"trace_id":"trace_id"}}]"#,
        )?,
    };
    for (service_name, detected_level) in [(false, false), (true, true)] {
        let options = FeedOptions { service_name, detected_level };
        let (wall, cpu) = measure(&root, &stages, options, lines)?;
        let megabytes = bytes as f64 / 1e6;
        let (rate, of_core) = (megabytes / wall, megabytes / cpu);
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "{kind}, {count} files, automatic labels {service_name}: {megabytes:.0} MB, {lines} lines in {wall:.2} s: {rate:.0} MB/s, {of_core:.0} MB per CPU second"
        )?;
    }
    std::fs::remove_dir_all(&root)?;
    Ok(())
}

/// Wall and CPU seconds until all lines arrived.
fn measure(
    root: &std::path::Path,
    stages: &[StageConfig],
    options: FeedOptions,
    lines: u64,
) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let entered = runtime.enter();
    let (writer, registry) = (Arc::new(Counter::default()), Registry::new());
    let budget = Budget::standalone(BudgetName::Receive, 16 << 20);
    let feeds = Feeds::new(writer.clone(), budget, options, &registry)?;
    let files = Files::start(feeds.open("files"), FilesOptions::default(), Arc::new(SystemClock::new()), &registry)?;
    let include = vec![format!("{}/*.log", root.display())];
    let config = FilesConfig { include, start: FileStart::Beginning, ..FilesConfig::default() };
    let (began, cpu) = (Instant::now(), cpu_seconds());
    files.set_targets("bench", vec![FileTarget { config, pipeline: LogPipeline::compile(stages)? }])?;
    while writer.lines.load(Ordering::Relaxed) < lines {
        std::thread::sleep(Duration::from_millis(1));
    }
    let measured = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    drop(entered);
    runtime.block_on(files.stop());
    Ok(measured)
}
