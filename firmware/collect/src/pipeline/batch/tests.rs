use super::*;
use bramble_runtime::BudgetName;
use bramble_signal::{
    LogBatch, MetricBatch, NativeHistogram, ResourceEntry, ScopeEntry, SpanBatch, SpanEntry, TraceId,
};
use bramble_storage::{RejectReason, Rejections, WriteError, Written};
use proptest::prelude::*;

type Told = Arc<Mutex<Vec<(usize, Result<Written, WriteError>)>>>;

struct Bench {
    gather: Gather,
    settings: BatchSettings,
    receive: Budget,
    told: Told,
}

impl Bench {
    fn new(config: BatchConfig) -> Bench {
        Bench {
            gather: Gather::new(&Registry::new()).unwrap(),
            settings: BatchSettings::compile(&config).unwrap(),
            receive: Budget::standalone(BudgetName::Receive, 1 << 20),
            told: Told::default(),
        }
    }

    /// Sender `who` sends.
    fn send(&self, who: usize, batch: Batch, now_ns: u64) -> Vec<Ready> {
        let (held, told) = (self.receive.reserve(batch.memory_bytes()).unwrap(), self.told.clone());
        let done: Done = Box::new(move |outcome| told.lock().push((who, outcome)));
        let request = Request { batch, held, urgency: Urgency::Background, done };
        self.gather.take(&self.settings, request, &self.receive, now_ns)
    }

    /// What was told since the last time.
    fn told(&self) -> Vec<(usize, Result<Written, WriteError>)> {
        std::mem::take(&mut *self.told.lock())
    }
}

fn config(send_batch_size: usize, send_batch_max_size: usize, timeout: &str) -> BatchConfig {
    BatchConfig { send_batch_size: Some(send_batch_size), send_batch_max_size, timeout: Some(timeout.to_owned()) }
}

fn logs(stream: &str, lines: &[&str]) -> Batch {
    let mut batch = LogBatch::new();
    batch.start_stream(&mut [("service", stream)]).unwrap();
    lines.iter().enumerate().for_each(|(at, line)| {
        batch.push_entry(at as i64, line.as_bytes(), &mut []).unwrap();
    });
    Batch::Logs(batch)
}

/// Each item in words.
fn items(batch: &Batch) -> Vec<String> {
    let mut items = Vec::new();
    match batch {
        Batch::Metrics(metrics) => {
            for (index, (labels, samples)) in metrics.iter().enumerate() {
                let of = |s: &bramble_signal::Sample| match metrics.histogram(s.value) {
                    Some(histogram) => format!("{histogram:?}"),
                    None => s.value.to_string(),
                };
                let start = metrics.start_ms(index);
                items.extend(samples.iter().map(|s| format!("{labels} from {start} @{} {}", s.timestamp_ms, of(s))));
            }
        }
        Batch::Logs(logs) => {
            for stream in logs.streams() {
                let labels = stream.labels().to_string();
                items.extend(
                    stream.entries().map(|e| format!("{labels} @{} {:?} {}", e.timestamp_ns, e.line, e.metadata)),
                );
            }
        }
        Batch::Spans(spans) => items.extend(spans.spans.iter().map(|span| {
            format!("{} {} {} {}", spans.service(span), span.trace_id, span.start_ns, spans.text(span.name))
        })),
    }
    items
}

#[test]
fn who_waits_is_told_when_its_part_is_durable() {
    let bench = Bench::new(config(5, 0, "200ms"));
    assert!(bench.send(1, logs("a", &["1", "2"]), 100).is_empty());
    assert_eq!(bench.gather.due_ns(), Some(200_000_100));
    assert!(bench.send(2, logs("b", &["3"]), 150_000_000).is_empty(), "the first one's time counts");
    assert!(bench.gather.take_due(200_000_099).is_empty() && bench.told().is_empty());
    let mut due = bench.gather.take_due(200_000_100);
    let ready = due.pop().unwrap();
    assert_eq!(items(&ready.batch).len(), 3);
    assert_eq!((ready.held.bytes() >= ready.batch.memory_bytes(), bench.gather.due_ns()), (true, None));
    assert!(bench.told().is_empty(), "nobody is answered early");
    (ready.done)(Ok(Written { accepted: 3, ..Written::default() }));
    let accepted: Vec<_> = bench.told().into_iter().map(|(who, told)| (who, told.unwrap().accepted)).collect();
    assert_eq!(accepted, [(1, 2), (2, 1)]);
    drop(ready.held);
    assert_eq!(bench.receive.used_bytes(), 0);
}

