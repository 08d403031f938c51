//! What a line may say of its own time: programs write it out, and senders read the timestamp from there.

/// Parts that are told apart; 0 is none of them.
pub(super) const PARTS: usize = 14;
const DAY_S: i64 = 86_400;

/// The parts of a timestamp in UTC: 1 year, 2 month, 3 day, 4 hour, 5 minute, 6 second, 7–9 the second's fraction in 3,
/// 6 and 9 digits, 10–13 the Unix time in seconds, milliseconds, microseconds and nanoseconds.
#[derive(Clone, Default)]
pub(super) struct Clock {
    parts: [u64; PARTS],
    /// The day that year, month and day are of.
    day: Option<i64>,
}

impl Clock {
    /// Turns to another time.
    pub(super) fn set(&mut self, timestamp_ns: i64) {
        let (seconds, nanos) = (timestamp_ns.div_euclid(1_000_000_000), timestamp_ns.rem_euclid(1_000_000_000) as u64);
        let (day, second) = (seconds.div_euclid(DAY_S), seconds.rem_euclid(DAY_S) as u64);
        if self.day != Some(day) {
            self.day = Some(day);
            let (year, month, date) = civil(day);
            (self.parts[1], self.parts[2], self.parts[3]) = (year, month, date);
        }
        let time = [second / 3600, second / 60 % 60, second % 60, nanos / 1_000_000, nanos / 1000, nanos];
        self.parts[4..10].copy_from_slice(&time);
        let unix = timestamp_ns as u64;
        self.parts[10..].copy_from_slice(&[unix / 1_000_000_000, unix / 1_000_000, unix / 1000, unix]);
    }

    /// A part's number.
    pub(super) fn part(&self, part: u8) -> u64 {
        self.parts.get(usize::from(part)).copied().unwrap_or(0)
    }

    /// The part that this number of so many digits is, or 0.
    pub(super) fn part_of(&self, number: u64, digits: usize) -> u8 {
        let candidates = match digits {
            1 | 2 => 2..=6,
            3 => 7..=7,
            4 => 1..=1,
            6 => 8..=8,
            9 => 9..=9,
            10 => 10..=10,
            13 => 11..=11,
            16 => 12..=12,
            19 => 13..=13,
            _ => return 0,
        };
        candidates.rev().find(|&part| self.part(part) == number).unwrap_or(0)
    }
}

/// Year, month and day of a day since 1970, in the Gregorian calendar extended to all times; the arithmetic counts years
/// from March, in eras of 400 years.
fn civil(day: i64) -> (u64, u64, u64) {
    let shifted = day + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year as u64, month as u64, date as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_time() {
        let mut clock = Clock::default();
        clock.set(1_795_046_400_000_000_000 + 3_723_456_789_012);
        let parts: Vec<u64> = (1..PARTS as u8).map(|part| clock.part(part)).collect();
        assert_eq!(parts[..9], [2026, 11, 19, 1, 2, 3, 456, 456_789, 456_789_012]);
        assert_eq!(clock.part_of(2026, 4), 1);
        assert_eq!(clock.part_of(456, 3), 7);
        assert_eq!(clock.part_of(457, 3), 0);
        clock.set(-1);
        assert_eq!((clock.part(1), clock.part(2), clock.part(3), clock.part(6)), (1969, 12, 31, 59));
        clock.set(951_782_400_000_000_000);
        assert_eq!((clock.part(2), clock.part(3)), (2, 29));
        clock.set(i64::MIN);
        clock.set(i64::MAX);
    }
}
