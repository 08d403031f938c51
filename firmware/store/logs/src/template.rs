//! Lines as a template and the tokens that vary.
//!
//! A template is the line with each varying token replaced by a mark: one byte of 1 to 8, for some kinds followed
//! by a width. Lines that contain such bytes themselves are not split. What a token's kind holds prints back to
//! exactly the same bytes; words that fit no kind are text, words without digits stay in the template.
//!
//! | mark | kind | example |
//! | --- | --- | --- |
//! | 1 | digits, at most 19 | `0042` |
//! | 2 w, 3 w | w hexadecimal digits, lower, upper | `9f4ef63a` |
//! | 4 | any other word with a digit | `a1x` |
//! | 5 | UUID, lower | |
//! | 6 f | time of RFC 3339 in UTC with f fractional digits | `2026-11-19T00:00:00.123Z` |
//! | 7 | time of day | `12:34:56` |
//! | 8 | string value of a JSON line, without digits and escapes | |

use crate::varint::{unzigzag, zigzag};

/// Kind of a varying token; the number is its mark.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Digits.
    Number,
    /// This many lower-case hexadecimal digits.
    HexLower(u8),
    /// This many upper-case hexadecimal digits.
    HexUpper(u8),
    /// A word.
    Text,
    /// A UUID.
    Uuid,
    /// Date and time with this many fractional digits.
    Time(u8),
    /// Time of day.
    Clock,
    /// A string value of a JSON line.
    Value,
}

const LAST_MARK: u8 = 8;
/// Longest string value of a JSON line that is taken out of the template, in bytes.
const VALUE_BYTES_MAX: usize = 64;
/// Longest hexadecimal token, in digits.
const HEX_DIGITS_MAX: usize = 200;

/// A varying token of a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// One part of a template.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    /// Bytes `start..end` of the template, as they are.
    Literal(u32, u32),
    /// The next varying token.
    Slot(Kind),
}

impl Kind {
    fn put(self, template: &mut Vec<u8>) {
        match self {
            Kind::Number => template.push(1),
            Kind::HexLower(width) => template.extend([2, width]),
            Kind::HexUpper(width) => template.extend([3, width]),
            Kind::Text => template.push(4),
            Kind::Uuid => template.push(5),
            Kind::Time(digits) => template.extend([6, digits]),
            Kind::Clock => template.push(7),
            Kind::Value => template.push(8),
        }
    }
}

/// Cuts a template into its parts; `None` when it is damaged.
pub(crate) fn parts(template: &[u8]) -> Option<Vec<Part>> {
    let (mut out, mut at, mut literal) = (Vec::new(), 0, 0);
    while let Some(&byte) = template.get(at) {
        if !(1..=LAST_MARK).contains(&byte) {
            at += 1;
            continue;
        }
        if literal < at {
            out.push(Part::Literal(literal as u32, at as u32));
        }
        let width = || template.get(at + 1).copied();
        let (kind, len) = match byte {
            1 => (Kind::Number, 1),
            2 => (Kind::HexLower(width()?), 2),
            3 => (Kind::HexUpper(width()?), 2),
            4 => (Kind::Text, 1),
            5 => (Kind::Uuid, 1),
            6 => (Kind::Time(width().filter(|&d| d <= 9)?), 2),
            7 => (Kind::Clock, 1),
            _ => (Kind::Value, 1),
        };
        out.push(Part::Slot(kind));
        at += len;
        literal = at;
    }
    if literal < at {
        out.push(Part::Literal(literal as u32, at as u32));
    }
    Some(out)
}

const DIGIT: u8 = 1;
const HEX_LOWER: u8 = 2;
const HEX_UPPER: u8 = 4;
const WORD: u8 = 8;
const MARK: u8 = 16;

/// What each byte can be part of.
const CLASS: [u8; 256] = {
    let mut class = [0u8; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        class[byte] = match b {
            b'0'..=b'9' => DIGIT | HEX_LOWER | HEX_UPPER | WORD,
            b'a'..=b'f' => HEX_LOWER | WORD,
            b'A'..=b'F' => HEX_UPPER | WORD,
            b'g'..=b'z' | b'G'..=b'Z' => WORD,
            1..=LAST_MARK => MARK,
            _ => 0,
        };
        byte += 1;
    }
    class
};

fn class(byte: u8) -> u8 {
    CLASS[usize::from(byte)]
}

