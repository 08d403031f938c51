//! Go's layouts: a text in which the parts of Mon Jan 2 15:04:05 MST 2006 stand for the parts of a time.

use super::rfc3339::fraction;
use super::zone::Zone;
use super::{SECOND_NS, day_number, month_days, year_of};

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

#[derive(Clone, Copy, PartialEq, Debug)]
enum Part {
    Year,
    ShortYear,
    Month,
    MonthName,
    MonthShort,
    DayName,
    DayShort,
    Day,
    YearDay,
    Hour,
    Hour12,
    Minute,
    Second,
    /// So many digits, or any number if `None`.
    Fraction(Option<usize>),
    HalfDay,
    /// Whether `Z` stands for no offset.
    Offset(bool),
    ZoneName,
}

/// Parts, longest first where one begins another.
const PARTS: [(&str, Part); 34] = [
    ("January", Part::MonthName),
    ("Jan", Part::MonthShort),
    ("Monday", Part::DayName),
    ("Mon", Part::DayShort),
    ("MST", Part::ZoneName),
    ("2006", Part::Year),
    ("_2006", Part::Year),
    ("Z070000", Part::Offset(true)),
    ("Z07:00:00", Part::Offset(true)),
    ("Z0700", Part::Offset(true)),
    ("Z07:00", Part::Offset(true)),
    ("Z07", Part::Offset(true)),
    ("-070000", Part::Offset(false)),
    ("-07:00:00", Part::Offset(false)),
    ("-0700", Part::Offset(false)),
    ("-07:00", Part::Offset(false)),
    ("-07", Part::Offset(false)),
    ("002", Part::YearDay),
    ("__2", Part::YearDay),
    ("01", Part::Month),
    ("02", Part::Day),
    ("03", Part::Hour12),
    ("04", Part::Minute),
    ("05", Part::Second),
    ("06", Part::ShortYear),
    ("15", Part::Hour),
    ("PM", Part::HalfDay),
    ("pm", Part::HalfDay),
    ("_2", Part::Day),
    ("1", Part::Month),
    ("2", Part::Day),
    ("3", Part::Hour12),
    ("4", Part::Minute),
    ("5", Part::Second),
];

#[derive(Clone, PartialEq, Debug)]
enum Step {
    Literal(String),
    Part(Part),
}

/// A layout that was read.
#[derive(Clone, Debug)]
pub(super) struct Layout(Vec<Step>);

/// What was found.
#[derive(Default)]
struct Found {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    year_day: Option<i64>,
    seconds: i64,
    hour: i64,
    afternoon: Option<bool>,
    fraction_ns: i64,
    offset: Option<i64>,
}

impl Layout {
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if let Some((part, length)) = part(rest, steps.last()) {
                steps.push(Step::Part(part));
                rest = rest.get(length..).unwrap_or("");
                continue;
            }
            match steps.last_mut() {
                Some(Step::Literal(literal)) => literal.push(c),
                _ => steps.push(Step::Literal(c.to_string())),
            }
            rest = rest.get(c.len_utf8()..).unwrap_or("");
        }
        if steps.iter().all(|s| matches!(s, Step::Literal(_))) {
            return Err(format!("no part of Go's reference time (Mon Jan 2 15:04:05 MST 2006) in {text:?}"));
        }
        Ok(Layout(steps))
    }

    pub(super) fn parse(&self, text: &str, zone: Option<&Zone>, now_ns: i64) -> Option<i64> {
        let mut found = Found::default();
        let mut rest = text;
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Literal(literal) => rest = literally(rest, literal)?,
                Step::Part(part) => {
                    take(*part, &mut rest, &mut found)?;
                    let follows = matches!(self.0.get(at + 1), Some(Step::Part(Part::Fraction(_))));
                    // A fraction may follow the seconds even where the layout has none.
                    if *part == Part::Second
                        && !follows
                        && rest.starts_with(['.', ','])
                        && let Some((ns, used)) = fraction(rest.as_bytes().get(1..)?)
                    {
                        found.fraction_ns = ns;
                        rest = rest.get(1 + used..)?;
                    }
                }
            }
        }
        if rest.is_empty() { found.time(zone, now_ns) } else { None }
    }
}

/// Skips a literal; a blank of it stands for any number of blanks, as Go has it.
fn literally<'a>(mut text: &'a str, literal: &str) -> Option<&'a str> {
    let mut blank = false;
    for c in literal.chars() {
        if c == ' ' {
            if !blank && !text.is_empty() && !text.starts_with(' ') {
                return None;
            }
            text = text.trim_start_matches(' ');
        } else {
            text = text.strip_prefix(c)?;
        }
        blank = c == ' ';
    }
    Some(text)
}

/// The part at the start of a layout and its length.
fn part(layout: &str, before: Option<&Step>) -> Option<(Part, usize)> {
    let lower_follows = |n: usize| layout.as_bytes().get(n).is_some_and(u8::is_ascii_lowercase);
    if let Some(tail) = layout.strip_prefix(['.', ',']) {
        let digit = tail.bytes().next().filter(|b| matches!(b, b'0' | b'9'))?;
        let count = tail.bytes().take_while(|b| *b == digit).count();
        let ends = !tail.as_bytes().get(count).is_some_and(u8::is_ascii_digit);
        // `.0` and `.9` are fractions behind seconds only where Go sees them so: before anything that is no digit.
        if !ends || !matches!(before, Some(Step::Part(Part::Second))) {
            return None;
        }
        return Some((Part::Fraction((digit == b'0').then_some(count)), count + 1));
    }
    let (text, part) = PARTS.iter().find(|(text, _)| layout.starts_with(text))?;
    if matches!(part, Part::MonthShort | Part::DayShort) && lower_follows(3) {
        return None;
    }
    Some((*part, text.len()))
}

