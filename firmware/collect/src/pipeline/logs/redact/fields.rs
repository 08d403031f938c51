//! Fields whose name says that the value is a secret: `password=…`, `"api_key": "…"`, `Authorization: …`.

use super::Found;
use super::kind::Kind;
use super::tokens::mixed;

/// Parts of names that say so. Each is a piece without its first letter, so that one spelling serves two.
pub(super) const TRIGGERS: [&str; 22] = [
    "assword",
    "ASSWORD",
    "asswd",
    "ASSWD",
    "pwd",
    "PWD",
    "assphrase",
    "ASSPHRASE",
    "ecret",
    "ECRET",
    "oken",
    "OKEN",
    "pi_key",
    "pikey",
    "piKey",
    "pi-key",
    "pi-Key",
    "PI-KEY",
    "PI_KEY",
    "PIKEY",
    "uthorization",
    "ivate_key",
];

/// What a name says of the value.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Says {
    /// Whatever it is, it is secret.
    Password,
    /// It is secret if it looks like one: there are harmless things of this name.
    Perhaps,
    /// A scheme and credentials.
    Authorization,
    /// A key of forty bytes.
    AwsSecret,
}

/// Names, without what joins their words, and in small letters; a longer name that ends like this is one too.
const NAMES: [(&str, Says); 30] = [
    ("secretaccesskey", Says::AwsSecret),
    ("awssecretkey", Says::AwsSecret),
    ("password", Says::Password),
    ("passwd", Says::Password),
    ("passphrase", Says::Password),
    ("userpwd", Says::Password),
    ("dbpwd", Says::Password),
    ("mysqlpwd", Says::Password),
    ("adminpwd", Says::Password),
    ("pwd", Says::Perhaps),
    ("clientsecret", Says::Password),
    ("consumersecret", Says::Password),
    ("appsecret", Says::Password),
    ("sharedsecret", Says::Password),
    ("webhooksecret", Says::Password),
    ("jwtsecret", Says::Password),
    ("secretkey", Says::Perhaps),
    ("secret", Says::Perhaps),
    ("accesstoken", Says::Perhaps),
    ("refreshtoken", Says::Perhaps),
    ("authtoken", Says::Perhaps),
    ("sessiontoken", Says::Perhaps),
    ("idtoken", Says::Perhaps),
    ("apitoken", Says::Perhaps),
    ("bearertoken", Says::Perhaps),
    ("token", Says::Perhaps),
    ("apikey", Says::Perhaps),
    ("privatekey", Says::Perhaps),
    ("authorization", Says::Authorization),
    ("proxyauthorization", Says::Authorization),
];

/// Longest name looked at, bytes.
const NAME_MAX_BYTES: usize = 64;
/// Shortest value that looks like a secret.
const SECRET_MIN_BYTES: usize = 12;

fn of_name(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')
}

/// What a whole name says.
fn says(name: &[u8]) -> Option<Says> {
    // Nearly all names end in a letter that none of these ends in.
    let last = name.iter().rev().find(|b| b.is_ascii_alphanumeric())?.to_ascii_lowercase();
    if !matches!(last, b'd' | b'e' | b'n' | b't' | b'y') {
        return None;
    }
    let mut plain = [0u8; NAME_MAX_BYTES];
    let mut length = 0;
    for byte in name.iter().filter(|b| b.is_ascii_alphanumeric()) {
        *plain.get_mut(length)? = byte.to_ascii_lowercase();
        length += 1;
    }
    let plain = plain.get(..length)?;
    NAMES.iter().find(|(wanted, _)| plain.ends_with(wanted.as_bytes())).map(|(_, says)| *says)
}

/// Whether a value is hidden already, or a placeholder for one.
pub(super) fn is_hidden(value: &[u8]) -> bool {
    let Some(first) = value.first() else { return true };
    let masks = |b: &u8| matches!(b, b'*' | b'.' | b'#' | b'-' | b'?' | b'\xe2' | b'\x80' | b'\xa2');
    value.iter().all(masks)
        || (value.len() >= 3 && value.iter().all(|b| matches!(b, b'x' | b'X')))
        || matches!(first, b'$' | b'<' | b'{' | b'[' | b'(' | b'%')
        || value.eq_ignore_ascii_case(b"redacted")
        || value.eq_ignore_ascii_case(b"[redacted]")
}

