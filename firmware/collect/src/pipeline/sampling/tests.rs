//! Traces through the writer around the writer.

use super::*;
use bramble_runtime::{Budget, BudgetName, ManualClock, Reservation};
use bramble_signal::attributes::{AttributeValue, put_attribute};
use bramble_signal::{
    LogBatch, MetricBatch, ResourceEntry, ScopeEntry, Signal, SpanBatch, SpanEntry, SpanId, StatusCode, TraceId,
};
use bramble_storage::{Done, Urgency, WriteError, Writer, Written};
use parking_lot::Mutex;
use prometheus::Registry;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const SECOND_NS: u64 = 1_000_000_000;

/// A writer that remembers, refuses when told, and answers at once or when told.
#[derive(Default)]
struct Inner {
    spans: Mutex<Vec<SpanBatch>>,
    fail: Mutex<Option<WriteError>>,
    held_back: Mutex<Option<Vec<(Reservation, Done)>>>,
}

#[derive(Clone)]
struct InnerRef(Arc<Inner>);

impl Writer for InnerRef {
    fn write_metrics(&self, _: MetricBatch, _: Reservation, _: Urgency, done: Done) {
        done(Ok(Written::default()));
    }

    fn write_logs(&self, _: LogBatch, _: Reservation, _: Urgency, done: Done) {
        done(Ok(Written::default()));
    }

    fn write_spans(&self, batch: SpanBatch, held: Reservation, _: Urgency, done: Done) {
        assert!(held.bytes() > 0 && !batch.is_empty());
        if let Some(error) = self.0.fail.lock().clone() {
            return done(Err(error));
        }
        let accepted = batch.spans.len() as u64;
        self.0.spans.lock().push(batch);
        match &mut *self.0.held_back.lock() {
            Some(waiting) => waiting.push((held, done)),
            None => done(Ok(Written { accepted, ..Written::default() })),
        }
    }

    fn has_room(&self, _: Signal, _: usize) -> bool {
        true
    }
}

struct World {
    sampling: Sampling<InnerRef>,
    inner: Arc<Inner>,
    dropped: Arc<Mutex<Vec<SpanBatch>>>,
    clock: Arc<ManualClock>,
    receive: Budget,
    registry: Registry,
}

fn tail() -> TailOptions {
    TailOptions {
        wait: Duration::from_secs(10),
        traces_max: 1000,
        bytes_max: 1 << 20,
        errors: true,
        slow_root: Some(Duration::from_secs(1)),
        slow_span: Some(Duration::from_secs(3)),
        attributes: vec!["tier=gold".parse().unwrap(), "url=~/admin/.*".parse().unwrap()],
        rest: Share::NONE,
        spans_per_second: None,
    }
}

fn only_tail(tail: TailOptions) -> SamplingOptions {
    SamplingOptions { head_share: Share::ALL, head_spans_per_second: None, tail: Some(tail), decisions_max: 100 }
}

/// A span of trace, number and parent; the rest is changed by who wants it otherwise.
#[derive(Clone, Debug)]
struct Made {
    trace: u64,
    id: u8,
    parent: u8,
    duration_ms: u64,
    failed: bool,
    attribute: Option<(&'static str, &'static str)>,
}

fn span(trace: u64, id: u8) -> Made {
    Made { trace, id, parent: u8::from(id > 1), duration_ms: 5, failed: false, attribute: None }
}

