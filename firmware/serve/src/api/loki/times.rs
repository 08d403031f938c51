//! Times, durations and numbers of Loki's parameters.

use super::answer::ApiError;
use crate::params::{Params, parse_duration_ms, rfc3339_ns};
use bramble_query_logql::syntax::{parse_duration, quote};

/// An hour, the default of `since`.
const SINCE_NS: i64 = 3_600_000_000_000;

const SECOND_NS: f64 = 1e9;

fn whole(seconds: f64) -> i64 {
    (seconds * SECOND_NS).clamp(i64::MIN as f64, i64::MAX as f64) as i64
}

/// Nanoseconds of a time: with a point, seconds; up to ten digits, seconds; more, nanoseconds; else RFC 3339.
fn time_ns(text: &str) -> Result<i64, String> {
    if text.contains('.')
        && let Ok(seconds) = text.parse::<f64>()
    {
        // The fraction apart from the whole, so that it keeps its milliseconds.
        let fraction = (seconds.fract() * 1000.0).round() / 1000.0;
        return Ok(whole(seconds.trunc()).saturating_add(whole(fraction)));
    }
    if let Ok(number) = text.parse::<i64>() {
        let seconds = text.len() <= 10;
        return Ok(if seconds { number.saturating_mul(1_000_000_000) } else { number });
    }
    rfc3339_ns(text)
        .and_then(|ns| i64::try_from(ns).ok())
        .ok_or_else(|| format!("strconv.ParseInt: parsing {}: invalid syntax", quote(text)))
}

/// A time under `name`.
pub(crate) fn time(params: &Params, name: &str, default: i64) -> Result<i64, ApiError> {
    params.get(name).map_or(Ok(default), time_ns).map_err(ApiError::bad)
}

/// `start` and `end`, or `since` before the end; the hour before now if nothing is said.
pub(super) fn bounds(params: &Params, now_ns: i64) -> Result<(i64, i64), ApiError> {
    let named = |name: &str, default| {
        params
            .get(name)
            .map_or(Ok(default), time_ns)
            .map_err(|e| ApiError::bad(format!("could not parse '{name}' parameter: {e}")))
    };
    let since = match params.get("since") {
        None => SINCE_NS,
        Some(text) => duration(text).map_err(|e| ApiError::bad(format!("could not parse 'since' parameter: {e}")))?,
    };
    let end = named("end", now_ns)?;
    let start = named("start", end.min(now_ns).saturating_sub(since))?;
    Ok((start, end))
}

/// As [`bounds`], refusing an empty range.
pub(super) fn range(params: &Params, now_ns: i64) -> Result<(i64, i64), ApiError> {
    let (start, end) = bounds(params, now_ns)?;
    if end < start {
        return Err(ApiError::bad("end timestamp must not be before or equal to start time"));
    }
    Ok((start, end))
}

/// Seconds as a number, or Go's and Prometheus' forms; nanoseconds.
fn duration(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Ok(whole(seconds));
    }
    if let Ok(ns) = parse_duration(text, true) {
        return Ok(ns);
    }
    parse_duration_ms(text).map(|ms| ms.saturating_mul(1_000_000)).map_err(|e| e.to_string())
}

/// The duration under `name`.
pub(super) fn duration_of(params: &Params, name: &str) -> Result<Option<i64>, ApiError> {
    params.get(name).map(duration).transpose().map_err(ApiError::bad)
}

/// `step`, positive; by default so that the range has about 250 points.
pub(super) fn step(params: &Params, start_ns: i64, end_ns: i64) -> Result<i64, ApiError> {
    let default = || (end_ns.saturating_sub(start_ns) / 250_000_000_000).max(1).saturating_mul(1_000_000_000);
    let step = duration_of(params, "step")?.unwrap_or_else(default);
    if step <= 0 {
        let text = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(ApiError::bad(text));
    }
    Ok(step)
}

/// A whole number under `name`.
pub(crate) fn number(params: &Params, name: &str) -> Result<Option<i64>, ApiError> {
    let parse = |text: &str| {
        text.parse().map_err(|_| ApiError::bad(format!("strconv.Atoi: parsing {}: invalid syntax", quote(text))))
    };
    params.get(name).map(parse).transpose()
}

/// A limit under `name`, positive and at most `max`.
pub(super) fn limit(params: &Params, name: &str, default: usize, max: usize) -> Result<usize, ApiError> {
    match number(params, name)? {
        None => Ok(default),
        Some(n) if n <= 0 => Err(ApiError::bad("limit must be a positive value")),
        Some(n) => match usize::try_from(n) {
            Ok(n) if n <= max => Ok(n),
            _ => Err(ApiError::bad(format!(
                "max entries limit per query exceeded, limit > max_entries_limit_per_query ({n} > {max})"
            ))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(time_ns("4000000000"), Ok(4_000_000_000_000_000_000));
        assert_eq!(time_ns("1794960000000000007"), Ok(1_794_960_000_000_000_007));
        assert_eq!(time_ns("1794960000.5"), Ok(1_794_960_000_500_000_000));
        assert_eq!(time_ns("1970-01-01T00:00:01Z"), Ok(1_000_000_000));
        assert_eq!(time_ns("bad").unwrap_err(), "strconv.ParseInt: parsing \"bad\": invalid syntax");
    }

    #[test]
    fn ranges() {
        let now = 10_000_000_000_000_000;
        let of = |text: &str| bounds(&Params::parse(text), now).map_err(|e| e.1);
        assert_eq!(of(""), Ok((now - SINCE_NS, now)));
        assert_eq!(of("since=10m&end=9000000"), Ok((8_999_400_000_000_000, 9_000_000_000_000_000)));
        assert!(range(&Params::parse("start=10&end=5"), now).is_err());
        assert_eq!(step(&Params::parse(""), 0, 3_600_000_000_000).ok(), Some(14_000_000_000));
        assert_eq!(step(&Params::parse("step=150ms"), 0, 1).ok(), Some(150_000_000));
        assert!(step(&Params::parse("step=0"), 0, 1).is_err() && step(&Params::parse("step=abc"), 0, 1).is_err());
    }
}
