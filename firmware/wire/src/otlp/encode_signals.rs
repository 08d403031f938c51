//! Samples and log entries as OTLP export requests, for destinations that speak nothing else.
//!
//! Both signals are kept here as Prometheus and Loki have them, so this is a translation, and not exact:
//! * `job` becomes `service.name` (what stands before a `/` in it `service.namespace`), `instance` becomes
//!   `service.instance.id`: OpenTelemetry's own rules for Prometheus, read backwards. Labels of series are attributes of points,
//!   labels of streams attributes of the resource.
//! * A counter is a cumulative monotonic sum, whatever else is a gauge. Buckets, sums and counts of a classic histogram or
//!   summary are cumulative sums under their own names (joining them would need all series of a histogram in one batch).
//!   A native histogram is an exponential one, with custom bounds an explicit one. A staleness marker is a point with the
//!   flag "no recorded value".
//!
//! Source: OpenTelemetry specification, "Prometheus and OpenMetrics Compatibility"; opentelemetry-proto v1.

use crate::hex::parse_hex;
use crate::protobuf::{Writer, zigzag};
use crate::remote_write::family_of;
use bramble_signal::{
    BucketSpan, Exemplar, LabelsRef, LogBatch, LogEntry, METRIC_NAME, MetricBatch, MetricKind, MetricMetadata,
    NativeHistogram, Sample, floating_label, is_stale_marker,
};
use std::collections::HashMap;

const CUMULATIVE: u64 = 2;
const NO_RECORDED_VALUE: u64 = 1;

fn text_attribute(w: &mut Writer<'_>, number: u32, key: &str, value: &str) {
    w.message(number, |w| {
        w.bytes(1, key);
        w.message(2, |w| w.bytes(1, value));
    });
}

/// `service.name`, and a namespace if there is one, of a job.
fn job_attributes(w: &mut Writer<'_>, job: &str) {
    match job.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            text_attribute(w, 1, "service.namespace", namespace);
            text_attribute(w, 1, "service.name", name);
        }
        _ => text_attribute(w, 1, "service.name", job),
    }
}

/// Appends an `ExportMetricsServiceRequest`. Series are grouped by `job` and `instance`, then by name.
pub fn encode_metrics_protobuf(batch: &MetricBatch, out: &mut Vec<u8>) {
    let families: HashMap<&str, &MetricMetadata> = batch.metadata.iter().map(|m| (m.name.as_str(), m)).collect();
    let key = |index: u32| {
        let (labels, _) = batch.series(index as usize);
        let get = |name| labels.get(name).unwrap_or_default();
        (get("job"), get("instance"), get(METRIC_NAME))
    };
    let mut order: Vec<u32> = (0..batch.series_count() as u32).collect();
    order.retain(|&index| !batch.series(index as usize).1.is_empty());
    order.sort_by(|&a, &b| key(a).cmp(&key(b)));
    let w = &mut Writer::new(out);
    for of_target in order.chunk_by(|&a, &b| (key(a).0, key(a).1) == (key(b).0, key(b).1)) {
        let Some(&first) = of_target.first() else { continue };
        let (job, instance, _) = key(first);
        w.message(1, |w| {
            w.message(1, |w| {
                if !job.is_empty() {
                    job_attributes(w, job);
                }
                if !instance.is_empty() {
                    text_attribute(w, 1, "service.instance.id", instance);
                }
            });
            w.message(2, |w| {
                for of_name in of_target.chunk_by(|&a, &b| key(a).2 == key(b).2) {
                    metric(w, batch, of_name, family_of(&families, of_name.first().map_or("", |&index| key(index).2)));
                }
            });
        });
    }
}

/// How a number series is shown.
fn is_sum(name: &str, family: Option<&&MetricMetadata>) -> bool {
    let of_parts = || name.ends_with("_bucket") || name.ends_with("_count") || name.ends_with("_sum");
    match family.map(|family| family.kind) {
        Some(MetricKind::Counter) => true,
        Some(MetricKind::Histogram | MetricKind::Summary) => of_parts(),
        None | Some(MetricKind::Unknown) => name.ends_with("_total") || name.ends_with("_bucket"),
        Some(_) => false,
    }
}

