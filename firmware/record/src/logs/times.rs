//! Timestamps: steps within their stream, in the coarsest unit that a run of entries keeps to.

use super::super::bytes::{unzigzag, zigzag};
use super::super::coder::{Coder, LENGTHS, MeanLength, USUAL, bit_length, code_number};
use super::super::range_coder::Probability;

const UNITS_NS: [i64; 4] = [1, 1_000, 1_000_000, 1_000_000_000];

/// What both sides remember of a stream.
#[derive(Clone, Copy, Default)]
struct Stream {
    last_ns: i64,
    usual: MeanLength,
    unit: u8,
    seen: u8,
}

/// The streams of an epoch, by reference.
pub(super) struct Times {
    streams: Vec<Stream>,
    units: [[Probability; UNITS_NS.len()]; UNITS_NS.len()],
    steps: Box<[[Probability; LENGTHS]; USUAL]>,
}

impl Default for Times {
    fn default() -> Self {
        let p = Probability::default();
        Times {
            streams: Vec::new(),
            units: [[p; UNITS_NS.len()]; UNITS_NS.len()],
            steps: Box::new([[p; LENGTHS]; USUAL]),
        }
    }
}

/// The coarsest unit that all of these are multiples of.
pub(super) fn unit_of(timestamps_ns: impl Iterator<Item = i64>) -> usize {
    let mut unit = UNITS_NS.len() - 1;
    for timestamp_ns in timestamps_ns {
        while timestamp_ns % UNITS_NS[unit] != 0 {
            unit -= 1;
        }
        if unit == 0 {
            break;
        }
    }
    unit
}

impl Times {
    pub(super) fn memory_bytes(&self) -> usize {
        self.streams.capacity() * size_of::<Stream>() + USUAL * LENGTHS * 2
    }

    /// Says the unit of a run of entries of a stream.
    pub(super) fn start_run<C: Coder>(&mut self, stream: usize, unit: usize, coder: &mut C) {
        if self.streams.len() <= stream {
            self.streams.resize(stream + 1, Stream::default());
        }
        let stream = &mut self.streams[stream];
        stream.unit = coder.symbol(&mut self.units[usize::from(stream.unit)], unit) as u8;
    }

    /// The timestamp of an entry of that stream.
    pub(super) fn code<C: Coder>(&mut self, stream: usize, timestamp_ns: i64, coder: &mut C) -> i64 {
        let Some(stream) = self.streams.get_mut(stream) else { return 0 };
        let unit_ns = UNITS_NS[usize::from(stream.unit) % UNITS_NS.len()];
        let last = stream.last_ns.div_euclid(unit_ns);
        let step = zigzag((timestamp_ns / unit_ns).wrapping_sub(last));
        // Steps are usual in nanoseconds, whatever the unit.
        let step = code_number(coder, &mut self.steps, stream.usual, step);
        // The first step is from 1970.
        stream.usual.learn(bit_length(step), stream.seen <= 1);
        stream.seen = stream.seen.saturating_add(1);
        stream.last_ns = last.wrapping_add(unzigzag(step)).wrapping_mul(unit_ns);
        stream.last_ns
    }
}
