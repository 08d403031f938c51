//! Tokens that their issuers made recognisable, and what stands in URLs, headers and PEM blocks.
//!
//! A trigger is a literal that every such secret contains. Where one is found, a function looks at what is around it and
//! says what is to be redacted, if anything.

use super::Found;
use super::kind::Kind;
use memchr::{memchr, memmem::find};

/// Looks at a trigger at `start..end` of the text.
pub(super) type Look = fn(&[u8], usize, usize) -> Option<Found>;

/// Triggers and who looks at them.
pub(super) const TRIGGERS: [(&str, Look); 34] = [
    ("AKIA", aws),
    ("ASIA", aws),
    ("ghp_", github),
    ("gho_", github),
    ("ghu_", github),
    ("ghs_", github),
    ("ghr_", github),
    ("github_pat_", github_fine),
    ("glpat-", gitlab),
    ("gldt-", gitlab),
    ("glrt-", gitlab),
    ("glptt-", gitlab),
    ("xox", slack),
    ("xapp-", slack_app),
    ("hooks.slack.com/services/", slack_hook),
    ("k_live_", stripe),
    ("k_test_", stripe),
    ("whsec_", stripe_hook),
    ("AIza", google_key),
    ("ya29.", google_token),
    ("GOCSPX-", google_token),
    ("sk-", service),
    ("hf_", hugging_face),
    ("npm_", npm),
    ("pypi-", pypi),
    ("eyJ", jwt),
    ("earer ", bearer),
    ("EARER ", bearer),
    ("Basic ", basic),
    ("basic ", basic),
    ("BASIC ", basic),
    ("-----BEGIN ", private_key),
    ("://", url),
    ("dop_v1_", digital_ocean),
];

fn word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

fn word_or_dash(b: u8) -> bool {
    word(b) || b == b'-'
}

/// Whether nothing of a word stands before `start`.
fn begins(text: &[u8], start: usize) -> bool {
    start == 0 || text.get(start - 1).is_none_or(|b| !word_or_dash(*b))
}

/// How many bytes from `from` on are of the set, at most `most`.
fn run(text: &[u8], from: usize, most: usize, set: fn(u8) -> bool) -> usize {
    text.get(from..).map_or(0, |rest| rest.iter().take(most).take_while(|b| set(**b)).count())
}

/// A token of at least `least` bytes of the set behind its prefix.
fn token(text: &[u8], start: usize, end: usize, least: usize, set: fn(u8) -> bool, kind: Kind) -> Option<Found> {
    if !begins(text, start) {
        return None;
    }
    let length = run(text, end, 512, set);
    (length >= least).then_some(Found { start, end: end + length, kind })
}

/// Whether it has both letters and digits: what is made by a machine has, words and numbers have not.
pub(super) fn mixed(text: &[u8]) -> bool {
    text.iter().any(u8::is_ascii_digit) && text.iter().any(u8::is_ascii_alphabetic)
}

fn mixed_token(found: Option<Found>, text: &[u8], from: usize) -> Option<Found> {
    found.filter(|f| text.get(from..f.end).is_some_and(mixed))
}

fn aws(text: &[u8], start: usize, end: usize) -> Option<Found> {
    let set = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    let found = token(text, start, end, 16, set, Kind::AwsAccessKey)?;
    // Sixteen of them, neither more nor other letters: a word in capitals is none.
    let exact = found.end - end == 16 && text.get(found.end).is_none_or(|b| !word(*b));
    (exact && text.get(end..found.end).is_some_and(mixed)).then_some(found)
}

fn github(text: &[u8], start: usize, end: usize) -> Option<Found> {
    token(text, start, end, 36, |b| b.is_ascii_alphanumeric(), Kind::GithubToken)
}

fn github_fine(text: &[u8], start: usize, end: usize) -> Option<Found> {
    token(text, start, end, 22, word, Kind::GithubToken)
}

fn gitlab(text: &[u8], start: usize, end: usize) -> Option<Found> {
    mixed_token(token(text, start, end, 20, word_or_dash, Kind::GitlabToken), text, end)
}

fn slack(text: &[u8], start: usize, end: usize) -> Option<Found> {
    let kind = text.get(end).filter(|b| matches!(b, b'a' | b'b' | b'e' | b'o' | b'p' | b'r' | b's'))?;
    let _ = (kind, text.get(end + 1).filter(|b| **b == b'-')?);
    mixed_token(token(text, start, end + 2, 16, word_or_dash, Kind::SlackToken), text, end + 2)
}

fn slack_app(text: &[u8], start: usize, end: usize) -> Option<Found> {
    mixed_token(token(text, start, end, 16, word_or_dash, Kind::SlackToken), text, end)
}

/// The address stays, what gives access does not.
fn slack_hook(text: &[u8], _: usize, end: usize) -> Option<Found> {
    let length = run(text, end, 128, |b| word(b) || b == b'/');
    (length >= 20).then_some(Found { start: end, end: end + length, kind: Kind::SlackToken })
}

fn stripe(text: &[u8], start: usize, end: usize) -> Option<Found> {
    // `sk_` and `rk_` are secret, `pk_` is not.
    let first = start.checked_sub(1)?;
    text.get(first).filter(|b| matches!(b, b's' | b'r'))?;
    token(text, first, end, 16, |b| b.is_ascii_alphanumeric(), Kind::StripeKey)
}

