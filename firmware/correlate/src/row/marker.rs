//! Through where the correlator counted, as an entry of its own stream.

use bramble_signal::{LogBatch, LogEntry, Matcher};
use bramble_storage::{Direction, LogRows, LogSelect, LogSource, OWN_STREAM_LABEL, QueryContext, ReadError, Sequence};
use serde::Deserialize;

/// What the stream of markers holds.
const MARKERS: &str = "correlator";
/// Markers that are asked for: the newest says most, unless the clock was set back.
const LOOKED_AT: usize = 64;

/// What the correlator notes of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Marker {
    /// Nothing at or below it is needed any more: of items there, everything was published and written.
    pub low: Sequence,
    /// When it was written, nanoseconds.
    pub written_ns: i64,
}

#[derive(Deserialize)]
struct Line {
    low: Sequence,
}

/// Adds a marker.
pub fn put_marker(marker: &Marker, batch: &mut LogBatch) {
    super::start(batch, &mut [(OWN_STREAM_LABEL, MARKERS)]);
    let line = format!("{{\"low\":{}}}", marker.low);
    _ = batch.push_entry(marker.written_ns, line.as_bytes(), &mut []);
}

fn read(entry: &LogEntry<'_>) -> Option<Marker> {
    let line: Line = serde_json::from_slice(entry.line).ok()?;
    Some(Marker { low: line.low, written_ns: entry.timestamp_ns })
}

/// The highest marker of the batch, if it has any.
pub fn marker_in(batch: &LogBatch) -> Option<Marker> {
    let own = batch.streams().filter(|stream| stream.labels().get(OWN_STREAM_LABEL) == Some(MARKERS));
    own.flat_map(|stream| stream.entries()).filter_map(|entry| read(&entry)).max_by_key(|marker| marker.low)
}

/// The highest of the newest markers in the store.
///
/// # Errors
/// [`ReadError`].
pub fn newest_marker(source: &dyn LogSource, context: &QueryContext) -> Result<Option<Marker>, ReadError> {
    let matchers = [Matcher::equal(OWN_STREAM_LABEL, MARKERS)];
    let select = LogSelect {
        matchers: &matchers,
        direction: Direction::Backward,
        rows_hint: Some(LOOKED_AT),
        ..LogSelect::default()
    };
    let (mut rows, mut cursor) = (LogRows::default(), source.select(&select, context)?);
    Ok(if cursor.next(&mut rows)? { marker_in(&rows.batch) } else { None })
}
