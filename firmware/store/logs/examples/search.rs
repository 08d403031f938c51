//! The worst that queries can ask of the log store, side by side with zstd-3 blocks of 256 KiB and the same matchers over
//! the same lines: `search [LOGHUB_DIRECTORY [LINES]]`. Without a directory lines are made up.
//!
//! Prints MB of raw text per second and core (CPU time of all threads), counted and as rows, and the ratio.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for developers")]

use bramble_disk::{Disk, PageCache, ThreadsDisk};
use bramble_runtime::{Budget, BudgetName, Rng, SystemClock};
use bramble_signal::LogBatch;
use bramble_storage::{
    BlockId, BlockStore, LinePredicate, LogRows, LogSelect, LogSink, LogSource, MetadataWanted, QueryContext,
};
use bramble_store_logs::{LogBudgets, LogLimits, LogStore};
use std::fmt::Write;
use std::sync::Arc;

const BLOCK_BYTES: usize = 256 << 10;

/// CPU time of all threads of this process, those that ended included, nanoseconds.
fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // User and system time stand 14th and 15th; the name before them is in brackets. A tick is 10 ms.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10_000_000
}

/// Lines of each of the sample systems, or of two services that are made up.
fn samples(directory: Option<&str>) -> Vec<(String, Vec<String>)> {
    let Some(directory) = directory else {
        let text = (0..50).map(|n| format!("worker {n} took 12ms for /a/b{n} status 200 from 10.0.0.17")).collect();
        let json =
            |n| format!(r#"{{"level":"info","trace_id":"0123456789abcdef0123456789abcd{n}","ms":12.5,"at":"a b"}}"#);
        return vec![("text".into(), text), ("json".into(), (10..40).map(json).collect())];
    };
    let mut found: Vec<(String, Vec<String>)> = std::fs::read_dir(directory)
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let raw = std::fs::read(entry.path().join(format!("{name}_2k.log"))).ok()?;
            Some((name, String::from_utf8_lossy(&raw).lines().map(str::to_owned).collect()))
        })
        .collect();
    found.sort();
    found
}

/// A sample line with half of its longer numbers drawn anew.
fn draw(sample: &str, rng: &mut Rng) -> String {
    let mut line = String::with_capacity(sample.len());
    for run in sample.as_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()) {
        let text = std::str::from_utf8(run).unwrap_or("?");
        if run[0].is_ascii_digit() && run.len() > 1 && rng.chance(0.5) {
            (0..run.len()).for_each(|_| write!(line, "{}", rng.below(10)).unwrap());
        } else {
            line.push_str(text);
        }
    }
    line
}

struct Blocks(Vec<(usize, Vec<u8>)>);

impl Blocks {
    fn new(lines: &[(usize, String)], services: usize) -> Blocks {
        let (mut open, mut stored) = (vec![Vec::new(); services], Vec::new());
        for (service, line) in lines {
            open[*service].extend_from_slice(line.as_bytes());
            open[*service].push(b'\n');
            if open[*service].len() >= BLOCK_BYTES {
                stored.push(std::mem::take(&mut open[*service]));
            }
        }
        stored.extend(open);
        Blocks(stored.iter().map(|raw| (raw.len(), zstd::bulk::compress(raw, 3).unwrap())).collect())
    }

    fn count(&self, matches: impl Fn(&[u8]) -> bool) -> usize {
        let mut decompressor = zstd::bulk::Decompressor::new().unwrap();
        let mut found = 0;
        for (raw_bytes, stored) in &self.0 {
            let raw = decompressor.decompress(stored, *raw_bytes).unwrap();
            let mut start = 0;
            for end in memchr::memchr_iter(b'\n', &raw) {
                found += usize::from(matches(&raw[start..end]));
                start = end + 1;
            }
        }
        found
    }
}

