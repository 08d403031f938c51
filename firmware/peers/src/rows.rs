//! Log entries as frames: batches as node deliveries have them, each wholly before the next one in answer order.

use crate::frame::{ENTRIES, FRAME_BYTES, FrameWriter};
use bramble_signal::{LabelsRef, LogBatch, LogEntry};
use bramble_storage::{Direction, LogRows, ReadError};
use bramble_wire::delivery::{put_logs, read_logs};
use std::cmp::Ordering;

/// Rows with the place of each stream's first entry in their batch.
#[derive(Default)]
pub(crate) struct Indexed {
    pub(crate) rows: LogRows,
    starts: Vec<usize>,
}

impl Indexed {
    /// To be called when `rows` has changed.
    pub(crate) fn index(&mut self) {
        self.starts.clear();
        let mut start = 0;
        for stream in self.rows.batch.streams() {
            self.starts.push(start);
            start += stream.len();
        }
    }

    /// Labels and entry of the row at this place in answer order.
    pub(crate) fn row(&self, at: usize) -> Option<(LabelsRef<'_>, LogEntry<'_>)> {
        let &(stream, entry) = self.rows.order.get(at)?;
        let start = self.starts.get(stream as usize)?;
        let labels = self.rows.batch.stream(stream as usize).labels();
        Some((labels, self.rows.batch.entry(start + entry as usize)))
    }
}

/// Sends rows, in as many frames as they need.
pub(crate) fn send(
    rows: &Indexed,
    payload: &mut Vec<u8>,
    out: &mut FrameWriter<'_>,
    check: &dyn Fn() -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let (mut first, mut bytes) = (0, 0);
    for at in 0..rows.rows.order.len() {
        let Some((_, entry)) = rows.row(at) else { continue };
        bytes += entry.line.len() + entry.metadata.as_bytes().len() + 24;
        if bytes >= FRAME_BYTES || at + 1 == rows.rows.order.len() {
            check()?;
            let batch = batch_of(rows, first..at + 1);
            payload.clear();
            put_logs(&batch, payload);
            out.send(ENTRIES, payload)?;
            (first, bytes) = (at + 1, 0);
        }
    }
    Ok(())
}

/// The rows of a range of the answer order, by stream.
fn batch_of(rows: &Indexed, range: std::ops::Range<usize>) -> LogBatch {
    let mut places: Vec<usize> = range.collect();
    let stream = |at: &usize| rows.rows.order.get(*at).map_or(0, |(stream, _)| *stream);
    places.sort_by_key(stream);
    let (mut batch, mut current) = (LogBatch::new(), None);
    for at in &places {
        let Some((labels, entry)) = rows.row(*at) else { continue };
        if current.replace(stream(at)) != Some(stream(at)) {
            batch.start_stream_encoded(labels);
        }
        batch.push_entry_encoded(entry.timestamp_ns, entry.line, entry.metadata);
    }
    batch
}

/// Reads a frame.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(payload: &[u8]) -> Result<LogBatch, String> {
    let decoded = read_logs(payload, payload.len() * 16 + (64 << 10)).map_err(|error| error.to_string())?;
    match decoded.rejected.first_reason() {
        Some((_, story)) => Err(story.to_owned()),
        None => Ok(decoded.batch),
    }
}

/// How two rows stand to each other in answer order.
pub(crate) fn compare(a: (i64, LabelsRef<'_>), b: (i64, LabelsRef<'_>), direction: Direction) -> Ordering {
    let by_time = a.0.cmp(&b.0);
    let by_time = if direction == Direction::Backward { by_time.reverse() } else { by_time };
    by_time.then_with(|| if a.1.as_bytes() == b.1.as_bytes() { Ordering::Equal } else { a.1.cmp(&b.1) })
}

/// Puts the rows of a batch, streams of which are in answer order in themselves, into answer order.
pub(crate) fn order(rows: &mut LogRows, direction: Direction) {
    let LogRows { batch, order } = rows;
    order.clear();
    let mut by_labels: Vec<usize> = (0..batch.stream_count()).collect();
    by_labels.sort_by_key(|stream| batch.stream(*stream).labels());
    let mut times = Vec::with_capacity(batch.entry_count());
    for stream in by_labels {
        for (entry, logged) in batch.stream(stream).entries().enumerate() {
            order.push((stream as u32, entry as u32));
            times.push(logged.timestamp_ns);
        }
    }
    // Stable: streams stand in order of their labels, entries in order of arrival.
    let mut places: Vec<usize> = (0..order.len()).collect();
    let time = |at: &usize| times.get(*at).copied().unwrap_or_default();
    match direction {
        Direction::Forward => places.sort_by_key(time),
        Direction::Backward => places.sort_by_key(|at| std::cmp::Reverse(time(at))),
    }
    *order = places.iter().filter_map(|at| order.get(*at).copied()).collect();
}
