//! What merging costs when both hubs have the same, which is the usual case. Run with
//! `cargo test --release -p bramble-peers -- --ignored figures --nocapture`.

use super::Channel;
use crate::answer::{Stores, answer};
use crate::link::{Arriving, Link};
use crate::merge::{MergedLogs, MergedMetrics, MergedTraces};
use crate::peer::Peers;
use crate::request::Request;
use bramble_runtime::SystemClock;
use bramble_signal::{Labels, Matcher, MetricBatch, SeriesSamples, SpanBatch, StatusCode};
use bramble_storage::memory::{MemoryMetrics, MemoryTraces};
use bramble_storage::{
    LogCursor, LogRows, LogSelect, LogSource, MetadataWanted, MetricSelect, MetricSource, QueryContext, ReadError,
    SpanScan, SpanSink, TraceSource, contract,
};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

const ENTRIES: i64 = 400_000;

/// Entries of eight streams, made up as they are asked for.
struct Lines;

struct Making {
    next: i64,
}

impl LogCursor for Making {
    fn next(&mut self, out: &mut LogRows) -> Result<bool, ReadError> {
        out.clear();
        let range = self.next..(self.next + 4096).min(ENTRIES);
        self.next = range.end;
        for stream in 0..8 {
            let name = format!("service-{stream}");
            out.batch.start_stream(&mut [("service", &name), ("env", "prod")]).unwrap();
            for at in range.clone().filter(|at| at % 8 == stream) {
                let line = format!(
                    "level=info msg=\"request served\" method=GET path=/api/v1/circuits/{} status=200 ms={}",
                    at * 7919 % 10_007,
                    at * 31 % 900
                );
                out.batch.push_entry(at, line.as_bytes(), &mut []).unwrap();
            }
        }
        out.order.extend(range.clone().map(|at| ((at % 8) as u32, ((at - range.start) / 8) as u32)));
        Ok(!range.is_empty())
    }
}

impl LogSource for Lines {
    fn select<'a>(&'a self, _: &LogSelect<'_>, _: &'a QueryContext) -> Result<Box<dyn LogCursor + 'a>, ReadError> {
        Ok(Box::new(Making { next: 0 }))
    }

    fn streams(&self, _: &[Matcher], _: i64, _: i64, _: &QueryContext) -> Result<Vec<Labels>, ReadError> {
        Ok(Vec::new())
    }
}

struct Same {
    metrics: Arc<MemoryMetrics>,
    traces: Arc<MemoryTraces>,
    sent_bytes: Arc<AtomicUsize>,
}

impl Link for Same {
    fn open(&self, body: Bytes) -> Arriving {
        let (sender, pieces) = mpsc::channel(2);
        let (metrics, traces, sent_bytes) = (self.metrics.clone(), self.traces.clone(), self.sent_bytes.clone());
        std::thread::spawn(move || {
            let request = Request::read(&body).unwrap();
            let stores = Stores { metrics: &*metrics, logs: &Lines, traces: &*traces };
            let mut sink = Channel { pieces: sender, piece_bytes: 65_536, sent_bytes };
            answer(&request, stores, &QueryContext::unlimited(), &mut sink);
        });
        Arriving { pieces, task: None, waited: Duration::ZERO }
    }
}

fn measured(what: &str, sent_bytes: &AtomicUsize, work: impl FnOnce() -> usize) {
    sent_bytes.store(0, Ordering::Relaxed);
    let began = Instant::now();
    let items = work();
    let seconds = began.elapsed().as_secs_f64();
    let per_item = sent_bytes.load(Ordering::Relaxed) as f64 / items as f64;
    eprintln!("{what}: {items} in {seconds:.2} s, {:.0} a second, {per_item:.2} bytes each", items as f64 / seconds);
}

fn samples(source: &dyn MetricSource) -> usize {
    let (context, mut series, mut count) = (QueryContext::unlimited(), SeriesSamples::default(), 0);
    let mut cursor = source.select(&MetricSelect { matchers: &[], start_ms: 0, end_ms: i64::MAX }, &context).unwrap();
    while cursor.next(&mut series).unwrap() {
        count += series.values.len();
    }
    count
}

fn entries(source: &dyn LogSource) -> usize {
    let (context, mut rows, mut count) = (QueryContext::unlimited(), LogRows::default(), 0);
    let mut cursor = source.select(&LogSelect::default(), &context).unwrap();
    while cursor.next(&mut rows).unwrap() {
        count += rows.order.len();
    }
    count
}

fn counted(source: &dyn LogSource) -> usize {
    let (context, mut count) = (QueryContext::unlimited(), 0);
    let select = LogSelect { start_ns: 0, end_ns: ENTRIES, ..LogSelect::default() };
    let mut each = |run: &bramble_storage::TallyRun<'_>| {
        count += run.timestamps_ns.len();
        Ok(())
    };
    source.tally(&select, MetadataWanted::None, false, &context, &mut each).unwrap();
    count
}

fn spans(source: &dyn TraceSource, whole_traces: bool) -> usize {
    let (context, mut batch, mut count) = (QueryContext::unlimited(), SpanBatch::new(), 0);
    let scan = SpanScan { whole_traces, ..SpanScan::whole(0, u64::MAX, &[]) };
    let mut cursor = source.scan(&scan, &context).unwrap();
    while cursor.next(&mut batch).unwrap() {
        count += batch.spans.len();
    }
    count
}

#[test]
#[ignore = "prints figures"]
fn figures_of_two_hubs_with_the_same() {
    let (metrics, traces) = (Arc::new(MemoryMetrics::new()), Arc::new(MemoryTraces::new()));
    let mut batch = MetricBatch::new();
    for series in 0..1000i64 {
        let name = format!("series-{series}");
        batch.start_series(&mut [("__name__", "node_cpu_seconds_total"), ("of", &name)]).unwrap();
        (0..1000).for_each(|at| batch.push_sample(at * 15_000 + series, (at * (series % 50)) as f64 / 10.0));
    }
    metrics.load(batch);
    for trace in 0..200u8 {
        traces.replay(&contract::spans_of(trace, "beorn", 200, StatusCode::Ok), 1);
    }
    let sent_bytes = Arc::new(AtomicUsize::new(0));
    let link = Same { metrics: metrics.clone(), traces: traces.clone(), sent_bytes: sent_bytes.clone() };
    let peers = Peers::of_links(vec![Box::new(link)]);
    let merged = MergedMetrics::new(metrics.clone(), peers.clone());
    measured("samples, one hub", &sent_bytes, || samples(&*metrics));
    measured("samples, two hubs", &sent_bytes, || samples(&merged));
    let merged = MergedLogs::new(Arc::new(Lines), peers.clone());
    measured("entries, one hub", &sent_bytes, || entries(&Lines));
    measured("entries, two hubs", &sent_bytes, || entries(&merged));
    measured("entries counted, two hubs", &sent_bytes, || counted(&merged));
    let merged = MergedTraces::new(traces.clone(), peers, Arc::new(SystemClock::new()));
    for whole in [true, false] {
        measured(&format!("spans, whole traces {whole}, one hub"), &sent_bytes, || spans(&*traces, whole));
        measured(&format!("spans, whole traces {whole}, two hubs"), &sent_bytes, || spans(&merged, whole));
    }
}
