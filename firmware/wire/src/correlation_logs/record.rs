//! One record: what its fields become.

use super::names::{self, Meaning, Scale};
use super::walk::each_field;
use super::{Refusal, Request, Scratch, bad_text, not_text, severity};
use crate::RejectReason;
use crate::label_set::{LabelSet, push_sanitized};
use crate::syslog::{self, SyslogLine};
use crate::time_text::parse_time;
use std::borrow::Cow;
use std::ops::Range;

/// Objects in objects that are looked into; deeper ones stay JSON.
const DEPTH_MAX: u8 = 8;
/// Of values that are wrong so much is shown.
const SHOWN_CHARS: usize = 64;
const UNKNOWN_SERVICE: &str = "unknown_service";

/// An entry without its labels and metadata, which are in scratch.
pub(super) struct Entry<'r> {
    pub(super) timestamp_ns: i64,
    message: Cow<'r, [u8]>,
    /// The part of the message that is the line.
    line: Range<usize>,
}

impl Entry<'_> {
    pub(super) fn line(&self) -> &[u8] {
        self.message.get(self.line.clone()).unwrap_or_default()
    }
}

/// A text's bytes, borrowed if it is.
pub(super) fn bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// Where a field stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// At the top of a record, or in an object there.
    Top,
    /// Among labels: texts are labels of the stream.
    Labels,
    /// In a container of other fields.
    Other,
}

/// What is known of a record so far; of several fields that mean the same, the one with the lowest rank counts, and the
/// others are metadata.
#[derive(Default)]
struct Known<'r> {
    message: Option<(u8, Cow<'r, str>, Cow<'r, str>)>,
    time: Option<(u8, Cow<'r, str>, Cow<'r, str>)>,
    severity: Option<(u8, Scale, Cow<'r, str>)>,
}

/// Fields of a record or of a resource on their way into labels and metadata.
struct Sorter<'a> {
    ids: super::IdFinder,
    labels: &'a mut LabelSet,
    metadata: &'a mut LabelSet,
    path: &'a mut String,
    label_bytes_max: usize,
    labels_max: usize,
    /// Severities are looked for.
    of_record: bool,
}

