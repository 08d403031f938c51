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

pub(crate) use crate::times::{put_time, time_distance};
use crate::times::{read_clock, read_time};

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

/// Whether a byte is a letter or a digit.
pub(crate) fn is_word(byte: Option<&u8>) -> bool {
    is(byte, WORD)
}

fn is(byte: Option<&u8>, wanted: u8) -> bool {
    byte.is_some_and(|&b| class(b) & wanted != 0)
}

/// Shortest run of letters and digits, with a digit, that is an id, in bytes.
pub(crate) const ID_BYTES_MIN: usize = 16;
/// Bytes of a UUID.
pub(crate) const UUID_BYTES: usize = 36;

/// An id of a line, as filters know it: a maximal run of letters and digits, or what reads as a UUID.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Id {
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) uuid: bool,
}

/// Splits `line` into `template` and `tokens` (both cleared first). `false`: the line cannot be split, because it
/// contains a mark or is longer than 64 KiB.
pub(crate) fn split(line: &[u8], template: &mut Vec<u8>, tokens: &mut Vec<Token>) -> bool {
    split_with_ids(line, template, tokens, &mut Vec::new())
}

/// [`split`], and all ids of the line (cleared first; not all when the line cannot be split).
pub(crate) fn split_with_ids(line: &[u8], template: &mut Vec<u8>, tokens: &mut Vec<Token>, ids: &mut Vec<Id>) -> bool {
    template.clear();
    tokens.clear();
    ids.clear();
    if line.len() > 64 << 10 {
        return false;
    }
    let json = line.starts_with(b"{\"");
    let (mut at, mut literal) = (0, 0);
    while let Some(&byte) = line.get(at) {
        let of = class(byte);
        let found = if of & WORD != 0 {
            let word = word(line, at);
            if word.end - at >= ID_BYTES_MIN && word.any & DIGIT != 0 {
                ids.push(Id { start: at as u32, end: word.end as u32, uuid: false });
            }
            match varying(line, at, &word) {
                Some(token) => token,
                None => {
                    at = word.end;
                    continue;
                }
            }
        } else if of & MARK != 0 {
            return false;
        } else if json && byte == b'"' && at > 0 && line[at - 1] == b':' {
            at += 1;
            match json_value(line, at) {
                Some(token) => {
                    // It has no digits, so it is no run that counts; a UUID may do without.
                    let hyphens = memchr::memchr_iter(b'-', &line[at..token.end as usize]).map(|hyphen| at + hyphen);
                    hyphens.for_each(|hyphen| note_uuid(line, hyphen, ids));
                    token
                }
                None => continue,
            }
        } else {
            if byte == b'-' {
                note_uuid(line, at, ids);
            }
            at += 1;
            continue;
        };
        if found.kind == Kind::Uuid {
            ids.push(Id { start: found.start, end: found.end, uuid: true });
        }
        template.extend_from_slice(&line[literal..found.start as usize]);
        found.kind.put(template);
        tokens.push(found);
        at = found.end as usize;
        literal = at;
    }
    template.extend_from_slice(&line[literal..]);
    true
}

/// Notes the UUID whose first hyphen is at `hyphen`, if there is one, whatever surrounds it.
fn note_uuid(line: &[u8], hyphen: usize, ids: &mut Vec<Id>) {
    if hyphen >= 8 && is_uuid(line, hyphen - 8) {
        ids.push(Id { start: hyphen as u32 - 8, end: (hyphen - 8 + UUID_BYTES) as u32, uuid: true });
    }
}

/// A run of letters and digits: where it ends, and what all and any of its bytes can be part of.
struct Word {
    end: usize,
    all: u8,
    any: u8,
}

fn word(line: &[u8], start: usize) -> Word {
    let mut word = Word { end: line.len(), all: 0xff, any: 0 };
    for (at, &byte) in line.iter().enumerate().skip(start) {
        let of = class(byte);
        if of & WORD == 0 {
            word.end = at;
            break;
        }
        word.all &= of;
        word.any |= of;
    }
    word
}

fn token(kind: Kind, start: usize, end: usize) -> Option<Token> {
    Some(Token { kind, start: start as u32, end: end as u32 })
}

/// The varying token in the word at `start`, which may reach beyond it; `None` when all of it is literal.
fn varying(line: &[u8], start: usize, &Word { end, all, any }: &Word) -> Option<Token> {
    let len = end - start;
    if len == 8 && line.get(end) == Some(&b'-') && is_uuid(line, start) && !is(line.get(start + 36), WORD) {
        return token(Kind::Uuid, start, start + 36);
    }
    if any & DIGIT == 0 {
        return None;
    }
    let word = &line[start..end];
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

/// What each hexadecimal digit stands for; others: anything.
const NIBBLE: [u8; 256] = {
    let mut nibble = [0u8; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        nibble[byte] = match b {
            b'0'..=b'9' => b - b'0',
            b'a'..=b'f' => b - b'a' + 10,
            b'A'..=b'F' => b - b'A' + 10,
            _ => 0,
        };
        byte += 1;
    }
    nibble
};

fn nibble(byte: u8) -> u8 {
    NIBBLE[usize::from(byte)]
}

/// Packs hexadecimal digits two to a byte; an odd last digit gets a byte of its own.
pub(crate) fn pack_hex(text: &[u8], out: &mut Vec<u8>) {
    let pairs = text.chunks_exact(2);
    let odd = pairs.remainder().first().map(|&digit| nibble(digit) << 4);
    out.extend(pairs.map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])));
    out.extend(odd);
}

/// Packs a UUID of 36 bytes into 16.
pub(crate) fn pack_uuid(text: &[u8], out: &mut Vec<u8>) {
    for (from, to) in [(0, 8), (9, 13), (14, 18), (19, 23), (24, UUID_BYTES)] {
        pack_hex(text.get(from..to).unwrap_or_default(), out);
    }
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
}