fn store(root: &std::path::Path, services: &[(String, Vec<String>)], lines: &[(usize, String)]) -> LogStore {
    let disk: Arc<dyn Disk> = Arc::new(ThreadsDisk::new(root).unwrap());
    let cache = Arc::new(PageCache::new(Budget::standalone(BudgetName::PageCache, 64 << 20)));
    let budgets = LogBudgets {
        head: Budget::standalone(BudgetName::LogHead, 256 << 20),
        merge: Budget::standalone(BudgetName::Merge, 64 << 20),
        index: Budget::standalone(BudgetName::BlockIndex, 8 << 20),
    };
    let limits = LogLimits { future_ms: None, ..LogLimits::default() };
    let clock = Arc::new(SystemClock::new());
    let store = LogStore::new(disk, cache, clock, budgets, limits, &prometheus::Registry::new()).unwrap();
    for (nth, part) in lines.chunks(2000).enumerate() {
        let mut batch = LogBatch::new();
        for (at, (service, line)) in part.iter().enumerate() {
            batch.start_stream(&mut [("service", services[*service].0.as_str())]).unwrap();
            let timestamp_ns = 1_795_046_400_000_000_000 + ((nth * 2000 + at) as i64) * 1_000_000;
            batch.push_entry(timestamp_ns, line.as_bytes(), &mut []).unwrap();
        }
        let prepared = store.prepare(batch, 0).unwrap();
        store.apply(prepared, nth as u64 + 1);
    }
    store.freeze(u64::MAX / 2);
    let mut id = 0;
    let written = store
        .write_frozen(&mut || {
            id += 1;
            BlockId(id)
        })
        .unwrap();
    store.swap(&written, &[], true).unwrap();
    store
}

/// Repeats `run` for about a second of CPU time; what it found, and MB per second of CPU time.
fn rate(raw_bytes: usize, mut run: impl FnMut() -> usize) -> (usize, f64) {
    let mut found = run();
    let (started, mut times) = (cpu_ns(), 0);
    while cpu_ns() - started < 500_000_000 && times < 2000 {
        found = run();
        times += 1;
    }
    let took_s = (cpu_ns() - started).max(10_000_000) as f64 / 1e9;
    (found, raw_bytes as f64 * f64::from(times) / took_s / 1e6)
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (directory, count) = (arguments.next(), arguments.next().map_or(300_000, |n| n.parse::<u64>().unwrap()));
    let services = samples(directory.as_deref());
    let mut rng = Rng::new(1);
    let lines: Vec<(usize, String)> = (0..count)
        .map(|_| {
            let service = rng.below(services.len() as u64) as usize;
            let of = &services[service].1;
            (service, draw(&of[rng.below(of.len() as u64) as usize], &mut rng))
        })
        .collect();
    let raw_bytes: usize = lines.iter().map(|(_, line)| line.len()).sum();
    let blocks = Blocks::new(&lines, services.len());
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path(), &services, &lines);
    println!("{count} lines of {} services, {:.1} MB", services.len(), raw_bytes as f64 / 1e6);
    println!("| query | lines | counted MB/s | rows MB/s | zstd-3 MB/s | counted / zstd | rows / zstd |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let contains = |text: &str| Some(LinePredicate::Contains(text.as_bytes().to_vec()));
    let matches = |text: &str| Some(LinePredicate::Matches(regex::bytes::Regex::new(text).unwrap()));
    for (what, test) in [
        ("all lines", None),
        ("an absent word", contains("quota ledger mismatch")),
        ("a common word", contains("error")),
        ("what most lines have: a space", contains(" ")),
        ("digits", contains("404")),
        ("a random id", contains("0f3a5c7e9b1d2f4a6c8e0b2d4f6a8c0e")),
        ("an expression with a literal", matches("Failed password for (root|admin) from 1[0-9.]+ port 22[0-9]+")),
        ("an expression without literals", matches("[a-z]+[0-9]+[a-z]")),
        ("an expression at an end", matches("[0-9]$")),
    ] {
        let tests: Vec<LinePredicate> = test.into_iter().collect();
        let select = LogSelect { lines: &tests, ..LogSelect::default() };
        let context = QueryContext::unlimited();
        let (counted, counted_rate) = rate(raw_bytes, || {
            let mut found = 0;
            let mut each = |run: &bramble_storage::TallyRun<'_>| {
                found += run.timestamps_ns.len();
                Ok(())
            };
            store.tally(&select, MetadataWanted::None, false, &context, &mut each).unwrap();
            found
        });
        let (listed, listed_rate) = rate(raw_bytes, || {
            let (mut rows, mut found) = (LogRows::default(), 0);
            let mut cursor = store.select(&select, &context).unwrap();
            while cursor.next(&mut rows).unwrap() {
                found += rows.order.len();
            }
            found
        });
        let (scanned, zstd_rate) = rate(raw_bytes, || blocks.count(|line| tests.iter().all(|test| test.accepts(line))));
        assert!(counted == scanned && listed == scanned, "{what}: {counted}, {listed} and {scanned} lines");
        println!(
            "| {what} | {scanned} | {counted_rate:.0} | {listed_rate:.0} | {zstd_rate:.0} | {:.1} | {:.1} |",
            counted_rate / zstd_rate,
            listed_rate / zstd_rate
        );
    }
}
