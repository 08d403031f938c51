//! Log records as version 0 wrote them.
//!
//! Body: number of entries; then columns, each preceded by its length: stream of each run of entries (reference in
//! this epoch; a new one is followed by the labels as difference to the definition before) and the run's length;
//! timestamps (signed difference to the entry before); metadata (length, bytes); line lengths; and last the lines.

use super::super::RecordError;
use super::super::bytes::Reader;
use super::Replay;
use bramble_signal::{LabelsRef, LogBatch};

impl Replay {
    pub(super) fn read_0(&mut self, body: &[u8], batch: &mut LogBatch) -> Result<(), RecordError> {
        let mut body = Reader(body);
        let entries = body.varint()?;
        let mut runs = Reader(body.bytes()?);
        let mut times = Reader(body.bytes()?);
        let mut metadata = Reader(body.bytes()?);
        let mut lengths = Reader(body.bytes()?);
        let mut lines = body;
        let (mut time, mut seen) = (0i64, 0u64);
        while seen < entries {
            let stream = self.streams.take(&mut runs)?;
            batch.start_stream_encoded(self.streams.labels(stream));
            let run = runs.varint()?;
            for _ in 0..run {
                time = time.wrapping_add(times.signed()?);
                let metadata = LabelsRef::parse(metadata.bytes()?).ok_or(RecordError("metadata"))?;
                let length = usize::try_from(lengths.varint()?).map_err(|_| RecordError("line length"))?;
                batch.push_entry_encoded(time, lines.take(length)?, metadata);
            }
            seen += run.max(1);
        }
        Ok(())
    }
}
