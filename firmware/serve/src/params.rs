//! Parameters of query strings and forms.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::borrow::Cow;

/// Largest form that is read: a query of this size is not written by a person.
const FORM_MAX_BYTES: usize = 1 << 20;

/// Parameters of the query string and, for POST with a form, of the body; a name may repeat.
#[derive(Clone, Default, Debug)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Parameters of an encoded string.
    pub fn parse(encoded: &str) -> Self {
        Params(form_urlencoded::parse(encoded.as_bytes()).into_owned().collect())
    }

    /// First value under `name`, if it is there and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }

    /// First value under `name`, also when it is empty.
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// All names and their values, as they came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// All values under any of `names`.
    pub fn all<'a>(&'a self, names: &'a [&str]) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(|(n, _)| names.contains(&n.as_str())).map(|(_, v)| v.as_str())
    }
}

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let mut params = Params::parse(request.uri().query().unwrap_or(""));
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
        let is_form = content_type.starts_with("application/x-www-form-urlencoded");
        if request.method() == Method::POST && is_form {
            let body = axum::body::to_bytes(request.into_body(), FORM_MAX_BYTES).await.map_err(|_| {
                (StatusCode::PAYLOAD_TOO_LARGE, format!("form larger than {FORM_MAX_BYTES} bytes")).into_response()
            })?;
            // As Go's ParseForm: values of the body come before those of the query string.
            let mut of_body = Params::parse(&String::from_utf8_lossy(&body)).0;
            of_body.append(&mut params.0);
            params.0 = of_body;
        } else if request.method() == Method::POST {
            let _: Result<Bytes, _> = Bytes::from_request(request, state).await;
        }
        Ok(params)
    }
}

/// A time or duration that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct TimeError(pub String);

/// Largest magnitude of a time, milliseconds: clients send milliseconds where seconds are meant, and must be answered
/// (apis.md, finding 3).
const TIME_MAX_MS: f64 = 9.2e15;

/// The earliest and the latest time that Go's clients print, beyond what RFC 3339 can say.
const GO_EDGES: [(&str, f64); 2] =
    [("-292273086-05-16T16:47:06Z", -TIME_MAX_MS), ("292277025-08-18T07:12:54.999999999Z", TIME_MAX_MS)];

/// Milliseconds of Prometheus' time forms: decimal seconds or RFC 3339. Clamped, never overflows.
///
/// # Errors
/// [`TimeError`] in Prometheus' words.
pub fn parse_time_ms(text: &str) -> Result<i64, TimeError> {
    if let Ok(seconds) = text.parse::<f64>()
        && seconds.is_finite()
    {
        return Ok((seconds * 1000.0).round().clamp(-TIME_MAX_MS, TIME_MAX_MS) as i64);
    }
    if let Some((_, edge)) = GO_EDGES.iter().find(|(edge, _)| *edge == text) {
        return Ok(*edge as i64);
    }
    rfc3339_ns(text)
        .map(|ns| ns.div_euclid(1_000_000) as i64)
        .ok_or_else(|| TimeError(format!("cannot parse \"{text}\" to a valid timestamp")))
}

/// Nanoseconds of an RFC 3339 time.
pub(crate) fn rfc3339_ns(text: &str) -> Option<i128> {
    // A plus sign that was not escaped arrives as a blank (apis.md §6).
    let text: Cow<'_, str> = if text.contains(' ') { text.replace(' ', "+").into() } else { text.into() };
    let parsed = time::OffsetDateTime::parse(&text, &time::format_description::well_known::Rfc3339).ok()?;
    Some(parsed.unix_timestamp_nanos())
}

/// RFC 3339 with milliseconds, UTC.
pub(crate) fn rfc3339_of_ms(ms: i64) -> String {
    rfc3339(i128::from(ms) * 1_000_000)
}

/// RFC 3339 with nanoseconds, UTC.
pub fn rfc3339_of_ns(ns: i64) -> String {
    rfc3339(i128::from(ns))
}

fn rfc3339(ns: i128) -> String {
    time::OffsetDateTime::from_unix_timestamp_nanos(ns)
        .ok()
        .and_then(|t| t.format(&time::format_description::well_known::Rfc3339).ok())
        .unwrap_or_default()
}

/// Milliseconds of Prometheus' duration forms: decimal seconds, or `1h30m`.
///
/// # Errors
/// [`TimeError`] in Prometheus' words.
pub fn parse_duration_ms(text: &str) -> Result<i64, TimeError> {
    if let Ok(seconds) = text.parse::<f64>() {
        let ms = seconds * 1000.0;
        if !ms.is_finite() || ms.abs() > TIME_MAX_MS {
            return Err(TimeError(format!("cannot parse \"{text}\" to a valid duration. It overflows int64")));
        }
        return Ok(ms as i64);
    }
    words_ms(text).ok_or_else(|| TimeError(format!("cannot parse \"{text}\" to a valid duration")))
}

fn words_ms(text: &str) -> Option<i64> {
    // The largest first, and each at most once; `ms` before `m`, which it begins with, is seen to below.
    const UNITS: [(&str, i64); 7] = [
        ("y", 31_536_000_000),
        ("w", 604_800_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1),
    ];
    let (mut rest, mut sum, mut units) = (text, 0i64, UNITS.as_slice());
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let at = units.iter().position(|(unit, _)| *unit == &rest[..letters])?;
        let (_, factor) = units.get(at)?;
        (rest, units) = (&rest[letters..], &units[at + 1..]);
        sum = sum.checked_add(number.checked_mul(*factor)?)?;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(parse_time_ms("1.5"), Ok(1500));
        assert_eq!(parse_time_ms("1970-01-01T00:00:01.25Z"), Ok(1250));
        assert_eq!(parse_time_ms("1970-01-01T02:00:00 02:00"), Ok(0), "an unescaped plus");
        assert_eq!(parse_time_ms("1794960000000"), Ok(1_794_960_000_000_000), "milliseconds where seconds are meant");
        assert_eq!(parse_time_ms("1e300"), Ok(TIME_MAX_MS as i64));
        assert_eq!(parse_time_ms(GO_EDGES[0].0), Ok(-TIME_MAX_MS as i64));
        assert!(parse_time_ms("NaN").is_err() && parse_time_ms("inf").is_err());
        assert_eq!(parse_time_ms("x").unwrap_err().to_string(), "cannot parse \"x\" to a valid timestamp");
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration_ms("1h30m"), Ok(5_400_000));
        assert_eq!(parse_duration_ms("0.5"), Ok(500));
        assert_eq!(parse_duration_ms("150ms"), Ok(150));
        assert_eq!(parse_duration_ms("1y2w3d4h5m6s7ms"), Ok(33_019_506_007));
        assert!(
            parse_duration_ms("5m1h").is_err() && parse_duration_ms("1m1m").is_err() && parse_duration_ms("m").is_err()
        );
        assert!(parse_duration_ms("5x").is_err() && parse_duration_ms("").is_err());
    }

    #[test]
    fn names_may_repeat() {
        let params = Params::parse("match%5B%5D=a&match[]=b&x=&match=c");
        assert_eq!(params.all(&["match[]", "match"]).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!((params.get("x"), params.raw("x")), (None, Some("")));
    }
}
