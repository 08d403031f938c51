//! Parameters that several calls share, with Prometheus' words for what is wrong with them.

use super::answer::ApiError;
use crate::params::{Params, parse_duration_ms, parse_time_ms};
use bramble_query_promql::parse_selector;
use bramble_signal::Matcher;
use std::time::Duration;

/// The earliest and latest time that is asked for when none is named, milliseconds.
pub(super) const EVER_MS: (i64, i64) = (i64::MIN / 2, i64::MAX / 2);

/// A time that may be left out.
pub(super) fn time_of(params: &Params, name: &str, default_ms: i64) -> Result<i64, ApiError> {
    match params.get(name) {
        None => Ok(default_ms),
        Some(text) => {
            parse_time_ms(text).map_err(|e| ApiError::parameter(name, format!("invalid time value for '{name}': {e}")))
        }
    }
}

/// A time that must be there.
pub(super) fn required_time(params: &Params, name: &str) -> Result<i64, ApiError> {
    parse_time_ms(params.raw(name).unwrap_or("")).map_err(|e| ApiError::parameter(name, e))
}

/// `timeout`.
pub(super) fn timeout_of(params: &Params) -> Result<Option<Duration>, ApiError> {
    let parsed =
        params.get("timeout").map(parse_duration_ms).transpose().map_err(|e| ApiError::parameter("timeout", e))?;
    Ok(parsed.map(|ms| Duration::from_millis(ms.max(0) as u64)))
}

/// `lookback_delta`, milliseconds.
pub(super) fn lookback_of(params: &Params) -> Result<Option<i64>, ApiError> {
    params
        .get("lookback_delta")
        .map(parse_duration_ms)
        .transpose()
        .map_err(|e| ApiError::bad_data(format!("error parsing lookback delta duration: {e}")))
}

/// `limit`; 0 for none.
pub(super) fn limit_of(params: &Params) -> Result<usize, ApiError> {
    match params.get("limit") {
        None => Ok(0),
        Some(text) => match text.parse::<i64>() {
            Ok(n) if n >= 0 => Ok(n as usize),
            Ok(_) => Err(ApiError::parameter("limit", "limit must be non-negative")),
            Err(_) => Err(ApiError::parameter("limit", format!("cannot parse \"{text}\" to a valid limit"))),
        },
    }
}

/// A number that is only said to be one.
pub(super) fn number_of(params: &Params, name: &str, default: i64) -> Result<i64, ApiError> {
    match params.get(name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| ApiError::bad_data(format!("{name} must be a number"))),
    }
}

/// Selectors of `match[]`, each with a matcher that an empty value does not satisfy. The error is the bare reason.
pub(super) fn selectors_of(params: &Params) -> Result<Vec<Vec<Matcher>>, String> {
    let mut selectors = Vec::new();
    for text in params.all(&["match[]"]) {
        let matchers = parse_selector(text).map_err(|e| e.to_string())?;
        if matchers.iter().all(Matcher::matches_absent) {
            return Err("match[] must contain at least one non-empty matcher".to_owned());
        }
        selectors.push(matchers);
    }
    Ok(selectors)
}
