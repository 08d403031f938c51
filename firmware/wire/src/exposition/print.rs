//! Writing exposition: families one after the other, each with its samples, appended to a byte vector.
//!
//! The caller sorts. What a format cannot say is left out: native histograms in both text formats, units in
//! Prometheus text.

use super::ExpositionFormat;
use super::float::push_float;
use crate::protobuf::Writer;
use bramble_signal::labels::is_plain_name;
use bramble_signal::{LabelsRef, METRIC_NAME, MetricKind, NativeHistogram};
use std::fmt::Write as _;

/// What precedes the samples of a family.
#[derive(Clone, Copy, Debug)]
pub struct FamilyHeader<'a> {
    /// Name of the family and of its samples.
    pub name: &'a str,
    /// Description; empty for none.
    pub help: &'a str,
    /// Type.
    pub kind: MetricKind,
}

/// Writes one document.
#[derive(Debug)]
pub struct Printer {
    format: ExpositionFormat,
    utf8_names: bool,
    name: String,
    kind: MetricKind,
    /// Scratch memory: a line, or in protobuf the family's message so far.
    line: String,
    message: Vec<u8>,
    has_family: bool,
}

impl Printer {
    /// A printer of an empty document. `utf8_names`: names stay as they are; otherwise characters that a plain name
    /// cannot have become `_`.
    pub fn new(format: ExpositionFormat, utf8_names: bool) -> Self {
        let (name, line, message) = Default::default();
        Printer { format, utf8_names, name, kind: MetricKind::Unknown, line, message, has_family: false }
    }

    /// The format written.
    pub fn format(&self) -> ExpositionFormat {
        self.format
    }

    /// Bytes held back until the family is over: protobuf needs a family's length before its content.
    pub fn pending_bytes(&self) -> usize {
        self.message.len()
    }

    /// Begins a family; the one before is over.
    pub fn family(&mut self, header: FamilyHeader<'_>, out: &mut Vec<u8>) {
        self.end_family(out);
        self.name.clear();
        push_name(header.name, self.utf8_names, true, &mut self.name);
        (self.kind, self.has_family) = (header.kind, true);
        self.line.clear();
        match self.format {
            ExpositionFormat::Protobuf => {
                let mut writer = Writer::new(&mut self.message);
                writer.bytes(1, &self.name);
                if !header.help.is_empty() {
                    writer.bytes(2, header.help);
                }
                writer.varint(3, type_code(header.kind));
                return;
            }
            ExpositionFormat::Text => {
                push_help(&self.name, header.help, false, &mut self.line);
                push_name_line("TYPE", &self.name, &mut self.line);
                self.line.push_str(match header.kind {
                    MetricKind::Unknown | MetricKind::Info | MetricKind::StateSet | MetricKind::GaugeHistogram => {
                        "untyped"
                    }
                    kind => kind.as_str(),
                });
            }
            ExpositionFormat::OpenMetrics => {
                push_help(&self.name, header.help, true, &mut self.line);
                push_name_line("TYPE", &self.name, &mut self.line);
                self.line.push_str(header.kind.as_str());
            }
        }
        self.line.push('\n');
        out.extend_from_slice(self.line.as_bytes());
    }

    /// A sample of the family: `labels` without the name, which is the family's; `extra` are labels that follow.
    pub fn sample(
        &mut self,
        labels: LabelsRef<'_>,
        extra: &[(&str, &str)],
        value: f64,
        timestamp_ms: i64,
        out: &mut Vec<u8>,
    ) {
        if self.format == ExpositionFormat::Protobuf {
            let field = match self.kind {
                MetricKind::Gauge => 2,
                MetricKind::Counter => 3,
                _ => 5,
            };
            let utf8_names = self.utf8_names;
            Writer::new(&mut self.message).message(4, |metric| {
                write_labels(metric, utf8_names, labels, extra);
                metric.message(field, |w| w.double(1, value));
                metric.varint(6, timestamp_ms.cast_unsigned());
            });
            return;
        }
        self.line.clear();
        push_series(&self.name, self.utf8_names, labels, extra, &mut self.line);
        self.line.push(' ');
        push_float(value, &mut self.line);
        // Writing to a string cannot fail.
        let _ = match self.format {
            ExpositionFormat::Text => write!(self.line, " {timestamp_ms}"),
            _ => write!(self.line, " {}", Seconds(timestamp_ms)),
        };
        self.line.push('\n');
        out.extend_from_slice(self.line.as_bytes());
    }

    /// A native histogram of the family; only protobuf has them, in the text formats nothing is written.
    pub fn histogram(
        &mut self,
        labels: LabelsRef<'_>,
        extra: &[(&str, &str)],
        histogram: &NativeHistogram,
        timestamp_ms: i64,
    ) {
        if self.format != ExpositionFormat::Protobuf {
            return;
        }
        let utf8_names = self.utf8_names;
        Writer::new(&mut self.message).message(4, |metric| {
            write_labels(metric, utf8_names, labels, extra);
            metric.varint(6, timestamp_ms.cast_unsigned());
            metric.message(7, |w| write_histogram(histogram, w));
        });
    }