#[test]
fn enough_goes_on_at_once() {
    let bench = Bench::new(config(3, 4, "1s"));
    assert!(bench.send(1, logs("a", &["1", "2"]), 0).is_empty());
    let ready = bench.send(2, logs("a", &["3"]), 0);
    assert_eq!(ready.iter().map(|r| r.batch.item_count()).collect::<Vec<_>>(), [3]);
    // What would be too much waits for the next batch.
    assert!(bench.send(1, logs("a", &["1", "2"]), 0).is_empty());
    let ready = bench.send(2, logs("a", &["3", "4", "5"]), 0);
    assert_eq!(ready.iter().map(|r| r.batch.item_count()).collect::<Vec<_>>(), [2, 3]);
    // What is too much by itself goes in parts, and its sender is told once.
    bench.told();
    let parts = bench.send(7, logs("a", &["1", "2", "3", "4", "5", "6", "7", "8", "9"]), 0);
    assert_eq!(parts.iter().map(|r| r.batch.item_count()).collect::<Vec<_>>(), [4, 4, 1]);
    for part in parts {
        assert!(part.held.bytes() >= part.batch.memory_bytes() && bench.told().is_empty());
        let accepted = part.batch.item_count() as u64;
        (part.done)(Ok(Written { accepted, ..Written::default() }));
    }
    let told = bench.told();
    assert_eq!((told.len(), told[0].1.as_ref().unwrap().accepted), (1, 9));
}

#[test]
fn a_refusal_is_told_to_all_and_a_rejection_once() {
    let bench = Bench::new(config(4, 0, "1s"));
    bench.send(1, logs("a", &["1", "2", "3"]), 0);
    let ready = bench.send(2, logs("b", &["4", "5"]), 0).pop().unwrap();
    (ready.done)(Err(WriteError::Journal("full".to_owned())));
    assert!(bench.told().iter().map(|(_, told)| told.is_err()).eq([true, true]));
    bench.send(1, logs("a", &["1"]), 0);
    let ready = bench.send(2, logs("b", &["2", "3", "4"]), 0).pop().unwrap();
    let mut rejections = Rejections::new();
    rejections.add(RejectReason::TooOld, 2, || "old".to_owned());
    (ready.done)(Ok(Written { accepted: 2, rejections, ..Written::default() }));
    let told: Vec<_> = bench.told().into_iter().map(|(_, told)| told.unwrap()).collect();
    let counts: Vec<_> = told.iter().map(|told| (told.accepted, told.rejections.total())).collect();
    assert_eq!(counts, [(0, 1), (2, 1)]);
    assert_eq!(told[1].rejections.first(), "old");
}

#[test]
fn memory_that_is_short_ends_the_waiting() {
    let bench = Bench::new(config(1_000_000, 0, "5s"));
    let line = "x".repeat(20 << 10);
    let mut sent = 0;
    while bench.send(1, logs("a", &[&line]), 0).is_empty() {
        sent += 1;
        assert!(sent < 8, "an eighth of the budget");
    }
    assert_eq!(bench.gather.due_ns(), None);
}

#[test]
fn imports_and_own_telemetry_pass_by() {
    let bench = Bench::new(config(10, 0, "1s"));
    let mut past = MetricBatch::new();
    past.backfill = true;
    past.start_series(&mut [("__name__", "m")]).unwrap();
    past.push_sample(1, 1.0);
    bench.send(1, logs("a", &["1"]), 0);
    assert_eq!(bench.send(1, Batch::Metrics(past), 0).len(), 1);
    assert_eq!(bench.gather.due_ns(), Some(1_000_000_000), "what waits still waits");
}

