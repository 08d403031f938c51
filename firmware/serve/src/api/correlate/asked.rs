//! What a request asks for, read from its parameters. Unknown parameters are ignored, as the engine did that people know.

use super::refusal::Refusal;
use crate::params::{self, Params};
use bramble_correlate::{Correlation, CorrelationQuery};
use bramble_line::ids::IdKind;
use bramble_signal::{SpanId, TraceId};

/// How many are given when nothing is said, and at most.
pub(super) const LIMIT_DEFAULT: usize = 50;
pub(super) const LIMIT_MAX: usize = 1000;

/// Longest value of an id; longer ones are never stored.
const ID_BYTES_MAX: usize = 128;

/// What all listings share.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    /// Nanoseconds, inclusive.
    pub(super) since_ns: Option<i64>,
    /// Nanoseconds, exclusive.
    pub(super) until_ns: Option<i64>,
    pub(super) limit: usize,
    pub(super) trace_id: Option<TraceId>,
    pub(super) span_id: Option<SpanId>,
    /// Business ids, as often as they are given.
    pub(super) ids: Vec<(IdKind, String)>,
    pub(super) service: Option<String>,
    pub(super) has_error: Option<bool>,
}

impl Asked {
    /// Reads parameters; `now_ns` is what durations go back from.
    pub(super) fn read(params: &Params, now_ns: i64) -> Result<Self, Refusal> {
        Self::read_with(params, now_ns, LIMIT_DEFAULT, LIMIT_MAX)
    }

    /// As [`read`](Self::read), with other bounds of `limit`.
    pub(super) fn read_with(params: &Params, now_ns: i64, limit: usize, limit_max: usize) -> Result<Self, Refusal> {
        let mut asked = Asked {
            since_ns: time(params, "since", now_ns)?,
            until_ns: time(params, "until", now_ns)?,
            limit: self::limit(params, limit, limit_max)?,
            service: params.get("service").map(str::to_owned),
            has_error: has_error(params)?,
            ..Asked::default()
        };
        if let (Some(since), Some(until)) = (asked.since_ns, asked.until_ns)
            && since > until
        {
            return Err(Refusal::bad("until", "until lies before since"));
        }
        for (name, value) in params.iter().filter(|(_, value)| !value.is_empty()) {
            match IdKind::of_name(name.as_bytes()) {
                Some(IdKind::Trace) => asked.trace_id = Some(trace_id(value)?),
                Some(IdKind::Span) => asked.span_id = Some(span_id(value)?),
                Some(kind) => asked.ids.push((kind, business_id(kind, value)?)),
                None => {}
            }
        }
        Ok(asked)
    }

    /// The same, as stored correlations are asked.
    pub(super) fn into_query(self) -> CorrelationQuery {
        CorrelationQuery {
            since_ns: self.since_ns,
            until_ns: self.until_ns,
            trace_id: self.trace_id,
            ids: self.ids,
            service: self.service,
            has_error: self.has_error,
            limit: self.limit,
        }
    }
}

/// Whether a correlation that was just published is one that `query` asks for.
pub(super) fn fits(query: &CorrelationQuery, c: &Correlation) -> bool {
    query.since_ns.is_none_or(|since| c.start_ns >= since)
        && query.until_ns.is_none_or(|until| c.start_ns < until)
        && query.trace_id.is_none_or(|id| c.id.trace_id == id)
        && query.ids.iter().all(|id| c.ids.contains(id))
        && query.service.as_ref().is_none_or(|service| c.participants.iter().any(|p| p.service == *service))
        && query.has_error.is_none_or(|wanted| c.has_error() == wanted)
}

fn limit(params: &Params, default: usize, most: usize) -> Result<usize, Refusal> {
    let Some(text) = params.get("limit") else { return Ok(default) };
    let limit = text.parse().ok().filter(|n| (1..=most).contains(n));
    limit.ok_or_else(|| Refusal::bad("limit", format!("limit is a number from 1 to {most}, not {}", shown(text))))
}