fn is(byte: Option<&u8>, wanted: u8) -> bool {
    byte.is_some_and(|&b| class(b) & wanted != 0)
}

/// Splits `line` into `template` and `tokens` (both cleared first). `false`: the line cannot be split, because it
/// contains a mark or is longer than 64 KiB.
pub(crate) fn split(line: &[u8], template: &mut Vec<u8>, tokens: &mut Vec<Token>) -> bool {
    template.clear();
    tokens.clear();
    if line.len() > 64 << 10 {
        return false;
    }
    let json = line.starts_with(b"{\"");
    let (mut at, mut literal) = (0, 0);
    while let Some(&byte) = line.get(at) {
        let of = class(byte);
        let found = if of & WORD != 0 {
            let end = word_end(line, at);
            match varying(line, at, end) {
                Some(token) => token,
                None => {
                    at = end;
                    continue;
                }
            }
        } else if of & MARK != 0 {
            return false;
        } else if json && byte == b'"' && at > 0 && line[at - 1] == b':' {
            at += 1;
            match json_value(line, at) {
                Some(token) => token,
                None => continue,
            }
        } else {
            at += 1;
            continue;
        };
        template.extend_from_slice(&line[literal..found.start as usize]);
        found.kind.put(template);
        tokens.push(found);
        at = found.end as usize;
        literal = at;
    }
    template.extend_from_slice(&line[literal..]);
    true
}

fn word_end(line: &[u8], start: usize) -> usize {
    line[start..].iter().position(|&b| class(b) & WORD == 0).map_or(line.len(), |n| start + n)
}

fn token(kind: Kind, start: usize, end: usize) -> Option<Token> {
    Some(Token { kind, start: start as u32, end: end as u32 })
}

/// The varying token in the word `start..end`, which may reach beyond it; `None` when all of it is literal.
fn varying(line: &[u8], start: usize, end: usize) -> Option<Token> {
    let word = &line[start..end];
    let len = word.len();
    if len == 8 && line.get(end) == Some(&b'-') && is_uuid(line, start) && !is(line.get(start + 36), WORD) {
        return token(Kind::Uuid, start, start + 36);
    }
    let (mut all, mut any) = (0xffu8, 0u8);
    for &byte in word {
        all &= class(byte);
        any |= class(byte);
    }
    if any & DIGIT == 0 {
        return None;
    }
    if all & DIGIT != 0 {
        if len == 4
            && let Some(time) = read_time(&line[start..])
        {
            return token(Kind::Time(time.digits), start, start + time.bytes);
        }
        if len == 2 && read_clock(&line[start..]).is_some() && !is(line.get(start + 8), WORD) {
            return token(Kind::Clock, start, start + 8);
        }
        return token(if len <= 19 { Kind::Number } else { Kind::Text }, start, end);
    }
    if (8..=HEX_DIGITS_MAX).contains(&len) && all & HEX_LOWER != 0 {
        return token(Kind::HexLower(len as u8), start, end);
    }
    if (8..=HEX_DIGITS_MAX).contains(&len) && all & HEX_UPPER != 0 {
        return token(Kind::HexUpper(len as u8), start, end);
    }
    let first_digit = word.iter().position(u8::is_ascii_digit).unwrap_or(0);
    let digits = word[first_digit..].iter().take_while(|b| b.is_ascii_digit()).count();
    let rest = len - first_digit - digits;
    let one_number = digits <= 19 && (rest == 0 || (first_digit == 0 && rest <= 3));
    if one_number && !word[first_digit + digits..].iter().any(u8::is_ascii_digit) {
        return token(Kind::Number, start + first_digit, start + first_digit + digits);
    }
    token(Kind::Text, start, end)
}

/// The value of a JSON string that starts at `start`, when it is short and has no digits, escapes and marks.
fn json_value(line: &[u8], start: usize) -> Option<Token> {
    let window = &line[start..line.len().min(start + VALUE_BYTES_MAX + 1)];
    let len = window.iter().position(|&b| b == b'"')?;
    let plain = window[..len].iter().all(|&b| b >= 0x20 && b != b'\\' && !b.is_ascii_digit());
    if plain && len > 0 { token(Kind::Value, start, start + len) } else { None }
}

/// Whether 36 bytes at `start` are a UUID in lower case.
pub(crate) fn is_uuid(line: &[u8], start: usize) -> bool {
    let Some(bytes) = line.get(start..).and_then(|rest| rest.get(..36)) else { return false };
    bytes.iter().enumerate().all(|(at, &byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => class(byte) & HEX_LOWER != 0,
    })
}

