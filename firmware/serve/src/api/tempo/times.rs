//! Times as Tempo's parameters have them.

use super::answer::ApiError;
use crate::params::{Params, parse_duration_ms, parse_time_ms};
use crate::state::ApiState;

/// The time by the wall clock, seconds.
pub(super) fn now_s(state: &ApiState) -> u64 {
    now_ns(state) / 1_000_000_000
}

/// The time by the wall clock, nanoseconds.
pub(super) fn now_ns(state: &ApiState) -> u64 {
    u64::try_from(state.clock.wall_ns()).unwrap_or(0)
}

/// A whole number among the parameters.
pub(super) fn whole(params: &Params, name: &str) -> Result<Option<u64>, ApiError> {
    let parse = |text: &str| {
        text.parse()
            .map_err(|_| ApiError::bad(format!("invalid {name}: strconv.ParseUint: parsing {text:?}: invalid syntax")))
    };
    params.get(name).map(parse).transpose()
}

/// A range of seconds as nanoseconds, both inclusive; without them the last hour. Times that are clearly not in seconds
/// (milliseconds, nanoseconds) are read as what they are.
pub(super) fn range(start: Option<u64>, end: Option<u64>, now_s: u64) -> Result<(u64, u64), ApiError> {
    let (start_s, end_s) = match (start, end) {
        (None, None) => (now_s.saturating_sub(RANGE_DEFAULT_S), now_s.saturating_add(RANGE_DEFAULT_S)),
        (start, end) => (start.unwrap_or(0), end.unwrap_or(now_s.saturating_add(RANGE_DEFAULT_S))),
    };
    let range_ns = (nanoseconds(start_s), nanoseconds(end_s));
    if range_ns.1 <= range_ns.0 {
        return Err(ApiError::bad(format!(
            "http parameter start must be before end. received start={start_s} end={end_s}"
        )));
    }
    Ok(range_ns)
}

/// `start` and `end` of a request's parameters.
pub(super) fn range_of(params: &Params, now_s: u64) -> Result<(u64, u64), ApiError> {
    range(whole(params, "start")?, whole(params, "end")?, now_s)
}

/// Range without parameters, seconds: as far back, and as far ahead for senders whose clocks are ahead.
const RANGE_DEFAULT_S: u64 = 3600;

/// Nanoseconds of a time in seconds, milliseconds or nanoseconds, told apart by size: seconds reach 10^11 in the year 5138.
pub(super) fn nanoseconds(time: u64) -> u64 {
    match time {
        0..100_000_000_000 => time.saturating_mul(1_000_000_000),
        100_000_000_000..100_000_000_000_000 => time.saturating_mul(1_000_000),
        _ => time,
    }
}

/// Range of measures without parameters, milliseconds.
const SINCE_DEFAULT_MS: i64 = 3_600_000;

/// Steps that are aimed at when the client names none.
const STEPS_WANTED: u64 = 100;

/// Steps that a person reads easily, seconds.
const STEPS_S: [u64; 12] = [1, 5, 10, 15, 30, 60, 300, 600, 1800, 3600, 21_600, 86_400];

/// A step for a range, both in nanoseconds, where the client names none.
pub(super) fn readable_step_ns(range_ns: u64) -> u64 {
    let wanted_s = range_ns / 1_000_000_000 / STEPS_WANTED;
    STEPS_S.into_iter().find(|s| *s >= wanted_s).unwrap_or(86_400) * 1_000_000_000
}

/// `step`, a duration, in nanoseconds.
pub(super) fn step_ns(params: &Params, range_ns: u64) -> Result<u64, ApiError> {
    let Some(text) = params.get("step") else { return Ok(readable_step_ns(range_ns)) };
    match parse_duration_ms(text) {
        Ok(ms) if ms > 0 => Ok((ms as u64).saturating_mul(1_000_000)),
        Ok(_) => Err(ApiError::bad("step must be greater than 0")),
        Err(e) => Err(ApiError::bad(e.to_string())),
    }
}

fn time_ns(params: &Params, name: &str) -> Result<Option<u64>, ApiError> {
    let Some(text) = params.get(name) else { return Ok(None) };
    if let Ok(whole) = text.parse::<u64>() {
        return Ok(Some(nanoseconds(whole)));
    }
    let ms = parse_time_ms(text).map_err(|e| ApiError::bad(e.to_string()))?;
    Ok(Some(u64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000)))
}

/// `start` and `end` of a query that measures: seconds, nanoseconds or RFC 3339; or `since`.
pub(super) fn measured_range(params: &Params, now_ns: u64) -> Result<(u64, u64), ApiError> {
    let since_ms = params
        .get("since")
        .map(parse_duration_ms)
        .transpose()
        .map_err(|e| ApiError::bad(e.to_string()))?
        .unwrap_or(SINCE_DEFAULT_MS);
    let end_ns = time_ns(params, "end")?.unwrap_or(now_ns);
    let since_ns = u64::try_from(since_ms).unwrap_or(0).saturating_mul(1_000_000);
    ordered(time_ns(params, "start")?.unwrap_or(end_ns.saturating_sub(since_ns)), end_ns)
}

/// The same of a message, whose times are nanoseconds; zero stands for none.
pub(super) fn message_range(start: u64, end: u64, now_ns: u64) -> Result<(u64, u64), ApiError> {
    let end_ns = if end == 0 { now_ns } else { nanoseconds(end) };
    let start_ns =
        if start == 0 { end_ns.saturating_sub(SINCE_DEFAULT_MS as u64 * 1_000_000) } else { nanoseconds(start) };
    ordered(start_ns, end_ns)
}

fn ordered(start_ns: u64, end_ns: u64) -> Result<(u64, u64), ApiError> {
    if end_ns <= start_ns {
        return Err(ApiError::bad("end must be greater than start"));
    }
    Ok((start_ns, end_ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_apart_by_size() {
        let wanted = 1_700_000_000_000_000_000;
        assert_eq!([1_700_000_000, 1_700_000_000_000, wanted].map(nanoseconds), [wanted; 3]);
        assert_eq!(range(None, None, 7200).unwrap(), (3_600_000_000_000, 10_800_000_000_000));
        assert!(range(Some(5), Some(4), 0).unwrap_err().message.contains("start=5 end=4"));
        assert_eq!(message_range(0, 0, wanted).unwrap(), (wanted - 3_600_000_000_000, wanted));
        assert!(message_range(2, 1, 0).is_err());
        let params = Params::parse("start=2023-11-14T22:13:20Z&end=1700000060");
        assert_eq!(measured_range(&params, 0).unwrap(), (wanted, wanted + 60_000_000_000));
        assert_eq!(measured_range(&Params::parse("since=1m"), wanted).unwrap(), (wanted - 60_000_000_000, wanted));
        assert_eq!(readable_step_ns(3_600_000_000_000), 60_000_000_000);
        assert!(step_ns(&Params::parse("step=0"), 1).is_err());
    }
}
