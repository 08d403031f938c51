//! Log records.
//!
//! Body: number of entries; then columns, each preceded by its length: stream of each run of entries (reference in
//! this epoch; a new one is followed by the labels as difference to the definition before) and the run's length;
//! timestamps (signed difference to the entry before); metadata (length, bytes); line lengths; and last the lines.

use super::bytes::{Reader, put_bytes, put_difference, put_varint, zigzag};
use super::{LOGS, RecordError};
use bramble_signal::{LabelsRef, LogBatch};
use bramble_storage::{LogSink, Sequence};
use hashbrown::HashMap;

/// Streams remembered per epoch. Beyond it the dictionary starts over (reference 0 means exactly that), so that
/// a flood of streams costs bytes, not memory.
const STREAMS_MAX: usize = 16_384;

/// What the writing side remembers of an epoch: streams by their labels.
#[derive(Default)]
pub(super) struct StreamDictionary {
    known: HashMap<Box<[u8]>, u32>,
    known_bytes: usize,
    last_definition: Vec<u8>,
}

impl StreamDictionary {
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.known_bytes = 0;
        self.last_definition.clear();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.known_bytes + self.known.capacity() * 32
    }

    fn put_stream(&mut self, labels: LabelsRef<'_>, out: &mut Vec<u8>) {
        if let Some(&reference) = self.known.get(labels.as_bytes()) {
            put_varint(out, u64::from(reference));
            return;
        }
        if self.known.len() >= STREAMS_MAX {
            self.clear();
            put_varint(out, 0);
        }
        let reference = self.known.len() as u32 + 1;
        self.known.insert(labels.as_bytes().into(), reference);
        self.known_bytes += labels.as_bytes().len();
        put_varint(out, u64::from(reference));
        put_difference(out, &self.last_definition, labels.as_bytes());
        self.last_definition.clear();
        self.last_definition.extend_from_slice(labels.as_bytes());
    }

    pub(super) fn encode(
        &mut self,
        batch: &LogBatch,
        from: usize,
        soft_max_bytes: usize,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        let (mut runs, mut times, mut metadata, mut lengths, mut lines) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut index, mut entries, mut last_time) = (0usize, 0u64, 0i64);
        let mut left = None;
        'streams: for stream in batch.streams() {
            if index + stream.len() <= from || stream.is_empty() {
                index += stream.len();
                continue;
            }
            let skip = from.saturating_sub(index);
            index += skip;
            let mut run = 0u64;
            self.put_stream(stream.labels(), &mut runs);
            for entry in stream.entries().skip(skip) {
                put_varint(&mut times, zigzag(entry.timestamp_ns.wrapping_sub(last_time)));
                last_time = entry.timestamp_ns;
                put_bytes(&mut metadata, entry.metadata.as_bytes());
                put_varint(&mut lengths, entry.line.len() as u64);
                lines.extend_from_slice(entry.line);
                (run, entries, index) = (run + 1, entries + 1, index + 1);
                if lines.len() + metadata.len() >= soft_max_bytes {
                    put_varint(&mut runs, run);
                    left = (index < batch.entry_count()).then_some(index);
                    break 'streams;
                }
            }
            put_varint(&mut runs, run);
        }
        out.push(LOGS);
        put_varint(out, entries);
        for column in [&runs, &times, &metadata, &lengths] {
            put_bytes(out, column);
        }
        out.extend_from_slice(&lines);
        left
    }
}

/// What the replaying side remembers of an epoch: labels by stream reference.
#[derive(Default)]
pub(super) struct StreamTexts {
    known: Vec<Box<[u8]>>,
    last_definition: Vec<u8>,
}

impl StreamTexts {
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.last_definition.clear();
    }

    fn take_stream(&mut self, runs: &mut Reader<'_>) -> Result<usize, RecordError> {
        let mut reference = runs.varint()?;
        if reference == 0 {
            self.clear();
            reference = runs.varint()?;
        }
        let index =
            usize::try_from(reference).ok().and_then(|r| r.checked_sub(1)).ok_or(RecordError("stream reference"))?;
        if index == self.known.len() {
            runs.difference(&mut self.last_definition)?;
            LabelsRef::parse(&self.last_definition).ok_or(RecordError("labels"))?;
            self.known.push(self.last_definition.as_slice().into());
        }
        if index < self.known.len() { Ok(index) } else { Err(RecordError("undefined stream")) }
    }

    pub(super) fn replay(
        &mut self,
        body: &[u8],
        sink: Option<&dyn LogSink>,
        sequence: Sequence,
    ) -> Result<u64, RecordError> {
        let mut body = Reader(body);
        let entries = body.varint()?;
        let mut runs = Reader(body.bytes()?);
        let mut times = Reader(body.bytes()?);
        let mut metadata = Reader(body.bytes()?);
        let mut lengths = Reader(body.bytes()?);
        let mut lines = body;
        let (mut batch, mut time, mut seen) = (LogBatch::new(), 0i64, 0u64);
        while seen < entries {
            let stream = self.take_stream(&mut runs)?;
            batch.start_stream_encoded(LabelsRef::from_encoded(&self.known[stream]));
            let run = runs.varint()?;
            for _ in 0..run {
                time = time.wrapping_add(times.signed()?);
                let metadata = LabelsRef::parse(metadata.bytes()?).ok_or(RecordError("metadata"))?;
                let length = usize::try_from(lengths.varint()?).map_err(|_| RecordError("line length"))?;
                batch.push_entry_encoded(time, lines.take(length)?, metadata);
            }
            seen += run.max(1);
        }
        match sink {
            Some(sink) => {
                sink.replay(&batch, sequence);
                Ok(batch.entry_count() as u64)
            }
            None => Ok(0),
        }
    }
}
