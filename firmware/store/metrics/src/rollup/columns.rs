//! Rows of one series as parts: ordinary series of a block with the same labels, one after the other.
//!
//! | part | timestamps | values |
//! | --- | --- | --- |
//! | 0 | last samples | last values; the staleness marker for a row that has nothing else |
//! | 1 | first samples | `count * 32 + stale * 16 + exponent`; exponent 15: the parts below hold values as they are |
//! | 2 | as part 0 | first value |
//! | 3 | as part 0 | sum |
//! | 4 | as part 0 | min |
//! | 5 | as part 0 | max |
//! | 6 | as part 0 | what `increase` is above `last - first` |
//! | 7 | as part 0 | resets inside the row |
//!
//! With an exponent, first, sum, min and max are integers: what is missing to a prediction at that exponent (first: the
//! last value of the row before; sum: `count * (first + last) / 2`, rounded down; min and max: the smaller and the larger
//! of first and last). Parts at the end that say nothing are left out: a constant series has two, a counter four.

use super::{Row, bucket_of};
use crate::decimal::{EXPONENT_MAX, exponent_of, from_integer, to_integer};
use bramble_signal::{Rollup, Sample, is_stale_marker, stale_marker};

/// Most parts of a series.
pub(crate) const PARTS_MAX: usize = 8;
/// In part 1: no exponent.
const RAW: u8 = 15;
/// Integers up to here are exact in a double.
const EXACT: i128 = 1 << 53;

/// The columns of one series, and memory to use again.
#[derive(Default)]
pub(crate) struct Columns {
    last_ms: Vec<i64>,
    first_ms: Vec<i64>,
    values: [Vec<f64>; PARTS_MAX],
    parts: usize,
}

/// A falling series is no counter: what it lost is not worth keeping.
fn is_counter(rows: &[Row]) -> bool {
    let (mut resets, mut count) = (0u64, 0u64);
    for row in rows {
        resets += u64::from(row.rollup.resets);
        count += u64::from(row.rollup.count);
    }
    resets * 4 <= count && rows.iter().all(|row| row.rollup.min >= 0.0)
}

/// The exponent at which all values of the rows are integers.
fn common_exponent(rows: &[Row]) -> Option<u8> {
    let mut exponent = 0;
    let values = |r: &Rollup| [r.last.value, r.first.value, r.min, r.max, r.sum];
    for row in rows.iter().filter(|row| row.rollup.count > 0) {
        for value in values(&row.rollup) {
            if to_integer(value, exponent).is_none() {
                exponent = exponent_of(value, exponent).filter(|e| *e > exponent)?;
            }
        }
    }
    let exact = |value: f64| to_integer(value, exponent).is_some();
    let rows_exact = rows.iter().filter(|r| r.rollup.count > 0).all(|r| values(&r.rollup).into_iter().all(exact));
    rows_exact.then_some(exponent)
}

fn middle(count: u32, first: i64, last: i64) -> i128 {
    (i128::from(count) * (i128::from(first) + i128::from(last))).div_euclid(2)
}

fn middle_raw(count: u32, first: f64, last: f64) -> f64 {
    if first.to_bits() == last.to_bits() { f64::from(count) * first } else { f64::from(count) * ((first + last) / 2.0) }
}

impl Columns {
    /// Takes rows, ascending, at least one; then [`part`](Self::part) gives what is to be written.
    pub(crate) fn fill(&mut self, rows: &[Row]) {
        self.clear();
        let counter = is_counter(rows);
        let exponent = common_exponent(rows);
        let raw = match exponent {
            Some(exponent) => !self.integers(rows, exponent),
            None => true,
        };
        if raw {
            self.raw(rows);
        }
        let code = f64::from(if raw { RAW } else { exponent.unwrap_or(RAW) });
        for row in rows {
            let r = &row.rollup;
            self.last_ms.push(r.last.timestamp_ms);
            self.first_ms.push(r.first.timestamp_ms);
            let [last, head, .., lost, resets] = &mut self.values;
            last.push(if r.count == 0 { stale_marker() } else { r.last.value });
            head.push(f64::from(r.count) * 32.0 + f64::from(u8::from(r.stale)) * 16.0 + code);
            lost.push(if counter { row.lost } else { 0.0 });
            resets.push(f64::from(r.resets));
        }
        let says = |values: &[f64]| values.iter().any(|v| v.to_bits() != 0);
        let raw_says = |part: usize| {
            rows.iter().zip(&self.values[part]).any(|(row, value)| predicted(row, part).to_bits() != value.to_bits())
        };
        let last_part = (2..PARTS_MAX).rev().find(|&part| match part {
            2..6 if raw => raw_says(part),
            _ => says(&self.values[part]),
        });
        self.parts = last_part.unwrap_or(1) + 1;
    }

    fn clear(&mut self) {
        self.last_ms.clear();
        self.first_ms.clear();
        self.values.iter_mut().for_each(Vec::clear);
        self.parts = 0;
    }

    /// Fills parts 2 to 5 with residuals; `false` when one is too large for a double.
    fn integers(&mut self, rows: &[Row], exponent: u8) -> bool {
        let whole = |value: f64| to_integer(value, exponent).unwrap_or(0);
        let mut before = None;
        for row in rows {
            let r = &row.rollup;
            let mut residuals = [0i128; 4];
            if r.count > 0 {
                let (first, last) = (whole(r.first.value), whole(r.last.value));
                residuals = [
                    i128::from(first) - i128::from(before.unwrap_or(last)),
                    i128::from(whole(r.sum)) - middle(r.count, first, last),
                    i128::from(first.min(last)) - i128::from(whole(r.min)),
                    i128::from(whole(r.max)) - i128::from(first.max(last)),
                ];
                before = Some(last);
            }
            for (column, residual) in self.values[2..6].iter_mut().zip(residuals) {
                if residual.abs() >= EXACT {
                    self.values[2..6].iter_mut().for_each(Vec::clear);
                    return false;
                }
                column.push(residual as f64);
            }
        }
        true
    }

