//! The zone of times that say none.

use std::str::FromStr;
use std::sync::Arc;

/// Where this machine keeps its zone.
const LOCAL_ZONE: &str = "/etc/localtime";
const SECOND_NS: i64 = 1_000_000_000;

/// The zone that RFC 3164's times are read in.
#[derive(Clone, PartialEq, Debug)]
pub enum SyslogZone {
    /// Rules with their daylight saving time: this machine's.
    Rules(Arc<tz::TimeZone>),
    /// So many seconds east of Greenwich.
    Offset(i64),
}

/// A text that is no zone.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("time zone must be \"local\", \"UTC\" or an offset as \"+01:00\", not {0:?}")]
pub struct UnknownZone(String);

impl Default for SyslogZone {
    /// This machine's as it is now; UTC where it has none.
    fn default() -> Self {
        let zone = std::fs::read(LOCAL_ZONE).ok().and_then(|data| tz::TimeZone::from_tz_data(&data).ok());
        zone.map_or(SyslogZone::Offset(0), |zone| SyslogZone::Rules(Arc::new(zone)))
    }
}

impl FromStr for SyslogZone {
    type Err = UnknownZone;

    fn from_str(text: &str) -> Result<Self, UnknownZone> {
        match text {
            "" | "local" => Ok(SyslogZone::default()),
            "UTC" | "utc" | "Z" => Ok(SyslogZone::Offset(0)),
            _ => offset(text).map(SyslogZone::Offset).ok_or_else(|| UnknownZone(text.to_owned())),
        }
    }
}

/// `+01:00`, `-0930`.
fn offset(text: &str) -> Option<i64> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let digits: String = rest.chars().filter(|&c| c != ':').collect();
    let all_digits = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit());
    let (hours, minutes) = digits.split_at_checked(2).filter(|_| all_digits)?;
    let (hours, minutes) = (hours.parse::<i64>().ok()?, minutes.parse::<i64>().ok()?);
    (hours <= 14 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

impl SyslogZone {
    /// What clocks in this zone are ahead of UTC at a time in UTC, both in nanoseconds.
    pub(super) fn offset_ns(&self, utc_ns: i64) -> i64 {
        let seconds = match self {
            SyslogZone::Offset(seconds) => *seconds,
            SyslogZone::Rules(zone) => {
                zone.find_local_time_type(utc_ns.div_euclid(SECOND_NS)).map_or(0, |local| i64::from(local.ut_offset()))
            }
        };
        seconds * SECOND_NS
    }

    /// The time in UTC of what a clock in this zone shows. In the hour that a clock shows twice it is the one or the other.
    pub(super) fn to_utc(&self, shown_ns: i64) -> i64 {
        let about = shown_ns.saturating_sub(self.offset_ns(shown_ns));
        shown_ns.saturating_sub(self.offset_ns(about))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_by_name() {
        for (text, seconds) in [("UTC", 0), ("+01:00", 3600), ("-0930", -34_200), ("+14:00", 50_400)] {
            assert_eq!(text.parse::<SyslogZone>().unwrap(), SyslogZone::Offset(seconds), "{text}");
        }
        for text in ["Berlin", "+1", "+15:00", "+01:60", "01:00", "+0a:00", "é"] {
            assert!(text.parse::<SyslogZone>().is_err(), "{text}");
        }
        assert!("local".parse::<SyslogZone>().is_ok());
    }

    #[test]
    fn daylight_saving_time_is_that_of_the_moment() {
        // Central Europe by its rule: +1, +2 from the last Sunday of March to that of October.
        let zone = SyslogZone::Rules(Arc::new(tz::TimeZone::from_posix_tz("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()));
        let at = |utc: i64, offset: i64| assert_eq!(zone.to_utc((utc + offset) * SECOND_NS), utc * SECOND_NS, "{utc}");
        at(1_795_000_000, 3600); // November 2026
        at(1_782_000_000, 7200); // June 2026
        at(1_774_746_000 - 1, 3600); // the last second of winter time, 2026-03-29
        at(1_774_746_000, 7200);
        assert_eq!(SyslogZone::Offset(-3600).to_utc(0), 3600 * SECOND_NS);
    }
}
