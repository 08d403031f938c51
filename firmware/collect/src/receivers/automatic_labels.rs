//! What Loki adds to logs by itself: the stream label `service_name` and the metadata `detected_level`.
//!
//! Grafana's log volume groups by `detected_level` and its Drilldown app lists services by `service_name`, so logs of
//! every protocol get both, unless switched off.

use super::refusal::Refusal;
use bramble_runtime::Reservation;
use bramble_signal::labels::encode_sorted;
use bramble_signal::{LabelsRef, LogBatch};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Which labels are added on arrival.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LokiOptions {
    /// Add the stream label `service_name`, taken from the first of a list of labels that say much the same, else
    /// `unknown_service`.
    pub service_name: bool,
    /// Add the metadata `detected_level`: `trace`, `debug`, `info`, `warn`, `error`, `critical`, `fatal`, `unknown`,
    /// or what the sender calls its level.
    pub level_detection: bool,
}

impl Default for LokiOptions {
    fn default() -> Self {
        LokiOptions { service_name: true, level_detection: true }
    }
}

const SERVICE_NAME: &str = "service_name";
const UNKNOWN_SERVICE: &str = "unknown_service";
const DETECTED_LEVEL: &str = "detected_level";
const UNKNOWN_LEVEL: &str = "unknown";

/// Labels that name a service, best first (Loki's `discover_service_name`).
const SERVICE_LABELS: [&str; 13] = [
    "service",
    "app",
    "application",
    "app_name",
    "name",
    "app_kubernetes_io_name",
    "container",
    "container_name",
    "k8s_container_name",
    "component",
    "workload",
    "job",
    "k8s_job_name",
];

/// Names under which senders keep a level (Loki's `log_level_fields`); dots are underscores in metadata.
const LEVEL_NAMES: [&str; 15] = [
    "level",
    "LEVEL",
    "Level",
    "log.level",
    "log_level",
    "severity",
    "SEVERITY",
    "Severity",
    "SeverityText",
    "lvl",
    "LVL",
    "Lvl",
    "severity_text",
    "Severity_Text",
    "SEVERITY_TEXT",
];

/// So much of a line is searched for a word that names a level.
const SEARCH_BYTES_MAX: usize = 4096;

impl LokiOptions {
    /// Copies the batch with the labels added; `held` covers the old batch and then the new one.
    ///
    /// # Errors
    /// [`Refusal::OverBudget`].
    pub(crate) fn add_labels(
        &self,
        batch: LogBatch,
        mut held: Reservation,
    ) -> Result<(LogBatch, Reservation), Refusal> {
        if !self.service_name && !self.level_detection {
            return Ok((batch, held));
        }
        let added = batch.stream_count() * 48 + batch.entry_count() * 24;
        held.grow(batch.memory_bytes() + added)?;
        let mut out = LogBatch::new();
        let mut scratch = Vec::new();
        for stream in batch.streams() {
            let labels = stream.labels();
            match self.service_name && labels.get(SERVICE_NAME).is_none() {
                true => out.start_stream_encoded(with_pair(labels, SERVICE_NAME, service_of(labels), &mut scratch)),
                false => out.start_stream_encoded(labels),
            }
            for entry in stream.entries() {
                let metadata = entry.metadata;
                let known = metadata.get(DETECTED_LEVEL).is_some() || labels.get(DETECTED_LEVEL).is_some();
                let metadata = match self.level_detection && !known {
                    true => {
                        let level = level_of(labels, metadata, entry.line);
                        with_pair(metadata, DETECTED_LEVEL, &level, &mut scratch)
                    }
                    false => metadata,
                };
                out.push_entry_encoded(entry.timestamp_ns, entry.line, metadata);
            }
        }
        drop(batch);
        held.force_resize(out.memory_bytes());
        Ok((out, held))
    }
}

/// `labels` and one more pair, whose name is not among them; encoded into `scratch`.
fn with_pair<'a>(labels: LabelsRef<'_>, name: &str, value: &str, scratch: &'a mut Vec<u8>) -> LabelsRef<'a> {
    scratch.clear();
    let before = labels.iter().take_while(|(other, _)| *other < name);
    let after = labels.iter().skip_while(|(other, _)| *other < name);
    encode_sorted(before.chain([(name, value)]).chain(after), scratch);
    LabelsRef::from_encoded(scratch)
}

fn service_of<'a>(labels: LabelsRef<'a>) -> &'a str {
    SERVICE_LABELS.iter().find_map(|name| labels.get(name)).unwrap_or(UNKNOWN_SERVICE)
}

