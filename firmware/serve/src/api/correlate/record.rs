//! A log entry as a record of `POST /api/logs`.

use super::asked::Asked;
use crate::params::rfc3339_of_ns;
use bramble_correlate::extract::{ids_of, level_of, level_of_word};
use bramble_correlate::view::names_of;
use bramble_correlate::{Level, Origin};
use bramble_line::ids::IdKind;
use bramble_signal::{Labels, LabelsRef, LogEntry, SpanId, TraceId, floating_label};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// Names under which an entry's level stands, best first.
const SEVERITY_NAMES: [&str; 5] = ["severity", "severity_text", "level", "lvl", "detected_level"];

/// Ids that are asked for; all must be named by an entry.
#[derive(Clone, Default, Debug)]
pub(super) struct WantedIds(Vec<(IdKind, String)>);

impl WantedIds {
    /// Those among what is asked for: a trace's and a span's in lower case, in full.
    pub(super) fn new(asked: &Asked) -> Self {
        let trace = asked.trace_id.map(|id| (IdKind::Trace, id.to_string()));
        let span = asked.span_id.map(|id| (IdKind::Span, id.to_string()));
        WantedIds(trace.into_iter().chain(span).chain(asked.ids.iter().cloned()).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one that the store is asked for.
    pub(super) fn first(&self) -> Option<WantedId<'_>> {
        self.0.first().map(|(kind, value)| WantedId { kind: *kind, value })
    }

    /// Whether an entry names them all.
    pub(super) fn are_named_by(&self, labels: LabelsRef<'_>, entry: &LogEntry<'_>) -> bool {
        let mut named = vec![false; self.0.len()];
        ids_of(labels, entry.metadata, entry.line, &mut |kind, value| {
            for ((wanted, text), named) in self.0.iter().zip(&mut named) {
                *named |= *wanted == kind && is_same(kind, text, value);
            }
        });
        named.into_iter().all(|named| named)
    }
}

/// An id that is asked for.
pub(super) struct WantedId<'a> {
    kind: IdKind,
    pub(super) value: &'a str,
}

impl WantedId<'_> {
    /// Names under which labels and metadata may have it: the usual ones, and those of `floating` that are of its kind.
    pub(super) fn names(&self, floating: &[String]) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = names_of(self.kind).into_iter().collect();
        let of_kind = floating.iter().filter(|name| IdKind::of_name(name.as_bytes()) == Some(self.kind));
        names.extend(of_kind.cloned());
        names
    }
}

/// Whether `found` is the id that is written `text`.
fn is_same(kind: IdKind, text: &str, found: &[u8]) -> bool {
    text == shown(kind, &String::from_utf8_lossy(found))
}

/// An id as it is shown: those of traces and spans in lower case, in full.
fn shown(kind: IdKind, found: &str) -> Cow<'_, str> {
    let full = match kind {
        IdKind::Trace => TraceId::parse(found).map(|id| id.to_string()),
        IdKind::Span => SpanId::parse(found).map(|id| id.to_string()),
        _ => None,
    };
    full.map_or(Cow::Borrowed(found), Cow::Owned)
}

/// Stream labels, floating labels and metadata under plain names; an entry's own come first.
fn fields<'a>(labels: LabelsRef<'a>, entry: &LogEntry<'a>) -> impl Iterator<Item = (&'a str, &'a str)> {
    let own = entry.metadata.iter().map(|(name, value)| (floating_label(name).unwrap_or(name), value));
    own.chain(labels.iter())
}

/// A record.
#[derive(PartialEq, Debug)]
pub(super) struct Record {
    timestamp_ns: i64,
    pub(super) level: Level,
    severity: String,
    line: String,
    pub(super) service: String,
    host: String,
    env: String,
    /// The first of each kind, in the order of [`IdKind::ALL`].
    ids: [Option<String>; IdKind::ALL.len()],
    /// What stands nowhere else.
    labels: Labels,
}