/// Words that stand where a value is not told.
fn is_word_of_state(value: &[u8]) -> bool {
    const WORDS: [&str; 16] = [
        "null",
        "nil",
        "none",
        "true",
        "false",
        "undefined",
        "empty",
        "yes",
        "no",
        "ok",
        "set",
        "unset",
        "required",
        "invalid",
        "missing",
        "n/a",
    ];
    WORDS.iter().any(|w| value.eq_ignore_ascii_case(w.as_bytes()))
}

/// Whether a value looks like a secret: long enough, letters and digits, no path, no sentence, no number with a unit.
fn looks_secret(value: &[u8]) -> bool {
    value.len() >= SECRET_MIN_BYTES
        && mixed(value)
        && !value.starts_with(b"/")
        && value.iter().all(|b| b.is_ascii_graphic())
        && !value.iter().any(|b| matches!(b, b'(' | b'{'))
        && longest_part(value) >= SECRET_MIN_BYTES
}

/// The longest piece between what joins words and parts of names: `monitoring/grafana-7f` is a name.
fn longest_part(value: &[u8]) -> usize {
    value.split(|b| matches!(b, b'/' | b'-' | b'.' | b'_' | b':' | b'@')).map(dense).max().unwrap_or(0)
}

/// Length of a piece that mixes letters and digits; 0 for one that does not.
fn dense(part: &[u8]) -> usize {
    if mixed(part) { part.len() } else { 0 }
}

/// A value behind a name: where it is, and how it was written.
struct Value {
    start: usize,
    end: usize,
    /// In quotes, or behind an equals sign: all of it belongs to the name.
    firm: bool,
}

/// Looks at a part of a name at `start..end`.
pub(super) fn look(text: &[u8], start: usize, end: usize) -> Option<Found> {
    let before = text.get(..start)?.iter().rev().take(NAME_MAX_BYTES).take_while(|b| of_name(**b)).count();
    let after = text.get(end..)?.iter().take(NAME_MAX_BYTES).take_while(|b| of_name(**b)).count();
    let name_end = end + after;
    // A part in the middle of a name is none, unless the rest makes it one: `secretAccessKey`.
    let says = says(text.get(start - before..name_end)?)?;
    if says == Says::Authorization {
        return authorization(text, name_end);
    }
    let value = value(text, name_end)?;
    found(says, text.get(value.start..value.end)?, value.firm).map(|kind| Found {
        start: value.start,
        end: value.end,
        kind,
    })
}

/// Whether the value of a field of this name is a secret, and of which kind.
pub(super) fn of_field(name: &[u8], value: &[u8]) -> Option<Kind> {
    match says(name)? {
        Says::Authorization => (value.len() >= 8 && !is_hidden(value)).then_some(Kind::Authorization),
        says => found(says, value, true),
    }
}

fn found(says: Says, value: &[u8], firm: bool) -> Option<Kind> {
    if is_hidden(value) || is_word_of_state(value) {
        return None;
    }
    let telling = value.iter().any(|b| !b.is_ascii_alphabetic() && *b != b'.');
    match says {
        // A word alone behind a colon may be prose.
        Says::Password => (firm || (telling && value.len() >= 4)).then_some(Kind::Password),
        Says::AwsSecret => (value.len() >= 40).then_some(Kind::AwsSecretKey),
        Says::Perhaps | Says::Authorization => looks_secret(value).then_some(Kind::Secret),
    }
}

/// Skips blanks, `"` and `\"`; whether there was a quote.
fn quote(text: &[u8], at: &mut usize) -> Option<u8> {
    if text.get(*at) == Some(&b'\\') && matches!(text.get(*at + 1), Some(b'"' | b'\'')) {
        *at += 1;
    }
    let quote = *text.get(*at).filter(|b| matches!(b, b'"' | b'\''))?;
    *at += 1;
    Some(quote)
}

