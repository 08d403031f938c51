//! What Loki adds to logs by itself: the stream label `service_name` and the metadata `detected_level`.
//!
//! Grafana's log volume groups by `detected_level` and its Drilldown app lists services by `service_name`, so logs of
//! every protocol get both, unless switched off.

use super::refusal::Refusal;
use bramble_runtime::Reservation;
use bramble_signal::{LabelsRef, LogBatch, LogEntry};
use bramble_wire::loki::SERVICE_LABELS;
use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Which labels are added on arrival.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AutomaticLabels {
    /// The stream label `service_name`.
    pub(crate) service_name: bool,
    /// The metadata `detected_level`.
    pub(crate) levels: bool,
}

const SERVICE_NAME: &str = "service_name";
const UNKNOWN_SERVICE: &str = "unknown_service";
const DETECTED_LEVEL: &str = "detected_level";
const UNKNOWN_LEVEL: &str = "unknown";

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

/// Room for a name that is added and its value.
const ADDED_BYTES: usize = 24;

/// So much of a line is searched for a word that names a level.
const SEARCH_BYTES_MAX: usize = 4096;

impl AutomaticLabels {
    /// Adds the labels; `held` covers the batch before and after.
    ///
    /// # Errors
    /// [`Refusal::OverBudget`].
    pub(crate) fn add_labels(
        &self,
        mut batch: LogBatch,
        mut held: Reservation,
    ) -> Result<(LogBatch, Reservation), Refusal> {
        if !self.service_name && !self.levels {
            return Ok((batch, held));
        }
        // Lines stay where they are; labels and metadata are written anew behind them.
        let metadata = |entry: usize| batch.entry(entry).metadata.as_bytes().len() + ADDED_BYTES;
        let labels = batch.streams().map(|stream| stream.labels().as_bytes().len() + 2 * ADDED_BYTES).sum::<usize>();
        let added = labels + if self.levels { (0..batch.entry_count()).map(metadata).sum() } else { 0 };
        held.grow(added)?;
        batch.reserve_exact(added);
        let (mut scratch, mut entry) = (Vec::new(), 0);
        for stream in 0..batch.stream_count() {
            let labels = batch.stream(stream).labels();
            if self.service_name && labels.get(SERVICE_NAME).is_none() {
                scratch.clear();
                labels.encode_with(SERVICE_NAME, service_of(labels), &mut scratch);
                batch.set_labels(stream, LabelsRef::from_encoded(&scratch));
            }
            let entries = entry..entry + batch.stream(stream).len();
            entry = entries.end;
            let labels = batch.stream(stream).labels();
            if !self.levels || labels.get(DETECTED_LEVEL).is_some() {
                continue;
            }
            let named = StreamLevel::of(labels);
            for at in entries {
                let its = batch.entry(at);
                if let Some(level) = named.to_add(&its) {
                    scratch.clear();
                    its.metadata.encode_with(DETECTED_LEVEL, &level, &mut scratch);
                    drop(level);
                    batch.set_metadata(at, LabelsRef::from_encoded(&scratch));
                }
            }
        }
        held.force_resize(batch.memory_bytes());
        Ok((batch, held))
    }
}

fn service_of<'a>(labels: LabelsRef<'a>) -> &'a str {
    SERVICE_LABELS.iter().find_map(|name| labels.get(name)).unwrap_or(UNKNOWN_SERVICE)
}

/// What the labels of a stream say of the level of its entries.
struct StreamLevel {
    /// The sender's own word, and the known one for it.
    word: Option<(String, Option<&'static str>)>,
}

impl StreamLevel {
    fn of(labels: LabelsRef<'_>) -> StreamLevel {
        StreamLevel { word: named_level(labels).map(|word| (word.to_owned(), canonical(word.as_bytes()))) }
    }

    /// The level that the entry's metadata is to have and has not: a known level that the sender gives is kept, in its
    /// usual spelling.
    fn to_add<'a>(&'a self, entry: &LogEntry<'a>) -> Option<Cow<'a, str>> {
        match entry.metadata.get(DETECTED_LEVEL) {
            None => Some(self.level_of(entry.metadata, entry.line)),
            Some(given) => canonical(given.as_bytes()).filter(|&level| level != given).map(Cow::Borrowed),
        }
    }

