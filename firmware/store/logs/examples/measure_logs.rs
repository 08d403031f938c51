//! Measures the log store on lines shaped like the bench rig's: `measure LOGHUB_DIRECTORY [LINES [HEAD_MIB]]`.
//!
//! Prints nanoseconds of CPU time per line of each stage and bytes per line in fresh and in merged blocks; with `RUST_LOG=debug`
//! also what each block's columns take.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for developers")]

use bramble_disk::{Disk, PageCache, ThreadsDisk};
use bramble_runtime::{Budget, BudgetName, Rng, SystemClock};
use bramble_signal::{LogBatch, Matcher};
use bramble_storage::{
    BlockId, BlockMeta, BlockStore, Direction, LinePredicate, LogRows, LogSelect, LogSink, LogSource, QueryContext,
};
use bramble_store_logs::{LogBudgets, LogLimits, LogStore};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

/// CPU time of this thread, nanoseconds: other programs' load does not count.
fn cpu_ns() -> u128 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

/// A word of a sample line: kept, or drawn anew half of the time.
enum Part {
    Text(String),
    Digits(String),
    Clock,
}

fn cut(line: &str) -> Vec<Part> {
    let (mut parts, mut rest) = (Vec::new(), line);
    while !rest.is_empty() {
        let clock = |s: &str| {
            s.len() >= 8
                && s.bytes().take(8).enumerate().all(|(i, b)| if i % 3 == 2 { b == b':' } else { b.is_ascii_digit() })
        };
        if clock(rest) {
            parts.push(Part::Clock);
            rest = &rest[8..];
            continue;
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let len = if digits > 0 { digits } else { rest.bytes().take_while(|b| !b.is_ascii_digit()).count() };
        let text = rest[..len].to_owned();
        parts.push(if digits >= 2 { Part::Digits(text) } else { Part::Text(text) });
        rest = &rest[len..];
    }
    parts
}

fn rfc3339(ns: i64) -> String {
    let t = ns.div_euclid(1_000_000_000).rem_euclid(86_400);
    format!("2026-11-19T{:02}:{:02}:{:02}.{:03}Z", t / 3600, t / 60 % 60, t % 60, ns / 1_000_000 % 1000)
}

fn text_line(parts: &[Part], ns: i64, rng: &mut Rng, out: &mut String) {
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Clock => out.push_str(&rfc3339(ns)[11..19]),
            Part::Digits(digits) if rng.chance(0.5) => out.push_str(digits),
            Part::Digits(digits) => digits.bytes().for_each(|_| out.push((b'0' + rng.below(10) as u8) as char)),
        }
    }
}

fn hex(out: &mut String, len: usize, rng: &mut Rng) {
    (0..len).for_each(|_| out.push(char::from(b"0123456789abcdef"[rng.below(16) as usize])));
}

const MESSAGES: [&str; 6] = [
    "circuit state updated",
    "order accepted",
    "cache miss, loading from db",
    "request completed",
    "retrying upstream call",
    "slow query detected",
];

fn json_line(service: &str, ns: i64, rng: &mut Rng, out: &mut String) -> (&'static str, String) {
    let level = ["error", "warn", "debug", "info", "info", "info"][rng.below(6) as usize];
    let mut trace_id = String::new();
    hex(&mut trace_id, 32, rng);
    write!(
        out,
        r#"{{"time":"{}","level":"{level}","service":"{service}","trace_id":"{trace_id}","span_id":""#,
        rfc3339(ns)
    )
    .unwrap();
    hex(out, 16, rng);
    write!(out, r#"","circuit_id":"circ-{:05}","request_id":""#, rng.below(20_000)).unwrap();
    for (i, len) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        out.push_str(if i > 0 { "-" } else { "" });
        hex(out, len, rng);
    }
    let message = MESSAGES[rng.below(6) as usize];
    let latency = (rng.unit() * 6.0).exp();
    write!(
        out,
        r#"","message":"{message}","latency_ms":{latency:.2},"status":{}}}"#,
        if level == "error" { 500 } else { 200 }
    )
    .unwrap();
    (level, trace_id)
}

