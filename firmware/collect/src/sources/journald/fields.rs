//! From an entry's fields to a line with labels and metadata.
//!
//! Source: systemd.journal-fields(7).

use super::super::gathering::encode_labels;
use super::JournaldOptions;
use crate::relabel::{LabelPairs, relabel};
use bramble_signal::LabelsRef;
use bramble_wire::syslog::{Priority, level_of_severity};
use std::borrow::Cow;
use std::ops::Range;

/// Fields of an entry, and bytes of all together, at most; what is beyond is left out.
const FIELDS_MAX: usize = 128;
const ENTRY_BYTES_MAX: usize = 512 << 10;
/// Longest line.
const LINE_BYTES_MAX: usize = 256 << 10;
/// Values of metadata are cut off there.
const VALUE_BYTES_MAX: usize = 4 << 10;
const METADATA_BYTES_MAX: usize = 32 << 10;

/// Fields that are labels or the line already, or that say nothing that the entry's time does not.
const NO_METADATA: [&str; 9] = [
    "MESSAGE",
    "PRIORITY",
    "_HOSTNAME",
    "_TRANSPORT",
    "SYSLOG_TIMESTAMP",
    "SYSLOG_RAW",
    "_CAP_EFFECTIVE",
    "_SOURCE_REALTIME_TIMESTAMP",
    "_SOURCE_MONOTONIC_TIMESTAMP",
];

/// Units of a kind that is there once per service, not per session or process.
const LASTING_UNITS: [&str; 7] = [".service", ".socket", ".timer", ".mount", ".automount", ".path", ".swap"];

/// An entry as it was read. Its memory is used again for the next.
#[derive(Default, Debug)]
pub(super) struct Entry {
    bytes: Vec<u8>,
    fields: Vec<(Range<usize>, Range<usize>)>,
}

impl Entry {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
    }

    /// Adds `NAME=value`; false when no more fits.
    pub(super) fn add(&mut self, field: &[u8]) -> bool {
        let Some(at) = memchr::memchr(b'=', field) else { return true };
        let start = self.bytes.len();
        let field = field.get(..at + 1 + LINE_BYTES_MAX).unwrap_or(field);
        self.bytes.extend_from_slice(field);
        self.fields.push((start..start + at, start + at + 1..self.bytes.len()));
        self.fields.len() < FIELDS_MAX && self.bytes.len() < ENTRY_BYTES_MAX
    }

    fn all(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let slice = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or_default();
        self.fields.iter().filter_map(move |(name, value)| Some((std::str::from_utf8(slice(name)).ok()?, slice(value))))
    }

    /// The value of a field, the first of several.
    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        self.all().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok()).filter(|value| !value.is_empty())
    }

    fn severity(&self) -> Option<u8> {
        self.text("PRIORITY")?.parse().ok()
    }
}

/// What an entry became, in buffers that are used again.
#[derive(Default, Debug)]
pub(super) struct Rendered {
    labels: Vec<u8>,
    metadata: Vec<u8>,
    json: Vec<u8>,
    is_json: bool,
}

impl Rendered {
    pub(super) fn labels(&self) -> LabelsRef<'_> {
        LabelsRef::from_encoded(&self.labels)
    }

    pub(super) fn metadata(&self) -> LabelsRef<'_> {
        LabelsRef::from_encoded(&self.metadata)
    }

    /// The line; `None` for an entry without a message.
    pub(super) fn line<'a>(&'a self, entry: &'a Entry) -> Option<&'a [u8]> {
        if self.is_json {
            return Some(&self.json);
        }
        entry.get("MESSAGE").map(<[u8]>::trim_ascii_end).filter(|line| !line.is_empty())
    }

    /// Renders an entry. False when relabelling drops it.
    pub(super) fn render(&mut self, entry: &Entry, options: &JournaldOptions) -> bool {
        self.metadata.clear();
        self.is_json = options.json;
        if options.json {
            self.json.clear();
            json(entry, &mut self.json);
        }
        match &options.relabel {
            Some(rules) => {
                let mut pairs = discovered(entry);
                pairs.extend(options.labels.iter().cloned());
                if !relabel(&mut pairs, rules) {
                    return false;
                }
                let kept = pairs.iter().filter(|(name, value)| !name.starts_with("__") && !value.is_empty());
                let mut kept: Vec<(&str, &str)> = kept.map(|(name, value)| (name.as_str(), value.as_str())).collect();
                encode_labels(&mut kept, &mut self.labels);
            }
            None => {
                own_labels(entry, &options.labels, &mut self.labels);
                metadata(entry, &mut self.metadata);
            }
        }
        true
    }
}

