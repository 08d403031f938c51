//! `ExportLogsServiceRequest` to a [`LogBatch`].

use super::Scratch;
use super::any_value::{flatten, present, push_display, push_text, put_any_value, put_key_value};
use crate::error::ItemError;
use crate::hex::put_hex;
use crate::label_set::{LabelSet, Mark, push_sanitized};
use crate::limits::Meter;
use crate::protobuf::{Field, Reader};
use crate::{DecodeError, Decoded, Limits, RejectReason, Rejected};
use bramble_signal::LogBatch;
use bramble_signal::attributes::{AttributeValue, AttributesRef, put_key};

/// Which resource attributes are stream labels, and under which names.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// (attribute, label), in order of preference where several give one label. An attribute that is a label under its
    /// own name (dots as underscores) is not metadata of the entries as well.
    pub stream_labels: Vec<(String, String)>,
}

/// A small set under short names, then what Loki takes by default under Loki's names, but for `service.instance.id`, which
/// is new with every start of a process.
const STREAM_LABELS: [(&str, &str); 29] = [
    ("service.name", "service"),
    ("service.name", "service_name"),
    ("deployment.environment.name", "env"),
    ("deployment.environment", "env"),
    ("host.name", "host"),
    ("k8s.namespace.name", "namespace"),
    ("k8s.pod.name", "pod"),
    ("k8s.container.name", "container"),
    ("container.name", "container"),
    ("job", "job"),
    ("unit", "unit"),
    ("systemd.unit", "unit"),
    ("service_name", "service_name"),
    ("service.namespace", "service_namespace"),
    ("deployment.environment", "deployment_environment"),
    ("cloud.region", "cloud_region"),
    ("cloud.availability_zone", "cloud_availability_zone"),
    ("container.name", "container_name"),
    ("k8s.cluster.name", "k8s_cluster_name"),
    ("k8s.namespace.name", "k8s_namespace_name"),
    ("k8s.pod.name", "k8s_pod_name"),
    ("k8s.container.name", "k8s_container_name"),
    ("k8s.replicaset.name", "k8s_replicaset_name"),
    ("k8s.deployment.name", "k8s_deployment_name"),
    ("k8s.statefulset.name", "k8s_statefulset_name"),
    ("k8s.daemonset.name", "k8s_daemonset_name"),
    ("k8s.cronjob.name", "k8s_cronjob_name"),
    ("k8s.job.name", "k8s_job_name"),
    ("deployment.environment.name", "deployment_environment_name"),
];

impl Default for LogOptions {
    fn default() -> Self {
        let owned = |(key, label): (&str, &str)| (key.to_owned(), label.to_owned());
        LogOptions { stream_labels: STREAM_LABELS.into_iter().map(owned).collect() }
    }
}

impl LogOptions {
    /// Reads `attribute=label`, or an attribute alone, whose label is its own name with underscores.
    ///
    /// # Errors
    /// What is wrong with a text: no attribute, or a label that could not be asked for.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<LogOptions, String> {
        let pair = |text: &str| {
            let (key, label) = match text.split_once('=') {
                Some((key, label)) => (key.trim(), label.trim().to_owned()),
                None => (text.trim(), own_name(text.trim())),
            };
            let named = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && label.bytes().next().is_some_and(|b| !b.is_ascii_digit());
            match named && !key.is_empty() {
                true => Ok((key.to_owned(), label)),
                false => Err(format!("{text:?} is not an attribute, or attribute=label")),
            }
        };
        Ok(LogOptions { stream_labels: texts.into_iter().map(pair).collect::<Result<_, _>>()? })
    }

    /// The pairs as text, as [`parse`](Self::parse) reads them.
    pub fn texts(&self) -> Vec<String> {
        let text = |(key, label): &(String, String)| match own_name(key) == *label {
            true => key.clone(),
            false => format!("{key}={label}"),
        };
        self.stream_labels.iter().map(text).collect()
    }
}

fn own_name(attribute: &str) -> String {
    let mut name = String::new();
    push_sanitized(&mut name, attribute);
    name
}

/// What a stream is called whose resource says nothing, as OTel's SDKs have it.
const UNKNOWN_SERVICE: &str = "unknown_service";

struct Logs<'a> {
    limits: &'a Limits,
    options: &'a LogOptions,
    scratch: &'a mut Scratch,
    now_ns: i64,
    meter: Meter,
    batch: LogBatch,
    rejected: Rejected,
}

