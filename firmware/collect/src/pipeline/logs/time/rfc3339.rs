//! RFC 3339, what most lines have: by position, without a layout.

use super::{SECOND_NS, day_number, month_days};

fn two(bytes: &[u8], at: usize) -> Option<i64> {
    let (tens, ones) = (bytes.get(at)?.wrapping_sub(b'0'), bytes.get(at + 1)?.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then_some(i64::from(tens) * 10 + i64::from(ones))
}

/// Nanoseconds since the epoch.
pub(super) fn parse(text: &[u8]) -> Option<i64> {
    let shape = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if !shape.iter().all(|(at, byte)| text.get(*at) == Some(byte)) || !matches!(text.get(10), Some(b'T' | b't')) {
        return None;
    }
    let year = two(text, 0)? * 100 + two(text, 2)?;
    let (month, day) = (two(text, 5)?, two(text, 8)?);
    let (hour, minute, second) = (two(text, 11)?, two(text, 14)?, two(text, 17)?);
    if !(1..=12).contains(&month) || day < 1 || day > month_days(year, month) || hour > 23 || minute > 59 || second > 60
    {
        return None;
    }
    let mut rest = text.get(19..)?;
    let mut fraction_ns = 0;
    if let [b'.' | b',', tail @ ..] = rest {
        let (ns, used) = fraction(tail)?;
        fraction_ns = ns;
        rest = tail.get(used..)?;
    }
    let offset = match rest {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), digits @ ..] if digits.len() == 5 && digits.get(2) == Some(&b':') => {
            let seconds = two(digits, 0)? * 3600 + two(digits, 3)? * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    let seconds = day_number(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    seconds.checked_mul(SECOND_NS)?.checked_add(fraction_ns)
}

/// Nanoseconds of the digits behind the point, and how many there are; at least one.
pub(super) fn fraction(digits: &[u8]) -> Option<(i64, usize)> {
    let count = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    let mut ns = 0;
    for at in 0..9 {
        ns = ns * 10 + digits.get(at).filter(|_| at < count).map_or(0, |b| i64::from(b - b'0'));
    }
    (count > 0).then_some((ns, count))
}