impl Record {
    /// The record of an entry.
    pub(super) fn new(labels: LabelsRef<'_>, entry: &LogEntry<'_>) -> Self {
        let origin = Origin::of_entry(labels, entry.metadata);
        let level = level_of(labels, entry.metadata, entry.line);
        let mut ids: [Option<String>; IdKind::ALL.len()] = Default::default();
        ids_of(labels, entry.metadata, entry.line, &mut |kind, value| {
            if let Some(place @ None) = ids.get_mut(kind as usize) {
                *place = Some(shown(kind, &String::from_utf8_lossy(value)).into_owned());
            }
        });
        let said =
            SEVERITY_NAMES.iter().find_map(|name| fields(labels, entry).find(|(n, v)| n == name && !v.is_empty()));
        let severity = said.map_or(level.as_str(), |(_, word)| word).to_owned();
        let mut record = Record {
            timestamp_ns: entry.timestamp_ns,
            level,
            severity,
            line: String::from_utf8_lossy(entry.line).into_owned(),
            service: origin.service.to_owned(),
            host: origin.node.to_owned(),
            env: origin.env.to_owned(),
            ids,
            labels: Labels::empty(),
        };
        let mut rest: Vec<(&str, &str)> =
            fields(labels, entry).filter(|(name, value)| !record.says(name, value)).collect();
        // An entry's own value before that of its stream.
        rest.sort_by_key(|(name, _)| *name);
        rest.dedup_by_key(|(name, _)| *name);
        record.labels = Labels::from_pairs(rest);
        record
    }

    /// Whether a field says only what stands in the record under another name.
    fn says(&self, name: &str, value: &str) -> bool {
        match name {
            "service" | "service_name" => self.service == value,
            "host" => self.host == value,
            "env" => self.env == value,
            _ if SEVERITY_NAMES.contains(&name) => self.severity == value || level_of_word(value) == Some(self.level),
            _ => IdKind::of_name(name.as_bytes()).is_some_and(|kind| {
                let id = self.ids.get(kind as usize).and_then(Option::as_deref);
                id.is_some_and(|id| is_same(kind, id, value.as_bytes()))
            }),
        }
    }

    /// Newest first; equal ones stand together.
    pub(super) fn newest_first(a: &Record, b: &Record) -> Ordering {
        let by_time = b.timestamp_ns.cmp(&a.timestamp_ns);
        by_time.then_with(|| a.line.cmp(&b.line)).then_with(|| a.texts().cmp(&b.texts()))
    }

    /// All but time and line, as far as they differ between entries.
    fn texts(&self) -> ([&str; 4], &[u8]) {
        ([&self.service, &self.host, &self.env, &self.severity], self.labels.as_bytes())
    }

    /// Its memory, and what printing takes for a moment is not more.
    pub(super) fn bytes(&self) -> usize {
        let ids: usize = self.ids.iter().flatten().map(String::len).sum();
        let texts = self.severity.len() + self.line.len() + self.service.len() + self.host.len() + self.env.len();
        size_of::<Self>() + ids + texts + self.labels.as_bytes().len()
    }

    /// The record as JSON.
    pub(super) fn json(&self) -> Value {
        let mut out = Map::new();
        let mut put = |name: &str, value: Value| out.insert(name.to_owned(), value);
        put("timestamp", rfc3339_of_ns(self.timestamp_ns).into());
        put("severity", self.severity.as_str().into());
        put("message", self.line.as_str().into());
        put("service", self.service.as_str().into());
        put("host", self.host.as_str().into());
        put("env", self.env.as_str().into());
        let labels: Map<String, Value> = self.labels.iter().map(|(n, v)| (n.to_owned(), v.into())).collect();
        put("labels", labels.into());
        for (kind, id) in IdKind::ALL.into_iter().zip(&self.ids) {
            if let Some(id) = id {
                put(kind.as_str(), id.as_str().into());
            }
        }
        out.into()
    }
}

/// What tells a service's streams from others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum OfService<'a> {
    /// The label of this name is the service's name.
    Label(&'a str),
    /// It follows from something else.
    Other,
}

/// How a stream is one of a service; `None` where it is not.
pub(super) fn of_service<'a>(labels: LabelsRef<'a>, service: &str) -> Option<OfService<'a>> {
    if Origin::of_labels(labels).service != service {
        return None;
    }
    let named = labels.iter().filter(|(_, value)| *value == service).map(|(name, _)| name);
    // Nearly every stream has this one.
    let best = named.min_by_key(|name| (*name != "service_name", *name != "service"));
    Some(best.map_or(OfService::Other, OfService::Label))
}