/// One metric message per form that the points of a name have.
fn metric(w: &mut Writer<'_>, batch: &MetricBatch, series: &[u32], family: Option<&&MetricMetadata>) {
    let name = series.first().map_or("", |&index| batch.series(index as usize).0.get(METRIC_NAME).unwrap_or_default());
    let points = |form: Form| {
        series.iter().flat_map(move |&index| {
            let (labels, samples) = batch.series(index as usize);
            let of_form = samples.iter().filter(move |sample| form_of(batch, sample.value) == form);
            of_form.map(move |sample| (index as usize, labels, sample))
        })
    };
    for form in [Form::Number, Form::Exponential, Form::Explicit] {
        if points(form).next().is_none() {
            continue;
        }
        w.message(2, |w| {
            w.bytes(1, name);
            if let Some(family) = family {
                w.bytes(2, &family.help);
                w.bytes(3, &family.unit);
            }
            let sum = form == Form::Number && is_sum(name, family);
            let field = match form {
                Form::Number if sum => 7,
                Form::Number => 5,
                Form::Explicit => 9,
                Form::Exponential => 10,
            };
            w.message(field, |w| {
                let mut before = usize::MAX;
                for (index, labels, sample) in points(form) {
                    // Exemplars belong to a series; they travel with its first point.
                    let first = std::mem::replace(&mut before, index) != index;
                    let point = Point { batch, index, labels, sample, with_exemplars: first };
                    w.message(1, |w| point.write(w, form));
                }
                if field != 5 {
                    w.varint(2, CUMULATIVE);
                }
                if sum {
                    w.varint(3, 1);
                }
            });
        });
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Number,
    Exponential,
    Explicit,
}

fn form_of(batch: &MetricBatch, value: f64) -> Form {
    match batch.histogram(value) {
        None => Form::Number,
        Some(histogram) if histogram.has_custom_bounds() => Form::Explicit,
        Some(_) => Form::Exponential,
    }
}

struct Point<'a> {
    batch: &'a MetricBatch,
    index: usize,
    labels: LabelsRef<'a>,
    sample: &'a Sample,
    with_exemplars: bool,
}

impl Point<'_> {
    fn write(&self, w: &mut Writer<'_>, form: Form) {
        let attributes = match form {
            Form::Number => 7,
            Form::Exponential => 1,
            Form::Explicit => 9,
        };
        let own = self.labels.iter().filter(|(name, _)| ![METRIC_NAME, "job", "instance"].contains(name));
        own.for_each(|(name, value)| text_attribute(w, attributes, name, value));
        let start_ms = self.batch.start_ms(self.index);
        if start_ms > 0 {
            w.fixed64(2, start_ms.cast_unsigned().saturating_mul(1_000_000));
        }
        w.fixed64(3, self.sample.timestamp_ms.max(0).cast_unsigned().saturating_mul(1_000_000));
        let exemplars = match (form, self.batch.histogram(self.sample.value)) {
            (Form::Exponential, Some(histogram)) => {
                exponential(w, histogram);
                11
            }
            (Form::Explicit, Some(histogram)) => {
                explicit(w, histogram);
                8
            }
            _ if is_stale_marker(self.sample.value) => {
                w.varint(8, NO_RECORDED_VALUE);
                5
            }
            _ => {
                w.double(4, self.sample.value);
                5
            }
        };
        if self.with_exemplars {
            self.batch.exemplars(self.index).for_each(|one| w.message(exemplars, |w| exemplar(w, one)));
        }
    }
}

fn exemplar(w: &mut Writer<'_>, exemplar: &Exemplar) {
    w.fixed64(2, exemplar.timestamp_ms.max(0).cast_unsigned().saturating_mul(1_000_000));
    w.double(3, exemplar.value);
    for (name, value) in exemplar.labels.iter() {
        match id(name, value) {
            Some((true, bytes)) => w.bytes(5, bytes),
            Some((false, bytes)) => w.bytes(4, bytes),
            None => text_attribute(w, 7, name, value),
        }
    }
}

/// A trace's id (true) or a span's, if the name and the value are such.
fn id(name: &str, value: &str) -> Option<(bool, Vec<u8>)> {
    let (is_trace, bytes) = match name {
        "trace_id" | "traceID" | "traceId" => (true, 16),
        "span_id" | "spanID" | "spanId" => (false, 8),
        _ => return None,
    };
    let mut out = Vec::with_capacity(16);
    (parse_hex(value, &mut out) && out.len() == bytes).then_some((is_trace, out))
}

fn exponential(w: &mut Writer<'_>, histogram: &NativeHistogram) {
    w.fixed64(4, histogram.count as u64);
    w.double(5, histogram.sum);
    w.varint(6, zigzag(histogram.schema.into()));
    w.fixed64(7, histogram.zero_count as u64);
    for (field, spans, counts) in [
        (8, &histogram.positive_spans, &histogram.positive_counts),
        (9, &histogram.negative_spans, &histogram.negative_counts),
    ] {
        if let Some(first) = spans.first() {
            w.message(field, |w| {
                // Prometheus' bucket i ends at base^i, OpenTelemetry's at base^(i+1).
                w.varint(1, zigzag(i64::from(first.offset) - 1));
                w.message(2, |w| dense(spans, counts, |count| w.packed_varint(count)));
            });
        }
    }
    w.double(14, histogram.zero_threshold);
}

