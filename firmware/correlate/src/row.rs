//! A correlation as an entry of the log store, and what the correlator notes there of itself.
//!
//! ```text
//! stream    {__bramble__="correlations", has_error="false"}
//! timestamp the start, or the id's millisecond when a revision starts elsewhere: revisions of an id lie in one millisecond
//! metadata  trace_id, the first business id of each kind, places, worst span and first error with their services
//! line      {"revision":1,"window":…,"duration":…,"logs":[…],"counts":[…],"services":["a","b"],…}: see [`line`]
//! ```
//! Ids stand in metadata because page groups have filters over it ([`search`]). Services stand in the line because
//! templates answer for words of lines.

mod line;
mod marker;
pub mod search;
#[cfg(test)]
pub(crate) mod tests;

pub use marker::{Marker, marker_in, newest_marker, put_marker};

use crate::correlation::{Correlation, CorrelationId, FirstError, WorstSpan};
use crate::digits::{as_text, put_hex};
use bramble_line::ids::IdKind;
use bramble_signal::{LabelsRef, LogBatch, LogEntry, SpanId, TraceId};
use bramble_storage::OWN_STREAM_LABEL;
use line::Line;

/// What streams of rows hold.
pub const ROWS: &str = "correlations";
/// Label of their streams: whether something failed.
pub const HAS_ERROR: &str = "has_error";

const NS_PER_MS: i64 = 1_000_000;

/// Metadata beside ids.
const PLACES: &str = "places";
const WORST: &str = "worst";
const WORST_SERVICE: &str = "worst_service";
const ERROR: &str = "error";
const ERROR_SERVICE: &str = "error_service";
const SERIES: &str = "series";

/// Whether a stream is one that Bramble writes for itself: nothing is to be correlated of it.
pub fn is_own_stream(labels: LabelsRef<'_>) -> bool {
    labels.get(OWN_STREAM_LABEL).is_some()
}

/// When a row is, nanoseconds: in the millisecond of the id, whatever the revision.
pub fn timestamp_ns(correlation: &Correlation) -> i64 {
    let opened_ms = correlation.id.opened_ms;
    if correlation.start_ns.div_euclid(NS_PER_MS) == opened_ms {
        correlation.start_ns
    } else {
        opened_ms.saturating_mul(NS_PER_MS)
    }
}

/// What comes back of a correlation that was stored: it lacks [`root_span_id`](Correlation::root_span_id),
/// [`entry_spans`](Correlation::entry_spans) and [`spans_ns`](Correlation::spans_ns), which the trace has.
pub fn as_stored(correlation: &Correlation) -> Correlation {
    Correlation { spans_ns: None, root_span_id: SpanId::default(), entry_spans: Vec::new(), ..correlation.clone() }
}

/// Adds the row of a correlation. Rows with and without errors are of different streams, so that it is best to put the
/// ones before the others.
pub fn put_row(correlation: &Correlation, batch: &mut LogBatch) {
    let has_error = if correlation.has_error() { "true" } else { "false" };
    start(batch, &mut [(OWN_STREAM_LABEL, ROWS), (HAS_ERROR, has_error)]);
    let mut trace_id = Vec::with_capacity(32);
    put_hex(&mut trace_id, &correlation.id.trace_id.0);
    let places = line::put_places(&correlation.participants);
    let series = correlation.exemplar_series.join("\n");
    let mut metadata = vec![("trace_id", as_text(&trace_id)), (PLACES, &places), (SERIES, &series)];
    metadata.extend(search::first_ids(&correlation.ids).map(|(kind, value)| (kind.as_str(), value)));
    if let Some(worst) = &correlation.worst_span {
        metadata.extend([(WORST, worst.name.as_str()), (WORST_SERVICE, worst.service.as_str())]);
    }
    if let Some(error) = &correlation.first_error {
        metadata.extend([(ERROR, error.text.as_str()), (ERROR_SERVICE, error.service.as_str())]);
    }
    metadata.retain(|(_, value)| !value.is_empty());
    // Names are distinct, which is all that could be wrong.
    _ = batch.push_entry(timestamp_ns(correlation), &line::put(correlation), &mut metadata);
}

/// Starts the stream, unless it is the last one.
fn start(batch: &mut LogBatch, labels: &mut [(&str, &str)]) {
    let is_last = batch.stream_count().checked_sub(1).is_some_and(|last| {
        let of = batch.stream(last).labels();
        of.len() == labels.len() && labels.iter().all(|(name, value)| of.get(name) == Some(value))
    });
    if !is_last {
        _ = batch.start_stream(labels);
    }
}

/// The correlation of a row, but for what [`as_stored`] leaves out; `None` when it is none that can be read. Fields that
/// this version does not know are passed over, those that are missing are as if nothing was there.
pub fn read_row(entry: &LogEntry<'_>) -> Option<Correlation> {
    let line: Line = serde_json::from_slice(entry.line).ok()?;
    let metadata = entry.metadata;
    let text = |name: &str| metadata.get(name).unwrap_or_default().to_owned();
    let trace_id = TraceId::parse(metadata.get("trace_id")?)?;
    let start_ns = entry.timestamp_ns.saturating_add(line.start);
    let mut ids: Vec<(IdKind, String)> = line.more_ids();
    let first = IdKind::BUSINESS.into_iter().filter_map(|kind| Some((kind, metadata.get(kind.as_str())?.to_owned())));
    ids.extend(first);
    ids.sort_unstable();
    ids.dedup();
    let first_error = line.first.as_ref().map(|(what, after_ns, span_id)| FirstError {
        time_ns: start_ns.saturating_add(*after_ns),
        service: text(ERROR_SERVICE),
        span_id: line::read_span(span_id),
        is_log: what == line::LOG,
        text: text(ERROR),
    });
    let worst_span = line.worst.as_ref().map(|(span_id, duration_ns, self_ns, failed)| WorstSpan {
        span_id: line::read_span(span_id),
        service: text(WORST_SERVICE),
        name: text(WORST),
        duration_ns: *duration_ns,
        self_ns: *self_ns,
        failed: *failed > 0,
    });
    let count = |of: &[u64], at: usize| of.get(at).copied().unwrap_or(0);
    Some(Correlation {
        id: CorrelationId { trace_id, opened_ms: entry.timestamp_ns.div_euclid(NS_PER_MS) },
        revision: line.revision,
        start_ns,
        end_ns: start_ns.saturating_add(line.duration),
        window_ns: line.window,
        ids,
        participants: line.participants(metadata.get(PLACES).unwrap_or_default()),
        logs: count(&line.logs, 0),
        levels: std::array::from_fn(|level| count(&line.logs, level + 1)),
        spans: count(&line.counts, 0),
        failed_spans: count(&line.counts, 1),
        exemplars: count(&line.counts, 2),
        inferred_logs: count(&line.counts, 3),
        spans_ns: None,
        root_span_id: SpanId::default(),
        entry_spans: Vec::new(),
        first_error,
        worst_span,
        exemplar_series: metadata.get(SERIES).map_or(Vec::new(), |all| all.split('\n').map(str::to_owned).collect()),
        marks: line.marks(),
    })
}

/// Calls `each` with every correlation whose row is in the batch. Costs next to nothing where there are none.
pub fn published_in(batch: &LogBatch, each: &mut dyn FnMut(Correlation)) {
    for stream in batch.streams() {
        if stream.labels().get(OWN_STREAM_LABEL) == Some(ROWS) {
            stream.entries().filter_map(|entry| read_row(&entry)).for_each(&mut *each);
        }
    }
}