impl Request<'_> {
    /// Fields that were told with the request are the resource of records that have none.
    pub(super) fn reset_base(&mut self) {
        self.scratch.base.labels.clear();
        self.scratch.base.metadata.clear();
        let defaults = self.defaults;
        let mut sorter = self.sorter(false);
        for (name, value) in defaults {
            sorter.leaf(name, value, At::Labels, true);
        }
    }

    /// A field of an envelope: its resource, or one that all its records share.
    pub(super) fn read_resource(&mut self, key: &str, raw: &str) -> Result<(), Refusal> {
        let mut sorter = self.sorter(false);
        sorter.path.clear();
        // Places become labels, and what is called a label; all else is metadata.
        let (key, at) = match names::meaning(key) {
            Meaning::Labels => ("", At::Labels),
            Meaning::Container => ("", At::Other),
            _ => (key, At::Other),
        };
        sorter.field(key, raw, at, DEPTH_MAX, &mut Known::default())
    }

    fn sorter(&mut self, of_record: bool) -> Sorter<'_> {
        let label_bytes_max = self.limits.label_value_bytes_max;
        // Room is left for the service's two and for ids.
        let labels_max = self.limits.stream_labels_max.saturating_sub(9);
        let Scratch { base, own, metadata, path, .. } = &mut *self.scratch;
        let (labels, metadata) = if of_record { (own, metadata) } else { (&mut base.labels, &mut base.metadata) };
        Sorter { ids: self.ids, labels, metadata, path, label_bytes_max, labels_max, of_record }
    }

    fn begin(&mut self) -> Sorter<'_> {
        let Scratch { base, own, metadata, path, .. } = &mut *self.scratch;
        own.clear();
        metadata.clear();
        metadata.extend(&base.metadata);
        path.clear();
        self.sorter(true)
    }

    /// Reads a record, the text of an object.
    pub(super) fn read_record<'r>(&mut self, raw: &'r str) -> Result<Entry<'r>, Refusal> {
        let mut known = Known::default();
        let mut sorter = self.begin();
        each_field(raw, |key, value| sorter.top(key, value, &mut known)).unwrap_or_else(|e| Err(not_text(&e)))?;
        let Some((_, _, message)) = known.message.take() else {
            return Err(Refusal::new(RejectReason::NoMessage, "message", "there is none"));
        };
        let timestamp_ns = match &known.time {
            None => None,
            Some((_, name, text)) => Some(parse_time(text).ok_or_else(|| {
                let shown: String = text.chars().take(SHOWN_CHARS).collect();
                Refusal::new(RejectReason::InvalidTimestamp, "timestamp", format!("{name} {shown:?} is no time"))
            })?),
        };
        Ok(self.finish(bytes(message), timestamp_ns, known.severity))
    }

    /// Makes a record of a text.
    pub(super) fn plain<'r>(&mut self, text: Cow<'r, [u8]>) -> Entry<'r> {
        self.begin();
        self.finish(text, None, None)
    }

    /// Takes syslog apart, and adds what every entry has.
    fn finish<'r>(
        &mut self,
        message: Cow<'r, [u8]>,
        timestamp_ns: Option<i64>,
        severity: Option<(u8, Scale, Cow<'_, str>)>,
    ) -> Entry<'r> {
        let now_ns = self.now_ns;
        let syslog = syslog::parse(&message, now_ns);
        let mut level = severity.as_ref().map(|(_, scale, text)| (severity::level(text, *scale), text.as_ref()));
        if let Some(line) = &syslog {
            level = level.or(line.priority.map(|p| (Some(p.level()), p.severity_name())));
            self.add_syslog(line);
        }
        let Scratch { base, own, labels, metadata, .. } = &mut *self.scratch;
        if let Some((word, sent)) = level {
            let shown = word.unwrap_or(sent);
            if !shown.eq_ignore_ascii_case(sent) {
                metadata.push("severity_text", sent);
            }
            metadata.push("level", shown);
        }
        labels.clear();
        labels.extend(&base.labels);
        own.iter().for_each(|(name, value)| labels.set(name, value));
        let service = value_of(own, "service").or(value_of(&base.labels, "service")).unwrap_or(UNKNOWN_SERVICE);
        labels.set("service", service);
        labels.set("service_name", service);
        let timestamp_ns = timestamp_ns.or(syslog.and_then(|line| line.timestamp_ns)).unwrap_or_else(|| {
            self.now_ns = now_ns.saturating_add(1);
            now_ns
        });
        let end = syslog::trimmed(&message).len();
        let line = syslog.map_or(0..message.len(), |line| end.saturating_sub(line.message.len())..end);
        Entry { timestamp_ns, message, line }
    }

    /// What a syslog header says: the service and the host of records that have none, the rest as metadata.
    fn add_syslog(&mut self, line: &SyslogLine<'_>) {
        let Scratch { base, own, metadata, .. } = &mut *self.scratch;
        for (label, value, other) in [("service", line.app, "app"), ("host", line.host, "hostname")] {
            let Some(value) = value else { continue };
            let known = value_of(own, label).or(value_of(&base.labels, label)).map(|known| known == value);
            match known {
                None => own.push(label, value),
                Some(true) => {}
                Some(false) => metadata.push(other, value),
            }
        }
        for (name, value) in [("procid", line.procid), ("msgid", line.msgid)] {
            if let Some(value) = value {
                metadata.push(name, value);
            }
        }
        if let Some(priority) = line.priority.filter(|priority| line.has_header || priority.facility() > 0) {
            metadata.push("facility", priority.facility_name());
        }
        let mut sorter = self.sorter(true);
        for element in line.structured_data.elements() {
            for (name, value) in element.values() {
                if !sorter.find_ids(name, &value) {
                    let name = |text: &mut String| {
                        text.push_str("sd_");
                        push_sanitized(text, element.id);
                        text.push('_');
                        push_sanitized(text, name);
                    };
                    sorter.metadata.push_with(name, |text| text.push_str(&value));
                }
            }
        }
    }
}

/// The value of a label.
fn value_of<'a>(labels: &'a LabelSet, name: &str) -> Option<&'a str> {
    labels.iter().find(|(other, value)| *other == name && !value.is_empty()).map(|(_, value)| value)
}