/// Counts of all buckets from the first to the last, gaps as zeros. Gaps are bounded: what a histogram of ours may span with
/// its finest schema is some hundred thousand buckets, far beyond any that was measured.
fn dense(spans: &[BucketSpan], counts: &[f64], mut each: impl FnMut(u64)) {
    const GAP_MAX: i32 = 1 << 16;
    let mut counts = counts.iter();
    for (at, span) in spans.iter().enumerate() {
        if at > 0 {
            (0..span.offset.clamp(0, GAP_MAX)).for_each(|_| each(0));
        }
        counts.by_ref().take(span.length as usize).for_each(|count| each(*count as u64));
    }
}

fn explicit(w: &mut Writer<'_>, histogram: &NativeHistogram) {
    w.fixed64(4, histogram.count as u64);
    w.double(5, histogram.sum);
    let buckets = histogram.custom_bounds.len() + 1;
    let mut dense_counts = vec![0u64; buckets];
    let (mut at, mut counts) = (0usize, histogram.positive_counts.iter());
    for span in &histogram.positive_spans {
        at = at.saturating_add(span.offset.max(0) as usize);
        for count in counts.by_ref().take(span.length as usize) {
            if let Some(slot) = dense_counts.get_mut(at) {
                *slot = *count as u64;
            }
            at += 1;
        }
    }
    w.message(6, |w| dense_counts.iter().for_each(|count| w.out().extend_from_slice(&count.to_le_bytes())));
    w.message(7, |w| histogram.custom_bounds.iter().for_each(|bound| w.out().extend_from_slice(&bound.to_le_bytes())));
}

/// Labels of streams that were attributes of a resource.
const RESOURCE_NAMES: [(&str, &str); 9] = [
    ("service_name", "service.name"),
    ("service_namespace", "service.namespace"),
    ("service_instance_id", "service.instance.id"),
    ("deployment_environment", "deployment.environment"),
    ("deployment_environment_name", "deployment.environment.name"),
    ("host", "host.name"),
    ("k8s_namespace_name", "k8s.namespace.name"),
    ("k8s_pod_name", "k8s.pod.name"),
    ("k8s_container_name", "k8s.container.name"),
];

/// Severities by the words for levels (OpenTelemetry logs data model, "Displaying Severity").
fn severity_number(level: &str) -> Option<u64> {
    Some(match level.to_ascii_lowercase().as_str() {
        "trace" => 1,
        "debug" => 5,
        "info" | "information" => 9,
        "notice" => 10,
        "warn" | "warning" => 13,
        "error" | "err" => 17,
        "critical" | "crit" => 18,
        "alert" => 19,
        "fatal" | "emergency" | "emerg" => 21,
        _ => return None,
    })
}

/// Appends an `ExportLogsServiceRequest`: a resource per stream, a record per entry.
pub fn encode_logs_protobuf(batch: &LogBatch, out: &mut Vec<u8>) {
    let w = &mut Writer::new(out);
    for stream in batch.streams().filter(|stream| !stream.is_empty()) {
        w.message(1, |w| {
            w.message(1, |w| stream_attributes(w, stream.labels()));
            w.message(2, |w| stream.entries().for_each(|entry| w.message(2, |w| record(w, &entry))));
        });
    }
}

fn stream_attributes(w: &mut Writer<'_>, labels: LabelsRef<'_>) {
    let named = labels.get("service_name").is_some();
    for (name, value) in labels.iter() {
        match name {
            "job" if !named => job_attributes(w, value),
            "instance" if labels.get("service_instance_id").is_none() => {
                text_attribute(w, 1, "service.instance.id", value);
            }
            _ => {
                let known = RESOURCE_NAMES.iter().find(|(label, _)| *label == name);
                text_attribute(w, 1, known.map_or(name, |(_, attribute)| attribute), value);
            }
        }
    }
}