struct Stream {
    service: String,
    host: String,
    samples: Vec<Vec<Part>>,
}

fn streams(directory: &str) -> Vec<Stream> {
    let mut out = Vec::new();
    let mut folders: Vec<_> =
        std::fs::read_dir(directory).unwrap().flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect();
    folders.sort();
    for folder in folders {
        let system = folder.file_name().unwrap().to_string_lossy().into_owned();
        let Ok(raw) = std::fs::read(folder.join(format!("{system}_2k.log"))) else { continue };
        let text: String = raw.iter().filter(|b| b.is_ascii()).map(|&b| char::from(b)).collect();
        let samples = text.lines().filter(|l| !l.trim().is_empty()).map(|l| cut(l.trim_end())).collect();
        out.push(Stream { service: system.to_lowercase(), host: format!("rpi-{:03}", out.len() % 6), samples });
    }
    for n in 0..14 {
        out.push(Stream { service: format!("service-{n}"), host: format!("rpi-{:03}", n % 6), samples: Vec::new() });
    }
    out
}

fn fill(streams: &[Stream], from: u64, count: u64, step_ns: i64, rng: &mut Rng) -> (LogBatch, usize) {
    let (json, text): (Vec<&Stream>, Vec<&Stream>) = streams.iter().partition(|s| s.samples.is_empty());
    let mut lines: Vec<(&Stream, i64, String, &str, String)> = (0..count)
        .map(|n| {
            let ns = 1_795_046_400_000_000_000 + (from + n) as i64 * step_ns + rng.below(1000) as i64;
            let mut line = String::new();
            if rng.chance(0.4) {
                let stream = json[rng.below(json.len() as u64) as usize];
                let (level, id) = json_line(&stream.service, ns, rng, &mut line);
                (stream, ns, line, level, id)
            } else {
                let stream = text[rng.below(text.len() as u64) as usize];
                text_line(&stream.samples[rng.below(stream.samples.len() as u64) as usize], ns, rng, &mut line);
                (stream, ns, line, "info", String::new())
            }
        })
        .collect();
    lines.sort_by(|a, b| a.0.service.cmp(&b.0.service));
    let (mut batch, mut last, mut raw) = (LogBatch::new(), "", 0);
    for (stream, ns, line, level, id) in &lines {
        if last != stream.service {
            batch.start_stream(&mut [("env", "prod"), ("host", &stream.host), ("service", &stream.service)]).unwrap();
            last = &stream.service;
        }
        let mut metadata = vec![("level", *level), ("trace_id", id.as_str())];
        metadata.truncate(if id.is_empty() { 1 } else { 2 });
        batch.push_entry(*ns, line.as_bytes(), &mut metadata).unwrap();
        raw += line.len();
    }
    (batch, raw)
}