/// The level of an entry: what labels or metadata say, else what the line says.
fn level_of<'a>(labels: LabelsRef<'a>, metadata: LabelsRef<'a>, line: &[u8]) -> Cow<'a, str> {
    if let Some(level) = metadata.get("severity_number").and_then(of_severity_number) {
        return Cow::Borrowed(level);
    }
    for (name, value) in labels.iter().chain(metadata.iter()) {
        if LEVEL_NAMES.contains(&name) {
            return Cow::Borrowed(canonical(value.as_bytes()).unwrap_or(value));
        }
    }
    Cow::Borrowed(of_line(line))
}

/// OTLP's severity numbers: four per level.
fn of_severity_number(number: &str) -> Option<&'static str> {
    Some(match number.parse::<u8>().ok()? {
        1..=4 => "trace",
        5..=8 => "debug",
        9..=12 => "info",
        13..=16 => "warn",
        17..=20 => "error",
        21..=24 => "fatal",
        _ => return None,
    })
}

/// The one word for a level that has many; ASCII case is ignored.
fn canonical(word: &[u8]) -> Option<&'static str> {
    const WORDS: [(&str, &str); 16] = [
        ("trace", "trace"),
        ("trc", "trace"),
        ("debug", "debug"),
        ("dbg", "debug"),
        ("info", "info"),
        ("inf", "info"),
        ("information", "info"),
        ("informational", "info"),
        ("warn", "warn"),
        ("wrn", "warn"),
        ("warning", "warn"),
        ("error", "error"),
        ("err", "error"),
        ("critical", "critical"),
        ("crit", "critical"),
        ("fatal", "fatal"),
    ];
    WORDS.iter().find(|(known, _)| word.eq_ignore_ascii_case(known.as_bytes())).map(|(_, level)| *level)
}

fn of_line(line: &[u8]) -> &'static str {
    let line = line.trim_ascii();
    let field = if line.starts_with(b"{") { json_level(line) } else { logfmt_level(line) };
    field.or_else(|| first_word(line)).unwrap_or(UNKNOWN_LEVEL)
}

/// The level in a top-level field of a JSON object. Reads up to the field; a line that is cut off after it counts.
fn json_level(line: &[u8]) -> Option<&'static str> {
    struct Search<'a>(&'a mut Option<&'static str>);

    impl<'de> Visitor<'de> for Search<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                if !LEVEL_NAMES.contains(&key.as_ref()) {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                let value = map.next_value::<serde_json::Value>()?;
                if let Some(level) = value.as_str().and_then(|text| canonical(text.as_bytes())) {
                    *self.0 = Some(level);
                    // Not an error: the way to stop reading.
                    return Err(serde::de::Error::custom("found"));
                }
            }
            Ok(())
        }
    }

    let mut found = None;
    let mut reader = serde_json::Deserializer::from_slice(line);
    let _ = serde::Deserializer::deserialize_map(&mut reader, Search(&mut found));
    found
}

/// The level in a `key=value` pair outside quotes.
fn logfmt_level(line: &[u8]) -> Option<&'static str> {
    let mut rest = line;
    while !rest.is_empty() {
        rest = rest.trim_ascii_start();
        let key_end = rest.iter().position(|&b| b == b'=' || b.is_ascii_whitespace()).unwrap_or(rest.len());
        let (key, after) = rest.split_at(key_end);
        let Some(after) = after.strip_prefix(b"=") else {
            rest = after;
            continue;
        };
        let (value, after) = logfmt_value(after);
        if LEVEL_NAMES.iter().any(|name| name.as_bytes() == key)
            && let Some(level) = canonical(value)
        {
            return Some(level);
        }
        rest = after;
    }
    None
}

fn logfmt_value(text: &[u8]) -> (&[u8], &[u8]) {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
        return text.split_at(end);
    };
    let mut escaped = false;
    let end = quoted.iter().position(|&b| {
        let ends = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        ends
    });
    let (value, after) = quoted.split_at(end.unwrap_or(quoted.len()));
    (value, after.strip_prefix(b"\"").unwrap_or(after))
}