fn record(w: &mut Writer<'_>, entry: &LogEntry<'_>) {
    w.fixed64(1, entry.timestamp_ns.max(0).cast_unsigned());
    let said = entry.metadata.get("severity_number").and_then(|text| text.parse().ok());
    let level = entry.metadata.get("severity_text").or_else(|| entry.metadata.get("detected_level"));
    if let Some(number) = said.or_else(|| severity_number(level?)).filter(|number| (1..=24).contains(number)) {
        w.varint(2, number);
    }
    if let Some(text) = level {
        w.bytes(3, text);
    }
    w.message(5, |w| match std::str::from_utf8(entry.line) {
        Ok(line) => w.bytes(1, line),
        Err(_) => w.bytes(7, entry.line),
    });
    for (name, value) in entry.metadata.iter() {
        let name = floating_label(name).unwrap_or(name);
        match id(name, value) {
            Some((true, bytes)) => w.bytes(9, bytes),
            Some((false, bytes)) => w.bytes(10, bytes),
            None if matches!(name, "severity_number" | "severity_text") => {}
            None => text_attribute(w, 6, name, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::Decoder;
    use crate::{Format, Limits};
    use bramble_signal::{Labels, stale_marker};

    #[test]
    fn metrics_come_back_through_our_own_decoder() {
        let mut batch = MetricBatch::new();
        batch
            .start_series(&mut [
                ("__name__", "requests_total"),
                ("job", "shop/web"),
                ("instance", "a:1"),
                ("code", "200"),
            ])
            .unwrap();
        batch.push_sample(5000, 7.0);
        let labels = Labels::from_pairs([("trace_id", "0102030405060708090a0b0c0d0e0f10"), ("k", "v")]);
        batch.push_exemplar(Exemplar { labels, value: 0.5, timestamp_ms: 4000 });
        batch.start_series(&mut [("__name__", "temperature"), ("job", "shop/web"), ("instance", "a:1")]).unwrap();
        batch.push_sample(5000, -1.5);
        batch.push_sample(6000, stale_marker());
        batch.start_series(&mut [("__name__", "sizes"), ("job", "shop/web"), ("instance", "a:1")]).unwrap();
        let histogram = NativeHistogram {
            schema: 3,
            zero_threshold: 0.001,
            zero_count: 1.0,
            count: 7.0,
            sum: 12.5,
            positive_spans: vec![BucketSpan { offset: -2, length: 2 }, BucketSpan { offset: 3, length: 1 }],
            positive_counts: vec![1.0, 2.0, 3.0],
            ..NativeHistogram::default()
        };
        batch.push_histogram(5000, histogram.clone());
        let mut body = Vec::new();
        encode_metrics_protobuf(&batch, &mut body);
        let decoded = Decoder::new(Limits::default()).metrics(Format::Protobuf, &body).unwrap();
        assert!(decoded.rejected.is_empty(), "{:?}", decoded.rejected);
        let out = &decoded.batch;
        let find = |name: &str| {
            let found = out.iter().enumerate().find(|(_, (labels, _))| labels.get("__name__") == Some(name));
            found.unwrap_or_else(|| panic!("{name} is missing"))
        };
        let (index, (labels, samples)) = find("requests_total");
        assert_eq!(
            (labels.get("job"), labels.get("instance"), labels.get("code")),
            (Some("shop/web"), Some("a:1"), Some("200"))
        );
        assert_eq!(samples, [Sample { timestamp_ms: 5000, value: 7.0 }]);
        let exemplar = out.exemplars(index).next().unwrap();
        assert_eq!((exemplar.labels.get("trace_id"), exemplar.value), (Some("0102030405060708090a0b0c0d0e0f10"), 0.5));
        let of_name = out.iter().filter(|(labels, _)| labels.get("__name__") == Some("temperature"));
        let samples: Vec<Sample> = of_name.flat_map(|(_, samples)| samples.to_vec()).collect();
        assert_eq!((samples.len(), samples[0].value, is_stale_marker(samples[1].value)), (2, -1.5, true));
        let (_, (_, samples)) = find("sizes");
        let back = out.histogram(samples[0].value).unwrap();
        assert!(back.equals(&histogram), "{back:?}");
    }

    #[test]
    fn logs_come_back_through_our_own_decoder() {
        let mut batch = LogBatch::new();
        batch.start_stream(&mut [("service_name", "web"), ("host", "pi"), ("colour", "red")]).unwrap();
        let ids = [("trace_id", "0102030405060708090a0b0c0d0e0f10"), ("span_id", "0102030405060708")];
        batch.push_entry(5, b"hello", &mut [ids[0], ids[1], ("severity_text", "WARN"), ("k", "v")]).unwrap();
        let mut body = Vec::new();
        encode_logs_protobuf(&batch, &mut body);
        let out = Decoder::new(Limits::default()).logs(Format::Protobuf, &body, 9).unwrap().batch;
        let stream = out.stream(0);
        assert_eq!((stream.labels().get("service_name"), stream.labels().get("host")), (Some("web"), Some("pi")));
        let entry = out.entry(0);
        assert_eq!((entry.timestamp_ns, entry.line), (5, &b"hello"[..]));
        for (name, value) in
            [ids[0], ids[1], ("severity_text", "WARN"), ("severity_number", "13"), ("k", "v"), ("colour", "red")]
        {
            assert_eq!(entry.metadata.get(name), Some(value), "{name}");
        }
    }
}