/// `job`, `host`, `unit`, `service`, `level`, `transport`; what is configured goes before.
fn own_labels(entry: &Entry, configured: &LabelPairs, out: &mut Vec<u8>) {
    let unit = ["_SYSTEMD_UNIT", "UNIT", "_SYSTEMD_USER_UNIT", "USER_UNIT"].into_iter();
    // What systemd says of a unit belongs to that unit.
    let unit = unit.filter_map(|name| entry.text(name)).find_map(lasting);
    let service = entry.text("SYSLOG_IDENTIFIER").map(Cow::Borrowed);
    let service = service.or_else(|| unit.as_deref().map(|unit| Cow::Owned(stem(unit).to_owned())));
    let service = service.or_else(|| entry.text("_COMM").map(Cow::Borrowed));
    let mut pairs: Vec<(&str, &str)> = configured.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    pairs.push(("job", "journald"));
    let found = [
        ("host", entry.text("_HOSTNAME")),
        ("unit", unit.as_deref()),
        ("service", service.as_deref()),
        ("level", entry.severity().and_then(level_of_severity)),
        ("transport", entry.text("_TRANSPORT")),
    ];
    pairs.extend(found.into_iter().filter_map(|(name, value)| Some((name, value?))));
    encode_labels(&mut pairs, out);
}

/// The unit as a label: sessions and scopes come and go by the thousand, and so do instances that carry a connection or a
/// process in their name; of those the template is the label (`sshd@.service`).
fn lasting(unit: &str) -> Option<Cow<'_, str>> {
    let kind = LASTING_UNITS.iter().find(|kind| unit.ends_with(**kind))?;
    let Some((template, instance)) = unit.strip_suffix(kind)?.split_once('@') else { return Some(Cow::Borrowed(unit)) };
    let digits = instance.bytes().filter(u8::is_ascii_digit).count();
    match instance.contains(':') || digits > 3 {
        true => Some(Cow::Owned(format!("{template}@{kind}"))),
        false => Some(Cow::Borrowed(unit)),
    }
}

fn stem(unit: &str) -> &str {
    unit.rsplit_once('.').map_or(unit, |(stem, _)| stem.trim_end_matches('@'))
}

/// All other fields under their names in lower case without leading underscores: `_PID` is `pid`, `CODE_FILE` `code_file`.
fn metadata(entry: &Entry, out: &mut Vec<u8>) {
    let names: Vec<(String, Cow<'_, str>)> = {
        let wanted = entry.all().filter(|(name, value)| !NO_METADATA.contains(name) && !value.is_empty());
        let mut bytes = 0;
        let fits = wanted.map_while(|(name, value)| {
            let value = value.get(..VALUE_BYTES_MAX).unwrap_or(value);
            bytes += name.len() + value.len();
            (bytes <= METADATA_BYTES_MAX).then(|| (name, String::from_utf8_lossy(value)))
        });
        // Fields that journald vouches for come before those that anybody can send.
        let mut fits: Vec<(&str, Cow<'_, str>)> = fits.collect();
        fits.sort_by_key(|(name, _)| !name.starts_with('_'));
        fits.into_iter().map(|(name, value)| (name.trim_start_matches('_').to_ascii_lowercase(), value)).collect()
    };
    let mut pairs: Vec<(&str, &str)> = names.iter().map(|(name, value)| (name.as_str(), value.as_ref())).collect();
    encode_labels(&mut pairs, out);
}

/// What Promtail's relabelling sees: `__journal_` and each field's name in lower case, and the words for numbers.
fn discovered(entry: &Entry) -> LabelPairs {
    let mut pairs: LabelPairs = Vec::new();
    for (name, value) in entry.all() {
        if let Ok(value) = std::str::from_utf8(value.get(..VALUE_BYTES_MAX).unwrap_or(value)) {
            pairs.push((format!("__journal_{}", name.to_ascii_lowercase()), value.to_owned()));
        }
    }
    if let Some(priority) = entry.severity().and_then(Priority::new) {
        pairs.push(("__journal_priority_keyword".to_owned(), keyword(priority.severity()).to_owned()));
    }
    let facility = entry.text("SYSLOG_FACILITY").and_then(|text| text.parse::<u8>().ok());
    if let Some(priority) = facility.and_then(|facility| Priority::new(facility.checked_mul(8)?)) {
        pairs.push(("__journal_syslog_facility_keyword".to_owned(), priority.facility_name().to_owned()));
    }
    pairs
}

/// journalctl's words for severities, which differ from syslog's in one.
fn keyword(severity: u8) -> &'static str {
    match Priority::new(severity).map(Priority::severity_name) {
        Some("err") => "error",
        Some(word) => word,
        None => "",
    }
}

