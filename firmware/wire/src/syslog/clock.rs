//! Times of RFC 3164, which have no year and no zone.

use super::number;
use crate::loki::json::days_from_epoch;

const MONTHS: [&[u8; 3]; 12] =
    [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];
const SECOND_NS: i64 = 1_000_000_000;
/// Mean length of a year of the Gregorian calendar.
const YEAR_SECONDS: i64 = 31_556_952;

/// `Oct 11 22:14:15`, perhaps with a fraction of the second, with a year before or after the clock, with a mark of a clock
/// that is not in step (`*`, `.`) in front; and what follows, without its space. In UTC; a year that is not there is that
/// which makes the time nearest to `now_ns`.
pub(super) fn old_time(text: &[u8], now_ns: i64) -> Option<(i64, &[u8])> {
    let text = text.strip_prefix(b"*").or_else(|| text.strip_prefix(b".")).unwrap_or(text);
    let (name, rest) = text.split_at_checked(3)?;
    let month = MONTHS.iter().position(|known| name.eq_ignore_ascii_case(*known))? as i64 + 1;
    let (day, rest) = digits(spaces(rest)?, 1, 2)?;
    let rest = spaces(rest)?;
    let (year, rest) = match year(rest) {
        Some((year, rest)) => (Some(year), rest),
        None => (None, rest),
    };
    let (hour, rest) = digits(rest, 2, 2)?;
    let (minute, rest) = digits(rest.strip_prefix(b":")?, 2, 2)?;
    let (second, rest) = digits(rest.strip_prefix(b":")?, 2, 2)?;
    let (nanos, rest) = fraction(rest);
    let rest = rest.strip_prefix(b":").unwrap_or(rest);
    let rest = match rest.first() {
        None => rest,
        Some(b' ') => rest.get(1..).unwrap_or_default(),
        Some(_) => return None,
    };
    let (year, rest) = match year {
        None => self::year(rest).map_or((None, rest), |(year, rest)| (Some(year), rest)),
        year => (year, rest),
    };
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let of_day = hour * 3600 + minute * 60 + second;
    let at = |year: i64| {
        let ns = (days_from_epoch(year, month, day) * 86_400 + of_day).checked_mul(SECOND_NS)?.checked_add(nanos)?;
        (1..=days_of(year, month)).contains(&day).then_some(ns)
    };
    let ns = match year {
        Some(year) => at(year)?,
        None => {
            // A year more or less: the mean length is off by a day at its ends. Of a leap day the nearest year may be
            // further away.
            let this = 1970 + now_ns.div_euclid(SECOND_NS).div_euclid(YEAR_SECONDS);
            (this - 4..=this + 4).filter_map(at).min_by_key(|ns| ns.abs_diff(now_ns))?
        }
    };
    Some((ns, rest))
}

fn spaces(text: &[u8]) -> Option<&[u8]> {
    let rest = text.trim_ascii_start();
    (rest.len() < text.len()).then_some(rest)
}

fn digits(text: &[u8], min: usize, max: usize) -> Option<(i64, &[u8])> {
    let len = text.iter().take(max).take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(len).filter(|_| len >= min)?;
    Some((i64::from(number(digits)?), rest))
}

/// Four digits and a space.
fn year(text: &[u8]) -> Option<(i64, &[u8])> {
    let (year, rest) = digits(text, 4, 4)?;
    (1970..2262).contains(&year).then(|| rest.strip_prefix(b" "))?.map(|rest| (year, rest))
}

/// `.123`, in nanoseconds.
fn fraction(text: &[u8]) -> (i64, &[u8]) {
    let Some(rest) = text.strip_prefix(b".").or_else(|| text.strip_prefix(b",")) else { return (0, text) };
    let len = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let Some((found, rest)) = rest.split_at_checked(len).filter(|_| len > 0) else { return (0, text) };
    let mut nanos = 0;
    for at in 0..9 {
        nanos = nanos * 10 + found.get(at).map_or(0, |digit| i64::from(digit - b'0'));
    }
    (nanos, rest)
}

fn days_of(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