/// The first whole word that names a level.
fn first_word(line: &[u8]) -> Option<&'static str> {
    const WORDS: [&str; 9] = ["trace", "debug", "info", "warn", "warning", "error", "err", "critical", "fatal"];
    let line = line.get(..SEARCH_BYTES_MAX).unwrap_or(line);
    line.split(|b| !b.is_ascii_alphanumeric() && *b != b'_')
        .find(|word| WORDS.iter().any(|known| word.eq_ignore_ascii_case(known.as_bytes())))
        .and_then(canonical)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_runtime::{Budget, BudgetName};

    /// What Loki 3.7.6 answered for such lines (conformance corpus `logql-defaults`), and neighbours of them.
    const LINES: [(&str, &str); 24] = [
        ("ts=2026-11-18T00:59:27.487Z level=error caller=handler.go:44 msg=\"slow query\"", "error"),
        ("ts=1 level=info msg=\"an error inside\"", "info"),
        ("msg=\"quoted level=debug\" level=warn", "warn"),
        ("level=warn", "warn"),
        ("level=\"WARNING\" a=b", "warn"),
        (r#"{"time":"x","severity":"ERROR","message":"payload too large"}"#, "error"),
        (r#"{"time": "x", "severity": "debug", "message": "an error"}"#, "debug"),
        (r#"{"time": "x", "severity": 7, "message": "request completed"}"#, "unknown"),
        (r#"{"severity":"info","cut":"o"#, "info"),
        (r#"{"nested":{"level":"x"},"m":"fine"}"#, "unknown"),
        (r#"{"_entry": "level=info packed line 109", "pod": "pod-2"}"#, "info"),
        (r#"{"_entry": "plain", "pod": "pod-3"}"#, "unknown"),
        (r#"2026-11-18T00:59:51Z stdout F {"lvl":"info","n":4} 639"#, "info"),
        ("2026-11-18T00:59:29Z stdout F E1118 reflector.go:22] watch failed: EOF 332", "unknown"),
        ("\u{1b}[31mERROR\u{1b}[0m step took 68ms", "unknown"),
        ("[ERROR] it broke", "error"),
        ("Exception in thread \"main\" java.lang.IllegalStateException: boom", "unknown"),
        ("order 292 failed total=93.13 EUR", "unknown"),
        ("not json at all: {oops", "unknown"),
        ("{\"truncated\": \"yes\", \"n\": 1", "unknown"),
        ("information about terrors and an info_desk", "unknown"),
        ("Fatal: out of memory", "fatal"),
        ("a=\"unterminated level=error", "error"),
        ("", "unknown"),
    ];

    #[test]
    fn levels_of_lines() {
        for (line, level) in LINES {
            assert_eq!(of_line(line.as_bytes()), level, "{line}");
        }
        assert_eq!(of_line(b"\xff\xfe error \xff"), "error");
    }

    fn added(options: LokiOptions) -> LogBatch {
        let mut batch = LogBatch::new();
        batch.start_stream(&mut [("job", "nginx"), ("app", "web"), ("zone", "z")]).unwrap();
        batch.push_entry(1, b"fine", &mut [("a", "1"), ("zz", "2")]).unwrap();
        batch.push_entry(2, b"error", &mut [("severity_number", "9"), ("level", "zzz")]).unwrap();
        batch.push_entry(3, b"error", &mut [("level", "Notice")]).unwrap();
        batch.push_entry(4, b"error", &mut [("detected_level", "mine")]).unwrap();
        batch.start_stream(&mut [("service_name", "given"), ("level", "WARN")]).unwrap();
        batch.push_entry(5, b"error", &mut []).unwrap();
        batch.start_stream(&mut [("x", "y")]).unwrap();
        let budget = Budget::standalone(BudgetName::Receive, 1 << 20);
        let held = budget.reserve(batch.memory_bytes()).unwrap();
        let (batch, held) = options.add_labels(batch, held).unwrap();
        assert_eq!(held.bytes(), batch.memory_bytes());
        batch
    }

    #[test]
    fn labels_are_added_in_order_and_never_twice() {
        let batch = added(LokiOptions::default());
        let labels: Vec<String> = batch.streams().map(|s| s.labels().to_string()).collect();
        assert_eq!(labels[0], r#"{app="web", job="nginx", service_name="web", zone="z"}"#);
        assert_eq!(labels[1], r#"{level="WARN", service_name="given"}"#);
        assert_eq!(labels[2], r#"{service_name="unknown_service", x="y"}"#);
        let levels: Vec<Option<&str>> =
            batch.streams().flat_map(|s| s.entries()).map(|e| e.metadata.get(DETECTED_LEVEL)).collect();
        assert_eq!(levels, ["unknown", "info", "Notice", "mine", "warn"].map(Some));
        assert!(LabelsRef::parse(batch.stream(0).entries().next().unwrap().metadata.as_bytes()).is_some());
    }

    #[test]
    fn both_can_be_switched_off() {
        let off = LokiOptions { service_name: false, level_detection: false };
        assert!(
            added(off).streams().flat_map(|s| s.entries()).filter(|e| e.metadata.get(DETECTED_LEVEL).is_some()).count()
                == 1
        );
        let names = added(LokiOptions { service_name: true, level_detection: false });
        assert!(names.stream(0).labels().get(SERVICE_NAME).is_some());
        assert!(names.stream(0).entries().next().unwrap().metadata.get(DETECTED_LEVEL).is_none());
        let levels = added(LokiOptions { service_name: false, level_detection: true });
        assert!(levels.stream(0).labels().get(SERVICE_NAME).is_none());
    }
}