    /// The level of an entry: what labels say, else metadata, else OTLP's severity number, else the line. A word of the
    /// sender's own is kept, unless there is a number beside it, which says what the word means.
    fn level_of<'a>(&'a self, metadata: LabelsRef<'a>, line: &[u8]) -> Cow<'a, str> {
        let of_stream = self.word.as_ref().map(|(word, known)| (word.as_str(), *known));
        let word = of_stream.or_else(|| named_level(metadata).map(|word| (word, canonical(word.as_bytes()))));
        let of_number = || metadata.get("severity_number").and_then(of_severity_number);
        match word {
            Some((word, known)) => Cow::Borrowed(known.or_else(of_number).unwrap_or(word)),
            None if metadata.get("severity_number").is_some() => Cow::Borrowed(of_number().unwrap_or(UNKNOWN_LEVEL)),
            None => Cow::Borrowed(of_line(line)),
        }
    }
}

/// The value under the first of the names that a level may have.
fn named_level<'a>(pairs: LabelsRef<'a>) -> Option<&'a str> {
    let ranked = pairs.iter_bytes().filter_map(|(name, value)| Some((level_rank(name)?, value)));
    ranked.min_by_key(|(rank, _)| *rank).and_then(|(_, value)| std::str::from_utf8(value).ok())
}

fn level_rank(name: &[u8]) -> Option<usize> {
    // Nearly all names are told from a level's by their first letter.
    let may_be = matches!(name.first(), Some(b'l' | b'L' | b's' | b'S'));
    may_be.then(|| LEVEL_NAMES.iter().position(|known| known.as_bytes() == name))?
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
    let field = match (line.first(), may_name_a_level(line)) {
        (_, false) => None,
        (Some(b'{'), true) => json_level(line),
        (_, true) => logfmt_level(line),
    };
    field.or_else(|| first_word(line)).unwrap_or(UNKNOWN_LEVEL)
}

/// The level in a field of a JSON object, or of an object in it. Reads up to the field; a line that is cut off after it
/// counts.
fn json_level(line: &[u8]) -> Option<&'static str> {
    let mut found = None;
    let mut reader = serde_json::Deserializer::from_slice(line);
    // Being cut off, and being stopped at what was looked for, are both fine.
    let _ = Search { found: &mut found, depth: JSON_DEPTH }.deserialize(&mut reader);
    found
}

/// Objects in objects that are looked into (Loki's `log_level_from_json_max_depth`).
const JSON_DEPTH: u8 = 2;

/// Looks for a level in a value of a JSON document.
struct Search<'a> {
    found: &'a mut Option<&'static str>,
    depth: u8,
}