fn trace_id(trace: u64) -> TraceId {
    // Spread over the range, so that shares have something to decide.
    let mut bytes = [1; 16];
    bytes[8..].copy_from_slice(&trace.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    TraceId(bytes)
}

fn batch(spans: &[Made]) -> SpanBatch {
    let mut batch = SpanBatch::new();
    batch.resources.push(ResourceEntry::default());
    batch.scopes.push(ScopeEntry::default());
    for made in spans {
        let mut bytes = Vec::new();
        if let Some((key, value)) = made.attribute {
            put_attribute(&mut bytes, key, AttributeValue::Str(value));
        }
        let attributes = batch.put(&bytes);
        batch.spans.push(SpanEntry {
            trace_id: trace_id(made.trace),
            span_id: SpanId([made.id; 8]),
            parent_span_id: SpanId([made.parent; 8]),
            start_ns: 1,
            end_ns: 1 + made.duration_ms * 1_000_000,
            status: if made.failed { StatusCode::Error } else { StatusCode::Unset },
            attributes,
            ..Default::default()
        });
    }
    batch
}

fn ids(batches: &[SpanBatch]) -> BTreeMap<TraceId, Vec<u8>> {
    let mut found: BTreeMap<TraceId, Vec<u8>> = BTreeMap::new();
    for span in batches.iter().flat_map(|batch| &batch.spans) {
        found.entry(span.trace_id).or_default().push(span.span_id.0[0]);
    }
    found.values_mut().for_each(|spans| spans.sort_unstable());
    found
}

impl World {
    fn new(options: SamplingOptions) -> Self {
        let (inner, dropped) = (Arc::new(Inner::default()), Arc::new(Mutex::new(Vec::new())));
        let (clock, registry) = (Arc::new(ManualClock::new(0)), Registry::new());
        let receive = Budget::standalone(BudgetName::Receive, 8 << 20);
        let seen = dropped.clone();
        let observer = move |batch: &SpanBatch| seen.lock().push(batch.clone());
        let (writer, budget) = (InnerRef(inner.clone()), receive.clone());
        let sampling = Sampling::new(writer, options, budget, clock.clone(), observer, &registry).unwrap();
        World { sampling, inner, dropped, clock, receive, registry }
    }

    fn send(&self, spans: &[Made]) -> Result<u64, WriteError> {
        let (sender, outcome) = std::sync::mpsc::channel();
        let batch = batch(spans);
        let held = self.receive.reserve(batch.memory_bytes()).unwrap();
        let done: Done = Box::new(move |result| sender.send(result).unwrap());
        self.sampling.write_spans(batch, held, Urgency::SenderWaits, done);
        outcome.try_recv().expect("answered at once").map(|written| written.accepted)
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance_ns(seconds * SECOND_NS);
        self.sampling.step();
    }

    fn kept(&self) -> BTreeMap<TraceId, Vec<u8>> {
        ids(&self.inner.spans.lock())
    }

    fn gone(&self) -> BTreeMap<TraceId, Vec<u8>> {
        ids(&self.dropped.lock())
    }

    fn counted(&self, name: &str, label: &str) -> f64 {
        let families = self.registry.gather();
        let of = families.iter().find(|family| family.name() == name);
        let metrics = of.iter().flat_map(|family| family.get_metric());
        let labelled = metrics.filter(|m| label.is_empty() || m.get_label().iter().any(|l| l.value() == label));
        labelled.map(|m| m.get_counter().get_value() + m.get_gauge().get_value()).sum()
    }
}

fn of(traces: &[(u64, &[u8])]) -> BTreeMap<TraceId, Vec<u8>> {
    traces.iter().map(|(trace, spans)| (trace_id(*trace), spans.to_vec())).collect()
}

#[test]
fn policies_keep_whole_traces_and_late_spans_follow() {
    let world = World::new(only_tail(tail()));
    let sent = [
        span(1, 1),
        Made { failed: true, ..span(2, 2) },
        Made { duration_ms: 1000, ..span(3, 1) },
        Made { duration_ms: 1000, ..span(4, 2) },
        Made { duration_ms: 3000, ..span(5, 2) },
        Made { attribute: Some(("tier", "gold")), ..span(6, 2) },
        Made { attribute: Some(("url", "/admin/x")), ..span(7, 2) },
        Made { attribute: Some(("url", "x/admin/x")), ..span(8, 2) },
    ];
    assert_eq!(world.send(&sent), Ok(8));
    world.pass(9);
    assert_eq!(world.send(&[span(2, 1), span(5, 1), span(1, 2)]), Ok(3));
    assert!(world.kept().is_empty() && world.gone().is_empty());
    world.pass(1);
    let kept = of(&[(2, &[1, 2]), (3, &[1]), (5, &[1, 2]), (6, &[2]), (7, &[2])]);
    assert_eq!((world.kept(), world.gone()), (kept, of(&[(1, &[1, 2]), (4, &[2]), (8, &[2])])));
    world.send(&[Made { failed: true, ..span(1, 3) }, span(2, 3)]).unwrap();
    assert_eq!((world.kept()[&trace_id(2)].len(), world.gone()[&trace_id(1)].len()), (3, 3));
    assert_eq!(world.counted("bramble_sampling_kept_spans_total", "error"), 2.0);
    assert_eq!(world.counted("bramble_sampling_kept_spans_total", "late"), 1.0);
    assert_eq!(world.counted("bramble_sampling_dropped_spans_total", "policy"), 4.0);
}

#[test]
fn traces_kept_by_name_are_kept() {
    let world = World::new(only_tail(tail()));
    world.send(&[span(1, 1), span(2, 1), span(3, 1)]).unwrap();
    world.sampling.keep(trace_id(1));
    world.pass(10);
    assert_eq!(world.kept(), of(&[(1, &[1])]));
    world.sampling.keep(trace_id(2));
    world.send(&[span(2, 2), span(3, 2)]).unwrap();
    assert_eq!(world.kept(), of(&[(1, &[1]), (2, &[2])]), "from now on");
}

#[test]
fn rates_hold_and_traces_are_not_cut() {
    let options = TailOptions { errors: true, spans_per_second: Some(3), ..tail() };
    let world = World::new(only_tail(options));
    let failed = |trace, id| Made { failed: true, ..span(trace, id) };
    let sent: Vec<Made> = (1..=4).flat_map(|trace| [failed(trace, 1), failed(trace, 2)]).collect();
    world.send(&sent).unwrap();
    world.pass(10);
    assert_eq!(world.kept(), of(&[(1, &[1, 2]), (2, &[1, 2])]));
    assert_eq!(world.counted("bramble_sampling_dropped_spans_total", "rate"), 4.0);
}

#[test]
fn what_is_refused_goes_out_again_and_senders_are_told_when_too_much_waits() {
    let world = World::new(only_tail(TailOptions { bytes_max: 64 << 10, rest: Share::ALL, ..tail() }));
    *world.inner.fail.lock() = Some(WriteError::StorageFull("full".into()));
    world.send(&[span(1, 1)]).unwrap();
    world.pass(10);
    assert_eq!(world.counted("bramble_sampling_failed_writes_total", ""), 1.0);
    let mut trace = 1;
    let refused = loop {
        trace += 1;
        if let Err(error) = world.send(&[span(trace, 1)]) {
            break error;
        }
        world.pass(10);
        assert!(trace < 2000);
    };
    assert_eq!(refused, WriteError::StorageFull("full".into()));
    assert!(!world.sampling.has_room(Signal::Traces, 1) && world.sampling.has_room(Signal::Logs, 1));
    *world.inner.fail.lock() = None;
    world.pass(40);
    world.pass(40);
    assert_eq!(world.kept().len() as u64, trace - 1, "nothing that was answered is lost");
    assert!(world.sampling.has_room(Signal::Traces, 1) && world.send(&[span(trace, 1)]).is_ok());
}

#[test]
fn what_is_under_way_is_bounded_and_a_stop_writes_everything() {
    let world = World::new(only_tail(TailOptions { rest: Share::ALL, ..tail() }));
    *world.inner.held_back.lock() = Some(Vec::new());
    for trace in 0..6 {
        world.send(&[span(trace, 1)]).unwrap();
        world.pass(10);
    }
    assert_eq!(world.inner.spans.lock().len(), 4);
    world.send(&[span(6, 1)]).unwrap();
    world.sampling.finish();
    assert_eq!(world.kept().len(), 7);
    assert_eq!(world.counted("bramble_sampling_early_decisions_total", "stop"), 1.0);
}

#[test]
fn head_sampling_is_by_trace_and_answers_for_all() {
    let options = SamplingOptions {
        head_share: Share::new(0.5).unwrap(),
        head_spans_per_second: None,
        tail: None,
        decisions_max: 100,
    };
    let world = World::new(options);
    let spans: Vec<Made> = (0..200).flat_map(|trace| [span(trace, 1), span(trace, 2)]).collect();
    assert_eq!(world.send(&spans), Ok(400));
    let (kept, gone) = (world.kept(), world.gone());
    assert!((70..130).contains(&kept.len()) && kept.len() + gone.len() == 200);
    assert!(kept.values().chain(gone.values()).all(|spans| *spans == [1, 2]));
    *world.inner.fail.lock() = Some(WriteError::ShuttingDown);
    let before = world.gone().len();
    assert_eq!(world.send(&[span(300, 1), span(301, 1), span(302, 1), span(303, 1)]), Err(WriteError::ShuttingDown));
    assert_eq!(world.gone().len(), before, "the sender sends it again; it is counted then");
}

#[test]
fn head_rates_cut_no_traces() {
    let options =
        SamplingOptions { head_share: Share::ALL, head_spans_per_second: Some(10), tail: None, decisions_max: 100 };
    let world = World::new(options);
    let first: Vec<Made> = (0..20).map(|trace| span(trace, 1)).collect();
    let second: Vec<Made> = (0..20).map(|trace| span(trace, 2)).collect();
    assert_eq!((world.send(&first), world.send(&second)), (Ok(20), Ok(20)));
    assert_eq!(world.kept().len(), 10);
    assert!(world.kept().values().all(|spans| *spans == [1, 2]));
}

#[test]
fn rules_say_what_is_wrong_with_them() {
    assert!("=x".parse::<AttributeRule>().is_err() && "a=~(".parse::<AttributeRule>().is_err());
    let rule: AttributeRule = "a=~b.*".parse().unwrap();
    assert_eq!(rule.to_string(), "a=~b.*");
    assert!("a".parse::<AttributeRule>().is_ok());
}

fn any_span() -> impl Strategy<Value = Made> {
    (0u64..12, 1u8..6, 0u64..1500, prop::bool::weighted(0.1)).prop_map(|(trace, id, duration_ms, failed)| Made {
        duration_ms,
        failed,
        ..span(trace, id)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn nothing_is_lost_and_traces_are_whole_unless_decided_early(
        sends in proptest::collection::vec((proptest::collection::vec(any_span(), 1..8), 0u64..5), 1..40),
        traces_max in 3usize..20,
        kilobytes in 8usize..200,
        share in 0.0f64..1.0,
    ) {
        let options = TailOptions {
            traces_max, bytes_max: kilobytes << 10, rest: Share::new(share).unwrap(), ..tail()
        };
        let bytes_max = options.bytes_max;
        let world = World::new(only_tail(options));
        let (mut sent, mut all) = (BTreeMap::<TraceId, Vec<u8>>::new(), 0);
        for (spans, pause) in &sends {
            prop_assert_eq!(world.send(spans), Ok(spans.len() as u64));
            all += spans.len();
            for made in spans {
                sent.entry(trace_id(made.trace)).or_default().push(made.id);
            }
            prop_assert!(world.counted("bramble_sampling_window_traces", "") <= traces_max as f64);
            prop_assert!(world.counted("bramble_sampling_window_bytes", "") <= bytes_max as f64);
            world.pass(*pause);
        }
        world.sampling.finish();
        let (kept, gone) = (world.kept(), world.gone());
        let count = |m: &BTreeMap<TraceId, Vec<u8>>| m.values().map(Vec::len).sum::<usize>();
        prop_assert_eq!(count(&kept) + count(&gone), all);
        // Decisions are remembered for longer than this test sends, so that even what was decided early goes one way.
        for (trace, mut spans) in sent {
            spans.sort_unstable();
            prop_assert!(kept.get(&trace) == Some(&spans) || gone.get(&trace) == Some(&spans));
        }
    }
}