impl Sorter<'_> {
    /// A field at the top of a record.
    fn top<'r>(&mut self, key: Cow<'r, str>, raw: &'r str, known: &mut Known<'r>) -> Result<(), Refusal> {
        let is_object = raw.starts_with('{');
        match names::meaning(&key) {
            // `log` and `body` may be objects of fields.
            Meaning::Message(rank) if !(is_object && key.eq_ignore_ascii_case("log")) => {
                if let Some(text) = whole_text(raw, "message")? {
                    self.better(&mut known.message, rank, key, text);
                }
            }
            Meaning::Time(rank) if !is_object => {
                if let Some(text) = whole_text(raw, "timestamp")?.filter(|text| !text.trim().is_empty()) {
                    self.better(&mut known.time, rank, key, text);
                }
            }
            Meaning::Labels if is_object => return self.field("", raw, At::Labels, DEPTH_MAX, known),
            Meaning::Container if is_object => return self.field("", raw, At::Other, DEPTH_MAX, known),
            _ => return self.field(&key, raw, At::Top, DEPTH_MAX, known),
        }
        Ok(())
    }

    /// Keeps the better of two candidates; the other one is metadata.
    fn better<'r>(
        &mut self,
        best: &mut Option<(u8, Cow<'r, str>, Cow<'r, str>)>,
        rank: u8,
        name: Cow<'r, str>,
        text: Cow<'r, str>,
    ) {
        let loser = match best {
            Some((known, ..)) if *known < rank => Some((rank, name, text)),
            best => best.replace((rank, name, text)),
        };
        if let Some((_, name, text)) = loser {
            self.other(&name, &text);
        }
    }

    /// A field below the path so far; objects are entered.
    fn field<'r>(&mut self, key: &str, raw: &'r str, at: At, depth: u8, known: &mut Known<'r>) -> Result<(), Refusal> {
        let start = self.path.len();
        if start > 0 && !key.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(key);
        let outcome = match raw.as_bytes().first() {
            Some(b'{') if depth > 0 => each_field(raw, |key, raw| self.field(&key, raw, at, depth - 1, known))
                .unwrap_or_else(|error| Err(not_text(&error))),
            Some(b'n') => Ok(()),
            first => {
                let text = if first == Some(&b'"') { names::text_of(raw) } else { Some(Cow::Borrowed(raw)) };
                let is_word = matches!(first, Some(b'"' | b't' | b'f'));
                let path = std::mem::take(self.path);
                let outcome = match text {
                    Some(text) => {
                        self.sort(&path, text, at, is_word, known);
                        Ok(())
                    }
                    None => Err(bad_text("record")),
                };
                *self.path = path;
                outcome
            }
        };
        self.path.truncate(start);
        outcome
    }

    /// A value that is no object, under its full name.
    fn sort<'r>(&mut self, name: &str, value: Cow<'r, str>, at: At, is_word: bool, known: &mut Known<'r>) {
        match names::severity(name).filter(|_| self.of_record && !value.is_empty()) {
            Some((rank, scale)) => {
                // One that was sent as a label stays one.
                if at == At::Labels && is_word {
                    self.leaf(name, &value, at, is_word);
                }
                let loser = match &known.severity {
                    Some((best, ..)) if *best <= rank => Some(value),
                    _ => known.severity.replace((rank, scale, value)).map(|(.., text)| text),
                };
                if let (Some(text), true) = (loser, at != At::Labels) {
                    self.metadata.push("severity_text", &text);
                }
            }
            None => self.leaf(name, &value, at, is_word),
        }
    }

    fn leaf(&mut self, name: &str, value: &str, at: At, is_word: bool) {
        if value.is_empty() || self.find_ids(name, value) {
            return;
        }
        let fits = value.len() <= self.label_bytes_max;
        match names::place(name).filter(|_| fits) {
            Some(place) => self.labels.set(place, value),
            None if at == At::Labels
                && is_word
                && fits
                && names::may_label(name)
                && self.labels.len() < self.labels_max =>
            {
                let start = self.path.len();
                push_label_name(self.path, name);
                let label = self.path.split_off(start);
                self.labels.set(&label, value);
            }
            None => self.other(name, value),
        }
    }

    /// A field of metadata.
    fn other(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.metadata.push_with(|text| push_sanitized(text, name), |text| text.push_str(value));
        }
    }

    /// Makes labels of the ids in a field; whether nothing else need be made of it.
    fn find_ids(&mut self, name: &str, value: &str) -> bool {
        let (labels, label_bytes_max) = (&mut *self.labels, self.label_bytes_max);
        let mut is_kept = true;
        let is_id = (self.ids)(name, value, &mut |id, found| {
            let same = labels.iter().find(|(label, _)| *label == id).map(|(_, known)| known == found);
            match same {
                None if found.len() <= label_bytes_max => labels.push(id, found),
                // The first of its kind counts.
                Some(true) => {}
                _ => is_kept = false,
            }
            // Under another name than ours (`correlation_id`, `dd.trace_id`) it is asked for as well.
            is_kept &= same_letters(name, id);
        });
        is_id && is_kept
    }
}

fn same_letters(a: &str, b: &'static str) -> bool {
    let letters = |text: &'_ str| {
        text.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_lowercase()).collect::<Vec<_>>()
    };
    a == b || letters(a) == letters(b)
}

/// A label's name: no digit in front.
fn push_label_name(out: &mut String, name: &str) {
    if name.bytes().next().is_some_and(|b| b.is_ascii_digit()) {
        out.push('_');
    }
    push_sanitized(out, name);
}

/// A value as text: that of a string, JSON of anything else; `None` for null.
fn whole_text<'r>(raw: &'r str, field: &'static str) -> Result<Option<Cow<'r, str>>, Refusal> {
    match raw.as_bytes().first() {
        Some(b'n') => Ok(None),
        Some(b'"') => names::text_of(raw).map(Some).ok_or_else(|| bad_text(field)),
        _ => Ok(Some(Cow::Borrowed(raw))),
    }
}