impl<'de> DeserializeSeed<'de> for Search<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Search<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if self.depth == 0 {
                map.next_value::<IgnoredAny>()?;
            } else if level_rank(key.as_bytes()).is_some() {
                let value = map.next_value::<serde_json::Value>()?;
                if let Some(level) = value.as_str().and_then(|text| canonical(text.as_bytes())) {
                    *self.found = Some(level);
                    // Not an error: the way to stop reading.
                    return Err(serde::de::Error::custom("found"));
                }
            } else {
                map.next_value_seed(Search { found: &mut *self.found, depth: self.depth - 1 })?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// The level in `key=value` pairs outside quotes: that of the key that comes first among the names of levels, whatever the
/// case it is written in.
fn logfmt_level(line: &[u8]) -> Option<&'static str> {
    let (mut rest, mut best) = (line, None);
    while !rest.is_empty() {
        rest = rest.trim_ascii_start();
        let key_end = rest.iter().position(|&b| b == b'=' || b.is_ascii_whitespace()).unwrap_or(rest.len());
        let (key, after) = rest.split_at(key_end);
        let Some(after) = after.strip_prefix(b"=") else {
            rest = after;
            continue;
        };
        let (value, after) = logfmt_value(after);
        let rank = LEVEL_NAMES.iter().position(|name| name.as_bytes().eq_ignore_ascii_case(key));
        if let Some(found) = rank.and_then(|rank| Some((rank, canonical(value)?)))
            && best.is_none_or(|(rank, _)| found.0 < rank)
        {
            best = Some(found);
            if found.0 == 0 {
                break;
            }
        }
        rest = after;
    }
    best.map(|(_, level)| level)
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

/// Whether one of [`LEVEL_NAMES`] may be in the line; reading its fields costs ten times as much as this.
fn may_name_a_level(line: &[u8]) -> bool {
    // All names have one of these in them, and nothing shorter tells less; in JSON a letter may be spelt by its number.
    memchr::memchr2_iter(b'v', b'V', line).any(|at| {
        let around = line.get(at.saturating_sub(2)..line.len().min(at + 2)).unwrap_or_default();
        let word = |word: &[u8; 3]| around.windows(3).any(|w| w.eq_ignore_ascii_case(word));
        word(b"lev") || word(b"eve") || word(b"lvl")
    }) || memchr::memmem::find(line, b"\\u").is_some()
}

/// The first whole word that names a level.
fn first_word(line: &[u8]) -> Option<&'static str> {
    let line = line.get(..SEARCH_BYTES_MAX).unwrap_or(line);
    line.split(|b| !b.is_ascii_alphanumeric() && *b != b'_').find_map(|word| {
        let known: &[&'static str] = match word.len() {
            3 => &["err"],
            4 => &["info", "warn"],
            5 => &["error", "debug", "trace", "fatal"],
            7 => &["warning"],
            8 => &["critical"],
            _ => return None,
        };
        known
            .iter()
            .find(|known| word.eq_ignore_ascii_case(known.as_bytes()))
            .and_then(|word| canonical(word.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_runtime::{Budget, BudgetName};

    /// What Loki 3.7.6 answered for such lines (conformance corpus `logql-defaults`), and neighbours of them.
    const LINES: [(&str, &str); 30] = [
        ("LEVEL=warn a=b", "warn"),
        ("severity=info lvl=debug level=error", "error"),
        ("severity=info lvl=debug level=7", "info"),
        (r#"{"a":{"n":null,"list":[{"level":"error"}],"level":"warn"}}"#, "warn"),
        (r#"{"a":{"b":{"c":1,"level":"warn"}},"x":true,"lvl":"trace"}"#, "trace"),
        (r#"{"a":1.5,"LEVEL":"Wrn"}"#, "warn"),
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

    fn added(options: AutomaticLabels) -> LogBatch {
        let mut batch = LogBatch::new();
        batch.start_stream(&mut [("job", "nginx"), ("app", "web"), ("zone", "z")]).unwrap();
        batch.push_entry(1, b"fine", &mut [("a", "1"), ("zz", "2")]).unwrap();
        batch.push_entry(2, b"error", &mut [("severity_number", "9"), ("severity_text", "zzz")]).unwrap();
        batch.push_entry(3, b"error", &mut [("level", "Notice")]).unwrap();
        batch.push_entry(4, b"error", &mut [("detected_level", "mine")]).unwrap();
        batch.push_entry(4, b"error", &mut [("detected_level", "WARNING")]).unwrap();
        batch.push_entry(4, b"error", &mut [("severity_number", "17"), ("severity_text", "Warn")]).unwrap();
        batch.push_entry(4, b"error", &mut [("severity_number", "77")]).unwrap();
        batch.push_entry(4, b"error", &mut [("SEVERITY", "info"), ("lvl", "debug")]).unwrap();
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
        let batch = added(AutomaticLabels { service_name: true, levels: true });
        let labels: Vec<String> = batch.streams().map(|s| s.labels().to_string()).collect();
        assert_eq!(labels[0], r#"{app="web", job="nginx", service_name="web", zone="z"}"#);
        assert_eq!(labels[1], r#"{level="WARN", service_name="given"}"#);
        assert_eq!(labels[2], r#"{service_name="unknown_service", x="y"}"#);
        let levels: Vec<Option<&str>> =
            batch.streams().flat_map(|s| s.entries()).map(|e| e.metadata.get(DETECTED_LEVEL)).collect();
        assert_eq!(levels, ["unknown", "info", "Notice", "mine", "warn", "warn", "unknown", "info", "warn"].map(Some));
        assert!(LabelsRef::parse(batch.stream(0).entries().next().unwrap().metadata.as_bytes()).is_some());
    }

    #[test]
    fn both_can_be_switched_off() {
        let off = AutomaticLabels { service_name: false, levels: false };
        assert!(
            added(off).streams().flat_map(|s| s.entries()).filter(|e| e.metadata.get(DETECTED_LEVEL).is_some()).count()
                == 2
        );
        let names = added(AutomaticLabels { service_name: true, levels: false });
        assert!(names.stream(0).labels().get(SERVICE_NAME).is_some());
        assert!(names.stream(0).entries().next().unwrap().metadata.get(DETECTED_LEVEL).is_none());
        let levels = added(AutomaticLabels { service_name: false, levels: true });
        assert!(levels.stream(0).labels().get(SERVICE_NAME).is_none());
    }
}
