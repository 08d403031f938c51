//! Batches as receivers and stores hand them over, and the items that come out of them.

use super::*;
use crate::identity::Parts;
use crate::item::{Item, Level, What};
use crate::origin::Origin;
use bramble_line::ids::IdKind;
use bramble_signal::attributes::{AttributeValue, put_array, put_attribute, put_key, put_value};
use bramble_signal::{
    Exemplar, FLOATING_MARK, Labels, LabelsRef, LogBatch, MetricBatch, ResourceEntry, ScopeEntry, SpanBatch, SpanEntry,
    SpanId, StatusCode, TraceId,
};
use proptest::prelude::*;

const T: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const S: &str = "00f067aa0ba902b7";

/// One line per item, and one per origin.
#[derive(Default)]
struct Told {
    lines: Vec<String>,
    identities: Vec<u64>,
}

impl ItemSink for Told {
    fn origin(&mut self, origin: &Origin<'_>) {
        self.lines.push(format!("of {} {} {} {}", origin.service, origin.env, origin.node, origin.pod));
    }

    fn item(&mut self, item: &Item<'_>) {
        let ids: Vec<String> = IdKind::BUSINESS
            .into_iter()
            .zip(item.ids)
            .filter(|(_, id)| !id.is_empty())
            .map(|(kind, id)| format!(" {}={id}", kind.as_str()))
            .collect();
        let trace = if item.trace_id.is_zero() { "-".into() } else { item.trace_id.to_string().replace(T, "T") };
        let span = if item.span_id.is_zero() { "-".into() } else { item.span_id.to_string().replace(S, "S") };
        let what = match item.what {
            What::Log { level, identity, .. } => {
                self.identities.push(identity);
                format!("log {}", level.as_str())
            }
            What::Span { duration_ns, failed, name, message, .. } => {
                format!("span {name} {duration_ns} {failed} {message}")
            }
            What::Exemplar { series, value } => format!("exemplar {series} {value}"),
        };
        self.lines.push(format!("{} {trace} {span}{} {what}", item.time_ns, ids.concat()));
    }
}

fn told(batch: Durable<'_>) -> (Vec<String>, Extracted, Vec<u64>) {
    let mut told = Told::default();
    let extracted = Extractor::new().extract(batch, &mut told);
    (told.lines, extracted, told.identities)
}

