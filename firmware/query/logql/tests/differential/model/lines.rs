//! Readers of lines, a character at a time.

use std::net::Ipv4Addr;

/// A JSON value with its own text.
#[derive(Clone, Debug)]
pub(crate) struct Json {
    pub(crate) raw: String,
    pub(crate) kind: JsonKind,
}

#[derive(Clone, Debug)]
pub(crate) enum JsonKind {
    Null,
    Plain,
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

struct Reader {
    text: Vec<char>,
    at: usize,
}

impl Reader {
    fn blank(&mut self) {
        while self.text.get(self.at).is_some_and(|c| c.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn next_is(&mut self, c: char) -> bool {
        self.blank();
        let found = self.text.get(self.at) == Some(&c);
        if found {
            self.at += 1;
        }
        found
    }

    fn string(&mut self) -> Option<String> {
        if !self.next_is('"') {
            return None;
        }
        let mut units: Vec<u16> = Vec::new();
        loop {
            let c = *self.text.get(self.at)?;
            self.at += 1;
            match c {
                '"' => return Some(String::from_utf16_lossy(&units)),
                '\\' => {
                    let c = *self.text.get(self.at)?;
                    self.at += 1;
                    if c == 'u' {
                        let digits: String = self.text.get(self.at..self.at + 4)?.iter().collect();
                        self.at += 4;
                        units.push(u16::from_str_radix(&digits, 16).ok()?);
                    } else {
                        units.push(c as u16);
                    }
                }
                c => units.extend(c.encode_utf16(&mut [0; 2]).iter()),
            }
        }
    }

    fn value(&mut self) -> Option<Json> {
        self.blank();
        let start = self.at;
        let kind = match self.text.get(self.at)? {
            '"' => JsonKind::Text(self.string()?),
            '[' => {
                self.at += 1;
                let mut list = Vec::new();
                while !self.next_is(']') {
                    list.push(self.value()?);
                    self.next_is(',');
                }
                JsonKind::List(list)
            }
            '{' => {
                let (members, whole) = self.object();
                if !whole {
                    return None;
                }
                JsonKind::Object(members)
            }
            _ => {
                while self.text.get(self.at).is_some_and(|c| c.is_ascii_alphanumeric() || "+-.".contains(*c)) {
                    self.at += 1;
                }
                let word: String = self.text[start..self.at].iter().collect();
                match word.as_str() {
                    "" => return None,
                    "null" => JsonKind::Null,
                    _ => JsonKind::Plain,
                }
            }
        };
        Some(Json { raw: self.text[start..self.at].iter().collect(), kind })
    }

    /// Members up to where the text breaks off, and whether it does not.
    fn object(&mut self) -> (Vec<(String, Json)>, bool) {
        let mut members = Vec::new();
        if !self.next_is('{') {
            return (members, false);
        }
        if self.next_is('}') {
            return (members, true);
        }
        loop {
            let Some(key) = self.string() else { return (members, false) };
            if !self.next_is(':') {
                return (members, false);
            }
            let Some(value) = self.value() else { return (members, false) };
            members.push((key, value));
            if self.next_is('}') {
                return (members, true);
            }
            if !self.next_is(',') {
                return (members, false);
            }
        }
    }
}

/// The members of a line, and whether it is a whole object.
pub(crate) fn json(line: &str) -> (Vec<(String, Json)>, bool) {
    Reader { text: line.chars().collect(), at: 0 }.object()
}

/// Pairs of a logfmt line, and whether there was nothing else. `strict`: up to there.
pub(crate) fn logfmt(line: &str, strict: bool) -> (Vec<(String, String)>, bool) {
    let text: Vec<char> = line.chars().collect();
    let (mut pairs, mut clean, mut at) = (Vec::new(), true, 0);
    while at < text.len() {
        if text[at] <= ' ' {
            at += 1;
            continue;
        }
        match pair(&text, &mut at) {
            Some(pair) => pairs.push(pair),
            None => {
                clean = false;
                if strict {
                    break;
                }
                while at < text.len() && text[at] > ' ' {
                    at += 1;
                }
            }
        }
    }
    (pairs, clean)
}

fn pair(text: &[char], at: &mut usize) -> Option<(String, String)> {
    let mut key = String::new();
    while let Some(&c) = text.get(*at) {
        match c {
            '=' if key.is_empty() => return None,
            '"' => return None,
            c if c == '=' || c <= ' ' => break,
            c => key.push(c),
        }
        *at += 1;
    }
    let mut value = String::new();
    if text.get(*at) != Some(&'=') {
        return Some((key, value));
    }
    *at += 1;
    if text.get(*at) == Some(&'"') {
        *at += 1;
        while let Some(&c) = text.get(*at) {
            *at += 1;
            match c {
                '"' => return Some((key, value)),
                '\\' => {
                    value.push(*text.get(*at)?);
                    *at += 1;
                }
                c => value.push(c),
            }
        }
        return None;
    }
    while let Some(&c) = text.get(*at) {
        match c {
            '=' | '"' => return None,
            c if c <= ' ' => break,
            c => value.push(c),
        }
        *at += 1;
    }
    Some((key, value))
}

/// What stands between the captures of a pattern: (literal, name of the capture behind it).
fn parts(pattern: &str) -> Vec<(String, Option<String>)> {
    let mut out = vec![(String::new(), None)];
    let mut rest = pattern;
    while !rest.is_empty() {
        let capture = rest
            .strip_prefix('<')
            .and_then(|r| r.split_once('>'))
            .filter(|(n, _)| !n.is_empty() && n.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
        if let Some((name, after)) = capture {
            out.last_mut().unwrap().1 = Some(name.to_owned());
            out.push((String::new(), None));
            rest = after;
        } else {
            let c = rest.chars().next().unwrap();
            out.last_mut().unwrap().0.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    (0..=haystack.len().checked_sub(needle.len())?).find(|&i| haystack[i..].starts_with(needle))
}

pub(crate) fn contains(line: &[u8], text: &str) -> bool {
    find(line, text.as_bytes()).is_some()
}

/// Named captures of a line.
pub(crate) fn captures(pattern: &str, line: &[u8]) -> Vec<(String, String)> {
    let parts = parts(pattern);
    let mut out = Vec::new();
    let Some(mut rest) = line.strip_prefix(parts[0].0.as_bytes()) else { return out };
    if line.is_empty() {
        return out;
    }
    for pair in parts.windows(2) {
        let Some(name) = &pair[0].1 else { break };
        let literal = pair[1].0.as_bytes();
        let end = if literal.is_empty() { None } else { find(rest, literal) };
        let value = &rest[..end.unwrap_or(rest.len())];
        if name != "_" {
            out.push((name.clone(), String::from_utf8_lossy(value).into_owned()));
        }
        let Some(end) = end else { break };
        rest = &rest[end + literal.len()..];
    }
    out
}

/// Whether a line has the shape of a pattern: each literal at its first place behind the one before.
pub(crate) fn has_shape(pattern: &str, line: &[u8]) -> bool {
    if line.is_empty() {
        return pattern.is_empty();
    }
    let parts = parts(pattern);
    let Some(mut rest) = line.strip_prefix(parts[0].0.as_bytes()) else { return false };
    let (last, middle) = parts[1..].split_last().unwrap();
    for (literal, _) in middle {
        let Some(at) = find(rest, literal.as_bytes()) else { return false };
        rest = &rest[at + literal.len()..];
    }
    if last.0.is_empty() {
        return !rest.is_empty();
    }
    find(rest, last.0.as_bytes()).is_some_and(|at| at + last.0.len() == rest.len())
}

/// Whether `text` is an address within `wanted`: an address, a range or a prefix.
pub(crate) fn is_ip(wanted: &str, text: &str) -> bool {
    let Ok(address) = text.parse::<Ipv4Addr>() else { return false };
    let number = |text: &str| u32::from(text.parse::<Ipv4Addr>().unwrap());
    let (low, high) = if let Some((a, b)) = wanted.split_once('-') {
        (number(a), number(b))
    } else if let Some((a, bits)) = wanted.split_once('/') {
        let size = 1u32 << (32 - bits.parse::<u32>().unwrap());
        (number(a) / size * size, number(a) / size * size + (size - 1))
    } else {
        (number(wanted), number(wanted))
    };
    (low..=high).contains(&u32::from(address))
}

pub(crate) fn has_ip(wanted: &str, line: &[u8]) -> bool {
    let text: String = line.iter().map(|b| if b.is_ascii_digit() || *b == b'.' { *b as char } else { ' ' }).collect();
    text.split(' ').any(|word| is_ip(wanted, word) || is_ip(wanted, word.trim_matches('.')))
}

/// Without `ESC [ … letter`.
pub(crate) fn decolorized(line: &[u8]) -> Vec<u8> {
    regex::bytes::Regex::new(r"\x1b\[[0-9;?]*[A-Za-z]").unwrap().replace_all(line, &b""[..]).into_owned()
}

/// Seconds.
pub(crate) fn duration(text: &str) -> Option<f64> {
    if text == "0" {
        return Some(0.0);
    }
    for (unit, seconds) in [("ms", 1e-3), ("s", 1.0), ("h", 3600.0)] {
        if let Some(number) = text.strip_suffix(unit).and_then(|n| n.parse::<f64>().ok()) {
            return Some(number * seconds);
        }
    }
    None
}

pub(crate) fn bytes(text: &str) -> Option<f64> {
    let lower = text.to_lowercase();
    for (unit, factor) in [("kb", 1e3), ("mib", 1024.0 * 1024.0), ("", 1.0)] {
        let Some(number) = lower.strip_suffix(unit) else { continue };
        if !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.') {
            return number.parse::<f64>().ok().map(|n| (n * factor).floor());
        }
    }
    None
}
