//! Time zones out of the machine's database (`/usr/share/zoneinfo`, RFC 8536): how far a clock is from UTC at a time.

use super::{day_number, month_days, year_of};
use std::path::{Path, PathBuf};

/// Largest file read; the largest of the database has 4 KiB.
const FILE_MAX_BYTES: u64 = 256 << 10;

/// A zone.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Zone {
    /// From a second since the epoch on, seconds ahead of UTC; ascending.
    changes: Vec<(i64, i64)>,
    /// Before the first change.
    first: i64,
    /// After the last one.
    rule: Option<Rule>,
}

/// What goes on for ever: an offset, and another one for part of the year.
#[derive(Clone, Debug)]
struct Rule {
    standard: i64,
    summer: Option<(i64, Change, Change)>,
}

/// Weekday `day` (0 Sunday) of week `week` (5: the last) of a month, so many seconds after midnight.
#[derive(Clone, Copy, Debug)]
struct Change {
    month: i64,
    week: i64,
    day: i64,
    seconds: i64,
}

impl Zone {
    pub(super) fn load(name: &str) -> Result<Self, String> {
        let plain = |part: &str| !part.is_empty() && part != ".." && part != ".";
        let path = match name {
            "" | "UTC" => return Ok(Zone::default()),
            "Local" => PathBuf::from("/etc/localtime"),
            name if name.split('/').all(plain) => Path::new("/usr/share/zoneinfo").join(name),
            name => return Err(format!("no name of a time zone: {name}")),
        };
        let metadata = std::fs::metadata(&path).map_err(|e| format!("time zone {name}: {}: {e}", path.display()))?;
        if metadata.len() > FILE_MAX_BYTES {
            return Err(format!("time zone {name}: {} is too large", path.display()));
        }
        let bytes = std::fs::read(&path).map_err(|e| format!("time zone {name}: {}: {e}", path.display()))?;
        Zone::read(&bytes).ok_or_else(|| format!("time zone {name}: {} is damaged", path.display()))
    }

    /// Reads a file of the database.
    fn read(bytes: &[u8]) -> Option<Self> {
        let header = Header::read(bytes)?;
        if header.version == 0 {
            return header.body(bytes.get(44..)?, 4).map(|(zone, _)| zone);
        }
        // The first body has 32-bit times for old readers.
        let second = bytes.get(44 + header.length(4)..)?;
        let header = Header::read(second)?;
        let (mut zone, rest) = header.body(second.get(44..)?, 8)?;
        let text = std::str::from_utf8(rest).ok()?;
        zone.rule = text.trim_matches('\n').split('\n').next().and_then(Rule::parse);
        Some(zone)
    }

    /// Seconds ahead of UTC at a second since the epoch.
    fn offset_at(&self, utc: i64) -> i64 {
        let after = self.changes.partition_point(|c| c.0 <= utc);
        match (&self.rule, after) {
            (Some(rule), n) if n == self.changes.len() => rule.offset_at(utc),
            (_, 0) => self.first,
            (_, n) => self.changes.get(n - 1).map_or(0, |c| c.1),
        }
    }

    /// UTC of what a clock there shows.
    pub(super) fn to_utc(&self, local: i64) -> i64 {
        let guess = local - self.offset_at(local);
        local - self.offset_at(guess)
    }
}

struct Header {
    version: u8,
    /// isut, isstd, leap, time, type, char
    counts: [usize; 6],
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.get(..4)? != b"TZif" {
            return None;
        }
        let mut counts = [0; 6];
        for (at, count) in counts.iter_mut().enumerate() {
            let word = bytes.get(20 + at * 4..24 + at * 4)?;
            *count = usize::try_from(u32::from_be_bytes(word.try_into().ok()?)).ok().filter(|n| *n < 1 << 16)?;
        }
        Some(Header { version: *bytes.get(4)?, counts })
    }

    fn length(&self, width: usize) -> usize {
        let [isut, isstd, leap, times, types, chars] = self.counts;
        times * (width + 1) + types * 6 + chars + leap * (width + 4) + isstd + isut
    }

    fn body<'a>(&self, bytes: &'a [u8], width: usize) -> Option<(Zone, &'a [u8])> {
        let [_, _, _, times, types, _] = self.counts;
        let offset_of = |kind: usize| -> Option<i64> {
            let at = times * (width + 1) + kind * 6;
            (kind < types).then_some(())?;
            Some(i64::from(i32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?)))
        };
        let mut zone = Zone { first: offset_of(0)?, ..Zone::default() };
        for n in 0..times {
            let word = bytes.get(n * width..(n + 1) * width)?;
            let time = match width {
                4 => i64::from(i32::from_be_bytes(word.try_into().ok()?)),
                _ => i64::from_be_bytes(word.try_into().ok()?),
            };
            let kind = *bytes.get(times * width + n)?;
            zone.changes.push((time, offset_of(usize::from(kind))?));
        }
        Some((zone, bytes.get(self.length(width)..)?))
    }
}

