//! Parts of dates, in UTC.

/// Whether `name` is a date function.
pub(crate) fn is_date_part(name: &str) -> bool {
    matches!(
        name,
        "days_in_month" | "day_of_month" | "day_of_week" | "day_of_year" | "hour" | "minute" | "month" | "year"
    )
}

/// The part of the date `seconds` after the epoch; NaN for what is no date.
pub(crate) fn part(name: &str, seconds: f64) -> f64 {
    if !seconds.is_finite() || seconds.abs() > 1e15 {
        return f64::NAN;
    }
    let seconds = seconds.trunc() as i64;
    let (days, in_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    (match name {
        "hour" => in_day / 3600,
        "minute" => in_day / 60 % 60,
        // The epoch was a Thursday; Sunday is 0.
        "day_of_week" => (days + 4).rem_euclid(7),
        "day_of_month" => day,
        "day_of_year" => days - days_before(year, 1, 1) + 1,
        "days_in_month" => {
            let (next_year, next) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            days_before(next_year, next, 1) - days_before(year, month, 1)
        }
        "month" => month,
        _ => year,
    }) as f64
}

/// Year, month and day of a day counted from the epoch, in the proleptic Gregorian calendar. Years are taken to
/// begin in March, so that the leap day comes last.
pub(crate) fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Days from the epoch to a date.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let march_month = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * march_month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        // 2024-02-29 12:34:56 UTC, a Thursday.
        let t = 1_709_210_096.0;
        for (name, wanted) in [
            ("year", 2024.0),
            ("month", 2.0),
            ("day_of_month", 29.0),
            ("days_in_month", 29.0),
            ("day_of_week", 4.0),
            ("day_of_year", 60.0),
            ("hour", 12.0),
            ("minute", 34.0),
        ] {
            assert_eq!(part(name, t), wanted, "{name}");
        }
        assert_eq!((part("year", -1.0), part("month", -1.0), part("hour", -1.0)), (1969.0, 12.0, 23.0));
        assert!(part("year", f64::NAN).is_nan());
    }
}
