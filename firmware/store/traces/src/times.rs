//! When spans started and how long they lasted.
//!
//! A span mostly lies inside its parent, so its start is a *share* of what its parent still had to go, and its
//! duration a share of what was left then. The share's first 8 bits have a distribution, which pco stores; the rest
//! is evenly spread over a known range and is written in just the bits that range needs (`ranged`). That is about a
//! byte per span less than starts and durations by themselves. Times that are all multiples of a microsecond or
//! millisecond, as some services have them, are counted in that unit, per resource.
//!
//! A span that lasts from its parent's start to its end, as the synthetic one of a correlation, has no times of its own. Which
//! of these it is mostly follows from its shape, and is then not said for each span.
//!
//! What does not lie so (roots, parents elsewhere, clocks that differ, an end before the start) is stored as a step
//! from the span before and a signed duration.

use crate::bytes::{put_bytes, take_array, take_bytes};
use crate::group_write::PARENT_LOCAL;
use crate::numbers::{put_codes, put_i64s, put_shares, put_u64s, take_codes, take_i64s, take_shares, take_u64s};
use crate::ranged::{BitReader, BitWriter};

/// First byte of the page, for another encoding some day.
const NESTED_TIMES: u8 = 16;

/// Start and end are shares of the parent.
const INSIDE: u32 = 0;
/// The start is, the duration is by itself.
const BEGINS_INSIDE: u32 = 1;
/// Both are by themselves.
const OUTSIDE: u32 = 2;
/// Both are the parent's.
const SAME: u32 = 3;
const MODES: usize = 4;

/// Ranges from here on are not divided.
const RANGE_MAX: u64 = 1 << 55;
const UNITS: [u64; 3] = [1_000_000, 1_000, 1];

/// Who a group's spans are, as far as their times depend on it. Both sides have it: it is in the layout and header.
pub(crate) struct Family<'a> {
    pub(crate) spans_per_trace: &'a [u32],
    /// Parent codes by span, see [`PARENT_LOCAL`].
    pub(crate) parents: &'a [u32],
    /// Shape by span.
    pub(crate) shape_of: &'a [u32],
    /// Resource by shape.
    pub(crate) resource_of: &'a [u32],
}

impl Family<'_> {
    fn resource(&self, row: usize) -> usize {
        let shape = self.shape_of.get(row).copied().unwrap_or(0);
        self.resource_of.get(shape as usize).copied().unwrap_or(0) as usize
    }

    /// The row of the span's parent, when that comes earlier in the same trace.
    fn parent(&self, row: usize, first: usize) -> Option<usize> {
        let local = self.parents.get(row)?.checked_sub(PARENT_LOCAL)?;
        Some(first + local as usize).filter(|parent| *parent < row)
    }
}

/// Splits a number below `count` into its share in 256ths and what is left: (share, rest, range of the rest).
fn split(value: u64, count: u64) -> (u16, u64, u64) {
    let share = (value << 8) / count;
    let (from, to) = cell(share, count);
    (share as u16, value - from, to - from)
}

/// The numbers that have a share: from, to (exclusive).
fn cell(share: u64, count: u64) -> (u64, u64) {
    ((share * count).div_ceil(256), ((share + 1) * count).div_ceil(256))
}

/// The numbers of `unit` between two times, both inclusive: the first, and how many.
fn between(low: u64, high: u64, unit: u64) -> Option<(u64, u64)> {
    #[inline(always)]
    fn of(low: u64, high: u64, unit: u64) -> Option<(u64, u64)> {
        let first = low.div_ceil(unit);
        let count = (high / unit).checked_sub(first)?.checked_add(1)?;
        (count < RANGE_MAX).then_some((first, count))
    }
    // Dividing by what is known beforehand costs a fraction, and this is done twice for every span that is read.
    match unit {
        1_000_000 => of(low, high, 1_000_000),
        1_000 => of(low, high, 1_000),
        1 => of(low, high, 1),
        _ => of(low, high, unit),
    }
}

