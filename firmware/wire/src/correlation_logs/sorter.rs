//! Sorting fields: what is the line, the time, the level, an id, a label, metadata.

use super::names::{self, Meaning, Scale};
use super::walk::each_field;
use super::{Refusal, bad_text, not_text, severity};
use crate::label_set::{LabelSet, push_sanitized};
use crate::time_text::parse_time;
use std::borrow::Cow;

/// Objects in objects that are looked into; deeper ones stay JSON.
pub(super) const DEPTH_MAX: u8 = 8;

/// Where a field stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
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
pub(super) struct Known<'r> {
    pub(super) message: Option<(u8, Cow<'r, str>, Cow<'r, str>)>,
    pub(super) time: Option<(u8, Cow<'r, str>, Cow<'r, str>)>,
    pub(super) severity: Option<(u8, Scale, Cow<'r, str>)>,
}

/// Fields of a record or of a resource on their way into labels and metadata.
pub(super) struct Sorter<'a> {
    pub(super) ids: super::IdFinder,
    pub(super) labels: &'a mut LabelSet,
    pub(super) metadata: &'a mut LabelSet,
    pub(super) path: &'a mut String,
    pub(super) label_bytes_max: usize,
    pub(super) labels_max: usize,
    pub(super) malformed: &'a mut Option<&'static str>,
    /// Severities are looked for.
    pub(super) of_record: bool,
}

impl Sorter<'_> {
    /// A field at the top of a record.
    pub(super) fn top<'r>(&mut self, key: Cow<'r, str>, raw: &'r str, known: &mut Known<'r>) -> Result<(), Refusal> {
        let is_object = raw.starts_with('{');
        match names::meaning(&key) {
            // `log` and `body` may be objects of fields.
            Meaning::Message(rank) if !(is_object && key.eq_ignore_ascii_case("log")) => {
                if let Some(text) = whole_text(raw, "message")? {
                    self.better(&mut known.message, rank, key, text);
                }
            }
            Meaning::Time(rank) if !is_object => {
                let text = whole_text(raw, "timestamp")?.filter(|text| !text.trim().is_empty());
                match text {
                    Some(text) if rank < names::WEAK_TIME || is_moment(&text) => {
                        self.better(&mut known.time, rank, key, text)
                    }
                    Some(text) => self.other(&key, &text),
                    None => {}
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
    pub(super) fn field<'r>(
        &mut self,
        key: &str,
        raw: &'r str,
        at: At,
        depth: u8,
        known: &mut Known<'r>,
    ) -> Result<(), Refusal> {
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
        let is_level = |scale| !names::is_weak_severity(name) || severity::level(&value, scale).is_some();
        match names::severity(name).filter(|(_, scale)| self.of_record && !value.is_empty() && is_level(*scale)) {
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

    pub(super) fn leaf(&mut self, name: &str, value: &str, at: At, is_word: bool) {
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
    pub(super) fn other(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.metadata.push_with(|text| push_sanitized(text, name), |text| text.push_str(value));
        }
    }

    /// Makes labels of the ids in a field; whether nothing else need be made of it.
    pub(super) fn find_ids(&mut self, name: &str, value: &str) -> bool {
        let (labels, label_bytes_max) = (&mut *self.labels, self.label_bytes_max);
        let (mut is_kept, malformed) = (true, &mut *self.malformed);
        let is_id = (self.ids)(name, value, &mut |id, found| {
            if is_malformed(id, found) {
                malformed.get_or_insert(id);
            }
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

/// A time with its hour: a date alone is rather a day that a record is about.
fn is_moment(text: &str) -> bool {
    !(text.len() == 10 && text.contains(['-', '/'])) && parse_time(text).is_some()
}

/// Whether an id can join anything: business ids may be any text.
fn is_malformed(id: &str, value: &str) -> bool {
    let hex = value.bytes().all(|b| b.is_ascii_hexdigit());
    match id {
        "trace_id" => !(hex && matches!(value.len(), 16 | 32)),
        "span_id" => !(hex && value.len() == 16),
        _ => false,
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
