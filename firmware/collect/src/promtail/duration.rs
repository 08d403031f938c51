//! Durations as Promtail's configuration has them: `12h`, `1h30m`, `500ms`, `0`.

use std::time::Duration;

/// Units by their sign, nanoseconds; longer signs before those that they begin with.
const UNITS: [(&str, f64); 10] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
    ("d", 86_400e9),
    ("w", 604_800e9),
    ("y", 31_536_000e9),
];

/// Reads a duration; `None` for anything else.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let (mut rest, mut total_ns) = (text.trim(), 0.0);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = rest.split_at(end);
        let (sign, scale) = UNITS.into_iter().find(|(sign, _)| unit.starts_with(sign))?;
        total_ns += number.parse::<f64>().ok()? * scale;
        rest = unit.get(sign.len()..)?;
    }
    (total_ns < 1e19).then(|| Duration::from_nanos(total_ns as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        let ms = |text: &str| parse(text).map(|duration| duration.as_millis());
        assert_eq!((ms("12h"), ms("1h30m"), ms("500ms")), (Some(43_200_000), Some(5_400_000), Some(500)));
        assert_eq!((ms("0"), ms("0s"), ms("1.5s"), ms("1d")), (Some(0), Some(0), Some(1500), Some(86_400_000)));
        assert_eq!((ms(""), ms("5"), ms("h"), ms("5x"), ms("99999999999y")), (None, None, None, None, None));
    }
}
