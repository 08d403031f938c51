//! Personal data, for those who ask for it: addresses and numbers of people and their machines.

use super::Found;
use super::kind::Kind;
use regex::bytes::Regex;

/// Expressions of the kinds that were asked for.
pub(super) struct Personal(Vec<(Kind, Regex)>);

/// One expression each; what surrounds a match is looked at apart.
const EXPRESSIONS: [(Kind, &str); 4] = [
    (
        Kind::Email,
        r"(?-u)[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\.[A-Za-z]{2,24}",
    ),
    (
        Kind::Ipv4,
        r"(?-u)(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])",
    ),
    (Kind::Ipv6, r"(?-u)[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}"),
    (Kind::Phone, r"(?-u)\+[1-9][0-9]{0,2}[ .-]?(?:\([0-9]{1,4}\)[ .-]?)?[0-9]{2,4}(?:[ .-]?[0-9]{2,4}){1,4}"),
];

impl Personal {
    pub(super) fn new(kinds: u32) -> Result<Option<Self>, String> {
        let mut expressions = Vec::new();
        for (kind, expression) in EXPRESSIONS {
            if kinds & kind.bit() != 0 {
                expressions.push((kind, Regex::new(expression).map_err(|e| e.to_string())?));
            }
        }
        Ok((!expressions.is_empty()).then_some(Personal(expressions)))
    }

    pub(super) fn find(&self, text: &[u8], mut found: impl FnMut(Found)) {
        for (kind, expression) in &self.0 {
            for hit in expression.find_iter(text) {
                let one = Found { start: hit.start(), end: hit.end(), kind: *kind };
                if is_meant(text, one) {
                    found(one);
                }
            }
        }
    }
}

/// Whether what was found stands for itself: a version is no address, a time is none either.
fn is_meant(text: &[u8], found: Found) -> bool {
    let before = found.start.checked_sub(1).and_then(|at| text.get(at)).copied();
    let after = text.get(found.end).copied();
    let further = text.get(found.end + 1).copied();
    let body = text.get(found.start..found.end).unwrap_or(&[]);
    let word = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    match found.kind {
        Kind::Ipv4 => {
            let dotted = before == Some(b'.') || (after == Some(b'.') && further.is_some_and(|b| b.is_ascii_digit()));
            !word(before) && !word(after) && !dotted
        }
        Kind::Ipv6 => {
            // The standard library knows what is one.
            let text = std::str::from_utf8(body).ok().and_then(|t| t.parse::<std::net::Ipv6Addr>().ok());
            !word(before) && !word(after) && text.is_some_and(|a| !a.is_unspecified() && !a.is_loopback())
        }
        Kind::Phone => {
            let digits = body.iter().filter(|b| b.is_ascii_digit()).count();
            (8..=15).contains(&digits) && !word(before) && !word(after) && after != Some(b':')
        }
        _ => true,
    }
}
