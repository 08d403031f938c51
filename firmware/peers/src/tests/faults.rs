//! Hubs that are away, that break off, or that say what makes no sense.

use super::{Direct, Hub, peers};
use crate::answer::{Stores, answer};
use crate::frame::{Gone, Sink};
use crate::link::{Arriving, Fault, Link};
use crate::merge::{MergedLogs, MergedMetrics, MergedTraces};
use crate::peer::{Peers, State};
use crate::request::Request;
use bramble_runtime::{Budget, BudgetName, Cancel, ManualClock};
use bramble_signal::{LogBatch, MetricBatch, SeriesSamples, SpanBatch};
use bramble_storage::{
    LogRows, LogSelect, LogSink, LogSource, MetricSelect, MetricSource, QueryContext, ReadError, SpanScan, TraceSource,
};
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Pieces, and then a fault or the end.
struct Scripted(Vec<Bytes>, Option<Fault>);

impl Link for Scripted {
    fn open(&self, _: Bytes) -> Arriving {
        let (sender, pieces) = mpsc::channel(self.0.len() + 1);
        for piece in &self.0 {
            sender.try_send(Ok(piece.clone())).unwrap();
        }
        if let Some(fault) = &self.1 {
            sender.try_send(Err(fault.clone())).unwrap();
        }
        Arriving { pieces, task: None, waited: Duration::ZERO }
    }
}

/// One that never answers.
struct Silent;

impl Link for Silent {
    fn open(&self, _: Bytes) -> Arriving {
        let (sender, pieces) = mpsc::channel(1);
        std::mem::forget(sender);
        Arriving { pieces, task: None, waited: Duration::ZERO }
    }
}

struct Bytewise(Vec<u8>);

impl Sink for Bytewise {
    fn put(&mut self, chunks: Vec<u8>) -> Result<(), Gone> {
        self.0.extend_from_slice(&chunks);
        Ok(())
    }
}

fn hub(name: &str, count: i64) -> Arc<Hub> {
    let hub = Arc::new(Hub::default());
    let (mut metrics, mut logs) = (MetricBatch::new(), LogBatch::new());
    metrics.start_series(&mut [("__name__", name)]).unwrap();
    logs.start_stream(&mut [("app", name)]).unwrap();
    for at in 0..count {
        metrics.push_sample(at, at as f64);
        logs.push_entry(at, format!("{name} {at}").as_bytes(), &mut []).unwrap();
    }
    hub.metrics.load(metrics);
    hub.logs.replay(&logs, 1);
    hub
}

/// What a hub answers to a request for everything.
fn answered(hub: &Hub, request: &str) -> Vec<u8> {
    let (request, mut out) = (Request::read(request.as_bytes()).unwrap(), Bytewise(Vec::new()));
    let stores = Stores { metrics: &*hub.metrics, logs: &*hub.logs, traces: &*hub.traces };
    answer(&request, stores, &QueryContext::unlimited(), &mut out);
    out.0
}

const SAMPLES: &str = r#"{"ask":"samples","matchers":[],"start_ms":0,"end_ms":100000}"#;
const EVERYTHING: MetricSelect<'_> = MetricSelect { matchers: &[], start_ms: 0, end_ms: 100_000 };

fn read(merged: &MergedMetrics, context: &QueryContext) -> Result<Vec<(String, usize)>, ReadError> {
    let (mut found, mut series) = (Vec::new(), SeriesSamples::default());
    let mut cursor = merged.select(&EVERYTHING, context)?;
    while cursor.next(&mut series)? {
        found.push((series.labels.to_string(), series.values.len()));
    }
    Ok(found)
}

