//! Times in lines, as distances from the entry's own timestamp.

use crate::template::{Kind, is_word, put_digits};
use crate::varint::{unzigzag, zigzag};

fn two(bytes: &[u8], at: usize) -> Option<i64> {
    match bytes.get(at..at + 2)? {
        [a @ b'0'..=b'9', b @ b'0'..=b'9'] => Some(i64::from(a - b'0') * 10 + i64::from(b - b'0')),
        _ => None,
    }
}

/// Seconds of the day of `HH:MM:SS` at the front of `bytes`.
pub(crate) fn read_clock(bytes: &[u8]) -> Option<i64> {
    if bytes.get(2) != Some(&b':') || bytes.get(5) != Some(&b':') {
        return None;
    }
    let (hour, minute, second) = (two(bytes, 0)?, two(bytes, 3)?, two(bytes, 6)?);
    (hour < 24 && minute < 60 && second < 60).then_some(hour * 3600 + minute * 60 + second)
}

/// A time as read.
pub(crate) struct TimeRead {
    /// Whole units of 10^-digits seconds since the epoch.
    units: i64,
    pub(crate) digits: u8,
    pub(crate) bytes: usize,
}

const POW10: [i64; 10] = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];

/// `YYYY-MM-DDTHH:MM:SS[.f]Z` at the front of `bytes`, years 1970 to 2199 so that nanoseconds fit.
pub(crate) fn read_time(bytes: &[u8]) -> Option<TimeRead> {
    let separators = [bytes.get(4)?, bytes.get(7)?, bytes.get(10)?];
    if separators != [&b'-', &b'-', &b'T'] {
        return None;
    }
    let year = two(bytes, 0)? * 100 + two(bytes, 2)?;
    let (month, day) = (two(bytes, 5)?, two(bytes, 8)?);
    let seconds = read_clock(bytes.get(11..)?)?;
    if !(1970..2200).contains(&year) || !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    let mut digits = 0;
    let mut fraction = 0i64;
    if bytes.get(19) == Some(&b'.') {
        digits = bytes.get(20..)?.iter().take(10).take_while(|b| b.is_ascii_digit()).count();
        if !(1..=9).contains(&digits) {
            return None;
        }
        fraction = bytes.get(20..20 + digits)?.iter().fold(0, |n, b| n * 10 + i64::from(b - b'0'));
    }
    let end = if digits == 0 { 19 } else { 20 + digits };
    if bytes.get(end) != Some(&b'Z') || is_word(bytes.get(end + 1)) {
        return None;
    }
    let units = (days_from_civil(year, month, day) * 86_400 + seconds) * POW10[digits] + fraction;
    Some(TimeRead { units, digits: digits as u8, bytes: end + 1 })
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since the epoch of a date of the Gregorian calendar; years start in March so that leap days come last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The inverse of [`days_from_civil`].
pub(crate) fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let month = (shifted_month + 2) % 12 + 1;
    (year_of_era + era * 400 + i64::from(month <= 2), month, of_year - (153 * shifted_month + 2) / 5 + 1)
}

/// A time token as its distance from the entry's own timestamp: nearly always small and regular.
pub(crate) fn time_distance(kind: Kind, text: &[u8], timestamp_ns: i64) -> u64 {
    match kind {
        Kind::Time(digits) => {
            let units = read_time(text).map_or(0, |t| t.units);
            zigzag(units.wrapping_sub(own_units(digits, timestamp_ns)))
        }
        _ => zigzag(read_clock(text).unwrap_or(0) - own_clock(timestamp_ns)),
    }
}

fn own_units(digits: u8, timestamp_ns: i64) -> i64 {
    timestamp_ns.div_euclid(POW10[9 - usize::from(digits.min(9))])
}

fn own_clock(timestamp_ns: i64) -> i64 {
    timestamp_ns.div_euclid(1_000_000_000).rem_euclid(86_400)
}

/// Prints what [`time_distance`] measured.
pub(crate) fn put_time(kind: Kind, distance: u64, timestamp_ns: i64, out: &mut Vec<u8>) {
    let distance = unzigzag(distance);
    match kind {
        Kind::Time(digits) => {
            let units = distance.wrapping_add(own_units(digits, timestamp_ns));
            let pow = POW10[usize::from(digits.min(9))];
            let (seconds, fraction) = (units.div_euclid(pow), units.rem_euclid(pow));
            let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
            put_digits(year.unsigned_abs(), 4, out);
            out.push(b'-');
            put_digits(month as u64, 2, out);
            out.push(b'-');
            put_digits(day as u64, 2, out);
            out.push(b'T');
            put_clock(seconds.rem_euclid(86_400), out);
            if digits > 0 {
                out.push(b'.');
                put_digits(fraction as u64, usize::from(digits), out);
            }
            out.push(b'Z');
        }
        _ => put_clock(distance.wrapping_add(own_clock(timestamp_ns)).rem_euclid(86_400), out),
    }
}

fn put_clock(seconds: i64, out: &mut Vec<u8>) {
    put_digits(seconds as u64 / 3600, 2, out);
    out.push(b':');
    put_digits(seconds as u64 / 60 % 60, 2, out);
    out.push(b':');
    put_digits(seconds as u64 % 60, 2, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_round_trip() {
        for days in (0..84_000).step_by(13) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
    }
}