impl Rule {
    /// `CET-1CEST,M3.5.0,M10.5.0/3`
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        let mut clocks = parts.next()?;
        name(&mut clocks)?;
        let standard = -time(&mut clocks)?;
        if clocks.is_empty() {
            return Some(Rule { standard, summer: None });
        }
        name(&mut clocks)?;
        let summer = if clocks.is_empty() { standard + 3600 } else { -time(&mut clocks)? };
        let (start, end) = (Change::parse(parts.next()?)?, Change::parse(parts.next()?)?);
        Some(Rule { standard, summer: Some((summer, start, end)) })
    }

    fn offset_at(&self, utc: i64) -> i64 {
        let Some((summer, start, end)) = &self.summer else { return self.standard };
        let year = year_of(utc + self.standard);
        let (start, end) = (start.in_year(year) - self.standard, end.in_year(year) - summer);
        let within = if start < end { (start..end).contains(&utc) } else { !(end..start).contains(&utc) };
        if within { *summer } else { self.standard }
    }
}

impl Change {
    fn parse(text: &str) -> Option<Self> {
        let (date, mut at) = text.split_once('/').unwrap_or((text, "2"));
        let mut numbers = date.strip_prefix('M')?.split('.').map(|n| n.parse::<i64>().ok());
        let (month, week, day) = (numbers.next()??, numbers.next()??, numbers.next()??);
        let valid = (1..=12).contains(&month) && (1..=5).contains(&week) && (0..7).contains(&day);
        valid.then_some(Change { month, week, day, seconds: time(&mut at)? })
    }

    /// Seconds since the epoch by the clock there.
    fn in_year(&self, year: i64) -> i64 {
        let first = day_number(year, self.month, 1);
        // The epoch was a Thursday.
        let weekday = (first + 4).rem_euclid(7);
        let mut day = 1 + (self.day - weekday).rem_euclid(7) + (self.week - 1) * 7;
        while day > month_days(year, self.month) {
            day -= 7;
        }
        (first + day - 1) * 86_400 + self.seconds
    }
}

/// Skips `CET` or `<+03>`.
fn name(text: &mut &str) -> Option<()> {
    let end = match text.strip_prefix('<') {
        Some(quoted) => quoted.find('>')? + 2,
        None => text.bytes().take_while(u8::is_ascii_alphabetic).count(),
    };
    *text = text.get(end..).filter(|_| end > 0)?;
    Some(())
}

/// `-1`, `2:30`, `3:00:00`: seconds.
fn time(text: &mut &str) -> Option<i64> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    *text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut seconds = 0;
    for unit in [3600, 60, 1] {
        let count = text.bytes().take_while(u8::is_ascii_digit).count();
        seconds += text.get(..count)?.parse::<i64>().ok().filter(|n| *n < 1000)? * unit;
        *text = text.get(count..)?;
        match text.strip_prefix(':') {
            Some(tail) => *text = tail,
            None => break,
        }
    }
    Some(sign * seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_hold_for_ever() {
        let zone = Zone { rule: Rule::parse("CET-1CEST,M3.5.0,M10.5.0/3"), ..Zone::default() };
        let local = |year, month, day, hour: i64| day_number(year, month, day) * 86_400 + hour * 3600;
        for (month, day, hour, ahead) in [(1, 15, 12, 1), (7, 1, 12, 2), (3, 31, 1, 1), (3, 31, 4, 2), (10, 27, 4, 1)] {
            let clock = local(2024, month, day, hour);
            assert_eq!(clock - zone.to_utc(clock), ahead * 3600, "{month}-{day} {hour}");
        }
        let south = Zone { rule: Rule::parse("AEST-10AEDT,M10.1.0,M4.1.0/3"), ..Zone::default() };
        let clock = local(2024, 1, 15, 12);
        assert_eq!(clock - south.to_utc(clock), 11 * 3600);
        assert_eq!(Rule::parse("<+0530>-5:30").unwrap().standard, 19_800);
    }

    #[test]
    fn damage_is_no_zone() {
        assert!(Zone::read(b"TZif").is_none() && Zone::read(&[0; 100]).is_none());
        assert!(Zone::load("../../etc/passwd").is_err() && Zone::load("No/Where").is_err());
        assert_eq!(Zone::load("UTC").unwrap().to_utc(5), 5);
    }
}