fn stripe_hook(text: &[u8], start: usize, end: usize) -> Option<Found> {
    token(text, start, end, 24, |b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='), Kind::StripeKey)
}

fn google_key(text: &[u8], start: usize, end: usize) -> Option<Found> {
    token(text, start, end, 35, word_or_dash, Kind::GoogleKey).filter(|found| found.end - end == 35)
}

fn google_token(text: &[u8], start: usize, end: usize) -> Option<Found> {
    mixed_token(token(text, start, end, 20, |b| word_or_dash(b) || b == b'.', Kind::GoogleKey), text, end)
}

fn service(text: &[u8], start: usize, end: usize) -> Option<Found> {
    let found = token(text, start, end, 20, word_or_dash, Kind::ServiceKey)?;
    let body = text.get(end..found.end)?;
    // Names of classes and branches have dashes too, but no capitals and digits in one part of twenty bytes.
    let dense = body.split(|b| *b == b'-').any(|part| {
        part.len() >= 16
            && mixed(part)
            && part.iter().any(u8::is_ascii_uppercase)
            && part.iter().any(u8::is_ascii_lowercase)
    });
    dense.then_some(found)
}

fn hugging_face(text: &[u8], start: usize, end: usize) -> Option<Found> {
    let found = token(text, start, end, 34, |b| b.is_ascii_alphanumeric(), Kind::ServiceKey)?;
    (found.end - end <= 40).then_some(found)
}

fn npm(text: &[u8], start: usize, end: usize) -> Option<Found> {
    token(text, start, end, 36, |b| b.is_ascii_alphanumeric(), Kind::ServiceKey).filter(|found| found.end - end == 36)
}

fn pypi(text: &[u8], start: usize, end: usize) -> Option<Found> {
    mixed_token(token(text, start, end, 50, word_or_dash, Kind::ServiceKey), text, end)
}

fn digital_ocean(text: &[u8], start: usize, end: usize) -> Option<Found> {
    token(text, start, end, 64, |b| b.is_ascii_hexdigit(), Kind::ServiceKey)
}

/// Header and claims both begin with `{"` in base 64; the signature may be missing.
fn jwt(text: &[u8], start: usize, end: usize) -> Option<Found> {
    if !begins(text, start) {
        return None;
    }
    let header = end + run(text, end, 4096, word_or_dash);
    if header - end < 10 || text.get(header..header + 4) != Some(b".eyJ") {
        return None;
    }
    let claims = header + 4 + run(text, header + 4, 16_384, word_or_dash);
    if claims - header < 12 || text.get(claims) != Some(&b'.') {
        return None;
    }
    let signature = run(text, claims + 1, 4096, word_or_dash);
    Some(Found { start, end: claims + 1 + signature, kind: Kind::Jwt })
}

fn credential(b: u8) -> bool {
    word_or_dash(b) || matches!(b, b'.' | b'~' | b'+' | b'/' | b'=' | b':')
}

/// Blanks are skipped; what is between them and `end` is the scheme's last letters.
fn blanks(text: &[u8], mut at: usize) -> usize {
    while text.get(at) == Some(&b' ') {
        at += 1;
    }
    at
}

fn bearer(text: &[u8], start: usize, end: usize) -> Option<Found> {
    let scheme = start.checked_sub(1)?;
    text.get(scheme).filter(|b| b.eq_ignore_ascii_case(&b'b'))?;
    let from = blanks(text, end);
    let length = run(text, from, 16_384, credential);
    let body = text.get(from..from + length)?;
    (begins(text, scheme) && length >= 16 && mixed(body)).then_some(Found {
        start: from,
        end: from + length,
        kind: Kind::Authorization,
    })
}

/// What follows is a name and a password in base 64, joined by a colon.
fn basic(text: &[u8], start: usize, end: usize) -> Option<Found> {
    let from = blanks(text, end);
    let length = run(text, from, 4096, |b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'-' | b'_'));
    let body = text.get(from..from + length)?;
    let joined = begins(text, start) && length >= 4 && has_colon(body);
    joined.then_some(Found { start: from, end: from + length, kind: Kind::Authorization })
}

/// Whether the text is base 64 of something readable with a colon.
fn has_colon(text: &[u8]) -> bool {
    let (mut bits, mut count, mut colon, mut decoded) = (0u32, 0, false, 0);
    for byte in text.iter().copied().take_while(|b| *b != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return false,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            let out = (bits >> count) as u8;
            bits &= (1 << count) - 1;
            if out < 0x20 || out == 0x7f {
                return false;
            }
            colon |= out == b':';
            decoded += 1;
        }
    }
    colon && decoded >= 3
}

fn private_key(text: &[u8], start: usize, end: usize) -> Option<Found> {
    let head = text.get(end..text.len().min(end + 64))?;
    let label = find(head, b"PRIVATE KEY")?;
    // `RSA `, `EC `, `OPENSSH `, `ENCRYPTED `: nothing but capitals before.
    if !head.get(..label)?.iter().all(|b| b.is_ascii_uppercase() || *b == b' ') {
        return None;
    }
    let rest = text.get(end..)?;
    let last = find(rest, b"-----END ").map(|at| end + at).and_then(|at| {
        let tail = text.get(at + 9..)?;
        Some(at + 9 + find(tail, b"-----")? + 5)
    });
    Some(Found { start, end: last.unwrap_or(text.len()), kind: Kind::PrivateKey })
}

/// `scheme://name:password@host`
fn url(text: &[u8], start: usize, end: usize) -> Option<Found> {
    start.checked_sub(1).and_then(|at| text.get(at)).filter(|b| b.is_ascii_alphanumeric())?;
    let ends = |b: u8| !matches!(b, b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>' | b'\\') && b > b' ';
    let length = run(text, end, 1024, ends);
    let authority = text.get(end..end + length)?;
    let at = memchr::memrchr(b'@', authority)?;
    let colon = memchr(b':', authority.get(..at)?)?;
    let password = authority.get(colon + 1..at)?;
    if super::fields::is_hidden(password) {
        return None;
    }
    Some(Found { start: end + colon + 1, end: end + at, kind: Kind::UrlPassword })
}