pub(super) fn decode(
    body: &[u8],
    now_ns: i64,
    (limits, options): (&Limits, &LogOptions),
    scratch: &mut Scratch,
) -> Result<Decoded<LogBatch>, DecodeError> {
    let meter = Meter::new(limits.batch_bytes_max);
    let (batch, rejected) = (LogBatch::new(), Rejected::default());
    let mut logs = Logs { limits, options, scratch, now_ns, meter, batch, rejected };
    let mut reader = Reader::new(body);
    while let Some(field) = reader.next()? {
        if field.number == 1 {
            logs.resource_logs(field.message()?)?;
        }
    }
    Ok(Decoded { batch: logs.batch, rejected: logs.rejected, ..Decoded::default() })
}

impl Logs<'_> {
    fn resource_logs(&mut self, message: Reader<'_>) -> Result<(), DecodeError> {
        self.scratch.attributes.clear();
        let mut reader = message;
        while let Some(field) = reader.next()? {
            if field.number == 1 {
                resource(field.message()?, &mut self.scratch.attributes)?;
            }
        }
        let Scratch { attributes, base, labels, text, .. } = &mut *self.scratch;
        stream_labels(AttributesRef::from_encoded(attributes), self.options, labels);
        let stream = labels.check(self.limits, self.limits.stream_labels_max);
        let encoded = labels.encode_last_wins().to_labels();
        base.clear();
        resource_metadata(AttributesRef::from_encoded(attributes), labels, text, base);
        let resource = base.mark();

        let mut started = false;
        let mut reader = message;
        while let Some(field) = reader.next()? {
            if field.number != 2 {
                continue;
            }
            if let Err(reason) = stream {
                self.rejected.add(reason, count_records(field.message()?)?, String::new);
                continue;
            }
            self.scope_logs(field.message()?, resource, |batch| {
                if !std::mem::replace(&mut started, true) {
                    batch.start_stream_encoded(encoded.as_ref());
                }
            })?;
        }
        Ok(())
    }

    fn scope_logs(
        &mut self,
        message: Reader<'_>,
        resource: Mark,
        mut start_stream: impl FnMut(&mut LogBatch),
    ) -> Result<(), DecodeError> {
        self.scratch.base.rewind(resource);
        let mut reader = message;
        while let Some(field) = reader.next()? {
            if field.number == 1 {
                self.scope(field.message()?)?;
            }
        }
        let mut reader = message;
        while let Some(field) = reader.next()? {
            if field.number != 2 {
                continue;
            }
            match self.record(&field, &mut start_stream) {
                Ok(()) => {}
                Err(ItemError::Reject(reason)) => {
                    self.rejected.add(reason, 1, || format!("log record at byte {}", field.position));
                }
                Err(ItemError::Fatal(error)) => return Err(error),
            }
        }
        Ok(())
    }

    fn scope(&mut self, mut reader: Reader<'_>) -> Result<(), DecodeError> {
        let Scratch { attributes, base, text, .. } = &mut *self.scratch;
        attributes.clear();
        while let Some(field) = reader.next()? {
            match field.number {
                1 => base.push("scope_name", field.text()?),
                2 => base.push("scope_version", field.text()?),
                3 => put_key_value(attributes, &field)?,
                _ => {}
            }
        }
        push_metadata(AttributesRef::from_encoded(attributes), text, base);
        Ok(())
    }

    fn record(&mut self, field: &Field<'_>, start_stream: impl FnOnce(&mut LogBatch)) -> Result<(), ItemError> {
        let Scratch { attributes, inner, text, base, labels, .. } = &mut *self.scratch;
        let record = Record::read(field.message()?, attributes)?;
        let timestamp_ns = match [record.time_ns, record.observed_ns].into_iter().find(|&t| t != 0) {
            Some(ns) => i64::try_from(ns).map_err(|_| RejectReason::InvalidTimestamp)?,
            None => self.now_ns,
        };
        labels.clear();
        labels.extend(base);
        push_metadata(AttributesRef::from_encoded(attributes), text, labels);
        record.push_metadata(labels)?;
        labels.check_metadata(self.limits)?;
        let metadata = labels.encode_last_wins();
        text.clear();
        let line = match record.body {
            Some(body) => line(body, inner, text)?,
            None => &[],
        };
        let line = self.limits.fit_line(line);
        if line.len() > self.limits.line_bytes_max {
            return Err(RejectReason::LineTooLong.into());
        }
        // 24: timestamp and two ranges.
        self.meter.add(line.len() + metadata.as_bytes().len() + 24, field.position)?;
        start_stream(&mut self.batch);
        self.batch.push_entry_encoded(timestamp_ns, line, metadata);
        Ok(())
    }
}

