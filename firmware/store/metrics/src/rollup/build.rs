//! Rows from samples.

use super::{Row, bucket_of};
use crate::decimal::{exponent_of, from_integer, to_integer};
use bramble_signal::{Rollup, Sample, is_stale_marker};
use std::cmp::Ordering;

/// A sum that is exact where all values are decimals: what people add up in their heads, and what compresses.
struct Sum {
    /// Of the integers at `exponent`; `None` once a value was none.
    decimal: Option<i128>,
    exponent: u8,
    float: f64,
    /// What rounding took from `float`.
    rest: f64,
}

impl Sum {
    fn new(exponent: u8) -> Self {
        Sum { decimal: Some(0), exponent, float: 0.0, rest: 0.0 }
    }

    fn add(&mut self, value: f64) {
        let next = self.float + value;
        let (large, small) = if self.float.abs() >= value.abs() { (self.float, value) } else { (value, self.float) };
        self.rest += (large - next) + small;
        self.float = next;
        self.decimal = self.decimal.and_then(|sum| {
            if let Some(integer) = to_integer(value, self.exponent) {
                return Some(sum + i128::from(integer));
            }
            let exponent = exponent_of(value, self.exponent).filter(|e| *e > self.exponent)?;
            let scaled = sum.checked_mul(10i128.pow(u32::from(exponent - self.exponent)))?;
            self.exponent = exponent;
            scaled.checked_add(i128::from(to_integer(value, exponent)?))
        });
    }

    fn total(&self) -> f64 {
        let exact = self.decimal.and_then(|sum| i64::try_from(sum).ok()).filter(|sum| sum.unsigned_abs() < 1 << 53);
        match exact {
            Some(sum) => from_integer(sum, self.exponent),
            None if self.float.is_finite() && self.rest.is_finite() => self.float + self.rest,
            None => self.float,
        }
    }
}

/// A NaN that is no marker of anything.
fn plain(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}

struct Open {
    row: Row,
    sum: Sum,
    lost: Sum,
}

impl Open {
    fn new(start_ms: i64, sample: Sample, exponent: u8) -> Self {
        let rollup = Rollup {
            start_ms,
            count: 0,
            resets: 0,
            stale: false,
            sum: 0.0,
            min: f64::NAN,
            max: f64::NAN,
            first: sample,
            last: sample,
            increase: 0.0,
        };
        Open { row: Row { rollup, lost: 0.0 }, sum: Sum::new(exponent), lost: Sum::new(exponent) }
    }

    fn add(&mut self, sample: Sample) {
        let rollup = &mut self.row.rollup;
        if is_stale_marker(sample.value) {
            rollup.stale = true;
            if rollup.count == 0 {
                rollup.last = sample;
            }
            return;
        }
        rollup.stale = false;
        if rollup.count == 0 {
            rollup.first = sample;
        } else if sample.value < rollup.last.value {
            rollup.resets += 1;
            self.lost.add(rollup.last.value);
        }
        rollup.last = sample;
        rollup.count += 1;
        self.sum.add(sample.value);
        // As `min_over_time` and `max_over_time` have it, numbers win over NaN.
        if sample.value < rollup.min || rollup.min.is_nan() {
            rollup.min = sample.value;
        }
        if sample.value > rollup.max || rollup.max.is_nan() {
            rollup.max = sample.value;
        }
    }

    fn close(mut self, out: &mut Vec<Row>) {
        let rollup = &mut self.row.rollup;
        if rollup.count == 0 {
            rollup.first = rollup.last;
            (rollup.min, rollup.max) = (0.0, 0.0);
        } else if rollup.min.to_bits() == rollup.max.to_bits() && !self.sum.float.is_nan() {
            rollup.sum = plain(f64::from(rollup.count) * rollup.min);
        } else {
            rollup.sum = plain(self.sum.total());
        }
        (rollup.min, rollup.max) = (plain(rollup.min), plain(rollup.max));
        self.row.lost = if rollup.resets == 0 { 0.0 } else { plain(self.lost.total()) };
        set_increase(&mut self.row);
        out.push(self.row);
    }
}

fn set_increase(row: &mut Row) {
    let rollup = &mut row.rollup;
    rollup.increase = if rollup.count == 0 { 0.0 } else { plain(rollup.last.value - rollup.first.value + row.lost) };
}

/// Appends the rows of samples whose timestamps ascend.
pub(crate) fn roll(timestamps_ms: &[i64], values: &[f64], out: &mut Vec<Row>) {
    let mut open = None::<Open>;
    for (&timestamp_ms, &value) in timestamps_ms.iter().zip(values) {
        let (sample, start_ms) = (Sample { timestamp_ms, value }, bucket_of(timestamp_ms));
        if open.as_ref().is_none_or(|o| o.row.rollup.start_ms != start_ms) {
            let exponent = open.as_ref().map_or(0, |o| o.sum.exponent);
            if let Some(done) = open.replace(Open::new(start_ms, sample, exponent)) {
                done.close(out);
            }
        }
        if let Some(open) = &mut open {
            open.add(sample);
        }
    }
    if let Some(done) = open {
        done.close(out);
    }
}

/// Sorts rows, and joins those of one bucket.
pub(crate) fn fold(rows: &mut Vec<Row>) {
    if rows.is_sorted_by(|a, b| a.rollup.start_ms < b.rollup.start_ms) {
        return;
    }
    rows.sort_by_key(|row| (row.rollup.start_ms, row.first_ms()));
    rows.dedup_by(|later, earlier| {
        let same = later.rollup.start_ms == earlier.rollup.start_ms;
        if same {
            join(earlier, later);
        }
        same
    });
}

/// Joins a row of the same bucket that begins no earlier. Exact if it begins after the other's end; if they interleave,
/// resets between samples of the one and the other are not seen.
fn join(row: &mut Row, other: &Row) {
    let (a, b) = (row.rollup, other.rollup);
    if b.count == 0 {
        row.rollup.stale |= b.last.timestamp_ms > a.last.timestamp_ms;
        return;
    }
    if a.count == 0 {
        *row = *other;
        row.rollup.stale |= a.last.timestamp_ms > b.last.timestamp_ms;
        return;
    }
    // The same single sample, sent again after its bucket was rolled up.
    if b.count == 1 && [a.first.timestamp_ms, a.last.timestamp_ms].contains(&b.first.timestamp_ms) {
        return;
    }
    let mut sum = Sum::new(0);
    sum.add(a.sum);
    sum.add(b.sum);
    let follows = b.first.timestamp_ms > a.last.timestamp_ms;
    let falls = follows && b.first.value < a.last.value;
    let (last, stale) = match a.last.timestamp_ms.cmp(&b.last.timestamp_ms) {
        Ordering::Greater => (a.last, a.stale),
        _ => (b.last, b.stale),
    };
    row.lost = row.lost + other.lost + if falls { a.last.value } else { 0.0 };
    row.rollup = Rollup {
        start_ms: a.start_ms,
        count: a.count.saturating_add(b.count),
        resets: a.resets.saturating_add(b.resets).saturating_add(u32::from(falls)),
        stale,
        sum: plain(sum.total()),
        min: plain(a.min.min(b.min)),
        max: plain(a.max.max(b.max)),
        first: a.first,
        last,
        increase: 0.0,
    };
    set_increase(row);
}
