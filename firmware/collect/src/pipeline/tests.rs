//! Pipelines end to end: from what is declared to what the writer behind is given, and the sender is told.

mod gathering;

use super::*;
use crate::pipeline::logs::{RedactConfig, Redactor};
use bramble_runtime::{Budget, BudgetName, ManualClock, Reservation};
use bramble_signal::attributes::{AttributeValue, put_attribute};
use bramble_signal::{
    Exemplar, Labels, LogBatch, MetricBatch, NativeHistogram, ResourceEntry, ScopeEntry, Signal, SpanBatch, SpanEntry,
    SpanEvent, SpanKind, attributes::AttributesRef, put_event,
};
use bramble_storage::{Batch, Delivered, Delivery, Done, Urgency, WriteError, Writer, Written};
use parking_lot::Mutex;
use prometheus::Registry;
use std::sync::Arc;

/// Remembers what it is given, where the memory of it begins, and with which delivery.
#[derive(Default)]
struct Store {
    batches: Mutex<Vec<(Batch, usize, Option<Delivery>)>>,
}

#[derive(Clone, Default)]
struct StoreRef(Arc<Store>);

impl StoreRef {
    fn take(&self, batch: Batch, delivery: Option<Delivery>, held: Reservation, done: Done) {
        assert!(held.bytes() >= batch.memory_bytes() || batch.is_empty(), "what is handed over is paid for");
        let (accepted, histograms) = match &batch {
            Batch::Metrics(metrics) => (metrics.sample_count(), metrics.histogram_count()),
            other => (other.item_count(), 0),
        };
        let place = match &batch {
            Batch::Logs(logs) => logs.arena().as_ptr() as usize,
            Batch::Spans(spans) => spans.arena.as_ptr() as usize,
            Batch::Metrics(_) => 0,
        };
        self.0.batches.lock().push((batch, place, delivery));
        done(Ok(Written { accepted: accepted as u64, histograms: histograms as u64, ..Written::default() }));
    }
}

impl Writer for StoreRef {
    fn write_metrics(&self, batch: MetricBatch, held: Reservation, _: Urgency, done: Done) {
        self.take(Batch::Metrics(batch), None, held, done);
    }
    fn write_logs(&self, batch: LogBatch, held: Reservation, _: Urgency, done: Done) {
        self.take(Batch::Logs(batch), None, held, done);
    }
    fn write_spans(&self, batch: SpanBatch, held: Reservation, _: Urgency, done: Done) {
        self.take(Batch::Spans(batch), None, held, done);
    }
    fn deliver(&self, delivery: Delivery, batch: Batch, held: Reservation, _: Urgency, done: Done) {
        self.take(batch, Some(delivery), held, done);
    }
    fn delivered(&self, source: &str) -> Option<Delivered> {
        (source == "files").then(|| Delivered { sequence: 7, ..Delivered::default() })
    }
}

struct Bench {
    store: StoreRef,
    budget: Budget,
    registry: Registry,
    clock: Arc<ManualClock>,
    pipelines: Pipelines<StoreRef>,
}

fn options(yaml: &str, redact: bool) -> PipelineOptions {
    let pipelines = if yaml.is_empty() { Vec::new() } else { serde_saphyr::from_str(yaml).unwrap() };
    let redactor = redact.then(|| Arc::new(Redactor::new(&RedactConfig::default()).unwrap()));
    PipelineOptions { pipelines, redactor }
}

impl Bench {
    fn new(yaml: &str) -> Bench {
        Bench::with(&options(yaml, false))
    }

    fn with(options: &PipelineOptions) -> Bench {
        let (store, registry) = (StoreRef::default(), Registry::new());
        let budget = Budget::standalone(BudgetName::Receive, 1 << 20);
        let clock = Arc::new(ManualClock::new(1_700_000_000_000));
        let pipelines = Pipelines::new(store.clone(), options, budget.clone(), clock.clone(), &registry).unwrap();
        Bench { store, budget, registry, clock, pipelines }
    }