/// Appends the attributes of a `Resource`.
pub(super) fn resource(mut reader: Reader<'_>, attributes: &mut Vec<u8>) -> Result<(), DecodeError> {
    while let Some(field) = reader.next()? {
        if field.number == 1 {
            put_key_value(attributes, &field)?;
        }
    }
    Ok(())
}

/// The fixed fields of a `LogRecord`, borrowed from the request.
#[derive(Default)]
struct Record<'a> {
    time_ns: u64,
    observed_ns: u64,
    severity_number: u32,
    severity_text: &'a str,
    event_name: &'a str,
    body: Option<Reader<'a>>,
    flags: u32,
    trace_id: &'a [u8],
    span_id: &'a [u8],
}

impl<'a> Record<'a> {
    fn read(mut reader: Reader<'a>, attributes: &mut Vec<u8>) -> Result<Self, DecodeError> {
        attributes.clear();
        let mut record = Record::default();
        while let Some(field) = reader.next()? {
            match field.number {
                1 => record.time_ns = field.fixed64()?,
                2 => record.severity_number = field.uint32()?,
                3 => record.severity_text = field.text()?,
                5 => record.body = Some(field.message()?),
                6 => put_key_value(attributes, &field)?,
                8 => record.flags = field.fixed32()?,
                9 => record.trace_id = field.bytes()?,
                10 => record.span_id = field.bytes()?,
                11 => record.observed_ns = field.fixed64()?,
                12 => record.event_name = field.text()?,
                _ => {}
            }
        }
        Ok(record)
    }

    /// What the record says beside its attributes; pushed after them, so that it wins over equal names.
    fn push_metadata(&self, out: &mut LabelSet) -> Result<(), ItemError> {
        let mut number = |name: &str, value: u64| {
            if value != 0 {
                out.push_with(|text| text.push_str(name), |text| push_display(text, value));
            }
        };
        number("severity_number", self.severity_number.into());
        number("flags", self.flags.into());
        number("observed_timestamp", self.observed_ns);
        for (name, value) in [("severity_text", self.severity_text), ("event_name", self.event_name)] {
            if !value.is_empty() {
                out.push(name, value);
            }
        }
        // A malformed id is left out, the line is worth more than it.
        for (name, id, len) in [("trace_id", self.trace_id, 16), ("span_id", self.span_id, 8)] {
            if id.len() == len && id.iter().any(|&byte| byte != 0) {
                out.push_with(|text| text.push_str(name), |text| put_hex(text, id));
            }
        }
        Ok(())
    }
}

/// The line of a body: text as it is (any bytes), everything else as text or JSON in `text`.
fn line<'a>(body: Reader<'a>, inner: &mut Vec<u8>, text: &'a mut String) -> Result<&'a [u8], DecodeError> {
    let (mut reader, mut last) = (body, None);
    while let Some(field) = reader.next()? {
        last = Some(field);
    }
    if let Some(field) = last
        && field.number == 1
    {
        return field.bytes();
    }
    inner.clear();
    put_key(inner, "");
    put_any_value(inner, body)?;
    if let Some((_, value)) = AttributesRef::from_encoded(inner).iter().next() {
        push_text(text, value);
    }
    Ok(text.as_bytes())
}

fn stream_labels(attributes: AttributesRef<'_>, options: &LogOptions, out: &mut LabelSet) {
    out.clear();
    for (key, label) in &options.stream_labels {
        let Some(value) = present(attributes, key) else { continue };
        if out.iter().all(|(name, _)| name != label) {
            out.push_with(|text| text.push_str(label), |text| push_text(text, value));
        }
    }
    for label in ["service", "service_name"] {
        let wanted = options.stream_labels.iter().any(|(_, other)| other == label);
        if wanted && out.iter().all(|(name, _)| name != label) {
            out.push(label, UNKNOWN_SERVICE);
        }
    }
}