    fn raw(&mut self, rows: &[Row]) {
        for row in rows {
            let r = &row.rollup;
            let values = if r.count == 0 { [0.0; 4] } else { [r.first.value, r.sum, r.min, r.max] };
            self.values[2..6].iter_mut().zip(values).for_each(|(column, value)| column.push(value));
        }
    }

    /// How many parts there are.
    pub(crate) fn parts(&self) -> usize {
        self.parts
    }

    /// Timestamps and values of a part.
    pub(crate) fn part(&self, part: usize) -> (&[i64], &[f64]) {
        let times = if part == 1 { &self.first_ms } else { &self.last_ms };
        (times, self.values.get(part).map_or(&[], Vec::as_slice))
    }

    /// Begins to read: parts then come by [`take`](Self::take).
    pub(crate) fn begin(&mut self) {
        self.clear();
    }

    /// Takes the next part as it was read; `None` when it cannot be one.
    pub(crate) fn take(&mut self, timestamps_ms: &[i64], values: &[f64]) -> Option<()> {
        let fits = self.parts < 2 && timestamps_ms.len() == values.len() || values.len() == self.last_ms.len();
        if !fits || (self.parts == 1 && values.len() != self.last_ms.len()) {
            return None;
        }
        match self.parts {
            0 => self.last_ms.extend_from_slice(timestamps_ms),
            1 => self.first_ms.extend_from_slice(timestamps_ms),
            _ => {}
        }
        self.values.get_mut(self.parts)?.extend_from_slice(values);
        self.parts += 1;
        Some(())
    }

    /// The rows of the parts that were taken; `None` when they are damaged. Nothing is appended then.
    pub(crate) fn rows(&self, out: &mut Vec<Row>) -> Option<()> {
        let from = out.len();
        let read = self.append_rows(out);
        if read.is_none() {
            out.truncate(from);
        }
        read
    }

    fn append_rows(&self, out: &mut Vec<Row>) -> Option<()> {
        if self.parts < 2 {
            return None;
        }
        let mut before = None;
        for (at, (&last_ms, &first_ms)) in self.last_ms.iter().zip(&self.first_ms).enumerate() {
            let value = |part: usize| self.values.get(part).and_then(|v| v.get(at)).copied();
            let (last_value, head) = (value(0)?, value(1)?);
            if !(0.0..=f64::from(u32::MAX) * 32.0 + 31.0).contains(&head) || first_ms > last_ms {
                return None;
            }
            let head = head as u64;
            let (count, stale, exponent) = ((head >> 5) as u32, head & 16 != 0, (head & 15) as u8);
            let start_ms = bucket_of(last_ms);
            let last = Sample { timestamp_ms: last_ms, value: last_value };
            if (count == 0) != is_stale_marker(last_value) {
                return None;
            }
            let mut rollup = Rollup {
                start_ms,
                count,
                resets: value(7).unwrap_or(0.0) as u32,
                stale,
                sum: 0.0,
                min: 0.0,
                max: 0.0,
                first: last,
                last,
                increase: 0.0,
            };
            let lost = value(6).unwrap_or(0.0);
            if count > 0 {
                let read = if exponent == RAW {
                    raw_row(value, count, last_value)
                } else if exponent <= EXPONENT_MAX {
                    let residual = |part| value(part).unwrap_or(0.0) as i64;
                    integer_row(residual, count, to_integer(last_value, exponent)?, before, exponent)
                } else {
                    return None;
                };
                before = to_integer(last_value, exponent.min(EXPONENT_MAX));
                rollup.first = Sample { timestamp_ms: first_ms, value: read[0] };
                [rollup.sum, rollup.min, rollup.max] = [read[1], read[2], read[3]];
                rollup.increase = last_value - read[0] + lost;
            }
            out.push(Row { rollup, lost });
        }
        Some(())
    }
}

fn predicted(row: &Row, part: usize) -> f64 {
    let r = &row.rollup;
    match part {
        _ if r.count == 0 => 0.0,
        2 => r.last.value,
        3 => middle_raw(r.count, r.first.value, r.last.value),
        4 => r.first.value.min(r.last.value),
        _ => r.first.value.max(r.last.value),
    }
}

/// First, sum, min and max as they are, or predicted where their part was left out.
fn raw_row(value: impl Fn(usize) -> Option<f64>, count: u32, last: f64) -> [f64; 4] {
    let first = value(2).unwrap_or(last);
    [
        first,
        value(3).unwrap_or_else(|| middle_raw(count, first, last)),
        value(4).unwrap_or_else(|| first.min(last)),
        value(5).unwrap_or_else(|| first.max(last)),
    ]
}

fn integer_row(residual: impl Fn(usize) -> i64, count: u32, last: i64, before: Option<i64>, exponent: u8) -> [f64; 4] {
    let first = before.unwrap_or(last).wrapping_add(residual(2));
    let sum = middle(count, first, last).saturating_add(i128::from(residual(3)));
    let min = first.min(last).wrapping_sub(residual(4));
    let max = first.max(last).wrapping_add(residual(5));
    [first, i64::try_from(sum).unwrap_or(i64::MAX), min, max].map(|integer| from_integer(integer, exponent))
}
