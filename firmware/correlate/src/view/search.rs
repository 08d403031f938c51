//! Log entries that name an id, however it is spelt.
//!
//! The store is asked several times, each time for what it can answer by filters and templates: lines that contain the id
//! (in each form in which it may be written), and entries that have it under one of its usual names, as metadata, floating
//! label or label. What comes is a superset, each entry once: the asker judges by [`Entry::named`].

use crate::correlation::Correlation;
use crate::extract::OWN_SERVICE;
use crate::origin::Origin;
use crate::view::entry::Entry;
use bramble_line::ids::IdKind;
use bramble_signal::{LabelsRef, LogEntry, Matcher, TraceId};
use bramble_storage::{
    Direction, LinePredicate, LogRows, LogSelect, LogSource, OWN_STREAM_LABEL, QueryContext, ReadError,
};
use foldhash::fast::FixedState;
use hashbrown::HashSet;
use std::hash::BuildHasher;

/// Rows between two looks at the account.
const ACCOUNT_ROWS: usize = 4096;
/// Names under which entries are asked for an id: `circuit_id`, `circuitId`, `circuitid`, `CircuitId`. Doors write the first,
/// and `_` for dots and hyphens. Each is a pass over the range, which costs most of a timeline (examples/telling.rs).
const FIELD_NAMES: usize = 4;
/// Rows that the store may read ahead.
const ROWS_HINT: usize = 1024;

/// A range of time, nanoseconds; the end is exclusive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Range {
    pub(crate) start_ns: i64,
    pub(crate) end_ns: i64,
}

impl Range {
    /// A correlation's window.
    pub(crate) fn of(correlation: &Correlation) -> Range {
        let window_end = correlation.start_ns.saturating_add_unsigned(correlation.window_ns);
        Range { start_ns: correlation.start_ns, end_ns: correlation.end_ns.saturating_add(1).max(window_end) }
    }

    /// With so much more on either side.
    pub(crate) fn widened(self, by_ns: i64) -> Range {
        Range { start_ns: self.start_ns.saturating_sub(by_ns), end_ns: self.end_ns.saturating_add(by_ns) }
    }

    pub(crate) fn contains(self, time_ns: i64) -> bool {
        (self.start_ns..self.end_ns).contains(&time_ns)
    }

    /// As inclusive bounds of span starts.
    pub(crate) fn of_spans(self) -> (u64, u64) {
        (self.start_ns.max(0) as u64, self.end_ns.max(0) as u64)
    }
}

/// Takes candidates; an error ends the search.
pub(crate) type EntryVisitor<'v> = dyn FnMut(&Entry<'_>) -> Result<(), ReadError> + 'v;

/// An id that is looked for.
pub(crate) struct Sought {
    /// Texts that a line may have it as.
    texts: Vec<String>,
    /// Names and values that an entry may have it under.
    fields: Vec<(String, String)>,
    kind: IdKind,
    direction: Direction,
}

impl Sought {
    /// The id `value`; of a trace, its 32 lower-case digits.
    pub(crate) fn new(kind: IdKind, value: &str) -> Sought {
        let texts = match (kind, TraceId::parse(value)) {
            (IdKind::Trace, Some(id)) => forms_of_trace(id),
            _ => vec![value.to_owned()],
        };
        // Each is a pass over the range. Unusual forms are looked for under usual names only.
        let mut fields: Vec<(String, String)> = Vec::new();
        for (nth, name) in names_of(kind).into_iter().take(FIELD_NAMES).enumerate() {
            let forms = if nth < 2 { texts.as_slice() } else { texts.get(..1).unwrap_or_default() };
            fields.extend(forms.iter().map(|text| (name.clone(), text.clone())));
            if kind == IdKind::Trace && !texts.iter().any(|text| text == value) {
                fields.push((name, value.to_owned()));
            }
        }
        Sought { texts, fields, kind, direction: Direction::Forward }
    }

    /// Newest first, for who may stop early.
    pub(crate) fn newest_first(self) -> Sought {
        Sought { direction: Direction::Backward, ..self }
    }