    /// Ends the document.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.end_family(out);
        if self.format == ExpositionFormat::OpenMetrics {
            out.extend_from_slice(b"# EOF\n");
        }
    }

    fn end_family(&mut self, out: &mut Vec<u8>) {
        if self.has_family && self.format == ExpositionFormat::Protobuf {
            put_length(self.message.len(), out);
            out.append(&mut self.message);
        }
        self.has_family = false;
    }
}

fn type_code(kind: MetricKind) -> u64 {
    match kind {
        MetricKind::Counter => 0,
        MetricKind::Gauge => 1,
        MetricKind::Summary => 2,
        MetricKind::Histogram => 4,
        MetricKind::GaugeHistogram => 5,
        MetricKind::Unknown | MetricKind::Info | MetricKind::StateSet => 3,
    }
}

fn put_length(mut length: usize, out: &mut Vec<u8>) {
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

fn write_labels(metric: &mut Writer<'_>, utf8_names: bool, labels: LabelsRef<'_>, extra: &[(&str, &str)]) {
    let own = labels.iter().filter(|(name, _)| *name != METRIC_NAME);
    for (name, value) in own.chain(extra.iter().copied()) {
        metric.message(1, |label| {
            if utf8_names || is_plain_name(name) {
                label.bytes(1, name);
            } else {
                let mut escaped = String::new();
                push_name(name, utf8_names, false, &mut escaped);
                label.bytes(1, escaped);
            }
            label.bytes(2, value);
        });
    }
}

/// Counts are floating point, as they are kept.
fn write_histogram(histogram: &NativeHistogram, w: &mut Writer<'_>) {
    let zigzag = |n: i64| ((n << 1) ^ (n >> 63)).cast_unsigned();
    w.double(2, histogram.sum);
    w.double(4, histogram.count);
    w.varint(5, zigzag(histogram.schema.into()));
    w.double(6, histogram.zero_threshold);
    w.double(8, histogram.zero_count);
    let sides = [
        (9, 11, &histogram.negative_spans, &histogram.negative_counts),
        (12, 14, &histogram.positive_spans, &histogram.positive_counts),
    ];
    for (spans_field, counts_field, spans, counts) in sides {
        for span in spans {
            w.message(spans_field, |w| {
                w.varint(1, zigzag(span.offset.into()));
                w.varint(2, span.length.into());
            });
        }
        // Repeated doubles are not packed in proto2.
        for count in counts {
            w.double(counts_field, *count);
        }
    }
    let is_empty = histogram.positive_spans.is_empty() && histogram.negative_spans.is_empty();
    if is_empty && histogram.zero_threshold == 0.0 && histogram.zero_count == 0.0 {
        // Without any of these a reader would take it for a classic histogram: an empty span says that it is not.
        w.message(12, |w| {
            w.varint(1, 0);
            w.varint(2, 0);
        });
    }
}

fn push_help(name: &str, help: &str, quotes: bool, line: &mut String) {
    if !help.is_empty() {
        push_name_line("HELP", name, line);
        push_escaped(help, quotes, line);
        line.push('\n');
    }
}

/// Appends a name, escaped unless it may be of any characters. Metrics may have colons, labels not.
fn push_name(name: &str, utf8_names: bool, colons: bool, out: &mut String) {
    if utf8_names {
        return out.push_str(name);
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':');
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        out.push('_');
    }
    out.extend(name.chars().map(|c| if plain(c) { c } else { '_' }));
}

fn push_name_line(word: &str, name: &str, line: &mut String) {
    line.push_str("# ");
    line.push_str(word);
    line.push(' ');
    if is_plain_metric_name(name) {
        line.push_str(name);
    } else {
        push_quoted(name, line);
    }
    line.push(' ');
}

fn is_plain_metric_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b':'))
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':'))
}

fn push_series(name: &str, utf8_names: bool, labels: LabelsRef<'_>, extra: &[(&str, &str)], line: &mut String) {
    let is_plain = is_plain_metric_name(name);
    if is_plain {
        line.push_str(name);
    }
    let mut separator = '{';
    if !is_plain {
        line.push('{');
        push_quoted(name, line);
        separator = ',';
    }
    let own = labels.iter().filter(|(name, _)| *name != METRIC_NAME);
    for (name, value) in own.chain(extra.iter().copied()) {
        line.push(separator);
        separator = ',';
        if utf8_names && !is_plain_name(name) {
            push_quoted(name, line);
        } else {
            push_name(name, utf8_names, false, line);
        }
        line.push('=');
        push_quoted(value, line);
    }
    if separator == ',' {
        line.push('}');
    }
}

fn push_quoted(text: &str, line: &mut String) {
    line.push('"');
    push_escaped(text, true, line);
    line.push('"');
}

fn push_escaped(text: &str, quotes: bool, line: &mut String) {
    for c in text.chars() {
        match c {
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '"' if quotes => line.push_str("\\\""),
            c => line.push(c),
        }
    }
}

/// Milliseconds as seconds with as many decimals as are needed.
struct Seconds(i64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (seconds, ms) = (self.0.unsigned_abs() / 1000, self.0.unsigned_abs() % 1000);
        match ms {
            0 => write!(f, "{sign}{seconds}"),
            ms => write!(f, "{sign}{seconds}.{ms:03}"),
        }
    }
}