/// The whole entry as one JSON object, of several values of a name the first; bytes that are no UTF-8 are replaced.
fn json(entry: &Entry, out: &mut Vec<u8>) {
    let mut object = serde_json::Map::new();
    for (name, value) in entry.all() {
        if !object.contains_key(name) {
            object.insert(name.to_owned(), String::from_utf8_lossy(value).into_owned().into());
        }
    }
    // Texts always have a form in JSON, and a vector takes them.
    let _ = serde_json::to_writer(out, &object);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(fields: &[&str]) -> Entry {
        let mut entry = Entry::default();
        for field in fields {
            entry.add(field.as_bytes());
        }
        entry
    }

    #[test]
    fn names_of_units_are_bounded() {
        for (unit, label) in [
            ("ssh.service", Some("ssh.service")),
            ("getty@tty1.service", Some("getty@tty1.service")),
            ("user@1000.service", Some("user@.service")),
            ("sshd@3-10.0.0.1:22-10.0.0.9:4000.service", Some("sshd@.service")),
            ("session-12.scope", None),
            ("user.slice", None),
        ] {
            assert_eq!(lasting(unit).as_deref(), label, "{unit}");
        }
        assert_eq!((stem("ssh.service"), stem("sshd@.service"), stem("x")), ("ssh", "sshd", "x"));
    }

    #[test]
    fn an_entry_becomes_labels_and_metadata() {
        let mut rendered = Rendered::default();
        let fields =
            ["MESSAGE=hello \n", "PRIORITY=3", "_PID=7", "PID=8", "_HOSTNAME=pi", "_COMM=x", "broken", "EMPTY="];
        let entry = entry(&fields);
        assert!(rendered.render(&entry, &JournaldOptions::default()));
        assert_eq!(rendered.labels().to_string(), "{host=\"pi\", job=\"journald\", level=\"error\", service=\"x\"}");
        assert_eq!(rendered.metadata().to_string(), "{comm=\"x\", pid=\"7\"}");
        assert_eq!(rendered.line(&entry), Some(&b"hello"[..]));
        let options = JournaldOptions { labels: vec![("job".into(), "mine".into())], json: true, ..Default::default() };
        assert!(rendered.render(&entry, &options));
        assert_eq!(rendered.labels().get("job"), Some("mine"));
        let line: serde_json::Value = serde_json::from_slice(rendered.line(&entry).unwrap()).unwrap();
        assert_eq!((line["MESSAGE"].as_str(), line["PID"].as_str()), (Some("hello \n"), Some("8")));
    }

    #[test]
    fn relabelling_sees_promtails_names() {
        let rules = serde_json::json!([
            {"source_labels": ["__journal__systemd_unit"], "target_label": "unit"},
            {"source_labels": ["__journal_priority_keyword"], "target_label": "level"},
            {"source_labels": ["__journal_syslog_facility_keyword"], "regex": "cron", "action": "drop"},
        ]);
        let options = JournaldOptions {
            relabel: Some(serde_json::from_value(rules).unwrap()),
            labels: vec![("job".into(), "systemd-journal".into())],
            ..Default::default()
        };
        let mut rendered = Rendered::default();
        assert!(rendered.render(&entry(&["MESSAGE=a", "_SYSTEMD_UNIT=a.scope", "PRIORITY=3"]), &options));
        assert_eq!(rendered.labels().to_string(), "{job=\"systemd-journal\", level=\"error\", unit=\"a.scope\"}");
        assert!(rendered.metadata().is_empty());
        assert!(!rendered.render(&entry(&["MESSAGE=a", "SYSLOG_FACILITY=9"]), &options));
    }

    #[test]
    fn an_entry_is_bounded() {
        let mut entry = Entry::default();
        let taken = (0..1000).take_while(|n| entry.add(format!("F{n}=x").as_bytes())).count();
        assert_eq!(taken, FIELDS_MAX - 1);
        entry.clear();
        assert!(!entry.add(&[&b"MESSAGE="[..], &vec![b'x'; 1 << 20]].concat()) || entry.bytes.len() <= ENTRY_BYTES_MAX);
        assert_eq!(entry.get("MESSAGE").unwrap().len(), LINE_BYTES_MAX);
    }
}