    /// Writes a batch; what the sender is told.
    fn write(&self, batch: impl Into<Wrapped>) -> Result<Written, WriteError> {
        let batch = batch.into().0;
        let held = self.budget.reserve(batch.memory_bytes()).unwrap();
        let answer = Arc::new(Mutex::new(None));
        let told = answer.clone();
        self.pipelines.write(batch, held, Urgency::SenderWaits, Box::new(move |result| *told.lock() = Some(result)));
        let answer = answer.lock().take();
        answer.expect("answered")
    }

    /// The batch that the store got last.
    fn stored(&self) -> Batch {
        self.store.0.batches.lock().last().expect("stored").0.clone()
    }

    fn stored_logs(&self) -> Vec<String> {
        let Batch::Logs(logs) = self.stored() else { panic!("logs") };
        let entry = |e: bramble_signal::LogEntry<'_>| format!("{} {}", String::from_utf8_lossy(e.line), e.metadata);
        let stream = |s: bramble_signal::LogStream<'_>| {
            let labels = s.labels().to_string();
            s.entries().map(|e| format!("{labels} {}", entry(e))).collect::<Vec<_>>()
        };
        logs.streams().flat_map(stream).collect()
    }

    fn stored_metrics(&self) -> Vec<String> {
        let Batch::Metrics(metrics) = self.stored() else { panic!("metrics") };
        metrics.iter().map(|(labels, samples)| format!("{labels} {}", samples.len())).collect()
    }

    fn counted(&self, name: &str, pairs: &[(&str, &str)]) -> u64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name).expect("registered");
        let is = |metric: &&prometheus::proto::Metric| {
            pairs.iter().all(|(n, v)| metric.get_label().iter().any(|l| l.name() == *n && l.value() == *v))
        };
        family.get_metric().iter().filter(is).map(|metric| metric.get_counter().get_value() as u64).sum()
    }
}

/// A batch of any signal.
struct Wrapped(Batch);

impl From<LogBatch> for Wrapped {
    fn from(batch: LogBatch) -> Self {
        Wrapped(Batch::Logs(batch))
    }
}

impl From<MetricBatch> for Wrapped {
    fn from(batch: MetricBatch) -> Self {
        Wrapped(Batch::Metrics(batch))
    }
}

impl From<SpanBatch> for Wrapped {
    fn from(batch: SpanBatch) -> Self {
        Wrapped(Batch::Spans(batch))
    }
}

/// A line and its metadata.
type Line<'a> = (&'a str, &'a [(&'a str, &'a str)]);