    /// Shows every entry in range that may name the id, each once, none of our own streams. At most `rows_max` are looked
    /// at; whether that was enough.
    pub(crate) fn each_entry(
        &self,
        logs: &dyn LogSource,
        range: Range,
        rows_max: usize,
        context: &QueryContext,
        visit: &mut EntryVisitor<'_>,
    ) -> Result<bool, ReadError> {
        let mut seen = Seen::new(rows_max, context);
        for text in &self.texts {
            let lines = [LinePredicate::Contains(text.clone().into_bytes())];
            if !self.pass(logs, range, (&lines, &[]), &mut seen, visit)? {
                return Ok(false);
            }
        }
        let floating =
            logs.floating_names().into_iter().filter(|name| IdKind::of_name(name.as_bytes()) == Some(self.kind));
        let mut fields = self.fields.clone();
        for name in floating.filter(|name| !self.fields.iter().any(|(known, _)| known == name)) {
            fields.extend(self.texts.iter().map(|text| (name.clone(), text.clone())));
        }
        for (name, value) in fields {
            let fields = [Matcher::equal(name, value)];
            if !self.pass(logs, range, (&[], &fields), &mut seen, visit)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn pass(
        &self,
        logs: &dyn LogSource,
        range: Range,
        (lines, fields): (&[LinePredicate], &[Matcher]),
        seen: &mut Seen<'_>,
        visit: &mut EntryVisitor<'_>,
    ) -> Result<bool, ReadError> {
        let select = LogSelect { lines, fields, direction: self.direction, ..range.select() };
        // A hint about metadata may be passed over by the store: then all entries come, and must not count as candidates.
        let fits = |labels: LabelsRef<'_>, entry: &LogEntry<'_>| {
            fields
                .iter()
                .all(|field| has(labels, entry.metadata, &field.name).is_some_and(|value| field.matches(value)))
        };
        each_row(logs, &select, seen, &fits, visit)
    }
}

impl Range {
    /// Entries in range that are not our own.
    fn select(self) -> LogSelect<'static> {
        LogSelect { start_ns: self.start_ns, end_ns: self.end_ns, rows_hint: Some(ROWS_HINT), ..LogSelect::default() }
    }
}

/// Shows every entry in range whose line contains `text`, as [`Sought::each_entry`] does.
pub(crate) fn each_line(
    logs: &dyn LogSource,
    range: Range,
    text: &str,
    rows_max: usize,
    context: &QueryContext,
    visit: &mut EntryVisitor<'_>,
) -> Result<bool, ReadError> {
    let lines = [LinePredicate::Contains(text.as_bytes().to_vec())];
    let select = LogSelect { lines: &lines, ..range.select() };
    each_row(logs, &select, &mut Seen::new(rows_max, context), &|_, _| true, visit)
}

/// What was shown, as hashes; paid for by the query.
struct Seen<'c> {
    hashes: HashSet<u64, FixedState>,
    rows_max: usize,
    context: &'c QueryContext,
    reserved: usize,
}

impl<'c> Seen<'c> {
    fn new(rows_max: usize, context: &'c QueryContext) -> Self {
        Seen { hashes: HashSet::default(), rows_max, context, reserved: 0 }
    }

    fn is_new(&mut self, hash: u64) -> Result<bool, ReadError> {
        if self.hashes.len() * size_of::<u64>() * 2 >= self.reserved {
            let more = ACCOUNT_ROWS * size_of::<u64>() * 2;
            self.context.reserve(more)?;
            self.reserved += more;
        }
        Ok(self.hashes.insert(hash))
    }
}

impl Drop for Seen<'_> {
    fn drop(&mut self) {
        self.context.release(self.reserved);
    }
}

fn each_row(
    logs: &dyn LogSource,
    select: &LogSelect<'_>,
    seen: &mut Seen<'_>,
    fits: &dyn Fn(LabelsRef<'_>, &LogEntry<'_>) -> bool,
    visit: &mut EntryVisitor<'_>,
) -> Result<bool, ReadError> {
    let others = [Matcher::equal(OWN_STREAM_LABEL, "")];
    let mut cursor = logs.select(&LogSelect { matchers: &others, ..select.clone() }, seen.context)?;
    let mut rows = LogRows::default();
    while cursor.next(&mut rows)? {
        seen.context.check()?;
        // In answer order, so that what a bound leaves out does not depend on how rows are spread over streams.
        let streams = Streams::of(&rows);
        for &(stream, at) in &rows.order {
            let Some((labels, entry)) = streams.row(&rows, stream, at) else { continue };
            // What Bramble tells of its own work names whatever people ask it for.
            if !fits(labels, &entry) || Origin::of_labels(labels).service == OWN_SERVICE {
                continue;
            }
            let hash = hash_of(labels, &entry);
            if !seen.is_new(hash)? {
                continue;
            }
            if seen.hashes.len() > seen.rows_max {
                return Ok(false);
            }
            visit(&Entry { labels, entry, hash })?;
        }
    }
    Ok(true)
}