/// The resource's attributes that did not become stream labels under their own names.
fn resource_metadata(attributes: AttributesRef<'_>, labels: &LabelSet, name: &mut String, out: &mut LabelSet) {
    name.clear();
    flatten(attributes, name, &mut |name, value| {
        let before = out.mark();
        push_one(name, value, out);
        let is_label = out.iter().last().is_some_and(|pushed| labels.iter().any(|label| label == pushed));
        if is_label {
            out.rewind(before);
        }
    });
}

fn push_metadata(attributes: AttributesRef<'_>, name: &mut String, out: &mut LabelSet) {
    name.clear();
    flatten(attributes, name, &mut |name, value| push_one(name, value, out));
}

fn push_one(name: &str, value: AttributeValue<'_>, out: &mut LabelSet) {
    out.push_with(|text| push_sanitized(text, name), |text| push_text(text, value));
}

fn count_records(mut reader: Reader<'_>) -> Result<u64, DecodeError> {
    let mut count = 0;
    while let Some(field) = reader.next()? {
        count += u64::from(field.number == 2);
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use crate::otlp::{Decoder, LogOptions};
    use crate::{DecodeErrorKind, Format, Limits, RejectReason};

    fn decode(json: &str) -> crate::Decoded<bramble_signal::LogBatch> {
        Decoder::new(Limits::default()).logs(Format::Json, json.as_bytes(), 99).unwrap()
    }

    const RICH: &str = r#"{"resourceLogs":[{
        "resource":{"attributes":[
            {"key":"service.name","value":{"stringValue":"beorn"}},
            {"key":"deployment.environment","value":{"stringValue":"prod"}},
            {"key":"k8s.pod.name","value":{"stringValue":"beorn-1"}},
            {"key":"process.pid","value":{"intValue":"7"}}]},
        "scopeLogs":[{"scope":{"name":"lib","version":"2","attributes":[{"key":"s.a","value":{"boolValue":true}}]},
        "logRecords":[
            {"timeUnixNano":"5","observedTimeUnixNano":"6","severityNumber":13,"severityText":"WARN","flags":1,
             "traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708",
             "body":{"stringValue":"hello"},
             "attributes":[{"key":"http-method","value":{"stringValue":"GET"}},
                {"key":"m","value":{"kvlistValue":{"values":[{"key":"x.y","value":{"doubleValue":1.5}}]}}},
                {"key":"process.pid","value":{"intValue":8}}]},
            {"observedTimeUnixNano":6,"body":{"kvlistValue":{"values":[{"key":"a","value":{"arrayValue":{"values":[{"intValue":1},{}]}}}]}}},
            {"body":{"intValue":-4},"severityText":"Warning"}, {}]}]}]}"#;

    #[test]
    fn labels_metadata_and_lines() {
        let decoded = decode(RICH);
        assert!(decoded.rejected.is_empty());
        let stream = decoded.batch.stream(0);
        assert_eq!(
            stream.labels().to_string(),
            r#"{deployment_environment="prod", env="prod", k8s_pod_name="beorn-1", pod="beorn-1", service="beorn", service_name="beorn"}"#
        );
        let entries: Vec<_> = stream.entries().collect();
        assert_eq!(
            entries[0].metadata.to_string(),
            r#"{flags="1", http_method="GET", m_x_y="1.5", observed_timestamp="6", process_pid="8", s_a="true", scope_name="lib", scope_version="2", severity_number="13", severity_text="WARN", span_id="0102030405060708", trace_id="0102030405060708090a0b0c0d0e0f10"}"#
        );
        let lines: Vec<_> = entries.iter().map(|e| (e.timestamp_ns, std::str::from_utf8(e.line).unwrap())).collect();
        assert_eq!(lines, [(5, "hello"), (6, r#"{"a":[1,null]}"#), (99, "-4"), (99, "")]);
        assert_eq!(
            entries[2].metadata.to_string(),
            r#"{process_pid="7", s_a="true", scope_name="lib", scope_version="2", severity_text="Warning"}"#
        );
    }

    #[test]
    fn which_attributes_are_labels_is_told() {
        let options = LogOptions::parse(["service.name=svc", " process.pid ", "k8s.pod.name"]).unwrap();
        assert_eq!(options.texts(), ["service.name=svc", "process.pid", "k8s.pod.name"]);
        let mut decoder = Decoder::new(Limits::default());
        decoder.set_logs(options.into());
        let batch = decoder.logs(Format::Json, RICH.as_bytes(), 99).unwrap().batch;
        let stream = batch.stream(0);
        assert_eq!(stream.labels().to_string(), r#"{k8s_pod_name="beorn-1", process_pid="7", svc="beorn"}"#);
        let entry = stream.entries().nth(1).unwrap();
        assert_eq!(
            entry.metadata.to_string(),
            r#"{deployment_environment="prod", observed_timestamp="6", s_a="true", scope_name="lib", scope_version="2", service_name="beorn"}"#
        );
        for bad in ["", "=a", "a=1b", "a=", "a=b-c", "1a"] {
            assert!(LogOptions::parse([bad]).is_err(), "{bad}");
        }
        let all = LogOptions::default();
        assert_eq!(LogOptions::parse(all.texts().iter().map(String::as_str)).unwrap().texts(), all.texts());
    }

    #[test]
    fn long_lines_are_cut_where_they_may_be() {
        let limits = Limits { line_bytes_max: 4, line_truncate: true, ..Default::default() };
        let json = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"123éé"}}]}]}]}"#;
        let decoded = Decoder::new(limits).logs(Format::Json, json.as_bytes(), 0).unwrap();
        assert_eq!(decoded.batch.stream(0).entries().next().unwrap().line, b"123");
    }

    #[test]
    fn no_name_from_outside_has_the_mark_of_floating_labels() {
        let json = "{\"resourceLogs\":[{\"resource\":{\"attributes\":[{\"key\":\"\\u0001r\",\"value\":{\"stringValue\":\"x\"}}]},\
            \"scopeLogs\":[{\"logRecords\":[{\"attributes\":[{\"key\":\"\\u0001l\",\"value\":{\"intValue\":1}}]}]}]}]}";
        let batch = decode(json).batch;
        let metadata = batch.stream(0).entries().next().unwrap().metadata.to_string();
        assert_eq!(metadata, r#"{_l="1", _r="x"}"#);
    }

    #[test]
    fn a_name_without_text_is_no_name() {
        for value in ["{}", r#"{"stringValue":""}"#, r#"{"bytesValue":""}"#] {
            let decoded = decode(&format!(
                r#"{{"resourceLogs":[{{"resource":{{"attributes":[{{"key":"service.name","value":{value}}}]}},"scopeLogs":[{{"logRecords":[{{}}]}}]}}]}}"#
            ));
            assert_eq!(decoded.batch.stream(0).labels().get("service"), Some("unknown_service"), "{value}");
        }
    }

    #[test]
    fn a_resource_without_a_name_is_unknown() {
        let decoded = decode(r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]},{"resource":{}}]}"#);
        assert_eq!(decoded.batch.stream_count(), 1, "a resource without records starts no stream");
        assert_eq!(
            decoded.batch.stream(0).labels().to_string(),
            r#"{service="unknown_service", service_name="unknown_service"}"#
        );
    }

    #[test]
    fn bad_records_are_rejected_alone() {
        let limits = Limits { line_bytes_max: 4, ..Default::default() };
        let json = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[
            {"body":{"stringValue":"12345"}}, {"body":{"stringValue":"1234"}}, {"timeUnixNano":"18446744073709551615"}]}]}]}"#;
        let decoded = Decoder::new(limits).logs(Format::Json, json.as_bytes(), 0).unwrap();
        assert_eq!((decoded.batch.entry_count(), decoded.rejected.count()), (1, 2));
        let reasons: Vec<_> = decoded.rejected.by_reason().collect();
        assert_eq!(reasons, [(RejectReason::LineTooLong, 1), (RejectReason::InvalidTimestamp, 1)]);
    }

    #[test]
    fn repeated_resource_attributes_can_not_exhaust_memory() {
        let records = vec!["{}"; 2_000].join(",");
        let json = format!(
            r#"{{"resourceLogs":[{{"resource":{{"attributes":[{{"key":"a","value":{{"stringValue":"{}"}}}}]}},"scopeLogs":[{{"logRecords":[{records}]}}]}}]}}"#,
            "x".repeat(1000)
        );
        let limits = Limits { batch_bytes_max: 1_000_000, ..Default::default() };
        let error = Decoder::new(limits).logs(Format::Json, json.as_bytes(), 0).unwrap_err();
        assert_eq!((error.kind(), error.position()), (DecodeErrorKind::TooLarge, None));
    }
}