fn blanks(text: &[u8], at: &mut usize) {
    while text.get(*at).is_some_and(|b| matches!(b, b' ' | b'\t')) {
        *at += 1;
    }
}

/// What joins a name and its value; whether it binds them firmly.
fn joint(text: &[u8], at: &mut usize) -> Option<bool> {
    let quoted = quote(text, at).is_some();
    blanks(text, at);
    let firm = match text.get(*at)? {
        b'=' => true,
        b':' => quoted,
        _ => return None,
    };
    *at += 1;
    // `=>`, `==` and `:=` join too.
    if text.get(*at).is_some_and(|b| matches!(b, b'>' | b'=')) {
        *at += 1;
    }
    blanks(text, at);
    Some(firm)
}

fn value(text: &[u8], name_end: usize) -> Option<Value> {
    let mut at = name_end;
    let firm = joint(text, &mut at)?;
    if let Some(quote) = quote(text, &mut at) {
        let rest = text.get(at..)?;
        let mut escaped = false;
        let length = rest.iter().position(|b| {
            let ends = *b == quote && !escaped || (*b == b'\\' && !escaped && rest.len() == 1);
            escaped = *b == b'\\' && !escaped;
            ends
        });
        let mut end = at + length.or_else(|| rest.iter().position(|b| *b == quote)).unwrap_or(rest.len());
        // The quote of an outer string's inner one is escaped: its backslash is no part of the value.
        if let Some(inner) = rest.iter().position(|b| *b == quote).filter(|n| at + n < end)
            && text.get(at.wrapping_sub(2)) == Some(&b'\\')
        {
            end = at + inner - 1;
        }
        return Some(Value { start: at, end, firm: true });
    }
    let ends = |b: &u8| {
        b.is_ascii_whitespace()
            || matches!(b, b',' | b';' | b'&' | b'"' | b'\'' | b')' | b'}' | b']' | b'<' | b'>' | b'\\')
    };
    let length = text.get(at..)?.iter().position(ends).unwrap_or(text.len() - at);
    Some(Value { start: at, end: at + length, firm })
}

/// `Authorization: Bearer …`: the scheme stays.
fn authorization(text: &[u8], name_end: usize) -> Option<Found> {
    const SCHEMES: [&str; 7] = ["bearer", "basic", "token", "digest", "apikey", "negotiate", "aws4-hmac-sha256"];
    let mut at = name_end;
    joint(text, &mut at)?;
    // A list of one, as header maps print it: `Authorization:[Bearer …]`.
    if text.get(at) == Some(&b'[') {
        at += 1;
    }
    let quoted = quote(text, &mut at);
    let rest = text.get(at..)?;
    let first = rest.iter().position(|b| !of_name(*b)).unwrap_or(rest.len());
    let scheme = rest.get(..first)?;
    let known = SCHEMES.iter().any(|s| scheme.eq_ignore_ascii_case(s.as_bytes())) && rest.get(first) == Some(&b' ');
    let start = if known { at + first + 1 } else { at };
    let all = known && scheme.len() > 5 && !scheme.eq_ignore_ascii_case(b"bearer");
    let ends = |b: &u8| match quoted {
        Some(quote) => *b == quote || *b == b'\\',
        None => *b < b' ' || matches!(b, b'"' | b'\'' | b']' | b'}') || (!all && matches!(b, b' ' | b',' | b';')),
    };
    let length = text.get(start..)?.iter().position(ends).unwrap_or(text.len() - start);
    let value = text.get(start..start + length)?;
    let secret = if known { value.len() >= 8 && !is_hidden(value) } else { looks_secret(value) };
    secret.then_some(Found { start, end: start + length, kind: Kind::Authorization })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_passed_over_for_its_last_letter() {
        for (name, wanted) in NAMES {
            let written = format!("my-{}_", name.to_uppercase());
            assert_eq!(says(written.as_bytes()), Some(wanted), "{written}");
        }
        assert_eq!(says(b"trace"), None);
    }
}
