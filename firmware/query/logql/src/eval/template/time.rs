//! Times in Go's layouts.

use super::value::Value;

const DAY_NS: i64 = 86_400_000_000_000;
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Parts of Go's reference time, longest first where one begins another.
const PARTS: [&str; 32] = [
    "January",
    "Jan",
    "Monday",
    "Mon",
    "MST",
    "2006",
    "Z07:00",
    "Z0700",
    "-07:00",
    "-0700",
    "-07",
    "01",
    "02",
    "03",
    "04",
    "05",
    "06",
    "002",
    "15",
    "PM",
    "pm",
    "_2",
    ".000000000",
    ".000000",
    ".000",
    ".999999999",
    ".999999",
    ".999",
    "1",
    "2",
    "3",
    "4",
];

/// Year, month (1–12) and day of a day counted from the epoch; Gregorian, by eras of 400 years.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The day counted from the epoch.
fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

/// `ns` since the epoch, UTC, in a layout.
pub(crate) fn format(ns: i64, layout: &str) -> String {
    let (days, of_day) = (ns.div_euclid(DAY_NS), ns.rem_euclid(DAY_NS));
    let (year, month, day) = civil(days);
    let (hour, minute, second) =
        (of_day / 3_600_000_000_000, of_day / 60_000_000_000 % 60, of_day / 1_000_000_000 % 60);
    let fraction = format!("{:09}", of_day % 1_000_000_000);
    let twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
    let month_name = MONTHS.get((month - 1).rem_euclid(12) as usize).copied().unwrap_or("");
    let day_name = DAYS.get((days + 4).rem_euclid(7) as usize).copied().unwrap_or("");
    let mut out = String::new();
    let mut rest = layout;
    while let Some(c) = rest.chars().next() {
        let Some(part) = PARTS.iter().find(|p| rest.starts_with(**p)) else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        rest = &rest[part.len()..];
        match *part {
            "2006" => out.push_str(&format!("{year:04}")),
            "06" => out.push_str(&format!("{:02}", year % 100)),
            "January" => out.push_str(month_name),
            "Jan" => out.push_str(&month_name[..month_name.len().min(3)]),
            "Monday" => out.push_str(day_name),
            "Mon" => out.push_str(&day_name[..day_name.len().min(3)]),
            "MST" => out.push_str("UTC"),
            "Z07:00" | "Z0700" => out.push('Z'),
            "-07:00" => out.push_str("+00:00"),
            "-0700" => out.push_str("+0000"),
            "-07" => out.push_str("+00"),
            "01" => out.push_str(&format!("{month:02}")),
            "1" => out.push_str(&month.to_string()),
            "02" => out.push_str(&format!("{day:02}")),
            "_2" => out.push_str(&format!("{day:2}")),
            "2" => out.push_str(&day.to_string()),
            "002" => out.push_str(&format!("{:03}", days - day_number(year, 1, 1) + 1)),
            "15" => out.push_str(&format!("{hour:02}")),
            "03" => out.push_str(&format!("{twelve:02}")),
            "3" => out.push_str(&twelve.to_string()),
            "04" => out.push_str(&format!("{minute:02}")),
            "4" => out.push_str(&minute.to_string()),
            "05" => out.push_str(&format!("{second:02}")),
            "PM" => out.push_str(if hour < 12 { "AM" } else { "PM" }),
            "pm" => out.push_str(if hour < 12 { "am" } else { "pm" }),
            zeros if zeros.starts_with(".0") => {
                out.push('.');
                out.push_str(&fraction[..zeros.len() - 1]);
            }
            nines => {
                let digits = fraction[..nines.len() - 1].trim_end_matches('0');
                if !digits.is_empty() {
                    out.push('.');
                    out.push_str(digits);
                }
            }
        }
    }
    out
}