fn two(bytes: &[u8], at: usize) -> Option<i64> {
    match bytes.get(at..at + 2)? {
        [a @ b'0'..=b'9', b @ b'0'..=b'9'] => Some(i64::from(a - b'0') * 10 + i64::from(b - b'0')),
        _ => None,
    }
}

/// Seconds of the day of `HH:MM:SS` at the front of `bytes`.
fn read_clock(bytes: &[u8]) -> Option<i64> {
    if bytes.get(2) != Some(&b':') || bytes.get(5) != Some(&b':') {
        return None;
    }
    let (hour, minute, second) = (two(bytes, 0)?, two(bytes, 3)?, two(bytes, 6)?);
    (hour < 24 && minute < 60 && second < 60).then_some(hour * 3600 + minute * 60 + second)
}

struct TimeRead {
    /// Whole units of 10^-digits seconds since the epoch.
    units: i64,
    digits: u8,
    bytes: usize,
}

const POW10: [i64; 10] = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];

/// `YYYY-MM-DDTHH:MM:SS[.f]Z` at the front of `bytes`, years 1970 to 2199 so that nanoseconds fit.
fn read_time(bytes: &[u8]) -> Option<TimeRead> {
    let separators = [bytes.get(4)?, bytes.get(7)?, bytes.get(10)?];
    if separators != [&b'-', &b'-', &b'T'] {
        return None;
    }
    let year = two(bytes, 0)? * 100 + two(bytes, 2)?;
    let (month, day) = (two(bytes, 5)?, two(bytes, 8)?);
    let seconds = read_clock(bytes.get(11..)?)?;
    if !(1970..2200).contains(&year) || !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    let mut digits = 0;
    let mut fraction = 0i64;
    if bytes.get(19) == Some(&b'.') {
        digits = bytes.get(20..)?.iter().take(10).take_while(|b| b.is_ascii_digit()).count();
        if !(1..=9).contains(&digits) {
            return None;
        }
        fraction = bytes.get(20..20 + digits)?.iter().fold(0, |n, b| n * 10 + i64::from(b - b'0'));
    }
    let end = if digits == 0 { 19 } else { 20 + digits };
    if bytes.get(end) != Some(&b'Z') || is(bytes.get(end + 1), WORD) {
        return None;
    }
    let units = (days_from_civil(year, month, day) * 86_400 + seconds) * POW10[digits] + fraction;
    Some(TimeRead { units, digits: digits as u8, bytes: end + 1 })
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since the epoch of a date of the Gregorian calendar; years start in March so that leap days come last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The inverse of [`days_from_civil`].
pub(crate) fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let month = (shifted_month + 2) % 12 + 1;
    (year_of_era + era * 400 + i64::from(month <= 2), month, of_year - (153 * shifted_month + 2) / 5 + 1)
}

/// A time token as its distance from the entry's own timestamp: nearly always small and regular.
pub(crate) fn time_distance(kind: Kind, text: &[u8], timestamp_ns: i64) -> u64 {
    match kind {
        Kind::Time(digits) => {
            let units = read_time(text).map_or(0, |t| t.units);
            zigzag(units.wrapping_sub(own_units(digits, timestamp_ns)))
        }
        _ => zigzag(read_clock(text).unwrap_or(0) - own_clock(timestamp_ns)),
    }
}

fn own_units(digits: u8, timestamp_ns: i64) -> i64 {
    timestamp_ns.div_euclid(POW10[9 - usize::from(digits.min(9))])
}

fn own_clock(timestamp_ns: i64) -> i64 {
    timestamp_ns.div_euclid(1_000_000_000).rem_euclid(86_400)
}

/// Prints what [`time_distance`] measured.
pub(crate) fn put_time(kind: Kind, distance: u64, timestamp_ns: i64, out: &mut Vec<u8>) {
    let distance = unzigzag(distance);
    match kind {
        Kind::Time(digits) => {
            let units = distance.wrapping_add(own_units(digits, timestamp_ns));
            let pow = POW10[usize::from(digits.min(9))];
            let (seconds, fraction) = (units.div_euclid(pow), units.rem_euclid(pow));
            let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
            put_digits(year.unsigned_abs(), 4, out);
            out.push(b'-');
            put_digits(month as u64, 2, out);
            out.push(b'-');
            put_digits(day as u64, 2, out);
            out.push(b'T');
            put_clock(seconds.rem_euclid(86_400), out);
            if digits > 0 {
                out.push(b'.');
                put_digits(fraction as u64, usize::from(digits), out);
            }
            out.push(b'Z');
        }
        _ => put_clock(distance.wrapping_add(own_clock(timestamp_ns)).rem_euclid(86_400), out),
    }
}