fn has_error(params: &Params) -> Result<Option<bool>, Refusal> {
    let Some(text) = params.get("has_error").or_else(|| params.get("hasError")) else { return Ok(None) };
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(Some(true)),
        "false" | "0" => Ok(Some(false)),
        _ => Err(Refusal::bad("has_error", format!("has_error is true, false, 1 or 0, not {}", shown(text)))),
    }
}

fn trace_id(text: &str) -> Result<TraceId, Refusal> {
    // Some write it as they write a UUID.
    let plain = if text.len() == 36 { text.replace('-', "") } else { text.to_owned() };
    let parsed = TraceId::parse(&plain).filter(|id| !id.is_zero());
    parsed.ok_or_else(|| {
        let why = format!("trace_id is 1 to 32 hex digits, not all of them zero; {} is not", shown(text));
        Refusal::bad("trace_id", why)
    })
}

fn span_id(text: &str) -> Result<SpanId, Refusal> {
    let parsed = SpanId::parse(text).filter(|id| !id.is_zero());
    parsed.ok_or_else(|| {
        let why = format!("span_id is 1 to 16 hex digits, not all of them zero; {} is not", shown(text));
        Refusal::bad("span_id", why)
    })
}

fn business_id(kind: IdKind, text: &str) -> Result<String, Refusal> {
    let name = kind.as_str();
    if text.len() <= ID_BYTES_MAX && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    let why = format!("{name} is at most {ID_BYTES_MAX} visible ASCII characters; {} is not", shown(text));
    Err(Refusal::bad(name, why))
}

/// A value as it stands in an error: quoted, and not longer than one reads.
pub(super) fn shown(text: &str) -> String {
    let short: String = text.chars().take(64).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("{short:?}{dots}")
}

/// Nanoseconds of a parameter that says a time.
fn time(params: &Params, name: &'static str, now_ns: i64) -> Result<Option<i64>, Refusal> {
    let Some(text) = params.get(name) else { return Ok(None) };
    let read = time_ns(text, now_ns);
    read.map(Some).ok_or_else(|| {
        let forms =
            "RFC 3339, seconds, milliseconds, microseconds or nanoseconds since 1970, or how long ago (15m, 2h30m)";
        Refusal::bad(name, format!("{name} is a time: {forms}; {} is none", shown(text)))
    })
}

/// Nanoseconds of a time in any of these forms: `now`, `15m` or `now-15m` (before now), RFC 3339, or a number since the
/// epoch, whose magnitude tells its unit: up to 10^11 seconds (the year 5138), then milli-, micro- and nanoseconds.
fn time_ns(text: &str, now_ns: i64) -> Option<i64> {
    const UNITS: [(i128, i128); 3] =
        [(100_000_000_000, 1_000_000_000), (100_000_000_000_000, 1_000_000), (100_000_000_000_000_000, 1000)];
    if text == "now" {
        return Some(now_ns);
    }
    if let Ok(number) = text.parse::<i128>() {
        let factor = UNITS.iter().find(|(below, _)| number.abs() < *below).map_or(1, |(_, factor)| *factor);
        return number.checked_mul(factor)?.try_into().ok();
    }
    if let Some(number) = text.parse::<f64>().ok().filter(|n| n.is_finite()) {
        let factor = UNITS.iter().find(|(below, _)| number.abs() < *below as f64).map_or(1, |(_, factor)| *factor);
        // A float has no nanoseconds of today, but those of a second it can tell.
        let (whole, rest) = (number.trunc() as i128, number.fract() * factor as f64);
        return whole.checked_mul(factor)?.checked_add(rest.round() as i128)?.try_into().ok();
    }
    if let Some(ns) = params::rfc3339_ns(text) {
        return ns.try_into().ok();
    }
    let ago = text.strip_prefix("now-").or_else(|| text.strip_prefix('-')).unwrap_or(text);
    let ms = params::parse_duration_ms(ago).ok()?;
    now_ns.checked_sub(ms.checked_mul(1_000_000)?)
}

#[cfg(test)]
mod tests {
    use super::super::tests::correlation;
    use super::*;

    const NOW_NS: i64 = 1_795_000_000_000_000_000;

    fn read(query: &str) -> Result<Asked, Refusal> {
        Asked::read(&Params::parse(query), NOW_NS)
    }