/// Up to `most` digits as a number.
fn digits(rest: &mut &str, most: usize) -> Option<i64> {
    let count = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let number = rest.get(..count)?.parse().ok()?;
    *rest = rest.get(count..)?;
    Some(number)
}

fn name(rest: &mut &str, names: &[&str], letters: Option<usize>) -> Option<i64> {
    for (at, name) in names.iter().enumerate() {
        let wanted = letters.and_then(|n| name.get(..n)).unwrap_or(name);
        if rest.get(..wanted.len()).is_some_and(|t| t.eq_ignore_ascii_case(wanted)) {
            *rest = rest.get(wanted.len()..)?;
            return Some(at as i64 + 1);
        }
    }
    None
}

fn take(part: Part, rest: &mut &str, found: &mut Found) -> Option<()> {
    let below = |n: i64, limit: i64| (n < limit).then_some(n);
    match part {
        Part::Year => {
            *rest = rest.trim_start_matches(' ');
            found.year = Some(digits(rest, 4)?);
        }
        Part::ShortYear => {
            let year = digits(rest, 2)?;
            found.year = Some(if year >= 69 { 1900 + year } else { 2000 + year });
        }
        Part::Month => found.month = Some(digits(rest, 2)?),
        Part::MonthName => found.month = Some(name(rest, &MONTHS, None)?),
        Part::MonthShort => found.month = Some(name(rest, &MONTHS, Some(3))?),
        Part::DayName => drop(name(rest, &DAYS, None)?),
        Part::DayShort => drop(name(rest, &DAYS, Some(3))?),
        Part::Day => {
            *rest = rest.trim_start_matches(' ');
            found.day = Some(digits(rest, 2)?);
        }
        Part::YearDay => {
            *rest = rest.trim_start_matches(' ');
            found.year_day = Some(digits(rest, 3)?);
        }
        Part::Hour => found.hour = below(digits(rest, 2)?, 24)?,
        Part::Hour12 => found.hour = below(digits(rest, 2)?, 13)?,
        Part::Minute => found.seconds += below(digits(rest, 2)?, 60)? * 60,
        Part::Second => found.seconds += below(digits(rest, 2)?, 61)?,
        Part::Fraction(count) => {
            // `.999` may be missing altogether.
            if !rest.starts_with(['.', ',']) {
                return if count.is_none() { Some(()) } else { None };
            }
            let (ns, used) = fraction(rest.as_bytes().get(1..)?)?;
            if count.is_some_and(|count| count != used) {
                return None;
            }
            found.fraction_ns = ns;
            *rest = rest.get(1 + used..)?;
        }
        Part::HalfDay => {
            let half = rest.get(..2)?;
            found.afternoon = Some(half.eq_ignore_ascii_case("pm"));
            if !half.eq_ignore_ascii_case("pm") && !half.eq_ignore_ascii_case("am") {
                return None;
            }
            *rest = rest.get(2..)?;
        }
        Part::Offset(zulu) => found.offset = Some(offset(rest, zulu)?),
        Part::ZoneName => zone_name(rest, found)?,
    }
    Some(())
}

/// `+01:00`, `-0130`, `+02`
fn offset(rest: &mut &str, zulu: bool) -> Option<i64> {
    if zulu && let Some(tail) = rest.strip_prefix('Z') {
        *rest = tail;
        return Some(0);
    }
    let sign = if rest.starts_with('-') { -1 } else { 1 };
    *rest = rest.strip_prefix(['+', '-'])?;
    let mut seconds = digits(rest, 2)? * 3600;
    for unit in [60, 1] {
        let tail = rest.strip_prefix(':').unwrap_or(rest);
        if !tail.starts_with(|c: char| c.is_ascii_digit()) {
            break;
        }
        *rest = tail;
        seconds += digits(rest, 2)? * unit;
    }
    Some(sign * seconds)
}

/// A name that says where the clock stood. Only UTC and GMT say how far that is from Greenwich; others are left to the
/// stage's location.
fn zone_name(rest: &mut &str, found: &mut Found) -> Option<()> {
    let count = rest.bytes().take(5).take_while(u8::is_ascii_uppercase).count();
    let name = rest.get(..count).filter(|n| n.len() >= 3)?;
    if matches!(name, "UTC" | "GMT") {
        found.offset = Some(0);
    }
    *rest = rest.get(count..)?;
    Some(())
}

impl Found {
    fn time(&self, zone: Option<&Zone>, now_ns: i64) -> Option<i64> {
        let now = now_ns.div_euclid(SECOND_NS);
        let year = self.year.unwrap_or_else(|| year_of(now));
        let time = self.in_year(year, zone)?;
        // Lines of December that are read in January are those of last year.
        if self.year.is_none() && time.div_euclid(SECOND_NS) > now + 86_400 {
            return self.in_year(year - 1, zone);
        }
        Some(time)
    }

    fn in_year(&self, year: i64, zone: Option<&Zone>) -> Option<i64> {
        let day = match self.year_day {
            Some(of_year) if (1..=366).contains(&of_year) => day_number(year, 1, 1) + of_year - 1,
            Some(_) => return None,
            None => {
                let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
                if !(1..=12).contains(&month) || day < 1 || day > month_days(year, month) {
                    return None;
                }
                day_number(year, month, day)
            }
        };
        let hour = match self.afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let local = day * 86_400 + hour * 3600 + self.seconds;
        let utc = match (self.offset, zone) {
            (Some(offset), _) => local - offset,
            (None, Some(zone)) => zone.to_utc(local),
            (None, None) => local,
        };
        utc.checked_mul(SECOND_NS)?.checked_add(self.fraction_ns)
    }
}
