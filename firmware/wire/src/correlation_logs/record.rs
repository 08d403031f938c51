//! One record: what its fields become.

use super::names::{self, Meaning, Scale};
use super::sorter::{At, DEPTH_MAX, Known, Sorter};
use super::walk::each_field;
use super::{Refusal, Request, Scratch, not_text, severity};
use crate::RejectReason;
use crate::label_set::{LabelSet, push_sanitized};
use crate::syslog::{self, SyslogLine};
use crate::time_text::parse_time;
use std::borrow::Cow;
use std::ops::Range;

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
        let Scratch { base, own, metadata, path, malformed, .. } = &mut *self.scratch;
        let (labels, metadata) = if of_record { (own, metadata) } else { (&mut base.labels, &mut base.metadata) };
        Sorter { ids: self.ids, labels, metadata, path, label_bytes_max, labels_max, malformed, of_record }
    }

    fn begin(&mut self) -> Sorter<'_> {
        let Scratch { base, own, metadata, path, malformed, .. } = &mut *self.scratch;
        *malformed = None;
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