fn time_query(store: &LogStore, what: &str, matchers: &[Matcher], lines: &[LinePredicate], limit: usize) {
    let context = QueryContext::unlimited();
    let select = LogSelect {
        matchers,
        start_ns: 0,
        end_ns: i64::MAX,
        lines,
        direction: Direction::Backward,
        ..LogSelect::default()
    };
    let (started, cpu, mut rows, mut found) = (Instant::now(), cpu_ns(), LogRows::default(), 0);
    let mut cursor = store.select(&select, &context).unwrap();
    while found < limit && cursor.next(&mut rows).unwrap() {
        found += rows.order.len();
    }
    let (took_ms, cpu_ms) = (started.elapsed().as_secs_f64() * 1e3, (cpu_ns() - cpu) as f64 / 1e6);
    println!("  {what}: {found} rows in {took_ms:.1} ms, {cpu_ms:.1} ms of CPU time");
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().expect("first argument: the loghub samples' directory");
    let total: u64 = arguments.next().map_or(300_000, |n| n.parse().expect("second argument: number of lines"));
    let head_mib: usize = arguments.next().map_or(15, |n| n.parse().expect("third argument: MiB of the head"));
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    let root = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(ThreadsDisk::new(root.path()).unwrap());
    let cache = Arc::new(PageCache::new(Budget::standalone(BudgetName::PageCache, 12 << 20)));
    let budgets = LogBudgets {
        head: Budget::standalone(BudgetName::LogHead, head_mib << 20),
        merge: Budget::standalone(BudgetName::Merge, 10 << 20),
        index: Budget::standalone(BudgetName::BlockIndex, 6 << 20),
    };
    let limits = LogLimits { future_ms: None, ..LogLimits::default() };
    let store =
        LogStore::new(disk, cache, Arc::new(SystemClock::new()), budgets.clone(), limits, &prometheus::Registry::new())
            .unwrap();
    let (streams, mut rng) = (streams(&directory), Rng::new(1));
    let (mut blocks, mut id, mut sequence, mut raw) = (Vec::<BlockMeta>::new(), 0, 0, 0);
    let (mut enter_ns, mut flush_ns) = (0, 0);
    let mut next_id = || {
        id += 1;
        BlockId(id)
    };
    let flush = |blocks: &mut Vec<BlockMeta>, next_id: &mut dyn FnMut() -> BlockId| {
        let started = cpu_ns();
        if store.freeze(1) {
            let head = store.head();
            let written = store.write_frozen(next_id).unwrap();
            store.swap(&written, &[], true).unwrap();
            println!(
                "flush of {} head bytes: {:?} lines",
                head.total_bytes,
                written.iter().map(|b| b.items).collect::<Vec<_>>()
            );
            blocks.extend(written);
        }
        cpu_ns() - started
    };
    for from in (0..total).step_by(1500) {
        let (batch, bytes) = fill(&streams, from, 1500, 80_000_000_000_000 / total as i64, &mut rng);
        raw += bytes;
        sequence += 1;
        let started = cpu_ns();
        let prepared = store.prepare(batch, 0).unwrap();
        store.apply(prepared, sequence);
        enter_ns += cpu_ns() - started;
        let head = store.head();
        if head.flushable_bytes > head.limit_bytes / 100 * 85 {
            flush_ns += flush(&mut blocks, &mut next_id);
        }
    }
    flush_ns += flush(&mut blocks, &mut next_id);
    let per = |n: f64| n / total as f64;
    let bytes = |blocks: &[BlockMeta]| blocks.iter().map(|b| b.file_bytes).sum::<u64>() as f64;
    println!("{total} lines, {:.1} raw bytes each", per(raw as f64));
    println!("prepare and apply {:.0} ns/line; flush {:.0} ns/line", per(enter_ns as f64), per(flush_ns as f64));
    println!("fresh: {} blocks, {:.2} bytes/line", blocks.len(), per(bytes(&blocks)));
    let (inputs, started): (Vec<BlockId>, _) = (blocks.iter().map(|b| b.id).collect(), cpu_ns());
    let merged = store.merge(&inputs, 64 << 20, &mut next_id, &|| true).unwrap();
    store.swap(&merged, &inputs, false).unwrap();
    println!(
        "merge {:.0} ns/line: {} blocks, {:.2} bytes/line",
        per((cpu_ns() - started) as f64),
        merged.len(),
        per(bytes(&merged))
    );
    let service = [Matcher::equal("service", "hdfs")];
    time_query(&store, "newest 100 of one service", &service, &[], 100);
    time_query(&store, "newest 100 of all", &[], &[], 100);
    time_query(&store, "all lines", &[], &[], usize::MAX);
    time_query(&store, "all lines of one service", &service, &[], usize::MAX);
    let contains = |text: &str| [LinePredicate::Contains(text.as_bytes().to_vec())];
    time_query(&store, "an absent word", &[], &contains("quota ledger mismatch"), usize::MAX);
    time_query(&store, "a common word", &[], &contains("error"), usize::MAX);
    time_query(&store, "an absent id", &[], &contains("0123456789abcdef0123456789abcdef"), usize::MAX);
}