/// Where entries of each stream begin.
struct Streams(Vec<usize>);

impl Streams {
    fn of(rows: &LogRows) -> Streams {
        let lengths = rows.batch.streams().map(|stream| stream.len());
        Streams(lengths.scan(0, |next, length| Some(std::mem::replace(next, *next + length))).collect())
    }

    fn row<'a>(&self, rows: &'a LogRows, stream: u32, at: u32) -> Option<(LabelsRef<'a>, LogEntry<'a>)> {
        let first = *self.0.get(stream as usize)?;
        Some((rows.batch.stream(stream as usize).labels(), rows.batch.entry(first + at as usize)))
    }
}

/// The same for entries that are equal.
fn hash_of(labels: LabelsRef<'_>, entry: &LogEntry<'_>) -> u64 {
    FixedState::default().hash_one((labels.as_bytes(), entry.timestamp_ns, entry.line, entry.metadata.as_bytes()))
}

/// What an entry has under a name: as label, floating label or metadata, the first that is there.
fn has<'a>(labels: LabelsRef<'a>, metadata: LabelsRef<'a>, name: &str) -> Option<&'a str> {
    let floating = || metadata.iter().find(|(n, _)| bramble_signal::floating_label(n) == Some(name)).map(|(_, v)| v);
    labels.get(name).or_else(floating).or_else(|| metadata.get(name))
}

/// Forms in which a trace id is written: hexadecimal digits of either case, as a UUID, and of ids of 64 bits those alone,
/// or as a number (Datadog).
fn forms_of_trace(id: TraceId) -> Vec<String> {
    let digits = id.to_string();
    let mut forms = Vec::with_capacity(4);
    match digits.strip_prefix("0000000000000000") {
        Some(low) => {
            forms.push(low.to_owned());
            forms.extend(u64::from_str_radix(low, 16).ok().map(|number| number.to_string()));
        }
        None => {
            let parts =
                [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)].map(|(from, to)| digits.get(from..to).unwrap_or(""));
            forms.push(digits.clone());
            forms.push(parts.join("-"));
        }
    }
    let upper: Vec<String> =
        forms.iter().map(|form| form.to_ascii_uppercase()).filter(|form| !forms.contains(form)).collect();
    forms.extend(upper);
    forms
}

/// Names under which entries have ids of a kind, and spans as attributes: the spellings that libraries and people use. All
/// are names of that kind.
pub fn names_of(kind: IdKind) -> Vec<String> {
    let plain = kind.as_str();
    let words: Vec<&str> = plain.split('_').collect();
    let capital = |word: &&str| {
        let (first, rest) = word.split_at(1);
        first.to_ascii_uppercase() + rest
    };
    let pascal: String = words.iter().map(capital).collect();
    let (first, rest) = pascal.split_at(1);
    let camel = first.to_ascii_lowercase() + rest;
    let mut names = vec![plain.to_owned(), camel, words.concat(), pascal, words.join("."), words.join("-")];
    match kind {
        IdKind::Trace => names.extend(["traceID", "dd.trace_id", "otelTraceID"].map(str::to_owned)),
        IdKind::Request => names.extend(["x_request_id", "x-request-id", "correlation_id"].map(str::to_owned)),
        _ => {}
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_their_kind() {
        for kind in IdKind::ALL {
            for name in names_of(kind) {
                assert_eq!(IdKind::of_name(name.as_bytes()), Some(kind), "{name}");
            }
        }
        assert!(names_of(IdKind::ResourceType).contains(&"resourceTypeId".to_owned()));
    }

    #[test]
    fn a_trace_is_written_in_several_forms() {
        let forms = forms_of_trace(TraceId::parse("4bf92f3577b34da6a3ce929d0e0e4736").unwrap());
        assert!(forms.contains(&"4BF92F3577B34DA6A3CE929D0E0E4736".to_owned()));
        assert!(forms.contains(&"4bf92f35-77b3-4da6-a3ce-929d0e0e4736".to_owned()));
        assert_eq!(forms_of_trace(TraceId::parse("10").unwrap()), ["0000000000000010", "16"]);
    }
}
