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
use bramble_line::ids::IdKind;
use bramble_signal::SpanId;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Write;

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

/// A span id as it stands in lines.
fn put_span(span_id: SpanId) -> String {
    let text = span_id.to_string();
    let (high, low) = text.split_at(text.len() / 2);
    format!("\"{high}-{low}\"")
}

/// A span id that stands in a line; zero when it is none.
pub(super) fn read_span(text: &str) -> SpanId {
    SpanId::parse(&text.replace('-', "")).unwrap_or_default()
}

/// The line of a correlation.
pub(super) fn put(correlation: &Correlation) -> Vec<u8> {
    let mut out = Vec::with_capacity(320);
    // Writing to memory does not fail.
    _ = try_put(correlation, &mut out);
    out
}

fn try_put(correlation: &Correlation, out: &mut Vec<u8>) -> std::io::Result<()> {
    write!(out, "{{\"revision\":{}", correlation.revision)?;
    let start_ns = correlation.start_ns.saturating_sub(super::timestamp_ns(correlation));
    if start_ns != 0 {
        write!(out, ",\"start\":{start_ns}")?;
    }
    let duration_ns = correlation.end_ns.saturating_sub(correlation.start_ns);
    write!(out, ",\"window\":{},\"duration\":{duration_ns}", correlation.window_ns)?;
    numbers(out, "logs", std::iter::once(&correlation.logs).chain(&correlation.levels))?;
    let Correlation { spans, failed_spans, exemplars, inferred_logs, participants, .. } = correlation;
    numbers(out, "counts", [spans, failed_spans, exemplars, inferred_logs])?;
    texts(out, "services", participants.iter().map(|p| p.service.as_str()))?;
    numbers(out, "parts", participants.iter().flat_map(|p| [p.logs, p.spans, p.errors]))?;
    if participants.iter().any(|p| p.skew_ns != 0) {
        numbers(out, "skew", participants.iter().map(|p| p.skew_ns))?;
    }
    if let Some(worst) = &correlation.worst_span {
        let (span, failed) = (put_span(worst.span_id), u8::from(worst.failed));
        write!(out, ",\"worst\":[{span},{},{},{failed}]", worst.duration_ns, worst.self_ns)?;
    }
    if let Some(first) = &correlation.first_error {
        let what = if first.is_log { LOG } else { SPAN };
        let after_ns = first.time_ns.saturating_sub(correlation.start_ns);
        write!(out, ",\"first\":[\"{what}\",{after_ns},{}]", put_span(first.span_id))?;
    }
    let mut more: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (kind, value) in search::more_ids(&correlation.ids) {
        more.entry(kind.as_str()).or_default().push(value);
    }
    if !more.is_empty() {
        write!(out, ",\"more\":{}", serde_json::to_string(&more)?)?;
        let keys: Vec<String> =
            search::more_ids(&correlation.ids).map(|(kind, value)| search::key(kind, value)).collect();
        texts(out, "keys", keys.iter().map(String::as_str))?;
    }
    if correlation.marks != Marks::default() {
        texts(out, "marks", correlation.marks.names())?;
    }
    out.push(b'}');
    Ok(())
}

fn numbers(out: &mut Vec<u8>, name: &str, values: impl IntoIterator<Item = impl Display>) -> std::io::Result<()> {
    write!(out, ",\"{name}\":[")?;
    for (nth, value) in values.into_iter().enumerate() {
        let comma = if nth > 0 { "," } else { "" };
        write!(out, "{comma}{value}")?;
    }
    out.push(b']');
    Ok(())
}

fn texts<'a>(out: &mut Vec<u8>, name: &str, values: impl Iterator<Item = &'a str>) -> std::io::Result<()> {
    write!(out, ",\"{name}\":[")?;
    for (nth, value) in values.enumerate() {
        if nth > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, value)?;
    }
    out.push(b']');
    Ok(())
}
