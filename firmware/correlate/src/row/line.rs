//! The line of a row: JSON whose fields always stand in the same order, so that few templates do for all rows.
//!
//! ```text
//! {"revision":1,"window":60000000000,"duration":5136009,"logs":[3,0,0,2,0,1,0],"counts":[9,1,0,0],
//!  "services":["beorn","db"],"parts":[2,5,0,1,4,1],"worst":["00f067aa-0ba902b7",1200,800,1],"first":["span",312,"00f067aa-0ba902b7"]}
//!
//! start     nanoseconds after the timestamp; left out when 0
//! window    nanoseconds
//! duration  nanoseconds
//! logs      log entries, then those of each level
//! counts    spans, failed spans, exemplars, log entries that were inferred
//! parts     of each service: log entries, spans, errors
//! skew      of each service, nanoseconds; left out when all are 0
//! worst     span id, duration, time of its own, whether it failed; left out when there is none
//! first     log or span, nanoseconds after the start, span id; left out when nothing failed
//! more      further business ids by kind; keys: what those are found by ([`super::search`]); left out when there are none
//! marks     names of marks; left out when there are none
//! ```
//! Halves of span ids stand apart because whole they would be in filters, where nobody looks for them.

use super::search;
use crate::correlation::{Correlation, Marks, Participant};
use crate::digits::{put_hex, put_number, put_signed};
use bramble_line::ids::IdKind;
use bramble_signal::SpanId;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A first error that is a log entry.
pub(super) const LOG: &str = "log";
const SPAN: &str = "span";

/// What is in a line.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Line {
    pub(super) revision: u32,
    pub(super) start: i64,
    pub(super) window: u64,
    pub(super) duration: i64,
    pub(super) logs: Vec<u64>,
    pub(super) counts: Vec<u64>,
    services: Vec<String>,
    parts: Vec<u64>,
    skew: Vec<i64>,
    pub(super) worst: Option<(String, u64, u64, u8)>,
    pub(super) first: Option<(String, i64, String)>,
    more: BTreeMap<String, Vec<String>>,
    marks: Vec<String>,
}

impl Line {
    /// Further ids.
    pub(super) fn more_ids(&self) -> Vec<(IdKind, String)> {
        let known = |name: &String| IdKind::BUSINESS.into_iter().find(|kind| kind.as_str() == name);
        let of_kind = |(name, values): (&String, &Vec<String>)| {
            let kind = known(name)?;
            Some(values.iter().map(move |value| (kind, value.clone())).collect::<Vec<_>>())
        };
        self.more.iter().filter_map(of_kind).flatten().collect()
    }

    /// Who took part, at `places`.
    pub(super) fn participants(&self, places: &str) -> Vec<Participant> {
        let places: Vec<&str> = places.split(',').collect();
        let number = |at: usize| self.parts.get(at).copied().unwrap_or(0);
        let participant = |(nth, service): (usize, &String)| {
            // One place is that of all.
            let place = if places.len() == 1 { places.first() } else { places.get(nth) };
            let (node, env) = place.and_then(|place| place.split_once('/')).unwrap_or_default();
            Participant {
                service: service.clone(),
                node: unescaped(node),
                env: unescaped(env),
                logs: number(3 * nth),
                spans: number(3 * nth + 1),
                errors: number(3 * nth + 2),
                skew_ns: self.skew.get(nth).copied().unwrap_or(0),
            }
        };
        self.services.iter().enumerate().map(participant).collect()
    }

    /// The marks.
    pub(super) fn marks(&self) -> Marks {
        let has = |name: &str| self.marks.iter().any(|mark| mark == name);
        Marks {
            closed_early: has("closed_early"),
            truncated: has("truncated"),
            ambiguous_request: has("ambiguous_request"),
            skewed: has("skewed"),
        }
    }
}

/// Nodes and environments of participants, in their order; one for all where they are the same.
pub(super) fn put_places(participants: &[Participant]) -> String {
    let place = |p: &Participant| format!("{}/{}", escaped(&p.node), escaped(&p.env));
    let mut places: Vec<String> = participants.iter().map(place).collect();
    if places.windows(2).all(|pair| pair[0] == pair[1]) {
        places.truncate(1);
    }
    if places.first().is_some_and(|only| places.len() == 1 && only == "/") { String::new() } else { places.join(",") }
}

fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('/', "%2F").replace(',', "%2C")
}

fn unescaped(text: &str) -> String {
    text.replace("%2C", ",").replace("%2F", "/").replace("%25", "%")
}

/// A span id that stands in a line; zero when it is none.
pub(super) fn read_span(text: &str) -> SpanId {
    SpanId::parse(&text.replace('-', "")).unwrap_or_default()
}

/// The line of a correlation.
pub(super) fn put(correlation: &Correlation) -> Vec<u8> {
    let mut out = Vec::with_capacity(320);
    let Correlation { spans, failed_spans, exemplars, inferred_logs, participants, .. } = correlation;
    out.extend_from_slice(b"{\"revision\":");
    put_number(&mut out, correlation.revision.into());
    let start_ns = correlation.start_ns.saturating_sub(super::timestamp_ns(correlation));
    if start_ns != 0 {
        name(&mut out, "start");
        put_signed(&mut out, start_ns);
    }
    name(&mut out, "window");
    put_number(&mut out, correlation.window_ns);
    name(&mut out, "duration");
    put_signed(&mut out, correlation.end_ns.saturating_sub(correlation.start_ns));
    list(&mut out, "logs", std::iter::once(&correlation.logs).chain(&correlation.levels), |out, n| put_number(out, *n));
    list(&mut out, "counts", [spans, failed_spans, exemplars, inferred_logs], |out, n| put_number(out, *n));
    list(&mut out, "services", participants, |out, p| text(out, &p.service));
    list(&mut out, "parts", participants.iter().flat_map(|p| [p.logs, p.spans, p.errors]), put_number);
    if participants.iter().any(|p| p.skew_ns != 0) {
        list(&mut out, "skew", participants, |out, p| put_signed(out, p.skew_ns));
    }
    put_failures(correlation, &mut out);
    put_more(correlation, &mut out);
    if correlation.marks != Marks::default() {
        list(&mut out, "marks", correlation.marks.names(), text);
    }
    out.push(b'}');
    out
}

fn put_failures(correlation: &Correlation, out: &mut Vec<u8>) {
    if let Some(worst) = &correlation.worst_span {
        name(out, "worst");
        out.push(b'[');
        span(out, worst.span_id);
        for number in [worst.duration_ns, worst.self_ns, worst.failed.into()] {
            out.push(b',');
            put_number(out, number);
        }
        out.push(b']');
    }
    if let Some(first) = &correlation.first_error {
        name(out, "first");
        out.push(b'[');
        text(out, if first.is_log { LOG } else { SPAN });
        out.push(b',');
        put_signed(out, first.time_ns.saturating_sub(correlation.start_ns));
        out.push(b',');
        span(out, first.span_id);
        out.push(b']');
    }
}

/// Ids that are not the first of their kind.
fn put_more(correlation: &Correlation, out: &mut Vec<u8>) {
    let mut more: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (kind, value) in search::more_ids(&correlation.ids) {
        more.entry(kind.as_str()).or_default().push(value);
    }
    if more.is_empty() {
        return;
    }
    name(out, "more");
    // Writing texts to memory does not fail.
    _ = serde_json::to_writer(&mut *out, &more);
    let keys = search::more_ids(&correlation.ids).map(|(kind, value)| search::key(kind, value));
    list(out, "keys", keys, |out, key| text(out, &key));
}

fn name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn text(out: &mut Vec<u8>, text: &str) {
    _ = serde_json::to_writer(&mut *out, text);
}

fn span(out: &mut Vec<u8>, span_id: SpanId) {
    let (high, low) = span_id.0.split_at(4);
    out.push(b'"');
    put_hex(out, high);
    out.push(b'-');
    put_hex(out, low);
    out.push(b'"');
}

fn list<T>(out: &mut Vec<u8>, of: &str, values: impl IntoIterator<Item = T>, put: impl Fn(&mut Vec<u8>, T)) {
    name(out, of);
    out.push(b'[');
    for (nth, value) in values.into_iter().enumerate() {
        if nth > 0 {
            out.push(b',');
        }
        put(out, value);
    }
    out.push(b']');
}
