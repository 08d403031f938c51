//! Metric records as version 0 wrote them.
//!
//! Body: number of entries; then columns, each entry in order: series reference (signed difference to the one
//! before); definitions of references that are new in this epoch (labels as difference to the definition before);
//! sample counts; timestamps (signed difference to the sample before); value modes, one byte each; values. The
//! length of each of the first five columns precedes it.
//!
//! A value is coded against the series' last value in this epoch (0 at first), by mode: 0 the same bits; 1, 2, 3 a
//! signed difference of integers after scaling both by 1, 100, 1000; 4 the bits themselves.

use super::super::RecordError;
use super::super::bytes::Reader;
use super::Replay;
use crate::MetricReplay;
use bramble_storage::Sequence;

const SCALES: [f64; 3] = [1.0, 100.0, 1000.0];

fn take_value(mode: u8, values: &mut Reader<'_>, last: f64) -> Result<f64, RecordError> {
    match mode {
        0 => Ok(last),
        1..=3 => {
            let scale = SCALES[usize::from(mode - 1)];
            let old = (last * scale).round() as i64;
            let new = old.checked_add(values.signed()?).ok_or(RecordError("value overflows"))?;
            Ok(new as f64 / scale)
        }
        4 => Ok(f64::from_bits(u64::from_le_bytes(values.array()?))),
        _ => Err(RecordError("unknown value mode")),
    }
}

impl Replay {
    pub(in super::super) fn replay_0(
        &mut self,
        body: &[u8],
        sink: Option<&dyn MetricReplay>,
        sequence: Sequence,
    ) -> Result<u64, RecordError> {
        let outcome = self.read_0(body, sink);
        let items = self.hand_over(sink, sequence);
        outcome.map(|()| items)
    }

    fn read_0(&mut self, body: &[u8], sink: Option<&dyn MetricReplay>) -> Result<(), RecordError> {
        let mut body = Reader(body);
        let entries = body.varint()?;
        let mut refs = Reader(body.bytes()?);
        let mut definitions = Reader(body.bytes()?);
        let mut counts = Reader(body.bytes()?);
        let mut times = Reader(body.bytes()?);
        let mut modes = Reader(body.bytes()?);
        let mut values = body;
        let (mut reference, mut time) = (0i64, 0i64);
        for _ in 0..entries {
            reference = reference.wrapping_add(refs.signed()?);
            let (index, mut known) = self.known(reference, &mut definitions, sink)?;
            self.start(index, &mut known, sink)?;
            for _ in 0..counts.varint()? {
                time = time.wrapping_add(times.signed()?);
                known.last = take_value(modes.byte()?, &mut values, known.last)?;
                self.entries.push_sample(time, known.last);
            }
            self.known[index as usize] = Some(known);
        }
        Ok(())
    }
}