/// Nanoseconds since the epoch of a text in a layout.
pub(crate) fn parse(layout: &str, text: &str) -> Option<i64> {
    let (mut year, mut month, mut day, mut of_day, mut zone) = (1970, 1, 1, 0i64, 0i64);
    let (mut layout, mut rest) = (layout, text);
    let digits = |rest: &mut &str, most: usize| -> Option<i64> {
        let len = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let number = rest[..len].parse().ok();
        *rest = &rest[len..];
        number
    };
    let name = |rest: &mut &str, names: &[&str], short: bool| -> Option<i64> {
        let of = |n: &str| if short { n[..3].to_owned() } else { n.to_owned() };
        let at = names.iter().position(|n| rest.starts_with(&of(n)))?;
        *rest = &rest[of(names.get(at)?).len()..];
        Some(at as i64 + 1)
    };
    while let Some(c) = layout.chars().next() {
        let Some(part) = PARTS.iter().find(|p| layout.starts_with(**p)) else {
            rest = rest.strip_prefix(c)?;
            layout = &layout[c.len_utf8()..];
            continue;
        };
        layout = &layout[part.len()..];
        match *part {
            "2006" => year = digits(&mut rest, 4)?,
            "06" => year = 2000 + digits(&mut rest, 2)?,
            "01" | "1" => month = digits(&mut rest, 2)?,
            "January" => month = name(&mut rest, &MONTHS, false)?,
            "Jan" => month = name(&mut rest, &MONTHS, true)?,
            "Monday" => drop(name(&mut rest, &DAYS, false)?),
            "Mon" => drop(name(&mut rest, &DAYS, true)?),
            "02" | "2" | "_2" => {
                rest = rest.trim_start();
                day = digits(&mut rest, 2)?;
            }
            "15" | "03" | "3" => of_day += digits(&mut rest, 2)? * 3_600_000_000_000,
            "04" | "4" => of_day += digits(&mut rest, 2)? * 60_000_000_000,
            "05" => {
                of_day += digits(&mut rest, 2)? * 1_000_000_000;
                // A fraction may follow the seconds even where the layout has none.
                if let Some(tail) = rest.strip_prefix('.')
                    && !layout.starts_with('.')
                {
                    let len = tail.bytes().take_while(u8::is_ascii_digit).count().min(9);
                    of_day += format!("{:0<9}", &tail[..len]).parse::<i64>().ok()?;
                    rest = &tail[len..];
                }
            }
            "PM" | "pm" => {
                let afternoon = rest.get(..2)?.eq_ignore_ascii_case("pm");
                of_day += if afternoon { 43_200_000_000_000 } else { 0 };
                rest = &rest[2..];
            }
            "MST" => rest = rest.get(3..)?,
            "Z07:00" | "Z0700" | "-07:00" | "-0700" | "-07" => {
                if let Some(tail) = rest.strip_prefix('Z') {
                    rest = tail;
                    continue;
                }
                let sign = if rest.starts_with('-') { -1 } else { 1 };
                rest = rest.get(1..)?;
                zone = digits(&mut rest, 2)? * 3600;
                rest = rest.strip_prefix(':').unwrap_or(rest);
                if !part.ends_with("07") {
                    zone += digits(&mut rest, 2)? * 60;
                }
                zone *= sign;
            }
            "002" => return None,
            _ => {
                let tail = rest.strip_prefix('.')?;
                let len = tail.bytes().take_while(u8::is_ascii_digit).count().min(9);
                of_day += format!("{:0<9}", &tail[..len]).parse::<i64>().ok()?;
                rest = &tail[len..];
            }
        }
    }
    let valid = rest.is_empty() && (1..=12).contains(&month) && (1..=31).contains(&day);
    let whole = day_number(year, month, day).checked_mul(DAY_NS)?;
    valid.then(|| whole.checked_add(of_day)?.checked_sub(zone * 1_000_000_000)).flatten()
}

/// A method of a time.
pub(crate) fn method(ns: i64, name: &str, arguments: &[Value]) -> Result<Value, String> {
    let (days, of_day) = (ns.div_euclid(DAY_NS), ns.rem_euclid(DAY_NS));
    let (year, month, day) = civil(days);
    Ok(match (name, arguments) {
        ("UTC" | "Local", _) => Value::Time(ns),
        ("Format", [layout]) => Value::Str(format(ns, &layout.text())),
        ("Unix", _) => Value::Int(ns.div_euclid(1_000_000_000)),
        ("UnixMilli", _) => Value::Int(ns.div_euclid(1_000_000)),
        ("UnixMicro", _) => Value::Int(ns.div_euclid(1000)),
        ("UnixNano", _) => Value::Int(ns),
        ("Year", _) => Value::Int(year),
        ("Month", _) => Value::Str(format(ns, "January")),
        ("Day", _) => Value::Int(day),
        ("Weekday", _) => Value::Str(format(ns, "Monday")),
        ("YearDay", _) => Value::Int(days - day_number(year, 1, 1) + 1),
        ("Hour", _) => Value::Int(of_day / 3_600_000_000_000),
        ("Minute", _) => Value::Int(of_day / 60_000_000_000 % 60),
        ("Second", _) => Value::Int(of_day / 1_000_000_000 % 60),
        ("Nanosecond", _) => Value::Int(of_day % 1_000_000_000),
        ("String", _) => Value::Str(Value::Time(ns).text()),
        _ => return Err(format!("can't evaluate field {name} in type time.Time (month {month})")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts() {
        let ns = 1_700_000_000_123_000_000;
        assert_eq!(format(ns, "2006-01-02 15:04:05.000"), "2023-11-14 22:13:20.123");
        assert_eq!(format(ns, "Mon Jan _2 3:04PM"), "Tue Nov 14 10:13PM");
        assert_eq!(format(ns, "2006-01-02T15:04:05.999999999Z07:00"), "2023-11-14T22:13:20.123Z");
        assert_eq!(parse("2006-01-02T15:04:05Z07:00", "2023-11-14T23:13:20.123+01:00"), Some(ns));
        assert_eq!(parse("2006-01-02", "2023-13-14"), None);
    }
}