/// The largest unit in which all times of each resource are whole.
fn units(starts: &[u64], durations: &[i64], family: &Family<'_>) -> Vec<u32> {
    let mut units: Vec<u32> = Vec::new();
    for (row, (start, duration)) in starts.iter().zip(durations).enumerate() {
        let resource = family.resource(row);
        if units.len() <= resource {
            units.resize(resource + 1, 0);
        }
        let Some(unit) = units.get_mut(resource) else { continue };
        while UNITS.get(*unit as usize).is_some_and(|u| start % u != 0 || duration % *u as i64 != 0) {
            *unit += 1;
        }
    }
    units
}

/// The mode that most spans of each shape have, and of each span 0 for that one, or 1 + its mode. `modes`: shape and mode.
fn usual_modes(modes: &[(u32, u32)]) -> (Vec<u32>, Vec<u32>) {
    let shapes = modes.iter().map(|(shape, _)| *shape as usize + 1).max().unwrap_or(0);
    let mut counts = vec![[0u32; MODES]; shapes];
    for (shape, mode) in modes {
        if let Some(count) = counts.get_mut(*shape as usize).and_then(|counts| counts.get_mut(*mode as usize)) {
            *count += 1;
        }
    }
    let most = |counts: [u32; MODES]| (0..).zip(counts).max_by_key(|(mode, count): &(u32, u32)| (*count, !mode));
    let usual: Vec<u32> = counts.into_iter().map(|counts| most(counts).map_or(INSIDE, |(mode, _)| mode)).collect();
    let code = |(shape, mode): &(u32, u32)| if usual.get(*shape as usize) == Some(mode) { 0 } else { 1 + mode };
    let codes = modes.iter().map(code).collect();
    (usual, codes)
}

#[derive(Default)]
struct Columns {
    /// With their shapes.
    modes: Vec<(u32, u32)>,
    firsts: Vec<u64>,
    steps: Vec<u64>,
    durations: Vec<i64>,
    start_shares: Vec<u16>,
    duration_shares: Vec<u16>,
    rest: BitWriter,
}

impl Columns {
    /// Enters a span below its parent, and says how much of it lies inside.
    fn nested(&mut self, start: u64, duration: i64, low: u64, high: Option<u64>, unit: u64) -> u32 {
        let Some((high, (first, count))) = high.and_then(|high| Some((high, between(low, high, unit)?))) else {
            return OUTSIDE;
        };
        let Some(offset) = (start / unit).checked_sub(first).filter(|offset| *offset < count) else { return OUTSIDE };
        let (share, rest, range) = split(offset, count);
        self.start_shares.push(share);
        self.rest.put_below(rest, range);
        let lasts = u64::try_from(duration).ok().map(|d| d / unit);
        let left = between(start, high, unit).map(|(_, count)| count);
        let (Some(lasts), Some(left)) = (lasts, left) else { return BEGINS_INSIDE };
        if lasts >= left {
            return BEGINS_INSIDE;
        }
        let (share, rest, range) = split(lasts, left);
        self.duration_shares.push(share);
        self.rest.put_below(rest, range);
        INSIDE
    }
}

/// Appends the times of a group's spans.
pub(crate) fn put_times(out: &mut Vec<u8>, starts: &[u64], durations: &[i64], family: &Family<'_>) {
    let units = units(starts, durations, family);
    let mut columns = Columns::default();
    let mut first = 0;
    for &count in family.spans_per_trace {
        for row in first..first + count as usize {
            let (Some(&start), Some(&duration)) = (starts.get(row), durations.get(row)) else { continue };
            let before = row.checked_sub(1).filter(|_| row > first).and_then(|at| starts.get(at)).copied();
            let mut mode = OUTSIDE;
            if let (Some(parent), Some(before)) = (family.parent(row, first), before) {
                let code = units.get(family.resource(row)).copied().unwrap_or(2);
                let unit = UNITS.get(code as usize).copied().unwrap_or(1);
                mode = match (starts.get(parent), durations.get(parent)) == (Some(&start), Some(&duration)) {
                    true => SAME,
                    false => columns.nested(start, duration, before, end_of(starts, durations, parent), unit),
                };
                columns.modes.push((family.shape_of.get(row).copied().unwrap_or(0), mode));
            }
            match before {
                None => columns.firsts.push(start),
                Some(before) if mode == OUTSIDE => columns.steps.push(start.wrapping_sub(before)),
                Some(_) => {}
            }
            if !matches!(mode, INSIDE | SAME) {
                columns.durations.push(duration);
            }
        }
        first += count as usize;
    }
    let (usual, modes) = usual_modes(&columns.modes);
    out.push(NESTED_TIMES);
    put_codes(out, &units);
    put_codes(out, &usual);
    put_codes(out, &modes);
    put_u64s(out, &columns.firsts);
    put_u64s(out, &columns.steps);
    put_i64s(out, &columns.durations);
    put_shares(out, &columns.start_shares);
    put_shares(out, &columns.duration_shares);
    put_bytes(out, &columns.rest.finish());
}

