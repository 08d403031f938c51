//! Frames of a tail: apis.md §3, and the form that the old path gives.

use super::holding::Held;
use crate::api::loki::answer::LabelsJson;
use crate::api::loki::value::Line;
use bramble_query_logql::LabelSet;
use bramble_signal::Labels;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::collections::HashMap;

/// The forms of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// `/loki/api/v1/tail`, with labels kept apart by origin if asked for.
    V1 {
        /// As the header `X-Loki-Response-Encoding-Flags` says.
        categorize: bool,
    },
    /// `/api/prom/tail`
    Old,
}

/// A frame's text: entries grouped by their labels, streams in the order of their first entries. Empty entries and drops
/// make an empty text: nothing to send.
pub(super) fn text(form: Form, entries: &[Held], dropped: &[(Labels, i64)]) -> String {
    if entries.is_empty() && dropped.is_empty() {
        return String::new();
    }
    let frame = Frame { form, streams: grouped(entries), dropped };
    serde_json::to_string(&frame).unwrap_or_default()
}

fn grouped(entries: &[Held]) -> Vec<(&LabelSet, Vec<&Held>)> {
    let mut streams: Vec<(&LabelSet, Vec<&Held>)> = Vec::new();
    let mut at: HashMap<&LabelSet, usize> = HashMap::new();
    for held in entries {
        let stream = *at.entry(&held.labels).or_insert_with(|| {
            streams.push((&held.labels, Vec::new()));
            streams.len() - 1
        });
        if let Some((_, of)) = streams.get_mut(stream) {
            of.push(held);
        }
    }
    streams
}

struct Frame<'a> {
    form: Form,
    streams: Vec<(&'a LabelSet, Vec<&'a Held>)>,
    dropped: &'a [(Labels, i64)],
}

impl Serialize for Frame<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let streams: Vec<StreamJson<'_>> = self.streams.iter().map(|(l, of)| StreamJson(self.form, l, of)).collect();
        map.serialize_entry("streams", &streams)?;
        let dropped: Vec<DroppedJson<'_>> = self.dropped.iter().map(|(l, t)| DroppedJson(self.form, l, *t)).collect();
        map.serialize_entry("dropped_entries", &(!dropped.is_empty()).then_some(dropped))?;
        if self.form == (Form::V1 { categorize: true }) {
            map.serialize_entry("encodingFlags", &["categorize-labels"])?;
        }
        map.end()
    }
}

struct StreamJson<'a>(Form, &'a LabelSet, &'a [&'a Held]);

impl Serialize for StreamJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let StreamJson(form, labels, entries) = self;
        let mut map = serializer.serialize_map(Some(2))?;
        let entries: Vec<EntryJson<'_>> = entries.iter().map(|held| EntryJson(*form, held)).collect();
        if *form == Form::Old {
            map.serialize_entry("labels", &labels.to_string())?;
            map.serialize_entry("entries", &entries)?;
        } else {
            map.serialize_entry("stream", &LabelsJson(labels))?;
            map.serialize_entry("values", &entries)?;
        }
        map.end()
    }
}

/// `["ns", "line"]`, with labels by origin if asked for; in the old form `{"ts": …, "line": …}`.
struct EntryJson<'a>(Form, &'a Held);

impl Serialize for EntryJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let EntryJson(form, Held { entry, .. }) = self;
        if let Form::V1 { categorize } = form {
            return Line(entry, *categorize).serialize(serializer);
        }
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("ts", &rfc3339(entry.timestamp_ns))?;
        map.serialize_entry("line", &*String::from_utf8_lossy(&entry.line))?;
        map.end()
    }
}

struct DroppedJson<'a>(Form, &'a Labels, i64);

impl Serialize for DroppedJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let DroppedJson(form, labels, timestamp_ns) = self;
        let set = LabelSet::from_pairs(labels.iter());
        let mut map = serializer.serialize_map(Some(2))?;
        if *form == Form::Old {
            map.serialize_entry("timestamp", &rfc3339(*timestamp_ns))?;
            map.serialize_entry("labels", &set.to_string())?;
        } else {
            map.serialize_entry("labels", &LabelsJson(&set))?;
            map.serialize_entry("timestamp", &timestamp_ns.to_string())?;
        }
        map.end()
    }
}

/// RFC 3339 with as many digits of a second as there are, UTC.
fn rfc3339(timestamp_ns: i64) -> String {
    time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(timestamp_ns))
        .ok()
        .and_then(|t| t.format(&time::format_description::well_known::Rfc3339).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::holding::Holding;
    use super::*;
    use bramble_query_logql::Entry;
    use bramble_runtime::{Budget, BudgetName};
    use std::time::Duration;
    use tokio::time::Instant;

    fn some_entries() -> Vec<Held> {
        let budget = Budget::standalone(BudgetName::Query, 1 << 20);
        let mut holding = Holding::new(Duration::ZERO, budget.reserve(0).unwrap());
        let now = Instant::now();
        for (service, t, line, trace) in [("a", 1, "x", "7"), ("b", 2, "y", ""), ("a", 3, "z \"q\"", "")] {
            let metadata = if trace.is_empty() { vec![] } else { vec![("trace_id", trace)] };
            let entry = Entry {
                timestamp_ns: 1_795_000_000_000_000_000 + t,
                line: line.as_bytes().to_vec(),
                metadata: LabelSet::from_pairs(metadata),
                parsed: LabelSet::default(),
            };
            holding.push(LabelSet::from_pairs([("service", service)]), entry, now);
        }
        holding.take(now)
    }

    #[test]
    fn frames_are_as_documented() {
        let entries = some_entries();
        let plain = Form::V1 { categorize: false };
        assert_eq!(
            text(plain, &entries, &[]),
            r#"{"streams":[{"stream":{"service":"a"},"values":[["1795000000000000001","x"],["1795000000000000003","z \"q\""]]},{"stream":{"service":"b"},"values":[["1795000000000000002","y"]]}],"dropped_entries":null}"#
        );
        assert_eq!(
            text(Form::V1 { categorize: true }, &entries[..1], &[]),
            r#"{"streams":[{"stream":{"service":"a"},"values":[["1795000000000000001","x",{"structuredMetadata":{"trace_id":"7"}}]]}],"dropped_entries":null,"encodingFlags":["categorize-labels"]}"#
        );
        let dropped = [(Labels::from_pairs([("service", "a")]), 1_795_000_000_000_000_009)];
        assert_eq!(
            text(plain, &[], &dropped),
            r#"{"streams":[],"dropped_entries":[{"labels":{"service":"a"},"timestamp":"1795000000000000009"}]}"#
        );
        assert_eq!(
            text(Form::Old, &entries[1..2], &dropped),
            r#"{"streams":[{"labels":"{service=\"b\"}","entries":[{"ts":"2026-11-18T11:06:40.000000002Z","line":"y"}]}],"dropped_entries":[{"timestamp":"2026-11-18T11:06:40.000000009Z","labels":"{service=\"a\"}"}]}"#
        );
        assert_eq!(text(plain, &[], &[]), "");
    }
}