#[test]
fn one_that_is_away_is_a_warning() {
    let ours = hub("ours", 3);
    let away = || Box::new(Scripted(Vec::new(), Some(Fault::Unreachable("connection refused".to_owned()))));
    let others = Peers::of_links(vec![away()]);
    let merged = MergedMetrics::new(ours.metrics.clone(), others.clone());
    for round in 0..2 {
        let context = QueryContext::unlimited();
        assert_eq!(read(&merged, &context).unwrap(), [(r#"{__name__="ours"}"#.to_owned(), 3)]);
        let warnings = context.warnings();
        assert!(warnings.len() == 1 && warnings[0].contains("connection refused"), "{round}: {warnings:?}");
        assert!(warnings[0].contains("http://peer-0 is missing from this answer"), "{warnings:?}");
    }
    let context = QueryContext::unlimited();
    let logs = MergedLogs::new(ours.logs.clone(), others.clone());
    let (mut rows, mut lines) = (LogRows::default(), 0);
    let mut cursor = logs.select(&LogSelect::default(), &context).unwrap();
    while cursor.next(&mut rows).unwrap() {
        lines += rows.order.len();
    }
    assert_eq!((lines, context.warnings().len()), (3, 1));
    assert_eq!(logs.totals(&[], 0, 9, &context).unwrap().len(), 1);
    let traces = MergedTraces::new(ours.traces.clone(), others, Arc::new(ManualClock::new(0)));
    let context = QueryContext::unlimited();
    let scan = SpanScan::whole(0, 9, &[]);
    assert!(!traces.scan(&scan, &context).unwrap().next(&mut SpanBatch::new()).unwrap());
    assert_eq!(context.warnings().len(), 1);
}

/// Wherever a stream is cut, what came before it counts, and the query is told.
#[test]
fn a_cut_answer_is_never_whole() {
    let (ours, theirs) = (hub("ours", 2), hub("theirs", 300));
    let whole = answered(&theirs, SAMPLES);
    for end in (0..whole.len()).step_by(3) {
        let cut = Scripted(vec![Bytes::copy_from_slice(&whole[..end])], None);
        let merged = MergedMetrics::new(ours.metrics.clone(), Peers::of_links(vec![Box::new(cut)]));
        let context = QueryContext::unlimited();
        let found = read(&merged, &context).unwrap();
        assert!(found.iter().any(|(name, count)| name.contains("ours") && *count == 2));
        // Behind the last frame come a few bytes that end the packing, and say nothing.
        let is_whole = context.warnings().is_empty();
        assert!(!is_whole || end + 16 > whole.len(), "cut after {end} of {} bytes", whole.len());
        assert!(!is_whole || found.iter().any(|(name, count)| name.contains("theirs") && *count == 300));
    }
    let merged =
        MergedMetrics::new(ours.metrics.clone(), Peers::of_links(vec![Box::new(Scripted(vec![whole.into()], None))]));
    let context = QueryContext::unlimited();
    assert_eq!((read(&merged, &context).unwrap().len(), context.warnings().len()), (2, 0));
}

#[test]
fn damage_is_a_warning_and_no_panic() {
    let (ours, theirs) = (hub("ours", 2), hub("theirs", 300));
    let whole = answered(&theirs, SAMPLES);
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        let link = Scripted(vec![damaged.into()], None);
        let merged = MergedMetrics::new(ours.metrics.clone(), Peers::of_links(vec![Box::new(link)]));
        let context = QueryContext::unlimited();
        if let Ok(found) = read(&merged, &context) {
            assert!(found.iter().any(|(name, _)| name.contains("ours")), "byte {at}");
        }
    }
}

#[test]
fn a_refusal_is_told() {
    let (ours, away) = (hub("ours", 1), Fault::Refused("it answered 400 Bad Request: no".to_owned()));
    let others = Peers::of_links(vec![Box::new(Scripted(Vec::new(), Some(away)))]);
    let merged = MergedMetrics::new(ours.metrics.clone(), others.clone());
    let context = QueryContext::unlimited();
    assert_eq!(read(&merged, &context).unwrap().len(), 1);
    assert!(context.warnings()[0].contains("400 Bad Request: no"));
    // It is there, so that it is asked again.
    assert!(!others.all_gone(&context));
}

#[test]
fn who_waits_for_a_silent_hub_can_be_stopped() {
    let ours = hub("ours", 1);
    let merged = MergedMetrics::new(ours.metrics.clone(), Peers::of_links(vec![Box::new(Silent)]));
    let budget = Budget::standalone(BudgetName::Query, 1 << 20);
    let deadline = Instant::now() + Duration::from_millis(50);
    let context = QueryContext::new(&budget, Some(deadline), Cancel::new()).unwrap();
    assert_eq!(read(&merged, &context), Err(ReadError::Timeout));
    let cancel = Cancel::new();
    cancel.cancel();
    let context = QueryContext::new(&budget, None, cancel).unwrap();
    assert_eq!(read(&merged, &context), Err(ReadError::Cancelled));
}

#[test]
fn frames_are_charged_to_the_query_and_given_back() {
    let (ours, theirs) = (hub("ours", 1), hub("theirs", 20_000));
    let merged = MergedMetrics::new(ours.metrics.clone(), peers(&[theirs]));
    let small = Budget::standalone(BudgetName::Query, 50_000);
    let context = QueryContext::new(&small, None, Cancel::new()).unwrap();
    assert!(matches!(read(&merged, &context), Err(ReadError::OverBudget(_))));
    drop(context);
    let ample = Budget::standalone(BudgetName::Query, 8 << 20);
    let context = QueryContext::new(&ample, None, Cancel::new()).unwrap();
    assert_eq!(read(&merged, &context).unwrap().len(), 2);
    drop(context);
    assert_eq!((small.used_bytes(), ample.used_bytes()), (0, 0));
}

/// The work of the hub that is asked ends when nobody listens.
#[test]
fn hanging_up_ends_the_other_side() {
    let theirs = hub("theirs", 50_000);
    let (sender, mut pieces) = mpsc::channel(1);
    let worker = std::thread::spawn(move || {
        let request = Request::read(SAMPLES.as_bytes()).unwrap();
        let stores = Stores { metrics: &*theirs.metrics, logs: &*theirs.logs, traces: &*theirs.traces };
        answer(
            &request,
            stores,
            &QueryContext::unlimited(),
            &mut super::Channel { pieces: sender, piece_bytes: 100, sent_bytes: Arc::default() },
        );
    });
    assert!(pieces.blocking_recv().is_some());
    drop(pieces);
    worker.join().unwrap();
}

#[test]
fn this_hub_itself_is_not_asked() {
    let ours = hub("ours", 1);
    let direct = Direct { hub: ours.clone(), piece_bytes: 1000, sent_bytes: Arc::default() };
    let others = Peers::of_links(vec![Box::new(direct)]);
    others.first().set_state(State::Own);
    let merged = MergedMetrics::new(ours.metrics.clone(), others);
    let context = QueryContext::unlimited();
    assert_eq!((read(&merged, &context).unwrap().len(), context.warnings().len()), (1, 0));
}