fn put_clock(seconds: i64, out: &mut Vec<u8>) {
    put_digits(seconds as u64 / 3600, 2, out);
    out.push(b':');
    put_digits(seconds as u64 / 60 % 60, 2, out);
    out.push(b':');
    put_digits(seconds as u64 % 60, 2, out);
}

/// Prints `value` with at least `width` digits.
pub(crate) fn put_digits(mut value: u64, width: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 32];
    let mut at = digits.len();
    while value > 0 {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    let at = at.min(digits.len() - width.min(digits.len()));
    out.extend_from_slice(&digits[at..]);
}

/// A number token's value. `text` is at most 19 digits.
pub(crate) fn number(text: &[u8]) -> u64 {
    text.iter().fold(0u64, |n, &b| n.wrapping_mul(10).wrapping_add(u64::from(b.wrapping_sub(b'0'))))
}

/// How many digits `value` needs; 1 for zero.
pub(crate) fn digits_of(value: u64) -> usize {
    value.checked_ilog10().map_or(1, |n| n as usize + 1)
}

fn nibble(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => byte.wrapping_sub(b'A').wrapping_add(10) & 15,
    }
}

/// Packs hexadecimal digits two to a byte, skipping the hyphens of a UUID; an odd last digit gets a byte of its own.
pub(crate) fn pack_hex(text: &[u8], out: &mut Vec<u8>) {
    let mut high = None;
    for &byte in text.iter().filter(|&&b| b != b'-') {
        match high.take() {
            None => high = Some(nibble(byte) << 4),
            Some(h) => out.push(h | nibble(byte)),
        }
    }
    out.extend(high);
}

/// Prints `digits` hexadecimal digits of `packed`.
pub(crate) fn put_hex(packed: &[u8], digits: usize, upper: bool, out: &mut Vec<u8>) {
    let alphabet: &[u8; 16] = if upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    let start = out.len();
    for &byte in packed {
        out.extend([alphabet[usize::from(byte >> 4)], alphabet[usize::from(byte & 15)]]);
    }
    out.truncate(start + digits);
}

/// Prints a UUID of 16 packed bytes.
pub(crate) fn put_uuid(packed: &[u8], out: &mut Vec<u8>) {
    for (at, &byte) in packed.iter().take(16).enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        put_hex(&[byte], 2, false, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(line: &str) -> String {
        let (mut template, mut tokens) = (Vec::new(), Vec::new());
        assert!(split(line.as_bytes(), &mut template, &mut tokens));
        let mut out = String::new();
        for part in parts(&template).unwrap() {
            match part {
                Part::Literal(a, b) => out.push_str(std::str::from_utf8(&template[a as usize..b as usize]).unwrap()),
                Part::Slot(kind) => out.push_str(&format!("<{kind:?}>")),
            }
        }
        out
    }

    #[test]
    fn tokens_are_found() {
        assert_eq!(shape("took 12ms on rpi-003"), "took <Number>ms on rpi-<Number>");
        assert_eq!(shape("a 9f4ef63a1 b DEADBEEF1 c a1x2"), "a <HexLower(9)> b <HexUpper(9)> c <Text>");
        assert_eq!(shape("12:34:56,1 24:00:00"), "<Clock>,<Number> <Number>:<Number>:<Number>");
        assert_eq!(shape("2026-11-19T00:00:00.123Z x"), "<Time(3)> x");
        assert_eq!(
            shape("2026-02-30T00:00:00Z"),
            "<Number>-<Number>-<Text>:<Number>:<Text>".replace("<Text>:<Number>:<Text>", "<Text>:<Number>:<Number>Z")
        );
        assert_eq!(shape(r#"{"level":"info","n":"a\"b"}"#), r#"{"level":"<Value>","n":"a\"b"}"#);
        assert_eq!(shape("id f81d4fae-7dec-11d0-a765-00a0c91e6bf6."), "id <Uuid>.");
    }

    #[test]
    fn dates_round_trip() {
        for days in (0..84_000).step_by(13) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
    }
}