fn end_of(starts: &[u64], durations: &[i64], row: usize) -> Option<u64> {
    let lasts = u64::try_from(*durations.get(row)?).ok()?;
    starts.get(row)?.checked_add(lasts)
}

/// Reads what [`put_times`] wrote: start and signed duration by span. `None` when damaged.
pub(crate) fn take_times(bytes: &mut &[u8], family: &Family<'_>) -> Option<(Vec<u64>, Vec<i64>)> {
    let [NESTED_TIMES] = take_array(bytes)? else { return None };
    let units = take_codes(bytes)?;
    let (usual, mut modes) = (take_codes(bytes)?, take_codes(bytes)?.into_iter());
    let mut firsts = take_u64s(bytes)?.into_iter();
    let mut steps = take_u64s(bytes)?.into_iter();
    let mut alone = take_i64s(bytes)?.into_iter();
    let mut start_shares = take_shares(bytes)?.into_iter();
    let mut duration_shares = take_shares(bytes)?.into_iter();
    let mut rest = BitReader::new(take_bytes(bytes)?);
    let mut join = |share: Option<u16>, count: u64| {
        let (from, to) = cell(u64::from(share?), count);
        Some(from + rest.take_below(to.checked_sub(from).filter(|range| *range > 0)?)?)
    };
    let spans = family.parents.len();
    let (mut starts, mut durations) = (Vec::with_capacity(spans), Vec::with_capacity(spans));
    for &count in family.spans_per_trace {
        let first = starts.len();
        for row in first..first + count as usize {
            let before = if row > first { starts.last().copied() } else { None };
            let Some(before) = before else {
                starts.push(firsts.next()?);
                durations.push(alone.next()?);
                continue;
            };
            let parent = family.parent(row, first);
            let mode = match (parent, if parent.is_some() { modes.next()? } else { 0 }) {
                (None, _) => OUTSIDE,
                (Some(_), 0) => *usual.get(*family.shape_of.get(row)? as usize)?,
                (Some(_), mode) => mode - 1,
            };
            if let (Some(parent), SAME) = (parent, mode) {
                starts.push(*starts.get(parent)?);
                durations.push(*durations.get(parent)?);
                continue;
            }
            let (Some(parent), INSIDE | BEGINS_INSIDE) = (parent, mode) else {
                starts.push(before.wrapping_add(steps.next()?));
                durations.push(alone.next()?);
                continue;
            };
            let unit = *UNITS.get(*units.get(family.resource(row))? as usize)?;
            let high = end_of(&starts, &durations, parent)?;
            let (base, count) = between(before, high, unit)?;
            let start = base.checked_add(join(start_shares.next(), count)?)?.checked_mul(unit)?;
            starts.push(start);
            durations.push(match mode {
                INSIDE => {
                    let (_, left) = between(start, high, unit)?;
                    i64::try_from(join(duration_shares.next(), left)?.checked_mul(unit)?).ok()?
                }
                _ => alone.next()?,
            });
        }
    }
    (starts.len() == spans && durations.len() == spans).then_some((starts, durations))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shares_cover_each_number_once() {
        for count in (1..2000u64).chain([RANGE_MAX - 1]) {
            for value in [0, 1, 2, count / 3, count / 2, count - 1] {
                let value = value.min(count - 1);
                let (share, rest, range) = split(value, count);
                assert!(share < 256 && rest < range, "{value} of {count}");
                assert_eq!(cell(u64::from(share), count).0 + rest, value);
            }
        }
    }

    fn round_trip(traces: &[Vec<(u64, i64, u32)>]) -> usize {
        let spans: Vec<(u64, i64, u32)> = traces.iter().flatten().copied().collect();
        let family = Family {
            spans_per_trace: &traces.iter().map(|t| t.len() as u32).collect::<Vec<_>>(),
            parents: &spans.iter().map(|s| s.2).collect::<Vec<_>>(),
            shape_of: &spans.iter().map(|s| s.2 % 2).collect::<Vec<_>>(),
            resource_of: &[0, 1],
        };
        let starts: Vec<u64> = spans.iter().map(|s| s.0).collect();
        let durations: Vec<i64> = spans.iter().map(|s| s.1).collect();
        let mut out = Vec::new();
        put_times(&mut out, &starts, &durations, &family);
        let mut rest = out.as_slice();
        assert_eq!(take_times(&mut rest, &family), Some((starts, durations)));
        assert!(rest.is_empty());
        for at in (0..out.len()).step_by(1 + out.len() / 64) {
            let mut bad = out.clone();
            bad[at] ^= 0x15;
            _ = take_times(&mut &bad[..], &family);
            assert_eq!(take_times(&mut &out[..at], &family), None);
        }
        out.len()
    }

    #[test]
    fn nested_microseconds_take_few_bytes() {
        let traces: Vec<Vec<(u64, i64, u32)>> = (0..500u64)
            .map(|i| {
                let start = 1_794_960_000_000_000_000 + i * 1_000_000;
                let inner = |n: u64| start + (i * 7919 * n % 40_000) * 1000;
                let mut spans = vec![(start, 200_000_000, 0)];
                spans.extend((1..5).map(|n| (inner(n), 10_000_000 + (i * 104_729 * n % 9000) as i64 * 1000, 2)));
                spans.sort_unstable();
                spans.sort_by_key(|s| (s.2 != 0, s.0));
                spans
            })
            .collect();
        let bytes = round_trip(&traces);
        assert!(bytes < 500 * 5 * 4, "{bytes}");
    }

    #[test]
    fn spans_as_long_as_their_parents_take_nothing() {
        let bytes = |extra: bool| {
            let trace = |i: u64| {
                let (start, lasts) = (1_794_960_000_000_000_000 + i * i * 7919, 1009 * (1 + i * 104_729 % 99_991));
                let root = (start, lasts as i64, 0);
                let own = extra.then_some((start, lasts as i64, 2));
                let inner = (start + lasts / 3, lasts as i64 / 2, 2);
                [root].into_iter().chain(own).chain([inner]).collect::<Vec<_>>()
            };
            let traces: Vec<_> = (0..500).map(trace).collect();
            let spans: Vec<_> = traces.iter().flatten().copied().collect();
            let of_trace: Vec<u32> = if extra { vec![0, 1, 2] } else { vec![0, 2] };
            let family = Family {
                spans_per_trace: &traces.iter().map(|t| t.len() as u32).collect::<Vec<_>>(),
                parents: &spans.iter().map(|s| s.2).collect::<Vec<_>>(),
                shape_of: &of_trace.repeat(traces.len()),
                resource_of: &[0, 1, 0],
            };
            let (starts, durations): (Vec<u64>, Vec<i64>) = spans.iter().map(|s| (s.0, s.1)).unzip();
            let mut out = Vec::new();
            put_times(&mut out, &starts, &durations, &family);
            assert_eq!(take_times(&mut &out[..], &family), Some((starts, durations)));
            out.len()
        };
        let (without, with) = (bytes(false), bytes(true));
        assert!(with < without + 16, "{without} and {with}");
    }

    proptest! {
        #[test]
        fn times_round_trip(traces in prop::collection::vec(prop::collection::vec((
            prop_oneof![0u64..50, any::<u64>(), (0u64..100).prop_map(|n| n * 1000), Just(u64::MAX)],
            prop_oneof![0i64..50, any::<i64>(), (0i64..100).prop_map(|n| n * 1000), Just(i64::MIN), Just(i64::MAX)],
            0u32..6,
        ), 1..8), 0..8), sorted in any::<bool>()) {
            let mut traces = traces;
            if sorted {
                traces.iter_mut().for_each(|t| t.sort_unstable());
            }
            round_trip(&traces);
        }
    }
}
