//! Files of JSON lines, numbered when they are full: `name.jsonl`, then `name.jsonl.1` (the newest full one) and so on.

use super::{Attempt, Outcome, Transport};
use crate::config::{DestinationConfig, FileFormat};
use crate::item::{Item, decode_batch};
use bramble_runtime::Clock;
use bramble_signal::attributes::{AttributeValue, AttributesRef};
use bramble_signal::{LabelsRef, LogBatch, MetricBatch, Signal, SpanBatch, floating_label};
use bramble_storage::Batch;
use bramble_wire::otlp::{JsonDialect, encode_traces_json};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

/// Appends to a file.
pub(super) struct FileSink {
    inner: Arc<Mutex<Sink>>,
    format: FileFormat,
}

struct Sink {
    path: PathBuf,
    bytes_max: u64,
    files_max: u32,
    open: Option<(File, u64)>,
}

impl FileSink {
    pub(super) fn new(config: &DestinationConfig, _clock: Arc<dyn Clock>) -> Result<Self, String> {
        if config.format == FileFormat::OtlpJson && config.wanted() != [Signal::Traces] {
            return Err("format \"otlp_json\" writes traces alone; set signals = [\"traces\"]".into());
        }
        let (bytes_max, files_max) = (config.file_max_bytes.0, config.files_max);
        let sink = Sink { path: PathBuf::from(&config.endpoint), bytes_max, files_max, open: None };
        Ok(FileSink { inner: Arc::new(Mutex::new(sink)), format: config.format })
    }

    async fn append(&self, item: &Item) -> Outcome {
        let batch = match decode_batch(item.signal, &item.payload) {
            Ok(batch) => batch,
            Err(error) => return Outcome::undecodable(&error),
        };
        let text = match (&batch, self.format) {
            (Batch::Metrics(batch), _) => metric_lines(batch),
            (Batch::Logs(batch), _) => log_lines(batch),
            (Batch::Spans(batch), FileFormat::JsonLines) => span_lines(batch),
            (Batch::Spans(batch), FileFormat::OtlpJson) => {
                let mut text = String::new();
                encode_traces_json(batch, JsonDialect::Otlp, &mut text);
                text.push('\n');
                text
            }
        };
        let inner = self.inner.clone();
        let written = tokio::task::spawn_blocking(move || inner.lock().write(text.as_bytes())).await;
        match written {
            Ok(Ok(())) => Outcome::taken(),
            Ok(Err(error)) => Outcome::Away(error.to_string()),
            Err(error) => Outcome::Away(error.to_string()),
        }
    }
}

impl Transport for FileSink {
    fn send<'a>(&'a self, item: &'a Item, _late: bool) -> Attempt<'a> {
        Box::pin(self.append(item))
    }
}

impl Sink {
    /// Appends and syncs. After an error the file is cut to what it was, so that a retry repeats nothing.
    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let (mut file, mut bytes) = match self.open.take() {
            Some(open) => open,
            None => self.begin()?,
        };
        if bytes > 0 && bytes + text.len() as u64 > self.bytes_max {
            drop(file);
            self.rotate()?;
            (file, bytes) = self.begin()?;
        }
        if let Err(error) = file.write_all(text).and_then(|()| file.sync_data()) {
            _ = file.set_len(bytes);
            return Err(error);
        }
        self.open = Some((file, bytes + text.len() as u64));
        Ok(())
    }

    fn begin(&self) -> io::Result<(File, u64)> {
        if let Some(directory) = self.path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        let bytes = file.metadata()?.len();
        Ok((file, bytes))
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    fn rotate(&self) -> io::Result<()> {
        for number in (1..self.files_max).rev() {
            match std::fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        match self.files_max {
            0 => std::fs::remove_file(&self.path),
            _ => std::fs::rename(&self.path, self.numbered(1)),
        }
    }
}

fn object(labels: LabelsRef<'_>) -> Value {
    let pairs = labels.iter().map(|(name, value)| (floating_label(name).unwrap_or(name).to_owned(), value.into()));
    Value::Object(pairs.collect::<Map<String, Value>>())
}

fn number(value: f64) -> Value {
    // JSON knows neither NaN nor infinities.
    if value.is_finite() { json!(value) } else { json!(value.to_string()) }
}

fn metric_lines(batch: &MetricBatch) -> String {
    let mut out = String::new();
    for (labels, samples) in batch.iter() {
        let labels = object(labels);
        for sample in samples {
            let mut line = json!({ "signal": "metrics", "timestamp_ms": sample.timestamp_ms, "labels": labels });
            match batch.histogram(sample.value) {
                Some(histogram) => line["histogram"] = histogram.literal().into(),
                None if bramble_signal::is_stale_marker(sample.value) => line["stale"] = true.into(),
                None => line["value"] = number(sample.value),
            }
            out.push_str(&line.to_string());
            out.push('\n');
        }
    }
    out
}

fn log_lines(batch: &LogBatch) -> String {
    let mut out = String::new();
    for stream in batch.streams() {
        let labels = object(stream.labels());
        for entry in stream.entries() {
            let mut line = json!({
                "signal": "logs",
                "timestamp_ns": entry.timestamp_ns,
                "labels": labels,
                "line": String::from_utf8_lossy(entry.line),
            });
            if !entry.metadata.is_empty() {
                line["metadata"] = object(entry.metadata);
            }
            out.push_str(&line.to_string());
            out.push('\n');
        }
    }
    out
}

fn attributes(attributes: AttributesRef<'_>) -> Value {
    let value = |value: AttributeValue<'_>| match value {
        AttributeValue::Str(text) => text.into(),
        AttributeValue::Bool(value) => value.into(),
        AttributeValue::Int(value) => value.into(),
        AttributeValue::Double(value) => number(value),
        other => json!(format!("{other:?}")),
    };
    Value::Object(attributes.iter().map(|(key, of)| (key.to_owned(), value(of))).collect::<Map<String, Value>>())
}

fn span_lines(batch: &SpanBatch) -> String {
    let mut out = String::new();
    for span in &batch.spans {
        let line = json!({
            "signal": "traces",
            "trace_id": span.trace_id.to_string(),
            "span_id": span.span_id.to_string(),
            "parent_span_id": if span.parent_span_id.is_zero() { String::new() } else { span.parent_span_id.to_string() },
            "name": batch.text(span.name),
            "kind": span.kind.as_str(),
            "status": span.status.as_str(),
            "start_ns": span.start_ns,
            "end_ns": span.end_ns,
            "resource": attributes(batch.resource_attributes(span)),
            "attributes": attributes(batch.attributes(span.attributes)),
        });
        out.push_str(&line.to_string());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_files_are_numbered_and_the_oldest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/out.jsonl");
        let mut sink = Sink { path: path.clone(), bytes_max: 10, files_max: 2, open: None };
        for text in ["aaaa\n", "bbbb\n", "cccc\n", "dddd\n", "eeee\n", "ffff\n", "gggg\n"] {
            sink.write(text.as_bytes()).unwrap();
        }
        let read = |path: &std::path::Path| std::fs::read_to_string(path).unwrap();
        assert_eq!(read(&path), "gggg\n");
        assert_eq!((read(&sink.numbered(1)), read(&sink.numbered(2))), ("eeee\nffff\n".into(), "cccc\ndddd\n".into()));
        assert!(!sink.numbered(3).exists());
    }
}