    #[test]
    fn times_in_all_their_forms() {
        let at = 1_794_960_000_500_000_000;
        let forms = [
            "1794960000.5",
            "1794960000500",
            "1794960000500000",
            "1794960000500000000",
            "2026-11-18T00:00:00.5Z",
            "2026-11-18T01:00:00.5 01:00",
        ];
        for form in forms {
            let ns = time_ns(form, NOW_NS).unwrap_or_default();
            assert!((ns - at).abs() < 1000, "{form}: {ns}");
        }
        assert_eq!(time_ns("1794960000", NOW_NS), Some(1_794_960_000_000_000_000));
        assert_eq!(time_ns("0", NOW_NS), Some(0));
        for ago in ["15m", "now-15m", "-15m"] {
            assert_eq!(time_ns(ago, NOW_NS), Some(NOW_NS - 900_000_000_000));
        }
        assert_eq!(time_ns("now", NOW_NS), Some(NOW_NS));
        for wrong in
            ["", "x", "15", "yesterday", "1e300", "inf", "999999999999999999999999", "now-", "300y1000000y", "١"]
        {
            let read = time_ns(wrong, NOW_NS);
            assert!(read.is_none() || wrong == "15", "{wrong}: {read:?}");
        }
    }

    #[test]
    fn ids_under_any_spelling() {
        let asked = read("circuitId=C-1&circuit_id=C-2&Request-ID=r&traceId=ABC&resource.type.id=t&color=red").unwrap();
        let ids: Vec<(IdKind, &str)> = asked.ids.iter().map(|(kind, value)| (*kind, value.as_str())).collect();
        let expected =
            [(IdKind::Circuit, "C-1"), (IdKind::Circuit, "C-2"), (IdKind::Request, "r"), (IdKind::ResourceType, "t")];
        assert_eq!(ids, expected);
        assert_eq!(asked.trace_id, TraceId::parse("abc"));
        assert_eq!((asked.limit, asked.has_error, asked.service), (50, None, None));
        let uuid = read("trace_id=0af76519-16cd-43dd-8448-eb211c80319c").unwrap();
        assert_eq!(uuid.trace_id, TraceId::parse("0af7651916cd43dd8448eb211c80319c"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let long = format!("product_id={}", "x".repeat(129));
        let cases = [
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=-1", "limit"),
            ("limit=ten", "limit"),
            ("since=yesterday", "since"),
            ("until=2026-13-01T00:00:00Z", "until"),
            ("since=1h&until=2h", "until"),
            ("trace_id=xyz", "trace_id"),
            ("traceid=0", "trace_id"),
            ("trace_id=0123456789abcdef0123456789abcdef0", "trace_id"),
            ("span_id=0123456789abcdef0", "span_id"),
            ("has_error=maybe", "has_error"),
            ("circuitId=a%20b", "circuit_id"),
            ("request_id=%C3%BC", "request_id"),
            (long.as_str(), "product_id"),
        ];
        for (query, field) in cases {
            let refusal = read(query).expect_err(query);
            assert_eq!((refusal.field, refusal.status.as_u16()), (Some(field), 400), "{query}: {}", refusal.message);
            assert!(refusal.message.len() < 250, "{}", refusal.message);
        }
        assert_eq!(read("has_error=TRUE").unwrap().has_error, Some(true));
        assert_eq!(read("has_error=0&limit=&since=&trace_id=").unwrap().has_error, Some(false));
    }

    #[test]
    fn a_new_correlation_fits_what_is_asked() {
        let mut c = correlation(1);
        c.ids = vec![(IdKind::Circuit, "C-1".to_owned())];
        let fits = |query: &str| fits(&read(query).unwrap().into_query(), &c);
        assert!(fits("") && fits("circuitId=C-1&service=web") && fits(&format!("trace_id={}", c.id.trace_id)));
        assert!(!fits("circuit_id=C-2") && !fits("circuit_id=C-1&circuit_id=C-2") && !fits("request_id=C-1"));
        assert!(!fits("service=we") && !fits("trace_id=77") && !fits("since=now"));
        assert!(fits("has_error=true") == c.has_error() && fits("has_error=false") != c.has_error());
    }
}
