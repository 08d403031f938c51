//! Times of container runtimes: RFC 3339 with up to nine digits of a second, read without looking at a calendar twice.

/// Nanoseconds since the epoch; `None` for anything else.
pub(super) fn rfc3339_ns(text: &[u8]) -> Option<i64> {
    let (date, rest) = text.split_at_checked(19)?;
    let number = |at: usize, len: usize| -> Option<i64> {
        date.get(at..at + len)?.iter().try_fold(0, |n, &b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
    };
    let separator = |at: usize, wanted: &[u8]| date.get(at).is_some_and(|b| wanted.contains(b));
    if !(separator(4, b"-")
        && separator(7, b"-")
        && separator(10, b"Tt ")
        && separator(13, b":")
        && separator(16, b":"))
    {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction_ns, zone) = fraction(rest)?;
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset_seconds(zone)?;
    seconds.checked_mul(1_000_000_000)?.checked_add(fraction_ns)
}

/// Nanoseconds, and what follows them.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(digits) = text.strip_prefix(b".") else { return Some((0, text)) };
    let count = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = digits.split_at_checked(count)?;
    let (mut ns, mut unit) = (0, 100_000_000);
    for digit in digits {
        ns += i64::from(digit - b'0') * unit;
        unit /= 10;
    }
    (count > 0).then_some((ns, rest))
}

/// Seconds east of Greenwich.
fn offset_seconds(zone: &[u8]) -> Option<i64> {
    match zone {
        b"Z" | b"z" => Some(0),
        &[sign @ (b'+' | b'-'), a, b, b':', c, d] => {
            let digit = |b: u8| b.is_ascii_digit().then(|| i64::from(b - b'0'));
            let seconds = (digit(a)? * 10 + digit(b)?) * 3600 + (digit(c)? * 10 + digit(d)?) * 60;
            Some(if sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar. Years begin in March here, so that the leap day is the last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // Months from March on have 31, 30, 31, 30, 31 days, again and again: 153 in five.
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, ns) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.5Z", 500_000_000),
            ("2016-10-06T00:17:09.669794202Z", 1_475_713_029_669_794_202),
            ("2016-10-06T02:17:09.669794202+02:00", 1_475_713_029_669_794_202),
            ("2024-02-29T23:59:59.000000001-00:30", 1_709_252_999_000_000_001),
            ("2000-03-01T00:00:00Z", 951_868_800_000_000_000),
        ] {
            assert_eq!(rfc3339_ns(text.as_bytes()), Some(ns), "{text}");
        }
        for text in ["", "2016-10-06", "2016-10-06T00:17:09", "2016-13-06T00:17:09Z", "2016-10-06T00:17:09.Z", "x"] {
            assert_eq!(rfc3339_ns(text.as_bytes()), None, "{text}");
        }
    }
}