#[test]
fn what_fields_say_goes_before_what_lines_say() {
    let mut batch = LogBatch::new();
    batch
        .start_stream(&mut [("service", "beorn"), ("host", "rpi-1"), ("env", "dev"), ("resource_id", "r-stream")])
        .unwrap();
    let floating = format!("{FLOATING_MARK}circuit_id");
    let line = format!(r#"{{"trace_id":"{T}","span_id":"{S}","circuit_id":"no","product_id":"p","resource_id":"no"}}"#);
    batch.push_entry(1, line.as_bytes(), &mut [(&floating, "c"), ("detected_level", "error")]).unwrap();
    let other = "0123456789abcdef0123456789abcdef";
    batch
        .push_entry(2, line.as_bytes(), &mut [("traceId", other), ("level", "info"), ("detected_level", "warn")])
        .unwrap();
    batch.push_entry(3, line.as_bytes(), &mut [("traceparent", &format!("00-{T}-0000000000000001-01"))]).unwrap();
    batch.push_entry(4, b"error without ids", &mut [("trace_id", "not one")]).unwrap();
    batch.start_stream(&mut [("service", "quiet")]).unwrap();
    batch.push_entry(5, b"nothing to join", &mut [("user_id", "7")]).unwrap();
    batch.push_entry(6, b"E: request_id=7 went WARNING", &mut []).unwrap();
    batch.start_stream(&mut [("__bramble__", "correlations"), ("service", "x")]).unwrap();
    batch.push_entry(7, line.as_bytes(), &mut []).unwrap();
    batch.start_stream(&mut [("service", "bramble")]).unwrap();
    batch.push_entry(7, line.as_bytes(), &mut []).unwrap();
    let (lines, extracted, _) = told(Durable::Logs(&batch));
    let expected = [
        "of beorn dev rpi-1 ".to_owned(),
        "1 T S circuit_id=c product_id=p resource_id=r-stream log error".to_owned(),
        // The line's span is one of another trace.
        format!("2 {other} - circuit_id=no product_id=p resource_id=r-stream log warn"),
        "3 T 0000000000000001 circuit_id=no product_id=p resource_id=r-stream log unknown".to_owned(),
        "4 - - resource_id=r-stream log error".to_owned(),
        "of quiet   ".to_owned(),
        "6 - - request_id=7 log warn".to_owned(),
    ];
    assert_eq!(lines, expected);
    assert_eq!(extracted, Extracted { logs: 6, logs_without_ids: 1, ..Extracted::default() });
}

#[test]
fn metadata_tells_whose_an_entry_is_where_labels_do_not() {
    let mut batch = LogBatch::new();
    batch.start_stream(&mut [("service_name", "beorn")]).unwrap();
    for (pod, node) in [("a", "x"), ("a", "x"), ("b", "y")] {
        let metadata = &mut [("request_id", "1"), ("k8s_pod_name", pod), ("node", node), ("service_name", "no")];
        batch.push_entry(1, b"", metadata).unwrap();
    }
    batch.push_entry(2, b"", &mut [("request_id", "1")]).unwrap();
    let path = ("log_file_path", "/var/log/pods/shop_c_1/app/0.log");
    batch.push_entry(3, b"", &mut [("request_id", "1"), path]).unwrap();
    let (lines, _, identities) = told(Durable::Logs(&batch));
    let origins: Vec<&String> = lines.iter().filter(|line| line.starts_with("of")).collect();
    assert_eq!(origins, ["of beorn  x a", "of beorn  y b", "of beorn   ", "of beorn   c"]);
    // The first two are the same entry; the others differ in metadata.
    assert_eq!(identities[0], identities[1]);
    assert!(identities[1] != identities[2] && identities[2] != identities[3]);
    let (labels, metadata) =
        (Labels::from_pairs([("service_name", "beorn")]), Labels::from_pairs([("node", "x"), path]));
    let origin = Origin::of_entry(labels.as_ref(), metadata.as_ref());
    assert_eq!((origin.service, origin.node, origin.namespace, origin.container), ("beorn", "x", "shop", "app"));
}

#[test]
fn an_entry_is_known_by_all_of_it_and_always_as_the_same() {
    let identity = |labels: &[(&str, &str)], metadata: &[(&str, &str)], line: &[u8]| {
        let mut batch = LogBatch::new();
        batch.start_stream(&mut labels.to_vec()).unwrap();
        batch.push_entry(1, line, &mut metadata.to_vec()).unwrap();
        told(Durable::Logs(&batch)).2[0]
    };
    let one = identity(&[("a", "b")], &[("request_id", "1")], b"line");
    // Written down: rows of other versions and hosts are compared with it.
    assert_eq!(one, 14_263_410_091_196_217_303);
    assert_ne!(one, identity(&[("a", "c")], &[("request_id", "1")], b"line"));
    assert_ne!(one, identity(&[("a", "b")], &[("request_id", "2")], b"line"));
    assert_ne!(one, identity(&[("a", "b")], &[("request_id", "1")], b"lines"));
}

#[test]
fn levels_by_who_says_them() {
    let level = |labels: &[(&str, &str)], metadata: &[(&str, &str)], line: &str| {
        let (labels, metadata) =
            (Labels::from_pairs(labels.iter().copied()), Labels::from_pairs(metadata.iter().copied()));
        level_of(labels.as_ref(), metadata.as_ref(), line.as_bytes())
    };
    assert_eq!(level(&[("level", "info")], &[("detected_level", "critical")], "debug"), Level::Fatal);
    assert_eq!(level(&[("level", "info")], &[], "error"), Level::Info);
    assert_eq!(level(&[], &[("detected_level", "unknown")], "error"), Level::Unknown);
    assert_eq!(level(&[], &[("severity_number", "17")], ""), Level::Error);
    assert_eq!(level(&[], &[("severity_text", "WARNING"), ("severity_number", "9")], ""), Level::Warn);
    assert_eq!(level(&[], &[("severity_text", "Mine"), ("severity_number", "9")], "error"), Level::Error);
    assert_eq!(level(&[("PRIORITY", "3")], &[], ""), Level::Error);
    assert_eq!(level(&[], &[("level", "50")], ""), Level::Error);
    assert_eq!(level(&[], &[], "2026-11-21 10:00:00 WARN log a"), Level::Warn);
    assert_eq!(level(&[], &[], r#"{"level":"fatal"}"#), Level::Fatal);
    assert_eq!(level(&[], &[], "I was informed of terrors 10 30"), Level::Unknown);
    assert_eq!(
        (level_of_word("Crit"), level_of_word("notice"), level_of_word("x")),
        (Some(Level::Fatal), Some(Level::Info), None)
    );
}

#[test]
fn all_ids_of_an_entry_are_told() {
    let (labels, metadata) =
        (Labels::from_pairs([("circuit_id", "c1")]), Labels::from_pairs([("\u{1}circuit_id", "c2")]));
    let mut all = Vec::new();
    ids_of(labels.as_ref(), metadata.as_ref(), b"circuit_id=c3 circuit_id=c4", &mut |kind, id| {
        all.push((kind, id.to_vec()))
    });
    let expected = ["c2", "c1", "c3", "c4"].map(|id| (IdKind::Circuit, id.as_bytes().to_vec()));
    assert_eq!(all, expected);
}

fn resource(batch: &mut SpanBatch, pairs: &[(&str, AttributeValue<'_>)]) {
    let mut bytes = Vec::new();
    pairs.iter().for_each(|(key, value)| put_attribute(&mut bytes, key, *value));
    let attributes = batch.put(&bytes);
    batch.resources.push(ResourceEntry { attributes, ..Default::default() });
}

#[test]
fn spans_name_ids_in_their_attributes() {
    let mut batch = SpanBatch::new();
    let name = |name| ("service.name", AttributeValue::Str(name));
    let synthetic = |said| ("bramble.synthetic", said);
    resource(
        &mut batch,
        &[name("beorn"), ("host.name", AttributeValue::Str("rpi-1")), ("product_id", AttributeValue::Int(-40))],
    );
    resource(&mut batch, &[name("x"), synthetic(AttributeValue::Bool(true))]);
    resource(&mut batch, &[name("arda"), synthetic(AttributeValue::Bool(false))]);
    resource(&mut batch, &[name("bramble")]);
    batch.scopes.push(ScopeEntry::default());
    for (place, resource) in [0, 1, 2, 0, 3].into_iter().enumerate() {
        let mut bytes = Vec::new();
        if place == 0 {
            put_attribute(&mut bytes, "circuit_id", AttributeValue::Int(i64::MIN));
            put_attribute(&mut bytes, "acme.circuitId", AttributeValue::Str("second"));
            put_attribute(&mut bytes, "resource.id", AttributeValue::Str("not an id"));
            put_attribute(&mut bytes, "resourceId", AttributeValue::Str("r1"));
            put_attribute(&mut bytes, "trace_id", AttributeValue::Str("0123456789abcdef"));
            put_key(&mut bytes, "http.request.header.x-request-id");
            put_array::<()>(&mut bytes, |out| {
                put_value(out, AttributeValue::Str("q-1"));
                Ok(())
            })
            .unwrap();
        }
        let (attributes, text) = (batch.put(&bytes), batch.put(b"GET /"));
        batch.spans.push(SpanEntry {
            trace_id: TraceId::parse(T).unwrap(),
            span_id: SpanId([place as u8 + 1; 8]),
            resource,
            start_ns: if place == 3 { u64::MAX } else { 5 },
            end_ns: 9,
            status: if place == 0 { StatusCode::Error } else { StatusCode::Unset },
            name: text,
            status_message: text,
            attributes,
            ..Default::default()
        });
    }
    let (lines, extracted, _) = told(Durable::Spans(&batch));
    let expected = [
        "of beorn  rpi-1 ".to_owned(),
        format!(
            "5 T {} request_id=q-1 circuit_id={} product_id=-40 resource_id=r1 span GET / 4 true GET /",
            "01".repeat(8),
            i64::MIN
        ),
        "of arda   ".to_owned(),
        format!("5 T {} span GET / 4 false GET /", "03".repeat(8)),
        "of beorn  rpi-1 ".to_owned(),
        format!("{} T {} product_id=-40 span GET / 0 false GET /", i64::MAX, "04".repeat(8)),
    ];
    assert_eq!(lines, expected);
    assert_eq!(extracted, Extracted { spans: 3, spans_left_out: 2, ..Extracted::default() });
}

#[test]
fn exemplars_name_traces() {
    let mut batch = MetricBatch::new();
    let exemplar = |name: &str, id: &str| Exemplar {
        labels: Labels::from_pairs([(name, id), ("span_id", S)]),
        value: 0.5,
        timestamp_ms: 7,
    };
    batch.start_series(&mut [("__name__", "up"), ("job", "shop/beorn")]).unwrap();
    batch.push_sample(1, 1.0);
    batch.start_series(&mut [("__name__", "a:b"), ("job", "shop/beorn"), ("odd.name", "a\"\\\né")]).unwrap();
    batch.push_exemplar(exemplar("trace_id", T));
    batch.push_exemplar(exemplar("traceID", T));
    batch.push_exemplar(exemplar("other", T));
    batch.start_series(&mut [("__name__", "odd-name")]).unwrap();
    batch.push_exemplar(exemplar("TraceId", "463ac35c9f6413ad"));
    batch.start_series(&mut [("__name__", "plain")]).unwrap();
    batch.push_exemplar(exemplar("trace_id", T));
    // What comes out of spans here says nothing that they do not.
    batch.start_series(&mut [("__name__", "traces_spanmetrics_latency_bucket")]).unwrap();
    batch.push_exemplar(exemplar("trace_id", T));
    let (lines, extracted, _) = told(Durable::Metrics(&batch));
    let series = r#"a:b{job="shop/beorn","odd.name"="a\"\\\né"}"#;
    let expected = [
        "of beorn   ".to_owned(),
        format!("7000000 T S exemplar {series} 0.5"),
        format!("7000000 T S exemplar {series} 0.5"),
        "of unknown_service   ".to_owned(),
        r#"7000000 0000000000000000463ac35c9f6413ad S exemplar {__name__="odd-name"} 0.5"#.to_owned(),
        "of unknown_service   ".to_owned(),
        "7000000 T S exemplar plain 0.5".to_owned(),
    ];
    assert_eq!(lines, expected);
    assert_eq!(extracted.exemplars, 4);
}

#[test]
fn damaged_batches_do_no_harm() {
    let mut batch = SpanBatch::new();
    batch.spans.push(SpanEntry { resource: 7, ..Default::default() });
    assert_eq!(told(Durable::Spans(&batch)).1, Extracted::default());
    let parts = Parts::default();
    assert_eq!(parts.origin(), Origin { service: "unknown_service", ..Origin::default() });
    assert_eq!(level_of(LabelsRef::EMPTY, LabelsRef::EMPTY, b"\xff error"), Level::Error);
}

proptest! {
    /// Whatever labels, metadata and lines say, damaged or not: items are well-formed, and all entries are counted.
    #[test]
    fn any_entry_gives_a_valid_item_or_none(
        pairs in prop::collection::vec((
            prop::sample::select(vec!["trace_id", "traceparent", "\u{1}request_id", "b3", "level", "severity_number", "pod",
                "filename", "instance", "service", "resource.id", "x"]),
            prop_oneof!["[ -~]{0,60}", Just(T.to_owned()), Just(format!("00-{T}-{S}-01")), Just("é:80".to_owned())],
        ), 0..6),
        damage in prop::collection::vec(any::<u8>(), 0..40), line in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut batch = LogBatch::new();
        let labels = Labels::from_pairs(pairs.iter().map(|(name, value)| (*name, value.as_str())));
        batch.start_stream_encoded(labels.as_ref());
        batch.push_entry_encoded(1, &line, labels.as_ref());
        batch.push_entry_encoded(2, &line, LabelsRef::from_encoded(&damage));
        batch.start_stream_encoded(LabelsRef::from_encoded(&damage));
        batch.push_entry_encoded(3, &line, labels.as_ref());
        let mut checked = Checked(0);
        let extracted = Extractor::new().extract(Durable::Logs(&batch), &mut checked);
        prop_assert_eq!((extracted.logs, extracted.logs_without_ids), (3, 3 - checked.0));
    }
}

/// Counts items that are as they are said to be.
struct Checked(u64);

impl ItemSink for Checked {
    fn origin(&mut self, origin: &Origin<'_>) {
        assert!(!origin.service.is_empty());
        assert!(origin.entities().count() <= 5);
    }

    fn item(&mut self, item: &Item<'_>) {
        self.0 += 1;
        assert!(!item.trace_id.is_zero() || item.ids.iter().any(|id| !id.is_empty()));
        assert!(item.ids.iter().all(|id| id.len() <= 128 && id.bytes().all(|b| b.is_ascii_graphic())));
    }
}