#[test]
fn settings_are_checked() {
    let said = |config: &BatchConfig| BatchSettings::compile(config).unwrap_err();
    assert!(said(&config(8, 4, "1s")).contains("send_batch_max_size: 4"));
    assert!(said(&config(0, 0, "1s")).contains("at least 1"));
    assert!(said(&config(8, 0, "1m")).contains("at most 5 s"));
    assert!(said(&config(8, 0, "soon")).contains("no duration"));
    let usual = BatchSettings::compile(&BatchConfig::default()).unwrap();
    assert_eq!((usual.items, usual.items_max, usual.timeout_ns), (8192, 0, 200_000_000));
}

fn any_batch() -> impl Strategy<Value = Vec<Batch>> {
    let sizes = || prop::collection::vec(prop::collection::vec(0u8..6, 0..5), 1..5);
    let metrics = |sizes: Vec<u8>| {
        let mut batch = MetricBatch::new();
        for (series, &count) in sizes.iter().enumerate() {
            batch.start_series(&mut [("__name__", "m"), ("n", &series.to_string())]).unwrap();
            batch.set_start(series as i64);
            for at in 0..i64::from(count) {
                match at % 3 {
                    2 => batch.push_histogram(at, NativeHistogram { count: at as f64, ..NativeHistogram::default() }),
                    _ => batch.push_sample(at, at as f64),
                }
            }
        }
        Batch::Metrics(batch)
    };
    let entries = |sizes: Vec<u8>| {
        let mut batch = LogBatch::new();
        for (stream, &count) in sizes.iter().enumerate() {
            batch.start_stream(&mut [("s", &stream.to_string())]).unwrap();
            for at in 0..i64::from(count) {
                batch.push_entry(at, b"line", &mut [("k", "v")]).unwrap();
            }
        }
        Batch::Logs(batch)
    };
    let spans = |sizes: Vec<u8>| {
        let mut batch = SpanBatch::new();
        for (resource, &count) in sizes.iter().enumerate() {
            batch.resources.push(ResourceEntry::default());
            batch.scopes.push(ScopeEntry::default());
            for at in 0..count {
                let name = batch.put(&[b'a' + at]);
                let (resource, trace_id) = (resource as u32, TraceId([at + 1; 16]));
                batch.spans.push(SpanEntry { resource, scope: resource, trace_id, name, ..SpanEntry::default() });
            }
        }
        Batch::Spans(batch)
    };
    prop_oneof![
        sizes().prop_map(move |all| all.into_iter().map(metrics).collect()),
        sizes().prop_map(move |all| all.into_iter().map(entries).collect()),
        sizes().prop_map(move |all| all.into_iter().map(spans).collect()),
    ]
}

proptest! {
    #[test]
    fn everything_is_there_once_and_in_order(batches in any_batch(), items_max in 1usize..9) {
        let wanted: Vec<String> = batches.iter().flat_map(items).collect();
        let mut all = batches.into_iter();
        let mut together = all.next().unwrap();
        all.for_each(|batch| append(&mut together, batch));
        prop_assert_eq!(&items(&together), &wanted);
        let parts = cut(&together, items_max);
        prop_assert!(parts.iter().all(|part| (1..=items_max).contains(&part.item_count())));
        prop_assert_eq!(parts.iter().flat_map(items).collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn answers_add_up(sent in prop::collection::vec(1u64..20, 1..8), share in 0.0f64..=1.0) {
        let total: u64 = sent.iter().sum();
        let refused = (total as f64 * share) as u64;
        let told: Arc<Mutex<Vec<Written>>> = Arc::default();
        let answer = |&items: &u64| {
            let told = told.clone();
            let batch = logs("a", &vec!["x"; items as usize]);
            Answer::of(&batch, Box::new(move |outcome| told.lock().push(outcome.unwrap())))
        };
        let mut rejections = Rejections::new();
        rejections.add(RejectReason::TooOld, refused / 2, || "old".to_owned());
        rejections.add(RejectReason::TooLarge, refused - refused / 2, || "large".to_owned());
        let written = Written { accepted: total - refused, rejections, ..Written::default() };
        Answers(sent.iter().map(answer).collect()).done()(Ok(written));
        let told = told.lock();
        prop_assert_eq!(told.iter().map(|w| w.accepted).sum::<u64>(), total - refused);
        prop_assert_eq!(told.iter().map(|w| w.rejections.total()).sum::<u64>(), refused);
        prop_assert!(told.iter().zip(&sent).all(|(w, &items)| w.accepted + w.rejections.total() == items));
    }
}