fn logs(streams: &[(&str, &[Line<'_>])]) -> LogBatch {
    let mut batch = LogBatch::new();
    for (app, entries) in streams {
        batch.start_stream(&mut [("app", app)]).unwrap();
        for (at, (line, metadata)) in entries.iter().enumerate() {
            batch.push_entry(at as i64, line.as_bytes(), &mut metadata.to_vec()).unwrap();
        }
    }
    batch
}

fn attributes(batch: &mut SpanBatch, pairs: &[(&str, AttributeValue<'_>)]) -> bramble_signal::Span32 {
    let mut encoded = Vec::new();
    pairs.iter().for_each(|(key, value)| put_attribute(&mut encoded, key, *value));
    batch.put(&encoded)
}

/// Spans of two services: each span is its name and one attribute.
fn spans(all: &[(&str, &str, (&str, AttributeValue<'_>))]) -> SpanBatch {
    let mut batch = SpanBatch::new();
    batch.scopes.push(ScopeEntry::default());
    for service in ["web", "db"] {
        let attributes = attributes(&mut batch, &[("service.name", AttributeValue::Str(service))]);
        batch.resources.push(ResourceEntry { attributes, ..ResourceEntry::default() });
    }
    for (service, name, attribute) in all {
        let attributes = attributes(&mut batch, &[*attribute]);
        let name = batch.put(name.as_bytes());
        let resource = u32::from(*service != "web");
        batch.spans.push(SpanEntry { name, attributes, resource, kind: SpanKind::Server, ..SpanEntry::default() });
    }
    batch
}

fn shown(batch: &SpanBatch) -> Vec<String> {
    let shown = |attributes: AttributesRef<'_>| {
        attributes.iter().map(|(k, v)| format!("{k}={v:?}")).collect::<Vec<_>>().join(",")
    };
    let span = |span: &SpanEntry| {
        let of_span = shown(batch.attributes(span.attributes));
        format!("{} [{}] {of_span}", batch.text(span.name), shown(batch.resource_attributes(span)))
    };
    batch.spans.iter().map(span).collect()
}

#[test]
fn what_nothing_changes_goes_on_in_the_memory_that_it_came_in() {
    let yaml = "- {name: p, steps: [{drop: {match: '{app=\"other\"}'}}, {attributes: [{action: delete, key: none}]}]}";
    let bench = Bench::with(&options(yaml, true));
    let batch = logs(&[("web", &[("plain", &[("k", "v")]), ("lines", &[])])]);
    let (place, before) = (batch.arena().as_ptr() as usize, batch.clone());
    assert_eq!(bench.write(batch).unwrap().accepted, 2);
    assert_eq!(bench.store.0.batches.lock()[0].1, place);
    assert_eq!(bench.stored(), Batch::Logs(before));
    let batch = spans(&[("web", "GET /", ("http.route", AttributeValue::Str("/")))]);
    let place = batch.arena.as_ptr() as usize;
    bench.write(batch).unwrap();
    assert_eq!(bench.store.0.batches.lock()[1].1, place);
    assert_eq!(bench.budget.used_bytes(), 0);
}

#[test]
fn lines_are_dropped_and_counted_as_accepted() {
    let yaml = r#"
- name: quiet
  signals: [logs]
  match: '{app="web"}'
  steps:
    - drop: {severity_below: info, reason: debug}
    - drop: {line: "GET /health"}
    - keep: {match: '{keep!="no"}'}
"#;
    let bench = Bench::new(yaml);
    let batch = || {
        let debug: &[(&str, &str)] = &[("detected_level", "debug")];
        let web: &[(&str, &[(&str, &str)])] =
            &[("a", debug), ("b GET /health", &[]), ("c", &[]), ("d", &[("keep", "no")])];
        logs(&[("web", web), ("db", &[("e", debug)])])
    };
    assert_eq!(bench.write(batch()).unwrap().accepted, 5);
    assert_eq!(bench.stored_logs(), [r#"{app="web"} c {}"#, r#"{app="db"} e {detected_level="debug"}"#]);
    let dropped =
        |reason| bench.counted("bramble_pipeline_dropped_total", &[("pipeline", "quiet"), ("reason", reason)]);
    assert_eq!((dropped("debug"), dropped("drop"), dropped("keep")), (1, 1, 1));
    // Nothing left: answered here, and the writer hears nothing of it.
    assert_eq!(bench.write(logs(&[("web", &[("GET /health", &[])])])).unwrap().accepted, 1);
    assert_eq!(bench.store.0.batches.lock().len(), 1);
}

#[test]
fn labels_metadata_and_places_are_changed() {
    let yaml = r#"
- name: p
  steps:
    - enrich: {attributes: {deployment.environment: prod, app: never}}
    - attributes:
        - {action: hash, key: user.id}
        - {action: extract, key: http_target, pattern: '^(?P<http_path>[^?]*)'}
        - {action: delete, pattern: '^secret'}
        - {action: upsert, on: resource, key: team, from_attribute: app}
        - {action: update, key: absent, value: 1}
        - {action: insert, key: first, value: true}
"#;
    let bench = Bench::new(yaml);
    let metadata: &[(&str, &str)] = &[("user_id", "7"), ("http_target", "/a?b"), ("secret_key", "x")];
    bench.write(logs(&[("web", &[("line", metadata)])])).unwrap();
    let hash = "7902699be42c8a8e46fbbb4501726517e86b22c56a189f7625a6da49081b2451";
    assert_eq!(
        bench.stored_logs(),
        [format!(
            r#"{{app="web", deployment_environment="prod", team="web"}} line {{first="true", http_path="/a", http_target="/a?b", user_id="{hash}"}}"#
        )]
    );
    bench.write(spans(&[("db", "q", ("user.id", AttributeValue::Int(7)))])).unwrap();
    let Batch::Spans(stored) = bench.stored() else { panic!("spans") };
    let resource = r#"service.name=Str("db"),app=Str("never"),deployment.environment=Str("prod"),team=Str("never")"#;
    assert_eq!(shown(&stored), [format!(r#"q [{resource}] user.id=Str("{hash}"),first=Bool(true)"#)]);
    assert_eq!(bench.budget.used_bytes(), 0);
}

#[test]
fn series_are_relabelled_dropped_and_counted() {
    let yaml = r#"
- name: m
  signals: [metrics]
  steps:
    - relabel:
        - {source_labels: [__name__], regex: 'old_(.*)', target_label: __name__, replacement: 'new_$1'}
        - {source_labels: [job], regex: noise, action: drop}
        - {regex: pod, action: labeldrop}
    - drop: {name: 'go_.*'}
"#;
    let bench = Bench::new(yaml);
    let mut batch = MetricBatch::new();
    for (name, job) in [("old_a", "x"), ("b", "noise"), ("go_gc", "x"), ("c", "x")] {
        batch.start_series(&mut [("__name__", name), ("job", job), ("pod", "p")]).unwrap();
        batch.push_sample(1, 1.0);
        batch.push_histogram(2, NativeHistogram::default());
        batch.push_exemplar(Exemplar { labels: Labels::empty(), value: 1.0, timestamp_ms: 1 });
    }
    let written = bench.write(batch).unwrap();
    assert_eq!((written.accepted, written.histograms, written.exemplars), (8, 4, 2));
    assert_eq!(bench.stored_metrics(), [r#"{__name__="new_a", job="x"} 2"#, r#"{__name__="c", job="x"} 2"#]);
    let Batch::Metrics(stored) = bench.stored() else { panic!("metrics") };
    assert!(stored.histogram(stored.series(1).1[1].value).is_some());
    assert_eq!((stored.exemplars(0).count(), stored.exemplars(1).count()), (1, 1));
    let dropped =
        |reason| bench.counted("bramble_pipeline_dropped_total", &[("signal", "metrics"), ("reason", reason)]);
    assert_eq!((dropped("relabel"), dropped("drop")), (2, 2));
}

#[test]
fn spans_are_dropped_by_what_they_and_their_resources_say() {
    let yaml = r#"
- name: t
  signals: [traces]
  match: '{service.name="web"}'
  steps:
    - drop: {match: '{http.route="/health", resource.service.name="web"}', kind: server}
    - drop: {name: 'OPTIONS.*'}
    - attributes: [{action: convert, key: code, converted_type: int}]
"#;
    let bench = Bench::new(yaml);
    let route = ("http.route", AttributeValue::Str("/health"));
    let batch = spans(&[
        ("web", "GET /health", route),
        ("db", "GET /health", route),
        ("web", "OPTIONS /", ("a", AttributeValue::Empty)),
        ("web", "GET /", ("code", AttributeValue::Str("200"))),
        ("db", "q", ("code", AttributeValue::Str("200"))),
    ]);
    assert_eq!(bench.write(batch).unwrap().accepted, 5);
    let Batch::Spans(stored) = bench.stored() else { panic!("spans") };
    let web = r#"[service.name=Str("web")]"#;
    let db = r#"[service.name=Str("db")]"#;
    assert_eq!(
        shown(&stored),
        [
            format!(r#"GET /health {db} http.route=Str("/health")"#),
            format!("GET / {web} code=Int(200)"),
            format!(r#"q {db} code=Str("200")"#),
        ]
    );
}

#[test]
fn lines_that_are_pushed_run_through_stages() {
    let yaml = r#"
- name: s
  signals: [logs]
  match: '{app="web"}'
  steps:
    - stages:
        - json: {expressions: {level: level, msg: msg}}
        - labels: {level: }
        - output: {source: msg}
        - drop: {expression: noise}
"#;
    let bench = Bench::new(yaml);
    let web: &[(&str, &[(&str, &str)])] = &[
        (r#"{"level":"warn","msg":"hot"}"#, &[("k", "v")]),
        (r#"{"level":"info","msg":"noise"}"#, &[]),
        ("text", &[]),
    ];
    assert_eq!(bench.write(logs(&[("web", web), ("db", &[("as it is", &[])])])).unwrap().accepted, 4);
    assert_eq!(
        bench.stored_logs(),
        [r#"{app="db"} as it is {}"#, r#"{app="web", level="warn"} hot {k="v"}"#, r#"{app="web"} text {}"#]
    );
    assert_eq!(bench.counted("bramble_pipeline_dropped_total", &[("reason", "stages")]), 1);
}

const TOKEN: &str = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";

#[test]
fn secrets_are_taken_out_of_what_is_pushed() {
    let bench = Bench::with(&options("", true));
    let line = format!("token {TOKEN} sent");
    bench.write(logs(&[("web", &[(line.as_str(), &[("auth", TOKEN), ("k", "v")]), ("plain", &[])])])).unwrap();
    let stored = bench.stored_logs();
    assert!(stored.iter().all(|line| !line.contains("ghp_16C7")), "{stored:?}");
    assert!(stored[0].contains(r#"k="v""#) && stored[0].contains("sent") && stored[1].contains("plain"));
    assert_eq!(bench.counted("bramble_pipeline_redacted_total", &[("signal", "logs")]), 2);

    let mut batch =
        spans(&[("web", "GET", ("header", AttributeValue::Str(TOKEN))), ("db", "q", ("n", AttributeValue::Int(1)))]);
    let (mut events, mut of_event) = (Vec::new(), Vec::new());
    put_attribute(&mut of_event, "exception.message", AttributeValue::Str(&line));
    let attributes = AttributesRef::from_encoded(&of_event);
    put_event(&mut events, &SpanEvent { time_ns: 1, name: "exception", attributes, dropped_attributes: 0 });
    let (events, message) = (batch.put(&events), batch.put(line.as_bytes()));
    batch.spans[1].events = events;
    batch.spans[1].status_message = message;
    bench.write(batch).unwrap();
    let Batch::Spans(stored) = bench.stored() else { panic!("spans") };
    let event: Vec<String> = stored
        .events(&stored.spans[1])
        .map(|e| format!("{} {:?}", e.name, e.attributes.get("exception.message")))
        .collect();
    let all = format!("{:?} {event:?} {}", shown(&stored), stored.text(stored.spans[1].status_message));
    assert!(!all.contains("ghp_16C7") && all.contains("exception") && all.contains("n=Int(1)"), "{all}");
    assert_eq!(bench.counted("bramble_pipeline_redacted_total", &[("signal", "traces")]), 3);
}

#[test]
fn deliveries_pass_through_even_when_nothing_is_left_of_them() {
    let bench = Bench::with(&options("- {name: p, signals: [logs], steps: [{drop: {line: x}}]}", true));
    let delivery = Delivery { source: "files".into(), sequence: 8, positions: vec![("f".to_owned(), "10".to_owned())] };
    for (line, accepted, entries) in [("x", 1, 0), (TOKEN, 1, 1)] {
        let batch = Batch::Logs(logs(&[("web", &[(line, &[])])]));
        let held = bench.budget.reserve(batch.memory_bytes()).unwrap();
        let done: Done = Box::new(move |result| assert_eq!(result.unwrap().accepted, accepted));
        bench.pipelines.deliver(delivery.clone(), batch, held, Urgency::Background, done);
        let stored = bench.store.0.batches.lock();
        let (batch, _, told) = stored.last().unwrap();
        assert_eq!((batch.item_count(), told.as_ref()), (entries, Some(&delivery)));
    }
    // It was redacted where it was read, if that was wanted: once is enough.
    assert!(bench.stored_logs()[0].contains(TOKEN));
    assert_eq!(bench.pipelines.delivered("files").unwrap().sequence, 7);
    assert!(bench.pipelines.delivered("other").is_none());
}

#[test]
fn a_limiter_refuses_retryably_by_signal() {
    let bench = Bench::new("- {name: guard, signals: [traces], steps: [{memory_limiter: {share: 0.5}}]}");
    let others = bench.budget.reserve(600 << 10).unwrap();
    let batch = || spans(&[("web", "GET", ("a", AttributeValue::Bool(true)))]);
    let refused = bench.write(batch()).unwrap_err();
    assert!(matches!(refused, WriteError::OverBudget(over) if over.limit_bytes == 512 << 10), "{refused}");
    assert!(!bench.pipelines.has_room(Signal::Traces, 1) && bench.pipelines.has_room(Signal::Logs, 1));
    assert_eq!(bench.counted("bramble_pipeline_refused_total", &[("pipeline", "guard"), ("signal", "traces")]), 1);
    assert!(bench.write(logs(&[("web", &[("a", &[])])])).is_ok());
    drop(others);
    assert!(bench.write(batch()).is_ok() && bench.pipelines.has_room(Signal::Traces, 1));
}

#[test]
fn other_pipelines_are_taken_and_wrong_ones_are_not() {
    let bench = Bench::new("- {name: a, steps: [{drop: {match: '{app=\"web\"}'}}]}");
    let batch = || logs(&[("web", &[("x", &[])])]);
    bench.write(batch()).unwrap();
    assert!(bench.store.0.batches.lock().is_empty());
    assert!(bench.pipelines.replace(&options("- {name: a, steps: [{drop: {}}]}", false)).is_err());
    bench.write(batch()).unwrap();
    assert!(bench.store.0.batches.lock().is_empty());
    bench.pipelines.replace(&options("", false)).unwrap();
    bench.write(batch()).unwrap();
    assert_eq!(bench.store.0.batches.lock().len(), 1);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let error = |yaml: &str| {
        let (store, budget) = (StoreRef::default(), Budget::standalone(BudgetName::Receive, 1));
        let clock = Arc::new(ManualClock::new(0));
        let made = Pipelines::new(store, &options(yaml, false), budget, clock, &Registry::new());
        made.err().expect("refused").to_string()
    };
    let check = |yaml: &str, expected: &str| assert_eq!(error(yaml), expected, "{yaml}");
    check("- {name: ''}", "pipeline[0].name: every pipeline needs a name");
    check("- {name: a}\n- {name: a}", r#"pipeline[1].name: "a" is there twice"#);
    check(
        "- {name: a, match: '{x}'}",
        r#"pipeline "a", match: selector "{x}", character 3: expected one of = != =~ !~, found '}'"#,
    );
    check(
        "- {name: a, steps: [{enrich: {}}, {drop: {severity_below: loud}}], signals: [logs]}",
        r#"pipeline "a", steps[1].drop.severity_below: "loud" is none of the known words"#,
    );
    check(
        "- {name: a, steps: [{drop: {line: x}}]}",
        r#"pipeline "a", steps[0].drop.line: metrics have none; name other signals for the pipeline"#,
    );
    check(
        "- {name: a, steps: [{relabel: []}]}",
        r#"pipeline "a", steps[0].relabel: there is no such step for traces; name other signals for the pipeline"#,
    );
    check(
        "- {name: a, steps: [{attributes: [{action: delete, key: x}, {action: upsert, key: y}]}]}",
        r#"pipeline "a", steps[0].attributes[1]: either a value or from_attribute is needed"#,
    );
    check(
        "- {name: a, steps: [{memory_limiter: {share: 2}}]}",
        r#"pipeline "a", steps[0].memory_limiter.share: 2 is not above 0 and up to 1"#,
    );
    for (yaml, part) in [
        ("- {name: a, steps: [{attributes: [{action: extract, key: x, pattern: '.*'}]}]}", "no named groups"),
        ("- {name: a, steps: [{attributes: [{action: hash, key: x, pattern: '.*'}]}]}", "not both"),
        ("- {name: a, steps: [{attributes: [{action: convert, key: x}]}]}", "converted_type is needed"),
        ("- {name: a, signals: [logs], steps: [{drop: {line: '('}}]}", "drop.line: regex parse error"),
        ("- {name: a, steps: [{keep: {}}]}", "steps[0].keep: a condition is needed"),
        ("- {name: a, signals: [logs], steps: [{stages: [{regex: {expression: '('}}]}]}", "steps[0].stages: "),
    ] {
        assert!(error(yaml).contains(part), "{}", error(yaml));
    }
}
