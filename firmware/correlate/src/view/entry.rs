//! One log entry: whose it is and which ids it names.

use crate::extract::{ids_of, level_of};
use crate::item::Level;
use crate::origin::Origin;
use crate::view::event::{Event, EventWhat, Join};
use crate::view::places::Places;
use bramble_line::ids::IdKind;
use bramble_signal::{LabelsRef, LogEntry, SpanId, TraceId, floating_label};
use std::collections::BTreeMap;

/// Longest line that is shown.
const LINE_BYTES_MAX: usize = 4096;
/// Ids that are looked at of one entry.
const IDS_MAX: usize = 64;

/// An entry with its stream.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) labels: LabelsRef<'a>,
    pub(crate) entry: LogEntry<'a>,
    /// The same for equal entries.
    pub(crate) hash: u64,
}

/// What an entry names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Named {
    /// Its trace: what a field says, else the line's first.
    pub(crate) trace: Option<TraceId>,
    /// Likewise its span; zero where it names none.
    pub(crate) span: SpanId,
    /// All other ids, each once; those of fields first.
    pub(crate) ids: Vec<(IdKind, String)>,
}

impl Named {
    /// Whether it names this id, exactly.
    pub(crate) fn names(&self, kind: IdKind, value: &str) -> bool {
        self.ids.iter().any(|(k, v)| *k == kind && v == value)
    }

    fn take(&mut self, kind: IdKind, value: &[u8]) {
        let Ok(value) = std::str::from_utf8(value) else { return };
        match kind {
            IdKind::Trace => self.trace = self.trace.or_else(|| TraceId::parse(value)),
            IdKind::Span if self.span.is_zero() => self.span = SpanId::parse(value).unwrap_or_default(),
            IdKind::Span => {}
            kind if self.ids.len() < IDS_MAX && !self.names(kind, value) => self.ids.push((kind, value.to_owned())),
            _ => {}
        }
    }
}

impl<'a> Entry<'a> {
    /// All ids that it names.
    pub(crate) fn named(&self) -> Named {
        let mut named = Named::default();
        let mut take = |kind: IdKind, value: &[u8]| named.take(kind, value);
        ids_of(self.labels, self.entry.metadata, self.entry.line, &mut take);
        named
    }

    /// Labels of the stream, then floating labels and metadata under their plain names.
    fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let metadata = self.entry.metadata.iter().map(|(name, value)| (floating_label(name).unwrap_or(name), value));
        self.labels.iter().chain(metadata)
    }

    /// Who wrote it.
    pub(crate) fn origin(&self) -> Origin<'a> {
        Origin::of_entry(self.labels, self.entry.metadata)
    }

    pub(crate) fn level(&self) -> Level {
        level_of(self.labels, self.entry.metadata, self.entry.line)
    }

    /// It as an event; placed by the clocks of `places`.
    pub(crate) fn event(&self, named: &Named, join: Join, places: &Places) -> Event {
        let origin = self.origin();
        let time_ns = self.entry.timestamp_ns;
        let mut labels: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, value) in self.fields() {
            labels.entry(name).or_insert(value);
        }
        Event {
            time_ns,
            corrected_ns: time_ns.saturating_sub(places.ahead_ns(origin.service, origin.node)),
            service: origin.service.to_owned(),
            node: origin.node.to_owned(),
            trace_id: named.trace.unwrap_or_default(),
            span_id: named.span,
            join,
            what: EventWhat::Log {
                level: self.level(),
                line: shown(self.entry.line),
                labels: labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            },
        }
    }
}

/// What is shown of a line.
fn shown(line: &[u8]) -> String {
    let cut = line.get(..LINE_BYTES_MAX).unwrap_or(line);
    // A character that is cut in two is left out.
    let whole = match std::str::from_utf8(cut) {
        Err(error) if error.error_len().is_none() => cut.get(..error.valid_up_to()).unwrap_or(cut),
        _ => cut,
    };
    let whole = if cut.len() < line.len() { whole } else { cut };
    String::from_utf8_lossy(whole).into_owned()
}
