//! Starts and durations.
//!
//! A start is told from that of the parent, else from that of a child, else from that of the trace's newest span, else from
//! that of the last new trace. How many bits it takes follows from how long the other span was, or from how many it took
//! before. All of it in the record's unit.

use super::super::coder::{Coder, LENGTHS, MeanLength, USUAL, bit_length, code_number};
use super::super::range_coder::Probability;
use super::recent::Known;
use bramble_signal::SpanEntry;

/// What records count time in, nanoseconds.
pub(super) const UNITS: [u64; 4] = [1, 1000, 1_000_000, 1_000_000_000];

/// The largest unit that all times are multiples of, by its index.
pub(super) fn unit_of(spans: &[SpanEntry]) -> usize {
    let times = || spans.iter().flat_map(|span| [span.start_ns, span.end_ns]);
    let fits = |unit: &u64| times().all(|time| time % unit == 0);
    UNITS.iter().rposition(fits).unwrap_or(0)
}

/// Trees of bit lengths by what is usual.
type Trees = Box<[[Probability; LENGTHS]; USUAL]>;

/// What a start is told from.
#[derive(Clone, Copy)]
pub(super) enum Base<'a> {
    Parent(&'a Known),
    Child(&'a Known),
    Sibling(&'a Known),
    /// The start of the last new trace.
    Trace(u64),
}

/// One kind of differences.
struct Differences {
    trees: Trees,
    is_negative: Probability,
    usual: MeanLength,
    seen: bool,
}

impl Default for Differences {
    fn default() -> Self {
        let p = Probability::default();
        let trees = Box::new([[p; LENGTHS]; USUAL]);
        Differences { trees, is_negative: p, usual: MeanLength::default(), seen: false }
    }
}

impl Differences {
    /// A difference; without `usual` by what was usual of these.
    #[inline]
    fn code<C: Coder>(&mut self, usual: Option<MeanLength>, value: i64, coder: &mut C) -> i64 {
        let is_negative = coder.bit(&mut self.is_negative, value < 0);
        let magnitude = (if is_negative { !value } else { value }) as u64;
        let magnitude = code_number(coder, &mut self.trees, usual.unwrap_or(self.usual), magnitude);
        self.usual.learn(bit_length(magnitude), !self.seen);
        self.seen = true;
        if is_negative { !(magnitude as i64) } else { magnitude as i64 }
    }
}

/// A length as a mean of half bits: of up to this and the half octave below it.
fn about(value: u64) -> MeanLength {
    let length = bit_length(value);
    let half = if length > 1 { value >> (length - 2) & 1 } else { 0 };
    MeanLength(((2 * length + half as u32) << 3) as u16)
}

/// How times came so far.
#[derive(Default)]
pub(super) struct Times {
    starts: [Differences; 4],
    durations: [Differences; 3],
    events: Differences,
}

impl Times {
    pub(super) const MEMORY_BYTES: usize = 8 * USUAL * LENGTHS * size_of::<Probability>();

    /// Writes or reads the time of an event, from its span's start.
    pub(super) fn code_event<C: Coder>(&mut self, start_ns: u64, time_ns: u64, coder: &mut C) -> u64 {
        start_ns.wrapping_add(self.events.code(None, time_ns.wrapping_sub(start_ns) as i64, coder) as u64)
    }

    /// Writes or reads start and end of a span; `usual` is how long those of its shape are.
    #[inline]
    pub(super) fn code<C: Coder>(
        &mut self,
        base: Base<'_>,
        usual: MeanLength,
        unit: usize,
        (start_ns, end_ns): (u64, u64),
        coder: &mut C,
    ) -> (u64, u64) {
        match UNITS.get(unit) {
            // Divisions by what is known are cheap.
            None | Some(1) => self.code_in::<1, C>(base, usual, (start_ns, end_ns), coder),
            Some(1000) => self.code_in::<1000, C>(base, usual, (start_ns, end_ns), coder),
            Some(1_000_000) => self.code_in::<1_000_000, C>(base, usual, (start_ns, end_ns), coder),
            Some(_) => self.code_in::<1_000_000_000, C>(base, usual, (start_ns, end_ns), coder),
        }
    }

    #[inline]
    fn code_in<const UNIT: u64, C: Coder>(
        &mut self,
        base: Base<'_>,
        usual: MeanLength,
        (start_ns, end_ns): (u64, u64),
        coder: &mut C,
    ) -> (u64, u64) {
        let length = |known: &Known| about((known.end_ns / UNIT).saturating_sub(known.start_ns / UNIT));
        let (kind, from, spread) = match base {
            Base::Parent(known) => (0, known.start_ns, Some(length(known))),
            Base::Child(known) => (1, known.start_ns, Some(length(known))),
            Base::Sibling(known) => (2, known.start_ns, Some(length(known))),
            Base::Trace(start_ns) => (3, start_ns, None),
        };
        let from = from / UNIT;
        let step = (start_ns / UNIT).wrapping_sub(from) as i64;
        let start = from.wrapping_add(self.starts[kind].code(spread, step, coder) as u64);
        let (kind, spread) = match base {
            Base::Parent(known) => (0, about((known.end_ns / UNIT).saturating_sub(start))),
            Base::Child(known) => (1, length(known)),
            _ => (2, usual),
        };
        let duration = (end_ns / UNIT).wrapping_sub(start_ns / UNIT) as i64;
        let duration = self.durations[kind].code(Some(spread), duration, coder);
        (start.wrapping_mul(UNIT), start.wrapping_add(duration as u64).wrapping_mul(UNIT))
    }
}
